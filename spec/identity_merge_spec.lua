-- Rows that come along with others meet the identity map by the same rules as rows that a query asks for (I1 to I5),
-- whichever strategy brings them.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"
local unit = require "spec.support.unit"

local raises, sent_by = expect.raises, expect.sent_by
local id = { "id", type = "integer", primary = true }

local Geo = orm.embeddable { name = "Geo", { "lat", type = "integer", nullable = true },
    { "lon", type = "integer", nullable = true } }
local Place = orm.embeddable { name = "Place", { "street", type = "string", nullable = true },
    { "geo", embedded = Geo, nullable = true } }
local Author = orm.entity { name = "Author", table = "authors", id, { "name", type = "string" },
    { "age", type = "integer", nullable = true },
    { "data", type = "json", nullable = true },
    { "secret", type = "string", nullable = true, hidden = true },
    { "bio", type = "text", nullable = true, lazy = true },
    { "home", embedded = Place, nullable = true },
    { "mentor", many_to_one = "Author", nullable = true },
    { "version", type = "integer", version = true },
    { "books", one_to_many = "Book", mapped_by = "author", order_by = { "id" } },
}
local Book = orm.entity { name = "Book", table = "books", id, { "title", type = "string" },
    { "year", type = "integer", nullable = true }, { "author", many_to_one = Author, nullable = true },
    { "tags", many_to_many = "Tag" } }
local Tag = orm.entity { name = "Tag", table = "tags", { "name", type = "string", primary = true },
    { "weight", type = "integer", nullable = true }, { "books", many_to_many = Book, mapped_by = "tags" } }

local rows = {
    [[insert into authors
        (id, name, age, data, secret, bio, home_street, home_geo_lat, home_geo_lon, mentor_id, version)
        values (2, 'Old', 70, null, null, null, null, null, null, null, 1),
        (1, 'Ann', 30, '{"a":1}', 's', 'long', 'Ring', 1, 2, 2, 1)]],
    [[insert into books (id, title, year, author_id) values (1, 'A1', 2001, 1), (2, 'A2', 2002, 1),
        (3, 'B', null, 2)]],
    "insert into tags (name, weight) values ('c', 1), ('lua', 2)",
    "insert into books_tags (book_id, tag_name) values (1, 'c'), (1, 'lua'), (3, 'lua')",
}

local by_id = { "id" }

-- Ways by which the row of Ann is read again because of something else.
local function ways(strategy)
    local function opts(populate, more)
        local made = { populate = populate, strategy = strategy, flush_mode = "commit", order_by = by_id }
        for name, value in pairs(more or {}) do made[name] = value end
        return made
    end
    return {
        ["to-one with a condition"] = function(em)
            em:find(Book, {}, opts { { "author", where = { id = 1 }, populate = { "mentor" } } })
        end,
        ["many_to_many from its other side"] = function(em) em:find(Tag, {}, { populate = { "books" },
            strategy = strategy, flush_mode = "commit" }) end,
        ["members with a condition"] = function(em)
            em:find(Author, { id = 2 }, opts { { "books", where = { id = 3 } } })
        end,
        ["the root"] = function(em) em:find(Author, {}, opts { "books" }) end,
    }
end

databases.each(function(db)
    for _, strategy in ipairs { "select_in", "joined" } do
        describe(strategy .. ":", function()
            local work, em, sent

            before_each(function()
                work = unit.open(db, { Author, Book, Tag })
                for _, sql in ipairs(rows) do work.raw:exec(sql) end
                em = work.em
                sent = expect.statements(work.instance)
            end)

            after_each(function()
                orm.close()
                db:close()
            end)

            local function options(populate, more)
                local made = { populate = populate, strategy = strategy, flush_mode = "commit", order_by = by_id }
                for name, value in pairs(more or {}) do made[name] = value end
                return made
            end

            local function no_sql(fn) assert.same({}, (sent_by(sent, fn))) end

            it("I1: one row is one table, by whatever path it comes", function()
                local ann = em:find(Author, { id = 1 }, { fields = { "name" } })[1]
                local old = em:get_reference(Author, 2)
                local books = em:find(Book, {}, options { "author.mentor", "tags.books.author" })
                assert.equal(ann, books[1].author)
                assert.equal(ann, books[2].author)
                assert.equal(old, ann.mentor)
                assert.equal(old, books[3].author)
                assert.equal(books[1].tags[2], books[3].tags[1])
                assert.equal(books[3], books[1].tags[2].books[2])
                local seen = em:find(Author, {}, options { { "books", limit = 1, fields = { "title" } } })
                assert.equal(ann, seen[1])
                assert.equal(books[1], seen[1].books[1])
                no_sql(function()
                    assert.equal(ann, em:find_one(Author, 1)) -- I2
                    assert.equal(books[2], em:find_one(Book, 2))
                    assert.equal("lua", em:find_one(Tag, "lua").name)
                end)
            end)

            it("references become what was read, in their place", function()
                local ann, book = em:get_reference(Author, 1), em:get_reference(Book, 1)
                local books = em:find(Book, { id = 1 }, options { "author" })
                assert.equal(book, books[1])
                assert.equal(ann, book.author)
                no_sql(function()
                    assert.is_true(orm.is_initialized(ann))
                    assert.equal("Ann", ann.name)
                    assert.equal("Ring", ann.home.street)
                    assert.equal("s", ann.secret)
                    assert.equal(2, ann.mentor.id)
                    assert.equal("A1", book.title)
                end)
                raises("not_loaded", function() return ann.bio end)
                raises("not_loaded", function() return ann.mentor.name end)
            end)

            it("I3: what was not changed is refreshed, NULLs included, what was changed stays", function()
                local books = em:find(Book, {}, { order_by = by_id, populate = { "author.bio", "tags" } })
                local ann = books[1].author
                books[1].title = "mine"
                ann.name = "Anna"
                ann.data.a = 5
                ann.home.geo.lat = 9
                work.raw:exec "update books set title = 'theirs', year = null"
                work.raw:exec [[update authors set name = 'x', age = null, data = '{"a":2}', secret = null, bio = 'new',
                    home_street = null, home_geo_lat = 7, home_geo_lon = null where id = 1]]
                work.raw:exec "update tags set weight = null"
                em:find(Book, {}, options { { "author", where = { id = 1 }, fields = { "name", "age", "data", "secret",
                    "bio", "home" }, populate = { "mentor" } }, "tags.books" })
                em:load(books, { "tags" }, { refresh = false })
                assert.equal("mine", books[1].title)
                assert.is_nil(books[1].year)
                assert.equal("theirs", books[2].title)
                assert.equal("Anna", ann.name)
                assert.is_nil(ann.age)
                assert.same({ a = 5 }, ann.data)
                assert.is_nil(ann.secret)
                assert.equal("new", ann.bio)
                assert.is_nil(ann.home.street)
                assert.equal(9, ann.home.geo.lat)
                assert.is_nil(ann.home.geo.lon)
                em:flush()
                assert.same({ { "Anna", false, '{"a":5}', "9", false, "2" } }, work.raw:rows(
                    "select name, age, replace(cast(data as text), ' ', ''), home_geo_lat, secret, version "
                    .. "from authors where id = 1"))
                assert.equal("mine", work.raw:value "select title from books where id = 1")
                no_sql(function() em:flush() end)
            end)

            it("I3: a changed entity whose row has another version is not merged, and its flush says so", function()
                for name, way in pairs(ways(strategy)) do
                    work.raw:exec "update authors set name = 'Ann', age = 30, version = 1"
                    local own = em:fork()
                    local ann = own:find_one(Author, 1)
                    ann.name = "Anna"
                    work.raw:exec "update authors set age = 31, version = version + 1"
                    way(own)
                    assert.equal("Anna", ann.name, name)
                    assert.equal(30, ann.age, name)
                    assert.equal(1, ann.version, name)
                    raises("optimistic_lock", function() own:flush() end)
                    assert.equal("Ann", work.raw:value "select name from authors where id = 1")
                end
            end)

            it("I3: an unchanged one takes the new version along", function()
                local ann = em:find_one(Author, 1)
                work.raw:exec "update authors set age = 31, version = 5"
                em:find(Book, {}, options { { "author", where = { id = 1 }, populate = { "mentor" } } })
                assert.equal(31, ann.age)
                assert.equal(5, ann.version)
                ann.age = 32
                em:flush()
                assert.equal("6", tostring(work.raw:value "select version from authors where id = 1"))
            end)

            it("I3: refresh = true drops what was changed, along every path", function()
                local books = em:find(Book, {}, { order_by = by_id, populate = { "author", "tags" } })
                books[1].title, books[1].author.name, books[1].tags[1].weight = "mine", "Anna", 5
                books[1].tags:remove(books[1].tags[1])
                work.raw:exec "delete from books_tags where book_id = 3"
                em:find(Book, {}, options({ "author", "tags" }, { refresh = true }))
                assert.equal("A1", books[1].title)
                assert.equal("Ann", books[1].author.name)
                assert.equal(2, #books[1].tags)
                assert.equal(1, books[1].tags[1].weight)
                assert.equal(0, #books[3].tags)
                no_sql(function() em:flush() end)
            end)

            it("I5: what was assigned and never loaded stays, nil too, through fields and populate", function()
                local ann = em:find(Author, { id = 1 }, { fields = { "name" } })[1]
                ann.age, ann.secret, ann.bio, ann.home, ann.mentor, ann.data = nil, "t", nil, nil, nil, { c = 3 }
                em:find(Book, {}, options { { "author", fields = { "age", "secret", "bio", "home", "data" },
                    populate = { "mentor" } } })
                em:find(Author, {}, options({ "books", "mentor" }, { fields = { "age", "home", "books.title" } }))
                em:load(ann, { "age", "bio", "home", "mentor" }, { flush_mode = "commit" })
                assert.is_nil(ann.age)
                assert.equal("t", ann.secret)
                assert.is_nil(ann.bio)
                assert.is_nil(ann.home)
                assert.is_nil(ann.mentor)
                assert.same({ c = 3 }, ann.data)
                em:flush()
                assert.same({ { "Ann", false, "t", false, false, false, '{"c":3}', "2" } }, work.raw:rows([[select name,
                    age, secret, bio, home_street, mentor_id, replace(cast(data as text), ' ', ''), version
                    from authors where id = 1]]))
                no_sql(function() em:flush() end)
            end)

            it("I5: of what was read in part only what was assigned is written", function()
                local authors = em:find(Author, {},
                    options({ { "books", fields = { "title" } } }, { fields = { "name" } }))
                authors[1].books[1].title = "mine"
                authors[1].books[2].year = 7
                work.raw:exec "update books set year = 1900, title = title || '!'"
                work.raw:exec "update authors set age = 99"
                em:flush()
                assert.same({ { "mine", "1900" }, { "A2!", "7" }, { "B!", "1900" } },
                    work.raw:rows "select title, year from books order by id")
                assert.equal("99", tostring(work.raw:value "select age from authors where id = 1"))
            end)

            it("I3: a member that was moved in memory stays where it was moved", function()
                local ann = em:find_one(Author, 1, { populate = { "books" } })
                local old = em:find_one(Author, 2)
                local a1 = ann.books[1]
                a1.author = old
                em:find(Author, {}, options { "books" })
                assert.equal(1, #ann.books)
                assert.equal("A2", ann.books[1].title)
                assert.equal(old, a1.author)
                assert.is_true(old.books:contains(a1))
                em:flush()
                assert.equal("2", tostring(work.raw:value "select author_id from books where id = 1"))
            end)

            it("I3: collections that are read again keep what was added and removed, and take what is new", function()
                local book = em:find_one(Book, 1, { populate = { "tags" } })
                local c, lua = book.tags[1], book.tags[2]
                local sql = em:create(Tag, { name = "sql" })
                book.tags:remove(c)
                book.tags:add(sql)
                work.raw:exec "insert into tags (name, weight) values ('ada', 1)"
                work.raw:exec "insert into books_tags (book_id, tag_name) values (1, 'ada')"
                em:find(Book, { id = 1 }, options { { "tags", order_by = { "name desc" } } })
                local list = {}
                for i, tag in book.tags:iter() do list[i] = tag.name end
                assert.same({ "lua", "ada", "sql" }, list)
                assert.equal(lua, book.tags[1])
                assert.is_true(book.tags:is_dirty())
                em:flush()
                assert.same({ { "ada" }, { "lua" }, { "sql" } },
                    work.raw:rows "select tag_name from books_tags where book_id = 1 order by tag_name")
            end)
        end)
    end
end)
