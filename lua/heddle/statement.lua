--- A statement under construction: the shape it is made of, the entities it reads, its parameters.
--
-- A *scope* is an entity in the statement: the root is `e0`, a to-one relation's target gets an alias and a join when
-- one of its columns is first needed, once for each path however often it is named. The target's key is read
-- from the foreign key, so `{ author = { id = 7 } }` joins nothing.
--
-- A *level* is a SELECT of the statement: the outermost one, or a sub-select. A scope belongs to the level in whose
-- FROM it stands; aliases are numbered through the whole statement, so that an inner level can speak of scopes of
-- outer ones.
local later = require("heddle.later")
local json_member = later.module("heddle.embedded.json_member")
local quote = require("heddle.quote")
local resolve = later.module("heddle.resolve")
local scopes = require("heddle.statement.scopes")

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
for name, method in pairs(scopes) do Statement[name] = method end
Statement.__index = Statement

local statement = {}

local MOST_PARAMETERS = { postgres = 65535, sqlite = 32766 }

---A statement whose levels are yet to be opened: `e0` is not given out.
---@param mapping table
---@return heddle.Statement
function statement.bare(mapping)
  return setmetatable({
    mapping = mapping, driver = mapping.driver, mark = mapping.driver == "postgres" and "$" or "?",
    param_columns = {}, reads = {}, aliases = 1,
  }, Statement)
end

---@param mapping table
---@param alias? string of its table, as SQL; `e0` when left out
---@return heddle.Statement
function statement.new(mapping, alias)
  local self = statement.bare(mapping)
  self.level = self:inner(mapping, alias or "e0")
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

---A column as the statement names it.
---@param scope table
---@param column table
---@return string
function Statement:column(scope, column)
  local text = scope.texts and scope.texts[column]
  if text then return text end
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
  return "hd_array(" .. text .. ", " .. json_member.has_decimals(column) .. ")"
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
  if scope.nodes then return resolve.node_columns(scope.nodes[name]), scope end
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

---Whether it has one table and no sub-select.
---@return boolean
function Statement:is_alone()
  return self.aliases == 1
end

return statement
