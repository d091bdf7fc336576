--- Writes beside the unit of work that take several statements: one transaction of their own around them, or a
--- savepoint of the open one. What fails leaves nothing behind, in the database and in memory.
local compat = require("heddle.compat")
local transaction = require("heddle.transaction")
local undo = require("heddle.undo")

local apart = {}

---Runs `fn(...)`, which sends statements on the entity manager's link, and gives back what it returned; its error takes
---back what was written and read, and is raised again.
---
---Usage: `local n = apart.run(em, function() return run(em, first) + run(em, second) end)`
---@param em table
---@param fn function
function apart.run(em, fn, ...)
  em:open_link()
  local state = { mark = undo.mark(em), own = transaction.depth(em) == 0 }
  -- As a flush's, so that its coroutine's end is noticed (em:break_flush); inside a flush that one takes all back.
  local outermost = not em.flushing
  if outermost then em.flushing = state end
  transaction.begin_flush(em, state)
  local results = compat.pack(compat.pcall(fn, ...))
  local ok, err = results[1], results[2]
  if ok then ok, err = compat.pcall(transaction.end_flush, em, state) end
  if not ok then
    if state.open then compat.pcall(transaction.undo_flush, em, state) end
    undo.rollback(em, state.mark)
  else
    undo.forget(em, state.mark)
  end
  if outermost then em.flushing = false end
  if not ok then error(err, 0) end
  return compat.unpack(results, 2, results.n)
end

return apart
