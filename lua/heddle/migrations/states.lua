--- What the files say and what the record says, side by side: the state of every migration.
---
---     pending   a file that has not run           done      a file that has
---     edited    its file is not what had run      missing   it has run, and its file is gone
---     started   it began without a transaction and did not end
---
--- A file that `replaces` others (a rollup) stands for them where all of them or none have run; where some have, they
--- run to their end first.
local failure = require("heddle.migrations.failure")

local states = {}

local function by_name(list)
  local map = {}
  for _, item in ipairs(list) do map[item.name] = item end
  return map
end

-- Which files count: sets `adopts` for a rollup that is done because what it replaces is; gives what is passed over.
local function settle_replaced(files, rows)
  local passed = {}
  for _, entry in ipairs(files) do
    if entry.replaces then
      local done = 0
      for _, name in ipairs(entry.replaces) do
        if rows[name] and rows[name].state == "done" then done = done + 1 end
      end
      local is_whole = rows[entry.name] or done == 0 or done == #entry.replaces
      if is_whole then
        for _, name in ipairs(entry.replaces) do passed[name] = true end
        entry.adopts = not rows[entry.name] and done > 0
      else
        passed[entry.name] = true
      end
    end
  end
  return passed
end

local function state_of(entry, row, rows)
  if row then
    if row.state == "started" then return "started" end
    return row.checksum == entry.checksum and "done" or "edited"
  end
  if not entry.adopts then return "pending" end
  for _, name in ipairs(entry.replaces) do row = rows[name] or row end
  entry.executed_at = row and row.executed_at
  return "done"
end

---@param files table[] of heddle.migrations.files, in order
---@param recorded table[] of heddle.migrations.record
---@return table[] entries in order of their names, each with `state executed_at duration`
function states.merge(files, recorded)
  local rows, entries = by_name(recorded), {}
  local passed = settle_replaced(files, rows)
  for _, entry in ipairs(files) do
    if not passed[entry.name] then
      local row = rows[entry.name]
      entry.state = state_of(entry, row, rows)
      if row then entry.executed_at, entry.duration = row.executed_at, row.duration end
      entries[#entries + 1] = entry
    end
  end
  local present, adopted = by_name(entries), {}
  for _, entry in ipairs(entries) do
    for _, name in ipairs(entry.adopts and entry.replaces or {}) do adopted[name] = true end
  end
  for _, row in ipairs(recorded) do
    if not present[row.name] and not adopted[row.name] then
      entries[#entries + 1] = { name = row.name, state = row.state == "started" and "started" or "missing",
        executed_at = row.executed_at, duration = row.duration, checksum = row.checksum }
    end
  end
  table.sort(entries, function(a, b) return a.name < b.name end)
  return entries
end

local advice = {
  edited = { "was edited after it ran: put its text back and write what has changed as a new migration, or, where "
    .. "the database is as the file says now, ", "--done" },
  missing = { "has run and its file is gone: put it back, or, where it shall be forgotten, ", "--undone" },
  started = { "was begun without a transaction and did not end: look what of it is in the database, then say so with ",
    "--done or --undone" },
}

---Raises `migration` for the first one that is neither done nor pending.
---@param entries table[]
---@param context_name string
function states.check(entries, context_name)
  for _, entry in ipairs(entries) do
    local words = advice[entry.state]
    if words then
      local place = entry.path and ("(%s) "):format(entry.path) or ""
      failure.raise(entry, context_name, place .. words[1]
        .. failure.resolve_command(entry.name, context_name, words[2]), { state = entry.state })
    end
  end
end

---Those of a state.
---@return table[]
function states.of(entries, state)
  local list = {}
  for _, entry in ipairs(entries) do
    if entry.state == state then list[#list + 1] = entry end
  end
  return list
end

return states
