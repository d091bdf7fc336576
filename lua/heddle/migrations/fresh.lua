--- Drops what the entities describe, what the snapshot does and what the migrations make; never another context's.
local compat = require("heddle.compat")
local differ = require("heddle.schema.differ")
local errors = require("heddle.errors")
local failure = require("heddle.migrations.failure")
local options = require("heddle.options")
local own = require("heddle.migrations.own")
local quote = require("heddle.quote")
local raw_sql = require("heddle.raw_sql")
local record = require("heddle.migrations.record")

local fresh = {}

-- What is there --------------------------------------------------------------------------------------------------

-- Newest first: what depends on something was made behind it.
local PRESENT = {
  postgres = [[
SELECT kind, name, schema, text FROM (
  SELECT CASE WHEN relkind IN ('v', 'm') THEN 'view' WHEN relkind = 'S' THEN 'sequence' ELSE 'table' END AS kind,
    relname AS name, nspname AS schema, c.oid AS age,
    CASE relkind WHEN 'm' THEN 'MATERIALIZED VIEW ' WHEN 'v' THEN 'VIEW ' WHEN 'S' THEN 'SEQUENCE '
      WHEN 'f' THEN 'FOREIGN TABLE ' ELSE 'TABLE ' END || format('%I.%I', nspname, relname) AS text
  FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind IN ('r', 'p', 'f', 'v', 'm', 'S')
  UNION ALL
  SELECT CASE typtype WHEN 'd' THEN 'domain' ELSE 'type' END, typname, nspname, t.oid,
    CASE typtype WHEN 'd' THEN 'DOMAIN ' ELSE 'TYPE ' END || format('%I.%I', nspname, typname)
  FROM pg_type t JOIN pg_namespace n ON n.oid = typnamespace LEFT JOIN pg_class c ON c.oid = typrelid
  WHERE typtype IN ('d', 'e', 'r') OR typtype = 'c' AND c.relkind = 'c'
  UNION ALL
  SELECT 'function', proname, nspname, p.oid, 'ROUTINE ' || p.oid::regprocedure
  FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace WHERE prokind IN ('f', 'p')
) AS present WHERE schema !~ '^pg_' AND schema <> 'information_schema' ORDER BY age DESC]],
  sqlite = "SELECT type AS kind, name, NULL AS schema FROM sqlite_master WHERE type IN ('table', 'view') "
    .. "AND name NOT LIKE 'sqlite^_%' ESCAPE '^' ORDER BY rowid DESC",
}

local ORDER = { "view", "table", "function", "domain", "type", "sequence" }

-- Kind -> what of it there is and is ours.
local function present_of(session, known)
  local context, found = session.context, {}
  local is_other = differ.others(context)
  for _, kind in ipairs(ORDER) do found[kind] = {} end
  for _, row in ipairs(context:run_sql(session.link, PRESENT[context.driver_name], compat.pack())) do
    local is_own = row.schema == session.schema
    local how = known(row.kind, row.name, row.schema) or is_own and known(row.kind, row.name)
    local is_shared = how and is_other(row)
    if is_shared and how == "described" then
      failure.refuse(context.name, ("fresh drops nothing, since the %s '%s' is another context's, too; its migrations "
        .. "could not make it anew"):format(row.kind, row.name), { table = row.name })
    elseif how and not is_shared and row.name ~= record.NAME then
      local list = found[row.kind]
      list[#list + 1] = row.text or row.kind:upper() .. " " .. quote.name(row.name)
    end
  end
  return found
end

-- Tables that refer to each other go in one statement on PostgreSQL; on SQLite foreign keys are off.
local function statements_of(session, known)
  local list, found = {}, present_of(session, known)
  for _, kind in ipairs(ORDER) do
    local plain = {}
    for _, text in ipairs(found[kind]) do
      local name = session.context.driver_name == "postgres" and kind == "table" and text:match("^TABLE (.*)$")
      if name then
        plain[#plain + 1] = name
      else
        -- A sequence of a column goes with its table.
        list[#list + 1] = "DROP " .. (kind == "sequence" and text:gsub("^SEQUENCE ", "SEQUENCE IF EXISTS ") or text)
      end
    end
    if #plain > 0 then list[#list + 1] = "DROP TABLE " .. table.concat(plain, ", ") end
  end
  return list
end

local function drop(session, known)
  local context = session.context
  session:begin()
  session:note_references()
  for _, statement in ipairs(statements_of(session, known)) do raw_sql.statement(context, session.link, statement) end
  record.clear(session)
  session:check_references()
  session:commit()
end

---Drops everything of a context and forgets its migrations. Raises `migration` where something of others depends on it;
---then nothing is dropped.
---@param migrator table
---@param opts table|nil
---@param inside function
function fresh.drop(migrator, opts, inside)
  local context = migrator.context
  opts = options.given(opts, { on_progress = options.func }, "migrator:fresh", context.name)
  local known = own.of(context)
  inside(context, opts.on_progress, function(session)
    local ok, err = compat.pcall(drop, session, known)
    if ok then return end
    session:rollback()
    if not errors.is_error(err) or errors.is_error(err, "migration") then error(err, 0) end
    failure.refuse(context.name, ("fresh drops nothing, since not all of it can be dropped: %s%s"):format(err.message,
      type(err.cause) == "string" and " (" .. (err.detail or err.cause):gsub("%s*\n%s*", "; ") .. ")" or ""),
      { sql = err.sql, sqlstate = err.sqlstate, detail = err.detail, hint = err.hint, cause = err.cause })
  end)
end

return fresh
