--- `em:merge`: this entity manager's own instance of what another one, or none, holds.
local custom = require("heddle.custom")
local errors = require("heddle.errors")
local instance = require("heddle.instance")
local manager = require("heddle.manager")
local null = require("heddle.null")
local resolve = require("heddle.resolve")

local Manager = manager.class
local admit = manager.admit

local NOT_LOADED = {}
local UNFILTERED = { filters = false } -- a row that a filter hides is no new one

-- What an instance holds of a property, without raising for what it never had.
local function value_of(e, meta, view)
  local own = meta.own
  if own and own.unloaded and own.unloaded[view.name] then return NOT_LOADED end
  local overlay = meta.overlay and meta.overlay[meta.slot_of[e]]
  local column = view.stored and view.stored[1]
  if overlay and overlay.loaded and column
    and not (overlay.loaded[column.index] or overlay.assigned[column.index]) then return NOT_LOADED end
  return e[view.name]
end

-- A related instance of another entity manager stands for its key.
local function own_target(self, map, view, value)
  local meta = instance.meta_of(value)
  local owner = meta.box and meta.box.shelf
  if owner and owner.em == self or not owner and not meta.is_stored then return value end
  local key = owner and { owner:key(meta.slot_of[value]) } or self:shelf_of(view.target):given_key(value)
  if type(key) ~= "table" then return self:reference(self:mapping(meta.class), key) end
  if #key == 0 then
    errors.raise("not_managed", ("em:merge: %s.%s is a %s that has no row yet; flush it where it is managed, or "
      .. "merge it first"):format(map.name, view.name, view.target.name),
      { context = self.context_name, entity = map.name, property = view.name })
  end
  return self:reference(self:mapping(meta.class), #key == 1 and key[1] or key)
end

-- The values to take over; of a row that is there already its key and what the database counts are not among them.
local function data_of(self, map, e, is_known)
  local meta, data = getmetatable(e), {}
  for _, view in ipairs(map.list) do
    local kind, column = instance.kind_of(view.prop), view.column
    local fixed = column and (column.version or column.generated or is_known and column.primary)
      or view.columns and view.columns[1] and is_known and view.columns[1].primary
    if kind ~= "many" and kind ~= "discriminator" and not fixed then
      local value = value_of(e, meta, view)
      if kind == "one" and value ~= nil and value ~= NOT_LOADED then
        value = own_target(self, map, view, value)
      elseif value ~= NOT_LOADED then
        value = instance.copy(value)
      end
      if value == nil and is_known then value = null end
      if value ~= NOT_LOADED then data[view.name] = value end
    end
  end
  return data
end

local function check_version(self, map, e, own)
  local version = map.version and map.version.property
  local theirs = version and rawget(e, version)
  if theirs == nil or theirs == own[version] then return end
  errors.raise("optimistic_lock", ("em:merge: this %s was changed by somebody else since it was read; read it again")
    :format(map.name), { context = self.context_name, entity = map.name, property = version })
end

---This entity manager's own instance of what another one of its context (or none) holds: found by key and given the
---values that were loaded or assigned, or, without a row, persisted anew. Raises `wrong_context`, `optimistic_lock`,
---`validation`.
---
---Usage: `local own = em:merge(user)`
---@return table e
function Manager:merge(e)
  admit(self)
  local meta = instance.meta_of(e)
  if not meta then errors.raise("validation", "em:merge takes an instance of an entity") end
  if meta.context_name and meta.context_name ~= self.context_name then
    errors.raise("wrong_context", ("em:merge: this %s belongs to context '%s', not '%s'"):format(meta.definition.name,
      meta.context_name, self.context_name), { context = self.context_name, entity = meta.definition.name })
  end
  local owner = meta.box and meta.box.shelf
  if owner and owner.em == self then return e end
  local map = self:mapping(meta.class)
  if #map.key == 0 then resolve.refuse("validation", map, nil, "em:merge", "the entity has no primary key") end
  local key
  if owner then
    key = owner:program_key(meta.slot_of[e])
  else
    key = self:shelf_of(map):given_key(e)
    key = custom.key(map.key, type(key) == "table" and key or { key }, custom.from_db)
  end
  if #key < 2 then key = key[1] end
  local own = key ~= nil and self:find_one(map.class, key, UNFILTERED) or nil
  if own then
    check_version(self, map, e, own)
    return self:assign(own, data_of(self, map, e, true))
  end
  own = self:create(map.class, data_of(self, map, e, false))
  self:persist(own)
  return own
end

return Manager
