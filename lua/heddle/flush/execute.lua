--- Execute: the batches of a planned change set on the link, in a transaction of their own or behind a savepoint.
local blame = require("heddle.blame")
local kinds = require("heddle.kinds")
local transaction = require("heddle.transaction")
local wait = require("heddle.wait")

local execute = {}

-- Failure --------------------------------------------------------------------------------------------------

local function key_text(shelf, slot)
  local key = { shelf:key(slot) }
  for i = 1, #key do key[i] = tostring(key[i]) end
  return #key > 0 and table.concat(key, ",") or "new"
end

-- A row that others refer to was to be deleted: what could be done instead.
local function advise(em, record)
  local map = record.entity and em.mappings.by_name[record.entity]
  if not map or not (record.sql or ""):upper():find("DELETE FROM", 1, true) then return end
  local referring = {}
  for _, other in ipairs(em.mappings.list) do
    for _, foreign in ipairs(other.foreign_keys) do
      local rule = foreign.on_delete
      if foreign.target == map.root and rule ~= "cascade" and rule ~= "set null" and rule ~= "set default" then
        referring[#referring + 1] = other.name .. "." .. foreign.property
      end
    end
  end
  if not referring[1] then return end
  record.message = ("%s cannot be deleted while rows refer to it (%s): remove those too (cascade = { \"remove\" } or "
    .. "orphan_removal on the side of %s), point them elsewhere, or give the foreign key an on_delete"):format(map.name,
    table.concat(referring, ", "), map.name)
end

---Raises the core's record in the words of the program: which row, and what to do.
function execute.raise(em, batch, record, index)
  if record.kind == "foreign_key_violation" then advise(em, record) end
  if index then
    local _, id, slot = batch:change(index)
    local map = kinds.map_at(em, id, slot)
    record.entity = map.name
    -- A pair of a many-to-many has no instance; its rows are neither versioned nor counted.
    if not slot then return blame.raise(em.context, record) end
    local shelf = em:shelf_of(map)
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
  status = wait.drive(link, em.context, status, fd, events, timeout)
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

-- Keys, then the body, wave by wave. What commits ends it: a statement that stands alone, or a last wave with COMMIT.
local function write(em, batch, state, may_commit)
  local link = em.link
  local status, fd, events, timeout = batch:keys(link)
  if status then
    local record, index, again = run(em, batch, status, fd, events, timeout)
    if record then return record, index, again end
  end
  while not state.commits do
    status, fd, events, timeout = batch:body(link, may_commit)
    if not status then break end
    state.commits = state.bare or may_commit and batch:can_commit()
    local record, index, again = run(em, batch, status, fd, events, timeout)
    if record then return record, index, again end
  end
  return batch:verify()
end

local TRIES = 4

---Runs the plan behind a savepoint of the open transaction, or in one of its own. `state` says how far it is:
---`own`; `bare`, a single statement without any; `commits` when what was sent commits by itself; `open` while there is
---something that has to be committed (released) or undone; `blind` when it was committed and the answers of the last
---batch were lost on the way.
---@param listened boolean somebody has a word between the body and its end
---@param state table
function execute.run(em, batch, listened, state)
  local own = transaction.depth(em) == 0
  state.own, state.bare = own, own and not listened and batch:is_bare()
  -- On SQLite there is no round trip to save.
  local may_commit = own and not state.bare and not listened and em.context.driver_name == "postgres"
  em.context:comment(em.link)
  for try = 1, TRIES do
    transaction.begin_flush(em, state)
    local record, index, again = write(em, batch, state, may_commit)
    if record and state.commits and transaction.was_committed(em, record) then
      record, state.blind = nil, true
    end
    if not record then
      if state.commits then transaction.settle_flush(em, state) end
      return
    end
    transaction.undo_flush(em, state)
    -- What has ended the transaction around it too leaves nothing to try again in.
    if not again or try == TRIES or not own and em.link:failed() then execute.raise(em, batch, record, index) end
    batch:replan()
    local failed = batch:plan()
    if failed then blame.raise(em.context, failed) end
  end
end

return execute
