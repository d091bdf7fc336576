--- The contexts of this Lua state by name, and which contexts know an entity.
local class = require("heddle.class")
local errors = require("heddle.errors")
local later = require("heddle.later")
local suggest = later.module("heddle.suggest")

local registry = { contexts = {} }

-- Entities registered for a context before it is there.
local early = {}

local function names()
  local list = {}
  for name in pairs(registry.contexts) do list[#list + 1] = name end
  table.sort(list)
  return list
end

---Names of the contexts, sorted.
---
---Usage: `for _, name in ipairs(orm.contexts()) do print(name) end`
---@return string[]
function registry.names()
  return names()
end

---The context of a name. Raises `context_not_found`.
---@param name? string default "default"
function registry.get(name)
  if name == nil then name = "default" end
  local found = registry.contexts[name]
  if found then return found end
  local list = names()
  local there = #list == 0 and "no context exists yet; call orm.init first"
    or ("there is %s%s"):format("'" .. table.concat(list, "', '") .. "'", suggest.hint(name, registry.contexts))
  errors.raise("context_not_found", ("Context %s not found: %s"):format(errors.quote(name), there),
    { context = type(name) == "string" and name or nil })
end

---A context is there: entities kept for it are its own now.
function registry.add(context)
  registry.contexts[context.name] = context
  early[context.name] = nil
end

function registry.remove(name)
  registry.contexts[name] = nil
end

---Whether a context of that name is live.
function registry.has(name)
  return registry.contexts[name] ~= nil
end

---Keeps entities for a context that does not exist yet; gives those that are kept.
function registry.early(name, classes)
  local list = early[name] or {}
  for _, item in ipairs(classes or {}) do list[#list + 1] = item end
  early[name] = list
  return list
end

---Raises `entity_not_registered`, naming the contexts that have the entity; `metadata` for an abstract one.
function registry.raise_unregistered(context, entity)
  local definition = class.definition_of(entity)
  local abstract = context.mappings.abstract[entity] or definition
  if abstract and abstract.abstract and not abstract.root then
    errors.raise("metadata", ("Entity '%s' is abstract and has no table; use an entity that extends it"):format(
      abstract.name), { context = context.name, entity = abstract.name })
  end
  local name = definition and definition.name or tostring(entity)
  local elsewhere = {}
  for other, item in pairs(registry.contexts) do
    local known = item.mappings
    if other ~= context.name and (known.by_class[entity] or known.by_name[name]) then
      elsewhere[#elsewhere + 1] = "'" .. other .. "'"
    end
  end
  table.sort(elsewhere)
  local hint
  if #elsewhere > 0 then
    hint = "; it is registered in " .. table.concat(elsewhere, ", ")
  elseif definition then
    hint = "; add it to 'entities', or call orm.register"
  else
    hint = suggest.hint(name, context.mappings.by_name)
  end
  errors.raise("entity_not_registered", ("Entity '%s' not found in context '%s'%s"):format(name, context.name, hint),
    { context = context.name, entity = name })
end

return registry
