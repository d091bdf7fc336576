--- Another type for a column that has values: whether PostgreSQL knows a way, and whether every value survives it.
local catalog = require("heddle.schema.postgres.catalog")
local compat = require("heddle.compat")
local errors = require("heddle.errors")
local quote = require("heddle.quote")
local raw_sql = require("heddle.raw_sql")
local refuse = require("heddle.schema.postgres.refuse")
local render = require("heddle.schema.render")
local scratch = require("heddle.schema.postgres.scratch")

local retype = {}

-- Types whose values compare with each other: foreign keys between them stand while one side changes.
local families = {
  smallint = "integer", integer = "integer", bigint = "integer", text = "string",
}

local function family_of(type)
  if type:find("^character varying") then return "string" end
  return families[type] or type
end

---Whether a foreign key from or to the column has to go while its type changes.
---@param was table column
---@param now table column
---@return boolean
function retype.breaks_keys(was, now)
  return family_of(was.type) ~= family_of(now.type)
end

-- The server itself knows best which casts there are, the users' included: it tries on a table of no rows.
local function takes(context, link, from, to, using)
  return (compat.pcall(scratch.within, context, link, function()
    raw_sql.statement(context, link, ("CREATE TABLE pg_temp.heddle_retype (value %s)"):format(from))
    raw_sql.statement(context, link, ("ALTER TABLE pg_temp.heddle_retype ALTER value TYPE %s%s"):format(to, using))
  end))
end

---What stands behind the new type in ALTER COLUMN: nothing where values are assigned, a USING where they need a cast.
---Raises `migration` where there is no way.
---@param plan table
---@param t table as it shall be
---@param was table column
---@param now table column
---@return string
function retype.using(plan, t, was, now)
  local context, link = plan.context, plan.link
  if takes(context, link, was.type, now.type, "") then return "" end
  if takes(context, link, was.type, now.type, " USING value::" .. now.type) then
    return (" USING %s::%s"):format(quote.name(now.name), now.type)
  end
  return refuse(context, t, now, ("its type changes from %s to %s, and PostgreSQL knows no way from one to the other; "
    .. "write a migration with ALTER COLUMN ... TYPE ... USING and an expression of your own, or add a property and "
    .. "drop this one"):format(was.type, now.type))
end

local function is_string(type)
  return type == "text" or type:find("^character") ~= nil
end

-- A text that has the new type's form is that value; anything else must be the same when it comes back.
local function question(t, was, now)
  local name = quote.name(was.name)
  local cast = ("%s::%s"):format(name, now.type)
  if is_string(was.type) and not is_string(now.type) then
    return ("select pg_catalog.count(%s) from %s"):format(cast, render.table(t))
  end
  return ("select exists (select from %s where (%s)::%s::text is distinct from %s::text) as loses"):format(
    render.table(t), cast, was.type, name)
end

---Raises `migration` when rows hold what the new type has no room for: fractions, length, a text of no such form.
---@param plan table
---@param entry table of `changes.changed`
---@param was table column
---@param now table column
function retype.check_rows(plan, entry, was, now)
  local context, link = plan.context, plan.link
  local ok, rows = compat.pcall(scratch.within, context, link, function()
    return catalog.ask(context, link, (question(entry.was, was, now):gsub("%?", "??")))
  end)
  if ok and not rows[1].loses then return end
  local sqlstate = not ok and errors.is_error(rows) and rows.sqlstate or ""
  -- No way back from the new type: nothing can be said.
  if sqlstate == "42846" then return end
  -- Class 22 is about values.
  if not ok and not sqlstate:find("^22") then error(rows, 0) end
  refuse(context, entry.now, now, ("its type changes from %s to %s, and some rows hold a value that would not survive; "
    .. "change those rows first, or say how in a migration (ALTER COLUMN ... TYPE ... USING); safe = false lets the "
    .. "database decide"):format(was.type, now.type), not ok and rows or nil)
end

return retype
