--- The unit of work's calls: create, persist, remove, flush and their kin; and writing without it.
local bulk = require("heddle.bulk")
local construct = require("heddle.construct")
local errors = require("heddle.errors")
local fetch = require("heddle.fetch")
local flushing = require("heddle.flush")
local gather = require("heddle.flush.gather")
local hooks = require("heddle.hooks")
local instance = require("heddle.instance")
local manager = require("heddle.manager")
local null = require("heddle.null")
local relate = require("heddle.relate")
local state = require("heddle.state")
local undo = require("heddle.undo")

local Manager = manager.class

-- A relation's value in data may be a key; an instance is checked at once (C3).
local function resolve(at, prop, value)
  if instance.kind_of(prop) ~= "one" then return value end
  local meta, view = instance.meta_of(value), at.map.props[prop.name]
  if not meta then
    local kind = type(value)
    if kind == "boolean" or kind == "function" or kind == "table" and #view.target.key == 1 then
      return value -- relate says what is wrong with it
    end
    return at.em:get_reference(view.target.class, value)
  end
  if meta.box then at.em:locate(value, at.map.name .. "." .. prop.name) end
  return value
end

-- A second instance of one key would be a second identity of one row (I4).
local function check_key(self, map, e)
  local shelf = self.shelves[map]
  local key = shelf and shelf:given_key(e)
  if key == nil then return end
  local _, slot = shelf:find(key)
  if slot and not shelf.removed[slot] then shelf:raise_duplicate(key) end
end

---Makes an instance; nothing is written before it is persisted. Raises `unknown_property`, `validation`.
---
---Usage: `local user = em:create(User, { name = "John", team = team })`
---@param entity table|string
---@param data? table
---@return table
function Manager:create(entity, data)
  self:check_global()
  local map = self:mapping(entity)
  local e = construct.construct(map.class, data, resolve, { em = self, map = map })
  if self.context.listeners.on_init then
    self.context:emit("on_init", e, { entity = e, em = self, name = "on_init" })
  end
  check_key(self, map, e)
  return e
end

local function adopt(self, map, e)
  local shelf = self:shelf_of(map)
  local key = shelf:given_key(e)
  local other
  if key ~= nil then
    local _, slot = shelf:find(key)
    if slot and not shelf.removed[slot] then shelf:raise_duplicate(key) end
    other = slot
  end
  -- The key of a row that is marked for removal is free.
  if other then shelf.shelf:drop_key(other) end
  local slot = shelf:adopt(e)
  if key ~= nil then shelf.shelf:set_key(slot, key) end
  undo.note(self, { kind = "adopted", shelf = shelf, slot = slot })
  return shelf, slot
end

local states = { loaded = "managed", partial = "partial", reference = "reference" }

-- A row marked for removal stays after all, unless another has taken its key.
local function keep(self, shelf, slot, e)
  if shelf:key(slot) == nil then
    local key = {}
    for i, column in ipairs(shelf.mapping.key) do key[i] = state.snapshot(shelf, slot, column.index) end
    if shelf:find(#key == 1 and key[1] or key) then shelf:raise_duplicate(key) end
    shelf.shelf:set_key(slot, key)
  end
  shelf.removed[slot] = nil
  shelf.shelf:set_state(slot, states[getmetatable(e).load_state])
  undo.note(self, { kind = "kept", shelf = shelf, slot = slot })
end

local function persist(self, e)
  if e == nil then
    errors.raise("validation", "em:persist takes an instance of an entity, not nil", { context = self.context_name })
  end
  local shelf, slot, map = self:locate(e, "em:persist")
  if map.meta.readonly then
    errors.raise("read_only", ("Entity '%s' is read only"):format(map.name), { entity = map.name,
      context = self.context_name })
  end
  if not shelf then
    hooks.guard(self, "persist")
    if getmetatable(e).own and getmetatable(e).own.unloaded then
      errors.raise("not_managed", ("em:persist: this %s was read without the entity manager "
        .. "and only in part; em:merge(it)")
        :format(map.name), { entity = map.name, context = self.context_name })
    end
    relate.check_reach(self, e)
    adopt(self, map, e)
  elseif shelf.removed[slot] then
    keep(self, shelf, slot, e)
  end
end
gather.adopt = adopt

---Marks new instances for insertion at the next flush. Raises `wrong_context`, `not_managed`, `entity_not_registered`.
---
---Usage: `em:persist(a, b):persist(c):flush()`
---@return heddle.EntityManager self
function Manager:persist(e, ...)
  self:check_global()
  self:enter()
  persist(self, e)
  for i = 1, select("#", ...) do persist(self, (select(i, ...))) end
  return self
end

local function remove(self, e)
  hooks.guard(self, "remove")
  local shelf, slot, map = self:locate(e, "em:remove")
  if not shelf then
    errors.raise("not_managed", ("em:remove: this %s is not managed; read it first, "
      .. "or use em:get_reference"):format(map.name),
      { context = self.context_name, entity = map.name })
  end
  if shelf.new[slot] then
    undo.note(self, { kind = "forgotten", shelf = shelf, slot = slot, e = e, overlay = shelf.overlay[slot] })
    shelf:release(slot)
  elseif not shelf.removed[slot] then
    shelf.removed[slot] = true
    shelf.shelf:set_state(slot, "removed")
    undo.note(self, { kind = "removed", shelf = shelf, slot = slot })
  end
end

---Marks entities for deletion at the next flush.
---
---Usage: `em:remove(user):flush()`
---@return heddle.EntityManager self
function Manager:remove(e, ...)
  self:check_global()
  self:enter()
  remove(self, e)
  for i = 1, select("#", ...) do remove(self, (select(i, ...))) end
  return self
end

---Writes every pending change in one transaction. Raises `validation`, the constraint kinds, `optimistic_lock`,
---`not_found` ...
---
---Usage: `em:flush()`
function Manager:flush()
  self:check_global()
  self:enter()
  flushing.flush(self)
end

---Takes back a flush whose coroutine will never go on.
function Manager:break_flush()
  flushing.break_off(self)
end

---@return table e
function Manager:persist_and_flush(e, ...)
  self:persist(e, ...)
  self:flush()
  return e
end

---@return table e
function Manager:remove_and_flush(e, ...)
  self:remove(e, ...)
  self:flush()
  return e
end

---Sets several properties; `orm.null` empties one, a relation takes a key too. Raises `unknown_property`.
---
---Usage: `em:assign(user, { name = "Jane", team = 3 })`
---@return table e
function Manager:assign(e, data)
  local shelf, slot, map = self:locate(e, "em:assign")
  if type(data) ~= "table" or getmetatable(data) ~= nil then
    errors.raise("validation", "em:assign takes a plain table of properties", { entity = map.name })
  end
  local by_name, at, values = map.meta.by_name, { em = self, map = map }, {}
  local is_new = not shelf or shelf.new[slot]
  for name, value in pairs(data) do
    local prop = by_name[name]
    if prop == nil and not map.meta.open then instance.raise_unknown(map.meta, name) end
    if prop and value ~= null and instance.kind_of(prop) == "one" then
      value = resolve(at, prop, value)
      relate.check(getmetatable(e), prop, value)
    end
    values[name] = value
  end
  for name, value in pairs(values) do
    local prop = by_name[name]
    -- To a new row an absent field means the database's default: NULL has to be said.
    if value == null and not (is_new and prop and prop.default_sql) then value = nil end
    e[name] = value
  end
  return e
end

---The entity is managed no more; what was pending for it is not written.
function Manager:detach(e)
  local shelf, slot = self:locate(e, "em:detach")
  if not shelf then return self end
  undo.note(self, { kind = "detached", shelf = shelf, slot = slot, e = e, overlay = shelf.overlay[slot],
    meta = getmetatable(e), snapshots = state.snapshots(shelf, slot), new = shelf.new[slot],
    removed = shelf.removed[slot] })
  shelf:release(slot)
  return self
end

-- Without the unit of work ---------------------------------------------------------------------------------

local function run(self, plan, params)
  local status = self:start(plan, params)
  if status == 1 then self.link:finish() end
  local affected = self.link:affected()
  if self.context:is_logged() then self.context:log(self.link) end
  return affected
end

---Updates rows by filter, without entities. Raises `validation` for an empty filter unless `all = true`.
---
---Usage: `em:update_where(User, { team = 3 }, { active = false })`
---@return integer rows
function Manager:update_where(entity, where, data, opts)
  self:check_global()
  local plan, params = bulk.update(self:mapping(entity), where, data, opts)
  fetch.flush_before(self, plan)
  return run(self, plan, params)
end

---Deletes rows by filter, without entities.
---
---Usage: `em:delete_where(Session, { expires_at = op.lt(orm.now()) })`
---@return integer rows
function Manager:delete_where(entity, where, opts)
  self:check_global()
  local plan, params = bulk.delete(self:mapping(entity), where, opts)
  fetch.flush_before(self, plan)
  return run(self, plan, params)
end

-- An instance in data stands for its key: the row is written through another identity map than this one's.
local function with_keys(self, map, data)
  local copy = {}
  for name, value in pairs(type(data) == "table" and data or {}) do
    local prop = map.meta.by_name[name]
    if prop and instance.kind_of(prop) == "one" and instance.meta_of(value) then
      local shelf, slot = self:locate(value, map.name .. "." .. name)
      local key = shelf and shelf:program_key(slot) or {}
      if #key == 0 then
        errors.raise("not_managed", ("%s.%s: this %s has no row yet; flush it first"):format(map.name, name,
          getmetatable(value).definition.name), { context = self.context_name, entity = map.name, property = name })
      end
      value = #key == 1 and key[1] or key
    end
    copy[name] = value
  end
  return getmetatable(data) == nil and copy or data
end

-- Rows written through an identity map of their own, on this one's connection and transaction.
local function insert_rows(self, entity, list)
  local aside = self:sibling()
  aside.plain = true
  aside.transactions = self.transactions
  local map, made = self:mapping(entity), {}
  for i, data in ipairs(list) do
    made[i] = aside:create(entity, with_keys(self, map, data))
    aside:persist(made[i])
  end
  aside:flush()
  local shelf, keys = aside:shelf_of(aside:mapping(entity)), {}
  for i, e in ipairs(made) do
    local key = shelf:program_key(shelf.slot_of[e])
    keys[i] = #key == 1 and key[1] or key
  end
  aside:clear()
  return keys
end

---Inserts one row without an entity to manage; hooks do not run. Gives its key.
---
---Usage: `local id = em:insert(User, { name = "John" })`
function Manager:insert(entity, data)
  self:check_global()
  self:enter()
  return insert_rows(self, entity, { data or {} })[1]
end

---Inserts many rows; gives their keys in the order of the list.
function Manager:insert_many(entity, list)
  self:check_global()
  self:enter()
  if type(list) ~= "table" then
    errors.raise("validation", ("insert_many of %s takes a list of tables, not a %s"):format(self:mapping(entity).name,
      type(list)), { context = self.context_name })
  end
  return insert_rows(self, entity, list)
end

return Manager
