--- Views as read-only entities. What columns a view has, the database says.
local compat = require("heddle.compat")
local words = require("heddle.generate.words")

local views = {}

local POSTGRES = [[
select n.nspname = pg_catalog.current_schema() as own, n.nspname as schema, c.relname as view, a.attname as name,
  pg_catalog.format_type(a.atttypid, a.atttypmod) as type
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  join pg_catalog.pg_attribute a on a.attrelid = c.oid
where c.relkind = 'v' and a.attnum > 0 and not a.attisdropped
order by n.nspname, c.relname, a.attnum]]

local SQLITE = [[
select v.name as view, c.name as name, c.type as type
from sqlite_master v join pragma_table_info(v.name) c where v.type = 'view' order by v.name, c.cid]]

local function key(name, schema)
  return (schema or "") .. "\1" .. name
end

---The columns of every view of a database.
---@param context table
---@param link userdata
---@return table<string, table[]> columns by view, for `views.entity`
function views.columns(context, link)
  local found = {}
  local rows = context:run_sql(link, context.driver_name == "postgres" and POSTGRES or SQLITE, compat.pack())
  for _, row in ipairs(rows) do
    local at = key(row.view, not row.own and row.schema or nil)
    found[at] = found[at] or {}
    table.insert(found[at], { name = row.name, type = row.type or "", nullable = true })
  end
  return found
end

-- A view's text as the model has it: with "CREATE VIEW ... AS", or the SELECT alone.
local function select_of(view)
  local text = view.sql:match("^%s*[Cc][Rr][Ee][Aa][Tt][Ee].-%s[Aa][Ss]%s+(.*)$") or view.sql
  return (text:gsub("[%s;]+$", ""))
end

---The entity of a view; nil when it has columns that have no name of their own.
---@param view table of a schema model
---@param columns table<string, table[]> as views.columns gives them
---@param taken table<string, any> files that there are
---@return table|nil
function views.entity(view, columns, taken)
  local list = columns[key(view.name, view.schema)]
  if not list then return nil end
  local name = words.entity(view.name)
  local file = words.free(taken, { words.of_entity(name), words.of_entity(name) .. "_view" }, view)
  local entity = {
    name = words.pascal(file), file = file, view = true, expression = select_of(view), properties = {},
    uniques = {}, indexes = {}, checks = {}, left = {},
    table = { name = view.name, schema = view.schema, primary = { columns = {} }, columns = list },
  }
  local names = {}
  for i, column in ipairs(list) do
    entity.properties[i] = { kind = "scalar", column = column, name = words.free(names, { words.property(column.name) },
      column) }
  end
  return entity
end

return views
