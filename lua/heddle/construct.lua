--- Making instances: `User { ... }` and `em:create`.
local class_of = require("heddle.class")
local core = require("heddle.core")
local discriminator = require("heddle.discriminator")
local embedded = require("heddle.embedded")
local errors = require("heddle.errors")
local generated = require("heddle.generated")
local inherit = require("heddle.inherit")
local instance = require("heddle.instance")
local null = require("heddle.null")

local construct = {}

local copy, kind_of, raise_unknown = instance.copy, instance.kind_of, instance.raise_unknown

-- Properties that have a default, once for each definition.
local function defaults_of(definition)
  local list = definition.defaults_list
  if not list then
    list = {}
    for _, prop in ipairs(definition.properties) do
      if prop.default ~= nil then list[#list + 1] = prop end
    end
    definition.defaults_list = list
  end
  return list
end

-- Names whose values are raw as they are given, once for each definition, and how many properties there are.
local function raw_names(definition)
  local names = definition.raw_names
  if not names then
    names = {}
    for _, prop in ipairs(definition.properties) do
      if kind_of(prop) == "raw" and prop.kind ~= "embedded" and not prop.generated then names[prop.name] = true end
    end
    definition.raw_names = names
  end
  return names
end

-- With a relation, a hidden value, orm.null or an unknown name in it.
local function fill(e, definition, data, resolve, context)
  for name, value in pairs(data) do
    local prop = definition.by_name[name]
    if prop == nil then
      if not definition.open then raise_unknown(definition, name) end
      rawset(e, name, value)
    elseif value ~= null or prop.default_sql then
      -- To a new row an absent field means the database's default: NULL has to be said.
      if prop.generated then generated.refuse(definition.name, name, context and context.em.context_name) end
      if prop.kind == "embedded" and value ~= null then
        e[name] = embedded.given(prop, value, { entity = definition.name, path = name })
      elseif kind_of(prop) == "raw" then
        rawset(e, name, value)
      else
        if resolve then value = resolve(context, prop, value) end
        e[name] = value
      end
    end
  end
  return e
end

---Makes an unmanaged instance: `User { name = "x" }`. `resolve(context, prop, value)` may turn a relation's value (a
---key) into an instance first. Raises `unknown_property`, `validation`.
function construct.construct(class, data, resolve, context)
  local definition = class_of.definition_of(class)
  inherit.check_concrete(definition, context and context.em.context_name)
  if data ~= nil and (type(data) ~= "table" or getmetatable(data) ~= nil) then
    errors.raise("validation", ("%s takes a plain table of its properties, not %s"):format(definition.name,
      type(data) == "table" and "an instance or another object" or "a " .. type(data)), { entity = definition.name })
  end
  if definition.embeddable then return embedded.make(definition, data, { entity = definition.name }) end
  local meta = context and instance.created(class, context.em.context_name) or instance.unmanaged(class)
  local e = data and core.instance(data, raw_names(definition), meta, #definition.properties)
  if not e then e = fill(setmetatable({}, meta), definition, data or {}, resolve, context) end
  local defaults = defaults_of(definition)
  for i = 1, #defaults do
    local prop = defaults[i]
    if not data or data[prop.name] == nil then e[prop.name] = copy(prop.default) end
  end
  discriminator.give(e, definition, context and context.em.context_name)
  -- Of what an entity manager makes, the entity manager tells.
  local on_init = not context and definition.hooks.on_init
  if on_init then on_init(e, { entity = e, name = "on_init" }) end
  return e
end

return construct
