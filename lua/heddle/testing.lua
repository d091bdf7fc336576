--- `orm.testing`: a scope for tests whose every transaction is a savepoint of one that is rolled back at the end.
local compat = require("heddle.compat")
local errors = require("heddle.errors")
local registry = require("heddle.registry")
local scope = require("heddle.scope")

local testing = {}

local Test = { __name = "heddle.testing" }
Test.__index = Test

---Ends the scope: what was written is rolled back.
function Test:finish()
  if self.finished then return end
  self.finished = true
  scope.leave(self.item)
  for _, em in pairs(self.item.forks) do em:drop() end
  local link = self.link
  self.context:finish(link, link:rollback())
  link:close()
end

Test.__close = Test.finish

local function open(name)
  local context = registry.get(name)
  local link = context:link()
  link:begin(context.driver_name == "sqlite" and "BEGIN IMMEDIATE" or "BEGIN")
  link:label("orm.testing")
  local item = scope.enter({ forks = {}, links = { [context] = link } })
  return setmetatable({ context = context, link = link, item = item }, Test)
end

---Usage, in a spec: `before_each(function() t = orm.testing() end); after_each(function() t:finish() end)`, or
---around one
---function: `orm.testing(nil, function() ... end)`
---@param name? string context, default "default"
---@param fn? function
function testing.testing(name, fn, ...)
  if fn ~= nil and type(fn) ~= "function" or type(name) == "function" then
    errors.raise("validation", "orm.testing takes the name of a context, then a function")
  end
  local test = open(name)
  if not fn then return test end
  local results = compat.pack(compat.pcall(fn, ...))
  test:finish()
  if not results[1] then error(results[2], 0) end
  return compat.unpack(results, 2, results.n)
end

return testing
