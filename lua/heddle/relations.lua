--- Relations in memory: the two sides of each follow each other, whichever is written.
---
--- The side with the foreign key has the truth of one_to_many and one_to_one: adding to `author.books` assigns
--- `book.author`, and every assignment of `book.author` moves the book from one collection to the other. Of a
--- many_to_many both sides are collections; what the database gets is read off the owning one.
local collection = require("heddle.collection")
local inherit = require("heddle.inherit")
local group = require("heddle.relations.group")
local holders = require("heddle.relations.holders")
local instance = require("heddle.instance")
local null = require("heddle.null")
local relate = require("heddle.relate")
local undo = require("heddle.undo")

require("heddle.relations.stored")

local relations = {}

-- Where collections stand ----------------------------------------------------------------------------------

-- The table of an instance's collections, and whether its row was new here; nil when its entity manager is gone.
local function lists_of(e, make)
  local meta = getmetatable(e)
  if not meta.box then
    if not make then return meta.own and meta.own.lists, not meta.is_stored end
    return instance.own(e).lists, not meta.is_stored
  end
  local shelf = meta.box.shelf
  if not shelf then return nil end
  local slot = meta.slot_of[e]
  if make and not shelf.collections[slot] then shelf.collections[slot] = {} end
  -- Of a row that was made here all members have passed here too.
  return shelf.collections[slot], shelf.adopted[slot] ~= nil
end

---The collection of an instance, made when it has none yet; nil when its entity manager is gone.
---@param e table
---@param name string the relation's property
---@return heddle.Collection|nil
function relations.collection(e, name)
  local lists, is_new = lists_of(e, true)
  if not lists then return nil end
  local state = lists[name]
  if not state then
    state = collection.new(e, getmetatable(e).definition.by_name[name], is_new)
    lists[name] = state
  end
  return state
end

---The collection of an instance if somebody has had to do with it.
---@return heddle.Collection|nil
function relations.known(e, name)
  local lists = lists_of(e, false)
  return lists and lists[name]
end

local function find_partner(prop, definition, other)
  if prop.mapped_by then return other.by_name[prop.mapped_by] or false end
  for _, candidate in ipairs(other.properties) do
    if candidate.mapped_by == prop.name and inherit.is_named(definition, relate.target_name(candidate)) then
      return candidate
    end
  end
  return false
end

---The property on the other side of a relation; nil when there is none.
---@param prop table a relation of entities with `definition`
---@param definition table
---@param other table definition of the instance that it leads to
---@return table|nil
function relations.partner(prop, definition, other)
  local known = prop.partners
  if not known then
    known = setmetatable({}, { __mode = "k" })
    prop.partners = known
  end
  if known[other] == nil then known[other] = find_partner(prop, definition, other) end
  return known[other] or nil
end

local function partner_of(e, prop, other)
  return relations.partner(prop, getmetatable(e).definition, getmetatable(other).definition)
end
relations.partner_of = partner_of

-- Orphans --------------------------------------------------------------------------------------------------

-- The next flush deletes it unless it has found another place by then: in `prop`, its own side of the relation, or in
-- { owners, name }, the relation that has none.
local function make_orphan(e, prop)
  local box = getmetatable(e).box
  local em = box and box.shelf and box.shelf.em
  if not em then return end
  undo.note(em, { kind = "orphan", em = em, e = e, former = em.orphans[e] })
  em.orphans[e] = prop
end

local function has_owner(e, relation)
  local shelf = relation.owners.shelf
  for _, at in ipairs(shelf and holders.relations(shelf.em, e) or {}) do
    if at.shelf == shelf and at.view.name == relation.name and not shelf.removed[at.slot] then return true end
  end
  return false
end

---Whether an instance still has no place in the relation that it left.
---@param prop table as em.orphans has it
function relations.is_orphan(e, prop)
  if prop.owners then return not has_owner(e, prop) end
  if instance.kind_of(prop) == "one" then
    local target, is_known = relate.peek(e, prop)
    return target == nil and is_known
  end
  local state = relations.known(e, prop.name)
  return not (state and state:known()[1])
end

---Whether the next flush deletes a managed instance as things stand, because it has lost its place.
---@param em table
---@param e table
function relations.is_leaving(em, e)
  local prop = em.orphans[e]
  return prop ~= nil and relations.is_orphan(e, prop)
end

-- The sides follow -----------------------------------------------------------------------------------------

local function leave(e, prop, old)
  local other = partner_of(e, prop, old)
  local state = other and relations.known(old, other.name)
  if state then state:drop(e) end
  if other and other.orphan_removal then make_orphan(e, prop) end
  if prop.orphan_removal then make_orphan(old, other or { owners = getmetatable(e).box or {}, name = prop.name }) end
end

function relate.abandoned(e, prop)
  local meta = getmetatable(e)
  local other = relations.partner(prop, meta.definition, meta.views[prop.name].target.meta)
  if other and other.orphan_removal then make_orphan(e, prop) end
end

local function arrive(e, prop, new)
  local other = partner_of(e, prop, new)
  if not other then return end
  local state = relations.collection(new, other.name)
  if not state then return end
  local former = other.kind == "one_to_one" and state:known()[1]
  if former and former ~= e then instance.relate(former, getmetatable(former), prop, nil) end
  state:take(e)
end

---A to-one relation of an instance leads elsewhere now.
---@param e table
---@param prop table
---@param old table|nil where it led, as far as that is managed
---@param new table|nil
function relations.moved(e, prop, old, new)
  if old == new then return end
  if old then leave(e, prop, old) end
  if new then arrive(e, prop, new) end
end
relate.moved = relations.moved

-- Members --------------------------------------------------------------------------------------------------

-- A member whose row was read again may lead elsewhere by now.
local function add(state, e)
  local owner, prop = state.owner, state.prop
  local other = partner_of(owner, prop, e)
  if prop.kind ~= "many_to_many" then
    if state:has(e) and not relate.leads_elsewhere(e, other, owner) then return end
    instance.relate(e, getmetatable(e), other, owner)
    return state:take(e)
  end
  if state:has(e) then return end
  group.join(owner, e)
  state:take(e)
  if other then relations.collection(e, other.name):take(owner) end
end

local function remove(state, e)
  local is_member = state:has(e)
  if is_member == false then return end
  local owner, prop = state.owner, state.prop
  local other = partner_of(owner, prop, e)
  if prop.kind == "many_to_many" then
    state:drop(e)
    if other then relations.collection(e, other.name):drop(owner) end
    return
  end
  if is_member == nil and relate.is_unread(e, other) then return state:drop(e) end -- see relations/unseen.lua
  if not relate.leads_elsewhere(e, other, owner) then return instance.relate(e, getmetatable(e), other, nil) end
  if state:has(e) then state:drop(e) end
end

local function check_all(state, list)
  for i = 1, #list do relate.check_member(state.owner, state.prop, list[i]) end
end

---@param state heddle.Collection
---@param list table[]
function relations.add(state, list)
  check_all(state, list)
  for i = 1, #list do add(state, list[i]) end
end

---@param state heddle.Collection
---@param list table[]
function relations.remove(state, list)
  check_all(state, list)
  for i = 1, #list do remove(state, list[i]) end
end

---Makes these the members, in this order. Those of a collection that is not loaded are read by the next flush.
---@param state heddle.Collection
---@param list table[]
function relations.set(state, list)
  check_all(state, list)
  local wanted, distinct = {}, {}
  for _, e in ipairs(list) do
    if not wanted[e] then
      wanted[e] = true
      distinct[#distinct + 1] = e
    end
  end
  local former = {}
  for i, e in ipairs(state:known()) do former[i] = e end
  for _, e in ipairs(former) do
    if not wanted[e] then remove(state, e) end
  end
  for _, e in ipairs(distinct) do add(state, e) end
  if state.initialized and not state:is_partial() then state:arrange(distinct) else state:replace(distinct) end
end

---The members of a collection that was replaced are known now: those that are in it no more leave it.
---@param state heddle.Collection
function relations.settle_replaced(state)
  local _, removed = state:differences()
  local owner, prop = state.owner, state.prop
  for _, e in ipairs(removed) do
    local other = partner_of(owner, prop, e)
    if prop.kind == "many_to_many" then
      -- Pairs are written from the owning side: its collection has to be there.
      local back = other and (other.owner and relations.collection or relations.known)(e, other.name)
      if back then back:drop(owner) end
    elseif relate.peek(e, other) == owner then
      instance.relate(e, getmetatable(e), other, nil)
    end
  end
end

-- Pairs that were added and removed since the last flush are not. Nothing is known of them besides: a pair that was
-- removed unseen was perhaps none.
local function revert_pairs(state)
  for _, list in ipairs({ state:differences() }) do
    for _, e in ipairs(list) do
      local other = partner_of(state.owner, state.prop, e)
      if other then relations.collection(e, other.name):retract(state.owner) end
    end
  end
  state:revert()
end

---What was assigned to the relations of an instance is dropped: the other sides follow.
---@param e table managed
---@param columns? table[] of the relations of these columns only
function relations.revert(e, columns)
  local meta = getmetatable(e)
  local shelf, slot = meta.box.shelf, meta.slot_of[e]
  local overlay = shelf.overlay[slot]
  local only = columns and {}
  for _, column in ipairs(columns or {}) do only[column.property] = true end
  for name, target in pairs(overlay and overlay.rel or {}) do
    if not only or only[name] then
      local former = relate.stored(meta, shelf, slot, meta.views[name])
      relations.moved(e, meta.definition.by_name[name], target ~= null and target or nil, former)
    end
  end
  for _, state in pairs(not only and shelf.collections[slot] or {}) do
    if state.prop.kind == "many_to_many" and not state.replaced then revert_pairs(state) end
  end
end

local NONE = {}

---What a relation of an instance leads to, as far as memory knows.
---@return table[]
function relations.members(e, prop)
  local kind = instance.kind_of(prop)
  if kind == "one" then return { (relate.peek(e, prop)) } end
  local state = kind == "many" and relations.known(e, prop.name)
  return state and state:known() or NONE
end

return relations
