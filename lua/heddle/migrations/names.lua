--- Names of migrations: fourteen digits, which say when it was made and order them, and words that a person gave.
local errors = require("heddle.errors")
local suggest = require("heddle.suggest")

local names = {}

local STAMP = ("%d"):rep(14)

---The name and kind ("lua", "up.sql", "down.sql") that a file's name says; nil when it says none.
---@param file string without directories
---@return string|nil name
---@return string|nil kind
function names.of_file(file)
  local name, kind = file:match("^(" .. STAMP .. "_.+)%.(lua)$")
  if name then return name, kind end
  name, kind = file:match("^(" .. STAMP .. "_.+)%.(%a+%.sql)$")
  if kind == "up.sql" or kind == "down.sql" then return name, kind end
end

---Words that are fit for a file's name: lower case, joined by "_".
---@param given string
---@return string "" when nothing of it is
function names.safe(given)
  local text = given:gsub("%.lua$", ""):gsub("%f[%u](%u%l)", "_%1"):gsub("(%l)(%u)", "%1_%2"):lower()
  return (text:gsub("[^%w]+", "_"):gsub("^_+", ""):gsub("_+$", ""):sub(1, 100):gsub("_+$", ""))
end

local function seconds_of(stamp)
  local year, month, day, hour, minute, second = stamp:match("^(%d%d%d%d)(%d%d)(%d%d)(%d%d)(%d%d)(%d%d)$")
  return require("heddle.date").seconds(("%s-%s-%sT%s:%s:%s"):format(year, month, day, hour, minute, second))
end

local function stamp_of(seconds)
  return os.date("!%Y%m%d%H%M%S", seconds)
end

-- The next one; digits that are no time are counted on as a number.
local function after(stamp)
  local seconds = seconds_of(stamp)
  if seconds then return stamp_of(seconds + 1) end
  return ("%014.0f"):format(tonumber(stamp) + 1)
end
names.after = after

---The stamp of a new migration: now in UTC, and behind all that are there.
---@param existing string[] names
---@param now? integer seconds since 1970
---@return string
function names.stamp(existing, now)
  local stamp = stamp_of(now or os.time())
  for _, name in ipairs(existing) do
    local other = name:sub(1, 14)
    if other >= stamp then stamp = after(other) end
  end
  return stamp
end

-- Every way to say it: whole, as a path, by the digits, by the words.
local function says(given, name)
  return given == name or given == name:sub(1, 14) or given == name:sub(16)
end

---The item of a list that a person means. Raises `migration` when there is none, or more than one.
---@param list { name: string }[]
---@param given string a name, its digits or words alone, or a path to its file
---@param context_name string
---@return table item
function names.find(list, given, context_name)
  local wanted = tostring(given):match("[^/\\]*$"):gsub("%.lua$", ""):gsub("%.up%.sql$", ""):gsub("%.down%.sql$", "")
  local found, known = {}, {}
  for i, item in ipairs(list) do
    if item.name == wanted then return item end
    if says(wanted, item.name) then found[#found + 1] = item end
    known[i] = item.name
  end
  if #found == 1 then return found[1] end
  local why = #found == 0 and "is not there" .. suggest.hint(wanted, known)
    or ("could be '%s' or '%s': give the whole name"):format(found[1].name, found[2].name)
  return errors.raise("migration", ("Migration %s of context '%s' %s"):format(errors.quote(given), context_name, why),
    { context = context_name, migration = tostring(given) })
end

return names
