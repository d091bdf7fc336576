--- Apply: what the database gave goes into instances and snapshots, deleted instances leave, and all of it is noted, so
--- that a failure behind it can be undone.
local cascade = require("heddle.relations.cascade")
local collection = require("heddle.collection")
local custom = require("heddle.custom")
local deleted = require("heddle.relations.deleted")
local embedded_settling = require("heddle.embedded.settling")
local normal_form = require("heddle.normal_form")
local null = require("heddle.null")
local renamed = require("heddle.relations.renamed")
local row_state = require("heddle.state")
local undo = require("heddle.undo")

local apply = {}

local function detach_deleted(note, rows)
  for _, row in ipairs(rows) do
    if row.op == "delete" then
      local shelf, slot = row.shelf, row.slot
      note.deleted[#note.deleted + 1] = { shelf = shelf, slot = slot, e = row.e, overlay = shelf.overlay[slot],
        meta = getmetatable(row.e), snapshot = row_state.snapshots(shelf, slot), was_removed = true,
        since = shelf.adopted[slot] }
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
    shelf.overlay[slot] = row_state.new_overlay(shelf, loaded)
  else
    shelf.overlay[slot] = nil
  end
end

-- Hidden values that have no column, and tables that the program may hold.
local function keep_virtual(row)
  local shelf, slot = row.shelf, row.slot
  local overlay = shelf.overlay[slot]
  local kept
  for name, value in pairs(overlay and overlay.hidden or {}) do
    local view = shelf.mapping.props[name]
    local column = view.column
    if not view.stored or view.embedded and value ~= null or column and row_state.is_held(column) and value ~= null
      and not row_state.differs(shelf, column, value, row_state.snapshot(shelf, slot, column.index)) then
      kept = kept or {}
      kept[name] = value
    end
  end
  return kept
end

-- A property of a custom type holds what a read would give.
local function settle_custom(note, row)
  local shelf, slot = row.shelf, row.slot
  for _, column in ipairs(custom.columns(shelf.mapping)) do
    if column.view.raw then
      local image, value = row_state.snapshot(shelf, slot, column.index), rawget(row.e, column.property)
      local is_settled, fresh = normal_form.of(column, value, image)
      if not is_settled then
        note.given[#note.given + 1] = { e = row.e, property = column.property, value = value }
        rawset(row.e, column.property, fresh)
      end
    end
  end
end

-- A row that differed in form only ("1.5" and "1.50") gets the form that a read gives.
local function settle_form(batch, row)
  if row.op ~= "update" or row.index then return end
  batch:settle(row.shelf.mapping.id, row.shelf, row.slot)
  embedded_settling.row(row.shelf, row.slot, {})
end

-- What collections hold is what the database holds now.
local function settle_collections(em, vetoed)
  local touched = em.touched
  em.touched = {}
  for _, list in ipairs(touched) do
    local meta = getmetatable(list.owner)
    if vetoed and vetoed[list.owner] then
      collection.queue(em, list)
    elseif meta.box and meta.box.shelf then
      list:settle()
    end
  end
  cascade.settle(em)
end

-- The row of an instance that is written over another one's was there before: nobody has looked at what leads to it.
local function reopen_collections(batch, rows, note)
  for _, row in ipairs(rows) do
    if row.op == "create" and batch:is_switched(row.index) then
      local shelf, slot = row.shelf, row.slot
      note.reopened[#note.reopened + 1] = { shelf = shelf, slot = slot, adopted = shelf.adopted[slot] }
      shelf.adopted[slot] = nil
      for _, list in pairs(shelf.collections[slot] or {}) do list:reopen() end
    end
  end
end

---For a change set in which nothing changed.
---@param em table
---@param batch userdata
---@param rows table[]
function apply.forms(em, batch, rows)
  for _, row in ipairs(rows) do settle_form(batch, row) end
  settle_collections(em, rows.vetoed)
end

---@param batch userdata
---@param rows table[]
function apply.changes(em, batch, rows)
  local note = { kind = "flush", flush = batch, shelves = {}, deleted = {}, inserted = {}, overlays = {}, given = {},
    emptied = {}, cleared = {}, reopened = {} }
  undo.note(em, note)
  local touched = {}
  for _, row in ipairs(rows) do
    if row.index and not touched[row.shelf] then
      touched[row.shelf] = true
      note.shelves[#note.shelves + 1] = row.shelf
      batch:apply(row.shelf.mapping.id, row.shelf)
    end
  end
  for _, row in ipairs(rows) do
    settle_form(batch, row)
    if row.index and row.op ~= "delete" then
      settle_custom(note, row)
      embedded_settling.row(row.shelf, row.slot, note.given)
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
  settle_collections(em, rows.vetoed)
  reopen_collections(batch, rows, note)
  deleted.follow(em, batch, rows, note)
  renamed.follow(em, rows, note)
end

return apply
