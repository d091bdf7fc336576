--- Waiting under luv: a poll handle for the descriptor, and a timer where there is a limit, for each wait. Both are
--- closed before the coroutine goes on: libpq may close the descriptor then, and libuv wants one handle for each.
local compat = require("heddle.compat")

local uv = package.loaded.luv or package.loaded.uv or require("luv")

local adapter = { name = "luv" }

---Why nothing can be yielded here: the main coroutine is the loop's, or the program's before the loop runs.
function adapter.blocks()
  local _, is_main = compat.running()
  if not is_main then return nil end
  if uv.loop_mode() then return "a callback of luv's", "start a coroutine in it" end
  return true
end

-- What goes wrong in the coroutine from here on is luv's to report.
local function resume(co, ready)
  local ok, err = coroutine.resume(co, ready)
  if not ok then error(err, 0) end
end

---@param fd integer|nil nil: only a pause
---@param events string|nil
---@param timeout number|nil seconds
---@return boolean ready
function adapter.wait(fd, events, timeout)
  local co = compat.running()
  local poll, timer
  local function go_on(ready)
    if poll then poll:close() end
    if timer then timer:close() end
    resume(co, ready)
  end
  if timeout then
    timer = uv.new_timer()
    timer:start(math.ceil(timeout * 1000), 0, function() go_on(false) end)
  end
  if fd then
    poll = assert(uv.new_poll(fd))
    poll:start(events, function() go_on(true) end)
  end
  return coroutine.yield()
end

return adapter
