--- A statement under construction: the shape it is made of, the entities it reads, its parameters.
--
-- A *scope* is an entity in the statement: the root is `e0`, a relation's target gets an alias and a LEFT JOIN when
-- one of its columns is first needed, once for each path however often it is named. The target's key is read
-- from the foreign key, so `{ author = { id = 7 } }` joins nothing.
local family = require("heddle.family")
local json_member = require("heddle.embedded.json_member")
local quote = require("heddle.quote")
local resolve = require("heddle.resolve")

---@class heddle.Statement
---@field mapping table of the entity that it is about
---@field driver "postgres"|"sqlite"
---@field root table the scope of that entity
---@field param_columns table[] what each placeholder is bound as: a mapping column or { type = }
---@field joins string[]
---@field reads table[] mappings of the tables that it reads
local Statement = {}
Statement.__index = Statement

local statement = {}

-- Request data can nest filters as deep as relations lead in circles; SQLite joins 64 tables at most.
local MOST_JOINS = 60
local MOST_PARAMETERS = { postgres = 65535, sqlite = 32766 }

---@param mapping table
---@return heddle.Statement
function statement.new(mapping)
  return setmetatable({
    mapping = mapping, driver = mapping.driver, mark = mapping.driver == "postgres" and "$" or "?",
    root = { mapping = mapping, alias = "e0", children = {} },
    param_columns = {}, joins = {}, reads = { mapping },
  }, Statement)
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

---The scope of a to-one relation's target.
---@param scope table
---@param view table
---@return table
function Statement.child(_, scope, view)
  local child = scope.children[view.name]
  if child then return child end
  local fk, inverse = resolve.foreign_key(scope.mapping, view)
  child = { mapping = view.target, parent = scope, children = {}, pairs = {}, covered = {} }
  for i, column in ipairs(fk.columns) do
    local own, other = column, fk.target_columns[i]
    if inverse then own, other = other, own else child.covered[other] = own end
    child.pairs[i] = { own = own, other = other }
  end
  scope.children[view.name] = child
  return child
end

local function join(self, scope)
  local terms = {}
  -- Asks the parent first, whose own join has to stand before this one.
  for i, pair in ipairs(scope.pairs) do terms[i] = self:column(scope.parent, pair.own) end
  if #self.joins >= MOST_JOINS then
    return resolve.refuse("validation", self.mapping, nil, "a query", "it reaches through more than "
      .. MOST_JOINS .. " relations")
  end
  scope.alias = "e" .. (#self.joins + 1)
  for i, pair in ipairs(scope.pairs) do
    terms[i] = scope.alias .. "." .. quote.name(pair.other.name) .. " = " .. terms[i]
  end
  terms[#terms + 1] = family.condition(scope.mapping, scope.alias .. ".")
  self.joins[#self.joins + 1] = " LEFT JOIN " .. quote.table(scope.mapping) .. " AS " .. scope.alias
    .. " ON " .. table.concat(terms, " AND ")
  self.reads[#self.reads + 1] = scope.mapping
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
  return { mapping = map, alias = "p", children = {} }
end

---A column as the statement names it.
---@param scope table
---@param column table
---@return string
function Statement:column(scope, column)
  if column.json then return json_member.sql(self, column, self:column(scope, column.json.column)) end
  local own = scope.covered and scope.covered[column]
  if own then return self:column(scope.parent, own) end
  if scope.alias == nil then join(self, scope) end
  -- The condition of an index speaks of its table without a name: its alias is false.
  return (scope.alias and scope.alias .. "." or "") .. quote.name(column.name)
end

---A column as an operand of comparisons and orders. SQLite keeps decimals as text, which its own collation
---would compare letter by letter.
---@param scope table
---@param column table
---@return string
function Statement:operand(scope, column)
  local text = self:column(scope, column)
  if column.type == "decimal" and self.driver == "sqlite" then return text .. " COLLATE hd_decimal" end
  return text
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

---"table AS e0 LEFT JOIN ..." with the joins asked for so far.
---@return string
function Statement:from()
  return quote.table(self.mapping) .. " AS e0" .. table.concat(self.joins)
end

return statement
