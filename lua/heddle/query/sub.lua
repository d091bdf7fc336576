--- Builders as values of filters: `{ id = op.one_of(query) }`, `{ price = op.gt(query) }`.
local derived = require("heddle.query.derived")
local expression = require("heddle.expression")
local query = require("heddle.query")
local quote = require("heddle.quote")
local read = require("heddle.query.read")
local shape = require("heddle.shape")
local sql = require("heddle.query.sql")

local sub = {}

read.is_query = query.is

-- Whether a row of it may have a NULL.
local function can_be_null(node)
  for _, item in ipairs(node.items) do
    local source = item.source
    local never = item.fn and item.fn:find("^count")
      or source and not source.is_outer and not source.mapping.derived and not item.columns[1].nullable
    if not never then return true end
  end
  return #node.parts > 0
end

-- What a list of values says of NULL holds here too: it is none of them, so that NOT IN finds what it would find.
local function without_null(node, text)
  local terms = {}
  for _, item in ipairs(node.items) do
    for _, name in ipairs(derived.names(item)) do terms[#terms + 1] = "hd_s." .. quote.name(name) .. " IS NOT NULL" end
  end
  return "SELECT * FROM (" .. text .. ") AS hd_s WHERE " .. table.concat(terms, " AND ")
end

local function read_value(to, at, value, sign)
  to.context = to.context or at.mapping.context
  local index = shape.refer(to, false)
  shape.emit(to, index)
  local node = read.sub(to, value)
  to.code.refs[index] = node
  node.skips_null = (sign == "IN" or sign == "NOT IN") and can_be_null(node)
  for i, item in ipairs(node.items) do item.name = item.name or "hd_" .. i end
  return #node.columns
end

---The text of the sub-query whose number stands next in the code.
---@param made heddle.Statement
---@return string
function sub.sql(made)
  local node = made.code.refs[made:next_word()]
  local text = sql.rows(made, node)
  made.at = node.stop
  return "(" .. (node.skips_null and without_null(node, text) or text) .. ")"
end

expression.register(query.class, { word = "sub", name = "sub-query", read = read_value, sql = sub.sql })

return sub
