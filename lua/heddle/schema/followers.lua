--- Columns that are called after a column which is called otherwise now: `team_code` refers to `teams.code`; when that
--- becomes `teams.key`, and the entities say `team_key` for the same foreign key, it is the same column.
local model = require("heddle.schema.model")

local followers = {}

-- "team_code" for "key" in the place of "code"; nil when its name does not end so.
local function name_after(name, from, to)
  if name:sub(-#from - 1) ~= "_" .. from then return nil end
  return name:sub(1, -#from - 1) .. to
end

-- Whether the table has a foreign key from a column, at this position, to a table.
local function leads_to(run, t, name, position, target)
  local key = model.key(target.name, target.schema, run.driver)
  for _, fk in ipairs(t.foreign_keys) do
    if run.fold(fk.columns[position] or "") == run.fold(name)
      and model.key(fk.table, fk.schema, run.driver) == key then
      return true
    end
  end
  return false
end

local function follow(run, t, now, fk)
  local target_key = model.key(fk.table, fk.schema, run.driver)
  local target = run.live_by_key[target_key]
  local becomes, names = target and run.successor(target), run.columns[target_key]
  if not becomes or not names then return false end
  local was_columns, columns, found = run.columns_of(t), run.columns_of(now), false
  for position, name in ipairs(fk.columns) do
    local from = fk.target_columns[position]
    local to = from and names[run.fold(from)]
    local wanted = to and not columns[run.fold(name)] and not run.is_renamed(t, name) and name_after(name, from, to)
    if wanted and columns[run.fold(wanted)] and not was_columns[run.fold(wanted)]
      and leads_to(run, now, wanted, position, becomes) then
      run.rename(t, name, columns[run.fold(wanted)].name)
      found = true
    end
  end
  return found
end

---Finds them, and those that are called after them in turn.
---@param run table { driver, live, live_by_key, columns, fold(name), successor(t), columns_of(t), is_renamed(t, name),
---  rename(t, from, to) }
function followers.find(run)
  local found
  repeat
    found = false
    for _, t in ipairs(run.live.tables) do
      local now = run.successor(t)
      for _, fk in ipairs(now and t.foreign_keys or {}) do found = follow(run, t, now, fk) or found end
    end
  until not found
end

return followers
