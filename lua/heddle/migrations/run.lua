--- Runs migrations, up or down: each in a transaction, all in one with savepoints, or one without.
local compat = require("heddle.compat")
local core = require("heddle.core")
local errors = require("heddle.errors")
local failure = require("heddle.migrations.failure")
local record = require("heddle.migrations.record")
local scope = require("heddle.scope")
local states = require("heddle.migrations.states")
local tool = require("heddle.migrations.tool")

local pcall = compat.pcall

local run = {}

local function tell(job, event, entry, index, more)
  if not job.on_progress then return end
  local told = { event = event, context = job.session.context.name, name = entry.name, direction = job.direction,
    index = index, count = #job.entries }
  for key, value in pairs(more or {}) do told[key] = value end
  if event ~= "failed" then return job.on_progress(told) end
  -- An error is on its way, which no other one takes the place of.
  pcall(job.on_progress, told)
end

local function is_own_error(err, entry)
  return errors.is_error(err, "migration") and err.migration == entry.name
end

-- The migration's own work; `orm.em` of the context is its entity manager meanwhile.
local function perform(job, entry, part, remains)
  local session = job.session
  session:note_references()
  local made = tool.new(session, entry, job.on_progress)
  local item = scope.enter({ overrides = { [session.context] = session.em } })
  local ok, err = pcall(tool.run, made, part, entry, remains)
  if ok then ok, err = pcall(session.em.flush, session.em) end
  scope.leave(item)
  if ok then ok, err = pcall(session.check_references, session) end
  if ok then return end
  error(is_own_error(err, entry) and err or failure.of(entry, session.context.name, err, nil, remains), 0)
end

local function write_down(job, entry, state, duration)
  if state then return record.put(job.session, entry, state, duration) end
  record.remove(job.session, entry.name)
end

-- What the record has to say before a migration is run.
local function is_due(job, state)
  if job.direction == "up" then return state == nil end
  return state == "done"
end

local function remains_of(job, entry, part)
  if not part.transaction then
    return ("it runs without a transaction and stays recorded as started: look what of it is in the database, then say "
      .. "so with %s"):format(failure.resolve_command(entry.name, job.session.context.name, "--done or --undone"))
  end
  local with_it = job.is_whole and #job.entries > 1
  return with_it and "nothing of it is left, nor of those before it" or "nothing of it is left"
end

-- A COMMIT that raised may have happened: a listener of after_commit failed, or the connection broke behind it.
local function remains_at_commit(job, entry, part)
  local session = job.session
  local ok, state = pcall(session.begin, session, nil, entry.name)
  session:rollback()
  if not ok then return "whether it was committed is not known: see heddle migrate:status" end
  return is_due(job, state) and remains_of(job, entry, part) or "it is committed and recorded all the same"
end

-- In a transaction of its own, or a savepoint. Gives whether it ran.
local function run_inside(job, entry, part, index)
  local session, started = job.session, core.clock()
  local depth = #session.em.transactions
  local is_over, is_committing
  local ok, err = pcall(function()
    if not is_due(job, session:begin(job.on_progress, entry.name)) then
      is_over = true
      return
    end
    tell(job, "start", entry, index)
    perform(job, entry, part, remains_of(job, entry, part))
    write_down(job, entry, job.direction == "up" and "done" or nil, core.clock() - started)
    is_committing = depth == 0
    session:commit()
  end)
  if not ok or is_over then session:rollback(depth) end
  if not ok then
    tell(job, "failed", entry, index, { duration = core.clock() - started, error = err })
    if errors.is_error(err, "migration") then error(err, 0) end
    local remains = is_committing and remains_at_commit or remains_of
    error(failure.of(entry, session.context.name, err, nil, remains(job, entry, part)), 0)
  end
  if not is_over then tell(job, "done", entry, index, { duration = core.clock() - started }) end
  return not is_over
end

-- Recorded as started before, so that a failure, or the end of the process, is known of (M6).
local function run_recorded(job, entry, part, index)
  local session, started = job.session, core.clock()
  if not is_due(job, session:begin(job.on_progress, entry.name)) then
    session:rollback()
    return false
  end
  if job.direction == "up" then
    record.put(session, entry, "started", 0)
  else
    record.change(session, entry, "started")
  end
  session:commit()
  tell(job, "start", entry, index)
  local ok, err = pcall(perform, job, entry, part, remains_of(job, entry, part))
  if ok then
    ok, err = pcall(function()
      session:begin(job.on_progress)
      write_down(job, entry, job.direction == "up" and "done" or nil, core.clock() - started)
      session:commit()
    end)
  end
  session:rollback()
  if not ok then
    tell(job, "failed", entry, index, { duration = core.clock() - started, error = err })
    error(err, 0)
  end
  tell(job, "done", entry, index, { duration = core.clock() - started })
  return true
end

local function run_outside(job, entry, part, index)
  return job.session:alone(job.on_progress, run_recorded, job, entry, part, index)
end

local function run_each(job)
  local names = {}
  for index, entry in ipairs(job.entries) do
    local part = job.parts[entry]
    local runs = part.transaction and run_inside or run_outside
    if runs(job, entry, part, index) then names[#names + 1] = entry.name end
  end
  return names
end

-- M6 for all of them together.
local function run_whole(job)
  local session = job.session
  for _, entry in ipairs(job.entries) do
    if not job.parts[entry].transaction then
      failure.raise(entry, session.context.name, "runs without a transaction, so that it cannot be part of all or "
        .. "nothing: run those before it, then it alone (only), then the rest")
    end
  end
  session:begin(job.on_progress)
  local ok, names = pcall(run_each, job)
  if ok then
    session:commit()
    return names
  end
  session:rollback()
  error(names, 0)
end

---Runs migrations. Raises `migration`.
---@param job { session: table, entries: table[], parts: table, direction: "up"|"down", is_whole: boolean,
---on_progress: function|nil }
---@return string[] names of those that ran
function run.all(job)
  if job.is_whole then return run_whole(job) end
  return run_each(job)
end

---Rollups that stand for what has run take its place in the record.
---@param session table
---@param entries table[]
function run.adopt(session, entries)
  for _, entry in ipairs(states.of(entries, "done")) do
    if entry.adopts then
      session:begin(nil)
      record.adopt(session, entry)
      session:commit()
      entry.adopts = false
    end
  end
end

return run
