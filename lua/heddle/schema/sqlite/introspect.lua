--- What a SQLite database holds, as a schema model: read from the texts in sqlite_schema in one query.
local compat = require("heddle.compat")
local errors = require("heddle.errors")
local parse = require("heddle.schema.sqlite.parse")
local read = require("heddle.schema.sqlite.read")
local tokens = require("heddle.schema.sqlite.tokens")

local introspect = {}

local fold = tokens.fold

-- Tables in which virtual ones (full text, R-trees) keep what they hold, by what is put behind their name.
local shadows = {}
for suffix in ("data idx content docsize config segments segdir stat node rowid parent"):gmatch("%a+") do
  shadows[suffix] = true
end

local function is_shadow(name, virtual)
  local owner, suffix = fold(name):match("^(.+)_(%a+)$")
  return owner and shadows[suffix] and virtual[owner] or false
end

local function is_own(name)
  return name:find("^sqlite_") or fold(name) == "heddle_migrations"
end

local function raise_unreadable(context, row, why)
  errors.raise("migration", ("The %s '%s' of context '%s' stands in sqlite_schema as Heddle cannot read it: %s")
    :format(row.type, row.name, context.name, why), { context = context.name, table = row.tbl_name, sql = row.sql })
end

local function is_virtual(row)
  return row.sql:find("^[Cc][Rr][Ee][Aa][Tt][Ee]%s+[Vv][Ii][Rr][Tt][Uu][Aa][Ll]") ~= nil
end

local function virtual_names(rows)
  local virtual = {}
  for _, row in ipairs(rows) do
    if row.type == "table" and is_virtual(row) then virtual[fold(row.name)] = true end
  end
  return virtual
end

local function add_tables(context, rows, model, by_name)
  local virtual = virtual_names(rows)
  for _, row in ipairs(rows) do
    local name = row.name
    if row.type == "table" and not (is_own(name) or virtual[fold(name)] or is_shadow(name, virtual)) then
      local parsed, why = parse.table(row.sql)
      if not parsed then raise_unreadable(context, row, why) end
      local made = read.table(parsed)
      made.name, made.sql = name, row.sql
      by_name[fold(name)] = made
      model.tables[#model.tables + 1] = made
    end
  end
end

local function add_indexes(context, rows, by_name)
  for _, row in ipairs(rows) do
    local made = by_name[fold(row.tbl_name)]
    if row.type == "index" and made then
      local parsed, why = parse.index(row.sql)
      if not parsed then raise_unreadable(context, row, why) end
      local index = read.index(parsed, made)
      index.name, index.sql = row.name, row.sql
      made.indexes[#made.indexes + 1] = index
    end
  end
end

local function add_views(rows, model)
  for _, row in ipairs(rows) do
    if row.type == "view" then
      local form, text = read.view(row.sql)
      model.views[#model.views + 1] = { name = row.name, sql = form or row.sql, source = text }
    end
  end
end

---Foreign keys name their target as it is spelled, and its columns where the text leaves them out.
---@param list table[] tables
---@param by_name table<string, table>
function introspect.resolve(list, by_name)
  for _, made in ipairs(list) do
    for _, fk in ipairs(made.foreign_keys) do
      local target = by_name[fold(fk.table)]
      if target then fk.table = target.name end
      local spelled = {}
      for _, column in ipairs(target and target.columns or {}) do spelled[fold(column.name)] = column.name end
      local columns = fk.target_columns or target and target.primary and target.primary.columns or {}
      fk.target_columns = {}
      for i, name in ipairs(columns) do fk.target_columns[i] = spelled[fold(name)] or name end
    end
  end
end

---Reads the database.
---
---Usage: `local live = introspect.read(context, link)`
---@param context table
---@param link userdata
---@return table model each table with the text that made it in `sql`
function introspect.read(context, link)
  local rows = context:run_sql(link, "SELECT type, name, tbl_name, sql FROM main.sqlite_schema "
    .. "WHERE sql IS NOT NULL ORDER BY name", compat.pack()) or {}
  local model, by_name = { driver = "sqlite", tables = {}, views = {} }, {}
  add_tables(context, rows, model, by_name)
  add_indexes(context, rows, by_name)
  add_views(rows, model)
  introspect.resolve(model.tables, by_name)
  return model
end

return introspect
