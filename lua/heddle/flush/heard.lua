--- The hooks of a flush that takes the short way: `before_create` and `before_update` of rows of raw values. What rows
--- hold is kept beside them, without a table for each, and compared once the hooks are through: what these changed goes
--- back when the flush fails, and nothing else does (F1).
local core = require("heddle.core")
local hooks = require("heddle.hooks")
local instance = require("heddle.instance")
local row_copy = require("heddle.row_copy")
local state = require("heddle.state")
local undo = require("heddle.undo")

local heard = {}

local NIL = {}

-- Values of rows -----------------------------------------------------------------------------------------------

-- Types of which two values that differ in Lua, and are of one Lua type, differ in the database.
local CERTAIN = { integer = true, smallint = true, string = true, text = true, boolean = true }

-- Raw properties: their names, and their columns where they have one; columns of which a glance is enough.
local function raw_views(map)
  local views = map.raw_views
  if not views then
    views = { names = {}, columns = {}, certain = {} }
    for _, view in ipairs(map.list) do
      local column = view.raw and view.column
      if view.raw then
        views.names[#views.names + 1] = view.name
        views.columns[#views.names] = column
      end
      local is_certain = column and CERTAIN[column.type] and not (column.array_of or column.version)
      if is_certain then views.certain[#views.certain + 1] = column end
    end
    map.raw_views = views
  end
  return views
end

local function keep(kept, e)
  local names, values = kept.names, kept.values
  local n = #values
  kept.rows[#kept.rows + 1] = e
  for i = 1, #names do
    local value = rawget(e, names[i])
    if value == nil then
      value = NIL
    elseif type(value) == "table" then
      value = instance.copy(value)
    end
    values[n + i] = value
  end
end

-- A row that nobody had changed before the hooks: its snapshot says what it held.
local function keep_clean(kept, shelf, slot)
  local e, columns = shelf.instances[slot], kept.columns
  local n = #kept.values
  keep(kept, e)
  for i = 1, #kept.names do
    local column = columns[i]
    if column then
      local value = state.value(column, state.snapshot(shelf, slot, column.index))
      kept.values[n + i] = value == nil and NIL or value
    end
  end
end

local function kept_of(note, shelf)
  local kept = note.kept[shelf]
  if not kept then
    local views = raw_views(shelf.mapping)
    kept = { names = views.names, columns = views.columns, rows = {}, values = {}, is_known = {} }
    note.kept[shelf] = kept
  end
  return kept
end

local function slots_of(part)
  local slots = {}
  if part.is_new then
    for slot in pairs(part.shelf.new) do slots[#slots + 1] = slot end
    table.sort(slots)
  end
  return slots
end

local function open(em, work)
  local note = { kind = "heard", kept = {} }
  for i = 1, #work do
    local part = work[i]
    local shelf = part.shelf
    local kept = kept_of(note, shelf)
    for _, slots in ipairs({ slots_of(part), part.slots }) do
      for k = 1, #slots do
        keep(kept, shelf.instances[slots[k]])
        kept.is_known[slots[k]] = true
      end
    end
  end
  undo.note(em, note)
  return note
end

local DEEP = 64

-- As row_copy.is_same, which is asked where data are so deep that they may contain themselves.
local function is_same(a, b, depth)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  if depth > DEEP then return row_copy.is_same(a, b) end
  for key, value in next, a do
    local other = rawget(b, key)
    if value ~= other and (type(value) ~= "table" or not is_same(value, other, depth + 1)) then return false end
  end
  for key in next, b do
    if rawget(a, key) == nil then return false end
  end
  return true
end

-- What differs from what was kept: { row, name, before, after, .. }
local function compare(changes, kept)
  local names, values = kept.names, kept.values
  local n, width = 0, #names
  for k = 1, #kept.rows do
    local e = kept.rows[k]
    for i = 1, width do
      local before, now = values[n + i], rawget(e, names[i])
      if before == NIL then before = nil end
      if now ~= before and not (type(now) == "table" and is_same(before, now, 0)) then
        local count = changes.n
        changes[count + 1], changes[count + 2], changes[count + 3] = e, names[i], before
        changes[count + 4], changes.n = instance.copy(now), count + 4
      end
    end
    n = n + width
  end
end

-- Rows that nobody had changed before the hooks.
local function note_late(note, shelf, slots)
  local kept
  for k = 1, #slots do
    kept = kept or kept_of(note, shelf)
    if not kept.is_known[slots[k]] then keep_clean(kept, shelf, slots[k]) end
  end
end

---The hooks are through: only what they changed stays noted.
---@param em table
---@param note table
---@param work? table[] what is pending by now, if that is known
function heard.close(em, note, work)
  if work then
    for i = 1, #work do note_late(note, work[i].shelf, work[i].slots) end
  else
    for _, shelf in ipairs(em.order) do note_late(note, shelf, shelf:dirty()) end
  end
  note.changes = { n = 0 }
  for _, kept in pairs(note.kept) do compare(note.changes, kept) end
  note.kept = nil
end

---Values go back where nobody has changed them since.
---@param note table
function heard.take_back(note)
  local changes = note.changes
  for k = 1, changes.n, 4 do
    local e, name = changes[k], changes[k + 1]
    if row_copy.is_same(rawget(e, name), changes[k + 3]) then rawset(e, name, changes[k + 2]) end
  end
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

local function is_surely_changed(shelf, slot)
  local e, certain = shelf.instances[slot], raw_views(shelf.mapping).certain
  local block, base = state.row(shelf, slot)
  for i = 1, #certain do
    local column = certain[i]
    local value, image = rawget(e, column.property), block[base + column.index]
    if value ~= image and type(value) == type(image) then return true end
  end
  return false
end

-- A row that differs in form only is not told of; one that cannot be stored is, and refused later.
local function is_changed(probe, shelf, slot)
  if is_surely_changed(shelf, slot) then return true end
  local ok, index = pcall(probe.update, probe, shelf.mapping.id, shelf, slot)
  return not ok or index ~= nil
end

local function call(em, shelf, slots, event, seen)
  if not slots[1] or not hooks.is_heard(em, shelf.mapping.meta, event) then return false end
  local probe = event == "before_update" and core.flush(em.model)
  local called = false
  for k = 1, #slots do
    local e = shelf.instances[slots[k]]
    if not seen[e] and (not probe or is_changed(probe, shelf, slots[k])) then
      seen[e], called = probe and "update" or "create", true
      hooks.before_row(em, e, event)
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
  run.heard = open(em, work)
  local called
  repeat
    called = false
    for i = 1, #work do
      called = call(em, work[i].shelf, slots_of(work[i]), "before_create", run.seen) or called
    end
    for i = 1, #work do
      called = call(em, work[i].shelf, work[i].slots, "before_update", run.seen) or called
    end
    if called then work = look(em) end
  until not work or not called
  heard.close(em, run.heard, work)
  run.heard = nil
  return work
end

return heard
