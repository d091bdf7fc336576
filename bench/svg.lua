--- A small writer of SVG: lines over two logarithmic scales, and bars. Its colours are of middle brightness, to be read
--- on light paper and on dark: what shows a picture may not tell it which.
---
---     local picture = svg.new(900, 320, "Time a row")
---     svg.lines(picture, { x =, y =, width =, height =, title =, series = { { name =, points = { { x, y } } } } })
---     svg.bars(picture, { x =, y =, width =, groups = { { title =, goal =, bars = { { name =, value = } } } } })
---     picture:write("docs/picture.svg")

local svg = {}

local COLOURS = { floor = "#8a8f98", Heddle = "#d9480f", LuaSQL = "#2f7ed8", LuaDBI = "#2f9e63" }

local STYLE = [[<style>
text { font: 12px system-ui, sans-serif; fill: #6e7781 }
.title { font-weight: 600; font-size: 13px }
.small { font-size: 11px }
.grid { stroke: #8a8f98; stroke-opacity: .3; stroke-width: 1 }
.goal { stroke: #6e7781; stroke-width: 2 }
</style>]]

local Picture = {}
Picture.__index = Picture

local function escaped(text)
  return (text:gsub("[&<>]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" }))
end

---@param width integer
---@param height integer
---@param title string for readers who hear it
function svg.new(width, height, title)
  return setmetatable({
    ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">'):format(width,
      height, width, height),
    "<title>" .. escaped(title) .. "</title>", STYLE,
  }, Picture)
end

function Picture:add(format, ...)
  self[#self + 1] = format:format(...)
end

function Picture:text(x, y, text, anchor, class)
  self:add('<text x="%.1f" y="%.1f" text-anchor="%s" class="%s">%s</text>', x, y, anchor or "start", class or "",
    escaped(text))
end

function Picture:line(x1, y1, x2, y2, class)
  self:add('<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="%s"/>', x1, y1, x2, y2, class)
end

---What each colour means, from the left.
function Picture:legend(x, y, names)
  for _, name in ipairs(names) do
    self:add('<rect x="%.1f" y="%.1f" width="12" height="12" rx="2" fill="%s"/>', x, y - 10, COLOURS[name])
    self:text(x + 17, y, name)
    x = x + 90
  end
end

function Picture:write(path)
  local file = assert(io.open(path, "w"))
  file:write(table.concat(self, "\n"), "\n</svg>\n")
  file:close()
end

-- Lines -----------------------------------------------------------------------------------------------------

local function log10(value)
  return math.log(value) / math.log(10)
end

local function extent(series, axis)
  local low, high = math.huge, -math.huge
  for _, each in ipairs(series) do
    for _, point in ipairs(each.points) do
      low, high = math.min(low, point[axis]), math.max(high, point[axis])
    end
  end
  return low, high
end

local function short(value)
  if value >= 1e6 then return ("%gM"):format(value / 1e6) end
  return value >= 1000 and ("%gk"):format(value / 1000) or ("%g"):format(value)
end

-- Gives what turns a value into a place between `from` and `to`.
local function scale(low, high, from, to)
  local first, span = log10(low), math.max(log10(high) - log10(low), 1e-9)
  return function(value) return from + (log10(value) - first) / span * (to - from) end
end

-- These multiples of the powers of ten, as far as they lie between the ends.
local function ticks(low, high, steps)
  local list = {}
  for power = math.floor(log10(low)), math.ceil(log10(high)) do
    for _, step in ipairs(steps) do
      local value = step * 10 ^ power
      if value >= low * 0.999 and value <= high * 1.001 then list[#list + 1] = value end
    end
  end
  return list
end

local function polyline(picture, series, at_x, at_y)
  local places, colour = {}, COLOURS[series.name]
  for i, point in ipairs(series.points) do places[i] = ("%.1f,%.1f"):format(at_x(point[1]), at_y(point[2])) end
  picture:add('<polyline points="%s" fill="none" stroke="%s" stroke-width="%s" stroke-linejoin="round"/>',
    table.concat(places, " "), colour, series.name == "Heddle" and "3" or "2")
  for _, point in ipairs(series.points) do
    picture:add('<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>', at_x(point[1]), at_y(point[2]), colour)
  end
end

---One panel with both scales logarithmic.
function svg.lines(picture, panel)
  local right, bottom = panel.x + panel.width, panel.y + panel.height
  local left_value, right_value = extent(panel.series, 1)
  local low, high = extent(panel.series, 2)
  low, high = math.min(low, panel.low or low) * 0.8, math.max(high, panel.high or high) * 1.25
  local at_x, at_y = scale(left_value, right_value, panel.x, right), scale(low, high, bottom, panel.y)
  picture:text(panel.x, panel.y - 12, panel.title, "start", "title")
  for _, value in ipairs(ticks(low, high, { 1, 1.5, 2, 3, 5, 7 })) do
    picture:line(panel.x, at_y(value), right, at_y(value), "grid")
    picture:text(panel.x - 6, at_y(value) + 4, short(value), "end", "small")
  end
  for _, value in ipairs(ticks(left_value, right_value, { 1 })) do
    picture:line(at_x(value), panel.y, at_x(value), bottom, "grid")
    picture:text(at_x(value), bottom + 16, short(value), "middle", "small")
  end
  for _, series in ipairs(panel.series) do polyline(picture, series, at_x, at_y) end
end

-- Bars ------------------------------------------------------------------------------------------------------

local BAR, GAP = 13, 12

---How high the bars of these groups are together.
function svg.bars_height(groups)
  local height = 0
  for _, group in ipairs(groups) do height = height + #group.bars * BAR + GAP end
  return height
end

-- What would be off the paper is cut, and its value says so. The value makes room for the line of the goal.
local function bar(picture, x, y, width, unit, each, goal)
  local length = math.min(each.value * unit, width)
  picture:add('<rect x="%.1f" y="%.1f" width="%.1f" height="%d" fill="%s"/>', x, y, length, BAR - 2, COLOURS[each.name])
  local line = goal and goal * unit or 0
  if line > length - 3 and line < length + 36 then length = math.max(length, line) end
  picture:text(x + length + 5, y + BAR - 3, ("%.2f"):format(each.value), "start", "small")
end

---Groups of bars below each other, a line across each where its goal is; `most` is the value of the whole width.
function svg.bars(picture, panel)
  local y, unit = panel.y, panel.width / panel.most
  for _, group in ipairs(panel.groups) do
    local height = #group.bars * BAR
    picture:text(panel.x - 8, y + height / 2 + 3, group.title, "end")
    for i, each in ipairs(group.bars) do
      bar(picture, panel.x, y + (i - 1) * BAR, panel.width, unit, each, group.goal)
    end
    if group.goal then
      local x = panel.x + group.goal * unit
      picture:line(x, y - 3, x, y + height + 1, "goal")
    end
    y = y + height + GAP
  end
end

return svg
