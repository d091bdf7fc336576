--- Who holds an instance in memory: rows with a relation that was assigned to it, and collections of pairs that have
--- it. Asked when it leaves, or may be an orphan: each costs the same however much is managed.
---
--- Most entity managers are never asked, so what they hold is looked through at the first question; what comes to hold
--- an instance from then on is noted by whoever makes it hold it. What has let go since is passed over. A rollback
--- puts back anything: then it begins anew.
local holders = {}

local WEAK, NONE = { __mode = "k" }, {}

local function note(index, e, holder)
  local set = index[e]
  if not set then
    set = setmetatable({}, WEAK)
    index[e] = set
  end
  set[holder] = true
end

local function note_members(index, list)
  for _, e in ipairs(list:known()) do note(index, e, list) end
end

local function note_slot(known, shelf, slot)
  local overlay = shelf.overlay[slot]
  for _, target in pairs(overlay and overlay.rel or NONE) do note(known.rows, target, shelf.instances[slot]) end
  for _, list in pairs(rawget(shelf.collections, slot) or NONE) do
    if list.prop.kind == "many_to_many" then note_members(known.lists, list) end
  end
end

-- Weak: nothing lives longer for being found here.
local function known_of(em)
  if not em.holders then
    em.holders = { rows = setmetatable({}, WEAK), lists = setmetatable({}, WEAK) }
    for _, shelf in ipairs(em.order) do
      for slot in pairs(shelf.instances) do note_slot(em.holders, shelf, slot) end
    end
  end
  return em.holders
end

---An instance became a managed one, with what it holds.
---@param shelf table
---@param slot integer
function holders.note_slot(shelf, slot)
  if shelf.em.holders then note_slot(shelf.em.holders, shelf, slot) end
end

---A relation of a managed instance leads to another one.
---@param em table
---@param e table
---@param target any
function holders.note_row(em, e, target)
  if em.holders then note(em.holders.rows, target, e) end
end

---A collection has a member.
---@param em table|nil of its owner
---@param list heddle.Collection
---@param e table
function holders.note_member(em, list, e)
  if em and em.holders and list.prop.kind == "many_to_many" then note(em.holders.lists, e, list) end
end

---A collection has all the members that it knows.
---@param em table|nil of its owner
---@param list heddle.Collection
function holders.note_list(em, list)
  if em and em.holders and list.prop.kind == "many_to_many" then note_members(em.holders.lists, list) end
end

---Nothing is known any more.
---@param em table
function holders.forget(em)
  em.holders = nil
end

-- The shelf and the slot of an instance that this entity manager has.
local function place_of(em, e)
  local meta = getmetatable(e)
  local shelf = meta.box and meta.box.shelf
  if shelf and shelf.em == em then return shelf, meta.slot_of[e], meta end
end

---The relations of managed rows that were assigned to an instance.
---@param em table
---@param e table
---@return { shelf: table, slot: integer, overlay: table, view: table }[]
function holders.relations(em, e)
  local found = {}
  for row in pairs(known_of(em).rows[e] or NONE) do
    local shelf, slot, meta = place_of(em, row)
    local overlay = shelf and shelf.overlay[slot]
    for name, target in pairs(overlay and overlay.rel or NONE) do
      if target == e then
        found[#found + 1] = { shelf = shelf, slot = slot, overlay = overlay, view = meta.views[name] }
      end
    end
  end
  return found
end

---The collections of pairs of managed rows that have an instance.
---@param em table
---@param e table
---@return heddle.Collection[]
function holders.lists(em, e)
  local found = {}
  for list in pairs(known_of(em).lists[e] or NONE) do
    if place_of(em, list.owner) and list:has(e) then found[#found + 1] = list end
  end
  return found
end

return holders
