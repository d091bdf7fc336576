--- What ALTER TABLE of SQLite cannot do: a new table is made, filled from the old one, and takes its name (M2).
---
---     step = { rebuild = "users", create = "CREATE TABLE users (...)",
---              copy = { full_name = "name",     -- SQL over the old row
---                       nickname = false,       -- the column goes
---                       ["*"] = "*" },          -- columns that `create` does not name stay
---              drop_indexes = { names }, add_indexes = { SQL } }
---
--- Foreign keys are off meanwhile: dropping the old table would delete the rows that refer to it. Who runs this has
--- switched them off before the transaction began, and asks `foreign_key_check` before its COMMIT. With
--- legacy_alter_table, the new table's renaming leaves alone what others say of the name. Indexes and triggers are made
--- again from their own texts, so that nothing of them needs to be understood.
local apply = require("heddle.schema.apply")
local ask = require("heddle.schema.sqlite.ask")
local compat = require("heddle.compat")
local errors = require("heddle.errors")
local integrity = require("heddle.schema.sqlite.integrity")
local quote = require("heddle.quote")
local works = require("heddle.schema.sqlite.work")

local pcall = compat.pcall

local rebuild = {}

local refuse = works.refuse

-- The same when renames and the like in front of it have not been run yet: they are tried, and taken back.
local function foresee(context, link, step)
  local _, depth = link:state()
  if depth > 0 or not step.before or #step.before == 0 then return works.of(context, link, step) end
  return apply.without_foreign_keys(context, link, function()
    link:begin("BEGIN IMMEDIATE")
    local ok, result = pcall(function()
      for _, sql in ipairs(step.before) do ask.run(context, link, sql) end
      return works.of(context, link, step)
    end)
    context:finish(link, link:rollback())
    if not ok then error(result, 0) end
    return result
  end)
end

---The statements of a rebuild, as the database is now: to be shown, or run in a transaction with foreign keys off.
---@param context table
---@param link userdata
---@param step table
---@return string[]
function rebuild.statements(context, link, step)
  local work = foresee(context, link, step)
  local list = { "PRAGMA legacy_alter_table = ON" }
  for _, part in ipairs({ work.make, work.replace }) do
    for _, sql in ipairs(part) do list[#list + 1] = sql end
  end
  list[#list + 1] = "PRAGMA legacy_alter_table = OFF"
  for _, item in ipairs(work.attached) do list[#list + 1] = item.sql end
  return list
end

-- Running them -------------------------------------------------------------------------------------------------

local function check_foreign_keys(context, link, name)
  if ask.value(context, link, "PRAGMA foreign_keys") == 0 then return end
  refuse(context, name, "foreign keys are on, so that dropping the old table would delete rows that refer to it. They "
    .. "can only be switched off before a transaction begins: schema:update and migrations do so")
end

local function rows_text(count)
  return count == 1 and "1 row" or ("%d rows"):format(count)
end

-- One look at the rows for all that has to hold.
local function check_rows(context, link, work)
  local counts = {}
  for i, check in ipairs(work.copied.checks) do
    counts[i] = (", count(CASE WHEN %s THEN 1 END) AS c%d"):format(check.misfit, i)
  end
  local row = ask.rows(context, link, ("SELECT count(*) AS c0%s FROM main.%s"):format(table.concat(counts),
    quote.name(work.name)))[1]
  for i, check in ipairs(work.copied.checks) do
    local count = row["c" .. i]
    if count > 0 then
      errors.raise("migration", ("%s.%s: %s %s. Nothing was changed"):format(work.name, check.column, rows_text(count),
        count == 1 and check.message:gsub("^have", "has"):gsub("^hold", "holds") or check.message),
        { context = context.name, table = work.name, column = check.column })
    end
  end
  return row.c0
end

local function check_copied(context, link, work, count)
  local copied = ask.value(context, link, "SELECT count(*) AS n FROM main." .. quote.name(work.new))
  if copied == count then return end
  refuse(context, work.name, ("%s of %s came over (a conflict clause of the new table may have swallowed the rest)")
    :format(tostring(copied), rows_text(count)))
end

local function run_attached(context, link, work)
  for _, item in ipairs(work.attached) do
    local ok, err = pcall(ask.run, context, link, item.sql)
    if not ok then
      if not errors.is_error(err, "syntax") and not errors.is_error(err, "constraint") then error(err, 0) end
      refuse(context, work.name, ("the %s does not fit the new table (%s); drop or replace it first"):format(item.what,
        tostring(err.detail or err.cause or err.message)), { cause = err })
    end
  end
end

-- Temporary triggers of this connection go with the table, too.
local function temporary_triggers(context, link, name)
  return ask.rows(context, link, "SELECT name, sql FROM temp.sqlite_schema WHERE type = 'trigger' AND tbl_name = "
    .. quote.text(name) .. " COLLATE NOCASE")
end

local function restore_temporary(context, link, name, before)
  local there = {}
  for _, row in ipairs(temporary_triggers(context, link, name)) do there[row.name] = true end
  for _, row in ipairs(before) do
    if not there[row.name] then ask.run(context, link, (row.sql:gsub("^CREATE ", "CREATE TEMP ", 1))) end
  end
end

-- Nobody knows the new table by the name that it has for a moment.
local function with_name(err, work)
  if not errors.is_error(err) then return err end
  for _, field in ipairs({ "message", "table", "detail", "cause" }) do
    local text = err[field]
    if type(text) == "string" then
      local first, last = text:find(work.new, 1, true)
      if first then err[field] = text:sub(1, first - 1) .. work.name .. text:sub(last + 1) end
    end
  end
  return err
end

local function replace(context, link, work)
  for _, sql in ipairs(work.make) do ask.run(context, link, sql) end
  check_copied(context, link, work, work.count)
  for _, sql in ipairs(work.replace) do ask.run(context, link, sql) end
end

local function run(context, link, step)
  local work = works.of(context, link, step)
  work.count = check_rows(context, link, work)
  local before, triggers = integrity.note(context, link), temporary_triggers(context, link, work.name)
  local legacy = ask.value(context, link, "PRAGMA legacy_alter_table")
  ask.run(context, link, "PRAGMA legacy_alter_table = ON")
  local ok, err = pcall(replace, context, link, work)
  local restored, why = pcall(ask.run, context, link, "PRAGMA legacy_alter_table = " .. legacy)
  -- What happened first is what is told.
  if not ok then error(with_name(err, work), 0) end
  if not restored then error(why, 0) end
  run_attached(context, link, work)
  restore_temporary(context, link, work.name, triggers)
  integrity.check(context, link, before, work.name)
end

---Makes a table anew. What fails takes back all of it, and nothing else of the transaction it stands in. Raises
---`migration` for what would be lost, and what the database says.
---
---Usage: `rebuild.run(context, link, { rebuild = "users", create = "CREATE TABLE users (...)" })`
---@param context table
---@param link userdata
---@param step table
function rebuild.run(context, link, step)
  check_foreign_keys(context, link, step.rebuild)
  local _, depth = link:state()
  if depth == 0 then link:begin("BEGIN IMMEDIATE") else link:savepoint() end
  local ok, err = pcall(run, context, link, step)
  if not ok then
    if depth == 0 then context:finish(link, link:rollback()) else context:finish(link, link:rollback_to()) end
    error(err, 0)
  end
  if depth == 0 then context:finish(link, link:commit()) else link:release() end
end

return rebuild
