--- SQL of conditions: reads the words of a shape (see filter.lua) and writes text, numbering placeholders and
-- noting as what column each is bound.
--
-- A *scope* is an entity in the statement: the root is `e0`, a relation's target gets an alias and a LEFT JOIN when
-- one of its columns is first needed, once for each path however often it is named. The target's key is read
-- from the foreign key, so `{ author = { id = 7 } }` joins nothing.
--
-- Every answer is one operand: what has an AND, OR or NOT in it stands in parentheses.
local errors = require("heddle.errors")
local placeholders = require("heddle.placeholders")
local quote = require("heddle.quote")
local resolve = require("heddle.resolve")

---@class heddle.Condition
---@field param_columns table[] what each placeholder is bound as: a mapping column or { type = }
---@field joins string[]
---@field reads table[] mappings of the tables that the statement reads
local Condition = {}
Condition.__index = Condition

local condition = {}

local TEXT, UNKNOWN = { type = "text" }, { type = "unknown" }

---@param mapping table
---@return heddle.Condition
function condition.new(mapping)
  local self = setmetatable({ mapping = mapping, driver = mapping.driver, param_columns = {}, joins = {} }, Condition)
  self.prefix = mapping.driver == "postgres" and "$" or "?"
  self.reads = { mapping }
  self.root = { mapping = mapping, alias = "e0", children = {} }
  return self
end

-- Scopes ---------------------------------------------------------------------------------------------------

---The scope of a to-one relation's target.
function Condition.child(_, scope, view)
  local child = scope.children[view.name]
  if child then return child end
  local fk, inverse = resolve.foreign_key(scope.mapping, view)
  if not fk then
    return resolve.refuse("unsupported", scope.mapping, view.name, "filter", "this relation has no foreign key")
  end
  child = { mapping = view.target, parent = scope, children = {}, pairs = {}, covered = {} }
  for i, column in ipairs(fk.columns) do
    local own, other = column, fk.target_columns[i]
    if inverse then own, other = other, own else child.covered[other] = own end
    child.pairs[i] = { own = own, other = other }
  end
  scope.children[view.name] = child
  return child
end

function Condition:alias(scope)
  if scope.alias then return scope.alias end
  local terms = {}
  for i, pair in ipairs(scope.pairs) do
    -- Asks the parent first, whose own join has to stand before this one.
    terms[i] = self:column(scope.parent, pair.own)
  end
  scope.alias = "e" .. (#self.joins + 1)
  for i, pair in ipairs(scope.pairs) do
    terms[i] = scope.alias .. "." .. quote.name(pair.other.name) .. " = " .. terms[i]
  end
  self.joins[#self.joins + 1] = " LEFT JOIN " .. quote.table(scope.mapping) .. " AS " .. scope.alias
    .. " ON " .. table.concat(terms, " AND ")
  self.reads[#self.reads + 1] = scope.mapping
  return scope.alias
end

---A column as the statement names it.
function Condition:column(scope, column)
  local own = scope.covered and scope.covered[column]
  if own then return self:column(scope.parent, own) end
  -- The condition of an index speaks of its table without a name.
  if scope.alias == false then return quote.name(column.name) end
  return self:alias(scope) .. "." .. quote.name(column.name)
end

---A column as an operand of comparisons and orders. SQLite keeps decimals as text, which its own collation
---would compare letter by letter.
function Condition:operand(scope, column)
  local text = self:column(scope, column)
  if column.type == "decimal" and self.driver == "sqlite" then return text .. " COLLATE hd_decimal" end
  return text
end

---The columns that a property stands for: its own, a foreign key, the key of an inverse one-to-one's
---target; "" is the entity's key.
---@return table[] columns
---@return table scope that they belong to
function Condition:columns(scope, name)
  if name == "" then return scope.mapping.key, scope end
  local view = scope.mapping.props[name]
  if view.column then return { view.column }, scope end
  if view.columns and #view.columns > 0 then return view.columns, scope end
  local child = self:child(scope, view)
  return child.mapping.key, child
end

function Condition:placeholder(column)
  local n = #self.param_columns + 1
  self.param_columns[n] = column
  return self.prefix .. n
end

-- Words ----------------------------------------------------------------------------------------------------

local function next_word(self)
  local at = self.at
  self.at = at + 1
  return self.code[at]
end

-- One test for each column of a property, joined.
local function each_column(self, scope, test, glue)
  local columns, owner = self:columns(scope, next_word(self))
  local terms = {}
  for i, column in ipairs(columns) do terms[i] = test(owner, column) end
  if #terms == 1 then return terms[1] end
  return "(" .. table.concat(terms, glue) .. ")"
end

local words = {}

local function equals(self, scope)
  return each_column(self, scope, function(owner, column)
    return self:operand(owner, column) .. " = " .. self:placeholder(column)
  end, " AND ")
end

words.eq = equals

function words.ne(self, scope)
  if #self:columns(scope, self.code[self.at]) > 1 then return "(NOT " .. equals(self, scope) .. ")" end
  return each_column(self, scope, function(owner, column)
    return self:operand(owner, column) .. " <> " .. self:placeholder(column)
  end)
end

-- A reference of several columns is none as soon as one of them is NULL.
function words.null(self, scope)
  return each_column(self, scope, function(owner, column)
    return self:column(owner, column) .. " IS NULL"
  end, " OR ")
end

function words.not_null(self, scope)
  return each_column(self, scope, function(owner, column)
    return self:column(owner, column) .. " IS NOT NULL"
  end, " AND ")
end

for word, sign in pairs({ gt = ">", gte = ">=", lt = "<", lte = "<=" }) do
  words[word] = function(self, scope)
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

local function like(sign)
  return function(self, scope)
    return each_column(self, scope, function(owner, column)
      return self:column(owner, column) .. sign .. self:placeholder(TEXT) .. " ESCAPE '\\'"
    end)
  end
end

words.like = like(" LIKE ")
words.not_like = like(" NOT LIKE ")

local postgres_ilike = like(" ILIKE ")

function words.ilike(self, scope)
  if self.driver == "postgres" then return postgres_ilike(self, scope) end
  return each_column(self, scope, function(owner, column)
    return "hd_lower(" .. self:column(owner, column) .. ") LIKE hd_lower(" .. self:placeholder(TEXT)
      .. ") ESCAPE '\\'"
  end)
end

-- `count` placeholders, or as many rows of them as an IN over several columns takes.
local function expanded(self, columns, count)
  local rows = {}
  for i = 1, count do
    local row = {}
    for k, column in ipairs(columns) do row[k] = self:placeholder(column) end
    rows[i] = #row == 1 and row[1] or "(" .. table.concat(row, ", ") .. ")"
  end
  local values = #columns > 1 and self.driver == "sqlite" and "VALUES " or ""
  return "(" .. values .. table.concat(rows, ", ") .. ")"
end

local function membership(self, scope, negated)
  local columns, owner = self:columns(scope, next_word(self))
  local how, nulls = next_word(self), next_word(self)
  local operands = {}
  for i, column in ipairs(columns) do operands[i] = self:operand(owner, column) end
  local operand = #operands == 1 and operands[1] or "(" .. table.concat(operands, ", ") .. ")"
  local text
  if how == "bulk" then
    local list = self:placeholder({ list = true, column = columns[1], type = columns[1].type })
    text = operand .. (negated and " <> ALL(" or " = ANY(") .. list .. ")"
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

local function several(self, scope, glue, none)
  local count, terms = next_word(self), {}
  for i = 1, count do terms[i] = self:word(scope) end
  if count == 0 then return none end
  if count == 1 then return terms[1] end
  return "(" .. table.concat(terms, glue) .. ")"
end

function words.all(self, scope) return several(self, scope, " AND ", "1 = 1") end
function words.any(self, scope) return several(self, scope, " OR ", "1 = 0") end
words["not"] = function(self, scope) return "(NOT " .. self:word(scope) .. ")" end

-- The condition of a nested filter, and that there is a row for it to speak of.
function words.rel(self, scope)
  local view = scope.mapping.props[next_word(self)]
  local child = self:child(scope, view)
  local text = self:word(child)
  local guard = child.alias and child.alias .. "." .. quote.name(child.mapping.key[1].name)
    or self:column(child, child.pairs[1].other)
  return "(" .. guard .. " IS NOT NULL AND " .. text .. ")"
end

---SQL of the program's own with its placeholders renumbered.
function Condition:raw()
  local sql, count = next_word(self), next_word(self)
  local text, found = placeholders.rewrite(sql, self.driver, #self.param_columns + 1)
  if found ~= count then
    return errors.raise("validation", ("op.raw has %d placeholders and was given %d values (?? is a literal ?): %s")
      :format(found, count, sql), resolve.fields(self.mapping))
  end
  for _ = 1, count do self:placeholder(UNKNOWN) end
  -- A comment at its end would take the parenthesis with it.
  return "(" .. text .. (text:find("--", 1, true) and "\n)" or ")")
end

function words.raw(self) return self:raw() end

function words.eq_raw(self, scope)
  return each_column(self, scope, function(owner, column)
    return self:operand(owner, column) .. " = " .. self:raw()
  end)
end

---The next condition of the code.
---@return string
function Condition:word(scope)
  return words[next_word(self)](self, scope)
end

---Reads code from position `at` on.
---@param code (string|number)[]
---@param at integer
function Condition:open(code, at)
  self.code, self.at = code, at
end

---" WHERE ..." of the condition that stands next in the code.
---@return string
function Condition:where()
  local text = self:word(self.root)
  if text == "1 = 1" then return "" end
  return " WHERE " .. text
end

---"table AS e0 LEFT JOIN ..." with the joins asked for so far.
---@return string
function Condition:from()
  return quote.table(self.mapping) .. " AS e0" .. table.concat(self.joins)
end

return condition
