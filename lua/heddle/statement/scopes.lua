--- Levels and scopes of a statement: what stands in the FROM of each SELECT, and how it is tied to what it is reached
--- from. The methods here are `heddle.Statement`'s.
local compat = require("heddle.compat")
local later = require("heddle.later")
local embedded = later.module("heddle.mapping.embedded")
local family = require("heddle.family")
local quote = require("heddle.quote")
local resolve = later.module("heddle.resolve")

---@class heddle.Level
---@field root table the scope of the table in its FROM
---@field joins string[]
---@field terms string[] what ties it to the levels around it, and always holds in it

local scopes = {}

-- Request data can nest filters as deep as relations lead in circles; SQLite joins 64 tables at most.
local MOST_JOINS = 60

local function next_alias(self)
  local alias = "e" .. self.aliases
  self.aliases = self.aliases + 1
  return alias
end

---An alias that the statement does not have yet.
---@return string
function scopes:next_alias()
  return next_alias(self)
end

local function open_level(self, mapping, alias, source)
  local level = { joins = {}, terms = {} }
  level.root = { mapping = mapping, alias = alias or next_alias(self), level = level, children = {} }
  level.root.source = source and source .. " AS " .. level.root.alias
  if not mapping.derived then self.reads[#self.reads + 1] = mapping end
  return level
end

---Opens a level that reads an entity's table. Conditions on its root, and on what is reached from there over to-one
---relations, join in it; `from` and `select` close it.
---
---Usage: `local level = to:inner(book); local sql = to:select(level, "1", condition.at(to, level.root))`
---@param mapping table
---@param alias? string as SQL, the next one when left out
---@param source? string what stands in the place of the entity's table
---@return heddle.Level
function scopes:inner(mapping, alias, source)
  local level = open_level(self, mapping, alias, source)
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
function scopes:child(scope, view)
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

---Opens a level over the items of a list of embedded values, which stands in a json column.
---@param scope table
---@param node table of the list
---@return heddle.Level
---@return table scope of an item, whose members are those of `item`
function scopes:items(scope, node)
  local item = embedded.item(scope.mapping, node)
  local list = self:column(scope, node.column)
  local level = { joins = {}, terms = {} }
  local root = { mapping = scope.mapping, nodes = item.nodes, alias = next_alias(self), level = level, children = {} }
  if self.driver == "postgres" then
    root.source = ("jsonb_array_elements(CASE WHEN jsonb_typeof(%s) = 'array' THEN %s END) AS %s(value)"):format(list,
      list, root.alias)
  else
    root.source = ("json_each(CASE WHEN json_type(%s) = 'array' THEN %s END) AS %s"):format(list, list, root.alias)
  end
  level.root = root
  return level, root
end

---Opens a level over the members of a relation of any kind: its terms tie it to a scope, conditions on a member stand
---in the scope that is given back. The key of a member is read from the pair where a pivot table leads to it.
---@param scope table
---@param view table
---@return heddle.Level
---@return table scope of a member
function scopes:members(scope, view)
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
function scopes:reach(scope)
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
function scopes:join_pivot(map, side)
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

---"table AS e0 LEFT JOIN ..." with the joins that a level was asked for so far.
---@param level heddle.Level? the outermost one when left out
---@return string
function scopes:from(level)
  level = level or self.level
  local root = level.root
  return (root.source or quote.table(root.mapping) .. " AS " .. root.alias) .. table.concat(level.joins)
end

---Whether the rows that a write is about are found in a sub-select over their key: where the condition joins, since
---neither database joins in these statements alike, and on SQLite where it reads other rows, since an UPDATE there
---writes the first row before it looks for the next one.
---@param text string the condition
---@return boolean
function scopes:finds_first(text)
  return #self.joins > 0 or self.driver == "sqlite" and text:upper():find("SELECT", 1, true) ~= nil
end

---Closes a level: "SELECT list FROM ... WHERE ...", with what ties it to the levels around it.
---@param level heddle.Level
---@param list string what it gives
---@param text string a condition, "1 = 1" for none
---@return string
function scopes:select(level, list, text)
  local terms = { compat.unpack(level.terms) }
  -- First, because SQLite's parser keeps what stands before an inner SELECT on a stack of a hundred places.
  if text ~= "1 = 1" then table.insert(terms, 1, text) end
  return "SELECT " .. list .. " FROM " .. self:from(level)
    .. (#terms > 0 and " WHERE " .. table.concat(terms, " AND ") or "")
end

return scopes
