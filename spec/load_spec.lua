-- em:load, and what collections read: load, load_count, matching. And relations of entities registered while instances
-- are about.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local library = require "spec.support.library"
local orm = require "heddle"

local raises, sent_by, names = expect.raises, expect.sent_by, library.names
local Author, Book, Tag, Profile = library.Author, library.Book, library.Tag, library.Profile
local Playlist, Track, Student, Course = library.Playlist, library.Track, library.Student, library.Course
local op = orm.op

local by_id = { "id" }

databases.each(function(db)
    describe("loading", function()
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

        local function count_of(fn) return #sent_by(sent, fn) end

        it("em:load reads what is not loaded and gives back what it was given", function()
            local authors = em:find(Author, {}, { order_by = by_id })
            assert.equal(2, count_of(function()
                assert.equal(authors, em:load(authors, { "books.tags" }))
            end))
            assert.equal("c lua", names(authors[1].books[2].tags))
            assert.equal(0, count_of(function()
                assert.equal(authors[2], em:load(authors[2], { "books", "books.tags" }))
                assert.same({}, em:load({}, { "books" }))
            end))
            assert.equal(1, count_of(function() em:load(authors[1], "edited") end))
            assert.equal("B", names(authors[1].edited))
        end)

        it("references become loaded, alone or at the beginning of a path", function()
            local ann, ben = em:get_reference(Author, 1), em:get_reference(Author, 2)
            assert.equal(1, count_of(function() em:load({ ann, ben }) end))
            assert.equal("Ann", ann.name)
            assert.is_true(orm.is_initialized(ben))
            local book = em:fork():get_reference(Book, 1)
            local other = getmetatable(book).box.shelf.em
            assert.equal(2, count_of(function() other:load(book, { "author" }) end))
            assert.equal("A1", book.title)
            assert.equal("Ann", book.author.name)
        end)

        it("refresh reads again what is loaded and drops what was changed", function()
            local ann = em:find_one(Author, 1, { populate = { "books" } })
            local book = ann.books[1]
            book.title = "mine"
            work.raw:exec "update books set title = title || '!'"
            work.raw:exec "update authors set name = 'Anna' where id = 1"
            em:load(ann, { "books" }, { refresh = true, flush_mode = "commit" })
            assert.equal("Anna", ann.name)
            assert.equal("A2!", book.title)
        end)

        it("load of to-one relations never flushes, that of others flushes what it reads", function()
            local book = em:find_one(Book, 1)
            book.author.name = "changed"
            em:load(book, { "author", "editor" })
            assert.equal("Ann", work.raw:value "select name from authors where id = 1")
            local ben = em:find_one(Author, 2)
            em:load(ben, { "books" })
            assert.equal("Ann", work.raw:value "select name from authors where id = 1")
            em:load(ben, { "friends" })
            assert.equal("changed", work.raw:value "select name from authors where id = 1")
            book.author = ben
            em:load(em:find_one(Author, 3), { "books" }, { flush_mode = "commit" })
            assert.equal("1", work.raw:value "select author_id from books where id = 1")
            em:load(em:find_one(Author, 1), { "books" })
            assert.equal("2", work.raw:value "select author_id from books where id = 1")
        end)

        it("what cannot be loaded is refused before anything is sent", function()
            local ann, stranger = em:find_one(Author, 1), em:fork():find_one(Author, 1)
            local sql = em:find_one(Tag, "sql")
            assert.equal(0, count_of(function()
                raises("unknown_property", function() em:load(ann, { "boks" }) end, "'books'")
                raises("unknown_property", function() em:load(ann, { "books" }, { refesh = true }) end, "'refresh'")
                raises("validation", function() em:load(ann, { "books" }, { refresh = 1 }) end, "refresh")
                raises("validation", function() em:load(7, { "books" }) end, "number")
                raises("validation", function() em:load({ id = 7 }, { "books" }) end, "table")
                raises("validation", function() em:load({ { id = 7 } }, { "books" }) end, "table")
                raises("validation", function() em:load({ ann, nil, ann }, { "books" }) end, "without holes")
                raises("validation", function() em:load({ ann, first = ann }, { "books" }) end, "table")
                raises("validation", function() em:load(Author, { "books" }) end, "not an entity")
                raises("validation", function() ann.books:load { "friends" } end, "books", "list")
                raises("validation", function() em:load({ ann, sql }, { "books" }) end, "Author", "Tag")
                raises("not_managed", function() em:load(stranger, { "books" }) end, "em:merge")
                raises("not_managed", function() em:load(Author { name = "x" }, { "books" }) end, "not managed")
            end))
        end)

        it("a collection loads itself, once", function()
            local ann = em:find_one(Author, 1)
            assert.equal(1, count_of(function() assert.equal("A2 A1", names(ann.books:load())) end))
            assert.equal(0, count_of(function() ann.books:load() end))
            work.raw:exec "delete from books_tags"
            work.raw:exec "update books set author_id = 1 where id = 4"
            assert.equal(1, count_of(function() ann.books:load { refresh = true } end))
            assert.equal("none A2 A1", names(ann.books))
            assert.equal("A1 A2 none", names(em:fork():find_one(Author, 1).books:load { order_by = { "title" } }))
            raises("unknown_property", function() ann.books:load { wher = {} } end, "'where'")
            raises("validation", function() ann.books:load { refresh = "yes" } end, "refresh")
        end)

        it("what was added and removed before stays so", function()
            local book = em:find_one(Book, 1)
            book.tags:add(em:find_one(Tag, "sql"))
            book.tags:remove(em:find_one(Tag, "c"))
            book.tags:load { flush_mode = "commit" }
            assert.equal("lua sql", names(book.tags))
            assert.is_true(book.tags:is_dirty())
            em:flush()
            assert.same({ { "lua" }, { "sql" } },
                work.raw:rows "select tag_name from books_tags where book_id = 1 order by tag_name")
        end)

        it("load_count counts in the database and reads no member", function()
            local ann, lua = em:find_one(Author, 1), em:find_one(Tag, "lua")
            local list = sent_by(sent, function()
                assert.equal(2, ann.books:load_count())
                assert.equal(2, ann.friends:load_count())
                assert.equal(1, ann.fans:load_count())
                assert.equal(3, lua.books:load_count())
            end)
            assert.equal(4, #list)
            assert.is_false(ann.books:is_initialized())
            assert.equal(3, em:find_one(Playlist, { "ann", "a" }).tracks:load_count())
            assert.equal(2, em:find_one(Track, { "y", 1 }).lists:load_count())
            em:persist(Book { title = "new", author = ann })
            assert.equal(3, ann.books:load_count())
        end)

        it("matching finds members as find finds entities", function()
            local ann, lua = em:find_one(Author, 1), em:find_one(Tag, "lua")
            local a1 = em:find_one(Book, 1)
            assert.same({ a1 }, ann.books:matching { title = op.like "%1" })
            assert.equal("A2 A1", names(ann.books:matching {}))
            assert.equal("A1 A2", names(ann.books:matching({}, { order_by = { "title" } })))
            assert.equal("A1", names(ann.books:matching({}, { limit = 1, offset = 1 })))
            assert.equal("A1 A2", names(lua.books:matching { author = { name = "Ann" } }))
            assert.equal("B", names(lua.books:matching { author = op.ne(1) }))
            assert.equal("", names(lua.books:matching { title = "none" }))
            assert.is_false(ann.books:is_initialized())
            local list = sent_by(sent, function()
                local book = lua.books:matching({ id = 1 }, { populate = { "tags", "author.profile" } })[1]
                assert.equal(a1, book)
                assert.equal("c lua", names(book.tags))
                assert.equal("ann.example", book.author.profile.site)
            end)
            assert.equal(3, #list)
            local plain = lua.books:matching({ id = 1 }, { managed = false })[1]
            assert.is_false(em:contains(plain))
            assert.equal("y1 x1 x2", names(em:find_one(Playlist, { "ann", "a" }).tracks:matching {}))
            assert.equal("x2", names(em:find_one(Playlist, { "ann", "a" }).tracks:matching { no = 2 }))
            assert.equal("Sue", names(em:find_one(Course, 2).students:matching {}))
            assert.equal("C", names(em:find_one(Student, 1).courses:matching { name = "C" }))
        end)

        it("matching sees what is pending, and refuses what find refuses", function()
            local book, sql = em:find_one(Book, 1), em:find_one(Tag, "sql")
            book.tags:add(sql)
            assert.same({ sql }, book.tags:matching { name = "sql" })
            assert.equal("3", work.raw:value "select count(*) from books_tags where book_id = 1")
            raises("unknown_property", function() book.tags:matching { nam = 1 } end, "'name'")
            raises("validation", function() book.tags:matching(nil) end, "filter")
            raises("unknown_property", function() book.tags:matching({}, { limt = 1 }) end, "'limit'")
            raises("unknown_property", function() book.tags:matching({}, { populate = { "x" } }) end, "'x'")
        end)

        it("an inverse one_to_one is loaded with em:load, and said to be missing before", function()
            local ann, ben = em:find_one(Author, 1), em:find_one(Author, 2)
            raises("not_loaded", function() return ann.profile end, "Author.profile", "em:load")
            em:load({ ann, ben }, { "profile" })
            assert.equal(ann, ann.profile.author)
            assert.equal(em:find_one(Profile, 1), ann.profile)
            assert.is_nil(ben.profile)
        end)

        it("I1: a removed row comes in no collection that is loaded afterwards", function()
            local ann, a1 = em:find_one(Author, 1), em:find_one(Book, 1)
            em:remove(a1)
            ann.books:load()
            assert.equal("A2", names(ann.books))
            assert.equal("1", work.raw:value "select count(*) from books where author_id = 1")
        end)

        it("F1: collections that were read in a transaction are unread after its rollback", function()
            local ann = em:find_one(Author, 1)
            pcall(em.transactional, em, function(tx)
                tx:load(ann, { "books" })
                assert.is_true(ann.books:is_initialized())
                error "no"
            end)
            assert.is_false(ann.books:is_initialized())
            assert.equal("A2 A1", names(ann.books:load()))
        end)
    end)

    describe("entities that are registered later", function()
        local id = { "id", type = "integer", primary = true }
        local Group = orm.entity { name = "Group", table = "groups", id, { "name", type = "string" },
            { "people", many_to_many = "Person" } }
        local Person = orm.entity { name = "Person", table = "people", id, { "name", type = "string" },
            { "groups", many_to_many = "Group", mapped_by = "people" },
            { "boss", many_to_one = "Person", nullable = true }, { "staff", one_to_many = "Person",
                mapped_by = "boss" } }
        local Badge = orm.entity { name = "Badge", table = "badges", id, { "person", one_to_one = "Person" },
            { "doors", many_to_many = "Door", fixed_order = true } }
        local Door = orm.entity { name = "Door", table = "doors", id, { "name", type = "string" },
            { "badges", many_to_many = "Badge", mapped_by = "doors" } }

        after_each(function()
            orm.close()
            db:close()
        end)

        it("leave instances, collections and pivots that are managed as they are", function()
            local config = db:config { entities = { Group, Person } }
            local instance = orm.init(config)
            local em = orm.em():fork()
            instance.schema:create()
            local group = em:create(Group, { name = "g" })
            local ann, ben = Person { name = "Ann" }, Person { name = "Ben" }
            group.people:add(ann, ben)
            ben.boss = ann
            em:persist(group):flush()
            local other = em:fork()
            local known = other:find_one(Group, group.id, { populate = { "people" } })
            local unread = other:find_one(Person, ann.id)
            unread.groups:remove(known)
            known.name = "changed"

            orm.register { Badge, Door }
            for i = #instance.schema:create_sql(), 1, -1 do
                local sql = instance.schema:create_sql()[i]
                if not sql:find "badges" and not sql:find "doors" then sql = nil end
                if sql and sql:find "^CREATE TABLE" then em:execute(sql) end
            end
            local door = Door { name = "d" }
            local badge = Badge { person = unread }
            badge.doors:add(door)
            other:persist(badge):flush()
            local raw = db:raw(config)
            assert.same({ { tostring(badge.id), tostring(ann.id) } }, raw:rows "select id, person_id from badges")
            assert.equal("1", raw:value "select count(*) from badges_doors")
            assert.equal("changed", raw:value "select name from groups")
            assert.same({ { tostring(ben.id) } }, raw:rows "select person_id from groups_people")
            assert.equal("Ben", library.names(known.people))
            other:load(unread, { "groups", "staff" })
            assert.equal(0, #unread.groups)
            assert.equal("Ben", unread.staff[1].name)
            assert.equal(known.people[1], unread.staff[1])
            assert.equal(badge, other:find_one(Badge, badge.id, { populate = { "doors.badges" } }).doors[1].badges[1])
            known.people:add(unread)
            other:flush()
            assert.equal("2", raw:value "select count(*) from groups_people")
        end)
    end)
end)
