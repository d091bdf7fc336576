--- One flush, from pending instances to committed rows: cascade, hooks, gather, then the core's plan and batches,
--- apply,
--- commit; or, at any failure, back to where it began (F1).
local blame = require("heddle.blame")
local compat = require("heddle.compat")
local core = require("heddle.core")
local errors = require("heddle.errors")
local hooks = require("heddle.hooks")
local null = require("heddle.null")
local row_state = require("heddle.state")
local transaction = require("heddle.transaction")
local undo = require("heddle.undo")
local wait = require("heddle.wait")

local flush = {}

---Set by manager/writing: makes an unmanaged instance a new row.
---@type fun(em: table, map: table, e: table): table, integer
flush.adopt = nil

-- Pending rows ---------------------------------------------------------------------------------------------

local function sorted(set)
  local list = {}
  for slot in pairs(set) do list[#list + 1] = slot end
  table.sort(list)
  return list
end

-- Unmanaged instances that a persisting cascade reaches from a row become new rows themselves.
local function cascade_row(em, shelf, slot)
  local overlay = shelf.overlay[slot]
  local found = false
  for name, target in pairs(overlay and overlay.rel or {}) do
    local meta = target ~= null and getmetatable(target)
    if meta and not meta.box then
      local prop = shelf.mapping.meta.by_name[name]
      if prop.cascade and not (prop.cascade.persist or prop.cascade.all) then
        errors.raise("not_managed", ("%s.%s: the %s was never persisted, "
          .. "and this relation does not cascade persist"):format(
          shelf.mapping.name, name, meta.definition.name), { context = em.context_name, entity = shelf.mapping.name,
          property = name })
      end
      flush.adopt(em, shelf.mapping.props[name].target, target)
      found = true
    elseif meta and meta.box.shelf == nil then
      errors.raise("not_managed",
        ("%s.%s: the entity manager of the %s is gone; em:merge(it)"):format(shelf.mapping.name,
        name, meta.definition.name), { context = em.context_name, entity = shelf.mapping.name, property = name })
    end
  end
  return found
end

local function cascade(em)
  local again = true
  while again do
    again = false
    -- Adopting may add shelves and overlays: what is walked is a list made before.
    for i = 1, #em.order do
      local shelf = em.order[i]
      for _, slot in ipairs(sorted(shelf.overlay)) do
        if not shelf.removed[slot] and cascade_row(em, shelf, slot) then again = true end
      end
    end
  end
end

---@class heddle.Row { shelf, slot, e, op }

-- Rows in the order of persisting; entities in the order in which they were first used.
local function collect(em)
  local rows = {}
  for _, shelf in ipairs(em.order) do
    for _, slot in ipairs(sorted(shelf.new)) do
      rows[#rows + 1] = { shelf = shelf, slot = slot, e = shelf.instances[slot], op = "create" }
    end
  end
  for _, shelf in ipairs(em.order) do
    for _, slot in ipairs(shelf:dirty()) do
      rows[#rows + 1] = { shelf = shelf, slot = slot, e = shelf.instances[slot], op = "update" }
    end
  end
  for _, shelf in ipairs(em.order) do
    for _, slot in ipairs(sorted(shelf.removed)) do
      rows[#rows + 1] = { shelf = shelf, slot = slot, e = shelf.instances[slot], op = "delete" }
    end
  end
  return rows
end

-- Gather ---------------------------------------------------------------------------------------------------

local function add_row(batch, row, links)
  local shelf, slot = row.shelf, row.slot
  local id = shelf.mapping.id
  if row.op == "delete" then
    row.index = batch:delete(id, shelf, slot)
    return
  end
  local values, mask = shelf:written(slot, function(view, target)
    links[#links + 1] = { row = row, view = view, target = target }
  end)
  if row.op == "create" then
    row.index = batch:insert(id, shelf, slot, values)
  else
    -- A foreign key to a row without key is a change whatever it was before.
    row.pending = links[#links] and links[#links].row == row
    row.index = batch:update(id, shelf, slot, values, mask)
  end
end

-- Foreign keys to rows that get their key in this flush.
local function add_links(batch, rows, links)
  if #links == 0 then return end
  local index_of = {}
  for _, row in ipairs(rows) do
    if row.index then index_of[row.e] = row.index end
  end
  for _, link in ipairs(links) do
    local row = link.row
    row.index = row.index or batch:touch(row.shelf.mapping.id, row.shelf, row.slot)
    for i, column in ipairs(link.view.columns) do
      batch:pending(row.index, column.index, index_of[link.target], link.view.target.key[i].index)
    end
  end
end

local function raise_missing(em, batch)
  local index, property = batch:missing()
  if not index then return end
  local _, id = batch:change(index)
  local map = em.mappings.list[id + 1]
  errors.raise("validation", ("%s.%s is required and has no value"):format(map.name, property),
    { context = em.context_name, entity = map.name, property = property })
end

local function gather(em, rows)
  local batch = core.flush(em.model, em.context.config.batch_size, core.now())
  local links = {}
  for _, row in ipairs(rows) do add_row(batch, row, links) end
  add_links(batch, rows, links)
  raise_missing(em, batch)
  return batch
end

-- Failure --------------------------------------------------------------------------------------------------

local function key_text(shelf, slot)
  local key = { shelf:key(slot) }
  for i = 1, #key do key[i] = tostring(key[i]) end
  return #key > 0 and table.concat(key, ",") or "new"
end

-- The core's record in the words of the program: which row, and what to do.
local function raise_record(em, batch, record, index)
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

-- Execution ------------------------------------------------------------------------------------------------

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
local function execute(em, batch, rows, listened)
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
      raise_record(em, batch, record, index)
    end
    batch:replan()
    local failed = batch:plan()
    if failed then blame.raise(em.context, failed) end
  end
end

-- Apply ----------------------------------------------------------------------------------------------------

local function keep_snapshot(shelf, slot)
  local values = {}
  for index = 1, shelf.width do values[index] = row_state.snapshot(shelf, slot, index) end
  return values
end

local function detach_deleted(note, rows)
  for _, row in ipairs(rows) do
    if row.op == "delete" then
      local shelf, slot = row.shelf, row.slot
      note.deleted[#note.deleted + 1] = { shelf = shelf, slot = slot, e = row.e, overlay = shelf.overlay[slot],
        meta = getmetatable(row.e), snapshot = keep_snapshot(shelf, slot) }
      shelf:release(slot)
    end
  end
end

-- Relations and hidden values that are written stand in the snapshot now.
local function settle_overlay(note, row)
  local shelf, slot = row.shelf, row.slot
  local overlay = shelf.overlay[slot]
  if not overlay then return end
  note.overlays[#note.overlays + 1] = { shelf = shelf, slot = slot, overlay = overlay }
  if overlay.loaded then
    local loaded = {}
    for index in pairs(overlay.loaded) do loaded[index] = true end
    for index in pairs(overlay.assigned) do loaded[index] = true end
    shelf.overlay[slot] = { rel = {}, hidden = {}, assigned = {}, loaded = loaded }
  else
    shelf.overlay[slot] = nil
  end
end

local function keep_virtual(row)
  local overlay = row.shelf.overlay[row.slot]
  local kept
  for name, value in pairs(overlay and overlay.hidden or {}) do
    local view = row.shelf.mapping.props[name]
    if not view.column then
      kept = kept or {}
      kept[name] = value
    end
  end
  return kept
end

local function apply(batch, rows, note)
  local touched = {}
  for _, row in ipairs(rows) do
    if row.index and not touched[row.shelf] then
      touched[row.shelf] = true
      note.shelves[#note.shelves + 1] = row.shelf
      batch:apply(row.shelf.mapping.id, row.shelf)
    end
  end
  for _, row in ipairs(rows) do
    if row.index and row.op ~= "delete" then
      local kept = keep_virtual(row)
      settle_overlay(note, row)
      if kept then row_state.overlay(row.shelf, row.slot).hidden = kept end
      if row.op == "create" then
        note.inserted[#note.inserted + 1] = { shelf = row.shelf, slot = row.slot }
        row.shelf.new[row.slot] = nil
      end
    end
  end
  detach_deleted(note, rows)
end

-- The whole ------------------------------------------------------------------------------------------------

local function changes_of(em, batch, rows)
  local changes = { context = em.context_name }
  for _, row in ipairs(rows) do
    if row.index then
      changes[#changes + 1] = hooks.change(batch, row)
    end
  end
  return changes
end

local function run_flush(em, state)
  em.context:emit("before_flush", { em = em })
  cascade(em)
  local rows = collect(em)
  if #rows == 0 then return end
  hooks.before(em, rows)
  cascade(em)
  local batch = gather(em, rows)
  if batch:count() == 0 then return end
  local listened = not em.plain and hooks.listens_after(em, rows)
  local changes = (em.context.listeners.after_commit or em.context.listeners.after_flush) and changes_of(em, batch,
    rows)
  local failed = batch:plan()
  if failed then raise_record(em, batch, failed) end
  em:open_link()
  state.commits, state.own = execute(em, batch, rows, listened)
  state.written = true
  local note = { kind = "flush", flush = batch, shelves = {}, deleted = {}, inserted = {}, overlays = {} }
  undo.note(em, note)
  apply(batch, rows, note)
  if listened then hooks.after(em, rows) end
  em.context:emit("after_flush", changes)
  if state.commits then transaction.commit_flush(em) end
  if not state.own then em.link:release() end
  state.done = true
  if state.own then
    em.context:emit("after_commit", changes)
  else
    transaction.collect_changes(em, changes)
  end
end

-- What is on its way when something fails behind the body: a hook, the commit.
local function abandon(em, state)
  if state.written and not state.done and (state.commits or not state.own) and not em.outcome_unknown then
    pcall(transaction.undo_flush, em, state.own)
  end
end

---Writes what is pending. Raises; then entities and bookkeeping are as they were before it.
---@param em table
function flush.flush(em)
  if em.flushing then
    errors.raise("hook", "flush inside a hook: a flush is under way, and what a hook changes is written by it",
      { context = em.context_name })
  end
  transaction.check_usable(em)
  em.flushing = true
  local mark, state = undo.mark(em), {}
  local ok, err = pcall(run_flush, em, state)
  if not ok and not state.done then
    abandon(em, state)
    undo.rollback(em, mark)
  else
    undo.forget(em, mark)
  end
  em.flushing = false
  if not ok then error(err, 0) end
end

return flush
