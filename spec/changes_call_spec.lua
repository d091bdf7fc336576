-- em:changes(): what a flush would write, without one.

local databases = require "spec.support.databases"
local orm = require "heddle"
local unit = require "spec.support.unit"

local called
local function count() called = called + 1 end

local Author = orm.entity { name = "Author", table = "authors",
    { "id", type = "integer", primary = true },
    { "name", type = "string", length = 10 },
    { "price", type = "decimal", precision = 10, scale = 2, nullable = true },
    { "data", type = "json", nullable = true },
    { "bio", type = "text", nullable = true, lazy = true },
    { "seen", type = "integer", nullable = true, on_update = function() return 1 end },
    { "version", type = "integer", version = true },
    { "label", type = "string", persist = false },
    { "books", one_to_many = "Book", mapped_by = "author", cascade = { "persist", "remove" }, orphan_removal = true },
    { "tags", many_to_many = "Tag" },
    hooks = { before_create = count, before_update = count, before_delete = count },
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
    { "name", type = "string" },
    { "near", many_to_one = "Place", nullable = true },
}

local function lines(changes)
    local list = {}
    for i, change in ipairs(changes) do list[i] = ("%s %s %s"):format(change.op, change.name, change.entity.name) end
    return list
end

local function sorted(list)
    table.sort(list)
    return list
end

databases.each(function(db)
    describe("em:changes()", function()
        local work, em, raw

        before_each(function()
            called = 0
            work = unit.open(db, { Author, Book, Tag, Place })
            em, raw = work.em, work.raw
        end)
        after_each(function()
            work:close()
            db:close()
        end)

        local function given(data)
            local author = em:create(Author, data or { name = "Ann" })
            em:persist_and_flush(author)
            work:forget()
            called = 0
            return author
        end

        it("U1: is an empty table when nothing is pending", function()
            assert.same({}, em:changes())
            local ann = given { name = "Ann", price = "1.5", data = { a = 1, b = 2 } }
            assert.same({}, em:changes())
            ann.name = "Bea"
            ann.name = "Ann"
            ann.price = "1.500"
            ann.data = { b = 2, a = 1 }
            ann.label = "virtual"
            assert.same({}, em:changes())
            assert.is_nil(next(em:changes()))
            em:remove(ann):persist(ann)
            assert.same({}, em:changes())
        end)

        it("F1: tells what is new, changed and removed, and does nothing", function()
            local ann, bob = given(), given { name = "Bob" }
            local events = 0
            for _, event in ipairs { "before_flush", "on_flush", "after_flush", "after_commit", "after_rollback" } do
                work.instance:on(event, function() events = events + 1 end)
            end
            local cid = Author { name = ("too long"):rep(3) }
            em:persist(cid):remove(bob)
            ann.price, ann.data = "9", { 1 }
            for _ = 1, 2 do
                local changes = em:changes()
                assert.same({ "create Author " .. cid.name, "update Author Ann", "delete Author Bob" }, lines(changes))
                assert.same({ name = cid.name }, changes[1].values)
                assert.same({ price = "9", data = { 1 } }, changes[2].values)
                assert.same({ price = orm.null, data = orm.null }, changes[2].old)
                assert.same({ id = bob.id, name = "Bob", version = 1 }, changes[3].old)
                for _, change in ipairs(changes) do assert.equal("table", type(change.entity)) end
            end
            assert.same({ 0, 0 }, { called, events })
            assert.same({}, work:statements())
            assert.is_nil(ann.seen)
            assert.same({ true, false }, { em:contains(cid), em:contains(bob) })
            cid.name = "Cid"
            em:flush()
            assert.same({ { "Ann", "1" }, { "Cid", false } }, raw:rows "select name, seen from authors order by name")
        end)

        it("F1: follows persisting cascades, and leaves what they reach as it was", function()
            local ann = given()
            local tag, book = Tag { name = "t" }, em:create(Book, { name = "B" })
            ann.tags:add(tag)
            em:load(ann, { "books" })
            ann.books:add(book)
            local changes = em:changes()
            assert.same({ "collection Author Ann", "create Book B", "create Tag t" }, sorted(lines(changes)))
            assert.equal(ann.id, changes[1].values.author or changes[2].values.author)
            assert.same({ false, false }, { em:contains(tag), em:contains(book) })
            assert.equal(ann, book.author)
            assert.same({ book }, ann.books:items())
            ann.books:remove(book)
            ann.tags:remove(tag)
            assert.same({}, em:changes())
            em:flush()
            assert.same({ "0", "0" }, { raw:value "select count(*) from books", raw:value "select count(*) from tags" })
            ann.books:add(book)
            em:changes()
            ann.tags:add(tag)
            em:flush()
            assert.same({ { "B", tostring(ann.id) } }, raw:rows "select name, author_id from books")
            assert.equal("1", raw:value "select count(*) from authors_tags")
        end)

        it("F1: follows removing cascades and orphans as far as memory knows them", function()
            local ann = given()
            local one, two = Book { name = "1", author = ann }, Book { name = "2", author = ann }
            em:persist(one, two):flush()
            em:load(ann, { "books" })
            ann.books:remove(one)
            assert.same({ "delete Book 1" }, lines(em:changes()))
            ann.books:add(one)
            assert.same({}, em:changes())
            em:remove(ann)
            assert.same({ "delete Author Ann", "delete Book 1", "delete Book 2" }, sorted(lines(em:changes())))
            assert.is_true(em:contains(two))
            em:persist(ann)
            assert.same({}, em:changes())
            em:clear()
            ann = em:find_one(Author, ann.id)
            work:forget()
            em:remove(ann)
            assert.same({ "delete Author Ann" }, lines(em:changes())) -- its books are not loaded
            assert.same({}, work:statements())
            em:flush()
            assert.equal("0", raw:value "select count(*) from books")
        end)

        it("F1: pairs of a many_to_many are an entry of their owner's collection", function()
            local ann, old, new = given(), Tag { name = "old" }, Tag { name = "new" }
            ann.tags:add(old)
            em:persist(ann, new):flush()
            ann.tags = { new }
            local changes = em:changes()
            assert.equal(1, #changes)
            assert.same({ op = "collection", entity = ann, name = "Author", property = "tags", added = { new },
                removed = { old } }, changes[1])
            em:flush()
            assert.same({}, em:changes())
        end)

        it("I5: a partial row tells of what was assigned; what was never loaded has no former value", function()
            local id = given({ name = "Ann", bio = "long" }).id
            em:clear()
            local ann = em:find_one(Author, id, { fields = { "name" } })
            ann.bio, ann.price = nil, "2"
            local change = em:changes()[1]
            assert.same({ bio = orm.null, price = "2" }, change.values)
            assert.same({}, change.old)
            local ref = em:fork():get_reference(Author, id)
            ref.name = "Bea"
            assert.same({ { name = "Bea" }, {} }, (function()
                local made = getmetatable(ref).box.shelf.em:changes()[1]
                return { made.values, made.old }
            end)())
            em:remove(ann)
            change = em:changes()[1]
            assert.same({ id = id, name = "Ann", version = change.old.version }, change.old)
        end)

        it("F1: a relation is its target's key, of several columns an array of them", function()
            local a, b = Place { x = 1, y = 2, name = "a" }, Place { x = 3, y = 4, name = "b" }
            b.near = a
            em:persist(a, b)
            assert.same({ 1, 2 }, em:changes()[2].values.near) -- a key that the program gave
            em:flush()
            assert.same({}, em:changes())
            b.near = b
            local change = em:changes()[1]
            assert.same({ near = { 3, 4 } }, change.values)
            assert.same({ near = { 1, 2 } }, change.old)
            em:remove(b)
            assert.same({ x = 3, y = 4, name = "b", near = { 1, 2 } }, em:changes()[1].old)
        end)

        it("F1: what a relation reaches is told though nobody persisted it; a cleared em has nothing", function()
            local ann, book = given(), Book { name = "B" }
            em:persist(book)
            book.author = em:create(Author, { name = ann.name })
            assert.equal(2, #em:changes())
            local gone = em:fork()
            local tag = gone:create(Tag, { name = "x" })
            gone:persist(tag)
            assert.equal(1, #gone:changes())
            gone:clear()
            assert.same({}, gone:changes())
            em:flush()
            assert.equal("2", raw:value "select count(*) from authors")
        end)

        it("F1: inside hooks it tells what is pending there", function()
            local ann, seen = given(), {}
            work.instance:on("before_flush", function(event) seen[1] = lines(event.em:changes()) end)
            work.instance:on("before_update", function(e, event)
                e.price = "1"
                seen[2] = event.em:changes()[1].values
            end)
            work.instance:on("after_update", function(_, event) seen[3] = event.em:changes() end)
            ann.name = "Bea"
            em:flush()
            assert.same({ "update Author Bea" }, seen[1])
            assert.same({ name = "Bea", price = "1", seen = 1 }, seen[2])
            assert.same({}, seen[3])
        end)

        it("F3: a rolled-back savepoint's changes are pending no more", function()
            local ann = given()
            em:begin()
            ann.name = "Bea"
            em:begin()
            ann.price = "3"
            assert.same({ name = "Bea", price = "3" }, em:changes()[1].values)
            em:rollback()
            assert.same({ name = "Bea" }, em:changes()[1].values)
            em:rollback()
            assert.same({}, em:changes())
        end)
    end)
end)
