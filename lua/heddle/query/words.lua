--- Words of conditions that queries alone have, and those of expressions.
local condition = require("heddle.condition")
local expression = require("heddle.expression")
local fn = require("heddle.query.fn")
local sub = require("heddle.query.sub")

local words = condition.words

local function word(made, scope)
  return condition.at(made, scope)
end

---What follows speaks of another source: `at alias number`.
function words.at(made)
  made.at = made.at + 1
  return word(made, made.code.refs[made:next_word()].scope)
end

---An item of the selection: `selected name number` and the words of its expression.
function words.selected(made)
  made.at = made.at + 1
  local item = made.code.refs[made:next_word()]
  local text = item.raw and condition.raw(made, item.root.scope) or fn.sql(made, item)
  local column = item.mapping.columns[1]
  return word(made, { mapping = item.mapping, alias = "", texts = { [column] = text }, children = {} })
end

function words.exists(made)
  return "EXISTS " .. sub.sql(made)
end

function words.missing(made)
  return "(NOT " .. words.exists(made) .. ")"
end

function words.compare(made, scope)
  local columns, owner = made:columns(scope, made:next_word())
  local sign, operands = made:next_word(), {}
  for i, column in ipairs(columns) do operands[i] = made:operand(owner, column) end
  local left = #operands == 1 and operands[1] or "(" .. table.concat(operands, ", ") .. ")"
  return "(" .. left .. " " .. sign .. " " .. expression.sql(made, scope) .. ")"
end

return words
