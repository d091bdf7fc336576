--- CREATE and DROP of a whole schema model, as lists of statements.
---
--- Tables come after those they refer to. Where they refer to each other no order is right: PostgreSQL gets its
--- foreign keys when all tables stand and loses them before the first goes; SQLite looks for the other table only
--- when rows are written, and drops under deferred checks.
local model = require("heddle.schema.model")
local order = require("heddle.schema.order")
local quote = require("heddle.quote")
local render = require("heddle.schema.render")

local schema_sql = {}

local function append(statements, more)
  for _, statement in ipairs(more) do statements[#statements + 1] = statement end
end

local function add_schemas(statements, made)
  local seen = { public = true }
  for _, list in ipairs({ made.tables, made.views }) do
    for _, item in ipairs(list) do
      if item.schema and not seen[item.schema] then
        seen[item.schema] = true
        statements[#statements + 1] = "CREATE SCHEMA IF NOT EXISTS " .. quote.name(item.schema)
      end
    end
  end
end

---The statements that make everything in a model. Run them in one transaction.
---@param made table model
---@return string[]
function schema_sql.create_model(made)
  local statements, driver = {}, made.driver
  local tables = order.tables(made.tables, driver)
  if driver == "postgres" then add_schemas(statements, made) end
  for _, t in ipairs(tables) do
    statements[#statements + 1] = render.create_table(t, driver)
    for _, index in ipairs(t.indexes) do statements[#statements + 1] = render.index(t, index, driver) end
    if driver == "postgres" then append(statements, render.comments(t)) end
  end
  if driver == "postgres" then
    for _, t in ipairs(tables) do
      for _, fk in ipairs(t.foreign_keys) do statements[#statements + 1] = render.add(t, render.foreign_key(fk)) end
    end
  end
  for _, view in ipairs(order.views(made.views)) do statements[#statements + 1] = render.view(view) end
  return statements
end

---The statements that take everything in a model away, what is not there passed over. Run them in one transaction.
---@param made table model
---@return string[]
function schema_sql.drop_model(made)
  local statements = {}
  local views = order.views(made.views)
  for i = #views, 1, -1 do
    statements[#statements + 1] = "DROP " .. (views[i].materialized and "MATERIALIZED " or "") .. "VIEW IF EXISTS "
      .. render.table(views[i])
  end
  local tables, cyclic = order.tables(made.tables, made.driver)
  if made.driver == "postgres" then
    for _, t in ipairs(tables) do
      for _, fk in ipairs(t.foreign_keys) do
        statements[#statements + 1] = "ALTER TABLE IF EXISTS " .. render.table(t) .. " DROP CONSTRAINT IF EXISTS "
          .. quote.name(fk.name)
      end
    end
  elseif cyclic then
    statements[#statements + 1] = "PRAGMA defer_foreign_keys = ON"
  end
  for i = #tables, 1, -1 do statements[#statements + 1] = "DROP TABLE IF EXISTS " .. render.table(tables[i]) end
  return statements
end

---The statements that make every table of mappings.
---
---Usage: `for _, statement in ipairs(schema_sql.create(mappings, "sqlite")) do ... end`
---@param mappings table[] of one context
---@param driver "postgres"|"sqlite"
---@return string[]
function schema_sql.create(mappings, driver)
  return schema_sql.create_model(model.from(mappings, driver))
end

---The statements that take every table of mappings away.
---@param mappings table[]
---@param driver "postgres"|"sqlite"
---@return string[]
function schema_sql.drop(mappings, driver)
  return schema_sql.drop_model(model.from(mappings, driver))
end

return schema_sql
