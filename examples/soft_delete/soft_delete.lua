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
        entity.deleted_at = entity.deleted_at or orm.now()
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

---What hides the rows that are deleted softly: an entity's option `filters`.
soft_delete.filters = { living = { cond = { deleted_at = orm.null }, default = true } }

---The option of a query that shall find them too.
soft_delete.with_deleted = { filters = { living = false } }

return soft_delete
