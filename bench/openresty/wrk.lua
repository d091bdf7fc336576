-- What wrk runs: keys that are spread over all rows, and one line of numbers at the end.
--     wrk -s bench/openresty/wrk.lua http://127.0.0.1:8080 -- <path> <rows>

local requests, at = {}, 0

function init(args)
  local path, rows = args[1], tonumber(args[2])
  math.randomseed(os.time())
  at = math.random(10000)
  for i = 1, 10000 do requests[i] = wrk.format("GET", ("%s?id=%d"):format(path, i * 7919 % rows + 1)) end
end

function request()
  at = at % 10000 + 1
  return requests[at]
end

function done(summary, latency)
  local count, kinds = 0, {}
  for _, kind in ipairs { "connect", "read", "write", "status", "timeout" } do
    local number = summary.errors[kind]
    count = count + number
    if number > 0 then kinds[#kinds + 1] = ("%d %s"):format(number, kind) end
  end
  io.write(("numbers %d %d %d %d %s\n"):format(summary.requests, summary.duration, latency:percentile(99), count,
    table.concat(kinds, ", ")))
end
