--- Views around changes: PostgreSQL lets no column change its type, or go, under a view, so Heddle's own ones go first
--- and come again. Those of others are never touched; a change that they are in the way of is refused.
local dependents = require("heddle.schema.postgres.dependents")
local order = require("heddle.schema.order")
local render = require("heddle.schema.render")
local words = require("heddle.schema.postgres.words")

local view_steps = {}

local function path_of(view)
  return (view.schema or "") .. "\0" .. view.name
end

-- Whether a table's columns change in a way that views feel; a new one only those that take all columns.
local function disturbs(entry, view)
  local columns = entry.columns
  if #columns.dropped > 0 or next(entry.retyped) or next(entry.rebuilt) then return true end
  return #columns.added > 0 and (view.source or view.sql):find("*", 1, true) ~= nil
end

local function is_affected(plan, view, affected)
  for _, entry in ipairs(plan.entries) do
    if words.mentions(view.sql, entry.was.name) or words.mentions(view.sql, entry.now.name) then
      if disturbs(entry, view) then return true end
    end
  end
  for _, other in pairs(affected) do
    if words.mentions(view.sql, other.name) then return true end
  end
  return false
end

-- Views that go and come again, readers behind what they read.
local function affected_views(plan, sorted)
  local affected, is_new = {}, {}
  for _, view in ipairs(plan.changes.views.added) do is_new[path_of(view)] = true end
  for _, change in ipairs(plan.changes.views.changed) do affected[path_of(change.now)] = change.was end
  for _, view in ipairs(sorted) do
    local path = path_of(view)
    if not affected[path] and not is_new[path] and is_affected(plan, view, affected) then affected[path] = view end
  end
  return affected, is_new
end

local function drop(plan, view)
  plan:add("views_go", ("DROP %sVIEW %s"):format(view.materialized and "MATERIALIZED " or "", render.table(view)))
end

---Adds the statements for views that change, and for those that are in the way.
---@param plan table
function view_steps.plan(plan)
  local sorted = order.views(plan.wanted.views)
  local affected, is_new = affected_views(plan, sorted)
  local going = {}
  for _, view in ipairs(plan.changes.views.dropped) do going[#going + 1] = view end
  for _, view in pairs(affected) do going[#going + 1] = view end
  table.sort(going, function(a, b) return path_of(a) < path_of(b) end)
  going = order.views(going)
  dependents.check(plan, going)
  for i = #going, 1, -1 do drop(plan, going[i]) end
  for _, view in ipairs(sorted) do
    local path = path_of(view)
    if is_new[path] or affected[path] then
      local text = { name = view.name, schema = view.schema, materialized = view.materialized,
        sql = view.source or view.sql }
      plan:add("views", render.view(text))
      if not is_new[path] then
        for _, sql in ipairs(dependents.belongings(plan, view)) do plan:add("views", sql) end
      end
    end
  end
end

return view_steps
