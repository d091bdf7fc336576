--- The column types of the contract, which options each takes, and `orm.type`.
local compat = require("heddle.compat")
local core = require("heddle.core")
local later = require("heddle.later")
local date = later.module("heddle.date")
local errors = require("heddle.errors")
local options = require("heddle.options")
local suggest = later.module("heddle.suggest")

local types = {}

types.list = {
  "smallint", "integer", "bigint", "float", "double", "decimal", "string", "text", "boolean", "uuid", "json",
  "timestamp", "date", "time", "blob", "enum", "array",
}

local function set(...)
  local result = {}
  for _, name in ipairs({ ... }) do result[name] = true end
  return result
end

local known = set(compat.unpack(types.list))

types.integers = set("smallint", "integer", "bigint")

-- Which types take which option. `length`, `precision` and `scale` of an array are its elements'.
local takes = {
  length = set("string"),
  precision = set("decimal"),
  scale = set("decimal"),
  enum = set("enum"),
  array_of = set("array"),
  autoincrement = types.integers,
  version = set("smallint", "integer", "bigint", "timestamp"),
}

-- An element has to fit into SQLite's JSON text as well as into PostgreSQL's array.
types.elements = {
  "smallint", "integer", "bigint", "float", "double", "decimal", "string", "text", "boolean", "uuid",
  "timestamp", "date", "time",
}

-- The forms that `as` can ask for.
local forms = {
  smallint = "string", integer = "string", bigint = "string", float = "string", double = "string",
  decimal = "string", timestamp = "iso8601",
}

-- Lua types that a value of each column type can have in the program.
local hosts = {
  smallint = set("number", "string"), integer = set("number", "string"), bigint = set("number", "string"),
  float = set("number", "string"), double = set("number", "string"), decimal = set("number", "string"),
  string = set("string"), text = set("string"), uuid = set("string"), date = set("string"), time = set("string"),
  blob = set("string"), enum = set("string"), boolean = set("boolean"), timestamp = set("number", "string"),
  array = set("table"), json = set("table", "string", "number", "boolean"),
}

---@class heddle.Type
---@field column string a type of the contract, or one of the database's own ("citext")
---@field to_db? fun(value: any): any
---@field from_db? fun(value: any): any
---@field equals? fun(a: any, b: any): boolean
local Type = { __name = "heddle.type" }

function Type:__tostring()
  return "Type<" .. self.column .. ">"
end

local type_rules = { column = options.text, to_db = options.func, from_db = options.func, equals = options.func }

-- PostgreSQL's other timestamps are read as numbers like `timestamp`, and are written as text: a number would be
-- taken for a date's digits.
local function own_timestamp(made)
  if not made.column:find("^timestamp[ (]") or made.to_db or made.from_db or made.equals then return made end
  function made.to_db(value)
    if type(value) ~= "number" then return value end
    return date.format("!%Y-%m-%d %H:%M:%S.%f+00", value)
  end
  function made.equals(a, b) return a == b end
  return made
end

---Makes a custom type. Raises `metadata`.
---
---Usage: `local money = orm.type { column = "bigint", to_db = to_cents, from_db = from_cents }`
---@param given table
---@return heddle.Type
function types.custom(given)
  local function fail(message)
    errors.raise("metadata", "orm.type: " .. message)
  end
  if type(given) ~= "table" then fail("takes a table, got " .. options.describe(given)) end
  options.check(given, type_rules, fail)
  if not given.column then fail("option 'column' is missing; name the column's type, e.g. column = \"text\"") end
  return setmetatable(own_timestamp({
    column = given.column, to_db = given.to_db, from_db = given.from_db, equals = given.equals,
  }), Type)
end

---@param value any
---@return boolean
function types.is_custom(value)
  return type(value) == "table" and getmetatable(value) == Type
end

---A rule for the option `type` (see heddle.options).
function types.rule(value)
  if known[value] or types.is_custom(value) then return nil end
  return "one of " .. table.concat(types.list, " ") .. ", or an orm.type",
    errors.quote(value) .. suggest.hint(value, types.list)
end

-- The type by default of a property that gives an option which only one type takes.
local function implied(prop)
  if prop.type ~= nil then return prop.type end
  return prop.enum and "enum" or prop.array_of and "array" or nil
end

local typed = { "length", "precision", "scale", "enum", "array_of", "autoincrement", "version" }

-- An option that the type does not take, and the types that do.
local function misplaced(prop)
  if not (prop.length or prop.precision or prop.scale or prop.enum or prop.array_of or prop.autoincrement
      or prop.version) then
    return nil
  end
  local element = prop.array_of or prop.type
  for i = 1, #typed do
    local option = typed[i]
    local kind = i <= 3 and element or prop.type
    if prop[option] and not takes[option][kind] then
      return ("option '%s' has no meaning for type '%s'; it belongs to %s"):format(option, kind,
        table.concat(options.sorted_keys(takes[option]), ", "))
    end
  end
end

local function check_decimal(prop)
  if prop.scale and not prop.precision then return "option 'scale' needs 'precision' beside it" end
  if prop.scale and prop.scale > prop.precision then return "option 'scale' is greater than 'precision'" end
end

local function check_labels(prop)
  if prop.type ~= "enum" then return nil end
  if not prop.enum or #prop.enum == 0 then
    return "type 'enum' needs its labels; write enum = { \"a\", \"b\" }"
  end
  local seen = {}
  for _, label in ipairs(prop.enum) do
    if seen[label] then return "label " .. errors.quote(label) .. " stands twice in 'enum'" end
    seen[label] = true
  end
end

local function check_default(prop)
  local value = prop.default
  if value == nil or prop.custom or prop.cast then return nil end
  if type(value) == "function" then
    return "option 'default' cannot be a function; use on_create for a value that is computed"
  end
  if not hosts[prop.type][type(value)] then
    return ("option 'default' does not fit type '%s'; it is %s"):format(prop.type, options.describe(value))
  end
  if prop.type == "enum" then
    local expected, instead = options.one_of(prop.enum)(value)
    if expected then return "option 'default' must be " .. expected .. "; got " .. instead end
  end
  -- What is not stored is whatever the program puts there.
  local why = prop.persist ~= false and core.member(prop):check(value)
  if why then return ("option 'default' does not fit type '%s': %s"):format(prop.type, why) end
end

---Settles the type of a property that holds its options: `type` becomes a contract type or "unknown" (a type
---of the database's own, named in `cast`), `custom` the orm.type. Answers what is wrong, or nothing.
---@param prop table
---@return string|nil problem
function types.settle(prop)
  prop.type = implied(prop)
  if prop.type == nil then
    return "option 'type' is missing; write type = \"integer\" or another of " .. table.concat(types.list, " ")
  end
  if types.is_custom(prop.type) then
    prop.custom = prop.type
    local column = prop.custom.column
    if known[column] then prop.type = column else prop.type, prop.cast = "unknown", column end
  end
  if prop.type == "array" and not prop.array_of then
    return "type 'array' needs the type of its elements; write array_of = \"text\""
  end
  if prop.as and forms[prop.type] ~= prop.as then
    return forms[prop.type] and ("option 'as' of type '%s' can only be '%s'"):format(prop.type, forms[prop.type])
      or ("option 'as' has no meaning for type '%s'"):format(prop.type)
  end
  local problem = misplaced(prop) or check_decimal(prop) or check_labels(prop)
  if problem then return problem end
  if prop.precision then prop.scale = prop.scale or 0 end
  return check_default(prop)
end

return types
