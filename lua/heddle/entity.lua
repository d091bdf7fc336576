--- `orm.entity`, `orm.embeddable` and `orm.metadata`.
local class = require("heddle.class")
local definition = require("heddle.definition")
local errors = require("heddle.errors")
local later = require("heddle.later")
local options = require("heddle.options")

local entity = {}

---Makes an instance.
---@type fun(class: table, data: table|nil): table
entity.construct = nil
later.fill(entity, { ["heddle.construct"] = "construct" })

---Defines an entity. Raises `metadata`.
---
---Usage: `local User = orm.entity { name = "User", { "id", type = "integer", primary = true } }`
---@param given table properties in the array part, options in the hash part
---@return table class an empty table for the entity's methods; calling it makes an instance
function entity.entity(given)
  return class.new(definition.entity(given), "Entity", function(self, data)
    return entity.construct(self, data)
  end)
end

---Defines a value of several columns, for properties with `embedded = `. Raises `metadata`.
---
---Usage: `local Address = orm.embeddable { name = "Address", { "city", type = "string" } }`
---@param given table
---@return table class an empty table for the methods of its values; calling it makes one
function entity.embeddable(given)
  return class.new(definition.embeddable(given), "Embeddable", function(self, data)
    return entity.construct(self, data)
  end)
end

---What is known of an entity (or embeddable). Raises `metadata` for anything else.
---
---Usage: `for _, property in ipairs(orm.metadata(User).properties) do print(property.name) end`
---@param value any
---@return table definition
function entity.metadata(value)
  local made = class.definition_of(value)
  if not made then
    errors.raise("metadata", "orm.metadata takes what orm.entity gave; this is " .. options.describe(value))
  end
  return made
end

---@param value any
---@return boolean
function entity.is_entity(value)
  local made = class.definition_of(value)
  return made ~= nil and not made.embeddable
end

---The entities of a context by name, each once. Raises `metadata` when two of them have one name.
---@param classes table[]
---@param context_name string
---@return table<string, table> by_name
---@return table[] list
function entity.by_name(classes, context_name)
  local by_name, list = {}, {}
  for _, item in ipairs(classes) do
    local made = class.definition_of(item)
    local other = by_name[made.name]
    if not other then
      by_name[made.name] = item
      list[#list + 1] = item
    elseif other ~= item then
      errors.raise("metadata", ("Entity '%s' has two definitions in context '%s': %s and %s; rename or leave out "
        .. "one of them"):format(made.name, context_name, class.definition_of(other).source, made.source),
        { context = context_name, entity = made.name })
    end
  end
  return by_name, list
end

return entity
