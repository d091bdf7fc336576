--- The key of an instance, as the program has given it: to one that no entity manager knows, or anew to a managed one.
local custom = require("heddle.custom")
local instance = require("heddle.instance")
local null = require("heddle.null")
local op = require("heddle.op")
local state = require("heddle.state")

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

---The same as Shelf:find takes it: the value itself where the key is a single one.
---@param e table an instance of no entity manager
---@param map table
---@return any
function given_key.value(e, map)
  local columns = map.key
  local first = columns[1]
  if not first then return nil end
  if first.raw and not first.foreign_key then
    local value = rawget(e, first.property)
    if value == nil then return nil end
    local kind = type(value)
    if not (columns[2] or first.converts) and (kind == "number" or kind == "string") then return value end
  end
  local key = given_key.of(e, map)
  return key and (columns[2] and key or key[1])
end

-- A part of a managed row's key that the program has changed; nil when it has not, or not to what can be a key.
local function changed_part(shelf, slot, column)
  local view, overlay = column.view, shelf.overlay[slot]
  if column.foreign_key then
    local target = overlay and overlay.rel[view.name]
    local meta = instance.meta_of(target)
    return meta and given_key.coming(meta.box.shelf, meta.slot_of[target])[position(view.columns, column)]
  end
  local value = rawget(shelf.instances[slot], column.property)
  if value == nil and overlay then value = overlay.hidden[column.property] end
  local former = state.snapshot(shelf, slot, column.index)
  if value == nil or value == null or value == former or op.is_raw(value) then return nil end
  return state.differs(shelf, column, value, former) and custom.to_db(column, value) or nil
end

---The key that a managed row has once its changes are written; empty when the flush gives it one.
---@param shelf table
---@param slot integer
---@return any[]
function given_key.coming(shelf, slot)
  local key = shelf:row_key(slot)
  if #key == 0 or shelf.new[slot] or shelf.removed[slot] then return key end
  for i, column in ipairs(shelf.mapping.key) do
    local value = changed_part(shelf, slot, column)
    if value ~= nil then key[i] = value end
  end
  return key
end

return given_key
