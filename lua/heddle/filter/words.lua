--- What each operator says in a shape. `words.scalar` speaks of a column, `words.key` of an entity's key; each
--- entry takes the shape, the place, the operator and the reader of values in that place.
local compare = require("heddle.filter.compare")
local expression = require("heddle.expression")
local json = require("heddle.filter.json")
local list = require("heddle.filter.list")
local null = require("heddle.null")
local op = require("heddle.op")
local pattern = require("heddle.filter.pattern")
local place = require("heddle.filter.place")
local shape = require("heddle.shape")

local emit, push, refuse = shape.emit, shape.push, place.refuse

local common = {}

local function read_each(to, at, operator, read, word)
  local conditions = operator.value
  emit(to, word, #conditions)
  for i = 1, #conditions do read(to, at, conditions[i]) end
end

function common.all(to, at, operator, read)
  if #operator.value == 0 then return refuse(at, "op.all with an empty list holds for every row") end
  return read_each(to, at, operator, read, "all")
end

function common.any(to, at, operator, read)
  return read_each(to, at, operator, read, "any")
end

function common.negate(to, at, operator, read)
  return shape.negated(to, read, at, operator.value)
end

function common.is_null(to, at) return emit(to, "null", at.name) end

function common.not_null(to, at) return emit(to, "not_null", at.name) end

local function membership(word, sign)
  return function(to, at, operator)
    if expression.of(operator.value) then return compare(to, at, sign, operator.value) end
    return list.read(to, at, operator, word)
  end
end

common.one_of, common.not_one_of = membership("in", "IN"), membership("not_in", "NOT IN")

function common.raw(to, at, operator)
  if at.key and #at.key > 1 and not at.root then
    return refuse(at, "op.raw is one value, and this relation's key has " .. #at.key)
  end
  if at.root then emit(to, "raw") else emit(to, "eq_raw", at.name) end
  local values = operator.second
  emit(to, operator.value, values.n)
  for i = 1, values.n do push(to, values[i]) end
end

local function equality(word, null_word, sign)
  return function(to, at, operator)
    local value = operator.value
    if value == null then return emit(to, null_word, at.name) end
    if expression.of(value) then return compare(to, at, sign, value) end
    emit(to, word, at.name)
    if at.column then return push(to, place.scalar(at, at.column, value)) end
    local values = place.key_values(at, value)
    for i = 1, #values do push(to, values[i]) end
  end
end

common.eq = equality("eq", "null", "=")
common.ne = equality("ne", "not_null", "<>")

local scalar = setmetatable({}, { __index = common })

local unordered = { json = true, array = true }

local function comparison(word, sign)
  return function(to, at, operator)
    local column = at.column
    if unordered[column.type] then return refuse(at, "a property of type " .. column.type .. " has no order") end
    if sign and expression.of(operator.value) then return compare(to, at, sign, operator.value) end
    emit(to, word, at.name)
    push(to, place.scalar(at, column, operator.value))
    if operator.second ~= nil then push(to, place.scalar(at, column, operator.second)) end
  end
end

scalar.gt, scalar.gte = comparison("gt", ">"), comparison("gte", ">=")
scalar.lt, scalar.lte = comparison("lt", "<"), comparison("lte", "<=")
scalar.between = comparison("between")

-- "unknown" is a type of the database's own, citext for one.
local text_types = { string = true, text = true, enum = true, unknown = true }

local function text(word, before, after)
  return function(to, at, operator)
    local value = operator.value
    if not text_types[at.column.type] then
      return refuse(at, tostring(operator) .. " compares text, and this property is of type " .. at.column.type)
    end
    if type(value) ~= "string" then
      return refuse(at, tostring(operator) .. " takes a string here, not a " .. type(value))
    end
    if word ~= "matches" then value = pattern(at, operator, before, after) end
    emit(to, word, at.name)
    return push(to, value)
  end
end

scalar.like = text("like")
scalar.not_like = text("not_like")
scalar.ilike = text("ilike")
scalar.starts_with = text("like", "", "%")
scalar.ends_with = text("like", "%", "")

local text_contains = text("like", "%", "%")

scalar.matches = text("matches")

-- The elements that an operator over arrays speaks of: one, or those of a list.
local function elements(at, operator)
  local given = operator.value
  if type(given) ~= "table" or op.is_operator(given) then given = { given } end
  local checked = place.scalar(at, at.column, given)
  for i = 1, #checked do
    if checked[i] == null then
      return refuse(at, tostring(operator) .. " does not take orm.null: a NULL element is equal to nothing")
    end
  end
  return checked
end

local function containment(word, takes_json)
  return function(to, at, operator)
    local kind = at.column.type
    if kind ~= "array" and not (takes_json and kind == "json") then
      return refuse(at, tostring(operator) .. " speaks of arrays" .. (takes_json and " and json" or "")
        .. ", and this property is of type " .. kind)
    end
    local value = kind == "array" and elements(at, operator) or place.scalar(at, at.column, operator.value)
    emit(to, word, at.name)
    return push(to, value)
  end
end

local contains = containment("contains", true)

function scalar.contains(to, at, operator)
  local read_with = unordered[at.column.type] and contains or text_contains
  return read_with(to, at, operator)
end

scalar.contained, scalar.overlaps = containment("contained", true), containment("overlaps", false)

function scalar.json(to, at, operator) return json.read(to, at, operator) end

-- What the operators speak of that no scalar takes, in words.
local subject = { some = "members", none = "members", every = "members" }

return { scalar = scalar, key = common, subject = subject }
