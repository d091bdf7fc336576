--- Runs the steps that change a schema: one transaction, all or nothing, on both drivers.
---
--- On SQLite foreign keys are off meanwhile, which can only be said outside a transaction: dropping a table would
--- otherwise delete rows that refer to it. Whether all of them still lead somewhere is asked before the COMMIT.
local compat = require("heddle.compat")
local errors = require("heddle.errors")
local lock = require("heddle.schema.lock")
local owner = require("heddle.owner")
local raw_sql = require("heddle.raw_sql")
local references = require("heddle.schema.sqlite.references")

local pcall = compat.pcall

local apply = {}

local function query(context, link, sql)
  return context:run_sql(link, sql, compat.pack()) or {}
end

-- Raises `migration` where rows refer to nothing that did not before. The caller rolls back.
local function check_foreign_keys(context, link, before)
  local broken = references.broken_since(before, references.note(context, link))
  if #broken == 0 then return end
  if broken[1].is_mismatch then
    errors.raise("migration", ("Context '%s': after the change %s of their table; nothing was changed. Keep the "
      .. "primary or unique key that it needs"):format(context.name, references.describe(broken[1])),
      { context = context.name, table = broken[1].table })
  end
  errors.raise("migration", ("Context '%s': the change would break %d foreign key%s, such as: %s, where no such row "
    .. "is; nothing was changed. Mend or remove such rows first"):format(context.name, #broken,
    #broken == 1 and "" or "s", references.describe(broken[1])), { context = context.name, table = broken[1].table })
end

-- A migration that waited for its own end would never see it.
local function refuse_migration(context)
  if not context.migrating or not owner.is_here(context.migrating) then return end
  errors.raise("busy", ("Context '%s' is being migrated, and a migration cannot update the schema beside itself: write "
    .. "what changes with m:sql or its helpers"):format(context.name), { context = context.name })
end

-- Migrations and other updates are waited for, in no transaction.
local function within_postgres(context, link, fn)
  lock.wait(function()
    link:begin("BEGIN")
    if lock.ask(context, link, "transaction") then return true end
    context:finish(link, link:rollback())
  end, function() refuse_migration(context) end)
  return fn()
end

local function within_sqlite(context, link, fn)
  link:begin("BEGIN IMMEDIATE")
  -- What of foreign keys is violated already is not ours to mend.
  local before = references.note(context, link)
  local result = compat.pack(fn())
  check_foreign_keys(context, link, before)
  return compat.unpack(result, 1, result.n)
end

local function all_or_nothing(context, link, within, fn)
  local result = compat.pack(pcall(function()
    local given = compat.pack(within(context, link, fn))
    context:finish(link, link:commit())
    return compat.unpack(given, 1, given.n)
  end))
  if not result[1] then
    context:finish(link, link:rollback())
    error(result[2], 0)
  end
  return compat.unpack(result, 2, result.n)
end

---Runs `fn()` with foreign keys off on SQLite, and puts them back. Outside a transaction.
---@param context table
---@param link userdata
---@param fn function
---@return any ... what fn gave
function apply.without_foreign_keys(context, link, fn)
  local row = query(context, link, "PRAGMA foreign_keys")[1]
  local enforces = row and row.foreign_keys == 1
  if enforces then
    link:keep("PRAGMA foreign_keys = ON")
    query(context, link, "PRAGMA foreign_keys = OFF")
  end
  local result = compat.pack(pcall(fn))
  if enforces then
    query(context, link, "PRAGMA foreign_keys = ON")
    link:keep(nil)
  end
  if not result[1] then error(result[2], 0) end
  return compat.unpack(result, 2, result.n)
end

---Runs `fn()` in a transaction in which the schema can be changed, and commits; an error takes everything back and is
---raised again. The link is free, in no transaction.
---@param context table
---@param link userdata
---@param fn function
---@return any ... what fn gave
function apply.within(context, link, fn)
  if context.driver_name == "postgres" then return all_or_nothing(context, link, within_postgres, fn) end
  return apply.without_foreign_keys(context, link, function()
    return all_or_nothing(context, link, within_sqlite, fn)
  end)
end

---Runs one step inside such a transaction.
---@param context table
---@param link userdata
---@param step string|table SQL, or SQLite's { rebuild = "users", ... }
function apply.step(context, link, step)
  if type(step) == "string" then
    raw_sql.statement(context, link, step)
  else
    require("heddle.schema.sqlite.rebuild").run(context, link, step)
  end
end

---Runs steps, all or none.
---
---Usage: `apply.run(context, link, plan.steps(changes, wanted, context, link))`
---@param context table
---@param link userdata
---@param steps table
function apply.run(context, link, steps)
  apply.within(context, link, function()
    for _, step in ipairs(steps) do apply.step(context, link, step) end
  end)
end

return apply
