-- op.some, op.none and op.every: relations of every kind, nested, with NULLs, inheritance, in writes, and what they
-- cost.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local library = require "spec.support.library"
local orm = require "heddle"
local staff = require "spec.support.staff"
local unit = require "spec.support.unit"

local op = orm.op
local Author, Book, Tag = library.Author, library.Book, library.Tag
local raises = expect.raises

databases.each(function(db)
    describe("filters over collections", function()
        local work, em, raw

        before_each(function()
            work = library.open(db)
            em, raw = work.em, work.raw
        end)

        after_each(function()
            work:close()
            db:close()
        end)

        local function names(E, where)
            local found = em:find(E, where, { order_by = E == library.Track and { "disc", "no" }
                or E == library.Playlist and { "owner", "name" } or E == Tag and { "name" } or { "id" } })
            assert.equal(#found, em:count(E, where))
            return library.names(found)
        end

        it("one_to_many: some, none, every, and any member at all", function()
            assert.equal("Ann", names(Author, { books = op.some { title = "A1" } }))
            assert.equal("Ben Cid", names(Author, { books = op.none { title = op.like "A%" } }))
            assert.equal("Ann Cid", names(Author, { books = op.every { title = op.like "A%" } }))
            assert.equal("Ann Ben", names(Author, { books = op.some {} }))
            assert.equal("Cid", names(Author, { books = op.none {} }))
            assert.equal("Ann", names(Author, { books = op.all { op.some { title = "A1" },
                op.some { title = "A2" } } }))
            assert.equal("", names(Author, { books = op.some { title = op.all { op.eq "A1", op.eq "A2" } } }))
            assert.equal("Ann Cid", names(Author, { books = op.any { op.some { title = "A1" }, op.none {} } }))
            assert.equal("Ben Cid", names(Author, { books = op.negate(op.some { title = "A1" }) }))
            assert.equal("Ann", names(Author, { books = op.some { title = "A1" }, edited = op.some {}, name = "Ann" }))
        end)

        it("many_to_many from both sides, to itself, over composite keys and over an entity", function()
            assert.equal("A1 A2 B", names(Book, { tags = op.some { name = "lua" } }))
            assert.equal("A1", names(Book, { tags = op.some { weight = 1 } }))
            assert.equal("A2 B none", names(Book, { tags = op.every { weight = op.gt(1) } }))
            assert.equal("lua", names(Tag, { books = op.some { title = "B" } }))
            assert.equal("c sql", names(Tag, { books = op.none { title = "B" } }))
            assert.equal("Ann", names(Author, { friends = op.some { name = "Cid" } }))
            assert.equal("Ben Cid", names(Author, { fans = op.some { name = "Ann" } }))
            assert.equal("Ann", names(Author, { friends = op.some { friends = op.some { name = "Ann" } } }))
            assert.equal(2, em:count(library.Playlist, { tracks = op.some { disc = "y" } }))
            assert.equal(1, em:count(library.Playlist, { tracks = op.some { disc = "x", no = 2 } }))
            assert.equal(0, em:count(library.Playlist, { tracks = op.every { disc = "x" } }))
            assert.equal("x1 y1", names(library.Track, { lists = op.some { name = "b", owner = "ann" } }))
            assert.equal("Tom", names(library.Student, { courses = op.every { name = "Lua" } }))
            assert.equal("Sue", names(library.Student, { courses = op.some { name = "C" } }))
            assert.equal("Sue", names(library.Student, { enrolments = op.some { grade = 5,
                course = { name = "Lua" } } }))
            assert.equal("Lua", names(library.Course, { students = op.some { name = "Tom" } }))
        end)

        it("members by key: a key, a composite key, an entity, one_of of them; a pair is enough to read", function()
            local lua, sql = em:find_one(Tag, "lua"), em:get_reference(Tag, "sql")
            assert.equal("A1 A2 B", names(Book, { tags = op.some "lua" }))
            assert.equal("A1 A2 B", names(Book, { tags = op.some(lua) }))
            assert.equal("A1 none", names(Book, { tags = op.some(op.one_of { "c", sql }) }))
            assert.equal("A1 A2 B", names(Book, { tags = op.every(op.one_of { lua, "c" }) }))
            assert.equal("A2 B none", names(Book, { tags = op.none(op.eq "c") }))
            assert.equal("A1 none", names(Book, { tags = op.some(op.ne "lua") }))
            assert.equal("Ann", names(Author, { books = op.some(1) }))
            assert.equal("Ben", names(Author, { books = op.some(op.one_of { 3, 77 }) }))
            assert.equal(1, em:count(library.Playlist, { tracks = op.some { "x", 2 } }))
            assert.equal(2, em:count(library.Playlist, { tracks = op.some(op.one_of { { "x", 2 }, { "y", 1 } }) }))
            work:forget()
            em:count(Book, { tags = op.some(op.one_of { "c", "sql" }) })
            assert.is_nil(work:work_statements()[1]:find('"tags" AS', 1, true))
        end)

        it("to-one relations and inverse sides of one_to_one take them too, and are never unknown", function()
            assert.equal("A1 A2", names(Book, { author = op.some { name = "Ann" } }))
            assert.equal("B none", names(Book, { author = op.none { name = "Ann" } }))
            assert.equal("A1 A2 none", names(Book, { author = op.every { name = "Ann" } }))
            assert.equal("none", names(Book, { author = op.none {} }))
            assert.equal("A1 A2 B", names(Book, { author = op.some {} }))
            assert.equal("Ann", names(Author, { profile = op.some { site = op.starts_with "ann" } }))
            assert.equal("Ben", names(Author, { profile = op.none {} }))
            assert.equal("Ann Ben", names(Author, { profile = op.every { site = op.starts_with "ann" } }))
            assert.equal("A1 A2", names(Book, { author = op.some(1) }))
            assert.equal("B", names(Book, { author = op.some(op.all { { name = "Ben" }, { books = op.some {} } }) }))
        end)

        it("nested to any depth, inside any, all and negate, through to-one relations and back", function()
            assert.equal("Ann Ben", names(Author, { books = op.some { tags = op.some { name = "lua" } } }))
            assert.equal("Ben Cid", names(Author, { books = op.every { tags = op.every { weight = 2 } } }))
            assert.equal("A1 A2 none", names(Book, op.any { { tags = op.some "sql" },
                { author = { books = op.some { title = "A1" } } } }))
            assert.equal("B none", names(Book, op.negate { author = { books = op.some { title = "A1" } } }))
            assert.equal("Ann", names(Author, { profile = { author = { books = op.some { editor = {
                books = op.some { title = "B" } } } } } }))
            local where = { title = "A1" }
            for _ = 1, 6 do where = { author = { books = op.some(where) } } end
            assert.equal("A1 A2", names(Book, where))
        end)

        it("Q5: a member for which the condition is unknown does not fulfil it", function()
            raw:exec "insert into books (id, title, author_id, text) values (5, 'C', 3, null), (6, 'D', 3, 'long')"
            assert.equal("", names(Author, { books = op.every { text = "long" }, name = "Cid" }))
            assert.equal("Cid", names(Author, { books = op.some { text = "long" }, name = "Cid" }))
            assert.equal("", names(Author, { books = op.every { text = op.ne "short" }, name = "Cid" }))
            assert.equal("", names(Author, { books = op.every(op.negate { text = "short" }), name = "Cid" }))
            assert.equal("Cid", names(Author, { books = op.every { text = op.one_of { "long", orm.null } },
                name = "Cid" }))
            assert.equal("Cid", names(Author, { books = op.none { text = "short" }, name = "Cid" }))
            assert.equal("Cid", names(Author, { books = op.every { editor = orm.null }, name = "Cid" }))
            assert.equal("", names(Author, { books = op.every { editor = { name = "Ann" } }, name = "Cid" }))
        end)

        it("a table, a key, an entity, op.eq and op.one_of of these under a collection speak of some member", function()
            assert.equal("Ann", names(Author, { books = { title = "A1" } }))
            assert.equal("Ann", names(Author, { books = { title = op.like "A%" } })) -- of two books, and once
            assert.equal("Ben Cid", names(Author, op.negate { books = { title = op.like "A%" } }))
            assert.equal("Ann Ben", names(Author, { books = { tags = { name = "lua" } } }))
            assert.equal("Ann", names(Author, { books = op.all { { title = "A1" }, { title = "A2" } } }))
            assert.equal("", names(Author, { books = { title = op.all { op.eq "A1", op.eq "A2" } } }))
            assert.equal("A1 A2 B", names(Book, { tags = "lua" }))
            assert.equal("A1 A2 B", names(Book, { tags = op.eq "lua" }))
            assert.equal("A1 A2 B", names(Book, { tags = em:find_one(Tag, "lua") }))
            assert.equal("A1 A2 B", names(Book, { tags = op.one_of { "lua", "none of them" } }))
            assert.equal("A1 A2", names(Book, { author = { books = { title = "A1" } } }))
        end)

        it("Q1: what is no condition on members is refused with what to write", function()
            for _, value in ipairs { true, orm.null, {}, op.ne(1), op.not_one_of { 1 }, op.is_null(), op.like "x",
                op.raw "1", op.json("a", 1) } do
                local err = raises("validation", function() em:find(Author, { books = value }) end, "Author.books",
                    "books = op.some {", "op.none { ... }")
                assert.equal("books", err.property)
            end
            local tag = em:find_one(Tag, "lua")
            for _, where in ipairs {
                { books = op.every {} }, { books = op.some(orm.null) }, { books = op.some { author = {} } },
                { books = op.some { 1, 2 } }, { books = op.some(op.gt(1)) }, { books = op.some(tag) },
                { books = op.some(op.is_null()) }, { books = op.some { tags = {} } }, { books = { tags = {} } },
                { books = op.some { title = op.some "x" } }, { name = op.every "x" }, op.some { name = "x" },
                { books = op.some { title = {} } }, { books = { title = {} } }, { books = { 1, 2 } }, { books = tag },
                { books = Book {} }, { books = "x" }, { books = op.eq { title = "A1" } },
                { books = op.eq { ["$ne"] = 1 } },
            } do
                raises("validation", function() em:find(Author, where) end)
            end
            raises("unknown_property", function() em:find(Author, { books = op.some { titel = "x" } }) end, "Book",
                "did you mean 'title'?")
            raises("validation", function() op.some(nil) end, "op.some")
            raises("validation", function() op.none(nil) end, "op.none")
            raises("validation", function() op.every(nil) end, "op.every")
        end)

        it("raw SQL speaks of the member by {alias}, of the query's own entity by e0", function()
            assert.equal("Ann", names(Author, { books = op.some(op.raw("length({alias}.title) = ? "
                .. "and {alias}.editor_id <> e0.id and '{alias}' <> ?", 2, "x")) }))
            assert.equal("B", names(Book, { author = op.some(op.raw("{alias}.name = ?", "Ben")) }))
            assert.equal("A1", names(Book, { tags = op.some(op.all { { weight = op.lt(2) },
                op.raw("{alias}.name = ?", "c") }) }))
            assert.equal("Ann", names(Author, op.raw("{alias}.name = ?", "Ann")))
            assert.equal("A1", names(Book, { tags = op.some { name = op.raw "lower('C')" } }))
            assert.equal(1, em:update_where(Book, { author = op.some(op.raw("{alias}.name = ?", "Ben")) },
                { title = op.raw("{alias}.title || ?", "!") }))
            assert.equal("B!", raw:value "select title from books where id = 3")
        end)

        it("update_where and delete_where take them, with relations inside", function()
            assert.equal(2, em:update_where(Book, { author = { profile = { site = "ann.example" } },
                tags = op.some(op.one_of { "lua" }) }, { text = "new" }))
            assert.same({ { "1" }, { "2" } }, raw:rows "select id from books where text = 'new' order by id")
            assert.equal(1, em:update_where(Author, { books = op.some { author = { name = "Ann" }, title = "A1" } },
                { name = "Anna" }))
            assert.equal(1, em:delete_where(Tag, { books = op.every { author = orm.null } }))
            assert.same({ { "c" }, { "lua" } }, raw:rows "select name from tags order by name")
            assert.equal(1, em:delete_where(Book, op.all { { author = { name = "Anna" } },
                op.negate { tags = op.some "c" } }))
            assert.same({ { "1" }, { "3" }, { "4" } }, raw:rows "select id from books order by id")
        end)

        it("flush mode auto: what the inner levels read is flushed first, pairs too", function()
            local ann, c = em:find_one(Author, 1), em:find_one(Tag, "c")
            em:persist(em:create(Book, { title = "new", author = em:find_one(Author, 3) }))
            assert.equal("Cid", names(Author, { books = op.some { title = "new" } }))
            local b = em:find_one(Book, 3)
            em:load(b, { "tags" })
            b.tags:add(c)
            assert.equal("A1 B", names(Book, { tags = op.some "c" }))
            em:find_one(Book, 4).author = ann
            work:forget()
            assert.equal("lua sql c", (names(Tag, { books = op.some { author = { name = "Ann" } } }):gsub("c lua sql",
                "lua sql c")))
            assert.equal(1, #work:statements "^UPDATE")
        end)

        it("order, limit, paging and populate count and load roots as ever", function()
            local found = em:find(Author, { books = op.some {} }, { limit = 1, offset = 1, order_by = { "name" },
                populate = { "books.tags" } })
            assert.equal("Ben", library.names(found))
            assert.equal("lua", library.names(found[1].books[1].tags))
            for _, strategy in ipairs { "select_in", "joined" } do
                em:clear()
                found = em:find(Author, { books = op.some { tags = op.some "lua" }, profile = op.some {} },
                    { populate = { "books.tags", "profile" }, strategy = strategy, limit = 1,
                        order_by = { "name desc" }, fields = { "id", "name" } })
                assert.equal("Ann", library.names(found))
                assert.equal("A2 A1", library.names(found[1].books))
                assert.equal("lua c", (library.names(found[1].books[2].tags):gsub("c lua", "lua c")))
            end
            local list, total = em:find_and_count(Book, { tags = op.some {} }, { limit = 2, order_by = { "id" } })
            assert.equal("A1 A2", library.names(list))
            assert.equal(4, total)
            assert.equal("A1", library.names(em:find_one(Author, 1).books:matching { tags = op.some "c" }))
        end)

        it("SQL is made once for a shape, and prepared once", function()
            local statement = require "heddle.statement"
            local made, new = 0, statement.new
            statement.new = function(...)
                made = made + 1
                return new(...)
            end
            local ok, err = pcall(function()
                for i = 1, 20 do
                    local where = { books = op.some { title = "A" .. i,
                        tags = op.every(op.one_of { "lua", "c" .. i }) } }
                    em:find(Author, where)
                    em:count(Author, where)
                end
            end)
            statement.new = new
            if not ok then error(err) end
            assert.equal(2, made)
            if db.name ~= "postgres" then return end
            em:transactional(function(tx)
                for i = 1, 5 do tx:find(Author, { books = op.some { title = "x" .. i } }) end
                assert.equal(1, tx:execute([[select count(*) as n from pg_prepared_statements
                    where statement like 'SELECT%EXISTS%title" = $1 AND%']])[1].n)
            end)
        end)
    end)

    describe("filters over collections of a family", function()
        local made, work, em

        before_each(function()
            made = staff.define()
            work = unit.open(db, made.entities)
            em = work.em
            local core, edge = em:create(made.Team, { name = "core" }), em:create(made.Team, { name = "edge" })
            local boss = em:create(made.Manager, { name = "boss", salary = 9, team = core })
            local ann = em:create(made.Employee, { name = "ann", salary = 5, team = core, boss = boss, mentor = boss })
            em:persist(core, edge, boss, ann,
                em:create(made.Customer, { name = "cat", team = edge, boss = boss, contact = ann }))
            core.staff:add(boss)
            core.staff:add(ann)
            edge.staff:add(ann)
            em:flush()
        end)

        after_each(function()
            work:close()
            db:close()
        end)

        local function names(E, where)
            local found = {}
            for i, e in ipairs(em:find(E, where, { order_by = { "id" } })) do found[i] = e.name end
            assert.equal(#found, em:count(E, where))
            return table.concat(found, " ")
        end

        it("members are those of the target's entity, in every sub-select", function()
            work.raw:exec "insert into teams (id, name) values (7, 'odd')"
            work.raw:exec "insert into teams_staff (team_id, employee_id) select 7, id from people where name = 'cat'"
            assert.equal("core edge", names(made.Team, { staff = op.some {} }))
            assert.equal("odd", names(made.Team, { staff = op.none {} }))
            assert.equal("core edge", names(made.Team, { staff = op.some { salary = op.gt(0) } }))
            assert.equal("edge odd", names(made.Team, { staff = op.every { name = "ann" } }))
            assert.equal("", names(made.Team, { members = op.some { boss = { name = "ann" } } }))
        end)

        it("conditions name what the target declares", function()
            assert.equal("core edge", names(made.Team, { members = op.some { boss = { bonus = "5.00" } } }))
            assert.equal("core edge", names(made.Team, { staff = op.some { salary = 5 } }))
            assert.equal("edge", names(made.Team, { staff = op.every { salary = 5 } }))
            assert.equal("boss", names(made.Manager, { reports = op.some { name = "cat" } }))
            assert.equal("ann cat", names(made.Person, { boss = { reports = op.some {} } }))
            assert.equal("cat", names(made.Customer, { contact = op.some { boss = { reports = op.some {} } } }))
            raises("unknown_property", function()
                em:find(made.Team, { members = op.some { salary = 5 } })
            end, "Person")
        end)
    end)
end)
