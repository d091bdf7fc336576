--- `em:create` and `em:assign`: instances from data, and data into instances.
local compat = require("heddle.compat")
local construct = require("heddle.construct")
local data_over = require("heddle.embedded.data_over")
local errors = require("heddle.errors")
local hooks = require("heddle.hooks")
local instance = require("heddle.instance")
local later = require("heddle.later")
local given = later.module("heddle.relations.given")
local maker = require("heddle.maker")
local manager = require("heddle.manager")
local nested = require("heddle.nested")
local null = require("heddle.null")
local relate = require("heddle.relate")
local relations = require("heddle.relations")

local pcall = compat.pcall

local Manager = manager.class
local admit, check_receiver = manager.admit, manager.check_receiver
local NONE = {}

local function nesting(self, map, into)
  return { em = self, map = map, into = into, steps = {}, depth = 0 }
end

-- A second instance of one key would be a second identity of one row (I4).
local function check_key(self, map, e)
  local shelf = self.shelves[map]
  local key = shelf and shelf:given_key(e)
  if key == nil then return end
  local _, slot = shelf:find(key)
  if not slot or shelf.removed[slot] or relations.is_leaving(self, shelf.instances[slot]) then return end
  shelf:raise_duplicate(key)
end

local function resolve(at, prop, value)
  return nested.value(at, at.map.props[prop.name], value)
end

local function maker_of(self, map)
  local made = map.maker
  if not made then
    made = maker.new(map.meta, instance.created(map.class, self.context_name), self.context_name)
    map.maker = made
  end
  return made
end

-- What follows when everything has been looked at; the target's comes before that of what leads to it.
local function expect(at, map, e, list)
  if list then given.check(e, list, at.into) end
  check_key(at.em, map, e)
  at.steps[#at.steps + 1] = { e = e, map = map, given = list or NONE }
end

function nested.create(at, map, data)
  local e, list = construct.by(maker_of(at.em, map), data, resolve, at)
  expect(at, map, e, list)
  return e
end

-- Assigning ------------------------------------------------------------------------------------------------

-- Checks data, and notes what is to be assigned: targets first, then what leads to them.
function nested.prepare(at, e, data)
  local by_name, values = at.map.meta.by_name, {}
  for name, value in pairs(data) do
    local prop = by_name[name]
    if prop == nil and not at.map.meta.open then instance.raise_unknown(at.map.meta, name) end
    if prop and prop.kind == "embedded" then
      data_over.check(prop, value, { entity = at.map.name, path = name })
    elseif prop then
      value = nested.value(at, at.map.props[name], value, e)
      if value ~= null and instance.kind_of(prop) == "one" then relate.check(getmetatable(e), prop, value) end
    end
    values[name] = value
  end
  at.steps[#at.steps + 1] = { e = e, map = at.map, values = values }
end

local function take(self, step)
  local e, by_name = step.e, step.map.meta.by_name
  local shelf, slot = self:locate(e, "em:assign")
  local is_new = not shelf or shelf.new[slot]
  for name, value in pairs(step.values) do
    local prop = by_name[name]
    if prop and prop.kind == "embedded" then
      local current = data_over.is_data(prop, value) and e[name] or nil
      value = data_over.assign(prop, current, value, { entity = step.map.name, path = name, e = e })
    end
    -- To a new row an absent field means the database's default: NULL has to be said.
    if value == null and not (is_new and prop and prop.default_sql) then value = nil end
    e[name] = value
  end
end

-- An `on_init` may give a key.
local function begin(self, step, undo)
  given.assign(step.e, step.given, undo)
  if not undo then return end
  hooks.call(self, step.e, "on_init")
  check_key(self, step.map, step.e)
end

local function take_each(self, steps, undo)
  for _, step in ipairs(steps) do
    if step.given then begin(self, step, undo) else take(self, step) end
  end
end

-- What is told of new instances may refuse them.
local function is_told(self, steps)
  if self.plain then return false end
  for _, step in ipairs(steps) do
    if step.given and (self.context.listeners.on_init or not step.map.maker.is_quiet) then return true end
  end
  return false
end

local function take_all(self, at)
  if not is_told(self, at.steps) then return take_each(self, at.steps) end
  local undo = {}
  local ok, err = pcall(take_each, self, at.steps, undo)
  if ok then return end
  given.retract(undo)
  error(err, 0)
end

-- With everything that data may hold, and all that may be told of it.
local function create(self, map, data)
  local at = nesting(self, map)
  local e = nested.create(at, map, data)
  take_all(self, at)
  return e
end

-- What `make` has left to do.
local function complete(self, entity, data, e, what)
  local map = self:mapping(entity)
  if what == "data" then return create(self, map, data) end
  if what ~= "more" then
    check_key(self, map, e)
    return e
  end
  local at = nesting(self, map)
  expect(at, map, e, construct.fill(e, maker_of(self, map), data, resolve, at))
  take_all(self, at)
  return e
end

-- Where nobody has to be asked or told, the core makes the instances of an entity.
local function usual_maker(self, entity)
  admit(self)
  local context, made = self.context, maker_of(self, self:mapping(entity))
  if not made.is_quiet or context.listeners.on_init then return nil end
  -- The global one asks each time whether it may be used.
  if context.global ~= self then self.makers[entity] = made.make end
  return made.make
end

---Makes an instance; nothing is written before it is persisted. Relations take instances, keys and nested data.
---Raises `unknown_property`, `validation`, `wrong_context`.
---
---Usage: `local user = em:create(User, { name = "John", team = 3, books = { { title = "A" } } })`
---@param entity table|string
---@param data? table
---@return table
function Manager:create(entity, data)
  local makers = self and self.makers
  local make = makers and makers[entity] or usual_maker(self, entity)
  if not make then return create(self, self:mapping(entity), data) end
  local e, what = make(data)
  if what then return complete(self, entity, data, e, what) end
  return e
end

---Sets several properties; `orm.null` empties one. Relations take instances, keys and nested data. Nothing is set
---when something is wrong. Raises `unknown_property`, `validation`, `wrong_context`, `not_managed`.
---
---Usage: `em:assign(user, { name = "Jane", team = 3, address = { city = "Graz" } })`
---@return table e
function Manager:assign(e, data)
  check_receiver(self)
  local _, _, map = self:locate(e, "em:assign")
  if type(data) ~= "table" or getmetatable(data) ~= nil then
    errors.raise("validation", "em:assign takes a plain table of properties", { entity = map.name })
  end
  local at = nesting(self, map, self)
  nested.prepare(at, e, data)
  take_all(self, at)
  return e
end

return Manager
