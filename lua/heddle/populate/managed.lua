--- The loader of populate for the instances of an entity manager: references become loaded.
local populate = require("heddle.populate")

local Loader = {}
Loader.__index = Loader

local managed = {}

---@param em heddle.EntityManager
function managed.loader(em)
  return setmetatable({ em = em }, Loader)
end

local function fill(self, map, keys, opts)
  for where in populate.filters(map, keys) do self.em:find(map.class, where, opts) end
end

-- What a relation leads to; nil for one that was not read.
local function target_of(e, view)
  local meta = getmetatable(e)
  local overlay = meta.overlay and meta.overlay[meta.slot_of[e]]
  local loaded = overlay and overlay.loaded
  if loaded and not loaded[view.columns[1].index] and overlay.rel[view.name] == nil then return nil end
  return e[view.name]
end

---Loads the targets of a relation that are only references; gives all targets, each once.
function Loader:targets(view, list)
  local shelf = self.em:shelf_of(view.target)
  local seen, targets, keys = {}, {}, {}
  for _, e in ipairs(list) do
    local target = target_of(e, view)
    if target ~= nil and not seen[target] then
      seen[target] = true
      targets[#targets + 1] = target
      local slot = shelf.slot_of[target]
      if slot and shelf:state(slot) == "reference" then keys[#keys + 1] = shelf:program_key(slot) end
    end
  end
  fill(self, view.target, keys, { flush_mode = "commit" })
  return targets
end

local function lacks(overlay, views)
  if not overlay or not overlay.loaded then return false end
  for _, view in ipairs(views) do
    if not overlay.loaded[view.column.index] and not overlay.assigned[view.column.index] then return true end
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
  fill(self, map, keys, { flush_mode = "commit", fields = fields })
end

return managed
