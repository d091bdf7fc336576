--- Watch: what hooks and listeners do to the values of entities, whichever they reach, is noted, so that a flush that
--- fails takes it back and leaves what the program itself had done (F1).
---
--- A watch is opened when the first of them is about to be called. From then on every pending row has its values noted;
--- one that is pending later, and was not before, had those of its snapshot.
local embedded = require("heddle.embedded")
local row_copy = require("heddle.row_copy")
local state = require("heddle.state")
local tree = require("heddle.embedded.tree")
local undo = require("heddle.undo")

local watch = {}

local function slots_of(shelf)
  local slots = shelf:dirty()
  for slot in pairs(shelf.new) do slots[#slots + 1] = slot end
  for slot in pairs(shelf.removed) do slots[#slots + 1] = slot end
  return slots
end

-- The values of a row that nobody had changed.
local function clean_copy(shelf, slot)
  local copy, overlay = row_copy.of(shelf, slot), shelf.overlay[slot]
  local loaded = overlay and overlay.loaded
  for _, column in ipairs(shelf.mapping.columns) do
    if column.view.raw and not column.at then
      local value
      if not loaded or loaded[column.index] then
        value = state.value(column, state.snapshot(shelf, slot, column.index))
      end
      copy.raw[column.property] = value
    end
  end
  for _, view in ipairs(tree.views(shelf.mapping, copy.e)) do
    if view.raw then
      local known = not loaded or loaded[view.stored[1].index]
      local value = rawget(copy.e, view.name)
      copy.raw[view.name] = known and tree.of_snapshot(shelf, slot, view) or nil
      if not (value and embedded.is_owned(value, copy.e, view.name)) then copy.tables[view.name] = nil end
    end
  end
  copy.overlay = loaded and state.new_overlay(shelf, copy.overlay.loaded) or nil
  return copy
end

local function note_pending(em, notes, late)
  for _, shelf in ipairs(em.order) do
    for _, slot in ipairs(slots_of(shelf)) do
      local e = shelf.instances[slot]
      if not notes[e] then
        local note = undo.note_row(em, "hooks", shelf, slot)
        notes[e], notes[#notes + 1] = true, note
        if late and not shelf.new[slot] then note.copy = clean_copy(shelf, slot) end
      end
    end
  end
end

---Opens the watch of a flush, or looks again at what is pending by now.
---@param em table
function watch.open(em)
  local run = em.flushing
  local late = run.watch ~= nil
  run.watch = run.watch or {}
  note_pending(em, run.watch, late)
end

---The hooks that were called are through: only what they changed stays noted.
---@param em table
function watch.close(em)
  local notes = em.flushing.watch
  if not notes then return end
  note_pending(em, notes, true)
  for _, note in ipairs(notes) do
    if note.shelf.instances[note.slot] == note.e then undo.narrow(note) end
  end
  em.flushing.watch = nil
end

return watch
