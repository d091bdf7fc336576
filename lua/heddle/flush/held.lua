--- What rows held before hooks were called, so that what these changed goes back when the flush fails, and nothing
--- else does (F1). Rows that were read are held by what differs from their snapshots: before, and once the hooks are
--- through. New rows, and rows with raw values that are no column's, are held as a whole.
local core = require("heddle.core")
local compat = require("heddle.compat")
local instance = require("heddle.instance")
local row_copy = require("heddle.row_copy")
local state = require("heddle.state")
local undo = require("heddle.undo")

local held = {}

local NIL = {}
local NOBODY = math.huge -- stands behind the last slot of a list

-- Raw properties: their names, and their columns where they have one; whether snapshots tell of all of them.
local function raw_views(map)
  local views = map.raw_views
  if not views then
    views = { names = {}, columns = {}, are_columns = map.members == nil }
    for _, view in ipairs(map.list) do
      if view.raw then
        local n, column = #views.names + 1, view.column
        views.names[n], views.columns[n] = view.name, column
        views.are_columns = views.are_columns and column ~= nil and not column.converts
      end
    end
    map.raw_views = views
  end
  return views
end

-- As a whole ---------------------------------------------------------------------------------------------------

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

local function keep_all(note, shelf, slots)
  local kept = kept_of(note, shelf)
  for k = 1, #slots do
    keep(kept, shelf.instances[slots[k]])
    kept.is_known[slots[k]] = true
  end
end

-- Rows that nobody had changed before the hooks.
local function keep_late(note, shelf, slots)
  local kept = kept_of(note, shelf)
  for k = 1, #slots do
    if not kept.is_known[slots[k]] then keep_clean(kept, shelf, slots[k]) end
  end
end

-- By what differs ----------------------------------------------------------------------------------------------

local HEAD = [[
local same, copy, NIL, rawget = ...
return function(instances, blocks, slots, found)
  local n, first, last, size, block, s = 0, 1, 0, 2, 0
  for k = 1, #slots do
    local slot = slots[k]
    while slot > last do
      first, block = last + 1, block + 1
      if size < 256 then size = size * 2 end
      last, s = first + size - 1, blocks[block]
    end
    local e, base, v = instances[slot], (slot - first) * %d
    if e and s then
      %s
    end
  end
  return n
end
]]

local COLUMN = [[
v = %s
      if %s then
        if v == nil then v = NIL end
        found[n + 1], found[n + 2], found[n + 3] = slot, %d, %s
        n = n + 3
      end]]

local PLAIN, BESIDE = "e[%q]", "rawget(e, %q)"

-- Reads properties as `read` says: of rows with an overlay, what they do not hold is not to be asked for.
local function generate(map, read)
  local parts = {}
  for _, column in ipairs(map.columns) do
    if column.view.raw then
      local i, is_table = column.index, state.is_mutable(column)
      local differs = (is_table and "not same(v, s[base + %d])" or "v ~= s[base + %d]"):format(i)
      parts[#parts + 1] = COLUMN:format(read:format(column.property), differs, i, is_table and "copy(v)" or "v")
    end
  end
  local function same(value, image)
    if value == nil or image == nil then return value == image end
    return core.same_image(value, image)
  end
  local function copy(value) return value == NIL and value or instance.copy(value) end
  local text = HEAD:format(#map.columns, table.concat(parts, "\n      "))
  return assert(compat.load(text, "=heddle.held." .. map.name))(same, copy, NIL, rawget)
end

-- slot, column, value of what differs from the snapshots, by slot and column.
local function differences(shelf, slots)
  local map, found = shelf.mapping, {}
  local find
  if next(shelf.overlay) == nil then
    find = map.find_held or generate(map, PLAIN)
    map.find_held = find
  else
    find = map.find_held_beside or generate(map, BESIDE)
    map.find_held_beside = find
  end
  local n = find(shelf.instances, shelf.blocks, slots, found)
  found[n + 1] = NOBODY
  return found
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

local function add(changes, e, name, before, now)
  local n = changes.n
  changes[n + 1], changes[n + 2], changes[n + 3] = e, name, before
  changes[n + 4], changes.n = instance.copy(now), n + 4
end

-- The value of a column before the hooks; without one it was the snapshot's.
local function add_column(changes, shelf, slot, index, before)
  local e, column = shelf.instances[slot], shelf.mapping.columns[index]
  if before == nil then
    before = state.value(column, state.snapshot(shelf, slot, index))
  elseif before == NIL then
    before = nil
  end
  if e then add(changes, e, column.property, before, rawget(e, column.property)) end
end

-- Two lists of differences, before and now.
local function compare(changes, shelf, before, now)
  local a, b = 1, 1
  local slot, other = before[1], now[1]
  while slot ~= NOBODY or other ~= NOBODY do
    local column, its = before[a + 1], now[b + 1]
    if slot == other and column == its then
      local was, is = before[a + 2], now[b + 2]
      if was ~= is and (was == NIL or is == NIL or not (type(is) == "table" and is_same(was, is, 0))) then
        add_column(changes, shelf, slot, column, was)
      end
      a, b = a + 3, b + 3
      slot, other = before[a], now[b]
    elseif slot < other or slot == other and column < its then
      add_column(changes, shelf, slot, column, before[a + 2])
      a = a + 3
      slot = before[a]
    else
      add_column(changes, shelf, other, its)
      b = b + 3
      other = now[b]
    end
  end
end

-- What differs from what was kept of rows as a whole.
local function compare_kept(changes, kept)
  local names, values = kept.names, kept.values
  local n, width = 0, #names
  for k = 1, #kept.rows do
    local e = kept.rows[k]
    for i = 1, width do
      local before, now = values[n + i], rawget(e, names[i])
      if before == NIL then before = nil end
      if now ~= before and not (type(now) == "table" and is_same(before, now, 0)) then
        add(changes, e, names[i], before, now)
      end
    end
    n = n + width
  end
end

-- Notes --------------------------------------------------------------------------------------------------------

---Notes what rows hold, for `held.close` and whoever takes the flush back.
---@param em table
---@param work table[] as the lane has it
---@param new_slots fun(part: table): integer[]
---@return table note `before`: by shelf, what differs from its snapshots
function held.open(em, work, new_slots)
  local note = { kind = "heard", kept = {}, before = {} }
  for i = 1, #work do
    local part = work[i]
    local shelf = part.shelf
    if part.is_new then keep_all(note, shelf, new_slots(part)) end
    if raw_views(shelf.mapping).are_columns then
      note.before[shelf] = differences(shelf, part.slots)
    else
      keep_all(note, shelf, part.slots)
    end
  end
  undo.note(em, note)
  return note
end

local NONE = { NOBODY }

local function close_shelf(note, shelf, slots)
  if raw_views(shelf.mapping).are_columns then
    local before = note.before[shelf] or NONE
    note.before[shelf] = nil
    if slots[1] or before ~= NONE then compare(note.changes, shelf, before, differences(shelf, slots)) end
  elseif slots[1] then
    keep_late(note, shelf, slots)
  end
end

---The hooks are through: only what they changed stays noted.
---@param em table
---@param note table
---@param work? table[] what is pending by now, if that is known
function held.close(em, note, work)
  note.changes = { n = 0 }
  if work then
    for i = 1, #work do close_shelf(note, work[i].shelf, work[i].slots) end
    for shelf, before in pairs(note.before) do compare(note.changes, shelf, before, NONE) end
  else
    for _, shelf in ipairs(em.order) do close_shelf(note, shelf, shelf:dirty()) end
  end
  for _, kept in pairs(note.kept) do compare_kept(note.changes, kept) end
  note.kept, note.before = nil, nil
end

---Values go back where nobody has changed them since.
---@param note table
function held.take_back(note)
  local changes = note.changes
  for k = 1, changes.n, 4 do
    local e, name = changes[k], changes[k + 1]
    if row_copy.is_same(rawget(e, name), changes[k + 3]) then rawset(e, name, changes[k + 2]) end
  end
end

return held
