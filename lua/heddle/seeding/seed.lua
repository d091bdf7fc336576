--- One run of seeds: what a seed's function is given beside its entity manager.
local compat = require("heddle.compat")
local errors = require("heddle.errors")
local factory = require("heddle.seeding.factory")
local fake = require("heddle.seeding.fake")
local files = require("heddle.seeding.files")

local seed = {}

-- Without --seed: the same values each time.
local SEED = 1

-- A run of several seeds: what each has given, and which are under way.
local Run = {}
Run.__index = Run

---What a seed is given.
---@class heddle.Seed
---@field name string
---@field context string
---@field fake heddle.Fake its values depend on the run's seed and on the seed's name alone
local Seed = { __name = "heddle.seed" }
Seed.__index = Seed

function Seed:__tostring()
  return ("seed<%s>"):format(self.name)
end

---@param context table
---@param number number|string|nil
---@param find fun(name: string): table
function seed.begin(context, number, find)
  number = number or SEED
  return setmetatable({
    context = context, em = context:new_manager(), find = find,
    number = type(number) == "number" and ("%.17g"):format(number) or number,
    results = {}, done = {}, under_way = {},
  }, Run)
end

-- An error says in which seed it was met; one that is no object of Heddle's becomes one and keeps its line.
local function raise(run, item, err)
  local name = run.context.name
  if not errors.is_error(err) then
    if tostring(err):find("interrupted!", 1, true) then error(err, 0) end
    err = errors.new("migration", ("Seed '%s' of context '%s' failed: %s"):format(item.name, name, tostring(err)),
      { context = name, cause = err })
    err.where = nil
  elseif not err.seed then
    err.message = ("Seed '%s' of context '%s': %s"):format(item.name, name, err.message)
  end
  err.seed = err.seed or item.name
  error(err, 0)
end

local function call(run, item)
  local em = run.em
  local source = fake.new(run.number .. "/" .. item.name)
  local given = setmetatable({ name = item.name, context = run.context.name, fake = source, run = run }, Seed)
  local outer = factory.use(em, source)
  local results = compat.pack(compat.pcall(em.transactional, em, function(inner)
    return files.load(run.context, item).run(inner, given)
  end))
  factory.use(em, outer)
  if not results[1] then raise(run, item, results[2]) end
  run.done[item], run.results[item] = true, results
end

local function circle(run, item)
  local names = {}
  for i, each in ipairs(run.under_way) do names[i] = each.name end
  errors.raise("migration", ("Seeds of context '%s' call each other in a circle: %s > %s"):format(run.context.name,
    table.concat(names, " > "), item.name), { context = run.context.name })
end

---Runs a seed, in a transaction (inside another seed: a savepoint), unless this run had it before.
---@return any what its function returned
function Run:once(item)
  if not self.done[item] then
    for _, each in ipairs(self.under_way) do
      if each == item then circle(self, item) end
    end
    self.under_way[#self.under_way + 1] = item
    call(self, item)
    self.under_way[#self.under_way] = nil
  end
  return compat.unpack(self.results[item], 2, self.results[item].n)
end

---Lets go of what the run loaded and made.
function Run:finish()
  self.em:drop()
end

---Runs another seed here, unless this run had it already, and gives what its function returned. Raises `migration`.
---
---Usage: `local teams = seed:call("teams")`
---@param name string
---@return any
function Seed:call(name)
  return self.run:once(self.run.find(name))
end

return seed
