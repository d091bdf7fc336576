--- Counts what the interpreter executes, where a specification says how the cost of a call grows: a count does not
--- depend on the clock, on other processes or on when garbage is collected.
local instructions = {}

-- Small enough to be exact to a hundredth where ratios are asked for, large enough to cost little.
local EACH = 100

---The instructions of the virtual machine that a call takes, to the nearest hundred below.
---@param call fun()
---@return integer
function instructions.of(call)
  local compiler = rawget(_G, "jit")
  -- What is compiled runs no hooks.
  if compiler then compiler.off() compiler.flush() end
  local count = 0
  local before, mask, every = debug.gethook()
  debug.sethook(function() count = count + EACH end, "", EACH)
  local ok, err = pcall(call)
  debug.sethook(before, mask, every)
  if compiler then compiler.on() end
  if not ok then error(err, 0) end
  return count
end

return instructions
