--- The shortest way of a flush: one changed row, written by one statement that needs no transaction. One call of the
--- core gathers, plans, runs and applies it, as the lane would in a dozen; what it cannot say it leaves to the lane.
local compat = require("heddle.compat")
local core = require("heddle.core")
local execute = require("heddle.flush.execute")
local merge = require("heddle.merge")
local transaction = require("heddle.transaction")
local wait = require("heddle.wait")
local waiting = require("heddle.waiting")

local single = {}

-- Nobody is told of statements, and nothing is open that they would be a part of. (`wary`: see the entity manager.)
local function applies(em, work)
  if work[2] or work[1].is_new or work[1].slots[2] or em.wary or em.transactions[1] then return false end
  local context = em.context
  return not (context.replicas or context.config.debug or context:is_logged())
end

-- A mapping keeps one flush for all of its rows. Whoever uses it takes it away meanwhile.
local function take_batch(em, map)
  local batch = map.row_batch
  map.row_batch = nil
  if batch and map.row_model == em.model then return batch end
  map.row_model = em.model
  return core.flush(em.model, em.context.config.batch_size)
end

-- The statement is under way, or something has become of it that is not the usual.
local function finish(em, batch, part, state, ...)
  local shelf, link = part.shelf, em.link
  local record, index, again
  local status = wait.drive(link, em.context, ...)
  if status == wait.FAILED then
    record, index, again = batch:blame(link)
  elseif batch:concluded(shelf.mapping.id, shelf) then
    return true
  else
    record, index, again = batch:verify()
  end
  if transaction.was_committed(em, record) then
    batch:apply(shelf.mapping.id, shelf)
    merge.reread(em, shelf.instances[part.slots[1]])
    return true
  end
  transaction.undo_flush(em, state)
  return not again and execute.raise(em, batch, record, index)
end

---Writes the only row that is pending.
---@param em table
---@param work table[] as the lane has it
---@return boolean written false: it is not for this way
---@return table|nil state of a flush that failed and has to be broken off
---@return any err
function single.flush(em, work)
  if not applies(em, work) then return false end
  local part = work[1]
  local shelf = part.shelf
  local map, link = shelf.mapping, em.link or em:open_link()
  local batch = take_batch(em, map)
  local status, fd, events, timeout = batch:row(map.id, shelf, part.slots[1], link, waiting.here() == nil)
  if status == true or status == nil then
    map.row_batch = batch
    return status == true
  end
  local state = { own = true, bare = true, open = true, commits = true }
  em.flushing = state
  local ok, written = compat.pcall(finish, em, batch, part, state, status, fd, events, timeout)
  if not ok then return false, state, written end
  em.flushing = false
  map.row_batch = batch
  return written
end

return single
