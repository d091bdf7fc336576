--- Custom types (`orm.type`): between the values that a program holds and those that its database stores.
---
--- Snapshots, keys and foreign keys are database values; an instance holds the program's. The core leaves the columns
--- that convert to the host: hydration is finished by `merge`, gather asks the shelf for database values, apply
--- puts the program's back. A converter sees no NULL: that is an absent field on both sides.
local later = require("heddle.later")
local errors = require("heddle.errors")
local null = require("heddle.null")
local op = later.module("heddle.op")

local custom = {}

---Whether a custom type has anything to do beside naming its column.
---@param made heddle.Type|nil
function custom.converts(made)
  return made ~= nil and (made.to_db or made.from_db or made.equals) ~= nil
end

---The columns of a mapping that convert, those of embedded values left out.
---@param map table
---@return table[]
function custom.columns(map)
  local list = map.converting
  if not list then
    list = {}
    for _, column in ipairs(map.columns) do
      if column.converts and not column.at then list[#list + 1] = column end
    end
    map.converting = list
  end
  return list
end

local function convert(column, way, value)
  local fn = column.custom[way]
  -- What SQL says is the database's form already.
  if not fn or op.is_raw(value) then return value end
  if column.custom.embedded then return fn(value, column) end
  local ok, result = pcall(fn, value)
  if ok then return result end
  errors.raise("validation", ("%s.%s: %s of its type did not take this value"):format(column.entity, column.property,
    way), { entity = column.entity, property = column.property, cause = result })
end

---The database's value of a program's. Raises `validation` when the type does not take it.
function custom.to_db(column, value)
  if value == nil or value == null or not column.converts then return value end
  return convert(column, "to_db", value)
end

---The program's value of a database's.
function custom.from_db(column, value)
  if value == nil or not column.converts then return value end
  return convert(column, "from_db", value)
end

---The column whose type a column's values are of: what a foreign key holds is the key that it leads to.
---@param column table
---@return table
function custom.source(column)
  local entry = column.foreign_key
  if not entry then return column end
  for i, own in ipairs(entry.columns) do
    if own == column then return custom.source(entry.target_columns[i]) end
  end
  return column
end

---The values of a key, each in the other form: `way` is custom.to_db or custom.from_db.
---@param columns table[]
---@param values any[]
---@param way function
function custom.key(columns, values, way)
  local key = {}
  for i, column in ipairs(columns) do key[i] = way(custom.source(column), values[i]) end
  return key
end

return custom
