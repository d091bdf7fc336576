--- SQL of conditions: reads the words of a shape (see filter.lua) in a statement's scopes.
--
-- Every answer is one operand: what has an AND, OR or NOT in it stands in parentheses.
local later = require("heddle.later")
local errors = require("heddle.errors")
local placeholders = later.module("heddle.placeholders")
local quote = require("heddle.quote")
local resolve = require("heddle.resolve")
local values = require("heddle.condition.values")

local condition = {}

local UNKNOWN = { type = "unknown" }
local GROUP = 200

-- `{alias}` is the table of the entity that the condition speaks of.
local function with_alias(self, sql, scope)
  if not sql:find("{alias}", 1, true) then return sql end
  local alias = scope.alias == false and quote.name(scope.mapping.table) or self:reach(scope)
  return placeholders.renamed(sql, self.driver, "{alias}", alias)
end

---SQL of the program's own with its placeholders renumbered; its text and the number of its values stand next in
---the code.
---@param self heddle.Statement
---@param scope table? the root when left out
---@return string
function condition.raw_text(self, scope)
  local sql, count = self:next_word(), self:next_word()
  sql = with_alias(self, sql, scope or self.root)
  if self.own and self.own.alias ~= "e0" then
    sql = placeholders.renamed(sql, self.driver, "e0", self:reach(self.own))
  end
  local text, found = placeholders.rewrite(sql, self.driver, #self.param_columns + 1)
  if found ~= count then
    return errors.raise("validation", ("op.raw has %d placeholders and was given %d values (?? is a literal ?): %s")
      :format(found, count, sql), resolve.fields(self.mapping))
  end
  for _ = 1, count do self:placeholder(UNKNOWN) end
  -- A comment at its end would take with it what follows.
  return text:find("--", 1, true) and text .. "\n" or text
end

---The same as an operand.
---@param self heddle.Statement
---@param scope table?
---@return string
function condition.raw(self, scope)
  return "(" .. condition.raw_text(self, scope) .. ")"
end

local words = {}
for name, fn in pairs(values.words) do words[name] = fn end
later.fill(words, { ["heddle.condition.json"] = "json" })

---What each word stands for: `words[name](statement, scope)` gives an operand.
condition.words = words

local function word(self, scope)
  return words[self:next_word()](self, scope)
end

-- In groups of groups: SQLite takes a chain of a thousand terms for an expression too deep.
local function joined(terms, glue)
  while #terms > GROUP do
    local groups = {}
    for first = 1, #terms, GROUP do
      local last = math.min(first + GROUP - 1, #terms)
      groups[#groups + 1] = "(" .. table.concat(terms, glue, first, last) .. ")"
    end
    terms = groups
  end
  return #terms == 1 and terms[1] or "(" .. table.concat(terms, glue) .. ")"
end

local function several(self, scope, glue, none)
  local count, terms = self:next_word(), {}
  for i = 1, count do terms[i] = word(self, scope) end
  if count == 0 then return none end
  return joined(terms, glue)
end

function words.all(self, scope) return several(self, scope, " AND ", "1 = 1") end
function words.any(self, scope) return several(self, scope, " OR ", "1 = 0") end
words["not"] = function(self, scope) return "(NOT " .. word(self, scope) .. ")" end

-- That a to-one relation leads to a row.
local function there(self, child)
  local guard = child.alias and child.alias .. "." .. quote.name(child.mapping.key[1].name)
    or self:column(child, child.pairs[1].other)
  return guard .. " IS NOT NULL"
end

-- The condition of a nested filter, and that there is a row for it to speak of: at each step of a chain.
function words.rel(self, scope)
  local chain, terms = {}, {}
  repeat
    scope = self:child(scope, scope.mapping.props[self:next_word()])
    chain[#chain + 1] = scope
    local goes_on = self.code[self.at] == "rel"
    if goes_on then self:next_word() end
  until not goes_on
  local text = word(self, scope)
  for i, child in ipairs(chain) do terms[i] = there(self, child) end
  terms[#terms + 1] = text
  return "(" .. table.concat(terms, " AND ") .. ")"
end

-- What the named filters say of pairs that are rows of an entity; nil when nothing stands in the code.
local function pairs_condition(self, pivot, scope)
  if self.code[self.at] ~= "pair" then return nil end
  self:next_word()
  return word(self, { mapping = pivot.entity, alias = scope.alias, level = scope.level, children = {} })
end

-- How sub-selects say whether some, no, or every member fulfils a condition. A condition that is unknown for a member
-- is one that this member does not fulfil.
local function reading(self, scope)
  local view = scope.mapping.props[self:next_word()]
  if view.kind ~= "many_to_many" and view.kind ~= "one_to_many" then return nil, self:child(scope, view) end
  local level, member = self:members(scope, view)
  level.terms[#level.terms + 1] = pairs_condition(self, view.pivot, level.root)
  return level, member
end

function words.some(self, scope)
  local level, member = reading(self, scope)
  local text = word(self, member)
  if not level then return "((" .. there(self, member) .. " AND " .. text .. ") IS TRUE)" end
  return "EXISTS (" .. self:select(level, "1", text) .. ")"
end

function words.none(self, scope)
  return "NOT " .. words.some(self, scope)
end

-- Where a condition is false or unknown.
local function failing(text)
  if text:find("^EXISTS %(") then return "NOT " .. text end
  if text:find("^NOT EXISTS %(") then return text:sub(5) end
  return "(" .. text .. ") IS NOT TRUE"
end

-- The first condition says which members are looked at.
function words.every(self, scope)
  local level, member = reading(self, scope)
  local seen, fulfilled = word(self, member), word(self, member)
  local failed = failing(fulfilled) .. (seen == "1 = 1" and "" or " AND " .. seen)
  if not level then return "((" .. there(self, member) .. " AND " .. failed .. ") IS NOT TRUE)" end
  return "NOT EXISTS (" .. self:select(level, "1", failed) .. ")"
end

-- The same of a list of embedded values.
function words.items(self, scope)
  local kind, name = self:next_word(), self:next_word()
  local level, item = self:items(scope, (scope.nodes or scope.mapping.nodes)[name])
  local text = word(self, item)
  local found = "EXISTS (" .. self:select(level, "1", kind == "every" and failing(text) or text) .. ")"
  return kind == "some" and found or "NOT " .. found
end

-- Rows that a pivot table links to some keys of the other side, which the words that follow say.
function words.member(self, scope)
  local pivot, side = scope.mapping.pivots[self:next_word()], self:next_word()
  local pair = self:join_pivot(pivot, side == "owner" and "target" or "owner")
  local own = pairs_condition(self, pivot.pivot, pair)
  local text = word(self, pair)
  return own and "(" .. own .. " AND " .. text .. ")" or text
end

words.raw = condition.raw

-- The condition of a named filter: wherever it stands, `e0` is its own entity.
function words.own(self, scope)
  local outer = self.own
  self.own = scope
  local text = word(self, scope)
  self.own = outer
  return text
end

function words.eq_raw(self, scope)
  return values.each_column(self, scope, function(owner, column)
    return self:operand(owner, column) .. " = " .. condition.raw(self, scope)
  end)
end

---The condition that stands next in the code, of a scope: one operand, "1 = 1" when it holds for every row.
---
---Usage: `local level = to:inner(book); local sql = to:select(level, "1", condition.at(to, level.root))`
---@param self heddle.Statement
---@param scope table
---@return string
function condition.at(self, scope)
  return word(self, scope)
end

---The condition that stands next in the code, as " WHERE ..."; "" when it holds for every row.
---
---Usage: `to:open(shape.code, 2); local sql = "DELETE FROM t AS e0" .. condition.where(to)`
---@param self heddle.Statement
---@return string
function condition.where(self)
  local text = word(self, self.root)
  local own = self.root.alias and self.level.terms[1]
  if own then return " WHERE " .. own .. (text == "1 = 1" and "" or " AND " .. text) end
  if text == "1 = 1" then return "" end
  return " WHERE " .. text
end

return condition
