--- Waiting in nginx (OpenResty, or stock nginx with its Lua module), without a directive of its own.
---
--- nginx's event loop knows nothing of libpq's descriptors, and its Lua module lets nobody add any. So each worker has
--- a thread with an epoll set (heddle.core.poller) and one light thread, the *reader*, that reads from it through a
--- cosocket which wait is over, and posts the semaphore of whoever waits. The reader lives while there are waits and
--- about a second longer; where every request has a Lua state of its own (`lua_code_cache off`) it ends with the waits,
--- because the state lives as long as its timers.
---
--- A request is a *world* (heddle.scope) in its `ngx.ctx`, with the list of links that wait or have a transaction for
--- it (heddle.core.request). nginx's own list of what to do when a request ends gives them up, however it ended: its
--- Lua code is simply not resumed any more when the client goes away or `ngx.exit` is called.
local core = require("heddle.core")
local errors = require("heddle.errors")
local owner = require("heddle.owner")
local scope = require("heddle.scope")

local ngx = package.loaded.ngx
if type(ngx) ~= "table" or not ngx.get_phase or ngx.config.subsystem ~= "http" then
  error("this is not the http subsystem of nginx with its Lua module")
end

local base = require("resty.core.base")
local ffi = require("ffi")
local semaphore = require("ngx.semaphore")

local get_phase = ngx.get_phase

local adapter = { name = "openresty", passes = true }

-- Requests ----------------------------------------------------------------------------------------------------

-- The name is ours: whoever else declares nginx's function may do so in other words.
ffi.cdef([[
void *heddle_ngx_cleanup_add(void *request, size_t size) __asm__("ngx_http_cleanup_add");
struct heddle_ngx_cleanup { void (*handler)(void *); void *data; void *next; };
]])
local cleanup_type = ffi.typeof("struct heddle_ngx_cleanup *")
local handler_type = ffi.typeof("void (*)(void *)")
local pointer_type = ffi.typeof("void *")

local KEY = "heddle"

-- Phases that have no request: what they open is the process's.
local OUTSIDE = { init = true, init_worker = true, exit_worker = true }
-- Phases whose request is one for show.
local APART = { timer = true, ssl_cert = true, ssl_client_hello = true, ssl_session_fetch = true,
  ssl_session_store = true }

-- Whether requests share this Lua state, as they do unless `lua_code_cache` is off: a second one has come.
local first_address, first_request, is_shared

local function notice(address, request, phase)
  if is_shared or APART[phase] or ngx.is_subrequest then return end
  if first_request and (address ~= first_address or first_request:ended()) then
    is_shared, first_request = true, nil
  else
    first_address, first_request = address, first_request or request
  end
end

-- By nginx's address of the request.
local worlds = setmetatable({}, { __mode = "v" })

-- An internal redirect (error_page, try_files, ngx.exec) takes ngx.ctx from the request, and what ran before it is not
-- resumed any more; nginx's clean-up comes only when all of the request is over.
local function finish_former(address, phase)
  local former = worlds[address]
  if former and not APART[phase] and ngx.req.is_internal() then former.request:finish() end
end

local function open_world(ctx, phase)
  local r = base.get_request()
  local address = tonumber(ffi.cast("uintptr_t", r))
  finish_former(address, phase)
  local request = core.request()
  local cleanup = ffi.cast(cleanup_type, ffi.C.heddle_ngx_cleanup_add(ffi.cast(pointer_type, r), 0))
  if cleanup == nil then errors.raise("driver", "nginx has no memory left for the end of the request") end
  local handler, data = request:cleanup()
  cleanup.data = ffi.cast(pointer_type, data)
  cleanup.handler = ffi.cast(handler_type, handler)
  notice(address, request, phase)
  local world = scope.new_world(request)
  ctx[KEY], worlds[address] = world, world
  return world
end

local outside = scope.world()

-- What is done in log_by_lua comes after the request's end, and is nobody's.
local function open_afterworld(ctx)
  local world = scope.new_world()
  ctx[KEY] = world
  return world
end

local function world()
  local phase = get_phase()
  if OUTSIDE[phase] then return outside end
  local ctx = ngx.ctx
  local item = rawget(ctx, KEY) -- it inherits from that of the TLS phases
  if not item then
    if phase == "log" then return open_afterworld(ctx) end
    return open_world(ctx, phase)
  end
  if item.request and item.request:ended() then return open_afterworld(ctx) end
  return item
end

scope.world = world

owner.request = function() return world().request end

local told = setmetatable({}, { __mode = "k" })

-- nginx itself would log an error that is no string as "unknown reason".
scope.tell = function(err)
  if not errors.is_error(err) or told[err] then return end
  told[err] = true
  ngx.log(ngx.ERR, "heddle: ", err.kind, ": ", tostring(err))
end

---What the link holds is the request's, and ends with it.
---@param link userdata
function adapter.own(link)
  local request = world().request
  if request then request:own(link) end
end

-- The reader --------------------------------------------------------------------------------------------------

-- What the reader and those who wait share; one at a time in each worker.
local channel

local TICK = 0
-- The thread gives a sign of life once a second; times in milliseconds.
local CONNECT, SILENCE = 1000, 10000

local function has_waits(of)
  for id, entry in pairs(of.waits) do
    -- A light thread that was killed takes nothing out.
    if entry.request and entry.request:ended() then
      of.waits[id] = nil
    else
      return true
    end
  end
  return false
end

local function post(of, id)
  local entry = of.waits[id]
  if not entry then return end
  of.waits[id] = nil
  -- nginx may not know that a coroutine inside of a request that has ended waits no more.
  if entry.request and entry.request:ended() then return end
  entry.semaphore:post(1)
end

-- Four bytes each, least significant first.
local function take_ids(of, data)
  local quiet = false
  for at = 1, #data - 3, 4 do
    local a, b, c, d = data:byte(at, at + 3)
    local id = a + b * 256 + c * 65536 + d * 16777216
    if id == TICK then quiet = true else post(of, id) end
  end
  return data:sub(#data - #data % 4 + 1), quiet
end

local function read_all(of, sock)
  local rest = ""
  while true do
    local data, err = sock:receiveany(16384)
    if not data then return err end
    local ticked
    rest, ticked = take_ids(of, rest .. data)
    if (ticked or not is_shared) and not has_waits(of) then return nil end
  end
end

-- Whoever waits still looks for himself, and arms his descriptor anew.
local function close_channel(of)
  if channel == of then channel = nil end
  of.poller:close()
  for id in pairs(of.waits) do post(of, id) end
end

local function read(_, of)
  if channel ~= of then return end -- it came too late
  of.is_read = true
  local sock = ngx.socket.tcp()
  sock:settimeouts(CONNECT, CONNECT, SILENCE)
  local ok, err = sock:connect("unix:" .. of.poller:path())
  if not ok then
    of.is_read = false
    ngx.log(ngx.ERR, "heddle: waits take longer until nginx has a connection for them: ", err)
    return
  end
  err = read_all(of, sock)
  if err then ngx.log(ngx.ERR, "heddle: waiting broke off, and begins anew: ", err) end
  sock:close()
  close_channel(of)
end

local function open_channel()
  local pid = ngx.worker.pid()
  if channel and channel.pid == pid then return channel end
  channel = { pid = pid, poller = core.poller(), waits = {}, last = 0, opened = ngx.now() }
  local ok, err = ngx.timer.at(0, read, channel)
  if not ok then ngx.log(ngx.ERR, "heddle: waits take longer until nginx has a timer for them: ", err) end
  return channel
end

-- Waits -------------------------------------------------------------------------------------------------------

local WAITS = { rewrite = true, server_rewrite = true, access = true, content = true, timer = true, ssl_cert = true,
  ssl_client_hello = true, ssl_session_fetch = true }
-- Nobody is kept waiting there.
local SILENT = { init = true, init_worker = true, exit_worker = true }

---Why nothing can be yielded here.
function adapter.blocks()
  local phase = get_phase()
  if WAITS[phase] then return nil end
  if SILENT[phase] then return true end
  return phase .. "_by_lua", "do it in a phase that can wait, or in a timer (ngx.timer.at)"
end

---Raises `unsupported` in `init_by_lua`: what is opened there would be shared by all workers.
function adapter.refuse(context)
  if get_phase() == "init" then
    errors.raise("unsupported", ("Context '%s' cannot be connected in init_by_lua: the workers do not exist yet, and "
      .. "would share its connection; do it in init_worker_by_lua, or at the first request"):format(context.name),
      { context = context.name })
  end
end

function adapter.log(text)
  ngx.log(ngx.WARN, text)
end

local spare = {}

local function take_semaphore()
  return table.remove(spare) or assert(semaphore.new(0))
end

local function keep_semaphore(item)
  if #spare < 100 then spare[#spare + 1] = item end
end

-- Seconds after which a wait looks for itself: should its event have got lost; where nobody reads yet; at least.
local SLICE, UNREAD, LEAST = 5, 0.02, 0.001
-- Seconds after which all begins anew where nobody reads yet: nginx drops a timer where as many run as may
-- (lua_max_running_timers), and has no connection for the reader where all are in use (worker_connections).
local AGAIN = 1

-- Whether the thread is there to wait.
local function arm(of, fd, events, id)
  local ok, err = pcall(of.poller.arm, of.poller, fd, events, id)
  if not ok and not errors.is_error(err, "closed") then error(err, 0) end
  return ok
end

local function disarm(of, fd)
  if of.is_read or ngx.now() - of.opened < AGAIN then of.poller:disarm(fd) else close_channel(of) end
end

---@param fd integer|nil nil: only a pause
---@param events string|nil
---@param timeout number|nil seconds
---@return boolean ready
function adapter.wait(fd, events, timeout)
  if not fd then
    ngx.sleep(math.max(math.min(timeout or SLICE, SLICE), LEAST))
    return false
  end
  local of = open_channel()
  local id = of.last % 4294967295 + 1
  of.last = id
  if not arm(of, fd, events, id) then
    close_channel(of)
    return false
  end
  local slice, waiter = of.is_read and SLICE or UNREAD, take_semaphore()
  of.waits[id] = { semaphore = waiter, request = world().request }
  local ok, err = waiter:wait(math.max(math.min(timeout or slice, slice), LEAST))
  of.waits[id] = nil
  keep_semaphore(waiter)
  if ok then return true end
  if channel == of then disarm(of, fd) end
  if err ~= "timeout" then error("ngx.semaphore: " .. tostring(err), 0) end
  return false
end

return adapter
