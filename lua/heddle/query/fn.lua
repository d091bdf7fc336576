--- Aggregates of properties: `orm.fn.sum "b.price"`, among the items of a query. They are typed as the property is, and
--- alike on both databases; what they cannot say, `op.raw` says.
local errors = require("heddle.errors")
local level = require("heddle.query.level")
local resolve = require("heddle.resolve")
local shape = require("heddle.shape")

local fn = {}

local Function = { __name = "heddle.function", __sql = true }
Function.__index = Function
Function.__tostring = function(self) return "fn." .. self.kind end

local BIGINT, DOUBLE = { type = "bigint" }, { type = "double" }

local integers = { smallint = true, integer = true, bigint = true }
local numbers = { smallint = true, integer = true, bigint = true, float = true, double = true, decimal = true }
-- What one of the two databases has no order for.
local unordered = { json = true, array = true, boolean = true, blob = true, uuid = true, unknown = true }

local function make(kind, name)
  if type(name) ~= "string" or name == "" or name:find("%c") then
    errors.raise("validation", "fn." .. kind .. " takes the name of a property, as in fn." .. kind .. " \"b.id\", not "
      .. (type(name) == "string" and "that one" or "a " .. type(name)))
  end
  return setmetatable({ kind = kind, name = name }, Function)
end

---@class heddle.functions
local functions = {}
fn.functions = functions

---How many rows, or in how many of them a property is not NULL: `fn.count()`, `fn.count "b.id"`.
---@param name? string
function functions.count(name)
  if name == nil then return setmetatable({ kind = "count" }, Function) end
  return make("count", name)
end

---How many different values, NULL left out: `fn.count_distinct "b.author"`.
---@param name string
function functions.count_distinct(name) return make("count_distinct", name) end

---The sum of a number property; of a decimal an exact decimal. NULL (an absent field) where there is nothing to add.
---@param name string
function functions.sum(name) return make("sum", name) end

---The mean of a number property, as a number.
---@param name string
function functions.avg(name) return make("avg", name) end

---The least value, as the property has it.
---@param name string
function functions.min(name) return make("min", name) end

---The greatest value, as the property has it.
---@param name string
function functions.max(name) return make("max", name) end

---@param value any
---@return boolean
function fn.is(value)
  return type(value) == "table" and getmetatable(value) == Function
end

local function result_of(kind, column)
  if kind == "count" or kind == "count_distinct" then return BIGINT end
  if kind == "avg" then return DOUBLE end
  if kind == "sum" then
    if integers[column.type] then return BIGINT end
    return column.type == "decimal" and { type = "decimal", scale = column.scale } or DOUBLE
  end
  return column
end

local function check(source, name, kind, column)
  local type_name = column.custom and column.converts and "a custom type" or column.type
  if (kind == "sum" or kind == "avg") and not numbers[type_name] then
    resolve.refuse("validation", source.mapping, name, "fn." .. kind, "adds numbers, and this property is of type "
      .. type_name)
  elseif (kind == "min" or kind == "max") and unordered[type_name] then
    resolve.refuse("validation", source.mapping, name, "fn." .. kind, "a property of type " .. type_name
      .. " has no order on both databases: use op.raw")
  end
end

---Reads one into a shape.
---@param to heddle.Shape
---@param value table
---@return table item
function fn.read(to, value)
  if not value.name then
    shape.emit(to, "count", "*")
    return { columns = { BIGINT }, fn = "count" }
  end
  local source, path = level.split(to.level, value.name, "fn." .. value.kind)
  level.check_path(source, path, "fn." .. value.kind)
  local columns = resolve.columns(source.mapping, path, "fn." .. value.kind)
  if #columns ~= 1 then
    resolve.refuse("validation", source.mapping, path, "fn." .. value.kind, #columns == 0
      and "this property has no column of its own" or "takes one column, and this property has several")
  end
  check(source, path, value.kind, columns[1])
  shape.emit(to, value.kind, source.alias, path)
  return { columns = { result_of(value.kind, columns[1]) }, fn = value.kind, argument = { source, columns[1] } }
end

local function number_sql(made, text, kind, column)
  if kind == "sum" and column.type == "decimal" then
    return (made.driver == "sqlite" and "hd_decimal_sum(" or "sum(") .. text .. ")"
  end
  local cast = kind == "avg" and "double precision" or integers[column.type] and "bigint" or "double precision"
  if made.driver == "postgres" then return kind .. "(" .. text .. ")::" .. cast end
  -- SQLite adds integers as integers and everything else as doubles.
  return kind .. "(" .. text .. ")"
end

---The text of one.
---@param made heddle.Statement
---@param item table
---@return string
function fn.sql(made, item)
  if not item.argument then return "count(*)" end
  local source, column = item.argument[1], item.argument[2]
  if item.fn == "count" then return "count(" .. made:column(source.scope, column) .. ")" end
  if item.fn == "count_distinct" then return "count(DISTINCT " .. made:operand(source.scope, column) .. ")" end
  if item.fn == "min" or item.fn == "max" then return item.fn .. "(" .. made:operand(source.scope, column) .. ")" end
  return number_sql(made, made:column(source.scope, column), item.fn, column)
end

return fn
