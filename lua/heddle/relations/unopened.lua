--- Collections that were read and that nobody has looked at yet: lists of members, by relation and slot of the owner.
---
--- Many are read by a populate, and few of them are asked for more than their members, or for anything at all. One
--- becomes a collection when somebody looks for it in `shelf.collections`. Until then nothing has happened to it: who
--- moves a member, removes it or lets go of it looks for the collection first. Only one_to_many relations are read so.
local collection = require("heddle.collection")
local undo = require("heddle.undo")

local unopened = {}

-- The shelf's `collections` does not have a slot: the collections of its owner that were read, if any.
local function open(collections, slot)
  local shelf = getmetatable(collections).shelf
  local lists
  for name, by_slot in pairs(shelf.unopened) do
    local rows = by_slot[slot]
    if rows ~= nil then
      by_slot[slot] = nil
      lists = lists or {}
      local e = shelf.instances[slot]
      lists[name] = collection.read(e, getmetatable(e).definition.by_name[name], rows or {})
    end
  end
  if lists then collections[slot] = lists end
  return lists
end

---What was read of a relation of a shelf's rows; nil when nothing was.
---@param shelf table
---@param name string
---@return table<integer, table[]|false>|nil by slot; false: there are no members
function unopened.of(shelf, name)
  return shelf.unopened and shelf.unopened[name]
end

---Keeps what was read of a relation.
---@param shelf table of the owners
---@param name string the relation's property
---@param lists table<integer, table[]|false> members by slot; they are the shelf's from here on
---@param owners table[] whose they are
function unopened.keep(shelf, name, lists, owners)
  if not shelf.unopened then
    shelf.unopened = {}
    setmetatable(shelf.collections, { __index = open, shelf = shelf })
  end
  local kept = shelf.unopened[name]
  for slot, rows in pairs(kept and lists or {}) do kept[slot] = rows end
  shelf.unopened[name] = kept or lists
  if not shelf.em.session:has_marks() then return end
  local slots = {}
  for i, e in ipairs(owners) do slots[i] = shelf.slot_of[e] end
  undo.note(shelf.em, { kind = "unopened", shelf = shelf, name = name, slots = slots })
end

---They are not known any more: a rollback goes back behind the reading of them.
---@param note table
function unopened.forget(note)
  local by_slot = note.shelf.unopened[note.name]
  note.shelf.em.is_rewound = true
  for _, slot in ipairs(note.slots) do
    local lists = rawget(note.shelf.collections, slot)
    by_slot[slot] = nil
    if lists and lists[note.name] then lists[note.name]:unread() end
  end
end

---Opens those that have one of some instances among their members.
---@param shelf table of the owners
---@param set table<table, true>
function unopened.open_with(shelf, set)
  for _, by_slot in pairs(shelf.unopened) do
    local found = {}
    for slot, rows in pairs(by_slot) do
      for i = 1, rows and #rows or 0 do
        if set[rows[i]] then found[slot] = true end
      end
    end
    for slot in pairs(found) do open(shelf.collections, slot) end
  end
end

return unopened
