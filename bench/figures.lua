--- Goals that are no multiple of the floor: a flush with nothing to write, memory, the start of a process.
---
---     for _, figure in ipairs(require("bench.figures")(runs)) do ... end
---     --> { title = "flush, 100,000 clean entities loaded", value = 3.1, unit = "ms", goal = 10, met = true }
---
--- Memory is what malloc has given (the interpreter's memory is among it; LuaJIT's is not, and is added) with 10,000
--- managed authors loaded, after full collections, without what the floor's plain tables of the same rows take.

local clock = require "bench.clock"
local database = require "bench.database"
local report = require "bench.report"

local ROWS, CLEAN = 10000, 100000

local function in_use()
  collectgarbage()
  collectgarbage()
  return clock.allocated() + (rawget(_G, "jit") and collectgarbage("count") * 1024 or 0)
end

-- What `load` gives is held while memory is measured; `forget` lets go of it.
local function bytes(load, forget)
  local before = in_use()
  local held = load()
  local after = in_use()
  assert(#held == ROWS)
  forget()
  return after - before
end

local function opened(contender, source)
  local handle = contender.open(source)
  local function load() return handle:load_all() end
  local function forget() if handle.forget then handle:forget() end end
  bytes(load, forget) -- pools and caches have what they keep
  local taken = bytes(load, forget)
  handle:close()
  return taken
end

local function memory()
  local db = database.new("sqlite", ROWS)
  local heddle, floor = require "bench.contenders.heddle", require "bench.contenders.floor"
  heddle.load("sqlite")
  floor.load("sqlite")
  local source = db:fresh(true)
  local plain = opened(floor, source)
  local managed = opened(heddle, source)
  db:close()
  return (managed - plain) / ROWS, plain / ROWS
end

local function clean_flush(runs)
  local db = database.new("sqlite", CLEAN)
  local heddle = require "bench.contenders.heddle"
  local handle, times = heddle.open(db:fresh(true)), {}
  assert(#handle:load_all() == CLEAN)
  for run = 0, runs do
    collectgarbage()
    times[run] = clock.measure(handle.em.flush, handle.em) * 1e3
  end
  local statements = 0
  handle.instance:on("query", function() statements = statements + 1 end)
  handle.em:flush()
  handle:close()
  db:close()
  return report.median(times), statements
end

-- The interpreter that runs this, as it was called.
local function interpreter()
  local first = 0
  while arg[first - 1] do first = first - 1 end
  return arg[first]
end

local function start(runs)
  local directory, times = arg[0]:match("^(.*)/[^/]*$"), {}
  for run = 1, runs do
    local pipe = assert(io.popen(("'%s' '%s/start.lua'"):format(interpreter(), directory)))
    times[run] = assert(tonumber((pipe:read("*a"))), "bench/start.lua failed")
    pipe:close()
  end
  return report.median(times)
end

local function first_query(driver)
  local db = database.new(driver, 100)
  if not db then return end
  local handle = require("bench.contenders.heddle").open(db:fresh(true))
  local statements = 0
  handle.instance:on("query", function() statements = statements + 1 end)
  handle:find_each { 1 }
  local connections = handle.instance:pool_stats().opened
  handle:close()
  db:close()
  return connections, statements
end

---@param runs integer
---@return { title: string, value: number, unit: string, goal?: number, met?: boolean }[]
return function(runs)
  local list = {}
  local function add(title, value, unit, goal)
    list[#list + 1] = { title = title, value = value, unit = unit, goal = goal, met = goal and value <= goal }
  end
  local beyond, plain = memory()
  add("memory of a managed entity beyond its table's " .. ("%.0f bytes"):format(plain), beyond, "bytes", 250)
  local milliseconds, statements = clean_flush(runs)
  add("flush, 100,000 clean entities loaded", milliseconds, "ms", 10)
  add("its statements", statements, "", 0)
  add('require "heddle", 50 entities, init, in a new process', start(runs), "ms", 10)
  for _, driver in ipairs { "sqlite", "postgres" } do
    local connections, sent = first_query(driver)
    if connections then
      add("first find by key, " .. driver .. ": connections", connections, "", 1)
      add("first find by key, " .. driver .. ": statements", sent, "", 1)
    end
  end
  return list
end
