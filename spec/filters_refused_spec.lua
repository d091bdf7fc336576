-- Q1 and the promise that nothing in data is an operator, a name or SQL: what a filter refuses, and random decoded
-- JSON in the places where programs put request data.

local chance = require "spec.support.chance"
local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"

local op = orm.op
local raises = expect.raises

local Team = orm.entity {
    name = "Team",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "secret", type = "string", nullable = true, hidden = true },
}
local User = orm.entity {
    name = "User", table = "users",
    { "id", type = "integer", primary = true },
    { "name", type = "string", length = 20, nullable = true },
    { "age", type = "integer", nullable = true },
    { "price", type = "decimal", precision = 8, scale = 2, nullable = true },
    { "ratio", type = "double", nullable = true },
    { "active", type = "boolean", nullable = true },
    { "born", type = "date", nullable = true },
    { "seen", type = "timestamp", nullable = true },
    { "code", type = "uuid", nullable = true },
    { "level", type = "enum", enum = { "low", "high" }, nullable = true },
    { "doc", type = "json", nullable = true },
    { "tags", type = "array", array_of = "text", nullable = true },
    { "password", type = "string", nullable = true, hidden = true },
    { "team", many_to_one = Team, nullable = true },
    { "mentor", many_to_one = "User", nullable = true },
    { "pupils", one_to_many = "User", mapped_by = "mentor" },
}

databases.each(function(db)
    describe("refused filters", function()
        local em, sent

        before_each(function()
            local instance = orm.init(db:config { entities = { Team, User } })
            instance.schema:create()
            em = orm.em():fork()
            em:insert(Team, { name = "core", secret = "s3cret" })
            em:insert_many(User, { { name = "Ann", age = 1, team = 1, password = "s3cret" }, { name = "Ben" } })
            sent = expect.statements(instance)
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        local function untouched()
            assert.same({}, sent)
            assert.equal("2", db:raw():value "select count(*) from users where name in ('Ann', 'Ben')")
        end

        it("Q1: an empty filter is refused where it would hit a row at random or all of them", function()
            local request = {}
            for _, where in ipairs { {}, { id = request.id }, { name = nil, team = request.team } } do
                raises("validation", function() em:find_one(User, where) end, "User", "all = true")
                raises("validation", function() em:find_one_or_fail(User, where) end, "User")
                raises("validation", function() em:update_where(User, where, { name = "x" }) end, "User")
                raises("validation", function() em:delete_where(User, where) end, "User")
            end
            for _, nothing in ipairs { { n = 1 }, { n = 1, orm.null } } do
                local where = nothing[1]
                for _, name in ipairs { "find", "find_one", "find_one_or_fail", "find_and_count", "count",
                    "delete_where" } do
                    raises("validation", function() em[name](em, User, where) end, "User")
                end
                raises("validation", function() em:update_where(User, where, { name = "x" }) end, "User")
            end
            untouched()
        end)

        it("Q1: an empty table nested in a filter, an empty op.all and nil operands are refused everywhere", function()
            local request = {}
            local filters = {
                { team = {} }, { team = { id = request.id } }, { name = "x", team = {} }, op.any { {}, { name = "x" } },
                op.all { { name = "x" }, {} }, op.negate {}, { team = op.any { {} } }, { team = { id = 1, name = {} } },
                { mentor = { team = {} } },
            }
            for _, where in ipairs(filters) do
                for _, name in ipairs { "find", "find_one", "count", "delete_where" } do
                    raises("validation", function() em[name](em, User, where, { all = true }) end, "filter of")
                end
            end
            raises("validation", function() op.all {} end, "op.all")
            for _, name in ipairs { "eq", "ne", "gt", "gte", "lt", "lte", "one_of", "not_one_of", "like", "not_like",
                "ilike", "starts_with", "ends_with", "contains", "all", "any", "negate", "raw" } do
                raises("validation", function() op[name](request.id) end, "op." .. name)
            end
            raises("validation", function() op.between(1, request.id) end, "op.between")
            raises("validation", function() op.between(request.id, 1) end, "op.between")
            raises("validation", function() op.raw("x = ?", request.id) end, "op.raw")
            untouched()
        end)

        it("Q1: all = true says that every row is meant; find and count take {} by themselves", function()
            assert.equal(2, #em:find(User, {}))
            assert.equal(2, em:count(User, {}))
            assert.equal(2, select(2, em:find_and_count(User, {})))
            assert.is_table(em:find_one(User, {}, { all = true }))
            assert.equal(2, em:update_where(User, {}, { age = 5 }, { all = true }))
            assert.equal(2, em:delete_where(User, {}, { all = true }))
            assert.equal(0, em:count(User, {}))
        end)

        it("Q1: an unknown name in a filter raises with the nearest one", function()
            local function refused(where, ...)
                local err = raises("unknown_property", function() em:find(User, where) end, ...)
                assert.equal("default", err.context)
            end
            refused({ nmae = "x" }, "User", "'nmae'", "did you mean 'name'?")
            refused({ team = { nmae = "x" } }, "Team", "did you mean 'name'?")
            refused({ mentor = { mentor = { nam = 1 } } }, "User", "did you mean 'name'?")
            refused(op.any { { name = "x" }, { agee = 1 } }, "did you mean 'age'?")
            refused({ ["name\" = 'x' or 1=1 --"] = "x" }, "User")
            refused({ [""] = "x" }, "User")
            refused({ [true] = "x", name = "y" }, "User")
            refused({ team_id = 1 }, "User")
            untouched()
        end)

        it("Q1: hidden properties are no names of nested filters and orders", function()
            assert.equal(1, em:count(User, { password = "s3cret" }))
            sent[1] = nil
            raises("unknown_property", function() em:find(User, { team = { secret = "s3cret" } }) end, "Team", "hidden")
            raises("unknown_property", function() em:find(User, { mentor = { password = op.like "%" } }) end, "hidden")
            raises("unknown_property", function() em:find(User, {}, { order_by = { "team.secret" } }) end, "hidden")
            untouched()
        end)

        it("a value of the wrong type is validation, naming entity and property, before anything is sent", function()
            local wrong = {
                age = { "x", "1.5", 1.5, true, "", " 1", "0x10", "1e3", 2 ^ 40, 0 / 0, 1 / 0, {}, { 1 },
                    { ["$gt"] = 0 }, print },
                name = { 1, true, {}, { "a" }, { ["$ne"] = "" }, "nul\0", "bad\255utf8", ("x"):rep(21) },
                price = { "x", "1.234", "1234567.00", true, {}, 0 / 0, 1 / 0, "" },
                ratio = { "x", true, {}, "" },
                active = { 1, 0, "true", "t", {} },
                born = { "2020-02-30", "x", 5, {}, "" },
                seen = { "x", true, {}, 0 / 0, "2020-13-01T00:00:00Z" },
                code = { "x", 5, {}, "0f8fad5b-d9cb-469f-a165-7086772895" },
                level = { "middle", 1, {}, "" },
                team = { "x", 1.5, true, print },
                id = { "x", {}, true },
            }
            for name, values in pairs(wrong) do
                for i, value in ipairs(values) do
                    local err = raises("validation", function() em:find(User, { [name] = value }) end)
                    assert.equal("User", err.entity, name .. i)
                    assert.equal(name, err.property, name .. i)
                    if type(value) ~= "function" and name ~= "team" then
                        local place = "User." .. name
                        raises("validation", function() em:find(User, { [name] = op.ne(value) }) end, place)
                        raises("validation", function() em:find(User, { [name] = op.one_of { value } }) end, place)
                    end
                    raises("validation", function() em:find_one(User, { [name] = value, mentor = 1 }) end, "User")
                    raises("validation", function() em:update_where(User, { [name] = value }, { age = 1 }) end, "User")
                end
            end
            raises("validation", function() em:find(User, { team = op.eq { name = "core" } }) end, "User.team")
            raises("validation", function() em:find(User, { team = em:create(Team, {}) }) end, "key")
            raises("validation", function() em:find(User, { team = em:get_reference(User, 1) }) end, "Team", "User")
            raises("validation", function() em:find(User, { age = op.like "1%" }) end, "User.age")
            raises("validation", function() em:find(User, { name = op.contains(5) }) end, "User.name")
            raises("validation", function() em:find(User, { name = op.eq(op.eq "x") }) end, "User.name")
            raises("validation", function() em:find(User, op.gt(5)) end, "User")
            raises("validation", function() em:find(User, { team = op.gt(5) }) end, "User.team")
            raises("validation", function() em:find(User, { name = op.one_of { "a", b = 1 } }) end, "op.one_of")
            untouched()
        end)

        it("Q7: a pattern is one that both databases take", function()
            for _, pattern in ipairs { "\\", "a%\\", "\\\\\\" } do
                for _, name in ipairs { "like", "not_like", "ilike" } do
                    raises("validation", function() em:find(User, { name = op[name](pattern) }) end, "User.name",
                        "op." .. name)
                    raises("validation", function() em:find(User, { doc = op.json("a", op[name](pattern)) }) end,
                        "User.doc")
                end
            end
            untouched()
            assert.equal(0, em:count(User, { name = op.like "\\\\" }))
            assert.equal(0, em:count(User, { name = op.starts_with "\\" }))
            local long = ("a"):rep(50000)
            assert.equal(0, em:count(User, { name = op.like(long) }))
            if db.name == "postgres" then return assert.equal(0, em:count(User, { name = op.starts_with(long) })) end
            raises("unsupported", function() em:find(User, { name = op.starts_with(long) }) end, "User.name")
            raises("unsupported", function() em:find(User, { name = op.ilike(long .. "%") }) end, "User.name")
        end)

        it("how long a name is read does not depend on who wrote it", function()
            local started = os.clock()
            local endless = { ("a"):rep(70000), "team." .. ("a"):rep(70000), "name x" .. (" "):rep(70000) .. "y" }
            for _, name in ipairs(endless) do
                raises("validation", function() em:find(User, {}, { order_by = { name } }) end, "order_by")
                raises("validation", function() em:query(User, "u"):order_by(name):all() end, "order_by")
                raises("unknown_property", function() em:find(User, { [name] = 1 }) end)
                raises("unknown_property", function() em:find(User, {}, { fields = { name } }) end)
                raises("unknown_property", function() em:find(User, {}, { populate = { name } }) end)
            end
            raises("validation", function() em:find(User, { name = op.like(("\\"):rep(70001)) }) end)
            assert.is_true(os.clock() - started < 5)
            untouched()
        end)

        it("op.ref compares like with like", function()
            for _, pair in ipairs { { "name", "age" }, { "born", "seen" }, { "code", "name" }, { "tags", "name" },
                { "active", "age" }, { "team", "name" }, { "level", "ratio" } } do
                raises("validation", function() em:find(User, { [pair[1]] = op.eq(op.ref(pair[2])) }) end,
                    "User." .. pair[1], pair[2])
                raises("validation", function() em:count(User, { [pair[1]] = op.ref(pair[2]) }) end, pair[2])
            end
            untouched()
            for _, pair in ipairs { { "age", "id" }, { "ratio", "age" }, { "name", "level" }, { "team", "mentor" },
                { "mentor", "id" }, { "tags", "tags" } } do
                assert.equal(0, em:count(User, { id = 2, [pair[1]] = op.ref(pair[2]) }))
            end
            if db.name == "postgres" then return assert.equal(0, em:count(User, { price = op.gt(op.ref "age") })) end
            raises("unsupported", function() em:count(User, { price = op.gt(op.ref "age") }) end, "User.price", "'age'")
        end)

        it("no filter, order or list of fields made of decoded JSON ever reaches the database as SQL", function()
            local seed = chance.seed(1)
            math.randomseed(seed)
            local words = { "id", "name", "age", "price", "ratio", "active", "born", "seen", "code", "level", "doc",
                "tags", "password", "team", "mentor", "pupils", "team.name", "mentor.team.name", "name desc",
                "id asc nulls last", "$gt", "kind", "op", "value", "all", "or", "raw", "e0.id", "1", "", "'", "\"", ";",
                "name; drop table users",
                "name) or 1=1 --", "nulls", "desc", "*", "count(*)", "\0", "é", "x\ny", "?", "$1" }
            local scalars = { 0, 1, -1, 1.5, 1e308, 2 ^ 53, "1", "x", "", true, false, orm.null, "2020-01-01", "low",
                "0f8fad5b-d9cb-469f-a165-70867728950e", "' or 1=1 --", "%", "\\", "{}", "[1]", "nul\0", "\255" }
            local function any_of(list) return list[math.random(#list)] end
            local function value(depth)
                local roll = math.random(10)
                if depth == 0 or roll <= 5 then return any_of(scalars) end
                local made = {}
                if roll <= 7 then
                    for i = 1, math.random(0, 3) do made[i] = value(depth - 1) end
                else
                    for _ = 1, math.random(0, 3) do made[any_of(words)] = value(depth - 1) end
                end
                return made
            end
            local failures = { validation = true, unknown_property = true, unsupported = true }
            local answered, refused = 0, 0
            local function try(what, E, where, opts)
                if type(where) == "function" then
                    local made, operator = pcall(where)
                    if not made and not (orm.is_error(operator) and failures[operator.kind]) then error(operator) end
                    where = made and operator or 1
                end
                local ok, err = pcall(em.find, em, E, where, opts)
                if not ok and not (orm.is_error(err) and failures[err.kind]) then
                    error(("seed %d, %s: %s %s"):format(seed, what, tostring(err),
                        tostring(type(err) == "table" and err.sql or "")))
                end
                if ok then answered = answered + 1 else refused = refused + 1 end
            end
            for _ = 1, 2000 do
                try("filter", User, value(4), { managed = false })
                try("order_by", User, {}, { order_by = value(2), managed = false })
                try("fields", User, {}, { fields = value(2), managed = false })
                try("options", User, {}, { populate = value(2), limit = value(0), offset = value(1), managed = false })
                try("key", User, { team = value(3), id = op.gt(0) }, { managed = false })
                try("value", User, { [words[math.random(15)]] = op.eq(value(0)) }, { managed = false })
                try("json", User, function() return { doc = op.json(value(2), value(2)) } end, { managed = false })
                try("path", User, function()
                    local name = any_of { "gt", "like", "contains", "contained", "one_of", "ne", "starts_with" }
                    return { doc = op.json({ any_of(words), any_of(words) }, op[name](value(2))) }
                end, { managed = false })
                try("containment", User, function()
                    local name = any_of { "contains", "contained", "overlaps", "eq", "ne", "one_of" }
                    return { [any_of { "doc", "tags" }] = op[name](value(3)) }
                end, { managed = false })
                try("members", User, function()
                    local relation, name = any_of { "pupils", "team", "mentor" }, any_of { "some", "none", "every" }
                    return { [relation] = op[name](value(3)) }
                end, { managed = false })
            end
            assert.is_true(answered > 500, "answered " .. answered)
            assert.is_true(refused > 500, "refused " .. refused)
            assert.equal("2", db:raw():value "select count(*) from users")
        end)
    end)
end)
