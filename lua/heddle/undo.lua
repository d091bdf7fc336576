--- Undo of what Lua holds, beside the core's journal of states and keys (F1, F3).
---
--- Every flush and every transaction or savepoint sets a mark. While one is open, what happens to instances is noted:
--- the core keeps the order and gives the notes back, newest first. A transaction's mark also keeps the values that
--- differ from their snapshots at that moment, so that a rollback can give every entity the values it had there.
local later = require("heddle.later")
local held = later.module("heddle.flush.held")
local holders = require("heddle.relations.holders")
local row_copy = later.module("heddle.row_copy")
local state = require("heddle.state")
local tables_of = require("heddle.embedded.tables")
local unopened = later.module("heddle.relations.unopened")

local undo = {}

---Notes something that a rollback has to take back; nothing is noted while no mark is open.
---@param em table
---@param note table
function undo.note(em, note)
  if not em.session:has_marks() then return end
  local token = #em.notes + 1
  em.notes[token] = note
  em.session:note(token)
end

---Notes that an instance became a new row of a shelf; those that come one behind the other are one note.
---@param em table
---@param slot integer
function undo.note_adopted(em, shelf, slot)
  local last = em.notes[#em.notes]
  if last and last.kind == "adopted" and last.last == slot - 1 and last.shelf == shelf
    and last.serial == em.mark_serial then
    last.last = slot
  else
    undo.note(em, { kind = "adopted", shelf = shelf, first = slot, last = slot, serial = em.mark_serial })
  end
end

---Notes what a collection is before it changes.
---@param em table
---@param collection heddle.Collection
function undo.note_collection(em, collection)
  if not em.session:has_marks() then return end
  undo.note(em, { kind = "collection", em = em, collection = collection, image = collection:image() })
end

-- Notes ----------------------------------------------------------------------------------------------------

local reverse = {}

local PARTS = { "rel", "hidden", "assigned" } -- of an overlay

-- The instances are new again.
function reverse.adopted(note)
  for slot = note.last, note.first, -1 do
    if note.shelf.instances[slot] then note.shelf:release(slot, true) end
  end
end

function reverse.forgotten(note)
  note.shelf:adopt(note.e, note.slot, note.since)
end

function reverse.removed(note) note.shelf.removed[note.slot] = nil end

function reverse.kept(note) note.shelf.removed[note.slot] = true end

-- An instance that came after the mark keeps its members, as it keeps its values.
function reverse.collection(note, mark)
  local owner = note.collection.owner
  local meta = getmetatable(owner)
  local shelf, slot = meta.box and meta.box.shelf, meta.slot_of and meta.slot_of[owner]
  local since = shelf and shelf.adopted[slot]
  if since and since >= mark.serial then return note.collection:renew() end
  note.em.is_rewound = true
  note.collection:restore(note.image)
end

-- Lists that were read for many rows, see relations/unopened.lua.
function reverse.unopened(note) unopened.forget(note) end

function reverse.orphan(note) note.em.orphans[note.e] = note.former end

function reverse.orphans(note) note.em.orphans = note.former end

local function shelf_overlay(note, needed)
  return needed and state.overlay(note.shelf, note.slot) or note.shelf.overlay[note.slot]
end

-- What a flush had settled is assigned again, unless the program has assigned something else since.
local function restore_overlay(shelf, slot, former)
  local now = shelf.overlay[slot]
  for _, part in ipairs(now and PARTS or {}) do
    for name, value in pairs(now[part]) do former[part][name] = value end
  end
  shelf.overlay[slot] = former
end

-- In the order of their doing one table may have been changed twice.
local function put_back(given)
  for i = #given, 1, -1 do
    local item = given[i]
    if item.plain then setmetatable(item.e, nil) else rawset(item.e, item.property, item.value) end
  end
end

-- A flush: deleted instances come back, then the core takes its values out of the others.
function reverse.flush(note)
  for _, item in ipairs(note.cleared) do item.related[item.name] = item.value end
  for i = #note.deleted, 1, -1 do
    local item = note.deleted[i]
    item.shelf:reinstate(item.slot, item.e, item.overlay, item.meta, item.snapshot, item.since)
    item.shelf.removed[item.slot] = item.was_removed
  end
  for i = #note.emptied, 1, -1 do
    local item = note.emptied[i]
    state.set_snapshot(item.shelf, item.slot, item.index, item.value)
  end
  for _, shelf in ipairs(note.shelves) do note.flush:revert(shelf.mapping.id, shelf) end
  for i = #note.inserted, 1, -1 do
    local item = note.inserted[i]
    item.shelf.new[item.slot] = true
    if item.overlay then item.shelf.overlay[item.slot] = item.overlay end
  end
  for _, item in ipairs(note.reopened) do item.shelf.adopted[item.slot] = item.adopted end
  for _, item in ipairs(note.overlays) do restore_overlay(item.shelf, item.slot, item.overlay) end
  put_back(note.given)
  local given = note.flush:given()
  for i = 1, given and #given or 0, 3 do rawset(given[i], given[i + 1], given[i + 2]) end
end

-- A flush that took the short way.
function reverse.lane(note)
  for _, part in ipairs(note.parts) do
    note.flush:revert(part.shelf.mapping.id, part.shelf)
    for slot in pairs(part.new or {}) do part.shelf.new[slot] = true end
  end
  local given = note.flush:given()
  for i = 1, given and #given or 0, 3 do rawset(given[i], given[i + 1], given[i + 2]) end
end

function reverse.adopted_values(note) put_back(note.given) end

function reverse.detached(note)
  local shelf, slot = note.shelf, note.slot
  shelf:reinstate(slot, note.e, note.overlay, note.meta, note.snapshots, note.since)
  shelf.new[slot], shelf.removed[slot] = note.new, note.removed
end

-- Values go back where nobody has changed them since.
local function take_back(note)
  for _, change in ipairs(note.changes) do
    local place = note.e
    if change.part then
      local overlay = shelf_overlay(note, change.before ~= nil)
      place = overlay and overlay[change.part]
    end
    if place and row_copy.is_same(rawget(place, change.name), change.after) then
      rawset(place, change.name, change.tables and tables_of.give_back(change.tables, change.before) or change.before)
    end
  end
end

-- What was changed of a row, without its relations: other sides follow these.
local function without_relations(note)
  local kept, columns = {}, note.shelf.mapping.columns
  for _, change in ipairs(note.changes) do
    local is_relation = change.part == "rel" or change.part == "assigned" and columns[change.name].view.columns
    if not is_relation then kept[#kept + 1] = change end
  end
  return kept
end

-- What hooks did to an instance's values.
function reverse.hooks(note)
  if note.shelf.instances[note.slot] ~= note.e then return end
  if note.copy then return row_copy.restore(note.shelf, note.slot, note.copy) end
  take_back(note)
end

-- The same, of a flush that took the short way.
function reverse.heard(note) held.take_back(note) end

-- A row that was read again.
function reverse.read(note)
  local shelf, slot = note.shelf, note.slot
  if shelf.instances[slot] ~= note.e then return end
  setmetatable(note.e, note.meta)
  for index = 1, shelf.width do state.set_snapshot(shelf, slot, index, note.snapshots[index]) end
  if note.copy then return row_copy.restore(shelf, slot, note.copy) end
  local overlay = shelf_overlay(note, note.loaded ~= nil)
  if overlay then overlay.loaded = note.loaded end
  take_back(note)
end

-- Rows -----------------------------------------------------------------------------------------------------

---Notes a row that a hook or a read is about to change; undo.narrow behind it leaves what was changed.
---@param kind "hooks"|"read"
---@return table note
function undo.note_row(em, kind, shelf, slot)
  local note = { kind = kind, shelf = shelf, slot = slot, e = shelf.instances[slot], copy = row_copy.of(shelf, slot) }
  if kind == "read" then note.meta, note.snapshots = getmetatable(note.e), state.snapshots(shelf, slot) end
  undo.note(em, note)
  return note
end

function undo.narrow(note)
  local copy, overlay = note.copy, note.shelf.overlay[note.slot]
  note.changes, note.copy = {}, nil
  note.loaded = copy.overlay and copy.overlay.loaded
  row_copy.compare(note.changes, nil, copy.raw, note.e, copy.tables)
  for _, part in ipairs(PARTS) do
    row_copy.compare(note.changes, part, copy.overlay and copy.overlay[part] or {}, overlay and overlay[part] or {})
  end
end

---What hooks did since a mark to the values of a row that is left out is taken back: they will run again.
---@param e table
function undo.leave_out(em, mark, e)
  for token = #em.notes, mark.notes + 1, -1 do
    local note = em.notes[token]
    if note.kind == "hooks" and note.e == e then
      if note.copy then undo.narrow(note) end
      note.changes = without_relations(note)
      take_back(note)
    end
  end
end

-- Marks ----------------------------------------------------------------------------------------------------

---A mark for a flush: bookkeeping only.
function undo.mark(em)
  local counts = {}
  for _, shelf in ipairs(em.order) do counts[shelf] = shelf.shelf:count() end
  em.mark_serial = em.mark_serial + 1
  return { position = em.session:mark(), counts = counts, session = em.session, serial = em.mark_serial,
    notes = #em.notes }
end

---A mark for a transaction or savepoint: values too.
function undo.mark_values(em)
  local mark = undo.mark(em)
  mark.rows = {}
  for _, shelf in ipairs(em.order) do
    local rows = {}
    for _, slot in ipairs(shelf:dirty()) do rows[slot] = row_copy.of(shelf, slot) end
    for slot in pairs(shelf.new) do rows[slot] = row_copy.of(shelf, slot) end
    for slot in pairs(shelf.removed) do rows[slot] = row_copy.of(shelf, slot) end
    mark.rows[shelf] = rows
  end
  return mark
end

---What the mark guarded stays.
function undo.forget(em, mark)
  if em.session ~= mark.session then return end -- cleared in between
  em.session:forget(mark.position)
  em.mark_serial = em.mark_serial + 1
  if not em.session:has_marks() then em.notes = {} end
end

-- Instances whose slots the core has freed again leave: they came after the mark.
local function release_late(em, mark)
  for _, shelf in ipairs(em.order) do
    for slot = (mark.counts[shelf] or 0) + 1, shelf.shelf:count() do
      if shelf.instances[slot] and shelf:state(slot) == "free" then shelf:release(slot, true) end
    end
  end
end

local function restore_values(em, mark)
  for _, shelf in ipairs(em.order) do
    local rows = mark.rows[shelf] or {}
    for _, slot in ipairs(shelf:dirty()) do
      if not rows[slot] then require("heddle.merge").restore(shelf, slot, shelf.instances[slot]) end
    end
    for slot, copy in pairs(rows) do
      if shelf.instances[slot] == copy.e then row_copy.restore(shelf, slot, copy) end
    end
  end
end

---Returns to a mark. With values (mark_values) every entity that was managed there gets those.
function undo.rollback(em, mark)
  if em.session ~= mark.session then return end
  holders.forget(em)
  for _, token in ipairs(em.session:rollback(mark.position)) do
    local note = em.notes[token]
    em.notes[token] = nil
    if note then reverse[note.kind](note, mark) end
  end
  em.mark_serial = em.mark_serial + 1
  release_late(em, mark)
  if mark.rows then restore_values(em, mark) end
  if not em.session:has_marks() then em.notes = {} end
end

return undo
