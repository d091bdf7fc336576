--- `heddle_migrations`: what ran in a database, one row for each migration and context.
---
--- A row is `done`, or `started` while a migration without a transaction runs, and for good when that one failed. Its
--- table stands in the context's own schema and is always named in full, since a migration may change the search path.
local compat = require("heddle.compat")
local core = require("heddle.core")
local date = require("heddle.date")
local failure = require("heddle.migrations.failure")
local quote = require("heddle.quote")

local record = {}

local NAME = "heddle_migrations"
record.NAME = NAME

local function query(place, sql, ...)
  local rows = place.context:run_sql(place.link, sql, compat.pack(...))
  return rows or {}
end

-- Of a text in UTC: whole seconds, then the fraction.
local EPOCH = {
  postgres = "extract(epoch from executed_at)::float8",
  sqlite = "CAST(strftime('%s', executed_at) AS INTEGER) + CAST('0' || substr(executed_at, 20) AS REAL)",
}

local columns = {
  postgres = [[
  context text NOT NULL,
  name text NOT NULL,
  checksum text NOT NULL,
  state text NOT NULL CHECK (state IN ('started', 'done')),
  executed_at timestamptz NOT NULL,
  duration double precision NOT NULL,
  PRIMARY KEY (context, name)]],
  sqlite = [[
  context TEXT NOT NULL,
  name TEXT NOT NULL,
  checksum TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('started', 'done')),
  executed_at TEXT NOT NULL,
  duration REAL NOT NULL,
  PRIMARY KEY (context, name)]],
}

---Finds the table: sets `place.schema`, `place.table` and `place.is_there`.
---@param place { context: table, link: userdata }
function record.locate(place)
  local context = place.context
  if context.driver_name == "sqlite" then
    place.table = quote.name(NAME)
    place.is_there = #query(place, "SELECT 1 AS found FROM sqlite_master WHERE type = 'table' AND name = ?", NAME) > 0
    return
  end
  local row = query(place, "SELECT current_schema() AS schema, to_regclass(quote_ident(coalesce(current_schema(), "
    .. "?::text)) || '.' || ?::text) IS NOT NULL AS found", context.config.schema or "", NAME)[1]
  place.schema = row.schema or context.config.schema
  place.lacks_schema = row.schema == nil
  place.is_there = row.found == true
  if place.schema then place.table = quote.name(place.schema) .. "." .. quote.name(NAME) end
end

---Makes the table. Call it in a transaction, with the lock.
---@param place table
function record.make(place)
  if not place.schema and place.context.driver_name == "postgres" then
    failure.refuse(place.context.name, "the connection has no schema to put tables in (its search_path names none that "
      .. "is there); set the option 'schema', or create one")
  end
  if place.lacks_schema then query(place, "CREATE SCHEMA IF NOT EXISTS " .. quote.name(place.schema)) end
  query(place, "CREATE TABLE IF NOT EXISTS " .. place.table .. " (\n" .. columns[place.context.driver_name] .. "\n)")
  place.is_there, place.lacks_schema = true, false
end

---What ran in this context, in the order in which it did.
---@param place table
---@return { name: string, checksum: string, state: string, executed_at: number, duration: number }[]
function record.rows(place)
  if not place.is_there then return {} end
  return query(place, "SELECT name, checksum, state, duration, " .. EPOCH[place.context.driver_name]
    .. " AS executed_at FROM " .. place.table .. " WHERE context = ? ORDER BY executed_at, name", place.context.name)
end

local HAS_CONTEXT = {
  sqlite = "SELECT 1 AS found FROM pragma_table_info(?) WHERE name = 'context'",
  postgres = "SELECT 1 AS found FROM pg_catalog.pg_attribute WHERE attrelid = to_regclass(?) AND attname = 'context' "
    .. "AND NOT attisdropped",
}

---Whether the table is there and has what this room puts into it: the name alone may be somebody else's.
---@param place table
---@return boolean
function record.is_ours(place)
  if not place.is_there then return false end
  local is_sqlite = place.context.driver_name == "sqlite"
  return #query(place, HAS_CONTEXT[place.context.driver_name], is_sqlite and NAME or place.table) > 0
end

---The names of the other contexts that the table knows.
---@return string[]
function record.others(place)
  if not place.is_there then return {} end
  local names = {}
  for i, row in ipairs(query(place, "SELECT DISTINCT context FROM " .. place.table
    .. " WHERE context <> ? ORDER BY context", place.context.name)) do
    names[i] = row.context
  end
  return names
end

---The SQL of one migration's state, for a larger query; its parameters are the context and the name.
---@return string
function record.state_sql(place)
  return "(SELECT state FROM " .. place.table .. " WHERE context = ? AND name = ?)"
end

-- A moment behind all others, also where the clock went back: it says in which order the way back goes.
local function moment_on_sqlite(place)
  local last = query(place, "SELECT " .. EPOCH.sqlite .. " AS last FROM " .. place.table
    .. " WHERE context = ? ORDER BY executed_at DESC LIMIT 1", place.context.name)[1]
  local now = core.now()
  if last and last.last >= now then now = last.last + 2e-6 end
  return date.format("!%Y-%m-%d %H:%M:%S.%f", now)
end

---Writes down a migration.
---@param entry { name: string, checksum: string }
---@param state "started"|"done"
---@param duration number seconds
function record.put(place, entry, state, duration)
  local is_postgres = place.context.driver_name == "postgres"
  local name = place.context.name
  local moment = is_postgres and "greatest(clock_timestamp(), (SELECT max(executed_at) + interval '1 microsecond' FROM "
    .. place.table .. " WHERE context = ?))" or "?"
  query(place, "INSERT INTO " .. place.table .. " (context, name, checksum, state, executed_at, duration) VALUES "
    .. "(?, ?, ?, ?, " .. moment .. ", ?) ON CONFLICT (context, name) "
    .. "DO UPDATE SET checksum = excluded.checksum, state = excluded.state, executed_at = excluded.executed_at, "
    .. "duration = excluded.duration", name, entry.name, entry.checksum, state,
    is_postgres and name or moment_on_sqlite(place), duration)
end

---Writes down how a migration that is there stands now; when it ran stays, since that is the order of the way back.
---@param entry { name: string, checksum: string }
---@param state "started"|"done"
function record.change(place, entry, state)
  query(place, "UPDATE " .. place.table .. " SET checksum = ?, state = ? WHERE context = ? AND name = ?",
    entry.checksum, state, place.context.name, entry.name)
end

---Takes a migration out.
function record.remove(place, name)
  query(place, "DELETE FROM " .. place.table .. " WHERE context = ? AND name = ?", place.context.name, name)
end

---Takes all of this context out.
function record.clear(place)
  query(place, "DELETE FROM " .. place.table .. " WHERE context = ?", place.context.name)
end

---One migration stands for several that are done: it gets the time of the last of them.
---@param entry { name: string, checksum: string, replaces: string[] }
function record.adopt(place, entry)
  local name, marks = place.context.name, {}
  for i = 1, #entry.replaces do marks[i] = "?" end
  local among = "context = ? AND name IN (" .. table.concat(marks, ", ") .. ")"
  local params = { name, entry.name, entry.checksum, name }
  for _, replaced in ipairs(entry.replaces) do params[#params + 1] = replaced end
  query(place, "INSERT INTO " .. place.table .. " (context, name, checksum, state, executed_at, duration) "
    .. "SELECT " .. (place.context.driver_name == "postgres" and "?::text, ?::text, ?::text" or "?, ?, ?")
    .. ", 'done', max(executed_at), sum(duration) FROM " .. place.table .. " WHERE " .. among, compat.unpack(params))
  query(place, "DELETE FROM " .. place.table .. " WHERE " .. among, name, compat.unpack(entry.replaces))
end

return record
