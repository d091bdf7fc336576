--- Where the values of a managed row stand beside the instance: its snapshot (flat arrays in blocks of 4, 8 .. 256
--- rows,
--- as hydrate.c lays them out) and its overlay (what was assigned and cannot be raw, and what a partial row has
--- loaded). Pure functions over a shelf.
local later = require("heddle.later")
local core = require("heddle.core")
local custom = later.module("heddle.custom")
local null = require("heddle.null")
local op = later.module("heddle.op")

local state = {}

-- Block and first row of the slots below 252, which lie in the small blocks.
local block_of, first_of = {}, {}
do
  local slot, size, block = 1, 4, 1
  while size < 256 do
    for i = slot, slot + size - 1 do block_of[i], first_of[i] = block, slot end
    slot, size, block = slot + size, size * 2, block + 1
  end
end
local SMALL, SMALL_BLOCKS = #block_of, 6

local function locate(slot, columns)
  if slot <= SMALL then return block_of[slot], (slot - first_of[slot]) * columns end
  local at = slot - SMALL - 1
  local row = at % 256
  return SMALL_BLOCKS + 1 + (at - row) / 256, row * columns
end

---The snapshot block of a slot and the index before the row's first column.
---@return table|nil block
---@return integer base
function state.row(shelf, slot)
  local block, base = locate(slot, shelf.width)
  return shelf.blocks[block], base
end

---Snapshot of one column (1-based index): for json and arrays the image, not the value.
function state.snapshot(shelf, slot, index)
  local block, base = locate(slot, shelf.width)
  block = shelf.blocks[block]
  return block and block[base + index]
end

function state.set_snapshot(shelf, slot, index, value)
  local number, base = locate(slot, shelf.width)
  local block = shelf.blocks[number]
  if not block then
    block = {}
    shelf.blocks[number] = block
  end
  block[base + index] = value
end

---Snapshots of all columns of a row.
---@return table values by column index
function state.snapshots(shelf, slot)
  local values = {}
  for index = 1, shelf.width do values[index] = state.snapshot(shelf, slot, index) end
  return values
end

---Rows have more columns than before, behind those that they had.
---@param width integer
function state.widen(shelf, width)
  local rows = {}
  for slot = 1, shelf.shelf:count() do rows[slot] = state.snapshots(shelf, slot) end
  for block in pairs(shelf.blocks) do shelf.blocks[block] = nil end
  shelf.width = width
  for slot, values in pairs(rows) do
    for index, value in pairs(values) do state.set_snapshot(shelf, slot, index, value) end
  end
end

---Whether values of a column change inside.
function state.is_mutable(column)
  return column.type == "json" or column.type == "array"
end

---What a database value is in the snapshot.
function state.image(column, value)
  if value ~= nil and state.is_mutable(column) then return core.image(value) end
  return value
end

---The program's value that a snapshot stands for.
function state.value(column, image)
  if image ~= nil and state.is_mutable(column) then image = core.from_image(image) end
  return custom.from_db(column, image)
end

---Whether reading a value gives a table, or may: one that can change inside.
function state.is_held(column)
  return column.converts or state.is_mutable(column)
end

---Whether a custom type's value is another one than its snapshot, or may be: its form counts unless the type says when
---two values are equal.
function state.is_other(column, value, image)
  if value == nil or value == null or image == nil then return value ~= nil or image ~= nil end
  if op.is_raw(value) then return true end
  local equals, is_other = column.custom.equals, column.custom.is_other
  if is_other then return is_other(value, image) end
  if equals then
    local ok, is_equal = pcall(equals, value, state.value(column, image))
    return not (ok and is_equal) -- what it does not take, to_db may refuse when it is written
  end
  local ok, stored = pcall(custom.to_db, column, value)
  if not ok then return true end
  if state.is_mutable(column) then return not core.same_image(stored, image) end
  return stored ~= image
end

---Whether a program's value is another one than its snapshot, in whatever form. A value that cannot be stored is.
function state.differs(shelf, column, value, image)
  if value == nil or image == nil then return not (value == nil or value == null) or image ~= nil end
  if column.converts then
    if not state.is_other(column, value, image) then return false end
    if value == null or column.custom.equals then return true end
    if column.custom.same then return not column.custom.same(value, image) end
    local ok, stored = pcall(custom.to_db, column, value)
    if not ok then return true end
    value = stored
  end
  return not shelf.shelf:same(column.index, value, image)
end

---Whether two values of the program's are one to the database.
function state.is_equal(shelf, column, a, b)
  local ok, stored = pcall(custom.to_db, column, b)
  return ok and not state.differs(shelf, column, a, state.image(column, stored))
end

---Whether a relation that was assigned points elsewhere than its snapshot.
function state.points_elsewhere(shelf, slot, view, target)
  local meta = target ~= null and getmetatable(target)
  local other = meta and meta.box and meta.box.shelf
  local key = other and other:row_key(meta.slot_of[target]) or {}
  if meta and #key == 0 then return true end
  for i, column in ipairs(view.columns) do
    if key[i] ~= state.snapshot(shelf, slot, column.index) then return true end
  end
  return false
end

---Whether a row has every column that a query reads unasked.
function state.has_usual(map, overlay)
  if not overlay or not overlay.loaded then return true end
  for _, column in ipairs(map.owned) do
    if not column.lazy and not overlay.loaded[column.index] then return false end
  end
  return true
end

local NONE = {}
local WEAK_KEYS = { __mode = "k" }

---The metatable of a shelf's overlays. Their relations stand in the shelf, which metatables of instances reach weakly:
---what an instance holds, when it outlives its entity manager, is no other instance.
---@param box table
function state.overlays(box)
  return {
    __index = function(overlay, key)
      local shelf = key == "rel" and box.shelf
      return shelf and shelf.related[overlay] or key == "rel" and NONE or nil
    end,
    __newindex = function(overlay, key, value)
      if key == "rel" then box.shelf.related[overlay] = value else rawset(overlay, key, value) end
    end,
  }
end

---@param loaded? table set of column indexes, of a partial row
---@return table overlay { rel = {}, hidden = {}, assigned = {}, loaded = }
function state.new_overlay(shelf, loaded)
  if not shelf.related then shelf.related, shelf.overlays = setmetatable({}, WEAK_KEYS), state.overlays(shelf.box) end
  local overlay = setmetatable({ hidden = {}, assigned = {}, loaded = loaded }, shelf.overlays)
  shelf.related[overlay] = {}
  return overlay
end

---The row's overlay, made when it has none.
function state.overlay(shelf, slot)
  local overlay = shelf.overlay[slot]
  if not overlay then
    overlay = state.new_overlay(shelf)
    shelf.overlay[slot] = overlay
  end
  return overlay
end

return state
