--- Where the values of a managed row stand beside the instance: its snapshot (flat arrays in blocks of 4, 8 .. 256
--- rows,
--- as hydrate.c lays them out) and its overlay (what was assigned and cannot be raw, and what a partial row has
--- loaded). Pure functions over a shelf.
local core = require("heddle.core")
local null = require("heddle.null")

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

---Whether values of a column change inside.
function state.is_mutable(column)
  return column.type == "json" or column.type == "array"
end

---What a value is in the snapshot.
function state.image(column, value)
  if value ~= nil and state.is_mutable(column) then return core.image(value) end
  return value
end

---The value that a snapshot stands for.
function state.value(column, image)
  if image ~= nil and state.is_mutable(column) then return core.from_image(image) end
  return image
end

---Whether a value in memory differs from its snapshot, as far as that can be told without converting.
function state.differs(column, value, image)
  if value == null and not state.is_mutable(column) then value = nil end
  if state.is_mutable(column) and value ~= nil then return not core.same_image(value, image) end
  return value ~= image
end

---The row's overlay, made when it has none: { rel = {}, hidden = {}, loaded = {} or nil, assigned = {} }.
function state.overlay(shelf, slot)
  local overlay = shelf.overlay[slot]
  if not overlay then
    overlay = { rel = {}, hidden = {}, assigned = {} }
    shelf.overlay[slot] = overlay
  end
  return overlay
end

return state
