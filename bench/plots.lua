--- Draws what was measured: docs/performance-sqlite.svg and -postgres.svg (multiples of the floor), and
--- docs/performance-growth-sqlite.svg and -postgres.svg (time a row over the number of rows).
---
---     make bench-plots                     measures, then draws
---     lua5.4 bench/plots.lua docs          draws again from docs/performance.json and docs/performance-growth.csv

local root = arg[0]:match("^(.*)/bench/[^/]*$") or "."
package.path = root .. "/?.lua;" .. package.path

local svg = require "bench.svg"
local workloads = require "bench.workloads"

local directory = arg[1] or "docs"
local NAMES = { "floor", "Heddle", "LuaSQL", "LuaDBI" }
local TITLES = { sqlite = "SQLite", postgres = "PostgreSQL" }
local MOST = 6 -- multiples beyond it are cut

-- Each line of a file, if there is one.
local function each_line(name, fn)
  local file = io.open(directory .. "/" .. name)
  if not file then return false end
  for line in file:lines() do fn(line) end
  file:close()
  return true
end

-- Multiples -------------------------------------------------------------------------------------------------

local function read_multiples()
  local found = {}
  local is_there = each_line("performance.json", function(line)
    local ratio, workload = tonumber(line:match('"ratio":([%d.e+-]+)')), line:match('"workload":"([^"]+)"')
    local name, driver = line:match('"contender":"([^"]+)"'), line:match('"driver":"([^"]+)"')
    if ratio and workload then found[driver .. workload .. name] = ratio end
  end)
  return is_there and found
end

local function group(workload, driver, found)
  local bars = {}
  for i = 2, #NAMES do
    local value = found[driver .. workload.name .. NAMES[i]]
    if value then bars[#bars + 1] = { name = NAMES[i], value = value } end
  end
  local goal = workload.goals[driver]
  if type(goal) == "string" then goal = nil end
  local title = workload.name .. "  " .. workload.title:gsub("%%s", "10,000")
  return { title = title, goal = goal, bars = bars }
end

local function draw_multiples(driver, found)
  local groups = {}
  for _, workload in ipairs(workloads) do
    if next(workload.goals) then
      local each = group(workload, driver, found)
      if #each.bars > 0 then groups[#groups + 1] = each end
    end
  end
  if #groups == 0 then return end
  local picture = svg.new(900, svg.bars_height(groups) + 70, "Multiples of the floor on " .. TITLES[driver])
  picture:text(20, 24, TITLES[driver] .. ": time as a multiple of hand-written C; a line across marks the goal",
    "start", "title")
  picture:legend(270, 46, { "Heddle", "LuaSQL", "LuaDBI" })
  svg.bars(picture, { x = 270, y = 64, width = 570, most = MOST, groups = groups })
  picture:write(("%s/performance-%s.svg"):format(directory, driver))
end

-- Growth ----------------------------------------------------------------------------------------------------

local function read_growth()
  local found = {}
  local is_there = each_line("performance-growth.csv", function(line)
    local driver, workload, rows, name, seconds = line:match("^(%a+),(W%d),(%d+),(%a+),([%d.]+)$")
    if not driver then return end
    local key = driver .. workload .. name
    found[key] = found[key] or {}
    table.insert(found[key], { tonumber(rows), tonumber(seconds) / tonumber(rows) * 1e6 })
  end)
  return is_there and found
end

local function draw_growth(driver, found)
  local picture = svg.new(960, 350, "Time a row over the number of rows on " .. TITLES[driver])
  local panels = { { "W1", "load" }, { "W3", "insert, keys filled in" }, { "W5", "load, change each" } }
  local drawn = false
  for i, panel in ipairs(panels) do
    local series = {}
    for _, name in ipairs(NAMES) do
      local points = found[driver .. panel[1] .. name]
      if points then series[#series + 1] = { name = name, points = points } end
    end
    if #series > 0 then
      drawn = true
      svg.lines(picture, { x = 50 + (i - 1) * 310, y = 80, width = 250, height = 220, series = series,
        title = panel[1] .. "  " .. panel[2] })
    end
  end
  picture:text(20, 24, TITLES[driver] .. ": microseconds a row over the number of rows", "start", "title")
  picture:legend(20, 46, NAMES)
  if drawn then picture:write(("%s/performance-growth-%s.svg"):format(directory, driver)) end
end

local multiples, growth = read_multiples(), read_growth()
for _, driver in ipairs { "sqlite", "postgres" } do
  if multiples then draw_multiples(driver, multiples) end
  if growth then draw_growth(driver, growth) end
end
