-- Named filters: what an entity may say, who switches them, and that find, count and joins take them along.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"
local unit = require "spec.support.unit"

local op, raises = orm.op, expect.raises

local id = { "id", type = "integer", primary = true }
local deleted_at = { "deleted_at", type = "timestamp", nullable = true }
local living = { cond = { deleted_at = orm.null }, default = true }
local tenant = { cond = function(params) return { tenant = params.id } end, params = { "id" } }

local Team = orm.entity {
    name = "Team", table = "teams", id, deleted_at, { "name", type = "string" },
    { "secret", type = "string", default = "s", hidden = true },
    { "users", one_to_many = "User", mapped_by = "team" },
    filters = { living = living, open = { cond = { secret = op.ne "x" } } },
}
local User = orm.entity {
    name = "User", table = "users", id, deleted_at, { "name", type = "string" }, { "tenant", type = "integer" },
    { "team", many_to_one = "Team", nullable = true },
    { "skills", many_to_many = "Skill", pivot_entity = "Learned" },
    filters = {
        living = living, tenant = tenant,
        adult = { cond = function(_, em, o)
            assert(em.find and o == op)
            return { name = o.ne "child" }
        end },
        long = { cond = op.raw("length(e0.name) > ?", 3) },
    },
}
local Skill = orm.entity { name = "Skill", table = "skills", id, { "name", type = "string" },
    { "users", many_to_many = "User", mapped_by = "skills" } }
local Learned = orm.entity {
    name = "Learned", table = "learned", { "user", many_to_one = "User", primary = true },
    { "skill", many_to_one = "Skill", primary = true }, { "grade", type = "integer", default = 1 },
    filters = { good = { cond = { grade = op.gt(2) } } },
}

local rows = {
    [[insert into teams (id, name, secret, deleted_at) values (1, 'core', 's', null), (2, 'old', 's', %s),
        (3, 'x', 'x', null)]],
    [[insert into users (id, name, tenant, team_id, deleted_at) values (1, 'Ann', 7, 1, null), (2, 'Ben', 8, 1, null),
        (3, 'Cid', 7, 1, %s), (4, 'child', 7, 2, null), (5, 'Eva', 7, null, null), (6, 'Frank', 8, 3, null)]],
    "insert into skills (id, name) values (1, 'Lua'), (2, 'C')",
    "insert into learned (user_id, skill_id, grade) values (1, 1, 1), (1, 2, 5), (2, 1, 3), (3, 2, 5)",
}

local function ids(list)
    local found = {}
    for i, e in ipairs(list) do found[i] = e.id end
    table.sort(found)
    return table.concat(found, " ")
end

describe("named filters, defined", function()
    local function define(filters)
        return orm.entity { name = "Thing", id, { "name", type = "string" }, filters = filters }
    end

    local function refused(filters, ...)
        return raises("metadata", function() define(filters) end, "Thing", ...)
    end

    it("metadata: what is wrong is said where the entity is defined, with its name and the filter's", function()
        refused({ active = { conds = {}, default = true } }, "filter 'active'", "'conds'", "'cond'")
        refused({ active = { default = true } }, "filter 'active'", "option 'cond' is missing")
        refused({ active = { cond = "name = 1" } }, "filter 'active'", "option 'cond'", "a string")
        refused({ active = { cond = 7 } }, "filter 'active'", "option 'cond'")
        refused({ active = { cond = {} } }, "filter 'active'", "empty table")
        refused({ active = { cond = User { name = "x", tenant = 1 } } }, "filter 'active'", "option 'cond'")
        refused({ active = { cond = { name = "x" }, default = 1 } }, "filter 'active'", "option 'default'")
        refused({ active = { cond = { name = "x" }, params = { "id" } } }, "filter 'active'", "function")
        refused({ active = { cond = function() end, params = "id" } }, "filter 'active'", "option 'params'")
        refused({ active = { cond = function() end, params = { "" } } }, "filter 'active'", "option 'params'")
        refused({ active = { name = "x" } }, "filter 'active'", "'name'")
        refused({ active = { { name = "x" } } }, "filter 'active'", "without a name")
        refused({ active = op.eq(1) }, "filter 'active'", "op.eq")
        refused({ active = true }, "filter 'active'", "a boolean")
        refused({ { cond = { name = "x" } } }, "by name")
        refused({ [""] = { cond = { name = "x" } } }, "by name")
        refused("active", "option 'filters'")
    end)

    it("orm.metadata shows them", function()
        local filters = orm.metadata(User).filters
        assert.same({ "id" }, filters.tenant.params)
        assert.is_false(filters.tenant.default)
        assert.is_true(filters.living.default)
        assert.same({}, orm.metadata(Skill).filters)
    end)
end)

databases.each(function(db)
    describe("named filters", function()
        local work, em

        before_each(function()
            work = unit.open(db, { Team, User, Skill, Learned })
            local then_ = db.name == "sqlite" and "'2020-01-01 00:00:00.000000'" or "'2020-01-01'"
            for _, sql in ipairs(rows) do work.raw:exec((sql:gsub("%%s", then_))) end
            em = work.em
            work:forget()
        end)

        after_each(function() work:close() end)

        it("metadata: a condition is read when the context is made", function()
            local function context(filter)
                local Thing = orm.entity { name = "Thing", id, { "name", type = "string" }, filters = { odd = filter } }
                return function() orm.init(db:config { context_name = "other", entities = { Thing } }) end
            end
            local err = raises("metadata", context { cond = { nam = "x" } }, "Thing", "filter 'odd'", "'nam'", "'name'")
            assert.equal("Thing", err.entity)
            raises("metadata", context { cond = op.raw("name = ?") }, "Thing", "filter 'odd'", "placeholders")
            raises("metadata", context { cond = { name = {} } }, "Thing", "filter 'odd'", "Thing.name")
            raises("metadata", context { cond = op.all { { name = op.gt { 1 } } } }, "Thing", "filter 'odd'")
            assert.is_false(pcall(orm.instance, "other"))
        end)

        it("a default filter is on, others wait until they are asked for", function()
            assert.equal("1 2 4 5 6", ids(em:find(User, {})))
            assert.equal("1 2 4 5 6", ids(em:find_all(User)))
            assert.equal("1 2 3 4 5 6", ids(em:find(User, {}, { filters = false })))
            assert.equal("1 3 4 5", ids(em:find(User, {}, { filters = { living = false, tenant = { id = 7 } } })))
            assert.equal("6", ids(em:find(User, {}, { filters = { "long", tenant = { id = 8 } } })))
            assert.equal("1 2 5 6", ids(em:find(User, {}, { filters = { "adult" } })))
            assert.equal("1 2 5 6", ids(em:find(User, {}, { filters = { adult = true } })))
            assert.equal("3", ids(em:find(User, { deleted_at = op.not_null() }, { filters = { living = false } })))
            assert.equal("", ids(em:find(User, { deleted_at = op.not_null() })))
        end)

        it("count, find_and_count, find_one, find_one_or_fail, find_by_cursor", function()
            assert.equal(5, em:count(User, {}))
            assert.equal(6, em:count(User, {}, { filters = false }))
            assert.equal(3, em:count(User, {}, { filters = { tenant = { id = 7 } } }))
            local items, total = em:find_and_count(User, {}, { filters = { tenant = { id = 7 } }, limit = 1 })
            assert.equal(1, #items)
            assert.equal(3, total)
            assert.is_nil(em:fork():find_one(User, 3))
            assert.is_nil(em:fork():find_one(User, { id = 3 }))
            assert.is_nil(em:fork():find_one(User, { name = "Cid" }))
            local fork = em:fork()
            assert.equal("Cid", fork:find_one(User, 3, { filters = false }).name)
            assert.equal("Cid", fork:find_one(User, { name = "Cid" }, { filters = { living = false } }).name)
            raises("not_found", function() em:find_one_or_fail(User, { name = "Cid" }) end)
            local page = em:find_by_cursor(User, {}, { order_by = { "id" }, first = 3, count = true,
                filters = { tenant = { id = 7 } } })
            assert.equal("1 4 5", ids(page.items))
            assert.equal(3, page.total)
            assert.equal(6, em:find_by_cursor(User, {}, { first = 9, count = true, filters = false }).total)
        end)

        it("I2: find_one answers from the identity map whatever the filters say", function()
            local cid = em:find_one(User, 3, { filters = false })
            work:forget()
            assert.equal(cid, em:find_one(User, 3))
            assert.equal(cid, em:find_one(User, 3, { filters = { "adult" } }))
            assert.equal(0, #work.log)
            raises("unknown_property", function() em:find_one(User, 3, { filters = { "adlut" } }) end, "'adult'")
        end)

        it("Q1: an empty filter of the program's is empty, whatever is on", function()
            raises("validation", function() em:find_one(User, {}) end)
            assert.is_table(em:find_one(User, {}, { all = true }))
            raises("validation", function() em:find(User, nil) end)
        end)

        it("joins: a nested filter finds no rows whose target is hidden, and a key is a key", function()
            assert.equal("1 2", ids(em:find(User, { team = { name = op.like "%" } }, { filters = { "open" } })))
            assert.equal("1 2 6", ids(em:find(User, { team = { name = op.like "%" } })))
            assert.equal("1 2 3 4 6", ids(em:find(User, { team = { name = op.like "%" } }, { filters = false })))
            assert.equal("4", ids(em:find(User, { team = 2 })))
            assert.equal("4", ids(em:find(User, { team = op.eq(2) })))
            assert.equal("", ids(em:find(User, { team = { id = 2 } })))
            assert.equal("1 2 4 6", ids(em:find(User, { team = op.not_null() })))
        end)

        it("some, none and every do not see what is hidden", function()
            assert.equal("1 3", ids(em:find(Team, { users = op.some {} })))
            assert.equal("1 2 3", ids(em:find(Team, { users = op.some {} }, { filters = false })))
            assert.equal("", ids(em:find(Team, { users = op.some { name = "Cid" } })))
            assert.equal("1", ids(em:find(Team, { users = op.some { name = "Cid" } },
                { filters = { living = false } })))
            assert.equal("1 3", ids(em:find(Team, { users = op.none { name = "Cid" } })))
            assert.equal("2 3", ids(em:find(Team, { users = op.none { name = "Cid" } }, { filters = false })))
            assert.equal("1 3", ids(em:find(Team, { users = op.every { name = op.ne "Cid" } })))
            assert.equal("2 3", ids(em:find(Team, { users = op.every { name = op.ne "Cid" } }, { filters = false })))
            assert.equal("1 2 6", ids(em:find(User, { team = op.some {} })))
            assert.equal("1 2 3 4 6", ids(em:find(User, { team = op.some {} }, { filters = false })))
        end)

        it("many_to_many: pairs that are entities are filtered too", function()
            local good = { filters = { "good" } }
            assert.equal("1 2 3", ids(em:find(User, { skills = op.some {} }, { filters = false })))
            assert.equal("1 2", ids(em:find(User, { skills = op.some {} })))
            assert.equal("2", ids(em:find(User, { skills = op.some { name = "Lua" } }, good)))
            assert.equal("1 2", ids(em:find(Skill, { users = op.some {} }, good)))
            assert.equal("2", ids(em:find(Skill, { users = op.none { name = "Ben" } }, good)))
            assert.equal("1 4 5 6", ids(em:find(User, { skills = op.every { name = "C" } }, good)))
        end)

        it("e0 in raw SQL is the filter's own entity, wherever it is joined", function()
            local long = { filters = { "long" } }
            assert.equal("4 6", ids(em:find(User, {}, long)))
            assert.equal("2 3", ids(em:find(Team, { users = op.some {} }, { filters = { "long", living = false } })))
            assert.equal("", ids(em:find(Skill, { users = op.some {} }, long)))
        end)

        it("a hidden property of its own is named by a filter, wherever it is joined", function()
            assert.equal("1", ids(em:find(Team, {}, { filters = { "open" } })))
            assert.equal("1 2", ids(em:find(User, { team = { name = op.like "%" } }, { filters = { "open" } })))
            raises("unknown_property", function() em:find(User, { team = { secret = "s" } }) end)
        end)

        it("the query builder: the root, what is joined, and what is written", function()
            local function count(query, opts) return (opts and query:options(opts) or query):count() end
            assert.equal(5, em:query(User, "u"):count())
            assert.equal(6, count(em:query(User, "u"), { filters = false }))
            assert.equal(3, count(em:query(User, "u"), { filters = { tenant = { id = 7 } } }))
            assert.equal("1 2 4 5 6", ids(em:query(User, "u"):all()))
            assert.equal("1 2 6", ids(em:query(User, "u"):join("u.team", "t"):all()))
            assert.equal("1 2 3 4 6", ids(em:query(User, "u"):join("u.team", "t"):options({ filters = false }):all()))
            assert.equal("1 2 4 5 6", ids(em:query(User, "u"):left_join("u.team", "t"):all()))
            assert.equal("1 3", ids(em:query(Team, "t"):where({ users = op.some {} }):all()))
            assert.equal(2, em:query(User, "u"):update({ name = "x" }):where({ team = 1 }):count())
            assert.same({ { "Cid" } }, work.raw:rows "select name from users where id = 3")
            work.raw:exec "delete from learned"
            assert.equal(5, em:query(User, "u"):where({ id = op.gt(0) }):delete():count())
            assert.same({ { "3" } }, work.raw:rows "select id from users")
        end)

        describe("of an entity manager", function()
            it("enable_filter, disable_filter, set_filter_params", function()
                assert.equal(em, em:enable_filter("tenant", { id = 7 }))
                assert.equal("1 4 5", ids(em:find(User, {})))
                assert.equal("1 2 4 5 6", ids(em:find(User, {}, { filters = { tenant = false } })))
                assert.equal("2 6", ids(em:find(User, {}, { filters = { tenant = { id = 8 } } })))
                assert.equal(em, em:set_filter_params("tenant", { id = 8 }))
                assert.equal("2 6", ids(em:find(User, {})))
                assert.equal(em, em:disable_filter("tenant"))
                assert.equal("1 2 4 5 6", ids(em:find(User, {})))
                em:enable_filter("tenant") -- with the parameters that it had
                assert.equal(2, em:count(User, {}))
                em:disable_filter("living")
                assert.equal(3, em:count(Team, {}))
                em:clear()
                assert.equal(3, em:count(Team, {}))
            end)

            it("what was given is copied", function()
                local params = { id = 7 }
                em:enable_filter("tenant", params)
                params.id = 8
                assert.equal("1 4 5", ids(em:find(User, {})))
            end)

            it("forks begin with what their parent had, and say what they like", function()
                em:enable_filter("tenant", { id = 7 })
                local fork = em:fork()
                assert.equal(3, fork:count(User, {}))
                fork:disable_filter("tenant")
                assert.equal(5, fork:count(User, {}))
                assert.equal(3, em:count(User, {}))
                em:set_filter_params("tenant", { id = 8 })
                assert.equal(2, em:count(User, {}))
                assert.equal(5, fork:count(User, {}))
            end)

            it("request scopes begin with what the global entity manager has; orm.em acts on the scope's", function()
                local handle = orm.em()
                assert.equal(handle, handle:enable_filter("tenant", { id = 7 }))
                orm.request_context(function()
                    assert.equal(3, handle:count(User, {}))
                    assert.equal(handle, handle:set_filter_params("tenant", { id = 8 }))
                    assert.equal(2, handle:count(User, {}))
                    handle:transactional(function(inner)
                        assert.equal(2, inner:count(User, {}))
                    end)
                    orm.request_context(function() assert.equal(3, handle:count(User, {})) end)
                end)
                assert.equal(3, handle:count(User, {}))
                handle:disable_filter("tenant")
                orm.request_context(function() assert.equal(5, handle:count(User, {})) end)
            end)

            it("repositories take them too", function()
                local users = em:repository(User)
                assert.equal(users, users:enable_filter("tenant", { id = 7 }))
                assert.equal(3, users:count {})
                assert.equal(5, users:count({}, { filters = { tenant = false } }))
                assert.equal("1 4 5", ids(users:find {}))
                users:disable_filter("tenant")
                assert.equal(5, users:count {})
            end)

            it("what names no filter, and what is no parameter, is refused", function()
                raises("unknown_property", function() em:enable_filter("tennant") end, "em:enable_filter", "'tenant'")
                raises("unknown_property", function() em:disable_filter("x") end, "em:disable_filter", "'x'")
                raises("unknown_property", function() em:enable_filter() end)
                raises("unknown_property", function() em:set_filter_params("tenant", { di = 7 }) end, "'di'", "'id'")
                raises("validation", function() em:set_filter_params("tenant") end, "em:set_filter_params")
                raises("validation", function() em:enable_filter("tenant", 7) end)
                raises("unknown_property", function() em:enable_filter("living", { id = 7 }) end, "no parameters")
                assert.equal(5, em:count(User, {}))
            end)
        end)

        describe("of a query", function()
            it("the option is false, a list, or a table by name", function()
                for _, value in ipairs { true, 7, "living", op.eq(1), function() end } do
                    raises("validation", function() em:find(User, {}, { filters = value }) end, "'filters'", "User")
                end
                raises("validation", function() em:find(User, {}, { filters = { [2] = "adult" } }) end, "holes")
                raises("unknown_property", function() em:find(User, {}, { filters = { "livin" } }) end, "'living'")
                raises("unknown_property", function() em:count(User, {}, { filters = { livin = false } }) end,
                    "'living'")
                raises("unknown_property", function() em:find(User, {}, { filters = { 7 } }) end, "a number")
                raises("validation", function() em:find(User, {}, { filters = { living = "on" } }) end, "'living'")
                raises("unknown_property", function()
                    em:find(User, {}, { filters = { tenant = { ID = 7 } } })
                end, "'ID'", "'id'")
                -- A filter of another entity of the context may be meant for what is joined.
                assert.equal(2, em:count(Skill, {}, { filters = { "open" } }))
            end)

            it("parameters add up: the query's before the entity manager's", function()
                em:set_filter_params("tenant", { id = 8 })
                assert.equal("2 6", ids(em:find(User, {}, { filters = { "tenant" } })))
                assert.equal("1 4 5", ids(em:find(User, {}, { filters = { tenant = { id = 7 } } })))
                assert.equal("2 6", ids(em:find(User, {}, { filters = { tenant = {} } })))
            end)
        end)
    end)

    describe("named filters of entities that extend others", function()
        local function names(list)
            local found = {}
            for i, e in ipairs(list) do found[i] = e.name end
            return table.concat(found, " ")
        end

        local base_filters = {
            known = { cond = { name = op.ne "x" }, default = true }, own = { cond = { name = "a" } },
        }

        it("are inherited; one of the same name stands in the place of the base's", function()
            local Base = orm.entity { name = "Base", abstract = true, id, { "name", type = "string" },
                filters = base_filters }
            local One = orm.entity { name = "One", extends = Base, table = "ones" }
            local Two = orm.entity { name = "Two", extends = "Base", table = "twos",
                filters = { own = { cond = { name = "b" }, default = true } } }
            local work = unit.open(db, { Base, One, Two })
            for _, sql in ipairs { "ones", "twos" } do
                work.raw:exec(("insert into %s (id, name) values (1, 'a'), (2, 'b'), (3, 'x')"):format(sql))
            end
            assert.equal("a b", names(work.em:find(One, {}, { order_by = { "id" } })))
            assert.equal("b", names(work.em:find(Two, {})))
            assert.equal("a", names(work.em:find(One, {}, { filters = { "own" } })))
            work:close()
        end)

        it("in one table: those of the entity that is asked for", function()
            local Person = orm.entity { name = "Person", table = "people", discriminator_column = "kind",
                discriminator_value = "person", id, { "kind", type = "string" }, { "name", type = "string" },
                filters = base_filters }
            local Boss = orm.entity { name = "Boss", extends = Person, discriminator_value = "boss",
                { "rank", type = "integer", nullable = true }, { "lead", many_to_one = "Person", nullable = true },
                filters = { high = { cond = { rank = op.gt(1) }, default = true } } }
            local work = unit.open(db, { Person, Boss })
            work.raw:exec [[insert into people (id, kind, name, rank, lead_id) values (1, 'person', 'a', null, null),
                (2, 'person', 'x', null, null), (3, 'boss', 'low', 1, null), (4, 'boss', 'high', 2, 1),
                (5, 'boss', 'x', 3, 2)]]
            local em = work.em
            assert.equal("a low high", names(em:find(Person, {}, { order_by = { "id" } })))
            assert.equal("high", names(em:find(Boss, {})))
            assert.equal("low high x", names(em:find(Boss, {}, { order_by = { "id" }, filters = false })))
            assert.equal("high", names(em:find(Boss, { lead = { name = op.like "%" } },
                { filters = { high = false } })))
            assert.equal(1, em:update_where(Boss, {}, { rank = 7 }, { all = true }))
            assert.same({ { "3", "1" }, { "4", "7" }, { "5", "3" } },
                work.raw:rows "select id, rank from people where rank is not null order by id")
            work:close()
        end)

        it("an entity that is registered later brings its filters along", function()
            local One = orm.entity { name = "One", table = "ones", id, { "name", type = "string" } }
            local Two = orm.entity { name = "Two", table = "twos", id, { "name", type = "string" },
                filters = base_filters }
            local work = unit.open(db, { One })
            raises("unknown_property", function() work.em:enable_filter("known") end)
            raises("unknown_property", function() work.em:find(One, {}, { filters = { "known" } }) end)
            assert.equal(0, work.em:count(One, {}, { filters = false }))
            orm.register({ Two }, work.instance.context_name)
            work.raw:exec "create table twos (id integer primary key, name text not null)"
            work.raw:exec "insert into twos (id, name) values (1, 'a'), (2, 'x')"
            assert.equal(1, work.em:count(Two, {}))
            work.em:disable_filter("known")
            assert.equal(2, work.em:count(Two, {}))
            assert.equal(0, work.em:count(One, {}, { filters = { "known" } }))
            work:close()
        end)
    end)

    describe("conditions that are functions", function()
        local work, em, given

        local function open(cond, params)
            local Note = orm.entity {
                name = "Note", table = "notes", id, { "text", type = "string" }, { "owner", type = "integer" },
                filters = { mine = { cond = cond, params = params } },
            }
            work = unit.open(db, { Note })
            work.raw:exec "insert into notes (id, text, owner) values (1, 'a', 1), (2, 'b', 2)"
            em = work.em
            return Note
        end

        after_each(function() work:close() end)

        it("get the parameters, the entity manager and orm.op, once for a statement", function()
            local calls = 0
            local Note = open(function(params, manager, operators)
                calls, given = calls + 1, { params, manager, operators }
                params.id = params.id + 1 -- nobody else's
                return { owner = params.id }
            end, { "id" })
            em:enable_filter("mine", { id = 1 })
            assert.equal("2", ids(em:find(Note, {})))
            assert.equal("2", ids(em:find(Note, {})))
            assert.equal(2, calls)
            assert.equal(em, given[2])
            assert.equal(op, given[3])
        end)

        it("an enabled filter without the parameters that it needs is no filter that is off", function()
            local Note = open(function(params) return { owner = params.id } end, { "id" })
            em:enable_filter("mine")
            raises("validation", function() em:find(Note, {}) end, "'mine'", "Note", "'id'", "set_filter_params")
            raises("validation", function() em:count(Note, {}, { filters = { mine = { } } }) end, "'id'")
            raises("validation", function() em:delete_where(Note, {}, { all = true }) end, "'id'")
            assert.equal(2, em:count(Note, {}, { filters = false }))
        end)

        it("what they give is a filter and not an empty one", function()
            local gives
            local Note = open(function() return gives end)
            for _, value in ipairs { 7, "x", true, Note, print } do
                gives = value
                raises("validation", function() em:find(Note, {}, { filters = { "mine" } }) end, "'mine'", "Note")
            end
            gives = nil
            raises("validation", function() em:find(Note, {}, { filters = { "mine" } }) end, "not nil")
            gives = {}
            raises("validation", function() em:find(Note, {}, { filters = { "mine" } }) end, "empty filter")
            gives = { own = 1 }
            raises("unknown_property", function() em:find(Note, {}, { filters = { "mine" } }) end, "'owner'")
            gives = op.any { { owner = 1 }, { text = "b" } }
            assert.equal("1 2", ids(em:find(Note, {}, { filters = { "mine" } })))
        end)

        it("what they raise is the program's", function()
            local Note = open(function() error("mine alone", 0) end)
            local ok, err = pcall(em.find, em, Note, {}, { filters = { "mine" } })
            assert.is_false(ok)
            assert.equal("mine alone", err)
            assert.equal(2, em:count(Note, {}))
        end)

        it("they may read, but not what they are about with themselves", function()
            local Note, how
            Note = open(function(_, manager)
                local first = manager:find(Note, {}, { order_by = { "id" }, limit = 1, filters = how })[1]
                return { owner = op.ne(first.owner) }
            end)
            em:enable_filter("mine")
            local ok, err = pcall(em.find, em, Note, {})
            assert.is_true(not ok and orm.is_error(err, "validation"))
            assert.is_truthy(err.message:find("'mine'.*filters = false"))
            how = false
            assert.equal("2", ids(em:find(Note, {})))
        end)

        it("one shape is one plan: parameters are bound values", function()
            local Note = open(function(params) return { owner = params.id } end, { "id" })
            local evil = "1' or '1'='1"
            local texts = {}
            for n = 1, 3 do
                em:set_filter_params("mine", { id = n })
                work:forget()
                em:find(Note, { text = "a" }, { filters = { "mine" } })
                texts[#texts + 1] = work:statements()[1]
            end
            assert.equal(texts[1], texts[2])
            assert.equal(texts[1], texts[3])
            local plans = em:mapping(Note).plans
            local count = plans.count
            em:find(Note, { text = "b" }, { filters = { mine = { id = 9 } } })
            assert.equal(count, plans.count)
            raises("validation", function() em:find(Note, {}, { filters = { mine = { id = evil } } }) end, "Note.owner")
            assert.is_nil(texts[1]:find("1'", 1, true))
        end)
    end)
end)
