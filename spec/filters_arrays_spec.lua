-- Filters over arrays: elements, containment both ways, overlap, equality, NULL elements, every type of element; and
-- against a model by chance. HEDDLE_SEED runs one seed.

local chance = require "spec.support.chance"
local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"
local unit = require "spec.support.unit"

local op = orm.op
local raises = expect.raises

local kinds = { "smallint", "integer", "bigint", "float", "double", "decimal", "string", "text", "boolean", "uuid",
    "timestamp", "date", "time" }
local samples = {
    smallint = { 1, -2 }, integer = { 5, 2147483647 }, bigint = { 7, 4294967296 }, float = { 0.5, 2 },
    double = { 1.5, 1e300 }, decimal = { "1.50", "-3" }, string = { "a\"b", "%" }, text = { "x, {y}", "" },
    boolean = { true, false }, timestamp = { 1000.25, 0 }, date = { "2020-01-31", "1999-12-31" },
    time = { "10:00:00", "23:59:59.5" },
    uuid = { "0f8fad5b-d9cb-469f-a165-70867728950e", "0f8fad5b-d9cb-469f-a165-70867728950f" },
}

local properties = { name = "Box", { "id", type = "integer", primary = true },
    { "scaled", type = "array", array_of = "decimal", precision = 10, scale = 2, nullable = true },
    { "parent", many_to_one = "Box", nullable = true }, { "boxes", one_to_many = "Box", mapped_by = "parent" } }
for _, kind in ipairs(kinds) do
    properties[#properties + 1] = { kind .. "s", type = "array", array_of = kind, nullable = true }
end
local Box = orm.entity(properties)

databases.each(function(db)
    describe("filters over arrays", function()
        local work, em

        before_each(function()
            work = unit.open(db, { Box })
            em = work.em
        end)

        after_each(function()
            work:close()
            db:close()
        end)

        local function ids(where)
            local found = em:find(Box, where, { order_by = { "id" }, managed = false })
            for i, e in ipairs(found) do found[i] = e.id end
            assert.equal(#found, em:count(Box, where))
            return table.concat(found, " ")
        end

        local function fill(name, lists)
            for i, list in ipairs(lists) do em:insert(Box, { id = i, [name] = list }) end
        end

        it("contains, contained, overlaps, equality, one_of", function()
            fill("texts", { { "a", "b" }, { "b", "a", "b" }, { "a" }, orm.array {}, orm.null, { "c", "a b" } })
            assert.equal("1 2 3", ids { texts = op.contains "a" })
            assert.equal("1 2", ids { texts = op.contains { "b", "a" } })
            assert.equal("1 2 3 4 6", ids { texts = op.contains {} })
            assert.equal("6", ids { texts = op.contains "a b" })
            assert.equal("1 2 3 4", ids { texts = op.contained { "a", "b" } })
            assert.equal("3 4", ids { texts = op.contained "a" })
            assert.equal("4", ids { texts = op.contained {} })
            assert.equal("1 2 6", ids { texts = op.overlaps { "b", "c" } })
            assert.equal("", ids { texts = op.overlaps {} })
            assert.equal("1", ids { texts = { "a", "b" } })
            assert.equal("1", ids { texts = op.eq { "a", "b" } })
            assert.equal("2 3 4 6", ids { texts = op.ne { "a", "b" } })
            assert.equal("4", ids { texts = {} })
            assert.equal("1 3 5", ids { texts = op.one_of { { "a", "b" }, { "a" }, orm.null } })
            assert.equal("2 4 6", ids { texts = op.not_one_of { { "a", "b" }, { "a" } } })
            assert.equal("5", ids { texts = orm.null })
            assert.equal("4 6", ids(op.negate { texts = op.overlaps { "a" } }))
            assert.equal("2", ids { texts = op.all { op.contains "b", op.ne { "a", "b" } } })
        end)

        it("Q2: a NULL element is equal to no element, and to NULL where whole arrays are compared", function()
            fill("integers", { { 1, orm.null }, { 1 }, { orm.null }, { orm.null, orm.null } })
            assert.equal("1 2", ids { integers = op.contains(1) })
            assert.equal("2", ids { integers = op.contained { 1, 2 } })
            assert.equal("1 2", ids { integers = op.overlaps { 1, 3 } })
            assert.equal("1", ids { integers = { 1, orm.null } })
            assert.equal("3", ids { integers = { orm.null } })
            assert.equal("1 2 4", ids { integers = op.ne { orm.null } })
            for _, name in ipairs { "contains", "contained", "overlaps" } do
                raises("validation", function() em:find(Box, { integers = op[name] { 1, orm.null } }) end, "orm.null")
                raises("validation", function() op[name](orm.null) end, "op." .. name)
                raises("validation", function() op[name](nil) end, "op." .. name)
            end
        end)

        it("U3: elements of every type are found as what was written", function()
            for i, kind in ipairs(kinds) do
                local name, values = kind .. "s", samples[kind]
                em:insert(Box, { id = i * 10, [name] = { values[1], orm.null } })
                em:insert(Box, { id = i * 10 + 1, [name] = { values[2], values[1] } })
                local first, both = tostring(i * 10), i * 10 .. " " .. i * 10 + 1
                assert.equal(both, ids { [name] = op.contains(values[1]) }, kind)
                assert.equal(tostring(i * 10 + 1), ids { [name] = op.contains(values) }, kind)
                assert.equal(tostring(i * 10 + 1), ids { [name] = op.contained(values) }, kind)
                assert.equal(both, ids { [name] = op.overlaps { values[1] } }, kind)
                assert.equal(first, ids { [name] = { values[1], orm.null } }, kind)
                assert.equal(tostring(i * 10 + 1), ids { [name] = op.ne { values[1], orm.null } }, kind)
            end
        end)

        it("U3: decimals are equal as numbers, bigints beyond 2^53 exactly", function()
            fill("decimals", { { "1.5" }, { "1.50", "10" }, { "-0.1" } })
            assert.equal("1 2", ids { decimals = op.contains "1.500" })
            assert.equal("1", ids { decimals = { "1.50" } })
            assert.equal("3", ids { decimals = op.overlaps { "-0.10", "7" } })
            em:insert(Box, { id = 8, scaled = { 2, "3.1" } })
            assert.equal("8", ids { scaled = { "2.00", "3.10" } })
            em:insert(Box, { id = 9, bigints = { "9007199254740993" } })
            assert.equal("9", ids { bigints = op.contains "9007199254740993" })
            assert.equal("", ids { bigints = op.contains "9007199254740992" })
        end)

        it("arrays in arrays are looked through", function()
            fill("integers", { { { 1, 2 }, { 3, 4 } }, { { 5, 6 } } })
            assert.equal("1", ids { integers = op.contains(3) })
            assert.equal("1", ids { integers = op.contains { 4, 1 } })
            assert.equal("2", ids { integers = op.contained { 5, 6, 7 } })
            assert.equal("1 2", ids { integers = op.overlaps { 2, 6 } })
            assert.equal("2", ids { integers = { { 5, 6 } } })
        end)

        it("in members, nested filters and writes", function()
            fill("texts", { { "a" }, { "b" } })
            em:insert(Box, { id = 3, parent = 1, texts = { "c" } })
            assert.equal("3", ids { parent = { texts = op.contains "a" } })
            assert.equal("1", ids { boxes = op.some { texts = op.overlaps { "c" } } })
            assert.equal("2 3", ids { boxes = op.none { texts = op.contained { "c" } } })
            assert.equal(1, em:update_where(Box, { parent = { texts = op.contains "a" } }, { texts = { "new" } }))
            assert.equal("3", ids { texts = { "new" } })
            assert.equal(1, em:delete_where(Box, { texts = op.contains "new" }))
        end)

        it("Q1: elements of the wrong type, and properties that are no arrays, are refused", function()
            for _, value in ipairs { "x", { "x" }, true, { 1.5 }, { a = 1 }, { 1, nil, 3, [7] = 1 }, print, op.eq(1),
                { op.eq(1) } } do
                for _, name in ipairs { "contains", "contained", "overlaps" } do
                    local err = raises("validation", function() em:find(Box, { integers = op[name](value) }) end)
                    assert.equal("integers", err.property)
                end
            end
            raises("validation", function() em:find(Box, { id = op.overlaps { 1 } }) end, "Box.id", "arrays")
            raises("validation", function() em:find(Box, { id = op.contained { 1 } }) end, "Box.id")
            raises("validation", function() em:find(Box, { parent = op.overlaps { 1 } }) end, "Box.parent")
            raises("validation", function() em:find(Box, { texts = op.like "a" }) end, "Box.texts")
            raises("validation", function() em:find(Box, { texts = op.gt { "a" } }) end, "Box.texts")
            raises("validation", function() em:find(Box, { texts = "a" }) end, "Box.texts")
        end)

        local function sets(list)
            local set, has_null = {}, false
            for _, item in ipairs(list) do
                if item == orm.null then has_null = true else set[item] = true end
            end
            return set, has_null
        end

        local tests = {
            contains = function(own, given)
                local set = sets(own)
                for _, item in ipairs(given) do
                    if not set[item] then return false end
                end
                return true
            end,
            contained = function(own, given)
                local set, has_null = sets(given), select(2, sets(own))
                for item in pairs(sets(own)) do
                    if not set[item] then return false end
                end
                return not has_null
            end,
            overlaps = function(own, given)
                local set = sets(own)
                for _, item in ipairs(given) do
                    if set[item] then return true end
                end
                return false
            end,
            eq = function(own, given)
                for i = 1, math.max(#own, #given) do
                    if own[i] ~= given[i] then return false end
                end
                return true
            end,
        }
        function tests.ne(own, given) return not tests.eq(own, given) end

        it("by chance: against a model", function()
            local seed = chance.seed(1)
            local random = chance.generator(seed)
            local function list(with_null)
                local made = orm.array {}
                for i = 1, random(5) - 1 do
                    made[i] = with_null and random(4) == 1 and orm.null or random { "a", "b", "ab", "", "%" }
                end
                return made
            end
            local own = {}
            for i = 1, 40 do
                own[i] = random(6) == 1 and orm.null or list(true)
                em:insert(Box, { id = i, texts = own[i] })
            end
            for _ = 1, 300 do
                local name, negated = random { "contains", "contained", "overlaps", "eq", "ne" }, random(3) == 1
                local given, expected = list(name == "eq" or name == "ne"), {}
                for i, value in ipairs(own) do
                    if value ~= orm.null and tests[name](value, given) == not negated then
                        expected[#expected + 1] = i
                    end
                end
                local where = { texts = op[name](given) }
                assert.equal(table.concat(expected, " "), ids(negated and op.negate(where) or where),
                    ("seed %d, %s%s { %s }"):format(seed, negated and "not " or "", name, #given))
            end
        end)
    end)
end)

databases.on("postgres", function(db)
    it("arrays are compared by PostgreSQL's own operators, which an index serves", function()
        local work = unit.open(db, { Box })
        work:forget()
        work.em:find(Box, { texts = op.contains "a" })
        work.em:find(Box, { texts = op.overlaps { "a" } })
        assert.truthy(work.log[1].sql:find('e0."texts" @> $1', 1, true))
        assert.truthy(work.log[2].sql:find('e0."texts" && $1', 1, true))
        work:close()
        db:close()
    end)
end)
