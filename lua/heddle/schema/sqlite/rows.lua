--- M3: what cannot work where there are rows is refused before anything is done.
local ask = require("heddle.schema.sqlite.ask")
local quote = require("heddle.quote")
local refuse = require("heddle.schema.sqlite.refuse")

local rows = {}

local REMEDY = "give the property a default (default_sql for one that only the database knows), or make it nullable "
  .. "first, fill it in a migration of your own, and make it NOT NULL then"

local function exists(plan, t, condition)
  return ask.rows(plan.context, plan.link, ("SELECT 1 AS found FROM main.%s%s LIMIT 1"):format(quote.name(t.name),
    condition))[1] ~= nil
end

local function has_column(plan, t, column)
  return ask.rows(plan.context, plan.link, ("SELECT 1 AS found FROM pragma_table_xinfo(%s, 'main') WHERE name = %s "
    .. "COLLATE NOCASE"):format(quote.text(t.name), quote.text(column.name)))[1] ~= nil
end

---A column comes to a table that may have rows. Raises `migration` when it can hold nothing there.
---@param plan table { context, link, live, reverse }
---@param entry table of `changes.changed`
---@param column table
function rows.check_added(plan, entry, column)
  if column.nullable or column.default or column.generated or column.autoincrement or plan.reverse then return end
  if plan.live and not exists(plan, entry.was, "") then return end
  local hint = entry.hints and entry.hints[column.name]
  refuse(plan.context, entry.now, column, ("a NOT NULL column without a default cannot be added to table '%s'%s: %s%s")
    :format(entry.was.name, plan.live and ", which has rows" or " where it has rows", REMEDY,
    hint and ". Or is it a rename? " .. hint or ""))
end

---A column takes no NULL from now on. Raises `migration` when nothing fills those that are there. A migration that is
---made for other databases needs the proof of one that has rows, none of them NULL.
---@param plan table
---@param entry table
---@param was table column
---@param column table
function rows.check_required(plan, entry, was, column)
  if column.default or plan.reverse then return end
  local is_null = (" WHERE %s IS NULL"):format(quote.name(was.name))
  if plan.live then
    if not exists(plan, entry.was, is_null) then return end
  elseif has_column(plan, entry.was, was) and exists(plan, entry.was, "") and not exists(plan, entry.was, is_null) then
    return
  end
  refuse(plan.context, entry.now, column, ("it cannot be made NOT NULL where rows of table '%s' have NULL: %s"):format(
    entry.was.name, REMEDY))
end

return rows
