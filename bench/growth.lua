--- How times grow with the number of rows: a line of CSV for each driver, workload, number of rows and contender.
---
---     make bench-plots BENCH="--max=100000"
---
---     --driver=sqlite,postgres    --max=1000000    --workload=W1,W3,W5    --contender=floor,luasql,luadbi,heddle
---
--- Sizes are powers of ten from 1,000 on, each raced like bench/main.lua's table, with fewer runs where one takes
--- seconds. Beyond 100,000 rows results are no longer compared with what they should be: smaller ones of the same code
--- have been.

local root = arg[0]:match("^(.*)/bench/[^/]*$") or "."
package.path = root .. "/?.lua;" .. package.path

local database = require "bench.database"
local race = require "bench.race"
local report = require "bench.report"
local workloads = require "bench.workloads"

local RUNS = { [1000] = 9, [10000] = 5, [100000] = 3, [1000000] = 1 }
local CHECKED = 100000

local options = {
  driver = "sqlite,postgres", max = "1000000", workload = "W1,W3,W5", contender = "floor,luasql,luadbi,heddle",
}
for _, word in ipairs(arg) do
  local name, value = word:match("^%-%-(%w+)=(.+)$")
  if not name or not options[name] then error("growth: what is '" .. word .. "'?", 0) end
  options[name] = value
end

local function has(list, name)
  return ("," .. list .. ","):find("," .. name .. ",", 1, true) ~= nil
end

local function contenders(driver)
  local list = {}
  for name in options.contender:gmatch("[^,]+") do
    local contender = require("bench.contenders." .. name)
    contender.load(driver)
    list[#list + 1] = contender
  end
  return list
end

local function measure(driver, rows)
  local db, reason = database.new(driver, rows)
  if not db then error("growth: " .. reason, 0) end
  local racing = contenders(driver)
  for _, workload in ipairs(workloads) do
    if has(options.workload, workload.name) then
      io.stderr:write(("%s, %s, %d rows\n"):format(driver, workload.name, rows))
      local result = race(workload, db, racing, { rows = rows, runs = RUNS[rows], unchecked = rows > CHECKED })
      for name, failure in pairs(result.failures) do error(("%s failed: %s"):format(name, failure), 0) end
      for _, contender in ipairs(racing) do
        print(("%s,%s,%d,%s,%.6f"):format(driver, workload.name, rows, contender.name,
          (report.summary(result, contender.name))))
      end
    end
  end
  db:close()
end

print("driver,workload,rows,contender,seconds")
for driver in options.driver:gmatch("[^,]+") do
  local rows = 1000
  while rows <= tonumber(options.max) do
    measure(driver, rows)
    rows = rows * 10
  end
end
