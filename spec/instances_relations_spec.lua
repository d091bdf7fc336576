-- To-one relations of instances: what may be assigned and what may not, in which order, and what is readable when.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"

local raises = expect.raises

local Author = orm.entity {
    name = "Author", table = "authors",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "secret", type = "string", nullable = true, hidden = true },
    { "bio", type = "text", nullable = true, lazy = true },
    { "mentor", many_to_one = "Author", nullable = true },
}
local Book = orm.entity {
    name = "Book", table = "books",
    { "id", type = "integer", primary = true },
    { "title", type = "string", nullable = true },
    { "isbn", type = "string", nullable = true, hidden = true },
    { "author", many_to_one = Author, nullable = true },
    { "editor", many_to_one = Author, nullable = true, cascade = {} },
}
local Log = orm.entity {
    name = "Log", table = "logs",
    { "id", type = "integer", primary = true },
    { "book", type = "integer", nullable = true },
}

databases.each(function(db)
    describe("to-one relations of instances", function()
        local instance, em, sent

        before_each(function()
            instance = orm.init(db:config { entities = { Author, Book, Log } })
            instance.schema:create()
            orm.init(db:config { context_name = "other", entities = { Author, Log } }).schema:create()
            sent = expect.statements(instance)
            em = orm.em():fork()
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        local function authors_of()
            return db:raw(instance.config):rows
                "select b.title, a.name from books b left join authors a on a.id = b.author_id order by b.title"
        end

        it("book.author.id needs no load, everything else says how to load it", function()
            em:persist_and_flush(em:create(Book, { title = "B", author = Author { name = "Ann" } }))
            em:clear()
            local book = em:find_one(Book, 1)
            local before = #sent
            assert.equal(1, book.author.id)
            assert.equal(book.author, book.author)
            assert.equal(em:get_reference(Author, 1), book.author)
            assert.is_false(orm.is_initialized(book.author))
            assert.is_true(orm.is_initialized(book))
            for _, name in ipairs { "name", "secret", "bio", "mentor" } do
                local err = raises("not_loaded", function() return book.author[name], nil end, "Author." .. name,
                    "Author#1", "em:")
                assert.equal("Author", err.entity)
                assert.equal(name, err.property)
                assert.equal("default", err.context)
            end
            assert.is_nil(book.author.unheard_of)
            assert.is_nil(rawget(book, "author"))
            assert.equal(before, #sent)
            assert.is_nil(book.editor)
        end)

        it("a wrong entity fails at the line that assigns it", function()
            local unmanaged, managed = Book { title = "x" }, em:create(Book, { title = "y" })
            em:persist(managed)
            for _, book in ipairs { unmanaged, managed } do
                for _, wrong in ipairs { Book { title = "z" }, { id = 1 }, "1", 7, true, Author, print } do
                    local err = raises("validation", function() book.author = wrong end, "Book.author", "Author")
                    assert.equal("Book", err.entity)
                    assert.equal("author", err.property)
                end
                assert.is_nil(book.author)
            end
            raises("validation", function() em:create(Book, { author = Book {} }) end, "Book.author")
            raises("validation", function() em:create(Book, { author = {} }) end, "Book.author")
            raises("validation", function() em:create(Book, { author = true }) end, "Book.author")
            raises("validation", function() em:create(Book, { author = "x" }) end, "Author")
            raises("validation", function() em:assign(managed, { author = Book {}, title = "z" }) end, "Book.author")
            assert.equal("y", managed.title)
        end)

        it("C3: an instance of another context or entity manager fails at the line that assigns it", function()
            local other = orm.em("other"):fork()
            local far = other:persist_and_flush(other:create(Author, { name = "Far" }))
            local fork = em:fork()
            local near = fork:persist_and_flush(fork:create(Author, { name = "Near" }))
            local book = em:create(Book, { title = "x" })
            em:persist(book)
            raises("wrong_context", function() book.author = far end, "Book.author", "'other'", "'default'")
            raises("not_managed", function() book.author = near end, "Book.author", "em:merge")
            raises("wrong_context", function() em:create(Book, { author = far }) end, "Book.author")
            raises("not_managed", function() em:create(Book, { author = near }) end, "Book.author")
            raises("wrong_context", function() em:assign(book, { author = far }) end, "Book.author")
            raises("wrong_context", function() em:persist(far) end, "em:persist", "'other'")
            raises("not_managed", function() em:remove(near) end, "em:remove")
            raises("wrong_context", function() em:find(Book, { author = far }) end, "'other'")
            raises("wrong_context", function() em:refresh(far) end)
            local log = Log {}
            other:persist(log)
            raises("wrong_context", function() em:persist(log) end)
            -- An instance of nobody takes either, and the entity manager that persists it looks at once.
            local loose = Book { title = "loose", author = far }
            raises("wrong_context", function() em:persist(loose) end)
            assert.is_false(em:contains(loose))
            book.author = em:merge(near)
            em:flush()
            assert.same({ { "x", "Near" } }, authors_of())
        end)

        it("both orders of assigning and persisting write the same", function()
            local function ann() return Author { name = "Ann" } end
            local ways = {
                function(book, author) book.author = author em:persist(book) end,
                function(book, author) em:persist(book) book.author = author end,
                function(book, author) em:persist(author) book.author = author em:persist(book) end,
                function(book, author) em:persist(book) em:persist(author) book.author = author end,
                function(book, author) em:persist(author, book) em:flush() book.author = author end,
                function(book, author) em:persist(book):flush() book.author = author end,
                function(book, author) em:persist(book) em:assign(book, { author = author }) end,
                function(book, author) em:persist(em:assign(book, { author = author })) end,
            }
            for i, way in ipairs(ways) do
                local book, author = Book { title = "B" .. i }, ann()
                way(book, author)
                assert.equal(author, book.author)
                em:flush()
                assert.equal(author, book.author)
                assert.is_number(author.id)
                assert.is_true(em:contains(author))
                local before = #sent
                em:flush()
                assert.equal(before, #sent)
            end
            local rows = authors_of()
            assert.equal(#ways, #rows)
            for i in ipairs(ways) do assert.same({ "B" .. i, "Ann" }, rows[i]) end
        end)

        it("chains and rings of new instances are written whole", function()
            local a, b, c = Author { name = "a" }, Author { name = "b" }, Author { name = "c" }
            a.mentor, b.mentor = b, c
            em:persist(Book { title = "chain", author = a }):flush()
            local x, y = Author { name = "x" }, Author { name = "y" }
            x.mentor, y.mentor = y, x
            local own = Author { name = "own" }
            own.mentor = own
            em:persist(x, own):flush()
            assert.same({ { "a", "b" }, { "b", "c" }, { "c", false }, { "own", "own" }, { "x", "y" }, { "y", "x" } },
                db:raw(instance.config):rows [[select a.name, m.name from authors a
                    left join authors m on m.id = a.mentor_id order by a.name]])
        end)

        it("keys stand for relations in create, assign and insert; nothing is read for them", function()
            em:persist_and_flush(Author { name = "Ann" })
            local before = #sent
            local book = em:create(Book, { title = "A", author = 1 })
            assert.equal("Ann", book.author.name)
            em:assign(book, { author = "1" })
            assert.equal(1, book.author.id)
            local reference = em:create(Book, { author = 77 }).author
            assert.equal(77, reference.id)
            assert.equal(before, #sent)
            em:persist_and_flush(book)
            em:insert(Book, { title = "B", author = 1 })
            em:insert(Book, { title = "C", author = book.author })
            em:insert(Book, { title = "D", author = em:get_reference(Author, 1) })
            assert.equal(1, em:update_where(Book, { title = "D" }, { author = orm.null }))
            assert.equal(1, em:update_where(Book, { title = "B" }, { author = book.author }))
            assert.same({ { "A", "Ann" }, { "B", "Ann" }, { "C", "Ann" }, { "D", false } }, authors_of())
        end)

        it("nil and orm.null take a relation away", function()
            local book = em:persist_and_flush(em:create(Book, { title = "A", author = Author { name = "Ann" } }))
            book.author = nil
            assert.is_nil(book.author)
            em:flush()
            assert.same({ { "A", false } }, authors_of())
            book.author = em:find_one(Author, 1)
            em:flush()
            em:assign(book, { author = orm.null })
            assert.is_nil(book.author)
            book.author = em:find_one(Author, 1)
            local before = #sent
            em:flush() -- there and back again is no change
            assert.equal(before, #sent)
            em:clear()
            book = em:find_one(Book, 1)
            book.author = orm.null
            assert.is_nil(book.author)
            em:flush()
            assert.same({ { "A", false } }, authors_of())
        end)

        it("without a persisting cascade the flush names the relation", function()
            em:persist(Book { title = "x", editor = Author { name = "E" } })
            local err = raises("not_managed", function() em:flush() end, "Book.editor", "Author")
            assert.equal("editor", err.property)
            assert.equal("0", db:raw(instance.config):value "select count(*) from books")
        end)

        it("I7: an instance that outlives its entity manager keeps what it had, and says what it cannot do", function()
            local seed = em:fork()
            seed:persist_and_flush(seed:create(Book, { title = "B", isbn = "hush",
                author = Author { name = "Ann", secret = "s" } }))
            local book, partial, reference, before
            orm.request_context(function()
                book = orm.em():find_one(Book, 1, { populate = { "author" } })
            end)
            orm.request_context(function()
                partial = orm.em():find_one(Book, { id = 1 }, { fields = { "title" } })
                reference = orm.em():get_reference(Author, 1)
            end)
            for _ = 1, 3 do collectgarbage() end
            before = #sent
            assert.equal("B", book.title)
            assert.equal("hush", book.isbn)
            assert.equal(1, book.author.id)
            assert.equal("B", partial.title)
            assert.equal(1, reference.id)
            raises("not_loaded", function() return partial.isbn, nil end, "Book.isbn")
            raises("not_loaded", function() return partial.author, nil end, "Book.author")
            raises("not_loaded", function() return reference.name, nil end, "Author.name")
            raises("not_loaded", function() return reference.secret, nil end, "Author.secret")
            raises("not_managed", function() book.author = Author { name = "x" } end, "Book.author", "merge")
            raises("not_managed", function() book.isbn = "x" end, "Book.isbn", "merge")
            book.title = "kept"
            assert.equal("Book#1 { id = 1, title = \"kept\" }", tostring(book))
            assert.equal(before, #sent)
            local own = em:merge(book)
            assert.not_equal(book, own)
            assert.equal("kept", own.title)
            assert.equal("hush", own.isbn)
            assert.equal(1, own.author.id)
            em:flush()
            assert.same({ { "kept", "Ann" } }, authors_of())
        end)
    end)
end)
