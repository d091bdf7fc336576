--- Keysets: the condition under which a row stands behind, or before, a row whose values are known.
---
--- A row is behind another by the first column of the order in which they differ. NULL differs from every value and
--- stands where the order puts it; the order ends with the primary key, so that no two rows are equal.
local keyset = {}

---The columns of an order seen from its other end.
---@param columns table[] as heddle.order gives them
---@return table[]
function keyset.reversed(columns)
  local made = {}
  for i, each in ipairs(columns) do
    local copy = {}
    for name, value in pairs(each) do copy[name] = value end
    copy.descending, copy.nulls = not each.descending, each.nulls == "first" and "last" or "first"
    made[i] = copy
  end
  return made
end

local function is_plain(columns, isnull)
  for i, each in ipairs(columns) do
    if each.nullable or isnull[i] or each.descending ~= columns[1].descending then return false end
  end
  return true
end

-- All columns run one way and none is NULL: a comparison of rows, which an index answers.
local function row_comparison(to, columns)
  local operands, values = {}, {}
  for i, each in ipairs(columns) do
    operands[i], values[i] = to:operand(each.scope, each.column), to:placeholder(each.column)
  end
  local sign = columns[1].descending and " < " or " > "
  if #columns == 1 then return operands[1] .. sign .. values[1] end
  return "(" .. table.concat(operands, ", ") .. ")" .. sign .. "(" .. table.concat(values, ", ") .. ")"
end

local behind

-- Behind a NULL: what is no NULL, where NULLs come first; else only what is behind among the NULLs.
local function behind_null(to, columns, isnull, i)
  local each = columns[i]
  local text = to:column(each.scope, each.column)
  local rest = behind(to, columns, isnull, i + 1)
  local among = rest and "(" .. text .. " IS NULL AND " .. rest .. ")"
  if each.nulls == "last" then return among end
  local others = text .. " IS NOT NULL"
  return among and "(" .. others .. " OR " .. among .. ")" or others
end

local function behind_value(to, columns, isnull, i)
  local each = columns[i]
  local operand, value = to:operand(each.scope, each.column), to:placeholder(each.column)
  local sign = each.descending and " < " or " > "
  local terms = { operand .. sign .. value }
  if each.nullable and each.nulls == "last" then
    terms[2] = to:column(each.scope, each.column) .. " IS NULL"
  end
  local rest = behind(to, columns, isnull, i + 1)
  if rest then terms[#terms + 1] = "(" .. operand .. " = " .. value .. " AND " .. rest .. ")" end
  local text = #terms == 1 and terms[1] or "(" .. table.concat(terms, " OR ") .. ")"
  -- What an index can begin with.
  if rest and not each.nullable then
    text = "(" .. operand .. (each.descending and " <= " or " >= ") .. value .. " AND " .. text .. ")"
  end
  return text
end

function behind(to, columns, isnull, i)
  if i > #columns then return nil end
  if isnull[i] then return behind_null(to, columns, isnull, i) end
  return behind_value(to, columns, isnull, i)
end

---The condition for rows behind one. Its parameters are that row's values in the order of the columns, without the
---NULLs.
---@param to heddle.Statement
---@param columns table[] as heddle.order gives them, ending with the primary key
---@param isnull boolean[] which of its values are NULL
---@return string
function keyset.behind(to, columns, isnull)
  if is_plain(columns, isnull) then return row_comparison(to, columns) end
  return behind(to, columns, isnull, 1) or "1 = 0"
end

return keyset
