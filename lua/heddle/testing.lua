--- `orm.testing`: a scope for tests whose every transaction is a savepoint of one that is rolled back at the end.
---
--- A test holds one connection and lends it to every entity manager inside. What is no transaction of the program's
--- still has to fail alone, as it would by itself: on PostgreSQL, where a failed statement spoils the whole
--- transaction, each stands behind a savepoint (the *guard*), which the next one replaces.
local compat = require("heddle.compat")
local errors = require("heddle.errors")
local registry = require("heddle.registry")
local scope = require("heddle.scope")

local testing = {}

local Test = { __name = "heddle.testing" }
Test.__index = Test

local function depth_of(link)
  local _, depth = link:state()
  return depth
end

---Sets the guard for a statement of an entity manager that has no transaction open.
function Test:guard(em)
  if self.context.driver_name ~= "postgres" or #em.transactions > 0 then return end
  local guard, depth = self.guarded, depth_of(self.link)
  if guard.depth == depth then
    self.link:release()
  elseif depth > self.depth then
    return -- a transaction is open, of another entity manager
  end
  self.link:savepoint()
  guard.depth = depth_of(self.link)
end

---A statement failed: back to its guard.
function Test:recover()
  local guard, link = self.guarded, self.link
  if guard.depth ~= depth_of(link) or not link:failed() then return end
  guard.depth = nil
  self.context:finish(link, link:rollback_to())
end

function Test:raise_finished()
  errors.raise("closed", ("This entity manager of context '%s' belonged to an orm.testing scope that is finished")
    :format(self.context.name), { context = self.context.name })
end

-- Back to before the test began: its own transaction, or its savepoint in the test around it.
local function undo(self)
  local link, context = self.link, self.context
  if not self.outer then
    context:finish(link, link:rollback())
    return
  end
  while depth_of(link) >= self.depth do context:finish(link, link:rollback_to()) end
  if self.guarded.depth and self.guarded.depth >= self.depth then self.guarded.depth = nil end
end

-- Those inside that were never ended would use a connection that is closed.
local function finish_inner(self)
  local tests = self.context.tests
  local inner = tests[self.link]
  while inner and inner ~= self do
    inner:finish()
    inner = tests[self.link]
  end
end

---Ends the scope, and those inside: what was written is rolled back.
function Test:finish()
  if self.finished then return end
  finish_inner(self)
  self.finished = true
  scope.remove(self.item)
  for _, em in pairs(self.item.forks) do em:drop() end
  self.context.tests[self.link] = self.outer
  if not (self.context.closed or self.outer and self.outer.finished) then undo(self) end
  if not self.outer then self.link:close() end
end

Test.__close = Test.finish

local function open(name)
  local context = registry.get(name)
  local outer = scope.test_of(context, scope.current())
  local link = outer and outer.link or context:link()
  if outer then
    link:savepoint()
  else
    link:begin(context.driver_name == "sqlite" and "BEGIN IMMEDIATE" or "BEGIN")
    link:label("orm.testing")
  end
  local self = setmetatable({ context = context, link = link, outer = outer, depth = depth_of(link),
    guarded = outer and outer.guarded or {} }, Test)
  context.tests[link] = self
  self.item = scope.enter({ forks = {}, tests = { [context] = self } })
  return self
end

---Usage, in a spec: `before_each(function() t = orm.testing() end); after_each(function() t:finish() end)`, or
---around one function: `orm.testing(nil, function() ... end)`. Raises `context_not_found`, `validation`.
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
