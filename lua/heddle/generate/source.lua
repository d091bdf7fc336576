--- Pieces of Lua source: literals, and options as they are added one by one.
local source = {}

---A string as Lua writes it.
---@param value string
---@return string
function source.quoted(value)
  return '"' .. value:gsub('[\\"]', "\\%0"):gsub("\n", "\\n"):gsub("\r", "\\r"):gsub("%z", "\\0") .. '"'
end

-- Whether the parenthesis at the beginning is closed at the very end.
local function is_enclosed(text)
  local depth, at = 0, 1
  if text:sub(1, 1) ~= "(" then return false end
  while at <= #text do
    local piece = text:match("^'[^']*'", at) or text:match('^"[^"]*"', at) or text:sub(at, at)
    if piece == "(" then depth = depth + 1 elseif piece == ")" then depth = depth - 1 end
    at = at + #piece
    if depth == 0 then return at > #text end
  end
  return false
end

---SQL as Lua writes it, without parentheses around the whole: in long brackets where quotes or lines are in it.
---@param value string
---@return string
function source.sql(value)
  while is_enclosed(value) do value = value:sub(2, -2) end
  if not value:find("[\r\n\"\\]") then return source.quoted(value) end
  if value:find("[\r%z]") then return source.quoted(value) end
  local level = ""
  while value:find("]" .. level .. "]", 1, true) or value:sub(-1 - #level) == "]" .. level do level = level .. "=" end
  return "[" .. level .. "[" .. (value:find("^\n") and "\n" or "") .. value .. "]" .. level .. "]"
end

---Strings behind each other: `"a", "b"`.
---@param values string[]
---@return string
function source.list(values)
  local made = {}
  for i, value in ipairs(values) do made[i] = source.quoted(value) end
  return table.concat(made, ", ")
end

local Options = {}
Options.__index = Options

---An option; nil is not said.
function Options:add(name, value)
  if value == nil then return end
  self[#self + 1] = name .. " = " .. (type(value) == "string" and source.quoted(value) or tostring(value))
end

---An option that holds SQL.
function Options:add_sql(name, value)
  if value ~= nil then self[#self + 1] = name .. " = " .. source.sql(value) end
end

---One name, or a list of them.
function Options:add_names(name, names)
  local text = #names == 1 and source.quoted(names[1]) or "{ " .. source.list(names) .. " }"
  self[#self + 1] = name .. " = " .. text
end

---An empty list of options. Usage: `local to = source.options() to:add("primary", true)`
function source.options()
  return setmetatable({}, Options)
end

---Pieces behind `head`, separated by commas, over as many lines as it takes.
---@param head string
---@param pieces string[]
---@param tail string what closes it
---@param indent string of the lines that follow
---@return string
function source.wrapped(head, pieces, tail, indent)
  local lines, line = {}, head
  for i, piece in ipairs(pieces) do
    piece = piece .. (i < #pieces and "," or tail)
    if i > 1 and #line + #piece + 1 > 119 and not piece:find("\n") then
      lines[#lines + 1], line = line, indent .. piece
    else
      line = line .. (i > 1 and " " or "") .. piece
    end
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n")
end

return source
