--- Members of a json column in SQL: how they are read there, and what they are compared with.
local codec = require("heddle.embedded.codec")
local quote = require("heddle.quote")
local resolve = require("heddle.resolve")

local json_member = {}

local casts = {
  smallint = "smallint", integer = "integer", bigint = "bigint", float = "double precision",
  double = "double precision", decimal = "numeric", boolean = "boolean", uuid = "uuid", timestamp = "timestamptz",
  date = "date", time = "time",
}
local integers = { smallint = true, integer = true, bigint = true }

-- "$.\"geo\".\"lat\"" as a literal. A name cannot hold what would have to be escaped but for quotes.
local function sqlite_path(keys)
  local parts = { "$" }
  for i, key in ipairs(keys) do parts[i + 1] = '."' .. key:gsub('"', '\\"') .. '"' end
  return quote.text(table.concat(parts))
end

-- The same for hd_json: "[\"geo\",\"lat\"]".
local function sqlite_steps(keys)
  local parts = {}
  for i, key in ipairs(keys) do parts[i] = '"' .. key:gsub('[\\"]', "\\%0") .. '"' end
  return quote.text("[" .. table.concat(parts, ",") .. "]")
end

local function postgres_text(base, keys)
  local path = {}
  for i = 1, #keys - 1 do path[i] = "->" .. quote.text(keys[i]) end
  return base .. table.concat(path) .. "->>" .. quote.text(keys[#keys])
end

local function postgres_sql(base, column)
  local keys = column.json.keys
  if column.type == "json" or column.type == "array" then
    local parts = {}
    for i, key in ipairs(keys) do parts[i] = "->" .. quote.text(key) end
    return "NULLIF(" .. base .. table.concat(parts) .. ", 'null')"
  end
  local text = "(" .. postgres_text(base, keys) .. ")"
  if column.type == "blob" then return "decode(" .. text .. ", 'hex')" end
  local cast = casts[column.type] or column.cast
  return cast and text .. "::" .. cast or text
end

---A member as an operand.
---@param to heddle.Statement
---@param column table a node's
---@param base string the json column in the statement
---@return string
function json_member.sql(to, column, base)
  if to.driver == "postgres" then return postgres_sql(base, column) end
  if column.type == "json" or column.type == "array" then
    return "hd_json(" .. base .. ", " .. sqlite_steps(column.json.keys) .. ")"
  end
  local text = "json_extract(" .. base .. ", " .. sqlite_path(column.json.keys) .. ")"
  return integers[column.type] and "CAST(" .. text .. " AS INTEGER)" or text
end

---Whether decimals stand as strings in the JSON of an array, as SQL: 1 or 0. In a document they are strings alone.
---@param column table
---@return integer
function json_member.has_decimals(column)
  return column.array_of == "decimal" and not column.json and 1 or 0
end

-- SQLite has these as the document has them: texts.
local as_text = { timestamp = true, blob = true }

---What a value is bound as that is compared with a member.
---@param to heddle.Statement
---@param column table
---@return table
function json_member.parameter(to, column)
  if column.type == "json" or column.type == "array" then
    column.document = column.document or { type = "json", property = column.property, entity = column.entity }
    return column.document
  end
  if to.driver == "sqlite" and as_text[column.type] then
    column.text = column.text or { type = "text", property = column.property }
    return column.text
  end
  return column
end

---A value in the form in which it is compared.
---@param at heddle.Place
---@param column table
---@param value any
---@return any
function json_member.bound(at, column, value)
  if column.type ~= "array" and not (at.mapping.driver == "sqlite" and as_text[column.type]) then return value end
  local stored, why = codec.stored(column, value)
  if stored == nil then return resolve.refuse("validation", at.mapping, at.name, at.where, why) end
  return stored
end

return json_member
