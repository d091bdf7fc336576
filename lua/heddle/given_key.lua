--- The key of an instance that no entity manager knows, as far as the program has given it.
local custom = require("heddle.custom")
local instance = require("heddle.instance")
local null = require("heddle.null")
local op = require("heddle.op")

local given_key = {}

local function position(list, item)
  for i = 1, #list do
    if list[i] == item then return i end
  end
end

-- A part of the key that is a foreign key: that part of the target's key.
local function foreign_part(e, column)
  local own, view = getmetatable(e).own, column.view
  local target = own and own.values[view.name]
  if target == nil then
    local key = own and own.keys and own.keys[view.name]
    return key and key[position(view.columns, column)]
  end
  local meta = instance.meta_of(target)
  if not meta then return nil end
  local shelf = meta.box and meta.box.shelf
  if shelf then return shelf:key_part(meta.slot_of[target], column) end
  local key = given_key.of(target, view.target)
  return key and key[position(view.columns, column)]
end

local function part(e, column)
  if column.foreign_key then return foreign_part(e, column) end
  local own = getmetatable(e).own
  local value = rawget(e, column.property)
  if value == nil and own then value = own.values[column.property] end
  if op.is_raw(value) then return nil end -- the flush refuses it
  return custom.to_db(column, value)
end

---The key's values in declared order, as the database has them; nil when one is missing.
---@param e table an instance of no entity manager
---@param map table
---@return any[]|nil
function given_key.of(e, map)
  local key = {}
  for i, column in ipairs(map.key) do
    local value = part(e, column)
    if value == nil or value == null then return nil end
    key[i] = value
  end
  return key
end

return given_key
