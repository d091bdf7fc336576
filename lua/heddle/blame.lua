--- From what a driver reports to what the program knows: an error's context, entity and property (F5).
local errors = require("heddle.errors")

local blame = {}

local function first_property(columns)
  return columns[1] and columns[1].property
end

local function find_constraint(map, name)
  for _, list in ipairs({ map.uniques, map.foreign_keys, map.checks, map.indexes }) do
    for _, item in ipairs(list) do
      if item.name == name then return item.property or first_property(item.columns or {}) end
    end
  end
  if name == map.table .. "_pkey" then return map.key[1].property end
  for _, column in ipairs(map.columns) do
    if name == map.table .. "_" .. column.name .. "_enum" or name == map.table .. "_" .. column.name .. "_check" then
      return column.property
    end
  end
end

-- SQLite names columns ("a,b"), PostgreSQL the constraint.
local function find_property(map, record)
  if record.column then
    local name = record.column:match("^[^,]+")
    local column = map.column_of[name]
    if column then return column.property end
  end
  if record.constraint then return find_constraint(map, record.constraint) end
end

local function find_mapping(context, record)
  local found
  for _, map in ipairs(context.mappings.list) do
    if map.table == record.table then return map end
    if record.constraint and find_constraint(map, record.constraint) then found = found or map end
  end
  return found
end

-- SQLite names the columns of a unique key; the metadata knows what the key is called.
local function find_unique(map, record)
  for _, unique in ipairs(map.uniques) do
    local names = {}
    for i, column in ipairs(unique.columns) do names[i] = column.name end
    if table.concat(names, ",") == record.column then return unique.name end
  end
end

-- A pivot's rows are the relation's.
local function find_pair(context, record)
  for _, map in ipairs(context.mappings.list) do
    if map.hidden and map.name == record.entity then
      record.entity, record.property = map.owner.name, map.pivot.property
    end
  end
end

---Completes a record of the core and raises it.
---@param context table
---@param record table
function blame.raise(context, record)
  record.context = record.context or context.name
  if record.entity then find_pair(context, record) end
  if record.table or record.constraint then
    local map = find_mapping(context, record)
    if map then
      -- A DELETE of one entity may violate the foreign key of another: the property is that one's.
      local property = not record.property and find_property(map, record)
      local name = (map.owner or map).name
      if property then record.entity, record.property = name, property end
      record.entity = record.entity or name
      if record.kind == "unique_violation" then record.constraint = record.constraint or find_unique(map, record) end
    end
  end
  local place = record.entity and record.property and record.entity .. "." .. record.property
  if place and not record.message:find(place, 1, true) then record.message = place .. ": " .. record.message end
  if record.kind == "validation" and record.column and not record.property then record.property = record.column end
  error(errors.from_core(record), 0)
end

return blame
