--- Reads the constraints of CREATE TABLE: of a column, and of the table.
---
---     item = { kind, name = its CONSTRAINT name, text = as it is written, ... }
---     kind: "primary" { columns, autoincrement, desc }   "unique" { columns }   "check" { expression }   "null"
---           "not null"   "default" { value }   "collate" { collation }   "generated" { expression, virtual }   "defer"
---           "foreign" { columns, table, target_columns, on_delete, on_update, deferrable }
local quote = require("heddle.quote")
local tokens = require("heddle.schema.sqlite.tokens")

local constraints = {}

-- Expressions and values ---------------------------------------------------------------------------------------

-- The text between parentheses, bare.
local function enclosed(p)
  local first = p.at
  local last = p:close()
  first, last = tokens.bare(p.list, first + 1, last - 1)
  return tokens.text(p.list, first, last, p.own)
end

local keywords = { ["true"] = "1", ["false"] = "0", null = false }

-- A default in its one form; nil for none.
local function default_text(p, first, last)
  first, last = tokens.bare(p.list, first, last)
  local token = p.list[first]
  if token.value == "+" and first + 1 == last then first, token = last, p.list[last] end
  if first < last then
    local signed = token.value == "-" and first + 1 == last and p.list[last].kind == "number"
    local text = tokens.text(p.list, first, last)
    return signed and "-" .. p.list[last].value or "(" .. text .. ")"
  end
  if token.kind ~= "word" and token.kind ~= "quoted" then return tokens.text(p.list, first, last) end
  local known = keywords[token.value]
  if token.kind == "word" and known ~= nil then return known or nil end
  if token.kind == "word" and token.value:find("^current_") then return token.value end
  return quote.text(tokens.name(token))
end

local function read_default(p, item)
  local first = p.at
  if p:is("(") then
    p:close()
  else
    if p:is("+") or p:is("-") then p:next() end
    p:next()
  end
  item.value = default_text(p, first, p.at - 1)
end

-- Lists --------------------------------------------------------------------------------------------------------

---A list of columns in parentheses, each perhaps with a collation and an order.
---@param p table
---@param item? table gets `autoincrement`
---@return string[] names
function constraints.columns(p, item)
  local names = {}
  p:expect("(")
  repeat
    -- Each may stand in parentheses of its own.
    local wrapped = 0
    while p:accept("(") do wrapped = wrapped + 1 end
    names[#names + 1] = p:name()
    if p:accept("collate") then p:name() end
    for _ = 1, wrapped do p:expect(")") end
    if p:accept("collate") then p:name() end
    if not p:accept("asc") then p:accept("desc") end
    if p:accept("nulls") then p:next() end
    if p:accept("autoincrement") and item then item.autoincrement = true end
  until not p:accept(",")
  p:expect(")")
  return names
end

local function conflict(p)
  if p:is("on") and p:is("conflict", 1) then p.at = p.at + 3 end
end

-- Foreign keys -------------------------------------------------------------------------------------------------

local function rule(p)
  if p:accept("set") then return "set " .. p:next().value end
  if p:accept("no") then
    p:next()
    return nil
  end
  return p:next().value
end

local function read_deferrable(p)
  local is_not = p:accept("not")
  p:expect("deferrable")
  local deferred
  if p:accept("initially") then deferred = p:next().value == "deferred" end
  if is_not then return nil end
  return deferred and "deferred" or "immediate"
end

local function is_deferrable(p)
  return p:is("deferrable") or p:is("not") and p:is("deferrable", 1)
end

local function read_references(p, item)
  item.kind, item.table = "foreign", p:name()
  if p:is("(") then item.target_columns = constraints.columns(p) end
  while true do
    if p:accept("on") then
      local event = p:next().value
      local said = rule(p)
      if event ~= "insert" then item["on_" .. event] = said end
    elseif p:accept("match") then
      p:next()
    elseif is_deferrable(p) then
      item.deferrable = read_deferrable(p)
    else
      return
    end
  end
end

-- Of a column --------------------------------------------------------------------------------------------------

local function read_generated(p, item)
  item.kind, item.expression = "generated", enclosed(p)
  item.virtual = not p:accept("stored")
  if item.virtual then p:accept("virtual") end
end

local readers = {}

readers["default"] = read_default
readers["null"] = conflict
readers["not"] = function(p, item)
  if p:is("deferrable") then
    p.at = p.at - 1
    item.kind, item.deferrable = "defer", read_deferrable(p)
    return
  end
  item.kind = "not null"
  p:expect("null")
  conflict(p)
end
readers["primary"] = function(p, item)
  p:expect("key")
  if p:accept("desc") then item.desc = true else p:accept("asc") end
  conflict(p)
  item.autoincrement = p:accept("autoincrement")
end
readers["unique"] = conflict
readers["check"] = function(p, item)
  item.expression = enclosed(p)
  conflict(p)
end
readers["references"] = read_references
readers["deferrable"] = function(p, item)
  p.at = p.at - 1
  item.kind, item.deferrable = "defer", read_deferrable(p)
end
readers["collate"] = function(p, item) item.collation = tokens.fold(p:name()) end
readers["as"] = read_generated
readers["generated"] = function(p, item)
  p:expect("always")
  p:expect("as")
  read_generated(p, item)
end

-- The next constraint that one of the readers knows; nil when there is none.
local function next_item(p, known)
  local item, first = {}, p.at
  while p:accept("constraint") do item.name = p:name() end
  local token = p.list[p.at]
  local read = token and token.kind == "word" and known[token.value]
  if not read then return nil end
  item.kind = token.value
  p:next()
  read(p, item)
  item.text = p:text(first, p.at - 1)
  return item
end

---Whether a constraint of a column begins here, and its type ends.
---@param p table
---@return boolean
function constraints.begins(p)
  local token = p.list[p.at]
  if not token or token.kind ~= "word" then return false end
  return token.value == "constraint"
    or readers[token.value] ~= nil
    and (token.value ~= "generated" or p:is("always", 1) and p:is("as", 2))
end

---The next constraint of a column; nil when there is none.
---@param p table
---@return table|nil item
function constraints.of_column(p)
  return next_item(p, readers)
end

-- Of the table -------------------------------------------------------------------------------------------------

local of_table = {}

of_table["primary"] = function(p, item)
  p:expect("key")
  item.columns = constraints.columns(p, item)
  conflict(p)
end
of_table["unique"] = function(p, item)
  item.columns = constraints.columns(p)
  conflict(p)
end
of_table["check"] = readers["check"]
of_table["foreign"] = function(p, item)
  p:expect("key")
  item.columns = constraints.columns(p)
  p:expect("references")
  read_references(p, item)
end

---The next constraint of a table; nil when there is none.
---@param p table
---@return table|nil item
function constraints.of_table(p)
  return next_item(p, of_table)
end

return constraints
