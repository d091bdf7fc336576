--- The schema that a context's entities ask for, as plain data: names and SQL texts, nothing of mappings.
---
---     model  = { driver, tables = { table, ... }, views = { view, ... } }      -- both sorted by schema and name
---     table  = { name, schema, columns, primary = { columns, name }, uniques, foreign_keys, indexes, checks, comment,
---                entity, options }
---     column = { name, type, nullable, default, generated, virtual, autoincrement, collation, comment, property,
---                kind }
---     unique = { name, columns }                check = { name, expression }
---     foreign_key = { name, columns, schema, table, target_columns, on_delete, on_update, deferrable }
---     index  = { name, unique, method, parts = { { column or expression, desc, nulls, collation, opclass }, ... },
---                where, include }
---     view   = { name, schema, sql, materialized }
---
--- What is read from a database has the same form, without `entity`, `property` and `kind` (the property's type). No
--- schema is the connection's own; no rule of a foreign key is "no action".
local column = require("heddle.schema.column")
local naming = require("heddle.naming")
local partial = require("heddle.schema.partial")
local pivot = require("heddle.schema.pivot")
local quote = require("heddle.quote")

local model = {}

local function names_of(columns)
  local names = {}
  for i, col in ipairs(columns) do names[i] = col.name end
  return names
end

local function rule_of(rule)
  return rule ~= "no action" and rule or nil
end

local function foreign_key(fk)
  return {
    name = fk.name, columns = names_of(fk.columns), schema = fk.target.schema, table = fk.target.table,
    target_columns = names_of(fk.target_columns), on_delete = rule_of(fk.on_delete), on_update = rule_of(fk.on_update),
    deferrable = fk.deferrable and "immediate" or nil,
  }
end

local function index_of(map, index)
  local parts, is_postgres = {}, map.driver == "postgres"
  for i, part in ipairs(index.columns) do
    parts[i] = {
      column = part[1] and part[1].name, expression = part.expression, desc = part.desc or false,
      nulls = is_postgres and part.nulls or nil,
    }
  end
  return {
    name = index.name, unique = index.unique or false, parts = parts,
    where = partial.sql(map, index.where, index.among),
    -- SQLite knows one method only, one place for NULLs and no further columns.
    method = is_postgres and index.method or nil,
    include = is_postgres and index.include and names_of(index.include) or nil,
  }
end

local function enum_check(map, col)
  local labels = {}
  for i, label in ipairs(col.enum) do labels[i] = quote.text(label) end
  return {
    name = col.enum_name or naming.constraint(map.table, { col.name }, "enum"),
    expression = quote.name(col.name) .. " IN (" .. table.concat(labels, ", ") .. ")",
  }
end

local function checks_of(map)
  local checks = {}
  for _, col in ipairs(map.columns) do
    if col.enum and not col.foreign_key then checks[#checks + 1] = enum_check(map, col) end
  end
  for _, check in ipairs(map.checks) do
    checks[#checks + 1] = { name = check.name, expression = check.expression }
  end
  return checks
end

local function table_of(map)
  local made = {
    name = map.table, schema = map.schema, entity = map.name, columns = {}, uniques = {}, foreign_keys = {},
    indexes = {}, checks = checks_of(map), primary = { columns = names_of(map.key) },
  }
  if map.driver == "postgres" and map.meta.comment ~= "" then made.comment = map.meta.comment end
  for i, col in ipairs(map.columns) do made.columns[i] = column.of(col, map.driver) end
  for _, unique in ipairs(map.uniques) do
    -- What has a condition or an order is an index, and stands among those too.
    if not unique.index then
      made.uniques[#made.uniques + 1] = { name = unique.name, columns = names_of(unique.columns) }
    end
  end
  for i, fk in ipairs(map.foreign_keys) do made.foreign_keys[i] = foreign_key(fk) end
  for i, index in ipairs(map.indexes) do made.indexes[i] = index_of(map, index) end
  return made
end

---The order of both lists: schema, then name.
---@param a table
---@param b table
---@return boolean
function model.before(a, b)
  local first, second = a.schema or "", b.schema or ""
  if first ~= second then return first < second end
  return a.name < b.name
end

---What a table or view is found by; two of one model never have the same.
---@param name string
---@param schema string|nil
---@param driver "postgres"|"sqlite" SQLite compares names without case
---@return string
function model.key(name, schema, driver)
  if driver == "sqlite" then name = name:gsub("%u", string.lower) end
  return (schema or "") .. "." .. name
end

---A table or view as people write it: "users", "crew.users".
---@param item table
---@return string
function model.path(item)
  return item.schema and item.schema .. "." .. item.name or item.name
end

---Tables or views by what they are found by.
---@param list table[]
---@param driver "postgres"|"sqlite"
---@return table<string, table>
function model.by_key(list, driver)
  local found = {}
  for _, item in ipairs(list) do found[model.key(item.name, item.schema, driver)] = item end
  return found
end

---Whether two lists hold the same names in the same order.
---@param a string[]
---@param b string[]
---@return boolean
function model.same_names(a, b)
  if #a ~= #b then return false end
  for i, name in ipairs(a) do
    if name ~= b[i] then return false end
  end
  return true
end

---The column of each part of an index, false where the part is an expression.
---@param index table
---@return (string|false)[]
function model.columns_of(index)
  local names = {}
  for i, part in ipairs(index.parts) do names[i] = part.column or false end
  return names
end

---The model of mappings, pivot tables included.
---@param mappings table[] of one context
---@param driver "postgres"|"sqlite"
---@return table model
function model.from(mappings, driver)
  local made = { driver = driver, tables = {}, views = {} }
  for _, map in ipairs(mappings) do
    if map.view_sql then
      made.views[#made.views + 1] = { name = map.table, schema = map.schema, sql = map.view_sql, entity = map.name }
    elseif map.expression then -- luacheck: ignore 542
      -- No table: read from the expression itself.
    elseif not map.hidden then
      made.tables[#made.tables + 1] = table_of(map)
    elseif not map.pivot.entity then
      made.tables[#made.tables + 1] = table_of(pivot.table(map))
    end
  end
  table.sort(made.tables, model.before)
  table.sort(made.views, model.before)
  return made
end

---The model of a context's entities, in the texts in which Heddle writes it.
---
---Usage: `model.of(orm.instance()).tables[1].columns[1].type`
---@param context table
---@return table model
function model.of(context)
  return model.from(context.mappings.list, context.driver_name)
end

---The model with the connection's own schema left unnamed wherever it is named.
---@param made table model
---@param own string|nil what `current_schema()` is
---@return table model a copy as far as it differs
function model.localised(made, own)
  local function plain(schema) return schema ~= own and schema or nil end
  local function copy(item)
    local new = {}
    for key, value in pairs(item) do new[key] = value end
    new.schema = plain(item.schema)
    return new
  end
  local result = { driver = made.driver, tables = {}, views = {} }
  for i, t in ipairs(made.tables) do
    local new = copy(t)
    new.foreign_keys = {}
    for k, fk in ipairs(t.foreign_keys) do new.foreign_keys[k] = copy(fk) end
    result.tables[i] = new
  end
  for i, view in ipairs(made.views) do result.views[i] = copy(view) end
  table.sort(result.tables, model.before)
  table.sort(result.views, model.before)
  return result
end

return model
