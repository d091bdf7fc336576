--- Medians, ratios paired within a run, and how they are shown.

local report = {}

local function median(list)
  local sorted = {}
  for i, value in ipairs(list) do sorted[i] = value end
  table.sort(sorted)
  local n = #sorted
  if n % 2 == 1 then return sorted[(n + 1) / 2] end
  return (sorted[n / 2] + sorted[n / 2 + 1]) / 2
end

---Median time of a contender, and median of its multiples of the floor's time in the same run.
---@param result table of bench.race
---@param name string
---@return number|nil seconds, number|nil ratio
function report.summary(result, name)
  local times, floor, ratios = result.times[name], result.times.floor, {}
  if result.failures[name] or not times or #times == 0 then return nil end
  if not floor or #floor ~= #times then return median(times) end
  for i, seconds in ipairs(times) do ratios[i] = seconds / floor[i] end
  return median(times), median(ratios)
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
  local seconds, ratio = report.summary(result, name)
  if not seconds then return "failed" end
  if name == "floor" or not ratio then return ("%.2f ms"):format(seconds * 1e3) end
  return ("%.2f ms %6.2f"):format(seconds * 1e3, ratio)
end

local function goal(workload, driver, result)
  local wanted = workload.goals[driver]
  if not wanted then return "" end
  local _, ratio = report.summary(result, "Heddle")
  return ("%8.2f"):format(wanted) .. (ratio and (ratio <= wanted and "  met" or "  missed") or "")
end

---One line of the table.
function report.line(workload, driver, rows, result, contenders)
  local line = ("%-4s %-35s"):format(workload.name, report.title(workload, rows))
  for _, contender in ipairs(contenders) do line = line .. ("%18s"):format(cell(result, contender.name)) end
  return line .. goal(workload, driver, result)
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

---One line of JSON for each workload and contender: every time, the medians, what it ran under.
function report.json(facts, result, name)
  local seconds, ratio = report.summary(result, name)
  local object = { contender = name, seconds = seconds, ratio = ratio, times = result.times[name] }
  object.failure = result.failures[name]
  for key, value in pairs(facts) do object[key] = value end
  return encode(object)
end

return report
