--- A diagram as SVG, drawn without further tools: columns of boxes (layers.lua), each in its place (place.lua), and a
--- line for each foreign key, from its row to the row that it refers to, with a crow's foot where there may be many.
local layers = require("heddle.diagram.layers")
local place = require("heddle.diagram.place")
local xml = require("heddle.diagram.xml")

local CHAR, ROW, HEAD, MARGIN, GAP = 7.3, 20, 28, 24, 92
-- Beside a box that stands apart: for the loop of one that refers to itself.
local ROOM = 56

local STYLE = [[
<style>
text { font: 12px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #1f2933; }
.head { font-weight: bold; } .entity { fill: #52606d; font-style: italic; } .type { fill: #52606d; }
.key { fill: #b44d12; font-size: 10px; } .page { fill: #ffffff; } .box { fill: #ffffff; stroke: #7b8794; }
.title { fill: #dfe7f2; stroke: #7b8794; } .line { fill: none; stroke: #486581; stroke-width: 1.3; }
.mark { fill: #ffffff; stroke: #486581; stroke-width: 1.3; }
</style>]]

-- Sizes ----------------------------------------------------------------------------------------------------------

local function type_text(row)
  return row.type .. (row.nullable and " ?" or "")
end

local function measure(box)
  local names, types, keys = 0, 0, 0
  for _, row in ipairs(box.rows) do
    names = math.max(names, xml.length(row.name))
    types = math.max(types, xml.length(type_text(row)))
    keys = math.max(keys, #table.concat(row.keys, " "))
  end
  local title = xml.length(box.name) * 1.05 + (box.entity and xml.length(box.entity) + 2 or 0)
  box.names_at = math.ceil(10 + (keys > 0 and keys * 6.2 + 8 or 0))
  box.types_at = math.ceil(box.names_at + (names + 2) * CHAR)
  box.w = math.ceil(math.max(box.types_at + types * CHAR + 10, title * CHAR + 20))
  box.h = HEAD + #box.rows * ROW + 4
end

local function port(position)
  return HEAD + (position - 0.5) * ROW + 2
end

-- Places -----------------------------------------------------------------------------------------------------------

local function place_columns(columns)
  local x, bottom = MARGIN, 0
  for _, column in ipairs(columns) do
    local width = 0
    for _, item in ipairs(column) do
      width, item.x = math.max(width, item.w), x
      item.y = item.y + MARGIN
      bottom = math.max(bottom, item.y + item.h)
    end
    column.left, column.right = x, x + width
    x = x + width + GAP
  end
  return #columns > 0 and x - GAP + MARGIN or MARGIN, bottom
end

-- Boxes without edges, in rows below the others.
local function place_alone(alone, width, bottom)
  local x, y, row = MARGIN, bottom + (bottom > 0 and 36 or MARGIN), 0
  local limit = math.max(width, 900)
  for _, box in ipairs(alone) do
    if x > MARGIN and x + box.w + MARGIN > limit then x, y, row = MARGIN, y + row + 36, 0 end
    box.x, box.y = x, y
    x, row = x + box.w + ROOM, math.max(row, box.h)
    width, bottom = math.max(width, x - ROOM + MARGIN), math.max(bottom, y + box.h)
  end
  return width, bottom
end

-- Drawing ----------------------------------------------------------------------------------------------------------

local function add(out, format, ...)
  out[#out + 1] = format:format(...)
end

local function draw_box(out, box)
  add(out, '<g class="table"><title>%s</title>', xml.escape(box.comment or box.name))
  add(out, '<rect class="box" x="%d" y="%d" width="%d" height="%d" rx="4"/>', box.x, box.y, box.w, box.h)
  add(out, '<rect class="title" x="%d" y="%d" width="%d" height="%d" rx="4"/>', box.x, box.y, box.w, HEAD - 4)
  add(out, '<text class="head" x="%d" y="%d">%s</text>', box.x + 10, box.y + 16, xml.escape(box.name))
  if box.entity then
    add(out, '<text class="entity" x="%d" y="%d" text-anchor="end">%s</text>', box.x + box.w - 10, box.y + 16,
      xml.escape(box.entity))
  end
  for i, row in ipairs(box.rows) do
    local y = box.y + port(i) + 4
    if #row.keys > 0 then
      add(out, '<text class="key" x="%d" y="%d">%s</text>', box.x + 10, y, table.concat(row.keys, " "))
    end
    add(out, '<text x="%d" y="%d">%s</text>', box.x + box.names_at, y, xml.escape(row.name))
    add(out, '<text class="type" x="%d" y="%d">%s</text>', box.x + box.types_at, y, xml.escape(type_text(row)))
  end
  add(out, "</g>")
end

-- The end of a line at a box: a foot or a bar, then a ring where there may be none. `d` is the way out of the box.
local function draw_mark(out, x, y, d, many, optional)
  if many then
    add(out, '<path class="line" d="M%d,%d L%d,%d L%d,%d"/>', x, y - 6, x + 12 * d, y, x, y + 6)
  else
    add(out, '<path class="line" d="M%d,%d v12"/>', x + 6 * d, y - 6)
  end
  if optional then
    add(out, '<circle class="mark" cx="%d" cy="%d" r="4"/>', x + (many and 16 or 12) * d, y)
  else
    add(out, '<path class="line" d="M%d,%d v12"/>', x + 11 * d, y - 6)
  end
end

local function draw_ends(out, link, right_x, right_y, left_x, left_y)
  local edge = link.edge
  local fk_x, fk_y, key_x, key_y, d = right_x, right_y, left_x, left_y, -1
  if link.turned then fk_x, fk_y, key_x, key_y, d = left_x, left_y, right_x, right_y, 1 end
  draw_mark(out, fk_x, fk_y, d, edge.many, true)
  draw_mark(out, key_x, key_y, -d, false, edge.optional)
end

-- From the right box leftwards: straight through columns, curved between them.
local function draw_link(out, link, columns)
  local path = {}
  local function height(item, own) return item.y + (item.bend and item.h / 2 or own) end
  local right, left = link.right, link.left
  local right_y, left_y = height(right, link.right_port), height(left, link.left_port)
  local left_x = left.x + left.w
  path[1] = ("M%d,%d"):format(right.x, right_y)
  local at = right_y
  for i = 2, #link.path do
    local item = link.path[i]
    local column, y = columns[item.column], height(item, link.left_port)
    local from, to = columns[item.column + 1].left, column.right
    local middle = (from + to) / 2
    path[#path + 1] = ("C%.1f,%d %.1f,%d %d,%d"):format(middle, at, middle, y, to, y)
    path[#path + 1] = ("H%d"):format(item.bend and column.left or left_x)
    at = y
  end
  add(out, '<path class="line edge" d="%s"><title>%s</title></path>', table.concat(path, " "),
    xml.escape(("%s (%s) -> %s"):format(link.edge.from.name, link.edge.label, link.edge.to.name)))
  draw_ends(out, link, right.x, right_y, left_x, left_y)
end

-- A table that refers to itself: a loop at its right.
local function draw_loop(out, edge)
  local box = edge.from
  local x, from, to = box.x + box.w, box.y + port(edge.from_row), box.y + port(edge.to_row)
  if from == to then to = to - 8 end
  add(out, '<path class="line edge" d="M%d,%d h18 C%d,%d %d,%d %d,%d h-18"><title>%s</title></path>', x, from, x + 48,
    from, x + 48, to, x + 18, to, xml.escape(("%s (%s) -> itself"):format(box.name, edge.label)))
  draw_mark(out, x, from, 1, edge.many, true)
  draw_mark(out, x, to, 1, false, edge.optional)
end

local function set_ports(links)
  for _, link in ipairs(links) do
    local from, to = port(link.edge.from_row), port(link.edge.to_row)
    link.right_port, link.left_port = link.turned and to or from, link.turned and from or to
  end
end

---@param graph table
---@return string
return function(graph)
  for _, box in ipairs(graph.boxes) do measure(box) end
  local columns, links, alone = layers.of(graph)
  set_ports(links)
  place.all(columns, links)
  local width, bottom = place_alone(alone, place_columns(columns))
  local out = {}
  -- A loop stands out to the right.
  width, bottom = math.ceil(width + 40), math.ceil(bottom + MARGIN)
  add(out, '<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d">', width, bottom, width,
    bottom)
  add(out, "%s", STYLE)
  add(out, '<rect class="page" width="%d" height="%d"/>', width, bottom)
  for _, link in ipairs(links) do draw_link(out, link, columns) end
  for _, edge in ipairs(graph.edges) do
    if edge.from == edge.to then draw_loop(out, edge) end
  end
  for _, box in ipairs(graph.boxes) do draw_box(out, box) end
  add(out, "</svg>")
  return table.concat(out, "\n") .. "\n"
end
