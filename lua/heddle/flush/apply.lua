--- Apply: what the database gave goes into instances and snapshots, deleted instances leave, and all of it is noted, so
--- that a failure behind it can be undone.
local row_state = require("heddle.state")

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

---@param batch userdata
---@param rows table[]
---@param note table the flush's note for undo: shelves, deleted, inserted, overlays
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

return apply
