--- Flush mode "auto": what is pending is written before a query that would read it.
local later = require("heddle.later")
local merge = later.module("heddle.merge")

local auto_flush = {}

-- Whether members of a collection that leads to this mapping, or through this pivot table, are to be written.
local function has_members(self, map)
  for _, state in ipairs(self.touched) do
    local meta = getmetatable(state.owner)
    local view = meta.box and meta.views[state.prop.name]
    if view and (view.target.root == map.root or view.pivot and view.pivot.mapping == map) and state:is_dirty() then
      return true
    end
  end
  return false
end

local function is_pending(self, map)
  local shelf = self.shelves[map]
  if shelf and (next(shelf.new) or next(shelf.removed)) then return true end
  for _, slot in ipairs(shelf and shelf:dirty() or {}) do
    if merge.is_dirty(shelf, slot) then return true end
  end
  for e in pairs(self.orphans) do
    if shelf and shelf.slot_of[e] then return true end
  end
  return self.touched[1] ~= nil and has_members(self, map)
end

---A statement that reads what has changes pending flushes them first.
---@param plan table with what it `reads`
---@param opts? table of the query
function auto_flush.before(self, plan, opts)
  local mode = opts and opts.flush_mode or self.flush_mode
  if mode == "commit" or self.flushing or self.hook then return end
  if mode == "always" then return self:flush() end
  for _, map in ipairs(plan.reads) do
    -- Nobody knows what an expression reads.
    if map.expression or is_pending(self, map) then return self:flush() end
  end
end

return auto_flush
