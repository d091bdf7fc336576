--- Transactions of an entity manager: what is open on its link, the marks in memory that go with it, and how each ends.
local changes = require("heddle.flush.changes")
local compat = require("heddle.compat")
local errors = require("heddle.errors")
local hooks = require("heddle.hooks")
local outcome = require("heddle.outcome")
local own_writes = require("heddle.own_writes")
local owner = require("heddle.owner")
local transaction_options = require("heddle.transaction_options")
local undo = require("heddle.undo")
local wait = require("heddle.wait")
local waiting = require("heddle.waiting")
local write_lock = require("heddle.write_lock")

local pcall = compat.pcall

local transaction = {}

---How deep the entity manager's own transactions are nested on its link.
function transaction.depth(em)
  if not em.link then return 0 end
  local _, depth = em.link:state()
  return depth
end

-- After a failure of a link operation that only restores: nothing more can be done.
local function quietly(em, ...)
  local status = wait.drive(em.link, em.context, ...)
  if em.context:is_logged() then em.context:log(em.link) end
  return status ~= wait.FAILED
end

-- Says who holds the connection, and on SQLite the file. Finding the program's place costs more than a small flush,
-- which is over before anybody asks.
local function holding(em, what, read_only)
  if not read_only then write_lock.take(em, what) end
  em.link:label(what)
end

-- Explicit -------------------------------------------------------------------------------------------------

-- BEGIN travels with the first statement, but the connection is there before: a database that is down and a pool that
-- is full are met where the transaction begins. Nothing is begun while somebody waits for it, who may be given up.
local function hold(em)
  local ok, err = pcall(em.drive, em, em.link:hold())
  if ok then return end
  write_lock.release(em)
  error(err, 0)
end

---Begins a transaction, or a savepoint inside one.
---@param em table
---@param opts? table
function transaction.begin(em, opts)
  transaction_options.check_nested(em, opts)
  local link = em:open_link()
  local nested = transaction.depth(em) > 0
  if not nested then
    waiting.own(link)
    holding(em, "a transaction begun at " .. tostring(errors.where() or "?"), opts and opts.read_only)
    hold(em)
  end
  local item = { mark = undo.mark_values(em), nested = nested, opts = opts, owner = owner.new(),
    changes = changes.new(em) }
  if nested then
    link:savepoint()
  else
    local text, more = transaction_options.begin_text(em, opts)
    link:begin(text)
    if more then link:begin(more) end
  end
  em.transactions[#em.transactions + 1] = item
  return item
end

local function pop(em)
  local list = em.transactions
  local item = list[#list]
  list[#list] = nil
  return item
end

---Keeps the change set of a flush for after_commit, or after_rollback.
function transaction.collect_changes(em, set)
  changes.append(em.transactions[#em.transactions].changes, set)
end

---What stands open. Raises `transaction_required`.
function transaction.current(em, what)
  local item = em.transactions[#em.transactions]
  if not item then
    errors.raise("transaction_required", ("em:%s without a transaction: begin one first"):format(what),
      { context = em.context_name })
  end
  return item
end

---What became of a COMMIT that failed: true when it happened all the same. Otherwise the record says what is known;
---where nobody knows, the entity manager does not either.
---@param record table
function transaction.was_committed(em, record)
  if record.outcome ~= "unknown" then return false end
  own_writes.note(em)
  local xid = em.link:xid()
  quietly(em, em.link:rollback())
  local committed = outcome.look_up(em.context, xid)
  if committed == false then record.outcome = nil end
  if committed == nil then em.outcome_unknown, em.wary = true, true end
  return committed == true
end

---The wait for a COMMIT was broken off, so that its end stays unseen.
function transaction.doubt(em)
  if transaction.was_committed(em, { outcome = "unknown" }) then em.outcome_unknown, em.wary = true, true end
end

local function commit_link(em)
  local link = em.link
  em.committing = true
  local ok, status = pcall(wait.drive, link, em.context, link:commit())
  em.committing = false
  if not ok then
    transaction.doubt(em)
    error(status, 0)
  end
  if status == wait.DONE then
    if link:wrote() then own_writes.note(em) end
    if em.context:is_logged() then em.context:log(link) end
    return
  end
  local record = link:error()
  if transaction.was_committed(em, record) then return end
  quietly(em, link:rollback())
  em.context:raise(link, record)
end

-- A server answers the COMMIT of a failed transaction with a rollback, and calls that a success.
local function raise_failed(em, over)
  errors.raise(over and "connection" or "driver", over
    and "The transaction is over: the database ended it, or its connection was lost; nothing of it is written"
    or "A statement had failed before, so that this could only be rolled back, which was done",
    { context = em.context_name })
end

---Commits the transaction, or makes a savepoint part of what is around it. Raises what the database says; then
---everything is rolled back, in memory too.
function transaction.commit(em)
  local item = transaction.current(em, "commit")
  local _, _, over = em.link:state()
  if em.link:failed() then
    transaction.rollback(em)
    raise_failed(em, over)
  end
  if item.nested then
    em.link:release()
    pop(em)
    undo.forget(em, item.mark)
    local outer = em.transactions[#em.transactions]
    -- The outermost one of a test is a savepoint too.
    if not outer then return hooks.committed(em, item.changes) end
    return changes.append(outer.changes, item.changes)
  end
  local ok, err = pcall(commit_link, em)
  pop(em)
  write_lock.release(em)
  if not ok then
    if not em.outcome_unknown then
      undo.rollback(em, item.mark)
      hooks.rolled_back(em, item.changes)
    end
    error(err, 0)
  end
  undo.forget(em, item.mark)
  hooks.committed(em, item.changes)
end

---Rolls the transaction or savepoint back, in the database and in memory.
function transaction.rollback(em)
  local item = transaction.current(em, "rollback")
  local link = em.link
  if item.nested then
    quietly(em, link:rollback_to())
  else
    quietly(em, link:rollback())
    write_lock.release(em)
  end
  pop(em)
  undo.rollback(em, item.mark)
  if #em.transactions == 0 then hooks.rolled_back(em, item.changes) end
end

-- Of a flush -----------------------------------------------------------------------------------------------

---What stands around one flush: a transaction of its own (but for a bare one, a single statement that needs none), or a
---savepoint of the open one.
---@param state table `own` and `bare` say which; `open` is set
function transaction.begin_flush(em, state)
  if not state.own then
    em.link:savepoint()
  elseif not state.bare then
    holding(em, "a flush")
    em.link:begin(transaction_options.begin_text(em))
  end
  state.open, state.commits = true, false
end

---The flush's own transaction is committed: nothing is left to be undone.
function transaction.settle_flush(em, state)
  state.open, state.done = false, true
  own_writes.note(em)
  write_lock.release(em)
end

---Takes back what a flush wrote.
function transaction.undo_flush(em, state)
  local open = state.open
  state.open = false
  if state.own then
    if transaction.depth(em) > 0 then quietly(em, em.link:rollback()) end
    write_lock.release(em)
  elseif open then
    quietly(em, em.link:rollback_to())
  end
end

---Commits a flush's own transaction, or makes its savepoint part of what is around it. Raises when a hook passed a
---failed statement over.
function transaction.end_flush(em, state)
  local _, _, over = em.link:state()
  if em.link:failed() then raise_failed(em, over) end
  state.open = false
  if not state.own then return em.link:release() end
  local ok, err = pcall(commit_link, em)
  write_lock.release(em)
  if not ok then error(err, 0) end
end

return transaction
