-- C3: an entity used in the wrong context fails at the line that used it, never at flush.
local orm = require "heddle"
local databases = require "spec.support.databases"

local op = orm.op

local Author = orm.entity { name = "Author",
    { "id", type = "integer", primary = true },
    { "name", type = "string" } }
local Book = orm.entity { name = "Book",
    { "id", type = "integer", primary = true },
    { "title", type = "string" },
    { "author", many_to_one = "Author", nullable = true } }

databases.each(function(db)
    local em, other, book, author

    before_each(function()
        for _, name in ipairs { "default", "secondary" } do
            orm.init(db:config { context_name = name, entities = { Author, Book } }).schema:create()
        end
        em, other = orm.em(), orm.em "secondary"
        author = em:persist_and_flush(em:create(Author, { name = "Ann" }))
        book = other:persist_and_flush(other:create(Book, { title = "Ways" }))
    end)

    after_each(function()
        orm.close()
        db:close()
    end)

    local function wrong(fn, ...)
        local ok, err = pcall(fn, ...)
        assert.is_false(ok)
        assert.equal("wrong_context", err.kind, tostring(err))
    end

    local function set_author(instance, value)
        instance.author = value
    end

    it("C3: relating, at the assignment, whether either is managed yet or not", function()
        local new_book, new_author = other:create(Book, { title = "Means" }), em:create(Author, { name = "Ben" })
        for _, of_other in ipairs { book, new_book } do
            for _, of_default in ipairs { author, new_author } do
                wrong(set_author, of_other, of_default)
                wrong(other.assign, other, book, { author = of_default })
            end
        end
        wrong(other.create, other, Book, { title = "x", author = new_author })
        wrong(other.insert, other, Book, { title = "x", author = author })
        wrong(other.update_where, other, Book, { id = book.id }, { author = author })
    end)

    it("C3: an instance that an entity manager made belongs to its context, one that the entity made to nobody yet",
        function()
            wrong(other.persist, other, em:create(Author, { name = "Ben" }))
            wrong(other.persist, other, em:create(Book, { title = "x", author = em:create(Author, { name = "Ben" }) }))
            local free = Book { title = "free", author = Author { name = "Cleo" } }
            other:persist_and_flush(free)
            assert.equal(free, other:find_one(Book, { author = { name = "Cleo" } }))
            assert.equal(0, em:count(Book, {}))
        end)

    it("C3: persist, remove, refresh, assign, detach, merge and filters", function()
        for _, call in ipairs { "persist", "remove", "refresh", "detach", "merge" } do
            wrong(other[call], other, author)
        end
        wrong(other.assign, other, author, { name = "x" })
        wrong(other.find, other, Book, { author = author })
        wrong(other.find, other, Book, { author = op.one_of { author } })
        wrong(other.find, other, Book, op.negate { author = op.eq(author) })
        wrong(other.find_one, other, Author, author)
        wrong(other.get_reference, other, Author, author)
        wrong(other.delete_where, other, Book, { author = author })
        assert.is_false(other:contains(author))
    end)
end)
