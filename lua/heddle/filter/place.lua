--- What a value in a filter stands for: a column, or the key of an entity (a relation's target; at the root
--- the entity itself). A place checks the values that are put there, so that data can be a value and nothing else.
local later = require("heddle.later")
local custom = require("heddle.custom")
local errors = require("heddle.errors")
local json_member = later.module("heddle.embedded.json_member")
local key_form = require("heddle.key_form")
local null = require("heddle.null")
local op = require("heddle.op")
local resolve = later.module("heddle.resolve")

local place = {}

---What a room above puts in: `key_of(value, mapping)` gives the key values of an instance of that mapping's
---entity, nil when the value is no instance, and raises when it is one of another entity or context.
place.hooks = later.fill({}, { ["heddle.filter.of_instance"] = "key_of" })

---@class heddle.Place
---@field mapping table whose property it is
---@field where string "filter", "data"
---@field name string the property, "" for the entity itself
---@field column table? of a scalar
---@field embedded table? node of an embedded value
---@field target table? mapping of the entity whose key belongs here
---@field key table[]? that key's columns
---@field root boolean? the entity itself, not a relation to it
---@field nested boolean? reached through a relation: hidden properties are no names there
---@field collection boolean? a to-many relation

---Raises an error about a place.
---@param self heddle.Place
---@param message string
---@param kind string? "validation" when left out
function place.refuse(self, message, kind)
  return resolve.refuse(kind or "validation", self.mapping, self.name, self.where, message)
end

local refuse = place.refuse

---The place of an embedded value, or of a member of one.
---@param mapping table
---@param node table
---@param where string
---@return heddle.Place
function place.of_node(mapping, node, where)
  local self = { mapping = mapping, name = node.path, where = where, children = {} }
  if node.prop.kind == "embedded" then
    self.embedded = node
  elseif node.column then
    self.column = node.column
  else
    return refuse(self, "this member is not stored")
  end
  return self
end

---@param mapping table
---@param view table
---@param where string what is being read: "filter", "data"
---@return heddle.Place
function place.make(mapping, view, where)
  if view.embedded then
    local self = place.of_node(mapping, view.embedded, where)
    self.hidden = resolve.is_hidden(view)
    return self
  end
  local self = { mapping = mapping, name = view.name, column = view.column, where = where }
  self.hidden = resolve.is_hidden(view)
  if view.column then return self end
  if view.kind == "many_to_one" or view.kind == "one_to_one" then
    self.target, self.key = view.target, view.target.key
    return self
  end
  if view.kind == "one_to_many" or view.kind == "many_to_many" then
    self.target, self.key, self.collection = view.target, view.target.key, true
    if where == "filter" then return self end
    return refuse(self, "this is a collection, which only the unit of work writes", "unsupported")
  end
  return refuse(self, "this property has no column of its own", "unsupported")
end

---The place of a property, or `unknown_property`. A nested one is reached through a relation.
---@param mapping table
---@param name string
---@param nested boolean?
---@return heddle.Place
function place.of(mapping, name, nested)
  local places = mapping.plans.places
  if not places then
    places = {}
    mapping.plans.places = places
  end
  local self = places[name]
  if not self or nested and self.hidden then
    self = place.make(mapping, resolve.view(mapping, name, "filter", nested), "filter")
    places[name] = self
  end
  return self
end

---The place of the entity itself.
---@param mapping table
---@return heddle.Place
function place.root(mapping)
  local self = mapping.plans.root
  if not self then
    self = { mapping = mapping, name = "", where = "filter", root = true, target = mapping, key = mapping.key }
    mapping.plans.root = self
  end
  return self
end

---The place of an entity that a relation leads to, as some, none and every speak of it.
---@param mapping table
---@return heddle.Place
function place.member(mapping)
  local self = mapping.plans.member
  if not self then
    self = { mapping = mapping, name = "", where = "filter", root = true, nested = true, target = mapping,
      key = mapping.key }
    mapping.plans.member = self
  end
  return self
end

local scalars = { string = true, number = true, boolean = true, cdata = true }
local holds_tables = { json = true, array = true }

---A value as the column's converter will take it, or `validation`.
---@param self heddle.Place
---@param column table
---@param value any
---@return any
function place.scalar(self, column, value)
  if not op.is_operator(value) then value = custom.to_db(custom.source(column), value) end
  if column.json then value = json_member.bound(self, column, value) end
  local kind = type(value)
  if scalars[kind] then return value end
  if kind == "table" then
    if op.is_operator(value) then return refuse(self, tostring(value) .. " cannot stand inside another operator") end
    if holds_tables[column.type] then return value end
    return refuse(self, "a table where a value belongs; only the functions of orm.op make operators")
  end
  if kind == "function" then
    return refuse(self, "a function where a value belongs: call it, as in op.is_null()")
  end
  return refuse(self, (value == null and "orm.null" or "a " .. kind) .. " where a value belongs")
end

---A text that a LIKE takes as it is.
---@param text string
---@return string
function place.escaped(text)
  return (text:gsub("[\\%%_]", "\\%0"))
end

-- The values of a composite key given as a list or by name, in declared order.
local function key_from_table(self, value)
  if #self.key == 1 then return refuse(self, "a table where a key belongs; " .. key_form.describe(self.target)) end
  return key_form.values(self.target, value, place.hooks.key_of) or refuse(self, key_form.describe(self.target))
end

local function key_of(self, value)
  local kind = type(value)
  if #self.key == 0 then return refuse(self, key_form.describe(self.target)) end
  if kind == "table" then
    if getmetatable(value) == nil then return key_from_table(self, value) end
    local values = not op.is_operator(value) and place.hooks.key_of(value, self.target)
    if values then return values end
    return refuse(self, "takes a key of " .. self.target.name .. " or an entity, not "
      .. (op.is_operator(value) and "an operator in an operator" or "a table that is no entity"))
  end
  if kind == "boolean" or not scalars[kind] then
    return refuse(self, "takes a key of " .. self.target.name .. " or an entity, not "
      .. (value == null and "orm.null" or "a " .. kind))
  end
  if #self.key ~= 1 then
    return refuse(self, key_form.describe(self.target))
  end
  return { value }
end

---The key values that a scalar, a key or an entity stands for, each checked.
---@param self heddle.Place
---@param value any
---@return any[]
function place.key_values(self, value)
  local key, given, values = self.key, key_of(self, value), {}
  for i = 1, #key do values[i] = place.scalar(self, key[i], given[i]) end
  return values
end

---Refuses what stands where a filter belongs and is none.
---@param mapping table
---@param message string
function place.refuse_filter(mapping, message)
  return errors.raise("validation", "filter of " .. mapping.name .. ": " .. message, resolve.fields(mapping))
end

return place
