--- SQL as it stands, and what it gives: question marks in a user's texts are no placeholders here.
local compat = require("heddle.compat")
local core = require("heddle.core")
local quote = require("heddle.quote")
local raw_sql = require("heddle.raw_sql")
local wait = require("heddle.wait")

local ask = {}

---Rows of a query, each a table by column name.
---@param context table
---@param link userdata
---@param sql string
---@return table[]
function ask.rows(context, link, sql)
  local query, rows = core.query(sql, nil, nil, { cache = false }), {}
  context:comment(link)
  local status = wait.drive(link, context, link:start(query, {}, 0))
  while status == wait.ROW do
    status = wait.drive(link, context, link:rows(query, rows, {}))
  end
  if status == wait.FAILED then context:raise(link) end
  if context:is_logged() then context:log(link) end
  return rows
end

---One value of one row; nil when there is none.
function ask.value(context, link, sql)
  local row = ask.rows(context, link, sql)[1]
  return row and row[next(row)]
end

ask.run = raw_sql.statement

---What SQLite has against a statement, which is not run; nil when nothing.
---@return string|nil why
function ask.problem(context, link, sql)
  local ok, err = compat.pcall(ask.rows, context, link, "EXPLAIN " .. sql)
  if ok then return nil end
  return type(err) == "table" and tostring(err.detail or err.cause or err.message) or tostring(err)
end

---The text that made a table, view, index or trigger.
---@return string|nil sql
---@return string|nil name as it is spelled
function ask.definition(context, link, kind, name)
  local row = ask.rows(context, link, "SELECT name, sql FROM main.sqlite_schema WHERE type = " .. quote.text(kind)
    .. " AND name = " .. quote.text(name) .. " COLLATE NOCASE")[1]
  if row then return row.sql, row.name end
end

return ask
