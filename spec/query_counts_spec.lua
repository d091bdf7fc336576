-- Q3: what populating costs is counted in levels, whatever the number of rows.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"
local unit = require "spec.support.unit"

local sent_by = expect.sent_by
local op = orm.op
local id = { "id", type = "integer", primary = true }

local Author = orm.entity { name = "Author", table = "authors", id, { "name", type = "string" },
    { "bio", type = "text", lazy = true, nullable = true },
    { "mentor", many_to_one = "Author", nullable = true },
    { "books", one_to_many = "Book", mapped_by = "author" },
    { "card", one_to_one = "Card", mapped_by = "author" },
    { "groups", many_to_many = "Group" },
}
local Book = orm.entity { name = "Book", table = "books", id, { "title", type = "string" },
    { "author", many_to_one = Author }, { "pages", one_to_many = "Page", mapped_by = "book" } }
local Page = orm.entity { name = "Page", table = "pages", { "book", many_to_one = Book, primary = true },
    { "no", type = "integer", primary = true }, { "notes", one_to_many = "Note", mapped_by = "page" } }
local Note = orm.entity { name = "Note", table = "notes", id, { "page", many_to_one = Page } }
local Card = orm.entity { name = "Card", table = "cards", id, { "author", one_to_one = Author, inversed_by = "card" } }
local Group = orm.entity { name = "Group", table = "groups", id, { "name", type = "string" },
    { "authors", many_to_many = Author, mapped_by = "groups" } }

local entities = { Author, Book, Page, Note, Card, Group }

databases.each(function(db)
    describe("Q3:", function()
        local work, em, sent

        -- Rows from 1 to `count` of a table: `values` are SQL of their number, n.
        local function fill(into, values, count)
            local series = db.name == "sqlite"
                and ("with recursive s(n) as (select 1 union all select n + 1 from s where n < %d) "):format(count)
                or ""
            local from = db.name == "sqlite" and "s" or ("generate_series(1, %d) as s(n)"):format(count)
            local head, tail = ("insert into %s "):format(into), ("select %s from %s"):format(values, from)
            work.raw:exec(head .. series .. tail)
        end

        local function open(count)
            work = unit.open(db, entities)
            em, sent = work.em, expect.statements(work.instance)
            fill("authors (id, name, mentor_id)", "n, 'a' || n, null", count)
            work.raw:exec(("update authors set mentor_id = %d - id + 1"):format(count))
            fill("books (id, title, author_id)", ("n, 'b' || n, (n - 1) %% %d + 1"):format(count), count * 2)
            fill("pages (book_id, no)", "n, 1", count * 2)
            fill("notes (id, page_book_id, page_no)", "n, n, 1", count * 2)
            fill("cards (id, author_id)", "n, n", count)
            fill("groups (id, name)", "n, 'g' || n", math.max(1, math.floor(count / 10)))
            fill("authors_groups (author_id, group_id)",
                ("n, (n - 1) %% %d + 1"):format(math.max(1, math.floor(count / 10))), count)
        end

        after_each(function()
            orm.close()
            db:close()
        end)

        local function count_of(fn) return #sent_by(sent, fn) end

        -- How many statements a find with these paths sends; em:load sends them without the first.
        local trees = {
            { Book, 2, { "author" } }, { Book, 2, { "author.bio", "author.mentor.bio" } }, { Book, 2, { "pages" } },
            { Author, 2, { "books" } }, { Author, 2, { "card" } }, { Author, 2, { "groups" } },
            { Author, 4, { "books.pages.notes" } }, { Author, 3, { "groups.authors" } },
            { Author, 5, { "books.pages", "card", "groups" } }, { Card, 3, { "author.books" } },
            { Author, 2, { { "books", where = { title = op.like "b%" }, order_by = { "title desc" } } } },
            { Author, 2, { { "books", limit = 1 } } }, { Author, 2, { { "groups", limit = 1, offset = 0 } } },
            { Author, 3, { { "books", limit = 1, fields = { "title" }, populate = { { "pages", limit = 1 } } } } },
            { Book, 2, { { "author", fields = { "name" } } } },
            { Book, 2, { { "author", where = { id = op.gt(0) } } } },
            { Author, 2, { { "card", where = { id = op.gt(0) } } } },
        }

        for _, count in ipairs { 1, 100, 2000 } do
            it(("one query a level for %d owners, managed or not, at once or afterwards"):format(count), function()
                open(count)
                for _, tree in ipairs(trees) do
                    local E, levels, paths = tree[1], tree[2], tree[3]
                    local own = em:fork()
                    assert.equal(levels, count_of(function() own:find(E, {}, { populate = paths }) end))
                    assert.equal(0, count_of(function() own:flush() end))
                    local plain = { populate = paths, managed = false }
                    assert.equal(levels, count_of(function() own:find(E, {}, plain) end))
                    own = em:fork()
                    local list = own:find(E, {})
                    assert.equal(levels - 1, count_of(function() own:load(list, paths) end))
                    assert.equal(0, count_of(function() own:load(list, paths) end))
                end
            end)
        end

        it("40,000 owners are asked for in as many parts as statements take, and all are answered", function()
            open(40000)
            local own = em:fork()
            local authors
            -- All keys in one parameter, or two as a range.
            for _, where in ipairs { {}, { id = op.ne(7) } } do
                own = em:fork()
                assert.equal(2, count_of(function() authors = own:find(Author, where, { populate = { "books" } }) end))
                local books = 0
                for _, author in ipairs(authors) do books = books + #author.books end
                assert.equal(2 * #authors, books)
            end
            assert.equal(39999, #authors)
            assert.equal(3, count_of(function()
                authors = own:find(Author, {}, { populate = { { "card", where = { id = op.lte(35000) } } },
                    managed = false })
            end))
            local cards = 0
            for _, author in ipairs(authors) do cards = cards + (author.card and 1 or 0) end
            assert.equal(35000, cards)
            own = em:fork()
            local books = own:find(Book, { id = op.gt(40000) })
            assert.equal(40000, #books)
            assert.equal(2, count_of(function() own:load(books, { { "author", fields = { "name" } } }) end))
            assert.equal("a40000", books[40000].author.name)
            -- Keys of several columns take more of a statement.
            local pages = own:find(Page, {}, { limit = 40000 })
            local parts = count_of(function() own:load(pages, { "notes" }) end)
            assert.is_true(parts <= 5, parts)
            assert.equal(1, #pages[40000].notes)
            assert.equal(1, #pages[8001].notes)
        end)

        it("nothing is sent for a level without rows, nor below it", function()
            open(1)
            work.raw:exec "delete from notes"
            work.raw:exec "delete from pages"
            work.raw:exec "delete from books"
            work.raw:exec "update authors set mentor_id = null"
            for _, is_managed in ipairs { true, false } do
                local own = em:fork()
                assert.equal(2, count_of(function()
                    own:find(Author, {}, { managed = is_managed, populate = { "books.pages.notes", "mentor.books" } })
                end))
                assert.equal(1, count_of(function()
                    own:find(Author, { id = 7 }, { managed = is_managed, populate = { "*", "books.*" } })
                end))
            end
            assert.equal(0, count_of(function() em:load({}, { "books" }) end))
            local fresh = em:create(Author, { name = "new" })
            em:persist(fresh)
            assert.equal(0, count_of(function()
                em:load(fresh, { "books.pages", "groups" }, { flush_mode = "commit" })
            end))
        end)
    end)
end)
