--- Filter operators (`orm.op`).
--
-- An operator is an object with a metatable that only the functions below give, so no decoded JSON and no
-- form field can ever be one. Each function refuses nil: a variable that was never set must not widen a
-- filter. What an operator becomes in SQL is the business of `filter.lua` and `condition.lua`.
--
-- NULL is SQL's on both drivers: a comparison with a value is neither true nor false for a NULL row, so
-- `ne(1)`, `not_one_of { 1 }`, `not_like` and the negation of a comparison do not find it. `orm.null` asks
-- for it: `eq(orm.null)`, `ne(orm.null)`, `one_of { 1, orm.null }` (NULL rows too), `not_one_of { 1, orm.null }`
-- (no NULL rows).

local later = require("heddle.later")
local errors = require("heddle.errors")
local expression = later.module("heddle.expression")
local json_path = later.module("heddle.json_path")
local null = require("heddle.null")
local placeholders = later.module("heddle.placeholders")

local op = {}

-- What queries have set on top of it.
later.fill(op, { ["heddle.query.ref"] = "ref" })

---@class heddle.Operator
---@field kind string
local Operator = {}
Operator.__index = Operator
Operator.__name, Operator.__sql = "heddle.operator", true -- by which the core's binding knows it
Operator.__tostring = function(self) return "op." .. self.kind end

local function refuse(kind, what)
  return errors.raise("validation", "op." .. kind .. " " .. what)
end

local function given(kind, value)
  if value == nil then
    refuse(kind, "was called with nil: check that the variable is set (orm.null stands for NULL)")
  end
  return value
end

-- A value that has an order: neither nil nor NULL.
local function ordered(kind, value)
  if given(kind, value) == null then
    refuse(kind, "does not take orm.null, which has no order: use op.is_null() or op.not_null()")
  end
  return value
end

local function text(kind, value)
  if type(given(kind, value)) ~= "string" then
    refuse(kind, "takes a string, not a " .. type(value))
  end
  return value
end

-- An array without holes. An operator or an instance is none: both have a metatable.
local function list(kind, value, expressions)
  if expressions and expression.of(value) then return value end
  if type(given(kind, value)) ~= "table" or getmetatable(value) == Operator then
    refuse(kind, "takes a list: op." .. kind .. " { a, b }")
  end
  local count, n = 0, #value
  for _ in pairs(value) do count = count + 1 end
  if count ~= n then
    refuse(kind, "takes a list without holes and names: it has " .. count .. " entries, "
      .. n .. " of them in order")
  end
  return value
end

local function make(kind, value, second)
  return setmetatable({ kind = kind, value = value, second = second }, Operator)
end

---Whether a value was made by a function of this module.
---@param value any
---@return boolean
function op.is_operator(value)
  return type(value) == "table" and getmetatable(value) == Operator
end

---Whether a value is SQL of the program's own, made by `op.raw`.
---@param value any
---@return boolean
function op.is_raw(value)
  return op.is_operator(value) and value.kind == "raw"
end

---Equal. `eq(orm.null)` is IS NULL. Under a relation it takes a key or an entity and nothing else, so it is
---what request data goes through: `{ author = op.eq(body.author) }`.
---@param value any
---@return heddle.Operator
function op.eq(value) return make("eq", given("eq", value)) end

---Not equal. NULL rows are not found by `ne(1)`; `ne(orm.null)` is IS NOT NULL.
---@param value any
---@return heddle.Operator
function op.ne(value) return make("ne", given("ne", value)) end

---Greater than: `{ age = op.gt(18) }`.
---@param value any
---@return heddle.Operator
function op.gt(value) return make("gt", ordered("gt", value)) end

---Greater than or equal: `{ age = op.gte(18) }`.
---@param value any
---@return heddle.Operator
function op.gte(value) return make("gte", ordered("gte", value)) end

---Less than: `{ age = op.lt(18) }`.
---@param value any
---@return heddle.Operator
function op.lt(value) return make("lt", ordered("lt", value)) end

---Less than or equal: `{ age = op.lte(18) }`.
---@param value any
---@return heddle.Operator
function op.lte(value) return make("lte", ordered("lte", value)) end

---Within both bounds, bounds included: `{ age = op.between(18, 65) }`.
---@param low any
---@param high any
---@return heddle.Operator
function op.between(low, high)
  return make("between", ordered("between", low), ordered("between", high))
end

---One of the values: `{ id = op.one_of { 1, 2 } }`. With orm.null among them the NULL rows are found too; an
---empty list finds nothing.
---@param values any[]
---@return heddle.Operator
function op.one_of(values) return make("one_of", list("one_of", values, true)) end

---None of the values. NULL rows are not found, with or without orm.null in the list; an empty list leaves
---nothing out, so everything is found.
---@param values any[]
---@return heddle.Operator
function op.not_one_of(values) return make("not_one_of", list("not_one_of", values, true)) end

---LIKE, case-sensitive on both drivers: `%` any text, `_` one character, `\` takes the next one as it is.
---@param pattern string
---@return heddle.Operator
function op.like(pattern) return make("like", text("like", pattern)) end

---NOT LIKE; NULL rows are not found.
---@param pattern string
---@return heddle.Operator
function op.not_like(pattern) return make("not_like", text("not_like", pattern)) end

---LIKE with upper and lower case folded on both drivers.
---@param pattern string
---@return heddle.Operator
function op.ilike(pattern) return make("ilike", text("ilike", pattern)) end

---The text begins so, wildcards taken as they are: `{ name = op.starts_with "50%" }`.
---@param prefix string
---@return heddle.Operator
function op.starts_with(prefix) return make("starts_with", text("starts_with", prefix)) end

---The text ends so, wildcards taken as they are.
---@param suffix string
---@return heddle.Operator
function op.ends_with(suffix) return make("ends_with", text("ends_with", suffix)) end

---The text has this in it, wildcards taken as they are: `{ name = op.contains "_" }`. Of an array: it has this
---element, or all of a list, `{ tags = op.contains { "a", "b" } }`. Of json: it has these members and items,
---`{ data = op.contains { a = { b = 1 } } }`, as PostgreSQL's `@>` says.
---@param value any
---@return heddle.Operator
function op.contains(value) return make("contains", ordered("contains", value)) end

---The other way round: every element of the array, or every member and item of the document, is in the value.
---@param value any
---@return heddle.Operator
function op.contained(value) return make("contained", ordered("contained", value)) end

---The array has an element of the list: `{ tags = op.overlaps { "a", "b" } }`.
---@param value any
---@return heddle.Operator
function op.overlaps(value) return make("overlaps", ordered("overlaps", value)) end

---The text matches a regular expression, by PostgreSQL's `~`; on SQLite by the function `regexp` of the program,
---without which the query is `unsupported`.
---@param pattern string
---@return heddle.Operator
function op.matches(pattern) return make("matches", text("matches", pattern)) end

---IS NULL: the same as `orm.null` in its place.
---@return heddle.Operator
function op.is_null() return make("is_null") end

---IS NOT NULL.
---@return heddle.Operator
function op.not_null() return make("not_null") end

---Every condition holds: `op.all { { age = op.gt(3) }, { age = op.lt(9) } }`, or of one property
---`{ age = op.all { op.gt(3), op.lt(9) } }`. An empty list is refused.
---@param conditions any[]
---@return heddle.Operator
function op.all(conditions)
  if #list("all", conditions) == 0 then
    refuse("all", "was given an empty list, which would hold for every row")
  end
  return make("all", conditions)
end

---At least one condition holds; an empty list finds nothing.
---@param conditions any[]
---@return heddle.Operator
function op.any(conditions) return make("any", list("any", conditions)) end

---The condition does not hold: `op.negate { name = "John" }`. A comparison with NULL is neither true nor
---false, and its negation neither.
---@param condition any
---@return heddle.Operator
function op.negate(condition) return make("negate", given("negate", condition)) end

---A value inside a json property: `{ data = op.json("address.city", "Bonn") }`. The path is text, in which digits are
---an item's place, or a list of names and places, `{ "lines", 1, "price.net" }`. The condition is a value or an
---operator.
---@param path string|(string|integer)[]
---@param condition any
---@return heddle.Operator
function op.json(path, condition)
  local steps, why = json_path.steps(given("json", path))
  if not steps then refuse("json", why) end
  return make("json", given("json", condition), steps)
end

---Some member of a relation fulfils the condition: `{ books = op.some { published = true } }`. The condition is a
---filter of the target, a key or entity of it, or an operator over these; `op.some {}` asks for any member at all.
---@param condition any
---@return heddle.Operator
function op.some(condition) return make("some", given("some", condition)) end

---No member fulfils the condition; `op.none {}`: there is no member.
---@param condition any
---@return heddle.Operator
function op.none(condition) return make("none", given("none", condition)) end

---Every member fulfils the condition, which also holds where there is no member. A member for which it is unknown,
---because of a NULL, does not fulfil it.
---@param condition any
---@return heddle.Operator
function op.every(condition) return make("every", given("every", condition)) end

local function scalar_argument(value)
  local kind = type(value)
  return kind == "string" or kind == "number" or kind == "boolean" or kind == "cdata" or value == null
end

---SQL of the program's own, with `?` for each value (`??` is a literal `?`). `{alias}` stands for the table of the
---entity that the condition speaks of, within nested filters and members too; `e0` is the query's own:
---`op.raw("length({alias}.name) > ?", 3)`. As a value it is compared: `{ name = op.raw("upper(?)", s) }`. Never build
---the text from data.
---@param sql string
---@param ... any
---@return heddle.Operator
function op.raw(sql, ...)
  local values = { n = select("#", ...), ... }
  for i = 1, values.n do
    local value = given("raw", values[i])
    if not scalar_argument(value) then
      refuse("raw", "takes numbers, strings, booleans and orm.null as values: number " .. i
        .. " is a " .. type(value))
    end
  end
  return make("raw", text("raw", sql), values)
end

---The pieces of raw SQL between its placeholders, and its values. Raises `validation` when they do not agree.
---@param driver "postgres"|"sqlite"
---@return string[] pieces one more than there are values
---@return any[] values
function Operator:parts(driver)
  local pieces = placeholders.split(self.value, driver)
  if #pieces - 1 ~= self.second.n then
    errors.raise("validation", ("op.raw has %d placeholders and was given %d values (?? is a literal ?): %s"):format(
      #pieces - 1, self.second.n, self.value))
  end
  return pieces, self.second
end

return op
