--- `orm.factory`: instances of an entity, filled with made-up values.
---
--- This room has what a factory is and what programs call; `build.lua` makes the instances and what they are related
--- to, `auto.lua` values from metadata.
local build = require("heddle.seeding.build")
local class = require("heddle.class")
local errors = require("heddle.errors")
local fake = require("heddle.seeding.fake")
local handle = require("heddle.handle")
local options = require("heddle.options")
local suggest = require("heddle.suggest")

local factory = {}

---@class heddle.Factory
local Factory = { __name = "heddle.factory" }
Factory.__index = Factory

---What `many` gives: so many instances, for a relation to many.
local Many = { __name = "heddle.factory.many" }
Many.__index = Many

-- Entity manager -> the fake data of the seed that it works for.
local sources = setmetatable({}, { __mode = "k" })

local function fail(self, message, ...)
  errors.raise("validation", ("Factory of %s: %s"):format(self.definition.name, message:format(...)),
    { entity = self.definition.name })
end
Factory.fail = fail

---Makes a factory. Raises `metadata`, `validation`.
---
---Usage: `local users = orm.factory(User, function(fake, n) return { name = fake:name() } end)`
---@param entity table
---@param define fun(fake: heddle.Fake, n: integer, em: table|nil): table the values of the n-th instance
---@param opts? { seed: number|string } of its fake data, default the entity's name
---@return heddle.Factory
function factory.new(entity, define, opts)
  local definition = class.definition_of(entity)
  if not definition or definition.embeddable then
    errors.raise("metadata", "orm.factory takes an entity, what orm.entity gave; this is " .. options.describe(entity))
  end
  local self = setmetatable({ entity = entity, definition = definition, define = define, states = {},
    applied = {}, listeners = { make = {}, create = {} }, counter = { n = 0 } }, Factory)
  if type(define) ~= "function" then
    fail(self, "takes a function (fake, n) that returns a table of properties; got %s", options.describe(define))
  end
  opts = opts or {}
  options.check(opts, { seed = options.either(options.number(-2 ^ 53), options.text) },
    function(message) fail(self, "%s", message) end)
  self.counter.seed = opts.seed or definition.name
  return self
end

---@param value any
---@return boolean
function factory.is_factory(value)
  return type(value) == "table" and getmetatable(value) == Factory
end

---@param value any
---@return boolean
function factory.is_many(value)
  return type(value) == "table" and getmetatable(value) == Many
end

---From here on factories that create in this entity manager take their values from this source.
---@param em table
---@param source heddle.Fake|nil nil: from their own
---@return heddle.Fake|nil former
function factory.use(em, source)
  local former = sources[em]
  sources[em] = source
  return former
end

function Factory:__tostring()
  return ("factory<%s%s>"):format(self.definition.name, #self.applied > 0 and ": "
    .. table.concat(self.applied, " ") or "")
end

-- What a handle stands for here and now.
local function resolved(em)
  return getmetatable(em) == getmetatable(handle.new()) and handle.resolve(em) or em
end

---The source of fake values: the seed's inside of a seed, else the factory's own.
---@param em table|nil
---@return heddle.Fake
function Factory:source(em)
  em = em and resolved(em)
  local counter = self.counter
  if em and sources[em] then return sources[em] end
  counter.fake = counter.fake or fake.new(counter.seed)
  return counter.fake
end

---Begins anew: with number 1 and the first values of its seed.
---@return heddle.Factory
function Factory:reset()
  self.counter.n, self.counter.fake = 0, nil
  return self
end

-- States ---------------------------------------------------------------------------------------------------

---Says what a state changes: a table of properties, or a function (fake, n, data) that returns one.
---
---Usage: `users:state("admin", { role = "admin" })`, then `users:with("admin"):create(em)`
---@param name string
---@param values table|fun(fake: heddle.Fake, n: integer, data: table): table
---@return heddle.Factory
function Factory:state(name, values)
  if options.text(name) then fail(self, "a state needs a name") end
  if type(values) ~= "function" and (type(values) ~= "table" or getmetatable(values) ~= nil) then
    fail(self, "state %s takes a table of properties, or a function that returns one; got %s", errors.quote(name),
      options.describe(values))
  end
  self.states[name] = values
  return self
end

---The same factory in one or more states; the later ones win. Raises `validation`.
---@param ... string
---@return heddle.Factory
function Factory:with(...)
  local made, applied = {}, {}
  for key, value in pairs(self) do made[key] = value end
  for i, name in ipairs(self.applied) do applied[i] = name end
  for _, name in ipairs({ ... }) do
    if not self.states[name] then
      fail(self, "there is no state %s%s; define it with :state(name, values)", errors.quote(name),
        suggest.hint(name, self.states))
    end
    applied[#applied + 1] = name
  end
  made.applied = applied
  return setmetatable(made, Factory)
end

---For a relation to many, in what a factory's function or an override says: so many instances of this factory.
---
---Usage: `{ name = fake:name(), books = books:many(1, 3) }`
---@param low integer
---@param high? integer then a number between both
---@return table
function Factory:many(low, high)
  local wrong = options.integer(0)(low) or high ~= nil and options.integer(low)(high)
  if wrong then fail(self, "many takes how many, or the least and the most: many(1, 3)") end
  return setmetatable({ factory = self, low = low, high = high or low }, Many)
end

-- Listeners ------------------------------------------------------------------------------------------------

local function listen(self, what, fn)
  if type(fn) ~= "function" then fail(self, "after_%s takes a function; got %s", what, options.describe(fn)) end
  local list = self.listeners[what]
  list[#list + 1] = fn
  return self
end

---Called with each instance when it is made, before anything is written.
---@param fn fun(e: table, fake: heddle.Fake, em: table|nil)
---@return heddle.Factory
function Factory:after_make(fn)
  return listen(self, "make", fn)
end

---Called with each instance when its row is written; what it changes or persists is flushed behind the last one.
---@param fn fun(e: table, em: table, fake: heddle.Fake)
---@return heddle.Factory
function Factory:after_create(fn)
  return listen(self, "create", fn)
end

-- Making ---------------------------------------------------------------------------------------------------

local function check_count(self, count, what)
  if options.integer(0)(count) then fail(self, "%s takes how many, 0 or more", what) end
end

local function check_em(self, em, what)
  if type(em) ~= "table" or type(em.persist) ~= "function" then
    fail(self, "%s takes an entity manager first, as in users:%s(em)", what, what)
  end
end

---An instance that no entity manager knows, with all that it is related to.
---@param overrides? table|fun(fake: heddle.Fake, n: integer, data: table): table properties that win
---@return table
function Factory:make(overrides)
  return build.instance(build.run(nil), self, overrides)
end

---@param count integer
---@param overrides? table|function
---@return table[]
function Factory:make_many(count, overrides)
  check_count(self, count, "make_many")
  local run, list = build.run(nil), {}
  for i = 1, count do list[i] = build.instance(run, self, overrides) end
  return list
end

---An instance with its row, and those of all that it is related to, in one flush.
---@param em table entity manager
---@param overrides? table|function
---@return table
function Factory:create(em, overrides)
  check_em(self, em, "create")
  return self:create_many(em, 1, overrides)[1]
end

---So many of them, all in one flush.
---
---Usage: `local people = users:create_many(em, 10, { team = core })`
---@param em table
---@param count integer
---@param overrides? table|function
---@return table[]
function Factory:create_many(em, count, overrides)
  check_em(self, em, "create_many")
  check_count(self, count, "create_many")
  local run, list = build.run(em), {}
  for i = 1, count do list[i] = build.instance(run, self, overrides) end
  build.write(run)
  return list
end

---Very many rows: written in chunks, each one flush, by an entity manager beside the given one, in its transaction if
---there is one. No instance is kept.
---
---Usage: `users:fill(em, 100000)`
---@param em table
---@param count integer
---@param overrides? table|function
---@param opts? { chunk: integer } instances that are held at a time, default 1000
---@return integer count
function Factory:fill(em, count, overrides, opts)
  check_em(self, em, "fill")
  check_count(self, count, "fill")
  opts = opts or {}
  options.check(opts, { chunk = options.integer(1) }, function(message) fail(self, "fill: %s", message) end)
  em = resolved(em)
  em:flush()
  local beside, chunk = em:sibling(), opts.chunk or 1000
  factory.use(beside, sources[em])
  for first = 1, count, chunk do
    local run = build.run(beside, true)
    for _ = first, math.min(first + chunk - 1, count) do build.instance(run, self, overrides) end
    build.write(run)
    beside:clear()
  end
  return count
end

build.is_factory, build.is_many = factory.is_factory, factory.is_many

return factory
