--- What a context makes of its entities: targets found, columns numbered, keys and constraints named.
---
--- A definition knows no context; a mapping is its form in one. It is made from all entities of the context at
--- once and never changed: an entity that is registered later means a new set of mappings.
local class = require("heddle.class")
local columns = require("heddle.mapping.columns")
local entity = require("heddle.entity")
local errors = require("heddle.errors")
local family = require("heddle.mapping.family")
local keys = require("heddle.mapping.keys")
local lineage = require("heddle.mapping.lineage")
local later = require("heddle.later")
local pivot = later.module("heddle.mapping.pivot")
local relation = require("heddle.relation")
local sides = require("heddle.mapping.sides")
local suggest = later.module("heddle.suggest")
local virtual = later.module("heddle.mapping.virtual")

local mapping = {}

-- Raises with the place named: entity, and property where one is at fault.
local function fail(map, property, message, kind)
  local where = property and (", property '" .. property .. "'") or ""
  errors.raise(kind or "metadata", "Entity '" .. map.name .. "'" .. where .. ": " .. message,
    { context = map.context, entity = map.name, property = property, source = map.meta and map.meta.source })
end

local function new_view(prop)
  return {
    name = prop.name, kind = prop.kind, prop = prop,
    raw = (prop.kind == "scalar" or prop.kind == "embedded") and not prop.hidden or nil,
  }
end

local function new_mapping(context, made, id)
  local map = {
    meta = made, name = made.name, class = made.class, context = context.name, driver = context.driver, id = id,
    table = made.table or context.naming.table(made.name),
    -- SQLite has no schemas: one definition serves both databases.
    schema = context.driver ~= "sqlite" and (made.schema or context.schema) or nil,
    columns = {}, column_of = {}, props = {}, list = {}, foreign_keys = {}, uniques = {}, indexes = {},
    checks = {}, plans = {}, embedded = {}, nodes = {}, label = "heddle." .. made.name,
  }
  map.root = map
  if made.root then
    map.members, map.by_value, map.more = {}, {}, {}
    return map
  end
  for position, prop in ipairs(made.properties) do
    local view = new_view(prop)
    map.list[position], map.props[prop.name] = view, view
  end
  map.owned = map.columns
  return map
end

-- The mapping that a program finds under an entity's name.
local function add_mapping(context, made)
  local list, map = context.list, nil
  if not made.root or made.root == made then
    map = new_mapping(context, made, #list)
    list[#list + 1] = map
  end
  if made.root then
    map = family.add(context, map or context.by_class[made.root.class].root, made, new_view)
  end
  if made.expression then virtual.prepare(context, map) end
  context.has_filters = context.has_filters or next(made.filters) ~= nil
  context.by_class[made.class], context.by_name[map.name] = map, map
end

local function resolve_target(context, map, view)
  local name = relation.target_name(view.prop)
  local target = context.by_name[name]
  if not target and context.abstract[name] then
    fail(map, view.name, ("its target %s is abstract and has no table"):format(errors.quote(name)))
  elseif not target then
    fail(map, view.name, ("its target %s is not registered in context '%s'%s; add it to 'entities', or call "
      .. "orm.register"):format(errors.quote(name), context.name, suggest.hint(name, context.by_name)))
  end
  if type(view.prop.target) == "table" and target.class ~= view.prop.target then
    fail(map, view.name, ("its target is not the '%s' that context '%s' has, but another definition of that name, "
      .. "from %s"):format(name, context.name, class.definition_of(view.prop.target).source))
  end
  view.target = target
  if map.expression or target.expression then virtual.check_relation(context, map, view) end
  if view.kind == "many_to_many" then context.has_pairs = true end
end

-- Two entities over one table would be two identities of one row.
local function check_tables(context)
  local owners = {}
  for _, map in ipairs(context.list) do
    local name = (map.schema or "") .. "." .. map.table
    if map.source then name = map end -- no table's
    if owners[name] then
      fail(map, nil, ("its table '%s' is the table of entity '%s' too"):format(map.table, owners[name].name))
    end
    owners[name] = map
  end
  context.tables = owners
end

---The mappings of a context. Raises `metadata`.
---@param context_name string
---@param driver string "postgres" or "sqlite"
---@param classes table[] the entities of the context
---@param naming table as heddle.naming's `strategy` gives it
---@param opts? table { schema = } where tables are that name no schema themselves
---@return table mappings { by_class, by_name, abstract, list, is_partial, has_filters }: the list ends with the hidden
---ones of pivot tables; whether there are unique keys of some rows, and named filters
function mapping.build(context_name, driver, classes, naming, opts)
  local context = {
    name = context_name, driver = driver, naming = naming, schema = opts and opts.schema,
    by_class = {}, by_name = {}, abstract = {}, list = {}, fail = fail,
  }
  for _, made in ipairs(lineage.list(context, entity.by_name(classes, context_name))) do add_mapping(context, made) end
  check_tables(context)
  for _, map in ipairs(context.list) do
    for view, declared in family.views(map) do
      if view.kind ~= "scalar" and view.kind ~= "embedded" then resolve_target(context, declared, view) end
    end
  end
  columns.build(context)
  family.finish(context)
  sides.build(context)
  if context.has_pairs then pivot.build(context) end
  family.settle(context)
  keys.build(context)
  return {
    by_class = context.by_class, by_name = context.by_name, abstract = context.abstract, list = context.list,
    is_partial = context.is_partial, has_filters = context.has_filters,
  }
end

return mapping
