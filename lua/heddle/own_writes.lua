--- Read your own writes: how far a replica has to have come before it may answer.
---
--- Whoever writes leaves a *mark* with those who have to see it: the entity manager, and the request scope around it.
--- Nothing is asked for then. The next read runs on the primary and brings along the primary's place in its log of
--- writes, which costs no round trip; from then on a replica that has replayed the log up to there will do.
local scope = require("heddle.scope")

local own_writes = {}

-- Synchronous or not, what was committed stands in front of the place where the next record is going to begin. That may
-- be behind the header of a page; the last record, and whoever replays it, ends in front of it.
local PLACE = [[SELECT (place - CASE WHEN place % pg_size_bytes(current_setting('wal_segment_size')) = 40 THEN 40
  WHEN place % current_setting('wal_block_size')::int = 24 THEN 24 ELSE 0 END)::text
  FROM pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0') AS place]]

---A mark: `written` counts writes, `known` says up to which of them `place` is behind.
---@param former? table whose writes it begins with
function own_writes.mark(former)
  if not former then return { written = 0, known = 0, place = 0 } end
  return { written = former.written, known = former.known, place = former.place }
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

---What a fork has written on behalf of another entity manager is that one's too.
---@param em table
---@param fork table
function own_writes.merge(em, fork)
  local mark, other = em.writes, fork.writes
  if not mark or mark == other then return end
  mark.place = math.max(mark.place, other.place)
  if other.known < other.written then count(mark) end
end

---Something was written that is everybody's.
---@param context table
function own_writes.note_all(context)
  if context.replicas then count(context.writes) end
end

---Takes what the last question was answered, before its answer makes room for another one's.
---@param em table
function own_writes.learn(em)
  local asked = em.asked
  em.asked = nil
  local text = asked and em.link and em.link:answer()
  if not text then return end
  local place = tonumber(text)
  for mark, written in pairs(asked) do
    mark.place, mark.known = math.max(mark.place, place), math.max(mark.known, written)
  end
end

---How far a replica has to have come; nil when the primary has to be asked.
---@param em table
---@return number|nil place
function own_writes.needed(em)
  own_writes.learn(em)
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
  for _, mark in pairs({ marks_of(em) }) do
    if mark.known < mark.written then em.asked[mark] = mark.written end
  end
  em:open_link():ask(PLACE)
end

return own_writes
