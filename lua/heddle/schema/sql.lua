--- CREATE and DROP of everything that a context's mappings describe, as lists of statements.
---
--- Tables come after those they refer to. Where they refer to each other no order is right: PostgreSQL gets its
--- foreign keys when all tables stand and loses them before the first goes; SQLite looks for the other table only
--- when rows are written, and drops under deferred checks.
local pivot = require("heddle.schema.pivot")
local quote = require("heddle.quote")
local tables = require("heddle.schema.table")

local schema_sql = {}

-- A hidden mapping has a table, too, unless that is an entity's.
local function tables_of(mappings)
  local all = {}
  for _, mapping in ipairs(mappings) do
    if mapping.expression then -- luacheck: ignore 542
      -- No table: a view, or nothing.
    elseif not mapping.hidden then
      all[#all + 1] = mapping
    elseif not mapping.pivot.entity then
      all[#all + 1] = pivot.table(mapping)
    end
  end
  return all
end

-- Targets before those that refer to them, else as declared; and whether there is a cycle.
local function sorted(mappings)
  local order, state, cyclic = {}, {}, false
  local function visit(mapping)
    if state[mapping] == "done" then return end
    if state[mapping] then
      cyclic = true
      return
    end
    state[mapping] = "visiting"
    for _, fk in ipairs(mapping.foreign_keys) do
      if fk.target ~= mapping then visit(fk.target) end
    end
    state[mapping] = "done"
    order[#order + 1] = mapping
  end
  for _, mapping in ipairs(mappings) do visit(mapping) end
  return order, cyclic
end

local function append(statements, more)
  for _, statement in ipairs(more) do statements[#statements + 1] = statement end
end

local function add_schemas(statements, mappings)
  local seen = { public = true }
  for _, mapping in ipairs(mappings) do
    local name = mapping.schema
    if name and not seen[name] then
      seen[name] = true
      statements[#statements + 1] = "CREATE SCHEMA IF NOT EXISTS " .. quote.name(name)
    end
  end
end

---The statements that make every table. Run them in one transaction.
---
---Usage: `for _, statement in ipairs(schema_sql.create(mappings, "sqlite")) do ... end`
---@param mappings table[] of one context
---@param driver "postgres"|"sqlite"
---@return string[]
function schema_sql.create(mappings, driver)
  local statements = {}
  local order = sorted(tables_of(mappings))
  if driver == "postgres" then add_schemas(statements, order) end
  for _, mapping in ipairs(order) do
    statements[#statements + 1] = tables.create(mapping)
    append(statements, tables.indexes(mapping))
    if driver == "postgres" then append(statements, tables.comments(mapping)) end
  end
  if driver == "postgres" then
    for _, mapping in ipairs(order) do append(statements, tables.foreign_keys(mapping)) end
  end
  for _, mapping in ipairs(mappings) do statements[#statements + 1] = mapping.view_sql end
  return statements
end

---The statements that take every table away, those that are not there passed over. Run them in one
---transaction.
---@param mappings table[]
---@param driver "postgres"|"sqlite"
---@return string[]
function schema_sql.drop(mappings, driver)
  local statements = {}
  for i = #mappings, 1, -1 do
    if mappings[i].view_sql then statements[#statements + 1] = "DROP VIEW IF EXISTS " .. quote.table(mappings[i]) end
  end
  local order, cyclic = sorted(tables_of(mappings))
  if driver == "postgres" then
    for _, mapping in ipairs(order) do append(statements, tables.drop_foreign_keys(mapping)) end
  elseif cyclic then
    statements[#statements + 1] = "PRAGMA defer_foreign_keys = ON"
  end
  for i = #order, 1, -1 do statements[#statements + 1] = tables.drop(order[i]) end
  return statements
end

return schema_sql
