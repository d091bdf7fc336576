-- em:query: stream, sql, explain, options, named filters; scopes, handles and transactions; what builders refuse.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local library = require "spec.support.library"
local orm = require "heddle"

local op, fn, raises = orm.op, orm.fn, expect.raises
local Author, Book = library.Author, library.Book

local Team = orm.entity { name = "Team", { "id", type = "integer", primary = true }, { "name", type = "string" },
    { "members", one_to_many = "Member", mapped_by = "team" }, { "guests", many_to_many = "Member" } }
local Member = orm.entity { name = "Member", { "id", type = "integer", primary = true }, { "name", type = "string" },
    { "active", type = "boolean" }, { "level", type = "integer" }, { "team", many_to_one = "Team", nullable = true },
    filters = {
        active = { cond = { active = true }, default = true },
        named = { cond = op.raw("length(e0.name) > ?", 2) },
        level = { cond = function(params) return { level = op.gte(params.least) } end, params = { "least" } },
    } }

databases.each(function(db)
    local work, em

    setup(function()
        work = library.open(db, { Team, Member })
        local own = work.em
        own:insert_many(Team, { { id = 1, name = "core" }, { id = 2, name = "edge" } })
        own:insert_many(Member, { { id = 1, name = "Ann", active = true, level = 1, team = 1 },
            { id = 2, name = "Ben", active = false, level = 2, team = 1 }, { id = 3, name = "Cid", active = true,
                level = 3, team = 2 },
            { id = 4, name = "Dan", active = false, level = 4 } })
        own:execute "insert into team_guests (team_id, member_id) values (1, 3), (1, 4), (2, 2)"
    end)

    before_each(function()
        em = work:fork()
        work:forget()
    end)

    teardown(function()
        work:close()
        db:close()
    end)

    local function names(list)
        local found = {}
        for i, row in ipairs(list) do found[i] = row.title or row.name end
        return table.concat(found, " ")
    end

    describe("streams of a query", function()
        local function all(stream)
            local list = {}
            for row in stream do list[#list + 1] = row end
            return list
        end

        it("Q6: give entities of no entity manager, managed ones when asked, and rows", function()
            local list = all(em:query(Author, "a"):left_join("books", "b"):order_by("b.title desc"):stream())
            assert.equal("Cid Ben Ann", names(list))
            assert.is_false(em:contains(list[1]))
            list = all(em:query(Author):order_by("id"):options { managed = true }:stream())
            assert.equal(em:find_one(Author, 1), list[1])
            list = all(em:query(Author, "a"):select { "name", book = "b.title" }:join("books", "b")
                :order_by("b.id desc")
                :stream())
            assert.same({ { name = "Ben", book = "B" }, { name = "Ann", book = "A2" }, { name = "Ann",
                book = "A1" } }, list)
        end)

        it("Q6: are read in chunks, inside transactions too, with what populate says", function()
            local count, query = 0, em:query(Author, "a"):select("a.id", { n = orm.raw "x1.id + x5.id" })
            for i = 1, 5 do query:join(Author, "x" .. i, op.raw "1 = 1") end
            for row in query:order_by("n", "a.id"):stream() do
                count = count + 1
                assert.is_true(row.n >= 2)
            end
            assert.equal(729, count)
            local union = em:query(Author):select("name"):union(em:query(Book):select("title")):order_by("name")
            assert.equal(7, #all(union:stream()))
            assert.equal("Ann Cid", names(all(em:query(Author):where { id = 1 }:union(em:query(Author):where { id = 3 })
                :order_by("id"):stream())))
            assert.equal("Ann Ben", names(all(em:query(Author, "a"):with("x", em:query(Book):select("author"))
                :join("x", "x", { author = op.ref "a.id" }):order_by("name"):stream())))
            count = 0
            em:transactional(function(own)
                for author in own:query(Author, "a"):populate { "books" }:order_by("id"):stream() do
                    count = count + (author.id == 1 and #author.books or 0)
                    assert.equal(3, own:query(Author):count())
                end
            end)
            assert.equal(2, count)
            local stream = em:query(Author):stream()
            stream()
            stream:close()
            raises("validation", function() em:query(Author):select { fn.count() }:stream() end)
        end)
    end)

    describe("named filters of a query", function()
        local function members(query) return names(query:order_by("id"):all()) end

        it("hold for the root", function()
            assert.equal("Ann Cid", members(em:query(Member)))
            assert.equal("Ann Ben Cid Dan", members(em:query(Member):options { filters = false }))
            assert.equal("Ben", members(em:query(Member):where { team = 1 }:options { filters = { active = false,
                level = { least = 2 } } }))
            assert.equal(2, em:query(Member):count())
            assert.equal(2, em:query(Member, "m"):join("team", "t"):options { filters = { "named" } }:count())
            assert.equal(2, em:query(Team, "t"):join("members", "m"):options { filters = { "named" } }:count())
            raises("validation", function() em:query(Member):options { filters = { "level" } }:all() end, "least")
            raises("unknown_property", function()
                em:query(Member):options { filters = { "actve" } }:all()
            end, "active")
        end)

        it("hold for what is joined, over every kind of relation", function()
            local function rows(query)
                local list = {}
                for i, row in ipairs(query:order_by("t.id", "m.id"):rows()) do list[i] = row.name .. ":"
                    .. (row.member or "-") end
                return table.concat(list, " ")
            end
            local function query(relation)
                return em:query(Team, "t"):select { "t.name", member = "m.name" }:left_join(relation, "m")
            end
            assert.equal("core:Ann edge:Cid", rows(query "members"))
            assert.equal("core:Cid edge:-", rows(query "guests"))
            assert.equal("core:Ann core:Ben edge:Cid", rows(query "members":options { filters = false }))
            assert.equal("core:Cid core:Dan edge:Ben", rows(query "guests":options { filters = false }))
            assert.equal("core:- edge:Cid", rows(query "members":options { filters = { level = { least = 2 } } }))
            assert.equal("core:Ann edge:Cid", rows(em:query(Team, "t"):select { "name", member = "m.name" }
                :join(Member, "m", { team = op.ref "t.id" })))
        end)

        it("hold inside sub-queries, which may say otherwise", function()
            assert.equal("core edge", names(em:query(Team):where { id = op.one_of(em:query(Member):select "team") }
                :order_by("id"):all()))
            local second = em:query(Member):select("team"):where { level = 2 }
            assert.equal(0, em:query(Team):where { id = op.one_of(second) }:count())
            raises("unknown_property", function()
                em:query(Team):where { id = op.one_of(second:clone():options { filters = { "actve" } }) }:count()
            end, "did you mean 'active'")
            assert.equal(1, em:query(Team):where { id = op.one_of(second:clone():options { filters = false }) }:count())
            assert.equal(0, em:find_one(Team, { id = op.one_of(second) }) and 1 or 0)
            assert.equal(1, #em:find(Team, { id = op.one_of(second) }, { filters = false }))
        end)

        it("hold for writes", function()
            assert.equal(2, em:query(Member):update { level = op.raw "level" }:options { all = true }:count())
            assert.equal(4, em:query(Member):update { level = op.raw "level" }:options { all = true, filters = false }
                :count())
            assert.equal(0, em:query(Member):delete():where { id = 4 }:count())
        end)

        it("are those of the entity manager", function()
            em:disable_filter("active")
            assert.equal(4, em:query(Member):count())
        end)
    end)

    describe("reading a query", function()
        it("sql gives the text and its parameters, and sends nothing", function()
            local text, params = em:query(Author, "a"):where { name = "Ann" }:limit(3):sql()
            local mark = db.name == "postgres" and "$" or "?"
            assert.equal(('SELECT "a"."id", "a"."name" FROM "authors" AS "a" WHERE "a"."name" = %s1 LIMIT %s2')
                :format(mark,
                mark), text)
            assert.same({ "Ann", 3 }, params)
            text = em:query(Author, "a"):select { n = fn.count() }:sql()
            assert.equal('SELECT count(*) AS "n" FROM "authors" AS "a"', text)
            assert.equal(0, #work:statements())
        end)

        it("explain gives the database's plan as lines", function()
            local lines = em:query(Author, "a"):join("books", "b"):where { id = 1 }:select("b.title"):explain()
            assert.is_true(#lines > 0)
            assert.equal("string", type(lines[1]))
            assert.is_truthy(table.concat(lines, "\n"):find(db.name == "sqlite" and "SEARCH" or "Scan"))
            if db.name == "postgres" then
                assert.is_truthy(table.concat(em:query(Author):explain { analyze = true }, "\n"):find "actual time")
            else
                raises("unsupported", function() em:query(Author):explain { analyze = true } end)
            end
            raises("unknown_property", function() em:query(Author):explain { verbose = true } end)
            raises("validation", function() em:query(Author):explain { analyze = 1 } end)
            raises("validation", function() em:query(Author):explain(true) end)
        end)
    end)

    describe("a query's entity manager", function()
        it("is that of the scope or transaction in force when it is begun", function()
            orm.request_context(function()
                local own = orm.get_context()
                assert.is_true(own:contains(orm.em():query(Author):where(1):one()))
                local found = orm.repository(Author):query("a"):where { name = "Ben" }:one()
                assert.equal(own:find_one(Author, 2), found)
            end)
            orm.em():fork():transactional(function(own)
                own:query(Author):update { name = "Q" }:where(3):count()
                assert.equal("Q", orm.em():query(Author):where(3):one().name)
                own:query(Author):update { name = "Cid" }:where(3):count()
            end)
        end)

        it("busy: not while another coroutine's transaction is open on it", function()
            local own = work:fork()
            local co = coroutine.wrap(function()
                own:begin()
                own:query(Author):count()
                coroutine.yield()
                own:rollback()
            end)
            co()
            raises("busy", function() own:query(Author):count() end)
            co()
        end)

        it("options are checked", function()
            raises("unknown_property", function() em:query(Author):options { timout = 1 } end, "'timeout'")
            raises("unknown_property", function() em:query(Author):options { limit = 1 } end)
            raises("validation", function() em:query(Author):options(7) end)
            raises("validation", function() em:query(Author):options { timeout = "long" }:all() end)
            raises("validation", function() em:query(Author):options { managed = 1 }:all() end)
            raises("validation", function() em:query(Author):options { connection = "both" }:rows() end)
            assert.equal(3, #em:query(Author):options { timeout = 5, connection = "write" }:rows())
        end)
    end)

    describe("a builder", function()
        it("refuses what has the wrong form, at its line", function()
            local nothing = nil
            local function q() return em:query(Author, "a") end
            raises("validation", function() em:query(nothing) end, "nil")
            raises("validation", function() em:query(nothing, "a") end, "nil")
            raises("validation", function() em:query(7) end)
            raises("validation", function() em:query {} end)
            raises("entity_not_registered", function() em:query("Autor") end, "Autor")
            raises("entity_not_registered", function() em:query(orm.entity { name = "Alien",
                { "id", type = "integer", primary = true } }) end)
            for _, alias in ipairs { "", "a b", "a.b", "1a", 'a"', "e1", "hd_x", ("x"):rep(64), 7, {}, "a\0" } do
                raises("validation", function() em:query(Author, alias) end)
                raises("validation", function() q():join("books", alias) end)
            end
            raises("validation", function() q():select() end)
            raises("validation", function() q():select(nothing) end)
            raises("validation", function() q():select { 7 } end)
            raises("validation", function() q():select { op.gt(1) } end)
            raises("validation", function() q():select { x = {} } end)
            raises("validation", function() q():select { ["x y"] = "name" } end)
            raises("validation", function() q():select { nil, "name" } end)
            raises("validation", function() q():where() end)
            raises("validation", function() q():where(nothing) end)
            raises("validation", function() q():where(orm.null) end)
            raises("validation", function() q():where(true) end)
            raises("validation", function() q():where("name", "=", 1) end)
            raises("validation", function() q():where({}, {}) end)
            raises("validation", function() q():join(7, "b") end)
            raises("validation", function() q():join("books", "b", nothing) end)
            raises("validation", function() q():group_by(7) end)
            raises("validation", function() q():group_by { x = "name" } end)
            raises("validation", function() q():having(nothing) end)
            raises("validation", function() q():order_by(7) end)
            raises("validation", function() q():order_by { name = "desc", id = "asc" } end)
            raises("validation", function() q():order_by { name = 7 } end)
            for _, count in ipairs { -1, 1.5, "1", {}, 0 / 0, 1 / 0, 2 ^ 60 } do
                raises("validation", function() q():limit(count) end)
                raises("validation", function() q():offset(count) end)
            end
            raises("validation", function() q():distinct(1) end)
            raises("validation", function() q():lock(true) end)
            raises("validation", function() q():populate() end)
            raises("validation", function() q():from() end)
            raises("validation", function() q():from({}, "x") end)
        end)

        it("Q1: names are resolved when it is run: the nearest is told", function()
            local function q() return em:query(Author, "a"):left_join("books", "b") end
            local unknown = {
                q():select "nmae", q():select "b.titel", q():select "x.name", q():select "x.*", q():where { nmae = 1 },
                q():where { ["b.titel"] = 1 }, q():where { ["c.title"] = 1 }, q():where("c", { title = 1 }),
                q():order_by "nmae", q():order_by "b.titel", q():group_by "nmae", q():having { nmae = 1 }, q()
                    :join("boks", "x"),
                q():join("b.tag", "x"), q():join("c.tags", "x"), q():where { books = op.some { titel = 1 } },
            }
            for i, query in ipairs(unknown) do
                local ok, err = pcall(query.rows, query)
                assert.is_false(ok, i)
                assert.equal("unknown_property", err.kind, i)
            end
            raises("unknown_property", function() q():select("b.titel"):rows() end, "did you mean 'title'")
            raises("unknown_property", function() q():where { ["bb.title"] = 1 }:rows() end, "did you mean 'b'")
            assert.equal(0, #work:statements())
        end)

        it("refuses values that cannot stand where they stand, and data that looks like SQL", function()
            local function q() return em:query(Author, "a"):left_join("books", "b") end
            local wrong = {
                q():where { name = { ["$ne"] = 1 } }, q():where { id = "x" }, q():where { ["b.id"] = {} },
                q():where(op.all { {} }), q():where { author = {} }, q():where(op.any { {} }), q()
                    :where { id = op.gt {} },
                q():where(op.is_null()), q():join("name", "x"), q():join("books", "A"), q():join("books", "b"),
                q():order_by("name sideways"), q():order_by("books"), q():group_by("books"), q():select("books"),
                q():select("name", "name"), em:query(Book):select("author.name"), em:query(Book)
                    :group_by("author.name"), q():where(op.some { title = 1 }), q():where(op.raw("? = ?", 1)),
                q():where { id = op.raw("?") }, q():select(orm.raw "1"),
            }
            for i, query in ipairs(wrong) do
                local ok, err = pcall(query.rows, query)
                assert.is_false(ok, i)
                assert.is_truthy(orm.is_error(err, "validation") or orm.is_error(err, "unknown_property"),
                    tostring(i) .. tostring(err))
            end
            assert.equal(0, #work:statements())
            assert.equal(0, q():where { name = "' OR 1 = 1 --" }:count())
            assert.equal(0, #q():where { ["b.title"] = "x\"; drop table books" }:rows())
        end)

        it("conditions are nested as deep as filters, joins as wide as a database joins", function()
            local cond = { id = 1 }
            for _ = 1, 200 do cond = op.negate(cond) end
            raises("validation", function() em:query(Author):where(cond):all() end, "levels")
            local query = em:query(Book, "b")
            for i = 1, 70 do query:left_join("b.author", "x" .. i) end
            raises("validation", function() query:all() end, "60")
        end)

        it("tells what it is", function()
            assert.equal("query<default, select>", tostring(em:query(Author)))
            assert.equal("query<default, update>", tostring(em:query(Author):update { name = "x" }))
        end)
    end)
end)
