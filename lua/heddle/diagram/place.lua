--- Where boxes and bends stand in their columns: in an order with few crossings, and as near to their neighbours as
--- those that stand above and below allow.
local place = {}

local GAP, NARROW = 28, 6

-- Neighbours of each item, with the heights at which the edge begins and ends.
local function neighbours_of(links)
  local found = {}
  local function add(a, b, own, other)
    found[a] = found[a] or {}
    table.insert(found[a], { item = b, own = own, other = other })
  end
  for _, link in ipairs(links) do
    for i = 1, #link.path - 1 do
      local right, left = link.path[i], link.path[i + 1]
      local at_right = right.bend and right.h / 2 or link.right_port
      local at_left = left.bend and left.h / 2 or link.left_port
      add(right, left, at_right, at_left)
      add(left, right, at_left, at_right)
    end
  end
  return found
end

local function gap_between(a, b)
  return (a.bend or b.bend) and (a.bend and b.bend and NARROW or GAP / 2) or GAP
end

local function stack(column)
  local y = 0
  for i, item in ipairs(column) do
    if i > 1 then y = y + gap_between(column[i - 1], item) end
    item.y, item.rank = y, i
    y = y + item.h
  end
end

-- The mean of where neighbours in one column would have an item; where it is when it has none there.
local function wanted(item, neighbours, side)
  local sum, count = 0, 0
  for _, each in ipairs(neighbours[item] or {}) do
    if side == nil or each.item.column == item.column + side then
      sum, count = sum + each.item.y + each.other - each.own, count + 1
    end
  end
  return count > 0 and sum / count or item.y
end

local function sort(column, neighbours, side)
  local at = {}
  for _, item in ipairs(column) do at[item] = wanted(item, neighbours, side) + item.h / 2 end
  table.sort(column, function(a, b)
    if at[a] ~= at[b] then return at[a] < at[b] end
    return a.rank < b.rank
  end)
  stack(column)
end

local function crossings(columns, links)
  local count, spans = 0, {}
  for _, link in ipairs(links) do
    for i = 1, #link.path - 1 do
      local right, left = link.path[i], link.path[i + 1]
      spans[left.column] = spans[left.column] or {}
      table.insert(spans[left.column], { left.y + left.h / 2, right.y + right.h / 2 })
    end
  end
  for number = 1, #columns do
    local list = spans[number] or {}
    for i = 1, #list do
      for k = i + 1, #list do
        if (list[i][1] - list[k][1]) * (list[i][2] - list[k][2]) < 0 then count = count + 1 end
      end
    end
  end
  return count
end

local function remember(columns)
  local kept = {}
  for number, column in ipairs(columns) do
    kept[number] = {}
    for i, item in ipairs(column) do kept[number][i] = item end
  end
  return kept
end

local function order(columns, links, neighbours)
  local best, least
  for round = 0, 11 do
    if round > 0 then
      local ltr = round % 2 == 1
      for step = 1, #columns do
        local number = ltr and step or #columns + 1 - step
        sort(columns[number], neighbours, ltr and -1 or 1)
      end
    end
    local count = crossings(columns, links)
    if not least or count < least then best, least = remember(columns), count end
  end
  for number, column in ipairs(columns) do
    for i, item in ipairs(best[number]) do column[i] = item end
    stack(column)
  end
end

-- Least squares under "each below the one before": what would overlap moves as one block to the mean of its wishes.
local function settle(column, neighbours)
  local blocks, offset = {}, 0
  for i, item in ipairs(column) do
    if i > 1 then offset = offset + column[i - 1].h + gap_between(column[i - 1], item) end
    item.offset = offset
    local block = { sum = wanted(item, neighbours) - offset, count = 1 }
    while #blocks > 0 and blocks[#blocks].sum / blocks[#blocks].count > block.sum / block.count do
      local above = table.remove(blocks)
      block = { sum = above.sum + block.sum, count = above.count + block.count }
    end
    blocks[#blocks + 1] = block
  end
  local at = 1
  for _, block in ipairs(blocks) do
    for _ = 1, block.count do
      column[at].y = block.sum / block.count + column[at].offset
      at = at + 1
    end
  end
end

---Gives each item of the columns its `y`, 0 the least.
---@param columns table[][]
---@param links table[] with `right_port` and `left_port`
function place.all(columns, links)
  local neighbours = neighbours_of(links)
  for _, column in ipairs(columns) do stack(column) end
  order(columns, links, neighbours)
  for _ = 1, 6 do
    for _, column in ipairs(columns) do settle(column, neighbours) end
    for number = #columns, 1, -1 do settle(columns[number], neighbours) end
  end
  local least = 0
  for _, column in ipairs(columns) do
    if column[1] then least = math.min(least, column[1].y) end
  end
  for _, column in ipairs(columns) do
    for _, item in ipairs(column) do item.y = math.floor(item.y - least + 0.5) end
  end
end

return place
