--- Life-cycle hooks of entities and the same events of a context: who is called, when, and what is refused meanwhile.
---
--- `before_*` may change the instance's own values; `after_*` see keys and defaults, still inside the transaction. What
--- they change is taken back when the flush fails. While one runs, `em.hook` says which, and whose coroutine it is.
local compat = require("heddle.compat")
local later = require("heddle.later")
local core = require("heddle.core")
local embedded_writing = later.module("heddle.embedded.writing")
local errors = require("heddle.errors")
local owner = require("heddle.owner")
local undo = later.module("heddle.undo")
local watch = later.module("heddle.flush.watch")

local pcall = compat.pcall

local hooks = {}

-- Calling --------------------------------------------------------------------------------------------------

local function definition_of(e)
  return getmetatable(e).definition
end

local function listening(em, e, event)
  return definition_of(e).hooks[event], em.context.listeners[event]
end

-- The entity's own hook first, then who listens to the context.
local function call(em, e, event, own, listeners)
  local about = { entity = e, em = em, name = event }
  if own then own(e, about) end
  for i = 1, listeners and #listeners or 0 do listeners[i](e, about) end
end

-- Once for all hooks of a flush.
local function owner_of(em)
  local work = em.hook or em.flushing
  if not work then return owner.new() end
  work.owner = work.owner or owner.new()
  return work.owner
end

-- Puts a hook's name on the entity manager while it runs. What raises inside a flush leaves it there: breaking the
-- flush off takes it away.
local function enter(em, event, e)
  em.hook = { event = event, entity = e, owner = owner_of(em), outer = em.hook }
  em.wary = true
end

local function leave(em)
  em.hook = em.hook and em.hook.outer or false
end

---Calls a function as the hook of an event, in a flush or outside of one; whatever it raises, the entity manager is as
---it was before.
function hooks.within(em, event, e, fn, ...)
  enter(em, event, e)
  local results = compat.pack(pcall(fn, ...))
  leave(em)
  if not results[1] then error(results[2], 0) end
  return compat.unpack(results, 2, results.n)
end

---Calls the hook of an event outside of a flush, and who listens: on_init, on_load.
function hooks.call(em, e, event)
  local own, listeners = listening(em, e, event)
  if own or listeners then hooks.within(em, event, e, call, em, e, event, own, listeners) end
end

---Tells those who listen to the context, inside a flush. What is written without the unit of work is no flush to them.
function hooks.tell(em, event, about)
  if em.plain or not em.context.listeners[event] then return end
  watch.open(em)
  enter(em, event)
  em.context:emit(event, about)
  leave(em)
end

---Tells of a commit: every listener, since what has happened has; then raises the first error of theirs, which says so
---when it is one of Heddle's.
---@param set table
function hooks.committed(em, set)
  if not em.context.listeners.after_commit then return end
  local ok, err = hooks.within(em, "after_commit", nil, em.context.emit_all, em.context, "after_commit", set)
  if ok then return end
  if errors.is_error(err) then err.outcome = "committed" end
  error(err, 0)
end

---Tells of a rollback: every listener. The error that led to it is on its way, so one of theirs ends here.
---@param set table
function hooks.rolled_back(em, set)
  if not em.context.listeners.after_rollback then return end
  local ok, err = hooks.within(em, "after_rollback", nil, em.context.emit_all, em.context, "after_rollback", set)
  if not ok then em.context:report("after_rollback", err) end
end

---Whether anybody wants to hear of an event of an entity.
---@param definition table
function hooks.is_heard(em, definition, event)
  return definition.hooks[event] ~= nil or em.context.listeners[event] ~= nil
end

---Calls `before_upsert` or `after_upsert`: before it with an instance that holds the data and belongs to no entity
---manager (what the hook changes in it is what is written), after it with the entity.
---@param map table mapping
---@param when "before"|"after"
---@param e table
function hooks.upsert(em, map, when, e)
  local event = when .. "_upsert"
  if hooks.is_heard(em, map.meta, event) then hooks.call(em, e, event) end
end

-- Refusing -------------------------------------------------------------------------------------------------

-- Those that may change their own instance only.
local alone = { before_create = true, before_update = true, before_delete = true, before_upsert = true }

local function describe(hook)
  return hook.entity and ("%s of %s"):format(hook.event, definition_of(hook.entity).name) or hook.event
end

local function refuse(em, what, hint)
  local inside = em.hook and describe(em.hook) or "a flush that is under way"
  errors.raise("hook", ("em:%s inside %s: %s"):format(what, inside, hint), { context = em.context_name })
end

---Refuses what a `before_*` hook must not do to others. Raises `hook`.
function hooks.guard(em, what)
  if em.hook and alone[em.hook.event] then
    refuse(em, what, "a hook may change its own instance only; before_flush and on_flush may do more")
  end
end

---Refuses to write beside a flush that has not begun to: its failure would not take that back. Raises `hook`.
function hooks.guard_writes(em, what)
  local run = em.flushing
  if run and run.own == nil then
    refuse(em, what, "it would be written before the flush begins its transaction; em:persist in before_flush or "
      .. "on_flush, or write in after_* hooks and after_flush")
  end
end

---Refuses what no hook may do: flush, clear, begin and end transactions. Raises `hook`.
function hooks.refuse(em, what)
  if em.flushing or em.hook then
    refuse(em, what, "it would cut through the work that the hook is part of; call it afterwards, or on em:fork()")
  end
end

-- Before ---------------------------------------------------------------------------------------------------

-- on_create fills what is empty, on_update always.
local function generators(map)
  local list = map.generators
  if not list then
    list = { create = {}, update = {}, delete = {} }
    for _, view in ipairs(map.list) do
      for _, op in ipairs({ "create", "update" }) do
        if view.prop["on_" .. op] or view.embedded and embedded_writing.generates(view.prop, op) then
          list[op][#list[op] + 1] = view
        end
      end
    end
    map.generators = list
  end
  return list
end

---Whether an entity has properties that Heddle fills: `on_create`, `on_update`.
---@return boolean
function hooks.generates(map)
  local list = generators(map)
  return list.create[1] ~= nil or list.update[1] ~= nil
end

local function generate(em, row)
  for _, view in ipairs(generators(getmetatable(row.e).mapping)[row.op]) do
    if view.embedded then
      embedded_writing.generate(em, row.shelf, row.slot, view, row.op)
    elseif row.op == "update" then
      row.e[view.name] = view.prop.on_update(row.e, em)
    elseif row.e[view.name] == nil then
      row.e[view.name] = view.prop.on_create(row.e, em)
    end
  end
end

local before = { create = "before_create", update = "before_update", delete = "before_delete" }
local after = { create = "after_create", update = "after_update", delete = "after_delete" }

local function has_work(em, row)
  return generators(getmetatable(row.e).mapping)[row.op][1] ~= nil
    or not em.plain and hooks.is_heard(em, definition_of(row.e), before[row.op])
end

-- A candidate of the scan may differ in form only ("1.5" and "1.50"): then nothing happened.
-- Asked of a change set that nobody writes; a value that cannot be stored is a change, and is refused later.
local function is_changed(probe, row)
  local shelf, slot, certain = row.shelf, row.slot, false
  local values, mask = shelf:written(slot, function() certain = true end)
  if certain then return true end
  local ok, index = pcall(probe.update, probe, shelf.mapping.id, shelf, slot, values, mask)
  return not ok or index ~= nil
end

-- Only the row's own values change.
local function generate_noted(em, row)
  local note = not em.flushing.watch and undo.note_row(em, "hooks", row.shelf, row.slot)
  generate(em, row)
  if note then undo.narrow(note) end
end

---What calls the `before_*` hook of an entity's rows inside a flush, one after the other, and who listens. While it
---runs, persist and remove refuse: what is to be written has been gathered.
---@param definition table
---@param event string
---@return fun(e: table)
function hooks.before_each(em, definition, event)
  local own, context = definition.hooks[event], em.context
  local hook = { event = event, owner = owner_of(em), outer = em.hook, entity = false }
  return function(e)
    hook.entity = e
    em.hook, em.wary = hook, true
    local about, listeners = { entity = e, em = em, name = event }, context.listeners[event]
    if own then own(e, about) end
    for i = 1, listeners and #listeners or 0 do listeners[i](e, about) end
    em.hook = hook.outer
  end
end

local function call_before(em, row)
  local event = before[row.op]
  local own, listeners = listening(em, row.e, event)
  if em.plain or not own and not listeners then
    generate_noted(em, row)
    return false
  end
  if not em.flushing.watch then watch.open(em) end
  generate(em, row)
  hooks.before_each(em, definition_of(row.e), event)(row.e)
  return true
end

---Runs on_create, on_update and the `before_*` hooks of the rows that have not been seen.
---@param seen table { [instance] = op }
---@return boolean called whether a hook ran, so that there may be more to write
function hooks.before(em, rows, seen)
  local probe
  local called = false
  if em.flushing.watch then watch.open(em) end
  for _, row in ipairs(rows) do
    local works = seen[row.e] ~= row.op and has_work(em, row)
    if works and row.op == "update" then
      probe = probe or core.flush(em.model)
      works = is_changed(probe, row)
    end
    if works then
      seen[row.e] = row.op
      called = call_before(em, row) or called
    end
  end
  return called
end

-- After ----------------------------------------------------------------------------------------------------

---Whether anybody listens between the statements and the commit.
function hooks.listens_after(em, rows)
  if em.context.listeners.after_flush then return true end
  for _, row in ipairs(rows) do
    if hooks.is_heard(em, definition_of(row.e), after[row.op]) then return true end
  end
  return false
end

---Runs the `after_*` hooks.
function hooks.after(em, rows)
  watch.open(em)
  for _, row in ipairs(rows) do
    local event = after[row.op]
    local own, listeners = listening(em, row.e, event)
    if row.index and (own or listeners) then
      enter(em, event, row.e)
      call(em, row.e, event, own, listeners)
      leave(em)
    end
  end
end

return hooks
