--- Making instances: `User { ... }` and `em:create`.
local class_of = require("heddle.class")
local compat = require("heddle.compat")
local embedded = require("heddle.embedded")
local errors = require("heddle.errors")
local generated = require("heddle.generated")
local later = require("heddle.later")
local given = later.module("heddle.relations.given")
local instance = require("heddle.instance")
local maker = require("heddle.maker")
local null = require("heddle.null")

local pcall = compat.pcall

local construct = {}

local kind_of, raise_unknown = instance.kind_of, instance.raise_unknown

-- What the core has left out of an instance: hidden and embedded values, orm.null, unknown names. Gives the relations
-- among it, to be assigned when all of it has been looked at (relations/given.lua).
local function fill(e, made, data, resolve, at)
  local definition, raw = made.definition, made.raw
  local list
  for name, value in pairs(data) do
    local prop = definition.by_name[name]
    if prop == nil then
      if not definition.open then raise_unknown(definition, name) end
      rawset(e, name, value)
    elseif value ~= null and not raw[name] or value == null and prop.default_sql then
      -- To a new row an absent field means the database's default: NULL has to be said.
      if prop.generated then generated.refuse(definition.name, name, at and at.em.context_name) end
      local kind = kind_of(prop)
      if prop.kind == "embedded" and value ~= null then
        e[name] = embedded.given(prop, value, { entity = definition.name, path = name })
      elseif kind == "raw" then
        rawset(e, name, value)
      elseif kind == "one" or kind == "many" then
        list = list or {}
        list[#list + 1] = { prop = prop, value = resolve and resolve(at, prop, value) or value }
      else
        e[name] = value
      end
    end
  end
  return list
end

local function refuse(definition, data)
  errors.raise("validation", ("%s takes a plain table of its properties, not %s"):format(definition.name,
    type(data) == "table" and "an instance or another object" or "a " .. type(data)), { entity = definition.name })
end

local NONE = {}

---Makes an instance by its maker, but for its relations. `resolve(at, prop, value)` may turn a relation's value (a key)
---into an instance. Raises `unknown_property`, `validation`.
---@param made heddle.Maker
---@param at? heddle.Nesting
---@return table e
---@return heddle.Given[]|nil relations
function construct.by(made, data, resolve, at)
  if data == nil then data = NONE end
  local e, what = made.make(data)
  if what == "data" then refuse(made.definition, data) end
  if what == "more" then return e, fill(e, made, data, resolve, at) end
  return e
end
construct.fill = fill

-- Of what an entity manager makes, the entity manager tells.
local function tell(e, on_init, undo)
  local ok, err = pcall(on_init, e, { entity = e, name = "on_init" })
  if ok then return end
  given.retract(undo)
  error(err, 0)
end

local function embeddable(definition, data)
  if data ~= nil and (type(data) ~= "table" or getmetatable(data) ~= nil) then refuse(definition, data) end
  return embedded.make(definition, data, { entity = definition.name })
end

---Makes an unmanaged instance: `User { name = "x" }`. Raises `unknown_property`, `validation`.
function construct.construct(class, data)
  local definition = class_of.definition_of(class)
  if definition.embeddable then return embeddable(definition, data) end
  local made = definition.maker
  if not made then
    made = maker.new(definition, instance.unmanaged(class))
    definition.maker = made
  end
  local e, list = construct.by(made, data)
  local on_init, undo = definition.hooks.on_init, {}
  if list then
    given.check(e, list)
    given.assign(e, list, on_init and undo)
  end
  if on_init then tell(e, on_init, undo) end
  return e
end

return construct
