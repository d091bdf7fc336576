--- One flush, from pending instances to committed rows: cascade, hooks, gather, the core's plan and batches, apply,
--- hooks, commit; or, at any failure, back to where it began (F1). The steps have rooms of their own in `flush/`.
local apply = require("heddle.flush.apply")
local compat = require("heddle.compat")
local errors = require("heddle.errors")
local execute = require("heddle.flush.execute")
local gather = require("heddle.flush.gather")
local hooks = require("heddle.hooks")
local merge = require("heddle.merge")
local transaction = require("heddle.transaction")
local undo = require("heddle.undo")

local flush = {}

local function changes_of(em, batch, rows)
  local changes = { context = em.context_name }
  for _, row in ipairs(rows) do
    if row.index then
      changes[#changes + 1] = hooks.change(batch, row)
    end
  end
  return changes
end

-- What the database filled in was lost with the connection: it is read again.
local function reread(em, rows)
  for _, row in ipairs(rows) do
    if row.index and row.op ~= "delete" then merge.reread(em, row.e) end
  end
end

-- What is to be written, once every hook has had its say. A hook may reach further than its own instance: what it
-- made new or changed gets its hooks too.
local function prepare(em)
  local seen = {}
  local rows
  repeat
    gather.cascade(em)
    rows = gather.collect(em)
  until not hooks.before(em, rows, seen)
  return rows
end

-- What is written without the unit of work is no flush to those who listen.
local function tell(em, event, about)
  if not em.plain then em.context:emit(event, about) end
end

local function run_flush(em, state)
  tell(em, "before_flush", { em = em })
  local rows = prepare(em)
  if #rows == 0 then return end
  local batch = gather.changes(em, rows)
  if batch:count() == 0 then return apply.forms(batch, rows) end
  local listened = not em.plain and hooks.listens_after(em, rows)
  local failed = batch:plan()
  if failed then execute.raise(em, batch, failed) end
  em:open_link()
  execute.run(em, batch, listened, state)
  local note = { kind = "flush", flush = batch, shelves = {}, deleted = {}, inserted = {}, overlays = {}, given = {} }
  undo.note(em, note)
  apply.changes(batch, rows, note)
  if state.blind then reread(em, rows) end
  local listeners = em.context.listeners
  local changes = not em.plain and (listeners.after_commit or listeners.after_flush) and changes_of(em, batch, rows)
  if listened then hooks.after(em, rows) end
  tell(em, "after_flush", changes)
  if state.open then transaction.end_flush(em, state) end
  state.done = true
  -- In a test the flush's own transaction is a savepoint, and its commit is as good as any.
  if #em.transactions == 0 then
    tell(em, "after_commit", changes)
  else
    transaction.collect_changes(em, changes)
  end
end

---Back to where the flush began, when something else than a statement failed: a hook, a wait.
---@param em table
function flush.break_off(em)
  local state = em.flushing
  if state.open and state.commits and em.link:log()[1] then transaction.doubt(em) end
  if state.open then compat.pcall(transaction.undo_flush, em, state) end
  undo.rollback(em, state.mark)
  em.flushing, em.in_hook = false, nil
end

---Writes what is pending. Raises; then entities and bookkeeping are as they were before it.
---@param em table
function flush.flush(em)
  if em.flushing then
    errors.raise("hook", "flush inside a hook: a flush is under way, and what a hook changes is written by it",
      { context = em.context_name })
  end
  local state = { mark = undo.mark(em) }
  em.flushing = state
  local ok, err = compat.pcall(run_flush, em, state)
  if not ok and not state.done then
    flush.break_off(em)
  else
    undo.forget(em, state.mark)
    em.flushing, em.in_hook = false, nil
  end
  if ok then return end
  if not state.done and state.own and #em.transactions == 0 then tell(em, "after_rollback", { em = em }) end
  error(err, 0)
end

return flush
