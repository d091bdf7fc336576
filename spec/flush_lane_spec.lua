-- The short way of a flush does what the long one does: the same work at random in two contexts, one of which is kept
-- from taking the short way. Rows, instances and errors are the same after every step. Hooks that change rows, their
-- own and others, and that fail, are part of it.

local chance = require "spec.support.chance"
local databases = require "spec.support.databases"
local lane = require "heddle.flush.lane"
local orm = require "heddle"
local single = require "heddle.flush.single"

local RUNS, STEPS = 60, 40

local Item = orm.entity {
    name = "LaneItem", table = "lane_items",
    { "id", type = "integer", primary = true },
    { "code", type = "string", length = 8, unique = true, nullable = true },
    { "n", type = "integer" },
    { "price", type = "decimal", precision = 8, scale = 2, nullable = true },
    { "weight", type = "double", nullable = true },
    { "at", type = "timestamp", nullable = true },
    { "data", type = "json", nullable = true },
    { "flag", type = "boolean", default = true, nullable = true },
    { "version", type = "integer", version = true },
}

local Label = orm.entity {
    name = "LaneLabel", table = "lane_labels",
    { "code", type = "string", primary = true },
    { "text", type = "text", nullable = true },
    { "big", type = "bigint", default_sql = "7" },
}

-- Two work in each context: what one of them has written is stale to the other.
local function open(db, name)
    local config = db:config { context_name = name, entities = { Item, Label } }
    local instance = orm.init(config)
    instance.schema:create()
    return { raw = db:raw(config), ems = { instance.em:fork(), instance.em:fork() }, items = {}, labels = {}, told = {},
        instance = instance }
end

-- What hooks do depends on what they see alone.
local function hear(side, kind)
    local function tell(e, event)
        side.told[#side.told + 1] = ("%s %s %s"):format(event.name, tostring(e.n), tostring(e.text))
        if kind == "quiet" then return end
        if e.n and e.n % 13 == 5 then error("the hook says no " .. e.n, 0) end
        if e.n and e.n % 3 == 0 then e.weight = (e.weight or 0) + 1 end
        if e.n and e.n % 4 == 1 and type(e.data) == "table" then e.data.told = (e.data.told or 0) + 1 end
        local other = side.items[e.n and e.n % 7 + 1 or 1]
        if kind == "far" and other and other ~= e then other.flag = not other.flag end
        if kind == "far" and other and other ~= e and type(other.data) == "table" then other.data.far = e.n end
    end
    side.instance:on("before_update", tell)
    side.instance:on("before_create", tell)
end

-- What is done in both contexts -----------------------------------------------------------------------------

local function number(random) return random { 0, 1, -1, 7, 2147483647, 2.0 } end

-- Names of properties, and what makes a value of one; some values do not fit.
local values = {
    { "n", number },
    { "n", function(random) return random(40) == 1 and random { "x", 2.5, 2 ^ 40 } or random(100) end },
    { "code", function(random) return random(3) > 1 and "c" .. random(30) or nil end },
    { "code", function(random) return random(20) == 1 and ("long"):rep(4) or "d" .. random(9999) end },
    { "price", function(random) return random { "1.5", "1.50", 1.5, 2, "99.999", "-3", "7.00" } end },
    { "weight", function(random) return random { 1.5, 2, 2.0, -0.0, 0.0, 1e300 } end },
    { "at", function(random) return random { 1500000000, 1500000000.25, "2020-01-02T03:04:05Z", 1500000000.0 } end },
    { "data", function(random) return random { { a = 1 }, { a = { 1, 2 } }, { b = "x" }, 17, "text" } end },
    { "flag", function(random) return random(2) == 1 end },
    { "weight", function() return nil end },
    { "data", function() return nil end },
    { "price", function() return orm.null end },
    { "n", function(random) return orm.raw("n + ?", random(3)) end, true },
}

local function choose(random, is_new)
    repeat
        local item = values[random(#values)]
        if not (is_new and item[3]) then return item[1], item[2] end
    until false
end

-- Each context has tables of its own.
local function own(value)
    if type(value) ~= "table" or getmetatable(value) then return value end
    local copy = {}
    for key, item in pairs(value) do copy[key] = own(item) end
    return copy
end

local steps = {}

function steps.create(random)
    local data, em, count = {}, random(2), random(3)
    for i = 1, count do
        local made = { n = random(100) }
        for _ = 1, random(4) do
            local name, value = choose(random, true)
            made[name] = value(random)
        end
        data[i] = made
    end
    return function(side)
        for _, made in ipairs(data) do
            local copy = {}
            for name, value in pairs(made) do copy[name] = own(value) end
            local e = side.ems[em]:create(Item, copy)
            side.ems[em]:persist(e)
            side.items[#side.items + 1] = e
        end
    end
end

function steps.label(random)
    local em, code, text = random(2), "l" .. random(60), random { "a", "b", "\195\164" }
    local big = random { 1, 2 ^ 40, nil }
    return function(side)
        local e = side.ems[em]:create(Label, { code = code, text = text, big = big })
        side.ems[em]:persist(e)
        side.labels[#side.labels + 1] = e
    end
end

function steps.change(random)
    local at, name, value = random(1000), choose(random)
    local given = value(random)
    return function(side)
        local e = side.items[(at - 1) % math.max(#side.items, 1) + 1]
        if e then e[name] = own(given) end
    end
end

function steps.inside(random)
    local at, n = random(1000), random(5)
    return function(side)
        local e = side.items[(at - 1) % math.max(#side.items, 1) + 1]
        if e and type(e.data) == "table" then e.data.inside = n end
    end
end

function steps.rename(random)
    local at, text = random(1000), random { "p", "q" }
    return function(side)
        local e = side.labels[(at - 1) % math.max(#side.labels, 1) + 1]
        if e then e.text = text end
    end
end

function steps.flush(random)
    local em = random(2)
    return function(side)
        if side.busy == nil or side.busy == em then side.ems[em]:flush() end
    end
end

-- One row by itself, which has the shortest way of all.
function steps.alone(random)
    local at, name, value = random(1000), choose(random)
    local given = value(random)
    return function(side)
        local known = side.items[(at - 1) % math.max(#side.items, 1) + 1]
        if side.busy or not known or not known.id then return end
        local fork = side.instance.em:fork()
        local e = fork:find_one(Item, known.id)
        if not e then return end
        side.items[#side.items + 1] = e
        e[name] = own(given)
        fork:flush()
    end
end

function steps.begin(random)
    local em = random(2)
    return function(side)
        -- The other one's statements would wait for it.
        if side.busy == nil or side.busy == em then
            side.ems[em]:begin()
            side.busy, side.depth = em, (side.depth or 0) + 1
        end
    end
end

local function finish(side, what)
    if not side.busy then return end
    local em = side.ems[side.busy]
    side.depth = side.depth - 1
    if side.depth == 0 then side.busy = nil end
    em[what](em)
end

function steps.commit() return function(side) finish(side, "commit") end end

function steps.rollback() return function(side) finish(side, "rollback") end end

function steps.read(random)
    local em = random(2)
    return function(side)
        if side.busy and side.busy ~= em then return end
        side.items = side.ems[em]:find_all(Item, { order_by = { "id" }, flush_mode = "commit" })
        side.labels = side.ems[em]:find_all(Label, { order_by = { "code" }, flush_mode = "commit" })
    end
end

function steps.clear(random)
    local em = random(2)
    return function(side)
        if side.busy then return end
        side.ems[em]:clear()
        side.items, side.labels = {}, {}
    end
end

local frequent = { "create", "create", "change", "change", "change", "change", "alone", "alone", "alone", "alone",
    "flush", "flush", "flush", "inside", "rename", "label", "begin", "commit", "rollback", "read", "clear" }

-- What has become of it ----------------------------------------------------------------------------------------

local function image(value)
    if type(value) ~= "table" then return type(value) == "number" and ("%s %.17g"):format(math.type and
        math.type(value) or "number", value) or tostring(value) end
    if getmetatable(value) and getmetatable(value).__name == "heddle.operator" then return "expression" end
    local parts = {}
    for key, item in pairs(value) do parts[#parts + 1] = tostring(key) .. "=" .. image(item) end
    table.sort(parts)
    return "{" .. table.concat(parts, ",") .. "}"
end

local function memory(side)
    local parts = {}
    for _, list in ipairs { side.items, side.labels } do
        for _, e in ipairs(list) do
            local copy = {}
            for key, value in next, e do copy[key] = value end
            parts[#parts + 1] = ("%s %s %s"):format(image(copy), tostring(side.ems[1]:contains(e)),
                tostring(side.ems[2]:contains(e)))
        end
    end
    return table.concat(parts, "\n")
end

local function rows(side)
    local parts = {}
    for _, sql in ipairs { [[select id, code, n, price, cast(weight as text), at, data, flag, version from lane_items
        order by id]], "select code, text, cast(big as text) from lane_labels order by code" } do
        for _, row in ipairs(side.raw:rows(sql)) do
            for i = 1, 9 do parts[#parts + 1] = tostring(row[i]) end
        end
    end
    return table.concat(parts, "|")
end

-- On SQLite it may name the file.
local function message(err) return (tostring(err.message):gsub("'/[^']*'", "the file")) end

databases.each(function(db)
    describe("the short way of a flush", function()
        local short, taken, flushes, alone
        local flush, flush_single = lane.flush, single.flush

        before_each(function()
            taken, flushes, alone = 0, 0, 0
            single.flush = function(...)
                local result = { flush_single(...) }
                if result[1] then alone = alone + 1 end
                return result[1], result[2], result[3]
            end
            lane.flush = function(em)
                if em.context_name == "long" then return false end
                local result = { flush(em) }
                flushes = flushes + 1
                if result[1] then taken = taken + 1 end
                return result[1], result[2], result[3]
            end
        end)

        after_each(function()
            lane.flush, single.flush = flush, flush_single
            orm.close()
            db:close()
        end)

        local function run(seed)
            local random = chance.generator(seed)
            short = open(db, "short")
            local long = open(db, "long")
            local kind = random { "none", "none", "none", "quiet", "own", "far" }
            if kind ~= "none" then
                hear(short, kind)
                hear(long, kind)
            end
            local done = { kind }
            for _ = 1, STEPS do
                local name = frequent[random(#frequent)]
                local step = steps[name](random)
                done[#done + 1] = name
                local ok, err = pcall(step, short)
                local ok_long, err_long = pcall(step, long)
                local trail = ("seed %d: %s\n%s\n%s"):format(seed, table.concat(done, " "), tostring(err),
                    tostring(err_long))
                assert.equal(ok_long, ok, trail)
                assert.same(long.told, short.told, trail)
                if type(err) == "string" then
                    assert.equal(err_long, err, trail)
                elseif not ok then
                    assert.equal(err_long.kind, err.kind, trail)
                    assert.equal(err_long.property, err.property, trail)
                    assert.equal(message(err_long), message(err), trail)
                end
                assert.equal(memory(long), memory(short), trail)
                if not short.busy then assert.equal(rows(long), rows(short), trail) end
            end
            orm.close()
        end

        it("F1 U1: leaves the same rows, the same instances and the same errors as the long one", function()
            local first, last = chance.range(RUNS)
            for seed = first, last do
                run(seed)
                db:close()
            end
            assert.is_true(taken > flushes / 4, ("%d of %d flushes"):format(taken, flushes))
            assert.is_true(alone > flushes / 50, ("%d of %d flushes for one row"):format(alone, flushes))
        end)
    end)
end)
