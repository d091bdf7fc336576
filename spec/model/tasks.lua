--- Operations on tasks: places in a list, UNIQUE(team, position), and in a tree.

local chance = require("spec.model.chance")

local tasks = {}

local any, make, number = chance.any, chance.make, chance.number
local pick, once, rotate = chance.pick, chance.once, chance.rotate

-- The tasks of a team in the order of their positions.
local function list_of(run, team)
  local list = {}
  for _, task in ipairs(run.model:referring("Task", "team", team)) do
    if task.mark ~= "removed" then list[#list + 1] = task end
  end
  table.sort(list, function(a, b)
    if a.v.position ~= b.v.position then return a.v.position < b.v.position end
    return a.n < b.n
  end)
  return list
end

local function place(run, list)
  for i, task in ipairs(list) do
    if task.v.position ~= i then run.step("set", task.n, "position", i) end
  end
end

--- Its children have no parent then.
function tasks.drop(run, task)
  for _, child in ipairs(run.model:referring("Task", "parent", task)) do
    if child ~= task then run.step("relate", child.n, "parent", nil) end
  end
  run.step("remove", task.n)
end

--- At the head, in the middle or at the end; the others make room.
function tasks.insert(run)
  local team, parent = any(run, "Team"), any(run, "Task")
  if not team then return end
  local list = list_of(run, team)
  local at = pick(run, { 1, run.random(#list + 1), #list + 1 })
  local task = make(run, "Task", { position = at }, { team = not once(run, 3) and team.n or nil,
    parent = parent and once(run, 2) and parent.n or nil })
  if not task.to.team then run.step("join", team.n, "tasks", task.n, "team") end
  table.insert(list, at, task)
  place(run, list)
end

--- Without closing the gap, now and then.
function tasks.remove(run)
  local task = any(run, "Task")
  if not task then return end
  tasks.drop(run, task)
  if task.to.team and not once(run, 3) then place(run, list_of(run, task.to.team)) end
end

--- The place of a removed one is taken at once.
function tasks.replace(run)
  local task = any(run, "Task")
  if not task or not task.to.team then return end
  tasks.drop(run, task)
  make(run, "Task", { position = task.v.position }, { team = task.to.team.n })
end

function tasks.swap(run)
  local team = any(run, "Team")
  local list = team and list_of(run, team)
  if list then rotate(run, list, "position", run.random(3) + 1) end
end

function tasks.reverse(run)
  local team = any(run, "Team")
  local list = team and list_of(run, team) or {}
  local back = {}
  for i, task in ipairs(list) do back[#list - i + 1] = task end
  place(run, back)
end

function tasks.shift(run)
  local team = any(run, "Team")
  local by = run.random(2)
  for _, task in ipairs(team and list_of(run, team) or {}) do
    run.step("set", task.n, "position", task.v.position + by)
  end
end

--- To another list, at any place of it.
function tasks.move(run)
  local task, team = any(run, "Task"), any(run, "Team")
  if not task or not team or task.to.team == team then return end
  local from, to = task.to.team, list_of(run, team)
  if once(run, 2) then
    run.step("relate", task.n, "team", team.n)
  else
    run.step("join", team.n, "tasks", task.n, "team")
  end
  table.insert(to, run.random(#to + 1), task)
  place(run, to)
  if from then place(run, list_of(run, from)) end
end

--- Two tasks of two lists change places.
function tasks.exchange(run)
  local a, b = any(run, "Task"), any(run, "Task")
  if not a or a == b or not a.to.team or not b.to.team then return end
  local team, position = a.to.team, a.v.position
  run.step("relate", a.n, "team", b.to.team.n)
  run.step("set", a.n, "position", b.v.position)
  run.step("relate", b.n, "team", team.n)
  run.step("set", b.n, "position", position)
end

--- Under another parent, itself, its own child or none.
function tasks.reparent(run)
  local task, parent = any(run, "Task"), any(run, "Task")
  if not task then return end
  parent = pick(run, { parent, parent, task, false })
  if parent and once(run, 2) then
    run.step("join", parent.n, "children", task.n, "parent")
  elseif not parent and task.to.parent and task.to.parent.mark ~= "removed" and once(run, 2) then
    run.step("leave", task.to.parent.n, "children", task.n, "parent")
  else
    run.step("relate", task.n, "parent", parent and parent.n or nil)
  end
end

--- Another task becomes the row: children and all.
function tasks.take_over(run)
  local task = any(run, "Task")
  if not task or not task.v.id or not task.to.team then return end
  run.step("remove", task.n)
  local n = number(run)
  run.step("make", n, "Task", { position = task.v.position }, { team = task.to.team.n }, task.n)
  run.step("persist", n)
end

return tasks
