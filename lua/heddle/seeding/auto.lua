--- `orm.factory.auto(User)`: a factory that reads its values off the metadata.
---
--- Left to Heddle and the database is what has a default, is generated, counted or set by on_create; empty stay
--- relations that may be. What is unique holds the instance's number.
local class = require("heddle.class")
local errors = require("heddle.errors")
local factory = require("heddle.seeding.factory")
local guess = require("heddle.seeding.guess")
local registry = require("heddle.registry")

local auto = {}

local function is_filled_elsewhere(definition, prop)
  local is_counted = prop.primary and #definition.primary == 1 and prop.autoincrement ~= false
    and (prop.type == "integer" or prop.type == "bigint" or prop.type == "smallint")
  return prop.generated or prop.default ~= nil or prop.default_sql or prop.on_create or prop.version
    or prop.persist == false or prop.discriminator or is_counted
end

-- Names of the properties of which no two rows may have the same value. Of several that are unique together the first
-- one that can be told apart is enough.
local function uniques_of(definition)
  local names = {}
  local function add(list)
    for _, part in ipairs(list) do
      local name = type(part) == "table" and part.name or part
      local prop = definition.by_name[name]
      if prop and prop.kind == "scalar" and prop.type ~= "boolean" and prop.type ~= "enum" then
        names[name] = true
        return
      end
    end
  end
  for _, prop in ipairs(definition.properties) do
    if prop.unique then names[prop.name] = true end
  end
  local key = {}
  for i, prop in ipairs(definition.primary) do key[i] = prop.name end
  add(key)
  for _, item in ipairs(definition.uniques or {}) do add(item.properties) end
  for _, item in ipairs(definition.indexes or {}) do
    if item.unique then add(item.properties) end
  end
  return names
end

-- The entity that a relation leads to. Its name alone says it only where a context knows it.
local function target_of(definition, prop, em)
  if class.definition_of(prop.target) then return prop.target end
  if em then return em.instance:mapping(prop.target).class end
  for _, name in ipairs(registry.names()) do
    local known = registry.get(name).mappings
    local target = known.by_class[definition.class] and known.by_name[prop.target]
    if target then return target.class end
  end
  errors.raise("entity_not_registered", ("Factory of %s: the target of '%s', '%s', is not known before a context has "
    .. "the entity; call orm.init first, or give the relation"):format(definition.name, prop.name, prop.target),
    { entity = definition.name, property = prop.name })
end

-- The factories that one automatic factory leads to, each made once.
local function related(known, entity)
  local definition = class.definition_of(entity)
  if not known[definition] then known[definition] = auto.new(entity, nil, nil, known) end
  return known[definition]
end

local function embedded(prop, fake, n)
  local inner = class.definition_of(prop.target)
  local value = auto.values(inner, fake, n, nil, {})
  return prop.array and { value } or value
end

---The values of an entity, or of an embeddable.
---@param definition table
---@param fake heddle.Fake
---@param n integer
---@param em table|nil
---@param known table
---@return table
function auto.values(definition, fake, n, em, known)
  local data, uniques = {}, uniques_of(definition)
  for _, prop in ipairs(definition.properties) do
    if prop.kind == "embedded" then
      data[prop.name] = embedded(prop, fake, n)
    elseif prop.kind ~= "scalar" then
      local is_required = (prop.kind == "many_to_one" or prop.kind == "one_to_one") and prop.owner and not prop.nullable
      if is_required then data[prop.name] = related(known, target_of(definition, prop, em)) end
    elseif not is_filled_elsewhere(definition, prop) then
      data[prop.name] = guess.value(definition, prop, fake, uniques[prop.name] and n or nil)
    end
  end
  return data
end

---Makes a factory whose values come from the metadata. Raises `metadata`.
---
---Usage: `local users = orm.factory.auto(User, function(fake) return { role = fake:pick(roles) } end)`
---@param entity table
---@param more? fun(fake: heddle.Fake, n: integer, em: table|nil): table values that win
---@param opts? { seed: number|string }
---@param known? table the automatic factories that belong together
---@return heddle.Factory
function auto.new(entity, more, opts, known)
  local definition = class.definition_of(entity)
  known = known or {}
  local made = factory.new(entity, function(fake, n, em)
    local data = auto.values(definition, fake, n, em, known)
    for name, value in pairs(more and more(fake, n, em) or {}) do data[name] = value end
    return data
  end, opts)
  known[definition] = known[definition] or made
  return made
end

return auto
