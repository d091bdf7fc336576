--- `orm.to_table`: instances as plain nested data, for an encoder or a template. It reads what is in memory and loads
--- nothing: a relation that is not loaded is its key, or not there.
local array = require("heddle.array")
local class = require("heddle.class")
local core = require("heddle.core")
local custom = require("heddle.custom")
local errors = require("heddle.errors")
local instance = require("heddle.instance")
local managed = require("heddle.managed")
local null = require("heddle.null")
local op = require("heddle.op")
local relations = require("heddle.relations")
local wanted = require("heddle.plain.wanted")

local to_table = {}

-- Values ---------------------------------------------------------------------------------------------------

local plain

-- A table without what makes it more than data; a json document that holds itself has no end.
local function plain_table(value, above)
  if op.is_operator(value) then return nil end
  for _, outer in ipairs(above) do
    if outer == value then errors.raise("validation", "orm.to_table: a value that holds itself has no end") end
  end
  above[#above + 1] = value
  local made = {}
  for key, item in next, value do
    local inner = plain(item, above)
    -- In a list what cannot be said leaves no hole.
    if inner == nil and type(key) == "number" then inner = null end
    made[key] = inner
  end
  above[#above] = nil
  return array.is_array(value) and array.new(made) or made
end

-- A value as encoders take it; nil for one that has no such form. NaN and infinity have none in JSON.
function plain(value, above)
  local kind = type(value)
  if kind == "string" or kind == "boolean" or value == null then return value end
  if kind == "number" then
    if value ~= value or value == math.huge or value == -math.huge then return nil end
    return value
  end
  if kind == "table" then return plain_table(value, above or {}) end
  if kind == "cdata" then return (tostring(value):gsub("U?LL$", "")) end
  return nil
end

local function is_data(value)
  return type(value) ~= "userdata" and type(value) ~= "function" and type(value) ~= "thread"
    and (type(value) ~= "table" or getmetatable(value) == nil or array.is_array(value)) or value == null
end

-- What a custom type makes is the program's own affair; where that is no data, the database's form of it is.
local function scalar(prop, value)
  if value ~= nil and prop.custom and not is_data(value) and not op.is_operator(value) and prop.custom.to_db then
    value = prop.custom.to_db(value)
  end
  return plain(value)
end

local embedded_value

local function embedded_members(prop, value, node)
  local definition, made = class.definition_of(prop.target), {}
  if node then wanted.check(node, definition) end
  for _, member in ipairs(definition.properties) do
    local item = rawget(value, member.name)
    if item ~= nil and (not node or wanted.has(node, member.name)) then
      made[member.name] = member.kind == "embedded" and embedded_value(member, item, node and node.below[member.name])
        or scalar(member, item)
    end
  end
  return made
end

function embedded_value(prop, value, node)
  if type(value) ~= "table" then return plain(value) end
  if not prop.array then return embedded_members(prop, value, node) end
  local list = array.new {}
  for i, item in ipairs(value) do
    list[i] = type(item) == "table" and embedded_members(prop, item, node) or plain(item)
  end
  return list
end

-- Keys -----------------------------------------------------------------------------------------------------

local key_of

local function key_part(e, prop)
  if prop.kind == "scalar" then return scalar(prop, e[prop.name]) end
  local target = e[prop.name]
  return target ~= nil and key_of(target) or nil
end

-- The key of an instance as a relation to it shows: a value, or a list of a composite one's. nil for a new row whose
-- key the database gives.
function key_of(e)
  local key = {}
  local primary = getmetatable(e).definition.primary
  for i, prop in ipairs(primary) do
    key[i] = key_part(e, prop)
    if key[i] == nil then return nil end
  end
  if #primary == 1 then return key[1] end
  return array.new(key)
end

-- The key that a relation's own columns hold, for which no reference has to be made.
local function stored_key(e, meta, prop)
  local view = meta.views and meta.views[prop.name]
  local own = meta.own
  if own and own.values[prop.name] == nil and own.keys then view = own.views and own.views[prop.name] end
  local key = view and (own and own.keys[prop.name] or not own and managed.stored_key(e, view))
  if not key then return nil end
  key = custom.key(view.target.key, key, custom.from_db)
  for i, column in ipairs(view.target.key) do key[i] = scalar(column, key[i]) end
  return #key == 1 and key[1] or array.new(key)
end

-- Instances ------------------------------------------------------------------------------------------------

local to_plain

-- Whether a property of the row was read, or set since.
local function is_known(e, meta, prop)
  if meta.load_state == "unmanaged" then
    return not (meta.own and meta.own.unloaded and meta.own.unloaded[prop.name])
  end
  return managed.is_known(e, prop.name)
end

local function is_above(above, e)
  for i = #above, 1, -1 do
    if above[i] == e then return true end
  end
  return false
end

-- A target in full, or its key where it is not followed, not loaded, or stands above itself.
local function target_of(target, node, above, opts)
  if node and getmetatable(target).load_state ~= "reference" and not is_above(above, target) then
    return to_plain(target, node, above, opts)
  end
  return key_of(target)
end

local function to_one(e, meta, prop, node, above, opts)
  if not node then
    local key = stored_key(e, meta, prop)
    if key ~= nil then return key end
  end
  local target = e[prop.name]
  return target ~= nil and target_of(target, node, above, opts) or nil
end

local function to_many(e, _, prop, node, above, opts)
  local state = relations.collection(e, prop.name)
  if not state or not state.initialized then return nil end
  if prop.kind == "one_to_one" then
    local target = state:members()[1]
    if target == nil then return opts.nulls and null or nil end
    return target_of(target, node, above, opts)
  end
  local list = array.new {}
  for _, member in ipairs(state:members()) do list[#list + 1] = target_of(member, node, above, opts) end
  return list
end

local function value_of(e, meta, prop, node, above, opts)
  local kind = instance.kind_of(prop)
  if kind == "many" then return to_many(e, meta, prop, wanted.follow(node, prop.name), above, opts) end
  if not is_known(e, meta, prop) then return nil end
  local value
  if kind == "one" then
    value = to_one(e, meta, prop, wanted.follow(node, prop.name), above, opts)
  else
    value = rawget(e, prop.name)
    value = prop.kind == "embedded" and embedded_value(prop, value, node.below[prop.name]) or scalar(prop, value)
  end
  if value == nil and opts.nulls then return null end
  return value
end

function to_plain(e, node, above, opts)
  local meta, made = getmetatable(e), {}
  local definition = meta.definition
  wanted.check(node, definition)
  above[#above + 1] = e
  for _, prop in ipairs(definition.properties) do
    if not prop.hidden and wanted.has(node, prop.name) then
      made[prop.name] = value_of(e, meta, prop, node, above, opts)
    end
  end
  above[#above] = nil
  if definition.open then
    for name, value in next, e do
      if definition.by_name[name] == nil and wanted.has(node, name) then made[name] = plain(value) end
    end
  end
  return made
end

-- Lists ----------------------------------------------------------------------------------------------------

local function members_of(collection)
  if collection.initialized then return collection:members() end
  local owner = collection.owner
  return instance.raise_not_loaded(getmetatable(owner), owner, collection.prop.name, "load it with em:load")
end

local function refuse(value)
  errors.raise("validation", "orm.to_table takes an instance of an entity, a list of them or a collection, not a "
    .. (type(value) == "table" and "table of something else" or type(value)))
end

local NONE = {}

---Instances as plain nested data: what was loaded of them, without hidden properties. A relation is the key of its
---target, a collection that is loaded a list of keys; those that `populate` names are given in full as far as they are
---loaded, and an instance inside itself is its key. Raises `validation`, `unknown_property`; loads nothing.
---
---Usage: `cjson.encode(orm.to_table(author, { populate = { "books.tags" }, exclude = { "books.isbn" } }))`
---@param what table|userdata an instance, a list of instances, a collection
---@param opts? { populate: string[]|boolean, fields: string[], exclude: string[], nulls: boolean } `populate = true`:
---every relation that is loaded; `nulls`: NULL is orm.null instead of an absent field
---@return table
function to_table.to_table(what, opts)
  local node = wanted.read(opts)
  opts = opts or NONE
  if instance.meta_of(what) then return to_plain(what, node, {}, opts) end
  local collection = core.handle_state(what)
  if collection then
    what = members_of(collection)
  elseif type(what) ~= "table" or getmetatable(what) ~= nil and not array.is_array(what)
    or #what == 0 and next(what) ~= nil then
    return refuse(what)
  end
  local list = array.new {}
  for i, e in ipairs(what) do
    if not instance.meta_of(e) then return refuse(e) end
    list[i] = to_plain(e, node, {}, opts)
  end
  return list
end

return to_table
