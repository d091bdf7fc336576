--- The unit of work's calls: persist, remove, flush and their kin.
local adopters = require("heddle.adopters")
local cascade = require("heddle.relations.cascade")
local core = require("heddle.core")
local errors = require("heddle.errors")
local family = require("heddle.family")
local flushing = require("heddle.flush")
local hooks = require("heddle.hooks")
local manager = require("heddle.manager")
local prepare = require("heddle.flush.prepare")
local readonly = require("heddle.readonly")
local rejoin = require("heddle.relations.rejoin")
local relate = require("heddle.relate")
local relations = require("heddle.relations")
local state = require("heddle.state")
local undo = require("heddle.undo")
local wait = require("heddle.wait")
local withdrawn = require("heddle.relations.withdrawn")

require("heddle.manager.entering")

local Manager = manager.class
local admit, check_receiver = manager.admit, manager.check_receiver
local enter = Manager.enter
local waits = wait.waits
-- Of usual new instances of kinds that were adopted before.
local adopt_usual = core.adopt

local function adopt(self, map, e)
  relate.check_reach(self, e)
  local shelf = self:shelf_of(map)
  local key = shelf:given_key(e)
  local other
  if key ~= nil then
    other = select(2, shelf:find(key))
    local holder = other and shelf.instances[other]
    -- An orphan whose key is taken cannot find another place.
    if holder and relations.is_leaving(self, holder) then cascade.remove(self, holder) end
    if other and not shelf.removed[other] then shelf:raise_duplicate(key) end
  end
  -- The key of a row that is marked for removal is free.
  if other then shelf.shelf:drop_key(other) end
  local meta = getmetatable(e)
  local own, slot = meta.own, shelf:adopt(e)
  if key ~= nil then shelf.shelf:set_key(slot, key) end
  undo.note_adopted(self, shelf, slot)
  if not own then adopters.add(self, shelf, meta) end
  -- The keys of a row that was deleted lead where it led.
  if self.is_rewound or own and own.keys then rejoin.follow(e) end
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
  readonly.check(self, map, "em:persist")
  if not shelf then
    hooks.guard(self, "persist")
    if getmetatable(e).is_stored then
      errors.raise("not_managed", ("em:persist: this %s has a row but is not managed: it was detached, or read so; "
        .. "em:merge(it)"):format(map.name), { entity = map.name, context = self.context_name })
    end
    adopt(self, map, e)
  elseif shelf.removed[slot] then
    hooks.guard(self, "persist")
    keep(self, shelf, slot, e)
  end
end
cascade.adopt = adopt

---Marks new instances for insertion at the next flush. Raises `wrong_context`, `not_managed`, `entity_not_registered`.
---
---Usage: `em:persist(a, b):persist(c):flush()`
---@return heddle.EntityManager self
function Manager:persist(...)
  local context = self and self.context
  if not context or context.global == self then admit(self) end
  local link = self.link
  -- As Manager:enter, which is called when there is something to check.
  if self.wary or context.closed or link and waits[link] or self.transactions[1] then enter(self) end
  local known = self.adopters
  if known and not self.hook then
    local shelf, slot = adopt_usual(known, self.mark_serial, ...)
    if slot then undo.note_adopted(self, shelf, slot) end
    if shelf and (not slot or select("#", ...) == 1) then return self end
  end
  for i = 1, math.max(1, select("#", ...)) do persist(self, (select(i, ...))) end
  return self
end

local function is_same(a, b)
  for i = 1, #a do
    if a[i] ~= b[i] then return false end
  end
  return true
end

-- A new row leaves. A key that it had taken over is again that of the row which is marked for removal.
local function let_go(shelf, slot)
  local key = shelf:row_key(slot)
  shelf:release(slot)
  for other in pairs(#key > 0 and shelf.removed or {}) do
    if shelf:key(other) == nil and is_same(key, shelf:row_key(other)) then shelf.shelf:set_key(other, key) end
  end
end

-- A new row leaves.
local function forget(self, e)
  local meta = getmetatable(e)
  local shelf, slot = meta.box.shelf, meta.slot_of[e]
  undo.note(self, { kind = "forgotten", shelf = shelf, slot = slot, e = e, since = shelf.adopted[slot] })
  let_go(shelf, slot)
end

local function remove(self, e)
  local shelf, slot, map = self:locate(e, "em:remove")
  if not shelf then
    errors.raise("not_managed", ("em:remove: this %s is not managed; read it first, "
      .. "or use em:get_reference"):format(map.name),
      { context = self.context_name, entity = map.name })
  end
  readonly.check(self, family.map_of(e), "em:remove")
  if shelf.new[slot] then
    local list = withdrawn.forget(self, e)
    for i = #list, 1, -1 do forget(self, list[i]) end
  elseif not shelf.removed[slot] then
    shelf.removed[slot] = true
    shelf.shelf:set_state(slot, "removed")
    undo.note(self, { kind = "removed", shelf = shelf, slot = slot })
  end
end

cascade.remove = remove

---Marks entities for deletion at the next flush.
---
---Usage: `em:remove(user):flush()`
---@return heddle.EntityManager self
function Manager:remove(e, ...)
  admit(self)
  self:enter()
  hooks.guard(self, "remove")
  remove(self, e)
  for i = 1, select("#", ...) do remove(self, (select(i, ...))) end
  return self
end

---Writes every pending change in one transaction. Raises `validation`, the constraint kinds, `optimistic_lock`,
---`not_found` ...
---
---Usage: `em:flush()`
function Manager:flush()
  admit(self)
  self:enter()
  flushing.flush(self)
end

---What a flush would write now, as far as memory knows it: no hook is called, nothing is read, nothing written.
---
---Usage: `for _, change in ipairs(em:changes()) do print(change.op, change.entity) end`
---@return table[] changes { op, entity, name, values, old }, {} when nothing is pending
function Manager:changes()
  admit(self)
  self:enter()
  return prepare.peek(self)
end

---Takes back a flush whose coroutine will never go on.
function Manager:break_flush()
  flushing.break_off(self)
end

---@return table e
function Manager:persist_and_flush(e, ...)
  check_receiver(self)
  self:persist(e, ...)
  self:flush()
  return e
end

---@return table e
function Manager:remove_and_flush(e, ...)
  check_receiver(self)
  self:remove(e, ...)
  self:flush()
  return e
end

---The entity is managed no more; what was pending for it is not written.
function Manager:detach(e)
  check_receiver(self)
  hooks.guard(self, "detach")
  local shelf, slot = self:locate(e, "em:detach")
  if not shelf then return self end
  withdrawn.withdraw(self, e)
  undo.note(self, { kind = "detached", shelf = shelf, slot = slot, e = e, overlay = shelf.overlay[slot],
    meta = getmetatable(e), snapshots = state.snapshots(shelf, slot), new = shelf.new[slot],
    removed = shelf.removed[slot], since = shelf.adopted[slot] })
  if shelf.new[slot] then let_go(shelf, slot) else shelf:release(slot) end
  return self
end

return Manager
