--- To-one relations in memory: what may be assigned, and the reference behind a foreign key.
local class_of = require("heddle.class")
local custom = require("heddle.custom")
local errors = require("heddle.errors")
local later = require("heddle.later")
local group = require("heddle.relations.group")
local holders = require("heddle.relations.holders")
local inherit = require("heddle.inherit")
local instance = require("heddle.instance")
local null = require("heddle.null")
local state = require("heddle.state")

local relate = {}

---Set by heddle.relations: the other side follows.
---@type fun(e: table, prop: table, old: table|nil, new: table|nil)
relate.moved = nil

---Set by heddle.relations: an instance has lost its place with somebody whom nobody manages.
---@type fun(e: table, prop: table)
relate.abandoned = nil
later.fill(relate, { ["heddle.relations"] = "moved abandoned" })

local function target_name(prop)
  local definition = class_of.definition_of(prop.target)
  return definition and definition.name or prop.target
end
relate.target_name = target_name

local function refuse(meta, prop, kind, message, context_name)
  errors.raise(kind, ("%s.%s: %s"):format(meta.definition.name, prop.name, message),
    { entity = meta.definition.name, property = prop.name, context = context_name or meta.context_name })
end

---What a value is that came instead of an instance.
---@return string
function relate.describe(value)
  local meta = instance.meta_of(value)
  if meta then return "an instance of " .. meta.definition.name end
  if value == nil or value == null then return value == nil and "nil" or "orm.null" end
  if type(value) ~= "table" then return "a " .. type(value) end
  return next(value) == nil and getmetatable(value) == nil and "an empty table" or "a plain table"
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

-- What a row was read for is not a new one.
local function check_new(meta, other, prop)
  if not other.is_stored then return end
  refuse(meta, prop, "not_managed", ("the %s has a row but is not managed: it was detached, or read so; em:merge(it) "
    .. "gives one's own"):format(other.definition.name))
end

-- What nobody manages yet is to be looked at too.
local function check_one(em, meta, prop, target, run)
  local other = instance.meta_of(target)
  if other and other.box then return check_owner(em, meta, other, prop) end
  if not other or run.seen[target] then return end
  check_new(meta, other, prop)
  run.seen[target], run[#run + 1] = true, target
end

---Checks what an instance of no entity manager leads to, now that one is about to write it.
---@param em table
---@param e table
function relate.check_reach(em, e)
  local own = getmetatable(e).own
  if getmetatable(e).box or not own or not group.is_doubtful(em, e) then return end
  local run, at = { e, seen = { [e] = true } }, 1
  while run[at] do
    local meta = getmetatable(run[at])
    for name, target in pairs(meta.own and meta.own.values or {}) do
      check_one(em, meta, meta.definition.by_name[name], target, run)
    end
    for name, list in pairs(meta.own and meta.own.lists or {}) do
      for _, target in ipairs(list:known()) do check_one(em, meta, meta.definition.by_name[name], target, run) end
    end
    at = at + 1
  end
end

---The same of what an instance of no entity manager is going to lead to.
---@param em table
---@param e table
---@param list heddle.Given[]
function relate.check_coming(em, e, list)
  local meta = getmetatable(e)
  for _, item in ipairs(list) do
    for _, target in ipairs(item.targets) do
      local other = instance.meta_of(target)
      if other.box then
        check_owner(em, meta, other, item.prop)
      else
        check_new(meta, other, item.prop)
        relate.check_reach(em, target)
      end
    end
  end
end

-- An instance of an entity manager knows the very entity that its relation leads to, another one perhaps only its name.
local function is_target(meta, prop, other)
  local view = meta.views and meta.views[prop.name]
  if view then return inherit.is_a(other.definition, view.target.meta) end
  return inherit.is_named(other.definition, target_name(prop))
end

---Checks what is assigned to a to-one relation of an instance.
function relate.check(meta, prop, value)
  local other = instance.meta_of(value)
  if not other or not is_target(meta, prop, other) then
    refuse(meta, prop, "validation", ("takes an instance of %s or nil, not %s"):format(target_name(prop),
      relate.describe(value)))
  end
  check_context(meta.context_name, meta, other, prop)
  local shelf = meta.box and meta.box.shelf
  if not shelf then return end
  if other.box then return check_owner(shelf.em, meta, other, prop) end
  check_new(meta, other, prop)
  relate.check_reach(shelf.em, value)
end

---Checks what is to be a member of a collection.
---@param owner table
---@param prop table
function relate.check_member(owner, prop, value)
  local meta, other = getmetatable(owner), instance.meta_of(value)
  if not other or not is_target(meta, prop, other) then
    refuse(meta, prop, "validation", ("takes instances of %s, not %s"):format(target_name(prop),
      relate.describe(value)))
  end
  check_context(meta.context_name, meta, other, prop)
  local shelf = meta.box and meta.box.shelf
  if shelf then
    if other.box then return check_owner(shelf.em, meta, other, prop) end
    check_new(meta, other, prop)
    return relate.check_reach(shelf.em, value)
  end
  if meta.box or other.box and not other.box.shelf then
    refuse(meta, prop, "not_managed", ("the entity manager of %s is gone; merge it into another"):format(
      meta.box and "this instance" or "the " .. other.definition.name))
  end
  if other.box then relate.check_reach(other.box.shelf.em, owner) end
end

---Where a managed instance's relation leads by its foreign key, when that is managed too.
function relate.stored(meta, shelf, slot, view)
  local overlay, key = shelf.overlay[slot], {}
  for i, column in ipairs(view.columns) do
    if overlay and overlay.loaded and not overlay.loaded[column.index] then return nil, false end
    key[i] = state.snapshot(meta, slot, column.index)
  end
  if #key < #view.columns then return nil, true end
  local e = shelf.em:shelf_of(view.target):find(#key == 1 and key[1] or key)
  return e, e ~= nil, true
end

---Where a to-one relation leads; nothing is read for it, and no reference is made.
---@param e table
---@param prop table
---@return table|nil target
---@return boolean is_known false where only the database knows, or where the target is not managed
---@return boolean|nil has_key its foreign key is known, and leads to what is not managed if nothing else is
function relate.peek(e, prop)
  local meta = getmetatable(e)
  if not meta.box then
    local target = meta.own and meta.own.values[prop.name]
    if target == null then target = nil end
    return target, true
  end
  local shelf = meta.box.shelf
  if not shelf then return nil, false end
  local slot = meta.slot_of[e]
  local overlay = shelf.overlay[slot]
  local assigned = overlay and overlay.rel[prop.name]
  if assigned == null then return nil, true end
  if assigned ~= nil then return assigned, true end
  return relate.stored(meta, shelf, slot, meta.views[prop.name])
end

---Whether a to-one relation leads to another instance than this, or nowhere, for all that is known.
---@param owner table managed when e is
---@return boolean
function relate.leads_elsewhere(e, prop, owner)
  local target, is_known, has_key = relate.peek(e, prop)
  return target ~= owner and (is_known or has_key or false)
end

---Whether only the database knows where a to-one relation leads.
---@return boolean
function relate.is_unread(e, prop)
  local _, is_known, has_key = relate.peek(e, prop)
  return not (is_known or has_key)
end

function instance.relate(e, meta, prop, value)
  if value == nil then value = null end
  if value ~= null then relate.check(meta, prop, value) end
  local shelf = meta.box and meta.box.shelf
  if meta.box and not shelf then
    refuse(meta, prop, "not_managed", "the entity manager of this instance is gone; merge it into another")
  end
  local former, is_known, has_key = relate.peek(e, prop)
  if not shelf then
    instance.own(e).values[prop.name] = value
  else
    local slot = meta.slot_of[e]
    local overlay = state.overlay(shelf, slot)
    overlay.rel[prop.name] = value
    holders.note_row(shelf.em, e, value)
    for _, column in ipairs(meta.views[prop.name].columns) do overlay.assigned[column.index] = true end
  end
  if value ~= null then
    group.join(e, value)
  elseif has_key and not former or not is_known and not prop.nullable then
    relate.abandoned(e, prop)
  end
  relate.moved(e, prop, former, value ~= null and value or nil)
end

-- A part of the key of a relation that is itself a part of a key.
local function keep_key(own, map, column, value)
  local name = column.view.name
  own.keys, own.views = own.keys or {}, map.props
  own.keys[name] = own.keys[name] or {}
  for i, other in ipairs(column.view.columns) do
    if other == column then own.keys[name][i] = value end
  end
end

-- A reference of nobody: only its key.
local function loose_reference(view, key)
  local target = view.target
  local e = setmetatable({}, instance.stored(target.class))
  local own = instance.own(e)
  own.unloaded = {}
  for _, column in ipairs(target.columns) do own.unloaded[column.view.name] = true end
  for i, column in ipairs(target.key) do
    local key_view = column.view
    own.unloaded[key_view.name] = nil
    local kind = instance.kind_of(key_view.prop)
    if kind == "one" then
      keep_key(own, target, column, key[i])
    elseif kind == "hidden" then
      own.values[key_view.name] = custom.from_db(column, key[i])
    else
      rawset(e, column.property, custom.from_db(column, key[i]))
    end
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
