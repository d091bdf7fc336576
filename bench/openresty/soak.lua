--- Minutes of mixed load on nginx with two workers: finds, transactions, errors that are meant, connections that die,
--- light threads, clients that go away and, in the first third, reloads. Tells whether what workers and databases have
--- in hand stays the same: memory, descriptors, threads, connections of the server.
---
---     make soak-openresty                             five minutes
---     make soak-openresty BENCH="--minutes=1 --window=10"
---
--- Every window of seconds is load, then a moment of quiet in which is measured.

local root = arg[0]:match("^(.*)/bench/openresty/[^/]*$") or "."
package.path = root .. "/?.lua;" .. package.path

local nginx = require "spec.support.nginx"
local raw = require "spec.support.raw"
local socket = require "socket"

local ROWS, WORKERS, CONNECTIONS, POOL = 1000, 2, 24, 8
local QUIET = 2.5 -- seconds: waits are over, and the thread of waits has ended

local TABLE = "CREATE TABLE accounts (id integer PRIMARY KEY, owner text NOT NULL UNIQUE, balance integer NOT NULL)"

local function env(name) return os.getenv("HEDDLE_TEST_PG" .. name) end

local function arguments()
  local options = { minutes = 5, window = 15 }
  for _, word in ipairs(arg) do
    local name, value = word:match("^%-%-(%w+)=([%d.]+)$")
    if name == nil or not options[name] then error("what is '" .. word .. "'? See the top of this script", 0) end
    options[name] = tonumber(value)
  end
  return options
end

-- Databases ---------------------------------------------------------------------------------------------------

local function fill(db)
  db:exec(TABLE)
  local rows = {}
  for i = 1, ROWS do rows[i] = ("(%d, 'owner %d', 100)"):format(i, i) end
  db:exec("INSERT INTO accounts (id, owner, balance) VALUES " .. table.concat(rows, ", "))
end

local function databases()
  local admin = raw.postgres(env "")
  admin:exec "DROP DATABASE IF EXISTS heddle_soak"
  admin:exec "CREATE DATABASE heddle_soak"
  local server = raw.postgres(("host=%s port=%s user=%s dbname=heddle_soak"):format(env "_SOCKET", env "_PORT",
    env "_USER"))
  local path = os.getenv "HEDDLE_TEST_TMP" .. "/soak.db"
  local file = raw.sqlite(path)
  file:rows "PRAGMA journal_mode = WAL"
  fill(server)
  fill(file)
  return { server = server, file = file, path = path }
end

local OTHERS = " FROM pg_stat_activity WHERE datname = 'heddle_soak' AND pid <> pg_backend_pid()"

--- What is wrong with what the databases hold; nil when nothing is.
local function damage(dbs)
  for name, db in pairs { PostgreSQL = dbs.server, SQLite = dbs.file } do
    local count, sum = db:value "SELECT count(*) FROM accounts", db:value "SELECT sum(balance) FROM accounts"
    if tonumber(count) ~= ROWS or tonumber(sum) ~= ROWS * 100 then
      return ("%s holds %s rows and a sum of %s, not %d and %d"):format(name, count, sum, ROWS, ROWS * 100)
    end
  end
  local left = dbs.server:value("SELECT string_agg(state || ' for ' || now() - state_change || ': ' || query, ', ')"
    .. OTHERS .. " AND state <> 'idle'")
  return left and left ~= raw.null and "in the middle of something: " .. left
end

-- Load --------------------------------------------------------------------------------------------------------

local function start(dbs)
  local function call(name) return ("require('bench.openresty.mix').%s()"):format(name) end
  return nginx.start {
    workers = WORKERS, port = true,
    http = "keepalive_requests 1000000000;", init_worker = "require('heddle.openresty').setup('bench.openresty.mix')",
    locations = { ["/any"] = call "any", ["/hold"] = { directives = "lua_check_client_abort on;", lua = call "hold" } },
    env = {
      BENCH_HOST = env "_SOCKET", BENCH_PORT = env "_PORT", BENCH_USER = env "_USER", BENCH_DATABASE = "heddle_soak",
      BENCH_POOL = POOL, SOAK_FILE = dbs.path, SOAK_ROWS = ROWS,
    },
  }
end

local HOLDS = { "/hold?on=server&how=sleep", "/hold?on=server&how=statement", "/hold?on=file&how=sleep" }

--- Clients that go away, while the time lasts.
local function abort_some(server, seconds)
  local limit, count = socket.gettime() + seconds, 0
  while socket.gettime() < limit do
    local held = {}
    for _, path in ipairs(HOLDS) do held[#held + 1] = server:send(path) end
    socket.sleep(math.random() * 0.2)
    for _, request in ipairs(held) do request:abort() end
    count = count + #held
  end
  return count
end

--- Load for so many seconds; `reloads`: with one in the middle. Gives the number of requests, of those that failed, and
--- of clients that went away.
local function window(server, seconds, reloads)
  local pipe = assert(io.popen(("wrk -t1 -c%d -d%ds --timeout 30s -s %s/bench/openresty/wrk.lua http://127.0.0.1:%d"
    .. " -- /any %d 2>&1"):format(CONNECTIONS, seconds, root, server.port, ROWS)))
  local aborted = abort_some(server, seconds / 2)
  if reloads then server:reload() end
  aborted = aborted + abort_some(server, seconds / 2 - 1)
  local text = pipe:read "*a"
  pipe:close()
  local count, errors = text:match "numbers (%d+) %d+ %d+ (%d+)"
  if not count then error("wrk said: " .. text, 0) end
  return tonumber(count), tonumber(errors), aborted
end

-- What is measured --------------------------------------------------------------------------------------------

local function count_of(command)
  local pipe = assert(io.popen(command))
  local number = tonumber((pipe:read "*a"))
  pipe:close()
  return number
end

local function status(pid, field)
  local file = assert(io.open(("/proc/%d/status"):format(pid)))
  local text = file:read "*a"
  file:close()
  return tonumber(text:match(field .. ":%s*(%d+)"))
end

local function measure(server, dbs)
  server:settle()
  socket.sleep(QUIET)
  local sample = { memory = 0, descriptors = 0, threads = 0 }
  sample.connections = tonumber(dbs.server:value("SELECT count(*)" .. OTHERS))
  for _, pid in ipairs(server:workers()) do
    sample.memory = sample.memory + status(pid, "VmRSS") / 1024
    sample.descriptors = sample.descriptors + count_of(("ls /proc/%d/fd | wc -l"):format(pid))
    sample.threads = sample.threads + status(pid, "Threads")
  end
  return sample
end

local function highest(samples, first, last, field)
  local best = 0
  for i = first, last do best = math.max(best, samples[i][field]) end
  return best
end

-- The last third beside the one before it, in which all has been used once: so much more may be. What is lost with each
-- request, or each hundredth, is far more.
local ALLOWED = { memory = 4, descriptors = 12, threads = 0 }

local function growth(samples)
  local third, found = math.floor(#samples / 3), {}
  for field, allowed in pairs(ALLOWED) do
    local before = highest(samples, third + 1, 2 * third, field)
    local after = highest(samples, 2 * third + 1, #samples, field)
    if after > before + allowed then found[#found + 1] = ("%s grew from %.1f to %.1f"):format(field, before, after) end
  end
  local connections = highest(samples, 1, #samples, "connections")
  if connections > WORKERS * POOL then found[#found + 1] = connections .. " connections, more than the pools have" end
  return found
end

local function main()
  local options = arguments()
  local windows = math.max(math.floor(options.minutes * 60 / (options.window + QUIET) + 0.5), 6)
  local dbs = databases()
  local server = start(dbs)
  local samples, problems, broken = {}, {}, 0
  print(("%d windows of %d s; %d workers, %d connections"):format(windows, options.window, WORKERS, CONNECTIONS))
  print "window   requests  failed  gone     memory  descriptors  threads  connections"
  for i = 1, windows do
    local reloads = i <= windows / 3
    local count, errors, aborted = window(server, options.window, reloads)
    local sample = measure(server, dbs)
    samples[i] = sample
    print(("%6d %10d %7d %5d %7.1f MB %12d %8d %12d%s"):format(i, count, errors, aborted, sample.memory,
      sample.descriptors, sample.threads, sample.connections, reloads and "  reloaded" or ""))
    io.stdout:flush()
    -- nginx closes idle connections when it reloads, and a client may have sent something meanwhile.
    if errors > (reloads and CONNECTIONS or 0) then broken = broken + errors end
    problems[#problems + 1] = damage(dbs) or nil
  end
  for line in server:errors():gmatch "[^\n]*soak: [^\n]*" do
    if #problems < 10 then problems[#problems + 1] = line end
  end
  if broken > 0 then problems[#problems + 1] = broken .. " requests failed" end
  for _, text in ipairs(growth(samples)) do problems[#problems + 1] = text end
  local ok, err = pcall(server.stop, server)
  if not ok then problems[#problems + 1] = err end
  print(#problems == 0 and "flat" or "NOT FLAT:\n" .. table.concat(problems, "\n"))
  os.exit(#problems == 0 and 0 or 1)
end

main()
