--- The next version of a row, as SQL: for statements that change rows which memory does not know.
local quote = require("heddle.quote")

local version_sql = {}

-- Later than the row's own, whatever the clock says. SQLite keeps timestamps as text, always with six digits.
local function sqlite_timestamp(old, now)
  return ("CASE WHEN %s > %s THEN %s WHEN substr(%s, 21) = '999999' THEN datetime(substr(%s, 1, 19), '+1 second') "
    .. "|| '.000000' ELSE substr(%s, 1, 20) || printf('%%06d', substr(%s, 21) + 1) END"):format(now, old,
    now, old, old, old, old)
end

---What the version column of a row is set to.
---@param mapping table one that has a version
---@param now fun(): string called once where the version is a timestamp: gives a placeholder for the present time
---@param alias? string of the row, as SQL; `e0` when left out
---@return string
function version_sql.next(mapping, now, alias)
  local old = (alias or "e0") .. "." .. quote.name(mapping.version.name)
  if mapping.version.type ~= "timestamp" then return old .. " + 1" end
  if mapping.driver == "sqlite" then return sqlite_timestamp(old, now()) end
  return ("greatest(%s, %s + interval '1 microsecond')"):format(now(), old)
end

return version_sql
