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

-- Keys, then the body, wave by wave. The last wave may carry COMMIT: second result of a success.
local function write(em, batch, may_commit)
  local link = em.link
  local status, fd, events, timeout = batch:keys(link)
  if status then
    local record, index, again = run(em, batch, status, fd, events, timeout)
    if record then return record, index, again end
  end
  local merged = false
  while not merged do
    status, fd, events, timeout = batch:body(link, nil, may_commit)
    if not status then break end
    merged = may_commit and batch:is_last()
    local record, index, again = run(em, batch, status, fd, events, timeout)
    if record then return record, index, again, merged end
  end
  local record, index, again = batch:verify()
  if record then return record, index, again, merged end
  return nil, merged
end

-- What the core refuses between two batches is undone like what the database refuses.
local function write_or_undo(em, batch, own, may_commit)
  local results = compat.pack(pcall(write, em, batch, may_commit))
  if results[1] then return compat.unpack(results, 2, results.n) end
  transaction.undo_flush(em, own)
  error(results[2], 0)
end

local TRIES = 4

---Runs the plan, inside the transaction that is open or in one of its own.
---@return table outcome { own = its own transaction, open = it still has to be committed, blind = it was committed,
---but the
---answers of the last batch were lost on the way }
function execute.run(em, batch, listened)
  local own = transaction.depth(em) == 0
  local bare = own and not listened and batch:is_bare()
  -- On SQLite there is no round trip to save.
  local may_commit = own and not bare and not listened and em.context.driver_name == "postgres"
  for try = 1, TRIES do
    if own then transaction.begin_flush(em, bare) else em.link:savepoint() end
    local record, index, again, merged = write_or_undo(em, batch, own, may_commit)
    if not record then
      local committed = bare or index
      if own and committed then transaction.end_flush(em) end
      return { own = own, open = own and not committed }
    end
    if merged and record.outcome == "unknown" and transaction.was_committed(em) then return { own = own,
      blind = true } end
    transaction.undo_flush(em, own)
    if not again or try == TRIES then
      transaction.note_outcome(em, record)
      execute.raise(em, batch, record, index)
    end
    batch:replan()
    local failed = batch:plan()
    if failed then blame.raise(em.context, failed) end
  end
end

return execute
