--- The advisory lock of PostgreSQL that keeps changes of one schema apart: migrations and updates, of all processes.
---
--- It is asked for again and again in short statements, because a statement that waits would stand in the way of CREATE
--- INDEX CONCURRENTLY.
local compat = require("heddle.compat")
local wait = require("heddle.wait")

local lock = {}

---One half of its key, "HEDD"; the other one is the schema's.
lock.CLASS = 1212499012

-- The longest pause between two attempts, in seconds.
local PAUSE = 0.5

local functions = { session = "pg_try_advisory_lock", transaction = "pg_try_advisory_xact_lock" }

---Asks once.
---@param context table
---@param link userdata
---@param scope "session"|"transaction" whose it is
---@return integer|nil key the other half; nil while somebody else has it
function lock.ask(context, link, scope)
  local row = context:run_sql(link, "SELECT key, " .. functions[scope] .. "(" .. lock.CLASS .. ", key) AS held FROM "
    .. "(SELECT hashtext(coalesce(current_schema(), ?::text)) AS key) AS half",
    compat.pack(context.config.schema or ""))[1]
  return row.held and row.key or nil
end

---Asks, with pauses, until there is an answer.
---
---Usage: `lock.wait(function() return lock.ask(context, link, "session") end, tell)`
---@param ask fun(): any
---@param tell fun() called before each pause; may raise
---@return any answer
function lock.wait(ask, tell)
  local pause = 0.02
  while true do
    local answer = ask()
    if answer then return answer end
    tell()
    wait.sleep(pause)
    pause = math.min(pause * 2, PAUSE)
  end
end

return lock
