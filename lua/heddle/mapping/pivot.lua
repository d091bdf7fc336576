--- The table between the two sides of a many_to_many, as a *hidden* mapping: the core writes its rows as it writes
--- others, no entity stands behind it. Both sides share one description of it, `view.pivot`.
---
--- The hidden mapping has what a pair is made of. A generated `id`, which only says in what order pairs were added, is
--- not in it; where the table is an entity's own, its columns that the program has a value for are.
local class = require("heddle.class")
local date = require("heddle.date")
local errors = require("heddle.errors")
local family = require("heddle.mapping.family")
local naming = require("heddle.naming")
local suggest = require("heddle.suggest")

local pivot = {}

-- What a foreign key's column takes from the column that it refers to.
local inherited = { "type", "length", "precision", "scale", "enum", "as", "array_of", "custom", "cast" }

local function new_mapping(context, made)
  local name = made.owner.name .. "." .. made.property
  return {
    hidden = true, owner = made.owner, name = name, context = context.name, driver = context.driver,
    table = made.table, schema = made.schema, pivot = made,
    meta = { name = name, properties = {}, by_name = {}, primary = {}, hooks = {}, filters = {}, uniques = {},
      indexes = {}, checks = {} },
    columns = {}, column_of = {}, key = {}, props = {}, list = {}, foreign_keys = {}, uniques = {}, indexes = {},
    checks = {}, plans = {},
  }
end

local function add_column(context, map, column)
  for name in pairs(map.column_of) do
    if name:lower() == column.name:lower() then
      context.fail(map.owner, map.pivot.property, ("its pivot table has two columns '%s'; name them with "
        .. "'join_column' and 'inverse_join_column'"):format(column.name))
    end
  end
  map.columns[#map.columns + 1], map.column_of[column.name] = column, column
  column.index, column.entity = #map.columns, map.name
end

local function add_side(context, map, side, columns, rules)
  local view = rules.view
  map.props[side] = view
  for _, column in ipairs(columns) do
    column.view, column.primary, column.nullable, column.raw, column.converts = view, true, false, false, nil
    column.unique, column.hidden, column.lazy, column.version, column.autoincrement = false, false, false, false, false
    add_column(context, map, column)
    map.key[#map.key + 1] = column
  end
  view.columns, view.stored = columns, columns
  local entry = {
    property = map.pivot.property, view = view, columns = columns, target = rules.target,
    target_columns = rules.target_columns, nullable = false, on_delete = rules.on_delete, on_update = rules.on_update,
    deferrable = map.driver == "postgres" and rules.deferrable ~= false, name = rules.name,
  }
  for _, column in ipairs(columns) do column.foreign_key = entry end
  map.foreign_keys[#map.foreign_keys + 1] = entry
end

local function side_view(side, target, indexed)
  local prop = { name = side, kind = "many_to_one", owner = true, index_option = indexed }
  return { name = side, kind = "many_to_one", prop = prop, target = target }
end

-- A table of the relation's own ------------------------------------------------------------------------------

local function own_columns(context, map, view, option, target, suffix)
  local given, made = view.prop[option], {}
  if given and #given ~= #target.key then
    context.fail(map, view.name, ("option '%s' names %d columns; the key of '%s' has %d"):format(option, #given,
      target.name, #target.key))
  end
  for position, key in ipairs(target.key) do
    local column = {
      name = given and given[position] or context.naming.join_column(target.name .. suffix, key.name),
      property = view.name,
    }
    for _, field in ipairs(inherited) do column[field] = key[field] end
    made[position] = column
  end
  return made
end

local function names_of(columns)
  local names = {}
  for position, column in ipairs(columns) do names[position] = column.name end
  return names
end

local function fill_own(context, view, made)
  local map, prop = made.mapping, view.prop
  local to_itself = made.owner == made.target
  made.owner_columns = own_columns(context, made.owner, view, "join_column", made.owner, to_itself and "_1" or "")
  made.target_columns = own_columns(context, made.owner, view, "inverse_join_column", made.target,
    to_itself and "_2" or "")
  for _, side in ipairs({ "owner", "target" }) do
    local columns, target = made[side .. "_columns"], made[side]
    local is_owner = side == "owner"
    add_side(context, map, side, columns, {
      -- Needed for one side only: the key begins with the owner's columns.
      view = side_view(side, target, prop.index_option), target = target.root,
      target_columns = target.key, on_delete = prop.on_delete or "cascade", on_update = prop.on_update_rule,
      deferrable = prop.deferrable,
      name = prop[is_owner and "foreign_key" or "inverse_foreign_key"]
        or naming.constraint(map.table, names_of(columns), "foreign"),
    })
  end
  if not made.fixed_order then return end
  made.order_column = "id"
  if map.column_of.id then
    context.fail(made.owner, view.name, "option 'fixed_order': the pivot table's column 'id' says the order; name "
      .. "the others with 'join_column' and 'inverse_join_column'")
  end
end

-- A table that is an entity's ------------------------------------------------------------------------------

local function has_names(entry, names)
  for position, name in ipairs(names) do
    if not entry.columns[position] or entry.columns[position].name ~= name then return false end
  end
  return #names == #entry.columns
end

-- The foreign key of the pivot's entity that leads to a side.
local function find_side(context, view, made, target, option, taken)
  local given, found = view.prop[option], {}
  for _, entry in ipairs(made.entity.foreign_keys) do
    if entry.target == target.root and entry ~= taken and (not given or has_names(entry, given)) then
      found[#found + 1] = entry
    end
  end
  if #found == 1 then return found[1] end
  local asked = view.prop.pivot_entity and "pivot_entity" or "pivot_table"
  if #found == 0 then
    context.fail(made.owner, view.name, ("option '%s': entity '%s' has no many_to_one of '%s'%s"):format(asked,
      made.entity.name, target.name, given and " with the columns of '" .. option .. "'" or ""))
  end
  context.fail(made.owner, view.name, ("option '%s': entity '%s' has several relations to '%s'; say which one with "
    .. "'%s'"):format(asked, made.entity.name, target.name, option))
end

local function copy_of(columns)
  local made = {}
  for position, column in ipairs(columns) do
    made[position] = {}
    for field, value in pairs(column) do made[position][field] = value end
  end
  return made
end

-- Values for these come from the program, as they do for an instance of the entity.
local function is_provided(column)
  local prop = column.view.prop
  return not column.primary and column.view.column ~= nil
    and (prop.default ~= nil or prop.on_create ~= nil or column.version)
end

-- The first version of a row, as a default: nobody counts on from it here.
local function first_version(view)
  local given = view.prop.type == "timestamp" and { on_create = function() return date.now() end } or { default = 1 }
  return setmetatable({ prop = setmetatable(given, { __index = view.prop }) }, { __index = view })
end

local function add_provided(context, map, entity)
  for _, column in ipairs(entity.columns) do
    if not map.column_of[column.name] and is_provided(column) then
      local copy = copy_of({ column })[1]
      if copy.version then copy.view = first_version(copy.view) end
      copy.version, copy.unique = false, false
      add_column(context, map, copy)
    end
  end
end

local function fill_from_entity(context, view, made)
  local map, entity = made.mapping, made.entity
  local one = view.prop.join_column and find_side(context, view, made, made.owner, "join_column")
  local other = find_side(context, view, made, made.target, "inverse_join_column", one)
  one = one or find_side(context, view, made, made.owner, "join_column", other)
  if one == other then
    context.fail(made.owner, view.name, "options 'join_column' and 'inverse_join_column' name the same columns")
  end
  made.owner_columns, made.target_columns = copy_of(one.columns), copy_of(other.columns)
  for _, side in ipairs({ "owner", "target" }) do
    local entry = side == "owner" and one or other
    add_side(context, map, side, made[side .. "_columns"], {
      view = side_view(side, entry.target, false), target = entry.target, target_columns = entry.target_columns,
      on_delete = entry.on_delete, on_update = entry.on_update, name = entry.name,
    })
  end
  add_provided(context, map, entity)
  if not made.fixed_order then return end
  if not entity.auto_key then
    context.fail(made.owner, view.name, ("option 'fixed_order': entity '%s' has no generated key to order by"):format(
      entity.name))
  end
  made.order_column = entity.auto_key.name
end

-- Both -------------------------------------------------------------------------------------------------------

-- The entity whose table the pivot is; nil when the relation has a table of its own.
local function entity_of(context, map, view, table_name)
  local given = view.prop.pivot_entity
  if not given then
    local taken = view.prop.pivot_table and context.tables[table_name]
    return taken and taken.key and taken or nil
  end
  local definition = class.definition_of(given)
  local name = definition and definition.name or given
  local entity = context.by_name[name]
  if not entity or definition and entity.meta ~= definition then
    context.fail(map, view.name, ("option 'pivot_entity': %s is not registered in context '%s'%s"):format(
      errors.quote(name), context.name, suggest.hint(name, context.by_name)))
  end
  return entity
end

local function build(context, map, view)
  local prop, target = view.prop, view.target
  local made = {
    owner = map, target = target, property = view.name, fixed_order = prop.fixed_order or false,
    table = prop.pivot_table or context.naming.pivot(map.table, target.table, view.name), schema = map.schema,
  }
  local name = (made.schema or "") .. "." .. made.table
  local entity = entity_of(context, map, view, name)
  if entity then
    made.entity, made.table, made.schema = entity, entity.table, entity.schema
  elseif context.tables[name] then
    context.fail(map, view.name, ("its pivot table '%s' is the table of '%s' too; give another with 'pivot_table'")
      :format(made.table, context.tables[name].name))
  end
  made.mapping = new_mapping(context, made)
  if entity then
    fill_from_entity(context, view, made)
  else
    context.tables[name] = { name = made.mapping.name }
    fill_own(context, view, made)
  end
  view.pivot = made
  return made.mapping
end

-- Both sides find the other's members by it.
local function announce(map)
  for _, side in ipairs({ map.pivot.owner, map.pivot.target }) do
    side.pivots = side.pivots or {}
    side.pivots[map.name] = map
  end
end

---Makes the hidden mapping of each many_to_many, behind those of the entities, and sets `pivot` of both sides.
---@param context table as mapping.build makes it, columns and sides in place
function pivot.build(context)
  local hidden = {}
  for _, map in ipairs(context.list) do
    for view, declared in family.views(map) do
      if view.kind == "many_to_many" and view.prop.owner and not view.like then
        hidden[#hidden + 1] = build(context, declared, view)
      end
    end
  end
  for _, map in ipairs(hidden) do
    map.id = #context.list
    context.list[#context.list + 1] = map
    announce(map)
    local inverse = map.owner.props[map.pivot.property].inverse
    if inverse then inverse.pivot = map.pivot end
  end
end

return pivot
