--- One run: rows to begin with, operations, flushes that succeed, fail or are made to fail, transactions; and after
--- every step that reaches the database a comparison with the model. A run that fails is done again with fewer steps.
---
---     local run = require("spec.model.run")
---     local stats = run.stats()
---     run.seed(work, 17, stats)               -- raises the seed, what is wrong, and the steps that show it

local actions = require("spec.model.actions")
local asserted = require("spec.support.asserted")
local chance = require("spec.model.chance")
local check = require("spec.model.check")
local execute = require("heddle.flush.execute")
local faults = require("spec.model.faults")
local inject = require("spec.model.inject")
local Model = require("spec.model.model")
local operations = require("spec.model.operations")
local schema = require("spec.model.schema")
local support = require("spec.support.chance")
local teams = require("spec.model.teams")
require("spec.model.flushing")

local run = {}
local unpack = table.unpack or unpack

-- Plans ----------------------------------------------------------------------------------------------------

-- What each plan needed is seen where a flush is carried out: a listener would change how it is.
local watcher
local carry_out = execute.run
function execute.run(em, batch, ...)
  if watcher and batch.report then watcher(batch:report()) end
  return carry_out(em, batch, ...)
end

--- Counts of runs, and of those that needed something special or failed for some reason.
function run.stats() return { runs = 0, flushes = 0, plans = {}, failures = {} } end

-- One run --------------------------------------------------------------------------------------------------

local function empty(work)
  if work.db.name == "postgres" then
    work.raw:exec("set session_replication_role = replica")
  else
    work.raw:rows("pragma foreign_keys = off")
  end
  work.raw:exec("delete from " .. schema.pivot)
  for _, kind in ipairs(schema.names) do work.raw:exec("delete from " .. schema.tables[kind]) end
end

local function new(work, seed, stats)
  empty(work)
  work:forget()
  local self = {
    work = work, em = work.instance.em:fork({ flush_mode = "commit" }), model = Model.new(), trace = {}, made = 0,
    random = support.generator(seed), sorted = actions.sorted, failures = {},
  }
  self.em.context.config.batch_size = ({ 1000, 3, 1 })[seed % 3 + 1] -- rows of a statement
  watcher = function(report)
    for name, count in pairs(report) do
      if count > 0 then self.plan[name] = true end
    end
  end
  self.plan = {}
  function self.count(what) self.failures[what] = true end
  function self.step(...)
    local step = { n = select("#", ...), ... }
    self.trace[#self.trace + 1] = step
    local done = actions.apply(self, step)
    if not done then table.remove(self.trace) end
    if done then check.memory(self) end
    return done
  end
  self.stats = stats
  return self
end

local function finish(self)
  while self.em:in_transaction() do
    if not pcall(self.em.rollback, self.em) then break end
  end
  pcall(self.em.clear, self.em)
end

local function operate(self, count)
  for _ = 1, count do operations.random(self) end
end

local function random_fault(self)
  local kinds = inject.kinds[self.work.db.name]
  if self.random(60) == 1 and self.work.db.name == "postgres" then return { "kill", self.random(6) } end
  return { kinds[self.random(#kinds)], self.random(6) }
end

-- Flush, commit or rollback; a flush that fails is mended and done again.
local function settle(self)
  local depth = #self.model.saved
  if depth > 0 and self.random(5) == 1 then return self.step("rollback") end
  local name = depth > 0 and self.random(2) == 1 and "commit" or "flush"
  faults.mend(self)
  if self.random(6) == 1 then faults.random(self) end
  if self.random(3) == 1 then self.step(name, random_fault(self)) else self.step(name) end
  faults.mend(self)
  self.step("flush")
end

local function round(self)
  if #self.model.saved < 3 and self.random(3) == 1 then self.step("begin") end
  if #self.model.saved == 0 and self.random(5) == 1 then self.step("reload") end
  local p = self.random(4) == 1 and chance.any(self, "Person")
  if p then self.step("load", p.n, "skills") end
  operate(self, self.random(5))
  settle(self)
end

local function perform(self)
  for _ = 1, 2 do teams.found(self) end
  operate(self, 8)
  faults.mend(self)
  self.step("flush")
  for _ = 1, 4 do round(self) end
  while #self.model.saved > 0 do
    faults.mend(self)
    self.step(self.random(2) == 1 and "rollback" or "commit")
  end
  faults.mend(self)
  self.step("flush")
end

-- Shortening -----------------------------------------------------------------------------------------------

-- What is wrong after these steps, if anything is.
local function replay(work, steps)
  local self = new(work, 1)
  local ok, err = pcall(function()
    for _, step in ipairs(steps) do self.step(unpack(step, 1, step.n)) end
  end)
  finish(self)
  return not ok and tostring(err) or nil, self.trace
end

local function kind_of(message) return message:gsub("%d+", "0"):sub(1, 40) end

--- Steps that show the same fault, as few as can be found.
local function shorten(work, steps, message)
  local size = math.floor(#steps / 2)
  while size >= 1 do
    local at, shorter = 1, false
    while at <= #steps do
      local left = {}
      for i, step in ipairs(steps) do
        if i < at or i >= at + size then left[#left + 1] = step end
      end
      local found, done = replay(work, left)
      if found and kind_of(found) == kind_of(message) then
        steps, message, shorter = done, found, true
      else
        at = at + size
      end
    end
    if not (shorter and size == 1) then size = math.floor(size / 2) end
  end
  return steps, message
end

--- Does one run. Raises what is wrong, with the seed and the fewest steps that show it.
function run.seed(work, seed, stats)
  local self = new(work, seed)
  asserted.note()
  local ok, err = xpcall(function() perform(self) end, function(err)
    return type(err) == "string" and err:find("^%S+%.lua:") and debug.traceback(err) or err
  end)
  finish(self)
  if ok then
    stats.runs = stats.runs + 1
    for name in pairs(self.plan) do stats.plans[name] = (stats.plans[name] or 0) + 1 end
    for name in pairs(self.failures) do stats.failures[name] = (stats.failures[name] or 0) + 1 end
    return
  end
  local steps, message = shorten(work, self.trace, tostring(err))
  error(("HEDDLE_SEED=%d on %s: %s\n%s\n  --> %s"):format(seed, work.db.name, tostring(err), actions.text(steps),
    message), 0)
end

return run
