--- Which boxes stand beside which: columns from left to right, so that each foreign key leads to a box further left.
---
--- Cycles are broken by turning an edge round. No column grows much higher than the drawing is wide: what does not fit
--- goes to the next one. Where an edge passes columns, it has a *bend* in each of them, a place of its own between the
--- boxes, so that no line crosses a box.
local compat = require("heddle.compat")

local layers = {}

local BEND = 10

-- Edges from the right to the left; `turned` says that this is not from the foreign key to its target.
local function oriented(graph)
  local next_of, state = {}, {}
  for _, box in ipairs(graph.boxes) do next_of[box] = {} end
  for _, edge in ipairs(graph.edges) do
    if edge.from ~= edge.to then table.insert(next_of[edge.from], edge) end
  end
  local links, order = {}, {}
  local function visit(box)
    state[box] = "visiting"
    for _, edge in ipairs(next_of[box]) do
      local turned = state[edge.to] == "visiting"
      links[#links + 1] = {
        edge = edge, turned = turned, right = turned and edge.to or edge.from, left = turned and edge.from or edge.to,
      }
      if not state[edge.to] then visit(edge.to) end
    end
    state[box] = "done"
    order[#order + 1] = box
  end
  for _, box in ipairs(graph.boxes) do
    if not state[box] then visit(box) end
  end
  return links, order
end

local function add_to(columns, number, item)
  columns[number] = columns[number] or { height = 0 }
  table.insert(columns[number], item)
  columns[number].height = columns[number].height + item.h
  item.column = number
end

local function height_limit(boxes)
  local area, highest = 0, 0
  for _, box in ipairs(boxes) do
    area = area + (box.w + 90) * (box.h + 30)
    highest = math.max(highest, box.h)
  end
  return math.max(highest, math.sqrt(area) * 0.8)
end

local function remove_from(column, item)
  for i, each in ipairs(column) do
    if each == item then table.remove(column, i) end
  end
  column.height = column.height - item.h
end

-- Boxes move next to what refers to them, where there is room: shorter lines. From the right, where those are in place.
local function pull(columns, links, limit)
  local nearest = {}
  for number = #columns, 1, -1 do
    local list = { compat.unpack(columns[number]) }
    for _, box in ipairs(list) do
      local wanted = nearest[box] and nearest[box] - 1 or number
      while wanted > number and columns[wanted].height + box.h > limit do wanted = wanted - 1 end
      if wanted > number then
        remove_from(columns[number], box)
        add_to(columns, wanted, box)
      end
    end
    for _, link in ipairs(links) do
      if link.right.column >= number then
        nearest[link.left] = math.min(nearest[link.left] or link.right.column, link.right.column)
      end
    end
  end
end

-- Without columns that were left empty.
local function filled(columns)
  local list = {}
  for _, column in ipairs(columns) do
    if #column > 0 then list[#list + 1] = column end
    for _, box in ipairs(column) do box.column = #list end
  end
  return list
end

-- What has no edge stands apart.
local function columns_of(graph, links, order)
  local lefts, linked, columns, alone = {}, {}, {}, {}
  for _, link in ipairs(links) do
    linked[link.left], linked[link.right] = true, true
    lefts[link.right] = lefts[link.right] or {}
    table.insert(lefts[link.right], link.left)
  end
  local limit = height_limit(graph.boxes)
  local pending = {}
  for _, box in ipairs(order) do
    if linked[box] then pending[#pending + 1] = box else alone[#alone + 1] = box end
  end
  -- The order has each box behind those left of it, but for edges that were turned: go on until nothing waits.
  while #pending > 0 do
    local rest = {}
    for _, box in ipairs(pending) do
      local number, ready = 1, true
      for _, left in ipairs(lefts[box] or {}) do
        ready = ready and left.column ~= nil
        number = math.max(number, (left.column or 0) + 1)
      end
      if ready then
        while columns[number] and columns[number].height + box.h > limit do number = number + 1 end
        add_to(columns, number, box)
      else
        rest[#rest + 1] = box
      end
    end
    pending = rest
  end
  pull(columns, links, limit)
  return filled(columns), alone
end

-- Bends in the columns between both ends, from the right to the left.
local function add_bends(columns, links)
  for _, link in ipairs(links) do
    link.path = { link.right }
    for number = link.right.column - 1, link.left.column + 1, -1 do
      local bend = { bend = true, w = 0, h = BEND }
      add_to(columns, number, bend)
      table.insert(link.path, bend)
    end
    table.insert(link.path, link.left)
  end
end

---Sorts boxes (with `w` and `h`) into columns.
---@param graph table
---@return table[][] columns of boxes and bends
---@return table[] links { edge, turned, path = from the right to the left }
---@return table[] alone boxes without edges
function layers.of(graph)
  local links, order = oriented(graph)
  local columns, alone = columns_of(graph, links, order)
  add_bends(columns, links)
  return columns, links, alone
end

return layers
