-- Filters against real rows: one data set, and for each filter the ids that both drivers have to find.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"

local op = orm.op
local raises = expect.raises

local Team = orm.entity {
    name = "Team",
    { "id", type = "integer", primary = true },
    { "name", type = "string", nullable = true },
    { "secret", type = "string", nullable = true, hidden = true },
    { "lead", many_to_one = "User", nullable = true },
}
local User = orm.entity {
    name = "User", table = "users",
    { "id", type = "integer", primary = true },
    { "name", type = "string", nullable = true },
    { "age", type = "integer", nullable = true },
    { "price", type = "decimal", precision = 30, scale = 4, nullable = true },
    { "big", type = "bigint", nullable = true },
    { "ratio", type = "double", nullable = true },
    { "active", type = "boolean", nullable = true },
    { "born", type = "date", nullable = true },
    { "seen", type = "timestamp", nullable = true },
    { "code", type = "uuid", nullable = true },
    { "level", type = "enum", enum = { "low", "high" }, nullable = true },
    { "data", type = "blob", nullable = true },
    { "password", type = "string", nullable = true, hidden = true },
    { "team", many_to_one = Team, nullable = true },
}
local Cell = orm.entity {
    name = "Cell",
    { "x", type = "integer", primary = true },
    { "y", type = "integer", primary = true },
    { "next", many_to_one = "Cell", nullable = true },
}

local UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"

-- The user's id is the place in this list.
local rows = {
    { name = "Ann", age = 1, price = "10", big = "9007199254740993", ratio = 0.5, active = true, born = "2000-01-31",
        seen = 1000.25, code = UUID, level = "low", data = "\0\255", team = 1, password = "p" },
    { name = "ann", age = 2, price = "9.5", big = "9007199254740992", ratio = -0.5, active = false,
        born = "1999-12-31", seen = 1000, level = "high", data = "", team = 2 },
    { name = "", age = 0, price = "2", big = "-9223372036854775808", ratio = 1e300, team = 3 },
    { age = 1, price = "-0.0001", big = "9223372036854775807", ratio = 5e-324 },
    { name = "50%_\\", price = "12345678901234567890123456.7891", team = 1 },
    { name = "Éric", age = -1, price = "9.5000", active = true },
}

databases.each(function(db)
    describe("filters", function()
        local em

        setup(function()
            local instance = orm.init(db:config { entities = { Team, User, Cell } })
            instance.schema:create()
            em = orm.em():fork()
            em:insert_many(Team, { { name = "core", secret = "s" }, { name = "edge" }, {} })
            em:insert_many(User, rows)
            em:insert_many(Cell, { { x = 1, y = 1 }, { x = 1, y = 2, next = { 1, 1 } },
                { x = 2, y = 1, next = { 1, 2 } } })
            em:update_where(Team, { id = 1 }, { lead = 1 })
        end)

        teardown(function()
            orm.close()
            db:close()
        end)

        local function ids(where)
            local list = {}
            for _, user in ipairs(em:find(User, where, { order_by = { "id" }, managed = false })) do
                list[#list + 1] = user.id
            end
            assert.equal(#list, em:count(User, where))
            return table.concat(list, " ")
        end

        local function finds(expected, where)
            local found = ids(where)
            if found ~= expected then error(("found '%s', expected '%s'"):format(found, expected), 2) end
        end

        it("Q2: equality and its negations, with NULL on either side", function()
            finds("1", { name = "Ann" })
            finds("3", { name = "" })
            finds("4", { name = orm.null })
            finds("1 4", { age = 1 })
            finds("1 4", { age = "1" })
            finds("1 4", { age = 1.0 })
            finds("1 4", { age = op.eq(1) })
            finds("5", { age = op.eq(orm.null) })
            finds("2 3 6", { age = op.ne(1) })
            finds("1 2 3 4 6", { age = op.ne(orm.null) })
            finds("5", { age = op.is_null() })
            finds("1 2 3 4 6", { age = op.not_null() })
            finds("2 3 6", { age = op.negate(op.eq(1)) })
            finds("1 2 3 4 6", { age = op.negate(op.is_null()) })
            finds("2 3 5 6", op.negate { name = op.any { "Ann", orm.null } })
            finds("1 6", { active = true })
            finds("2", { active = false })
            finds("2", { active = op.ne(true) })
            finds("1", { code = UUID:upper() })
            finds("1", { data = "\0\255" })
            finds("2", { data = "" })
            finds("1", { level = "low" })
            finds("2", { level = op.ne "low" })
            finds("1 2 3 4 5 6", {})
        end)

        it("Q2: one_of and not_one_of, with NULL, empty, and long", function()
            finds("1 2 4", { age = op.one_of { 1, 2 } })
            finds("1 4 5", { age = op.one_of { 1, orm.null } })
            finds("5", { age = op.one_of { orm.null } })
            finds("", { age = op.one_of {} })
            finds("2 3 6", { age = op.not_one_of { 1 } })
            finds("2 3 6", { age = op.not_one_of { 1, orm.null } })
            finds("1 2 3 4 6", { age = op.not_one_of { orm.null } })
            finds("1 2 3 4 5 6", { age = op.not_one_of {} })
            finds("5", op.negate { age = op.not_one_of { orm.null } })
            finds("1 2 3 4 5 6", op.negate { age = op.one_of {} })
            finds("2 4", { name = op.one_of { "ann", orm.null } })
            finds("1 2 6", { price = op.one_of { "10.0", "9.50" } })
            finds("1 2", { born = op.one_of { "2000-01-31", "1999-12-31" } })
            finds("1", { code = op.one_of { UUID } })
            finds("1 2", { seen = op.one_of { 1000.25, 1000 } })
            finds("1 6", { active = op.one_of { true } })
            finds("2 3", { team = op.one_of { 2, "3" } })
            finds("2 4 6", { team = op.one_of { 2, orm.null } })
            finds("1 3 5", { team = op.not_one_of { 2 } })
            finds("1 3", op.one_of { 1, 3, 77 })
            finds("2 4 5 6", op.not_one_of { 1, 3 })
        end)

        it("Q2: one_of takes 10,000 values and 70,000", function()
            for _, n in ipairs { 10000, 70000 } do
                local numbers, strings = {}, {}
                for i = 1, n do
                    numbers[i] = i + 1
                    strings[i] = "s" .. i
                end
                strings[n] = "Ann"
                numbers[n] = -1
                finds("2 6", { age = op.one_of(numbers) })
                finds("1", { name = op.one_of(strings) })
                numbers[n + 1] = orm.null
                finds("2 5 6", { age = op.one_of(numbers) })
                finds("1 3 4", { age = op.not_one_of(numbers) })
                finds("2 3 4 5 6", op.one_of((function()
                    local keys = {}
                    for i = 1, n do keys[i] = i + 1 end
                    return keys
                end)()))
            end
        end)

        it("comparisons: NULL is in none of them", function()
            finds("2", { age = op.gt(1) })
            finds("1 2 4", { age = op.gte(1) })
            finds("3 6", { age = op.lt(1) })
            finds("1 3 4 6", { age = op.lte(1) })
            finds("1 3 4", { age = op.between(0, 1) })
            finds("", { age = op.between(1, 0) })
            finds("1 4", { age = op.all { op.gt(0), op.lt(2) } })
            finds("2 5 6", { age = op.any { op.gt(1), op.lt(0), op.is_null() } })
            finds("3 6", op.negate { age = op.gte(1) })
            finds("1 2", { seen = op.gte(1000) })
            finds("1", { seen = op.gt(1000) })
            finds("2", { seen = op.lt "1970-01-01T00:16:40.250Z" })
            finds("1", { born = op.gt "1999-12-31" })
            finds("3", { ratio = op.gt(1) })
            finds("2", { ratio = op.lt(0) })
            finds("4", { ratio = op.between(1e-323 / 4, 1e-300) })
        end)

        it("Q7: decimals compare as numbers, whatever their digits; integers to 64 bits", function()
            finds("2 6", { price = "9.5" })
            finds("2 6", { price = 9.5 })
            finds("1 5", { price = op.gt "9.5" })
            finds("3 4", { price = op.lt "9.4999" })
            finds("4", { price = op.lt(0) })
            finds("5", { price = op.gt "12345678901234567890123456.7890" })
            finds("", { price = op.gt "12345678901234567890123456.7891" })
            finds("1 2 6", { price = op.between("9.0", "10") })
            finds("1 3 4 5", { price = op.ne "9.50" })
            finds("1 3 4 5", { price = op.not_one_of { "9.5" } })
            finds("1", { big = "9007199254740993" })
            finds("1 4", { big = op.gt "9007199254740992" })
            finds("3", { big = "-9223372036854775808" })
            finds("4", { big = op.one_of { "9223372036854775807" } })
        end)

        it("Q7: like is case-sensitive, ilike folds, the others take wildcards as they are", function()
            finds("1", { name = op.like "A%" })
            finds("1 2", { name = op.like "_nn" })
            finds("1 2 3 5 6", { name = op.like "%" })
            finds("2 3 5 6", { name = op.not_like "A%" })
            finds("5", { name = op.like "50\\%%" })
            finds("", { name = op.like "50\\_%" })
            finds("1 2", { name = op.ilike "ANN" })
            finds("6", { name = op.ilike "éRIC" })
            finds("6", { name = op.like "_ric" }) -- a character, not a byte
            finds("", { name = op.like "éric" })
            finds("5", { name = op.starts_with "50%" })
            finds("", { name = op.starts_with "5_" })
            finds("5", { name = op.ends_with "\\" })
            finds("5", { name = op.contains "%_" })
            finds("", { name = op.contains "%%" })
            finds("1 2", { name = op.contains "nn" })
            finds("", { name = op.contains "NN" })
            finds("1 2 3 5 6", { name = op.contains "" })
            finds("3 5 6", { name = op.negate(op.ilike "a%") })
            finds("2", { level = op.like "hi%" })
        end)

        it("Q7: ilike folds every letter alike on both drivers", function()
            local function is_found(text, pattern)
                em:update_where(User, { id = 1 }, { name = "x" .. text .. "y" })
                return ids { id = 1, name = op.ilike("X" .. pattern .. "%") } == "1"
            end
            for pair in ("äÄ éÉ жЖ ωΩ ñÑ øØ čČ ąĄ ßẞ 日日 ǆǄ ǆǅ աԱ ａＡ 𐐨𐐀 ёЁ ÿŸ σΣ kK åÅ iİ ꭰᎠ"):gmatch "%S+" do
                local lower, upper = pair:match "^([%z\1-\127\194-\244][\128-\191]*)(.*)$"
                assert.is_true(is_found(lower, upper), pair)
                assert.is_true(is_found(upper, lower), pair)
                if lower ~= upper then finds("", { id = 1, name = op.like("%" .. lower .. "%") }) end
            end
            -- Lower case already, and no other letter's.
            for pair in ("ςσ ſs ıi ϐβ µμ ßs"):gmatch "%S+" do
                local one, other = pair:match "^([\194-\244][\128-\191]*)(.*)$"
                assert.is_false(is_found(one, other), pair)
                assert.is_false(is_found(other, one), pair)
            end
            em:update_where(User, { id = 1 }, { name = "Ann" })
        end)

        it("all, any and negate nest", function()
            finds("1", op.all { { name = "Ann" }, { age = 1 } })
            finds("1 2 4", op.any { { name = "ann" }, { age = 1 } })
            finds("", op.any {})
            finds("2", op.all { { age = op.gt(0) }, op.negate { age = 1 } })
            finds("1 3 4 6", op.negate(op.any { { age = 2 }, { age = orm.null } }))
            finds("1", op.all { op.any { { name = "Ann" }, { name = "ann" } }, op.negate { name = "ann" } })
            finds("1 2 3 4 5 6", op.negate(op.any {}))
        end)

        it("filters of relations: keys, entities, nested conditions, NULL, both ways", function()
            finds("1 5", { team = 1 })
            finds("1 5", { team = "1" })
            finds("1 5", { team = em:get_reference(Team, 1) })
            finds("1 5", { team = op.eq(em:find_one(Team, 1)) })
            finds("2 3", { team = op.ne(1) })
            finds("4 6", { team = orm.null })
            finds("4 6", { team = op.is_null() })
            finds("1 2 3 5", { team = op.not_null() })
            finds("1 5", { team = { name = "core" } })
            finds("1 5", { team = { id = 1, name = "core" } })
            finds("3", { team = { name = orm.null } })
            finds("2", { team = { name = op.ne "core" } })
            finds("2 4 6", op.negate { team = { name = "core" } }) -- no team at all counts, a NULL name does not
            finds("1 5", { team = { lead = { name = "Ann" } } })
            finds("1 5", { team = { lead = { team = { lead = 1 } } } })
            finds("2 3", { team = { lead = orm.null } })
            finds("1 2 5", { team = op.any { { name = "core" }, { name = "edge" } } })
            finds("1 2", op.any { { team = { name = "edge" } }, { name = "Ann" } })
            finds("4 6", op.all { { team = op.is_null() }, { team = op.negate { name = "core" } } })
            local function cells(where)
                local list = {}
                for _, cell in ipairs(em:find(Cell, where, { order_by = { "x", "y" } })) do
                    list[#list + 1] = cell.x .. "," .. cell.y
                end
                return table.concat(list, " ")
            end
            assert.equal("1,2", cells { next = { x = 1, y = 1 } })
            assert.equal("1,2", cells { next = op.eq { 1, 1 } })
            assert.equal("2,1", cells { next = em:find_one(Cell, { 1, 2 }) })
            assert.equal("2,1", cells { next = op.ne { 1, 1 } })
            assert.equal("1,1", cells { next = orm.null })
            assert.equal("1,2 2,1", cells { next = op.one_of { { 1, 1 }, { 1, 2 } } })
            assert.equal("2,1", cells { next = op.not_one_of { { 1, 1 } } })
            assert.equal("2,1", cells { next = { next = { x = 1 } } })
            assert.equal("1,1 1,2", cells(op.one_of { { 1, 1 }, { x = 1, y = 2 } }))
            assert.equal("1,2 2,1", cells(op.not_one_of { { 1, 1 } }))
        end)

        it("raw: a condition, a value, with placeholders and literal question marks", function()
            finds("1 2 4", op.raw("e0.age in (?, ?)", 1, 2))
            finds("1", { name = op.raw("?", "Ann") })
            finds("1", op.all { { age = 1 }, op.raw("e0.name = 'Ann' -- why?") })
            finds("1", op.all { op.raw("e0.name <> 'x?' and e0.age = ?", 1), { name = "Ann" } })
            finds("2 3 6", op.negate(op.raw("e0.age = ?", 1)))
            finds("4", op.raw "e0.name is null")
            raises("validation", function() em:find(User, op.raw("e0.age = ?")) end, "op.raw", "1 placeholder")
        end)

        it("what is found is the one instance, and the parameters are no text", function()
            local user = em:find_one(User, 1)
            assert.equal(user, em:find(User, { name = "Ann" })[1])
            finds("", { name = "Ann' or '1'='1" })
            finds("", { name = "'; drop table users; --" })
            finds("", { name = op.like "%' or 1=1 --" })
            assert.equal("6", db:raw():value "select count(*) from users")
        end)
    end)
end)
