--- `instance.seeder`: files that fill a context's tables, run by name, each in one transaction.
local compat = require("heddle.compat")
local core = require("heddle.core")
local errors = require("heddle.errors")
local files = require("heddle.seeding.files")
local options = require("heddle.options")
local seed = require("heddle.seeding.seed")
local suggest = require("heddle.suggest")

---@class heddle.Seeder
local Seeder = { __name = "heddle.seeder" }
Seeder.__index = Seeder

local run_rules = {
  seed = options.either(options.number(-2 ^ 53), options.text), on_progress = options.func,
}

---The seeds of the context, in the order in which they run: { name =, path = } each. A directory that is not there
---has none.
---@return table[]
function Seeder:list()
  return files.list(self.context)
end

-- "users" is "10_users" too, where no other one is meant.
local function find(self, list, name)
  local found, count, names = nil, 0, {}
  for i, item in ipairs(list) do
    if item.name == name then return item end
    if item.name:match("^%d+[_-]*(.+)$") == name then found, count = item, count + 1 end
    names[i] = item.name
  end
  if count == 1 then return found end
  local directory = self.context.config.seeds.path
  errors.raise("migration", #list == 0 and ("Context '%s' has no seeds: '%s' holds no *.lua file"):format(
    self.context.name, directory) or ("Context '%s' has no seed %s%s in '%s'; there is %s"):format(self.context.name,
    errors.quote(name), suggest.hint(name, names), directory, table.concat(names, ", ")),
    { context = self.context.name })
end

local function wanted(self, list, names)
  if names == nil then return list end
  if type(names) == "string" then names = { names } end
  local wrong = options.list_of(options.text)(names)
  if wrong then
    errors.raise("validation", "seeder:run takes the name of a seed, or a list of names",
      { context = self.context.name })
  end
  local chosen, seen = {}, {}
  for _, name in ipairs(names) do
    local item = find(self, list, name)
    if not seen[item] then chosen[#chosen + 1] = item end
    seen[item] = true
  end
  return chosen
end

local function run_all(run, chosen, tell)
  local done = {}
  for i, item in ipairs(chosen) do
    if tell then tell(item.name) end
    local before = core.now()
    run:once(item)
    if tell then tell(item.name, core.now() - before) end
    done[i] = item.name
  end
  return done
end

---Runs every seed of the context, or those that are named, in the order of the list. Each has a transaction of its own;
---the first that fails ends the run, and what those before it wrote stays. Raises `migration` for a seed that is not
---there, does not load or belongs to another context, and what a seed raises.
---
---Usage: `orm.instance().seeder:run()`, `orm.instance("secondary").seeder:run({ "logs" }, { seed = 7 })`
---@param names? string|string[]
---@param opts? { seed: number|string, on_progress: fun(name: string, seconds: number|nil) }
---@return string[] names of those that ran
function Seeder:run(names, opts)
  opts = opts or {}
  options.check(opts, run_rules, function(message)
    errors.raise("validation", "seeder:run: " .. message, { context = self.context.name })
  end)
  local list = self:list()
  local chosen = wanted(self, list, names)
  -- All are loaded before the first one writes.
  for _, item in ipairs(chosen) do files.load(self.context, item) end
  local run = seed.begin(self.context, opts.seed, function(name) return find(self, list, name) end)
  local ok, result = compat.pcall(run_all, run, chosen, opts.on_progress)
  run:finish()
  if not ok then error(result, 0) end
  return result
end

return Seeder
