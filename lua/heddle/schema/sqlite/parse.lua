--- CREATE TABLE and CREATE INDEX as they stand in sqlite_schema, whoever wrote them.
---
---     table = { name, columns = { { name, type, items }, ... }, constraints = { item, ... }, options = text or nil,
---               without_rowid, strict }                         -- items: see constraints.lua
---     index = { name, table, unique, parts = { { column or expression, desc, collation }, ... }, where }
---
--- Nothing is looked up: what a text leaves to the database (a column of the primary key that is the rowid, the target
--- of a foreign key without columns) is for who reads it.
local constraints = require("heddle.schema.sqlite.constraints")
local tokens = require("heddle.schema.sqlite.tokens")

local parse = {}

-- A place in a list of tokens. What is not as it has to be is raised as a string, and caught by `run`.
local Parser = {}
Parser.__index = Parser

function Parser:fail(expected)
  local token = self.list[self.at]
  error({ message = ("expected %s %s"):format(expected, token and "at '" .. token.text .. "'" or "at its end") }, 0)
end

-- Keywords and operators alone: what is in quotes never is one.
function Parser:is(value, ahead)
  local token = self.list[self.at + (ahead or 0)]
  return token ~= nil and token.value == value and (token.kind == "word" or token.kind == "op")
end

function Parser:next()
  local token = self.list[self.at]
  if not token then self:fail("more") end
  self.at = self.at + 1
  return token
end

function Parser:accept(value)
  if not self:is(value) then return false end
  self.at = self.at + 1
  return true
end

function Parser:expect(value)
  if not self:accept(value) then self:fail("'" .. value .. "'") end
end

function Parser:name()
  if not tokens.is_name(self.list[self.at]) then self:fail("a name") end
  return tokens.name(self:next())
end

-- Goes behind the parenthesis that closes the one here; gives where that is.
function Parser:close()
  local stop = self:is("(") and tokens.closing(self.list, self.at)
  if not stop then self:fail("'(' and ')'") end
  self.at = stop + 1
  return stop
end

-- As it is written.
function Parser:text(first, last)
  return last < first and "" or self.sql:sub(self.list[first].first, self.list[last].last)
end

local function run(sql, read)
  local list = tokens.of(sql)
  if not list then return nil, "something in quotes never ends" end
  local ok, result = pcall(read, setmetatable({ sql = sql, list = list, at = 1 }, Parser))
  if ok then return result end
  if type(result) == "table" and result.message then return nil, result.message end
  error(result, 0)
end

-- "[IF NOT EXISTS] [schema.]name"
local function qualified(p)
  if p:is("if") and p:is("not", 1) then p.at = p.at + 3 end
  local name = p:name()
  if p:accept(".") then name = p:name() end
  return name
end

-- Tables -------------------------------------------------------------------------------------------------------

local function read_type(p)
  local first = p.at
  while tokens.is_name(p.list[p.at]) and not constraints.begins(p) do p:next() end
  -- Two words that SQLite takes off a type, whatever follows.
  local last = p.at - 1
  if last > first and p:is("always", -1) and p:is("generated", -2) then return p:text(first, last - 2) end
  if p.at > first and p:is("(") then p:close() end
  return p:text(first, p.at - 1)
end

local function read_column(p)
  local column = { name = p:name(), items = {} }
  column.type = read_type(p)
  local item = constraints.of_column(p)
  while item do
    column.items[#column.items + 1] = item
    item = constraints.of_column(p)
  end
  return column
end

local starts = { constraint = true, primary = true, unique = true, check = true, foreign = true }

local function begins_constraint(p)
  local token = p.list[p.at]
  return token and token.kind == "word" and starts[token.value] or false
end

local function read_body(p, made)
  repeat
    if begins_constraint(p) then break end
    made.columns[#made.columns + 1] = read_column(p)
  until not p:accept(",")
  while begins_constraint(p) do
    made.constraints[#made.constraints + 1] = constraints.of_table(p)
    p:accept(",")
  end
  p:expect(")")
end

local function read_options(p, made)
  local first = p.at
  while p.list[p.at] and not p:is(";") do
    local word = p:next().value
    if word == "strict" then made.strict = true end
    if word == "without" then made.without_rowid = true end
  end
  made.options = p.at > first and p:text(first, p.at - 1) or nil
end

---Reads CREATE TABLE.
---
---Usage: `parse.table('CREATE TABLE "users" (id INTEGER PRIMARY KEY)').columns[1].name` is "id"
---@param sql string
---@return table|nil
---@return string|nil message what is wrong with it
function parse.table(sql)
  return run(sql, function(p)
    local made = { columns = {}, constraints = {} }
    p:expect("create")
    if not p:accept("temp") then p:accept("temporary") end
    p:expect("table")
    made.name = qualified(p)
    p.own = made.name
    p:expect("(")
    read_body(p, made)
    read_options(p, made)
    return made
  end)
end

-- Indexes ------------------------------------------------------------------------------------------------------

-- Where the part that begins here ends: in front of a comma or the end of the list.
local function part_end(p)
  local at = p.at
  while p.list[at] do
    local token = p.list[at]
    if token.kind == "op" then
      if token.value == "," or token.value == ")" then return at - 1 end
      if token.value == "(" then at = tokens.closing(p.list, at) or p:fail("')'") end
    end
    at = at + 1
  end
  p:fail("')'")
end

local function is_word(token, value)
  return token.kind == "word" and token.value == value
end

-- Takes "COLLATE x", "ASC" and "DESC" off the end.
local function read_part(p)
  local part, first, last = { desc = false }, p.at, part_end(p)
  p.at = last + 1
  if last > first and is_word(p.list[last], "asc") then
    last = last - 1
  elseif last > first and is_word(p.list[last], "desc") then
    part.desc, last = true, last - 1
  end
  if last - 1 > first and is_word(p.list[last - 1], "collate") then
    part.collation, last = tokens.fold(tokens.name(p.list[last])), last - 2
  end
  first, last = tokens.bare(p.list, first, last)
  if last - first == 2 and p.list[first + 1].value == "." then first = last end
  if first == last and tokens.is_name(p.list[first]) then
    part.column = tokens.name(p.list[first])
  else
    part.expression = tokens.text(p.list, first, last, p.own)
  end
  return part
end

---Reads CREATE INDEX.
---@param sql string
---@return table|nil
---@return string|nil message
function parse.index(sql)
  return run(sql, function(p)
    local made = { parts = {} }
    p:expect("create")
    made.unique = p:accept("unique")
    p:expect("index")
    made.name = qualified(p)
    p:expect("on")
    made.table = qualified(p)
    p.own = made.table
    p:expect("(")
    repeat
      made.parts[#made.parts + 1] = read_part(p)
    until not p:accept(",")
    p:expect(")")
    if p:accept("where") then
      local last = #p.list
      if p.list[last].value == ";" then last = last - 1 end
      local first
      first, last = tokens.bare(p.list, p.at, last)
      made.where = tokens.text(p.list, first, last, made.table)
    end
    return made
  end)
end

return parse
