--- Unique keys, indexes and checks of the mappings of one context.
---
--- `uniques` has every unique key, whatever enforces it. An entry with `index` is a unique index (it has a
--- condition, an order or a method, which constraints have not) and stands in `indexes` as well.
local family = require("heddle.mapping.family")
local naming = require("heddle.naming")
local later = require("heddle.later")
local rows_of = later.module("heddle.family")

local keys = {}

local function names_of(list)
  local names = {}
  for position, column in ipairs(list) do names[position] = column.name end
  return names
end

local function same_columns(a, b)
  for position = 1, math.max(#a, #b) do
    if a[position] ~= b[position] then return false end
  end
  return true
end

-- Columns behind the properties that an entity's `uniques` or `indexes` name.
local function columns_of(context, map, name, option)
  local view = map.props[name]
  local member = not view and map.nodes[name].column
  local made = view and view.stored or member and not member.json and { member }
  if not made then context.fail(map, name, ("has no column; '%s' cannot name it"):format(option)) end
  return made
end

local function claim_name(context, map, name)
  map.constraint_names = map.constraint_names or {}
  if map.constraint_names[name] then
    context.fail(map, nil, ("two constraints or indexes are called '%s'; give one of them a 'name'"):format(name))
  end
  map.constraint_names[name] = true
end

local function add_unique(context, map, columns, name, where, index)
  if not where and not index then
    if same_columns(columns, map.key) then return end
    for _, other in ipairs(map.uniques) do
      if not other.where and same_columns(other.columns, columns) then return end
    end
  end
  context.is_partial = context.is_partial or index ~= nil
  name = name or naming.constraint(map.table, names_of(columns), "unique")
  if not index then claim_name(context, map, name) end
  map.uniques[#map.uniques + 1] = { columns = columns, name = name, where = where or index and index.among,
    index = index, given_where = where }
end

-- "lower(email)" -> "lower_email", for a name.
local function words_of(expression)
  return (expression:gsub("[^%w_\128-\255]+", "_"):gsub("^_+", ""):gsub("_+$", ""))
end

-- The property that an expression is about: the first whose column it names.
local function property_in(map, expression)
  for word in expression:gmatch("[%w_\128-\255]+") do
    if map.column_of[word] then return map.column_of[word].property end
  end
end

-- Parts are { column, desc = } or { expression =, desc = }. A unique index over an expression is unknown to the core:
-- only the database can say which rows are equal.
local function add_index(context, map, parts, given)
  local columns, names, property = {}, {}, nil
  for position, part in ipairs(parts) do
    columns[#columns + 1] = part[1]
    names[position] = part.expression and words_of(part.expression) or part[1].name
    property = property or part.expression and property_in(map, part.expression)
  end
  if given.of then table.insert(names, 1, naming.snake_case(given.of.name)) end
  local name = given.name or naming.constraint(map.table, names, given.unique and "unique" or "index")
  claim_name(context, map, name)
  local index = { columns = parts, name = name, where = given.where, unique = given.unique or false,
    method = given.method, among = given.of and rows_of.among(map, given.of.values, ""), of = given.of,
    include = given.include, property = property }
  map.indexes[#map.indexes + 1] = index
  if index.unique and #columns == #parts then add_unique(context, map, columns, name, given.where, index) end
end

local function parts_of(columns)
  local parts = {}
  for position, column in ipairs(columns) do parts[position] = { column, desc = false } end
  return parts
end

local function add_property_keys(context, map, view, prop, columns)
  if prop.unique or (view.columns and view.kind == "one_to_one") then
    add_unique(context, map, columns, type(prop.unique) == "string" and prop.unique or nil)
  end
  if prop.index_option then
    add_index(context, map, parts_of(columns), { name = type(prop.index_option) == "string" and prop.index_option })
  end
  if prop.check then
    local name = naming.constraint(map.table, names_of(columns), "check")
    local expression = rows_of.implied(map, view.partial and view.declared or map, columns[1].check or prop.check)
    map.checks[#map.checks + 1] = { expression = expression, name = name, property = columns[1].property }
  end
end

-- What an entity of a family says of columns that others have too holds for its own rows.
local function whose(of, columns)
  if of.place == 1 or not of.place then return nil end
  for _, column in ipairs(columns) do
    if column.partial then return nil end -- NULL elsewhere
  end
  return of
end

-- Parts with the columns in the place of the properties' names.
local function resolve_parts(context, of, properties, option)
  local parts, columns = {}, {}
  for _, part in ipairs(properties) do
    if part.expression then
      parts[#parts + 1] = { expression = part.expression, desc = part.desc, nulls = part.nulls }
    else
      for _, column in ipairs(columns_of(context, of, part.name, option)) do
        parts[#parts + 1], columns[#columns + 1] = { column, desc = part.desc, nulls = part.nulls }, column
      end
    end
  end
  return parts, columns
end

local function named_columns(context, of, names, option)
  local columns = {}
  for _, name in ipairs(names or {}) do
    for _, column in ipairs(columns_of(context, of, name, option)) do columns[#columns + 1] = column end
  end
  return columns
end

local function add_entity_uniques(context, map, of)
  for _, item in ipairs(family.own_items(of, "uniques")) do
    local columns = named_columns(context, of, item.properties, "uniques")
    local owner = whose(of, columns)
    if item.parts or item.where or owner then
      local parts = item.parts and resolve_parts(context, of, item.parts, "uniques") or parts_of(columns)
      add_index(context, map, parts, { name = item.name, where = item.where, unique = true, of = owner })
    else
      add_unique(context, map, columns, item.name)
    end
  end
end

local function add_entity_indexes(context, map, of)
  for _, item in ipairs(family.own_items(of, "indexes")) do
    local parts, columns = resolve_parts(context, of, item.properties, "indexes")
    add_index(context, map, parts, { name = item.name, where = item.where, unique = item.unique, method = item.method,
      include = item.include and named_columns(context, of, item.include, "indexes"), of = whose(of, columns) })
  end
end

-- What the entity says, or the entities that share the table.
local function add_entity_keys(context, map)
  local position = 0
  for _, of in ipairs(map.members or { map }) do
    add_entity_uniques(context, map, of)
    add_entity_indexes(context, map, of)
    for _, item in ipairs(family.own_items(of, "checks")) do
      position = position + 1
      local name = item.name or naming.constraint(map.table, { tostring(position) }, "check")
      map.checks[#map.checks + 1] = { expression = rows_of.implied(map, of, item.expression), name = name }
    end
  end
end

-- Whether an index, a unique key or the primary key begins with these columns.
local function is_covered(map, columns)
  local function begins(list)
    for position, column in ipairs(columns) do
      local item = list[position]
      if item ~= column and not (item and item[1] == column) then return false end
    end
    return true
  end
  if begins(map.key) then return true end
  for _, unique in ipairs(map.uniques) do
    if not unique.where and begins(unique.columns) then return true end
  end
  for _, index in ipairs(map.indexes) do
    if not index.where and begins(index.columns) then return true end
  end
  return false
end

-- Without an index every delete of a target reads the whole table. `index = false` does without.
local function index_foreign_keys(context, map)
  for _, entry in ipairs(map.foreign_keys) do
    local option = entry.view.prop.index_option
    -- What an entity says stands already.
    if (option == nil or map.hidden and option) and not is_covered(map, entry.columns) then
      add_index(context, map, parts_of(entry.columns), { name = type(option) == "string" and option or nil })
    end
  end
end

-- A column that a CHECK may concern: its property's own, and any whose name occurs in one.
local function mark_checked(map)
  for _, check in ipairs(map.checks) do
    local words = {}
    for word in check.expression:lower():gmatch("[%w_\128-\255]+") do words[word] = true end
    for _, column in ipairs(map.columns) do
      if words[column.name:lower()] or (check.property and check.property == column.property) then
        column.checked = true
      end
    end
  end
end

---Fills uniques, indexes and checks of each mapping.
---@param context table as mapping.build makes it, columns in place
function keys.build(context)
  for _, map in ipairs(context.list) do
    for _, view in ipairs(map.list) do
      if view.embedded then
        for _, column in ipairs(view.stored) do add_property_keys(context, map, view, column.prop, { column }) end
      elseif view.column or view.columns then
        add_property_keys(context, map, view, view.prop, view.columns or { view.column })
      end
    end
    add_entity_keys(context, map)
    index_foreign_keys(context, map)
    mark_checked(map)
    map.constraint_names = nil
  end
end

return keys
