-- Reading in part: `fields` and `exclude`, with names of populated relations and of embedded values too, lazy
-- properties, and em:load of what is missing.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"
local unit = require "spec.support.unit"

local raises, sent_by = expect.raises, expect.sent_by
local id = { "id", type = "integer", primary = true }

local Place = orm.embeddable { name = "Place", { "street", type = "string" },
    { "city", type = "string", nullable = true } }
local Author = orm.entity { name = "Author", table = "authors", id, { "name", type = "string" },
    { "age", type = "integer", nullable = true },
    { "bio", type = "text", lazy = true, nullable = true },
    { "data", type = "json", lazy = true, nullable = true },
    { "secret", type = "string", hidden = true, nullable = true },
    { "home", embedded = Place, nullable = true },
    { "work", embedded = Place, lazy = true, nullable = true },
    { "version", type = "integer", version = true },
    { "books", one_to_many = "Book", mapped_by = "author" },
}
local Book = orm.entity { name = "Book", table = "books", id, { "title", type = "string" },
    { "year", type = "integer", nullable = true }, { "author", many_to_one = Author, nullable = true },
    { "tags", many_to_many = "Tag" } }
local Tag = orm.entity { name = "Tag", table = "tags", { "name", type = "string", primary = true },
    { "weight", type = "integer" }, { "books", many_to_many = Book, mapped_by = "tags" } }

local rows = {
    [[insert into authors (id, name, age, bio, data, secret, home_street, home_city, work_street, version) values
        (1, 'Ann', 30, 'long', '{"a":1}', 's', 'Ring 1', 'Wien', 'Gasse', 1), (2, 'Ben', null, null, null, null, null,
        null, null, 1)]],
    "insert into books (id, title, year, author_id) values (1, 'A1', 2001, 1), (2, 'A2', 2002, 1), (3, 'B', null, 2)",
    "insert into tags (name, weight) values ('c', 1), ('lua', 2)",
    "insert into books_tags (book_id, tag_name) values (1, 'c'), (1, 'lua'), (3, 'lua')",
}

local by_id = { "id" }

databases.each(function(db)
    describe("partial loading", function()
        local work, em, sent

        before_each(function()
            work = unit.open(db, { Author, Book, Tag })
            for _, sql in ipairs(rows) do work.raw:exec(sql) end
            if db.name == "postgres" then work.raw:exec "alter table authors alter column id restart with 100" end
            em = work.em
            sent = expect.statements(work.instance)
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        local function sends(count, fn)
            local list = sent_by(sent, fn)
            assert.equal(count, #list, table.concat(list, "\n"))
            return list[1]
        end

        local function lacks(e, ...)
            for _, name in ipairs { ... } do
                local err = raises("not_loaded", function() return e[name], nil end, name)
                assert.equal(name, err.property)
                assert.truthy(err.entity)
            end
        end

        local function both(fn)
            for _, is_managed in ipairs { true, false } do
                local own = em:fork()
                fn(function(E, opts)
                    opts.managed, opts.order_by = is_managed, opts.order_by or by_id
                    return own:find(E, {}, opts)
                end, own)
            end
        end

        it("I5: fields with a relation in front say what is read of its targets, and load it", function()
            both(function(find)
                local books
                sends(2, function()
                    books = find(Book, { fields = { "title", "author.name" }, populate = { "author" } })
                end)
                assert.equal("Ann", books[1].author.name)
                lacks(books[1], "year")
                lacks(books[1].author, "age", "bio", "home", "secret")
                sends(0, function() assert.equal(books[1].author, books[2].author) end)
            end)
            both(function(find)
                local books
                sends(2, function() books = find(Book, { fields = { "title", "author.name" } }) end)
                assert.equal("Ann", books[1].author.name)
                lacks(books[1].author, "age")
            end)
            both(function(find)
                local authors
                sends(3, function()
                    authors = find(Author, { fields = { "name", "books.tags.weight", "books.title" } })
                end)
                assert.equal(2, #authors[1].books)
                assert.equal("A1", authors[1].books[1].title)
                assert.equal(authors[1], authors[1].books[1].author)
                lacks(authors[1].books[1], "year")
                assert.equal(1, authors[1].books[1].tags[1].weight)
                assert.equal("c", authors[1].books[1].tags[1].name)
            end)
        end)

        it("I5: fields that speak of nothing of a level leave its key", function()
            both(function(find)
                local books = find(Book, { fields = { "author.name" } })
                assert.equal("Ann", books[1].author.name)
                lacks(books[1], "title", "year")
                local authors = find(Author, { fields = { "name", "books.tags.weight" } })
                lacks(authors[1].books[1], "title")
            end)
        end)

        it("I5: exclude with a relation in front loads nothing by itself", function()
            both(function(find)
                local books
                sends(1, function() books = find(Book, { exclude = { "author.age", "year" } }) end)
                lacks(books[1], "year")
                lacks(books[1].author, "name")
                sends(2, function() find(Author, { exclude = { "books.year" }, populate = { "books" } }) end)
                local authors = find(Author, { exclude = { "books.year", "age" }, populate = { "books" } })
                assert.equal("A1", authors[1].books[1].title)
            end)
            local own = em:fork()
            local book = own:find(Book, {}, { exclude = { "author.name" }, populate = "author", order_by = by_id })[1]
            lacks(book.author, "name")
            assert.equal(30, book.author.age)
        end)

        it("I5: members of embedded values stand for the whole value, of relations' targets too", function()
            both(function(find)
                local author = find(Author, { fields = { "home.city" } })[1]
                assert.equal("Ring 1", author.home.street)
                lacks(author, "name", "work")
                local book = find(Book, { fields = { "author.home.city" } })[1]
                assert.equal("Wien", book.author.home.city)
                lacks(book.author, "name")
            end)
        end)

        it("I5: lazy properties stay behind unless they are named, and then come in the same statement", function()
            both(function(find, own)
                local author = find(Author, {})[1]
                lacks(author, "bio", "data", "work")
                assert.is_true(orm.is_initialized(author))
                for _, opts in ipairs { { populate = { "bio", "data", "work" } },
                    { fields = { "bio", "data", "work", "name" } }, { populate = { "bio", "data", "work.city" } } } do
                    sends(1, function() author = find(Author, opts)[1] end)
                    assert.equal("long", author.bio)
                    assert.same({ a = 1 }, author.data)
                    assert.equal("Gasse", author.work.street)
                    assert.equal("Ann", author.name)
                end
                own:clear()
                local books
                sends(2, function() books = find(Book, { populate = { "author.bio" } }) end)
                assert.equal("long", books[1].author.bio)
                assert.equal(30, books[1].author.age)
                local authors
                own:clear()
                sends(1, function() authors = find(Author, { fields = { "name" }, populate = { "bio" } }) end)
                assert.equal("long", authors[1].bio)
            end)
        end)

        it("I5: em:load reads what it names, lazy or not, and only where it is missing", function()
            local ann, ben = em:find_one(Author, 1), em:find_one(Author, 2)
            local first = sends(1, function() em:load(ann, { "bio" }) end)
            assert.is_nil(first:find("age", 1, true), first)
            assert.equal("long", ann.bio)
            sends(0, function() em:load(ann, { "bio" }) end)
            sends(1, function() em:load({ ann, ben }, { "bio", "data" }) end)
            assert.same({ a = 1 }, ann.data)
            assert.is_nil(ben.bio)
            sends(0, function() em:load({ ann, ben }, { "bio", "data" }) end)
            em:clear()
            ann = em:find(Author, { id = 1 }, { fields = { "age" } })[1]
            sends(1, function() em:load(ann, { "name" }) end)
            assert.equal("Ann", ann.name)
            lacks(ann, "bio", "home", "secret")
            sends(1, function() em:load(ann, { "home.city", "secret" }) end)
            assert.equal("s", ann.secret)
            assert.equal("Wien", ann.home.city)
            assert.same({}, (sent_by(sent, function() em:flush() end)))
            raises("unknown_property", function() em:load(ann, { "nmae" }) end, "did you mean 'name'?")
            raises("validation", function() em:load(ann, { "name.first" }) end, "'name'")
        end)

        it("I5: em:load without paths completes what was read in part, but for lazy properties", function()
            local ann = em:find(Author, { id = 1 }, { fields = { "name" } })[1]
            assert.is_false(orm.is_initialized(ann))
            sends(1, function() em:load(ann) end)
            assert.is_true(orm.is_initialized(ann))
            assert.equal(30, ann.age)
            lacks(ann, "bio")
            sends(0, function() em:load(ann) end)
            sends(1, function() em:load(em:get_reference(Author, 2)) end)
            assert.equal("Ben", em:find_one(Author, 2).name)
        end)

        it("lists of mixed states: one query for those that lack something", function()
            local ann = em:find(Author, { id = 1 }, { fields = { "name" } })[1]
            local ben = em:get_reference(Author, 2)
            local new = Author { name = "Cid" }
            em:persist(new):flush()
            local fresh = em:create(Author, { name = "Dot" })
            em:persist(fresh)
            local list = { ann, ben, new, fresh, ann }
            sends(1, function() em:load(list) end)
            assert.equal(30, ann.age)
            assert.equal("Ben", ben.name)
            assert.equal("Dot", fresh.name)
            sends(0, function() em:load(list) end)
            sends(1, function() em:load(list, { "books" }, { flush_mode = "commit" }) end)
            assert.equal(2, #ann.books)
            assert.equal(0, #fresh.books)
            sends(0, function() em:load(list, { "books" }, { flush_mode = "commit" }) end)
            em:clear()
            local a1 = em:find_one(Book, 1, { populate = "author" })
            local a2, b = em:find_one(Book, 2), em:find_one(Book, 3)
            sends(1, function() em:load({ a1, a2, b }, { "author", "author" }) end) -- Ben alone
            assert.equal("Ben", b.author.name)
            sends(0, function() em:load({ a1, a2, b }, { "author" }) end)
        end)

        it("populate completes targets that were read in part", function()
            local ann = em:find(Author, { id = 1 }, { fields = { "name" } })[1]
            local first = sends(2, function() em:find(Book, {}, { populate = "author" }) end)
            assert.equal(30, ann.age)
            assert.equal("Ann", ann.name)
            assert.truthy(first)
            em:clear()
            ann = em:find(Author, { id = 1 }, { fields = { "name" } })[1]
            sends(3, function()
                em:find(Book, {}, { populate = { { "author", fields = { "age", "books.year" } } } })
            end)
            assert.equal(30, ann.age)
            lacks(ann, "home")
            em:clear()
            -- Members that memory knows of are completed too.
            local book = em:find(Book, { id = 1 }, { fields = { "year" } })[1]
            em:find_one(Author, 1, { populate = { "books" } })
            assert.equal("A1", book.title)
            em:clear()
            ann = em:find_one(Author, 1, { populate = { { "books", fields = { "year" } } } })
            book = ann.books[1]
            lacks(book, "title")
            sends(1, function() em:load(ann, { "books" }) end)
            assert.equal("A1", book.title)
            sends(0, function() em:load(ann, { "books" }) end)
        end)

        it("em:load finds the foreign key that a partial one lacks", function()
            local book = em:find(Book, { id = 1 }, { fields = { "title" } })[1]
            lacks(book, "author")
            sends(2, function() em:load(book, { "author" }) end)
            assert.equal("Ann", book.author.name)
            lacks(book, "year")
            sends(0, function() em:load(book, { "author" }) end)
            em:clear()
            book = em:find(Book, { id = 1 }, { fields = { "title" }, populate = { "author" } })[1]
            assert.equal("Ann", book.author.name)
            lacks(book, "year")
        end)

        it("I3, I5: loading into a changed entity keeps what was changed and assigned", function()
            local ann = em:find(Author, { id = 1 }, { fields = { "name" } })[1]
            ann.name = "Anna"
            ann.age = nil -- never loaded: assigned
            ann.home = { street = "New 1" }
            work.raw:exec "update authors set age = 31, name = 'Other', secret = 't' where id = 1"
            em:load(ann)
            assert.equal("Anna", ann.name)
            assert.is_nil(ann.age)
            assert.equal("New 1", ann.home.street)
            assert.equal("t", ann.secret)
            em:load(ann, { "bio" })
            ann.bio = nil
            em:load(ann, { "bio" })
            assert.is_nil(ann.bio)
            em:flush()
            assert.same({ { "Anna", false, "New 1", false, "t", "2", false } }, work.raw:rows(
                "select name, age, home_street, home_city, secret, version, bio from authors where id = 1"))
            assert.same({}, (sent_by(sent, function() em:flush() end)))
        end)

        it("I3: a changed entity whose row has another version by now is not merged", function()
            local ann = em:find(Author, { id = 1 }, { fields = { "name" } })[1]
            ann.name = "Anna"
            work.raw:exec "update authors set age = 31, version = 2 where id = 1"
            em:load(ann)
            lacks(ann, "age")
            raises("optimistic_lock", function() em:flush() end)
            em:load(ann, nil, { refresh = true })
            assert.equal("Ann", ann.name)
            assert.equal(31, ann.age)
        end)

        it("refresh reads again what is loaded", function()
            local ann = em:find_one(Author, 1, { populate = { "bio", "books" } })
            work.raw:exec "update authors set name = 'Other', bio = null where id = 1"
            work.raw:exec "delete from books_tags"
            work.raw:exec "delete from books where id = 2"
            sends(0, function() em:load(ann, { "bio", "books" }) end)
            ann.name = "changed"
            sends(3, function() em:load(ann, { "bio", "books" }, { refresh = true }) end)
            assert.equal("Other", ann.name)
            assert.is_nil(ann.bio)
            assert.equal(1, #ann.books)
        end)

        it("Q1: names that are none are refused with the nearest", function()
            local before = #sent
            local function refused(kind, opts, ...)
                local words = { ... }
                local err = raises(kind, function() em:find(Book, {}, opts) end)
                for _, word in ipairs(words) do assert.truthy(err.message:find(word, 1, true), err.message) end
            end
            for _, option in ipairs { "fields", "exclude" } do
                refused("unknown_property", { [option] = { "titel" } }, option, "Book", "did you mean 'title'?")
                refused("unknown_property", { [option] = { "author.nmae" } }, option, "Author", "did you mean 'name'?")
                refused("unknown_property", { [option] = { "auhtor.name" } }, option, "did you mean 'author'?")
                refused("unknown_property", { [option] = { "author.home.ctiy" } }, option, "did you mean 'city'?")
                refused("unknown_property", { [option] = { "author." } }, option)
                refused("unknown_property", { [option] = { ".author" } }, option)
                refused("unknown_property", { [option] = { "title.x" } }, option)
                refused("unknown_property", { [option] = { "" } }, option)
                refused("unknown_property", { [option] = { "*" } }, option)
                refused("validation", { [option] = { "tags" } }, "tags")
                refused("validation", { [option] = { "author.books" } }, "books")
                refused("validation", { [option] = "title" }, option)
                refused("validation", { [option] = { title = true } }, option)
                refused("validation", { [option] = { { "title" } } }, option)
                refused("validation", { [option] = { 1 } }, option)
                refused("validation", { [option] = { "title", [3] = "year" } }, option)
                refused("validation", { [option] = orm.null }, option)
            end
            refused("validation", { exclude = { "author.home.city" } }, "as a whole")
            refused("validation", { exclude = { "author" }, populate = { "author" } }, "exclude", "author")
            refused("validation", { exclude = { "author.bio" }, populate = { "author.bio" } }, "exclude", "bio")
            refused("validation", { fields = { ("author.books."):rep(60) .. "title" } }, "relations")
            assert.equal(before, #sent)
        end)
    end)
end)
