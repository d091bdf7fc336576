--- Who may use an entity manager: one coroutine at a time, until it is dropped.
local later = require("heddle.later")
local errors = require("heddle.errors")
local manager = require("heddle.manager")
local owner = require("heddle.owner")
local transaction = later.module("heddle.transaction")
local wait = require("heddle.wait")

local Manager = manager.class
local waits = wait.waits

-- The coroutine that was using it will never go on: what was under way is taken back.
local function recover(self)
  if self.link then wait.abandon(self.link, self.context) end
  if self.replica_link then wait.abandon(self.replica_link, self.context) end
  if self.chunk_link then wait.abandon(self.chunk_link, self.context) end
  self.chunk_link, self.hook = false, false
  if self.committing then
    self.committing = false
    transaction.doubt(self)
  end
  if self.flushing then self:break_flush() end
end

local function raise_busy(self, what, hint)
  local name = self.context_name
  errors.raise("busy", ("%s of context '%s'; %s"):format(what, name, hint), { context = name })
end

local ONE_EACH = "give each coroutine its own: em:fork()"

local function check_waiter(self, waiter)
  if owner.is_gone(waiter) then return recover(self) end
  if not owner.is_running(waiter) then
    raise_busy(self, "Another coroutine is waiting for the database on this entity manager", ONE_EACH)
  elseif waiter.is_told then
    raise_busy(self, "A logger or 'query' listener is told of a statement of this entity manager",
      "it may use one of its own: em:fork()")
  end
end

---Raises `busy` while another coroutine waits for the database.
function Manager:check_waiters()
  local waiter = self.link and wait.waiter(self.link) or self.replica_link and wait.waiter(self.replica_link)
    or self.chunk_link and wait.waiter(self.chunk_link)
  if waiter then check_waiter(self, waiter) end
end

-- A hook may wait for something that is not the database.
local function check_hook(self, hook)
  if owner.is_here(hook.owner) then return end
  if owner.is_gone(hook.owner) then return recover(self) end
  raise_busy(self, "A hook is running in another coroutine on this entity manager", ONE_EACH)
end

local function raise_dropped(self)
  errors.raise("closed", ("This entity manager of context '%s' ended with its scope: finish what uses it before, or "
    .. "give it a fork of its own"):format(self.context_name), { context = self.context_name })
end

local function check_transaction(first, self, to_end)
  if owner.is_here(first.owner) then return end
  if not owner.is_gone(first.owner) then
    raise_busy(self, "A transaction of another coroutine is open on this entity manager", ONE_EACH)
  elseif not to_end then
    raise_busy(self, "A transaction was left open by a coroutine that has ended on this entity manager",
      "em:rollback() ends it")
  end
end

local function check(self, to_end)
  if self.context.closed then self.context:raise_closed() end
  if self.test and self.test.finished then self.test:raise_finished() end
  if self.dropped and not to_end then raise_dropped(self) end
  self:check_waiters()
  if self.hook then check_hook(self, self.hook) end
  if self.outcome_unknown then
    errors.raise("connection", "The connection was lost while a commit was under way and nobody knows whether it "
      .. "happened: em:clear(), and read again", { context = self.context_name, outcome = "unknown" })
  end
  self.wary = (self.test or self.dropped or self.hook or self.replica_link or self.chunk_link) and true or false
end

---Raises `busy` when another coroutine is using this entity manager, `closed` when its context is, `connection` when it
---cannot know what the database holds.
---@param to_end? boolean the transaction that is open is going to be rolled back: anybody may who finds it left behind
function Manager:enter(to_end)
  local link = self.link
  if self.wary or self.context.closed or link and waits[link] then check(self, to_end) end
  local first = self.transactions[1]
  if first then check_transaction(first, self, to_end) end
end

local function is_elsewhere(mark)
  return mark ~= nil and not owner.is_here(mark) and not owner.is_gone(mark)
end

local function is_waited_on(link)
  return link and is_elsewhere(wait.waiter(link))
end

---Whether another coroutine is in the middle of something, streams apart.
function Manager:is_in_use()
  local first = self.transactions[1]
  return first ~= nil and is_elsewhere(first.owner) or self.hook and is_elsewhere(self.hook.owner)
    or is_waited_on(self.link) or is_waited_on(self.replica_link)
end
