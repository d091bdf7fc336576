--- Reads the schema model of a PostgreSQL database: tables, views and all that hangs on them.
---
--- Not in it: what extensions own, partitions (their table stands for them), exclusion constraints, and Heddle's own
--- record of migrations. A table that Heddle could not make itself says so in `kind`: "partitioned", "foreign" or
--- "inherited" (parent or child); such tables are never dropped. A serial column is a generated key like an identity
--- and keeps its sequence in `serial`.
local catalog = require("heddle.schema.postgres.catalog")
local null = require("heddle.null")

local introspect = {}

local RECORD = "heddle_migrations"
local kinds = { p = "partitioned", f = "foreign" }
local rules = { c = "cascade", n = "set null", d = "set default", r = "restrict" }

local function column_of(row)
  local column = {
    name = row.name, type = row.type, nullable = not row.required, collation = row.collation, comment = row.comment,
  }
  if row.generated then
    column.generated, column.virtual = row.expression, row.generated == "v" or nil
  elseif row.identity then
    column.autoincrement = true
  elseif row.sequence and row.expression:find("^nextval%('.*'::regclass%)$") then
    column.autoincrement, column.serial, column.serial_default = true, row.sequence, row.expression
  else
    column.default = row.expression
  end
  return column
end

local function foreign_key_of(row, own)
  local deferrable
  if row.deferrable then deferrable = row.deferred and "deferred" or "immediate" end
  return {
    name = row.name, columns = row.columns, table = row.target, target_columns = row.target_columns,
    schema = row.target_schema ~= own and row.target_schema or nil,
    on_delete = rules[row.on_delete], on_update = rules[row.on_update], deferrable = deferrable,
  }
end

local function add_constraint(made, row, own)
  if row.kind == "p" then
    made.primary = { name = row.name, columns = row.columns }
  elseif row.kind == "u" then
    made.uniques[#made.uniques + 1] = { name = row.name, columns = row.columns }
  elseif row.kind == "f" then
    made.foreign_keys[#made.foreign_keys + 1] = foreign_key_of(row, own)
  else
    made.checks[#made.checks + 1] = { name = row.name, expression = row.expression }
  end
end

-- The bits of an index column's option: 1 is descending, 2 nulls first. Nulls stand where the largest value would,
-- unless it is said.
local function part_of(given)
  local desc, nulls = given.option % 2 == 1, given.option >= 2 and "first" or "last"
  local usual = desc and "first" or "last"
  return {
    column = given.column, expression = given.expression, desc = desc or nil, nulls = nulls ~= usual and nulls or nil,
    collation = given.collation, opclass = given.opclass,
  }
end

local function index_of(row)
  local index = { name = row.name, unique = row.is_unique, where = row.condition, parts = {} }
  -- One that was never finished (CREATE INDEX CONCURRENTLY failed) is like none that could be wanted.
  if not row.valid then
    index.method = "invalid"
  elseif row.method ~= "btree" then
    index.method = row.method
  end
  for _, part in ipairs(row.parts) do
    if part.included then
      index.include = index.include or {}
      index.include[#index.include + 1] = part.column
    else
      index.parts[#index.parts + 1] = part_of(part)
    end
  end
  return index
end

local function table_of(row, own)
  return {
    name = row.name, schema = row.schema ~= own and row.schema or nil, comment = row.comment,
    kind = kinds[row.kind] or row.inherits and "inherited" or nil,
    columns = {}, uniques = {}, foreign_keys = {}, indexes = {}, checks = {},
  }
end

local function view_of(row, own)
  return {
    name = row.name, schema = row.schema ~= own and row.schema or nil, comment = row.comment,
    sql = row.sql:match("^%s*(.-)%s*;?%s*$"), materialized = row.kind == "m" or nil,
  }
end

-- Rows of JSON have `null` where a Lua table has nothing.
local function without_null(rows)
  for _, row in ipairs(rows) do
    for _, part in ipairs(row.parts) do
      for key, value in pairs(part) do
        if value == null then part[key] = nil end
      end
    end
  end
end

---The model of rows that the catalog gave.
---@param rows table
---@param own string|nil the schema that goes without saying
---@return table model
function introspect.model(rows, own)
  local model, by_id = { driver = "postgres", tables = {}, views = {} }, {}
  for _, row in ipairs(rows.tables) do
    if row.sql then
      model.views[#model.views + 1] = view_of(row, own)
    elseif row.name ~= RECORD then
      by_id[row.id] = table_of(row, own)
      model.tables[#model.tables + 1] = by_id[row.id]
    end
  end
  local function each(list, add)
    for _, row in ipairs(list) do
      if by_id[row.id] then add(by_id[row.id], row) end
    end
  end
  each(rows.columns, function(made, row) made.columns[#made.columns + 1] = column_of(row) end)
  each(rows.constraints, function(made, row) add_constraint(made, row, own) end)
  without_null(rows.indexes)
  each(rows.indexes, function(made, row) made.indexes[#made.indexes + 1] = index_of(row) end)
  return model
end

---The model of what the database holds: the session's own schema and those that are named.
---
---Usage: `local live = introspect.read(context, link, { schemas = { "audit" } })`
---@param context table
---@param link userdata
---@param opts table|nil `schemas` (names)
---@return table model
function introspect.read(context, link, opts)
  local own = catalog.own_schema(context, link)
  local schemas = { own }
  for _, name in ipairs(opts and opts.schemas or {}) do
    if name ~= own then schemas[#schemas + 1] = name end
  end
  return introspect.model(catalog.read(context, link, schemas), own)
end

return introspect
