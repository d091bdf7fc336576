--- `on_load`: who hears of instances that were made of a row for the first time, once each.
---
--- Those of an entity manager are noted by the hydrator in `shelf.loads` and told when the rows are complete; those of
--- nobody are told by whoever hands them out.
local hooks = require("heddle.hooks")

local loads = {}

---Whether somebody wants to hear of what is loaded of an entity.
---@param em heddle.EntityManager
---@param root table its table's mapping
---@return boolean
function loads.is_heard(em, root)
  for _, map in ipairs(root.members or { root }) do
    if hooks.is_heard(em, map.meta, "on_load") then return true end
  end
  return false
end

---From now on what is loaded for the first time is noted, if somebody wants to hear of it.
function loads.watch(em, shelf)
  shelf.loads = loads.is_heard(em, shelf.mapping) and {} or nil
end

---Calls on_load.
---@param list table[]
function loads.tell(em, list)
  for _, e in ipairs(list) do hooks.call(em, e, "on_load") end
end

---Calls on_load for what was not loaded before.
function loads.settle(em, shelf)
  local list = shelf.loads
  shelf.loads = nil
  if list then loads.tell(em, list) end
end

return loads
