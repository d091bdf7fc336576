--- Instances: plain tables whose raw fields are loaded column values, and metatables that answer for everything else.
---
--- Metatables are shared by (entity, entity manager, load state). They know the entity manager's shelf through a weak
--- box, so that an instance which outlives its entity manager keeps nothing alive; snapshots, which hold scalars
--- only, are held strongly, so that what was loaded stays readable. An instance of no entity manager has one metatable
--- for its entity, or, once it holds a relation or a hidden value, one of its own.
local class_of = require("heddle.class")
local core = require("heddle.core")
local errors = require("heddle.errors")
local null = require("heddle.null")
local state = require("heddle.state")
local suggest = require("heddle.suggest")

local instance = {}

local WEAK = { __mode = "v" }

---Set by heddle.relate: makes a to-one relation point somewhere, checks included.
---@type fun(e: table, meta: table, prop: table, value: any)
instance.relate = nil
---Set by heddle.relate: the reference that a foreign key stands for.
---@type fun(meta: table, e: table, view: table, key: any[]): table
instance.reference = nil

-- Kind of each property: "raw", "hidden", "one" (to-one owner), "other".
local function kind_of(prop)
  if prop.kind == "scalar" then return prop.hidden and "hidden" or "raw" end
  if prop.kind == "many_to_one" or prop.kind == "one_to_one" and prop.owner then return "one" end
  return "other"
end
instance.kind_of = kind_of

---@param value any
---@return table|nil meta the instance's metatable, nil when the value is none
function instance.meta_of(value)
  if type(value) ~= "table" then return nil end
  local meta = getmetatable(value)
  return type(meta) == "table" and rawget(meta, "is_heddle") and meta or nil
end

-- Messages -------------------------------------------------------------------------------------------------

local function raise_unknown(definition, name)
  errors.raise("unknown_property", ("Entity '%s' has no property %s%s"):format(definition.name, errors.quote(name),
    suggest.hint(name, definition.by_name)), { entity = definition.name, property = type(name) == "string"
      and name or nil })
end
instance.raise_unknown = raise_unknown

local function key_text(meta, e)
  local parts = {}
  for i, prop in ipairs(meta.definition.primary) do
    local value = rawget(e, prop.name)
    parts[i] = value == nil and "new" or tostring(value)
  end
  return table.concat(parts, ",")
end

local function raise_not_loaded(meta, e, name, how)
  errors.raise("not_loaded", ("%s.%s is not loaded (%s#%s); %s"):format(meta.definition.name, name,
    meta.definition.name, key_text(meta, e), how), { entity = meta.definition.name, property = name,
    context = meta.context_name })
end

local function raise_later(meta, prop)
  errors.raise("unsupported", ("%s.%s: a %s cannot be read or assigned yet"):format(meta.definition.name, prop.name,
    prop.kind), { entity = meta.definition.name, property = prop.name })
end

-- Managed --------------------------------------------------------------------------------------------------

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

local function is_loaded(overlay, view)
  if not overlay or not overlay.loaded then return true end
  for _, column in ipairs(view.columns or { view.column }) do
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
    raise_not_loaded(meta, e, view.name, "name it in 'fields', or call em:refresh")
  end
  return state.value(view.column, state.snapshot(meta, slot, view.column.index))
end

local function read_relation(meta, e, slot, overlay, view)
  local assigned = overlay and overlay.rel[view.name]
  if assigned ~= nil then
    if assigned == null then return nil end
    return assigned
  end
  if not is_loaded(overlay, view) then
    raise_not_loaded(meta, e, view.name, "name it in 'fields', or call em:refresh")
  end
  local key = foreign_key(meta, slot, view)
  return key and instance.reference(meta, e, view, key)
end

local function read_virtual(meta, e, view)
  local shelf, slot = place_of(meta, e)
  local overlay = shelf and slot and shelf.overlay[slot]
  local kind = kind_of(view.prop)
  if not slot then return nil end
  if kind == "hidden" then
    if not view.column then return overlay and overlay.hidden[view.name] end
    return read_hidden(meta, e, slot, overlay, view)
  end
  if kind == "one" then return read_relation(meta, e, slot, overlay, view) end
  return raise_later(meta, view.prop)
end

local function write_virtual(meta, e, view, value)
  local kind = kind_of(view.prop)
  if kind == "one" then return instance.relate(e, meta, view.prop, value) end
  if kind ~= "hidden" then return raise_later(meta, view.prop) end
  local shelf, slot = place_of(meta, e)
  if not shelf then
    errors.raise("not_managed", ("%s.%s: the entity manager of this instance is gone; merge it into another"):format(
      meta.definition.name, view.name), { entity = meta.definition.name, property = view.name })
  end
  local overlay = state.overlay(shelf, slot)
  if value == nil then value = null end
  overlay.hidden[view.name] = value
  if view.column then overlay.assigned[view.column.index] = true end
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
  local shelf, slot = place_of(meta, e)
  local overlay = shelf and shelf.overlay[slot]
  if not view.column or not overlay or not overlay.loaded then return nil end
  local index = view.column.index
  if overlay.loaded[index] or overlay.assigned[index] then return nil end
  return raise_not_loaded(meta, e, key, meta.load_state == "reference" and "load it with em:find_one, or populate it"
    or "name it in 'fields', or call em:refresh")
end

local function write_loaded(e, key, value)
  local meta = getmetatable(e)
  local view = meta.views[key]
  if view == nil then
    if meta.definition.open then return rawset(e, key, value) end
    return raise_unknown(meta.definition, key)
  end
  if view.raw then return rawset(e, key, value) end
  return write_virtual(meta, e, view, value)
end

local function write_partial(e, key, value)
  local meta = getmetatable(e)
  local view = meta.views[key]
  if view and view.raw and view.column then
    local shelf, slot = place_of(meta, e)
    if shelf then state.overlay(shelf, slot).assigned[view.column.index] = true end
    return rawset(e, key, value)
  end
  return write_loaded(e, key, value)
end

-- REPL -----------------------------------------------------------------------------------------------------

local function show(value)
  if type(value) == "string" then
    return #value > 60 and ("%q"):format(value:sub(1, 57) .. "..."):gsub("\\\n",
      "\\n") or ("%q"):format(value):gsub("\\\n", "\\n")
  end
  if value == null then return "null" end
  if type(value) == "table" then return "{...}" end
  return tostring(value)
end

local function to_string(e)
  local meta = getmetatable(e)
  local parts = {}
  for _, prop in ipairs(meta.definition.properties) do
    local value = rawget(e, prop.name)
    if value ~= nil then parts[#parts + 1] = prop.name .. " = " .. (show(value)) end
  end
  local text = #parts > 0 and "{ " .. table.concat(parts, ", ") .. " }" or "{}"
  return meta.definition.name .. "#" .. key_text(meta, e) .. " " .. text
end

---The metatables of an entity in one entity manager.
---@param shelf table
---@return table loaded
---@return table partial
---@return table reference
function instance.metatables(shelf)
  local map = shelf.mapping
  local box = setmetatable({ shelf = shelf }, WEAK)
  local function make(load_state, index, newindex)
    return {
      is_heddle = true, load_state = load_state, class = map.class, definition = map.meta, mapping = map,
      views = map.props, context_name = map.context, box = box, slot_of = shelf.slot_of, blocks = shelf.blocks,
      width = shelf.width, __index = index, __newindex = newindex, __tostring = to_string,
      __name = "heddle." .. map.name,
    }
  end
  return make("loaded", index_loaded, write_loaded), make("partial", index_partial, write_partial),
    make("reference", index_partial, write_partial)
end

-- Unmanaged ------------------------------------------------------------------------------------------------

local function index_unmanaged(e, key)
  local meta = getmetatable(e)
  local method = meta.class[key]
  if method ~= nil then return method end
  local prop = meta.definition.by_name[key]
  local own = meta.own
  if prop == nil or kind_of(prop) == "raw" then
    if prop and own and own.unloaded and own.unloaded[key] then
      raise_not_loaded(meta, e, key, "this instance is not managed: read it again with that property")
    end
    return nil
  end
  if kind_of(prop) == "other" then return raise_later(meta, prop) end
  local value = own and own.values[key]
  if value ~= nil then
    if value == null then return nil end
    return value
  end
  local key_values = own and own.keys and own.keys[key]
  return key_values and instance.reference(meta, e, own.views[key], key_values) or nil
end

local unmanaged = setmetatable({}, { __mode = "k" })

local function write_unmanaged(e, key, value)
  local meta = getmetatable(e)
  local prop = meta.definition.by_name[key]
  if prop == nil then
    if meta.definition.open then return rawset(e, key, value) end
    return raise_unknown(meta.definition, key)
  end
  local kind = kind_of(prop)
  if kind == "raw" then
    if meta.own and meta.own.unloaded then meta.own.unloaded[key] = nil end
    return rawset(e, key, value)
  end
  if kind == "one" then return instance.relate(e, meta, prop, value) end
  if kind == "other" then return raise_later(meta, prop) end
  instance.own(e).values[key] = value == nil and null or value
end

local function unmanaged_meta(definition)
  return {
    is_heddle = true, load_state = "unmanaged", class = definition.class, definition = definition,
    __index = index_unmanaged, __newindex = write_unmanaged, __tostring = to_string,
    __name = "heddle." .. definition.name,
  }
end

---The metatable that instances of no entity manager share.
function instance.unmanaged(class)
  local meta = unmanaged[class]
  if not meta then
    meta = unmanaged_meta(class_of.definition_of(class))
    unmanaged[class] = meta
  end
  return meta
end

---The state of an unmanaged instance that holds more than raw values: { values = {}, keys =, views = }.
function instance.own(e)
  local meta = getmetatable(e)
  if not meta.own then
    meta = unmanaged_meta(meta.definition)
    meta.own = { values = {} }
    setmetatable(e, meta)
  end
  return meta.own
end

-- Making ---------------------------------------------------------------------------------------------------

local function copy(value, seen)
  if type(value) ~= "table" then return value end
  seen = seen or {}
  if seen[value] then return seen[value] end
  local made = {}
  seen[value] = made
  for k, v in pairs(value) do made[k] = copy(v, seen) end
  return setmetatable(made, getmetatable(value))
end
instance.copy = copy

-- Properties that have a default, once for each definition.
local function defaults_of(definition)
  local list = definition.defaults_list
  if not list then
    list = {}
    for _, prop in ipairs(definition.properties) do
      if prop.default ~= nil then list[#list + 1] = prop end
    end
    definition.defaults_list = list
  end
  return list
end

-- Names whose values are raw, once for each definition, and how many properties there are.
local function raw_names(definition)
  local names = definition.raw_names
  if not names then
    names = {}
    for _, prop in ipairs(definition.properties) do
      if kind_of(prop) == "raw" then names[prop.name] = true end
    end
    definition.raw_names = names
  end
  return names
end

-- With a relation, a hidden value, orm.null or an unknown name in it.
local function fill(e, definition, data, resolve, context)
  for name, value in pairs(data) do
    local prop = definition.by_name[name]
    if prop == nil then
      if not definition.open then raise_unknown(definition, name) end
      rawset(e, name, value)
    elseif value ~= null then
      if kind_of(prop) == "raw" then
        rawset(e, name, value)
      else
        if resolve then value = resolve(context, prop, value) end
        e[name] = value
      end
    end
  end
  return e
end

---Makes an unmanaged instance: `User { name = "x" }`. `resolve(context, prop, value)` may turn a relation's value (a
---key)
---into an instance first. Raises `unknown_property`, `validation`.
function instance.construct(class, data, resolve, context)
  local definition = class_of.definition_of(class)
  if definition.embeddable then
    errors.raise("unsupported", "embedded values are not supported yet", { entity = definition.name })
  end
  if data ~= nil and (type(data) ~= "table" or getmetatable(data) ~= nil) then
    errors.raise("validation", ("%s takes a plain table of its properties, not %s"):format(definition.name,
      type(data) == "table" and "an instance or another object" or "a " .. type(data)), { entity = definition.name })
  end
  local meta = instance.unmanaged(class)
  local e = data and core.instance(data, raw_names(definition), meta, #definition.properties)
  if not e then e = fill(setmetatable({}, meta), definition, data or {}, resolve, context) end
  local defaults = defaults_of(definition)
  for i = 1, #defaults do
    local prop = defaults[i]
    if not data or data[prop.name] == nil then e[prop.name] = copy(prop.default) end
  end
  local on_init = definition.hooks.on_init
  if on_init then on_init(e, { entity = e }) end
  return e
end

---Whether every property of the instance is loaded.
---
---Usage: `if not orm.is_initialized(book.author) then em:refresh(book.author) end`
---@param e table
---@return boolean
function instance.is_initialized(e)
  local meta = instance.meta_of(e)
  if not meta then errors.raise("validation", "orm.is_initialized takes an instance of an entity") end
  if meta.load_state == "unmanaged" then return not (meta.own and meta.own.unloaded) end
  return meta.load_state == "loaded"
end

return instance
