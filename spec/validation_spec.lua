-- U4: what cannot be stored exactly raises `validation` before the first statement, on insert and on update, names
-- entity and property, and shows no value.

local orm = require "heddle"
local databases = require "spec.support.databases"
local unit = require "spec.support.unit"

local doubles = not math.type
local huge, nan = math.huge, 0 / 0
local array = orm.array

local function cyclic()
    local t = {}
    t.t = t
    return t
end

local function endless()
    local t = {}
    t[1] = t
    return t
end

local function nested(depth)
    local t = {}
    for _ = 1, depth do t = { t } end
    return t
end

local tables = { {}, { 1 }, { a = 1 }, array {}, setmetatable({}, {}) }
local functions = { print, coroutine.create(function() end), io.stdout }

-- name, options, a good value, bad ones.
local columns = {
    { "small", { type = "smallint" }, 1, {
        32768, -32769, 1.5, "1.0", "01", "+1", "", " 1", "1e2", "0x1", "one", true, nan, huge, "99999999999999999999",
    } },
    { "int", { type = "integer" }, 1, { 2147483648, -2147483649, 0.1, "2147483648", "-0", false, -huge } },
    { "big", { type = "bigint" }, 1, {
        "9223372036854775808", "-9223372036854775809", 2 ^ 63, 1e300, 0.5, "1.", "9e18", doubles and 2 ^ 60 or 2 ^ 64,
    } },
    { "real", { type = "float" }, 1.5, { "1.5", "x", true, "" } },
    { "double", { type = "double" }, 1.5, { "1.5", "", false } },
    { "money", { type = "decimal", precision = 6, scale = 2 }, "1.00", {
        "10000.00", "1.005", "1.234", "abc", "", " 1", "1 ", "NaN", "Infinity", "1,5", "0x10", "--1", ".", "e5",
        nan, huge, 1e10, true, 0.001,
    } },
    { "short", { type = "string", length = 3 }, "abc", {
        "abcd", ("\195\164"):rep(4), "a\0b", "\255", "\195", "\237\160\128", "\192\128", "\244\144\128\128", 5, true,
    } },
    { "text", { type = "text" }, "x", { "a\0", "\128", "ok\254", 1, false } },
    { "flag", { type = "boolean" }, true, { 1, 0, "true", "" } },
    { "uuid", { type = "uuid" }, "6ba7b810-9dad-11d1-80b4-00c04fd430c8", {
        "", "x", "6ba7b810-9dad-11d1-80b4-00c04fd430c", "6ba7b810-9dad-11d1-80b4-00c04fd430c8a",
        "6ba7b810-9dad-11d1-80b4-00c04fd430cg", 5, true,
    } },
    { "data", { type = "json" }, { a = 1 }, {
        { 1, nil, 3 }, { [1.5] = 1 }, { a = 1, 2 }, { [true] = 1 }, { a = nan }, { huge }, cyclic(), nested(2000),
        { f = print }, { "\255" }, { ["\255"] = 1 }, print, { [0] = 1 }, { [-1] = 1 },
    } },
    { "seen", { type = "timestamp" }, 0, {
        "yesterday", "", "2023-13-01", "2023-02-29T00:00:00Z", "2023-01-01T25:00:00Z", "12:00", nan, huge, 1e300, true,
        "2023-01-01T00:00:60Z", "2023-01-01T00:00:00.1234567Z", "1700000000",
    } },
    { "day", { type = "date" }, "2024-01-01", {
        "2023-02-29", "2024-13-01", "2024-1-1", "", "today", 5, "24-01-01", true,
    } },
    { "hour", { type = "time" }, "12:00:00", { "24:00:00", "12:60", "12", "", "noon", 5, "12:00:00.1234567", true } },
    { "bytes", { type = "blob" }, "x", { 1, true } },
    { "color", { type = "enum", enum = { "red", "blue" } }, "red", { "Red", "", "green", "red ", 1, true } },
    { "ints", { type = "array", array_of = "integer" }, { 1 }, {
        { "x" }, { 1.5 }, { 1, "2147483648" }, { a = 1 }, { 1, nil, 3 }, "1", 5, { {}, 1 }, { true },
        { { 1 }, { 1, 2 } }, { {} }, { { 1 }, orm.null }, { { { 1 } }, { { 1, 2 } } }, { 1, { 1 } }, nested(7),
        { cyclic() }, endless(),
    } },
    { "texts", { type = "array", array_of = "text" }, { "a" }, {
        { 1 }, { "\255" }, { "a\0" }, { true }, "a", { x = "y" },
    } },
}

local takes_tables = { data = true, ints = true, texts = true }

local function entity_of()
    local given = { name = "Strict", table = "strict_rows", { "id", type = "integer", primary = true } }
    for _, column in ipairs(columns) do
        local prop = { column[1], nullable = true }
        for name, value in pairs(column[2]) do prop[name] = value end
        given[#given + 1] = prop
    end
    return orm.entity(given)
end

local Strict = entity_of()

local Required = orm.entity {
    name = "Required", table = "required_rows",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "parent", many_to_one = "Required", nullable = true },
    { "owner", many_to_one = "Strict" },
    { "state", type = "string", default_sql = "'new'" },
    { "code", type = "string", hidden = true },
}

local Keyed = orm.entity {
    name = "Keyed", table = "keyed_rows",
    { "code", type = "string", length = 3, primary = true },
}

databases.each(function(db)
    local work, em

    before_each(function()
        work = unit.open(db, { Strict, Required, Keyed })
        em = work.em
    end)

    after_each(function()
        work:close()
        db:close()
    end)

    local function refused(manager, entity, property)
        work:forget()
        local err = unit.raises("validation", manager.flush, manager)
        assert.same({}, work:statements())
        assert.equal(entity, err.entity)
        assert.equal(property, err.property)
        assert.is_truthy(err.message:find(entity .. "." .. property, 1, true), err.message)
        return err
    end

    local function bad_values(column)
        local list = {}
        for _, value in ipairs(column[4]) do list[#list + 1] = value end
        for _, value in ipairs(functions) do list[#list + 1] = value end
        if not takes_tables[column[1]] then
            for _, value in ipairs(tables) do list[#list + 1] = value end
        end
        return list
    end

    for _, column in ipairs(columns) do
        local name = column[1]

        it("U4: " .. name .. ": every bad value, on insert and on update", function()
            local good = em:create(Strict, { [name] = column[3] })
            em:persist_and_flush(good)
            for i, value in ipairs(bad_values(column)) do
                local context = "case " .. i .. ", a " .. type(value)
                local other = em:fork()
                other:persist(other:create(Strict, {}), other:create(Strict, { [name] = value }))
                local ok, message = pcall(refused, other, "Strict", name)
                assert.is_true(ok, context .. ": " .. tostring(message))
                good[name] = value
                ok, message = pcall(refused, em, "Strict", name)
                assert.is_true(ok, context .. " on update: " .. tostring(message))
                assert.equal(tostring(value), tostring(good[name]))
            end
            good[name] = column[3]
            work:forget()
            em:flush()
            assert.same({}, work:statements())
            assert.equal("1", work.raw:value "select count(*) from strict_rows")
        end)
    end

    it("U4: NaN where the column has none", function()
        local e = em:create(Strict, { double = nan })
        em:persist(e)
        if db.name == "sqlite" then
            refused(em, "Strict", "double")
        else
            em:flush()
            assert.is_true(em:fork():find_one(Strict, e.id).double ~= e.id)
        end
    end)

    -- Where numbers are doubles there is no such integer.
    if not doubles then
        it("U4: an integer that a double cannot hold, in a double", function()
            local e = em:create(Strict, { double = 9007199254740993 })
            em:persist(e)
            refused(em, "Strict", "double")
            e.double = math.maxinteger
            refused(em, "Strict", "double")
            e.double = 9007199254740992
            em:flush()
        end)
    end

    it("U4: the message shows no value", function()
        em:persist(em:create(Strict, { int = "s3cret-token" }))
        local err = refused(em, "Strict", "int")
        assert.is_nil(tostring(err):find("s3cret", 1, true))
        em:clear()
        em:persist(em:create(Strict, { short = "s3cret-token" }))
        err = refused(em, "Strict", "short")
        assert.is_nil(tostring(err):find("s3cret", 1, true))
    end)

    it("U4: what is required and missing", function()
        local owner = em:create(Strict, {})
        em:persist_and_flush(owner)
        local e = em:create(Required, {})
        em:persist(e)
        refused(em, "Required", "name")
        e.name = "x"
        refused(em, "Required", "owner")
        e.owner = owner
        refused(em, "Required", "code")
        e.code = "c"
        em:flush()
        assert.equal("new", e.state)
        for name, good in pairs { name = "x", owner = owner, code = "c", state = "new" } do
            e[name] = nil
            refused(em, "Required", name)
            e[name] = good
        end
        em:assign(e, { name = orm.null })
        refused(em, "Required", "name")
        e.name = "y"
        em:flush()
        assert.equal("y", work.raw:value "select name from required_rows")
    end)

    it("U4: one bad row among a thousand good ones keeps all of them out", function()
        local made = {}
        for i = 1, 1000 do
            made[i] = em:create(Strict, { int = i == 777 and 1.5 or i })
            em:persist(made[i])
        end
        refused(em, "Strict", "int")
        assert.equal("0", work.raw:value "select count(*) from strict_rows")
        made[777].int = 777
        em:flush()
        assert.equal("1000", work.raw:value "select count(*) from strict_rows")
    end)

    it("U4: bad keys", function()
        local e = em:create(Keyed, {})
        em:persist(e)
        refused(em, "Keyed", "code")
        e.code = "abcd"
        refused(em, "Keyed", "code")
        e.code = "abc"
        em:flush()
        assert.equal("abc", work.raw:value "select code from keyed_rows")
        for _, bad in ipairs { "abcd", 5, true } do
            local ok, err = pcall(function() em:persist(em:create(Keyed, { code = bad })) end)
            if ok then err = unit.raises("validation", em.flush, em) end
            assert.is_true(orm.is_error(err, "validation"), tostring(err))
            assert.equal("code", err.property)
            em:clear()
        end
    end)

    it("U4: bad values of insert, update_where and filters", function()
        local id = em:insert(Strict, { int = 1 })
        work:forget()
        for _, call in ipairs {
            function() em:insert(Strict, { int = 1.5 }) end,
            function() em:insert_many(Strict, { { int = 1 }, { int = "x" } }) end,
            function() em:update_where(Strict, { id = id }, { int = 1.5 }) end,
            function() em:update_where(Strict, { int = "x" }, { int = 1 }) end,
            function() em:delete_where(Strict, { int = {} }) end,
            function() em:find(Strict, { int = "x" }) end,
            function() em:find(Strict, { int = orm.op.gt(0.5) }) end,
            function() em:find(Strict, { int = orm.op.one_of { 1, "x" } }) end,
        } do
            local err = unit.raises("validation", call)
            assert.equal("Strict", err.entity)
            assert.equal("int", err.property)
        end
        assert.same({}, work:statements())
        assert.equal("1", work.raw:value "select count(*) from strict_rows")
    end)
end)
