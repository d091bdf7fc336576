--- Shelf: everything that one entity manager holds of one entity. The core's binding reads its list and the fields
--- kinds, loads, partial_meta and, of families, loaded_meta.
local later = require("heddle.later")
local collection = later.module("heddle.collection")
local core = require("heddle.core")
local custom = require("heddle.custom")
local errors = require("heddle.errors")
local given_key = later.module("heddle.given_key")
local holders = require("heddle.relations.holders")
local instance = require("heddle.instance")
local kinds = require("heddle.kinds")
local leaving = later.module("heddle.leaving")
local scan = later.module("heddle.scan")
local state = require("heddle.state")
local written = require("heddle.written")

local shelf = {}

local WEAK_VALUES = { __mode = "v" }
-- Of what came with many rows the core knows the slots, until somebody asks for one.
local SLOTS = { __mode = "k", __index = core.slot_of }

local Shelf = {}
Shelf.__index = Shelf

---@param em table
---@param map table
function shelf.new(em, map)
  local core_shelf, instances, blocks, overlay = em.session:shelf(em.model, map.id), {}, {}, {}
  -- Numbers as values: safe with weak keys on every interpreter.
  local slot_of = setmetatable({}, SLOTS)
  local self = setmetatable({
    -- What the core looks at in every call (hdl_part).
    core_shelf, instances, slot_of, blocks, overlay, false,
    em = em, mapping = map, width = #map.columns, shelf = core_shelf,
    instances = instances, blocks = blocks, overlay = overlay, slot_of = slot_of, collections = {},
    -- By slot: never written; marked for removal, and about to be read again all the same; when it became a new row,
    -- told by the em's mark_serial.
    new = {}, removed = {}, reread = {}, adopted = {},
  }, Shelf)
  self.box = setmetatable({ shelf = self }, WEAK_VALUES)
  kinds.init(self, map)
  self[6] = self.loaded_meta or false
  return self
end

---The context has a newer mapping of the same table: perhaps new relations that lead here, or more columns behind those
---that there were.
---@param map table
function Shelf:move(map)
  self.mapping, self.shelf = map, self.em.session:shelf(self.em.model, map.id)
  self[1] = self.shelf
  if #map.columns ~= self.width then state.widen(self, #map.columns) end
  kinds.move(self, map)
end

-- Keys -----------------------------------------------------------------------------------------------------

---The key of an instance that is not managed, nil when it is not complete or the entity has none.
function Shelf:given_key(e)
  return given_key.value(e, self.mapping)
end

---Values of the key of a managed row, in order; nothing when it has none yet.
function Shelf:key(slot)
  return self.shelf:key(slot)
end

---Values of the key of a row, also when another one has taken it over because this one is marked for removal.
---@return any[]
function Shelf:row_key(slot)
  local key = { self.shelf:key(slot) }
  if #key > 0 or not self.removed[slot] then return key end
  for i, column in ipairs(self.mapping.key) do key[i] = state.snapshot(self, slot, column.index) end
  return key
end

-- The value that a foreign key column has when it points to a row.
function Shelf:key_part(slot, foreign)
  for i, column in ipairs(foreign.view.columns) do
    if column == foreign then return (select(i, self.shelf:key(slot))) end
  end
end

---Values of the key in the program's form.
---@return any[]
function Shelf:program_key(slot)
  return custom.key(self.mapping.key, { self.shelf:key(slot) }, custom.from_db)
end

---The slot and instance of a key, nil when it is not managed. Raises `validation` for what cannot be a key.
function Shelf:find(key)
  local slot = self.shelf:find(key)
  if slot then return self.instances[slot], slot end
end

-- Coming and going -----------------------------------------------------------------------------------------

local function take_own(self, e, slot)
  local meta = getmetatable(e)
  local own = meta.own
  if not own then return end
  local overlay
  if next(own.lists) then self.collections[slot] = own.lists end
  for name, value in pairs(own.values) do
    overlay = overlay or state.overlay(self, slot)
    local kind = instance.kind_of(meta.definition.by_name[name])
    overlay[kind == "one" and "rel" or "hidden"][name] = value
  end
  for name, key in pairs(own.keys or {}) do
    if own.values[name] == nil then
      overlay = overlay or state.overlay(self, slot)
      overlay.rel[name] = self.em:reference(self.mapping.props[name].target, #key == 1 and key[1] or key)
    end
  end
end

---An unmanaged instance becomes a new row.
---@param slot? integer the one that it had before
---@param since? integer and the mark since which it was there
function Shelf:adopt(e, slot, since)
  slot = slot or self.shelf:add("new")
  self.instances[slot], self.slot_of[e] = e, slot
  self.new[slot] = true
  take_own(self, e, slot)
  holders.note_slot(self, slot)
  setmetatable(e, kinds.meta(self, getmetatable(e).class, "loaded_meta"))
  self.adopted[slot] = since or self.em.mark_serial
  for _, list in pairs(self.collections[slot] or {}) do collection.queue(self.em, list) end
  return slot
end

---A row of which only the key is known.
---@param key any[]
---@param map table of the entity that it is taken for
function Shelf:make_reference(key, map)
  local slot = self.shelf:add("reference")
  local e = {}
  self.shelf:set_key(slot, key)
  self.overlay[slot] = state.new_overlay(self, {})
  for i, column in ipairs(self.mapping.key) do
    local value = select(i, self.shelf:key(slot))
    state.set_snapshot(self, slot, column.index, value)
    self.overlay[slot].loaded[column.index] = true
    if column.view.raw then e[column.property] = custom.from_db(column, value) end
  end
  setmetatable(e, kinds.meta(self, map.class, "reference_meta"))
  self.instances[slot], self.slot_of[e] = e, slot
  return e, slot
end

---A row leaves the entity manager; its instance becomes unmanaged. `keep_slot`: the session has freed it already.
function Shelf:release(slot, keep_slot)
  local e = self.instances[slot]
  if e then
    leaving.take_along(self, e, slot)
    core.leave_slot(self.slot_of, e, slot)
  end
  self.instances[slot], self.overlay[slot], self.collections[slot] = nil, nil, nil
  self.new[slot], self.removed[slot], self.reread[slot], self.adopted[slot] = nil, nil, nil, nil
  for index = 1, self.width do state.set_snapshot(self, slot, index, nil) end
  if not keep_slot then self.shelf:remove(slot) end
end

---Every row that was never written leaves.
function Shelf:release_new()
  local slots = {}
  for slot in pairs(self.new) do slots[#slots + 1] = slot end
  for _, slot in ipairs(slots) do self:release(slot) end
end

---An instance that had left comes back to its slot.
---@param snapshot? table values by column index
---@param since? integer as Shelf:adopt takes it
function Shelf:reinstate(slot, e, overlay, meta, snapshot, since)
  self.adopted[slot] = since
  local own = getmetatable(e).own
  self.collections[slot] = own and next(own.lists) and own.lists or nil
  setmetatable(e, meta)
  self.instances[slot], self.slot_of[e], self.overlay[slot] = e, slot, overlay
  for _, list in pairs(self.collections[slot] or {}) do collection.queue(self.em, list) end
  for index = 1, snapshot and self.width or 0 do state.set_snapshot(self, slot, index, snapshot[index]) end
end

-- States ---------------------------------------------------------------------------------------------------

---For the core, which needs it for the first row that is read in part.
function Shelf:partial_metatable()
  return kinds.meta(self, self.mapping.class, "partial_meta")
end

function Shelf:state(slot)
  return self.shelf:state(slot)
end

---Every column has been loaded: the row is an ordinary managed one.
function Shelf:complete(slot)
  local overlay = self.overlay[slot]
  if overlay then
    overlay.loaded = nil
    if next(overlay.rel) == nil and next(overlay.hidden) == nil then self.overlay[slot] = nil end
  end
  self.shelf:set_state(slot, "managed")
  local e = self.instances[slot]
  setmetatable(e, kinds.meta(self, getmetatable(e).class, "loaded_meta"))
end

---Slots of managed rows that may differ from their snapshots; new and removed ones are not among them.
---@param limit? integer stop after that many
---@param may_guess? boolean rows among others that differ need not
---@return integer[]
function Shelf:dirty(limit, may_guess)
  local found = {}
  scan.of(self.mapping)(self.instances, self.blocks, self.overlay, self.shelf:count(), found, limit or math.huge,
    self.new, self.removed, may_guess)
  return found
end

---Raises `validation` for a second instance of one key.
function Shelf:raise_duplicate(key)
  errors.raise("validation", ("%s#%s is managed already; change that instance (em:find_one gives it), "
    .. "or remove it first")
    :format(self.mapping.name, type(key) == "table" and table.concat(key, ",") or tostring(key)),
    { context = self.mapping.context, entity = self.mapping.name, property = self.mapping.key[1].property })
end

written.add(Shelf)

return shelf
