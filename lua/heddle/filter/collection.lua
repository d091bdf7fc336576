--- `some`, `none` and `every`: conditions on what a relation leads to, one member or many.
--
-- They are true or false, never unknown: a member for which a condition is unknown is one that does not fulfil it.
local op = require("heddle.op")
local place = require("heddle.filter.place")
local shape = require("heddle.shape")

local collection = {}

local emit, refuse = shape.emit, place.refuse

local quantifiers = { some = true, none = true, every = true }

-- What says of itself which members are meant: those that it names. It is short for `some` of it.
local function names_members(value, kind)
  if kind then return kind == "eq" or kind == "one_of" end
  local is = type(value)
  if is ~= "table" then return is == "string" or is == "number" or is == "cdata" end
  return getmetatable(value) ~= nil or next(value) ~= nil
end

-- What stands in an operator: a filter of the target, keys or entities of it; `{}` for any member at all.
local function read_condition(to, at, condition, read, read_named)
  if type(condition) == "table" and getmetatable(condition) == nil and next(condition) == nil then
    return read_named(to, at.target, true) or emit(to, "all", 0)
  end
  read_named(to, at.target)
  return read(to, place.member(at.target), condition)
end

---Reads what named filters say of the pairs of a many_to_many, where these are rows of an entity.
---@param to heddle.Shape
---@param pivot table|nil of the relation
---@param read_named fun(to: heddle.Shape, mapping: table, alone: boolean?): boolean
function collection.pairs(to, pivot, read_named)
  local entity = to.named and pivot and pivot.entity
  if not entity or not to.named:condition(entity) then return end
  emit(to, "pair")
  read_named(to, entity, true)
end

---Reads `some`, `none` or `every` of a relation.
---@param to heddle.Shape
---@param at heddle.Place
---@param operator heddle.Operator
---@param read fun(to: heddle.Shape, at: heddle.Place, value: any)
---@param read_named fun(to: heddle.Shape, mapping: table, alone: boolean?): boolean
function collection.quantify(to, at, operator, read, read_named)
  emit(to, operator.kind, at.name)
  collection.pairs(to, at.mapping.props[at.name].pivot, read_named)
  if operator.kind ~= "every" then return read_condition(to, at, operator.value, read, read_named) end
  -- Members that a named filter hides are none that could fail.
  if not read_named(to, at.target, true) then emit(to, "all", 0) end
  return read(to, place.member(at.target), operator.value)
end

local function read_each(to, at, operator, read)
  emit(to, operator.kind, #operator.value)
  for i = 1, #operator.value do read(to, at, operator.value[i]) end
end

---Whether an operator is one of these three.
---@param operator heddle.Operator
---@return boolean
function collection.is_quantifier(operator)
  return quantifiers[operator.kind] == true
end

---Reads what stands under a to-many relation.
---@param to heddle.Shape
---@param at heddle.Place
---@param value any
function collection.read(to, at, value, read, read_named)
  local kind = op.is_operator(value) and value.kind
  if quantifiers[kind] then return collection.quantify(to, at, value, read, read_named) end
  if kind == "all" or kind == "any" then return read_each(to, at, value, read) end
  if kind == "negate" then return shape.negated(to, read, at, value.value) end
  if names_members(value, kind) then
    return collection.quantify(to, at, { kind = "some", value = value }, read, read_named)
  end
  return refuse(at, ("this is a collection: say of which members you speak, as in %s = op.some { ... }, "
    .. "op.every { ... } or op.none { ... }; these take a key, an entity or op.one_of { ... } too"):format(at.name))
end

return collection
