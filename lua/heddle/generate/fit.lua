--- Which foreign keys of a schema model can be relations, and which tables are nothing but the pairs of a many_to_many.
---
--- A relation stands for all columns of its key and leads to the other table's primary key. What cannot be one stays a
--- constraint between columns.
local models = require("heddle.schema.model")
local types = require("heddle.generate.types")

local fit = {}

local function position_of(list, item)
  for i, each in ipairs(list) do
    if each == item then return i end
  end
end

-- Whether a list of names has all of the columns side by side and in order, or none of them.
local function keeps_together(list, columns)
  local first = position_of(list, columns[1])
  for i, name in ipairs(columns) do
    if position_of(list, name) ~= (first and first + i - 1) then return false end
  end
  return true
end

-- Everything in a table that names columns one by one.
local function lists_of(t)
  local lists = { t.primary and t.primary.columns or {} }
  for _, unique in ipairs(t.uniques) do lists[#lists + 1] = unique.columns end
  for _, index in ipairs(t.indexes) do
    lists[#lists + 1] = models.columns_of(index)
    lists[#lists + 1] = index.include
  end
  return lists
end

local function column_of(t, name)
  for _, column in ipairs(t.columns) do
    if column.name == name then return column end
  end
end
fit.column_of = column_of

-- Why the columns of a foreign key cannot be one property; nil when they can.
local function columns_fault(t, fk, target, taken, driver)
  local first = column_of(t, fk.columns[1])
  for i, name in ipairs(fk.columns) do
    local column = column_of(t, name)
    if taken[name] then return ("its column '%s' belongs to another foreign key too"):format(name) end
    if column.generated then return ("its column '%s' is generated"):format(name) end
    if column.nullable ~= first.nullable then return "some of its columns may be NULL and others not" end
    if #fk.columns > 1 and column.default then return ("its column '%s' has a default"):format(name) end
    local other = column_of(target, target.primary.columns[i])
    if not types.same(column.type, other.type, driver) then
      return ("its column '%s' is %s, and what it refers to is %s"):format(name, column.type, other.type)
    end
  end
  for _, list in ipairs(lists_of(t)) do
    if not keeps_together(list, fk.columns) then return "a key or index has some of its columns only" end
  end
end

local function fault_of(t, fk, target, taken, driver)
  if not target then return "the table that it refers to is not among those that are generated" end
  if not target.primary then return "the table that it refers to has no primary key" end
  if #(fk.target_columns or {}) > 0 and not models.same_names(fk.target_columns, target.primary.columns) then
    return "it refers to a unique key, not to the primary key"
  end
  return columns_fault(t, fk, target, taken, driver)
end

-- Whether a key that is made of relations would lead back to its own table.
local function leads_back(relations, from, to, seen)
  if from == to then return true end
  if seen[from] then return false end
  seen[from] = true
  for _, relation in ipairs(relations[from]) do
    if relation.primary and leads_back(relations, relation.target, to, seen) then return true end
  end
  return false
end

local function is_primary(t, fk)
  return t.primary ~= nil and position_of(t.primary.columns, fk.columns[1]) ~= nil
end

---Sorts the foreign keys of some tables into relations and what is left.
---@param tables table[] of a schema model
---@param driver "postgres"|"sqlite"
---@return table relations by table: a list of { fk, table, target, primary, nullable, unique }
---@return table left by table: a list of { fk, reason, target }
function fit.relations(tables, driver)
  local by_key, relations, left = {}, {}, {}
  for _, t in ipairs(tables) do
    by_key[models.key(t.name, t.schema, driver)], relations[t], left[t] = t, {}, {}
  end
  for _, t in ipairs(tables) do
    local taken = {}
    for _, fk in ipairs(t.foreign_keys) do
      local target = by_key[models.key(fk.table, fk.schema, driver)]
      local reason = fault_of(t, fk, target, taken, driver)
      local primary = is_primary(t, fk)
      if not reason and primary and leads_back(relations, target, t, {}) then
        reason = "the table's own key is made of it"
      end
      if reason then
        left[t][#left[t] + 1] = { fk = fk, reason = reason, target = target }
      else
        relations[t][#relations[t] + 1] = {
          fk = fk, table = t, target = target, primary = primary, nullable = column_of(t, fk.columns[1]).nullable,
          comment = column_of(t, fk.columns[1]).comment, default = column_of(t, fk.columns[1]).default,
        }
        for _, name in ipairs(fk.columns) do taken[name] = true end
      end
    end
  end
  return relations, left
end

-- The one index that a pivot may have beside its key: of the second side. Answers false where there is another.
local function pivot_index(t, second)
  if #t.indexes == 0 then return nil end
  local index = t.indexes[1]
  if #t.indexes > 1 or index.unique or index.method or index.where or index.include then return false end
  for i, part in ipairs(index.parts) do
    if part.column ~= second.fk.columns[i] or part.desc or part.nulls then return false end
  end
  return #index.parts == #second.fk.columns and index
end

---Whether a table has pairs and nothing else, so that a many_to_many stands for it: { first, second, index }, the sides
---in the order of its key.
---@param t table
---@param relations table[] its own
---@param referred table<table, boolean> tables that others refer to
---@return table|nil
function fit.pivot(t, relations, referred)
  if #relations ~= 2 or #t.foreign_keys ~= 2 or not t.primary or referred[t] or t.comment then return nil end
  if #t.uniques > 0 or #t.checks > 0 then return nil end
  local first, second = relations[1], relations[2]
  if t.primary.columns[1] ~= first.fk.columns[1] then first, second = second, first end
  local pair = {}
  for _, side in ipairs({ first, second }) do
    for _, name in ipairs(side.fk.columns) do pair[#pair + 1] = name end
    if side.comment or side.default then return nil end
  end
  if #pair ~= #t.columns or not models.same_names(pair, t.primary.columns) then return nil end
  for _, rule in ipairs({ "on_delete", "on_update", "deferrable" }) do
    if first.fk[rule] ~= second.fk[rule] then return nil end
  end
  local index = pivot_index(t, second)
  if index == false then return nil end
  return { table = t, first = first, second = second, index = index }
end

return fit
