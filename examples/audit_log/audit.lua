--- An audit log: who changed what, from which values to which. It is written by `after_flush`, where keys and defaults
--- are known and the transaction of the change is still open: both are committed, or neither.
local orm = require("heddle")

local audit = {}

audit.Entry = orm.entity {
  name = "AuditEntry", table = "audit_entries",
  { "id",     type = "integer", primary = true },
  { "at",     type = "timestamp", on_create = orm.now },
  { "who",    type = "string", nullable = true },
  { "op",     type = "enum", enum = { "create", "update", "delete" } },
  { "entity", type = "string" },
  { "key",    type = "json" },
  { "old",    type = "json" },
  { "new",    type = "json" },
}

-- Hidden properties (password hashes) stay out of the log.
local function visible(definition, values)
  local copy = {}
  for name, value in pairs(values) do
    if not definition.by_name[name].hidden then copy[name] = value end
  end
  return copy
end

local function key_of(definition, entity)
  local key = {}
  for _, property in ipairs(definition.primary) do key[property.name] = entity[property.name] end
  return key
end

---Logs what is written of some entities.
---@param instance table what orm.instance gives
---@param entities table[]
---@param who fun(): string|nil the name of the user who is at work
---@return fun() off ends it
function audit.install(instance, entities, who)
  local definitions = {}
  for _, entity in ipairs(entities) do
    local definition = orm.metadata(entity)
    definitions[definition.name] = definition
  end
  return instance:on("after_flush", function(changes)
    local rows = {}
    for _, change in ipairs(changes) do
      local definition = definitions[change.name]
      if definition and change.op ~= "collection" then
        rows[#rows + 1] = {
          who = who(), op = change.op, entity = change.name, key = key_of(definition, change.entity),
          old = visible(definition, change.old), new = visible(definition, change.values),
        }
      end
    end
    -- Without the unit of work: what a listener of after_flush persists waits for the next flush.
    if rows[1] then changes.em:insert_many(audit.Entry, rows) end
  end)
end

return audit
