--- Scopes: which entity manager a name stands for, here and now.
---
--- A coroutine has a chain of scopes; one without its own uses that of the coroutine that resumed it, directly or not.
--- Of all coroutines only ancestors of the running one are "normal", which is how it is found. A *request* scope
--- holds a fork for each context, made at first use; an *override* says that one context's entity manager is a
--- certain one (inside `transactional`), and asks the scope below for all others.
---
--- Coroutines live in a *world*: the process, or in nginx the request, whose light threads nobody resumes that could
--- be asked; they share the request's outermost scope, its `base`.
local compat = require("heddle.compat")
local errors = require("heddle.errors")
local owner = require("heddle.owner")
local wait = require("heddle.wait")

local pcall = compat.pcall

local scope = {}

---`scopes` is coroutine -> its innermost scope. Entries are removed by whoever made them. `request` ends everything
---(see heddle.owner).
---@param request? userdata
function scope.new_world(request)
  return { scopes = {}, request = request }
end

-- It does not end: coroutines that are never resumed again are forgotten.
local process = { scopes = setmetatable({}, { __mode = "k" }) }

---Set where requests are worlds of their own.
---@type fun(): table
scope.world = function() return process end

local function is_ancestor(co, main_is_ancestor)
  if type(co) ~= "thread" then return main_is_ancestor end -- 5.1's main coroutine, which is everybody's
  return coroutine.status(co) == "normal"
end

-- The innermost scope among the ancestors: scopes that were opened inside others are deeper.
local function inherited(world)
  local best
  for co, item in pairs(world.scopes) do
    if is_ancestor(co, true) and (not best or item.depth > best.depth) then best = item end
  end
  return best
end

local function current(world)
  local own = world.scopes[compat.running()]
  if own then return own end
  if next(world.scopes) == nil then return world.base end
  return inherited(world) or world.base
end

---The scope in force, nil when there is none.
function scope.current()
  return current(scope.world())
end

-- A wait in a coroutine that inherits its scope from another one is a wait inside somebody's generator. What inherits
-- it from the main one, which nobody resumes, is a scheduler's own coroutine.
wait.is_inner = function()
  local world = scope.world()
  if next(world.scopes) == nil or world.scopes[compat.running()] then return false end
  local item = inherited(world)
  return item ~= nil and not item.of_main
end

-- The mark of the scope that the running coroutine has opened is one of that coroutine.
wait.mark_here = function()
  local item = scope.world().scopes[compat.running()]
  return item and item.owner or owner.new()
end

---Opens a scope for the running coroutine; give the result to `leave`.
---@param item table { forks = {} } or { overrides = {} }, each by context
function scope.enter(item)
  local co, is_main = compat.running()
  local world = scope.world()
  local below = current(world)
  item.below, item.depth, item.world = below, (below and below.depth or 0) + 1, world
  item.former, item.owner, item.of_main = world.scopes[co], owner.of(world.request), is_main
  world.scopes[co] = item
  if item.forks and world.request and not world.base then world.base = item end
  return item
end

---Opens a scope that no coroutine has, for everything that runs in this world until its end.
---@param item table { forks = {} }
---@return table item the one that is in force: there may be one already
function scope.enter_base(item)
  local world = scope.world()
  if not world.base then
    item.depth, item.world = 1, world
    world.base = item
  end
  return world.base
end

---Closes a scope, and with it whatever was opened inside and not closed.
function scope.leave(item)
  local co, world = item.owner[1], item.world
  if world.base == item then world.base = nil end
  if co and world.scopes[co] then world.scopes[co] = item.former end
end

---Takes a scope away from under those that were opened inside it.
function scope.remove(item)
  local co, scopes = item.owner[1], item.world.scopes
  if item.world.base == item then item.world.base = nil end
  if not co then return end
  if scopes[co] == item then
    scopes[co] = item.former
    return
  end
  local above = scopes[co]
  while above and above.former ~= item do above = above.former end
  if above then
    above.former = item.former
    if above.below == item then above.below = item.below end
  end
end

---The request scope that a scope is part of, however deep; nil when there is none.
---@param item? table
function scope.outermost(item)
  local found
  while item do
    if item.forks then found = item end
    item = item.below
  end
  return found
end

---The test (see heddle.testing) that lends its connection to a context's entity managers, nil when there is none.
---@param context table
---@param item? table the scope to look from
function scope.test_of(context, item)
  while item do
    local test = item.tests and item.tests[context]
    if test then return test end
    item = item.below
  end
end

local NONE = {}

local function finish_forks(item)
  local first
  for _, em in pairs(item.forks) do
    local ok, err = pcall(em.drop, em)
    if not ok then first = first or err end
  end
  item.forks, item.ended = NONE, true
  return first
end

---Set where nobody may see an error that leaves a request scope.
---@type fun(err: any)
scope.tell = function() end

local function raise_outside(err)
  scope.tell(err)
  error(err, 0)
end

local function end_request(item, ok, ...)
  scope.leave(item)
  local failure = finish_forks(item)
  if not ok then raise_outside((...)) end
  if failure then raise_outside(failure) end
  return ...
end

---Runs `fn(...)` in a fresh scope and gives back its results. The scope's forks are dropped after it, error or not.
---
---Usage: `orm.request_context(function() return orm.get_context():find_one(User, 7) end)`
---@param fn function
---@return any ...
function scope.request_context(fn, ...)
  if type(fn) ~= "function" then
    errors.raise("validation", "orm.request_context takes a function, not a " .. type(fn))
  end
  local item = scope.enter({ forks = {} })
  return end_request(item, pcall(fn, ...))
end

local function end_bound(item, ok, ...)
  scope.leave(item)
  if not ok then error((...), 0) end
  return ...
end

---Carries the scope in force into a coroutine that someone else will resume.
---
---Usage: `scheduler.spawn(orm.bind(function() orm.em():flush() end))`
---@param fn function
---@return function
function scope.bind(fn)
  if type(fn) ~= "function" then errors.raise("validation", "orm.bind takes a function, not a " .. type(fn)) end
  local captured = scope.current()
  if not captured then return fn end
  return function(...)
    local item = scope.enter({ overrides = {} })
    item.below = captured
    return end_bound(item, pcall(fn, ...))
  end
end

---The scope's entity manager of a context; nil when there is no scope for it.
---@param context table
---@return table|nil em
---@return boolean in_scope whether a request scope is there at all
function scope.find(context)
  local item = scope.current()
  while item do
    local em = item.overrides and item.overrides[context]
    if em then return em, true end
    if item.ended or item.world.request and item.world.request:ended() then
      errors.raise("no_request_context", ("Cannot get context '%s': the request scope that this function was bound to "
        .. "has ended; finish it before the request does, or open a scope of its own"):format(context.name),
        { context = context.name })
    end
    if item.forks then
      em = item.forks[context]
      if em and em.test and em.test.finished then em = nil end
      if not em then
        em = context:new_manager(item)
        item.forks[context] = em
      end
      return em, true
    end
    item = item.below
  end
  return nil, false
end

return scope
