--- The place where wanted things are tried: temporary ones, within a transaction that is always rolled back.
local catalog = require("heddle.schema.postgres.catalog")
local compat = require("heddle.compat")
local quote = require("heddle.quote")
local raw_sql = require("heddle.raw_sql")

local scratch = {}

-- A temporary table is a type of its name, which would hide one of the server's: "text", "date".
local function work(context, link, fn, ...)
  catalog.ask(context, link, [[select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp, '
    || pg_catalog.current_setting('search_path'), true) as path]])
  return fn(...)
end

---Runs `fn(...)` and takes back whatever it did: in a transaction of its own, or in a savepoint of the open one. Gives
---what `fn` returns; its error is raised again.
---@param context table
---@param link userdata
---@param fn function
function scratch.within(context, link, fn, ...)
  local _, depth = link:state()
  if depth > 0 then
    link:savepoint()
  else
    -- A session may be read only by default; nothing of this is kept.
    link:begin("BEGIN READ WRITE")
  end
  local ok, result = compat.pcall(work, context, link, fn, ...)
  if depth > 0 then
    context:finish(link, link:rollback_to())
  else
    context:finish(link, link:rollback())
  end
  if not ok then error(result, 0) end
  return result
end

---A table as a temporary one.
---@param t table of a model
---@return table
function scratch.draft(t)
  local draft = setmetatable({ schema = "pg_temp", columns = {} }, { __index = t })
  for i, column in ipairs(t.columns) do
    draft.columns[i] = setmetatable({ autoincrement = false }, { __index = column })
  end
  return draft
end

local DROPS = { r = "TABLE", p = "TABLE", v = "VIEW", S = "SEQUENCE" }

---Removes the session's own temporary things for the time being: their names may be wanted.
---@param context table
---@param link userdata
function scratch.clear(context, link)
  local rows = catalog.ask(context, link, [[select relname as name, relkind::text as kind from pg_catalog.pg_class
    where relnamespace = pg_catalog.pg_my_temp_schema() and relkind in ('r', 'p', 'v', 'S')]])
  for _, row in ipairs(rows) do
    raw_sql.statement(context, link, ("DROP %s IF EXISTS pg_temp.%s CASCADE"):format(DROPS[row.kind],
      quote.name(row.name)))
  end
end

---What the session's temporary schema is really called.
---@param context table
---@param link userdata
---@return string
function scratch.schema(context, link)
  return catalog.ask(context, link,
    "select nspname as name from pg_catalog.pg_namespace where oid = pg_catalog.pg_my_temp_schema()")[1].name
end

return scratch
