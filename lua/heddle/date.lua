--- Time of day: `orm.now` and `orm.date`.
local errors = require("heddle.errors")
local options = require("heddle.options")

local date = {}

local ISO = "^(%d%d%d%d)%-(%d%d)%-(%d%d)[T ](%d%d):(%d%d):?(%d*)(%.?%d*)(.*)$"

---Days from 1970-01-01; years are counted from March, so that a leap day is a year's last.
---@param year integer
---@param month integer
---@param day integer
---@return integer
function date.day_of(year, month, day)
  if month <= 2 then year = year - 1 end
  local era = math.floor(year / 400)
  local year_of_era = year - era * 400
  local day_of_year = math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1
  return era * 146097 + year_of_era * 365 + math.floor(year_of_era / 4) - math.floor(year_of_era / 100)
    + day_of_year - 719468
end

local function is_date(year, month, day)
  if month < 1 or month > 12 or day < 1 then return false end
  local next_year, next_month = year, month + 1
  if month == 12 then next_year, next_month = year + 1, 1 end
  return day <= date.day_of(next_year, next_month, 1) - date.day_of(year, month, 1)
end

-- Seconds that a zone is ahead of UTC: "Z", "+02", "+02:00", "-0530", or nothing, which is UTC.
local function zone_offset(zone)
  if zone == "" or zone == "Z" or zone == "z" then return 0 end
  local sign, hours, minutes = zone:match("^([+-])(%d%d):?(%d?%d?)$")
  if not sign or (minutes ~= "" and #minutes ~= 2) then return nil end
  local seconds = tonumber(hours) * 3600 + (tonumber(minutes) or 0) * 60
  return sign == "-" and -seconds or seconds
end

-- Whole seconds and microseconds of an ISO 8601 text; nil when it is none.
local function read_iso(text)
  local year, month, day, hour, minute, second, fraction, zone = text:match(ISO)
  if not year or not (#second == 2 or second .. fraction == "") or fraction == "." then return nil end
  local offset = zone_offset(zone)
  year, month, day = tonumber(year), tonumber(month), tonumber(day)
  hour, minute, second = tonumber(hour), tonumber(minute), tonumber(second) or 0
  if not offset or not is_date(year, month, day) or hour > 23 or minute > 59 or second > 59 then return nil end
  local whole = date.day_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset
  return whole, tonumber((fraction:sub(2) .. "000000"):sub(1, 6))
end

local function read_number(t)
  -- Beyond these no database has a date, and os.date no answer.
  if not (t > -1e14 and t < 1e14) then return nil end
  local whole = math.floor(t)
  local micro = math.floor((t - whole) * 1000000 + 0.5)
  if micro >= 1000000 then whole, micro = whole + 1, 0 end
  return whole, micro
end

---The time now: seconds since the Unix epoch with microseconds, fit for `on_create`.
---
---Usage: `{ "created_at", type = "timestamp", on_create = orm.now }`
---@return number
function date.now()
  return require("heddle.core").now()
end

---Whole seconds since 1970 of an ISO 8601 text, nil when it is none.
---@param text string
---@return integer|nil
function date.seconds(text)
  return (read_iso(text))
end

---Formats a timestamp as `os.date` does ("!" at the beginning means UTC, "*t" gives a table), whole seconds or not.
---`%f` is the microseconds, six digits. Raises `validation` for what is no time.
---
---Usage: `orm.date("!%Y-%m-%d %H:%M:%S.%f", user.created_at)`
---@param format? string default "%c"
---@param t? number|string a timestamp, as a number or in ISO 8601; default now
---@return string|table
function date.format(format, t)
  if t == nil then t = date.now() end
  local whole, micro
  if type(t) == "number" then whole, micro = read_number(t) end
  if type(t) == "string" then whole, micro = read_iso(t) end
  if not whole then
    errors.raise("validation", "orm.date takes a timestamp, seconds since 1970 or ISO 8601; this is "
      .. options.describe(t) .. (type(t) == "number" and " out of range" or ""))
  end
  format = (format or "%c"):gsub("%%(.)", function(letter)
    return letter == "f" and ("%06d"):format(micro) or nil
  end)
  local right, result = pcall(os.date, format, whole)
  if not right then errors.raise("validation", "orm.date: this format or time cannot be shown", { cause = result }) end
  return result
end

return date
