-- Arbitrary decoded JSON in every place of a query that data can reach: filters, options, orders, fields, paths,
-- cursors, values of operators, data to write. The answer is a result or an error that says what is wrong with the
-- data, never one of the database's own; what only reads changes nothing.
--
-- 100,000 pieces over both drivers. HEDDLE_SEED=n HEDDLE_RUNS=1 repeats piece n, which is in the message of a failure.

local chance = require "spec.support.chance"
local databases = require "spec.support.databases"
local json_like = require "spec.support.json_like"
local orm = require "heddle"

local op = orm.op
local first = chance.seed(1)
local runs = chance.runs(math.floor(100000 / #databases.names()))

local has_cjson, cjson = pcall(require, "cjson")

-- Entities with a property of every kind ------------------------------------------------------------------------

local id = { "id", type = "integer", primary = true }

local Geo = orm.embeddable { name = "Geo", { "lat", type = "double", nullable = true } }
local Address = orm.embeddable {
    name = "Address", { "city", type = "string", nullable = true }, { "zip", type = "integer", nullable = true },
    { "geo", embedded = Geo, nullable = true },
}
local Team = orm.entity {
    name = "Team", table = "teams", id,
    { "name", type = "string", nullable = true },
    { "secret", type = "string", nullable = true, hidden = true },
    { "lead", many_to_one = "User", nullable = true },
    { "members", one_to_many = "User", mapped_by = "team" },
    filters = { shown = { cond = { name = op.ne "gone" } } },
}
local User = orm.entity {
    name = "User", table = "users", id,
    { "name", type = "string", nullable = true },
    { "nick", type = "string", length = 10, nullable = true },
    { "bio", type = "text", nullable = true, lazy = true },
    { "age", type = "integer", nullable = true },
    { "small", type = "smallint", nullable = true },
    { "big", type = "bigint", nullable = true },
    { "ratio", type = "double", nullable = true },
    { "price", type = "decimal", precision = 12, scale = 3, nullable = true },
    { "active", type = "boolean", nullable = true },
    { "born", type = "date", nullable = true },
    { "woke", type = "time", nullable = true },
    { "seen", type = "timestamp", nullable = true },
    { "code", type = "uuid", nullable = true },
    { "level", type = "enum", enum = { "low", "high" }, nullable = true },
    { "data", type = "blob", nullable = true },
    { "doc", type = "json", nullable = true },
    { "marks", type = "array", array_of = "integer", nullable = true },
    { "words", type = "array", array_of = "string", nullable = true },
    { "password", type = "string", nullable = true, hidden = true },
    { "address", embedded = Address, nullable = true },
    { "work", embedded = Address, object = true, nullable = true },
    { "homes", embedded = Address, array = true, nullable = true },
    { "team", many_to_one = "Team", nullable = true },
    { "profile", one_to_one = "Profile", mapped_by = "user" },
    { "skills", many_to_many = "Skill" },
    filters = {
        tenant = { cond = function(params) return { age = params.id } end, params = { "id" } },
        known = { cond = { name = op.not_null() }, default = true },
    },
}
local Skill = orm.entity {
    name = "Skill", table = "skills", { "name", type = "string", primary = true },
    { "users", many_to_many = "User", mapped_by = "skills" },
}
local Profile = orm.entity {
    name = "Profile", table = "profiles", { "user", one_to_one = "User", primary = true },
    { "site", type = "string", nullable = true },
}
local Cell = orm.entity {
    name = "Cell", table = "cells", { "x", type = "integer", primary = true }, { "y", type = "string", primary = true },
    { "next", many_to_one = "Cell", nullable = true }, { "n", type = "integer", nullable = true },
}
local Shape = orm.entity {
    name = "Shape", table = "shapes", discriminator_column = "kind", discriminator_value = "shape", id,
    { "kind", type = "string" }, { "label", type = "string", nullable = true },
}
local Circle = orm.entity { name = "Circle", extends = Shape, discriminator_value = "circle",
    { "radius", type = "double", nullable = true } }

local entities = { User, User, User, Team, Skill, Profile, Cell, Shape, Circle }
local registered = { User, Team, Skill, Profile, Cell, Shape, Circle }

local rows = {
    "delete from users_skills", "delete from profiles", "update teams set lead_id = null", "delete from users",
    "delete from teams", "delete from skills", "delete from cells", "delete from shapes",
    "insert into teams (id, name) values (1, 'core'), (2, 'gone')",
    [[insert into users (id, name, age, price, active, born, team_id, level, doc) values
        (1, 'Ann', 1, '1.500', true, '2000-01-31', 1, 'low', '{"a":[1,{"b":null}]}'), (2, 'Ben', null, null, null,
        null, 2, null, null), (3, null, 3, '10.000', false, null, null, 'high', '[1,2]')]],
    "insert into skills (name) values ('lua'), ('c')",
    "insert into profiles (user_id, site) values (1, 'ann.example')",
    "insert into cells (x, y, n) values (1, 'a', 1), (1, 'b', 2)",
    "insert into shapes (id, kind, label, radius) values (1, 'shape', 'x', null), (2, 'circle', 'y', 1.5)",
}

local names = {
    "id", "name", "nick", "bio", "age", "small", "big", "ratio", "price", "active", "born", "woke", "seen", "code",
    "level", "data", "doc", "marks", "words", "password", "address", "work", "homes", "team", "profile", "skills",
    "lead", "members", "users", "user", "site", "x", "y", "next", "n", "kind", "label", "radius", "city", "zip",
    "geo", "lat", "address.city", "address.geo.lat", "work.zip", "work.geo", "homes.city", "team.name",
    "team.lead.team", "team.secret", "team.members", "skills.users", "profile.site", "next.next", "lead.profile",
    "a", "b", "*", "team.*", "team_id", "e0", "secret",
}

local options = {
    "populate", "fields", "exclude", "order_by", "limit", "offset", "strategy", "lock", "filters", "flush_mode",
    "managed", "connection", "refresh", "first", "last", "before", "after", "count", "group_by", "having",
    "distinct", "all", "timeout",
}

-- What is asked ---------------------------------------------------------------------------------------------------

local operator_names = {}
for name, fn in pairs(op) do
    if type(fn) == "function" and not name:find "^is_o" and name ~= "raw" and name ~= "is_raw" then
        operator_names[#operator_names + 1] = name
    end
end
table.sort(operator_names)

-- An operator over data, in or around the names that it is about.
local function operator(make, depth)
    local name = make.pick(operator_names)
    if name == "json" then
        return op.json(make.value(1), make.random(3) == 1 and operator(make, depth + 1) or make.value())
    end
    if name == "between" then return op.between(make.value(1), make.value(1)) end
    if (name == "all" or name == "any" or name == "negate" or name == "some" or name == "every" or name == "none")
        and depth < 4 and make.random(2) == 1 then
        local function inner()
            if make.random(2) == 1 then return operator(make, depth + 1) end
            return { [make.pick(names)] = make.random(2) == 1 and operator(make, depth + 1) or make.value() }
        end
        return op[name]((name == "all" or name == "any") and { inner(), inner() } or inner())
    end
    return op[name](make.value())
end

-- Values that mean something, so that statements are sent as well.
local fitting = {
    id = { 1, 2, "3" }, name = { "Ann", "core", "lua", "a%" }, nick = { "x" }, bio = { "text" },
    age = { 1, 2, "3" }, small = { 1 }, big = { 1, "9223372036854775807" }, ratio = { 0.5, 1e308, -1 },
    price = { "1.5", 2 }, active = { true, false }, born = { "2000-01-31" }, woke = { "12:00:00" },
    seen = { 0, 1e9 + 0.25, "2020-01-01T00:00:00Z" }, code = { "0f8fad5b-d9cb-469f-a165-70867728950e" },
    level = { "low", "high" }, data = { "\0\255", "a" }, team = { 1, 2 }, profile = { 1 }, user = { 1 },
    lead = { 1 }, site = { "ann.example" }, x = { 1 }, y = { "a" }, n = { 1 }, kind = { "circle" }, label = { "x" },
    radius = { 1.5 }, password = { "p" },
}
local textual = { name = true, nick = true, bio = true, site = true, label = true, password = true }
local inexact = { "eq", "ne", "gt", "gte", "lt", "lte" }
local patterns = { "like", "not_like", "ilike", "starts_with", "ends_with", "contains", "matches" }
local own_names = {}
for _, entity in ipairs(registered) do
    own_names[entity] = {}
    for _, prop in ipairs(orm.metadata(entity).properties) do table.insert(own_names[entity], prop.name) end
end
local to_one = { team = Team, profile = Profile, user = User, lead = User }
local to_many = { members = User, skills = Skill, users = User }

local sensible

local function about(make, name, depth)
    local target = to_one[name] or to_many[name]
    if target and (to_many[name] or make.random(2) == 1) and depth < 3 then
        local inner = sensible(make, target, depth + 1)
        return to_one[name] and make.random(2) == 1 and inner or op[make.pick { "some", "none", "every" }](inner)
    end
    local values = fitting[name]
    local what = make.random(10)
    if not values or what == 1 then return make.random(2) == 1 and orm.null or make.value() end
    if what <= 4 then return make.pick(values) end
    if what == 5 then return op.one_of { make.pick(values), make.random(2) == 1 and orm.null or make.pick(values) } end
    if what == 6 then return op.not_one_of(values) end
    if what == 7 then return op.between(make.pick(values), make.pick(values)) end
    if what == 8 and textual[name] then return op[make.pick(patterns)](make.string()) end
    return op[make.pick(inexact)](make.pick(values))
end

function sensible(make, entity, depth)
    local where = {}
    for _ = 1, make.random(2) do
        local name = make.pick(own_names[entity])
        where[name] = about(make, name, depth or 1)
    end
    if make.random(6) == 1 then return op.negate(where) end
    return where
end

-- What a program would write around data.
local function filter(make, entity)
    local what = make.random(16)
    if what <= 2 then return make.value() end
    if what <= 4 then return { [make.pick(names)] = make.value() } end
    if what == 5 then return operator(make, 1) end
    if what == 6 then
        return op.all { { [make.pick(names)] = operator(make, 1) }, { [make.pick(names)] = make.value() } }
    end
    if what == 7 and make.random(2) == 1 then return op.raw("cast(? as text) = 'x'", make.value()) end
    if what == 7 then return { doc = op.json(make.random(2) == 1 and "a.b" or make.string(), operator(make, 3)) } end
    if what == 8 then return { [make.pick(names)] = operator(make, 1) } end
    return sensible(make, entity)
end

local words = { "name", "id desc", "team", "team.name", "skills", "members", "lead", "core", "select_in", "joined",
    "auto", "commit", "read", "write", "tenant", "known", "optimistic", "pessimistic_write" }

local function option_value(make)
    local what = make.random(8)
    if what == 1 then return make.random(2) == 1 end
    if what == 2 then return make.random(5) end
    if what <= 5 then
        return make.list(function() return make.random(3) == 1 and make.string() or make.pick(words) end)
    end
    if what == 6 then return make.pick(words) end
    return make.value()
end

local function query_options(make)
    local what = make.random(8)
    if what <= 3 then return nil end
    if what == 4 then return make.value() end
    if what <= 6 then
        return { order_by = { make.pick { "id", "name desc", "team.name nulls first" } }, limit = make.random(3),
            populate = make.random(2) == 1 and { "team", "skills" } or nil, managed = make.random(2) == 1 }
    end
    return make.object(options, function() return option_value(make) end)
end

local path_options = { "where", "order_by", "limit", "offset", "fields", "exclude", "filters", "strategy", "populate",
    "refresh", "flush_mode", "connection", "timeout" }

local function page_options(make, em, entity)
    local opts = make.object({ "first", "last", "after", "before", "count", "order_by", "fields" },
        function() return option_value(make) end)
    if make.random(2) == 1 then
        -- A cursor that was honest once, perhaps with a byte changed.
        opts = { order_by = make.random(2) == 1 and { "name desc" } or nil, first = 1 }
        local page = entity == User and em:find_by_cursor(entity, {}, opts)
        local cursor = page and page.end_cursor or make.string()
        if make.random(2) == 1 then
            local at = make.random(#cursor + 1)
            cursor = cursor:sub(1, at - 1) .. string.char(make.random(256) - 1) .. cursor:sub(at + 1)
        end
        opts[make.pick { "after", "before" }] = cursor
    end
    return opts
end

local function read_page(em, make, entity)
    local opts = page_options(make, em, entity)
    return em:find_by_cursor(entity, make.random(3) == 1 and make.value() or {}, opts)
end

local reads = {
    function(em, make, entity) return em:find(entity, filter(make, entity), query_options(make)) end,
    function(em, make, entity) return em:find(entity, {}, query_options(make)) end,
    function(em, make, entity) return em:find_one(entity, filter(make, entity), query_options(make)) end,
    function(em, make, entity) return em:find_one(entity, make.value(2)) end,
    function(em, make, entity) return em:find_one_or_fail(entity, filter(make, entity), query_options(make)) end,
    function(em, make, entity) return em:find_all(entity, query_options(make)) end,
    function(em, make, entity) return em:count(entity, filter(make, entity), query_options(make)) end,
    function(em, make, entity) return em:find_and_count(entity, filter(make, entity), query_options(make)) end,
    function(em, make, entity) return em:get_reference(entity, make.value(2)) end,
    function(em, make, entity) return em:repository(entity):find(filter(make, entity), query_options(make)) end,
    function(em, make, entity) return em:repository(entity):find_one(filter(make, entity), query_options(make)) end,
    function(em, make)
        local user = em:find_one(User, 1)
        return em:load(user, make.list(make.string),
            make.random(3) == 1 and make.object { "refresh", "where", "filters" } or nil)
    end,
    function(em, make)
        local team = em:find_one(Team, 1)
        return team.members:matching(filter(make, User), query_options(make))
    end,
    function(em, make)
        local team = em:find_one(Team, 1)
        if make.random(2) == 1 then return team.members:load_count(query_options(make)) end
        return team.members:load(make.random(4) == 1 and make.value() or make.object(path_options,
            function() return option_value(make) end))
    end,
    function(em, make, entity)
        local stream = em:stream(entity, filter(make, entity), query_options(make))
        local first_row = stream()
        stream:close()
        return first_row
    end,
    function(em, make)
        local user = em:find_one(User, 1, { populate = { "team", "skills" } })
        return orm.to_table(user, make.object({ "populate", "fields", "exclude" },
            function() return option_value(make) end))
    end,
    function(em, make, entity)
        local query = em:query(entity, "q"):where(filter(make, entity))
        if make.random(3) == 1 then query:order_by(make.random(2) == 1 and make.string() or make.value(2)) end
        if make.random(3) == 1 then query:limit(make.value(1)) end
        if make.random(4) == 1 then query:offset(make.value(1)) end
        if make.random(4) == 1 then query:populate(option_value(make)) end
        if make.random(6) == 1 then query:group_by("q.id"):having(make.value()) end
        if make.random(6) == 1 then query:where { ["q." .. make.pick(names)] = operator(make, 1) } end
        local how = make.pick { "all", "one", "count", "rows" }
        if how == "rows" then query:select("q.id", "q." .. make.pick(names)) end
        return query[how](query)
    end,
    read_page,
    read_page,
}

local texts = { "find", "find_one", "count", "find_by_cursor" }

-- What a decoder makes of text that was JSON before some of its bytes were changed.
local function read_text(em, make, entity)
    local text = make.text()
    local ok, value = pcall(cjson.decode, text)
    if not ok then value = text end
    local name = make.pick(texts)
    if name == "find_by_cursor" then return em:find_by_cursor(entity, {}, { first = 2, after = value }) end
    if make.random(3) == 1 then return em[name](em, entity, {}, value) end
    return em[name](em, entity, value)
end
if has_cjson then
    for _ = 1, 3 do reads[#reads + 1] = read_text end
end

local function data(make, entity)
    local what = make.random(6)
    if what == 1 then return make.value() end
    if what == 2 then return make.object(names) end
    local made = {}
    for _ = 1, make.random(3) do
        local name = make.pick(own_names[entity])
        made[name] = fitting[name] and make.random(2) == 1 and make.pick(fitting[name]) or make.value()
    end
    return made
end

local function few(make) return { id = op.gt(make.random(3)) } end

local writes = {
    function(em, make, entity) return em:update_where(entity, filter(make, entity), data(make, entity)) end,
    function(em, make, entity)
        return em:update_where(entity, { [make.pick(names)] = make.value() }, data(make, entity))
    end,
    function(em, make, entity) return em:update_where(entity, {}, data(make, entity), { all = true }) end,
    function(em, make) return em:update_where(User, few(make), data(make, User)) end,
    function(em, make) return em:update_where(Team, few(make), data(make, Team), query_options(make)) end,
    function(em, make, entity) return em:delete_where(entity, filter(make, entity)) end,
    function(em, make, entity)
        return em:delete_where(entity, filter(make, entity), make.object({ "all", "filters" }, function()
            return option_value(make)
        end))
    end,
    function(em, make) return em:query(User, "q"):update(data(make, User)):where(few(make)):count() end,
    function(em, make, entity) return em:query(entity, "q"):delete():where(filter(make, entity)):count() end,
}

local ordinary = { validation = true, unknown_property = true, unsupported = true, not_found = true,
    transaction_required = true, timeout = true }

-- What data can do to a table, as the database sees it.
local constraints = { unique_violation = true, foreign_key_violation = true, not_null_violation = true,
    check_violation = true }

-- A regular expression is PostgreSQL's own language, and only PostgreSQL knows a wrong one (op.matches).
local NO_REGEXP = "2201B"

local function check(ok, err, is_write)
    if ok then return "result" end
    if not orm.is_error(err) then error("no error of Heddle's: " .. tostring(err), 0) end
    local is_expected = ordinary[err.kind] and err.sqlstate == nil or is_write and constraints[err.kind]
        or err.kind == "validation" and err.sqlstate == NO_REGEXP
    if not is_expected then
        error(("%s, sqlstate %s: %s %s %s"):format(err.kind, tostring(err.sqlstate), tostring(err),
            tostring(err.detail), tostring(err.sql)), 0)
    end
    tostring(err) -- has words for it, whatever the data is
    return err.kind
end

databases.each(function(db)
    describe("arbitrary data in queries", function()
        local instance, raw, failed

        -- What the server wrote into its log since, of our connections: lines with a SQLSTATE of 42 or 22.
        local directory = db.name == "postgres" and os.getenv "HEDDLE_TEST_PG_SOCKET"
        local log_path = directory and directory .. "/server.log"
        local log_at = 0

        local function server_errors()
            local file = log_path and io.open(log_path, "rb")
            if not file then return {} end
            file:seek("set", log_at)
            local found = {}
            for line in file:lines() do
                local state = line:match "ERROR:  (%w+):"
                if state and state:find "^[42]2" and state ~= NO_REGEXP then found[#found + 1] = line end
            end
            log_at = file:seek "end"
            file:close()
            return found
        end

        setup(function()
            server_errors()
            failed = {}
            instance = orm.init(db:config {
                entities = registered,
                on_connect = db.name == "postgres" and function(conn)
                    conn:execute "set log_error_verbosity = verbose"
                end or nil,
            })
            instance.schema:create()
            raw = db:raw()
            for _, sql in ipairs(rows) do raw:exec(sql) end
            instance:on("query", function(entry)
                local state = entry.error and entry.error.sqlstate
                if state and state ~= NO_REGEXP then failed[#failed + 1] = entry end
            end)
        end)

        teardown(function() orm.close() end)

        local function dump()
            local all = {}
            for _, name in ipairs { "users", "teams", "skills", "profiles", "cells", "shapes", "users_skills" } do
                local list = raw:rows("select * from " .. name)
                for i, row in ipairs(list) do
                    local parts = {}
                    for k, value in pairs(row) do parts[#parts + 1] = tostring(k) .. "=" .. tostring(value) end
                    table.sort(parts)
                    list[i] = table.concat(parts, " ")
                end
                table.sort(list)
                all[#all + 1] = name .. ": " .. table.concat(list, "; ")
            end
            return table.concat(all, "\n")
        end

        -- Runs the pieces; raises with the first few of those that came out wrong.
        local function run(calls, is_write, from, count)
            local outcomes, wrong, seen, em = {}, {}, {}, orm.em():fork()
            for i = from, from + count - 1 do
                local make = json_like.new(i, { names = names })
                local call, entity = make.pick(calls), make.pick(entities)
                local started = os.clock()
                local done, err = pcall(call, em, make, entity)
                local ok, outcome = pcall(check, done, err, is_write)
                if os.clock() - started > 5 then ok, outcome = false, "it takes too long" end
                if not ok and not seen[outcome] and #wrong < 10 then
                    wrong[#wrong + 1], seen[outcome] = ("HEDDLE_SEED=%d HEDDLE_RUNS=1: %s"):format(i, outcome), true
                end
                outcomes[outcome] = (outcomes[outcome] or 0) + 1
                if i % 50 == 0 then em:clear() end
            end
            if wrong[1] then error(table.concat(wrong, "\n"), 0) end
            return outcomes
        end

        it("what the server says is seen", function()
            local em = orm.em():fork()
            assert.is_true(orm.is_error(select(2, pcall(em.execute, em, "select nonsense")), "syntax"))
            if db.name == "postgres" then
                assert.equal("42703", failed[1].error.sqlstate)
                if log_path then assert.equal(1, #server_errors()) end
            end
            failed = {}
        end)

        it("U4: text that is no UTF-8, or holds a NUL, does not reach the database without a type either", function()
            local em = orm.em():fork()
            for _, value in ipairs { "\255", "a\195", "\237\160\128", "a\0b" } do
                local ok, err = pcall(em.execute, em, "select ?", value)
                assert.is_true(not ok and orm.is_error(err, "validation"))
                assert.is_nil(err.sqlstate)
            end
            assert.same({}, server_errors())
        end)

        local function count_of(share) return runs == 1 and 1 or math.floor(runs * share) end

        it("reading: a result or a typed error, and nothing is changed", function()
            local before = dump()
            local outcomes = run(reads, false, first, count_of(0.8))
            assert.equal(before, dump())
            assert.same({}, failed)
            assert.same({}, server_errors())
            if runs >= 10000 then
                for _, kind in ipairs { "result", "validation", "unknown_property" } do
                    assert.is_true((outcomes[kind] or 0) > runs / 200, kind .. " " .. tostring(outcomes[kind]))
                end
            end
        end)

        it("writing: a result, a typed error, or what the tables' constraints say", function()
            local from, left = first + count_of(0.8), count_of(0.2)
            local outcomes = {}
            while left > 0 do
                for _, sql in ipairs(rows) do raw:exec(sql) end
                local some = run(writes, true, from, math.min(left, 100))
                for kind, n in pairs(some) do outcomes[kind] = (outcomes[kind] or 0) + n end
                from, left = from + 100, left - 100
            end
            for _, sql in ipairs(rows) do raw:exec(sql) end
            for _, entry in ipairs(failed) do assert.equal("23", entry.error.sqlstate:sub(1, 2)) end
            assert.same({}, server_errors())
            if runs >= 10000 then
                for _, kind in ipairs { "result", "validation", "unknown_property" } do
                    assert.is_true((outcomes[kind] or 0) > runs / 200, kind .. " " .. tostring(outcomes[kind]))
                end
            end
        end)

        it("caches stay bounded", function()
            local em = orm.em():fork()
            for _, entity in ipairs(registered) do
                local plans = em:mapping(entity).plans
                assert.is_true((plans.count or 0) <= 500)
            end
            if db.name == "postgres" then
                local kept = em:execute("select count(*) as n from pg_prepared_statements")[1].n
                assert.is_true(kept <= 512, tostring(kept))
            end
        end)
    end)
end)
