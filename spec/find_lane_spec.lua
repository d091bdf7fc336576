-- The short way of a find by key gives what the long one does: the same work at random in two contexts, one of which is
-- kept from taking the short way. What is found, what is managed and what is raised are the same after every step.

local chance = require "spec.support.chance"
local databases = require "spec.support.databases"
local lane = require "heddle.manager.find_lane"
local loop = require "spec.support.loop"
local orm = require "heddle"
local raises = require("spec.support.unit").raises

local pcall = require("heddle.compat").pcall -- 5.1's own cannot be yielded across

local RUNS, STEPS = 60, 50

local function key_of(kind, more)
    local property = { "id", type = kind, primary = true }
    for name, value in pairs(more or {}) do property[name] = value end
    return property
end

local note = { "note", type = "text", nullable = true }

-- One for each type that a key can have; and what the short way declines.
local kinds = {
    smallint = orm.entity { name = "KeySmall", key_of "smallint", note },
    integer = orm.entity { name = "KeyInteger", key_of "integer", note, { "at", type = "timestamp", nullable = true },
        { "price", type = "decimal", precision = 8, scale = 2, nullable = true },
        { "data", type = "json", nullable = true }, { "flag", type = "boolean", default = true },
        { "body", type = "text", nullable = true, lazy = true },
        { "next", many_to_one = "KeyInteger", nullable = true } },
    bigint = orm.entity { name = "KeyBig", key_of "bigint", note },
    double = orm.entity { name = "KeyDouble", key_of "double", note },
    decimal = orm.entity { name = "KeyDecimal", key_of("decimal", { precision = 8, scale = 2 }), note },
    string = orm.entity { name = "KeyString", key_of("string", { length = 8 }), note },
    uuid = orm.entity { name = "KeyUuid", key_of "uuid", note },
    timestamp = orm.entity { name = "KeyTimestamp", key_of "timestamp", note },
    date = orm.entity { name = "KeyDate", key_of "date", note },
    enum = orm.entity { name = "KeyEnum", key_of("enum", { enum = { "a", "b", "c" } }), note },
    filtered = orm.entity { name = "KeyFiltered", key_of "integer", note,
        filters = { noted = { cond = { note = orm.op.ne(orm.null) }, default = true } } },
    pair = orm.entity { name = "KeyPair", key_of "integer", { "other", type = "integer", primary = true }, note },
    eager = orm.entity { name = "KeyEager", key_of "integer", note,
        { "far", many_to_one = "KeyInteger", nullable = true, eager = true } },
    custom = orm.entity { name = "KeyCustom", key_of "integer", note, { "tags", nullable = true, type = orm.type {
        column = "text", to_db = function(list) return table.concat(list, ",") end,
        from_db = function(text) return { text } end } } },
}

-- One named filter is enough for all entities of its context to go the long way: it comes last, and not always.
local all_names = {}
for name in pairs(kinds) do all_names[#all_names + 1] = name ~= "filtered" and name or nil end
table.sort(all_names)
local plain_names = { (table.unpack or unpack)(all_names) }
all_names[#all_names + 1] = "filtered"

local UUID = "0b3f1c52-6c9d-4e07-9c57-1df05a6b7e0%d"

-- Keys that rows have.
local keys = {
    smallint = { 1, 2, -3, 32767 }, integer = { 1, 2, 3, 4, 2147483647 }, bigint = { 1, 2, -2, 4503599627370496 },
    double = { 1.5, 2.0, -0.25, 1e300 }, decimal = { "1.50", "2.00", "-3.25" }, string = { "a", "b", "A", "\195\164" },
    uuid = { UUID:format(1), UUID:format(2), UUID:format(3) }, timestamp = { 1500000000, 1500000001, 0.25 },
    date = { "2020-01-02", "2024-02-29" }, enum = { "a", "b", "c" }, filtered = { 1, 2, 3 }, eager = { 1, 2, 3 },
    custom = { 1, 2, 3 }, pair = { { id = 1, other = 1 }, { id = 1, other = 2 } },
}

-- Other forms of them, keys that no row has, and what cannot be one. (NaN is below: who refuses it on SQLite depends on
-- whether a row of its entity was read before.)
local others = {
    smallint = { 1.0, "2", 4, 32768, -32769, "02", 2.5 },
    integer = { 2.0, "3", "03", " 3", "3.0", 9, 2.5, 2 ^ 31, "x" },
    bigint = { 1.0, "2", "9007199254740993", "9223372036854775808", 2 ^ 63, 2.5 },
    double = { 2, "1.5", 7, 1 / 0, "x" }, decimal = { 1.5, 2, "1.5", "2", "1.505", "99999999", "x" },
    string = { 1, "none", "", ("long"):rep(4), "\255", "a\0b", "a " },
    uuid = { UUID:format(1):upper(), UUID:format(9), "x", "" },
    timestamp = { 1500000000.0, "2017-07-14T02:40:00Z", "2017-07-14 02:40:01+00", 5, "yesterday" },
    date = { "2020-01-03", "2020-02-30", "2020-1-2", 7 }, enum = { "d", "A", 1 }, filtered = { 1.0, "2", 9, "x" },
    eager = { "1", 9 }, custom = { "1", 9 }, pair = { 1, "1", { id = 1 } },
}

local anything = { true, orm.null, {}, orm.op.gt(0), { id = 1 }, { nope = 1 } }

local function open(db, name, names)
    local config = db:config { context_name = name, entities = {}, allow_global_context = true }
    for _, each in ipairs(names) do config.entities[#config.entities + 1] = kinds[each] end
    local instance = orm.init(config)
    instance.schema:create()
    local side = { raw = db:raw(config), instance = instance, ems = { instance.em:fork(), instance.em:fork() },
        seen = {}, numbers = {}, told = {}, calls = 0 }
    for at = 0, #names do -- what others refer to first
        local each = names[at] or "integer"
        for i, key in ipairs(at > 0 and each == "integer" and {} or keys[each]) do
            local data = { note = i % 2 == 1 and "n" .. i or nil }
            if type(key) == "table" then
                data.id, data.other = key.id, key.other
            else
                data.id = key
            end
            if each == "integer" then
                data.price, data.data, data.at, data.body = "1.25", { a = { i } }, 1500000000.5, "long"
                data.next = i > 1 and side.ems[1]:get_reference(kinds.integer, 1) or nil
            end
            if each == "eager" then data.far = side.ems[1]:get_reference(kinds.integer, key) end
            if each == "custom" then data.tags = { "x", "y" } end
            side.ems[1]:persist(side.ems[1]:create(kinds[each], data))
        end
    end
    side.ems[1]:flush()
    side.ems[1]:clear()
    return side
end

-- What is done in both contexts -----------------------------------------------------------------------------

local names = all_names -- of the run

local function choose(random)
    local name = names[random(#names)]
    local dice = random(10)
    local list = dice <= 6 and keys[name] or dice <= 9 and others[name] or anything
    return kinds[name], list[random(#list)]
end

local function see(side, e)
    if type(e) ~= "table" then return e end
    if not side.numbers[e] then
        side.seen[#side.seen + 1] = e
        side.numbers[e] = #side.seen
    end
    return side.numbers[e]
end

-- SQLite has one that writes; the other one's statements would wait for it.
local function may(side, em) return side.busy == nil or side.busy == em end

local steps = {}

function steps.find(random)
    local em, entity, key = random(2), choose(random)
    return function(side)
        if not may(side, em) then return end
        return see(side, side.ems[em]:find_one(entity, key))
    end
end

function steps.find_or_fail(random)
    local em, entity, key = random(2), choose(random)
    return function(side)
        if may(side, em) then return see(side, side.ems[em]:find_one_or_fail(entity, key)) end
    end
end

function steps.options(random)
    local em, entity, key = random(2), choose(random)
    local opts = random { { fields = { "id" } }, { refresh = true }, { filters = false }, { managed = false }, {} }
    return function(side)
        if may(side, em) then return see(side, side.ems[em]:find_one(entity, key, opts)) end
    end
end

function steps.reference(random)
    local em, entity, key = random(2), choose(random)
    return function(side) return see(side, side.ems[em]:get_reference(entity, key)) end
end

function steps.global(random)
    local entity, key = choose(random)
    return function(side)
        if side.busy then return end
        local e = side.instance.em:find_one(entity, key)
        return e and e.note
    end
end

function steps.create(random)
    local em, name = random(2), random { "integer", "string", "bigint", "double" }
    local key = name == "string" and "new" .. random(9) or 100 + random(9)
    return function(side)
        local e = side.ems[em]:create(kinds[name], { id = key, note = "made" })
        side.ems[em]:persist(e)
        return see(side, e)
    end
end

local function of_seen(side, at) return side.seen[(at - 1) % math.max(#side.seen, 1) + 1] end

function steps.change(random)
    local at, text = random(1000), random { "p", "q" }
    return function(side)
        local e = of_seen(side, at)
        if e then e.note = text end
    end
end

function steps.remove(random)
    local em, at = random(2), random(1000)
    return function(side)
        local e = of_seen(side, at)
        if e and side.ems[em]:contains(e) then side.ems[em]:remove(e) end
    end
end

function steps.flush(random)
    local em = random(2)
    return function(side)
        if may(side, em) then side.ems[em]:flush() end
    end
end

function steps.begin(random)
    local em = random(2)
    return function(side)
        if not may(side, em) then return end
        side.ems[em]:begin()
        side.busy, side.depth = em, (side.depth or 0) + 1
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

function steps.elsewhere(random)
    local name, text = random { "key_integer", "key_string", "key_big" }, random { "r", "s" }
    local delete = random(3) == 1
    return function(side)
        if side.busy then return end
        side.raw:exec(delete and "delete from key_string where id = 'b'"
            or ("update %s set note = '%s'"):format(name, text))
    end
end

function steps.clear(random)
    local em = random(2)
    return function(side)
        if not side.busy then side.ems[em]:clear() end
    end
end

function steps.fork(random)
    local em = random(2)
    return function(side)
        if not side.busy then side.ems[em] = side.ems[3 - em]:fork() end
    end
end

-- Who hears of loads, from some time on.
function steps.listen(random)
    local rare = random(6) == 1
    return function(side)
        if not rare or side.listens then return end
        side.listens = true
        side.instance:on("on_load", function(e)
            side.told[#side.told + 1] = tostring(e.id)
            e.heard = true
        end)
    end
end

local frequent = { "find", "find", "find", "find", "find", "find", "find_or_fail", "options", "reference", "global",
    "create", "change", "remove", "flush", "begin", "commit", "rollback", "elsewhere", "clear", "fork", "listen" }

-- What has become of it ----------------------------------------------------------------------------------------

local function image(side, value)
    if type(value) == "number" then
        return ("%s %.17g"):format(math.type and math.type(value) or "number", value)
    end
    if type(value) ~= "table" then return tostring(value) end
    if side.numbers[value] then return "#" .. side.numbers[value] end
    local parts = {}
    for key, item in next, value do parts[#parts + 1] = tostring(key) .. "=" .. image(side, item) end
    table.sort(parts)
    return "{" .. table.concat(parts, ",") .. "}"
end

local function memory(side)
    local parts = {}
    for i, e in ipairs(side.seen) do
        local copy = {}
        for key, value in next, e do copy[key] = value end
        parts[#parts + 1] = ("%d %s %s %s"):format(i, image(side, copy), tostring(side.ems[1]:contains(e)),
            tostring(side.ems[2]:contains(e)))
    end
    return table.concat(parts, "\n")
end

local function message(err) return (tostring(err.message):gsub("'/[^']*'", "the file")) end

-- Keys that are no numbers differ from run to run.
local function compare(trail, ok, result, ok_long, result_long)
    assert.equal(ok_long, ok, trail)
    if type(result) == "table" and type(result_long) == "table" then
        for _, field in ipairs { "kind", "entity", "property" } do
            assert.equal(result_long[field], result[field], trail)
        end
        assert.equal(message(result_long), message(result), trail)
    else
        assert.equal(result_long, result, trail)
    end
end

databases.each(function(db)
    describe("the short way of a find by key", function()
        local taken, finds
        local read = lane.read

        before_each(function()
            taken, finds = 0, 0
            lane.read = function(em, ...)
                if em.context_name == "long" then return false end
                finds = finds + 1
                local answered, e = read(em, ...)
                if answered then taken = taken + 1 end
                return answered, e
            end
        end)

        after_each(function()
            lane.read = read
            orm.use "blocking"
            loop.reset()
            orm.close()
            db:close()
        end)

        local function run(seed)
            local random = chance.generator(seed)
            names = random(4) == 1 and all_names or plain_names
            local short, long = open(db, "short", names), open(db, "long", names)
            local done = {}
            for _ = 1, STEPS do
                local name = frequent[random(#frequent)]
                local step = steps[name](random)
                done[#done + 1] = name
                local ok, result = pcall(step, short)
                local ok_long, result_long = pcall(step, long)
                local trail = ("seed %d: %s\n%s\n%s"):format(seed, table.concat(done, " "), tostring(result),
                    tostring(result_long))
                compare(trail, ok, result, ok_long, result_long)
                assert.equal(memory(long), memory(short), trail)
                assert.same(long.told, short.told, trail)
            end
            orm.close()
        end

        local function run_all(runs)
            local first, last = chance.range(runs)
            for seed = first, last do
                run(seed)
                db:close()
            end
            -- A seed alone may be one with a named filter.
            assert.is_true(last - first < 3 or taken > finds / 8, ("%d of %d finds"):format(taken, finds))
        end

        it("Q1 U1: finds what the long one finds, under every type of key, and raises what it raises", function()
            run_all(RUNS)
        end)

        it("L1: does so when the database is waited for", function()
            orm.use(loop.wait)
            loop.spawn(run_all, RUNS / 4)
            loop.run()
        end)

        it("is taken for every type of key, and for nothing that is not read as it is stored", function()
            local side = open(db, "short", plain_names)
            local declined = { pair = true, eager = true, custom = true }
            for _, name in ipairs(plain_names) do
                local before = taken
                local e = side.ems[2]:find_one(kinds[name], keys[name][1])
                assert.is_truthy(e, name)
                side.ems[2]:clear()
                assert.equal(declined[name] and 0 or 1, taken - before, name)
            end
            side.ems[2]:find_one(kinds.integer, 1)
            -- What is managed needs no statement, and whoever hears of loads or statements is told by the long way.
            local before = taken
            side.ems[2]:find_one(kinds.integer, 1)
            side.instance:on("on_load", function() end)
            side.ems[2]:find_one(kinds.integer, 2)
            assert.equal(before, taken)
        end)

        it("Q1: tells who hears of statements of each", function()
            local side = open(db, "short", plain_names)
            local told = 0
            side.ems[2]:find_one(kinds.string, "a")
            side.instance:on("query", function() told = told + 1 end)
            side.ems[2]:find_one(kinds.string, "b")
            assert.equal(1, told)
        end)

        it("leaves its entity manager as good as it was when a row cannot be read or the statement fails", function()
            local side = open(db, "short", plain_names)
            local em = side.ems[2]
            side.raw:exec "alter table key_integer rename to key_gone"
            local err = raises("table_not_found", em.find_one, em, kinds.integer, 1)
            assert.matches("key_integer", err.message .. tostring(err.detail))
            side.raw:exec "alter table key_gone rename to key_integer"
            assert.equal("n1", em:find_one(kinds.integer, 1).note)
            assert.equal("n1", em:find_one(kinds.string, "a").note)
        end)

        it("V1: refuses NaN where it is no key, and says of which property once rows of it were read", function()
            local short, long = open(db, "short", plain_names), open(db, "long", plain_names)
            for _, side in ipairs { short, long } do
                local em = side.ems[2]
                em:find_one(kinds.double, 1.5)
                side.result = { pcall(em.find_one, em, kinds.double, 0 / 0) }
            end
            compare("", short.result[1], short.result[2], long.result[1], long.result[2])
            assert.equal(db.name == "postgres", short.result[1])
        end)

        it("V1: reads what a file holds though its column's type has no such value as the long one does", function()
            local rubbish = db.name == "sqlite" and "at = 'rubbish', price = x'00', data = '{', flag = 'x'"
                or "at = 'infinity', price = 'NaN'"
            local images = {}
            for _, name in ipairs { "short", "long" } do
                local side = open(db, name, plain_names)
                side.raw:exec(("update key_integer set %s where id = 2"):format(rubbish))
                local em = side.ems[2]
                local ok, found = pcall(em.find_one, em, kinds.integer, 2)
                see(side, em:find_one(kinds.integer, 1))
                images[name] = { ok, ok and image(side, found) or message(found), memory(side) }
            end
            assert.same(images.long, images.short)
        end)

        it("S1: is closed, dropped and busy as every other one is", function()
            local side = open(db, "short", plain_names)
            local em = side.ems[2]
            em:find_one(kinds.integer, 1)
            em:drop()
            raises("closed", em.find_one, em, kinds.integer, 2)
            em = side.ems[1]
            local co = coroutine.create(function()
                em:begin()
                coroutine.yield()
                em:rollback()
            end)
            assert.is_true(coroutine.resume(co))
            raises("busy", em.find_one, em, kinds.integer, 2)
            assert.is_true(coroutine.resume(co))
            assert.equal(2, em:find_one(kinds.integer, 2).id)
            side.instance:close()
            raises("closed", em.find_one, em, kinds.integer, 3)
        end)
    end)
end)
