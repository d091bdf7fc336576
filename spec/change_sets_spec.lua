-- What after_flush, after_commit and after_rollback are told: change sets, once each, of what was written.

local databases = require "spec.support.databases"
local errors = require "heddle.errors"
local orm = require "heddle"
local unit = require "spec.support.unit"

local Author = orm.entity { name = "Author", table = "authors",
    { "id", type = "integer", primary = true },
    { "name", type = "string", unique = true },
    { "price", type = "decimal", precision = 10, scale = 2, nullable = true },
    { "made", type = "integer", on_create = function() return 5 end },
    { "rank", type = "integer", default_sql = "7" },
    { "data", type = "json", nullable = true },
    { "password", type = "string", nullable = true, hidden = true },
    { "version", type = "integer", version = true },
    { "tags", many_to_many = "Tag" },
}
local Book = orm.entity { name = "Book", table = "books",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "author", many_to_one = "Author", nullable = true },
}
local Tag = orm.entity { name = "Tag", table = "tags",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
}
local Place = orm.entity { name = "Place", table = "places",
    { "x", type = "integer", primary = true },
    { "y", type = "integer", primary = true },
    { "near", many_to_one = "Place", nullable = true },
}

local function lines(changes)
    local list = {}
    for i, change in ipairs(changes) do list[i] = ("%s %s %s"):format(change.op, change.name, change.entity.name) end
    return list
end

-- What a block writes to standard error.
local function complaints(fn)
    local stderr, written = io.stderr, {}
    io.stderr = { write = function(_, ...) written[#written + 1] = table.concat { ... } end } -- luacheck: ignore
    local ok, err = pcall(fn)
    io.stderr = stderr -- luacheck: ignore
    if not ok then error(err, 0) end
    return table.concat(written)
end

databases.each(function(db)
    describe("change sets", function()
        local work, em, raw, told

        before_each(function()
            work = unit.open(db, { Author, Book, Tag, Place })
            em, raw = work.em, work.raw
            told = {}
        end)
        after_each(function()
            work:close()
            db:close()
        end)

        local function listen(...)
            for _, event in ipairs { ... } do
                work.instance:on(event, function(changes) table.insert(told, { event, changes }) end)
            end
        end
        local function events()
            local list = {}
            for i, item in ipairs(told) do list[i] = item[1] .. ": " .. table.concat(lines(item[2]), ", ") end
            return list
        end

        it("U7: hold keys, versions, defaults and normal forms; NULL is absent where the row is new or gone", function()
            listen("after_flush", "after_commit")
            local ann = Author { name = "Ann", price = "1.5", data = { 1 }, password = "p" }
            local book = Book { name = "B", author = ann }
            em:persist(book):flush()
            local changes = told[1][2]
            assert.equal(changes, told[2][2])
            assert.same({ "create Author Ann", "create Book B" }, (function(list)
                table.sort(list)
                return list
            end)(lines(changes)))
            local by_name = {}
            for _, change in ipairs(changes) do by_name[change.name] = change end
            assert.same({ id = ann.id, name = "Ann", price = "1.50", made = 5, rank = 7, data = { 1 }, password = "p",
                version = 1 }, by_name.Author.values)
            assert.same({ id = book.id, name = "B", author = ann.id }, by_name.Book.values)
            assert.same({ {}, {} }, { by_name.Author.old, by_name.Book.old })
            ann.price, ann.data, book.author = nil, { 1, 2 }, nil
            em:flush()
            changes = told[3][2]
            for _, change in ipairs(changes) do by_name[change.name] = change end
            assert.same({ price = orm.null, data = { 1, 2 }, version = 2 }, by_name.Author.values)
            assert.same({ price = "1.50", data = { 1 }, version = 1 }, by_name.Author.old)
            assert.same({ { author = orm.null }, { author = ann.id } }, { by_name.Book.values, by_name.Book.old })
            em:remove(ann):flush()
            local change = told[5][2][1]
            assert.same({ "delete", "Author", {} }, { change.op, change.name, change.values })
            assert.same({ id = ann.id, name = "Ann", made = 5, rank = 7, data = { 1, 2 }, password = "p",
                version = 2 }, change.old)
            assert.equal(ann, change.entity)
        end)

        it("U7: keys of several columns, of what is related too", function()
            listen "after_commit"
            local a, b = Place { x = 1, y = 2 }, Place { x = 3, y = 4 }
            a.near = b
            em:persist(a):flush()
            assert.same({ x = 1, y = 2, near = { 3, 4 } }, told[1][2][1].values)
            a.near = a
            em:flush()
            assert.same({ { near = { 1, 2 } }, { near = { 3, 4 } } },
                { told[2][2][1].values, told[2][2][1].old })
        end)

        it("U7: of a partial row, what was never read has no former value", function()
            em:persist(Author { name = "Ann", price = "3" }):flush()
            em:clear()
            listen "after_flush"
            local ann = em:find(Author, {}, { fields = { "name" } })[1]
            ann.price, ann.name = "4", "Bea"
            em:flush()
            local change = told[1][2][1]
            assert.same({ price = "4.00", name = "Bea" }, { price = change.values.price, name = change.values.name })
            assert.same({ name = "Ann" }, { name = change.old.name, price = change.old.price })
        end)

        it("F1: members of a many_to_many are entries of their own", function()
            listen "after_commit"
            local ann, tag = Author { name = "Ann" }, Tag { name = "t" }
            ann.tags:add(tag)
            em:persist(ann):flush()
            assert.same({ op = "collection", entity = ann, name = "Author", property = "tags", added = { tag },
                removed = {} }, told[1][2][3])
            ann.tags:remove(tag)
            em:flush()
            assert.equal(1, #told[2][2])
            assert.same({ {}, { tag } }, { told[2][2][1].added, told[2][2][1].removed })
            assert.equal("0", raw:value "select count(*) from authors_tags")
        end)

        it("O2: tell what the order of statements took; of a transaction, of all its flushes", function()
            listen("after_flush", "after_commit")
            local a, b = Author { name = "a" }, Author { name = "b" }
            em:persist(a, b):flush()
            assert.same({ parked = 0, switched = 0, whole = 0, deferred = 0, held = 0 }, told[1][2].plan)
            told = {}
            em:transactional(function()
                a.name, b.name = "b", "a"
                em:flush()
                em:remove(a):persist(Author { id = a.id, name = "new" })
            end)
            assert.is_true(told[1][2].plan.parked > 0)
            assert.equal(1, told[2][2].plan.switched)
            assert.equal("after_commit", told[3][1])
            assert.same({ told[1][2].plan.parked, 1 }, { told[3][2].plan.parked, told[3][2].plan.switched })
            assert.same({ { "a" }, { "new" } }, raw:rows "select name from authors order by name")
        end)

        it("F3: after_commit comes once, with every flush of the transaction but those of savepoints undone", function()
            listen("after_flush", "after_commit", "after_rollback")
            em:transactional(function()
                em:persist(Author { name = "a" }):flush()
                em:transactional(function() em:persist(Author { name = "b" }) end)
                pcall(em.transactional, em, function()
                    em:persist(Author { name = "c" }):flush()
                    error "no"
                end)
                em:persist(Author { name = "d" })
            end)
            assert.same({ "after_flush: create Author a", "after_flush: create Author b",
                "after_flush: create Author c", "after_flush: create Author d",
                "after_commit: create Author a, create Author b, create Author d" },
                events())
            assert.equal(em, told[5][2].em)
            assert.equal(work.instance.context_name, told[5][2].context)
        end)

        it("F1: after_rollback comes once, with what the flushes of the transaction had written", function()
            listen("after_commit", "after_rollback")
            em:begin()
            em:persist(Author { name = "a" }):flush()
            em:begin()
            em:persist(Author { name = "b" }):flush()
            em:commit()
            em:rollback()
            assert.same({ "after_rollback: create Author a, create Author b" }, events())
            assert.is_number(told[1][2][1].values.id)
            assert.is_nil(told[1][2][1].entity.id) -- memory is back already
            assert.equal("0", raw:value "select count(*) from authors")
            told = {}
            em:begin()
            em:rollback()
            assert.same({ "after_rollback: " }, events())
        end)

        it("F1: a flush that fails is told of when it had begun to write", function()
            em:persist(Author { name = "Ann" }):flush()
            listen("after_flush", "after_commit", "after_rollback")
            local bob, fail = Author { name = "Ann" }, true
            em:persist(bob)
            unit.raises("unique_violation", em.flush, em)
            bob.name = "Bob"
            local off = work.instance:on("after_create", function()
                if fail then error("no", 0) end
            end)
            assert.is_false(pcall(em.flush, em))
            off()
            bob.name = nil
            unit.raises("validation", em.flush, em) -- nothing had begun
            bob.name = "Bob"
            em:flush()
            assert.same({ "after_rollback: create Author Ann", "after_rollback: create Author Bob",
                "after_flush: create Author Bob", "after_commit: create Author Bob" }, (function(list)
                list[1] = list[1]:gsub("Bob$", "Ann") -- the entity has another name by now
                return list
            end)(events()))
            assert.equal("Ann", told[1][2][1].values.name)
            assert.is_number(told[2][2][1].values.id)
        end)

        it("F1: a flush that fails inside a transaction is no rollback of it", function()
            em:persist(Author { name = "Ann" }):flush()
            listen("after_commit", "after_rollback")
            em:begin()
            em:persist(Author { name = "Bob" }):flush()
            local twin = Author { name = "Ann" }
            em:persist(twin)
            unit.raises("unique_violation", em.flush, em)
            em:detach(twin)
            em:commit()
            assert.same({ "after_commit: create Author Bob" }, events())
        end)

        it("F1: every listener is told of a commit, whatever one of them raises", function()
            local oops = {}
            work.instance:on("after_commit", function() error(oops, 0) end)
            listen "after_commit"
            em:persist(Author { name = "Ann" })
            local ok, err = pcall(em.flush, em)
            assert.same({ false, true }, { ok, err == oops })
            ok, err = pcall(em.transactional, em, function() em:persist(Author { name = "Bob" }) end)
            assert.same({ false, true }, { ok, err == oops })
            assert.same({ "after_commit: create Author Ann", "after_commit: create Author Bob" }, events())
            assert.equal("2", raw:value "select count(*) from authors")
            assert.same({}, em:changes())
            assert.is_false(em:in_transaction())
        end)

        it("F1: what failed behind the commit is not tried again", function()
            local runs = 0
            work.instance:on("after_commit", function() errors.raise("deadlock", "another transaction's") end)
            local ok, err = pcall(em.transactional, em, function(tx)
                runs = runs + 1
                tx:persist(Author { name = "n" .. runs })
            end, { retry = 3 })
            assert.is_false(ok)
            assert.same({ "deadlock", "committed" }, { err.kind, err.outcome })
            assert.equal(1, runs)
            assert.equal("1", raw:value "select count(*) from authors")
        end)

        it("F1: a listener of rollbacks that fails hides neither the error nor the other listeners", function()
            em:persist(Author { name = "Ann" }):flush()
            work.instance:on("after_rollback", function() error("listener's own", 0) end)
            listen "after_rollback"
            local text = complaints(function()
                em:persist(Author { name = "Ann" })
                unit.raises("unique_violation", em.flush, em)
                em:clear()
                local ok, err = pcall(em.transactional, em, function() error("mine", 0) end)
                assert.same({ false, "mine" }, { ok, err })
            end)
            assert.equal(2, #told)
            assert.is_truthy(text:find("after_rollback", 1, true) and text:find("listener's own", 1, true))
        end)

        it("F1: listeners of after_flush write in the same transaction by insert_many", function()
            work.instance:on("after_flush", function(changes)
                local rows = {}
                for i, change in ipairs(changes) do rows[i] = { name = change.op .. " " .. change.values.id } end
                changes.em:insert_many(Tag, rows)
            end)
            work:forget()
            local ann = em:persist_and_flush(Author { name = "Ann" })
            assert.equal("create " .. ann.id, raw:value "select name from tags")
            assert.equal(1, #work:statements "^COMMIT")
            local off = work.instance:on("after_flush", function() error("no", 0) end)
            em:persist(Author { name = "Bob" })
            assert.is_false(pcall(em.flush, em))
            off()
            assert.equal("1", raw:value "select count(*) from tags")
            em:transactional(function() em:flush() end)
            assert.equal("2", raw:value "select count(*) from tags")
        end)

        it("C1: each context is told of its own", function()
            local other = orm.init(db:config { context_name = "other", entities = { Author, Tag } })
            other.schema:create()
            other:on("after_commit", function(changes) table.insert(told, { "other", changes }) end)
            listen "after_commit"
            work.instance:on("after_commit", function() other.em:fork():insert(Author, { name = "copy" }) end)
            em:persist(Author { name = "Ann" }):flush()
            other.em:fork():persist_and_flush(Author { name = "Bob" })
            assert.same({ "after_commit: create Author Ann", "other: create Author Bob" }, events())
            assert.same({ { "Bob" }, { "copy" } }, db:raw():rows "select name from authors order by name")
            orm.close "other"
        end)
    end)
end)
