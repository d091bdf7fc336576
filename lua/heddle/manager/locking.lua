--- `em:lock`: one entity, by its version or in the database.
local errors = require("heddle.errors")
local fetch = require("heddle.fetch")
local instance = require("heddle.instance")
local loads = require("heddle.loads")
local locks = require("heddle.locks")
local manager = require("heddle.manager")
local select = require("heddle.select")
local state = require("heddle.state")

local Manager = manager.class
local admit = manager.admit

local function raise_stale(self, map, e, what)
  errors.raise("optimistic_lock", ("%s: %s %s; refresh it and try again"):format("em:lock", instance.name_of(e), what),
    { context = self.context_name, entity = map.name, property = map.version.property })
end

local function raise_gone(self, map, e)
  errors.raise("not_found", ("em:lock: %s is not in the database any more"):format(instance.name_of(e)),
    { context = self.context_name, entity = map.name })
end

-- The version that is loaded; what was never loaded is read now.
local function known_version(self, shelf, slot, e)
  local map, overlay = shelf.mapping, shelf.overlay[slot]
  if overlay and overlay.loaded and not overlay.loaded[map.version.index] then self:refresh(e) end
  return state.snapshot(shelf, slot, map.version.index)
end

-- Without a version to compare with, the row's own is asked for.
local function lock_optimistic(self, shelf, slot, e, version)
  local map = shelf.mapping
  local known = known_version(self, shelf, slot, e)
  if version ~= nil then
    if state.differs(shelf, map.version, version, known) then raise_stale(self, map, e, "has another version") end
    return e
  end
  local name = map.version.property
  local row = fetch.unmanaged(self, select.by_key(map), { shelf:key(slot) }, { connection = "write" })[1]
  if not row or state.differs(shelf, map.version, row[name], known) then
    raise_stale(self, map, e, "was changed or deleted by somebody else since it was read")
  end
  return e
end

local function lock_pessimistic(self, shelf, slot, e, mode)
  local map = shelf.mapping
  locks.check_transaction(self, map, mode)
  local plan, params = select.by_key(map, true, mode), { shelf:key(slot) }
  local results = fetch.managed(self, plan, params)
  if not results[1] then
    if mode:find("skip_locked", 1, true) then return nil end
    raise_gone(self, map, e)
  end
  if fetch.drop_changes(results) then fetch.managed(self, plan, params) end
  loads.settle(self, shelf)
  return e
end

---Locks an entity. `optimistic` compares the version that is loaded with the one given, or else with the row's. The
---pessimistic modes lock the row until the transaction ends, and read it again: changes in memory are dropped. Gives
---the entity, nil when a `_skip_locked` mode met a lock. Raises `optimistic_lock`, `transaction_required`,
---`lock_timeout`, `not_found`, `not_managed`, `validation`, `unsupported`, `read_only`.
---
---Usage: `em:lock(account, "pessimistic_write")` or `em:lock(account, "optimistic", form.version)`
---@param e table
---@param mode "optimistic"|"pessimistic_read"|"pessimistic_write"|string
---@param version? any of an optimistic lock
---@return table|nil e
function Manager:lock(e, mode, version)
  admit(self)
  self:enter()
  local shelf, slot, map = self:locate(e, "em:lock")
  if not shelf or shelf.new[slot] then
    errors.raise("not_managed", ("em:lock: this %s is not in the database yet"):format(map.name),
      { context = self.context_name, entity = map.name })
  end
  locks.check(map, mode, "em:lock")
  if mode == "optimistic" then return lock_optimistic(self, shelf, slot, e, version) end
  if version ~= nil then
    errors.raise("validation", "em:lock: a version goes with the mode optimistic, not with " .. mode,
      { context = self.context_name, entity = map.name })
  end
  return lock_pessimistic(self, shelf, slot, e, mode)
end

return Manager
