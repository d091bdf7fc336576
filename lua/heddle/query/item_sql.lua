--- The items of a selection as SQL.
local condition = require("heddle.condition")
local derived = require("heddle.query.derived")
local fn = require("heddle.query.fn")
local quote = require("heddle.quote")

local item_sql = {}

-- With the name that a row, or an outer query, knows it by, where the database would give it another one.
local function called(text, name, own)
  if not name or name == own then return text end
  return text .. " AS " .. quote.name(name)
end

---Adds the texts of an item to a list.
---@param texts string[]
---@param made heddle.Statement
---@param item table
---@param write fun(made: heddle.Statement, node: table): string
function item_sql.add(texts, made, item, write)
  if item.source then
    for i, name in ipairs(derived.names(item)) do
      local column = item.columns[i]
      texts[#texts + 1] = called(made:column(item.source.scope, column), name, not column.json and column.name)
    end
    return
  end
  local text
  if item.raw then
    made.at = item.at
    text = condition.raw_text(made, item.root.scope)
  elseif item.fn then
    text = fn.sql(made, item)
  else
    text = "(" .. write(made, item.node) .. ")"
  end
  texts[#texts + 1] = called(text, item.name)
end

return item_sql
