--- SQL as the program wrote it, with `?` for its parameters.
local core = require("heddle.core")
local errors = require("heddle.errors")
local placeholders = require("heddle.placeholders")
local wait = require("heddle.wait")

local raw_sql = {}

-- Texts that were rewritten and made a query of, by driver; forgotten all at once when there are many.
local LIMIT = 500
local cache = {}

-- What a row has NULL in does not show in it: the names of its columns.
local columns_of = setmetatable({}, { __mode = "k" })

local function compile(driver, sql)
  local known = cache[driver]
  if not known or known.count >= LIMIT then
    known = { count = 0, queries = {} }
    cache[driver] = known
  end
  local entry = known.queries[sql]
  if not entry then
    local text, count = placeholders.rewrite(sql, driver)
    entry = { query = core.query(text, nil, nil, { cache = true }), count = count }
    known.queries[sql], known.count = entry, known.count + 1
  end
  return entry
end

---@param context table
---@param link userdata
---@param sql string
---@param params table packed
---@param bare boolean|nil
---@param seconds number|nil that it may take
---@return table|nil rows nil when the statement gives none
---@return integer count rows touched
function raw_sql.run(context, link, sql, params, bare, seconds)
  if type(sql) ~= "string" then
    errors.raise("validation", "execute takes SQL as a string, not a " .. type(sql), { context = context.name })
  end
  local entry = compile(context.driver_name, sql)
  if entry.count ~= params.n then
    errors.raise("validation", ("the statement has %d placeholders and %d values were given"):format(entry.count,
      params.n), { context = context.name, sql = sql })
  end
  local rows
  context:comment(link)
  local status = wait.drive(link, context, link:start(entry.query, params, params.n, seconds, bare))
  while status == wait.ROW do
    rows = rows or {}
    status = wait.drive(link, context, link:rows(entry.query, rows, columns_of))
  end
  if status == wait.FAILED then context:raise(link) end
  local affected, _, columns = link:affected()
  if context:is_logged() then context:log(link) end
  if not rows and columns > 0 then rows = {} end
  return rows, affected
end

---The names of the columns of a row that `run` gave, when one of them is NULL.
---@param row table
---@return string[]|nil
function raw_sql.columns(row)
  return columns_of[row]
end

---Runs one statement as it stands, question marks and all, kept prepared nowhere: DDL.
---@param context table
---@param link userdata
---@param sql string
function raw_sql.statement(context, link, sql)
  context:comment(link)
  context:finish(link, link:start(core.query(sql, nil, nil, { cache = false }), {}, 0))
end

---The rows of one query as it stands, question marks and all, kept prepared nowhere.
---@param context table
---@param link userdata
---@param sql string
---@return table[]
function raw_sql.rows(context, link, sql)
  local query, rows = core.query(sql, nil, nil, { cache = false }), {}
  context:comment(link)
  local status = wait.drive(link, context, link:start(query, {}, 0))
  while status == wait.ROW do
    status = wait.drive(link, context, link:rows(query, rows, columns_of))
  end
  if status == wait.FAILED then context:raise(link) end
  if context:is_logged() then context:log(link) end
  return rows
end

return raw_sql
