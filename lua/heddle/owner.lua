--- Which coroutine something belongs to: a scope, a wait, a transaction.
---
--- The coroutine is held weakly. A scheduler may forget one in the middle of its work, and then nothing of Heddle's may
--- keep it, and the connection that it holds, alive.
local compat = require("heddle.compat")

local owner = {}

local WEAK_VALUES = { __mode = "v" }

-- On 5.1 and LuaJIT the main coroutine is a table: it never ends, and everybody is resumed by it.
local function is_main(co)
  return type(co) ~= "thread"
end

---Set where requests have coroutines of their own, which are no longer known when their request has ended: the running
---request, an object with `ended(self)`; nil outside of any.
---@type fun(): userdata|nil
owner.request = function() return nil end

---The running coroutine, for whoever knows its request.
---@param request userdata|nil
---@return table mark
function owner.of(request)
  local co, main = compat.running()
  return setmetatable({ co, main = main, request = request, of_request = request ~= nil }, WEAK_VALUES)
end

---The running coroutine.
---@return table mark
function owner.new()
  return owner.of(owner.request())
end

---Whether it is the running coroutine.
function owner.is_running(mark)
  return mark[1] == compat.running()
end

---Whether it is the running coroutine, or one that resumed it, directly or not: of all coroutines only those are
---"normal".
function owner.is_here(mark)
  local co = mark[1]
  return co ~= nil and (co == compat.running() or is_main(co) or coroutine.status(co) == "normal")
end

---Whether it resumed the running coroutine, directly or not, and is not the main one.
function owner.is_above(mark)
  local co = mark[1]
  return co ~= nil and not mark.main and co ~= compat.running() and coroutine.status(co) == "normal"
end

---Whether it has ended, or was given up by everybody.
function owner.is_gone(mark)
  local co = mark[1]
  if co == nil then return true end
  if mark.of_request and mark.request ~= owner.request() then
    -- Only its own request knows how it is with a coroutine.
    return mark.request == nil or mark.request:ended()
  end
  return not is_main(co) and coroutine.status(co) == "dead"
end

return owner
