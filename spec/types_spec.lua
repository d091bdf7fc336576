-- Every column type, both databases: what is read equals what was written (U3), in the form that a read gives (U7).

local orm = require "heddle"
local databases = require "spec.support.databases"
local unit = require "spec.support.unit"

local doubles = not math.type
local huge, nan = math.huge, 0 / 0

local function chars(...)
    local list = {}
    for i, code in ipairs { ... } do
        if code < 0x80 then
            list[i] = string.char(code)
        elseif code < 0x800 then
            list[i] = string.char(0xC0 + math.floor(code / 64), 0x80 + code % 64)
        elseif code < 0x10000 then
            list[i] = string.char(0xE0 + math.floor(code / 4096), 0x80 + math.floor(code / 64) % 64, 0x80 + code % 64)
        else
            list[i] = string.char(0xF0 + math.floor(code / 262144), 0x80 + math.floor(code / 4096) % 64,
                0x80 + math.floor(code / 64) % 64, 0x80 + code % 64)
        end
    end
    return table.concat(list)
end

local function every_byte()
    local bytes = {}
    for i = 0, 255 do bytes[i + 1] = string.char(i) end
    return table.concat(bytes)
end

-- A 64-bit integer as this interpreter reads it.
local function int(text)
    if doubles and math.abs(tonumber(text)) >= 2 ^ 53 then return text end
    return math.tointeger and math.tointeger(tonumber(text)) or tonumber(text)
end

local uuid = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
local bits = every_byte()
local min, max = int "-9223372036854775808", int "9223372036854775807"

-- { given } or { given, read }. `only`: the driver that can store it; elsewhere it is validation.
local columns = {
    { "smallint", { type = "smallint" }, { { 0 }, { -32768 }, { 32767 }, { 7.0, 7 }, { "7", 7 } } },
    { "integer", { type = "integer" }, { { 0 }, { -2147483648 }, { 2147483647 }, { "-12", -12 }, { 1e3, 1000 } } },
    { "bigint", { type = "bigint" }, {
        { 0 }, { max }, { min }, { "9223372036854775807", max }, { "-9223372036854775808", min },
        { "9007199254740993", int "9007199254740993" }, { 9007199254740992, 9007199254740992 },
        { "-9007199254740993", int "-9007199254740993" }, { 2 ^ 53, 9007199254740992 },
    } },
    { "bigint_text", { type = "bigint", as = "string" }, {
        { "9223372036854775807" }, { "-9223372036854775808" }, { 5, "5" }, { "0" }, { -0.0, "0" },
    } },
    { "float", { type = "float" }, { { 0.5 }, { 1e308 }, { 0.1 }, { 3, 3.0 } } },
    { "double", { type = "double" }, {
        { 0.1 }, { 1e308 }, { -1e308 }, { 1 / 3 }, { 4.9406564584124654e-324 }, { 2.2250738585072011e-308 },
        { 9007199254740993.0 }, { 1.7976931348623157e308 }, { 2 ^ 53, 2.0 ^ 53 }, { huge }, { -huge }, { 0.0 },
        { nan, only = "postgres" },
    } },
    { "double_text", { type = "double", as = "string" }, { { "0.1" }, { 0.5, "0.5" }, { "1e+308" }, { 3, "3" } } },
    { "money", { type = "decimal", precision = 12, scale = 2 }, {
        { "1234567890.12" }, { "-0.01" }, { "0.00" }, { "1.5", "1.50" }, { "-0", "0.00" }, { "1e3", "1000.00" },
        { 7, "7.00" }, { "007", "7.00" }, { "+3.10", "3.10" }, { ".5", "0.50" },
    } },
    { "long_decimal", { type = "decimal", precision = 40, scale = 10 }, {
        { "123456789012345678901234567890.1234567890" }, { "-999999999999999999999999999999.9999999999" },
        { "0.0000000001" },
    } },
    { "free_decimal", { type = "decimal" }, {
        { "3.14159265358979323846264338327950288419716939937510582097494459" }, { "1.10" }, { "100" },
        { "123456789012345678901234567890123456789012345678901234567890" },
    } },
    { "string", { type = "string", length = 8 }, {
        { "" }, { " " }, { "a'b\"c" }, { "\\n\n\t" }, { chars(0x41, 0xE9, 0x20AC, 0x1F600, 0x10FFFF, 0x7F, 1, 0xFFFD) },
        { "null" }, { "?" }, { "$1" }, { "12345678" },
    } },
    { "text", { type = "text" }, {
        { "" }, { ("x"):rep(100000) }, { chars(0x80, 0x7FF, 0x800, 0xFFFF, 0x10000, 0xD7FF, 0xE000, 0xFEFF) },
        { "12" }, { "1.0" }, { "0x10" }, { "1e5" }, { "2020-01-01" },
    } },
    { "boolean", { type = "boolean" }, { { true }, { false } } },
    { "uuid", { type = "uuid" }, {
        { uuid }, { uuid:upper(), uuid }, { "{" .. uuid .. "}", uuid }, { (uuid:gsub("-", "")), uuid },
        { ("0"):rep(32), "00000000-0000-0000-0000-000000000000" },
    } },
    { "timestamp", { type = "timestamp" }, {
        { 0 }, { 1700000000 }, { 1700000000.123456 }, { -0.000001 }, { -1.5 }, { -11644473600.654321 },
        { 1700000000.0, 1700000000 }, { -62135596800 }, { 253402300799 }, { 8e9 + 0.000001 },
        { "2023-11-14T22:13:20Z", 1700000000 }, { "2023-11-15 03:43:20.5+05:30", 1700000000.5 },
        { "1969-12-31T23:59:59.999999Z", -0.000001 }, { "2023-11-14", 1699920000 },
    } },
    { "moment", { type = "timestamp", as = "iso8601" }, {
        { "2023-11-14T22:13:20Z" }, { 1700000000.5, "2023-11-14T22:13:20.500000Z" },
        { "1969-12-31T23:59:59.999999Z" }, { 0, "1970-01-01T00:00:00Z" },
    } },
    { "date", { type = "date" }, { { "2024-02-29" }, { "0001-01-01" }, { "9999-12-31" }, { "1969-12-31" } } },
    { "time", { type = "time" }, {
        { "00:00:00" }, { "23:59:59.999999" }, { "12:30", "12:30:00" }, { "12:30:00.5", "12:30:00.500000" },
    } },
    { "blob", { type = "blob" }, {
        { "" }, { "\0" }, { bits }, { bits:rep(500) }, { "\\x00" }, { "\0\0a\0" }, { "\255\254" }, { "text" },
    } },
    { "enum", { type = "enum", enum = { "red", "light blue", "it's" } }, { { "red" }, { "light blue" }, { "it's" } } },
}

local function entity_of()
    local given = { name = "Value", table = "type_values", { "id", type = "integer", primary = true } }
    for _, column in ipairs(columns) do
        local prop = { column[1], nullable = true }
        for name, value in pairs(column[2]) do prop[name] = value end
        given[#given + 1] = prop
    end
    return orm.entity(given)
end

local Value = entity_of()

-- Equal, and of one kind: 3 is not 3.0.
local function check(expected, got, what)
    if expected ~= expected then
        if got == got then error(what .. ": expected NaN, got " .. tostring(got), 2) end
        return
    end
    local same = expected == got and (doubles or math.type(expected) == math.type(got))
    if not same then
        error(("%s: expected %s, got %s (%s)"):format(what, tostring(expected), tostring(got), type(got)), 2)
    end
end

databases.each(function(db)
    local work

    before_each(function() work = unit.open(db, { Value }) end)

    after_each(function()
        work:close()
        db:close()
    end)

    for _, column in ipairs(columns) do
        local name = column[1]

        local function cases()
            local list = {}
            for _, case in ipairs(column[3]) do
                if not case.only or case.only == db.name then
                    local read = case[2]
                    if read == nil then read = case[1] end
                    list[#list + 1] = { given = case[1], read = read }
                end
            end
            return list
        end

        it("U3: " .. name .. ": inserted, changed, flushed and read", function()
            local em, made = work.em, {}
            local list = cases()
            for i, case in ipairs(list) do
                made[i] = em:create(Value, { [name] = case.given })
                em:persist(made[i])
            end
            em:flush()
            for i, case in ipairs(list) do
                check(case.read, made[i][name], "U7 after the insert, case " .. i)
                check(case.read, em:fork():find_one(Value, made[i].id)[name], "insert, case " .. i)
            end
            -- Every row takes the value of the next one.
            for i, e in ipairs(made) do e[name] = list[i % #list + 1].given end
            em:flush()
            local fresh = em:fork():find(Value, {}, { order_by = { "id" } })
            for i, e in ipairs(made) do
                local case = list[i % #list + 1]
                check(case.read, e[name], "U7 after the update, case " .. i)
                check(case.read, fresh[i][name], "update, case " .. i)
            end
            work:forget()
            em:flush()
            assert.equal(0, #work.log)
        end)

        it("U3: " .. name .. ": NULL comes and goes", function()
            local em, case = work.em, cases()[1]
            local e = em:create(Value, { [name] = case.given })
            em:persist_and_flush(e)
            e[name] = nil
            em:flush()
            local fresh = em:fork():find_one(Value, e.id)
            assert.is_nil(rawget(fresh, name))
            assert.is_nil(fresh[name])
            fresh[name] = orm.null
            e[name] = case.given
            em:flush()
            check(case.read, em:fork():find_one(Value, e.id)[name], "back from NULL")
            em:refresh(e)
            em:assign(e, { [name] = orm.null })
            assert.is_nil(rawget(e, name))
            em:flush()
            local column_name = orm.metadata(Value).by_name[name].name
            assert.equal("1", work.raw:value(("select count(*) from type_values where %s is null"):format(column_name)))
        end)

        it("U3: " .. name .. ": as a filter and through insert and update_where", function()
            local em = work.em
            for _, case in ipairs(cases()) do
                if case.read == case.read then
                    local id = em:insert(Value, { [name] = case.given })
                    check(case.read, em:fork():find_one(Value, { id = id, [name] = case.given })[name], "filter")
                    assert.equal(1, em:update_where(Value, { id = id }, { [name] = orm.null }))
                    assert.equal(1, em:update_where(Value, { id = id }, { [name] = case.given }))
                    check(case.read, em:find_one(Value, { id = id }, { managed = false })[name], "update_where")
                    em:delete_where(Value, { id = id })
                end
            end
        end)
    end

    it("U3: -0.0 is stored as it is where the database has it, and as zero elsewhere", function()
        local e = work.em:create(Value, { double = -0.0 })
        work.em:persist_and_flush(e)
        assert.equal(0, work.em:fork():find_one(Value, e.id).double)
        local expected = db.name == "postgres" and -huge or huge
        assert.equal(expected, 1 / work.em:fork():find_one(Value, e.id).double)
        assert.equal(expected, 1 / e.double)
    end)

    it("U3: what raw SQL wrote is read in the same forms", function()
        local sqlite = db.name == "sqlite"
        work.raw:exec(([[insert into type_values
            (id, bigint, double, money, text, boolean, uuid, timestamp, date, time, blob)
            values (1, 9223372036854775807, 0.1, '1.50', 'x', %s, '%s', '2023-11-14 22:13:20.000001', '2024-02-29',
            '12:30:00', %s)]]):format(sqlite and "1" or "true", uuid, sqlite and "x'00ff'" or "'\\x00ff'"))
        local e = work.em:find_one(Value, 1)
        check(max, e.bigint, "bigint")
        check(0.1, e.double, "double")
        check("1.50", e.money, "money")
        assert.is_true(e.boolean)
        check(uuid, e.uuid, "uuid")
        check("\0\255", e.blob, "blob")
        check("12:30:00", e.time, "time")
        check("2024-02-29", e.date, "date")
        if sqlite then check(1700000000.000001, e.timestamp, "timestamp") end
    end)

    it("U3: random values of every kind survive", function()
        local seed = os.time() % 1000000
        local context = "seed " .. seed
        math.randomseed(seed)
        local em, made, given = work.em, {}, {}
        local function digits(n)
            local list = { tostring(math.random(1, 9)) }
            for i = 2, n do list[i] = tostring(math.random(0, 9)) end
            return table.concat(list)
        end
        local function code()
            local point
            repeat point = math.random(1, 0x10FFFF) until point < 0xD800 or point > 0xDFFF
            return point
        end
        for i = 1, 300 do
            local bytes = {}
            for b = 1, math.random(0, 40) do bytes[b] = string.char(math.random(0, 255)) end
            local points = {}
            for p = 1, math.random(0, 8) do points[p] = code() end
            given[i] = {
                bigint = int((math.random(2) == 1 and "-" or "")
                    .. digits(math.random(2) == 1 and math.random(1, 14) or math.random(17, 18))),
                double = (math.random() - 0.5) * 10 ^ math.random(-300, 300),
                long_decimal = digits(math.random(1, 30)) .. "." .. digits(10),
                string = chars(unpack and unpack(points) or table.unpack(points)),
                timestamp = math.floor(math.random() * 8e9) - 4e9 + math.random(0, 999999) / 1e6,
                blob = table.concat(bytes),
            }
            made[i] = em:create(Value, given[i])
            em:persist(made[i])
        end
        em:flush()
        for i, e in ipairs(em:fork():find(Value, {}, { order_by = { "id" } })) do
            for name, value in pairs(given[i]) do
                if name == "timestamp" then
                    assert.is_true(math.abs(value - e[name]) < 0.000001, context)
                    assert.equal(made[i][name], e[name], context)
                else
                    assert.equal(value, e[name], context .. " " .. name)
                    assert.equal(made[i][name], e[name], context)
                end
            end
        end
        work:forget()
        em:flush()
        assert.equal(0, #work.log)
    end)
end)
