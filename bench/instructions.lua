--- Compares what bench/instructions.sh counted with what is stored in bench/instructions.txt.
---
---     lua5.4 bench/instructions.lua INTERPRETER DIRECTORY "VERSIONS" W1 W2 ...
---
--- DIRECTORY holds callgrind's file of each workload and contender (W1.floor, W1.heddle). With STORE in the
--- environment the figures are stored instead. With RESULTS what became of each stands in $RESULTS/instructions.tsv,
--- with ABOVE the workload and contender of each that failed in that file.
---
--- More than before fails, by more than the tolerance. Less does not: it asks for the new figure to be stored. Where
--- what is stored is of other versions of what is counted along (SQLite, Lua, the C library, the compiler), only the
--- ratio of Heddle to the floor is compared.

local callgrind = require "bench.callgrind"

local STORED = "bench/instructions.txt"
local HEAD = [[
# Machine instructions and allocations on SQLite, of a row (W1, W3, W5, W6, W8, W9), a find (W2), a unit of work
# (W7); allocations are those of Lua and of the C between it and SQLite (with LuaJIT, which allocates by itself, of C).
# Written by make instructions STORE=1 and compared by make instructions, both for one interpreter: LUA=.
#
# interpreter workload contender instructions allocations
]]
local TOLERANCE = 0.05
local FEW = 0.02 -- allocations a row that are within tolerance of none
local UNITS = { W1 = 10000, W2 = 5000, W3 = 10000, W5 = 10000, W6 = 11000, W7 = 2000, W8 = 10000, W9 = 10000 }
local CONTENDERS = { "floor", "heddle" }
local ALLOCATING = { "malloc", "calloc", "realloc", "aligned_alloc", "posix_memalign" }

local interpreter, directory, versions = arg[1], arg[2], arg[3]

local function fail(message)
  io.stderr:write("instructions: ", message, "\n")
  os.exit(2)
end

-- What is counted -------------------------------------------------------------------------------------------------

-- Libraries of the system allocate as they please.
local function is_library(object)
  return object:find("/lib[^/]*%.so[%d.]*$") ~= nil or object:find("/ld%-linux") ~= nil
end

local function allocations(profile)
  local count = 0
  for object, called in pairs(profile.calls) do
    if not is_library(object) then
      for _, name in ipairs(ALLOCATING) do count = count + (called[name] or 0) end
    end
  end
  return count
end

local function measure(workload, contender)
  local units = UNITS[workload] or fail(("what is '%s'? W1, W2, W3, W5, W6, W7, W8, W9"):format(workload))
  local profile = callgrind.read(("%s/%s.%s"):format(directory, workload, contender))
  if profile.instructions == nil or profile.instructions == 0 then
    fail(("%s: %s did not run, or was built without valgrind's headers"):format(workload, contender))
  end
  return { instructions = profile.instructions / units, allocations = allocations(profile) / units }
end

local function measure_all()
  local figures = {}
  for i = 4, #arg do
    for _, contender in ipairs(CONTENDERS) do
      figures[arg[i] .. " " .. contender] = measure(arg[i], contender)
    end
  end
  return figures
end

-- What is stored --------------------------------------------------------------------------------------------------

local function read_stored()
  local all, file = {}, io.open(STORED)
  for line in file and file:lines() or function() end do
    local who, text = line:match("^(%S+) versions (.+)$")
    if not who then who = line:match("^([^#%s]%S*)") end
    if who then
      local own = all[who] or { figures = {} }
      all[who] = own
      if text then own.versions = text end
      local workload, contender, instructions, count = line:match("^%S+ (%S+) (%S+) ([%d.]+) ([%d.]+)$")
      if workload then
        own.figures[workload .. " " .. contender] =
          { instructions = tonumber(instructions), allocations = tonumber(count) }
      end
    end
  end
  if file then file:close() end
  return all
end

local function sorted_keys(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

local function write_stored(all)
  local file = assert(io.open(STORED, "w"))
  file:write(HEAD)
  for _, who in ipairs(sorted_keys(all)) do
    file:write(("%s versions %s\n"):format(who, all[who].versions))
    for _, key in ipairs(sorted_keys(all[who].figures)) do
      local figure = all[who].figures[key]
      file:write(("%s %s %.0f %.3f\n"):format(who, key, figure.instructions, figure.allocations))
    end
  end
  file:close()
end

local function store(figures)
  local all = read_stored()
  local own = all[interpreter]
  -- Figures of other versions are not to stand beside these.
  if not own or own.versions ~= versions then own = { versions = versions, figures = {} } end
  all[interpreter] = own
  for key, figure in pairs(figures) do own.figures[key] = figure end
  write_stored(all)
  print("stored in " .. STORED)
end

-- What becomes of them --------------------------------------------------------------------------------------------

local passed, failed, lower = 0, 0, 0
local results = os.getenv("RESULTS") and assert(io.open(os.getenv("RESULTS") .. "/instructions.tsv", "w"))
local above = {}

local function judge(key, what, now, before, slack)
  local name = interpreter .. " " .. key .. " " .. what
  local is_good = now <= before * (1 + TOLERANCE) + slack
  if is_good then passed = passed + 1 else failed = failed + 1 end
  if not is_good then above[key] = true end
  if now < before * (1 - TOLERANCE) - slack then lower = lower + 1 end
  if not is_good then print(("  %s: %.6g, stored are %.6g"):format(name, now, before)) end
  if results then results:write(is_good and "pass" or "fail", "\tinstructions\t", name, "\n") end
end

local function compare(figures, own)
  local is_same = own.versions == versions
  if not is_same then
    print("  stored are figures of other versions, so that ratios are compared: " .. own.versions)
  end
  for _, key in ipairs(sorted_keys(figures)) do
    local now, before = figures[key], own.figures[key]
    if not before then
      print(("  %s %s: nothing is stored"):format(interpreter, key))
    elseif is_same then
      judge(key, "instructions", now.instructions, before.instructions, 0)
      judge(key, "allocations", now.allocations, before.allocations, FEW)
    elseif key:find(" heddle$") then
      local floor = key:gsub("heddle$", "floor")
      judge(key, "instructions, multiples of the floor's", now.instructions / figures[floor].instructions,
        before.instructions / own.figures[floor].instructions, 0)
    end
  end
end

local function show(figures)
  print(("%s, instructions and allocations of a row, find or unit of work (%s)"):format(interpreter, versions))
  print(("%-4s %12s %12s %8s %14s %14s"):format("", "floor", "Heddle", "ratio", "floor allocs", "Heddle allocs"))
  for i = 4, #arg do
    local floor, heddle = figures[arg[i] .. " floor"], figures[arg[i] .. " heddle"]
    print(("%-4s %12.0f %12.0f %8.2f %14.3f %14.3f"):format(arg[i], floor.instructions, heddle.instructions,
      heddle.instructions / floor.instructions, floor.allocations, heddle.allocations))
  end
end

local figures = measure_all()
show(figures)
if (os.getenv("STORE") or "") ~= "" then
  store(figures)
else
  local own = read_stored()[interpreter]
  if not own then fail("nothing is stored for " .. interpreter .. ": make instructions STORE=1 LUA=" .. interpreter) end
  compare(figures, own)
  print(("%d within %.0f %% of what is stored or below, %d above"):format(passed, TOLERANCE * 100, failed))
  if lower > 0 then
    print(("%d are lower by more than that: make instructions STORE=1 LUA=%s keeps them so"):format(lower, interpreter))
  end
end
if results then results:close() end
if os.getenv("ABOVE") then
  local file = assert(io.open(os.getenv("ABOVE"), "w"))
  for _, key in ipairs(sorted_keys(above)) do file:write(key, "\n") end
  file:close()
end
os.exit(failed == 0 and 0 or 1)
