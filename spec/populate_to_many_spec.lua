-- Populate of to-many relations and of inverse sides: one query a level, in a fixed order, into instances of the
-- identity map or of nobody.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local library = require "spec.support.library"
local orm = require "heddle"
local unit = require "spec.support.unit"

local raises, sent_by, names = expect.raises, expect.sent_by, library.names
local Author, Book, Tag, Profile = library.Author, library.Book, library.Tag, library.Profile
local Playlist, Track, Student, Course = library.Playlist, library.Track, library.Student, library.Course

local by_id = { "id" }

databases.each(function(db)
    describe("populate of to-many relations", function()
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

        it("Q3: a one_to_many costs one query, in the order that the relation has", function()
            local list, authors = sent_by(sent, function()
                return em:find(Author, {}, { populate = { "books" }, order_by = by_id })
            end)
            assert.equal(2, #list)
            list = sent_by(sent, function()
                assert.equal("A2 A1", names(authors[1].books))
                assert.equal("B", names(authors[2].books))
                assert.equal("", names(authors[3].books))
                assert.is_true(authors[3].books:is_initialized())
                assert.is_false(authors[1].books:is_dirty())
                assert.equal(authors[1], authors[1].books[1].author)
                assert.equal("Ann", authors[1].books[2].author.name)
            end)
            assert.same({}, list)
            assert.has_error(function() return #authors[1].edited end)
            assert.same({}, sent_by(sent, function() em:flush() end))
        end)

        it("Q3: a many_to_many costs one query, from either side", function()
            local list, books = sent_by(sent, function()
                return em:find(Book, {}, { populate = { "tags" }, order_by = by_id })
            end)
            assert.equal(2, #list)
            assert.equal("c lua", names(books[1].tags))
            assert.equal("lua", names(books[2].tags))
            assert.equal("sql", names(books[4].tags))
            assert.equal(books[1].tags[2], books[3].tags[1])
            local tags
            list, tags = sent_by(sent, function()
                return em:find(Tag, {}, { populate = { "books" }, order_by = { "name desc" } })
            end)
            assert.equal(2, #list)
            assert.equal("none", names(tags[1].books))
            assert.equal("B A1 A2", names(tags[2].books))
            assert.equal(books[1], tags[2].books[2])
            assert.equal(tags[2], books[1].tags[2])
            assert.same({}, sent_by(sent, function() em:flush() end))
        end)

        it("a relation of an entity to itself has its two sides", function()
            local authors = em:find(Author, {}, { populate = { "friends", "fans" }, order_by = by_id })
            assert.equal("Ben Cid", names(authors[1].friends))
            assert.equal("Ben", names(authors[1].fans))
            assert.equal("Ann", names(authors[2].friends))
            assert.equal("", names(authors[3].friends))
            assert.equal("Ann", names(authors[3].fans))
            assert.equal(authors[2], authors[1].friends[1])
        end)

        it("composite keys, and a fixed order, whichever side is read", function()
            local list, lists = sent_by(sent, function()
                return em:find(Playlist, {}, { populate = { "tracks" }, order_by = { "name" } })
            end)
            assert.equal(2, #list)
            assert.equal("y1 x1 x2", names(lists[1].tracks))
            assert.equal("x1 y1", names(lists[2].tracks))
            local tracks = em:find(Track, {}, { populate = { "lists" }, order_by = { "disc", "no" } })
            assert.equal("b a", names(tracks[1].lists))
            assert.equal("a", names(tracks[2].lists))
            assert.equal(lists[1], tracks[2].lists[1])
        end)

        it("a pivot that is an entity", function()
            local students = em:find(Student, {}, { populate = { "courses", "enrolments.course" }, order_by = by_id })
            assert.equal("Lua C", names(students[1].courses))
            assert.equal("Lua", names(students[2].courses))
            assert.equal(5, students[1].enrolments[1].grade)
            assert.equal(students[1].courses[2], students[1].enrolments[2].course)
            assert.equal("Sue Tom", names(em:find(Course, 1, { populate = { "students" } })[1].students))
        end)

        it("the inverse side of a one_to_one, there or not", function()
            local list, authors = sent_by(sent, function()
                return em:find(Author, {}, { populate = { "profile" }, order_by = by_id })
            end)
            assert.equal(2, #list)
            list = sent_by(sent, function()
                assert.equal("ann.example", authors[1].profile.site)
                assert.is_nil(authors[2].profile)
                assert.equal(authors[3], authors[3].profile.author)
            end)
            assert.same({}, list)
        end)

        it("populating the owner's side of a one_to_one tells the inverse side", function()
            local profiles = em:find(Profile, {}, { populate = { "author" } })
            assert.equal(2, #profiles)
            assert.same({}, sent_by(sent, function()
                for _, profile in ipairs(profiles) do assert.equal(profile, profile.author.profile) end
                em:load(profiles[1].author, { "profile" })
            end))
        end)

        it("Q3: one query for each level of a path, whatever stands in it", function()
            local list, authors = sent_by(sent, function()
                return em:find(Author, {}, { populate = { "books.tags.books.editor.profile" }, order_by = by_id })
            end)
            -- The editors are authors that the first query read.
            assert.equal(5, #list)
            list = sent_by(sent, function()
                assert.equal("c lua", names(authors[1].books[2].tags))
                assert.equal("B A1 A2", names(authors[2].books[1].tags[1].books))
                assert.equal("ann.example", authors[2].books[1].editor.profile.site)
            end)
            assert.same({}, list)
        end)

        it("* is every relation, and lazy properties can end a path", function()
            local list, authors = sent_by(sent, function()
                return em:find(Author, {}, { populate = { "*", "books.text" }, order_by = by_id })
            end)
            assert.equal(6, #list) -- the lazy property comes with the books
            list = sent_by(sent, function()
                local ann = authors[1]
                assert.equal("A2 A1", names(ann.books))
                assert.equal("B", names(ann.edited))
                assert.equal("Ben Cid", names(ann.friends))
                assert.equal("Ben", names(ann.fans))
                assert.equal("ann.example", ann.profile.site)
                assert.equal("long", ann.books[2].text)
            end)
            assert.same({}, list)
        end)

        it("what is loaded is not read again, unless it is to be refreshed", function()
            local authors = em:find(Author, {}, { populate = { "books.tags" }, order_by = by_id })
            assert.equal(1, #sent_by(sent, function()
                em:find(Author, {}, { populate = { "books.tags" } })
            end))
            work.raw:exec "update books set title = 'A0', author_id = 2 where id = 1"
            work.raw:exec "delete from books_tags where book_id = 3"
            em:find(Author, {}, { populate = { "books.tags" } })
            assert.equal("A2 A1", names(authors[1].books))
            assert.equal(3, #sent_by(sent, function()
                em:find(Author, {}, { populate = { "books.tags" }, refresh = true })
            end))
            assert.equal("A2", names(authors[1].books))
            assert.equal("B A0", names(authors[2].books))
            assert.equal("", names(authors[2].books[1].tags))
            assert.equal(authors[2], authors[2].books[2].author)
        end)

        it("only those that are not known are asked for", function()
            local ann = em:find_one(Author, 1, { populate = { "books" } })
            local list = sent_by(sent, function() em:find(Author, {}, { populate = { "books" } }) end)
            assert.equal(2, #list)
            assert.equal("A2 A1", names(ann.books))
            assert.equal("B", names(em:find_one(Author, 2).books))
            assert.same({}, sent_by(sent, function()
                em:find_one(Author, 1, { populate = { "books" } })
            end))
        end)

        it("what memory holds stays: members added, removed, moved and new ones", function()
            local ann, ben = em:find_one(Author, 1), em:find_one(Author, 2)
            local a1, b = em:find_one(Book, 1), em:find_one(Book, 3)
            a1.author = ben
            ann.books:add(b, Book { title = "new" })
            em:persist(ann)
            assert.equal(1, #sent_by(sent, function()
                em:load({ ann, ben }, { "books" }, { flush_mode = "commit" })
            end))
            assert.equal("A2 B new", names(ann.books))
            assert.equal("A1", names(ben.books))
            em:flush()
            assert.same({ { "A1", "2" }, { "A2", "1" }, { "B", "1" }, { "new", "1" }, { "none", false } },
                work.raw:rows "select title, author_id from books order by title")
        end)

        it("a path goes on over new members that nobody manages yet", function()
            local ann = em:find_one(Author, 1, { populate = { "books" } })
            for i = #ann.books, 1, -1 do ann.books:remove(ann.books[i]) end
            ann.books:add(Book { title = "new", tags = { em:find_one(Tag, "c") } }, em:find_one(Book, 3))
            em:load(ann, { "books.tags" }, { flush_mode = "commit" })
            assert.equal("c", names(ann.books[1].tags))
            assert.equal("lua", names(ann.books[2].tags))
        end)

        it("a find flushes what its populate is going to read", function()
            local ann = em:find_one(Author, 1)
            local book = em:find_one(Book, 4)
            book.author = ann
            local tag = em:find_one(Tag, "c")
            book.tags:add(tag)
            em:find(Author, { id = 1 }, { populate = { "books.tags" } })
            assert.equal("none A2 A1", names(ann.books))
            assert.equal("c sql", names(book.tags))
            assert.equal("1", work.raw:value "select author_id from books where id = 4")
            assert.equal("2", work.raw:value "select count(*) from books_tags where book_id = 4")
        end)

        it("I3: rows that are known are refreshed but for what was changed in memory", function()
            local a1, a2 = em:find_one(Book, 1), em:find_one(Book, 2)
            a1.title = "mine"
            work.raw:exec "update books set title = title || '!'"
            em:find_one(Author, 1, { populate = { "books" }, flush_mode = "commit" })
            em:load(em:find_one(Author, 1), { "books" }, { flush_mode = "commit" })
            assert.equal("mine", a1.title)
            assert.equal("A2!", a2.title)
        end)

        it("new instances of one query get on_load, each once", function()
            local loaded = {}
            work.instance:on("on_load", function(e) loaded[#loaded + 1] = tostring(e):match "^%S+" end)
            em:find(Tag, {}, { populate = { "books" }, order_by = { "name" } })
            table.sort(loaded)
            assert.same({ "Book#1", "Book#2", "Book#3", "Book#4", "Tag#c", "Tag#lua", "Tag#sql" }, loaded)
        end)

        it("managed = false fills the collections of plain instances, a row one instance in each query", function()
            local list, authors = sent_by(sent, function()
                return em:find(Author, {}, { populate = { "books.tags.books", "profile", "friends" }, order_by = by_id,
                    managed = false })
            end)
            assert.equal(6, #list)
            list = sent_by(sent, function()
                assert.equal("A2 A1", names(authors[1].books))
                assert.equal("", names(authors[3].books))
                assert.equal("c lua", names(authors[1].books[2].tags))
                assert.equal("B A1 A2", names(authors[1].books[2].tags[2].books))
                assert.equal(authors[1].books[2], authors[1].books[2].tags[2].books[2])
                assert.equal(authors[1], authors[1].books[1].author)
                assert.equal("ann.example", authors[1].profile.site)
                assert.is_nil(authors[2].profile)
                assert.equal(authors[1], authors[1].profile.author)
                assert.equal(authors[3], authors[1].friends[2])
            end)
            assert.same({}, list)
            assert.is_false(em:contains(authors[1]))
            assert.has_error(function() return #authors[1].edited end)
            local profile = em:find(Profile, {}, { populate = { "author" }, managed = false })[1]
            assert.equal(profile, profile.author.profile)
            local lists = em:find(Playlist, {}, { populate = { "tracks.lists" }, managed = false,
                order_by = { "name" } })
            assert.equal("y1 x1 x2", names(lists[1].tracks))
            assert.equal(lists[2], lists[2].tracks[1].lists[1])
        end)

        it("more owners than one statement takes, and composite keys of them", function()
            em:transactional(function(tx)
                for i = 1, 9000 do
                    tx:insert(Playlist, { owner = "many", name = ("%05d"):format(i) })
                end
                tx:execute [[insert into playlists_tracks (playlist_owner, playlist_name, track_disc, track_no)
                    select owner, name, 'x', 2 from playlists where owner = 'many']]
            end)
            local list, lists = sent_by(sent, function()
                return em:find(Playlist, { owner = "many" }, { populate = { "tracks" } })
            end)
            assert.equal(3, #list)
            assert.equal(9000, #lists)
            for _, item in ipairs(lists) do assert.equal(2, item.tracks[1].no) end
        end)

        it("Q1: a path that leads nowhere is refused before anything is sent", function()
            local list = sent_by(sent, function()
                raises("unknown_property", function() em:find(Author, {}, { populate = { "boks" } }) end, "'books'")
                raises("unknown_property", function() em:find(Author, {}, { populate = { "books.tag" } }) end, "'tags'")
                raises("validation", function() em:find(Author, {}, { populate = { "name" } }) end, "'name'")
                raises("validation", function() em:find(Author, {}, { populate = { "books.title" } }) end, "'title'")
            end)
            assert.same({}, list)
        end)
    end)

    describe("eager to-many relations", function()
        local Team = orm.entity { name = "Team", { "id", type = "integer", primary = true },
            { "players", one_to_many = "Player", mapped_by = "team", eager = true } }
        local Player = orm.entity { name = "Player", { "id", type = "integer", primary = true },
            { "team", many_to_one = "Team" }, { "skills", many_to_many = "Skill", eager = true } }
        local Skill = orm.entity { name = "Skill", { "id", type = "integer", primary = true } }

        it("come with every find, in one query each, managed or not", function()
            local work = unit.open(db, { Team, Player, Skill })
            work.raw:exec "insert into team (id) values (1), (2)"
            work.raw:exec "insert into player (id, team_id) values (1, 1), (2, 1), (3, 2)"
            work.raw:exec "insert into skill (id) values (1), (2)"
            work.raw:exec "insert into player_skills (player_id, skill_id) values (1, 2), (2, 1), (2, 2)"
            local sent = expect.statements(work.instance)
            for _, opts in ipairs { { order_by = by_id }, { order_by = by_id, managed = false } } do
                local em = work:fork()
                local list, teams = sent_by(sent, function() return em:find(Team, {}, opts) end)
                assert.equal(3, #list)
                assert.equal(2, #teams[1].players)
                assert.equal(1, #teams[1].players[1].skills)
                assert.equal(2, #teams[1].players[2].skills)
                assert.equal(0, #teams[2].players[1].skills)
            end
            assert.equal(3, #sent_by(sent, function() work:fork():find_one(Team, 1) end))
            work:close()
            db:close()
        end)
    end)
end)
