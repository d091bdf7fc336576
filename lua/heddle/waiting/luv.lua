--- Waiting under luv: a poll handle for the descriptor, and a timer where there is a limit, for each wait.
---
--- libuv aborts the process when a descriptor that it is about to watch has been closed, and takes no second handle for
--- one number. libpq closes and opens its own as it likes, and a coroutine may be closed while it waits; so the poll
--- handle gets a descriptor of its own, which goes when the handle does.
local compat = require("heddle.compat")
local core = require("heddle.core")
local errors = require("heddle.errors")

local uv = package.loaded.luv or package.loaded.uv or require("luv")

local adapter = { name = "luv" }

---Why nothing can be yielded here: the main coroutine is the loop's, or the program's before the loop runs.
function adapter.blocks()
  local _, is_main = compat.running()
  if not is_main then return nil end
  if uv.loop_mode() then return "a callback of luv's", "start a coroutine in it" end
  return true
end

-- What goes wrong in the coroutine from here on is luv's to report, which knows texts only. One that was closed while
-- it waited is not there any more.
local function resume(co, ready)
  if coroutine.status(co) ~= "suspended" then return end
  local ok, err = coroutine.resume(co, ready)
  if not ok then error(debug.traceback(co, tostring(err)), 0) end
end

-- A handle for the descriptor, and what ends both.
local function poll(fd)
  local descriptor = core.descriptor(fd)
  local handle, err = uv.new_poll(descriptor:number())
  if not handle then
    descriptor:close()
    errors.raise("driver", "luv cannot wait for a descriptor: " .. tostring(err))
  end
  return handle, function()
    handle:close()
    descriptor:close()
  end
end

---@param fd integer|nil nil: only a pause
---@param events string|nil
---@param timeout number|nil seconds
---@return boolean ready
function adapter.wait(fd, events, timeout)
  local co = compat.running()
  local handle, timer, close
  if fd then handle, close = poll(fd) end
  local function let_go()
    if close then close() end
    if timer then timer:close() end
    close, timer = nil, nil
  end
  local function go_on(ready)
    let_go()
    resume(co, ready)
  end
  if timeout then
    timer = uv.new_timer()
    uv.update_time() -- the limit counts from now, not from when the loop last looked
    timer:start(math.ceil(timeout * 1000), 0, function() go_on(false) end)
  end
  if handle then handle:start(events, function() go_on(true) end) end
  local ready = coroutine.yield()
  let_go() -- whoever resumed it
  return ready
end

return adapter
