--- What an instance keeps of its row when it leaves its entity manager.
local group = require("heddle.relations.group")
local instance = require("heddle.instance")
local state = require("heddle.state")
local tree = require("heddle.embedded.tree")

local leaving = {}

local function keep_relation(self, map, own, slot, view)
  local key = {}
  for i, column in ipairs(view.columns) do key[i] = state.snapshot(self, slot, column.index) end
  if #key < #view.columns then return end
  own.keys, own.views = own.keys or {}, map.props
  own.keys[view.name] = key
end

local function is_unloaded(overlay, view)
  local column = view.stored and view.stored[1]
  return column and not overlay.loaded[column.index] and not overlay.assigned[column.index]
end

---An instance that leaves its shelf takes along relations, collections, hidden values, and what of it was never loaded.
---@param self table the shelf
---@param e table
---@param slot integer
function leaving.take_along(self, e, slot)
  local overlay = self.overlay[slot] or { rel = {}, hidden = {}, assigned = {} }
  local map = getmetatable(e).mapping
  local class = map.class
  -- There is no row behind what was never written, nor behind what was deleted.
  local has_row = not (self.new[slot] or self.removed[slot])
  setmetatable(e, has_row and instance.stored(class) or instance.unmanaged(class))
  if self.collections[slot] then instance.own(e).lists = self.collections[slot] end
  if self.collections[slot] or overlay.rel and next(overlay.rel) then group.keep(self.em, e) end
  for _, view in ipairs(map.list) do
    local kind = instance.kind_of(view.prop)
    local value = overlay.rel[view.name]
    if kind == "hidden" then
      value = overlay.hidden[view.name]
      if value == nil and view.stored then value = tree.value_of(self, slot, view) end
    end
    if value ~= nil then
      instance.own(e).values[view.name] = value
    elseif overlay.loaded and is_unloaded(overlay, view) then
      local own = instance.own(e)
      own.unloaded = own.unloaded or {}
      own.unloaded[view.name] = true
    elseif kind == "one" and state.snapshot(self, slot, view.columns[1].index) ~= nil then
      keep_relation(self, map, instance.own(e), slot, view)
    end
  end
end

return leaving
