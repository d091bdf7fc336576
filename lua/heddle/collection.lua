--- Collections in memory: members of a to-many side, or of the inverse side of a one_to_one, which has one at most.
---
--- A collection knows its members (`items`, in order) once it is *initialized*; before, only what was added and
--- removed since the last flush. `snapshot` is what the database holds, as far as it is known. One that was read in
--- part shows these members, and knows of others no more than one that was never read: what is removed from it stands
--- in `removed`. What it and the database make of each other is in `relations/stored.lua`; nothing here knows the other
--- side of a relation.
local holders = require("heddle.relations.holders")
local undo = require("heddle.undo")

---@class heddle.Collection
---@field owner table the instance that it belongs to
---@field prop table the relation's property in the owner's definition
---@field items table[] members in order, when initialized; with `gaps`, members that left stand in it still
---@field initialized boolean
---@field snapshot table[]|nil the database's members; nil while nobody knows them
---@field added table[] in order, while it is not initialized
---@field removed table[] likewise, and of one that was read in part
---@field part heddle.Part|nil what was asked for when it was read, where that was not the usual
---@field fate table<table, "added"|"removed"> which of the two an instance is in
---@field replaced boolean|nil its members were set while the database's were not known
local Collection = { __name = "heddle.collection_state" }
Collection.__index = Collection

local collection = { class = Collection }

---@param owner table
---@param prop table
---@param initialized boolean the owner is new: the database has no members
---@return heddle.Collection
function collection.new(owner, prop, initialized)
  return setmetatable({
    owner = owner, prop = prop, items = {}, initialized = initialized, snapshot = initialized and {} or nil,
    added = {}, removed = {}, fate = {},
  }, Collection)
end

local function copy(list)
  local made = {}
  for i = 1, #list do made[i] = list[i] end
  return made
end
collection.copy = copy

---One whose members were read, and of whom nobody has said anything since.
---@param rows table[] the collection's from here on
---@return heddle.Collection
function collection.read(owner, prop, rows)
  local self = collection.new(owner, prop, false)
  self.items, self.snapshot, self.initialized = copy(rows), rows, true
  return self
end

local function cut(list, e)
  for i = #list, 1, -1 do
    if list[i] == e then return table.remove(list, i) end
  end
end

---The next flush has to look at a collection.
---@param em table|nil
---@param state heddle.Collection
function collection.queue(em, state)
  local touched = em and em.touched
  if not touched or touched[state] then return end
  touched[state], touched[#touched + 1] = true, state
end

-- Undo -----------------------------------------------------------------------------------------------------

-- The entity manager of the owner, when it has one.
local function manager_of(self)
  local box = rawget(getmetatable(self.owner), "box")
  local shelf = box and box.shelf
  return shelf and shelf.em
end

---Everything that changes, for Collection:restore.
function Collection:image()
  return { items = copy(self:members()), initialized = self.initialized, snapshot = self.snapshot,
    added = copy(self.added), removed = copy(self.removed), replaced = self.replaced, part = self.part }
end

---@param image table as Collection:image gives it
function Collection:restore(image)
  for _, field in ipairs({ "items", "initialized", "snapshot", "added", "removed", "replaced", "part" }) do
    self[field] = image[field]
  end
  self.place, self.gaps, self.noted, self.fate = nil, nil, nil, {}
  for _, e in ipairs(self.added) do self.fate[e] = "added" end
  for _, e in ipairs(self.removed) do self.fate[e] = "removed" end
  collection.queue(manager_of(self), self)
end

---Nothing is known of it.
function Collection:unread()
  self:restore({ items = {}, initialized = false, added = {}, removed = {} })
end

---To be called before each change: what it was at the mark that is open.
function Collection:note()
  local em = manager_of(self)
  if em and self.noted ~= em.mark_serial then
    self.noted = em.mark_serial
    undo.note_collection(em, self)
  end
end

---To be called before each change that the program makes: the next flush has to look here.
function Collection:touch()
  collection.queue(manager_of(self), self)
  self:note()
end

---To be called after each change that may give it many members.
function Collection:gained()
  holders.note_list(manager_of(self), self)
end

-- Members --------------------------------------------------------------------------------------------------

---The members of an initialized collection in order. Those that left are closed up when somebody looks, so that many
---can leave at little cost.
---@return table[] items not the caller's to change
function Collection:members()
  if not self.gaps then return self.items end
  local items, place, items_left = self.items, self.place, {}
  for i, e in ipairs(items) do
    if place[e] == i then items_left[#items_left + 1] = e end
  end
  for i, e in ipairs(items_left) do place[e] = i end
  self.items, self.gaps = items_left, nil
  return items_left
end

---Positions of the members, made when they are asked for.
---@return table<table, integer>
function Collection:places()
  local place = self.place
  if not place then
    place = {}
    local items = self:members()
    for i = 1, #items do place[items[i]] = i end
    self.place = place
  end
  return place
end

---Whether only some of the members were read.
---@return boolean
function Collection:is_partial()
  return self.part ~= nil and not self.part.is_whole
end

---Whether an instance is a member; nil when that is not known.
---@return boolean|nil
function Collection:has(e)
  if self.initialized then
    if self:places()[e] then return true end
    if not self:is_partial() then return false end
  end
  local fate = self.fate[e]
  if fate then return fate == "added" end
  return nil
end

---Makes an instance a member. Nothing happens to one that is.
function Collection:take(e)
  if self:has(e) then return end
  self:touch()
  holders.note_member(manager_of(self), self, e)
  if self.fate[e] then cut(self.removed, e) end
  if self.initialized then
    local place = self:places()
    self.items[#self.items + 1] = e
    place[e], self.fate[e] = #self.items, nil
    return
  end
  self.added[#self.added + 1], self.fate[e] = e, "added"
end

---Makes an instance no member any more.
function Collection:drop(e)
  if self:has(e) == false then return end
  self:touch()
  if self.initialized then
    self:places()[e] = nil
    self.gaps = true
    if not self:is_partial() then return end
  elseif self.fate[e] then
    cut(self.added, e)
  end
  self.removed[#self.removed + 1], self.fate[e] = e, "removed"
end

---An instance is a member when the database says so, as far as it is known: what was said of it since is dropped.
function Collection:retract(e)
  self:touch()
  local fate, snapshot = self.fate[e], self.snapshot or {}
  if fate then cut(fate == "added" and self.added or self.removed, e) end
  self.fate[e] = nil
  if not self.initialized then return end
  local place, is_stored = self:places(), false
  for i = 1, #snapshot do is_stored = is_stored or snapshot[i] == e end
  if is_stored and not place[e] then
    holders.note_member(manager_of(self), self, e)
    self.items[#self.items + 1] = e
    place[e] = #self.items
  elseif not is_stored and place[e] then
    place[e], self.gaps = nil, true
  end
end

---All of them are as the database says.
function Collection:revert()
  self:touch()
  self.added, self.removed, self.fate = {}, {}, {}
  if self.initialized then self.items, self.place, self.gaps = copy(self.snapshot), nil, nil end
  self:gained()
end

---The members that are known: all of them, or those that were added.
---@return table[]
function Collection:known()
  return self.initialized and self:members() or self.added
end

---Replaces the members; what leaves and what comes is the caller's to relate.
---@param list table[] each once
function Collection:arrange(list)
  self:touch()
  self.items, self.place, self.gaps = copy(list), nil, nil
end

return collection
