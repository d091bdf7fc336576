--- What a write gives back: items of its entity, whole entities, or nothing.
local decode = require("heddle.query.decode")
local errors = require("heddle.errors")
local item_sql = require("heddle.query.item_sql")
local items = require("heddle.query.items")
local level = require("heddle.query.level")
local quote = require("heddle.quote")
local resolve = require("heddle.resolve")
local shape = require("heddle.shape")
local sql = require("heddle.query.sql")

local returning = {}

local function refuse(map, message)
  return errors.raise("validation", "query:returning of " .. map.name .. ": " .. message, resolve.fields(map))
end

---@class heddle.query.Returning
---@field use "rows"|"entities"
---@field items table[]|nil nil: nothing is given back
---@field columns table[]|nil
---@field words (string|number)[] by which a text knows it

---Reads `returning`. Where nobody says it, entities are whole and rows are none.
---@param self heddle.Query
---@param map table
---@param use "rows"|"entities"
---@return heddle.query.Returning
function returning.read(self, map, use)
  local given = { use = use, words = { "returning" } }
  if not self.returned and use == "rows" then return given end
  local to, list = shape.new("returning"), {}
  to.level = level.new()
  local source = { alias = self.alias or "e0", mapping = map, bottom = map }
  -- SQLite does not know the table's alias there.
  source.scope = { mapping = map, alias = map.driver == "postgres" and sql.alias(source), children = {} }
  level.declare(to.level, source)
  for i, name in ipairs(self.returned or {}) do list[i] = { name } end
  local found = items.read(to, list)
  for i, item in ipairs(found) do
    if not item.name then return refuse(map, "item " .. i .. " has no name: orm.raw \"... AS total\"") end
  end
  given.code, given.words, given.params = to.code, to.code, to.params
  if use == "rows" then
    given.items = found
    return given
  end
  given.columns, given.is_partial = items.columns_of_entity(source, found)
  if not given.columns then return refuse(map, "entities come out of it, and this is something else: use rows()") end
  return given
end

---Adds the parameters of what is given back to those of a statement.
function returning.add_params(given, params, count)
  for i = 1, #(given.params or {}) do params[count + i] = given.params[i] end
end

---" RETURNING ...", or "".
---@param given heddle.query.Returning
---@param made heddle.Statement
---@return string
function returning.sql(given, made)
  if given.columns then return " RETURNING " .. quote.columns(given.columns) end
  if not given.items then return "" end
  local texts = {}
  made:open(given.code, 1)
  for _, item in ipairs(given.items) do item_sql.add(texts, made, item) end
  return " RETURNING " .. table.concat(texts, ", ")
end

---A plan of a write.
---@param given heddle.query.Returning
---@param made heddle.Statement
---@param mapping table
---@param text string
---@return table
function returning.plan(given, made, mapping, text)
  text = text .. returning.sql(given, made)
  local columns = given.columns
  if given.items then
    columns = {}
    for _, item in ipairs(given.items) do
      for _, column in ipairs(item.columns) do columns[#columns + 1] = column end
    end
    columns = decode.results(columns)
  end
  return { sql = text, param_columns = made.param_columns, columns = columns or {}, mapping = mapping,
    partial = given.is_partial or false, reads = made.reads }
end

return returning
