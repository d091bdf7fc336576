--- Entities that say `readonly = true`: they are read, and nothing else.
local errors = require("heddle.errors")

local readonly = {}

---Raises `read_only` when the entity is.
---@param em table
---@param map table
---@param what string the call that would write, as "em:persist"
function readonly.check(em, map, what)
  if not map.meta.readonly then return end
  errors.raise("read_only", ("%s: entity '%s' is read only"):format(what, map.name),
    { context = em.context_name, entity = map.name })
end

return readonly
