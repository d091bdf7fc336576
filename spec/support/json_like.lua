--- Values as decoded JSON has them, arbitrary and hostile, for specs that feed them to everything.
--
--     local json_like = require "spec.support.json_like"
--     local make = json_like.new(seed, { names = { "name", "team.name" } })
--     make.random(6)                               -- 1 to 6
--     make.value()                                 -- strings, numbers, booleans, null, tables of these
--     make.value(3)                                -- not deeper than three tables
--     make.object { "limit", "offset" }            -- a table with names of these and others
--     make.text()                                  -- JSON text with some bytes changed
--
-- The same seed makes the same values under every interpreter.

local orm = require "heddle"

local json_like = {}

local fragments = {
    "' or '1'='1", "'; drop table users; --", "\" or 1=1 --", "1); delete from users; --", "name desc; select 1",
    "/*", "*/", "--", "?", "$1", "?1", "??", "e0.name", "e0", "null", "NULL", "count(*)", "name desc nulls last",
    "name asc, id desc", "users", "(select 1)", "%", "_", "\\", "a\\", "%\\%", "[", "(", "*", "a{2,1}", "(?<x",
    "\\1", "[[:nope:]]", "$", "$.a", "$[0]", "a.b", "a..b", ".", "a.", ".a", "a b", "*.books", "books.*", "[0]",
    "a[0].b", "a'b", 'a"b', "a]b", "\1", "a\1b", "\0", "a\0b", "\n", "\r\n", "\t", "\127", "\195\169", "\195",
    "\255\254", "\192\128", "\237\160\128", "\240\159\152\128", "\226\128\174", "", " ", "true", "false", "0", "1",
    "-1", "007", "1e3", "0x10", "1.50", "NaN", "Infinity", "-Infinity", "9223372036854775807",
    "9223372036854775808", "-9223372036854775808", "99999999999999999999", "1e999", "2020-01-01", "2020-02-30",
    "infinity", "now", "24:00:00", "25:00", "2020-01-01T00:00:00Z", "2020-13-01T00:00:00Z",
    "294277-01-01T00:00:00Z", "0f8fad5b-d9cb-469f-a165-70867728950e", "0f8fad5b-d9cb-469f-a165", "{1,2}", "{",
    "[1,2]", "{\"a\":1}", "\\x41", "low", "LOW", "heddle.operator",
}

local operator_names = {
    "eq", "ne", "gt", "one_of", "some", "none", "every", "all", "any", "negate", "raw", "json", "like", "matches",
    "kind", "value", "second", "$gt", "$or", "$ne", "__index", "__name", "__tostring", "__eq", "n", "sql", "op",
    "1", "class",
}

local numbers = {
    0, 1, 2, 3, -1, 0.5, 1.5, -0.0, 1e308, -1e308, 5e-324, 1 / 0, -1 / 0, 0 / 0, 2 ^ 31, 2 ^ 31 - 1, -2 ^ 31 - 1,
    32768, 2 ^ 53, 2 ^ 53 + 2, 2 ^ 63, -2 ^ 63, 2 ^ 64, 1e15, 1e17, 253402300800, -62135596801, 1e100, 0.1, 100,
    1000000,
}
if math.maxinteger then
    for _, name in ipairs { "maxinteger", "mininteger" } do numbers[#numbers + 1] = math[name] end
end

-- What takes long to read where reading goes back and forth.
local endless = {
    ("a"):rep(70000), ("name."):rep(4000), "team." .. ("a"):rep(70000), ("'"):rep(20000), ("\0"):rep(10000),
    ("%"):rep(5000), ("\\"):rep(70001) .. "x", "name" .. (" "):rep(70000) .. "x", "name x" .. (" "):rep(70000) .. "y",
    ("."):rep(70000), ("9"):rep(70000), ("name,"):rep(10000), ("("):rep(5000), ("["):rep(70000),
}

local texts = {
    [=[{"name":"x","team":{"name":"core"},"age":[1,2,null]}]=], [=[[{"name":1.5e3},{"team":[{"id":-0}]}]]=],
    [=[["name desc nulls last"]]=], [=[{"address":{"city":"\u0000\ud83d\ude00","geo":{"lat":1e400}}}]=],
    [=[{"doc":{"a":[1,{"b":null}],"c":"d"},"tags":["a","b"],"$or":[{"id":1},{"id":9007199254740993}]}]=],
    [=[{"limit":10,"offset":0,"order_by":["name","id desc"],"populate":["team.lead"],"fields":["id","name"]}]=],
    [=["MDEyMzQ1aTE6NQ"]=], [=[[1,[2,[3,[4,[5,[6]]]]]]]=], [=[12345678901234567890]=], [=[true]=], [=[null]=],
}

---@param seed integer
---@param opts { names: string[] }
function json_like.new(seed, opts)
    local make, state = {}, (seed * 48271) % 2147483647
    if state == 0 then state = 1 end

    local function random(n)
        state = (state * 16807) % 2147483647
        return math.floor(state / 16) % n + 1
    end
    make.random = random

    local function pick(list) return list[random(#list)] end
    make.pick = pick

    local function bytes()
        local made = {}
        for i = 1, random(12) do made[i] = string.char(random(256) - 1) end
        return table.concat(made)
    end

    local function long()
        if random(20) > 1 then return ("x"):rep(random(300)) end
        return pick(endless)
    end

    function make.string()
        local what = random(12)
        if what <= 5 then return pick(opts.names) end
        if what <= 8 then return pick(fragments) end
        if what == 9 then return pick(operator_names) end
        if what == 10 then return bytes() end
        if what == 11 then return pick(opts.names) .. pick { ".", " ", ",", "" } .. pick(fragments) end
        return long()
    end

    function make.number()
        if random(3) == 1 then return random(20) - 10 end
        return pick(numbers)
    end

    -- A path of one name after the other, as deep as a decoder lets it be.
    local function deep()
        local name, value = pick(opts.names), make.value(0)
        for _ = 1, random(4) == 1 and 900 or random(90) do
            value = random(3) == 1 and { value } or { [random(8) == 1 and pick(opts.names) or name] = value }
        end
        return value
    end

    function make.value(depth)
        depth = depth or 4
        local what = random(depth > 0 and 16 or 9)
        if what <= 4 then return make.string() end
        if what <= 7 then return make.number() end
        if what == 8 then return random(2) == 1 end
        if what == 9 then return orm.null end
        if what == 10 and random(12) == 1 then return deep() end
        local made = {}
        for i = 1, random(4) - 1 do
            made[what <= 12 and i or make.string()] = make.value(depth - 1)
        end
        -- Arrays with names and holes, which no decoder makes and no program is kept from making.
        if random(40) == 1 then made[random(3) == 1 and 1.5 or random(9)] = make.value(depth - 1) end
        return made
    end

    --- A table whose names are mostly those given.
    function make.object(names, value)
        local made = {}
        for _ = 1, random(3) do
            made[random(12) == 1 and make.string() or pick(names)] = (value or make.value)()
        end
        return made
    end

    --- A list of what `item` makes, or, now and then, anything.
    function make.list(item)
        if random(8) == 1 then return make.value() end
        local made = {}
        for i = 1, random(4) - 1 do made[i] = item() end
        return made
    end

    --- JSON text, some bytes of which were changed, dropped or doubled.
    function make.text()
        local text = pick(texts)
        for _ = 1, random(4) - 1 do
            local at, what = random(#text), random(4)
            local rest = text:sub(what == 2 and at + 1 or at)
            if what == 1 then rest = string.char(random(256) - 1) .. text:sub(at + 1) end
            if what == 3 then rest = text:sub(at, at) .. rest end
            if what == 4 then rest = pick(fragments) .. rest end
            text = text:sub(1, at - 1) .. rest
            if text == "" then text = "0" end
        end
        return text
    end

    return make
end

return json_like
