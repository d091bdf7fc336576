--- Embedded values: plain tables with their embeddable's metatable, held raw in an instance.
---
--- Heddle changes such a table in place (a row that is read again, a normal form, a rollback) only when it is *owned*:
--- when it is the value of that property of that instance and of no other. What the program assigns is adopted at the
--- next occasion; a table that belongs elsewhere already is copied then, so that no write leads to another row.
local array = require("heddle.array")
local class_of = require("heddle.class")
local errors = require("heddle.errors")
local null = require("heddle.null")
local suggest = require("heddle.suggest")

local embedded = {}

-- Weak, and neither is kept alive by the other: safe on every interpreter.
local owner = setmetatable({}, { __mode = "kv" })
local place = setmetatable({}, { __mode = "k" })
embedded.owner, embedded.place = owner, place -- for the code that scan.lua generates

---Where a value stands, for messages and ownership.
---@class heddle.At
---@field entity string
---@field path string "address", "address.geo"
---@field e table? the instance that holds it
---@field given table? list of { e, property, value }, { e, plain = true }: what is changed in the program's tables
---@field inner boolean? inside a json object or an array, which is owned as a whole

---@param embeddable table an embeddable's definition
---@return table metatable of its values
function embedded.meta(embeddable)
  local meta = embeddable.value_meta
  if not meta then
    meta = {
      __index = embeddable.class, __name = "heddle." .. embeddable.name, embeddable = embeddable,
      __newindex = function(value, name, given)
        embedded.check_name(embeddable, name, { entity = embeddable.name })
        rawset(value, name, given)
      end,
    }
    embeddable.value_meta = meta
  end
  return meta
end

---The embeddable of a property. Usage: `embedded.of(prop).by_name.city`
---@param prop table of kind "embedded"
---@return table definition
function embedded.of(prop)
  return class_of.definition_of(prop.target)
end

-- Messages ------------------------------------------------------------------------------------------------------

local function joined(path, name)
  return path and path .. "." .. name or name
end

---Raises an error that names entity and path.
---@param kind string
---@param at heddle.At
---@param name string|nil a member
---@param message string
function embedded.refuse(kind, at, name, message)
  local path = name and joined(at.path, name) or at.path
  return errors.raise(kind, (path and at.entity .. "." .. path or at.entity) .. ": " .. message,
    { entity = at.entity, property = path })
end

local refuse = embedded.refuse

---Raises `unknown_property` for what is no member.
function embedded.check_name(embeddable, name, at)
  if embeddable.by_name[name] then return end
  local is_text = type(name) == "string"
  refuse("unknown_property", at, is_text and name or nil, ("%s has no member %s%s"):format(embeddable.name,
    errors.quote(name), suggest.hint(name, embeddable.by_name)))
end

---Raises unless the value is a plain table or one of the embeddable.
function embedded.check_table(embeddable, value, at)
  local meta = type(value) == "table" and getmetatable(value)
  if meta == nil or meta == embeddable.value_meta and meta then return end
  refuse("validation", at, nil, ("takes a table of %s's members, not %s"):format(embeddable.name,
    meta and "another object" or value == null and "orm.null" or "a " .. type(value)))
end

---Raises unless the value is a list.
function embedded.check_list(value, at)
  local count = 0
  for _ in pairs(type(value) == "table" and value or {}) do count = count + 1 end
  if type(value) ~= "table" or count ~= #value then refuse("validation", at, nil, "takes a list without holes") end
end

local check_table, check_list = embedded.check_table, embedded.check_list

-- Ownership -----------------------------------------------------------------------------------------------------

-- Whether an instance still holds a value where it did.
local function holds(e, path, value)
  local now = e
  for name in path:gmatch("[^.]+") do
    if type(now) ~= "table" then return false end
    now = rawget(now, name)
  end
  return now == value
end

---@param value table
---@param e table
---@param path string
---@return boolean
function embedded.is_owned(value, e, path)
  return owner[value] == e and place[value] == path
end

---The value itself, owned from now on, or a copy of one that belongs elsewhere.
function embedded.claim(value, e, path)
  local other = owner[value]
  if other ~= nil and not embedded.is_owned(value, e, path) and holds(other, place[value], value) then
    value = require("heddle.instance").copy(value)
  end
  owner[value], place[value] = e, path
  return value
end

-- Making --------------------------------------------------------------------------------------------------------

---The place of a member.
function embedded.below(at, name)
  return { entity = at.entity, path = joined(at.path, name), e = at.e, given = at.given, inner = at.inner }
end

local function put(value, name, new, at)
  if at.given then at.given[#at.given + 1] = { e = value, property = name, value = rawget(value, name) } end
  rawset(value, name, new)
end

-- What an embeddable's own table lacks.
local function fill_defaults(embeddable, value, said, at)
  for _, prop in ipairs(embeddable.properties) do
    if prop.default ~= nil and rawget(value, prop.name) == nil and not (said and said[prop.name] == null) then
      put(value, prop.name, require("heddle.instance").copy(prop.default), at)
    end
  end
end

local make_value

---A new value from data: tables in it are copied, values of the embeddable taken as they are. Raises
---`unknown_property`, `validation`.
---@param embeddable table
---@param data table|nil
---@param at heddle.At
---@return table
function embedded.make(embeddable, data, at)
  local value = {}
  for name, item in pairs(data or {}) do
    embedded.check_name(embeddable, name, at)
    local prop = embeddable.by_name[name]
    if item ~= null and prop.kind == "embedded" then item = make_value(prop, item, embedded.below(at, name)) end
    if item ~= null then value[name] = item end
  end
  fill_defaults(embeddable, value, data, {})
  return setmetatable(value, embedded.meta(embeddable))
end

---A property's value from data that was given to `create`, or to the embeddable itself.
---@param prop table
---@param data any
---@param at heddle.At
---@return table
function embedded.given(prop, data, at)
  local embeddable = embedded.of(prop)
  if prop.array then
    check_list(data, at)
    local list = array.new()
    for i, item in ipairs(data) do
      check_table(embeddable, item, at)
      list[i] = getmetatable(item) and item or embedded.make(embeddable, item, embedded.below(at, tostring(i)))
    end
    return list
  end
  check_table(embeddable, data, at)
  return getmetatable(data) and data or embedded.make(embeddable, data, at)
end
make_value = embedded.given

-- Adopting ------------------------------------------------------------------------------------------------------

local adopt_value

local function check_members(embeddable, value, at)
  check_table(embeddable, value, at)
  for name in pairs(value) do embedded.check_name(embeddable, name, at) end
end

-- Members that are embedded values themselves, once for each embeddable.
local function nested_of(embeddable)
  local nested = embeddable.nested
  if not nested then
    nested = {}
    for _, prop in ipairs(embeddable.properties) do
      if prop.kind == "embedded" then nested[#nested + 1] = prop end
    end
    embeddable.nested = nested
  end
  return nested
end

local function adopt_members(embeddable, value, at)
  if getmetatable(value) == nil then
    if at.given then at.given[#at.given + 1] = { e = value, plain = true } end
    setmetatable(value, embedded.meta(embeddable))
    fill_defaults(embeddable, value, value, at)
  end
  for _, prop in ipairs(nested_of(embeddable)) do
    local item = rawget(value, prop.name)
    if item ~= nil and item ~= null then
      local inner = embedded.below(at, prop.name)
      inner.inner = at.inner or prop.object or prop.array
      local adopted = adopt_value(prop, item, inner)
      if adopted ~= item then put(value, prop.name, adopted, at) end
    end
  end
  return value
end

---Makes a table that the program has assigned the value of a property: given its metatable and defaults, owned by the
---instance, what is nested in it too. Raises `unknown_property`, `validation`.
---@param prop table
---@param value any
---@param at heddle.At
---@return table value, or a copy of one that belongs elsewhere
function embedded.adopt(prop, value, at)
  local embeddable = embedded.of(prop)
  local is_owned = not at.inner and embedded.is_owned(value, at.e, at.path)
  if prop.array then check_list(value, at) elseif not is_owned then check_members(embeddable, value, at) end
  if not at.inner and not is_owned then value = embedded.claim(value, at.e, at.path) end
  if not prop.array then return adopt_members(embeddable, value, at) end
  if getmetatable(value) == nil then array.new(value) end
  for i, item in ipairs(value) do
    local inner = embedded.below(at, tostring(i))
    inner.inner = true
    check_members(embeddable, item, inner)
    adopt_members(embeddable, item, inner)
  end
  return value
end
adopt_value = embedded.adopt

-- Contents ------------------------------------------------------------------------------------------------------

---The value of a member's column inside an embedded value: what stands in its place when that is no table.
---@param value any the root's
---@param column table
function embedded.part(value, column)
  local at = column.at
  for i = 1, #at do
    if type(value) ~= "table" then return value end
    value = rawget(value, at[i])
  end
  return value
end

---Gives a table the contents of another one; what is nested in it is the other one's then. Members that are not stored
---stay.
---@param embeddable table|nil nil for a list
---@param value table
---@param source table
---@return table value
function embedded.pour(embeddable, value, source)
  for name in pairs(value) do
    local prop = embeddable and embeddable.by_name[name]
    if rawget(source, name) == nil and not (prop and prop.persist == false) then rawset(value, name, nil) end
  end
  for name, item in pairs(source) do rawset(value, name, item) end
  return value
end

return embedded
