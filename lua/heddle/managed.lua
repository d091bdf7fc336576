--- Instances of an entity manager: metatables shared by (entity, entity manager, load state).
---
--- They know the entity manager's shelf through a weak box, so that an instance which outlives its entity manager keeps
--- nothing alive; snapshots and overlays, which hold no instances, are held strongly, so that what was loaded stays
--- readable, and what was not says so.
--- `__index` and `__newindex` are Lua, not C: LuaJIT compiles them.
local later = require("heddle.later")
local discriminator = later.module("heddle.discriminator")
local errors = require("heddle.errors")
local instance = require("heddle.instance")
local null = require("heddle.null")
local state = require("heddle.state")
local tree = later.module("heddle.embedded.tree")

local managed = {}

local kind_of, raise_unknown = instance.kind_of, instance.raise_unknown
local raise_not_loaded = instance.raise_not_loaded

local function place_of(meta, e)
  return meta.box.shelf, meta.slot_of[e]
end

-- The key in the foreign key columns of a view, from the snapshot; nil when the relation is NULL.
local function foreign_key(meta, slot, view)
  local key = {}
  for i, column in ipairs(view.columns) do
    key[i] = state.snapshot(meta, slot, column.index)
    if key[i] == nil then return nil end
  end
  return key
end

local function how_to_load(view)
  return ("name it in %s'fields', or call em:load(e, { \"%s\" })"):format(view.prop.lazy and "'populate' or " or "",
    view.name)
end

local function is_loaded(overlay, view)
  if not overlay or not overlay.loaded then return true end
  for _, column in ipairs(view.stored) do
    if not overlay.loaded[column.index] then return false end
  end
  return true
end

local function read_hidden(meta, e, slot, overlay, view)
  local assigned = overlay and overlay.hidden[view.name]
  if assigned ~= nil then
    if assigned == null then return nil end
    return assigned
  end
  if not is_loaded(overlay, view) then
    raise_not_loaded(meta, e, view.name, how_to_load(view))
  end
  local value = tree.value_of(meta, slot, view)
  -- What can change inside has to be the same table each time.
  local shelf = meta.box.shelf
  if shelf and type(value) == "table" then
    if view.embedded then tree.own(view.embedded, value, e) end
    state.overlay(shelf, slot).hidden[view.name] = value
  end
  return value
end

local function read_relation(meta, e, slot, overlay, view)
  local assigned = overlay and overlay.rel[view.name]
  if assigned ~= nil then
    if assigned == null then return nil end
    return assigned
  end
  if not is_loaded(overlay, view) then
    raise_not_loaded(meta, e, view.name, how_to_load(view))
  end
  local key = foreign_key(meta, slot, view)
  return key and instance.reference(meta, e, view, key)
end

local function read_virtual(meta, e, view)
  local slot = meta.slot_of[e]
  local overlay = slot and meta.overlay[slot]
  local kind = kind_of(view.prop)
  if not slot then return nil end
  if kind == "hidden" then
    if not view.stored then return overlay and overlay.hidden[view.name] end
    return read_hidden(meta, e, slot, overlay, view)
  end
  if kind == "one" then return read_relation(meta, e, slot, overlay, view) end
  if kind == "many" then return instance.read_many(e, meta, view.prop) end
  if kind == "discriminator" then
    if meta.load_state == "reference" then raise_not_loaded(meta, e, view.name, "load it with em:find_one") end
    return meta.definition.discriminator_value
  end
end

local function write_virtual(meta, e, view, value)
  local kind = kind_of(view.prop)
  if kind == "one" then return instance.relate(e, meta, view.prop, value) end
  if kind == "many" then return instance.write_many(e, meta, view.prop, value) end
  if kind == "discriminator" then return discriminator.check(meta.definition, value, meta.context_name) end
  local shelf, slot = place_of(meta, e)
  if not shelf then
    errors.raise("not_managed", ("%s.%s: the entity manager of this instance is gone; merge it into another"):format(
      meta.definition.name, view.name), { entity = meta.definition.name, property = view.name })
  end
  local overlay = state.overlay(shelf, slot)
  if view.embedded then value = instance.embed(e, meta, view.prop, value) end
  if value == nil then value = null end
  overlay.hidden[view.name] = value
  for _, column in ipairs(view.stored or {}) do overlay.assigned[column.index] = true end
end

local function index_loaded(e, key)
  local meta = getmetatable(e)
  local method = meta.class[key]
  if method ~= nil then return method end
  local view = meta.views[key]
  if view == nil or view.raw then return nil end
  return read_virtual(meta, e, view)
end

local function index_partial(e, key)
  local meta = getmetatable(e)
  local method = meta.class[key]
  if method ~= nil then return method end
  local view = meta.views[key]
  if view == nil then return nil end
  if not view.raw then return read_virtual(meta, e, view) end
  local overlay = meta.overlay[meta.slot_of[e]]
  if not view.stored or not overlay or not overlay.loaded then return nil end
  local index = view.stored[1].index
  if overlay.loaded[index] or overlay.assigned[index] then return nil end
  return raise_not_loaded(meta, e, key, meta.load_state == "reference" and "load it with em:find_one, or populate it"
    or how_to_load(view))
end

local function write_loaded(e, key, value)
  local meta = getmetatable(e)
  local view = meta.views[key]
  if view == nil then
    if meta.definition.open then return rawset(e, key, value) end
    return raise_unknown(meta.definition, key)
  end
  if view.embedded and view.raw then value = instance.embed(e, meta, view.prop, value) end
  if view.raw then return rawset(e, key, value) end
  return write_virtual(meta, e, view, value)
end

local function write_partial(e, key, value)
  local meta = getmetatable(e)
  local view = meta.views[key]
  if view and view.raw and view.stored then
    local shelf, slot = place_of(meta, e)
    for _, column in ipairs(shelf and view.stored or {}) do state.overlay(shelf, slot).assigned[column.index] = true end
  end
  return write_loaded(e, key, value)
end

---Whether a property of a managed instance was read from its row, or assigned since.
---@return boolean
function managed.is_known(e, name)
  local meta = getmetatable(e)
  local view, overlay = meta.views[name], meta.overlay[meta.slot_of[e]]
  if not view.stored or is_loaded(overlay, view) or rawget(e, name) ~= nil or overlay.rel[name] ~= nil then
    return true
  end
  return overlay.assigned[view.stored[1].index] == true
end

---The key that the columns of a to-one relation hold, as the database has it; nil when it is NULL, or when the relation
---was assigned.
---@return any[]|nil
function managed.stored_key(e, view)
  local meta = getmetatable(e)
  local slot = meta.slot_of[e]
  local overlay = meta.overlay[slot]
  if overlay and overlay.rel[view.name] ~= nil then return nil end
  return foreign_key(meta, slot, view)
end

---@param shelf table
---@param map table of the entity, which may share the shelf with others
---@param load_state "loaded"|"partial"|"reference"
---@return table metatable
function managed.metatable(shelf, map, load_state)
  local is_loaded_whole = load_state == "loaded"
  local meta = { -- sixteen fields: one more takes twice the room
    is_heddle = true, load_state = load_state, class = map.class, definition = map.meta, mapping = map,
    views = map.props, context_name = map.context, box = shelf.box, slot_of = shelf.slot_of, blocks = shelf.blocks,
    overlay = shelf.overlay, width = shelf.width, __tostring = instance.to_string,
    __name = map.label, __index = is_loaded_whole and index_loaded or index_partial,
    __newindex = is_loaded_whole and write_loaded or write_partial,
  }
  if map.place then meta.place = map.place end
  return meta
end

return managed
