--- `orm.fake(seed?)`: made-up values, the same ones for a seed on every interpreter.
---
--- This room has numbers, choices, times and what is made of them; `people.lua` and `text.lua` add the words.
local calendar = require("heddle.seeding.calendar")
local compat = require("heddle.compat")
local errors = require("heddle.errors")
local options = require("heddle.options")
local random = require("heddle.seeding.random")
local suggest = require("heddle.suggest")

local fake = {}

---@class heddle.Fake
---@field seed number|string what makes the same values again
local Fake = { __name = "heddle.fake" }
fake.class = Fake

-- What may be asked for: every name but those of the metatable.
local function names()
  local list = {}
  for name in pairs(Fake) do
    if name:sub(1, 2) ~= "__" then list[#list + 1] = name end
  end
  table.sort(list)
  return list
end

function Fake.__index(_, key)
  local method = Fake[key]
  if method == nil then
    errors.raise("unknown_property", ("Fake data has no %s%s"):format(errors.quote(key), suggest.hint(key, names())))
  end
  return method
end

function Fake:__tostring()
  return ("fake<%s>"):format(tostring(rawget(self, "seed")))
end

-- How often unique values are tried anew before there is taken to be none.
local TRIES = 1000

local function fail(message)
  errors.raise("validation", message)
end
fake.fail = fail

local function check_bounds(name, low, high)
  local span = type(low) == "number" and type(high) == "number" and high - low
  if not span or span ~= span or span < 0 or span > 2 ^ 53 then
    fail(("fake:%s takes two numbers, the lower one first, at most 2^53 apart"):format(name))
  end
end

---Makes a source of fake values. Without a seed they are others each time; `fake.seed` tells which.
---
---Usage: `local fake = orm.fake(42)`, then `fake:name()`
---@param seed? number|string
---@return heddle.Fake
function fake.new(seed)
  if seed == nil then seed = math.floor(require("heddle.core").now() * 1000000) % 2147483647 end
  if type(seed) ~= "number" and type(seed) ~= "string" then
    fail("orm.fake takes a number or a string as its seed, not " .. options.describe(seed))
  end
  require("heddle.seeding.text")
  require("heddle.seeding.people")
  return setmetatable({ seed = seed, random = random.new(seed), seen = {}, counts = {} }, Fake)
end

-- Numbers --------------------------------------------------------------------------------------------------

---A whole number within bounds, both included.
---@param low? integer default 0
---@param high? integer default 1000000
---@return integer
function Fake:integer(low, high)
  low, high = low or 0, high or math.max(low or 0, 1000000)
  check_bounds("integer", low, high)
  return self.random:integer(low, high)
end

---A number within bounds.
---@param low? number default 0
---@param high? number default 1
---@return number
function Fake:float(low, high)
  low, high = low or 0, high or math.max(low or 0, 1)
  check_bounds("float", low, high)
  return low + self.random:fraction() * (high - low)
end

---A decimal as text, exact to its scale: "12.50".
---@param low? number default 0
---@param high? number default 1000
---@param scale? integer digits behind the point, default 2
---@return string
function Fake:decimal(low, high, scale)
  low, high, scale = low or 0, high or math.max(low or 0, 1000), scale or 2
  check_bounds("decimal", low * 10 ^ scale, high * 10 ^ scale)
  local unit = math.floor(10 ^ scale)
  local value = self.random:integer(math.ceil(low * unit), math.floor(high * unit))
  local sign = value < 0 and "-" or ""
  value = math.abs(value)
  if scale == 0 then return ("%s%d"):format(sign, value) end
  return ("%s%d.%0" .. scale .. "d"):format(sign, math.floor(value / unit), value % unit)
end

---@param chance? number of being true, 0 to 1, default 0.5
---@return boolean
function Fake:boolean(chance)
  return self.random:fraction() < (chance or 0.5)
end

-- Choices --------------------------------------------------------------------------------------------------

local function check_list(name, list)
  if type(list) ~= "table" or #list == 0 then fail(("fake:%s takes a list that is not empty"):format(name)) end
end

---One item of a list.
function Fake:pick(list)
  check_list("pick", list)
  return list[self.random:integer(1, #list)]
end

---One value, the heavier the likelier.
---
---Usage: `fake:weighted { { "user", 9 }, { "admin", 1 } }`
---@param choices table[] { value, weight }
function Fake:weighted(choices)
  check_list("weighted", choices)
  local total = 0
  for i, choice in ipairs(choices) do
    if type(choice) ~= "table" or type(choice[2]) ~= "number" or choice[2] ~= choice[2] or choice[2] < 0 then
      fail(("fake:weighted, item %d: write { value, weight } with a weight of 0 or more"):format(i))
    end
    total = total + choice[2]
  end
  local at, last = self.random:fraction() * total, nil
  for _, choice in ipairs(choices) do
    if choice[2] > 0 then last = choice end
    at = at - choice[2]
    if at < 0 then return choice[1] end
  end
  if not last then fail("fake:weighted takes at least one weight above 0") end
  return last[1]
end

---A list's items in another order; the list itself stays.
---@return any[]
function Fake:shuffle(list)
  if type(list) ~= "table" then fail("fake:shuffle takes a list") end
  local items = {}
  for i = 1, #list do
    local at = self.random:integer(1, i)
    items[i] = items[at]
    items[at] = list[i]
  end
  return items
end

---Some items of a list, none twice.
---@param list any[]
---@param count integer
---@return any[]
function Fake:sample(list, count)
  local items, some = self:shuffle(list), {}
  if count > #items then fail(("fake:sample: %d items are wanted of a list of %d"):format(count, #items)) end
  for i = 1, count do some[i] = items[i] end
  return some
end

---1, 2, 3 and so on, by name.
---@param name? string
---@return integer
function Fake:sequence(name)
  name = name or ""
  self.counts[name] = (self.counts[name] or 0) + 1
  return self.counts[name]
end

local function key_of(...)
  local parts = {}
  for i = 1, select("#", ...) do parts[i] = tostring((select(i, ...))) end
  return table.concat(parts, "\0")
end

---A value that this source has not given under this name and with these arguments before. Raises `validation` when
---there seems to be none left.
---
---Usage: `fake:unique("email")`, `fake:unique("integer", 1, 100)`
---@param name string of another method
function Fake:unique(name, ...)
  local method = type(name) == "string" and name:sub(1, 2) ~= "__" and Fake[name]
  if not method then
    fail(("fake:unique takes the name of what is made, as in fake:unique(\"email\"); there is no %s%s")
      :format(errors.quote(name), suggest.hint(name, names())))
  end
  local key = key_of(name, ...)
  local seen = self.seen[key] or { count = 0, values = {} }
  self.seen[key] = seen
  for _ = 1, TRIES do
    local value = method(self, ...)
    if not seen.values[value] then
      seen.values[value], seen.count = true, seen.count + 1
      return value
    end
  end
  fail(("fake:unique(%q) gave %d values and finds no other one; widen what it is made of"):format(name, seen.count))
end

-- Times ----------------------------------------------------------------------------------------------------

-- The same years for everybody, whatever the clock says.
local FROM, TO = "2020-01-01", "2024-12-31T23:59:59Z"

---A moment, as whole seconds since 1970.
---@param from? number|string seconds or ISO 8601, default "2020-01-01"
---@param to? number|string default the end of 2024
---@return integer
function Fake:timestamp(from, to)
  local low, high = calendar.seconds(from or FROM, "fake:timestamp"), calendar.seconds(to or TO, "fake:timestamp")
  check_bounds("timestamp", low, high)
  return self.random:integer(low, high)
end

---A date, "2024-02-29".
---@param from? number|string default "2020-01-01"
---@param to? number|string default "2024-12-31"
---@return string
function Fake:date(from, to)
  local low = math.floor(calendar.seconds(from or FROM, "fake:date") / 86400)
  local high = math.floor(calendar.seconds(to or TO, "fake:date") / 86400)
  check_bounds("date", low, high)
  return calendar.iso(self.random:integer(low, high))
end

---A time of day, "13:05:59".
---@return string
function Fake:time()
  return ("%02d:%02d:%02d"):format(self:integer(0, 23), self:integer(0, 59), self:integer(0, 59))
end

-- Marks ----------------------------------------------------------------------------------------------------

---Any bytes.
---@param count? integer default 16
---@return string
function Fake:bytes(count)
  local parts = {}
  for i = 1, count or 16 do parts[i] = string.char(self.random:integer(0, 255)) end
  return table.concat(parts)
end

---@return string "6f9619ff-8b86-4011-b42d-00c04fc964ff"
function Fake:uuid()
  local parts = {}
  for i = 1, 8 do parts[i] = ("%04x"):format(self.random:integer(0, 65535)) end
  parts[4] = "4" .. parts[4]:sub(2)
  parts[5] = self:pick({ "8", "9", "a", "b" }) .. parts[5]:sub(2)
  return ("%s%s-%s-%s-%s-%s%s%s"):format(compat.unpack(parts))
end

return fake
