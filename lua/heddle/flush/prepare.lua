--- Prepare: what a flush is going to write, once every hook and everybody who listens has had a say.
local changes = require("heddle.flush.changes")
local compat = require("heddle.compat")
local gather = require("heddle.flush.gather")
local hooks = require("heddle.hooks")
local undo = require("heddle.undo")
local watch = require("heddle.flush.watch")

local prepare = {}

-- A hook may reach further than its own instance: what it made new or changed gets its hooks too.
local function gathered(em, seen)
  local rows
  repeat
    gather.cascade(em)
    rows = gather.collect(em)
  until not hooks.before(em, rows, seen)
  return rows
end

local function without(rows, vetoed)
  if next(vetoed) == nil then return rows end
  local rest, left_out = { pairs = {}, vetoed = vetoed }, {}
  for _, row in ipairs(rows) do
    local list = vetoed[row.e] and left_out or rest
    list[#list + 1] = row
  end
  for _, item in ipairs(rows.pairs) do
    if not vetoed[item.state.owner] then rest.pairs[#rest.pairs + 1] = item end
  end
  return rest, left_out
end

---Runs before_flush, cascades, `before_*` hooks and on_flush.
---@return table[] rows without those that were vetoed
function prepare.rows(em)
  local seen, vetoed = em.flushing.seen or {}, {}
  hooks.tell(em, "before_flush", { em = em, name = "before_flush" })
  local rows, left_out = gathered(em, seen), nil
  for _, listener in ipairs(not em.plain and em.context.listeners.on_flush or {}) do
    local set = changes.pending(em, rows, vetoed)
    if #set == 0 then break end
    watch.open(em)
    hooks.within(em, "on_flush", nil, listener, set)
    rows, left_out = without(gathered(em, seen), vetoed)
  end
  watch.close(em)
  -- A row that is vetoed stays as the program had left it.
  for _, row in ipairs(left_out or {}) do undo.leave_out(em, em.flushing.mark, row.e) end
  return rows
end

local function pending(em)
  gather.cascade(em)
  return changes.pending(em, gather.collect(em))
end

---The change set of a flush, as far as memory knows it, without one: what cascades do meanwhile is taken back.
---@return table set
function prepare.peek(em)
  local outer, mark = em.flushing, undo.mark(em)
  em.flushing = { dry = true, owner = outer and outer.owner }
  local ok, set = compat.pcall(pending, em)
  undo.rollback(em, mark)
  em.flushing = outer
  if not ok then error(set, 0) end
  return set
end

return prepare
