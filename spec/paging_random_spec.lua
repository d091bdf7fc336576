-- Q4 as a property: over random tables full of NULLs and ties, in any order, in both directions, with rows coming and
-- going between the pages, the pages together are the table.
--
-- HEDDLE_SEED and HEDDLE_RUNS choose other runs: the seed of a failing one is in its message.

local chance = require "spec.support.chance"
local databases = require "spec.support.databases"
local orm = require "heddle"

local seed = chance.seed(20)
local runs = chance.runs(40)

local Place = orm.embeddable {
    name = "Place",
    { "city", type = "string", nullable = true },
    { "height", type = "integer", nullable = true },
}
local Team = orm.entity {
    name = "Team",
    { "id", type = "integer", primary = true },
    { "name", type = "string", nullable = true },
}
local Row = orm.entity {
    name = "Row", table = "rows_of_pages",
    { "a", type = "integer", primary = true },
    { "b", type = "string", length = 10, primary = true },
    { "text", type = "string", nullable = true },
    { "whole", type = "integer", nullable = true },
    { "big", type = "bigint", nullable = true, as = "string" },
    { "real", type = "double", nullable = true },
    { "price", type = "decimal", precision = 20, scale = 3, nullable = true },
    { "flag", type = "boolean", nullable = true },
    { "at", type = "timestamp", nullable = true },
    { "day", type = "date", nullable = true },
    { "hour", type = "time", nullable = true },
    { "code", type = "uuid", nullable = true },
    { "kind", type = "enum", enum = { "x", "y", "z" }, nullable = true },
    { "bytes", type = "blob", nullable = true },
    { "certain", type = "integer" },
    { "secret", type = "string", hidden = true, nullable = true },
    { "home", embedded = Place, nullable = true },
    { "work", embedded = Place, object = true, nullable = true },
    { "team", many_to_one = Team, nullable = true },
}

local pools = {
    text = { "", "a", "A", "b", "\195\169", "it's", "50%" }, whole = { -5, 0, 3, 2147483647 },
    big = { "9223372036854775807", "-9223372036854775808", "9007199254740993", "9007199254740992" },
    real = { -0.5, 0.1, 1 / 3, 1e300, 7 }, price = { "-1.000", "9.5", "10", "12345678901234567.125" },
    flag = { true, false }, at = { 0, 0.000001, 1700000000.123456, -86400 },
    day = { "1999-12-31", "2026-01-01" }, hour = { "00:00:00", "23:59:59.5" },
    code = { "0f8fad5b-d9cb-469f-a165-70867728950e", "ffffffff-d9cb-469f-a165-70867728950e" },
    kind = { "x", "y", "z" }, bytes = { "\0", "\255\0", "a" }, secret = { "p", "q" },
}
local names = {}
for name in pairs(pools) do names[#names + 1] = name end
table.sort(names)
local paths = { "a", "b", "certain", "home.city", "home.height", "work.city", "work.height", "team", "team.name" }
for _, name in ipairs(names) do paths[#paths + 1] = name end

local random = math.random

local function pick(list) return list[random(#list)] end

local function place()
    if random(3) == 1 then return nil end
    return { city = random(3) > 1 and pick { "Bonn", "Rome" } or nil, height = random(3) > 1 and random(2) or nil }
end

-- Some of the properties only, so that ties are many.
local function data(teams, taken)
    local row = { certain = random(3), home = place(), work = place(), team = random(3) > 1 and pick(teams) or nil }
    repeat
        row.a, row.b = random(40), pick { "k", "l", "m" }
    until not taken[row.a .. row.b]
    taken[row.a .. row.b] = true
    for _, name in ipairs(names) do
        if random(3) > 1 then row[name] = pick(pools[name]) end
    end
    return row
end

local function terms()
    local list = {}
    for i = 1, random(0, 4) do
        list[i] = pick(paths) .. pick { "", " asc", " desc" } .. pick { "", " nulls first", " nulls last" }
    end
    return list
end

local function key(e) return e.a .. "/" .. e.b end

local function keys(list)
    local made = {}
    for i, e in ipairs(list) do made[i] = key(e) end
    return made
end

-- Every page of a table in one direction; `between` is called behind each.
local function pages(em, where, order, size, backward, between)
    local all, cursor, count = {}, nil, 0
    repeat
        local page = em:find_by_cursor(Row, where, {
            order_by = order, first = not backward and size or nil, last = backward and size or nil,
            after = not backward and cursor or nil, before = backward and cursor or nil, managed = random(2) == 1,
        })
        count = count + 1
        assert.is_true(#page.items <= size and count < 500)
        for i = 1, #page.items do
            if backward then all[#all + 1] = page.items[#page.items + 1 - i] else all[#all + 1] = page.items[i] end
        end
        local more = page.has_next
        if backward then more = page.has_prev end
        cursor = backward and page.start_cursor or not backward and page.end_cursor
        between(all)
    until not more
    return all
end

local function nothing() end

databases.each(function(db)
    describe("random pages", function()
        local instance, em, teams, taken

        before_each(function()
            local config = db:config { entities = { Team, Row } }
            instance = orm.init(config)
            instance.schema:create()
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        local function fill()
            em = orm.em():fork()
            em:delete_where(Row, {}, { all = true })
            em:delete_where(Team, {}, { all = true })
            teams, taken = {}, {}
            for i, name in ipairs { "red", "blue", orm.null } do teams[i] = em:insert(Team, { name = name }) end
            local list = {}
            for i = 1, random(0, 25) do list[i] = data(teams, taken) end
            em:insert_many(Row, list)
        end

        local function described(run, order, size)
            return ("seed %d, run %d: %s by %d"):format(seed, run, table.concat(order, ", "), size)
        end

        local function still(run)
            local order, size = terms(), random(1, 6)
            local where = random(2) == 1 and {} or orm.op.any { { certain = orm.op.gt(1) }, { team = orm.null } }
            local all = pages(em, where, order, size, false, nothing)
            local back = pages(em, where, order, size, true, nothing)
            -- The order is the database's own where it says everything; the key decides the rest.
            local whole = { "a", "b" }
            for i = #order, 1, -1 do table.insert(whole, 1, order[i]) end
            local expected = keys(em:find(Row, where, { order_by = whole, managed = false }))
            local reversed = {}
            for i = 1, #expected do reversed[i] = expected[#expected + 1 - i] end
            assert.same(expected, keys(all), described(run, order, size))
            assert.same(reversed, keys(back), described(run, order, size))
        end

        -- A second connection writes: what was there all the time is seen once, nothing is seen twice.
        local function moving(run)
            local order, size, backward = terms(), random(1, 4), random(2) == 1
            local other = orm.em():fork()
            local stays, gone, before = {}, {}, other:find_all(Row, { managed = false })
            for _, e in ipairs(before) do stays[key(e)] = true end
            local all = pages(em, {}, order, size, backward, function()
                if random(2) == 1 and #keys(before) > 0 then
                    local victim = pick(before)
                    gone[key(victim)] = true
                    other:delete_where(Row, { a = victim.a, b = victim.b })
                end
                if random(2) == 1 and #(next(taken) and before or {}) < 60 then
                    local fresh = data(teams, taken)
                    other:insert(Row, fresh)
                end
            end)
            local seen = {}
            for _, name in ipairs(keys(all)) do
                assert.is_nil(seen[name], "twice: " .. name .. "; " .. described(run, order, size))
                seen[name] = true
            end
            for name in pairs(stays) do
                if not gone[name] then
                    assert.is_true(seen[name], "missing: " .. name .. "; " .. described(run, order, size))
                end
            end
        end

        it("Q4: pages of a table at rest are the table, each row once, in both directions", function()
            math.randomseed(seed)
            for run = 1, runs do
                fill()
                for _ = 1, 3 do still(run) end
            end
        end)

        it("Q4: pages of a table that others write to have every row that stays, and none twice", function()
            math.randomseed(seed + 1)
            for run = 1, runs do
                fill()
                for _ = 1, 2 do moving(run) end
            end
        end)
    end)
end)
