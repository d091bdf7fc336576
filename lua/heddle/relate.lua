--- To-one relations in memory: what may be assigned, and the reference behind a foreign key.
local class_of = require("heddle.class")
local errors = require("heddle.errors")
local instance = require("heddle.instance")
local null = require("heddle.null")
local state = require("heddle.state")

local relate = {}

local function target_name(prop)
  local definition = class_of.definition_of(prop.target)
  return definition and definition.name or prop.target
end

local function refuse(meta, prop, kind, message, context_name)
  errors.raise(kind, ("%s.%s: %s"):format(meta.definition.name, prop.name, message),
    { entity = meta.definition.name, property = prop.name, context = context_name or meta.context_name })
end

local function describe(value)
  local meta = instance.meta_of(value)
  if meta then return "an instance of " .. meta.definition.name end
  return type(value) == "table" and "a plain table" or "a " .. type(value)
end

-- Both may belong to a context before an entity manager has them.
local function check_context(context_name, meta, other, prop)
  if not (context_name and other.context_name) or other.context_name == context_name then return end
  refuse(meta, prop, "wrong_context", ("the %s belongs to context '%s', this %s to '%s'; relate entities of one "
    .. "context, or keep the key in a plain property"):format(other.definition.name, other.context_name,
    meta.definition.name, context_name), context_name)
end

-- What an entity manager's instance points at has to be the same entity manager's, or nobody's.
local function check_owner(em, meta, other, prop)
  check_context(em.context_name, meta, other, prop)
  local shelf = other.box.shelf
  if shelf and shelf.em == em then return end
  refuse(meta, prop, "not_managed", shelf
    and ("the %s is managed by another entity manager; em:merge(it) gives this one's own"):format(other.definition.name)
    or ("the entity manager of the %s is gone; em:merge(it) gives this one's own"):format(other.definition.name),
    em.context_name)
end

-- A part of a row is not a new one.
local function check_whole(meta, other, prop)
  if not (other.own and other.own.unloaded) then return end
  refuse(meta, prop, "not_managed", ("the %s was read without an entity manager and only in part; em:merge(it) gives "
    .. "one's own"):format(other.definition.name))
end

---Checks what an instance of no entity manager leads to, now that one is about to write it.
---@param em table
---@param e table
---@param seen table?
function relate.check_reach(em, e, seen)
  local meta = getmetatable(e)
  if meta.box or not meta.own then return end
  seen = seen or {}
  if seen[e] then return end
  seen[e] = true
  for name, target in pairs(meta.own.values) do
    local other = instance.meta_of(target)
    if other and other.box then
      check_owner(em, meta, other, meta.definition.by_name[name])
    elseif other then
      check_whole(meta, other, meta.definition.by_name[name])
      relate.check_reach(em, target, seen)
    end
  end
end

-- An instance of an entity manager knows the very entity that its relation leads to, another one perhaps only its name.
local function is_target(meta, prop, other)
  local view = meta.views and meta.views[prop.name]
  if view then return other.definition == view.target.meta end
  return other.definition.name == target_name(prop)
end

---Checks what is assigned to a to-one relation of an instance.
function relate.check(meta, prop, value)
  local other = instance.meta_of(value)
  if not other or not is_target(meta, prop, other) then
    refuse(meta, prop, "validation", ("takes an instance of %s or nil, not %s"):format(target_name(prop),
      describe(value)))
  end
  check_context(meta.context_name, meta, other, prop)
  local shelf = meta.box and meta.box.shelf
  if not shelf then return end
  if other.box then return check_owner(shelf.em, meta, other, prop) end
  check_whole(meta, other, prop)
  relate.check_reach(shelf.em, value)
end

function instance.relate(e, meta, prop, value)
  if value == nil then value = null end
  if value ~= null then relate.check(meta, prop, value) end
  if not meta.box then
    instance.own(e).values[prop.name] = value
    return
  end
  local shelf = meta.box.shelf
  if not shelf then
    refuse(meta, prop, "not_managed", "the entity manager of this instance is gone; merge it into another")
  end
  local slot = meta.slot_of[e]
  local overlay = state.overlay(shelf, slot)
  overlay.rel[prop.name] = value
  for _, column in ipairs(meta.views[prop.name].columns) do overlay.assigned[column.index] = true end
end

-- A reference of nobody: only its key.
local function loose_reference(view, key)
  local target = view.target
  local e = setmetatable({}, instance.unmanaged(target.class))
  local own = instance.own(e)
  own.unloaded = {}
  for _, column in ipairs(target.columns) do own.unloaded[column.property] = true end
  for i, column in ipairs(target.key) do
    if column.raw then rawset(e, column.property, key[i]) end
    own.unloaded[column.property] = nil
  end
  return e
end

function instance.reference(meta, _, view, key)
  local shelf = meta.box and meta.box.shelf
  if shelf then return shelf.em:reference(view.target, key) end
  local own = meta.own
  if not own then return loose_reference(view, key) end
  own.references = own.references or {}
  own.references[view.name] = own.references[view.name] or loose_reference(view, key)
  return own.references[view.name]
end

return relate
