-- What em:create, em:assign and constructors refuse leaves nothing behind: nobody's collections hold an instance that
-- the program never got, nobody has lost a member to it, and no flush writes it.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"

local raises = expect.raises

local Author = orm.entity { name = "Author",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "books", one_to_many = "Book", mapped_by = "author", orphan_removal = true },
    { "profile", one_to_one = "Profile", mapped_by = "author" },
}
local Profile = orm.entity { name = "Profile",
    { "id", type = "integer", primary = true },
    { "author", one_to_one = Author, owner = true, nullable = true },
}
local Book = orm.entity { name = "Book",
    { "id", type = "integer", primary = true },
    { "title", type = "string" },
    { "author", many_to_one = Author, nullable = true },
    { "tags", many_to_many = "Tag" },
    { "pages", one_to_many = "Page", mapped_by = "book" },
}
local Tag = orm.entity { name = "Tag",
    { "id", type = "integer", primary = true },
    { "books", many_to_many = Book, mapped_by = "tags" },
}
local Page = orm.entity { name = "Page",
    { "book", many_to_one = Book, primary = true },
    { "number", type = "integer", primary = true },
}
-- With a name for each order in which pairs may give the fields of data.
local WRONG = { "a", "titel", "zz", "authors", "x1", "x2", "x3", "x4" }

databases.each(function(db)
    describe("refused data", function()
        local em, sent, instance, ann, bob, book, tag, profile

        before_each(function()
            instance = orm.init(db:config { entities = { Author, Profile, Book, Tag, Page } })
            instance.schema:create()
            em = orm.em():fork()
            ann, bob = em:create(Author, { name = "Ann" }), em:create(Author, { name = "Bob" })
            book = em:create(Book, { title = "One", author = ann, pages = { { number = 1 } } })
            tag = em:create(Tag)
            profile = em:create(Profile, { author = ann })
            em:persist(bob, book, tag, profile):flush()
            em:load(bob, "books")
            em:load(tag, "books")
            sent = expect.statements(instance)
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        local function untouched()
            assert.equal(1, #ann.books)
            assert.equal(book, ann.books[1])
            assert.equal(0, #bob.books)
            assert.equal(0, #tag.books)
            assert.equal(1, #book.pages)
            assert.equal(ann, book.author)
            assert.equal(ann, profile.author)
            assert.equal(profile, ann.profile)
            em:flush()
            assert.same({}, sent)
        end

        local function refuses(kind, fn, ...)
            local args = { ... }
            raises(kind, function()
                local made = fn(args[1], args[2], args[3])
                return made
            end)
            untouched()
        end

        it("an unknown name beside relations", function()
            for _, name in ipairs(WRONG) do
                refuses("unknown_property", em.create, em, Book,
                    { title = "ghost", author = bob, tags = { tag }, [name] = 1 })
                refuses("unknown_property", Book, { title = "ghost", author = bob, tags = { tag }, [name] = 1 })
                refuses("unknown_property", em.create, em, Author, { name = "ghost", books = { book }, [name] = 1 })
                refuses("unknown_property", Author, { name = "ghost", books = { book }, [name] = 1 })
                refuses("unknown_property", em.create, em, Profile, { author = ann, [name] = 1 })
                refuses("unknown_property", Profile, { author = ann, [name] = 1 })
                refuses("unknown_property", em.create, em, Author, { name = "ghost", profile = profile, [name] = 1 })
            end
        end)

        it("a wrong member, a wrong target, a list that is none", function()
            for _, data in ipairs {
                { title = "ghost", author = bob, tags = { tag, ann } },
                { title = "ghost", author = tag, tags = { tag } },
                { title = "ghost", author = bob, tags = "tag" },
                { title = "ghost", author = bob, tags = { [2] = tag } },
                { title = "ghost", author = bob, tags = { tag, name = 1 } },
            } do
                refuses("validation", em.create, em, Book, data)
                refuses("validation", Book, data)
            end
            refuses("validation", em.create, em, Author, { name = "ghost", books = { book }, profile = book })
            refuses("validation", Author, { name = "ghost", books = { book }, profile = book })
            refuses("validation", Author, { name = "ghost", books = { book, tag }, profile = profile })
        end)

        it("a key that is managed already", function()
            refuses("validation", em.create, em, Book, { id = book.id, title = "ghost", author = bob, tags = { tag } })
            refuses("validation", em.create, em, Author, { id = ann.id, name = "ghost", books = { book } })
            refuses("validation", em.create, em, Page, { number = 1, book = book })
            refuses("validation", em.create, em, Page, { number = 1, book = book.id })
        end)

        it("in nested data, however deep", function()
            refuses("unknown_property", em.create, em, Page,
                { number = 2, book = { title = "ghost", author = bob, tags = { tag } }, bogus = 1 })
            refuses("unknown_property", em.create, em, Author,
                { name = "ghost", books = { { title = "ghost", tags = { tag } }, { title = "ghost", bogus = 1 } } })
            refuses("validation", em.create, em, Author,
                { name = "ghost", books = { { title = "ghost", tags = { tag } }, { id = book.id, author = 7.5 } } })
            refuses("unknown_property", em.assign, em, profile,
                { author = { name = "ghost", books = { book } }, bogus = 1 })
            refuses("unknown_property", em.assign, em, bob,
                { books = { { title = "ghost", tags = { tag } } }, bogus = 1 })
        end)

        it("an instance of another entity manager, or of none that is left", function()
            local other = orm.em():fork()
            local theirs, their_profile = other:find_one(Author, ann.id), other:find_one(Profile, profile.id)
            for i = #sent, 1, -1 do sent[i] = nil end
            refuses("not_managed", Author, { name = "ghost", books = { book }, profile = their_profile })
            refuses("not_managed", em.create, em, Book, { title = "ghost", tags = { tag }, author = theirs })
            local own = Book { title = "own", author = theirs }
            refuses("not_managed", em.assign, em, profile, { author = { name = "ghost", books = { own } } })
            assert.equal(theirs, own.author)
            other:load(theirs, "books")
            assert.equal(2, #theirs.books)
            local gone = orm.em():fork():find_one(Tag, tag.id)
            collectgarbage()
            collectgarbage()
            for i = #sent, 1, -1 do sent[i] = nil end
            refuses("not_managed", Book, { title = "ghost", author = bob, tags = { gone } })
        end)

        it("what an on_init refuses", function()
            local stop = instance:on("on_init", function(e)
                if e.title == "ghost" or e.name == "ghost" or getmetatable(e).definition == nil then error("no") end
                if rawget(e, "number") == 7 then e.number = 1 end
            end)
            for _, data in ipairs { { Book, { title = "ghost", author = bob, tags = { tag } } },
                { Author, { name = "ghost", books = { book }, profile = profile } },
                { Page, { number = 9, book = { title = "ghost", author = bob } } },
                { Author, { name = "fine", books = { book, { title = "ghost", tags = { tag } } } } } } do
                assert.is_false((pcall(em.create, em, data[1], data[2])))
                untouched()
            end
            refuses("validation", em.create, em, Page, { number = 7, book = book })
            stop()
        end)

        it("what is taken has all its relations", function()
            local cat = em:create(Author, { name = "Cat", books = { { title = "Two", tags = { tag } } } })
            assert.equal(cat, cat.books[1].author)
            assert.equal(cat.books[1], tag.books[1])
            local page = em:create(Page, { number = 2, book = cat.books[1] })
            assert.equal(page, cat.books[1].pages[1])
            em:persist(page):flush()
            assert.same({ { "2", tostring(cat.books[1].id) } },
                db:raw():rows('SELECT number, book_id FROM page WHERE number = 2'))
        end)
    end)

    describe("what an entity's own on_init refuses", function()
        after_each(function() db:close() end)

        it("constructors and em:create alike", function()
            local Owner = orm.entity { name = "Owner", { "id", type = "integer", primary = true },
                { "things", one_to_many = "Thing", mapped_by = "owner" } }
            local Thing = orm.entity { name = "Thing", { "id", type = "integer", primary = true },
                { "owner", many_to_one = Owner }, hooks = { on_init = function(e)
                    assert(e.owner)
                    error("no")
                end } }
            orm.init(db:config { entities = { Owner, Thing } }).schema:create()
            local em = orm.em():fork()
            local owner = em:create(Owner)
            em:persist_and_flush(owner)
            for _, make in ipairs { Thing, function(data) return em:create(Thing, data) end } do
                local ok, err = pcall(make, { owner = owner })
                assert.is_false(ok)
                assert.matches("no$", tostring(err))
                assert.equal(0, #owner.things)
            end
            orm.close()
        end)
    end)
end)
