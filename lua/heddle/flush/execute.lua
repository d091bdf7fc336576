--- Execute: the batches of a planned change set on the link, in a transaction of their own or behind a savepoint.
local blame = require("heddle.blame")
local compat = require("heddle.compat")
local transaction = require("heddle.transaction")
local wait = require("heddle.wait")

local execute = {}

-- Failure --------------------------------------------------------------------------------------------------

local function key_text(shelf, slot)
  local key = { shelf:key(slot) }
  for i = 1, #key do key[i] = tostring(key[i]) end
  return #key > 0 and table.concat(key, ",") or "new"
end

---Raises the core's record in the words of the program: which row, and what to do.
function execute.raise(em, batch, record, index)
  if index then
    local _, id, slot = batch:change(index)
    local map = em.mappings.list[id + 1]
    local shelf = em:shelf_of(map)
    record.entity = map.name
    local name = map.name .. "#" .. key_text(shelf, slot)
    if record.kind == "optimistic_lock" then
      record.message = name .. " was changed or deleted by somebody else since it was read; refresh it and try again"
    elseif record.kind == "not_found" then
      record.message = name .. " is not in the database any more"
    end
  end
  blame.raise(em.context, record)
end

-- Carries a batch on. Failure: record, change, and whether another way may do.
local function run(em, batch, status, fd, events, timeout)
  local link = em.link
  if status >= wait.WAIT then
    em.running = compat.running()
    local ok
    ok, status = pcall(wait.drive, link, em.context, status, fd, events, timeout)
    em.running = nil
    if not ok then error(status, 0) end
  end
  local logged = em.context:is_logged()
  if status ~= wait.FAILED then
    if logged then em.context:log(link) end
    return nil
  end
  local record, index, again = batch:blame(link)
  if logged then em.context:log(link, record) end
  return record, index, again
end

-- Batches --------------------------------------------------------------------------------------------------

local function has_inserts(rows)
  for _, row in ipairs(rows) do
    if row.op == "create" and row.index then return true end
  end
  return false
end

-- Keys, then the body, wave by wave.
local function write(em, batch, merged)
  local link = em.link
  local status, fd, events, timeout = batch:keys(link)
  if status then
    local record, index, again = run(em, batch, status, fd, events, timeout)
    if record then return record, index, again end
  end
  while true do
    status, fd, events, timeout = batch:body(link, nil, merged)
    if not status then break end
    local record, index, again = run(em, batch, status, fd, events, timeout)
    if record then return record, index, again end
    if merged then break end
  end
  return batch:verify()
end

local TRIES = 4

-- Runs the plan inside the transaction that is open, or one of its own. When it comes back the rows are written and, if
-- `merged` was possible, committed.
function execute.run(em, batch, rows, listened)
  local own = transaction.depth(em) == 0
  local bare = own and not listened and batch:is_bare()
  local merged = own and not bare and not listened and not has_inserts(rows)
  for try = 1, TRIES do
    if own and not bare then transaction.begin_flush(em) end
    if not own then em.link:savepoint() end
    local record, index, again = write(em, batch, merged)
    if not record then return own and not bare and not merged, own end
    if merged and record.outcome == "unknown" and transaction.was_committed(em) then return false, own end
    transaction.undo_flush(em, own)
    if not again or try == TRIES then
      if merged or bare then transaction.note_outcome(em, record) end
      execute.raise(em, batch, record, index)
    end
    batch:replan()
    local failed = batch:plan()
    if failed then blame.raise(em.context, failed) end
  end
end

return execute
