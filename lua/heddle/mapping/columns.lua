--- Columns and foreign keys of the mappings of one context.
---
--- A foreign key's columns have the types of the target's key, which may itself be a foreign key. So keys are
--- made first, each after those it refers to; the rest follows in declared order.
local later = require("heddle.later")
local custom = later.module("heddle.custom")
local embedded = later.module("heddle.mapping.embedded")
local family = require("heddle.mapping.family")
local naming = require("heddle.naming")
local types = require("heddle.types")

local columns = {}

-- What a column takes from its property, and a foreign key's from the column that it refers to.
local function take_type(column, from)
  column.type, column.length, column.precision, column.scale = from.type, from.length, from.precision, from.scale
  column.enum, column.as, column.array_of, column.custom = from.enum, from.as, from.array_of, from.custom
  column.cast = from.cast
end

local function is_stored(view)
  if view.kind == "scalar" then return view.prop.persist ~= false end
  if view.kind == "embedded" then return true end
  return (view.kind == "many_to_one" or view.kind == "one_to_one") and view.prop.owner
end

local function scalar_column(context, view)
  local prop = view.prop
  local column = {
    name = prop.column or context.naming.column(prop.name), property = prop.name, view = view, prop = prop,
    nullable = prop.nullable or false, primary = prop.primary or false, unique = prop.unique and true or false,
    default_sql = prop.default_sql, generated = prop.generated, virtual = prop.virtual, version = prop.version or false,
    emptied = prop.default ~= nil and prop.nullable or false,
    hidden = prop.hidden or false, lazy = prop.lazy or false, raw = view.raw or false,
    enum_name = prop.enum_name, autoincrement = false, comment = prop.comment, check = prop.check,
  }
  take_type(column, prop)
  -- What converts is the host's to hold.
  column.converts = prop.custom ~= nil and custom.converts(prop.custom)
  column.raw = column.raw and not column.converts
  view.column = column
  return { column }
end

local function foreign_columns(context, map, view)
  local prop, target_key = view.prop, view.target.key
  local given = prop.join_column
  if given and #given ~= #target_key then
    context.fail(map, prop.name, ("option 'join_column' names %d columns; the key of '%s' has %d"):format(#given,
      view.target.name, #target_key))
  end
  if prop.default_sql and #target_key > 1 then
    context.fail(map, prop.name, "option 'default_sql' is for one column; the key of its target has several")
  end
  local made = {}
  for position, target_column in ipairs(target_key) do
    local column = {
      name = given and given[position] or context.naming.join_column(prop.name, target_column.name),
      property = prop.name, view = view, nullable = prop.nullable or false, primary = prop.primary or false,
      unique = #target_key == 1 and (prop.kind == "one_to_one" or (prop.unique and true or false)),
      version = false, hidden = prop.hidden or false, lazy = false, raw = false, autoincrement = false,
      comment = prop.comment, default_sql = prop.default_sql,
    }
    take_type(column, target_column)
    made[position] = column
  end
  view.columns = made
  return made
end

-- The database makes the key when it is one integer that nobody else provides.
local function make_auto_key(map)
  local column = map.key[1]
  if not column or map.expression then return end
  local prop = column.view.prop
  if #map.key ~= 1 or prop.kind ~= "scalar" or not types.integers[prop.type] then return end
  if prop.autoincrement == false or (prop.custom and not prop.autoincrement) then return end
  if prop.default ~= nil or prop.default_sql then return end
  column.autoincrement, map.auto_key = true, column
  column.rowid = prop.autoincrement == "rowid"
end

local build_key

local function make_columns(context, map, view)
  if view.kind == "scalar" then return scalar_column(context, view) end
  if view.kind == "embedded" then return embedded.columns(context, map, view) end
  build_key(context, view.target)
  return foreign_columns(context, map, view)
end

function build_key(context, map)
  map = map.root
  if map.key then return end
  if context.visiting[map] then
    context.fail(map, nil, "its primary key refers, through relations, to itself")
  end
  context.visiting[map] = true
  local key = {}
  for _, prop in ipairs(map.meta.primary) do
    local view = map.props[prop.name]
    for _, column in ipairs(make_columns(context, map, view)) do key[#key + 1] = column end
  end
  context.visiting[map] = nil
  map.key = key
  for _, member in ipairs(map.members or {}) do member.key = key end
  make_auto_key(map)
end

local function add_column(context, map, names, column)
  -- SQLite compares names without case.
  local name = map.driver == "sqlite" and column.name:lower() or column.name
  local owner = names[name]
  names[name] = column
  if owner then
    context.fail(map, column.property, ("its column '%s' is the column of property '%s' too; give one of them "
      .. "another with '%s'"):format(column.name, owner.property, column.view.columns and "join_column"
      or (column.view.embedded or owner.view.embedded) and "prefix" or "column"))
  end
  map.columns[#map.columns + 1], map.column_of[column.name] = column, column
  column.index, column.entity = #map.columns, (column.view.declared or map).name
  if column.version then map.version = column end
end

local function add_foreign_key(map, view)
  local names, prop = {}, view.prop
  for position, column in ipairs(view.columns) do names[position] = column.name end
  local entry = {
    property = view.name, view = view, columns = view.columns, target = view.target.root,
    target_columns = view.target.key, nullable = prop.nullable or view.partial or false, on_delete = prop.on_delete,
    on_update = prop.on_update_rule, deferrable = map.driver == "postgres" and prop.deferrable ~= false,
    name = prop.foreign_key or naming.constraint(map.table, names, "foreign"),
  }
  for _, column in ipairs(view.columns) do column.foreign_key = entry end
  map.foreign_keys[#map.foreign_keys + 1] = entry
end

---Fills columns, column_of, key, auto_key, version and foreign_keys of each mapping.
---@param context table as mapping.build makes it, targets resolved
function columns.build(context)
  context.visiting = {}
  for _, map in ipairs(context.list) do build_key(context, map) end
  for _, map in ipairs(context.list) do
    local names = {}
    for _, view in ipairs(map.list) do
      if is_stored(view) then
        local made = view.columns or (view.column and { view.column }) or make_columns(context, map, view)
        family.soften(view, made)
        for _, column in ipairs(made) do add_column(context, map, names, column) end
        view.stored = made
        if view.columns then add_foreign_key(map, view) end
      end
    end
  end
end

return columns
