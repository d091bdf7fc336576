--- Which Lua functions a workload spends its instructions in: those of Lua's machine, counted exactly.
---
---     make -s bench-build
---     LUA_PATH='./lua/?.lua;./lua/?/init.lua;;' LUA_CPATH='./build/lua5.4/?.so;;' lua5.4 bench/functions.lua W3
---
---     --driver=postgres    under spec/support/with_postgres.sh; sqlite by default
---     --rows=10000         --top=40       how many are shown
---     --by=line            lines instead of functions
---
--- A column each: instructions of a row, find or unit of work; their share; calls of it. C has calls and nothing else:
--- an instruction of Lua's costs 10 to 20 of the processor, a call of C some 150 to 300 and what it does. Compiled code
--- runs no hooks, so LuaJIT's compiler is off.

local root = arg[0]:match("^(.*)/bench/[^/]*$") or "."
package.path = root .. "/?.lua;" .. package.path

local database = require "bench.database"
local heddle = require "bench.contenders.heddle"
local workloads = require "bench.workloads"

local UNITS = { W2 = 5000, W6 = 11000, W7 = 2000 } -- of the others: rows

local function fail(...)
  io.stderr:write("functions: ", table.concat({ ... }), "\n")
  os.exit(2)
end

local function arguments()
  local options = { driver = "sqlite", rows = "10000", top = "40", by = "function" }
  for _, word in ipairs(arg) do
    local name, value = word:match("^%-%-(%w+)=(.*)$")
    if name and not options[name] then fail("what is '", word, "'? See the top of bench/functions.lua") end
    options[name or "workload"] = name and value or word
  end
  options.rows, options.top = tonumber(options.rows), tonumber(options.top)
  for _, workload in ipairs(workloads) do
    if workload.name == options.workload then return options, workload end
  end
  fail("which workload? W1, W2, ..., as in bench/workloads.lua")
end

-- One run, prepared and checked as in the bench; `measure` is given what is to be measured.
local function once(workload, db, rows, measure)
  local source = db:fresh(workload.full, workload.besides)
  local handle = heddle.open(source, workload.besides)
  handle:find_each { 1 } -- connected, modules loaded
  local run = { contender = heddle, database = db, source = source, rows = rows }
  local input = workload.prepare and workload.prepare(run, handle)
  collectgarbage()
  local result
  measure(function() result = workload.run(handle, input) end)
  workload.check(run, result, input)
  handle:close()
  db:drop(source)
end

local function counting(by_line)
  local getinfo = debug.getinfo
  local instructions, calls, what = {}, {}, by_line and "Sl" or "S"
  local function hook(event)
    local info = getinfo(2, what)
    local place
    if event == "count" then
      place = info.short_src .. ":" .. (by_line and info.currentline or info.linedefined)
      instructions[place] = (instructions[place] or 0) + 1
    else
      place = info.what == "C" and "C" or info.short_src .. ":" .. info.linedefined
      calls[place] = (calls[place] or 0) + 1
    end
  end
  return instructions, calls, function(fn)
    debug.sethook(hook, "c", 1)
    fn()
    debug.sethook()
  end
end

local function show(instructions, calls, units, top)
  local places, total = {}, 0
  for place, count in pairs(instructions) do
    places[#places + 1] = place
    total = total + count
  end
  table.sort(places, function(a, b)
    if instructions[a] ~= instructions[b] then return instructions[a] > instructions[b] end
    return a < b
  end)
  print(("%10.1f instructions, %.1f calls of C"):format(total / units, (calls.C or 0) / units))
  for i = 1, math.min(#places, top) do
    local place = places[i]
    print(("%10.1f %5.1f %% %8.2f calls  %s"):format(instructions[place] / units, 100 * instructions[place] / total,
      (calls[place] or 0) / units, place))
  end
end

local function main()
  local options, workload = arguments()
  local jit = rawget(_G, "jit")
  if jit then jit.off() end
  local db, reason = database.new(options.driver, options.rows)
  if not db then fail(reason) end
  heddle.load(options.driver)
  once(workload, db, options.rows, function(fn) fn() end) -- warms up
  local instructions, calls, measure = counting(options.by == "line")
  once(workload, db, options.rows, measure)
  show(instructions, calls, UNITS[workload.name] or options.rows, options.top)
  db:close()
end

main()
