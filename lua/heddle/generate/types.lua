--- The property type behind a column's type: a word of Heddle where its column would be the same, else an `orm.type`
--- that names the database's own.
local affinity = require("heddle.schema.sqlite.affinity")
local heddle_types = require("heddle.types")
local quote = require("heddle.quote")

local types = {}

local known = {}
for _, name in ipairs(heddle_types.list) do known[name] = true end
local elements = {}
for _, name in ipairs(heddle_types.elements) do elements[name] = true end

-- PostgreSQL ---------------------------------------------------------------------------------------------------

local postgres = {
  ["smallint"] = "smallint", ["integer"] = "integer", ["bigint"] = "bigint", ["double precision"] = "double",
  ["boolean"] = "boolean", ["uuid"] = "uuid", ["text"] = "text", ["timestamp with time zone"] = "timestamp",
  ["date"] = "date", ["time without time zone"] = "time", ["jsonb"] = "json", ["bytea"] = "blob",
  ["numeric"] = "decimal",
}

local function postgres_word(text)
  if postgres[text] then return { type = postgres[text] } end
  local length = text:match("^character varying%((%d+)%)$")
  if length then return { type = "string", length = tonumber(length) } end
  local precision, scale = text:match("^numeric%((%d+),(%d+)%)$")
  if precision and tonumber(scale) <= tonumber(precision) then
    return { type = "decimal", precision = tonumber(precision), scale = tonumber(scale) }
  end
end

-- The database's name of a type, where Heddle means something else by that word.
local function own_name(text)
  if text == "json" then return "pg_catalog.json" end
  return known[text] and quote.name(text) or text
end

local function of_postgres(text)
  local word = postgres_word(text)
  if word then return word end
  local element = text:match("^(.*)%[%]$")
  word = element and postgres_word(element)
  if word and elements[word.type] then
    word.type, word.array_of = "array", word.type
    return word
  end
  return { own = own_name(text) }
end

-- SQLite -------------------------------------------------------------------------------------------------------

local function of_sqlite(text)
  local kind, upper = affinity.of(text), text:upper()
  if kind == "INTEGER" then
    if upper:find("SMALLINT", 1, true) or upper:find("INT2", 1, true) then return { type = "smallint" } end
    return { type = (upper:find("BIG", 1, true) or upper:find("INT8", 1, true)) and "bigint" or "integer" }
  elseif kind == "TEXT" then
    local length = tonumber(upper:match("CHAR[%a ]*%(%s*(%d+)%s*%)"))
    if length and length > 0 then return { type = "string", length = length } end
    return { type = "text" }
  elseif kind == "BLOB" then
    return { type = "blob" }
  elseif kind == "REAL" then
    return { type = "double" }
  end
  if upper:find("^BOOL") then return { type = "boolean" } end
  -- NUMERIC keeps a number where a text looks like one; none of Heddle's types does.
  return { own = known[text] and upper or text }
end

---Usage: `types.of("character varying(20)", "postgres")` is `{ type = "string", length = 20 }`
---@param text string the database's type
---@param driver "postgres"|"sqlite"
---@return table options `type` and what belongs to it, or `own`: the type for an `orm.type`
function types.of(text, driver)
  if driver == "sqlite" then return of_sqlite(text) end
  return of_postgres(text)
end

---Whether a foreign key's column could have its type from the key that it holds.
---@param a string
---@param b string
---@param driver "postgres"|"sqlite"
---@return boolean
function types.same(a, b, driver)
  if driver == "sqlite" then return affinity.of(a) == affinity.of(b) end
  return a == b
end

return types
