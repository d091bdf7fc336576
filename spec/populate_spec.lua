-- Populate of to-one relations: one query a level, whatever the number of rows, managed or not.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"

local raises, sent_by = expect.raises, expect.sent_by

local Country = orm.entity {
    name = "Country",
    { "code", type = "string", length = 2, primary = true },
    { "name", type = "string" },
}
local City = orm.entity {
    name = "City",
    { "country", many_to_one = Country, primary = true },
    { "number", type = "integer", primary = true },
    { "name", type = "string" },
}
local Author = orm.entity {
    name = "Author",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "bio", type = "text", nullable = true, lazy = true },
    { "secret", type = "string", nullable = true, hidden = true },
    { "city", many_to_one = City, nullable = true },
    { "mentor", many_to_one = "Author", nullable = true },
}
local Book = orm.entity {
    name = "Book",
    { "id", type = "integer", primary = true },
    { "title", type = "string" },
    { "author", many_to_one = Author, nullable = true },
    { "editor", many_to_one = Author, nullable = true },
}
local Review = orm.entity {
    name = "Review",
    { "id", type = "integer", primary = true },
    { "book", many_to_one = Book, eager = true },
}

databases.each(function(db)
    describe("populate", function()
        local instance, em, sent

        before_each(function()
            instance = orm.init(db:config { entities = { Country, City, Author, Book, Review } })
            instance.schema:create()
            em = orm.em():fork()
            local at, de = Country { code = "AT", name = "Austria" }, Country { code = "DE", name = "Germany" }
            local vienna = City { country = at, number = 1, name = "Vienna" }
            local berlin = City { country = de, number = 1, name = "Berlin" }
            local old = Author { name = "Old", city = berlin }
            local ann = Author { name = "Ann", city = vienna, mentor = old, bio = "long", secret = "s" }
            local ben = Author { name = "Ben", mentor = old }
            em:persist(Book { title = "A1", author = ann, editor = ben }, Book { title = "A2", author = ann })
            em:persist(Book { title = "B", author = ben, editor = ann }, Book { title = "none" }):flush()
            em:persist(Review { book = em:find_one(Book, { title = "A1" }) },
                Review { book = em:find_one(Book, { title = "A2" }) }):flush()
            em:clear()
            sent = expect.statements(instance)
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        local by_id = { "id" }

        it("Q3: one query a level, never one a row", function()
            local list, books = sent_by(sent, function()
                return em:find(Book, {}, { populate = { "author" }, order_by = by_id })
            end)
            assert.equal(2, #list)
            local read
            list = sent_by(sent, function()
                read = { books[1].author.name, books[2].author.name, books[3].author.name, books[4].author }
            end)
            assert.same({}, list)
            assert.same({ "Ann", "Ann", "Ben" }, read)
            assert.equal(books[1].author, books[2].author)
            assert.is_true(orm.is_initialized(books[1].author))
        end)

        it("Q3: nested paths, several paths and a star", function()
            local list, books = sent_by(sent, function()
                return em:find(Book, {}, { populate = { "author.mentor.city.country" }, order_by = by_id })
            end)
            assert.equal(5, #list)
            assert.equal("Germany", books[1].author.mentor.city.country.name)
            assert.equal("Germany", books[3].author.mentor.city.country.name)
            em:clear()
            list, books = sent_by(sent, function()
                return em:find(Book, {}, { populate = { "author", "editor", "author.city" }, order_by = by_id })
            end)
            assert.is_true(#list <= 4)
            assert.equal("Vienna", books[1].author.city.name)
            assert.equal("Ben", books[1].editor.name)
            em:clear()
            list, books = sent_by(sent, function()
                return em:find(Book, {}, { populate = { "*" }, order_by = by_id })
            end)
            assert.is_true(#list <= 3)
            assert.equal("Ann", books[1].author.name)
            assert.equal("Ann", books[3].editor.name)
            em:clear()
            assert.equal("Ann", em:find_one(Book, 1, { populate = { "author" } }).author.name)
            em:clear()
            em:find_one(Book, 1)
            assert.equal("Ann", em:find_one(Book, 1, { populate = { "author" } }).author.name)
            assert.equal("Ann", em:find(Book, { title = "A1" }, { populate = "author" })[1].author.name)
        end)

        it("Q3: one query for 2,500 distinct targets, of simple and of composite keys", function()
            local list = {}
            for i = 1, 2500 do list[i] = { name = "a" .. i } end
            local keys = em:insert_many(Author, list)
            local books = {}
            for i, key in ipairs(keys) do books[i] = { title = "t" .. i, author = key } end
            em:insert_many(Book, books)
            local cities = {}
            for i = 2, 2501 do cities[i - 1] = { country = "AT", number = i, name = "c" .. i } end
            em:insert_many(City, cities)
            db:raw():exec "update author set city_number = id + 1, city_country_code = 'AT' where id <= 2500"
            local statements, found = sent_by(sent, function()
                return em:find(Book, {}, { populate = { "author.city" }, order_by = by_id })
            end)
            assert.equal(2504, #found)
            assert.equal(3, #statements)
            assert.equal("a2500", found[2504].author.name)
            assert.is_true(orm.is_initialized(found[2300].author.city))
        end)

        it("Q3: eager relations come along, once", function()
            local list, reviews = sent_by(sent, function() return em:find_all(Review, { order_by = by_id }) end)
            assert.equal(2, #list)
            assert.equal("A1", reviews[1].book.title)
            em:clear()
            list, reviews = sent_by(sent, function()
                return em:find_all(Review, { order_by = by_id, populate = { "book.author" } })
            end)
            assert.equal(3, #list)
            assert.equal("Ann", reviews[2].book.author.name)
            em:clear()
            list = sent_by(sent, function() return em:find_one(Review, 1) end)
            assert.equal(2, #list)
            assert.equal(1, #sent_by(sent, function() return em:find(Review, { id = 1 }) end))
        end)

        it("em:load does the same for what is there already, and reads nothing twice", function()
            local books = em:find(Book, {}, { order_by = by_id })
            local list, given = sent_by(sent, function() return em:load(books, { "author" }) end)
            assert.equal(1, #list)
            assert.equal(books, given)
            assert.equal("Ben", books[3].author.name)
            assert.same({}, (sent_by(sent, function() return em:load(books, { "author" }) end)))
            assert.same({}, (sent_by(sent, function() return em:load({}, { "author" }) end)))
            assert.equal(books[1], em:load(books[1], { "author.mentor" }))
            assert.equal("Old", books[1].author.mentor.name)
            raises("unknown_property", function() em:load(books, { "auhtor" }) end, "'author'")
            raises("validation", function() em:load(nil, { "author" }) end, "em:load")
            raises("validation", function() em:load({ {} }, { "author" }) end, "em:load")
            raises("not_managed", function() em:fork():load(books, { "author" }) end, "em:load")
        end)

        it("I5: a lazy property is loaded by populate and load, for all rows at once", function()
            local authors = em:find(Author, {}, { order_by = by_id })
            raises("not_loaded", function() return authors[1].bio, nil end, "Author.bio", "populate")
            local list = sent_by(sent, function() return em:load(authors, { "bio" }) end)
            assert.equal(1, #list)
            for _, author in ipairs(authors) do assert.equal(author.name == "Ann" and "long" or nil, author.bio) end
            em:clear()
            local books = em:find(Book, {}, { populate = { "author.bio" }, order_by = by_id })
            assert.equal("long", books[1].author.bio)
        end)

        it("Q1: an unknown name raises with the nearest one, before anything is sent", function()
            local function refused(kind, populate, ...)
                local before = #sent
                raises(kind, function() em:find(Book, {}, { populate = populate }) end, ...)
                raises(kind, function() em:find_one(Book, 1, { populate = populate }) end, ...)
                assert.equal(before, #sent)
            end
            refused("unknown_property", { "auhtor" }, "Book", "did you mean 'author'?")
            refused("unknown_property", { "author.metnor" }, "Author", "did you mean 'mentor'?")
            refused("validation", { "title" }, "Book", "'title'")
            refused("validation", { "author.name" }, "Author", "'name'")
            refused("validation", { 1 }, "Book")
            refused("validation", 1, "Book")
            refused("unknown_property", { "" }, "Book")
            refused("unknown_property", { "author." }, "Author")
            refused("unknown_property", { "*.author" }, "Book")
        end)

        it("managed = false gives plain instances that nobody scans, populated as well", function()
            local list, books = sent_by(sent, function()
                return em:find(Book, {}, { managed = false, order_by = by_id, populate = { "author.city", "editor" } })
            end)
            assert.equal(3, #list) -- every editor is an author too, and read as one
            assert.equal("em<default: 0 managed>", tostring(em))
            for _, book in ipairs(books) do assert.is_false(em:contains(book)) end
            assert.equal("Ann", books[1].author.name)
            assert.equal("s", books[1].author.secret)
            assert.equal("Vienna", books[1].author.city.name)
            assert.equal("Ben", books[1].editor.name)
            assert.is_nil(books[4].author)
            assert.is_nil(books[1].author.mentor and rawget(books[1].author, "mentor"))
            assert.equal(1, books[1].author.mentor.id and 1)
            assert.same({ id = true, title = true }, (function()
                local names = {}
                for name in pairs(books[1]) do names[name] = true end
                return names
            end)())
            books[1].title = "changed"
            books[1].author.name = "changed"
            assert.same({}, (sent_by(sent, function() em:flush() end)))
            assert.is_true(orm.is_initialized(books[1]))
            raises("not_loaded", function() return books[1].author.mentor.name, nil end, "Author.name")
            raises("not_loaded", function() return books[1].author.bio, nil end, "Author.bio")
        end)

        it("managed = false and fields: what was not read raises, hidden and relations too", function()
            local author = em:find(Author, { name = "Ann" }, { managed = false, fields = { "name" } })[1]
            assert.equal("Ann", author.name)
            for _, name in ipairs { "secret", "city", "mentor", "bio" } do
                raises("not_loaded", function() return author[name], nil end, "Author." .. name)
            end
            assert.is_false(orm.is_initialized(author))
            author.bio = "own"
            assert.equal("own", author.bio)
            author.bio = nil
            assert.is_nil(author.bio)
            raises("not_managed", function() em:persist(author) end, "Author")
            local own = em:merge(author)
            assert.equal("s", own.secret)
            assert.equal("Old", em:load(own, { "mentor" }).mentor.name)
        end)
    end)
end)
