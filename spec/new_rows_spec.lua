-- New rows: whatever form a value is given in, the database, the instance and a fresh read agree once it is flushed,
-- and nothing is left to flush. A flush that failed leaves nothing behind that the next one would take for written.

local databases = require "spec.support.databases"
local errors = require "heddle.errors"
local orm = require "heddle"

local Part = orm.entity {
    name = "NewPart", table = "new_parts",
    { "id", type = "integer", primary = true },
    { "small", type = "smallint", nullable = true },
    { "n", type = "integer", nullable = true },
    { "big", type = "bigint", nullable = true },
    { "weight", type = "double", nullable = true },
    { "name", type = "string", length = 6, nullable = true },
    { "notes", type = "text", nullable = true },
    { "at", type = "timestamp", nullable = true },
    { "flag", type = "boolean", nullable = true },
    { "size", type = "enum", enum = { "s", "m" }, nullable = true },
    { "price", type = "decimal", precision = 8, scale = 2, nullable = true },
    { "level", type = "integer", default_sql = "3" },
}

local GIVEN = {
    small = { 0, -32768, 32767, 7.0, "12" },
    n = { -2147483648, 2147483647, 5.0, -0.0, "42" },
    big = { 2 ^ 52, -2 ^ 52, "9007199254740993", "-9223372036854775808", 0 },
    weight = { 1.5, 2, 2.0, -0.0, 0.0, 1e300, -1e-300 },
    name = { "", "abcdef", "\195\164\195\164\195\164\195\164\195\164\195\164" },
    notes = { "", ("\226\130\172 and more "):rep(40), "12345678", "1234567\127" },
    at = { 0, -1, 1500000000, 1500000000.0, 1500000000.25, -0.000001, 1234567890.123457, 253402300799,
        "2020-01-02T03:04:05.5Z", -62135596800 },
    flag = { true, false },
    size = { "s", "m" },
    price = { 1, 1.5, "2.50", "3" },
}

local REFUSED = {
    small = { 32768, -32769, 1.5, "x", true }, n = { 2147483648, -2147483649, 0.5, {} }, big = { 2 ^ 63, 1e300, "1.5" },
    weight = { "1", true }, name = { "abcdefg", "a\0b", "\255", 7 }, notes = { "x\0", "\195", "1234567\0" },
    at = { "soon", 1e300, true }, flag = { 1, "true" },
}

local function form(value)
    if type(value) ~= "number" then return type(value) .. " " .. tostring(value) end
    local kind = math.type and math.type(value) or "number"
    return ("%s %.17g %s"):format(kind, value, value == 0 and tostring(1 / (value + 0.0)) or "")
end

databases.each(function(db)
    describe("new rows", function()
        local instance, em

        before_each(function()
            instance = orm.init(db:config { entities = { Part } })
            instance.schema:create()
            em = instance.em:fork()
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        it("U7: have the form in which they are read once they are written", function()
            local made = {}
            for name, values in pairs(GIVEN) do
                for _, value in ipairs(values) do
                    local e = em:create(Part, { [name] = value })
                    em:persist(e)
                    made[#made + 1] = { e = e, name = name, given = value }
                end
            end
            em:flush()
            assert.same({}, em:changes())
            local fresh = em:fork()
            for _, item in ipairs(made) do
                local row = fresh:find_one(Part, item.e.id)
                local what = item.name .. " " .. form(item.given)
                assert.equal(form(row[item.name]), form(item.e[item.name]), what)
                assert.equal(3, item.e.level, what)
            end
        end)

        it("U4: are refused with what cannot be stored, and with nothing else", function()
            for name, values in pairs(REFUSED) do
                for _, value in ipairs(values) do
                    local own = em:fork()
                    own:persist(own:create(Part, { n = 1 }))
                    own:persist(own:create(Part, { [name] = value }))
                    local ok, err = pcall(own.flush, own)
                    assert.is_false(ok, name .. " " .. form(value))
                    assert.is_true(errors.is_error(err, "validation"), tostring(err))
                    assert.equal(name, err.property)
                end
            end
            assert.equal("0", tostring(db:raw():rows("select count(*) from new_parts")[1][1]))
        end)

        it("F1: keep nothing of a flush that failed", function()
            local first = em:create(Part, { name = "first", n = 1, weight = 2.5, level = 9 })
            local second = em:create(Part, { name = "second", n = 0.5 })
            em:persist(first, second)
            assert.is_false(pcall(em.flush, em))
            first.name, first.weight, first.level, second.n = nil, nil, nil, 2
            em:flush()
            assert.same({}, em:changes())
            assert.equal(3, first.level)
            first.name = "first"
            em:flush()
            local row = em:fork():find_one(Part, first.id)
            assert.equal("first", row.name)
            assert.is_nil(row.weight)
            assert.equal(3, row.level)
        end)

        it("F1: keep nothing of it when the next flush takes the long way", function()
            local first = em:create(Part, { name = "first", n = 1, weight = 2.5 })
            local second = em:create(Part, { name = "second", n = 0.5 })
            em:persist(first, second)
            assert.is_false(pcall(em.flush, em))
            first.name, first.weight, second.n = nil, nil, 2
            local told = 0
            instance:on("after_flush", function() told = told + 1 end)
            em:flush()
            assert.equal(1, told)
            assert.same({}, em:changes())
            first.weight = 2.5
            em:flush()
            local row = em:fork():find_one(Part, first.id)
            assert.equal(2.5, row.weight)
            assert.is_nil(row.name)
        end)
    end)
end)
