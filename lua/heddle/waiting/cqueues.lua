--- Waiting under cqueues: `cqueues.poll` on the descriptor itself.
---
--- A controller remembers descriptors by their numbers, and libpq closes and opens its own as it likes; a number that
--- comes again would be taken for the old one. So each wait ends with `cqueues.cancel`.
local cqueues = require("cqueues")

local adapter = { name = "cqueues" }

---Why nothing can be yielded here: no controller runs, or one that resumed another coroutine than this one.
function adapter.blocks()
  local controller, is_its_own = cqueues.running()
  if not controller then return true end
  if not is_its_own then return "a coroutine that cqueues does not know", "make the generator with orm.wrap" end
  return nil
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
