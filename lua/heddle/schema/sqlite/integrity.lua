--- Whether every view and trigger still compiles: what was broken before may stay so, nothing else may break.
---
--- Statements are only prepared. SQLite says what is wrong with the triggers of a table and an event together; which of
--- them it is shows when each stands there alone, behind a savepoint.
local ask = require("heddle.schema.sqlite.ask")
local errors = require("heddle.errors")
local quote = require("heddle.quote")
local tokens = require("heddle.schema.sqlite.tokens")

local integrity = {}

local fold = tokens.fold

local SAVEPOINT, BACK, RELEASE = "SAVEPOINT heddle_look", "ROLLBACK TO heddle_look", "RELEASE heddle_look"

local function main(name)
  return "main." .. quote.name(name)
end

-- Triggers -----------------------------------------------------------------------------------------------------

-- The event of a trigger, and the columns that its UPDATE OF names.
local function event_of(sql)
  local list = tokens.of(sql) or {}
  for i, token in ipairs(list) do
    local event = token.kind == "word" and token.value
    -- Its own name may be one of these words.
    if i > 3 and (event == "insert" or event == "delete" or event == "update") then
      local columns = {}
      local at = list[i + 1] and list[i + 1].value == "of" and i + 2
      while at do
        columns[#columns + 1] = tokens.name(list[at])
        at = list[at + 1].value == "," and at + 2 or nil
      end
      return event, columns
    end
  end
end

local function columns_of(context, link, name)
  local columns, known = {}, {}
  for _, row in ipairs(ask.rows(context, link, "SELECT name, hidden FROM pragma_table_xinfo(" .. quote.text(name)
    .. ", 'main')")) do
    known[fold(row.name)] = true
    if row.hidden == 0 then columns[#columns + 1] = quote.name(row.name) .. " = " .. quote.name(row.name) end
  end
  return columns, known
end

local probes = {
  insert = function(name) return "INSERT INTO " .. main(name) .. " DEFAULT VALUES" end,
  delete = function(name) return "DELETE FROM " .. main(name) end,
  update = function(name, columns) return "UPDATE " .. main(name) .. " SET " .. table.concat(columns, ", ") end,
}

local function missing_column(trigger, known)
  for _, column in ipairs(trigger.columns) do
    if not known[fold(column)] then return "no such column: " .. column end
  end
end

-- Tries each trigger of a group without the others.
local function isolate(context, link, group, probe, broken)
  for _, trigger in ipairs(group) do
    ask.run(context, link, SAVEPOINT)
    for _, other in ipairs(group) do
      if other ~= trigger then ask.run(context, link, "DROP TRIGGER " .. main(other.name)) end
    end
    broken["trigger '" .. trigger.name .. "'"] = ask.problem(context, link, probe)
    ask.run(context, link, BACK)
    ask.run(context, link, RELEASE)
  end
end

local function groups_of(rows)
  local groups, by_key = {}, {}
  for _, row in ipairs(rows) do
    local event, columns = event_of(row.sql)
    local key = (event or "") .. "\0" .. fold(row.tbl_name)
    if event and not by_key[key] then
      by_key[key] = { event = event, target = row.tbl_name }
      groups[#groups + 1] = by_key[key]
    end
    if event then table.insert(by_key[key], { name = row.name, columns = columns }) end
  end
  return groups
end

local function look_at_triggers(context, link, rows, broken)
  for _, group in ipairs(groups_of(rows)) do
    local columns, known = columns_of(context, link, group.target)
    local probe = probes[group.event](group.target, columns)
    for _, trigger in ipairs(group) do
      local why = missing_column(trigger, known)
      if why then broken["trigger '" .. trigger.name .. "'"] = why end
    end
    if ask.problem(context, link, probe) then isolate(context, link, group, probe, broken) end
  end
end

-- Views --------------------------------------------------------------------------------------------------------

---What does not compile now. Inside a transaction.
---@param context table
---@param link userdata
---@return table<string, string> broken why, by "view 'x'" or "trigger 'x'"
function integrity.note(context, link)
  local broken, triggers = {}, {}
  for _, row in ipairs(ask.rows(context, link, "SELECT type, name, tbl_name, sql FROM main.sqlite_schema "
    .. "WHERE type IN ('view', 'trigger') ORDER BY type DESC, name")) do
    if row.type == "trigger" then
      triggers[#triggers + 1] = row
    else
      broken["view '" .. row.name .. "'"] = ask.problem(context, link, "SELECT * FROM " .. main(row.name))
    end
  end
  look_at_triggers(context, link, triggers, broken)
  return broken
end

-- The first of what compiled before and does not now.
local function newly_broken(context, link, before)
  local first, why
  for what, message in pairs(integrity.note(context, link)) do
    if not before[what] and (not first or what < first) then first, why = what, message end
  end
  return first, why
end

local function refuse(context, name, how, what, why)
  errors.raise("migration", ("Table '%s' cannot %s: the %s would no longer work (%s); drop or replace it first. "
    .. "Nothing was changed"):format(name, how, what, why), { context = context.name, table = name })
end

---Raises `migration` for what compiled before and does not now.
---@param context table
---@param link userdata
---@param before table<string, string>
---@param name string the table that changes
function integrity.check(context, link, before, name)
  local what, why = newly_broken(context, link, before)
  if what then refuse(context, name, "change so", what, why) end
end

---Raises `migration` when a table cannot go because a view or trigger of others would not compile without it. Inside a
---transaction, with foreign keys off; nothing is changed.
---@param context table
---@param link userdata
---@param views string[] statements that drop what goes, too
---@param names string[] tables that go
function integrity.check_drops(context, link, views, names)
  ask.run(context, link, SAVEPOINT)
  for _, sql in ipairs(views) do ask.run(context, link, sql) end
  local before = integrity.note(context, link)
  for _, name in ipairs(names) do ask.run(context, link, "DROP TABLE " .. main(name)) end
  local what, why = newly_broken(context, link, before)
  ask.run(context, link, BACK)
  ask.run(context, link, RELEASE)
  if what then refuse(context, table.concat(names, "', '"), "go", what, why) end
end

return integrity
