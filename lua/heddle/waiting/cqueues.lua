--- Waiting under cqueues: `cqueues.poll` on the descriptor itself.
---
--- A controller remembers descriptors by their numbers, and libpq closes and opens its own as it likes. A number that
--- comes again would be taken for the old one: the wait fails, or is never told. So each ends with `cqueues.cancel`,
--- before libpq goes on (two system calls, some 2 microseconds).
local compat = require("heddle.compat")
local cqueues = require("cqueues")

local adapter = { name = "cqueues", knows_generators = true }

-- On Lua 5.1 a protected call is a coroutine of its own, which the controller has not resumed.
if compat.is_51 and not rawget(_G, "jit") then adapter.knows_generators = false end

---Why nothing can be yielded here: no controller runs, or one that resumed another coroutine than this one.
function adapter.blocks()
  local controller, is_its_own = cqueues.running()
  if not controller then return true end
  if is_its_own or compat.part_of(coroutine.running()) then return nil end
  return "a coroutine that cqueues does not know", "make the generator with orm.wrap"
end

---@param fd integer|nil nil: only a pause
---@param events string|nil
---@param timeout number|nil seconds
---@return boolean ready
function adapter.wait(fd, events, timeout)
  if not fd then
    cqueues.sleep(timeout)
    return false
  end
  local object = { pollfd = fd, events = events }
  local ready = cqueues.poll(object, timeout) == object
  cqueues.cancel(fd)
  return ready
end

return adapter
