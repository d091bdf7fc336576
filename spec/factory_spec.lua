-- orm.factory: instances with made-up values, what they are related to, and their rows in one flush.

local databases = require "spec.support.databases"
local library = require "spec.support.library"
local orm = require "heddle"
local unit = require "spec.support.unit"

local raises = unit.raises

local Address = orm.embeddable { name = "Address", { "city", type = "string" }, { "zip", type = "string", length = 4 } }
local cents = orm.type {
    column = "bigint", to_db = function(v) return v.cents end, from_db = function(v) return { cents = v } end,
}

-- Every type, and what auto leaves alone.
local Thing = orm.entity {
    name = "Thing", table = "things", uniques = { { "kind", "serial" } },
    { "id", type = "integer", primary = true },
    { "small", type = "smallint", unique = true }, { "big", type = "bigint" }, { "ratio", type = "float" },
    { "exact", type = "double" }, { "price", type = "decimal", precision = 6, scale = 2, unique = true },
    { "fine", type = "decimal", precision = 38, scale = 18 }, { "part", type = "decimal", precision = 4, scale = 4 },
    { "email", type = "string", length = 24, unique = true }, { "code", type = "string", length = 3, unique = true },
    { "bio", type = "text" }, { "active", type = "boolean" }, { "token", type = "uuid", unique = true },
    { "doc", type = "json" }, { "at", type = "timestamp", unique = true },
    { "iso", type = "timestamp", as = "iso8601" },
    { "day", type = "date", unique = true }, { "hour", type = "time", unique = true }, { "data", type = "blob" },
    { "kind", type = "enum", enum = { "a", "b" } }, { "serial", type = "integer" },
    { "words", type = "array", array_of = "string" }, { "text_number", type = "bigint", as = "string" },
    { "worth", type = cents }, { "note", type = "string", nullable = true },
    { "state", type = "string", default = "new" }, { "made_at", type = "timestamp", on_create = orm.now },
    { "version", type = "integer", version = true },
    { "address", embedded = Address }, { "homes", embedded = Address, array = true },
    { "owner", many_to_one = "Owner" }, { "guest", many_to_one = "Owner", nullable = true },
}
local Owner = orm.entity {
    name = "Owner", table = "owners",
    { "id", type = "integer", primary = true, autoincrement = false }, { "name", type = "string" },
    { "things", one_to_many = "Thing", mapped_by = "owner" }, { "pass", one_to_one = "Pass", mapped_by = "owner" },
}
local Pass = orm.entity {
    name = "Pass", table = "passes", { "owner", one_to_one = "Owner", primary = true }, { "code", type = "string" },
}
local Circle = orm.entity {
    name = "Circle", table = "circles", { "id", type = "integer", primary = true }, { "next", many_to_one = "Circle" },
}

databases.each(function(db)
    describe("factories", function()
        local work, authors, books, tags

        before_each(function()
            work = unit.open(db, library.entities)
            authors = orm.factory(library.Author, function(fake, n) return { name = fake:name() .. n } end)
            tags = orm.factory(library.Tag, function(_, n) return { name = "tag" .. n, weight = n } end)
            books = orm.factory(library.Book, function(fake)
                return { title = fake:title(2), author = authors, tags = tags:many(2) }
            end)
        end)

        after_each(function()
            work:close()
            db:close()
        end)

        local function count(what) return tonumber(work.raw:rows("select count(*) from " .. what)[1][1]) end

        it("make gives instances that nobody manages, and no statement", function()
            work:forget()
            local book = books:make()
            assert.is_true(#book.title > 3 and #book.author.name > 3)
            assert.equal(2, #book.tags)
            assert.is_true(book.author.books[1] == book)
            assert.equal(0, #work.log)
            local list = books:make_many(3, { title = "same" })
            assert.equal(3, #list)
            for _, each in ipairs(list) do assert.equal("same", each.title) end
        end)

        it("create writes an instance and all that it leads to, in one flush", function()
            work:forget()
            local list = books:create_many(work.em, 5)
            assert.equal(4, work:writes "INSERT INTO") -- authors, books, tags, pairs
            assert.same({ 5, 5, 10, 10 }, { count "books", count "authors", count "tags", count "books_tags" })
            assert.is_true(work.em:contains(list[1]) and work.em:contains(list[1].author))
            local single = books:create(work.em, { author = list[1].author, tags = {} })
            assert.same({ 6, 5, 10 }, { count "books", count "authors", count "tags" })
            assert.is_true(single.author == list[1].author)
        end)

        it("relations to many are counts of another factory, within bounds", function()
            books:state("bare", { tags = {} })
            local shelves = orm.factory(library.Author, function(fake)
                return { name = fake:name(), books = books:with("bare"):many(2, 4) }
            end)
            local seen = {}
            for _, author in ipairs(shelves:create_many(work.em, 30)) do
                seen[#author.books] = true
                for _, book in author.books:iter() do assert.is_true(book.author == author) end
            end
            assert.is_true(seen[2] and seen[3] and seen[4] and not seen[1] and not seen[5])
            assert.equal(30, count "authors") -- no book made an author of its own
        end)

        it("states and overrides win over what the function says, the later over the earlier", function()
            books:state("titled", { title = "T", text = "x" })
            books:state("loud", function(_, n, data) return { title = data.title .. "!" .. n } end)
            local book = books:with("titled", "loud"):make { text = orm.null }
            assert.equal("T!1", book.title)
            assert.is_nil(book.text)
            assert.equal("T!2?", books:with("titled"):with("loud"):make(function(_, _, data)
                return { title = data.title .. "?" }
            end).title)
            local err = raises("validation", books.with, books, "titeld")
            assert.truthy(err.message:find("did you mean 'titled'", 1, true))
            assert.is_nil(books:make { author = orm.null }.author)
        end)

        it("numbers count on, and begin anew with reset, values too", function()
            local first = authors:make_many(3)
            assert.truthy(first[3].name:find "3$")
            assert.truthy(authors:make().name:find "4$")
            assert.equal(first[1].name, authors:reset():make().name)
        end)

        it("after_make runs before anything is written, after_create when the rows are there", function()
            local order = {}
            books:after_make(function(book, fake, em)
                assert.equal(42, fake:integer(42, 42))
                order[#order + 1] = "make " .. tostring(em ~= nil) .. tostring(book.id)
            end)
            books:after_create(function(book, em)
                order[#order + 1] = "create " .. tostring(book.id ~= nil)
                em:persist(library.Tag { name = "of " .. book.id, weight = 1 })
                book.title = "seen"
            end)
            books:create(work.em, { tags = {} })
            assert.same({ "make truenil", "create true" }, order)
            assert.same({ { "seen" } }, work.raw:rows "select title from books")
            assert.equal(1, count "tags")
        end)

        it("takes part in a transaction of the program", function()
            local ok = pcall(work.em.transactional, work.em, function(em)
                books:create_many(em, 3)
                error "no"
            end)
            assert.is_false(ok)
            assert.equal(0, count "books")
        end)

        it("fill writes many rows and holds few instances", function()
            assert.equal(25, books:fill(work.em, 25, { tags = {} }, { chunk = 10 }))
            assert.same({ 25, 25 }, { count "books", count "authors" })
            work:forget()
            work.em:flush()
            assert.equal(0, #work.log)
        end)

        it("fill takes part in a transaction, and its memory does not grow with the rows", function()
            local author = authors:create(work.em)
            local editor = authors:create(work.em)
            local function memory()
                collectgarbage()
                collectgarbage()
                return collectgarbage "count"
            end
            local ok, grown = pcall(work.em.transactional, work.em, function(em)
                author.name = "pending"
                books:fill(em, 400, { author = author, editor = editor.id, tags = {} }, { chunk = 100 })
                assert.same({ { "400", "1" } }, { { tostring(em:count(library.Book, { author = author })),
                    tostring(em:count(library.Author, { name = "pending" })) } })
                local before = memory()
                books:fill(em, 1600, { author = author, tags = {} }, { chunk = 100 })
                error({ kb = memory() - before })
            end)
            assert.is_false(ok)
            assert.is_true(grown.kb < 200, "grew by " .. tostring(grown.kb) .. " KB")
            assert.equal(0, count "books")
            assert.equal(0, #author.books)
        end)

        it("mistakes are told with the entity's name", function()
            local Book = library.Book
            local function factory(define) return orm.factory(Book, define) end
            raises("metadata", orm.factory, {}, function() end)
            raises("validation", orm.factory, Book, {})
            raises("validation", orm.factory, Book, function() end, { sed = 1 })
            for _, message in ipairs {
                raises("validation", function() factory(function() return 1 end):make() end).message,
                raises("validation", function() factory(function() return { title = authors } end):make() end).message,
                raises("validation", function()
                    factory(function() return { author = authors:many(2) } end):make()
                end).message,
                raises("unknown_property", function() factory(function() return { titel = 1 } end):make() end).message,
                raises("validation", books.create, books).message,
                raises("validation", books.create_many, books, work.em, -1).message,
                raises("validation", books.many, books, 3, 2).message,
                raises("validation", books.state, books, "x", 1).message,
                raises("validation", books.after_make, books, 1).message,
                raises("validation", books.fill, books, work.em, 1, nil, { chunk = 0 }).message,
            } do
                assert.truthy(message:find("Book", 1, true))
            end
            local endless
            endless = orm.factory(library.Author, function() return { name = "x", friends = endless:many(1) } end)
            assert.truthy(raises("validation", endless.make, endless).message:find("Author > Author", 1, true))
        end)

        it("a factory made in one entity manager is not another's", function()
            local made = books:create(work.em, { tags = {} })
            raises("not_managed", function() work:fork():persist(made) end)
        end)
    end)

    describe("orm.factory.auto", function()
        local work

        before_each(function() work = unit.open(db, { Thing, Owner, Pass, Circle }) end)
        after_each(function()
            work:close()
            db:close()
        end)

        it("finds values for every type, lengths, enums and uniques included, and required relations", function()
            local things = orm.factory.auto(Thing)
            things:create_many(work.em, 300)
            local rows = work.raw:rows "select count(*), count(distinct email), count(distinct code) from things"
            assert.same({ { "300", "300", "300" } }, rows)
            assert.same({ { "300" } }, work.raw:rows "select count(*) from owners")
            local thing = work:fork():find_all(Thing, { limit = 1, order_by = { "id" } })[1]
            assert.is_true(#thing.email <= 24 and thing.email:find("@example.", 1, true) ~= nil)
            assert.is_true(thing.kind == "a" or thing.kind == "b")
            assert.equal("new", thing.state)
            assert.is_true(thing.made_at > 1.6e9 and type(thing.worth.cents) == "number" and #thing.note > 0)
            assert.is_true(#thing.address.city > 0 and #thing.address.zip <= 4 and #thing.homes == 1)
            assert.is_nil(thing.guest)
            local parts = {}
            for _, row in ipairs(work.raw:rows "select distinct part from things") do parts[#parts + 1] = row end
            assert.is_true(#parts > 100)
        end)

        it("takes values that win, states and overrides", function()
            local things = orm.factory.auto(Thing, function(_, n) return { bio = "bio " .. n } end)
            things:state("b", { kind = "b" })
            local thing = things:with("b"):create(work.em, { active = true })
            assert.same({ "bio 1", "b", true }, { thing.bio, thing.kind, thing.active })
        end)

        it("a key that is a relation brings its target", function()
            local pass = orm.factory.auto(Pass):create(work.em)
            assert.equal(1, pass.owner.id)
            assert.is_true(#pass.owner.name > 0)
        end)

        it("make knows targets by the contexts that have the entity", function()
            assert.is_true(#orm.factory.auto(Thing):make().owner.name > 0)
            local Alone = orm.entity { name = "Alone", { "id", type = "integer", primary = true },
                { "owner", many_to_one = "Owner" } }
            raises("entity_not_registered", function() orm.factory.auto(Alone):make() end)
        end)

        it("a required relation to itself is told, and an override helps", function()
            local circles = orm.factory.auto(Circle)
            assert.truthy(raises("validation", circles.make, circles).message:find("Circle > Circle", 1, true))
        end)

        it("what nobody can know has to be given", function()
            local Odd = orm.entity { name = "Odd", { "id", type = "integer", primary = true },
                { "path", type = orm.type { column = "ltree" } } }
            local err = raises("metadata", function() orm.factory.auto(Odd):make() end)
            assert.equal("path", err.property)
        end)
    end)
end)
