--- The short way of a flush, for what most flushes are: new rows and changed values of entities of which nobody wants
--- to hear, without relations that were touched, removals, embedded values or types of the program's own. Rows are
--- gathered and applied by the core in bulk. Nothing in memory changes before the database has everything, so that
--- there is nothing to take back when it refuses.
local compat = require("heddle.compat")
local core = require("heddle.core")
local custom = require("heddle.custom")
local execute = require("heddle.flush.execute")
local gather = require("heddle.flush.gather")
local generated = require("heddle.generated")
local hooks = require("heddle.hooks")
local kinds = require("heddle.kinds")
local merge = require("heddle.merge")
local transaction = require("heddle.transaction")
local undo = require("heddle.undo")

local lane = {}

-- Whether it applies -------------------------------------------------------------------------------------------

local EVENTS = { "before_create", "before_update", "after_create", "after_update" }

-- What does not change in a mapping's life: its rows are raw values that the core converts by itself.
local function is_simple(map)
  local simple = map.is_simple
  if simple == nil then
    simple = map.root == map and map.members == nil and map.embedded[1] == nil and map.key[1] ~= nil
      and map.expression == nil and not map.meta.readonly and custom.columns(map)[1] == nil
      and not generated.has_columns(map) and not hooks.generates(map)
    for _, event in ipairs(EVENTS) do simple = simple and map.meta.hooks[event] == nil end
    map.is_simple = simple
  end
  return simple
end

local function is_heard(listeners)
  return listeners.before_flush or listeners.on_flush or listeners.after_flush or listeners.after_commit
    or listeners.after_rollback or listeners.before_create or listeners.before_update or listeners.after_create
    or listeners.after_update
end

local function applies(em)
  if em.touched[1] or next(em.orphans) ~= nil or is_heard(em.context.listeners) then return false end
  for i = 1, #em.order do
    local shelf = em.order[i]
    if next(shelf.overlay) ~= nil or next(shelf.removed) ~= nil or not is_simple(shelf.mapping) then return false end
  end
  return true
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

-- Shelves with something to write: `shelf`, whether there are new rows, slots of rows that may have changed.
local function pending(em)
  local work
  for i = 1, #em.order do
    local shelf = em.order[i]
    local is_new, slots = next(shelf.new) ~= nil, shelf:dirty()
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
      part.new = shelf.new
      shelf.new = {}
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
---@return boolean written false: it takes the long way
---@return table|nil state of a flush that failed and has to be broken off
---@return any err
function lane.flush(em)
  if not applies(em) then return false end
  local work = pending(em)
  if not work then return true end
  local state = {}
  em.flushing = state
  local ok, written = compat.pcall(run, em, work, state)
  if not ok then return false, state, written end
  em.flushing = false
  return written
end

return lane
