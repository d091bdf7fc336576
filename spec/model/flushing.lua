--- The steps that reach the database: flush, begin, commit, rollback. What is allowed to happen, the model says: a
--- flush whose end state is valid succeeds, any other fails, and so does one that met a failure that was ordered.

local actions = require("spec.model.actions")
local check = require("spec.model.check")
local inject = require("spec.model.inject")
local orm = require("heddle")
local rows = require("spec.model.rows")

-- Errors that tell a program that what it wants cannot be.
local refusals = { "validation", "constraint", "not_managed" }

local function is_refusal(err)
  for _, kind in ipairs(refusals) do
    if orm.is_error(err, kind) then return true end
  end
  return false
end

local function describe(err)
  if not orm.is_error(err) then return tostring(err) end
  return ("%s (%s; %s)"):format(tostring(err), tostring(err.cause), tostring(err.detail))
end

local function statements(run)
  return #run.work.log
end

-- What was deleted is new again, and who leads to it brings it back: left to other specs.
local function leads_to_gone(run)
  local fresh = rows.cascade(run.model)
  local wrong = rows.fault(run.model)
  for _, o in ipairs(fresh) do o.mark = "fresh" end
  return wrong and wrong.what == "dangling" and wrong.o.to[wrong.name].mark == "gone"
end

-- Runs fn, which flushes, with a failure on order. Gives whether it succeeded; the model stays as it was.
local function attempt(run, fault, fn)
  local fresh = rows.cascade(run.model)
  local wrong = rows.fault(run.model)
  if not wrong then check.changes(run) end
  if fault then inject.arm(run.work, run.em, fault) end
  local ok, err = pcall(fn)
  if ok and wrong then
    error(("a flush succeeded although %s of o%d is %s"):format(wrong.name, wrong.o.n, wrong.what), 0)
  end
  if ok then return true end
  for _, o in ipairs(fresh) do o.mark = "fresh" end
  local allowed = fault and inject.is_mine(run.work, fault, err) or wrong and is_refusal(err)
  if not allowed then error("a flush failed that should not: " .. describe(err), 0) end
  run.count(fault and inject.is_mine(run.work, fault, err) and fault[1] or wrong.what)
  return false, err
end

-- A second flush finds nothing to do.
local function flush_again(run)
  local before = statements(run)
  run.em:flush()
  if statements(run) > before then
    error("U1: a second flush sent " .. run.work.log[before + 1].sql, 0)
  end
end

-- Nobody knows yet the badge of who took over a person's row.
local function written(run)
  rows.flush(run.model, function(o) return o.e.id end)
  for _, o in ipairs(run.model:all("Person", "managed")) do
    if not o.known.skills then run.em:load(o.e, { "badge" }) end
  end
end

-- A lost connection takes the whole transaction with it. Where nobody can know what became of a statement that needed
-- no COMMIT, memory has to be read anew.
local function give_up(run, err)
  while #run.model.saved > 0 do
    if run.em:in_transaction() then run.em:rollback() end
    run.model:rollback()
  end
  if orm.is_error(err) and err.outcome == "unknown" then actions.apply(run, { "reload" }) end
end

actions.add("flush", function(run, fault)
  if leads_to_gone(run) then return false end
  local ok, err = attempt(run, fault, function() run.em:flush() end)
  if not ok and orm.is_error(err, "connection") then give_up(run, err) end
  if fault then inject.disarm(run.work, run.em, fault) end
  if ok then
    written(run)
    flush_again(run)
  end
  check.rows(run)
  return true
end, function(_, fault)
  return fault and ("em:flush() -- failure: %s %s"):format(fault[1], tostring(fault[2] or "")) or "em:flush()"
end)

-- Whoever is not managed yet gets no values back: everybody is persisted before a transaction begins.
actions.add("begin", function(run)
  for _, o in ipairs(run.model:all(nil, "fresh")) do actions.apply(run, { "persist", o.n }) end
  run.em:begin()
  run.model:begin()
  return true
end, function() return "em:begin()" end)

actions.add("commit", function(run, fault)
  if #run.model.saved == 0 or leads_to_gone(run) then return false end
  local depth = #run.em.transactions
  local ok, err = attempt(run, fault, function() run.em:commit() end)
  if ok then
    written(run)
    run.model:commit()
  elseif orm.is_error(err, "connection") then
    give_up(run, err)
  elseif #run.em.transactions < depth then
    run.model:rollback()
  end
  if fault then inject.disarm(run.work, run.em, fault) end
  if ok then flush_again(run) end
  check.rows(run)
  return true
end, function(_, fault)
  return fault and ("em:commit() -- failure: %s %s"):format(fault[1], tostring(fault[2] or "")) or "em:commit()"
end)

actions.add("rollback", function(run)
  if #run.model.saved == 0 then return false end
  run.em:rollback()
  run.model:rollback()
  check.rows(run)
  return true
end, function() return "em:rollback()" end)
