--- To-many relations, and inverse sides of one_to_one, as properties of an instance: what reading one gives, and what
--- may be assigned to it.
local core = require("heddle.core")
local errors = require("heddle.errors")
local instance = require("heddle.instance")
local later = require("heddle.later")
local null = require("heddle.null")
local relate = require("heddle.relate")
local relations = require("heddle.relations")

local shown = {}

-- What a collection answers.
later.fill(core.handle_meta, { ["heddle.relations.methods"] = "__index __newindex __len __tostring" })
core.handle_meta.__metatable = core.handle_meta.__name

local function raise_gone(meta, prop)
  errors.raise("not_managed", ("%s.%s: the entity manager of this instance is gone; merge it into another"):format(
    meta.definition.name, prop.name), { entity = meta.definition.name, property = prop.name,
    context = meta.context_name })
end

local HOW = "load it with em:load, or populate it"

function instance.read_many(e, meta, prop)
  local state = relations.collection(e, prop.name)
  if not state then return raise_gone(meta, prop) end
  if prop.kind == "one_to_one" then
    local one = state:known()[1]
    if one == nil and not state.initialized then instance.raise_not_loaded(meta, e, prop.name, HOW) end
    return one
  end
  state.handle = state.handle or core.handle(state)
  return state.handle
end

local function refuse(meta, prop, message)
  errors.raise("validation", ("%s.%s %s"):format(meta.definition.name, prop.name, message),
    { entity = meta.definition.name, property = prop.name, context = meta.context_name })
end

---The list that is meant: a collection's members, or a plain list.
---@return table[]
function shown.list(meta, prop, value)
  local other = core.handle_state(value)
  if other then
    if not other.initialized then
      local owner = other.owner
      instance.raise_not_loaded(getmetatable(owner), owner, other.prop.name, HOW)
    end
    return other:members()
  end
  if type(value) ~= "table" or getmetatable(value) ~= nil then
    refuse(meta, prop, ("takes a list of instances of %s, not %s; {} empties it"):format(relate.target_name(prop),
      relate.describe(value)))
  end
  local count = 0
  for _ in pairs(value) do count = count + 1 end
  if count ~= #value then
    refuse(meta, prop, ("takes a list of instances of %s, without holes and names"):format(relate.target_name(prop)))
  end
  return value
end

function instance.write_many(e, meta, prop, value)
  local state = relations.collection(e, prop.name)
  if not state then return raise_gone(meta, prop) end
  if core.handle_state(value) == state then return end
  if prop.kind == "one_to_one" then
    relations.set(state, value ~= nil and value ~= null and { value } or {})
  else
    relations.set(state, shown.list(meta, prop, value))
  end
end

return shown
