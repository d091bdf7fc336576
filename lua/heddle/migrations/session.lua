--- The connection that migrations run on, from the first to the last: kept, without the context's time limit, on SQLite
--- without foreign keys, and with the lock that keeps other processes out (M4).
---
--- PostgreSQL: the advisory lock of heddle.schema.lock, held by the session; every transaction looks whether it still
--- is. SQLite: each transaction takes the write lock, and looks whether somebody else was faster.
local at_work = require("heddle.migrations.at_work")
local compat = require("heddle.compat")
local errors = require("heddle.errors")
local failure = require("heddle.migrations.failure")
local lock = require("heddle.schema.lock")
local manager = require("heddle.manager")
local record = require("heddle.migrations.record")
local references = require("heddle.schema.sqlite.references")
local transaction = require("heddle.transaction")
local wait = require("heddle.wait")
local waiting = require("heddle.waiting")
local write_lock = require("heddle.write_lock")

local pcall = compat.pcall

local Session = {}
Session.__index = Session

local session = {}

-- How long SQLite's lock is waited for before that is told, in seconds.
local PATIENCE = 0.5

function Session:query(sql, ...)
  local rows = self.context:run_sql(self.link, sql, compat.pack(...))
  return rows and rows[1]
end

-- Says once that somebody else is at work.
local function tell_waiting(self, on_progress)
  if self.has_told then return end
  self.has_told = true
  if on_progress then on_progress({ event = "waiting", context = self.context.name }) end
end

local function set_up(self)
  local link = self.link
  if self.context.driver_name == "sqlite" then
    self.enforces = self:query("PRAGMA foreign_keys").foreign_keys == 1
    if self.enforces then
      link:keep("PRAGMA foreign_keys = ON")
      self:query("PRAGMA foreign_keys = OFF")
    else
      link:keep("SELECT hd_unlimited(0)")
    end
    self:query("SELECT hd_unlimited(1)")
    return
  end
  -- What a migration sets is not to meet the connection's next user: it is closed behind us.
  link:keep("SELECT pg_advisory_unlock_all()")
  local row = self:query("SELECT current_setting('search_path') AS path, "
    .. "set_config('statement_timeout', '0', false) AS none")
  self.path = row.path
end

---Opens the session; nothing is locked yet.
---@param context table
---@return table session
function session.open(context)
  local self = setmetatable({ context = context, link = context:link() }, Session)
  self.em = manager.new(context, nil, self.link)
  local ok, err = pcall(set_up, self)
  if ok then ok, err = pcall(record.locate, self) end
  if not ok then
    self:close()
    error(err, 0)
  end
  return self
end

---Keeps other processes out, once they have ended their work; makes the record's table.
---@param on_progress function|nil
function Session:lock(on_progress)
  if self.context.driver_name == "postgres" then
    self.key = lock.wait(function()
      return lock.ask(self.context, self.link, "session")
    end, function() tell_waiting(self, on_progress) end)
    record.locate(self)
  end
  if self.is_there then return end
  self:begin(on_progress)
  record.make(self)
  self:commit()
end

-- The first statement of a transaction: on PostgreSQL also whether the lock is ours, and the search path put back.
local function look(self, name, patience)
  local context = self.context.name
  if self.context.driver_name == "sqlite" then
    local sql = name and "SELECT " .. record.state_sql(self) .. " AS state" or "SELECT NULL AS state"
    local params = name and compat.pack(context, name) or compat.pack()
    return self.context:run_sql(self.link, sql, params, nil, patience)[1]
  end
  local held = "set_config('search_path', ?, false) AS path, EXISTS (SELECT 1 FROM pg_locks WHERE locktype = "
    .. "'advisory' AND classid = " .. lock.CLASS .. " AND objid = ?::bigint AND objsubid = 2 AND granted "
    .. "AND pid = pg_backend_pid()) AS held"
  local key = self.key < 0 and self.key + 4294967296 or self.key
  local row
  if name then
    row = self:query("SELECT " .. record.state_sql(self) .. " AS state, " .. held, context, name, self.path, key)
  else
    row = self:query("SELECT " .. held, self.path, key)
  end
  if row.held then return row end
  return failure.refuse(context, "the lock that keeps other processes out is lost: the connection was broken, or a "
    .. "pooler that mixes sessions (pgbouncer with pool_mode = transaction) stands in between; connect to the server "
    .. "itself")
end

-- Another process holds SQLite's lock, or another coroutine that will go on; what is said of a lock that this coroutine
-- holds has no code.
local function is_taken(self, err)
  if self.context.driver_name ~= "sqlite" then return false end
  local holder = not waiting.here() and write_lock.holder(self.context, self.link)
  if holder then
    errors.raise("lock_timeout", ("'%s' is being written by %s, of a coroutine that stands still while this one waits: "
      .. "finish it first"):format(self.context.config.database, holder), { context = self.context.name })
  end
  return errors.is_error(err, "timeout") or errors.is_error(err, "lock_timeout") and err.code ~= nil
end

---Begins a transaction (inside one, a savepoint).
---@param on_progress function|nil
---@param name? string a migration
---@return string|nil state of that one
function Session:begin(on_progress, name)
  local patience = PATIENCE
  while true do
    transaction.begin(self.em)
    local ok, row = pcall(look, self, name, patience)
    if ok then return row.state end
    transaction.rollback(self.em)
    if not is_taken(self, row) then error(row, 0) end
    tell_waiting(self, on_progress)
    wait.sleep(0.02)
    -- Longer each time: a machine that is that slow gets there, too.
    patience = patience * 2
  end
end

function Session:commit()
  transaction.commit(self.em)
  if #self.em.transactions == 0 then self.em:clear() end
end

---Back to before the innermost transaction that was begun here.
function Session:rollback(depth)
  while #self.em.transactions > (depth or 0) do transaction.rollback(self.em) end
end

---Runs `fn(...)`, which gives one value, while no other process is at a migration without a transaction.
---@param on_progress function|nil
---@param fn function
function Session:alone(on_progress, fn, ...)
  local held = lock.wait(function() return at_work.take(self) end, function() tell_waiting(self, on_progress) end)
  local ok, result = pcall(fn, ...)
  at_work.leave(held)
  if not ok then error(result, 0) end
  return result
end

---A migration that was recorded as started: how it stands once nobody is at it.
---@return string|nil state
function Session:settled_state(on_progress, name)
  return self:alone(on_progress, function()
    local state = self:begin(on_progress, name)
    self:rollback()
    return state
  end)
end

-- Five of them say what is wrong.
local function name_broken(rows)
  local list = {}
  for i = 1, math.min(#rows, 5) do list[i] = references.describe(rows[i]) end
  return table.concat(list, ", ") .. (#rows > 5 and (" and %d more"):format(#rows - 5) or "")
end

---Foreign keys are off on SQLite while migrations run, so what they would have refused is looked for. Rows that were
---broken before the first of them are not theirs: `note_references` knows them. Raises `foreign_key_violation`.
function Session:check_references()
  if not self.enforces then return end
  local after = references.note(self.context, self.link)
  local rows = references.broken_since(self.broken, after)
  if #rows == 0 then
    self.broken = after
    return
  end
  errors.raise("foreign_key_violation", "rows are left that refer to rows which are not there: " .. name_broken(rows),
    { context = self.context.name, table = rows[1].table })
end

function Session:note_references()
  if self.enforces and not self.broken then self.broken = references.note(self.context, self.link) end
end

local function restore(self)
  if self.key then self:query("SELECT pg_advisory_unlock(?::int, ?::int) AS freed", lock.CLASS, self.key) end
  if self.context.driver_name == "sqlite" then self:query("SELECT hd_unlimited(0)") end
  if self.enforces then self:query("PRAGMA foreign_keys = ON") end
end

---Ends the session: the lock is given back, the connection is as it was or closed.
function Session:close()
  local link = self.link
  pcall(self.rollback, self)
  local ok = pcall(restore, self)
  if ok and self.context.driver_name == "sqlite" then link:keep(nil) end
  link:reset()
  link:close()
  self.em:clear()
end

return session
