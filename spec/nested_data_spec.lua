-- Nested data: what em:create and em:assign make of relations that are given as keys, instances and plain tables.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"

local raises, sent_by = expect.raises, expect.sent_by

local Address = orm.embeddable { name = "Address", { "city", type = "string", nullable = true },
    { "street", type = "string", nullable = true } }
local Author = orm.entity { name = "Author",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "born", type = "integer", nullable = true },
    { "address", embedded = Address, nullable = true },
    { "books", one_to_many = "Book", mapped_by = "author", orphan_removal = true },
    { "profile", one_to_one = "Profile", mapped_by = "author" },
}
local Profile = orm.entity { name = "Profile",
    { "id", type = "integer", primary = true },
    { "text", type = "string", nullable = true },
    { "author", one_to_one = Author, owner = true },
}
local Book = orm.entity { name = "Book",
    { "id", type = "integer", primary = true },
    { "title", type = "string" },
    { "author", many_to_one = Author, nullable = true },
    { "tags", many_to_many = "Tag" },
    { "pages", one_to_many = "Page", mapped_by = "book", orphan_removal = true },
}
local Tag = orm.entity { name = "Tag",
    { "code", type = "string", length = 10, primary = true },
    { "label", type = "string", nullable = true },
}
local Page = orm.entity { name = "Page",
    { "book", many_to_one = Book, primary = true },
    { "number", type = "integer", primary = true },
    { "text", type = "string", nullable = true },
}
local Mark = orm.entity { name = "Mark",
    { "id", type = "integer", primary = true },
    { "page", many_to_one = Page },
}

databases.each(function(db)
    describe("nested data", function()
        local em, sent

        before_each(function()
            local instance = orm.init(db:config { entities = { Author, Profile, Book, Tag, Page, Mark } })
            instance.schema:create()
            em = orm.em():fork()
            sent = expect.statements(instance)
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        local function rows(sql) return db:raw():rows(sql) end

        local function library()
            em:insert(Tag, { code = "c" })
            local author = em:create(Author, { name = "Ann", address = { city = "Graz" },
                profile = { text = "writes" },
                books = {
                    { title = "A", tags = { { code = "lua", label = "Lua" }, { code = "c" } },
                        pages = { { number = 1, text = "one" }, { number = 2 } } },
                    { title = "B" },
                } })
            em:persist(author):flush()
            return author
        end

        local function titles(author)
            local list = {}
            for _, book in author.books:iter() do list[#list + 1] = book.title end
            table.sort(list)
            return table.concat(list, " ")
        end

        describe("given to create", function()
            it("makes a whole graph, both sides following, which one persist writes", function()
                local list = sent_by(sent, function()
                    local author = em:create(Author, { name = "Ann", books = { { title = "A" } } })
                    assert.equal(author, author.books[1].author)
                    assert.is_false(em:contains(author.books[1]))
                end)
                assert.same({}, list)
                local author = library()
                assert.equal("A B", titles(author))
                assert.equal("writes", author.profile.text)
                assert.same({ { "A", "1" }, { "B", "1" } }, rows "select title, author_id from book order by title")
                assert.same({ { "1", "c" }, { "1", "lua" } }, rows "select book_id, tag_code from book_tags order by 2")
                assert.same({ { "1", "1", "one" }, { "1", "2", false } },
                    rows "select book_id, number, text from page order by number")
                assert.same({ { "writes", "1" } }, rows "select text, author_id from profile")
            end)

            it("a plain table under a to-one makes its target, or is its key", function()
                library()
                local book = em:create(Book, { title = "C", author = { name = "Ben", born = 1970 } })
                assert.same({ "Ben", 1970 }, { book.author.name, book.author.born })
                em:persist(book):flush()
                local other = em:create(Book, { title = "D", author = { id = 1 } })
                assert.equal(em:get_reference(Author, 1), other.author)
                local mark = em:create(Mark, { page = { book = 1, number = 2 } })
                assert.equal(em:find_one(Page, { 1, 2 }), mark.page)
                assert.equal(mark.page, em:create(Mark, { page = { 1, 2 } }).page)
                em:persist(other, mark):flush()
                assert.same({ { "A", "Ann" }, { "B", "Ann" }, { "C", "Ben" }, { "D", "Ann" } },
                    rows "select b.title, a.name from book b join author a on a.id = b.author_id order by b.title")
            end)

            it("data with the key of a row changes that row, loaded or not", function()
                library()
                em:clear()
                local book = em:create(Book, { title = "C", author = { id = 1, born = 1950 } })
                em:persist(book):flush()
                assert.same({ { "1", "Ann", "1950" } }, rows "select id, name, born from author")
                local author = em:refresh(book.author)
                em:persist(em:create(Book, { title = "D", author = { id = 1, name = "Anna" } })):flush()
                assert.equal("Anna", author.name)
                assert.same({ { "1", "Anna", "1950" } }, rows "select id, name, born from author")
            end)

            it("I4: keys that the program makes are of new rows, unless they are managed", function()
                library()
                local lua = em:find_one(Tag, "lua")
                local book = em:create(Book, { title = "C",
                    tags = { "c", { code = "lua", label = "Lua 5.4" }, { code = "sql", label = "SQL" } } })
                assert.equal("Lua 5.4", lua.label)
                assert.is_true(book.tags:contains(lua))
                em:persist(book):flush()
                assert.same({ { "c", false }, { "lua", "Lua 5.4" }, { "sql", "SQL" } },
                    rows "select code, label from tag order by code")
                assert.equal("3", db:raw():value "select count(*) from book_tags where book_id = 3")
                em:clear()
                em:persist(em:create(Book, { title = "D", tags = { { code = "c", label = "twin" } } }))
                raises("unique_violation", function() em:flush() end)
                em:clear()
            end)
        end)

        describe("given to assign", function()
            it("goes into the target that is there and loaded", function()
                local author = library()
                local book = em:find_one(Book, { title = "A" })
                em:assign(book, { title = "A2", author = { name = "Anna", address = { street = "Weg 1" } } })
                assert.equal(author, book.author)
                assert.same({ "Anna", "Graz", "Weg 1" },
                    { author.name, author.address.city, author.address.street })
                em:assign(author, { profile = { text = "reads" } })
                em:flush()
                assert.same({ { "Anna", "Graz", "Weg 1" } },
                    rows "select name, address_city, address_street from author")
                assert.same({ { "1", "reads" } }, rows "select id, text from profile")
            end)

            it("makes a target where there is none, or one that is not loaded", function()
                library()
                em:clear()
                local book = em:find_one(Book, { title = "A" })
                local former = book.author
                em:assign(book, { author = { name = "Ben" } })
                assert.are_not.equal(former, book.author)
                local new = em:create(Book, { title = "C" })
                em:assign(new, { author = { name = "Cid" } })
                em:persist(new):flush()
                assert.same({ { "A", "Ben" }, { "B", "Ann" }, { "C", "Cid" } },
                    rows "select b.title, a.name from book b join author a on a.id = b.author_id order by b.title")
            end)

            it("goes into a new target that nobody has persisted", function()
                local book = em:create(Book, { title = "A", author = { name = "Ann" } })
                local author = book.author
                em:assign(book, { author = { born = 1950 } })
                assert.equal(author, book.author)
                assert.same({ "Ann", 1950 }, { author.name, author.born })
            end)

            it("with another key leads to that row, and changes it", function()
                library()
                em:insert(Author, { name = "Ben" })
                local book = em:find_one(Book, { title = "A" })
                local ann = book.author
                em:assign(book, { author = { id = 2, born = 1970 } })
                assert.equal("Ann", ann.name)
                assert.equal(2, book.author.id)
                em:flush()
                em:assign(book, { author = { id = "2", born = 1971 } })
                em:flush()
                assert.same({ { "1", "Ann", false }, { "2", "Ben", "1971" } },
                    rows "select id, name, born from author order by id")
                assert.same({ { "2" } }, rows "select author_id from book where title = 'A'")
                em:assign(book, { author = 1 })
                assert.equal(ann, book.author)
                em:assign(book, { author = orm.null })
                assert.is_nil(book.author)
                em:assign(book, { author = { id = 99, name = "nobody" } })
                raises("not_found", function() em:flush() end, "Author#99")
            end)

            it("a list sets a collection: new members, changed ones, keys, instances; others go", function()
                local author = library()
                local a, b = em:find_one(Book, { title = "A" }), em:find_one(Book, { title = "B" })
                local d = em:create(Book, { title = "D" })
                em:assign(author, { books = { { id = a.id, title = "A2" }, { title = "C" }, d } })
                assert.equal("A2 C D", titles(author))
                assert.is_nil(b.author)
                em:flush()
                assert.same({ { "1", "A2" }, { "3", "C" }, { "4", "D" } },
                    rows "select id, title from book order by title")
                em:assign(author, { books = { a.id, d.id } })
                em:flush()
                assert.equal("A2 D", titles(author))
                em:assign(author, { books = {} })
                em:flush()
                assert.same({}, rows "select id from book")
            end)

            it("keys of children are completed by their owner: lines that are there are changed", function()
                library()
                local book = em:find_one(Book, { title = "A" }, { populate = { "pages" } })
                local first = book.pages[1]
                em:assign(book, { pages = { { number = 1, text = "ONE" }, { number = 3, text = "three" } } })
                assert.equal(first, book.pages[1])
                em:flush()
                assert.same({ { "1", "ONE" }, { "3", "three" } }, rows "select number, text from page order by number")
            end)

            it("a collection that is not loaded takes a list too", function()
                library()
                em:clear()
                local book = em:find_one(Book, { title = "A" })
                em:assign(book, { tags = { "c", { code = "new", label = "x" } } })
                em:flush()
                assert.same({ { "c" }, { "new" } },
                    rows "select tag_code from book_tags where book_id = 1 order by tag_code")
            end)

            it("nothing is assigned when something is wrong, however deep", function()
                local author = library()
                local book = em:find_one(Book, { title = "A" })
                local function untouched()
                    assert.same({ "A", "Ann", "Graz" }, { book.title, author.name, author.address.city })
                    assert.equal("A B", titles(author))
                    assert.same({}, sent_by(sent, function() em:flush() end))
                end
                raises("unknown_property", function()
                    em:assign(book, { title = "x", author = { name = "y", address = { town = "z" } } })
                end, "town")
                untouched()
                raises("unknown_property", function()
                    em:assign(author, { name = "x", books = { { id = book.id, title = "y" }, { titel = "z" } } })
                end, "'title'")
                untouched()
                raises("validation", function()
                    em:assign(book, { author = { name = "x" }, tags = { "c", Author { name = "y" } } })
                end, "Book.tags", "Tag")
                untouched()
                raises("validation", function() em:assign(author, { name = "x", books = { { title = "y" }, {} } }) end,
                    "Author.books")
                untouched()
                raises("validation", function() em:assign(author, { name = "x", books = { title = "y" } }) end,
                    "Author.books", "list")
                untouched()
                raises("validation", function() em:assign(book, { title = "x", author = {} }) end, "Book.author")
                untouched()
                local circle = { title = "x" }
                circle.author = { name = "y", books = { circle } }
                raises("validation", function() em:create(Book, circle) end, "circle")
                raises("validation", function() em:assign(book, { author = circle.author }) end, "circle")
                untouched()
            end)

            it("C3: instances of another context or entity manager are refused, in lists too", function()
                local author = library()
                local fork = em:fork()
                local near = fork:find_one(Book, { title = "A" })
                raises("not_managed", function() em:assign(author, { name = "x", books = { near } }) end)
                raises("not_managed", function() em:create(Author, { name = "x", books = { near } }) end)
                raises("not_managed", function()
                    em:create(Mark, { page = { number = 1, text = "x", book = near } })
                end)
                assert.equal("Ann", author.name)
            end)
        end)

        it("insert and upsert write one row: they take keys, no nested data", function()
            raises("validation", function() em:insert(Book, { title = "x", author = { name = "y" } }) end,
                "Book.author")
            raises("validation", function() em:upsert(Book, { id = 1, title = "x", author = { name = "y" } }) end,
                "Book.author")
            raises("unsupported", function() em:insert(Author, { name = "x", books = { { title = "y" } } }) end)
            assert.same({}, rows "select id from author")
            em:insert(Author, { name = "Ann" })
            em:insert(Book, { title = "x", author = { id = 1 } })
            assert.same({ { "1" } }, rows "select author_id from book")
        end)

        it("em:merge takes an entity and its to-one relations along, no collections", function()
            local author = library()
            local fork = em:fork()
            local theirs = fork:find_one(Author, author.id, { populate = { "books" } })
            theirs.name = "Anna"
            theirs.books[1].title = "changed"
            assert.equal(author, em:merge(theirs))
            assert.equal("Anna", author.name)
            assert.equal("A B", titles(author))
            local book = em:merge(theirs.books[1])
            assert.equal("changed", book.title)
            assert.equal(author, book.author)
            local new = em:merge(Author { name = "new", books = { Book { title = "left out" } } })
            em:flush()
            assert.equal(0, #new.books)
            assert.same({ { "Anna" }, { "new" } }, rows "select name from author order by id")
            assert.equal("2", db:raw():value "select count(*) from book")
        end)

        it("F1: a rollback takes it all back", function()
            local author = library()
            local book = em:find_one(Book, { title = "A" })
            em:begin()
            em:assign(author, { name = "x", profile = { text = "y" }, books = { { id = book.id, title = "z" } } })
            em:assign(book, { tags = { { code = "new", label = "x" } } })
            em:flush()
            em:rollback()
            assert.same({ "Ann", "writes", "A" }, { author.name, author.profile.text, book.title })
            assert.equal("A B", titles(author))
            assert.equal(2, #book.tags)
            assert.same({}, sent_by(sent, function() em:flush() end))
        end)
    end)
end)
