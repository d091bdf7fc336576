--- Cursors: the values by which a row stands where it stands, as a text that may travel through an address.
---
--- What comes back is data like any other: it is taken apart strictly, its values are bound, and each is checked by
--- its column. A fingerprint of the order keeps a cursor from being used with another one. Nothing in it is secret, and
--- nothing in it is trusted.
local compat = require("heddle.compat")

local cursor = {}

local LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
local letter_of, value_of = {}, {}
for i = 1, 64 do
  local letter = LETTERS:sub(i, i)
  letter_of[i - 1], value_of[letter] = letter, i - 1
end

local floor = math.floor

local function letters(number, count)
  local text = ""
  for _ = 1, count do
    text = letter_of[number % 64] .. text
    number = floor(number / 64)
  end
  return text
end

-- base64url, without padding.
local function encode(bytes)
  local parts = {}
  for at = 1, #bytes, 3 do
    local a, b, c = bytes:byte(at, at + 2)
    local text = letters(a * 65536 + (b or 0) * 256 + (c or 0), 4)
    parts[#parts + 1] = c and text or text:sub(1, b and 3 or 2)
  end
  return table.concat(parts)
end

-- The bytes of a text; nil when it is not what `encode` gives.
local function decode(text)
  if #text % 4 == 1 or text:find("[^%w_-]") then return nil end
  local parts = {}
  for at = 1, #text, 4 do
    local group, number = text:sub(at, at + 3), 0
    for i = 1, 4 do number = number * 64 + (value_of[group:sub(i, i)] or 0) end
    local bytes = string.char(floor(number / 65536), floor(number / 256) % 256, number % 256)
    parts[#parts + 1] = bytes:sub(1, #group - 1)
  end
  local bytes = table.concat(parts)
  return encode(bytes) == text and bytes or nil
end

---Tells one order from another.
---@param text string
---@return string
function cursor.fingerprint(text)
  local sum = 7
  for i = 1, #text do sum = (sum * 31 + text:byte(i)) % 2147483647 end
  return letters(sum, 6)
end

local function number_text(value)
  if compat.math_type(value) == "integer" then return "i", ("%d"):format(value) end
  if value ~= value then return "d", "nan" end
  if value == math.huge or value == -math.huge then return "d", value > 0 and "inf" or "-inf" end
  return "d", ("%.17g"):format(value)
end

local function tagged(value)
  local kind = type(value)
  if value == nil then return "n", "" end
  if kind == "boolean" then return "b", value and "1" or "0" end
  if kind == "number" then return number_text(value) end
  return "s", value
end

---@param fingerprint string
---@param values table by position
---@param count integer
---@return string
function cursor.write(fingerprint, values, count)
  local parts = { fingerprint }
  for i = 1, count do
    local tag, text = tagged(values[i])
    parts[i + 1] = tag .. #text .. ":" .. text
  end
  return encode(table.concat(parts))
end

local specials = { nan = 0 / 0, inf = math.huge, ["-inf"] = -math.huge }

local readers = {
  b = function(text)
    if text == "0" or text == "1" then return text == "1" end
  end,
  i = function(text)
    if not text:find("^%-?%d+$") or #text > 20 then return nil end
    -- One that a double does not hold stays a text, which is an integer to a column.
    local number = tonumber(text)
    return compat.math_type(number) == "integer" and number or text
  end,
  d = function(text)
    return specials[text] or text:find("^[-%d.e+]+$") and tonumber(text) or nil
  end,
  s = function(text) return text end,
}

-- One value at a position: whether it could be read, the value (nil is NULL), and where the next one stands.
local function read_value(bytes, at)
  local tag, length, first = bytes:match("^(%l)(%d+):()", at)
  length = tonumber(length)
  if not length or length > #bytes - first + 1 then return false end
  local text, after = bytes:sub(first, first + length - 1), first + length
  if tag == "n" then return text == "", nil, after end
  local value
  if readers[tag] then value = readers[tag](text) end
  return value ~= nil, value, after
end

---The values of a cursor; nil and what is wrong with it when it cannot be used here.
---@param text any
---@param fingerprint string of the order that it is used with
---@param count integer how many values the order has
---@return table|nil values by position, nil for NULL
---@return string|nil problem
function cursor.read(text, fingerprint, count)
  if type(text) ~= "string" then return nil, "is a string that an earlier page gave, not a " .. type(text) end
  local bytes = decode(text)
  if not bytes or #bytes < 6 then return nil, "is no cursor that a page gave" end
  if bytes:sub(1, 6) ~= fingerprint then return nil, "belongs to a page of another entity or order" end
  local values, at = {}, 7
  for i = 1, count do
    local ok
    ok, values[i], at = read_value(bytes, at)
    if not ok then return nil, "is no cursor that a page gave" end
  end
  if at ~= #bytes + 1 then return nil, "is no cursor that a page gave" end
  return values
end

return cursor
