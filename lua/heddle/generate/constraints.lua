--- Where an entity says its unique keys, indexes and checks: beside the property that one is about, or in a list of the
--- entity's. Names that Heddle would give by itself are not said.
local model = require("heddle.schema.model")
local naming = require("heddle.naming")
local types = require("heddle.generate.types")

local constraints = {}

-- What a constraint's option holds: its name where Heddle would give another one, else `true`.
local function said(t, item, columns, suffix)
  if item.name == nil or item.name == naming.constraint(t.name, columns, suffix) then return true end
  return item.name
end

-- Properties by column; of a relation the property stands for all of its columns.
local function by_column(entity)
  local found = {}
  for _, property in ipairs(entity.properties) do
    if property.column then found[property.column.name] = property end
    for _, name in ipairs(property.relation and property.relation.fk.columns or {}) do found[name] = property end
  end
  return found
end

local function columns_of(property)
  return property.column and { property.column.name } or property.relation.fk.columns
end

-- The property that some columns are, all of them and no others.
local function single(found, columns)
  local property = columns[1] and found[columns[1]]
  return property and model.same_names(columns_of(property), columns) and property or nil
end

-- Names of properties for columns; those of a relation come together (see fit.lua).
local function names_of(found, columns)
  local names, at = {}, 1
  while columns[at] do
    local property = found[columns[at]]
    names[#names + 1] = property.name
    at = at + #columns_of(property)
  end
  return names
end

-- Unique keys ----------------------------------------------------------------------------------------------------

local function add_unique(entity, found, unique)
  local t = entity.table
  if t.primary and model.same_names(unique.columns, t.primary.columns) then return end
  local property = single(found, unique.columns)
  local name = said(t, unique, unique.columns, "unique")
  if property and property.unique == nil then
    property.unique = name
  else
    local names = names_of(found, unique.columns)
    entity.uniques[#entity.uniques + 1] = { names = names, name = name ~= true and name or nil }
  end
end

-- Indexes --------------------------------------------------------------------------------------------------------

-- The columns of an index that needs no word but its name, nil for others.
local function plain_columns(index)
  if index.where or index.method or index.include then return nil end
  local columns = {}
  for i, part in ipairs(index.parts) do
    if not part.column or part.desc or part.nulls or part.collation or part.opclass then return nil end
    columns[i] = part.column
  end
  return columns
end

local function index_parts(found, index)
  local parts, at = {}, 1
  while index.parts[at] do
    local part = index.parts[at]
    local property = part.column and found[part.column]
    parts[#parts + 1] = {
      name = property and property.name, expression = part.expression, desc = part.desc, nulls = part.nulls,
    }
    at = at + (property and #columns_of(property) or 1)
  end
  return parts
end

local function add_index(entity, found, index)
  local t, columns = entity.table, plain_columns(index)
  local property = columns and single(found, columns)
  if property and index.unique and property.unique == nil then
    property.unique = said(t, index, columns, "unique")
  elseif property and not index.unique and property.index == nil then
    property.index, property.index_item = said(t, index, columns, "index"), index
  else
    local names = {}
    for i, part in ipairs(index.parts) do names[i] = part.column or "" end
    local given = said(t, index, names, index.unique and "unique" or "index")
    entity.indexes[#entity.indexes + 1] = {
      parts = index_parts(found, index), unique = index.unique, method = index.method, where = index.where,
      include = index.include and names_of(found, index.include), name = given ~= true and given or nil,
      columns = columns,
    }
  end
end

-- Whether a key, or an index other than one, begins with some columns.
local function is_covered(t, columns, except)
  local lists = { t.primary.columns }
  for _, unique in ipairs(t.uniques) do lists[#lists + 1] = unique.columns end
  for _, index in ipairs(t.indexes) do
    local names = {}
    for i, part in ipairs(index.parts) do names[i] = part.column or "" end
    if not index.where and index ~= except then lists[#lists + 1] = names end
  end
  for _, list in ipairs(lists) do
    local begins = true
    for i, name in ipairs(columns) do begins = begins and list[i] == name end
    if begins then return true end
  end
  return false
end

-- A foreign key that nothing else helps to look up gets an index by itself.
local function settle_foreign_keys(entity)
  for _, property in ipairs(entity.properties) do
    local relation = property.relation
    local covered = relation and is_covered(entity.table, relation.fk.columns, property.index_item)
    if relation and not covered then
      if property.index == nil then property.index = false elseif property.index == true then property.index = nil end
    end
  end
end

-- Checks ---------------------------------------------------------------------------------------------------------

-- A literal with quotes inside, taken apart by hand: patterns do not count quotes.
local function split_labels(text)
  local labels, at = {}, 1
  while true do
    at = text:match("^%s*()", at)
    if text:sub(at, at) ~= "'" then return nil end
    local label = {}
    at = at + 1
    while true do
      local piece, stop = text:match("^([^']*)()", at)
      label[#label + 1] = piece
      if text:sub(stop, stop) ~= "'" then return nil end
      at = stop + 1
      if text:sub(at, at) ~= "'" then break end
      label[#label + 1], at = "'", at + 1
    end
    labels[#labels + 1] = table.concat(label)
    at = text:match("^::text()", at) or at
    at = text:match("^%s*()", at)
    if at > #text then return labels end
    if text:sub(at, at) ~= "," then return nil end
    at = at + 1
  end
end

-- The labels of "state IN ('a', 'b')" or "(state = ANY (ARRAY['a'::text, 'b'::text]))", and the column.
local function enum_of(expression)
  local text = expression:match("^%((.*)%)$") or expression
  local name, list = text:match("^%s*([%w_]+)%s+[iI][nN]%s*%((.*)%)%s*$")
  if not name then name, list = text:match('^%s*["`%[]([^"`%]]+)["`%]]%s+[iI][nN]%s*%((.*)%)%s*$') end
  if not name then name, list = text:match("^([%w_]+) = ANY %(ARRAY%[(.*)%]%)$") end
  if not name then name, list = text:match('^"([^"]+)" = ANY %(ARRAY%[(.*)%]%)$') end
  local labels = list and split_labels(list)
  return labels, name
end

local function property_named(found, name, driver)
  if found[name] or driver ~= "sqlite" then return found[name] end
  for column, property in pairs(found) do
    if column:lower() == name:lower() then return property end
  end
end

local function add_enum(entity, found, check, driver)
  local labels, name = enum_of(check.expression)
  local property = labels and property_named(found, name, driver)
  if not property or not property.column or property.labels then return false end
  local word = types.of(property.column.type, driver)
  if word.type ~= "text" or property.column.generated then return false end
  local seen = {}
  for _, label in ipairs(labels) do
    if seen[label] or label == "" then return false end
    seen[label] = true
  end
  local given = said(entity.table, check, { property.column.name }, "enum")
  property.labels, property.labels_name = labels, given ~= true and given or nil
  return true
end

-- The one property that a check without a name speaks of.
local function only_column(entity, expression)
  local words, found = {}, nil
  for word in expression:lower():gmatch("[%w_\128-\255]+") do words[word] = true end
  for _, column in ipairs(entity.table.columns) do
    if words[column.name:lower()] then
      if found then return nil end
      found = column.name
    end
  end
  return found
end

local function add_check(entity, found, check, driver)
  if add_enum(entity, found, check, driver) then return end
  local name = only_column(entity, check.expression)
  local property = name and found[name]
  if property and property.column and not property.check
      and (check.name == nil or check.name == naming.constraint(entity.table.name, { name }, "check")) then
    property.check = check.expression
  else
    entity.checks[#entity.checks + 1] = { expression = check.expression, name = check.name }
  end
end

---Puts the keys, indexes and checks of an entity's table where they are said.
---@param entity table of plan.entities
---@param driver "postgres"|"sqlite"
function constraints.place(entity, driver)
  entity.uniques, entity.indexes, entity.checks = {}, {}, {}
  local found = by_column(entity)
  for _, unique in ipairs(entity.table.uniques) do add_unique(entity, found, unique) end
  for _, index in ipairs(entity.table.indexes) do add_index(entity, found, index) end
  settle_foreign_keys(entity)
  for _, check in ipairs(entity.table.checks) do add_check(entity, found, check, driver) end
end

return constraints
