--- The hooks of a flush that takes the short way: `before_create` and `before_update` of rows of raw values. What rows
--- hold before them `held.lua` knows.
local core = require("heddle.core")
local held = require("heddle.flush.held")
local hooks = require("heddle.hooks")

local heard = {}

-- Types of which two values that differ in Lua, and are of one Lua type, differ in the database.
local CERTAIN = { integer = "number", smallint = "number", string = "string", text = "string", boolean = "boolean" }

-- By number, the columns of which a glance is enough: what type their values have in Lua.
local function certain_columns(map)
  local certain = map.certain_columns
  if not certain then
    certain = {}
    for _, view in ipairs(map.list) do
      local column = view.raw and view.column
      local is_certain = column and not (column.array_of or column.version or column.converts)
      if is_certain then certain[column.index] = CERTAIN[column.type] end
    end
    map.certain_columns = certain
  end
  return certain
end

local function slots_of(part)
  local slots = {}
  if part.is_new then
    for slot in pairs(part.shelf.new) do slots[#slots + 1] = slot end
    table.sort(slots)
  end
  return slots
end

-- Calling ------------------------------------------------------------------------------------------------------

---Whether somebody wants to hear of the rows before they are written.
---@param em table
---@param work table[] as the lane has it
---@return boolean
function heard.is_wanted(em, work)
  if em.plain then return false end
  for i = 1, #work do
    local part = work[i]
    local meta = part.shelf.mapping.meta
    if part.is_new and hooks.is_heard(em, meta, "before_create")
      or part.slots[1] and hooks.is_heard(em, meta, "before_update") then
      return true
    end
  end
  return false
end

-- Whether a glance at what differed from its snapshot is enough: `k` is where that of the slot begins, if it is there.
local function is_surely_changed(map, e, slot, k, before)
  local certain = certain_columns(map)
  while before[k] == slot do
    local index, value = before[k + 1], before[k + 2]
    local type_name = certain[index]
    if type_name and type(value) == type_name and e[map.columns[index].property] == value then return true end
    k = k + 3
  end
  return false
end

-- A row that differs in form only is not told of; one that cannot be stored is, and refused later.
local function is_changed(probe, shelf, slot)
  local ok, index = pcall(probe.update, probe, shelf.mapping.id, shelf, slot)
  return not ok or index ~= nil
end

local function call_created(em, shelf, slots, seen)
  if not slots[1] or not hooks.is_heard(em, shelf.mapping.meta, "before_create") then return false end
  local called, tell = false, hooks.before_each(em, shelf.mapping.meta, "before_create")
  for k = 1, #slots do
    local e = shelf.instances[slots[k]]
    if not seen[e] then
      seen[e], called = "create", true
      tell(e)
    end
  end
  return called
end

-- `before`: what of the rows differed from their snapshots before any hook was called, if that is known.
local function call_updated(em, shelf, slots, seen, before)
  local map = shelf.mapping
  if not slots[1] or not hooks.is_heard(em, map.meta, "before_update") then return false end
  local probe, tell = core.flush(em.model), hooks.before_each(em, map.meta, "before_update")
  local instances, called, at = shelf.instances, false, 1
  for k = 1, #slots do
    local slot = slots[k]
    local e = instances[slot]
    if not seen[e] then
      while before and before[at] < slot do at = at + 3 end
      if before and is_surely_changed(map, e, slot, at, before) or is_changed(probe, shelf, slot) then
        seen[e], called = "update", true
        tell(e)
      end
    end
  end
  return called
end

---Calls the hooks of what is pending, and of what is pending because of them, until nobody is left.
---@param em table
---@param work table[]
---@param run table the flush: `seen`, [instance] = op of those whose hooks were called
---@param look fun(em): table[]|nil|false what is pending by now; false when the short way is not enough any more
---@return table[]|nil|false work what `look` said last
function heard.run(em, work, run, look)
  run.heard = held.open(em, work, slots_of)
  local called
  repeat
    called = false
    for i = 1, #work do
      called = call_created(em, work[i].shelf, slots_of(work[i]), run.seen) or called
    end
    for i = 1, #work do
      local shelf = work[i].shelf
      called = call_updated(em, shelf, work[i].slots, run.seen, run.heard.before[shelf]) or called
    end
    if called then work = look(em) end
  until not work or not called
  held.close(em, run.heard, work)
  run.heard = nil
  return work
end

return heard
