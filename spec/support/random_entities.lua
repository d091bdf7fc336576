--- Entities of a random world (random_schema.lua), made anew each time.

local orm = require "heddle"
local quote = require "heddle.quote"

local random_entities = {}

local Address = orm.embeddable {
    name = "Address",
    { "street", type = "string", length = 40, nullable = true },
    { "zip", type = "integer", default = 5, check = "zip > 0" },
}
-- A member of a document has no column, and so no check.
local Place = orm.embeddable {
    name = "Place",
    { "street", type = "string", length = 40, nullable = true },
    { "zip", type = "integer", default = 5 },
}

local function column(p) return quote.name(p.column) end

-- "%s" in a text is the column; there may be several, and per cents of its own.
local function filled(text, p)
    local name = column(p):gsub("%%", "%%%%")
    return (text:gsub("%%s", name):gsub("%%%%", "%%"))
end

local function scalar(p)
    local made = { p.name }
    for _, key in ipairs { "type", "column", "nullable", "comment", "length", "precision", "scale", "enum", "array_of",
        "default", "default_sql", "primary", "autoincrement", "unique", "index" } do
        made[key] = p[key]
    end
    if not p.nullable then made.nullable = nil end
    made.check = p.check and filled(p.check, p) or nil
    made.generated = p.generated and filled(p.generated, p.over) or nil
    return made
end

local function property(p)
    if p.kind == "scalar" then return scalar(p) end
    if p.kind == "embedded" then
        return { p.name, embedded = p.object and Place or Address, object = p.object, nullable = p.nullable }
    end
    local made = { p.name, [p.kind] = p.target.name, comment = p.comment, on_delete = p.on_delete,
        on_update = p.on_update, join_column = p.join_column, pivot_table = p.pivot_table, fixed_order = p.fixed_order,
        primary = p.primary, index = p.index, unique = p.unique }
    if p.kind == "one_to_one" then made.owner = true end
    if p.nullable and p.kind ~= "many_to_many" then made.nullable = true end
    if p.kind == "many_to_many" then made.comment, made.index = nil, nil end
    return made
end

local function condition(where)
    if not where then return nil end
    local p, value = where[1], where[2]
    if type(value) == "string" and value:find "%%s" then return filled(value, p) end
    return { [p.name] = value }
end

local function index(item)
    local made = { name = item.name, method = item.method, where = condition(item.where), unique = item.unique }
    if item.include then made.include = { item.include.name } end
    for i, part in ipairs(item.parts) do
        local more = { desc = part.desc, nulls = part.nulls }
        if part.expression then more.expression = filled(part.expression, part.property) end
        if not part.expression then more[1] = part.property.name end
        made[i] = not part.desc and not part.nulls and more[1] or more
    end
    return made
end

local function unique(item)
    local made = { name = item.name, where = condition(item.where) }
    for i, p in ipairs(item.properties) do made[i] = p.name end
    if item.expression then made[1] = { expression = filled(item.expression, item.properties[1]) } end
    return made
end

local function definition(entity)
    local made = { name = entity.name, table = entity.table, schema = entity.schema, comment = entity.comment,
        indexes = {}, uniques = {}, checks = {} }
    for i, p in ipairs(entity.props) do made[i] = property(p) end
    for i, item in ipairs(entity.indexes) do made.indexes[i] = index(item) end
    for i, item in ipairs(entity.uniques) do made.uniques[i] = unique(item) end
    for i, item in ipairs(entity.checks) do made.checks[i] = { filled(item.text, item.property), name = item.name } end
    if entity.child then made.discriminator_column, made.discriminator_value = "kind", "b'ase" end
    return made
end

--- The entities of a world, for `orm.init`.
function random_entities.of(world)
    local list = {}
    for _, entity in ipairs(world.entities) do
        list[#list + 1] = orm.entity(definition(entity))
        if entity.child then
            local child = { name = entity.name .. "Child", extends = entity.name, discriminator_value = "child" }
            for i, p in ipairs(entity.child.props) do child[i] = property(p) end
            list[#list + 1] = orm.entity(child)
        end
    end
    if world.view then
        local of, key = world.view.entity, world.view.entity.key[1]
        local name, is_number = quote.name(of.table), key.type ~= "string" and key.type ~= "uuid"
        if of.schema then name = quote.name(of.schema) .. "." .. name end
        list[#list + 1] = orm.entity { name = "View", table = "the view", readonly = true,
            expression = "select " .. column(key) .. " as k, 'it''s' as word from " .. name
                .. (world.view.more and " where 1 = 1" or ""),
            is_number and { "k", type = key.type, primary = true, autoincrement = false }
                or { "k", type = key.type, primary = true },
            { "word", type = "text" } }
    end
    return list
end

return random_entities
