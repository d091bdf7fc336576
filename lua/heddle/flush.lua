--- One flush, from pending instances to committed rows: prepare, gather, the core's plan and batches, apply, hooks,
--- commit; or, at any failure, back to where it began (F1). The steps have rooms of their own in `flush/`.
local later = require("heddle.later")
local apply = require("heddle.flush.apply")
local changes = require("heddle.flush.changes")
local compat = require("heddle.compat")
local execute = require("heddle.flush.execute")
local gather = require("heddle.flush.gather")
local held = later.module("heddle.flush.held")
local hooks = require("heddle.hooks")
local lane = require("heddle.flush.lane")
local merge = require("heddle.merge")
local prepare = require("heddle.flush.prepare")
local transaction = require("heddle.transaction")
local undo = require("heddle.undo")
local watch = require("heddle.flush.watch")

local flush = {}

-- What the database filled in was lost with the connection: it is read again.
local function reread(em, rows)
  for _, row in ipairs(rows) do
    if row.index and row.op ~= "delete" then merge.reread(em, row.e) end
  end
end

-- The change set, when somebody will be told of it.
local function recorded(em, batch, rows)
  local listeners = em.context.listeners
  if em.plain or not (listeners.after_flush or listeners.after_commit or listeners.after_rollback) then return nil end
  return changes.written(em, batch, rows)
end

local function conclude(em, state)
  if state.open then transaction.end_flush(em, state) end
  state.done = true
  if not state.changes then return end
  -- In a test the flush's own transaction is a savepoint, and its commit is as good as any.
  if #em.transactions == 0 then
    hooks.committed(em, state.changes)
  else
    transaction.collect_changes(em, state.changes)
  end
end

local function run_flush(em, state)
  local rows = prepare.rows(em)
  local batch = gather.changes(em, rows)
  if batch:count() == 0 then return apply.forms(em, batch, rows) end
  state.rows = rows
  local listened = not em.plain and hooks.listens_after(em, rows)
  local failed = batch:plan()
  if failed then execute.raise(em, batch, failed) end
  em:open_link()
  execute.run(em, batch, listened, state)
  state.changes = recorded(em, batch, rows)
  apply.changes(em, batch, rows)
  if state.blind then reread(em, rows) end
  if listened then hooks.after(em, rows) end
  if state.changes then hooks.tell(em, "after_flush", state.changes) end
  watch.close(em)
  conclude(em, state)
end

-- What a flush had begun to write in a transaction of its own, for those who are told that it failed.
local function undone(em, state)
  if em.plain or not state.own or #em.transactions > 0 or not em.context.listeners.after_rollback then return nil end
  return state.changes or changes.pending(em, state.rows)
end

---Back to where the flush began, when something else than a statement failed: a hook, a wait.
---@param em table
function flush.break_off(em)
  local state = em.flushing
  if state.open and state.commits and em.link:log()[1] then transaction.doubt(em) end
  if state.open then compat.pcall(transaction.undo_flush, em, state) end
  watch.close(em)
  if state.heard then held.close(em, state.heard) end
  if state.mark then undo.rollback(em, state.mark) end
  em.flushing, em.hook = false, false
end

local function fail(em, state, err)
  local set = undone(em, state)
  flush.break_off(em)
  if set and not em.outcome_unknown then hooks.rolled_back(em, set) end
  error(err, 0)
end

-- With everything that can be part of a flush. One that began on the short way goes on from there.
local function flush_all(em)
  local state = em.flushing or { mark = undo.mark(em) }
  em.flushing = state
  local ok, err = compat.pcall(run_flush, em, state)
  if not ok and not state.done then return fail(em, state, err) end
  undo.forget(em, state.mark)
  em.flushing, em.hook = false, false
  if not ok then error(err, 0) end
end

---Writes what is pending. Raises; then entities and bookkeeping are as they were before it.
---@param em table
function flush.flush(em)
  hooks.refuse(em, "flush")
  local written, broken, err = lane.flush(em)
  if broken then
    flush.break_off(em)
    error(err, 0)
  end
  if not written then flush_all(em) end
end

return flush
