--- Words of a shape that compare the columns of a property with values.
local later = require("heddle.later")
local json_member = later.module("heddle.embedded.json_member")

local values = {}

-- As what a pattern is bound that a column is compared with.
function values.pattern_of(column)
  column.pattern = column.pattern or { type = "text", property = column.property, entity = column.entity,
    is_pattern = true }
  return column.pattern
end

-- One test for each column of a property, joined.
local function each_column(self, scope, test, glue)
  local columns, owner = self:columns(scope, self:next_word())
  local terms = {}
  for i, column in ipairs(columns) do terms[i] = test(owner, column) end
  if #terms == 1 then return terms[1] end
  return "(" .. table.concat(terms, glue) .. ")"
end

values.each_column = each_column

local words = {}

local function equals(self, scope)
  return each_column(self, scope, function(owner, column)
    return self:operand(owner, column) .. " = " .. self:value(column)
  end, " AND ")
end

words.eq = equals

function words.ne(self, scope)
  if #self:columns(scope, self.code[self.at]) > 1 then return "(NOT " .. equals(self, scope) .. ")" end
  return each_column(self, scope, function(owner, column)
    return self:operand(owner, column) .. " <> " .. self:value(column)
  end)
end

-- Whether each of the columns, or some of them, is or is not NULL.
local function nullness(test, glue)
  return function(self, scope)
    return each_column(self, scope, function(owner, column) return self:column(owner, column) .. test end, glue)
  end
end

-- A reference of several columns is none as soon as one of them is NULL; an embedded value is there as soon as one of
-- its columns is.
words.null, words.not_null = nullness(" IS NULL", " OR "), nullness(" IS NOT NULL", " AND ")
words.absent, words.present = nullness(" IS NULL", " AND "), nullness(" IS NOT NULL", " OR ")

for name, sign in pairs({ gt = ">", gte = ">=", lt = "<", lte = "<=" }) do
  words[name] = function(self, scope)
    return each_column(self, scope, function(owner, column)
      return self:operand(owner, column) .. " " .. sign .. " " .. self:placeholder(column)
    end)
  end
end

function words.between(self, scope)
  return each_column(self, scope, function(owner, column)
    local low, high = self:placeholder(column), self:placeholder(column)
    return "(" .. self:operand(owner, column) .. " BETWEEN " .. low .. " AND " .. high .. ")"
  end)
end

-- Text ---------------------------------------------------------------------------------------------------------

-- How a text is compared with a pattern.
values.patterns = {
  like = function(text, pattern) return text .. " LIKE " .. pattern .. " ESCAPE '\\'" end,
  not_like = function(text, pattern) return text .. " NOT LIKE " .. pattern .. " ESCAPE '\\'" end,
  ilike = function(text, pattern, driver)
    if driver == "postgres" then return text .. " ILIKE " .. pattern .. " ESCAPE '\\'" end
    return "hd_lower(" .. text .. ") LIKE hd_lower(" .. pattern .. ") ESCAPE '\\'"
  end,
  matches = function(text, pattern, driver)
    return text .. (driver == "postgres" and " ~ " or " REGEXP ") .. pattern
  end,
}

for name, pattern in pairs(values.patterns) do
  words[name] = function(self, scope)
    return each_column(self, scope, function(owner, column)
      return pattern(self:column(owner, column), self:placeholder(values.pattern_of(column)), self.driver)
    end)
  end
end

-- Lists --------------------------------------------------------------------------------------------------------

-- `count` placeholders, or as many rows of them as an IN over several columns takes.
local function expanded(self, columns, count)
  local rows = {}
  for i = 1, count do
    local row = {}
    for k, column in ipairs(columns) do row[k] = self:value(column) end
    rows[i] = #row == 1 and row[1] or "(" .. table.concat(row, ", ") .. ")"
  end
  local rows_of = #columns > 1 and self.driver == "sqlite" and "VALUES " or ""
  return "(" .. rows_of .. table.concat(rows, ", ") .. ")"
end

local function arrays(self, columns)
  local lists = {}
  for i, column in ipairs(columns) do
    lists[i] = self:placeholder({ list = true, column = column, type = column.type })
  end
  return table.concat(lists, ", ")
end

local function membership(self, scope, negated)
  local columns, owner = self:columns(scope, self:next_word())
  local how, nulls = self:next_word(), self:next_word()
  local operands = {}
  for i, column in ipairs(columns) do operands[i] = self:operand(owner, column) end
  local operand = #operands == 1 and operands[1] or "(" .. table.concat(operands, ", ") .. ")"
  local text
  if how == "bulk" then
    local lists = arrays(self, columns)
    if #columns == 1 then
      text = operand .. (negated and " <> ALL(" or " = ANY(") .. lists .. ")"
    else
      text = operand .. (negated and " NOT" or "") .. " IN (SELECT * FROM unnest(" .. lists .. "))"
    end
  elseif how == "json" then
    local list = self:placeholder({ type = "array", array_of = columns[1].type })
    text = operand .. (negated and " NOT" or "") .. " IN (SELECT value FROM json_each(" .. list .. "))"
  else
    text = operand .. (negated and " NOT IN " or " IN ") .. expanded(self, columns, how)
  end
  if nulls == "-" then return text end
  local first = self:column(owner, columns[1])
  return "(" .. text .. (negated and " AND " .. first .. " IS NOT NULL)" or " OR " .. first .. " IS NULL)")
end

words["in"] = function(self, scope) return membership(self, scope, false) end
words.not_in = function(self, scope) return membership(self, scope, true) end

-- Arrays and documents -----------------------------------------------------------------------------------------

-- The text of a test that a column's own operator on PostgreSQL makes, and a function on SQLite; `contained` asks
-- the other way round.
local function containment(operator, of_array, of_json, turned)
  return function(self, scope)
    return each_column(self, scope, function(owner, column)
      local operand, value = self:column(owner, column), self:placeholder(column)
      if self.driver == "postgres" then return operand .. operator .. value end
      if turned then operand, value = value, operand end
      if column.type == "json" then return of_json .. "(" .. operand .. ", " .. value .. ")" end
      return of_array .. "(" .. operand .. ", " .. value .. ", " .. json_member.has_decimals(column) .. ")"
    end)
  end
end

words.contains = containment(" @> ", "hd_array_contains", "hd_json_contains")
words.contained = containment(" <@ ", "hd_array_contains", "hd_json_contains", true)

local arrays_overlap = containment(" && ", "hd_array_overlaps")

function words.overlaps(self, scope)
  local columns, owner = self:columns(scope, self.code[self.at])
  local column = columns[1]
  if self.driver ~= "postgres" or not column.json then return arrays_overlap(self, scope) end
  self:next_word()
  local list = self:column(owner, column)
  return ("(CASE WHEN %s IS NOT NULL THEN EXISTS (SELECT 1 FROM jsonb_array_elements(%s) AS item(value) "
    .. "WHERE %s @> item.value) END)"):format(list, list, self:placeholder(column))
end

values.words = words

return values
