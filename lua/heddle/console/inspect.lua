--- Values as short text on one line. Nothing is loaded, and a terminal is not to obey what stands in data.
local compat = require("heddle.compat")
local instance = require("heddle.instance")
local null = require("heddle.null")

local inspect = {}

local DEEPEST, MOST = 4, 20

-- Line ends stay visible, other control characters are of no use to anybody.
local function plain(text)
  return (text:gsub("\r?\n", "\\n"):gsub("\t", "\\t"):gsub("[%z\1-\31\127]", "?"))
end
inspect.plain = plain

local function quoted(text)
  return '"' .. plain((text:gsub('[\\"]', "\\%0"))) .. '"'
end

local function key_text(key)
  if type(key) == "string" then
    return key:match("^[%a_][%w_]*$") or "[" .. quoted(key) .. "]"
  end
  return "[" .. tostring(key) .. "]"
end

-- Keys in an order that does not change from run to run.
local function sorted_keys(value)
  local keys = {}
  for key in pairs(value) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b)
    if type(a) == type(b) and (type(a) == "number" or type(a) == "string") then return a < b end
    return tostring(a) < tostring(b)
  end)
  return keys
end
inspect.sorted_keys = sorted_keys

-- Every digit that tells it from others.
local function number_text(value)
  if compat.math_type(value) == "integer" then return ("%d"):format(value) end
  local text = tostring(value)
  return (tonumber(text) == value or value ~= value) and text or ("%.17g"):format(value)
end

local text_of

local function table_text(value, depth, seen)
  if seen[value] or depth > DEEPEST then return "{...}" end
  seen[value] = true
  local parts, length = {}, #value
  for i = 1, math.min(length, MOST) do parts[i] = text_of(value[i], depth + 1, seen) end
  for _, key in ipairs(sorted_keys(value)) do
    if not (type(key) == "number" and key >= 1 and key <= length and key == math.floor(key)) then
      if #parts >= MOST then break end
      parts[#parts + 1] = key_text(key) .. " = " .. text_of(value[key], depth + 1, seen)
    end
  end
  if length > MOST or #parts >= MOST then parts[#parts + 1] = "..." end
  seen[value] = nil
  return #parts == 0 and "{}" or "{ " .. table.concat(parts, ", ") .. " }"
end

function text_of(value, depth, seen)
  if type(value) == "string" then return quoted(value) end
  if type(value) == "number" then return number_text(value) end
  if value == null then return "null" end
  if type(value) == "table" then
    if instance.meta_of(value) then return instance.name_of(value) end
    local meta = getmetatable(value)
    if type(meta) == "table" and meta.__tostring or type(meta) == "string" then return plain(tostring(value)) end
    return table_text(value, depth, seen)
  end
  return plain(tostring(value))
end

---A value as Lua would write it, as far as it goes.
---@param value any
---@return string
function inspect.value(value)
  return text_of(value, 1, {})
end

---What a cell of a table holds: text without quotes.
---@param value any
---@return string
function inspect.cell(value)
  if type(value) == "string" then return plain(value) end
  if value == null then return "null" end
  return text_of(value, 2, {})
end

return inspect
