--- Views in the words of the server, and in which statements they come and go.
local catalog = require("heddle.schema.postgres.catalog")
local compat = require("heddle.compat")
local errors = require("heddle.errors")
local raw_sql = require("heddle.raw_sql")
local scratch = require("heddle.schema.postgres.scratch")

local views = {}

-- A name that hides nobody's: the view is worded against what is there.
local DRAFT = "heddle_view"

local function wording(context, link, view)
  return scratch.within(context, link, function()
    raw_sql.statement(context, link, ("CREATE VIEW pg_temp.%s AS %s"):format(DRAFT, view.sql))
    local row = catalog.ask(context, link,
      ("select pg_catalog.pg_get_viewdef('pg_temp.%s'::pg_catalog.regclass) as sql"):format(DRAFT))[1]
    local columns = {}
    for _, column in ipairs(catalog.ask(context, link, ("select attname as name from pg_catalog.pg_attribute where "
      .. "attrelid = 'pg_temp.%s'::pg_catalog.regclass and attnum > 0"):format(DRAFT))) do
      columns[column.name] = true
    end
    return { sql = row.sql:match("^%s*(.-)%s*;?%s*$"), columns = columns }
  end)
end

-- What reads a table or a column that is not there yet is a change in any case.
local function is_pending(err)
  return errors.is_error(err) and err.sqlstate and err.sqlstate:find("^42") and err.sqlstate ~= "42601"
    and err.sqlstate ~= "42501"
end

---The views as the server words them, `columns` a set of names, `source` what was written (a `*` may mean more columns
---soon). One that cannot be made yet keeps its own words. Raises `metadata` for one that is no SELECT.
---@param context table
---@param link userdata
---@param list table[] wanted
---@return table[]
function views.normal(context, link, list)
  local made = {}
  for i, view in ipairs(list) do
    local ok, told = compat.pcall(wording, context, link, view)
    if not ok and not is_pending(told) then
      if not errors.is_error(told, "syntax") then error(told, 0) end
      errors.raise("metadata", ("%s: option 'expression': the database does not understand it"):format(
        view.entity or view.name), { context = context.name, entity = view.entity, detail = told.detail, cause = told })
    end
    made[i] = {}
    for key, value in pairs(view) do made[i][key] = value end
    made[i].sql, made[i].columns, made[i].source = ok and told.sql or view.sql, ok and told.columns or nil, view.sql
  end
  return made
end

return views
