--- Days and dates, for fake data: a date as the number of its day since 1970 and back.
local date = require("heddle.date")
local errors = require("heddle.errors")

local calendar = {}

---The date of a day, "2024-02-29".
---@param day integer
---@return string
function calendar.iso(day)
  day = day + 719468
  local era = math.floor(day / 146097)
  local of_era = day - era * 146097
  local year = math.floor((of_era - math.floor(of_era / 1460) + math.floor(of_era / 36524)
    - math.floor(of_era / 146096)) / 365)
  local of_year = of_era - (365 * year + math.floor(year / 4) - math.floor(year / 100))
  local month = math.floor((5 * of_year + 2) / 153)
  local of_month = of_year - math.floor((153 * month + 2) / 5) + 1
  month = month < 10 and month + 3 or month - 9
  return ("%04d-%02d-%02d"):format(year + era * 400 + (month <= 2 and 1 or 0), month, of_month)
end

---Whole seconds since 1970 of a timestamp: a number, ISO 8601, or a date alone. Raises `validation`.
---@param value number|string
---@param what string for the message
---@return integer
function calendar.seconds(value, what)
  if type(value) == "number" then return math.floor(value) end
  local text = value
  if type(value) == "string" and value:match("^%d%d%d%d%-%d%d%-%d%d$") then text = value .. "T00:00:00Z" end
  local ok, t = pcall(date.format, "!*t", text)
  if type(value) ~= "string" or not ok then
    errors.raise("validation", what .. " takes times as seconds since 1970 or in ISO 8601, as in \"2024-01-31\"")
  end
  return date.day_of(t.year, t.month, t.day) * 86400 + t.hour * 3600 + t.min * 60 + t.sec
end

return calendar
