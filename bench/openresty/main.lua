--- Requests a second of nginx with its Lua module: a find by key and a small unit of work with Heddle, beside a bare
--- answer, the same query by hand on Heddle's waits, and a client over cosockets.
---
---     make bench-openresty                            everything
---     make bench-openresty BENCH="--workers=1 --connections=16 --runs=9 --answer=hello,heddle_find"
---
---     --workers=1,2    --connections=1,16,64    --runs=5    --seconds=1    --rows=10000    --pool=16
---     --answer=hello,floor_find,cosocket_find,heddle_find,cosocket_unit,heddle_unit
---
--- nginx, PostgreSQL and wrk are on one machine and take each other's processors: ratios tell more than numbers. Runs
--- are interleaved, and what is shown are medians, of ratios too, which are of the same run.

local root = arg[0]:match("^(.*)/bench/openresty/[^/]*$") or "."
package.path = root .. "/?.lua;" .. package.path

local authors = require "bench.authors"
local database = require "bench.database"
local nginx = require "spec.support.nginx"

local TITLES = {
  hello = "an answer and nothing else",
  floor_find = "find, by hand on Heddle's waits",
  cosocket_find = "find, over cosockets",
  heddle_find = "find, Heddle",
  cosocket_unit = "find and update, over cosockets",
  heddle_unit = "unit of work, Heddle",
}
-- Compared with what a program without Heddle would do.
local RIVALS = { floor_find = "cosocket_find", heddle_find = "cosocket_find", heddle_unit = "cosocket_unit" }

local function fail(...)
  io.stderr:write("bench: ", table.concat({ ... }), "\n")
  os.exit(2)
end

local function split(text)
  local list = {}
  for word in text:gmatch("[^,]+") do list[#list + 1] = tonumber(word) or word end
  return list
end

local function arguments()
  local options = {
    workers = "1,2", connections = "1,16,64", runs = "5", seconds = "1", rows = "10000", pool = "16",
    answer = "hello,floor_find,cosocket_find,heddle_find,cosocket_unit,heddle_unit",
  }
  for _, word in ipairs(arg) do
    local name, value = word:match("^%-%-(%w+)=(.+)$")
    if name == nil or options[name] == nil then fail("what is '", word, "'? See the top of this script") end
    options[name] = value
  end
  for _, name in ipairs { "runs", "seconds", "rows", "pool" } do options[name] = tonumber(options[name]) end
  for _, name in ipairs { "workers", "connections", "answer" } do options[name] = split(options[name]) end
  for _, name in ipairs(options.answer) do
    if not TITLES[name] then fail("what answer is '", name, "'?") end
  end
  return options
end

local function median(list)
  local sorted = {}
  for i, value in ipairs(list) do sorted[i] = value end
  table.sort(sorted)
  local n = #sorted
  return n % 2 == 1 and sorted[(n + 1) / 2] or (sorted[n / 2] + sorted[n / 2 + 1]) / 2
end

-- nginx -------------------------------------------------------------------------------------------------------

local function start(workers, source, options)
  local locations = {}
  for _, name in ipairs(options.answer) do
    locations["/" .. name] = ("require('bench.openresty.handlers').%s()"):format(name)
  end
  return nginx.start {
    workers = workers, port = true, locations = locations, http = "keepalive_requests 1000000000;",
    init_worker = "require('heddle.openresty').setup('bench.openresty.handlers')",
    env = {
      BENCH_HOST = source.host, BENCH_PORT = source.port, BENCH_USER = source.user, BENCH_DATABASE = source.database,
      BENCH_POOL = options.pool,
    },
  }
end

-- What is answered ------------------------------------------------------------------------------------------------

local function ages(db)
  local all = {}
  for _, row in ipairs(db:rows(db.source, "authors")) do all[tonumber(row[1])] = tonumber(row[4]) end
  return all
end

local function expected(name, id, age)
  if name == "hello" then return "1|Author 1|author1@example.org|19|0.1" end
  local row = authors.row(id)
  if name:find "unit$" then age = age + 1 end
  return ("%d|%s|%s|%d|%.14g"):format(id, row.name, row.email, age, row.rating)
end

--- Every answer is the right one, of many at once, and what is written stands in the database.
local function check(server, name, db, options)
  local before, list, keys = ages(db), {}, authors.keys(100, options.rows)
  for i, id in ipairs(keys) do list[i] = ("/%s?id=%d"):format(name, id) end
  for i, result in ipairs(server:many(list)) do
    local right = expected(name, keys[i], before[keys[i]])
    if result.body ~= right then
      fail(name, " answered '", tostring(result.body or result.problem), "' and not '", right, "'\n", server:errors())
    end
  end
  local after = ages(db)
  for _, id in ipairs(keys) do
    if after[id] ~= before[id] + (name:find "unit$" and 1 or 0) then
      fail(name, " left age ", tostring(after[id]), " in row ", id, ", which was ", before[id])
    end
  end
end

-- Load --------------------------------------------------------------------------------------------------------

local function load(server, name, connections, options)
  local pipe = assert(io.popen(("wrk -t1 -c%d -d%ds --timeout 10s -s %s/bench/openresty/wrk.lua http://127.0.0.1:%d"
    .. " -- /%s %d 2>&1"):format(connections, options.seconds, root, server.port, name, options.rows)))
  local text = pipe:read "*a"
  pipe:close()
  local count, took, high, errors, kinds = text:match "numbers (%d+) (%d+) (%d+) (%d+) ([^\n]*)"
  if not count then fail("wrk said: ", text) end
  if errors ~= "0" then
    print(("%s, %d at once: requests that failed: %s"):format(TITLES[name], connections, kinds))
    for line in server:errors():gmatch "[^\n]*%[error%][^\n]*" do print(line) end
  end
  return { rate = count / took * 1e6, p99 = high / 1e3, errors = tonumber(errors) }
end

local function record(results, name, connections, run, numbers)
  results[name] = results[name] or {}
  results[name][connections] = results[name][connections] or {}
  results[name][connections][run] = numbers
end

-- Run 0 warms up.
local function race(server, options)
  local results = {}
  for run = 0, options.runs do
    for turn = 1, #options.answer do
      local name = options.answer[(turn + run) % #options.answer + 1]
      for _, connections in ipairs(options.connections) do
        local numbers = load(server, name, connections, options)
        if run > 0 then record(results, name, connections, run, numbers) end
      end
    end
  end
  return results
end

-- The table ---------------------------------------------------------------------------------------------------

local function of(runs, field)
  local list = {}
  for i, numbers in ipairs(runs) do list[i] = numbers[field] end
  return list
end

local function ratio(runs, others)
  if not others then return "     -" end
  local list = {}
  for i, numbers in ipairs(runs) do list[i] = numbers.rate / others[i].rate end
  return ("%6.2f"):format(median(list))
end

local function cell(results, name, connections)
  local runs = results[name][connections]
  local function against(other) return results[other] and results[other][connections] end
  return ("%9.0f %s %s %8.2f"):format(median(of(runs, "rate")), ratio(runs, against "hello"),
    ratio(runs, RIVALS[name] and against(RIVALS[name])), median(of(runs, "p99")))
end

local function show(results, workers, options)
  print(("\n%d worker%s%s"):format(workers, workers == 1 and "" or "s", (" "):rep(26))
    .. "(requests a second, times the bare answer, times the same over cosockets, p99 in ms)")
  local line = (" "):rep(34)
  for _, connections in ipairs(options.connections) do line = line .. ("%35s"):format(connections .. " at once") end
  print(line)
  for _, name in ipairs(options.answer) do
    line = ("%-34s"):format(TITLES[name])
    for _, connections in ipairs(options.connections) do line = line .. "  " .. cell(results, name, connections) end
    print(line)
  end
end

local function errors_of(results, options)
  local count = 0
  for _, name in ipairs(options.answer) do
    for _, connections in ipairs(options.connections) do
      for _, numbers in ipairs(results[name][connections]) do count = count + numbers.errors end
    end
  end
  return count
end

local function main()
  local options = arguments()
  local db, reason = database.new("postgres", options.rows)
  if not db then fail(reason) end
  local source, errors = db:fresh(true), 0
  print(("%s, %d rows; connections to it for each worker: %d"):format(db.title, options.rows, options.pool))
  for _, workers in ipairs(options.workers) do
    local server = start(workers, source, options)
    for _, name in ipairs(options.answer) do check(server, name, db, options) end
    local results = race(server, options)
    for _, name in ipairs(options.answer) do check(server, name, db, options) end
    show(results, workers, options)
    errors = errors + errors_of(results, options)
    server:stop()
  end
  db:close()
  print(("\n%d requests failed"):format(errors))
  os.exit(errors == 0 and 0 or 1)
end

main()
