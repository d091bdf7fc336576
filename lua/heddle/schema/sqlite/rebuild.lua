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
local compose = require("heddle.schema.sqlite.compose")
local copying = require("heddle.schema.sqlite.copying")
local errors = require("heddle.errors")
local integrity = require("heddle.schema.sqlite.integrity")
local parse = require("heddle.schema.sqlite.parse")
local quote = require("heddle.quote")
local tokens = require("heddle.schema.sqlite.tokens")

local pcall = compat.pcall

local rebuild = {}

local fold = tokens.fold

local function refuse(context, name, message, fields)
  fields = fields or {}
  fields.context, fields.table = context.name, name
  errors.raise("migration", ("Table '%s' cannot be made anew: %s. Nothing was changed"):format(name, message), fields)
end

-- What is there ------------------------------------------------------------------------------------------------

local function parsed_of(context, name, sql, whose)
  local parsed, why = parse.table(sql)
  if not parsed then refuse(context, name, ("%s is not understood: %s"):format(whose, why), { sql = sql }) end
  return parsed
end

local function free_name(context, link, name)
  local made, count = "heddle_new_" .. name, 1
  while ask.rows(context, link, "SELECT 1 AS found FROM main.sqlite_schema WHERE name = " .. quote.text(made)
    .. " COLLATE NOCASE")[1] do
    count = count + 1
    made = ("heddle_new%d_%s"):format(count, name)
  end
  return made
end

-- "CREATE INDEX i ON t" with the database in front of the name: a temporary table may have the same one.
local function qualified(sql)
  local list = tokens.of(sql)
  for i, token in ipairs(list) do
    if token.kind == "word" and (token.value == "index" or token.value == "trigger") then
      local name = list[i + 1]
      return sql:sub(1, name.first - 1) .. "main." .. sql:sub(name.first)
    end
  end
end

-- Texts from before strings and names were told apart.
local function settle_strings(work)
  local columns = {}
  for _, column in ipairs(work.create.columns) do columns[fold(column.name)] = true end
  local function settle(items)
    for _, item in ipairs(items) do
      if item.kind == "check" or item.kind == "generated" then
        item.text = compose.with_strings(item.text, columns)
      end
    end
  end
  for _, column in ipairs(work.create.columns) do settle(column.items) end
  settle(work.create.constraints)
end

-- Indexes and triggers of the table, which go with it.
local function attached(context, link, name, dropped)
  local gone, texts = {}, {}
  for _, index in ipairs(dropped or {}) do gone[fold(index)] = true end
  local rows = ask.rows(context, link, "SELECT type, name, sql FROM main.sqlite_schema WHERE type IN ('index', "
    .. "'trigger') AND sql IS NOT NULL AND tbl_name = " .. quote.text(name) .. " COLLATE NOCASE ORDER BY type, rowid")
  for _, row in ipairs(rows) do
    if row.type == "trigger" or not gone[fold(row.name)] then
      texts[#texts + 1] = { sql = qualified(row.sql), what = row.type .. " '" .. row.name .. "'" }
    end
  end
  return texts
end

local function has_sequence(parsed)
  local found = false
  for _, column in ipairs(parsed.columns) do
    for _, item in ipairs(column.items) do found = found or item.autoincrement end
  end
  for _, item in ipairs(parsed.constraints) do found = found or item.autoincrement end
  return found
end

-- The statements -----------------------------------------------------------------------------------------------

local function sequence_statements(work)
  if not (has_sequence(work.was) and has_sequence(work.create)) then return {} end
  local old, new = quote.text(work.name), quote.text(work.new)
  -- The new one has counted the rows that it got, not those that were there once.
  return {
    ("DELETE FROM main.sqlite_sequence WHERE name = %s AND EXISTS (SELECT 1 FROM main.sqlite_sequence WHERE name = %s)")
      :format(new, old),
    ("INSERT INTO main.sqlite_sequence (name, seq) SELECT %s, seq FROM main.sqlite_sequence WHERE name = %s"):format(
      new, old),
  }
end

local function is_analyzed(context, link, name)
  if not ask.definition(context, link, "table", "sqlite_stat1") then return false end
  return ask.rows(context, link, "SELECT 1 AS found FROM main.sqlite_stat1 WHERE tbl = " .. quote.text(name)
    .. " COLLATE NOCASE")[1] ~= nil
end

local function insert(work, target)
  local copied = work.copied
  if #copied.columns == 0 then return ("INSERT INTO %s SELECT NULL FROM main.%s WHERE 0"):format(target,
    quote.name(work.name)) end
  return ("INSERT INTO %s (%s) SELECT %s FROM main.%s"):format(target, table.concat(copied.columns, ", "),
    table.concat(copied.values, ", "), quote.name(work.name))
end

-- Everything that is to be done, and the texts for it.
local function prepare(context, link, step)
  local sql, name = ask.definition(context, link, "table", step.rebuild)
  if not sql then refuse(context, step.rebuild, "there is no such table") end
  local work = { name = name, was = parsed_of(context, name, sql, "the text that made it"),
    create = parsed_of(context, name, step.create, "CREATE TABLE") }
  if fold(work.create.name) ~= fold(name) then
    refuse(context, name, ("CREATE TABLE is of %s"):format(errors.quote(work.create.name)))
  end
  if sql:find("^%s*[Cc][Rr][Ee][Aa][Tt][Ee]%s+[Vv]") then refuse(context, name, "it is a virtual table") end
  work.copied = copying.of(context, name, work.was, work.create, step.copy)
  work.new = free_name(context, link, name)
  settle_strings(work)
  local target = "main." .. quote.name(work.new)
  local text = compose.unqualified(compose.table(work.create, work.new), name)
  work.make = { (text:gsub("^CREATE TABLE ", "CREATE TABLE main.", 1)), insert(work, target) }
  work.replace = sequence_statements(work)
  table.insert(work.replace, "DROP TABLE main." .. quote.name(name))
  table.insert(work.replace, ("ALTER TABLE %s RENAME TO %s"):format(target, quote.name(name)))
  work.attached = attached(context, link, name, step.drop_indexes)
  for _, index in ipairs(step.add_indexes or {}) do
    work.attached[#work.attached + 1] = { sql = index, what = "new index" }
  end
  if is_analyzed(context, link, name) then
    work.attached[#work.attached + 1] = { sql = "ANALYZE main." .. quote.name(name), what = "statistics" }
  end
  return work
end

-- The same when renames and the like in front of it have not been run yet: they are tried, and taken back.
local function foresee(context, link, step)
  local _, depth = link:state()
  if depth > 0 or not step.before or #step.before == 0 then return prepare(context, link, step) end
  return apply.without_foreign_keys(context, link, function()
    link:begin("BEGIN IMMEDIATE")
    local ok, result = pcall(function()
      for _, sql in ipairs(step.before) do ask.run(context, link, sql) end
      return prepare(context, link, step)
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
  local work = prepare(context, link, step)
  work.count = check_rows(context, link, work)
  local before, triggers = integrity.note(context, link), temporary_triggers(context, link, work.name)
  local legacy = ask.value(context, link, "PRAGMA legacy_alter_table")
  ask.run(context, link, "PRAGMA legacy_alter_table = ON")
  local ok, err = pcall(replace, context, link, work)
  ask.run(context, link, "PRAGMA legacy_alter_table = " .. legacy)
  if not ok then error(with_name(err, work), 0) end
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
