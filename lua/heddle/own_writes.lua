--- Read your own writes: how far a replica has to have come before it may answer.
---
--- Whoever writes leaves a *mark* with those who have to see it: the request scope, or, outside of one, the entity
--- manager and its forks. Nothing is asked for then. The next read runs on the primary and brings along the primary's
--- place in its log of writes, which costs no round trip; from then on a replica that has replayed the log up to there
--- will do.
local scope = require("heddle.scope")

local own_writes = {}

-- Synchronous or not, what was committed stands in front of this place.
local PLACE = "SELECT pg_current_wal_insert_lsn()::text"

---A mark: `written` counts writes, `known` says up to which of them `place` is behind.
function own_writes.mark()
  return { written = 0, known = 0, place = 0 }
end

---The mark of the request scope that a scope is part of: all that is nested is one request.
---@param context table
---@param item table|nil a scope
---@return table|nil mark
function own_writes.of_scope(context, item)
  local root = scope.outermost(item)
  if not root then return nil end
  root.marks = root.marks or {}
  root.marks[context] = root.marks[context] or own_writes.mark()
  return root.marks[context]
end

-- What the schema's statements leave concerns everybody.
local function marks_of(em)
  local context = em.context
  return context.writes, em.writes, own_writes.of_scope(context, scope.current())
end

local function count(mark)
  if mark then mark.written = mark.written + 1 end
end

---Something was written on the primary, or nobody knows whether it was.
---@param em table
function own_writes.note(em)
  if not em.context.replicas then return end
  local _, own, of_scope = marks_of(em)
  count(own)
  if of_scope ~= own then count(of_scope) end
end

---Something was written that is everybody's.
---@param context table
function own_writes.note_all(context)
  if context.replicas then count(context.writes) end
end

---A place in the log as a number: "16/B374D848".
---@param text string
---@return number
function own_writes.place(text)
  local high, low = text:match("^(%x+)/(%x+)$")
  return tonumber(high, 16) * 2 ^ 32 + tonumber(low, 16)
end

-- What the last question was answered.
local function learn(em)
  local asked = em.asked
  em.asked = nil
  local text = asked and em.link and em.link:answer()
  if not text then return end
  local place = own_writes.place(text)
  for mark, written in pairs(asked) do
    mark.place, mark.known = math.max(mark.place, place), math.max(mark.known, written)
  end
end

---How far a replica has to have come; nil when the primary has to be asked.
---@param em table
---@return number|nil place
function own_writes.needed(em)
  learn(em)
  local place = 0
  for _, mark in pairs({ marks_of(em) }) do
    if mark.known < mark.written then return nil end
    place = math.max(place, mark.place)
  end
  return place
end

---The entity manager's next statement on the primary, a read, brings the answer along.
function own_writes.ask(em)
  em.asked = {}
  for _, mark in pairs({ marks_of(em) }) do em.asked[mark] = mark.written end
  em:open_link():ask(PLACE)
end

return own_writes
