--- Life-cycle hooks of entities and the same events of a context.
---
--- `before_*` may change the instance's own values, and what they changed is taken back when the flush fails; `after_*`
--- see keys and defaults, still inside the transaction.
local core = require("heddle.core")
local custom = require("heddle.custom")
local errors = require("heddle.errors")
local null = require("heddle.null")
local undo = require("heddle.undo")

local hooks = {}

local function listener(em, row, event)
  local hook = row.shelf.mapping.meta.hooks[event]
  return hook, em.context.listeners[event]
end

local function call(em, row, event)
  local hook, listeners = listener(em, row, event)
  local about = { entity = row.e, em = em, name = event }
  if hook then hook(row.e, about) end
  for i = 1, listeners and #listeners or 0 do listeners[i](row.e, about) end
end

-- on_create fills what is empty, on_update always.
local function generators(map)
  local list = map.generators
  if not list then
    list = { create = {}, update = {} }
    for _, view in ipairs(map.list) do
      if view.prop.on_create then list.create[#list.create + 1] = view end
      if view.prop.on_update then list.update[#list.update + 1] = view end
    end
    map.generators = list
  end
  return list
end

local function generate(em, row)
  local made = generators(row.shelf.mapping)
  for _, view in ipairs(row.op == "create" and made.create or {}) do
    if row.e[view.name] == nil then row.e[view.name] = view.prop.on_create(row.e, em) end
  end
  for _, view in ipairs(row.op == "update" and made.update or {}) do
    row.e[view.name] = view.prop.on_update(row.e, em)
  end
end

local function has_work(em, row)
  local made = generators(row.shelf.mapping)
  if row.op ~= "delete" and made[row.op][1] then return true end
  local hook, listeners = listener(em, row, "before_" .. row.op)
  return hook ~= nil or listeners ~= nil
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

-- While a hook runs, em.in_hook makes persist and remove refuse: what is to be written has been gathered.
local function call_before(em, row)
  local event = "before_" .. row.op
  local hook, listeners = listener(em, row, event)
  if not hook and not listeners or em.plain then return false end
  em.in_hook = event .. " of " .. row.shelf.mapping.name
  call(em, row, event)
  em.in_hook = nil
  return true
end

---Runs on_create, on_update and the `before_*` hooks of the rows that have not been seen.
---@param seen table set of instances
---@return boolean called whether a hook ran, so that there may be more to write
function hooks.before(em, rows, seen)
  local probe
  local called = false
  for _, row in ipairs(rows) do
    local works = not seen[row.e] and has_work(em, row)
    if works and row.op == "update" then
      probe = probe or core.flush(em.model)
      works = is_changed(probe, row)
    end
    if works then
      seen[row.e] = true
      local note = undo.note_row(em, "hooks", row.shelf, row.slot)
      generate(em, row)
      called = call_before(em, row) or called
      undo.narrow(note)
    end
  end
  return called
end

---Refuses what a `before_*` hook must not do. Raises `hook`.
function hooks.guard(em, what)
  if not em.in_hook then return end
  errors.raise("hook", ("em:%s inside %s: a hook may change its own instance only; use before_flush"):format(what,
    em.in_hook), { context = em.context_name })
end

---Whether anybody listens between the statements and the commit.
function hooks.listens_after(em, rows)
  local listeners = em.context.listeners
  if listeners.after_flush then return true end
  for _, row in ipairs(rows) do
    local hook, list = listener(em, row, "after_" .. row.op)
    if hook or list then return true end
  end
  return false
end

---Runs the `after_*` hooks.
function hooks.after(em, rows)
  for _, row in ipairs(rows) do
    local event = "after_" .. row.op
    local hook, listeners = listener(em, row, event)
    if row.index and (hook or listeners) then
      local note = row.op ~= "delete" and undo.note_row(em, "hooks", row.shelf, row.slot)
      call(em, row, event)
      if note then undo.narrow(note) end
    end
  end
end

---What a change is to those who are told of it: { op, entity, name, values, old }.
function hooks.change(batch, row)
  local map = row.shelf.mapping
  local values, old = batch:columns(row.index)
  local named, former = {}, {}
  for _, column in ipairs(map.columns) do
    local value, before = values[column.index], old[column.index]
    if value ~= nil then named[column.property] = value == null and null or custom.from_db(column, value) end
    if before ~= nil then former[column.property] = before == null and null or custom.from_db(column, before) end
  end
  return { op = row.op, entity = row.e, name = map.name, values = named, old = former }
end

return hooks
