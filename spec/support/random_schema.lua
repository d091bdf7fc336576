--- Random entities: every type and option that a schema is made of, names that are reserved words or have quotes in
--- them, relations in every direction, keys of every kind. A world is a description, from which the entities are made;
--- random_changes.lua changes it.
---
---     local world = random_schema.new(chance.generator(seed), "sqlite")
---     orm.init { entities = random_schema.entities(world), ... }

local orm = require "heddle"
local quote = require "heddle.quote"

local random_schema = {}

local odd = {
    "order", "select", "Group", "user", "MiXed", 'qu"ote', "sp ace", "it's", "\195\188n\195\175", "table", "index",
    "check", "a-b", "values", "primary", "x.y", "a?b", "$1", "default", "[x]", "constraint", "Ref", "time", "a%sb",
}

local texts = {
    "it's", "", "plain", 'x"y', "a\\b", "line\nbreak", "-- no comment", "NULL", "CURRENT_TIMESTAMP", "'", "100% ?",
    "''", "$$", "\195\188", "/* x */", "0", "true", "a;b", " ",
}

local defaults = {
    smallint = { -3, 0, 32767 }, integer = { 42, -1, 0, 2147483647 }, bigint = { "9223372036854775807", 5, -7 },
    float = { 0.1, -2.5, 0 }, double = { 1e300, 0.5, -1e-7, 3 }, decimal = { "1.5", "-0.25", 7 },
    string = texts, text = texts, boolean = { true, false }, enum = { "don't", "new" },
    uuid = { "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11" }, date = { "2026-01-31" },
}

local default_sql = {
    integer = { "1 + 1", "abs(-5)", "7" }, text = { "lower('ABC')", "'it''s' || 'x'", "upper('x')" },
    timestamp = { "CURRENT_TIMESTAMP" }, json = { "'{}'", "'{\"a\": [1, \"it''s\"]}'" }, date = { "CURRENT_DATE" },
    double = { "1.5 * 2", "-1" }, boolean = { "1 = 1" },
}

random_schema.types = {
    "smallint", "integer", "bigint", "float", "double", "decimal", "string", "text", "boolean", "uuid", "json",
    "timestamp", "date", "time", "blob", "enum", "array",
}

local schemas = { "crew", "Odd sch'ema" }

function random_schema.one_in(world, n) return world.random(n) == 1 end

local one_in = random_schema.one_in

function random_schema.pick(world, list)
    if #list > 0 then return list[world.random(#list)] end
end

local pick = random_schema.pick

--- A name that none of `used` is, in any case.
function random_schema.name(world, prefix, used)
    world.serial = world.serial + 1
    local name = one_in(world, 3) and pick(world, odd) or prefix .. world.serial
    if one_in(world, 40) then name = prefix .. ("long"):rep(12) .. world.serial end
    if used[name:lower()] then name = name .. world.serial end
    used[name:lower()] = true
    return name
end

local function comment(world)
    return one_in(world, 4) and pick(world, texts) or nil
end

-- Properties -------------------------------------------------------------------------------------------------

-- A default that the database has too, so that rows that are there get it.
function random_schema.give_default(world, p)
    p.default, p.default_sql = nil, nil
    local words, values = default_sql[p.type], defaults[p.type]
    if words and (not values or one_in(world, 3)) then
        p.default_sql = pick(world, words)
    elseif values then
        p.default = pick(world, values)
    end
    if p.default and p.type == "string" and p.length and #p.default > p.length then p.default = "it's" end
    if p.default and p.type == "decimal" and p.scale and p.scale < 2 then p.default = 7 end
    p.had_default = p.had_default or p.default ~= nil or p.default_sql ~= nil
    return p.default ~= nil or p.default_sql ~= nil
end

local checks = {
    smallint = { "%s > -32000", "%s <> -31999" }, integer = { "%s > -1000000", "%s between -1000000 and 2147483647" },
    string = { "%s <> 'it''s bad'", "length(%s) < 1000" }, text = { "%s not in ('a''b', 'c')", "%s <> ' ? '" },
    boolean = { "%s is not null or %s is null" }, double = { "%s > -1e308" },
}

function random_schema.give_check(world, p)
    p.check = checks[p.type] and pick(world, checks[p.type]) or nil
end

function random_schema.scalar(world, entity, type)
    world.serial = world.serial + 1
    local p = { name = "p" .. world.serial, kind = "scalar", type = type or pick(world, random_schema.types),
        column = random_schema.name(world, "c", entity.used), nullable = one_in(world, 2), comment = comment(world) }
    if p.type == "string" then p.length = not one_in(world, 3) and 10 + world.random(30) or nil end
    if p.type == "decimal" and not one_in(world, 4) then p.precision, p.scale = 12, world.random(4) - 1 end
    if p.type == "enum" then p.enum = { "new", "don't", "x y" } end
    if p.type == "array" then p.array_of = pick(world, { "integer", "text", "uuid", "decimal" }) end
    if one_in(world, 2) then random_schema.give_default(world, p) end
    if one_in(world, 4) then random_schema.give_check(world, p) end
    entity.props[#entity.props + 1] = p
    return p
end

local bases = { smallint = "%s * 2 + 1", integer = "coalesce(%s, 0)", string = "%s || '''x'", text = "lower(%s)" }

--- A generated column over a plain one.
function random_schema.generated(world, entity)
    for _, base in ipairs(entity.props) do
        if base.kind == "scalar" and bases[base.type] and not base.generated then
            local p = random_schema.scalar(world, entity, bases[base.type]:find "[*0]" and "integer" or "text")
            p.default, p.default_sql, p.check, p.nullable = nil, nil, nil, true
            p.generated, p.over = bases[base.type], base
            return p
        end
    end
end

local rules = { "cascade", "restrict", "no action" }

function random_schema.relation(world, entity, target, is_required)
    world.serial = world.serial + 1
    local p = { name = "r" .. world.serial, kind = one_in(world, 8) and "one_to_one" or "many_to_one", target = target,
        nullable = not is_required, comment = comment(world), index = one_in(world, 4) and false or nil }
    p.on_delete = one_in(world, 2) and pick(world, rules) or p.nullable and one_in(world, 2) and "set null" or nil
    p.on_update = one_in(world, 4) and "cascade" or nil
    if one_in(world, 4) and #target.key == 1 and not target.key_relation then
        p.join_column = random_schema.name(world, "j", entity.used)
    end
    entity.props[#entity.props + 1] = p
    return p
end

function random_schema.pairs(world, entity, target)
    world.serial = world.serial + 1
    local p = { name = "m" .. world.serial, kind = "many_to_many", target = target,
        pivot_table = random_schema.name(world, "pairs", world.used), fixed_order = one_in(world, 3) or nil }
    entity.props[#entity.props + 1] = p
    return p
end

function random_schema.embedded(world, entity)
    world.serial = world.serial + 1
    local p = { name = "e" .. world.serial, kind = "embedded", object = one_in(world, 3) or nil, nullable = true }
    entity.props[#entity.props + 1] = p
    return p
end

-- Entities -----------------------------------------------------------------------------------------------------

local function give_key(world, entity)
    local kind = world.random(8)
    if kind <= 4 then
        local p = random_schema.scalar(world, entity, pick(world, { "integer", "bigint", "integer", "smallint" }))
        p.default, p.default_sql, p.check, p.nullable, p.primary = nil, nil, nil, false, true
        if kind == 4 then p.autoincrement = false end
        entity.key = { p }
        return
    end
    local types = { [5] = { "uuid" }, [6] = { "string" }, [7] = { "integer", "string" }, [8] = { "integer" } }
    entity.key = {}
    for i, type in ipairs(types[kind]) do
        local p = random_schema.scalar(world, entity, type)
        p.default, p.default_sql, p.check, p.nullable, p.primary = nil, nil, nil, false, true
        p.autoincrement = type == "integer" and false or nil
        entity.key[i] = p
    end
    local parent = world.entities[1]
    if kind == 8 and parent and not parent.key_relation then
        local p = random_schema.relation(world, entity, parent, true)
        p.kind, p.primary, p.join_column, p.on_delete = "many_to_one", true, nil, "cascade"
        entity.key_relation = p
    end
end

--- What an index can have: a column of a scalar, or the columns of a relation.
function random_schema.indexable(entity)
    local found = {}
    for _, p in ipairs(entity.props) do
        if (p.kind == "scalar" and p.type ~= "json" and p.type ~= "array" and p.type ~= "blob")
            or p.kind == "many_to_one" then
            found[#found + 1] = p
        end
    end
    return found
end

local conditions = {
    integer = { "%s > 0", "%s is not null", 5 }, string = { "%s <> 'it''s'", "a'b" }, boolean = { "%s", true, false },
    text = { "%s >= 'x%%'" }, enum = { "don't" }, date = { "%s is null" }, smallint = { "%s in (1, 2)", orm.null },
}

-- { property, text or value }
function random_schema.give_condition(world, entity, item)
    local p = pick(world, entity.props)
    local list = p.kind == "scalar" and not p.generated and conditions[p.type]
    item.where = list and { p, pick(world, list) } or nil
    if item.where and item.where[2] == orm.null and not p.nullable then item.where = nil end
end

local expressions = { string = "lower(%s)", text = "length(%s)", integer = "%s + 1", smallint = "abs(%s)" }

function random_schema.index(world, entity)
    local list, item, scalars = random_schema.indexable(entity), { parts = {} }, {}
    for _, p in ipairs(list) do if p.kind == "scalar" then scalars[#scalars + 1] = p end end
    for _ = 1, world.random(2) do
        local p = pick(world, list)
        local expression = p.kind == "scalar" and one_in(world, 3) and expressions[p.type] or nil
        local is_taken = false
        for _, part in ipairs(item.parts) do is_taken = is_taken or part.property == p end
        if not is_taken then
            item.parts[#item.parts + 1] = { property = p, expression = expression, desc = one_in(world, 3),
                nulls = one_in(world, 4) and pick(world, { "first", "last" }) or nil }
        end
    end
    if one_in(world, 3) then random_schema.give_condition(world, entity, item) end
    if one_in(world, 3) then
        item.method = #item.parts == 1 and not item.parts[1].desc and not item.parts[1].nulls
            and item.parts[1].property.kind == "scalar" and "hash" or "btree"
    end
    if one_in(world, 6) and item.method ~= "hash" then item.include = pick(world, scalars) end
    item.name = random_schema.name(world, "i", world.used)
    entity.indexes[#entity.indexes + 1] = item
    return item
end

-- Values of these differ from row to row where rows are made.
local distinct = { integer = true, bigint = true, uuid = true, text = true, smallint = true }

function random_schema.unique(world, entity)
    for _, p in ipairs(entity.props) do
        if p.kind == "scalar" and distinct[p.type] and not p.primary and not p.generated
            and not p.is_late and not p.is_added and not p.had_default
            and one_in(world, 2) then
            local item = { properties = { p }, name = one_in(world, 2) and random_schema.name(world, "u",
                world.used) or nil }
            if one_in(world, 3) then random_schema.give_condition(world, entity, item) end
            if p.type == "text" and one_in(world, 2) then item.expression = "lower(%s)" end
            for _, other in ipairs(entity.uniques) do if other.properties[1] == p then return end end
            entity.uniques[#entity.uniques + 1] = item
            return item
        end
    end
end

function random_schema.entity(world)
    world.serial = world.serial + 1
    local entity = { name = "E" .. world.serial, table = random_schema.name(world, "t", world.used), props = {},
        used = { kind = true }, indexes = {}, uniques = {}, checks = {}, comment = comment(world) }
    if world.driver == "postgres" and one_in(world, 5) then entity.schema = pick(world, schemas) end
    give_key(world, entity)
    for _ = 1, world.random(5) do random_schema.scalar(world, entity) end
    if one_in(world, 3) then random_schema.generated(world, entity) end
    if one_in(world, 5) then random_schema.embedded(world, entity) end
    for _, target in ipairs(world.entities) do
        if one_in(world, 3) then random_schema.relation(world, entity, target, one_in(world, 2)) end
        if one_in(world, 5) then random_schema.pairs(world, entity, target) end
    end
    if one_in(world, 3) then random_schema.relation(world, entity, entity, false) end
    if one_in(world, 3) then random_schema.index(world, entity) end
    if one_in(world, 3) then random_schema.unique(world, entity) end
    if one_in(world, 5) then
        entity.child = { props = {}, used = entity.used }
        random_schema.scalar(world, entity.child)
    end
    -- Back from one that is there already: a cycle.
    local other = world.entities[1]
    if other and one_in(world, 3) then random_schema.relation(world, other, entity, false) end
    world.entities[#world.entities + 1] = entity
    return entity
end

---@param random function of chance.generator
---@param driver string
function random_schema.new(random, driver)
    local world = { random = random, driver = driver, serial = 0, entities = {}, used = {} }
    for _ = 1, 1 + random(3) do random_schema.entity(world) end
    if one_in(world, 4) then world.view = { entity = world.entities[1] } end
    return world
end

--- A column's name as SQL has it.
function random_schema.column(p)
    return quote.name(p.column)
end

return random_schema
