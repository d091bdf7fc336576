--- Nested data of `em:create` and `em:assign`: what a relation's value in data stands for.
---
--- An instance is itself, a key a reference. A plain table is the data of a target: with a key, that of the row which
--- has it; without one, that of the target which is there and loaded, or of a new one. What is to be assigned to
--- instances that are there already is gathered in `steps` and done when everything has been checked.
local later = require("heddle.later")
local errors = require("heddle.errors")
local filter = later.module("heddle.filter")
local instance = require("heddle.instance")
local key_form = require("heddle.key_form")
local null = require("heddle.null")
local relate = require("heddle.relate")
local relations = require("heddle.relations")

local nested = {}

---Set by manager/creating: makes an instance of nested data; what data means for an instance that is there.
---@type fun(at: heddle.Nesting, map: table, data: table): table
nested.create = nil
---@type fun(at: heddle.Nesting, e: table, data: table)
nested.prepare = nil
later.fill(nested, { ["heddle.manager.creating"] = "create prepare" })

---@class heddle.Nesting
---@field em table
---@field map table of the entity whose data is read
---@field into? table the entity manager whose instance is assigned to
---@field steps table[] what is to be assigned afterwards: { e, map, values }, to a new instance { e, map, given }
---@field depth integer

local DEEPEST = 100

---Where a relation's target stands, seen from its owner.
function nested.below(at, map)
  if at.depth >= DEEPEST then
    errors.raise("validation", ("data of %s: nested too deeply, or in a circle"):format(map.name),
      { context = at.em.context_name, entity = map.name })
  end
  return { em = at.em, map = map, into = at.into, steps = at.steps, depth = at.depth + 1 }
end

-- Keys -----------------------------------------------------------------------------------------------------

-- C3: what is managed has to be managed here.
local function check_manager(at, map, name, value)
  local meta = instance.meta_of(value)
  if meta and meta.box then at.em:locate(value, map.name .. "." .. name) end
end

-- The key in nested data; what else it says; whether the owner stands in a child's key, whose data leaves it out.
local function split(at, map, data, owner)
  local key, rest = {}, {}
  for name, value in pairs(data) do
    local prop = map.meta.by_name[name]
    local part = prop and prop.primary and key or rest
    part[name] = value
    if part == key then check_manager(at, map, name, value) end
  end
  local is_child = owner ~= nil and owner.prop.primary and key[owner.prop.name] == nil
  if is_child then key[owner.prop.name] = owner.e end
  -- An instance without a key makes none.
  local values = key_form.values(map, key, function(value, of)
    local ok, found = pcall(filter.hooks.key_of, value, of)
    return ok and found or nil
  end)
  return values, rest, is_child
end

local function key_of(e)
  local meta = instance.meta_of(e)
  local shelf = meta and meta.box and meta.box.shelf
  return shelf and shelf:program_key(meta.slot_of[e]) or nil
end

local function is_key_of(key, e)
  local own = key_of(e)
  if not own or #own ~= #key then return false end
  for i = 1, #key do
    if own[i] ~= key[i] then return false end
  end
  return true
end

-- Targets --------------------------------------------------------------------------------------------------

local function is_loaded(e)
  local meta = getmetatable(e)
  return meta.load_state ~= "reference" and not (meta.own and meta.own.unloaded)
end

local function assign(at, e, data)
  if next(data) ~= nil then nested.prepare(nested.below(at, at.em:mapping(getmetatable(e).class)), e, data) end
  return e
end

-- The target that nested data speaks of.
local function target(at, map, data, current, owner)
  local key, rest, is_child = split(at, map, data, owner)
  if not key then
    if current and is_loaded(current) then return assign(at, current, data) end
    return nested.create(nested.below(at, map), map, data)
  end
  if current and is_key_of(key, current) then return assign(at, current, rest) end
  local known = at.em:known(map, #key == 1 and key[1] or key)
  -- Who makes the keys of an entity may be giving one to a new row; the database's are of rows that are there.
  if not known and (is_child or next(rest) ~= nil) and not map.auto_key then
    return nested.create(nested.below(at, map), map, data)
  end
  return assign(at, known or at.em:get_reference(map.class, #key == 1 and key[1] or key), rest)
end

local function is_list(value)
  return value[1] ~= nil
end

local function is_plain(value)
  return type(value) == "table" and getmetatable(value) == nil
end

-- One target, as it stands in data: nil for what is none, which the relation itself refuses best.
local function one(at, view, value, current, owner)
  if instance.meta_of(value) then
    check_manager(at, at.map, view.name, value)
    return value
  end
  local kind, map = type(value), view.target
  -- An empty table may be no data or no list: the relation says so.
  if is_plain(value) and not is_list(value) and next(value) ~= nil then
    if at.em.plain and not key_form.values(map, value, filter.hooks.key_of) then return nil end
    return target(at, map, value, current, owner)
  end
  if kind == "boolean" or kind == "function" or kind == "table" and #map.key == 1 then return nil end
  return at.em:get_reference(map.class, value)
end

-- What stands for the metatable of an owner that is only being made.
local function place_of(at)
  return { definition = at.map.meta, context_name = at.em.context_name }
end

local function check_list(at, view, list)
  local count = 0
  for _ in pairs(list) do count = count + 1 end
  if count == #list then return end
  errors.raise("validation", ("%s.%s takes a list of instances, keys or data of %s, without holes and names"):format(
    at.map.name, view.name, view.target.name),
    { context = at.em.context_name, entity = at.map.name, property = view.name })
end

local function many(at, view, e, list)
  check_list(at, view, list)
  local owner = view.prop.kind == "one_to_many" and e
    and { e = e, prop = view.target.meta.by_name[view.prop.mapped_by] } or nil
  local meta, targets = e and getmetatable(e) or place_of(at), {}
  for i = 1, #list do
    targets[i] = one(at, view, list[i], nil, owner) or list[i]
    relate.check(meta, view.prop, targets[i])
  end
  return targets
end

local function current_member(e, view)
  local state = e and relations.known(e, view.name)
  return state and state:known()[1]
end

---What a relation's value in data stands for, checked.
---@param at heddle.Nesting
---@param view table
---@param value any not nil
---@param e table|nil the owner, when it is there already
---@return any
function nested.value(at, view, value, e)
  local prop = view.prop
  local kind = instance.kind_of(prop)
  if value == null or kind ~= "one" and kind ~= "many" then return value end
  if kind == "one" then
    local current = e and is_plain(value) and relate.peek(e, prop) or nil
    value = one(at, view, value, current) or value
  elseif prop.kind == "one_to_one" then
    value = one(at, view, value, is_plain(value) and current_member(e, view) or nil) or value
    relate.check(e and getmetatable(e) or place_of(at), prop, value)
  elseif is_plain(value) then
    return many(at, view, e, value)
  end
  return value
end

return nested
