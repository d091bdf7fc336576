--- The condition of a partial index: SQL as it was given, or a filter over the entity's own properties, whose
--- values stand in the text because DDL binds none.
local column = require("heddle.schema.column")
local condition = require("heddle.condition")
local filter = require("heddle.filter")
local resolve = require("heddle.resolve")
local shape = require("heddle.shape")
local statement = require("heddle.statement")

local partial = {}

local function literals(mapping, params)
  local made = statement.new(mapping)
  made.root.alias = false
  function made:placeholder(col)
    self.param_columns[#self.param_columns + 1] = col
    -- Patterns, raw SQL and SQLite's decimals would need what Heddle registers on its own connections.
    local portable = col.property and not col.is_pattern and not (col.type == "decimal" and mapping.driver == "sqlite")
    local text = portable and column.literal(col, params[#self.param_columns], mapping.driver)
    if text then return text end
    return resolve.refuse("metadata", mapping, col.property, "the condition of an index",
      "this comparison has no form in DDL: write the condition as SQL")
  end
  return made
end

local function text_of(mapping, where)
  if type(where) == "string" then return where end
  local to = shape.new("index")
  to.each = true
  filter.read(to, mapping, where)
  local made = literals(mapping, to.params)
  made:open(to.code, 2)
  local text = condition.where(made)
  if not made:is_alone() then
    return resolve.refuse("metadata", mapping, nil, "the condition of an index",
      "it can only name properties of the entity itself")
  end
  return (text:gsub("^%s*WHERE%s+", ""))
end

---The condition of an index, nil where it has none.
---@param mapping table
---@param where string|table|nil
---@param among string|nil SQL that tells whose rows are meant, where entities share the table
---@return string|nil
function partial.sql(mapping, where, among)
  if where == nil then return among end
  local text = text_of(mapping, where)
  return among and among .. " AND (" .. text .. ")" or text
end

return partial
