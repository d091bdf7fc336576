--- M3: what cannot work where there are rows is refused before anything is done.
local catalog = require("heddle.schema.postgres.catalog")
local refuse = require("heddle.schema.postgres.refuse")
local quote = require("heddle.quote")
local render = require("heddle.schema.render")

local rows = {}

local REMEDY = "give the property a default that the database can apply (default_sql for json, arrays, times and "
  .. "bytes), or make it nullable first, fill it in a migration of your own, and make it NOT NULL then"

local function exists(context, link, t, condition)
  local sql = ("select exists (select from %s%s) as found"):format(render.table(t), condition)
  return catalog.ask(context, link, sql)[1].found
end

local function is_there(context, link, t)
  local path = render.table(t)
  return catalog.ask(context, link, "select pg_catalog.to_regclass(?) is not null as found", path)[1].found
end

---A column comes to a table that may have rows. Raises `migration` when it can hold nothing there.
---@param plan table
---@param changed table of `changes.changed`
---@param column table
function rows.check_added(plan, changed, column)
  if column.nullable or column.default or column.generated or column.autoincrement or plan.reverse then return end
  if plan.live and not exists(plan.context, plan.link, changed.was, "") then return end
  local hint = changed.hints and changed.hints[column.name]
  refuse(plan.context, changed.now, column,
    ("a NOT NULL column without a default cannot be added to table '%s'%s: %s%s"):format(changed.was.name,
    plan.live and ", which has rows" or " where it has rows", REMEDY, hint and ". Or is it a rename? " .. hint or ""))
end

---A column takes no NULL from now on. Raises `migration` when nothing fills those that are there. A migration that is
---made for other databases needs the proof of one that has rows, none of them NULL.
---@param plan table
---@param t table as it is in the database
---@param now table the table as it shall be
---@param was table column
---@param column table
function rows.check_required(plan, t, now, was, column)
  if column.default or plan.reverse then return end
  local is_null = (" where %s is null"):format(quote.name(was.name))
  if plan.live then
    if not exists(plan.context, plan.link, t, is_null) then return end
  elseif is_there(plan.context, plan.link, t) and exists(plan.context, plan.link, t, "")
    and not exists(plan.context, plan.link, t, is_null) then
    return
  end
  refuse(plan.context, now, column, ("it cannot be made NOT NULL where rows of table '%s' have NULL: %s"):format(t.name,
    REMEDY))
end

return rows
