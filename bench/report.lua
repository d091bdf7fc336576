--- Medians, ratios paired within a run, and how they are shown.

local report = {}

local HOOK = 1.10 -- what a hook that never matches may make of Heddle's time

function report.median(list)
  local sorted = {}
  for i, value in ipairs(list) do sorted[i] = value end
  table.sort(sorted)
  local n = #sorted
  if n % 2 == 1 then return sorted[(n + 1) / 2] end
  return (sorted[n / 2] + sorted[n / 2 + 1]) / 2
end

---Median time of a contender, and median of its multiples of the floor's time (or another's) in the same run.
---@param result table of bench.race
---@param name string
---@param base? string
---@return number|nil seconds, number|nil ratio
function report.summary(result, name, base)
  local times, floor, ratios = result.times[name], result.times[base or "floor"], {}
  if result.failures[name] or not times or #times == 0 then return nil end
  if not floor or #floor ~= #times then return report.median(times) end
  for i, seconds in ipairs(times) do ratios[i] = seconds / floor[i] end
  return report.median(times), report.median(ratios)
end

local function thousands(n)
  local text = ("%d"):format(n)
  return (text:reverse():gsub("(%d%d%d)", "%1,"):reverse():gsub("^,", ""))
end

function report.title(workload, rows)
  return (workload.title:gsub("%%s", thousands(rows)))
end

function report.heading(title, contenders)
  local line = ("%-40s"):format("")
  for _, contender in ipairs(contenders) do line = line .. ("%18s"):format(contender.name) end
  return "\n" .. title .. "\n" .. line .. "    goal"
end

local function cell(result, name)
  if not result.times[name] then return "" end
  local seconds, ratio = report.summary(result, name)
  if not seconds then return "failed" end
  if name == "floor" or not ratio then return ("%.2f ms"):format(seconds * 1e3) end
  return ("%.2f ms %6.2f"):format(seconds * 1e3, ratio)
end

-- Goals -----------------------------------------------------------------------------------------------------

local function judge(goals, ratio, wanted)
  if not ratio or not wanted then return "" end
  local met = ratio <= wanted
  report.count(goals, met)
  return met and "  met" or "  missed"
end

---@param goals { all: integer, met: integer } what has been counted so far
---@param met boolean
function report.count(goals, met)
  goals.all = goals.all + 1
  if met then goals.met = goals.met + 1 end
end

-- A workload's goal can be what another one took, in the same table.
local function goal(workload, driver, result, goals)
  local wanted = workload.goals[driver]
  local _, ratio = report.summary(result, "Heddle")
  goals[driver .. workload.name] = ratio
  if type(wanted) == "string" then wanted = goals[driver .. wanted] end
  if not wanted then return (" "):rep(8) end
  return ("%8.2f%-8s"):format(wanted, judge(goals, ratio, wanted))
end

local function hook(result, goals)
  local _, ratio = report.summary(result, "Heddle, hook", "Heddle")
  if not ratio or not result.times.Heddle then return "" end
  return ("  hook %+3.0f %%%s"):format((ratio - 1) * 100, judge(goals, ratio, HOOK))
end

---One line of the table.
function report.line(workload, driver, rows, result, contenders, goals)
  local line = ("%-4s %-35s"):format(workload.name, report.title(workload, rows))
  for _, contender in ipairs(contenders) do line = line .. ("%18s"):format(cell(result, contender.name)) end
  return line .. goal(workload, driver, result, goals) .. hook(result, goals)
end

---A figure that is no multiple of the floor (bench.figures).
function report.figure(figure, goals)
  local line = ("%-64s%10.1f %-6s"):format(figure.title, figure.value, figure.unit)
  if not figure.goal then return line end
  report.count(goals, figure.met)
  return line .. ("%8.0f  %s"):format(figure.goal, figure.met and "met" or "missed")
end

-- JSON ------------------------------------------------------------------------------------------------------

local encode

local function encode_list(list)
  local parts = {}
  for i, value in ipairs(list) do parts[i] = encode(value) end
  return "[" .. table.concat(parts, ",") .. "]"
end

local function encode_object(object)
  local keys, parts = {}, {}
  for key in pairs(object) do keys[#keys + 1] = key end
  table.sort(keys)
  for i, key in ipairs(keys) do parts[i] = encode(key) .. ":" .. encode(object[key]) end
  return "{" .. table.concat(parts, ",") .. "}"
end

local function escape(character)
  return ("\\u%04x"):format(character:byte())
end

function encode(value)
  if type(value) == "table" then return (#value > 0 and encode_list or encode_object)(value) end
  if type(value) == "string" then return '"' .. value:gsub('[%c"\\]', escape) .. '"' end
  if type(value) == "number" then return ("%.9g"):format(value) end
  return tostring(value)
end

function report.json_figure(facts, figure)
  local object = { lua = facts.lua, gc = facts.gc }
  for key, value in pairs(figure) do object[key] = value end
  return encode(object)
end

---One line of JSON for each workload and contender: every time, the medians, what it ran under.
function report.json(facts, result, name)
  local seconds, ratio = report.summary(result, name)
  local object = { contender = name, seconds = seconds, ratio = ratio, times = result.times[name] }
  object.failure = result.failures[name]
  for key, value in pairs(facts) do object[key] = value end
  return encode(object)
end

return report
