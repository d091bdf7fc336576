--- Cascades of a flush: what is reached by persisting is persisted, what a removal takes along is removed, orphans are
--- deleted. Members that have to be known for it are read.
local errors = require("heddle.errors")
local instance = require("heddle.instance")
local later = require("heddle.later")
local null = require("heddle.null")
local relate = require("heddle.relate")
local relations = require("heddle.relations")
local undo = require("heddle.undo")
local unseen = require("heddle.relations.unseen")

local cascade = {}

---Set by manager/writing: makes an unmanaged instance a new row.
---@type fun(em: table, map: table, e: table): table, integer
cascade.adopt = nil
---Set by manager/writing: marks a managed instance for deletion.
---@type fun(em: table, e: table)
cascade.remove = nil
---Set by relations/loading: reads the members of a relation of several owners.
---@type fun(em: table, view: table, owners: table[])
cascade.load = nil
later.fill(cascade, { ["heddle.manager.writing"] = "adopt remove", ["heddle.relations.loading"] = "load" })

local function sorted(set)
  local list = {}
  for slot in pairs(set) do list[#list + 1] = slot end
  table.sort(list)
  return list
end

local function refuse(em, definition, prop, message)
  errors.raise("not_managed", ("%s.%s: %s"):format(definition.name, prop.name, message),
    { context = em.context_name, entity = definition.name, property = prop.name })
end

-- Persisting -----------------------------------------------------------------------------------------------

-- One that was not managed before is among the fresh ones.
local function reach(em, definition, prop, target, fresh)
  local meta = getmetatable(target)
  if meta.box and meta.box.shelf then return end
  if meta.box then
    refuse(em, definition, prop, ("the entity manager of the %s is gone; em:merge(it)"):format(meta.definition.name))
  elseif meta.context_name and meta.context_name ~= em.context_name then
    em:locate(target, definition.name .. "." .. prop.name)
  elseif meta.is_stored then
    refuse(em, definition, prop, ("the %s has a row but is not managed, it was detached or read so; em:merge(it)")
      :format(meta.definition.name))
  elseif not prop.cascade.persist then
    refuse(em, definition, prop, ("the %s was never persisted, and this relation does not cascade; em:persist(it)")
      :format(meta.definition.name))
  end
  cascade.adopt(em, em:mapping(meta.class), target)
  fresh[#fresh + 1] = target
end

local function persist_row(em, shelf, slot, fresh)
  local overlay = shelf.overlay[slot]
  local definition = getmetatable(shelf.instances[slot]).definition
  for name, target in pairs(overlay and overlay.rel or {}) do
    if target ~= null then reach(em, definition, definition.by_name[name], target, fresh) end
  end
end

-- The owner of a collection, when it is a row that stays.
local function staying(em, state)
  local meta = getmetatable(state.owner)
  local shelf = meta.box and meta.box.shelf
  local slot = shelf and shelf.em == em and meta.slot_of[state.owner]
  if slot and not shelf.removed[slot] then return meta.definition, shelf, slot end
end

local function persist_members(em, state, fresh)
  local definition = staying(em, state)
  for _, e in ipairs(definition and state:known() or {}) do reach(em, definition, state.prop, e, fresh) end
end

-- True when something was not managed before. Each of those is looked at once, however deep they lie.
local function persist_all(em)
  local fresh = {}
  -- Adopting may add shelves, overlays and collections: what is walked is a list made before.
  for i = 1, #em.order do
    local shelf = em.order[i]
    for _, slot in ipairs(sorted(shelf.overlay)) do
      if not shelf.removed[slot] then persist_row(em, shelf, slot, fresh) end
    end
  end
  for i = 1, #em.touched do persist_members(em, em.touched[i], fresh) end
  local at = 1
  while fresh[at] do
    local meta = getmetatable(fresh[at])
    local shelf, slot = meta.box.shelf, meta.slot_of[fresh[at]]
    persist_row(em, shelf, slot, fresh)
    local lists = shelf.collections[slot]
    for _, prop in ipairs(lists and meta.definition.properties or {}) do
      if lists[prop.name] then persist_members(em, lists[prop.name], fresh) end
    end
    at = at + 1
  end
  return fresh[1] ~= nil
end

-- Removing -------------------------------------------------------------------------------------------------

-- Relations of an entity along which a removal goes on.
local function removing_props(definition)
  local list = definition.removing_props
  if not list then
    list = {}
    for _, prop in ipairs(definition.properties) do
      if prop.cascade and (prop.cascade.remove or prop.orphan_removal) then list[#list + 1] = prop end
    end
    definition.removing_props = list
  end
  return list
end
cascade.removing_props = removing_props

local function remove_target(em, target)
  local meta = getmetatable(target)
  local shelf = meta.box and meta.box.shelf
  if not shelf or shelf.em ~= em or shelf.removed[meta.slot_of[target]] then return false end
  cascade.remove(em, target)
  return true
end
cascade.remove_target = remove_target

-- Members of a relation of many owners at once: one query, however many are removed.
local function load_members(em, by_prop)
  if em.flushing.dry then return end
  for prop, owners in pairs(by_prop) do
    local meta = getmetatable(owners[1])
    cascade.load(em, meta.views[prop.name], owners)
  end
end

local function is_readable(e)
  local meta = getmetatable(e)
  local shelf = meta.box and meta.box.shelf
  return shelf ~= nil and not shelf.new[meta.slot_of[e]]
end

-- To-one relations that were not read say nothing of what they take along.
local function complete(em, e, prop)
  if em.flushing.dry then return end
  local _, is_known = relate.peek(e, prop)
  local meta = getmetatable(e)
  local overlay = meta.overlay[meta.slot_of[e]]
  if is_known or not (overlay and overlay.loaded) then return end
  for _, column in ipairs(meta.views[prop.name].columns) do
    if not overlay.loaded[column.index] then
      local key = meta.box.shelf:program_key(meta.slot_of[e])
      em:find(meta.class, key, { flush_mode = "commit", fields = { prop.name }, filters = false })
      return
    end
  end
end

local function removed_rows(em, seen)
  local list = {}
  for _, shelf in ipairs(em.order) do
    for _, slot in ipairs(sorted(shelf.removed)) do
      local e = shelf.instances[slot]
      if not seen[e] and removing_props(getmetatable(e).definition)[1] then list[#list + 1] = e end
    end
  end
  return list
end

local function load_removed(em, list)
  local by_prop = {}
  for _, e in ipairs(list) do
    for _, prop in ipairs(removing_props(getmetatable(e).definition)) do
      if instance.kind_of(prop) == "one" then
        complete(em, e, prop)
      else
        local state = relations.collection(e, prop.name)
        if (not state.initialized or state.replaced or state:is_partial()) and is_readable(e) then
          by_prop[prop] = by_prop[prop] or {}
          table.insert(by_prop[prop], e)
        end
      end
    end
  end
  load_members(em, by_prop)
end

-- What it takes along and was not marked for removal before is fresh.
local function remove_from(em, e, fresh)
  local function take(target)
    if not remove_target(em, target) then return end
    fresh.found = true
    if getmetatable(target).box then fresh[#fresh + 1] = target end -- a new row is none any more
  end
  for _, prop in ipairs(removing_props(getmetatable(e).definition)) do
    if instance.kind_of(prop) == "one" then
      local target = e[prop.name]
      if target ~= nil then take(target) end
    else
      local state = relations.collection(e, prop.name)
      for _, member in ipairs(state:known()) do take(member) end
      -- Those that were set aside belonged to it in the database.
      for _, member in ipairs(state.replaced and state.snapshot or {}) do
        if state:belongs(member) then take(member) end
      end
    end
  end
end

local function remove_level(em, list, seen)
  local fresh = { found = false }
  load_removed(em, list)
  for _, e in ipairs(list) do
    remove_from(em, e, fresh)
    seen[e] = true
  end
  return fresh
end

-- Level by level: each is one query a relation.
local function remove_all(em, seen)
  local list, found = removed_rows(em, seen), false
  while list[1] do
    list = remove_level(em, list, seen)
    found = found or list.found
    if not list[1] then list = removed_rows(em, seen) end
  end
  return found
end

-- Collections that were set without having been read, and orphans ---------------------------------------------

local function settle_replaced(em)
  local by_prop, states = {}, {}
  for i = 1, #em.touched do
    local state = em.touched[i]
    if state.replaced and staying(em, state) then
      states[#states + 1] = state
      if not state.snapshot then
        by_prop[state.prop] = by_prop[state.prop] or {}
        table.insert(by_prop[state.prop], state.owner)
      end
    end
  end
  load_members(em, by_prop)
  for _, state in ipairs(states) do relations.settle_replaced(state) end
end

-- Who has an instance by a relation of one side is known when all that is new was reached.
local function remove_orphans(em, of_one_side)
  local list, found = {}, false
  for e, prop in pairs(em.orphans) do
    local box, has_turn = getmetatable(e).box, (prop.owners ~= nil) == of_one_side
    if has_turn and box and box.shelf and box.shelf.em == em and relations.is_orphan(e, prop) then
      list[#list + 1] = { shelf = box.shelf, slot = getmetatable(e).slot_of[e], e = e }
    end
  end
  table.sort(list, function(a, b)
    if a.shelf ~= b.shelf then return a.shelf.mapping.id < b.shelf.mapping.id end
    return a.slot < b.slot
  end)
  for _, item in ipairs(list) do
    if remove_target(em, item.e) then found = true end
  end
  return found
end

---What cascades from everything that is pending; true when it made more pending.
---@param em table
---@param seen table set of removed instances whose cascades were followed in this flush
---@return boolean
function cascade.run(em, seen)
  local found = false
  repeat
    settle_replaced(em)
    unseen.settle(em)
    local more = remove_orphans(em, false)
    more = remove_all(em, seen) or more
    more = persist_all(em) or more or remove_orphans(em, true)
    found = found or more
  until not more
  return found
end

---Everything that the flush looked after is in order.
---@param em table
function cascade.settle(em)
  if next(em.orphans) then
    undo.note(em, { kind = "orphans", em = em, former = em.orphans })
    em.orphans = {}
  end
end

return cascade
