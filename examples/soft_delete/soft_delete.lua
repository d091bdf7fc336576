--- Soft delete: a removal becomes an update of `deleted_at`. By `on_flush`, when cascades have said what goes along and
--- nothing has been written yet.
local orm = require("heddle")

local soft_delete = {}

-- Entities that shall really go; they are forgotten with their entity manager.
local doomed = setmetatable({}, { __mode = "k" })

---Makes removals of every entity that has a property `deleted_at` soft.
---@param instance table what orm.instance gives
---@param entities table[]
---@return fun() off ends it
function soft_delete.install(instance, entities)
  local soft = {}
  for _, entity in ipairs(entities) do
    local definition = orm.metadata(entity)
    soft[definition.name] = definition.by_name.deleted_at ~= nil
  end
  return instance:on("on_flush", function(changes)
    for _, change in ipairs(changes) do
      local entity = change.entity
      if change.op == "delete" and soft[change.name] and not doomed[entity] then
        changes.em:persist(entity) -- it stays
        entity.deleted_at = orm.now()
      end
    end
  end)
end

---Removes an entity and its row; what it takes along is deleted softly all the same.
---@param em table
---@param entity table
function soft_delete.purge(em, entity)
  doomed[entity] = true
  em:remove(entity)
end

---Takes a soft delete back at the next flush.
---@param entity table
function soft_delete.restore(entity)
  entity.deleted_at = nil
end

---Methods for the repository of an entity that is deleted softly: `living` is a filter with what hides the dead.
soft_delete.repository = {}

---@param where? table
---@param opts? table
---@return table[]
function soft_delete.repository:living(where, opts)
  local alive = { deleted_at = orm.null }
  return self:find(where and orm.op.all { where, alive } or alive, opts)
end

return soft_delete
