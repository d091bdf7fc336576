--- What a rebuild has to do, found out from the database as it is: the texts for all of it.
---
---     work = { name, was, create (parsed), copied (copying.lua), new = the new table's name for the time being,
---              make = { SQL }, replace = { SQL }, attached = { { sql, what }, ... } }
local ask = require("heddle.schema.sqlite.ask")
local compose = require("heddle.schema.sqlite.compose")
local copying = require("heddle.schema.sqlite.copying")
local errors = require("heddle.errors")
local parse = require("heddle.schema.sqlite.parse")
local quote = require("heddle.quote")
local tokens = require("heddle.schema.sqlite.tokens")

local work = {}

local fold = tokens.fold

---Raises `migration`.
---@param context table
---@param name string
---@param message string
---@param fields table|nil
function work.refuse(context, name, message, fields)
  fields = fields or {}
  fields.context, fields.table = context.name, name
  errors.raise("migration", ("Table '%s' cannot be made anew: %s. Nothing was changed"):format(name, message), fields)
end

local refuse = work.refuse

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
local function settle_strings(made)
  local columns = {}
  for _, column in ipairs(made.create.columns) do columns[fold(column.name)] = true end
  local function settle(items)
    for _, item in ipairs(items) do
      if item.kind == "check" or item.kind == "generated" then
        item.text = compose.with_strings(item.text, columns)
      end
    end
  end
  for _, column in ipairs(made.create.columns) do settle(column.items) end
  settle(made.create.constraints)
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

local function sequence_statements(made)
  if not (has_sequence(made.was) and has_sequence(made.create)) then return {} end
  local old, new = quote.text(made.name), quote.text(made.new)
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

local function insert(made, target)
  local copied = made.copied
  if #copied.columns == 0 then return ("INSERT INTO %s SELECT NULL FROM main.%s WHERE 0"):format(target,
    quote.name(made.name)) end
  return ("INSERT INTO %s (%s) SELECT %s FROM main.%s"):format(target, table.concat(copied.columns, ", "),
    table.concat(copied.values, ", "), quote.name(made.name))
end

---Everything that is to be done, and the texts for it. Raises `migration`.
---@param context table
---@param link userdata
---@param step table see rebuild.lua
---@return table work
function work.of(context, link, step)
  local sql, name = ask.definition(context, link, "table", step.rebuild)
  if not sql then refuse(context, step.rebuild, "there is no such table") end
  if sql:find("^%s*[Cc][Rr][Ee][Aa][Tt][Ee]%s+[Vv]") then refuse(context, name, "it is a virtual table") end
  local made = { name = name, was = parsed_of(context, name, sql, "the text that made it"),
    create = parsed_of(context, name, step.create, "CREATE TABLE") }
  if fold(made.create.name) ~= fold(name) then
    refuse(context, name, ("CREATE TABLE is of %s"):format(errors.quote(made.create.name)))
  end
  made.copied = copying.of(context, name, made.was, made.create, step.copy)
  made.new = free_name(context, link, name)
  settle_strings(made)
  local target = "main." .. quote.name(made.new)
  local text = compose.unqualified(compose.table(made.create, made.new), name)
  made.make = { (text:gsub("^CREATE TABLE ", "CREATE TABLE main.", 1)), insert(made, target) }
  made.replace = sequence_statements(made)
  table.insert(made.replace, "DROP TABLE main." .. quote.name(name))
  table.insert(made.replace, ("ALTER TABLE %s RENAME TO %s"):format(target, quote.name(name)))
  made.attached = attached(context, link, name, step.drop_indexes)
  for _, index in ipairs(step.add_indexes or {}) do
    made.attached[#made.attached + 1] = { sql = index, what = "new index" }
  end
  if is_analyzed(context, link, name) then
    made.attached[#made.attached + 1] = { sql = "ANALYZE main." .. quote.name(name), what = "statistics" }
  end
  return made
end

return work
