--- Members that were removed from a relation while their own side of it was not read: a reference, or what was read in
--- part. Perhaps they are somebody else's. They stay as they are until their rows have been asked, by the next flush at
--- the latest; those that belong to the owner leave it then, as they would have before.
local collection = require("heddle.collection")
local instance = require("heddle.instance")
local later = require("heddle.later")
local relate = require("heddle.relate")
local relations = require("heddle.relations")

local unseen = {}

---Set by heddle.relations.loading: reads a to-one relation's columns where they were not read.
---@type fun(em: table, map: table, name: string, list: table[])
unseen.read = nil
later.fill(unseen, { ["heddle.relations.loading"] = "read" })

local function shelf_of(em, e)
  local meta = getmetatable(e)
  local shelf = meta.box and meta.box.shelf
  return shelf and shelf.em == em and shelf or nil
end

local function is_staying(em, e)
  local shelf = shelf_of(em, e)
  return shelf ~= nil and not shelf.removed[getmetatable(e).slot_of[e]]
end

local function is_pending(em, state)
  return state.removed[1] ~= nil and state.prop.kind ~= "many_to_many" and not state.replaced
    and shelf_of(em, state.owner) ~= nil
end

-- By relation, so that each is one query.
local function note_unread(em, state, groups)
  local view = getmetatable(state.owner).views[state.prop.name]
  for _, e in ipairs(state.removed) do
    local other = relations.partner_of(state.owner, state.prop, e)
    if is_staying(em, e) and relate.is_unread(e, other) then
      local group = groups[view]
      if not group then
        group = { map = view.target, name = other.name }
        groups[view], groups[#groups + 1] = group, group
      end
      group[#group + 1] = e
    end
  end
end

-- It was the owner's, as is known by now.
local function let_go(state, e)
  local other = relations.partner_of(state.owner, state.prop, e)
  if relate.peek(e, other) == state.owner then instance.relate(e, getmetatable(e), other, nil) end
end

---A member that was removed is among those that the database has.
function collection.class.release(state, e)
  if state.prop.kind ~= "many_to_many" then let_go(state, e) end
end

---Asks whose members were removed unseen, and lets go of those that the owners have.
---@param em table
function unseen.settle(em)
  local states, groups = {}, {}
  for i = 1, #em.touched do
    local state = em.touched[i]
    if is_pending(em, state) then
      states[#states + 1] = state
      note_unread(em, state, groups)
    end
  end
  if em.flushing.dry then return end
  for _, group in ipairs(groups) do unseen.read(em, group.map, group.name, group) end
  for _, state in ipairs(states) do
    local list = {}
    for i, e in ipairs(state.removed) do list[i] = e end
    for _, e in ipairs(list) do
      if is_staying(em, e) then let_go(state, e) end
    end
  end
end

return unseen
