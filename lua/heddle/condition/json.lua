--- Words of a shape that compare a value inside a json column; `filter/json.lua` says what they mean.
local values = require("heddle.condition.values")

local json = {}

local DIGITS = { type = "unknown" }

-- As what a document is bound that is no value of the column, but part of one.
local function part_of(column)
  column.part = column.part or { type = "json", property = column.property, entity = column.entity }
  return column.part
end

-- Both dialects give the same pieces: the value as a document, as an ordered number and as a text, each NULL where
-- there is none; and a parameter as the first two.

local postgres = {}

-- Silent: what the path does not lead to is NULL.
function postgres.value(at, base)
  return ("NULLIF(jsonb_path_query_first(%s, %s::jsonpath, '{}', true), 'null')"):format(base,
    at.self:placeholder(at.pattern))
end

function postgres.number(value)
  return "CASE WHEN jsonb_typeof(" .. value .. ") = 'number' THEN " .. value .. " END"
end

function postgres.text(value)
  return "CASE WHEN jsonb_typeof(" .. value .. ") = 'string' THEN " .. value .. " #>> '{}' END"
end

function postgres.contains(value, other) return value .. " @> " .. other end

-- Digits are a text that the database reads as JSON.
function postgres.document(placeholder) return placeholder end

function postgres.ordered(placeholder) return placeholder end

local sqlite = {}

function sqlite.value(at, base)
  return base .. ", " .. at.self:placeholder(at.part)
end

local function called(name)
  return function(value) return name .. "(" .. value .. ")" end
end

sqlite.whole, sqlite.number, sqlite.text = called("hd_json"), called("hd_json_number"), called("hd_json_text")
sqlite.document = called("hd_json")

function sqlite.ordered(placeholder) return "hd_json_number(" .. placeholder .. ") COLLATE hd_decimal" end

function sqlite.contains(value, other) return "hd_json_contains(" .. value .. ", " .. other .. ")" end

local words = {}

local function test(at, sign)
  return at.whole .. sign .. at.dialect.document(at.self:placeholder(at.part))
end

function words.eq(at) return test(at, " = ") end

function words.ne(at) return test(at, " <> ") end

function words.null(at) return at.whole .. " IS NULL" end

function words.not_null(at) return at.whole .. " IS NOT NULL" end

local function membership(sign, glue, nullness)
  return function(at)
    local self, list = at.self, {}
    local documents, digits = self:next_word(), self:next_word()
    for i = 1, documents do list[i] = at.dialect.document(self:placeholder(at.part)) end
    for _ = 1, digits do list[#list + 1] = at.dialect.document(self:placeholder(DIGITS)) end
    local text = at.whole .. sign .. "(" .. table.concat(list, ", ") .. ")"
    if self:next_word() == "-" then return text end
    return "(" .. text .. glue .. at.whole .. nullness .. ")"
  end
end

words["in"] = membership(" IN ", " OR ", " IS NULL")
words.not_in = membership(" NOT IN ", " AND ", " IS NOT NULL")

local function bound(at, kind)
  if kind == "string" then return at.self:placeholder(at.pattern) end
  return at.dialect.ordered(at.self:placeholder(kind == "digits" and DIGITS or at.part))
end

local function operand(at, kind)
  local text = kind == "string" and at.dialect.text(at.value) or at.dialect.number(at.value)
  return at.self.driver == "postgres" and "(" .. text .. ")" or text
end

for name, sign in pairs({ gt = " > ", gte = " >= ", lt = " < ", lte = " <= " }) do
  words[name] = function(at)
    local kind = at.self:next_word()
    return operand(at, kind) .. sign .. bound(at, kind)
  end
end

function words.between(at)
  local kind = at.self:next_word()
  local low = bound(at, kind)
  return "(" .. operand(at, kind) .. " BETWEEN " .. low .. " AND " .. bound(at, at.self:next_word()) .. ")"
end

function words.text(at)
  local pattern = values.patterns[at.self:next_word()]
  return pattern(operand(at, "string"), at.self:placeholder(at.pattern), at.self.driver)
end

function words.contains(at) return at.dialect.contains(at.whole, at.self:placeholder(at.part)) end

function words.contained(at) return at.dialect.contains(at.self:placeholder(at.part), at.whole) end

function words.has(at)
  local text = operand(at, "string")
  local found = values.patterns.like(text, at.self:placeholder(at.pattern))
  return "(CASE WHEN " .. text .. " IS NOT NULL THEN " .. found .. " ELSE "
    .. at.dialect.contains(at.whole, at.self:placeholder(at.part)) .. " END)"
end

---The word `json` of a shape.
---@param self heddle.Statement
---@param scope table
---@return string
function json.json(self, scope)
  local columns, owner = self:columns(scope, self:next_word())
  local column = columns[1]
  local dialect = self.driver == "postgres" and postgres or sqlite
  local at = { self = self, dialect = dialect, part = part_of(column), pattern = values.pattern_of(column) }
  at.value = dialect.value(at, self:column(owner, column))
  at.whole = dialect.whole and dialect.whole(at.value) or at.value
  return words[self:next_word()](at)
end

return json
