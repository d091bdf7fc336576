--- Instances: plain tables whose raw fields are loaded column values, and metatables that answer for everything else.
---
--- This room has what all instances share, and those of no entity manager: they have one metatable for their entity,
--- or, once they hold a relation or a hidden value, one of their own. `managed.lua` has those of an entity manager,
--- `construct.lua` makes new ones.
local later = require("heddle.later")
local class_of = require("heddle.class")
local discriminator = later.module("heddle.discriminator")
local embedded = later.module("heddle.embedded")
local errors = require("heddle.errors")
local null = require("heddle.null")
local state = require("heddle.state")
local suggest = later.module("heddle.suggest")

local instance = {}

---Set by heddle.relate: makes a to-one relation point somewhere, checks included.
---@type fun(e: table, meta: table, prop: table, value: any)
instance.relate = nil
---Set by heddle.relate: the reference that a foreign key stands for.
---@type fun(meta: table, e: table, view: table, key: any[]): table
instance.reference = nil
---Set by heddle.relations: what a to-many relation, or the inverse side of a one_to_one, reads as and takes.
---@type fun(e: table, meta: table, prop: table): any
instance.read_many = nil
---@type fun(e: table, meta: table, prop: table, value: any)
instance.write_many = nil
later.fill(instance, { ["heddle.relate"] = "relate reference", ["heddle.relations.shown"] = "read_many write_many" })

-- Kind of each property: "raw", "hidden", "discriminator" (one that is not raw), "one" (the side with the foreign key),
-- "many" (the other, and many_to_many).
local function kind_of(prop)
  if prop.kind == "scalar" or prop.kind == "embedded" then
    if not prop.hidden then return "raw" end
    return prop.discriminator and "discriminator" or "hidden"
  end
  if prop.kind == "many_to_one" or prop.kind == "one_to_one" and prop.owner then return "one" end
  return "many"
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

local key_text

-- What of the key is not raw, a relation's or a hidden one, an instance of nobody has beside its raw values.
local function held_text(own, name)
  local value = own.values[name]
  if instance.meta_of(value) then return key_text(getmetatable(value), value) end
  if value ~= nil and value ~= null then return tostring(value) end
  local key = own.keys and own.keys[name]
  return key and table.concat(key, ",") or nil
end

-- A managed row has it in its shelf.
function key_text(meta, e)
  local parts, shelf, own = {}, meta.box and meta.box.shelf, meta.own
  local slot = shelf and meta.slot_of[e]
  local key = slot and shelf:program_key(slot) or {}
  for i, column in ipairs(slot and shelf.mapping.key or meta.definition.primary) do
    local name = column.property or column.name
    local value = rawget(e, name)
    if value == nil then value = key[i] end
    if value == nil and own then value = held_text(own, name) end
    parts[i] = value == nil and "new" or tostring(value)
  end
  return table.concat(parts, ",")
end

---What messages call an instance: its entity and its key, none of its values.
---@return string
function instance.name_of(e)
  local meta = getmetatable(e)
  return meta.definition.name .. "#" .. key_text(meta, e)
end

function instance.raise_not_loaded(meta, e, name, how)
  errors.raise("not_loaded", ("%s.%s is not loaded (%s); %s"):format(meta.definition.name, name,
    instance.name_of(e), how), { entity = meta.definition.name, property = name,
    context = meta.context_name })
end

-- REPL -------------------------------------------------------------------------------------------------

local function show(value)
  if type(value) == "string" then
    return #value > 60 and ("%q"):format(value:sub(1, 57) .. "..."):gsub("\\\n",
      "\\n") or ("%q"):format(value):gsub("\\\n", "\\n")
  end
  if value == null then return "null" end
  if type(value) == "table" then return "{...}" end
  return tostring(value)
end

function instance.to_string(e)
  local meta = getmetatable(e)
  local parts = {}
  for _, prop in ipairs(meta.definition.properties) do
    local value = rawget(e, prop.name)
    if value ~= nil then parts[#parts + 1] = prop.name .. " = " .. (show(value)) end
  end
  local text = #parts > 0 and "{ " .. table.concat(parts, ", ") .. " }" or "{}"
  return instance.name_of(e) .. " " .. text
end

---The metatables of an entity in one entity manager.
---@param shelf table

-- Unmanaged --------------------------------------------------------------------------------------------

local function index_unmanaged(e, key)
  local meta = getmetatable(e)
  local method = meta.class[key]
  if method ~= nil then return method end
  local prop, own = meta.definition.by_name[key], meta.own
  if prop == nil then return nil end
  local kind = kind_of(prop)
  if kind == "many" then return instance.read_many(e, meta, prop) end
  if kind == "discriminator" and not (own and own.unloaded) then return meta.definition.discriminator_value end
  if not own then return nil end
  local value = own.values[key]
  if value == null then return nil end
  if value ~= nil then return value end
  if own.unloaded and own.unloaded[key] then
    instance.raise_not_loaded(meta, e, key, "this instance is not managed: read it again with that property, or "
      .. "em:merge it")
  end
  if kind == "discriminator" then return meta.definition.discriminator_value end
  local key_values = own.keys and own.keys[key]
  return key_values and instance.reference(meta, e, own.views[key], key_values) or nil
end

---A value that is assigned to an embedded property. Raises `unknown_property`, `validation`.
function instance.embed(e, meta, prop, value)
  if value == nil or value == null then return value end
  return embedded.adopt(prop, value, { entity = meta.definition.name, path = prop.name, e = e })
end

local unmanaged, stored = setmetatable({}, { __mode = "k" }), setmetatable({}, { __mode = "k" })

local function write_unmanaged(e, key, value)
  local meta = getmetatable(e)
  local prop = meta.definition.by_name[key]
  if prop == nil then
    if meta.definition.open then return rawset(e, key, value) end
    return raise_unknown(meta.definition, key)
  end
  local kind = kind_of(prop)
  if prop.kind == "embedded" then value = instance.embed(e, meta, prop, value) end
  if kind == "raw" then
    if meta.own and meta.own.unloaded then meta.own.unloaded[key] = false end
    return rawset(e, key, value)
  end
  if kind == "one" then return instance.relate(e, meta, prop, value) end
  if kind == "many" then return instance.write_many(e, meta, prop, value) end
  if kind == "discriminator" then return discriminator.check(meta.definition, value, meta.context_name) end
  instance.own(e).values[key] = value == nil and null or value
end

-- `is_stored`: a row was read for it, so that its collections may have members in the database.
local function unmanaged_meta(definition, context_name, is_stored)
  return {
    is_heddle = true, load_state = "unmanaged", class = definition.class, definition = definition,
    context_name = context_name, is_stored = is_stored,
    __index = index_unmanaged, __newindex = write_unmanaged, __tostring = instance.to_string,
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

---The one of those that a row was read for.
function instance.stored(class)
  local meta = stored[class]
  if not meta then
    meta = unmanaged_meta(class_of.definition_of(class), nil, true)
    stored[class] = meta
  end
  return meta
end

local created = setmetatable({}, { __mode = "k" })

---The metatable of those that an entity manager made and that nobody manages yet: they belong to its context (C3).
function instance.created(class, context_name)
  local metas = created[class]
  if not metas then
    metas = {}
    created[class] = metas
  end
  metas[context_name] = metas[context_name] or unmanaged_meta(class_of.definition_of(class), context_name)
  return metas[context_name]
end

---The state of an unmanaged instance that holds more than raw values: { values = {}, lists = {}, keys =, views =,
---unloaded = }.
function instance.own(e)
  local meta = getmetatable(e)
  if not meta.own then
    meta = unmanaged_meta(meta.definition, meta.context_name, meta.is_stored)
    meta.own = { values = {}, lists = {} }
    setmetatable(e, meta)
  end
  return meta.own
end

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

-- Whether something is missing that a query reads unasked.
local function lacks_usual(meta)
  for _, prop in ipairs(meta.own and meta.own.unloaded and meta.definition.properties or {}) do
    if meta.own.unloaded[prop.name] and not prop.lazy then return true end
  end
  return false
end

---Whether an instance is loaded: a reference is not, nor what was read in part. Lazy properties do not count.
---
---Usage: `if not orm.is_initialized(book.author) then em:refresh(book.author) end`
---@param e table
---@return boolean
function instance.is_initialized(e)
  local meta = instance.meta_of(e)
  if not meta then errors.raise("validation", "orm.is_initialized takes an instance of an entity") end
  if meta.load_state == "unmanaged" then return not lacks_usual(meta) end
  return meta.load_state == "loaded" or state.has_usual(meta.mapping, meta.overlay[meta.slot_of[e]])
end

return instance
