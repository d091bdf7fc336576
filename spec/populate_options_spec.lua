-- Options of what is populated: the three forms, conditions, orders, limits for each owner, fields; for entities of an
-- entity manager, for those of nobody, and through em:load and :load.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local library = require "spec.support.library"
local orm = require "heddle"

local raises, sent_by, names = expect.raises, expect.sent_by, library.names
local op = orm.op
local Author, Book, Tag, Profile = library.Author, library.Book, library.Tag, library.Profile
local Playlist, Track, Student, Course = library.Playlist, library.Track, library.Student, library.Course

local by_id = { "id" }

databases.each(function(db)
    describe("options of populate", function()
        local work, em, sent

        before_each(function()
            work = library.open(db)
            em = work.em
            sent = expect.statements(work.instance)
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        -- The same for entities of a fresh entity manager, for those of nobody, and by em:load.
        local function each_way(E, entries, check, order)
            local function opts(more)
                more.order_by = order or by_id
                return more
            end
            for _, way in ipairs { "managed", "unmanaged", "load" } do
                local own = em:fork()
                local found
                if way == "load" then
                    found = own:load(own:find(E, {}, opts {}), entries)
                else
                    found = own:find(E, {}, opts { populate = entries, managed = way == "managed" })
                end
                local after = sent_by(sent, function() check(found, way, own) end)
                assert.same({}, after)
                if way ~= "unmanaged" then assert.same({}, (sent_by(sent, function() own:flush() end))) end
            end
        end

        it("the three forms say the same", function()
            local where = { title = op.like "A%" }
            for _, form in ipairs {
                { { "books", where = where, populate = { "tags" } } },
                { books = { where = where, populate = "tags" } },
                { "books.tags", { "books", where = where } },
                { "books.tags", books = { where = where } },
                { books = { where = where, populate = { tags = {} } } },
            } do
                each_way(Author, form, function(authors)
                    assert.equal("A2 A1", names(authors[1].books))
                    assert.equal("", names(authors[2].books))
                    assert.equal("c lua", names(authors[1].books[2].tags))
                end)
            end
        end)

        it("stars stand for every relation of a level", function()
            each_way(Book, { "author.*" }, function(books)
                assert.equal("A2 A1", names(books[1].author.books))
                assert.equal("ann.example", books[1].author.profile.site)
                assert.equal("Ben Cid", names(books[1].author.friends))
            end)
            each_way(Book, "*", function(books)
                assert.equal("Ben", books[1].editor.name)
                assert.equal("c lua", names(books[1].tags))
            end)
            each_way(Author, { "books", books = { populate = "*" } }, function(authors)
                assert.equal("c lua", names(authors[1].books[2].tags))
                assert.equal("Ben", authors[1].books[2].editor.name)
            end)
        end)

        it("where and order_by of a one_to_many, a many_to_many from both sides, of composite keys", function()
            each_way(Author, { { "books", where = { tags = op.some { name = "c" } } } }, function(authors)
                assert.equal("A1", names(authors[1].books))
                assert.is_true(authors[2].books:is_initialized())
                assert.equal(0, #authors[2].books)
            end)
            each_way(Author, { { "books", order_by = { "title" } } }, function(authors)
                assert.equal("A1 A2", names(authors[1].books))
            end)
            local heavy = { where = { weight = op.gt(1) }, order_by = { weight = "desc" } }
            each_way(Book, { tags = heavy }, function(books) assert.equal("lua", names(books[1].tags)) end)
            each_way(Tag, { { "books", where = { author = { name = "Ann" } }, order_by = { "title" } } }, function(tags)
                assert.equal("A1", names(tags[1].books))
                assert.equal("A1 A2", names(tags[2].books))
                assert.equal("", names(tags[3].books))
            end, { "name" })
            each_way(Playlist, { { "tracks", where = { disc = "x" } } }, function(lists)
                assert.equal("x1 x2", names(lists[1].tracks))
                assert.equal("x1", names(lists[2].tracks))
            end, { "owner", "name" })
            each_way(Playlist, { { "tracks", order_by = { "disc", "no desc" } } }, function(lists)
                assert.equal("x2 x1 y1", names(lists[1].tracks))
            end, { "owner", "name" })
            each_way(Track, { { "lists", where = { name = "a" } } }, function(tracks)
                assert.equal("a a a", names(tracks[1].lists) .. " " .. names(tracks[2].lists) .. " "
                    .. names(tracks[3].lists))
            end, { "disc", "no" })
            each_way(Author, { { "friends", where = { name = op.ne "Ben" } } }, function(authors)
                assert.equal("Cid", names(authors[1].friends))
                assert.equal("Ann", names(authors[2].friends))
            end)
            each_way(Student, { { "courses", where = { name = "C" } } }, function(students)
                assert.equal("C", names(students[1].courses))
                assert.equal("", names(students[2].courses))
            end)
        end)

        it("limit and offset count the members of each owner", function()
            each_way(Author, { { "books", limit = 1 } }, function(authors)
                assert.equal("A2", names(authors[1].books))
                assert.equal("B", names(authors[2].books))
                assert.equal("", names(authors[3].books))
            end)
            each_way(Author, { { "books", offset = 1 } }, function(authors)
                assert.equal("A1", names(authors[1].books))
                assert.equal("", names(authors[2].books))
            end)
            each_way(Author, { { "books", limit = 1, offset = 1, order_by = { "title" } } }, function(authors)
                assert.equal("A2", names(authors[1].books))
                assert.equal("", names(authors[2].books))
            end)
            each_way(Author, { { "books", limit = 0 } }, function(authors)
                assert.equal(0, #authors[1].books)
            end)
            each_way(Tag, { { "books", limit = 2, where = { author = op.not_null() } } }, function(tags)
                assert.equal("B A1", names(tags[2].books))
                assert.equal("", names(tags[3].books))
            end, { "name" })
            each_way(Playlist, { { "tracks", limit = 2 } }, function(lists)
                assert.equal("y1 x1", names(lists[1].tracks))
                assert.equal("x1 y1", names(lists[2].tracks))
            end, { "owner", "name" })
            each_way(Author, { { "friends", limit = 1, order_by = { "name desc" } } }, function(authors)
                assert.equal("Cid", names(authors[1].friends))
                assert.equal("Ann", names(authors[2].friends))
            end)
            each_way(Course, { { "students", limit = 1 } }, function(courses)
                assert.equal("Sue", names(courses[1].students))
                assert.equal("Sue", names(courses[2].students))
            end)
        end)

        it("to-one: where says what is loaded, and never touches the foreign key", function()
            for _, is_managed in ipairs { true, false } do
                local own = em:fork()
                local books = own:find(Book, {}, { order_by = by_id, managed = is_managed,
                    populate = { { "author", where = { name = "Ben" }, populate = { "books" } } } })
                assert.equal("Ben", books[3].author.name)
                assert.equal("B", names(books[3].author.books))
                assert.equal(1, books[1].author.id)
                raises("not_loaded", function() return books[1].author.name end, "Author.name")
                assert.is_nil(books[4].author)
            end
            local books = em:find(Book, {}, { order_by = by_id, populate = "author" })
            local list = sent_by(sent, function() em:load(books, { { "author", where = { name = "Ben" } } }) end)
            assert.same({}, list) -- they are all there
            em:load(books, { { "author", where = { name = "Ben" }, populate = { "edited" } } })
            assert.is_true(books[3].author.edited:is_initialized())
            assert.is_false(books[1].author.edited:is_initialized())
            assert.same({}, (sent_by(sent, function() em:flush() end)))
        end)

        it("to-one: an inverse one_to_one shows what its condition holds for", function()
            each_way(Author, { { "profile", where = { site = op.starts_with "cid" } } }, function(authors)
                assert.is_nil(authors[1].profile)
                assert.is_nil(authors[2].profile)
                assert.equal("cid.example", authors[3].profile.site)
            end)
            each_way(Profile, { { "author", where = { name = "Cid" } } }, function(profiles)
                assert.equal("Cid", profiles[2].author.name)
                raises("not_loaded", function() return profiles[1].author.name end)
            end, { "author" })
        end)

        it("fields and exclude of an entry, nested too", function()
            each_way(Author, { { "books", fields = { "title" }, populate = { { "tags", exclude = { "weight" } } } } },
                function(authors)
                    local book = authors[1].books[2]
                    assert.equal("A1", book.title)
                    assert.equal(authors[1], book.author)
                    raises("not_loaded", function() return book.editor end, "Book.editor")
                    assert.equal("c lua", names(book.tags))
                    raises("not_loaded", function() return book.tags[1].weight end, "Tag.weight")
                end)
            each_way(Book, { { "author", fields = { "books.title" } } }, function(books)
                raises("not_loaded", function() return books[1].author.name end, "Author.name")
                assert.equal("A2 A1", names(books[1].author.books))
            end)
            each_way(Author, { { "books", fields = { "title", "text" } } }, function(authors)
                assert.equal("long", authors[1].books[2].text)
            end)
        end)

        it("a bad path or option is refused before anything is sent", function()
            local itself = {}
            itself.author = { populate = { books = { populate = itself } } }
            local function refused(kind, entries, ...)
                local words = { ... }
                local before = #sent
                for _, call in ipairs {
                    function() em:find(Author, {}, { populate = entries }) end,
                    function() em:find(Author, {}, { populate = entries, managed = false }) end,
                    function() em:find_one(Author, 1, { populate = entries }) end,
                    function() em:load(em:get_reference(Author, 1), entries) end,
                } do
                    local err = raises(kind, call)
                    for _, word in ipairs(words) do assert.truthy(err.message:find(word, 1, true), err.message) end
                    assert.truthy(err.entity)
                end
                assert.equal(before, #sent)
            end
            refused("unknown_property", { { "boosk", limit = 1 } }, "did you mean 'books'?")
            refused("unknown_property", { boosk = {} }, "did you mean 'books'?")
            refused("unknown_property", { { "books", populate = { "tgas" } } }, "Book", "did you mean 'tags'?")
            refused("unknown_property", { { "books", limt = 1 } }, "'limt'", "did you mean 'limit'?")
            refused("unknown_property", { books = { wher = {} } }, "did you mean 'where'?")
            refused("unknown_property", { { "books", where = { titel = "x" } } }, "'titel'", "did you mean 'title'?")
            refused("unknown_property", { { "books", order_by = { "titel" } } }, "did you mean 'title'?")
            refused("unknown_property", { { "books", fields = { "titel" } } }, "did you mean 'title'?")
            refused("unknown_property", { { "books", exclude = { "author.nmae" } } }, "did you mean 'name'?")
            refused("validation", { { "books", limit = -1 } }, "'limit'")
            refused("validation", { { "books", limit = 1.5 } }, "'limit'")
            refused("validation", { { "books", limit = "1" } }, "'limit'")
            refused("validation", { { "books", offset = 0 / 0 } }, "'offset'")
            refused("validation", { { "books", limit = math.huge } }, "'limit'")
            refused("validation", { { "books", order_by = "title" } }, "'order_by'")
            refused("validation", { { "books", fields = "title" } }, "'fields'")
            refused("validation", { { "books", fields = { 1 } } }, "'fields'")
            refused("validation", { { "books", strategy = "jioned" } }, "did you mean 'joined'?")
            refused("validation", { { "books", filters = true } }, "'filters'")
            refused("validation", { { "books", where = orm.null } }, "filter")
            refused("validation", { { "books", where = { title = {} } } }, "Book.title")
            refused("validation", { { "books", populate = 1 } }, "'populate'")
            refused("validation", { books = 1 }, "'books'")
            refused("validation", { books = true }, "'books'")
            refused("validation", { books = "tags" }, "'books'")
            refused("validation", { books = { "tags" } }, "'books'")
            refused("validation", { { "books", "tags" } }, "one path")
            refused("validation", { {} }, "one path")
            refused("validation", { { where = {} } }, "one path")
            refused("validation", { setmetatable({ "books" }, {}) }, "list")
            refused("validation", { [3] = "books" }, "holes")
            refused("validation", { [true] = {} }, "holes")
            refused("validation", { { "*", limit = 1 } }, "no options")
            refused("validation", { { "books.text", limit = 1 } }, "no options")
            refused("validation", { { "profile", limit = 1 } }, "'limit'", "Author")
            refused("validation", { { "books.author", limit = 1 } }, "'limit'", "Book")
            refused("validation", { { "books.author", order_by = { "name" } } }, "'order_by'")
            refused("validation", { { "books", limit = 1 }, { "books", limit = 1 } }, "twice")
            refused("validation", { { "books", limit = 1 }, books = { where = { id = 1 } } }, "twice")
            refused("validation", { { "books", exclude = { "author" }, populate = { "author" } } }, "exclude", "author")
            refused("validation", { books = { populate = itself } }, "relations")
            refused("validation", { ("books.author."):rep(200) .. "books" }, "relations")
        end)

        it("what is said twice without contradiction is one level", function()
            local list, authors = sent_by(sent, function()
                return em:find(Author, {}, { order_by = by_id,
                    populate = { "books", "books.tags", { "books", limit = 1 }, books = { populate = { "editor" } } } })
            end)
            assert.equal(3, #list) -- every editor is one of the authors
            assert.equal("A2", names(authors[1].books))
            assert.is_true(orm.is_initialized(authors[1].books[1].editor))
        end)

        it("em:load takes the options of its only path beside it", function()
            local authors = em:find(Author, {}, { order_by = by_id })
            em:load(authors, { "books" }, { where = { title = op.ne "A1" }, order_by = { "title" } })
            assert.equal("A2", names(authors[1].books))
            assert.equal("A1", names(em:load(authors[1], "books", { limit = 1, order_by = { "title" } }).books))
            raises("validation", function() em:load(authors, { "books", "edited" }, { limit = 1 }) end, "one path")
            raises("validation", function() em:load(authors, nil, { where = {} }) end, "one path")
            raises("validation", function() em:load(authors, { "books" }, { limit = "x" }) end, "'limit'")
            raises("unknown_property", function() em:load(authors, { "books" }, { limti = 1 }) end, "'limit'")
            raises("validation", function() em:load(authors, { "books" }, 1) end, "em:load")
        end)

        it("a collection loads itself in part", function()
            local ann = em:find_one(Author, 1)
            assert.equal("A2", names(ann.books:load { limit = 1 }))
            assert.same({}, (sent_by(sent, function() ann.books:load { limit = 1 } end)))
            assert.equal("A1", names(ann.books:load { where = { title = "A1" }, populate = { "tags" } }))
            assert.equal("c lua", names(ann.books[1].tags))
            assert.equal("A2 A1", names(ann.books:load()))
            assert.same({}, (sent_by(sent, function() ann.books:load() end)))
            raises("unknown_property", function() ann.books:load { lmit = 1 } end, "did you mean 'limit'?")
            raises("validation", function() ann.books:load { limit = {} } end, "'limit'")
            raises("validation", function() ann.books:load { timeout = {}, refresh = 1 } end, "'refresh'")
            raises("unknown_property", function() ann.books:load { where = { titel = 1 } } end, "'title'")
        end)

        it("a condition sees what is pending: it is flushed before the first statement", function()
            local ann = em:find_one(Author, 1)
            local book = em:find_one(Book, 1)
            book.title = "Z1"
            local list, authors = sent_by(sent, function()
                return em:find(Author, { id = 1 }, { populate = { { "books", where = { title = op.like "Z%" } } } })
            end)
            assert.equal(ann, authors[1])
            assert.equal("Z1", names(ann.books))
            assert.truthy(list[1]:find("^UPDATE") or list[1]:find("^BEGIN"), list[1])
            em:find_one(Author, 2).name = "Benno"
            em:load(em:find(Book, {}), { { "author", where = { name = "Benno" } } })
            assert.equal("Benno", work.raw:value "select name from authors where id = 2")
        end)
    end)
end)
