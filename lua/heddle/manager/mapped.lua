--- `em:map`: the managed instance of a row that raw SQL gave (I1).
local core = require("heddle.core")
local custom = require("heddle.custom")
local errors = require("heddle.errors")
local family = require("heddle.family")
local filter = require("heddle.filter")
local key_form = require("heddle.key_form")
local kinds = require("heddle.kinds")
local loads = require("heddle.loads")
local manager = require("heddle.manager")
local merge = require("heddle.merge")
local null = require("heddle.null")
local raw_sql = require("heddle.raw_sql")
local resolve = require("heddle.resolve")

local Manager = manager.class
local admit = manager.admit

local function refuse(map, name, message, kind)
  return resolve.refuse(kind or "validation", map, name, "em:map", message)
end

-- SQLite gives what it stores, whatever the column is declared as.
local function from_sqlite(map, column, value)
  if column.type == "boolean" and (value == 0 or value == 1) then return value == 1 end
  if (column.type == "json" or column.type == "array") and type(value) == "string" then
    local ok, decoded = pcall(core.decode, value)
    if not ok then refuse(map, column.property, "this is no JSON") end
    return decoded
  end
  return value
end

local function put(values, map, column, value)
  if map.driver == "sqlite" then value = from_sqlite(map, column, value) end
  values[column.index] = value
end

-- A property's value by its own name: a program's value, of a relation a key.
local function put_property(values, map, view, value)
  if view.column then
    values[view.column.index] = view.column.converts and custom.to_db(view.column, value) or value
    return
  end
  local key = view.columns and (value == null and {} or key_form.values(view.target, value, filter.hooks.key_of))
  if not key then refuse(map, view.name, "name the columns of this property, as the database has them") end
  for i, column in ipairs(view.columns) do
    local part = key[i]
    values[column.index] = part == nil and null or custom.to_db(column, part)
  end
end

-- An embedded value is read as a whole: a part of one says nothing.
local function drop_parts(root, values)
  for _, view in ipairs(root.embedded) do
    local is_whole = true
    for _, column in ipairs(view.stored) do is_whole = is_whole and values[column.index] ~= nil end
    for _, column in ipairs(not is_whole and view.stored or {}) do values[column.index] = nil end
  end
end

-- Values by column index, NULL as orm.null.
local function read(map, row)
  local values, root = {}, map.root
  for name, value in pairs(row) do
    local column = root.column_of[name]
    if column then
      put(values, map, column, value)
    elseif map.props[name] then
      put_property(values, map, map.props[name], value)
    elseif not map.meta.open then
      resolve.view(map, name, "em:map")
    end
  end
  for _, name in ipairs(raw_sql.columns(row) or {}) do
    local column = root.column_of[name] or map.props[name] and map.props[name].column
    if column and values[column.index] == nil then values[column.index] = null end
  end
  drop_parts(root, values)
  return values
end

-- Values as reading gives them. Raises `validation` for what the columns cannot hold.
local function normal(self, map, values)
  local batch = core.flush(self.model)
  return (batch:columns(batch:pair("create", map.root.id, values)))
end

local function key_of(map, values)
  local key = {}
  for i, column in ipairs(map.key) do
    local value = values[column.index]
    if value == nil or value == null then
      refuse(map, column.property, "the row has no value for this part of the key")
    end
    key[i] = value
  end
  return #key == 1 and key[1] or key
end

-- Of which entity the row is: the discriminator says so.
local function kind_of(self, map, values, known)
  local discriminator = map.root.discriminator
  if not discriminator then return map end
  local value = values[discriminator.index]
  if value == nil then
    local meta = known and family.map_of(known).meta or map.meta
    values[discriminator.index] = meta.discriminator_value
    return known and family.map_of(known) or map
  end
  local kind = map.root.by_value[value]
  if not kind then kinds.raise_unknown(map.root, value) end
  if not family.is_a(kind, map) then
    errors.raise("validation", ("em:map: the row is a %s, not a %s"):format(kind.name, map.name),
      { context = self.context_name, entity = map.name })
  end
  return kind
end

-- As a row that the hydrator left to the host.
local function late_row(map, slot, values)
  local row, columns = { slot = slot }, {}
  for _, column in ipairs(map.root.columns) do
    local value = values[column.index]
    if value ~= nil then
      columns[#columns + 1] = column
      if value ~= null then row[column.index] = value end
    end
  end
  return row, { columns = columns }
end

---The managed instance of a row that raw SQL gave: by column names, or by those of properties. A managed instance gets
---the row's values as if it had been read (what was changed in memory stays); columns that the row lacks are not
---loaded. Raises `validation`, `unknown_property`.
---
---Usage: `for _, row in ipairs(em:execute "select * from users") do local user = em:map(User, row) end`
---@param entity table|string
---@param row table
---@return table e
function Manager:map(entity, row)
  admit(self)
  local map = self:mapping(entity)
  if type(row) ~= "table" or getmetatable(row) ~= nil then
    errors.raise("validation", ("em:map of %s takes a row, as em:execute gives it, not %s"):format(map.name,
      type(row) == "table" and "an instance" or "a " .. type(row)), { context = self.context_name, entity = map.name })
  end
  if #map.key == 0 then refuse(map, nil, "the entity has no primary key") end
  local values = normal(self, map, read(map, row))
  local shelf, key = self:shelf_of(map), key_of(map, values)
  local known, slot = shelf:find(key)
  if known and (shelf.new[slot] or shelf.removed[slot]) then return known end
  local kind = kind_of(self, map, values, known)
  local e = known or self:reference(kind, key)
  local late, plan = late_row(map, shelf.slot_of[e], values)
  loads.watch(self, shelf)
  merge.late(shelf, plan, { late })
  loads.settle(self, shelf)
  return e
end

return Manager
