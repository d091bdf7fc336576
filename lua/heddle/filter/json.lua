--- Filters over a value inside a json property: `{ data = op.json("address.city", op.like "B%") }`.
--
-- The value that is compared says which type is meant. What is not there and JSON null are NULL here, as a column
-- that holds nothing is; of another type than the value compared, a value is not equal to it, and has no order and no
-- pattern to be told by: that is unknown.
--
-- A leaf stands in the shape as `json name word ...`; its path is a parameter.
local array = require("heddle.array")
local compat = require("heddle.compat")
local json_path = require("heddle.json_path")
local null = require("heddle.null")
local op = require("heddle.op")
local pattern = require("heddle.filter.pattern")
local place = require("heddle.filter.place")
local shape = require("heddle.shape")

local json = {}

local emit, push, refuse = shape.emit, shape.push, place.refuse

-- Where Lua's numbers are doubles, a document's integers beyond them are read as their digits.
local function is_digits(value)
  return compat.is_51 and type(value) == "string" and #value > 15 and value:find("^%-?[1-9]%d*$") ~= nil
end

-- The words up to a leaf, and its path.
local function lead(to, at)
  emit(to, "json", at.name)
  return push(to, at.mapping.driver == "sqlite" and array.new(at.steps) or json_path.text(at.steps))
end

local function checked(at, operator, value)
  local kind = type(value)
  if op.is_operator(value) then return refuse(at, tostring(value) .. " cannot stand inside another operator") end
  if kind == "string" or kind == "number" or kind == "boolean" or kind == "table" then return value end
  return refuse(at, tostring(operator) .. " takes what JSON has, not " .. (value == null and "orm.null here" or "a "
    .. kind))
end

-- Lists --------------------------------------------------------------------------------------------------------

local function push_padded(to, values)
  local size = 1
  if #values == 0 then return 0 end
  while size < #values do size = size * 2 end
  for i = 1, size do push(to, values[math.min(i, #values)]) end
  return size
end

-- Documents, and integers as digits, which are numbers or strings in a document: each list padded to a power of two.
local function read_list(to, at, operator, list, word)
  local documents, digits, has_null = {}, {}, false
  for _, value in ipairs(list) do
    if value == null then
      has_null = true
    else
      documents[#documents + 1] = checked(at, operator, value)
      if is_digits(value) then digits[#digits + 1] = value end
    end
  end
  if #documents == 0 then
    if not has_null then return emit(to, word == "in" and "any" or "all", 0) end
    lead(to, at)
    return emit(to, word == "in" and "null" or "not_null")
  end
  lead(to, at)
  emit(to, word, push_padded(to, documents), push_padded(to, digits))
  return emit(to, has_null and "null" or "-")
end

-- Operators ----------------------------------------------------------------------------------------------------

local words = {}

-- PostgreSQL finds a name's value by an index over the document, where an answer of false will do for one of NULL.
local function by_containment(to, at, value)
  if at.mapping.driver ~= "postgres" or to.negations > 0 or type(value) == "table" then return false end
  for _, step in ipairs(at.steps) do
    if type(step) ~= "string" then return false end
  end
  for i = #at.steps, 1, -1 do value = { [at.steps[i]] = value } end
  emit(to, "contains", at.name)
  push(to, value)
  return true
end

local function read_equal(to, at, operator, value)
  if value == null then
    lead(to, at)
    return emit(to, "null")
  end
  checked(at, operator, value)
  if is_digits(value) then return read_list(to, at, operator, { value }, "in") end
  if by_containment(to, at, value) then return end
  lead(to, at)
  emit(to, "eq")
  return push(to, value)
end

function words.eq(to, at, operator) return read_equal(to, at, operator, operator.value) end

function words.ne(to, at, operator)
  local value = operator.value
  if is_digits(value) then return read_list(to, at, operator, { value }, "not_in") end
  if value ~= null then checked(at, operator, value) end
  lead(to, at)
  if value == null then return emit(to, "not_null") end
  emit(to, "ne")
  return push(to, value)
end

function words.is_null(to, at)
  lead(to, at)
  return emit(to, "null")
end

function words.not_null(to, at)
  lead(to, at)
  return emit(to, "not_null")
end

function words.one_of(to, at, operator) return read_list(to, at, operator, operator.value, "in") end
function words.not_one_of(to, at, operator) return read_list(to, at, operator, operator.value, "not_in") end

-- "number", "digits" or "string".
local function ordered_kind(at, operator, value)
  local kind = type(value)
  if is_digits(value) then return "digits" end
  if kind == "number" or kind == "string" then return kind end
  return refuse(at, tostring(operator) .. " compares numbers or strings here, and a " .. kind .. " has no order")
end

local function comparison(word)
  return function(to, at, operator)
    local low, high = operator.value, operator.second
    local kind = ordered_kind(at, operator, low)
    local other = high == nil and kind or ordered_kind(at, operator, high)
    if (kind == "string") ~= (other == "string") then
      return refuse(at, tostring(operator) .. " takes two numbers or two strings")
    end
    lead(to, at)
    emit(to, word, kind)
    push(to, low)
    if high ~= nil then
      emit(to, other)
      push(to, high)
    end
  end
end

for _, word in ipairs({ "gt", "gte", "lt", "lte", "between" }) do words[word] = comparison(word) end

local function text(word, before, after)
  return function(to, at, operator)
    lead(to, at)
    emit(to, "text", word)
    return push(to, word == "matches" and operator.value or pattern(at, operator, before, after))
  end
end

for _, word in ipairs({ "like", "not_like", "ilike", "matches" }) do words[word] = text(word) end
words.starts_with, words.ends_with = text("like", "", "%"), text("like", "%", "")

-- A string is looked for in a text, and among the items of an array.
function words.contains(to, at, operator)
  local value = checked(at, operator, operator.value)
  lead(to, at)
  if type(value) ~= "string" then
    emit(to, "contains")
    return push(to, value)
  end
  emit(to, "has")
  push(to, pattern(at, operator, "%", "%"))
  return push(to, value)
end

function words.contained(to, at, operator)
  local value = checked(at, operator, operator.value)
  lead(to, at)
  emit(to, "contained")
  return push(to, value)
end

local read

local function each(to, at, operator)
  emit(to, operator.kind, #operator.value)
  for i = 1, #operator.value do read(to, at, operator.value[i]) end
end

words.all, words.any = each, each

function words.negate(to, at, operator)
  return shape.negated(to, read, at, operator.value)
end

-- Places -------------------------------------------------------------------------------------------------------

local function inside(at, operator)
  local steps = {}
  for _, step in ipairs(at.steps or {}) do steps[#steps + 1] = step end
  for _, step in ipairs(operator.second) do steps[#steps + 1] = step end
  return { mapping = at.mapping, name = at.name, where = at.where, column = at.column, steps = steps }
end

function words.json(to, at, operator) return read(to, inside(at, operator), operator.value) end

function read(to, at, value)
  if not op.is_operator(value) then return read_equal(to, at, "op.json", value) end
  local word = words[value.kind]
  if not word then return refuse(at, tostring(value) .. " does not compare a value inside json") end
  return word(to, at, value)
end

---Reads `op.json(path, condition)` of a json property.
---@param to heddle.Shape
---@param at heddle.Place
---@param operator heddle.Operator
function json.read(to, at, operator)
  if at.column.type ~= "json" then
    return refuse(at, "op.json looks into a json property, and this one is of type " .. at.column.type)
  end
  return read(to, inside(at, operator), operator.value)
end

return json
