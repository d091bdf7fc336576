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
  smallint = "integer", integer = "integer", bigint = "integer",
  text = "string", varchar = "string", ["character varying"] = "string",
}

-- A type may be in the server's words or in Heddle's.
local function family_of(type)
  return families[type:match("^(.-)%(%d+%)$") or type] or type
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
  local ok, err = compat.pcall(scratch.within, context, link, function()
    raw_sql.statement(context, link, ("CREATE TABLE pg_temp.heddle_retype (value %s)"):format(from))
    raw_sql.statement(context, link, ("ALTER TABLE pg_temp.heddle_retype ALTER value TYPE %s%s"):format(to, using))
  end)
  if not ok and not (errors.is_error(err) and err.sqlstate and err.sqlstate:find("^42")) then error(err, 0) end
  return ok
end

local function has_values(plan, t, column)
  local sql = ("select exists (select from %s where %s is not null) as found"):format(render.table(t),
    quote.name(column.name))
  return catalog.ask(plan.context, plan.link, sql)[1].found
end

---What stands behind the new type in ALTER COLUMN: nothing where values are assigned, a USING where they need a cast.
---Raises `migration` where there is no way, and values to go it.
---@param plan table
---@param entry table
---@param was table column
---@param now table column
---@return string
function retype.using(plan, entry, was, now)
  local context, link = plan.context, plan.link
  if takes(context, link, was.type, now.type, "") then return "" end
  if takes(context, link, was.type, now.type, " USING value::" .. now.type) then
    return (" USING %s::%s"):format(quote.name(now.name), now.type)
  end
  if plan.live and not has_values(plan, entry.was, was) then return " USING NULL::" .. now.type end
  return refuse(context, entry.now, now, ("its type changes from %s to %s, and PostgreSQL knows no way from one to the "
    .. "other; write a migration with ALTER COLUMN ... TYPE ... USING and an expression of your own, or add a property "
    .. "and drop this one"):format(was.type, now.type))
end

local function is_string(type)
  return family_of(type) == "string"
end

-- Whether every value can become one of the new type.
local function any_question(t, was, now)
  return ("select false as loses, pg_catalog.count(%s::%s) from %s"):format(quote.name(was.name), now.type,
    render.table(t))
end

-- Whether one would be another when it came back.
local function same_question(t, was, now)
  local name = quote.name(was.name)
  return ("select exists (select from %s where %s::%s::%s::text is distinct from %s::text) as loses"):format(
    render.table(t), name, now.type, was.type, name)
end

-- Whether values are lost, or the server's error.
local function ask(plan, question, t, was, now)
  local sql = question(t, was, now)
  local ok, rows = compat.pcall(scratch.within, plan.context, plan.link, catalog.ask, plan.context, plan.link, sql)
  if ok then return rows[1].loses end
  if not errors.is_error(rows) or not rows.sqlstate then error(rows, 0) end
  return true, rows
end

---Raises `migration` when rows hold what the new type has no room for: fractions, length, a text of no such form.
---@param plan table
---@param entry table of `changes.changed`
---@param was table column
---@param now table column
function retype.check_rows(plan, entry, was, now)
  -- A text that has the new type's form is that value, whatever its spelling.
  local is_parsed = is_string(was.type) and not is_string(now.type)
  local loses, err = ask(plan, is_parsed and any_question or same_question, entry.was, was, now)
  -- No way back.
  if err and err.sqlstate == "42846" then loses, err = ask(plan, any_question, entry.was, was, now) end
  if not loses then return end
  -- Class 22 is about values.
  if err and not err.sqlstate:find("^22") then error(err, 0) end
  refuse(plan.context, entry.now, now, ("its type changes from %s to %s, and some rows hold a value that would not "
    .. "survive; change those rows first, or say how in a migration (ALTER COLUMN ... TYPE ... USING); safe = false "
    .. "lets the database decide"):format(was.type, now.type), err)
end

return retype
