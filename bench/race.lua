--- One workload, all contenders, in turns: a run of each, then the next run, each time in another order, so that what
--- slows the machine down for a moment slows all alike.
---
---     local result = race(workload, database, contenders, { rows =, runs = })
---     result.times.floor             --> { 0.0061, ... } seconds, a run each
---     result.failures.LuaSQL         --> why it has none

local clock = require "bench.clock"

-- What was garbage before must not be collected under the clock.
local function collect()
  collectgarbage()
  collectgarbage()
end

local function open(entry, source, workload)
  entry.handle = entry.contender.open(source, workload.besides)
  entry.handle:find_each { 1 } -- connected, the schema read
end

local function close(entry)
  if entry.handle then entry.handle:close() end
  entry.handle = nil
end

local function untimed(fn, ...)
  return nil, fn(...)
end

local function once(entry, workload, database, options, measure)
  local source = database:fresh(workload.full, workload.besides)
  if not entry.handle then open(entry, source, workload) end
  local handle = entry.handle
  local run = { contender = entry.contender, database = database, source = source, rows = options.rows }
  local input = workload.prepare and workload.prepare(run, handle)
  collect()
  local seconds, result = measure(workload.run, handle, input)
  if not options.unchecked then workload.check(run, result, input) end
  if handle.forget then handle:forget() end
  if database.renews then close(entry) end
  database:drop(source)
  return seconds
end

-- Client and server on one processor: a wake-up across two costs more than a query.
local function pin(entries, database, workload)
  local source = database:fresh(true, workload.besides)
  for _, entry in ipairs(entries) do open(entry, source, workload) end
  clock.pin(0, 0)
  for _, pid in ipairs(database:backends()) do clock.pin(pid, 0) end
end

local function unpin(database)
  clock.unpin(0)
  for _, pid in ipairs(database:backends()) do clock.unpin(pid) end
end

-- A contender that fails is out of the race, and must not hold locks that the others would wait for.
local function try(entry, workload, database, options, measure)
  local ok, result = xpcall(function() return once(entry, workload, database, options, measure) end, debug.traceback)
  if ok then return result end
  pcall(close, entry)
  return nil, result
end

local function run_all(entries, workload, database, options, result)
  for run = 0, options.runs do
    for turn = 1, #entries do
      local entry = entries[(turn + run) % #entries + 1]
      local name = entry.contender.name
      if not result.failures[name] then
        local measure = run > 0 and clock.measure or untimed -- the first run warms up
        result.times[name][run], result.failures[name] = try(entry, workload, database, options, measure)
      end
    end
  end
end

local function takes_part(contender, workload)
  if contender.only_hooked and not workload.hooked then return false end
  return not workload.needs or contender[workload.needs] ~= nil
end

---@param workload table of bench.workloads
---@param database table of bench.database
---@param contenders table[]
---@param options { rows: integer, runs: integer, unchecked?: boolean }
---@return { times: table<string, number[]>, failures: table<string, string> }
local function race(workload, database, contenders, options)
  local entries, result = {}, { times = {}, failures = {} }
  for _, contender in ipairs(contenders) do
    if takes_part(contender, workload) then
      entries[#entries + 1] = { contender = contender }
      result.times[contender.name] = {}
    end
  end
  if workload.pinned then pin(entries, database, workload) end
  run_all(entries, workload, database, options, result)
  if workload.pinned then unpin(database) end
  for _, entry in ipairs(entries) do pcall(close, entry) end
  return result
end

return race
