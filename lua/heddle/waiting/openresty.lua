--- Waiting in nginx (OpenResty, or stock nginx with its Lua module), without a directive of its own.
---
--- nginx's Lua module lets nobody add a descriptor to its event loop. nginx itself does: it takes one from us, that of
--- an epoll set in which libpq's stand (heddle.core.waiter), as it takes the one on which it talks to its master, and
--- calls us when something in it is ready. Whoever waits has a semaphore, which is posted there and then.
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
]])
local address_type = ffi.typeof("uintptr_t")
local cleanup_add = tonumber(ffi.cast(address_type, ffi.C.heddle_ngx_cleanup_add))

local KEY = "heddle"

-- Phases that have no request: what they open is the process's.
local OUTSIDE = { init = true, init_worker = true, exit_worker = true }
-- Phases whose request is one for show.
local APART = { timer = true, ssl_cert = true, ssl_client_hello = true, ssl_session_fetch = true,
  ssl_session_store = true }

-- By nginx's address of the request.
local worlds = setmetatable({}, { __mode = "v" })

-- An internal redirect (error_page, try_files, ngx.exec) takes ngx.ctx from the request, and what ran before it is not
-- resumed any more; nginx's clean-up comes only when all of the request is over.
local function finish_former(address, phase)
  local former = worlds[address]
  if former and not APART[phase] and ngx.req.is_internal() then former.request:finish() end
end

local function open_world(ctx, phase)
  local address = tonumber(ffi.cast(address_type, base.get_request()))
  finish_former(address, phase)
  local request = core.request()
  if not request:attach(cleanup_add, address) then
    errors.raise("driver", "nginx has no memory left for the end of the request")
  end
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
---@param request? userdata
function adapter.own(link, request)
  request = request or world().request
  if request then request:own(link) end
end

-- nginx's event loop --------------------------------------------------------------------------------------------

ffi.cdef([[
intptr_t heddle_ngx_watch(void *cycle, int fd, intptr_t event, void (*handler)(void *))
  __asm__("ngx_add_channel_event");
extern void *heddle_ngx_cycle __asm__("ngx_cycle");
extern struct heddle_ngx_module heddle_ngx_epoll __asm__("ngx_epoll_module");
]])
-- nginx's word for "readable", EPOLLIN and EPOLLRDHUP, where it was built with epoll, whichever method it uses.
local READABLE = 0x2001
local has_watch = pcall(function()
  return ffi.C.heddle_ngx_watch, ffi.C.heddle_ngx_cycle, ffi.C.heddle_ngx_epoll
end)

local function ask(fd, tell)
  if not has_watch then
    ngx.log(ngx.WARN, "heddle: waits take longer, because this nginx watches no descriptor of others")
    return true
  end
  return ffi.C.heddle_ngx_watch(ffi.C.heddle_ngx_cycle, fd, READABLE, ffi.cast("void (*)(void *)", tell)) == 0
end

-- Seconds after which nginx is asked again, which may have had no connection left (worker_connections).
local AGAIN = 1
local asked

-- Has nginx call us; once in each worker.
local function watch()
  local is_known, fd, tell = core.polled()
  if is_known or asked and ngx.now() - asked < AGAIN then return end
  asked = ngx.now()
  if ask(fd, tell) then
    core.polled(true)
  else
    ngx.log(ngx.ERR, "heddle: waits take longer until nginx has a connection for them")
  end
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

local post = tonumber(ffi.cast(address_type, ffi.C.ngx_http_lua_ffi_sema_post))
local spare = {}

local function new_waiter()
  local bell = assert(semaphore.new(0))
  return { bell = bell, watched = core.waiter(post, tonumber(ffi.cast(address_type, bell.sem)), bell) }
end

-- Seconds after which a wait looks for itself: should its event have got lost; where nginx has not called yet; at
-- least.
local SLICE, UNWATCHED, LEAST = 5, 0.02, 0.001

---@param fd integer|nil nil: only a pause
---@param events string|nil
---@param timeout number|nil seconds
---@return boolean ready
function adapter.wait(fd, events, timeout)
  if not fd then
    ngx.sleep(math.max(math.min(timeout or SLICE, SLICE), LEAST))
    return false
  end
  local waiter = table.remove(spare) or new_waiter()
  local slice = SLICE
  if not waiter.watched:arm(fd, events) then
    watch()
    slice = UNWATCHED
  end
  local ok, err = waiter.bell:wait(math.max(math.min(timeout or slice, slice), LEAST))
  if ok then
    spare[#spare + 1] = waiter
    return true
  end
  waiter.watched:disarm(fd)
  waiter.watched:close()
  if err ~= "timeout" then error("ngx.semaphore: " .. tostring(err), 0) end
  return false
end

return adapter
