-- Strategy "joined" over everything that an entity can be made of: entities that share a table, embedded values, custom
-- types, keys of several columns, tables between two sides and entities in their place.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local graph = require "spec.support.graph"
local library = require "spec.support.library"
local orm = require "heddle"
local staff = require "spec.support.staff"
local unit = require "spec.support.unit"

local op = orm.op
local raises, sent_by, names = expect.raises, expect.sent_by, library.names

local by_id = { "id" }

local function joined(opts)
    opts.strategy = "joined"
    return opts
end

local function copy(opts)
    local made = {}
    for name, value in pairs(opts) do made[name] = value end
    return made
end

databases.each(function(db)
    describe("strategy joined", function()
        local work
        local kept = {}

        after_each(function()
            kept = {}
            orm.close()
            db:close()
        end)

        -- What joined gives, managed and not; select_in has to give the same, and joined in one statement.
        local function same(class, where, opts)
            local lists = {}
            for i, is_managed in ipairs { true, false } do
                opts.managed = is_managed
                local other, fork = work:fork(), work:fork()
                kept[#kept + 1], kept[#kept + 2] = other, fork -- instances hold theirs weakly
                local expected = graph.text(other:find(class, where, opts))
                work:forget()
                lists[i] = fork:find(class, where, joined(copy(opts)))
                assert.equal(1, #work:statements())
                assert.equal(expected, graph.text(lists[i]))
                work:forget()
                fork:flush()
                assert.same({}, work:statements())
            end
            return lists[1], lists[2]
        end

        describe("where entities share a table", function()
            local made

            before_each(function()
                made = staff.define()
                work = unit.open(db, made.entities)
                local em = work:fork()
                local team = em:create(made.Team, { id = 1, name = "a" })
                local other = em:create(made.Team, { id = 2, name = "b" })
                local boss = em:create(made.Manager, { id = 1, name = "Boss", salary = 9, bonus = "7.50", team = team })
                local employee = em:create(made.Employee, { id = 2, name = "Emp", salary = 5, boss = boss, team = team,
                    badge = "x", notes = "long" })
                em:persist(em:create(made.Employee, { id = 3, name = "Eve", salary = 6, mentor = employee,
                    team = other }))
                em:persist(em:create(made.Customer, { id = 4, name = "Cus", contact = boss, boss = boss, secret = "s",
                    tags = { 1, 2 }, team = team }))
                em:persist(em:create(made.Person, { id = 5, name = "Per", boss = boss }))
                other.staff:add(employee)
                other.staff:add(boss)
                em:persist(other)
                em:flush()
            end)

            it("each part of a row is of the kind that its row says", function()
                local teams, plain = same(made.Team, {}, { order_by = by_id,
                    populate = { "members.boss", "staff.mentor" } })
                for _, list in ipairs { teams, plain } do
                    local members = list[1].members
                    assert.equal(made.Manager, getmetatable(members[1]).class)
                    assert.equal("7.50", members[1].bonus)
                    assert.equal(made.Employee, getmetatable(members[2]).class)
                    assert.equal(made.Customer, getmetatable(members[3]).class)
                    assert.equal("s", members[3].secret)
                    assert.same({ 1, 2 }, members[3].tags)
                    assert.equal(members[1], members[2].boss)
                    assert.equal("manager person Boss", members[2].boss:label())
                    assert.equal(60, members[2]:pay())
                    assert.equal(2, #list[2].staff)
                end
                same(made.Person, {}, { populate = { "boss.reports", "team.members", "team.staff" }, order_by = by_id })
                same(made.Employee, {}, { populate = { "mentor", "boss" }, order_by = { "boss.name desc", "id" } })
                same(made.Customer, {}, { populate = { "contact.team" }, order_by = by_id })
                same(made.Manager, {}, { populate = { "reports.team" }, order_by = by_id, limit = 1 })
            end)

            it("a row of another kind is none", function()
                -- What a many_to_one of Employee leads to here is a customer.
                work.raw:exec "update people set mentor_id = 4 where id = 3"
                local em = work:fork()
                local list = em:find(made.Employee, { id = 3 }, joined { populate = { "mentor" } })
                assert.is_false(orm.is_initialized(list[1].mentor))
                local plain = em:find(made.Employee, { id = 3 }, joined { populate = { "mentor" }, managed = false })
                assert.is_false(orm.is_initialized(plain[1].mentor))
            end)

            it("a row of a kind that nobody knows is an error, and harms nothing", function()
                work.raw:exec "update people set kind = 'alien' where id = 5"
                for _, is_managed in ipairs { true, false } do
                    local em = work:fork()
                    unit.raises("metadata", em.find, em, made.Manager, {},
                        joined { populate = { "reports" }, managed = is_managed })
                    assert.equal("Boss", em:find_one(made.Manager, 1).name)
                    em:flush()
                end
                -- What came behind it is as it was read.
                local em = work:fork()
                work.raw:exec "update people set kind = 'alien' where id = 2"
                unit.raises("metadata", em.find, em, made.Team, {},
                    joined { populate = { { "members", fields = { "name" } } }, fields = { "name" }, order_by = by_id })
                local eve = em:get_reference(made.Person, 3)
                assert.equal("Eve", eve.name)
                assert.equal("partial", getmetatable(eve).load_state)
                raises("not_loaded", function() return eve.salary end)
                em:flush()
            end)

            it("an instance becomes what a joined row says that it is", function()
                local em = work:fork()
                local boss = em:find_one(made.Employee, 2).boss
                assert.equal(made.Manager, getmetatable(boss).class)
                local person = em:get_reference(made.Person, 2)
                em:find(made.Team, {}, joined { populate = { "members" } })
                assert.equal(made.Employee, getmetatable(person).class)
                assert.equal("x", person.badge)
                assert.is_true(orm.is_initialized(boss))
            end)
        end)

        it("embedded values are whole, nested and in documents, and are compared as a whole", function()
            local Geo = orm.embeddable { name = "Geo", { "lat", type = "float" },
                { "lon", type = "float", nullable = true } }
            local Address = orm.embeddable { name = "Address", { "street", type = "string", nullable = true },
                { "geo", embedded = Geo, nullable = true } }
            local Person = orm.entity { name = "Person", table = "people", { "id", type = "integer", primary = true },
                { "home", embedded = Address, nullable = true },
                { "work", embedded = Address, nullable = true, object = true },
                { "past", embedded = Address, array = true, nullable = true },
                { "hidden_home", embedded = Address, nullable = true, hidden = true },
                { "friend", many_to_one = "Person", nullable = true },
                { "fans", one_to_many = "Person", mapped_by = "friend" } }
            work = unit.open(db, { Person })
            local em = work:fork()
            local one = em:create(Person, { id = 1, home = { street = "a", geo = { lat = 1.5 } },
                work = { street = "w", geo = { lat = 2, lon = 3 } }, past = { { street = "p" } } })
            em:persist(em:create(Person, { id = 2, friend = one, hidden_home = { street = "h" } }))
            em:persist(em:create(Person, { id = 3, friend = one, home = {} }))
            em:flush()
            local managed, plain = same(Person, {}, { populate = { "friend.fans" }, order_by = by_id })
            for _, list in ipairs { managed, plain } do
                assert.equal(1.5, list[2].friend.home.geo.lat)
                assert.equal(3, list[2].friend.work.geo.lon)
                assert.equal("p", list[3].friend.past[1].street)
                assert.equal("h", list[2].hidden_home.street)
            end
            local fork = work:fork()
            local first = fork:find_one(Person, 1)
            local home = first.home
            home.geo.lat = 9
            work.raw:exec "update people set home_street = 'new' where id = 1"
            fork:find(Person, {}, joined { populate = { "friend", "fans" }, flush_mode = "commit" })
            assert.equal(home, first.home)
            assert.equal("new", home.street)
            assert.equal(9, home.geo.lat)
            fork:flush()
            assert.equal("1", work.raw:value "select count(*) from people where home_geo_lat = 9")
        end)

        it("custom types are the program's values, in keys too", function()
            local Code = orm.type { column = "string", to_db = function(v) return v.code end,
                from_db = function(text) return { code = text } end,
                equals = function(a, b) return a.code == b.code end }
            local Upper = orm.type { column = "string", to_db = string.lower, from_db = string.upper }
            local Part = orm.entity { name = "Part", table = "parts", { "no", type = Upper, primary = true },
                { "code", type = Code, nullable = true }, { "secret", type = Code, nullable = true, hidden = true },
                { "whole", many_to_one = "Part", nullable = true },
                { "parts", one_to_many = "Part", mapped_by = "whole" } }
            work = unit.open(db, { Part })
            work.raw:exec [[insert into parts (no, code, secret, whole_no) values ('a', 'x', 's', null),
                ('b', 'y', null, 'a'), ('c', null, 't', 'a')]]
            for _, is_managed in ipairs { true, false } do
                local fork = work:fork()
                work:forget()
                local list = fork:find(Part, {}, joined { populate = { "whole.parts" }, order_by = { "no" },
                    managed = is_managed })
                assert.equal(1, #work:statements())
                local a, b, c = list[1], list[2], list[3]
                assert.equal("A", a.no)
                assert.equal("x", b.whole.code.code)
                assert.equal("s", a.secret.code)
                assert.equal(a, c.whole)
                assert.equal(c, a.parts[2])
                work:forget()
                fork:flush()
                assert.same({}, work:statements())
            end
            local found = work:fork():find(Part, { no = "A" },
                joined { populate = { { "parts", where = { no = "B" } } }, managed = false })
            assert.equal(1, #found[1].parts)
        end)

        describe("over keys and tables of all kinds", function()
            before_each(function()
                work = library.open(db)
            end)

            it("keys of several columns, and an order that pairs have", function()
                local lists, plain = same(library.Playlist, {}, { populate = { "tracks.lists" },
                    order_by = { "owner", "name" } })
                for _, list in ipairs { lists, plain } do
                    assert.equal("y1 x1 x2", names(list[1].tracks))
                    assert.equal("x1 y1", names(list[2].tracks))
                    assert.equal(list[1], list[1].tracks[1].lists[1])
                end
                local found = same(library.Track, { disc = "x" }, { populate = { { "lists", where = { name = "a" } } },
                    order_by = { "no" }, limit = 2 })
                assert.equal("a", names(found[2].lists))
                local em = work:fork()
                local one = em:find_one(library.Track, { "x", 1 }, joined { populate = { "lists.tracks" } })
                assert.equal("x1 y1", names(one.lists[1].tracks))
                assert.equal("y1 x1 x2", names(one.lists[2].tracks))
            end)

            it("a new order of a list is its program's, and is written", function()
                local em = work:fork()
                local list = em:find_one(library.Playlist, { "ann", "a" }, joined { populate = { "tracks" } })
                list.tracks:set({ list.tracks[3], list.tracks[1] })
                em:flush()
                em = work:fork()
                list = em:find_one(library.Playlist, { "ann", "a" }, joined { populate = { "tracks" } })
                assert.equal("x2 y1", names(list.tracks))
            end)

            it("an entity in the place of a table between", function()
                local students, plain = same(library.Student, {}, { order_by = by_id,
                    populate = { "courses.students", "enrolments.course" } })
                for _, list in ipairs { students, plain } do
                    assert.equal("Lua C", names(list[1].courses))
                    assert.equal("Sue Tom", names(list[1].courses[1].students))
                    assert.equal(5, list[1].enrolments[1].grade)
                    assert.equal(list[1].courses[1], list[1].enrolments[1].course)
                end
                same(library.Enrolment, { grade = op.gte(4) }, { populate = { "student.courses", "course" },
                    order_by = { "student", "course" } })
            end)

            it("the other side of a one_to_one", function()
                local authors, plain = same(library.Author, {}, { populate = { "profile.author" }, order_by = by_id })
                for _, list in ipairs { authors, plain } do
                    assert.equal("ann.example", list[1].profile.site)
                    assert.equal(list[1], list[1].profile.author)
                    assert.is_nil(list[2].profile)
                end
                same(library.Profile, {}, { order_by = { "author" },
                    populate = { "author.profile", "author.books" } })
            end)

            it("lazy and hidden properties, and rows that parts know more and less of", function()
                local opts = { order_by = by_id, fields = { "title" },
                    populate = { "text", { "author", fields = { "name" } }, "author.books", "editor" } }
                local books = same(library.Book, {}, opts)
                assert.equal("long", books[1].text)
                assert.equal("Ann", books[1].author.name)
            end)

            it("collections that hold a pair more than once have each member once", function()
                local Visit = orm.entity { name = "Visit", table = "visits", { "id", type = "integer", primary = true },
                    { "guest", many_to_one = "Guest" }, { "place", many_to_one = "Place" } }
                local Guest = orm.entity { name = "Guest", table = "guests", { "id", type = "integer", primary = true },
                    { "places", many_to_many = "Place", pivot_entity = "Visit" } }
                local Place = orm.entity { name = "Place", table = "places", { "id", type = "integer", primary = true },
                    { "name", type = "string" }, { "guests", many_to_many = "Guest", mapped_by = "places" } }
                orm.close()
                work = unit.open(db, { Visit, Guest, Place })
                work.raw:exec "insert into guests (id) values (1), (2)"
                work.raw:exec "insert into places (id, name) values (1, 'a'), (2, 'b')"
                work.raw:exec "insert into visits (guest_id, place_id) values (1, 2), (1, 1), (1, 2), (2, 2)"
                local guests = same(Guest, {}, { populate = { "places.guests" }, order_by = by_id })
                assert.equal("a b", names(guests[1].places))
                assert.equal(2, #guests[1].places[2].guests)
                same(Guest, {}, { populate = { { "places", order_by = { "name desc" } } }, order_by = by_id,
                    limit = 1 })
            end)
        end)

        it("values of every type", function()
            local All = orm.entity { name = "All", table = "alls", { "id", type = "bigint", primary = true },
                { "i", type = "bigint", nullable = true },
                { "d", type = "decimal", precision = 30, scale = 10, nullable = true },
                { "f", type = "double", nullable = true }, { "b", type = "boolean", nullable = true },
                { "u", type = "uuid", nullable = true }, { "t", type = "timestamp", nullable = true },
                { "iso", type = "timestamp", as = "iso8601", nullable = true },
                { "day", type = "date", nullable = true },
                { "blob", type = "blob", nullable = true }, { "json", type = "json", nullable = true },
                { "list", type = "array", array_of = "integer", nullable = true },
                { "e", type = "enum", enum = { "x", "y" }, nullable = true },
                { "next", many_to_one = "All", nullable = true },
                { "before", one_to_many = "All", mapped_by = "next" } }
            work = unit.open(db, { All })
            local em = work:fork()
            local first = em:create(All, { id = "9007199254740995", i = "-9223372036854775808",
                d = "12345678901234567890.5", f = 0.1, b = false, u = "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
                t = 1700000000.25, iso = 0, day = "2024-02-29", blob = "\0\255", e = "y",
                json = { a = { 1, orm.null }, n = "9007199254740993" }, list = { 3, 1 } })
            em:persist(em:create(All, { id = 2, next = first }))
            em:flush()
            local list = same(All, {}, { populate = { "next", "before" }, order_by = by_id })
            assert.equal("12345678901234567890.5000000000", list[1].next.d)
            assert.same({ 3, 1 }, list[1].next.list)
            assert.equal("\0\255", list[1].next.blob)
            assert.equal(list[1], list[1].next.before[1])
        end)

        it("names that need quotes", function()
            local Odd = orm.entity { name = "Odd", table = 'od"d', { "id", type = "integer", primary = true },
                { "select", type = "string", column = 'se"lect', nullable = true },
                { "up", many_to_one = "Odd", nullable = true, join_column = 'u"p' },
                { "downs", one_to_many = "Odd", mapped_by = "up", order_by = { "select desc" } } }
            work = unit.open(db, { Odd })
            work.raw:exec [[insert into "od""d" (id, "se""lect", "u""p") values (1, 'a', null), (2, 'b', 1),
                (3, 'c', 1)]]
            local list = same(Odd, {}, { populate = { "up", "downs" }, order_by = { "select" }, limit = 2 })
            assert.equal("c", list[1].downs[1].select)
        end)

        it("is refused where a property is not loaded, as always", function()
            work = library.open(db)
            local em = work:fork()
            local book = em:find_one(library.Book, { id = 1 }, joined { populate = { "author" } })
            raises("not_loaded", function() return book.text end)
            raises("not_loaded", function() return book.author.books[1] end)
            local list = sent_by(expect.statements(work.instance), function() return book.author.name end)
            assert.same({}, list)
        end)
    end)
end)
