-- Json and arrays: what is read equals what was written, inside too (U3), and deep changes are seen (U2).

local orm = require "heddle"
local databases = require "spec.support.databases"
local unit = require "spec.support.unit"

local doubles = not math.type
local null = orm.null

local elements = {
    "smallint", "integer", "bigint", "float", "double", "decimal", "string", "text", "boolean", "uuid", "timestamp",
    "date", "time",
}

local function entity_of()
    local given = {
        name = "Value", table = "nested_values",
        { "id", type = "integer", primary = true },
        { "data", type = "json", nullable = true },
        { "secret", type = "json", nullable = true, hidden = true },
    }
    for _, element in ipairs(elements) do
        given[#given + 1] = { element .. "s", type = "array", array_of = element, nullable = true }
    end
    return orm.entity(given)
end

local Value = entity_of()

local function int(text)
    if doubles then return text end
    return math.tointeger(tonumber(text))
end

local min, max = int "-9223372036854775808", int "9223372036854775807"
local uuid = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"

local function same(expected, got, path)
    path = path or "value"
    if type(expected) ~= "table" then
        local kinds = doubles or math.type(expected) == math.type(got)
        if expected ~= got or not kinds then
            error(("%s: expected %s, got %s"):format(path, tostring(expected), tostring(got)), 0)
        end
        return
    end
    if type(got) ~= "table" then error(path .. ": expected a table, got " .. tostring(got), 0) end
    for key, value in pairs(expected) do same(value, got[key], path .. "." .. tostring(key)) end
    for key in pairs(got) do
        if expected[key] == nil then error(path .. ": has " .. tostring(key), 0) end
    end
end

local documents = {
    { a = 1, b = { c = "x", d = { true, false, null } } },
    { 1, 2, 3 },
    { max = max, min = min, odd = int "9007199254740993", list = { max, min } },
    { pi = 3.141592653589793, tiny = 4.9406564584124654e-324, large = 1.7976931348623157e308, half = 0.5 },
    { text = "\226\130\172 \240\159\152\128 \"quoted\" \\ / \n\t\1\127", [""] = "empty key", ["a.b"] = { ["$"] = 1 } },
    { null, null },
    { { { { { {} } } } } },
    { deep = { { { x = {} } } } },
    "text", "", "null", 7, 0.25, true, false,
    { n = null, empty = "" },
}

local lists = {
    smallint = { { 1, -32768, 32767 }, { 0 } },
    integer = { { 1, 2147483647, -2147483648 }, { 5, null, 6 } },
    bigint = { { max, min, 1 }, { int "9007199254740993" } },
    float = { { 0.5, 1e300, -0.25 }, { 2.0 } },
    double = { { 0.1, 1e308, 4.9406564584124654e-324 }, { 1.0, null } },
    decimal = { { "1.50", "-123456789012345678901234567890.123" }, { "0" } },
    string = { { "a", "", "it's", "\"q\"", "\\", "{}", ",", "NULL", " x " }, { "\226\130\172" } },
    text = { { "a\nb", "", "null" }, { null, "x" } },
    boolean = { { true, false, true }, { false, null } },
    uuid = { { uuid, "00000000-0000-0000-0000-000000000000" }, { uuid } },
    timestamp = { { 0, 1700000000, -1.5, 1700000000.123456 }, { -0.000001, null } },
    date = { { "2024-02-29", "0001-01-01" }, { "9999-12-31" } },
    time = { { "00:00:00", "23:59:59.999999" }, { "12:30:00" } },
}

databases.each(function(db)
    local work, em

    before_each(function()
        work = unit.open(db, { Value })
        em = work.em
    end)

    after_each(function()
        work:close()
        db:close()
    end)

    local function quiet()
        work:forget()
        em:flush()
        assert.equal(0, #work.log)
    end

    it("U3: json documents survive, integers of 64 bits and nesting included", function()
        local made = {}
        for i, document in ipairs(documents) do
            made[i] = em:create(Value, { data = document })
            em:persist(made[i])
        end
        em:flush()
        local fresh = em:fork():find(Value, {}, { order_by = { "id" } })
        for i, document in ipairs(documents) do
            same(document, fresh[i].data, "document " .. i)
            same(document, made[i].data, "own document " .. i)
        end
        quiet()
        for i, e in ipairs(made) do e.data = documents[i % #documents + 1] end
        em:flush()
        fresh = em:fork():find(Value, {}, { order_by = { "id" } })
        for i, e in ipairs(fresh) do same(documents[i % #documents + 1], e.data, "changed document " .. i) end
        quiet()
    end)

    it("U3: an empty array stays an array, an empty table is an object", function()
        local e = em:create(Value, { data = { list = orm.array {}, object = {} } })
        em:persist_and_flush(e)
        local function check()
            local text = work.raw:value("select data from nested_values"):gsub("%s", "")
            assert.is_truthy(text:find('"list":[]', 1, true))
            assert.is_truthy(text:find('"object":{}', 1, true))
        end
        check()
        local other = em:fork()
        local read = other:find_one(Value, e.id)
        read.data = { list = read.data.list, object = read.data.object, more = 1 }
        other:flush()
        check()
    end)

    it("U3: SQL NULL, JSON null and an absent field", function()
        local e = em:create(Value, { data = { a = null } })
        local none = em:create(Value, { data = null })
        em:persist(e, none):flush()
        assert.equal(null, em:fork():find_one(Value, e.id).data.a)
        assert.is_nil(rawget(none, "data"))
        assert.equal("1", work.raw:value "select count(*) from nested_values where data is null")
        e.data = null
        em:flush()
        assert.is_nil(rawget(e, "data"))
        assert.equal("2", work.raw:value "select count(*) from nested_values where data is null")
        work.raw:exec(("update nested_values set data = 'null' where id = %d"):format(e.id))
        local fresh = em:fork()
        local read = fresh:find_one(Value, e.id)
        assert.equal(null, read.data)
        work:forget()
        fresh:flush()
        assert.equal(0, #work.log)
    end)

    for _, element in ipairs(elements) do
        it("U3: arrays of " .. element .. " survive, empty ones and NULL inside too", function()
            local name = element .. "s"
            local given = { lists[element][1], lists[element][2], {}, orm.array {} }
            local made = {}
            for i, list in ipairs(given) do
                made[i] = em:create(Value, { [name] = list })
                em:persist(made[i])
            end
            em:flush()
            local fresh = em:fork():find(Value, {}, { order_by = { "id" } })
            for i, list in ipairs(given) do
                same(list, fresh[i][name], "read")
                same(list, made[i][name], "own")
            end
            quiet()
            table.insert(made[3][name], lists[element][2][1])
            for i = #made[1][name], 2, -1 do made[1][name][i] = nil end
            made[2][name], made[4][name] = nil, lists[element][1]
            em:flush()
            fresh = em:fork():find(Value, {}, { order_by = { "id" } })
            same({ lists[element][2][1] }, fresh[3][name], "grown")
            same({ lists[element][1][1] }, fresh[1][name], "shrunk")
            assert.is_nil(fresh[2][name])
            same(lists[element][1], fresh[4][name], "replaced")
            quiet()
        end)
    end

    it("U3: arrays of arrays survive", function()
        local e = em:create(Value, { integers = { { 1, 2 }, { 3, 4 } }, texts = { { "a" }, { "" } } })
        em:persist_and_flush(e)
        local fresh = em:fork():find_one(Value, e.id)
        same({ { 1, 2 }, { 3, 4 } }, fresh.integers)
        same({ { "a" }, { "" } }, fresh.texts)
        local deep = em:create(Value, { integers = { { { { { { 1, 2 } } } } } } })
        em:persist_and_flush(deep)
        same({ { { { { { 1, 2 } } } } } }, em:fork():find_one(Value, deep.id).integers)
        quiet()
        e.integers[2][1] = 9
        em:flush()
        same({ { 1, 2 }, { 9, 4 } }, em:fork():find_one(Value, e.id).integers)
    end)

    it("U7: elements take the form that a read gives", function()
        local e = em:create(Value, {
            integers = { "1", 2.0 }, decimals = { 2, "1.50" }, uuids = { uuid:upper() },
            timestamps = { "2023-11-14T22:13:20Z", 5.0 }, times = { "12:30" },
        })
        em:persist_and_flush(e)
        local expected = {
            integers = { 1, 2 }, decimals = { "2", "1.50" }, uuids = { uuid }, timestamps = { 1700000000, 5 },
            times = { "12:30:00" },
        }
        for name, list in pairs(expected) do
            same(list, e[name], name)
            same(list, em:fork():find_one(Value, e.id)[name], name)
        end
        quiet()
        e.uuids = { uuid:upper() }
        e.timestamps = { "2023-11-14T22:13:20Z", "1970-01-01T00:00:05Z" }
        quiet()
        same({ uuid }, e.uuids)
        same({ 1700000000, 5 }, e.timestamps)
    end)

    it("U2: a deep change is written, and a mere reordering of keys is none", function()
        local e = em:create(Value, { data = { a = { b = { 1, 2, { c = "x" } } }, z = 1, y = 2, x = { p = 1, q = 2 } } })
        em:persist_and_flush(e)
        e.data.a.b[3].c = "y"
        em:flush()
        assert.equal("y", em:fork():find_one(Value, e.id).data.a.b[3].c)
        work:forget()
        local copy = { y = 2, x = { q = 2 }, a = { b = { 1, 2, { c = "y" } } } }
        copy.x.p, copy.z = 1, 1
        e.data = copy
        em:flush()
        assert.equal(0, #work.log)
        e.data.a.b[1], e.data.a.b[2] = 2, 1
        em:flush()
        assert.equal(1, work:writes "UPDATE")
        same({ 2, 1, { c = "y" } }, em:fork():find_one(Value, e.id).data.a.b)
    end)

    it("U2: changed and changed back inside is no change", function()
        local e = em:create(Value, { data = { n = { 1, 2 } }, texts = { "a", "b" }, secret = { k = 1 } })
        em:persist_and_flush(e)
        e.data.n[3], e.texts[1], e.secret.k = 3, "x", 2
        e.data.n[3], e.texts[1], e.secret.k = nil, "a", 1
        quiet()
        local read = em:fork()
        local other = read:find_one(Value, e.id)
        other.data.n[1] = 5
        other.data.n[1] = 1
        other.secret.k = 3
        other.secret.k = 1
        work:forget()
        read:flush()
        assert.equal(0, #work.log)
    end)

    it("U2: what is equal as JSON is no change: 3 and 3.0, an empty table and an empty array", function()
        local e = em:create(Value, { data = { n = 3, list = orm.array {}, object = {} } })
        em:persist_and_flush(e)
        e.data = { n = 3.0, list = {}, object = {} }
        quiet()
        e.data.n = 3.5
        em:flush()
        assert.equal(3.5, em:fork():find_one(Value, e.id).data.n)
    end)

    it("U2: a table inside a hidden property is the same table each time, before and after a flush", function()
        local id = em:insert(Value, { secret = { k = { 1 } } })
        local e = em:find_one(Value, id)
        local held = e.secret
        assert.equal(held, e.secret)
        held.k[1] = 2
        em:flush()
        assert.equal(held, e.secret)
        held.k[1] = 3
        em:flush()
        assert.equal(3, em:fork():find_one(Value, id).secret.k[1])
        quiet()
    end)

    it("U2: a change of one document among many is one row of one statement", function()
        local list = {}
        for i = 1, 250 do list[i] = { data = { i = i }, integers = { i } } end
        em:insert_many(Value, list)
        local all = em:find(Value, {}, { order_by = { "id" } })
        work:forget()
        em:flush()
        assert.equal(0, #work.log)
        all[100].data.i, all[200].integers[1] = -1, -1
        em:flush()
        assert.is_true(work:writes "UPDATE" <= 2)
        local fresh = em:fork():find(Value, {}, { order_by = { "id" } })
        for i, e in ipairs(fresh) do
            assert.equal(i == 100 and -1 or i, e.data.i)
            assert.equal(i == 200 and -1 or i, e.integers[1])
        end
    end)
end)
