--- Random changes of a random world (random_schema.lua), such as rows survive.
---
---     local rename = random_changes.make(world, 4)      -- four of them; what the update is told of renames

local random_schema = require "spec.support.random_schema"

local one_in, pick = random_schema.one_in, random_schema.pick

local random_changes = {}

local function remove(list, item)
    for i = #list, 1, -1 do
        if list[i] == item then table.remove(list, i) end
    end
end

local function scalars(entity, is_meant)
    local found = {}
    for _, p in ipairs(entity.props) do
        if p.kind == "scalar" and (not is_meant or is_meant(p)) then found[#found + 1] = p end
    end
    return found
end

-- Takes away what speaks of a property.
local function forget(entity, p)
    for i = #entity.indexes, 1, -1 do
        local item, is_over = entity.indexes[i], false
        for _, part in ipairs(item.parts) do is_over = is_over or part.property == p end
        if is_over or item.include == p or item.where and item.where[1] == p then table.remove(entity.indexes, i) end
    end
    for i = #entity.uniques, 1, -1 do
        local item = entity.uniques[i]
        if item.properties[1] == p or item.where and item.where[1] == p then table.remove(entity.uniques, i) end
    end
    for i = #entity.checks, 1, -1 do
        if entity.checks[i].property == p then table.remove(entity.checks, i) end
    end
    for i = #entity.props, 1, -1 do
        if entity.props[i].over == p then
            local generated = table.remove(entity.props, i)
            forget(entity, generated)
        end
    end
end

local function path_of(world, entity)
    if world.driver == "postgres" and entity.schema then return entity.schema .. "." .. entity.was_table end
    return entity.was_table
end

local changes = {}

function changes.add_property(world, entity)
    local p = random_schema.scalar(world, entity)
    p.is_late = true
    -- M3: what has no default takes NULL.
    if not p.nullable and not random_schema.give_default(world, p) then p.nullable = true end
    if p.default and p.type == "json" or p.type == "array" then p.nullable, p.default = true, nil end
    p.check = nil
end

function changes.add_generated(world, entity)
    local p = random_schema.generated(world, entity)
    if p then p.is_late = true end
end

function changes.drop_property(world, entity)
    local p = pick(world, entity.props)
    if p.primary then return end
    remove(entity.props, p)
    forget(entity, p)
end

function changes.rename_column(world, entity, rename)
    local p = pick(world, scalars(entity))
    if entity.is_late or p.is_late or p.is_renamed then return end
    p.is_renamed = true
    local from = p.column
    p.column = random_schema.name(world, "n", entity.used)
    rename[#rename + 1] = { entity = entity, property = p, path = path_of(world, entity) .. "." .. from,
        name = p.column }
    -- Somebody new may take the name that is free now.
    if one_in(world, 3) then
        local new = random_schema.scalar(world, entity)
        new.column, new.is_late, new.nullable, new.check = from, true, true, nil
    end
end

function changes.rename_table(world, entity, rename)
    if entity.is_late or entity.is_renamed then return end
    entity.is_renamed = true
    entity.table = random_schema.name(world, "nt", world.used)
    rename[#rename + 1] = { entity = entity, path = path_of(world, entity), name = entity.table }
end

function changes.nullable(world, entity)
    local p = pick(world, scalars(entity, function(p) return not p.primary and not p.generated end))
    if not p then return end
    if not p.nullable then
        p.nullable = true
    elseif random_schema.give_default(world, p) and not (p.check and p.is_late) then
        for _, unique in ipairs(entity.uniques) do
            if unique.properties[1] == p then p.default, p.default_sql = nil, nil end
        end
        p.nullable = p.default == nil and p.default_sql == nil
        p.is_late = true
    end
end

function changes.default(world, entity)
    local p = pick(world, scalars(entity, function(p) return not p.primary and not p.generated end))
    if not p then return end
    if one_in(world, 3) then
        if not p.is_late or p.nullable then p.default, p.default_sql = nil, nil end
    else
        random_schema.give_default(world, p)
    end
end

function changes.comment(world, entity)
    local item = one_in(world, 3) and entity or pick(world, entity.props)
    if item.kind == "many_to_many" or item.kind == "embedded" then return end
    item.comment = one_in(world, 2) and "now it's this" or nil
end

-- Types that every value survives into.
local wider = {
    smallint = { "integer", "bigint", "text" }, integer = { "bigint", "double", "text" }, float = { "text" },
    string = { "text" }, uuid = { "text" }, date = { "text", "string" }, boolean = { "integer" },
    enum = { "text", "string" }, bigint = { "text", "decimal" }, time = { "text" }, json = { "text" },
    text = { "string" },
}

function changes.type(world, entity)
    local p = pick(world, scalars(entity, function(p) return not p.primary and not p.generated and wider[p.type] end))
    if not p then return end
    for _, other in ipairs(entity.props) do
        if other.over == p then return end
    end
    local nullable, props = p.nullable, entity.props
    forget(entity, p)
    entity.props = props
    p.type, p.enum, p.check, p.length, p.default, p.default_sql = pick(world, wider[p.type]), nil, nil, nil, nil, nil
    p.nullable = nullable
    if p.type == "decimal" then p.precision, p.scale = 30, 2 end
    if p.is_late and not nullable and not random_schema.give_default(world, p) then p.nullable = true end
end

local longer = { smallint = "integer", integer = "bigint" }

-- Foreign keys take the type over.
function changes.key_type(world, entity)
    local p = pick(world, entity.key)
    p.type = longer[p.type] or p.type
    if p.length then p.length = p.length + 3 end
end

function changes.key_by_hand(_, entity)
    local p = entity.key[1]
    if #entity.key == 1 and longer[p.type] and not entity.key_relation then
        if p.autoincrement == false then p.autoincrement = nil else p.autoincrement = false end
    end
end

-- A further column makes another key; nobody may refer to it.
function changes.key(world, entity)
    for _, other in ipairs(world.entities) do
        for _, p in ipairs(other.props) do
            if p.target == entity or other == entity and p.kind == "many_to_many" then return end
        end
    end
    local p = pick(world, scalars(entity, function(p)
        return p.type == "integer" and not p.nullable and not p.generated and not p.primary
    end))
    if not p or p.is_late or world.view then return end
    p.primary, p.autoincrement, p.default, p.default_sql = true, nil, nil, nil
    for _, key in ipairs(entity.key) do key.autoincrement = nil end
    entity.key[#entity.key + 1] = p
end

function changes.size(world, entity)
    for _, p in ipairs(entity.props) do
        if p.length then p.length = one_in(world, 4) and not p.primary and nil or p.length + world.random(20) end
        if p.scale and not p.primary then p.precision, p.scale = p.precision + 4, p.scale + world.random(2) end
        if p.enum and one_in(world, 2) then p.enum = { "don't", "y", "new", "x y" } end
    end
end

function changes.check(world, entity)
    local p = pick(world, scalars(entity, function(p) return not p.generated and not p.primary end))
    if not p then return end
    if p.check then p.check = nil elseif not p.is_late then random_schema.give_check(world, p) end
    -- A default or a filled NULL is to pass it.
    if p.check and (p.default ~= nil or p.default_sql) then p.check = nil end
end

function changes.entity_check(world, entity)
    if #entity.checks > 0 then return table.remove(entity.checks) end
    local p = pick(world, entity.props)
    if p.kind ~= "scalar" then return end
    entity.checks[1] = { property = p, name = random_schema.name(world, "k", world.used), text = pick(world, {
        "%s is null or %s is not null", "coalesce(1, 2) < 3 or %s is null", "'it''s' <> '%%' or %s is null" }) }
end

function changes.index(world, entity)
    local item = pick(world, entity.indexes)
    local turn = world.random(4)
    if not item or turn == 1 then return random_schema.index(world, entity) end
    if turn == 2 then return remove(entity.indexes, item) end
    if turn == 3 and not item.method then item.parts[1].desc = not item.parts[1].desc or nil end
    if turn == 4 then item.where = nil end
end

function changes.index_name(world, entity)
    local item = pick(world, entity.indexes)
    if item then item.name = random_schema.name(world, "in", world.used) end
end

function changes.unique(world, entity)
    if #entity.uniques > 0 and one_in(world, 2) then return table.remove(entity.uniques) end
    random_schema.unique(world, entity)
end

function changes.relation(world, entity)
    local relations = {}
    for _, p in ipairs(entity.props) do
        if p.kind == "many_to_one" and not p.primary then relations[#relations + 1] = p end
    end
    local p = pick(world, relations)
    local turn = world.random(4)
    if not p or turn == 1 then
        return random_schema.relation(world, entity, pick(world, world.entities), false)
    end
    if turn == 2 then
        remove(entity.props, p)
        forget(entity, p)
    elseif turn == 3 then
        p.on_delete = one_in(world, 2) and "cascade" or nil
    else
        p.nullable = true
    end
end

function changes.pairs(world, entity)
    for _, p in ipairs(entity.props) do
        if p.kind == "many_to_many" and one_in(world, 2) then return remove(entity.props, p) end
    end
    random_schema.pairs(world, entity, pick(world, world.entities))
end

function changes.add_entity(world)
    random_schema.entity(world).is_late = true
end

local function drop_references(world, gone)
    for _, entity in ipairs(world.entities) do
        for i = #entity.props, 1, -1 do
            local p = entity.props[i]
            if p.target == gone then
                table.remove(entity.props, i)
                forget(entity, p)
            end
        end
    end
end

local function is_needed(world, entity)
    local siblings = 0
    for _, other in ipairs(world.entities) do
        if other.key_relation and other.key_relation.target == entity then return true end
        if other.schema == entity.schema then siblings = siblings + 1 end
    end
    -- A schema that no entity names any more is not looked into.
    return entity.schema and siblings == 1 or #world.entities == 1 or world.view and world.view.entity == entity
end

function changes.drop_entity(world, entity)
    if is_needed(world, entity) then return end
    remove(world.entities, entity)
    drop_references(world, entity)
end

function changes.child(world, entity)
    if not entity.child then return end
    local p = random_schema.scalar(world, entity.child)
    p.is_late = true
end

function changes.embedded(world, entity)
    random_schema.embedded(world, entity)
end

function changes.view(world)
    if world.view then world.view.more = not world.view.more end
end

function changes.drop_view(world)
    world.view = nil
end

random_changes.kinds = {}
for name in pairs(changes) do random_changes.kinds[#random_changes.kinds + 1] = name end
table.sort(random_changes.kinds)

local function has(list, item)
    for _, other in ipairs(list) do
        if other == item then return true end
    end
    return item == nil
end

-- What was dropped after all has no other name.
local function asked(world, rename)
    local made = {}
    for _, item in ipairs(rename) do
        local is_there = has(world.entities, item.entity) and has(item.entity.props, item.property)
        if is_there then made[item.path] = item.name end
    end
    return made
end

--- Changes the world; gives the renames that have to be asked for, and what was done.
---@param world table
---@param count integer
---@return table rename
---@return string[] done
function random_changes.make(world, count)
    local rename, done = {}, {}
    for _, entity in ipairs(world.entities) do
        entity.was_table, entity.is_late, entity.is_renamed = entity.table, nil, nil
        for _, p in ipairs(entity.props) do
            p.is_added, p.is_late, p.is_renamed = p.is_added or p.is_late, nil, nil
        end
    end
    for _ = 1, count do
        local entity, kind = pick(world, world.entities), pick(world, random_changes.kinds)
        done[#done + 1] = entity.name .. " " .. kind
        changes[kind](world, entity, rename)
    end
    return asked(world, rename), done
end

return random_changes
