--- Heddle beside an expert's hand-written C (the floor) and beside the libraries that Lua has, doing the same.
---
---     make bench                                      everything
---     make bench BENCH="--driver=sqlite --workload=W1,W3 --runs=15"
---     taskset -c 0 make bench                         client and server on one processor
---
---     --driver=sqlite,postgres        --workload=W1,...,figures    --contender=floor,luasql,luadbi,heddle,hooked
---     --runs=9     after one to warm up                       --rows=10000
---     --gc=generational|incremental|both|default              the collector, set for all alike
---     --ballast=0  KiB of memory held besides, which has the collector's cycles begin and end elsewhere
---     --json       a line of JSON for each workload and contender instead of the table
---     --traceback  where a failure came from
---
--- Times are medians; behind them stand multiples of the floor, paired within a run.

local root = arg[0]:match("^(.*)/bench/[^/]*$") or "."
package.path = root .. "/?.lua;" .. package.path

local database = require "bench.database"
local figures = require "bench.figures"
local race = require "bench.race"
local report = require "bench.report"
local workloads = require "bench.workloads"

local CONTENDERS = { "floor", "luasql", "luadbi", "heddle", "hooked" }
local SLOW_FLOOR = 1.6 -- LuaSQL's W1 must be this much slower, or the floor is none

local function fail(...)
  io.stderr:write("bench: ", table.concat({ ... }), "\n")
  os.exit(2)
end

local function split(text)
  local list = {}
  for word in text:gmatch("[^,]+") do list[#list + 1] = word end
  return list
end

local function arguments()
  local options = {
    driver = "sqlite,postgres", workload = "all", contender = table.concat(CONTENDERS, ","),
    runs = "9", rows = "10000", ballast = "0", gc = "default", json = false, traceback = false,
  }
  for _, word in ipairs(arg) do
    local name, value = word:match("^%-%-(%w+)=?(.*)$")
    if name == nil or options[name] == nil then fail("what is '", word, "'? See the top of bench/main.lua") end
    if type(options[name]) == "boolean" then options[name] = true else options[name] = value end
  end
  for _, name in ipairs { "runs", "rows", "ballast" } do options[name] = tonumber(options[name]) or -1 end
  if options.runs < 1 or options.rows < 100 or options.ballast < 0 then
    fail("--runs is at least 1, --rows at least 100, --ballast at least 0")
  end
  return options
end

local jit = rawget(_G, "jit")
local interpreter = jit and jit.version or _VERSION

-- The collector -----------------------------------------------------------------------------------------------

-- Only 5.4 has two modes, and tells the former one when it is set.
local has_modes = _VERSION == "Lua 5.4"

local function collector_modes(wanted)
  if not has_modes then return { "incremental" } end
  if wanted == "both" then return { "generational", "incremental" } end
  if wanted ~= "default" then return { wanted } end
  local mode = collectgarbage("incremental")
  collectgarbage(mode)
  return { mode }
end

local function set_collector(mode)
  if has_modes then collectgarbage(mode) end
end

-- What is run -------------------------------------------------------------------------------------------------

local function chosen_workloads(options, driver)
  local list, wanted = {}, {}
  for _, name in ipairs(split(options.workload)) do wanted[name:lower()] = true end
  for _, workload in ipairs(workloads) do
    local is_wanted = wanted.all or wanted[workload.name:lower()]
    if is_wanted and (not workload.drivers or workload.drivers[driver]) then list[#list + 1] = workload end
  end
  return list
end

local function first_line(text)
  return (tostring(text):match("^[^\n]*"))
end

-- What cannot be loaded is left out, and said.
local function load_contenders(options, driver, say)
  local list = {}
  for _, name in ipairs(split(options.contender)) do
    local contender = require("bench.contenders." .. name)
    local ok, err = pcall(contender.load, driver)
    if ok then
      list[#list + 1] = contender
    else
      say(("%s is left out: %s"):format(contender.name, first_line(err)))
    end
  end
  return list
end

local function warn_of_slow_floor(workload, result, say)
  local _, ratio = report.summary(result, "LuaSQL")
  if workload.name == "W1" and ratio and ratio < SLOW_FLOOR then
    say(("THE FLOOR IS TOO SLOW: LuaSQL reads at %.2f times of it, and it should be %.1f or more"):format(ratio,
      SLOW_FLOOR))
  end
end

local function show(workload, db, contenders, result, options, facts, say)
  if options.json then
    facts.workload, facts.title = workload.name, report.title(workload, options.rows)
    for _, contender in ipairs(contenders) do
      if result.times[contender.name] then io.write(report.json(facts, result, contender.name), "\n") end
    end
  else
    say(report.line(workload, db.driver, options.rows, result, contenders, options.goals))
  end
  for name, reason in pairs(result.failures) do
    io.stderr:write(("bench: %s failed at %s: %s\n"):format(name, workload.name,
      options.traceback and reason or first_line(reason)))
  end
  warn_of_slow_floor(workload, result, say)
end

local function run_driver(driver, mode, options, say)
  local chosen = chosen_workloads(options, driver)
  if #chosen == 0 then return true end
  local db, reason = database.new(driver, options.rows)
  if not db then
    say(driver .. " is left out: " .. reason)
    return true
  end
  local contenders, ok = load_contenders(options, driver, say), true
  if not options.json then say(report.heading(db.title, contenders)) end
  local facts = { driver = driver, lua = interpreter, gc = mode, rows = options.rows }
  for _, workload in ipairs(chosen) do
    local result = race(workload, db, contenders, options)
    show(workload, db, contenders, result, options, facts, say)
    ok = ok and next(result.failures) == nil
  end
  db:close()
  return ok
end

local function show_figures(mode, options, say)
  if options.workload ~= "all" and not options.workload:find("figures", 1, true) then return end
  say("")
  for _, figure in ipairs(figures(options.runs)) do
    if options.json then
      io.write(report.json_figure({ lua = interpreter, gc = mode }, figure), "\n")
    else
      say(report.figure(figure, options.goals))
    end
  end
end

local function main()
  local options, ok = arguments(), true
  local ballast = ("."):rep(options.ballast * 1024)
  local stream = options.json and io.stderr or io.stdout
  local function say(line)
    stream:write(line, "\n")
    stream:flush()
  end
  for _, mode in ipairs(collector_modes(options.gc)) do
    set_collector(mode)
    say(("\n%s, collector %s, median of %d runs, multiples of the floor in the same run"):format(
      interpreter, mode, options.runs))
    options.goals = { all = 0, met = 0 }
    for _, driver in ipairs(split(options.driver)) do ok = run_driver(driver, mode, options, say) and ok end
    show_figures(mode, options, say)
    if not options.json then say(("\n%d of %d goals are met"):format(options.goals.met, options.goals.all)) end
  end
  assert(#ballast == options.ballast * 1024)
  os.exit(ok and 0 or 1)
end

main()
