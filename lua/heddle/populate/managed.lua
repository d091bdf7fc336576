--- The loader of populate for the instances of an entity manager: references become loaded, collections filled.
local find_options = require("heddle.find_options")
local op = require("heddle.op")
local populate = require("heddle.populate")
local relations = require("heddle.relations")

local Loader = {}
Loader.__index = Loader

local managed = {}

---Set by heddle.relations.loading.
---@type fun(em: table, view: table, owners: table[], opts: table): table[]
managed.load = nil

---@param em heddle.EntityManager
---@param opts? table of the query; `refresh`: what is loaded is read again, what was changed in memory dropped
function managed.loader(em, opts)
  return setmetatable({ em = em, opts = opts, refresh = opts and opts.refresh }, Loader)
end

-- Options of one of the loader's own queries.
local function own_options(self, more)
  more.flush_mode = "commit"
  return find_options.shared(self.opts, more)
end

local function fill(self, map, keys, opts)
  for part in populate.parts(map, keys) do self.em:find(map.class, op.one_of(part), opts) end
end

local wanted = { reference = true }
local refreshed = { reference = true, partial = true, managed = true }

-- Reads rows that are not loaded.
local function load_rows(self, map, list)
  local shelf, keys = self.em:shelf_of(map), {}
  local states = self.refresh and refreshed or wanted
  for _, e in ipairs(list) do
    local slot = shelf.slot_of[e]
    if slot and states[shelf:state(slot)] then keys[#keys + 1] = shelf:program_key(slot) end
  end
  fill(self, map, keys, own_options(self, { refresh = self.refresh }))
end

local function overlay_of(e)
  local meta = getmetatable(e)
  return meta.overlay and meta.overlay[meta.slot_of[e]]
end

-- What a relation leads to; nil for one that was not read.
local function target_of(e, view)
  local overlay = overlay_of(e)
  local loaded = overlay and overlay.loaded
  if loaded and not loaded[view.columns[1].index] and overlay.rel[view.name] == nil then return nil end
  return e[view.name]
end

-- A one_to_one that was read says what its other side holds, unless it was assigned.
local function fill_inverse(e, view, target)
  local overlay = overlay_of(e)
  if not getmetatable(e).box or overlay and overlay.rel[view.name] ~= nil then return end
  local state = relations.collection(target, view.inverse.name)
  if not state.initialized then state:fill({ e }) end
end

---Loads the targets of a relation that are only references; gives all targets, each once.
function Loader:targets(view, list)
  local seen, targets = {}, {}
  for _, e in ipairs(list) do
    local target = target_of(e, view)
    if target ~= nil and not seen[target] then
      seen[target] = true
      targets[#targets + 1] = target
    end
    if target ~= nil and view.kind == "one_to_one" and view.inverse then fill_inverse(e, view, target) end
  end
  load_rows(self, view.target, targets)
  return targets
end

---Loads the members of a relation that are not known; gives all members, each once.
function Loader:members(_, view, list)
  local seen, all = {}, {}
  managed.load(self.em, view, list, own_options(self, { refresh = self.refresh }))
  for _, e in ipairs(list) do
    for _, member in ipairs(relations.collection(e, view.name):known()) do
      if not seen[member] then
        seen[member] = true
        all[#all + 1] = member
      end
    end
  end
  return all
end

local function lacks(overlay, views)
  if not overlay or not overlay.loaded then return false end
  for _, view in ipairs(views) do
    local index = view.stored[1].index
    if not overlay.loaded[index] and not overlay.assigned[index] then return true end
  end
  return false
end

---Loads lazy properties of those that lack them.
function Loader:lazy(map, views, list)
  local shelf, keys, fields = self.em:shelf_of(map), {}, {}
  for i, view in ipairs(views) do fields[i] = view.name end
  for _, e in ipairs(list) do
    local slot = shelf.slot_of[e]
    if slot and lacks(shelf.overlay[slot], views) then keys[#keys + 1] = shelf:program_key(slot) end
  end
  fill(self, map, keys, own_options(self, { fields = fields }))
end

---Loads those of a list that are references.
function Loader:rows(map, list)
  load_rows(self, map, list)
end

return managed
