-- Q2, Q5, Q7 by chance: random filters over random small tables that are full of NULLs, with relations of every kind
-- nested and negated, against an evaluator in three-valued logic. HEDDLE_SEED runs one seed, HEDDLE_RUNS more of them.

local chance = require "spec.support.chance"
local databases = require "spec.support.databases"
local orm = require "heddle"
local random_filters = require "spec.support.random_filters"
local unit = require "spec.support.unit"

local id = { "id", type = "integer", primary = true }

local Team = orm.entity { name = "Team", id,
    { "name", type = "string", nullable = true }, { "size", type = "integer", nullable = true },
    { "users", one_to_many = "User", mapped_by = "team" }, { "lead", many_to_one = "User", nullable = true },
}
local User = orm.entity { name = "User", table = "users", id,
    { "name", type = "string", nullable = true }, { "age", type = "integer", nullable = true },
    { "price", type = "decimal", precision = 12, scale = 2, nullable = true },
    { "mark", type = "integer", nullable = true },
    { "team", many_to_one = "Team", nullable = true }, { "mentor", many_to_one = "User", nullable = true },
    { "pupils", one_to_many = "User", mapped_by = "mentor" }, { "friends", many_to_many = "User" },
    { "fans", many_to_many = "User", mapped_by = "friends" },
    { "badge", one_to_one = "Badge", mapped_by = "owner" },
    { "tags", many_to_many = "Tag" }, { "cell", many_to_one = "Cell", nullable = true },
    { "cells", many_to_many = "Cell" },
}
local Badge = orm.entity { name = "Badge", id, { "label", type = "string", nullable = true },
    { "owner", one_to_one = "User", nullable = true } }
local Tag = orm.entity { name = "Tag", { "id", type = "string", primary = true },
    { "weight", type = "integer", nullable = true }, { "users", many_to_many = "User", mapped_by = "tags" } }
local Cell = orm.entity { name = "Cell", { "x", type = "integer", primary = true },
    { "y", type = "string", primary = true }, { "value", type = "integer", nullable = true },
    { "next", many_to_one = "Cell", nullable = true }, { "users", one_to_many = "User", mapped_by = "cell" } }

local function one(name, target) return { name = name, target = target } end
local function many(name, target) return { name = name, target = target, many = true } end

local schema = {
    Team = { { name = "name", kind = "string" }, { name = "size", kind = "integer" }, many("users", "User"),
        one("lead", "User") },
    User = { { name = "name", kind = "string" }, { name = "age", kind = "integer" },
        { name = "price", kind = "decimal" }, one("team", "Team"), one("mentor", "User"), many("pupils", "User"),
        many("friends", "User"), many("fans", "User"), one("badge", "Badge"), many("tags", "Tag"), one("cell", "Cell"),
        many("cells", "Cell") },
    Badge = { { name = "label", kind = "string" }, one("owner", "User") },
    Tag = { { name = "weight", kind = "integer" }, many("users", "User") },
    Cell = { { name = "value", kind = "integer" }, one("next", "Cell"), many("users", "User") },
}
local inverses = { team = "users", mentor = "pupils", friends = "fans", tags = "users", cell = "users" }
local entities = { Team = Team, User = User, Badge = Badge, Tag = Tag, Cell = Cell }

local function perhaps(random, value) return random(3) > 1 and value or nil end

local function empty_rows(random)
    local rows = { Team = {}, User = {}, Badge = {}, Tag = {}, Cell = {} }
    for i = 1, 3 do
        rows.Team[i] = { id = i, name = perhaps(random, random { "a", "b", "" }), size = perhaps(random, random(4)) }
        rows.Badge[i] = { id = i, label = perhaps(random, random { "a", "B", "a%b" }) }
        rows.Tag[i] = { id = "t" .. i, weight = perhaps(random, random(4) - 2) }
        rows.Cell[i] = { key = { i, "y" .. i % 2 }, value = perhaps(random, random(3)) }
    end
    for i = 1, 7 do
        rows.User[i] = { id = i, name = perhaps(random, random { "a", "b", "ab", "B", "a%b", "" }),
            age = perhaps(random, random(5) - 2), price = perhaps(random, random { "1.50", "-1.00", "10.00", "9.99" }) }
    end
    for name, list in pairs(rows) do
        for _, row in ipairs(list) do
            row.entity = name
            for _, prop in ipairs(schema[name]) do
                if prop.many then row[prop.name] = {} end
            end
        end
    end
    return rows
end

local function relate(random, rows)
    local function link(row, name, target)
        row[name] = perhaps(random, rows[target][random(#rows[target])])
        local inverse = row[name] and inverses[name]
        if inverse then table.insert(row[name][inverse], row) end
    end
    for _, user in ipairs(rows.User) do
        link(user, "team", "Team")
        link(user, "mentor", "User")
        link(user, "cell", "Cell")
        for name, target in ("friends=User tags=Tag cells=Cell"):gmatch "(%a+)=(%a+)" do
            for _, other in ipairs(rows[target]) do
                if random(4) == 1 then
                    table.insert(user[name], other)
                    if inverses[name] then table.insert(other[inverses[name]], user) end
                end
            end
        end
    end
    for i, team in ipairs(rows.Team) do
        link(team, "lead", "User")
        link(rows.Cell[i], "next", "Cell")
        local badge = rows.Badge[i]
        badge.owner = perhaps(random, rows.User[i * 2])
        if badge.owner then badge.owner.badge = badge end
    end
end

-- Writes the rows without relations, then these.
local function store(em, rows)
    local made = {}
    for name, list in pairs(rows) do
        for _, row in ipairs(list) do
            local data = { id = row.id }
            if row.key then data.id, data.x, data.y = nil, row.key[1], row.key[2] end
            for _, prop in ipairs(schema[name]) do
                if not prop.target then data[prop.name] = row[prop.name] end
            end
            made[row] = em:create(entities[name], data)
            em:persist(made[row])
        end
    end
    em:flush()
    for _, list in pairs(rows) do
        for _, row in ipairs(list) do
            for _, prop in ipairs(schema[row.entity]) do
                local value = row[prop.name]
                if prop.name == "friends" or prop.name == "tags" or prop.name == "cells" then
                    for _, other in ipairs(value) do made[row][prop.name]:add(made[other]) end
                elseif prop.target and not prop.many and prop.name ~= "badge" and value then
                    made[row][prop.name] = made[value]
                end
            end
        end
    end
    em:flush()
    return made
end

local function keys_of(rows)
    local list = {}
    for i, row in ipairs(rows) do list[i] = row.key and table.concat(row.key, "/") or tostring(row.id) end
    table.sort(list)
    return table.concat(list, " ")
end

local function fulfilling(rows, holds)
    local found = {}
    for _, row in ipairs(rows) do
        if holds(row) == true then found[#found + 1] = row end
    end
    return found
end

local function found_keys(em, name, where)
    local rows = em:find(entities[name], where, { managed = false })
    for i, e in ipairs(rows) do rows[i] = name == "Cell" and { key = { e.x, e.y } } or { id = e.id } end
    return keys_of(rows)
end

local first, last = chance.range(3)

databases.each(function(db)
    describe("random filters", function()
        local work

        after_each(function()
            work:close()
            db:close()
        end)

        for seed = first, last do
            it("Q2, Q5, Q7: find what three-valued logic finds, seed " .. seed, function()
                work = unit.open(db, { Team, User, Badge, Tag, Cell })
                local random = chance.generator(seed)
                local rows = empty_rows(random)
                relate(random, rows)
                local made = store(work.em, rows)
                local graph = { schema = schema, rows = rows, entity_of = function(row) return made[row] end }
                local names, some = { "Team", "User", "User", "Badge", "Tag", "Cell" }, 0
                for i = 1, 250 do
                    local name = random(names)
                    local where, holds, text = random_filters.filter(random, graph, name)
                    local expected = fulfilling(rows[name], holds)
                    local place = ("seed %d, %s %s"):format(seed, name, text)
                    local ok, found = pcall(found_keys, work.em, name, where)
                    if not ok then error(place .. ": " .. tostring(found) .. tostring(found.cause or found.detail)) end
                    assert.equal(keys_of(expected), found, place)
                    assert.equal(#expected, work.em:count(entities[name], where), place)
                    if name == "User" and i % 5 == 0 then
                        assert.equal(#expected, work.em:update_where(User, where, { mark = i }), place)
                        assert.equal(keys_of(expected), found_keys(work.em, "User", { mark = i }), place)
                    end
                    if #expected > 0 and #expected < #rows[name] then some = some + 1 end
                end
                assert.is_true(some > 40, "filters that tell rows apart: " .. some)
            end)
        end
    end)
end)
