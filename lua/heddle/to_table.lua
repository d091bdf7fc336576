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
    local is_listed = type(key) == "number"
    if is_listed or type(key) == "string" then
      local inner = plain(item, above)
      -- In a list what cannot be said leaves no hole.
      if inner == nil and is_listed then inner = null end
      made[key] = inner
    end
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
    if item ~= nil and item ~= null and (not node or wanted.has(node, member.name)) then
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
-- key the database gives, and for what has none.
function key_of(e)
  local key = {}
  local primary = getmetatable(e).definition.primary
  for i, prop in ipairs(primary) do
    key[i] = key_part(e, prop)
    if key[i] == nil then return nil end
  end
  if #primary < 2 then return key[1] end
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

-- A graph is written from the top down, level by level: a *place* is an instance that stands somewhere in full,
-- { e, node, made, above, depth, walk }, whose table is filled when its turn has come. So the depth of a graph costs no
-- stack, and it is known what stands nearer to the top.

local function put(walk, e, node, above)
  local place = { e = e, node = node, made = {}, above = above, depth = above and above.depth + 1 or 0, walk = walk }
  walk.count = walk.count + 1
  walk[walk.count] = place
  return place.made
end

local function is_above(place, e)
  repeat
    if place.e == e then return true end
    place = place.above
  until not place
  return false
end

-- Whether an instance below a place is its key. Where everything is followed there may be more ways through a graph
-- than anybody can walk: there an instance stands in full where it is nearest to the top, and nowhere below.
local function is_cut(place, e)
  local depths = place.walk.depths
  if not depths then return is_above(place, e) end
  depths[e] = depths[e] or place.depth + 1
  return depths[e] <= place.depth
end

-- Whether a property of the row was read, or set since.
local function is_known(e, meta, prop)
  if meta.load_state == "unmanaged" then
    return not (meta.own and meta.own.unloaded and meta.own.unloaded[prop.name])
  end
  return managed.is_known(e, prop.name)
end

-- A target in full, or its key where it is not followed, not loaded, or stands above already.
local function target_of(target, node, place)
  if node and getmetatable(target).load_state ~= "reference" and not is_cut(place, target) then
    return put(place.walk, target, node, place)
  end
  return key_of(target)
end

-- What stands for a property, and whether it is NULL.

local function to_one(e, meta, prop, node, place)
  if not node then
    local key = stored_key(e, meta, prop)
    if key ~= nil then return key, false end
  end
  local target = e[prop.name]
  if target == nil then return nil, true end
  return target_of(target, node, place), false
end

local function to_many(e, prop, node, place)
  local state = relations.collection(e, prop.name)
  if not state or not state.initialized then return nil, false end
  local members = state:members()
  if prop.kind == "one_to_one" then
    if members[1] == nil then return nil, true end
    return target_of(members[1], node, place), false
  end
  local list = array.new {}
  for _, member in ipairs(members) do list[#list + 1] = target_of(member, node, place) end
  return list, false
end

local function own_value(e, prop, node)
  local value = rawget(e, prop.name)
  if value == nil or value == null then return nil, true end
  if prop.kind == "embedded" then return embedded_value(prop, value, node.below[prop.name]), false end
  return scalar(prop, value), false
end

local function value_of(e, meta, prop, place)
  local kind, node = instance.kind_of(prop), place.node
  if kind == "many" then return to_many(e, prop, wanted.follow(node, prop.name), place) end
  if not is_known(e, meta, prop) then return nil, false end
  if kind == "one" then return to_one(e, meta, prop, wanted.follow(node, prop.name), place) end
  return own_value(e, prop, node)
end

local function fill(place)
  local e, node, made = place.e, place.node, place.made
  local meta = getmetatable(e)
  local definition = meta.definition
  wanted.check(node, definition, meta.views or meta.own and meta.own.views)
  for _, prop in ipairs(definition.properties) do
    if not prop.hidden and wanted.has(node, prop.name) then
      local value, is_null = value_of(e, meta, prop, place)
      if is_null and place.walk.nulls then value = null end
      made[prop.name] = value
    end
  end
  if not definition.open then return end
  for name, value in next, e do
    if type(name) == "string" and definition.by_name[name] == nil and wanted.has(node, name) then
      made[name] = plain(value)
    end
  end
end

local function to_plain(e, node, opts)
  local walk = { count = 0, nulls = opts.nulls, depths = node.everything and { [e] = 0 } or nil }
  local made, at = put(walk, e, node), 1
  while at <= walk.count do
    fill(walk[at])
    walk[at], at = false, at + 1
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
  errors.raise("validation", "orm.to_table takes an instance of an entity, a list of them without holes, or a "
    .. "collection, not a " .. (type(value) == "table" and "table of something else" or type(value)))
end

local NONE = {}

---Instances as plain nested data: what was loaded of them, without hidden properties. A relation is the key of its
---target, a collection that is loaded a list of keys; those that `populate` names are given in full as far as they are
---loaded, and an instance inside itself is its key. Raises `validation`, `unknown_property`; loads nothing.
---
---Usage: `cjson.encode(orm.to_table(author, { populate = { "books.tags" }, exclude = { "books.isbn" } }))`
---@param what table|userdata an instance, a list of instances, a collection
---@param opts? { populate: string[]|boolean, fields: string[], exclude: string[], nulls: boolean } `populate = true`:
---every relation that is loaded, each instance where it is nearest to the top; `nulls`: NULL is orm.null instead of an
---absent field
---@return table
function to_table.to_table(what, opts)
  local node = wanted.read(opts)
  opts = opts or NONE
  if instance.meta_of(what) then return to_plain(what, node, opts) end
  local collection = core.handle_state(what)
  if collection then
    what = members_of(collection)
  elseif type(what) ~= "table" or getmetatable(what) ~= nil and not array.is_array(what) then
    return refuse(what)
  end
  local list, count = array.new {}, 0
  for _ in pairs(what) do count = count + 1 end
  for i = 1, count do
    if not instance.meta_of(what[i]) then return refuse(what[i]) end
    list[i] = to_plain(what[i], node, opts)
  end
  return list
end

return to_table
