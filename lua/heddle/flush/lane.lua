--- The short way of a flush, for what most flushes are: new rows and changed values, without relations that were
--- touched, removals, embedded values or types of the program's own, of which nobody wants to hear once they are
--- written (who does before, `heard.lua` asks). Rows are gathered and applied by the core in bulk. Nothing in memory
--- changes before the database has everything, so that there is nothing to take back when it refuses.
local later = require("heddle.later")
local adopters = require("heddle.adopters")
local compat = require("heddle.compat")
local core = require("heddle.core")
local custom = require("heddle.custom")
local execute = require("heddle.flush.execute")
local gather = require("heddle.flush.gather")
local generated = require("heddle.generated")
local heard = later.module("heddle.flush.heard")
local hooks = require("heddle.hooks")
local kinds = require("heddle.kinds")
local merge = require("heddle.merge")
local single = require("heddle.flush.single")
local transaction = require("heddle.transaction")
local undo = require("heddle.undo")

local lane = {}

-- Whether it applies -------------------------------------------------------------------------------------------

-- What does not change in a mapping's life: its rows are raw values that the core converts by itself.
local function is_simple(map)
  local simple = map.is_simple
  if simple == nil then
    simple = map.root == map and map.members == nil and map.embedded[1] == nil and map.key[1] ~= nil
      and map.expression == nil and not map.meta.readonly and custom.columns(map)[1] == nil
      and not generated.has_columns(map) and not hooks.generates(map)
    map.is_simple = simple
  end
  return simple
end

local function is_told(listeners)
  return listeners.before_flush or listeners.on_flush or listeners.after_flush or listeners.after_commit
    or listeners.after_rollback
end

local function applies(em)
  if em.touched[1] or next(em.orphans) ~= nil then return false end
  return next(em.context.listeners) == nil or not is_told(em.context.listeners)
end

-- What is written is told of before the flush ends.
local function is_followed(em, map, is_new, is_changed)
  return is_new and hooks.is_heard(em, map.meta, "after_create")
    or is_changed and hooks.is_heard(em, map.meta, "after_update")
end

-- Gather -------------------------------------------------------------------------------------------------------

-- New rows of all shelves come before changed ones. nil: the key of a row was changed, and others may follow it.
local function gathered(em, work)
  local batch = core.flush(em.model, em.context.config.batch_size, core.now())
  for i = 1, #work do
    local part = work[i]
    if part.is_new then batch:inserts(part.shelf.mapping.id, part.shelf) end
  end
  for i = 1, #work do
    local part = work[i]
    if part.slots[1] then
      local ok, same = batch:updates(part.shelf.mapping.id, part.shelf, part.slots)
      if not ok then return nil end
      part.same = same
    end
  end
  gather.check_required(em, batch)
  return batch
end

-- Whether new rows, and slots of rows that may have changed; false: not all of it can be left to the core.
local function pending_of(em, shelf)
  if next(shelf.removed) ~= nil then return false end
  local map, is_new = shelf.mapping, next(shelf.new) ~= nil
  local is_plain = next(shelf.overlay) == nil and is_simple(map)
  if is_new and not is_plain then return false end
  local slots = shelf:dirty(not is_plain and 1 or nil, true)
  if slots[1] and not is_plain or is_followed(em, map, is_new, slots[1] ~= nil) then return false end
  return true, is_new, slots
end

-- Shelves with something to write: `shelf`, `is_new`, `slots`. nil: nothing; false: the short way does not do.
local function pending(em)
  if not applies(em) then return false end
  local work
  for i = 1, #em.order do
    local shelf = em.order[i]
    local is_open, is_new, slots = pending_of(em, shelf)
    if not is_open then return false end
    if is_new or slots[1] then
      work = work or {}
      work[#work + 1] = { shelf = shelf, is_new = is_new, slots = slots }
    end
  end
  return work
end

-- Apply --------------------------------------------------------------------------------------------------------

-- What the database filled in was lost with the connection: it is read again.
local function reread(em, batch)
  for i = 1, batch:count() do
    local _, id, slot = batch:change(i)
    local shelf = em:shelf_of(kinds.map_at(em, id, slot))
    merge.reread(em, shelf.instances[slot])
  end
end

-- Rows that differed in form only ("1.5" and "1.50") get the form that a read gives.
local function settle(batch, part)
  for _, slot in ipairs(part.same or {}) do batch:settle(part.shelf.mapping.id, part.shelf, slot) end
end

local function apply(em, batch, work)
  if em.session:has_marks() then undo.note(em, { kind = "lane", flush = batch, parts = work }) end
  for i = 1, #work do
    local part = work[i]
    local shelf = part.shelf
    if part.is_new then
      part.new = adopters.take_new(shelf)
    end
    batch:apply(shelf.mapping.id, shelf)
    settle(batch, part)
  end
end

-- Run ----------------------------------------------------------------------------------------------------------

local function write(em, batch, state)
  local failed = batch:plan()
  if failed then execute.raise(em, batch, failed) end
  em:open_link()
  execute.run(em, batch, false, state)
  if state.open then transaction.end_flush(em, state) end
  state.done = true
end

local function run(em, work, state)
  if state.seen then
    work = heard.run(em, work, state, pending)
    if not work then return work == nil end
  end
  local batch = gathered(em, work)
  if not batch then return false end
  if batch:count() == 0 then
    for i = 1, #work do settle(batch, work[i]) end
    return true
  end
  write(em, batch, state)
  apply(em, batch, work)
  if state.blind then reread(em, batch) end
  return true
end


---Writes what is pending, if it is all simple. Raises; then nothing in memory has changed.
---@param em table
---@return boolean written false: it takes the long way, from where `em.flushing` says that it is
---@return table|nil state of a flush that failed and has to be broken off
---@return any err
function lane.flush(em)
  local work = pending(em)
  if not work then return work == nil end
  local is_heard = heard.is_wanted(em, work)
  if not is_heard then
    local written, failed, err = single.flush(em, work)
    if written or failed then return written, failed, err end
  end
  -- Hooks may do anything: their flush has a mark.
  local state = is_heard and { mark = undo.mark(em), seen = {} } or {}
  em.flushing = state
  local ok, written = compat.pcall(run, em, work, state)
  if not ok then return false, state, written end
  if state.mark then
    em.hook = false
    if not written then return false end
    undo.forget(em, state.mark)
  end
  em.flushing = false
  return written
end

return lane
