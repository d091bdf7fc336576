--- Filters: from what the program wrote to a shape and its parameters.
--
-- One walk checks every name and value and writes the filter in prefix form without its values
-- (`all 2 eq name rel team eq name`), names sorted so that one filter has one shape. `condition.lua` makes SQL of
-- it when the shape is new.
--
-- Nothing here trusts data: operators are known by their metatable, names by the mapping, and a plain table
-- is a filter under a relation, a value in a json or array property, and refused everywhere else.
--
-- A nested filter `{ team = { name = "core" } }` says: there is a team, and it is called so. Its negation
-- finds the rows without a team.
local later = require("heddle.later")
local collection = later.module("heddle.filter.collection")
local list = later.module("heddle.filter.list")
local compare = require("heddle.filter.compare")
local embedded = later.module("heddle.filter.embedded")
local expression = require("heddle.expression")
local null = require("heddle.null")
local op = require("heddle.op")
local place = require("heddle.filter.place")
local resolve = require("heddle.resolve")
local shape = require("heddle.shape")
local words = require("heddle.filter.words")

local filter = { hooks = place.hooks }

local emit, push, refuse = shape.emit, shape.push, place.refuse
local is_operator = op.is_operator
local read

local function read_scalar(to, at, value)
  if expression.of(value) then return compare(to, at, "=", value) end
  if value == null then return emit(to, "null", at.name) end
  if is_operator(value) then
    local word = words.scalar[value.kind]
    if word then return word(to, at, value, read) end
    return refuse(at, tostring(value) .. " speaks of " .. words.subject[value.kind] .. ", and this property is of type "
      .. at.column.type)
  end
  emit(to, "eq", at.name)
  return push(to, place.scalar(at, at.column, value))
end

---Reads what an entity's named filters say, in a scope of that entity. Unless it stands alone, the caller reads one
---condition more where this gives true.
---@param to heddle.Shape
---@param map table
---@param alone? boolean
---@return boolean whether there was something to read
local function read_named(to, map, alone)
  local named = to.named
  local own = named and named:condition(map)
  if not own then return false end
  if not alone then emit(to, "all", 2) end
  to.named = nil
  emit(to, "own")
  read(to, place.root(map), own)
  to.named = named
  return true
end

local function read_operator(to, at, operator)
  if collection.is_quantifier(operator) and not at.root then
    return collection.quantify(to, at, operator, read, read_named)
  end
  local word = words.key[operator.kind]
  if at.root and (not word or operator.kind == "is_null" or operator.kind == "not_null") then
    return refuse(at, tostring(operator) .. " needs a property to speak of, as in { name = op.gt(1) }")
  end
  if not word then
    return refuse(at, tostring(operator) .. " does not compare relations: give a key, an entity or a filter")
  end
  return word(to, at, operator, read)
end

filter.named = read_named

-- The names of a filter, sorted.
local function names_of(at, where)
  local names, n = {}, 0
  for name in pairs(where) do
    if type(name) ~= "string" then return resolve.view(at.target, name, "filter") end
    n = n + 1
    names[n] = name
  end
  table.sort(names)
  return names, n
end

local function read_conditions(to, at, where)
  local only, nested = next(where), not at.root or at.nested
  if only ~= nil and next(where, only) == nil then
    if not at.root then
      emit(to, "rel", at.name)
      read_named(to, at.target)
    end
    return read(to, place.of(at.target, only, nested), where[only])
  end
  local names, n = names_of(at, where)
  if n == 0 then
    return refuse(at, "an empty table inside a filter would hold for every row: is a variable in it nil?")
  end
  if not at.root then
    emit(to, "rel", at.name)
    read_named(to, at.target)
  end
  emit(to, "all", n)
  for i = 1, n do
    local name = names[i]
    read(to, place.of(at.target, name, nested), where[name])
  end
end

local function read_entity(to, at, value)
  if value == null and not at.root then return emit(to, "null", at.name) end
  if type(value) == "table" then
    if is_operator(value) then return read_operator(to, at, value) end
    if expression.of(value) and not at.root then return compare(to, at, "=", value) end
    if getmetatable(value) == nil and value[1] == nil then return read_conditions(to, at, value) end
  end
  emit(to, "eq", at.name)
  local values = place.key_values(at, value)
  for i = 1, #values do push(to, values[i]) end
end

local function read_at(to, at, value)
  if at.column then return read_scalar(to, at, value) end
  if at.embedded then return embedded.read(to, at, value, read) end
  if at.collection then return collection.read(to, at, value, read, read_named) end
  return read_entity(to, at, value)
end

function read(to, at, value)
  return shape.nested(to, read_at, refuse, at, value)
end

---Reads a filter into a shape: a table of conditions, an operator, a bare key, an instance. nil is refused, and
---`{}` unless `allow_empty`: it is what `{ id = nil }` says. `to.named` (heddle.NamedFilters) adds what entities' named
---filters say.
---@param to heddle.Shape
---@param mapping table
---@param where any
---@param allow_empty boolean?
function filter.read(to, mapping, where, allow_empty)
  if where == nil or where == null then
    return place.refuse_filter(mapping, (where == nil and "nil" or "orm.null")
      .. " is no filter; find_all reads every row")
  end
  if type(where) == "table" and getmetatable(where) == nil and next(where) == nil then
    if allow_empty then return read_named(to, mapping, true) or emit(to, "all", 0) end
    return place.refuse_filter(mapping, "an empty filter would hold for every row: is a variable in it nil? "
      .. "Say all = true if every row is meant")
  end
  if to.named then read_named(to, mapping) end
  return read(to, place.root(mapping), where)
end

---Reads the condition on one property of an entity.
---@param to heddle.Shape
---@param mapping table
---@param name any
---@param value any
function filter.property(to, mapping, name, value)
  return read(to, place.of(mapping, name), value)
end

---Reads a condition on an entity itself, without what its named filters say; nil: these alone.
---@param to heddle.Shape
---@param mapping table
---@param where any
function filter.entity(to, mapping, where)
  if where == nil then return read_named(to, mapping, true) end
  return read(to, place.root(mapping), where)
end

---Reads the filter of members: the rows that a to-many relation, or the inverse side of a one_to_one, links to some
---owners, and of these what a filter of the program's finds.
---@param to heddle.Shape
---@param view table the relation, of the owners
---@param keys table[] of the owners
---@param where any
function filter.members(to, view, keys, where)
  local pivot = view.pivot and view.pivot.mapping
  local is_every = type(where) == "table" and getmetatable(where) == nil and next(where) == nil
    and not (to.named and to.named:condition(view.target))
  if not is_every then emit(to, "all", 2) end
  if pivot then
    local side = view.prop.owner and "owner" or "target"
    emit(to, "member", pivot.name, side)
    collection.pairs(to, view.pivot, read_named)
    list.read(to, place.make(pivot, pivot.props[side], "filter"), { value = keys }, "in")
  else
    list.read(to, place.of(view.target, view.prop.mapped_by), { value = keys }, "in")
  end
  if not is_every then return filter.read(to, view.target, where, true) end
end

return filter
