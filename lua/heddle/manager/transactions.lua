--- Transactions of the public entity manager.
local compat = require("heddle.compat")
local errors = require("heddle.errors")
local hooks = require("heddle.hooks")
local manager = require("heddle.manager")
local own_writes = require("heddle.own_writes")
local scope = require("heddle.scope")
local transaction = require("heddle.transaction")
local transaction_options = require("heddle.transaction_options")
local wait = require("heddle.wait")

local Manager = manager.class
local admit, check_receiver = manager.admit, manager.check_receiver
local pcall = compat.pcall

-- What `begin` gives: in 5.4 a `<close>` variable rolls back unless it was committed.
local Handle = { __name = "heddle.transaction" }
Handle.__index = Handle

local function is_open(em, item)
  for _, each in ipairs(em.transactions) do
    if each == item then return true end
  end
  return false
end

-- A transaction ends when everything that was begun inside it has.
local function check_innermost(em, item)
  if em.transactions[#em.transactions] == item then return end
  errors.raise("transaction_required", is_open(em, item)
    and "a transaction that was begun inside this one is still open"
    or "this transaction is over: it was committed or rolled back before", { context = em.context_name })
end

-- What was left open inside goes with it.
local function roll_back(em, item)
  while is_open(em, item) do transaction.rollback(em) end
end

---Commits; entities that are pending are flushed first. Raises `transaction_required` when it is over, or when another
---one is open inside it.
function Handle:commit()
  check_innermost(self.em, self.item)
  self.em:commit()
end

---Rolls back, with what was left open inside; nothing happens when it is over.
function Handle:rollback()
  if not is_open(self.em, self.item) then return end
  self.em:enter(true)
  hooks.refuse(self.em, "rollback")
  roll_back(self.em, self.item)
end

function Handle:__close()
  roll_back(self.em, self.item)
end

---Begins a transaction (inside one, a savepoint). It belongs to this coroutine and those it resumes.
---
---Usage: `em:begin(); em:persist(a); em:commit()`, in 5.4 `local tx <close> = em:begin()`
---@param opts? { isolation: string, read_only: boolean }
function Manager:begin(opts)
  admit(self)
  self:enter()
  hooks.refuse(self, "begin")
  transaction_options.check(self, opts, true)
  return setmetatable({ em = self, item = transaction.begin(self, opts) }, Handle)
end

---Flushes, then commits. A failing flush leaves the transaction open.
function Manager:commit()
  check_receiver(self)
  self:enter()
  hooks.refuse(self, "commit")
  transaction.current(self, "commit")
  if not self.link:failed() then self:flush() end
  transaction.commit(self)
end

---Rolls back; entities get the values that they had when the transaction began.
function Manager:rollback()
  check_receiver(self)
  self:enter(true)
  hooks.refuse(self, "rollback")
  transaction.rollback(self)
end

---@return boolean
function Manager:in_transaction()
  check_receiver(self)
  return #self.transactions > 0
end

-- Runs fn with this entity manager as the context's one.
local function inside(self, fn)
  local item = scope.enter({ overrides = { [self.context] = self } })
  local results = compat.pack(pcall(fn, self))
  scope.leave(item)
  return results
end

local function conclude(self, item)
  check_innermost(self, item)
  self:commit()
end

local function run(self, fn, opts)
  local item = transaction.begin(self, opts)
  local results = inside(self, fn)
  if results[1] then
    local ok, err = pcall(conclude, self, item)
    if ok then return compat.unpack(results, 2, results.n) end
    results[2] = err
  end
  roll_back(self, item)
  error(results[2], 0)
end

-- Without a transaction around it.
local function plainly(self, fn)
  local results = inside(self, fn)
  if not results[1] then error(results[2], 0) end
  self:flush()
  return compat.unpack(results, 2, results.n)
end

-- Fresh work on another connection.
local function aside(self, fn, opts, how)
  local em = self:fork({ flush_mode = self.flush_mode })
  local results = compat.pack(pcall(how, em, fn, opts))
  own_writes.merge(self, em)
  em:drop()
  if not results[1] then error(results[2], 0) end
  return compat.unpack(results, 2, results.n)
end

local function refuse(self, message)
  errors.raise("transaction_required", message, { context = self.context_name })
end

-- How fn is run, and whether on a fork. What joins an open transaction has a savepoint too: failing, it undoes its own
-- work only (F3).
local function choose(self, propagation)
  local inner = #self.transactions > 0
  if propagation == "mandatory" and not inner then
    refuse(self, "propagation 'mandatory' needs an open transaction")
  elseif propagation == "never" and inner then
    refuse(self, "propagation 'never' inside a transaction")
  end
  local without = propagation == "never" or propagation == "not_supported" or propagation == "supports" and not inner
  local is_apart = inner and (propagation == "requires_new" or propagation == "not_supported")
  return without and plainly or run, is_apart
end

local function can_retry(err)
  if errors.is_error(err) and err.outcome == "committed" then return false end
  return errors.is_error(err, "serialization_failure") or errors.is_error(err, "deadlock")
end

---Runs `fn(em)` in a transaction, flushes and commits; gives back what fn returned. An error rolls back and is
---raised again.
---
---Usage: `em:transactional(function(tx) tx:persist(order); account.balance = account.balance - 10 end)`
---@param fn fun(em: heddle.EntityManager): any
---@param opts? { isolation: string, read_only: boolean, propagation: string, retry: integer }
function Manager:transactional(fn, opts)
  admit(self)
  self:enter()
  hooks.refuse(self, "transactional")
  if type(fn) ~= "function" then errors.raise("validation", "em:transactional takes a function") end
  transaction_options.check(self, opts)
  opts = opts or {}
  local how, is_apart = choose(self, opts.propagation)
  -- A conflict in what is part of an open transaction is that one's, which begins again as a whole.
  local tries = (is_apart or #self.transactions == 0) and (opts.retry or self.context.config.retry) or 0
  local results = compat.pack(pcall(is_apart and aside or how, self, fn, opts, how))
  for try = 1, tries do
    if results[1] or not can_retry(results[2]) then break end
    wait.sleep(0.01 * 2 ^ try * (0.5 + math.random()), self.link)
    results = compat.pack(pcall(aside, self, fn, opts, how))
  end
  if not results[1] then error(results[2], 0) end
  return compat.unpack(results, 2, results.n)
end

return Manager
