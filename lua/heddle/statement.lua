--- A statement under construction: the shape it is made of, the entities it reads, its parameters.
--
-- A *scope* is an entity in the statement: the root is `e0`, a to-one relation's target gets an alias and a join when
-- one of its columns is first needed, once for each path however often it is named. The target's key is read
-- from the foreign key, so `{ author = { id = 7 } }` joins nothing.
--
-- A *level* is a SELECT of the statement: the outermost one, or a sub-select. A scope belongs to the level in whose
-- FROM it stands; aliases are numbered through the whole statement, so that an inner level can speak of scopes of
-- outer ones.
local compat = require("heddle.compat")
local family = require("heddle.family")
local json_member = require("heddle.embedded.json_member")
local quote = require("heddle.quote")
local resolve = require("heddle.resolve")

---@class heddle.Statement
---@field mapping table of the entity that it is about
---@field driver "postgres"|"sqlite"
---@field level heddle.Level the outermost one
---@field root table its root: the scope of that entity
---@field joins string[] its joins
---@field param_columns table[] what each placeholder is bound as: a mapping column or { type = }
---@field reads table[] mappings of the tables that it reads, in all levels
---@field aliases integer how many were given
local Statement = {}
Statement.__index = Statement

---@class heddle.Level
---@field root table the scope of the table in its FROM
---@field joins string[]
---@field terms string[] what ties it to the levels around it, and always holds in it

local statement = {}

-- Request data can nest filters as deep as relations lead in circles; SQLite joins 64 tables at most.
local MOST_JOINS = 60
local MOST_PARAMETERS = { postgres = 65535, sqlite = 32766 }

---@param mapping table
---@return heddle.Statement
function statement.new(mapping)
  local self = setmetatable({
    mapping = mapping, driver = mapping.driver, mark = mapping.driver == "postgres" and "$" or "?",
    param_columns = {}, reads = {}, aliases = 0,
  }, Statement)
  self.level = self:inner(mapping)
  self.root, self.joins = self.level.root, self.level.joins
  return self
end

---Begins to read a shape's code at a position.
---@param code (string|number)[]
---@param at integer
function Statement:open(code, at)
  self.code, self.at = code, at
end

---The next word of the code.
---@return string|number
function Statement:next_word()
  local at = self.at
  self.at = at + 1
  return self.code[at]
end

-- Levels and scopes ----------------------------------------------------------------------------------------

local function next_alias(self)
  local alias = "e" .. self.aliases
  self.aliases = self.aliases + 1
  return alias
end

local function open_level(self, mapping)
  local level = { joins = {}, terms = {} }
  level.root = { mapping = mapping, alias = next_alias(self), level = level, children = {} }
  self.reads[#self.reads + 1] = mapping
  return level
end

---Opens a level that reads an entity's table. Conditions on its root, and on what is reached from there over to-one
---relations, join in it; `from` and `select` close it.
---
---Usage: `local level = to:inner(book); local sql = to:select(level, "1", condition.at(to, level.root))`
---@param mapping table
---@return heddle.Level
function Statement:inner(mapping)
  local level = open_level(self, mapping)
  level.terms[1] = family.condition(mapping, level.root.alias .. ".")
  return level
end

local function refuse_joins(self)
  return resolve.refuse("validation", self.mapping, nil, "a query", "it reaches through more than " .. MOST_JOINS
    .. " relations")
end

-- What ties the target of a relation that a foreign key stands behind to the scope that it is reached from.
local function tied(scope, view, level)
  local fk, inverse = resolve.foreign_key(scope.mapping, view)
  local child = { mapping = view.target, parent = scope, level = level, children = {}, pairs = {}, covered = {} }
  for i, column in ipairs(fk.columns) do
    local own, other = column, fk.target_columns[i]
    if inverse then own, other = other, own else child.covered[other] = own end
    child.pairs[i] = { own = own, other = other }
  end
  return child
end

---The scope of a to-one relation's target, in the level of the scope that it is reached from.
---@param scope table
---@param view table
---@return table
function Statement:child(scope, view)
  local child = scope.children[view.name]
  if child then return child end
  child = tied(scope, view, scope.level)
  child.depth = (scope.depth or 0) + 1
  if child.depth > MOST_JOINS then return refuse_joins(self) end
  scope.children[view.name] = child
  return child
end

-- Adds the terms that tie a scope to the one that it is reached from, whose own join has to stand before.
local function tie(self, scope, terms)
  local outer = {}
  for i, pair in ipairs(scope.pairs) do outer[i] = self:column(scope.parent, pair.own) end
  scope.alias = scope.alias or next_alias(self)
  for i, pair in ipairs(scope.pairs) do
    terms[#terms + 1] = scope.alias .. "." .. quote.name(pair.other.name) .. " = " .. outer[i]
  end
  terms[#terms + 1] = family.condition(scope.mapping, scope.alias .. ".")
end

-- The scope of a member that a pair leads to, and what ties the pair to the scope of the relation's owner.
local function paired(self, scope, view)
  local map = view.pivot.mapping
  local near, far = map.props.owner, map.props.target
  if not view.prop.owner then near, far = far, near end
  local level = open_level(self, map)
  for i, column in ipairs(near.columns) do
    level.terms[i] = self:column(level.root, column) .. " = "
      .. self:column(scope, column.foreign_key.target_columns[i])
  end
  local member = { mapping = view.target, parent = level.root, level = level, children = {}, pairs = {},
    covered = {}, inner = true }
  for i, column in ipairs(far.columns) do
    local other = column.foreign_key.target_columns[i]
    member.pairs[i], member.covered[other] = { own = column, other = other }, column
  end
  if family.condition(view.target, "") then self:reach(member) end
  return level, member
end

---Opens a level over the members of a relation of any kind: its terms tie it to a scope, conditions on a member stand
---in the scope that is given back. The key of a member is read from the pair where a pivot table leads to it.
---@param scope table
---@param view table
---@return heddle.Level
---@return table scope of a member
function Statement:members(scope, view)
  if view.pivot then return paired(self, scope, view) end
  local level = open_level(self, view.target)
  local member = tied(scope, view, level)
  member.alias, member.covered, level.root = level.root.alias, nil, member
  tie(self, member, level.terms)
  return level, member
end

---Joins a scope's table, unless it is joined; gives its alias.
---@param scope table
---@return string
function Statement:reach(scope)
  if scope.alias then return scope.alias end
  local joins, terms = scope.level.joins, {}
  tie(self, scope, terms)
  if #joins >= MOST_JOINS then return refuse_joins(self) end
  joins[#joins + 1] = (scope.inner and " JOIN " or " LEFT JOIN ") .. quote.table(scope.mapping) .. " AS "
    .. scope.alias .. " ON " .. table.concat(terms, " AND ")
  self.reads[#self.reads + 1] = scope.mapping
  return scope.alias
end

---The scope of a pivot table, whose pairs lead to the root.
---@param map table hidden
---@param side "owner"|"target" which of its sides the root is
---@return table
function Statement:join_pivot(map, side)
  local terms = {}
  for i, column in ipairs(map.props[side].columns) do
    local other = column.foreign_key.target_columns[i]
    terms[i] = "p." .. quote.name(column.name) .. " = " .. self:column(self.root, other)
  end
  self.joins[#self.joins + 1] = " JOIN " .. quote.table(map) .. " AS p ON " .. table.concat(terms, " AND ")
  self.reads[#self.reads + 1] = map
  local order = map.pivot.order_column
  self.pivot_order = order and "p." .. quote.name(order)
  return { mapping = map, alias = "p", level = self.level, children = {} }
end

---A column as the statement names it.
---@param scope table
---@param column table
---@return string
function Statement:column(scope, column)
  if column.json then return json_member.sql(self, column, self:column(scope, column.json.column)) end
  local own = scope.covered and scope.covered[column]
  if own then return self:column(scope.parent, own) end
  if scope.alias == nil then self:reach(scope) end
  -- The condition of an index speaks of its table without a name: its alias is false.
  return (scope.alias and scope.alias .. "." or "") .. quote.name(column.name)
end

-- A document or an array as SQLite compares it: one text for all that are equal.
local function canonical(column, text)
  if column.type == "json" then return "hd_json(" .. text .. ")" end
  return "hd_array(" .. text .. ", " .. (column.array_of == "decimal" and 1 or 0) .. ")"
end

---A column as an operand of comparisons and orders. SQLite keeps decimals, documents and arrays as text, which its own
---collation would compare letter by letter.
---@param scope table
---@param column table
---@return string
function Statement:operand(scope, column)
  local text = self:column(scope, column)
  if self.driver ~= "sqlite" then return text end
  if column.type == "decimal" then return text .. " COLLATE hd_decimal" end
  return (column.type == "json" or column.type == "array") and canonical(column, text) or text
end

---The next parameter's placeholder, as what an operand is compared with for equality.
---@param column table
---@return string
function Statement:value(column)
  local text = self:placeholder(column)
  if self.driver ~= "sqlite" or column.type ~= "json" and column.type ~= "array" then return text end
  return canonical(column, text)
end

---The columns that a property stands for: its own, a foreign key, the key of an inverse one-to-one's
---target; "" is the entity's key.
---@param scope table
---@param name string
---@return table[] columns
---@return table scope that they belong to
function Statement:columns(scope, name)
  if name == "" then return scope.mapping.key, scope end
  local view = scope.mapping.props[name]
  if not view then return resolve.node_columns(scope.mapping.nodes[name]), scope end
  if view.stored then return view.stored, scope end
  local child = self:child(scope, view)
  return child.mapping.key, child
end

---The next parameter's placeholder.
---@param column table as what it is bound
---@return string
function Statement:placeholder(column)
  if column.json then column = json_member.parameter(self, column) end
  local n = #self.param_columns + 1
  if n > MOST_PARAMETERS[self.driver] then
    return resolve.refuse("unsupported", self.mapping, nil, "a query", "it has more values than one statement takes ("
      .. MOST_PARAMETERS[self.driver] .. "): split it")
  end
  self.param_columns[n] = column
  return self.mark .. n
end

---"table AS e0 LEFT JOIN ..." with the joins that a level was asked for so far.
---@param level heddle.Level? the outermost one when left out
---@return string
function Statement:from(level)
  level = level or self.level
  return quote.table(level.root.mapping) .. " AS " .. level.root.alias .. table.concat(level.joins)
end

---Closes a level: "SELECT list FROM ... WHERE ...", with what ties it to the levels around it.
---@param level heddle.Level
---@param list string what it gives
---@param text string a condition, "1 = 1" for none
---@return string
function Statement:select(level, list, text)
  local terms = { compat.unpack(level.terms) }
  if text ~= "1 = 1" then terms[#terms + 1] = text end
  return "SELECT " .. list .. " FROM " .. self:from(level)
    .. (#terms > 0 and " WHERE " .. table.concat(terms, " AND ") or "")
end

---Whether it reads the entity's table and no other.
---@return boolean
function Statement:is_alone()
  return #self.reads == 1
end

return statement
