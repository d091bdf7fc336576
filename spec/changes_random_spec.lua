-- Random work on random rows, compared with a model of plain tables: whatever is done between two flushes, the database
-- holds what the model holds (U1 to U7, I1 to I5). The seed is in every message; HEDDLE_TEST_SEED repeats a run.

local chance = require "spec.support.chance"
local orm = require "heddle"
local databases = require "spec.support.databases"
local unit = require "spec.support.unit"

local Team = orm.entity {
    name = "Team", table = "random_teams",
    { "id", type = "integer", primary = true, autoincrement = false },
    { "name", type = "string", nullable = true },
}

local Row = orm.entity {
    name = "Row", table = "random_rows",
    { "id", type = "integer", primary = true },
    { "name", type = "string", nullable = true },
    { "amount", type = "decimal", precision = 12, scale = 3, nullable = true },
    { "big", type = "bigint", as = "string", nullable = true },
    { "seen", type = "timestamp", nullable = true },
    { "data", type = "json", nullable = true },
    { "list", type = "array", array_of = "integer", nullable = true },
    { "secret", type = "json", nullable = true, hidden = true },
    { "lazy", type = "text", nullable = true, lazy = true },
    { "team", many_to_one = "Team", nullable = true },
    { "version", type = "integer", version = true },
}

local names = { "name", "amount", "big", "seen", "data", "list", "secret", "lazy", "team" }
local seed = chance.seed(1)

local function pick(list) return list[math.random(#list)] end

local function copy(value)
    if type(value) ~= "table" then return value end
    local made = {}
    for key, item in pairs(value) do made[key] = copy(item) end
    return made
end

local function document(depth)
    local roll = math.random(depth > 2 and 4 or 6)
    if roll == 1 then return math.random(1000) end
    if roll == 2 then return "s" .. math.random(100) end
    if roll == 3 then return math.random(2) == 1 end
    if roll == 4 then return math.random(100) / 8 + 0.0625 end
    local made = {}
    for i = 1, math.random(3) do made[roll == 5 and i or "k" .. i] = document(depth + 1) end
    return made
end

-- What a property can be given, and what a read gives then.
local makers = {
    name = function() local v = pick { "", "a", "it's", "\226\130\172", "NULL" } return v, v end,
    amount = function()
        local n = math.random(-99999, 99999)
        return pick { ("%d.5"):format(n), ("%d.500"):format(n), ("0%d.50"):format(math.abs(n)) }
    end,
    big = function() local v = pick { "9223372036854775807", "0", "-9007199254740993", "12" } return v, v end,
    seen = function() local v = math.random(-1000000, 1000000) + math.random(0, 7) / 8 return v end,
    data = function() local v = { root = document(0) } return v, copy(v) end,
    list = function()
        local v = {}
        for i = 1, math.random(4) do v[i] = math.random(100) end
        return v, copy(v)
    end,
    secret = function() local v = { root = document(0) } return v, copy(v) end,
    lazy = function() local v = ("x"):rep(math.random(0, 300)) return v, v end,
}

local function canonical(name, value)
    if name == "amount" and value then
        local sign, whole = value:match "^(%-?)0*(%d+)%.5"
        return sign .. whole .. ".500"
    end
    return value
end

local function equal(a, b)
    if type(a) ~= "table" or type(b) ~= "table" then return a == b end
    for key, item in pairs(a) do
        if not equal(item, b[key]) then return false end
    end
    for key in pairs(b) do
        if a[key] == nil then return false end
    end
    return true
end

local function show(value)
    if type(value) ~= "table" then return tostring(value) end
    local parts = {}
    for key, item in pairs(value) do parts[#parts + 1] = tostring(key) .. "=" .. show(item) end
    return "{" .. table.concat(parts, ",") .. "}"
end

databases.each(function(db)
    local work, em, model, held, step

    local function check(ok, message)
        assert.truthy(ok, ("seed %d, step %d: %s"):format(seed, step, message))
    end

    before_each(function()
        work = unit.open(db, { Team, Row })
        em, model, held, step = work.em, {}, {}, 0
        for id = 1, 5 do em:persist(em:create(Team, { id = id, name = "t" .. id })) end
        em:flush()
    end)

    after_each(function()
        work:close()
        db:close()
    end)

    local function value_for(name)
        if name == "team" then
            local id = math.random(5)
            return em:get_reference(Team, id), id
        end
        local given, read = makers[name]()
        return given, canonical(name, read == nil and given or read)
    end

    local function known(e, name)
        local ok = pcall(function() return e[name] end)
        return ok
    end

    local function change(e, row)
        local name = pick(names)
        local roll = math.random(10)
        if roll <= 2 then
            e[name], row[name] = nil, nil
        elseif roll == 3 and (name == "data" or name == "secret") and known(e, name) and e[name] then
            local part = document(1)
            e[name].root, row[name].root = part, copy(part)
        elseif roll == 4 and name == "list" and known(e, name) and e.list then
            table.insert(e.list, 5)
            table.insert(row.list, 5)
        elseif roll == 5 and known(e, name) and type(e[name]) ~= "table" then
            -- There and back.
            local old = e[name]
            e[name] = nil
            e[name] = old
        else
            e[name], row[name] = value_for(name)
        end
    end

    local function create()
        local data, row = {}, {}
        for _, name in ipairs(names) do
            if math.random(2) == 1 then data[name], row[name] = value_for(name) end
        end
        local e = em:create(Row, data)
        em:persist(e)
        return e, row
    end

    local function compare_with_database()
        local other = em:fork()
        local all = other:find(Row, {}, { populate = { "lazy" }, order_by = { "id" } })
        local count = 0
        for _ in pairs(model) do count = count + 1 end
        check(#all == count, ("%d rows, expected %d"):format(#all, count))
        for _, e in ipairs(all) do
            local row = model[e.id]
            check(row, "a row that should not be there")
            for _, name in ipairs(names) do
                local got = e[name]
                if name == "team" then got = got and got.id end
                check(equal(row[name], got), ("%s of row %d is %s, expected %s"):format(name, e.id, show(got),
                    show(row[name])))
                local own = held[e.id]
                if own and known(own, name) then
                    got = own[name]
                    if name == "team" then got = got and got.id end
                    check(equal(row[name], got), ("U7: own %s of row %d is %s, expected %s"):format(name, e.id,
                        show(got), show(row[name])))
                end
            end
        end
    end

    local function flush(new)
        em:flush()
        for e, row in pairs(new) do model[e.id], held[e.id] = row, e end
        work:forget()
        em:flush()
        check(#work:statements() == 0, "U1: a second flush sent " .. table.concat(work:statements(), "; "))
        compare_with_database()
    end

    it("U2: random changes between flushes reach the database, and nothing else does", function()
        math.randomseed(seed)
        local new, removed = {}, {}
        for round = 1, 60 do
            step = round
            for _ = 1, math.random(1, 8) do
                local roll = math.random(12)
                local id = next(held) and pick((function()
                    local ids = {}
                    for each in pairs(held) do ids[#ids + 1] = each end
                    table.sort(ids)
                    return ids
                end)())
                if roll <= 3 or not id then
                    local e, row = create()
                    new[e] = row
                elseif roll <= 8 then
                    if not removed[id] then change(held[id], model[id]) end
                elseif roll == 9 then
                    em:remove(held[id])
                    removed[id] = true
                elseif roll == 10 then
                    -- Read again by a filter: nothing that is pending may be lost.
                    em:find(Row, {}, { flush_mode = "commit" })
                elseif roll == 11 and not removed[id] then
                    em:find(Row, { id = id }, { fields = { pick(names) }, flush_mode = "commit" })
                end
            end
            for id in pairs(removed) do model[id], held[id] = nil, nil end
            flush(new)
            new, removed = {}, {}
            if round % 10 == 0 then
                -- Go on with rows of which only a part is loaded, and with references.
                em:clear()
                local part = em:find(Row, {}, { fields = { pick(names), pick(names) } })
                held = {}
                for i, e in ipairs(part) do
                    if i % 3 ~= 0 then held[e.id] = e end
                end
            elseif round % 7 == 0 then
                em:clear()
                for id in pairs(held) do held[id] = em:get_reference(Row, id) end
                -- A version is not known to a reference: it is read before it is written.
                em:find(Row, {}, { fields = { "id" } })
            end
        end
    end)
end)
