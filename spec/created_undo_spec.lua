-- Instances that the core adopted leave as they came: by rollback, with those of other entities and savepoints in
-- between; and who may not use an entity manager may not persist. By chance: what goes the core's way and what goes the
-- long way are the same after every step.

local chance = require "spec.support.chance"
local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local loop = require "spec.support.loop"
local orm = require "heddle"
local unit = require "spec.support.unit"

local raises = expect.raises

local Author = orm.entity { name = "Author", table = "authors",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "level", type = "integer", default = 3, nullable = true },
    { "books", one_to_many = "Book", mapped_by = "author" },
}
local Book = orm.entity { name = "Book", table = "books",
    { "id", type = "integer", primary = true },
    { "title", type = "string" },
    { "rank", type = "integer", default_sql = "7", nullable = true },
    { "author", many_to_one = "Author", nullable = true },
}
local Code = orm.entity { name = "Code", table = "codes",
    { "code", type = "string", length = 8, primary = true },
    { "text", type = "string", nullable = true },
}
local entities = { Author, Book, Code }

databases.each(function(db)
    describe("created, and undone:", function()
        local work, em

        before_each(function()
            work = unit.open(db, entities, { allow_global_context = true })
            em = work.em
            em:persist(Author { name = "0" }, Book { title = "0" }, Code { code = "0" })
            em:flush()
        end)
        after_each(function()
            orm.use "blocking"
            orm.close()
            db:close()
        end)

        local function titles() return work.raw:rows "select title from books order by id" end

        it("F3: a rollback leaves nobody's instances, which can be persisted again", function()
            local made = {}
            em:begin()
            for i = 1, 20 do
                made[#made + 1] = em:create(Book, { title = "b" .. i })
                made[#made + 1] = em:create(Author, { name = "a" .. i })
            end
            for i, e in ipairs(made) do
                em:persist(e)
                if i == 10 then em:flush() end
            end
            em:rollback()
            for i, e in ipairs(made) do assert(not em:contains(e) and e.id == nil, i) end
            assert.same({ { "0" } }, titles())
            for _, e in ipairs(made) do em:persist(e) end
            em:flush()
            for i, e in ipairs(made) do assert(em:contains(e) and e.id ~= nil, i) end
            assert.equal(21, #titles())
        end)

        it("F3: a savepoint takes along what came behind it, and that alone", function()
            local kept, lost, later = {}, {}, {}
            em:transactional(function()
                for i = 1, 5 do kept[i] = em:create(Book, { title = "kept " .. i }) em:persist(kept[i]) end
                pcall(em.transactional, em, function()
                    for i = 1, 5 do lost[i] = em:create(Book, { title = "lost " .. i }) em:persist(lost[i]) end
                    error("back")
                end)
                for i = 1, 5 do later[i] = em:create(Book, { title = "later " .. i }) em:persist(later[i]) end
                for i = 1, 5 do
                    assert(em:contains(kept[i]) and not em:contains(lost[i]) and em:contains(later[i]), i)
                end
            end)
            assert.equal(11, #titles())
            assert.same({}, work.raw:rows "select title from books where title like 'lost%'")
            em:persist(lost[3]):flush()
            assert.same({ { "lost 3" } }, work.raw:rows "select title from books where title like 'lost%'")
        end)

        it("F3: removed and persisted anew inside of it, in a row with others", function()
            local a, b, c, d = Book { title = "a" }, Book { title = "b" }, Book { title = "c" }, Book { title = "d" }
            em:persist(a)
            em:begin()
            em:persist(b)
            em:remove(a)
            em:persist(c)
            em:persist(a)
            em:persist(d)
            em:remove(b)
            em:persist(b)
            em:rollback()
            assert.is_true(em:contains(a))
            assert.is_false(em:contains(b) or em:contains(c) or em:contains(d))
            em:flush()
            assert.same({ { "0" }, { "a" } }, titles())
        end)

        it("keys are free again", function()
            em:begin()
            em:persist(em:create(Code, { code = "x" }), em:create(Code, { code = "y" }))
            em:persist(em:create(Code, { code = "z" }))
            em:rollback()
            for _, key in ipairs { "x", "y", "z" } do em:persist(em:create(Code, { code = key })) end
            em:flush()
            assert.same({ { "0" }, { "x" }, { "y" }, { "z" } }, work.raw:rows "select code from codes order by code")
        end)

        it("collections of those that came in a transaction are theirs when it is rolled back", function()
            local ann, book
            em:begin()
            ann = em:create(Author, { name = "Ann" })
            em:persist(ann)
            book = Book { title = "x" }
            ann.books:add(book)
            em:flush()
            em:rollback()
            assert.equal(book, ann.books[1])
            assert.equal(ann, book.author)
            em:persist(ann):flush()
            assert.same({ { "x", "Ann" } }, work.raw:rows
                "select b.title, a.name from books b join authors a on a.id = b.author_id")
        end)

        it("em:clear and the end of a fork leave them nobody's", function()
            local book, other = Book { title = "x" }, Book { title = "y" }
            em:persist(book)
            em:clear()
            assert.is_false(em:contains(book))
            em:persist(other, book):flush()
            assert.same({ { "0" }, { "y" }, { "x" } }, titles())
        end)

        -- Guards -------------------------------------------------------------------------------------------

        it("a scope that has ended and a context that is closed adopt nothing", function()
            local ended
            orm.request_context(function()
                ended = orm.get_context()
                ended:persist(Book { title = "in time" })
            end)
            raises("closed", function() ended:persist(Book { title = "late" }) end, "ended with its scope")
            orm.close()
            raises("closed", function() em:persist(Book { title = "late" }) end, "is closed")
            work = unit.open(db, entities)
            assert.same({}, titles())
        end)

        it("the global entity manager asks each time whether it may be used", function()
            orm.close()
            work = unit.open(db, entities)
            local global = orm.em()
            for i = 1, 3 do global:persist(global:create(Book, { title = tostring(i) })) end
            orm.use(function() return true end)
            raises("global_context", function() global:create(Book, { title = "x" }) end)
            raises("global_context", function() global:persist(Book { title = "x" }) end)
            orm.use "blocking"
            global:persist(global:create(Book, { title = "4" }))
            global:flush()
            assert.same({ { "1" }, { "2" }, { "3" }, { "4" } }, titles())
        end)

        it("another coroutine's wait, transaction or hook is respected", function()
            loop.reset()
            orm.use(loop.wait)
            em:persist(Book { title = "1" })
            local holder
            loop.spawn(function()
                em:transactional(function()
                    holder = "transaction"
                    em:persist(Book { title = "held" })
                    loop.yield()
                end)
                local off = work.instance:on("before_create", function() holder = "hook" loop.yield() end)
                em:persist(Book { title = "hooked" })
                em:flush()
                off()
                holder = "nobody"
            end)
            local seen = {}
            loop.spawn(function()
                while holder ~= "nobody" do
                    if holder and not seen[holder] then
                        seen[holder] = select(2, pcall(em.persist, em, Book { title = "intruder" }))
                    end
                    loop.yield()
                end
            end)
            loop.run()
            loop.reset()
            orm.use "blocking"
            assert.is_true(orm.is_error(seen.transaction, "busy"), tostring(seen.transaction))
            assert.is_true(orm.is_error(seen.hook, "busy"), tostring(seen.hook))
            em:persist(Book { title = "last" }):flush()
            assert.same({ { "0" }, { "1" }, { "held" }, { "hooked" }, { "last" } }, titles())
        end)
    end)

    -- By chance ------------------------------------------------------------------------------------------------

    describe("created, by chance:", function()
        after_each(function()
            orm.close()
            db:close()
        end)

        -- Two contexts of the same entities: of one the instances go the long way.
        local function open(name, is_long)
            local config = db:config { entities = entities }
            config.context_name = name
            local instance = orm.init(config)
            instance.schema:create()
            if is_long then instance:on("on_init", function() end) end
            return { em = orm.em(name):fork(), raw = db:raw(config), is_long = is_long, made = {} }
        end

        local function persist(side, ...)
            if side.is_long then rawset(side.em, "adopters", false) end
            return side.em:persist(...)
        end

        local function data_of(random)
            local kind, n = random { Author, Book, Code }, random(9)
            if kind == Code then return kind, { code = "c" .. n, text = random { "t", orm.null } } end
            if kind == Author then
                return kind, { name = "a" .. n, level = random { n, orm.null, nil }, id = random(6) == 1 and n or nil }
            end
            return kind, { title = "b" .. n, rank = random { n, orm.null, nil }, titel = random(20) == 1 and n or nil }
        end

        local steps = {}

        function steps.create(random)
            local kind, data = data_of(random)
            local is_direct, author = random(4) == 1, random(3) == 1 and random(12)
            return function(side)
                local copy = {}
                for key, value in pairs(data) do copy[key] = value end
                if kind == Book and author then copy.author = side.made[author] end
                if getmetatable(copy.author or {}) and getmetatable(copy.author).definition.name ~= "Author" then
                    copy.author = nil
                end
                local e = is_direct and kind(copy) or side.em:create(kind, copy)
                side.made[#side.made + 1] = e
                persist(side, e)
            end
        end

        local function of_some(random, fn)
            local n = random(30)
            return function(side)
                local e = side.made[#side.made - n + 1]
                if e then return fn(side, e, side.made[#side.made - n + 2]) end
            end
        end

        function steps.persist(random) return of_some(random, function(side, e) persist(side, e) end) end
        function steps.several(random)
            return of_some(random, function(side, e, other) if other then persist(side, e, other) end end)
        end
        function steps.remove(random) return of_some(random, function(side, e) side.em:remove(e) end) end
        function steps.detach(random) return of_some(random, function(side, e) side.em:detach(e) end) end
        function steps.begin() return function(side) side.em:begin() end end
        function steps.commit() return function(side) side.em:commit() end end
        function steps.rollback() return function(side) side.em:rollback() end end
        function steps.flush() return function(side) side.em:flush() end end
        function steps.clear(random) return function(side) if random then side.em:clear() end end end

        local names = { "create", "create", "create", "create", "create", "create", "persist", "several", "remove",
            "detach", "begin", "begin", "commit", "rollback", "flush", "flush" }

        local function shown(side)
            local list = {}
            for i, e in ipairs(side.made) do
                local parts = { side.em:contains(e) and "managed" or "free" }
                for key, value in pairs(e) do parts[#parts + 1] = key .. "=" .. tostring(value) end
                table.sort(parts)
                list[i] = table.concat(parts, " ")
            end
            for _, change in ipairs(side.em:changes()) do list[#list + 1] = change.op .. " " .. change.name end
            return list
        end

        local function stored(side)
            return { side.raw:rows "select * from authors order by id", side.raw:rows "select * from books order by id",
                side.raw:rows "select * from codes order by code" }
        end

        local function outcome(step, side)
            local ok, err = pcall(step, side)
            if ok then return "done" end
            if not orm.is_error(err) then error(err, 0) end
            return err.kind .. ": " .. err.message:gsub("context '%a+'", "context")
        end

        it("the core's way and the long way are one", function()
            local first, last = chance.range(db.name == "sqlite" and 60 or 15)
            for seed = first, last do
                local random = chance.generator(seed)
                local sides = { open("short"), open("long", true) }
                for i = 1, 60 do
                    local name = random(50) == 1 and "clear" or random(names)
                    local step = steps[name](random)
                    local was = { outcome(step, sides[1]), outcome(step, sides[2]) }
                    local place = ("seed %d, step %d, %s: "):format(seed, i, name)
                    assert(was[1] == was[2], place .. was[1] .. " / " .. was[2])
                    assert.same(shown(sides[2]), shown(sides[1]), place)
                end
                for _, side in ipairs(sides) do
                    while side.em:in_transaction() do side.em:rollback() end
                end
                assert.same(stored(sides[2]), stored(sides[1]), "seed " .. seed)
                orm.close("short")
                orm.close("long")
            end
        end)
    end)
end)
