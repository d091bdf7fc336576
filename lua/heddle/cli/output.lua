--- What the command says: to whom, in which colours, and tables.
---
--- Colours are for terminals alone; in a pipe a table is the same columns in plain text, without tabs or lines drawn.
local output = {}

local codes = { bold = 1, dim = 2, red = 31, green = 32, yellow = 33, blue = 34, cyan = 36 }

-- One function for each code, which gives the text back as it is where there are no colours.
local function make_style(is_coloured)
  local style = { is_coloured = is_coloured }
  for name, code in pairs(codes) do
    style[name] = is_coloured and function(text)
      return ("\27[%dm%s\27[0m"):format(code, text)
    end or tostring
  end
  return style
end

local descriptors = { stdin = 0, stdout = 1, stderr = 2 }

---Whether a stream is a terminal. Streams that are not the process's own say so by a function `is_terminal`.
---@param streams table as `io`: { stdin =, stdout =, stderr =, is_terminal = fun(name)? }
---@param name "stdin"|"stdout"|"stderr"
---@return boolean
function output.is_terminal(streams, name)
  if streams.is_terminal then return streams.is_terminal(name) == true end
  local loaded, core = pcall(require, "heddle.core")
  return streams == io and loaded and core.is_terminal(descriptors[name])
end

---Colours for a stream: where it is a terminal, and nobody asked for none (`--no-color`, NO_COLOR, TERM=dumb).
---@return table style functions of a text: bold, dim, red, green, yellow, blue, cyan
function output.style(streams, name, is_plain)
  local getenv = streams.getenv or os.getenv
  local refused = is_plain or (getenv("NO_COLOR") or "") ~= "" or getenv("TERM") == "dumb"
  return make_style(not refused and output.is_terminal(streams, name))
end

---Characters of a text, which is UTF-8; colours are none.
---@param text string
---@return integer
function output.width(text)
  local _, count = text:gsub("\27%[%d*m", ""):gsub("[^\128-\191]", "")
  return count
end

-- What a cell shows: one line, no control characters.
local function shown(value)
  if value == nil then return "" end
  return (tostring(value):gsub("[%z\1-\26\28-\31\127]+", " "))
end

local function pad(text, width, align)
  local space = (" "):rep(width - output.width(text))
  return align == "right" and space .. text or text .. space
end

local function line_of(cells, widths, columns)
  local parts = {}
  for i, column in ipairs(columns) do parts[i] = pad(cells[i], widths[i], column.align) end
  return (table.concat(parts, "  "):gsub("%s+$", ""))
end

---The lines of a table.
---@param rows table[] lists of values, one for each column
---@param columns table[] titles, or { title, align = "right"?, style = fun(text, row): string? }
---@param style table
---@return string[]
function output.table(rows, columns, style)
  local described, titles, widths, lines = {}, {}, {}, {}
  for i, column in ipairs(columns) do
    described[i] = type(column) == "table" and column or { column }
    titles[i] = shown(described[i][1])
    widths[i] = output.width(titles[i])
  end
  local cells = {}
  for at, row in ipairs(rows) do
    cells[at] = {}
    for i in ipairs(described) do
      cells[at][i] = shown(row[i])
      widths[i] = math.max(widths[i], output.width(cells[at][i]))
    end
  end
  lines[1] = style.bold(line_of(titles, widths, described))
  for at, row in ipairs(rows) do
    for i, column in ipairs(described) do
      if column.style and style.is_coloured then cells[at][i] = column.style(cells[at][i], row) end
    end
    lines[#lines + 1] = line_of(cells[at], widths, described)
  end
  return lines
end

---A time as people say it: "12 ms", "3.4 s", "2 min 05 s".
---@param seconds number
---@return string
function output.duration(seconds)
  if seconds < 0.9995 then return ("%d ms"):format(math.floor(seconds * 1000 + 0.5)) end
  if seconds < 59.95 then return ("%.1f s"):format(seconds) end
  local whole = math.floor(seconds + 0.5)
  return ("%d min %02d s"):format(math.floor(whole / 60), whole % 60)
end

---A text on one line, cut where it is too long.
---@param text string UTF-8
---@param longest integer characters
---@return string
function output.one_line(text, longest)
  text = tostring(text):gsub("%s+", " "):gsub("^ ", "")
  if output.width(text) <= longest then return text end
  local kept, count = {}, 0
  for character in text:gmatch("[%z\1-\127\194-\244][\128-\191]*") do
    count = count + 1
    if count > longest - 3 then break end
    kept[count] = character
  end
  return table.concat(kept) .. "..."
end

---"1 migration", "2 migrations".
---@param count integer
---@param word string
---@param plural? string default `word` with an "s"
---@return string
function output.count(count, word, plural)
  return ("%d %s"):format(count, count == 1 and word or plural or (word .. "s"))
end

return output
