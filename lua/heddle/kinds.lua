--- Kinds: the entities whose instances one shelf holds. An ordinary entity's shelf is its only kind itself; where
--- entities share a table, each has metatables of its own, and an instance may turn out to be of another one than was
--- thought: then its metatable is another one, the instance stays.
---
--- A kind is { map, place, loaded_meta, partial_meta, reference_meta }. The binding reads `kinds` of a shelf, by
--- discriminator value, and `place` of a metatable.
local errors = require("heddle.errors")
local family = require("heddle.family")
local instance = require("heddle.instance")
local managed = require("heddle.managed")
local state = require("heddle.state")

local kinds = {}

local METAS = { loaded_meta = "loaded", partial_meta = "partial", reference_meta = "reference" }

local function add_meta(self, kind, map, name)
  kind[name] = managed.metatable(self, map, METAS[name])
  return kind[name]
end

local function add_kind(self, member)
  local kind = { map = member, place = member.place }
  for name in pairs(METAS) do add_meta(self, kind, member, name) end
  self.kind_of[member.class] = kind
  return kind
end

local function note_values(self, root)
  self.kinds = {}
  for value, member in pairs(root.by_value) do self.kinds[value] = self.kind_of[member.class] end
end

---Gives a new shelf its metatables.
---@param self table
---@param root table the mapping of its table
function kinds.init(self, root)
  if not root.members then return add_meta(self, self, root, "loaded_meta") end
  self.kind_of = {}
  for _, member in ipairs(root.members) do add_kind(self, member) end
  note_values(self, root)
end

---The metatable of an entity's instances in a load state. Most shelves never need but one.
---@param self table
---@param class table
---@param name "loaded_meta"|"partial_meta"|"reference_meta"
---@return table
function kinds.meta(self, class, name)
  local kind = self.kind_of and self.kind_of[class] or self
  return kind[name] or add_meta(self, kind, kind.map or self.mapping, name)
end

local function move_metas(self, kind, map)
  for name in pairs(METAS) do
    local meta = kind[name]
    if meta then meta.mapping, meta.views, meta.width = map, map.props, self.width end
  end
end

---Takes up newer mappings of the same entities; there may be more of them.
---@param self table
---@param root table
function kinds.move(self, root)
  if not root.members then return move_metas(self, self, root) end
  for _, member in ipairs(root.members) do
    local kind = self.kind_of[member.class]
    if kind then
      kind.map = member
      move_metas(self, kind, member)
    else
      add_kind(self, member)
    end
  end
  note_values(self, root)
end

---The mapping of the entity that a row of a change set is of.
---@param em table
---@param id integer of the table's mapping
---@param slot integer|nil nil for a pair
---@return table
function kinds.map_at(em, id, slot)
  local map = em.mappings.list[id + 1]
  local e = slot and map.members and em:shelf_of(map).instances[slot]
  return e and family.map_of(e) or map
end

---A reference may be known to be of an entity that extends the one it was taken for.
---@return table e
function kinds.narrow(self, e, map)
  local meta = getmetatable(e)
  if meta.load_state == "reference" and meta.mapping ~= map and family.is_a(map, meta.mapping) then
    setmetatable(e, kinds.meta(self, map.class, "reference_meta"))
  end
  return e
end

-- What of a loaded row still counts when it is of another entity: columns that both have.
local function keep_common(self, slot, e, from, to)
  local common, mine = {}, {}
  for _, column in ipairs(to.owned) do mine[column] = true end
  for _, column in ipairs(from.owned) do
    if mine[column] then
      common[column.index] = true
    else
      state.set_snapshot(self, slot, column.index, nil)
      if column.view.raw then rawset(e, column.view.name, nil) end
    end
  end
  local overlay = state.overlay(self, slot)
  for _, part in ipairs({ overlay.rel, overlay.hidden }) do
    for name in pairs(part) do
      if not to.props[name] then part[name] = nil end
    end
  end
  return overlay, common
end

local load_states = { loaded = "loaded_meta", partial = "partial_meta", reference = "reference_meta" }

---A row says of which entity an instance is.
---@param self table
---@param slot integer
---@param e table
---@param value any of the discriminator
function kinds.become(self, slot, e, value)
  local kind, meta = self.kinds[value], getmetatable(e)
  if kind.map == meta.mapping then return end
  if meta.load_state ~= "reference" then
    local overlay, common = keep_common(self, slot, e, meta.mapping, kind.map)
    if meta.load_state == "loaded" then
      overlay.loaded = common
      self.shelf:set_state(slot, "partial")
      setmetatable(e, kind.partial_meta)
      return
    end
  end
  setmetatable(e, kind[load_states[meta.load_state]])
end

---The metatable of an entity's unmanaged instances that a row was read for; where entities share the table, kinds by
---discriminator value, each with its metatable as `stored_meta`.
---@param map table
---@return table
function kinds.stored(map)
  local root = map.root
  if not root.members then return instance.stored(map.class) end
  if not root.stored then
    root.stored = {}
    for value, member in pairs(root.by_value) do
      root.stored[value] = { place = member.place, stored_meta = instance.stored(member.class) }
    end
  end
  return root.stored
end

---Raises `metadata` for a row of which nobody knows the entity.
---@param root table
---@param value any
function kinds.raise_unknown(root, value)
  local name = root.discriminator.name
  errors.raise("metadata", ("A row of table '%s' has %s in its discriminator '%s', which stands for no entity of "
    .. "context '%s'; register the one with that discriminator_value"):format(root.table,
    value == nil and "NULL" or errors.quote(value), name, root.context),
    { context = root.context, entity = root.name, property = root.meta.discriminator })
end

return kinds
