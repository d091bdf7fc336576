--- In which order tables and views are made, behind those that they need, and names change.
local model = require("heddle.schema.model")

local order = {}

-- `needs(item, visit)` calls visit for each that has to come first.
local function sorted(list, needs)
  local result, state, cyclic = {}, {}, false
  local function visit(item)
    if state[item] == "done" then return end
    if state[item] then
      cyclic = true
      return
    end
    state[item] = "visiting"
    needs(item, visit)
    state[item] = "done"
    result[#result + 1] = item
  end
  for _, item in ipairs(list) do visit(item) end
  return result, cyclic
end

---Tables behind those that they refer to, else as they are; and whether some refer to each other.
---@param list table[] tables of a model
---@param driver "postgres"|"sqlite"
---@return table[] tables
---@return boolean cyclic
function order.tables(list, driver)
  local by_key = {}
  for _, t in ipairs(list) do by_key[model.key(t.name, t.schema, driver)] = t end
  return sorted(list, function(t, visit)
    for _, fk in ipairs(t.foreign_keys) do
      local target = by_key[model.key(fk.table, fk.schema, driver)]
      if target and target ~= t then visit(target) end
    end
  end)
end

-- Whether a SELECT reads from a view. A word that means something else costs an order among equals.
local function mentions(sql, name)
  local from, plain = 1, name:lower()
  sql = sql:lower()
  while true do
    local first, last = sql:find(plain, from, true)
    if not first then return false end
    local before, behind = sql:sub(first - 1, first - 1), sql:sub(last + 1, last + 1)
    if not (before .. behind):find("[%w_\128-\255]") then return true end
    from = first + 1
  end
end

---Views behind those that they read.
---@param list table[] views of a model
---@return table[] views
function order.views(list)
  return (sorted(list, function(view, visit)
    for _, other in ipairs(list) do
      if other ~= view and mentions(view.sql, other.name) then visit(other) end
    end
  end))
end

-- The first of `left` that can be called otherwise now, nil when they go round in a circle.
local function next_of(left, taken, key)
  for i, item in ipairs(left) do
    local from, to = key(item, item.from), key(item, item.to)
    if not taken[to] or from == to then return i end
  end
end

---Renames one after the other, each to a name that is free by then; those that go round in a circle by way of a name
---that nobody has.
---@param list table[] { from = name, to = name }, and what else `rename` wants to know
---@param key fun(item: table, name: string): string equal where names are
---@param rename fun(from: string, to: string, item: table)
function order.renames(list, key, rename)
  local left, taken, now = {}, {}, {}
  for i, item in ipairs(list) do
    left[i], now[item] = item, item.from
    taken[key(item, item.from)] = true
  end
  while #left > 0 do
    local i = next_of(left, taken, key)
    local item = left[i or 1]
    if i then
      rename(now[item], item.to, item)
      table.remove(left, i)
    else
      now[item] = "heddle_old_" .. item.from
      rename(item.from, now[item], item)
    end
    taken[key(item, item.from)] = nil
  end
end

return order
