--- When a piece of the live schema and a wanted one are the same: both in the database's own words, the live one with
--- what is renamed under its new name.
---
--- What an entity cannot say is no difference where it says nothing: collations, operator classes, storage parameters.
local affinity = require("heddle.schema.sqlite.affinity")
local model = require("heddle.schema.model")

local equal = {}

local Equal = {}
Equal.__index = Equal

---@param driver "postgres"|"sqlite"
---@param renames table as `renames.of` gives it
---@return table
function equal.new(driver, renames)
  return setmetatable({ driver = driver, renames = renames }, Equal)
end

---A name as names of the driver are compared.
---@param name string
---@return string
function Equal:fold(name)
  if self.driver ~= "sqlite" then return name end
  return (name:gsub("%u", string.lower))
end

---What a live table's column is called from now on.
---@param t table live
---@param name string
---@return string
function Equal:new_name(t, name)
  local names = self.renames.columns[model.key(t.name, t.schema, self.driver)]
  return names and names[self:fold(name)] or name
end

-- Texts ------------------------------------------------------------------------------------------------------------

-- A text with each name in one form, those of renamed columns as they are now.
local function with_names(self, text, t)
  local made, at = {}, 1
  while at <= #text do
    local piece = text:match("^'[^']*'", at) or text:match("^[%a_\128-\255][%w_$\128-\255]*", at)
      or text:match('^"[^"]*"', at) or text:match("^%d[%w_.]*", at) or text:sub(at, at)
    at = at + #piece
    local name = piece:match('^"(.*)"$') or piece:match("^[%a_\128-\255].*$")
    made[#made + 1] = name and "[" .. (t and self:new_name(t, name) or name) .. "]" or piece
  end
  return table.concat(made)
end

---@param t table live
---@param was string|nil
---@param now string|nil
---@return boolean
function Equal:text(t, was, now)
  -- The same words may be of another column now.
  if not was or not now or not self.renames.columns[model.key(t.name, t.schema, self.driver)] then return was == now end
  return with_names(self, was, t) == with_names(self, now)
end

-- Columns ----------------------------------------------------------------------------------------------------------

-- NUMERIC does what INTEGER does. A date in a column of a type called so is the text that it was.
local dates = { date = true, time = true, timestamp = true }

local function kept_as(type, kind)
  local found = affinity.of(type)
  if found == "INTEGER" then return "NUMERIC" end
  if found ~= "NUMERIC" then return found end
  type = type:upper()
  if dates[kind] and (type:find("DATE", 1, true) or type:find("TIME", 1, true)) then return "TEXT" end
  return kind == "uuid" and type == "UUID" and "TEXT" or "NUMERIC"
end

local function same_type(self, was, now)
  if self.driver ~= "sqlite" then return was.type == now.type end
  return was.type:upper() == now.type:upper() or kept_as(was.type, now.kind) == kept_as(now.type)
end

local function default_of(column)
  local text = column.default
  if not text or text:upper() == "NULL" or text:find("^NULL::") then return nil end
  return text
end

---What differs between two columns: a set of "type", "nullable", "default", "generated", "autoincrement", "comment";
---nil when nothing does.
---@param t table live
---@param was table
---@param now table
---@param is_key boolean whether the column is of the primary key, which is never NULL
---@param safe boolean
---@return table|nil
function Equal:differences(t, was, now, is_key, safe)
  local differs = {
    type = not same_type(self, was, now) or nil,
    nullable = not is_key and (was.nullable or false) ~= (now.nullable or false) or nil,
    default = not self:text(t, default_of(was), default_of(now)) or nil,
    generated = (not self:text(t, was.generated, now.generated) or now.virtual and not was.virtual) or nil,
    autoincrement = (was.autoincrement or false) ~= (now.autoincrement or false) or nil,
    comment = was.comment ~= now.comment and not (safe and now.comment == nil) or nil,
  }
  return next(differs) and differs
end

-- Keys, constraints and indexes ------------------------------------------------------------------------------------

-- `t` is nil where the names of both are the same ones.
local function same_names(self, t, was, now)
  if #was ~= #now then return false end
  for i, name in ipairs(was) do
    if self:fold(t and self:new_name(t, name) or name) ~= self:fold(now[i]) then return false end
  end
  return true
end

---@return boolean
function Equal:primary(t, was, now)
  if not was or not now then return was == now end
  return same_names(self, t, was.columns, now.columns)
end

---@return boolean
function Equal:uniques(t, was, now)
  return same_names(self, t, was.columns, now.columns)
end

---@return boolean
function Equal:checks(t, was, now)
  return self:text(t, was.expression, now.expression)
end

-- Columns that say nothing are the other table's key.
local function same_target(self, was, now)
  local key = model.key(was.table, was.schema, self.driver)
  local renamed = self.renames.tables[key]
  if renamed then key = model.key(renamed.name, renamed.schema, self.driver) end
  if key ~= model.key(now.table, now.schema, self.driver) then return false end
  local columns = was.target_columns or {}
  return #columns == 0 or same_names(self, { name = was.table, schema = was.schema }, columns, now.target_columns)
end

---Whether two foreign keys lead from the same columns to the same ones, whatever their rules.
---@return boolean
function Equal:way(t, was, now)
  return same_names(self, t, was.columns, now.columns) and same_target(self, was, now)
end

local function rule(text)
  return text ~= "no action" and text or nil
end

---@return boolean
function Equal:foreign_keys(t, was, now)
  -- How a deferrable one begins, no entity says; on SQLite none says anything.
  local deferrable = self.driver == "sqlite" or (was.deferrable ~= nil) == (now.deferrable ~= nil)
  return deferrable and self:way(t, was, now) and rule(was.on_delete) == rule(now.on_delete)
    and rule(was.on_update) == rule(now.on_update)
end

local function method_of(index)
  return index.method ~= "btree" and index.method or nil
end

-- Where NULLs are by themselves needs no word.
local function nulls_of(part)
  return part.nulls ~= (part.desc and "first" or "last") and part.nulls or nil
end

local function same_part(self, t, was, now)
  if (was.desc or false) ~= (now.desc or false) or nulls_of(was) ~= nulls_of(now) then return false end
  if (now.collation and now.collation ~= was.collation) or (now.opclass and now.opclass ~= was.opclass) then
    return false
  end
  if was.column and now.column then return same_names(self, t, { was.column }, { now.column }) end
  return was.column == nil and now.column == nil and self:text(t, was.expression, now.expression)
end

---@return boolean
function Equal:indexes(t, was, now)
  if (was.unique or false) ~= (now.unique or false) or method_of(was) ~= method_of(now) then return false end
  if #was.parts ~= #now.parts or not self:text(t, was.where, now.where) then return false end
  for i, part in ipairs(was.parts) do
    if not same_part(self, t, part, now.parts[i]) then return false end
  end
  return same_names(self, t, was.include or {}, now.include or {})
end

---The columns of a unique index that does what a unique key does, nil for other indexes.
---@param index table
---@return table|nil { columns }
function equal.plain_unique(index)
  if not index.unique or index.where or index.include or method_of(index) then return nil end
  local columns = {}
  for i, part in ipairs(index.parts) do
    if not part.column or part.desc or nulls_of(part) or part.collation or part.opclass then return nil end
    columns[i] = part.column
  end
  return { columns = columns }
end

return equal
