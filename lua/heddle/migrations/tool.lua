--- What `up(m)` and `down(m)` are given: SQL, the entity manager, and helpers (heddle.migrations.helpers).
local compat = require("heddle.compat")
local core = require("heddle.core")
local errors = require("heddle.errors")
local failure = require("heddle.migrations.failure")
local helpers = require("heddle.migrations.helpers")
local manager = require("heddle.manager")
local options = require("heddle.options")
local raw_sql = require("heddle.raw_sql")
local script = require("heddle.migrations.script")

---@class heddle.Migration
---@field context_name string
---@field driver "postgres"|"sqlite"
---@field name string the migration's
local Tool = { __name = "heddle.migration" }
Tool.__index = Tool

local tool = {}

local function check_text(self, text, what)
  if type(text) == "string" and text:find("%S") then return end
  errors.raise("validation", ("%s takes SQL as a string, not %s"):format(what, options.describe(text)),
    { context = self.context_name })
end

local function check_statement(self, text)
  local problem = script.problem(text)
  if problem then errors.raise("validation", problem, { context = self.context_name, sql = text }) end
end

-- Runs one and tells how long it took.
local function timed(self, sql, fn, ...)
  local started = core.clock()
  local rows, count = fn(self.context, self.session.link, sql, ...)
  if self.on_progress then
    self.on_progress({ event = "statement", context = self.context_name, name = self.name, sql = sql,
      duration = core.clock() - started })
  end
  return rows, count
end

local function run_with(context, link, sql, params)
  return context:run_sql(link, sql, params)
end

---Runs SQL. A text alone is sent as it stands, question marks and all, statement by statement; with values it is one
---statement with `?` for each (`??` is a question mark). Raises what the database says.
---
---Usage: `m:sql("UPDATE users SET role = ? WHERE role IS NULL", "reader")`
---@param text string
function Tool:sql(text, ...)
  check_text(self, text, "m:sql")
  if select("#", ...) > 0 then
    check_statement(self, text)
    timed(self, text, run_with, compat.pack(...))
    return
  end
  for _, statement in ipairs(script.split(text, self.driver)) do
    check_statement(self, statement.text)
    timed(self, statement.text, raw_sql.statement)
  end
end

---One statement of an SQL file.
---@param statement { text: string, line: integer }
function Tool:statement(statement)
  timed(self, statement.text, raw_sql.statement)
end

---Runs one statement as `em:execute` does: an array of rows, or the number of rows touched.
---
---Usage: `for _, row in ipairs(m:execute("SELECT id, name FROM users WHERE name LIKE ?", "A%")) do ... end`
---@param sql string `?` for parameters
---@return table[]|integer
function Tool:execute(sql, ...)
  check_text(self, sql, "m:execute")
  check_statement(self, sql)
  local rows, count = timed(self, sql, run_with, compat.pack(...))
  return rows or count
end

-- The transaction around a migration is not its own to end.
local function guard(em, depth)
  em.commit, em.rollback = nil, nil
  if depth == 0 then return end
  local function refuse(name)
    return function(self)
      if #self.transactions > depth then return manager.class[name](self) end
      errors.raise("transaction_required", ("em:%s() would end the migration's own transaction: leave it to Heddle, or "
        .. "say transaction = false in the file"):format(name), { context = self.context_name })
    end
  end
  em.commit, em.rollback = refuse("commit"), refuse("rollback")
end

---The entity manager of this migration, on its connection and in its transaction. What it leaves pending is flushed at
---the end. Inside the migration `orm.em()` of this context is the same one.
---
---Usage: `local em = m:em(); for _, user in ipairs(em:find_all("User")) do user.name = user.name:lower() end`
---@return heddle.EntityManager
function Tool:em()
  return self.session.em
end

---SQLite's way to change a table in any respect: a new one is made, filled from the old one, and takes its name;
---indexes, triggers, views and the rows of tables that refer to it stay (M2). Raises `migration` when rows would be
---lost, `unsupported` on PostgreSQL, where ALTER TABLE does it.
---
---Usage: `m:rebuild("users", "CREATE TABLE users (...)", { full_name = "name" })`
---@param name string the table
---@param create_sql string CREATE TABLE under the same name
---@param copy? table<string, string> new column -> SQL over the old row; columns that both have are copied as they are
---@param indexes? { drop: string[], add: string[] } names of those that go, statements of new ones
function Tool:rebuild(name, create_sql, copy, indexes)
  if self.driver ~= "sqlite" then
    errors.raise("unsupported", "m:rebuild is SQLite's; on PostgreSQL use ALTER TABLE", { context = self.context_name,
      table = name })
  end
  check_text(self, create_sql, "m:rebuild")
  indexes = indexes or {}
  require("heddle.schema.sqlite.rebuild").run(self.context, self.session.link, { rebuild = name, create = create_sql,
    copy = copy or {}, drop_indexes = indexes.drop or {}, add_indexes = indexes.add or {} })
end

function Tool:__tostring()
  return ("migration<%s: %s>"):format(self.context_name, self.name)
end

---@param session table
---@param entry table
---@param on_progress function|nil
---@return heddle.Migration
function tool.new(session, entry, on_progress)
  local context = session.context
  guard(session.em, #session.em.transactions)
  return setmetatable({ context = context, context_name = context.name, driver = context.driver_name,
    name = entry.name, session = session, on_progress = on_progress }, Tool)
end

helpers.add(Tool)

---Runs one half of a migration on a tool. What fails is raised with its place in a script.
---@param made heddle.Migration
---@param part { run: function|table }
---@param entry table
---@param remains string what is left of it, for messages
function tool.run(made, part, entry, remains)
  if type(part.run) == "function" then return part.run(made) end
  for _, statement in ipairs(part.run) do
    local ok, err = compat.pcall(made.statement, made, statement)
    if not ok then
      error(failure.of(entry, made.context_name, err, { file = part.run.path, line = statement.line,
        sql = statement.text }, remains), 0)
    end
  end
end

return tool
