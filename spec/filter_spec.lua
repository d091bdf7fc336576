local databases = require "spec.support.databases"
local entity = require "heddle.entity"
local filter = require "heddle.filter"
local null = require "heddle.null"
local op = require "heddle.op"
local plans = require "spec.support.plans"
local schema_sql = require "heddle.schema.sql"
local select_sql = require "heddle.select"

local Team = entity.entity {
    name = "Team", table = "teams",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "secret", type = "string", nullable = true, hidden = true },
    { "lead", many_to_one = "User", nullable = true },
}

local User = entity.entity {
    name = "User", table = "users",
    { "id", type = "integer", primary = true },
    { "name", type = "string", nullable = true },
    { "age", type = "integer", nullable = true },
    { "price", type = "decimal", precision = 10, scale = 2, nullable = true },
    { "password", type = "string", nullable = true, hidden = true },
    { "doc", type = "json", nullable = true },
    { "tags", type = "array", array_of = "text", nullable = true },
    { "team", many_to_one = "Team", nullable = true },
    { "profile", one_to_one = "Profile", mapped_by = "user" },
    { "lines", one_to_many = "Line", mapped_by = "user" },
}

local Profile = entity.entity {
    name = "Profile", table = "profiles",
    { "user", one_to_one = "User", primary = true },
    { "city", type = "string" },
}

local Line = entity.entity {
    name = "Line", table = "lines",
    { "order_no", type = "integer", primary = true },
    { "line_no", type = "integer", primary = true },
    { "user", many_to_one = "User" },
    { "parent", many_to_one = "Line", nullable = true },
}

local entities = { Team, User, Profile, Line }
local instance_mark = {}

local function instance(class, ...)
    return setmetatable({ class = class, key = { ... } }, instance_mark)
end

for _, driver in ipairs { "postgres", "sqlite" } do
    local mappings, p
    local postgres = driver == "postgres"

    -- The condition of a find over an entity, with `@` for the driver's mark of a parameter.
    local function sql(where, name)
        local plan = select_sql.find(mappings[name or "User"], where)
        return (plan.sql:match(" WHERE (.*)$"):gsub("[$?](%d)", "@%1"))
    end
    local function params(where, name)
        return (p(select_sql.find(mappings[name or "User"], where)))
    end
    local function raises(kind, where, name)
        return plans.raises(kind, select_sql.find, mappings[name or "User"], where)
    end

    describe("filter on " .. driver, function()
        local key_of = filter.hooks.key_of

        setup(function()
            mappings = plans.mappings(driver, entities)
            p = function(_, values) return values end
            filter.hooks.key_of = function(value, mapping)
                if getmetatable(value) ~= instance_mark then return nil end
                if value.class ~= mapping.class then
                    require("heddle.errors").raise("validation", "another entity")
                end
                return value.key
            end
        end)
        teardown(function() filter.hooks.key_of = key_of end)

        it("compares values", function()
            assert.equal('e0."name" = @1', sql { name = "x" })
            assert.equal('(e0."age" = @1 AND e0."name" = @2)', sql { name = "x", age = 3 })
            assert.same({ 3, "x" }, params { name = "x", age = 3 })
            assert.equal('e0."age" > @1', sql { age = op.gt(1) })
            assert.equal('e0."age" >= @1', sql { age = op.gte(1) })
            assert.equal('e0."age" < @1', sql { age = op.lt(1) })
            assert.equal('e0."age" <= @1', sql { age = op.lte(1) })
            assert.equal('e0."age" <> @1', sql { age = op.ne(1) })
            assert.equal('(e0."age" BETWEEN @1 AND @2)', sql { age = op.between(1, 9) })
            assert.same({ 1, 9 }, params { age = op.between(1, 9) })
            assert.same({ false }, params { age = false })
        end)

        it("Q2: NULL is asked for by orm.null", function()
            assert.equal('e0."age" IS NULL', sql { age = null })
            assert.equal('e0."age" IS NULL', sql { age = op.eq(null) })
            assert.equal('e0."age" IS NULL', sql { age = op.is_null() })
            assert.equal('e0."age" IS NOT NULL', sql { age = op.ne(null) })
            assert.equal('e0."age" IS NOT NULL', sql { age = op.not_null() })
            assert.equal('e0."age" IS NULL', sql { age = op.one_of { null } })
            assert.equal('e0."age" IS NOT NULL', sql { age = op.not_one_of { null } })
            assert.equal('e0."team_id" IS NULL', sql { team = null })
            assert.same({}, params { age = null })
        end)

        it("Q2: lists, with NULL and without, empty ones too", function()
            local one = postgres and 'e0."age" = ANY(@1)' or 'e0."age" IN (@1, @2)'
            local none = postgres and 'e0."age" <> ALL(@1)' or 'e0."age" NOT IN (@1, @2)'
            assert.equal(one, sql { age = op.one_of { 1, 2 } })
            assert.equal(none, sql { age = op.not_one_of { 1, 2 } })
            assert.equal("(" .. one .. ' OR e0."age" IS NULL)', sql { age = op.one_of { 1, null, 2 } })
            assert.equal("(" .. none .. ' AND e0."age" IS NOT NULL)', sql { age = op.not_one_of { 1, null, 2 } })
            assert.same(postgres and { { 1, 2 } } or { 1, 2 }, params { age = op.one_of { 1, null, 2 } })
            assert.equal("1 = 0", sql { age = op.one_of {} })
            assert.equal("1 = 0", sql(op.any {}))
            assert.is_nil(select_sql.find(mappings.User, { age = op.not_one_of {} }).sql:find("WHERE", 1, true))
        end)

        it("a list's shape does not follow its length", function()
            local function list(n)
                local values = {}
                for i = 1, n do values[i] = i end
                return select_sql.find(mappings.User, { age = op.one_of(values) })
            end
            assert.equal(list(5), list(8))
            local plan, values = list(5)
            if postgres then
                assert.equal(plan, (list(1)))
                assert.same({ 1, 2, 3, 4, 5 }, values[1])
                assert.is_true(plan.param_columns[1].list)
                assert.equal("age", plan.param_columns[1].column.name)
            else
                assert.same({ 1, 2, 3, 4, 5, 5, 5, 5 }, values)
                plan, values = list(512)
                assert.equal(512, #values)
                assert.equal(512, #plan.param_columns)
                plan, values = list(513)
                assert.equal(plan, (list(40000)))
                assert.equal(1, #values)
                assert.equal(513, #values[1])
                assert.same({ type = "array", array_of = "integer" }, plan.param_columns[1])
                local prices = {}
                for i = 1, 32000 do prices[i] = "1.50" end
                assert.equal(32000, #select(2, select_sql.find(mappings.User, { price = op.one_of(prices) })))
                prices[32001] = "1.50"
                plans.raises("unsupported", select_sql.find, mappings.User, { price = op.one_of(prices) })
            end
        end)

        it("Q7: text patterns, wildcards escaped", function()
            assert.equal([[e0."name" LIKE @1 ESCAPE '\']], sql { name = op.like "J%" })
            assert.equal([[e0."name" NOT LIKE @1 ESCAPE '\']], sql { name = op.not_like "J%" })
            assert.equal(postgres and [[e0."name" ILIKE @1 ESCAPE '\']]
                or [[hd_lower(e0."name") LIKE hd_lower(@1) ESCAPE '\']], sql { name = op.ilike "J%" })
            assert.same({ "J%" }, params { name = op.like "J%" })
            assert.same({ [[50\%\_\\%]] }, params { name = op.starts_with [[50%_\]] })
            assert.same({ [[%50\%\_\\]] }, params { name = op.ends_with [[50%_\]] })
            assert.same({ [[%50\%\_\\%]] }, params { name = op.contains [[50%_\]] })
            local plan = select_sql.find(mappings.User, { name = op.like "x" })
            assert.equal("text", plan.param_columns[1].type)
            raises("validation", { age = op.like "1%" })
            raises("validation", { name = op.contains(3) })
        end)

        it("Q7: decimals compare as numbers", function()
            local operand = postgres and 'e0."price"' or 'e0."price" COLLATE hd_decimal'
            assert.equal(operand .. " > @1", sql { price = op.gt "9.50" })
            assert.equal(operand .. " = @1", sql { price = "9.50" })
            assert.equal("(" .. operand .. " BETWEEN @1 AND @2)", sql { price = op.between("1", "2") })
        end)

        it("any, all and negate", function()
            assert.equal('(e0."age" = @1 OR e0."name" = @2)', sql(op.any { { age = 1 }, { name = "x" } }))
            assert.equal('(e0."age" = @1 AND e0."age" = @2)', sql(op.all { { age = 1 }, { age = 2 } }))
            assert.equal('(NOT e0."age" = @1)', sql(op.negate { age = 1 }))
            assert.equal('(e0."age" > @1 AND e0."age" < @2)', sql { age = op.all { op.gt(1), op.lt(9) } })
            assert.equal('(e0."age" = @1 OR e0."age" IS NULL)', sql { age = op.any { 1, null } })
            assert.equal('(NOT e0."age" > @1)', sql { age = op.negate(op.gt(1)) })
            assert.equal('((e0."age" = @1 OR e0."age" = @2) AND e0."name" = @3)',
                sql { age = op.any { 1, 2 }, name = "x" })
            assert.equal('e0."age" = @1', sql(op.any { { age = 1 } }))
        end)

        it("raw conditions and values", function()
            assert.equal("(length(e0.name) > @1)", sql(op.raw("length(e0.name) > ?", 3)))
            assert.equal('e0."name" = (upper(@1))', sql { name = op.raw("upper(?)", "x") })
            assert.equal('(e0."age" = @1 AND (x = @2 or y = @3))',
                sql(op.all { { age = 1 }, op.raw("x = ? or y = ?", 2, 3) }))
            assert.equal("(1 = 1 -- ?\n)", sql(op.raw("1 = 1 -- ?")))
            assert.equal("unknown", select_sql.find(mappings.User, op.raw("?", 1)).param_columns[1].type)
            raises("validation", op.raw("a = ? and b = ?", 1))
            raises("validation", op.raw("a = 1", 1))
        end)

        it("nested filters join once for each path", function()
            local where = { team = { name = "core", lead = { name = "x" } }, age = 1 }
            local plan = select_sql.find(mappings.User, where, { order_by = { "team.lead.name", "team.name" } })
            local _, joins = plan.sql:gsub("LEFT JOIN", "")
            assert.equal(2, joins)
            assert.equal(3, #plan.reads)
            assert.truthy(plan.sql:find('LEFT JOIN "teams" AS e1 ON e1."id" = e0."team_id" '
                .. 'LEFT JOIN "users" AS e2 ON e2."id" = e1."lead_id"', 1, true))
            assert.equal('(e1."id" IS NOT NULL AND e1."name" = @1)', sql { team = { name = "core" } })
        end)

        it("a related key is read from the foreign key", function()
            local plan = select_sql.find(mappings.User, { team = { id = 3 } })
            assert.is_nil(plan.sql:find("JOIN", 1, true))
            assert.equal('(e0."team_id" IS NOT NULL AND e0."team_id" = @1)', sql { team = { id = 3 } })
            assert.equal(1, #plan.reads)
        end)

        it("the inverse side of a one-to-one is joined", function()
            local plan = select_sql.find(mappings.User, { profile = { city = "x" } })
            assert.truthy(plan.sql:find('LEFT JOIN "profiles" AS e1 ON e1."user_id" = e0."id"', 1, true))
            assert.equal('e1."user_id" IS NULL', sql { profile = null })
        end)

        it("relations take keys and entities", function()
            assert.equal('e0."team_id" = @1', sql { team = 3 })
            assert.equal('e0."team_id" = @1', sql { team = instance(Team, 3) })
            assert.equal('e0."team_id" = @1', sql { team = op.eq(3) })
            assert.equal('e0."team_id" <> @1', sql { team = op.ne(instance(Team, 3)) })
            assert.same({ 3 }, params { team = op.eq(instance(Team, 3)) })
            assert.same({ 3 }, params { profile = { user = instance(User, 3) } })
            raises("validation", { team = instance(User, 3) })
            raises("validation", { team = true })
            raises("validation", { team = op.gt(3) })
            raises("validation", { team = op.like "x" })
            raises("validation", { team = { 3 } })
        end)

        it("composite keys are lists or have names", function()
            local both = '(e0."order_no" = @1 AND e0."line_no" = @2)'
            assert.equal(both, sql({ 1, 2 }, "Line"))
            assert.equal(both, sql(op.eq { line_no = 2, order_no = 1 }, "Line"))
            assert.same({ 1, 2 }, params(op.eq { line_no = 2, order_no = 1 }, "Line"))
            assert.equal('(e0."parent_order_no" = @1 AND e0."parent_line_no" = @2)', sql({ parent = { 1, 2 } }, "Line"))
            assert.equal('(NOT (e0."parent_order_no" = @1 AND e0."parent_line_no" = @2))',
                sql({ parent = op.ne { 1, 2 } }, "Line"))
            assert.equal('(e0."parent_order_no" IS NULL OR e0."parent_line_no" IS NULL)',
                sql({ parent = null }, "Line"))
            local two = op.one_of { { 1, 2 }, { order_no = 3, line_no = 4 } }
            assert.equal('(e0."order_no", e0."line_no") IN ('
                .. (postgres and "SELECT * FROM unnest(@1, @2))" or "VALUES (@1, @2), (@3, @4))"), sql(two, "Line"))
            assert.same(postgres and { { 1, 3 }, { 2, 4 } } or { 1, 2, 3, 4 }, params(two, "Line"))
            for _, wrong in ipairs { 1, { 1 }, { 1, 2, 3 }, { 1, line_no = 2 }, op.eq { order_no = 1 },
                op.eq { order_no = 1, line = 2 }, op.eq { order_no = 1, line_no = {} }, { 1, { 2 } } } do
                raises("validation", wrong, "Line")
            end
        end)

        it("Q1: empty filters are refused", function()
            for _, where in ipairs { {}, { team = {} }, op.any { {} }, op.negate {}, op.all { { age = 1 }, {} } } do
                raises("validation", where)
            end
            plans.raises("validation", select_sql.find, mappings.User, nil, nil, true)
            plans.raises("validation", select_sql.find, mappings.User, null, nil, true)
            plans.raises("validation", select_sql.find, mappings.User, { team = {} }, { all = true }, true)
            assert.is_table(select_sql.find(mappings.User, {}, nil, true))
            assert.is_table(select_sql.find(mappings.User, {}, { all = true }))
        end)

        it("Q1: unknown names raise with entity and nearest name", function()
            local err = raises("unknown_property", { nmae = "x" })
            assert.truthy(err.message:find("did you mean 'name'", 1, true))
            assert.same({ "User", "nmae", "default" }, { err.entity, err.property, err.context })
            assert.equal("Team", raises("unknown_property", { team = { nmae = 1 } }).entity)
            raises("unknown_property", { [3] = 1 })
            raises("unknown_property", { [true] = 1 })
            raises("unknown_property", { team_id = 1 })
        end)

        it("no operator comes from data", function()
            raises("validation", { age = { ["$gt"] = 1 } })
            raises("validation", { age = { kind = "gt", value = 1 } })
            raises("validation", { age = {} })
            raises("validation", { age = { 1, 2 } })
            raises("validation", { team = op.eq { name = "x" } })
            raises("validation", { team = op.eq { id = 3 } })
            raises("validation", { age = op.gt { 1 } })
            raises("validation", { age = op.one_of { 1, {} } })
            raises("validation", { age = op.eq(op.gt(1)) })
            raises("validation", { age = print })
            raises("validation", { age = op.is_null })
            raises("validation", { age = setmetatable({}, {}) })
            raises("validation", { team = setmetatable({ name = "x" }, {}) })
            raises("validation", op.gt(3))
            raises("validation", op.is_null())
            raises("validation", true)
            raises("validation", print)
        end)

        it("hidden properties are not reached by nested filters", function()
            assert.equal('e0."password" = @1', sql { password = "x" })
            local err = raises("unknown_property", { team = { secret = "x" } })
            assert.is_nil(err.message:find("did you mean", 1, true))
            raises("unknown_property", { team = { lead = { password = "x" } } })
            raises("unknown_property", { team = op.any { { secret = "x" } } })
            assert.is_nil(raises("unknown_property", { team = { secre = "x" } }).message:find("'secret'", 1, true))
        end)

        it("json and arrays take tables as values, and have no order", function()
            assert.same({ { "a" } }, params { tags = { "a" } })
            assert.same({ { a = 1 } }, params { doc = { a = 1 } })
            assert.equal(postgres and 'e0."doc" = @1' or 'hd_json(e0."doc") = hd_json(@1)', sql { doc = { a = 1 } })
            assert.equal(postgres and 'e0."tags" = @1' or 'hd_array(e0."tags", 0) = hd_array(@1, 0)',
                sql { tags = { "a" } })
            assert.equal('e0."doc" IS NULL', sql { doc = null })
            assert.equal('(NOT e0."doc" IS NULL)', sql { doc = op.negate(op.is_null()) })
            raises("validation", { doc = op.gt(1) })
            raises("validation", { tags = op.lt { "a" } })
        end)

        it("what speaks of no member is no filter of a collection", function()
            for _, value in ipairs { true, null, {}, op.gt(1), op.is_null(), op.raw("1"), function() end } do
                local err = raises("validation", { lines = value })
                assert.equal("lines", err.property)
                assert.truthy(err.message:find("lines = op.some {", 1, true), err.message)
            end
        end)

        it("what one statement cannot hold is refused before it is sent", function()
            local where = { name = "x" }
            for _ = 1, 40 do where = { team = { lead = where } } end
            raises("validation", where)
            local conditions = {}
            for i = 1, 66000 do conditions[i] = { age = op.gt(i) } end
            raises("unsupported", op.any(conditions))
        end)

        it("custom types convert their values", function()
            local types = require "heddle.types"
            local cents = types.custom { column = "bigint", to_db = function(v) return v * 100 end }
            local Item = entity.entity {
                name = "Item", { "id", type = "integer", primary = true }, { "cost", type = cents },
            }
            local item = plans.mappings(driver, { Item }).Item
            local _, values = select_sql.find(item, { cost = op.between(1, 2) })
            assert.same({ 100, 200 }, values)
            local plan
            plan, values = select_sql.find(item, { cost = op.one_of { 1, 2 } })
            assert.same(postgres and { { 100, 200 } } or { 100, 200 }, values)
            assert.equal("bigint", (plan.param_columns[1].column or plan.param_columns[1]).type)
        end)
    end)
end

describe("data in the place of filters, orders and fields", function()
    local words = { "id", "name", "age", "team", "doc", "tags", "secret", "lines", "parent", "profile", "order_no",
        "$gt", "INJECT\";--", "INJECT'", "name desc", "team.name asc nulls last", "team.secret", "", "\1", "kind",
        "value" }
    local seed = 7

    local function random(n)
        seed = (seed * 16807) % 2147483647
        return seed % n + 1
    end

    local function value(depth)
        local what = random(depth > 3 and 5 or 8)
        if what == 1 then return words[random(#words)] end
        if what == 2 then return random(100) - 50 end
        if what == 3 then return random(2) == 1 end
        if what == 4 then return null end
        if what == 5 then return 1.5 end
        local made = {}
        for i = 1, random(4) - 1 do
            made[what == 6 and i or words[random(#words)]] = value(depth + 1)
        end
        return made
    end

    it("Q1: gives a plan or a typed error, and is never part of the SQL", function()
        local errors = require "heddle.errors"
        local expected = { validation = true, unknown_property = true, unsupported = true }
        local outcomes = {}
        for _, driver in ipairs { "postgres", "sqlite" } do
            local mappings = plans.mappings(driver, entities)
            for i = 1, 3000 do
                local mapping = i % 3 == 0 and mappings.Line or mappings.User
                local kind = i % 5
                local ok, plan, params
                if kind == 0 then
                    ok, plan = pcall(select_sql.find, mapping, {}, { order_by = value(0) }, true)
                elseif kind == 1 then
                    ok, plan = pcall(select_sql.find, mapping, {}, { fields = value(0), limit = value(3) }, true)
                else
                    ok, plan, params = pcall(select_sql.find, mapping, value(0), nil, kind == 2)
                end
                if ok then
                    assert.is_nil(plan.sql:find("INJECT", 1, true))
                    if params then plans.text(plan, params) end
                else
                    assert.is_true(errors.is_error(plan) and expected[plan.kind], tostring(plan))
                end
                outcomes[ok and "plan" or plan.kind] = (outcomes[ok and "plan" or plan.kind] or 0) + 1
            end
        end
        for _, kind in ipairs { "validation", "unknown_property" } do
            assert.is_true((outcomes[kind] or 0) > 100, kind)
        end
        assert.is_true(outcomes.plan > 100)
    end)
end)

describe("filters in a database", function()
    databases.each(function(db)
        local mappings, raw

        local function ids(where, opts)
            local found = {}
            for _, row in ipairs(raw:rows(plans.text(select_sql.find(mappings.User, where, opts, true)))) do
                found[#found + 1] = row[1]
            end
            if not (opts and opts.order_by) then table.sort(found) end
            return table.concat(found, " ")
        end

        setup(function()
            mappings = plans.mappings(db.name, entities)
            raw = db:raw(db:config())
            if db.name == "sqlite" then raw:rows "pragma case_sensitive_like = on" end
            local list = { mappings.Team, mappings.User, mappings.Profile, mappings.Line }
            for _, statement in ipairs(schema_sql.create(list, db.name)) do raw:exec(statement) end
            raw:exec "insert into teams (id, name) values (1, 'core'), (2, 'web')"
            raw:exec [[insert into users (id, name, age, team_id) values
                (1, 'Ann', 1, 1), (2, 'ann%', 2, 2), (3, 'Bob', NULL, NULL), (4, NULL, 4, 1)]]
            raw:exec "update teams set lead_id = 1 where id = 1"
            raw:exec "insert into profiles (user_id, city) values (2, 'Rome')"
            raw:exec "insert into lines (order_no, line_no, user_id) values (1, 1, 1), (1, 2, 1), (2, 1, 2)"
        end)

        it("Q2: comparisons and NULL mean the same on both drivers", function()
            assert.equal("2 4", ids { age = op.ne(1) })
            assert.equal("2 4", ids { age = op.not_one_of { 1 } })
            assert.equal("2 4", ids { age = op.negate(op.eq(1)) })
            assert.equal("1 3", ids { age = op.one_of { 1, null } })
            assert.equal("2 4", ids { age = op.not_one_of { 1, null } })
            assert.equal("1 3", ids { age = op.negate(op.not_one_of { 1, null }) })
            assert.equal("3", ids { age = null })
            assert.equal("1 2 4", ids { age = op.ne(null) })
            assert.equal("", ids { age = op.one_of {} })
            assert.equal("1 2 3 4", ids { age = op.not_one_of {} })
            assert.equal("1 2 3 4", ids(op.negate { age = op.one_of {} }))
            assert.equal("", ids(op.any {}))
            assert.equal("1 2", ids { name = op.negate(op.like "B%") })
            assert.equal("1 2 3 4", ids {})
        end)

        it("Q7: like is case-sensitive, wildcards are escaped", function()
            assert.equal("1", ids { name = op.like "A%" })
            assert.equal("2", ids { name = op.ends_with "%" })
            assert.equal("2", ids { name = op.contains "n%" })
            assert.equal("1 2", ids { name = op.contains "nn" })
            assert.equal("", ids { name = op.starts_with "_" })
            assert.equal("2", ids { name = op.like [[ann\%]] })
        end)

        it("nested filters speak of rows that are there", function()
            assert.equal("1 4", ids { team = { name = "core" } })
            assert.equal("2", ids { team = { name = op.ne "core" } })
            assert.equal("2 3", ids(op.negate { team = { name = "core" } }))
            assert.equal("2", ids { team = { lead = null } })
            assert.equal("1 4", ids { team = { lead = { name = "Ann" } } })
            assert.equal("1 4", ids { team = { id = 1 } })
            assert.equal("2 3", ids(op.negate { team = { id = 1 } }))
            assert.equal("1 2 4", ids { team = op.one_of { 1, 2 } })
            assert.equal("1 3 4", ids { team = op.any { null, { name = "core" } } })
            assert.equal("2", ids { profile = { city = "Rome" } })
            assert.equal("1 3 4", ids { profile = null })
            assert.equal("2", ids { profile = 2 })
        end)

        it("composite keys", function()
            local function count(where)
                return raw:value(plans.text(select_sql.count(mappings.Line, where)))
            end
            assert.equal("1", count { 1, 2 })
            assert.equal("2", count(op.one_of { { 1, 2 }, { 2, 1 }, { 9, 9 } }))
            assert.equal("1", count(op.not_one_of { { 1, 2 }, { 2, 1 } }))
            assert.equal("2", count(op.ne { 1, 2 }))
            assert.equal("3", count { parent = null })
        end)

        it("thousands of conditions are one statement", function()
            local conditions = {}
            for i = 1, 5000 do conditions[i] = { age = i } end
            assert.equal("1 2 4", ids(op.any(conditions)))
            assert.equal("", ids(op.all(conditions)))
        end)

        it("long lists are one statement", function()
            local list = {}
            for i = 1, 40000 do list[i] = i + 2 end
            assert.equal("3 4", ids(op.one_of(list)))
            assert.equal("1 2", ids(op.not_one_of(list)))
        end)

        it("raw fragments", function()
            assert.equal("2", ids(op.raw("length(e0.name) > ?", 3)))
            assert.equal("1", ids { name = op.raw("replace(?, 'x', 'n')", "Axx") })
            assert.equal("1 2", ids(op.all { op.raw("age < ?", 3), { name = op.not_null() } }))
        end)
    end)
end)
