--- Makes what factories describe: values, instances, and what they are related to.
---
--- A *run* is one call of a program: it has the entity manager (or none) and every instance that was made, in the order
--- in which it was. Relations are followed from the first instance outwards; the way back to where it came from is
--- left out, since both sides of a relation follow each other.
local errors = require("heddle.errors")
local instance = require("heddle.instance")
local options = require("heddle.options")
local relation = require("heddle.relation")

local build = {}

---Set by heddle.seeding.factory.
---@type fun(value: any): boolean
build.is_factory = nil
---@type fun(value: any): boolean
build.is_many = nil

-- Factories that lead to each other without end are found here.
local DEEPEST = 32

---@param em table|nil
---@param is_guest boolean|nil the entity manager is none that the program knows: instances of its own are references
function build.run(em, is_guest)
  return { em = em, made = {}, depth = 0, path = {}, is_guest = is_guest }
end

-- Values ---------------------------------------------------------------------------------------------------

local function check_data(factory, data, what)
  if type(data) ~= "table" or getmetatable(data) ~= nil then
    factory:fail("%s must be a plain table of properties; got %s", what, options.describe(data))
  end
  return data
end

local function merge(factory, data, values, what, fake, n)
  if type(values) == "function" then values = values(fake, n, data) end
  if values == nil then return end
  for name, value in pairs(check_data(factory, values, what)) do data[name] = value end
end

local function values_of(run, factory, overrides, fake)
  local counter = factory.counter
  counter.n = counter.n + 1
  local n, data = counter.n, {}
  merge(factory, data, check_data(factory, factory.define(fake, n, run.em), "what its function returns"))
  for _, name in ipairs(factory.applied) do
    merge(factory, data, factory.states[name], "state " .. errors.quote(name), fake, n)
  end
  merge(factory, data, overrides, "overrides", fake, n)
  return data
end

-- Relations ------------------------------------------------------------------------------------------------

-- The property of the target that leads back, nil where there is none.
local function way_back(prop, entity_name, target)
  if prop.mapped_by then return prop.mapped_by end
  if prop.inversed_by then return prop.inversed_by end
  for _, other in ipairs(target.properties) do
    if other.mapped_by == prop.name and relation.target_name(other) == entity_name then return other.name end
  end
end

local function enter(run, factory)
  run.depth = run.depth + 1
  run.path[run.depth] = factory.definition.name
  if run.depth > DEEPEST then
    factory:fail("factories lead to each other without end (%s > ...); give one of these relations in the overrides, "
      .. "orm.null where it may be empty", table.concat(run.path, " > ", 1, 4))
  end
end

local function leave(run)
  run.path[run.depth] = nil
  run.depth = run.depth - 1
end

-- The members that `many` stands for.
local function members(run, many, back, fake)
  local list = {}
  for i = 1, fake:integer(many.low, many.high) do list[i] = build.instance(run, many.factory, nil, back) end
  return list
end

-- What stands for a property's value when it is a factory, or many of one.
local function related(run, factory, prop, value, fake)
  local child = build.is_many(value) and value.factory or value
  local kind = prop and prop.kind or "scalar"
  if kind == "scalar" or kind == "embedded" then
    factory:fail("property %s is no relation: a factory cannot stand for its value", errors.quote(prop and prop.name))
  end
  local back = way_back(prop, factory.definition.name, child.definition)
  local is_many = kind == "one_to_many" or kind == "many_to_many"
  if build.is_many(value) then
    if not is_many then
      factory:fail("property '%s' leads to one %s: write the factory without :many()", prop.name,
        relation.target_name(prop))
    end
    return members(run, value, back, fake)
  end
  local e = build.instance(run, child, nil, back)
  return is_many and { e } or e
end

-- What another entity manager of the context has is a reference in this one.
local function at_home(run, value)
  local meta = run.em and instance.meta_of(value)
  if meta and meta.box and meta.context_name == run.em.context_name and not run.em:contains(value) then
    return run.em:get_reference(meta.class, value)
  end
  return value
end

local function all_at_home(run, list)
  local made = {}
  for i, value in ipairs(list) do made[i] = at_home(run, value) end
  return made
end

-- Instances ------------------------------------------------------------------------------------------------

---Makes one instance, with all that it is related to.
---@param run table
---@param factory heddle.Factory
---@param overrides table|function|nil
---@param left_out string|nil a property that whoever asks sets itself
---@return table
function build.instance(run, factory, overrides, left_out)
  enter(run, factory)
  local fake = factory:source(run.em)
  local data = values_of(run, factory, overrides, fake)
  if left_out then data[left_out] = nil end
  -- In the order of the properties, so that the same seed gives the same values.
  for _, prop in ipairs(factory.definition.properties) do
    local value = data[prop.name]
    if build.is_factory(value) or build.is_many(value) then
      data[prop.name] = related(run, factory, prop, value, fake)
    elseif run.is_guest and type(value) == "table" and prop.kind ~= "scalar" and prop.kind ~= "embedded" then
      local is_list = getmetatable(value) == nil and #value > 0
      data[prop.name] = is_list and all_at_home(run, value) or at_home(run, value)
    end
  end
  local e = run.em and run.em:create(factory.entity, data) or factory.entity(data)
  leave(run)
  run.made[#run.made + 1] = { e = e, factory = factory, fake = fake }
  for _, fn in ipairs(factory.listeners.make) do fn(e, fake, run.em) end
  return e
end

---Writes what a run made, in one flush.
---@param run table
function build.write(run)
  local em, listened = run.em, false
  for _, item in ipairs(run.made) do em:persist(item.e) end
  em:flush()
  for _, item in ipairs(run.made) do
    for _, fn in ipairs(item.factory.listeners.create) do
      fn(item.e, em, item.fake)
      listened = true
    end
  end
  if listened then em:flush() end
end

return build
