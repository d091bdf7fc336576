--- Waiting: one loop that carries a link's operation on, and what it waits with.
---
--- A link answers with a status and never blocks; the adapter (heddle.waiting) decides what a wait is. Where there is
--- none, or nothing can be yielded, the core polls in slices of 50 ms, so that Ctrl-C is heard.
local compat = require("heddle.compat")
local later = require("heddle.later")
local core = require("heddle.core")
local errors = require("heddle.errors")
local owner = require("heddle.owner")
local waiting = require("heddle.waiting")
local write_lock = later.module("heddle.write_lock")

local pcall = compat.pcall

local wait = {}

-- Statuses of the core.
wait.DONE, wait.ROW, wait.WAIT, wait.HOST, wait.FAILED = 0, 1, 2, 3, 4
local WAIT, HOST = wait.WAIT, wait.HOST

-- Coroutines made by wait.wrap: their waits are passed to whoever resumes them.
local wrapped = setmetatable({}, { __mode = "k" })
local PASS = {}
-- What a wait answers that nobody could pass on.
local BLOCK = {}

---Set by the scopes: whether the running coroutine is a generator inside a coroutine that has a scope of its own.
---@type fun(): boolean
wait.is_inner = function() return false end

---Set by the scopes: a mark of the running coroutine, which is not to be written to.
---@type fun(): table
wait.mark_here = owner.new

-- Links, and which coroutine made the fork that each is of.
local makers = setmetatable({}, { __mode = "k" })

-- Links that are waited for, and by whom.
local waits = setmetatable({}, { __mode = "k" })
wait.waits = waits

-- Something runs out of which nothing can be yielded.
local is_rigid = false

-- Whether the running coroutine is a generator of somebody who has a scope, or who made the fork.
local function is_generator(link)
  return wait.is_inner() or makers[link] ~= nil and owner.is_above(makers[link])
end

-- Whether a C function is in between; Lua 5.1 does not know.
local is_yieldable = rawget(coroutine, "isyieldable") or function() return true end

-- Why nothing can be yielded here: true, or a text and what to do about it.
-- An adapter that `knows_generators` has looked for one itself.
local function obstacle(adapter, link)
  if is_rigid then return "a generic for of Lua 5.1", "step the iterator with while" end
  local co, is_main = compat.running()
  local is_passed = wrapped[co] and not adapter.passes -- whoever resumes it is asked
  local what, advice
  if adapter.blocks and not is_passed then what, advice = adapter.blocks() end
  if what or is_main or adapter.passes then return what, advice end
  if not is_yieldable() then return "a function that C calls", "take it out of table.sort, string.gsub and the like" end
  if is_passed or adapter.knows_generators then return nil end
  if is_generator(link) then return "a generator", "make the generator with orm.wrap" end
  return nil
end

-- The adapter to wait with, nil where the wait has to block.
local function adapter_here(link)
  local adapter = waiting.here()
  if not adapter then return nil end
  local what, advice = obstacle(adapter, link)
  if not what then return adapter end
  if advice then waiting.warn(what, advice) end
  return nil
end

-- One wait through the adapter.
local function pause(adapter, link, fd, events, timeout)
  if wrapped[compat.running()] and not adapter.passes then return coroutine.yield(PASS, link, fd, events, timeout) end
  return adapter.wait(fd, events, timeout)
end

---Calls a function whose waits block, because nothing can be yielded out of it.
---@return boolean ok
---@return any ... results, or the error
function wait.rigidly(fn, ...)
  local former = is_rigid
  is_rigid = true
  local results = compat.pack(pcall(fn, ...))
  is_rigid = former
  return compat.unpack(results, 1, results.n)
end

-- While a wait blocks nobody else runs, so a place in the pool's queue would be waited for in vain. Garbage may
-- hold a connection; when it does not, nothing will give one back.
local function fail_queue(link, context)
  collectgarbage()
  local status, fd, events, timeout = link:step()
  if status ~= WAIT or not link:queued() then return status, fd, events, timeout end
  local holders = context:pool_of(link):holders()
  if context.config.memory then write_lock.refuse_second(context, holders) end
  context.refused_waits = context.refused_waits + 1
  errors.raise("pool_timeout", ("No connection of context '%s' will become free: %s, and nothing else runs that "
    .. "could give one back; finish the transaction or stream that holds it, or raise pool.max"):format(context.name,
    holders), { context = context.name })
end

-- The host's part: a password that is a function, or on_connect for a fresh connection.
local function serve(link, context)
  if link:need() == "password" then
    link:password(context:password(link))
  else
    link:park()
    context:connected(link)
    link:unpark()
  end
  return link:step()
end

-- Guards of waits that are over.
local spare = {}

local function take_guard(link)
  local guard = spare[#spare]
  if not guard then return core.guard(link) end
  spare[#spare] = nil
  guard:hold(link)
  return guard
end

local function wait_once(link, context, fd, events, timeout)
  local queued = link:queued()
  -- A full pool is not the file's lock: others may give a connection back. In memory there is but one.
  local locked = queued and context.config.memory or fd == nil and not queued
  if locked and context.driver_name == "sqlite" then write_lock.check(context, link) end
  local adapter = adapter_here(link)
  if adapter then
    -- When this coroutine is never resumed, and collected, what it waits for is given up with it.
    local guard = take_guard(link)
    local answer = pause(adapter, link, fd, events, timeout)
    guard:release()
    spare[#spare + 1] = guard
    if answer ~= BLOCK then return link:step() end
  end
  if queued then return fail_queue(link, context) end
  return link:block()
end

-- Whose wait it is.
local function mark(link, waiter)
  waits[link] = waiter
  link:watch(waiter ~= nil)
end

-- What is marked is unmarked in here when all goes well, so that an error at whatever instruction finds it either way.
local function carry(link, context, former, status, fd, events, timeout)
  local here = wait.mark_here()
  mark(link, here)
  waiting.own(link, here.request)
  while status == WAIT or status == HOST do
    if status == WAIT then
      status, fd, events, timeout = wait_once(link, context, fd, events, timeout)
    else
      status, fd, events, timeout = serve(link, context)
    end
  end
  mark(link, former)
  return status
end

-- Nothing goes on that nobody waits for, on the server neither. What was sent is told of.
local function give_up(link, context, why)
  link:reset()
  if context:is_logged() then
    context:log(link, errors.new("canceled", "The statement was given up: nobody waits for it any more",
      { context = context.name, cause = why }))
  end
end

---Carries the running operation on until it is done, has a row, or failed (status 0, 1 or 4). What breaks it off, such
---as an error of the scheduler's, leaves nothing running.
---@param link userdata
---@param context table the context: name, pool, config, connected(link)
---@param status integer what the last step answered, with its fd, events and timeout
function wait.drive(link, context, status, fd, events, timeout)
  if status ~= WAIT and status ~= HOST then return status end
  local former = waits[link]
  local ok, result = pcall(carry, link, context, former, status, fd, events, timeout)
  if not ok then
    mark(link, former)
    give_up(link, context, result)
    error(result, 0)
  end
  return result
end

---The running coroutine, for an entity manager that it makes; nil where there is no scheduler, which generators could
---keep from its coroutines.
---@return table|nil mark
function wait.maker()
  return waiting.is_scheduled() and owner.new() or nil
end

---Notes the coroutine that made the entity manager whose link it is.
---@param maker table|nil as wait.maker gives it
function wait.made_by(link, maker)
  if maker then makers[link] = maker end
  return link
end

---Who waits for a link's operation: a mark as heddle.owner makes it, nil when nobody does.
function wait.waiter(link)
  return waits[link]
end

---Gives up an operation whose coroutine is gone, if there is one.
---@param context table
function wait.abandon(link, context)
  local waiter = waits[link]
  mark(link, nil)
  if waiter and not waiter.is_told then return give_up(link, context) end
  link:reset()
end

local function tell(link, former, fn, ...)
  local waiter = owner.new()
  waiter.is_told = true
  waits[link] = waiter
  fn(...)
  waits[link] = former
end

---Calls `fn(...)` while the link counts as waited for: by somebody who is told of what ran on it.
---@return boolean ok
---@return any err
function wait.during(link, fn, ...)
  local former = waits[link]
  local ok, err = pcall(tell, link, former, fn, ...)
  if not ok then waits[link] = former end
  return ok, err
end

---Waits for a time, as the adapter waits.
---@param seconds number
---@param link userdata whose operation is put off
function wait.sleep(seconds, link)
  local adapter = adapter_here(link)
  if not adapter or pause(adapter, link, nil, nil, seconds) == BLOCK then core.sleep(seconds) end
end

---A `coroutine.wrap` whose body may use Heddle under a scheduler: its waits are passed on to the scheduler, not to the
---generator's consumer.
---
---Usage: `for name in orm.wrap(function() for _, u in ipairs(em:find_all(User)) do coroutine.yield(u.name) end end) do`
---@param fn function
---@return function
function wait.wrap(fn)
  if type(fn) ~= "function" then
    errors.raise("validation", "orm.wrap takes a function, not a " .. type(fn))
  end
  local co = coroutine.create(fn)
  wrapped[co] = true
  -- Whoever consumes may be a generator too.
  local function pause_outside(link, ...)
    local adapter = adapter_here(link)
    if not adapter then return BLOCK end
    return pause(adapter, link, ...)
  end
  local function pass(ok, first, ...)
    if not ok then error(first, 0) end
    if rawequal(first, PASS) then return pass(coroutine.resume(co, pause_outside(...))) end
    return first, ...
  end
  return function(...)
    return pass(coroutine.resume(co, ...))
  end
end

return wait
