-- em:stream: what comes out of it, what it sends, and what its body may do.

local compat = require "heddle.compat"
local expect = require "spec.support.expect"
local orm = require "heddle"
local streams = require "spec.support.streams"

local op, raises = orm.op, expect.raises
local Item, Box, CHUNK = streams.Item, streams.Box, streams.CHUNK
local collect, numbers = streams.collect, streams.numbers
local id = { "id", type = "integer", primary = true }
local BY_ID = { order_by = { "id" } }

local function options(more)
    local opts = { order_by = { "id" } }
    for key, value in pairs(more) do opts[key] = value end
    return opts
end

streams.each(function(place)
    describe("a stream", function()
        local work, em

        local function open(count, entities)
            work = place:open(nil, entities)
            em = work.em
            if not entities then streams.fill(em, count) end
            work:forget()
        end

        after_each(function()
            work:close()
            place.db:close()
        end)

        local function in_use() return work.instance:pool_stats().in_use end

        -- What reading `count` rows sends, with a transaction of the stream's own around it or in one that is open.
        local function expected(count, inside)
            local list = {}
            if place.is_sqlite then
                list[1] = "SELECT"
            else
                list[1] = "DECLARE"
                for _ = 0, math.floor(count / CHUNK) do list[#list + 1] = "FETCH" end
            end
            if not inside and not place.is_memory then
                table.insert(list, 1, "BEGIN")
                list[#list + 1] = "ROLLBACK"
            end
            return table.concat(list, " ")
        end

        local function verbs()
            local list = {}
            for i, entry in ipairs(work.log) do list[i] = entry.sql:match "^%a+" end
            return table.concat(list, " ")
        end

        describe("gives", function()
            it("Q6: what a filter finds, row by row, with one round trip a chunk", function()
                open(1000)
                for _, count in ipairs { 1000, CHUNK * 2, CHUNK, CHUNK - 1, 1, 0 } do
                    work:forget()
                    local where = { id = op.lte(count) }
                    assert.same(numbers(1, count), collect(em:stream(Item, where, BY_ID)))
                    assert.equal(expected(count), verbs())
                    assert.equal(0, in_use())
                end
            end)

            it("Q6: the same inside a transaction, on its connection", function()
                open(600)
                em:transactional(function(tx)
                    tx:execute "update items set name = 'mine' where id = 599"
                    work:forget()
                    local names = collect(tx:stream(Item, { id = op.gt(100) }, BY_ID), function(e) return e.name end)
                    assert.equal(expected(500, true), verbs())
                    assert.equal(500, #names)
                    assert.equal("mine", names[499])
                    assert.equal(1, in_use())
                end)
                assert.equal(0, in_use())
            end)

            it("what find gives, with the same options", function()
                open(700)
                local cases = {
                    {}, options {}, { order_by = { "rank desc nulls last", "id" } },
                    options { limit = 300, offset = 200 }, options { limit = 0 }, options { offset = 690 },
                    options { fields = { "name" } }, options { exclude = { "rank" } },
                    options { populate = { "box" } }, options { populate = { "box.items" }, limit = 5 },
                    options { populate = "*", fields = { "name", "box.label" } }, options { timeout = 20 },
                    options { connection = "write" }, options { strategy = "joined", populate = { "box" } },
                    options { distinct = true }, options { all = true },
                }
                local filters = { {}, { rank = orm.null }, { name = op.like "%7%", box = { label = "one" } },
                    op.any { { id = op.one_of { 1, 400, 699 } }, { box = 1, rank = op.lt(40) } } }
                for _, opts in ipairs(cases) do
                    for _, where in ipairs(filters) do
                        opts.managed = false
                        local found = em:fork():find(Item, where, opts)
                        opts.managed = nil
                        local shown = collect(em:stream(Item, where, opts), function(e) return e end)
                        assert.equal(#found, #shown)
                        for i, e in ipairs(found) do
                            local paths = opts.populate and { populate = { "box" } } or nil
                            assert.same(orm.to_table(e, paths), orm.to_table(shown[i], paths))
                        end
                    end
                end
                assert.equal(0, in_use())
            end)

            it("rows of one moment, whatever its body writes", function()
                open(600)
                local seen = {}
                for item in em:stream(Item, {}, BY_ID) do
                    seen[#seen + 1] = item.name
                    if item.id % 100 == 1 then
                        em:insert(Item, { id = 1000 + item.id, name = "new" })
                        em:update_where(Item, { id = op.gt(item.id) }, { name = "changed" })
                        em:delete_where(Item, { id = item.id + 50 })
                    end
                end
                assert.equal(600, #seen)
                for i, name in ipairs(seen) do assert.equal("item " .. i, name) end
                assert.equal(600, em:count(Item, {}))
            end)

            it("rows of one moment inside a transaction that writes what it reads", function()
                open(600)
                em:transactional(function(tx)
                    local seen = 0
                    -- By rank, which the body moves on: nothing is met twice.
                    for item in tx:stream(Item, { rank = op.gt(0) }, { order_by = { "rank" }, managed = true }) do
                        seen = seen + 1
                        item.rank = item.rank + 300
                        tx:persist(Item { id = 10000 + item.id, name = "new", rank = item.rank + 1 })
                        if seen % 90 == 0 then tx:flush() end
                    end
                    assert.equal(540, seen)
                end)
                assert.equal(540 + 600, em:count(Item, {}))
                assert.equal(599 + 301, em:fork():find_one(Item, 10599).rank)
            end)

            it("nothing more once it is read", function()
                open(3)
                local rows = em:stream(Item, {}, BY_ID)
                assert.same({ 1, 2, 3 }, { rows().id, rows().id, rows().id })
                for _ = 1, 3 do assert.is_nil(rows()) end
                rows:close()
                assert.is_nil(rows())
                assert.equal("stream<Item, over>", tostring(rows))
                assert.equal("stream<Item>", tostring((em:stream(Item, {}))))
            end)

            it("rows through a repository, the handle and a name", function()
                open(5)
                assert.same(numbers(1, 5), collect(em:repository(Item):stream({}, BY_ID)))
                assert.same({ 2 }, collect(orm.em():stream("Item", { id = 2 })))
                orm.request_context(function()
                    assert.same(numbers(1, 5), collect(orm.repository(Item):stream({}, BY_ID)))
                end)
            end)

            it("rows that custom types, embedded values, hidden properties and kinds of a table make", function()
                local Money = orm.type { column = "text", to_db = function(v) return "EUR " .. v end,
                    from_db = function(v) return tonumber((v:gsub("EUR ", ""))) end }
                local Place = orm.embeddable { name = "Place", { "street", type = "string" },
                    { "no", type = "integer", nullable = true } }
                local Animal = orm.entity { name = "Animal", table = "animals", id, { "name", type = "string" },
                    { "price", type = Money }, { "home", embedded = Place, nullable = true },
                    { "den", embedded = Place, object = true, nullable = true },
                    { "secret", type = "string", hidden = true, nullable = true },
                    { "data", type = "json", nullable = true },
                    { "tags", type = "array", array_of = "string", nullable = true },
                    { "weight", type = "decimal", precision = 10, scale = 2, nullable = true },
                    { "born", type = "timestamp", nullable = true },
                    discriminator_column = "kind", discriminator_value = "animal" }
                local Dog = orm.entity { name = "Dog", extends = Animal, discriminator_value = "dog",
                    { "tricks", type = "integer", nullable = true } }
                function Dog:bark() return self.name .. "!" end
                local loaded = 0
                open(0, { Animal, Dog })
                for i = 1, 300 do
                    local class = i % 2 == 0 and Dog or Animal
                    local e = class { name = "a" .. i, price = i, home = { street = "s", no = i }, secret = "x" .. i,
                        den = i % 3 == 0 and { street = "d" .. i } or nil, data = { n = i, list = orm.array {} },
                        tags = { "t" .. i }, weight = i .. ".5", born = i + 0.25 }
                    if class == Dog then e.tricks = i end
                    em:persist(e)
                end
                em:flush()
                em:clear()
                work.instance:on("on_load", function() loaded = loaded + 1 end)
                for _, is_managed in ipairs { false, true } do
                    local count = 0
                    for e in em:stream(Animal, {}, options { managed = is_managed }) do
                        count = count + 1
                        local is_dog = count % 2 == 0
                        assert.equal(is_dog and Dog or Animal, getmetatable(e).class)
                        assert.equal(count, e.price)
                        assert.same({ street = "s", no = count }, e.home)
                        assert.equal("x" .. count, e.secret)
                        assert.same(count % 3 == 0 and { street = "d" .. count } or nil, e.den)
                        assert.same({ n = count, list = orm.array {} }, e.data)
                        assert.same({ "t" .. count }, e.tags)
                        assert.equal(count .. ".50", e.weight)
                        assert.equal(count + 0.25, e.born)
                        if is_dog then assert.equal(("a%d! %d"):format(count, count), e:bark() .. " " .. e.tricks) end
                        assert.equal(is_managed, em:contains(e))
                    end
                    assert.equal(300, count)
                end
                assert.equal(600, loaded)
                assert.equal(150, #collect(em:stream(Dog, {})))
            end)
        end)

        describe("with populate", function()
            it("Q3: sends one statement a level for each chunk", function()
                open(600)
                for item in em:stream(Item, {}, options { populate = { "box.items" } }) do
                    assert.equal(item.id % 3 == 0 and "one" or "two", item.box.label)
                    assert.equal(item.id % 3 == 0 and 200 or 400, #item.box.items)
                end
                local reads = 0
                for _, sql in ipairs(work:work_statements()) do
                    if not sql:find "^DECLARE" and sql:find '"box' then reads = reads + 1 end
                end
                assert.equal(place.is_sqlite and 3 * 2 + 1 or 3 * 2, reads)
            end)

            it("reads on the connection that the rows come from", function()
                open(600)
                work:close()
                work = place:open { pool = { max = 1 } }
                em = work.em
                streams.fill(em, 600)
                local count = 0
                for item in em:stream(Item, {}, options { populate = { "box.items" } }) do
                    count = count + #item.box.items
                end
                assert.equal(200 * 200 + 400 * 400, count)
            end)

            -- In memory there is but one connection, which sees what it writes itself.
            if not place.is_memory then it("shows relations of the moment of its rows", function()
                open(600)
                local labels = {}
                for item in em:stream(Item, {}, options { populate = { "box" } }) do
                    labels[item.box.label] = true
                    if item.id == 1 then em:execute "update boxes set label = 'new'" end
                end
                assert.same({ one = true, two = true }, labels)
            end) end

            it("loads what is always loaded, and lazy properties", function()
                local Tag = orm.entity { name = "Tag", table = "tags", id, { "text", type = "string" } }
                local Note = orm.entity { name = "Note", table = "notes", id, { "body", type = "text", lazy = true },
                    { "tag", many_to_one = Tag, eager = true } }
                open(0, { Tag, Note })
                for i = 1, 300 do em:persist(Note { body = "b" .. i, tag = Tag { text = "t" .. i } }) end
                em:flush()
                em:clear()
                for _, is_managed in ipairs { false, true } do
                    local count = 0
                    for note in em:stream(Note, {}, options { populate = { "body" }, managed = is_managed }) do
                        count = count + 1
                        assert.equal(("b%d t%d"):format(note.id, note.id), note.body .. " " .. note.tag.text)
                    end
                    assert.equal(300, count)
                    local first
                    for note in em:stream(Note, {}, options { limit = 1 }) do first = note end
                    raises("not_loaded", function() return first.body .. "" end)
                end
            end)
        end)

        describe("that is managed", function()
            it("I1: gives the instances that are managed already, and manages the others", function()
                open(600)
                local mine, box = em:find_one(Item, 300), em:find_one(Box, 1)
                for item in em:stream(Item, {}, options { managed = true }) do
                    if item.id == 300 then assert.equal(mine, item) end
                    assert.is_true(em:contains(item))
                    if item.id % 3 == 0 then assert.equal(box, item.box) end
                    item.name = "changed " .. item.id
                end
                em:flush()
                assert.equal(600, em:count(Item, { name = op.starts_with "changed" }))
            end)

            it("I3: keeps what was changed in memory and refreshes the rest", function()
                open(600)
                local item = em:find_one(Item, 500)
                item.name = "mine"
                em:fork():update_where(Item, { id = 500 }, { rank = 7, name = "theirs" })
                local met = false
                for e in em:stream(Item, {}, options { managed = true, flush_mode = "commit" }) do
                    met = met or e == item
                end
                assert.is_true(met)
                assert.same({ "mine", 7 }, { item.name, item.rank })
            end)

            it("lets go of what em:detach is given, and of what its body had detached before it came", function()
                open(600)
                local count = 0
                for item in em:stream(Item, {}, options { managed = true }) do
                    count = count + 1
                    assert.is_true(em:contains(item))
                    if item.id == 10 then
                        for i = 11, 40 do em:detach(em:get_reference(Item, i)) end
                        em:delete_where(Item, { id = 20 })
                    end
                    em:detach(item)
                end
                assert.equal(599, count)
                assert.is_true(tonumber(tostring(em):match "(%d+) managed") <= 2) -- the boxes, as references
            end)

            it("refreshes or locks: changes in memory are dropped", function()
                open(600)
                for _, opts in ipairs { { refresh = true }, { lock = "pessimistic_write" } } do
                    opts = options(opts)
                    opts.managed, opts.flush_mode = true, "commit"
                    local a, b = em:find_one(Item, 3), em:find_one(Item, 500)
                    a.name, b.name = "mine", "mine"
                    em:transactional(function(tx)
                        for e in tx:stream(Item, {}, opts) do
                            if e == b then assert.equal("item 500", b.name) end
                        end
                        assert.same({ "item 3", "item 500" }, { a.name, b.name })
                    end)
                end
            end)

            it("carries relations along", function()
                open(600)
                for item in em:stream(Item, {}, options { managed = true, populate = { "box.items" } }) do
                    assert.is_true(item.box.items:contains(item))
                end
                assert.equal(600, #em:find_one(Box, 1).items + #em:find_one(Box, 2).items)
            end)
        end)

        describe("flushes", function()
            it("what is pending of what it reads, before its first row", function()
                open(10)
                em:persist(Item { id = 11, name = "new" })
                work:forget()
                local rows = em:stream(Item, {}, BY_ID)
                assert.same({}, work.log) -- nothing is sent until it is stepped
                em:persist(Item { id = 12, name = "newer" })
                assert.same(numbers(1, 12), collect(rows))
                assert.equal(1, work:writes "INSERT INTO")
                em:persist(Item { id = 13, name = "pending" })
                assert.equal(12, #collect(em:stream(Item, {}, { flush_mode = "commit" })))
                assert.equal(2, #collect(em:stream(Box, {})))
                assert.equal(13, #collect(em:stream(Item, {}, { flush_mode = "always" })))
            end)

            it("what populate will read", function()
                open(3)
                local item = em:find_one(Item, 1)
                item.name = "changed"
                local names = {}
                for box in em:stream(Box, { id = 2 }, { populate = { "items" } }) do
                    for _, e in box.items:iter() do names[#names + 1] = e.name end
                end
                assert.same({ "changed", "item 2" }, names)
            end)
        end)

        describe("refuses", function()
            it("options that are none of a stream's", function()
                open(1)
                raises("validation", function() em:stream(Item, {}, { strategy = "join" }) end, "strategy")
                for _, name in ipairs { "first", "last", "after", "before" } do
                    raises("validation", function() em:stream(Item, {}, { [name] = 1 }) end, name)
                end
                raises("unknown_property", function() em:stream(Item, {}, { limits = 1 }) end, "'limit'")
                raises("unknown_property", function() em:stream(Item, {}, { stream = 1 }) end)
                raises("validation", function() em:stream(Item, {}, "x") end)
                raises("validation", function() em:stream(Item, {}, { managed = 1 }) end, "managed")
                raises("validation", function() em:stream(Item, {}, { timeout = -1 }) end, "timeout")
            end)

            it("Q1: names that are not there, and no filter at all, where it is called", function()
                open(1)
                raises("unknown_property", function() em:stream(Item, { nane = 1 }) end, "'name'")
                raises("unknown_property", function() em:stream(Item, {}, { order_by = { "nane" } }) end)
                raises("unknown_property", function() em:stream(Item, {}, { populate = { "boxes" } }) end)
                raises("validation", function() em:stream(Item) end)
                raises("entity_not_registered", function() em:stream("Nothing", {}) end)
            end)

            it("a lock without a transaction", function()
                open(1)
                local rows = em:stream(Item, {}, { lock = "pessimistic_write" })
                raises("transaction_required", function() rows() end)
                raises("closed", function() rows() end)
                assert.equal(0, in_use())
            end)
        end)

        -- SQLite locks the whole file, from the transaction's first statement on.
        if not place.is_sqlite then it("locks the rows that it has given", function()
            open(600)
            local free = "select count(*) from (select 1 from items for update skip locked) as f"
            em:transactional(function(tx)
                for item in tx:stream(Item, {}, options { lock = "pessimistic_write" }) do
                    if item.id == 1 then assert.equal(tostring(600 - CHUNK), work.raw:value(free)) end
                end
                assert.equal("0", work.raw:value(free))
            end)
            assert.equal("600", work.raw:value(free))
        end) end

        describe("lets its body", function()
            it("use the same entity manager, others and transactions", function()
                open(600)
                local count = 0
                for item in em:stream(Item, {}, BY_ID) do
                    count = count + 1
                    if count % 100 == 0 then
                        assert.equal(item.name, em:find_one(Item, item.id).name)
                        em:find_one(Item, item.id).name = "mine " .. count
                        em:flush()
                        em:transactional(function(tx)
                            tx:find_one(Item, item.id).rank = -1
                            raises("validation", function()
                                tx:transactional(function(inner)
                                    inner:find_one(Item, 1).name = "never"
                                    inner:flush()
                                    inner:create(Item, { id = "no number" })
                                end)
                            end)
                        end)
                        local fork = em:fork()
                        assert.same({ "mine " .. count, -1 }, { fork:find_one(Item, count).name,
                            fork:find_one(Item, count).rank })
                        fork:update_where(Item, { id = count }, { name = "theirs" })
                    end
                end
                assert.equal(600, count)
                assert.equal(6, em:count(Item, { name = "theirs", rank = -1 }))
            end)

            it("stream as well, over the same entity manager", function()
                open(300)
                for _, inside in ipairs { false, true } do
                    local function body(tx)
                        local pairs_met = 0
                        for a in tx:stream(Item, { id = op.lte(280) }, BY_ID) do
                            if a.id % 70 == 0 then
                                for b in tx:stream(Item, {}, { order_by = { "id desc" }, populate = { "box" } }) do
                                    pairs_met = pairs_met + (b.box.id == a.box.id and 1 or 0)
                                end
                            end
                        end
                        assert.equal(100 * 1 + 200 * 3, pairs_met)
                    end
                    if inside then em:transactional(body) else body(em) end
                    assert.equal(0, in_use())
                end
            end)

            it("be in a step of another one: they go on side by side", function()
                open(600)
                local function body(tx)
                    local a, b = tx:stream(Item, {}, BY_ID), tx:stream(Item, {}, { order_by = { "id desc" } })
                    for i = 1, 600 do
                        assert.equal(i, a().id)
                        assert.equal(601 - i, b().id)
                    end
                    assert.is_nil(a())
                    assert.is_nil(b())
                end
                body(em)
                em:transactional(body)
                assert.equal(0, in_use())
            end)

            it("be called in a coroutine", function()
                open(600)
                local count = 0
                for item in coroutine.wrap(function()
                    for item in em:stream(Item, {}, BY_ID) do coroutine.yield(item) end
                end) do
                    count = count + 1
                    assert.equal(count, item.id)
                end
                assert.equal(600, count)
            end)
        end)

        it("goes by named filters", function()
            local Log = orm.entity { name = "Log", table = "logs", id, { "tenant", type = "integer" },
                filters = { tenant = { cond = function(p) return { tenant = p.id } end, params = { "id" } } } }
            open(0, { Log })
            for i = 1, 300 do em:persist(Log { tenant = i % 3 }) end
            em:flush()
            em:clear()
            assert.equal(300, #collect(em:stream(Log, {})))
            assert.equal(100, #collect(em:stream(Log, {}, { filters = { tenant = { id = 1 } } })))
            em:enable_filter("tenant", { id = 2 })
            for log in em:stream(Log, {}) do assert.equal(2, log.tenant) end
            assert.equal(300, #collect(em:stream(Log, {}, { filters = false })))
        end)

        it("calls on_load for each row, before it is handed out", function()
            open(300)
            local order = {}
            work.instance:on("on_load", function(e) order[#order + 1] = e.id end)
            for item in em:stream(Item, {}, BY_ID) do
                assert.is_true(#order >= item.id)
                assert.equal(item.id, order[item.id])
            end
            assert.equal(300, #order)
        end)

        it("is busy for a hook that it calls itself", function()
            open(10)
            local rows = em:stream(Item, {}, BY_ID)
            local off = work.instance:on("on_load", function() raises("busy", function() rows() end, "Item") end)
            assert.equal(1, rows().id)
            off()
            assert.equal(9, #collect(rows))
        end)

        it("is over when entities are registered in its context", function()
            open(600)
            local rows = em:stream(Item, {}, BY_ID)
            for i = 1, CHUNK do assert.equal(i, rows().id) end
            local Late = orm.entity { name = "Late", table = "late", id }
            orm.register { Late }
            em:count(Item, {})
            assert.equal(CHUNK + 1, rows().id) -- they are there, but nobody has asked for one of them
            em:execute "create table late (id integer primary key)"
            assert.equal(0, em:count(Late, {}))
            for i = CHUNK + 2, 2 * CHUNK do assert.equal(i, rows().id) end
            raises("closed", function() rows() end, "registered")
            assert.equal(0, in_use())
            assert.equal(600, #collect(em:stream(Item, {}, { managed = true })))
        end)

        it("is part of a test's transaction, whose other statements fail by themselves", function()
            open(600)
            local t = orm.testing()
            local tested = orm.em()
            local count, inner = 0, nil
            for item in tested:stream(Item, {}, BY_ID) do
                count = count + 1
                if count % 100 == 0 then
                    tested:insert(Item, { id = 1000 + count, name = "test" })
                    raises("unique_violation", function() tested:insert(Item, { id = item.id, name = "taken" }) end)
                    inner = tested:fork():stream(Item, { id = op.gt(600) })
                    assert.equal("test", inner().name)
                end
            end
            assert.equal(600, count)
            t:finish()
            raises("closed", function() inner() end)
            assert.equal(600, em:count(Item, {}))
            assert.equal(0, in_use())
        end)

        describe("that fails in the middle", function()
            local fails = op.raw("100 / (id - 500) <> 7")

            it("raises there, is over, and leaves the entity manager usable", function()
                if place.is_sqlite then fails = op.raw("abs(-9223372036854775807 - (id = 500)) > 0") end
                open(600)
                local count, rows = 0, em:stream(Item, fails, BY_ID)
                local ok, err = compat.pcall(function()
                    for _ in rows do count = count + 1 end
                end)
                assert.is_false(ok)
                assert.is_true(orm.is_error(err))
                assert.equal(CHUNK, count)
                raises("closed", function() rows() end, "Item")
                assert.equal(0, in_use())
                assert.equal(600, em:count(Item, {}))
                assert.equal(600, #collect(em:stream(Item, {})))
            end)

            it("raises what its body raises, at once", function()
                open(600)
                local before = in_use()
                local ok, err = pcall(function()
                    local rows = em:stream(Item, {})
                    for _ in rows do
                        rows:close()
                        error "from the body"
                    end
                end)
                assert.is_false(ok)
                assert.matches("from the body", err)
                assert.equal(before, in_use())
            end)
        end)
    end)
end)
