-- One service, two databases: users are kept in the primary one, what they do is logged in the secondary one.
local orm = require("heddle")
local User = require("entities.user")
local AnalyticsLog = require("entities.secondary.analytics_log")

-- Taken when the file is loaded, before any database is configured; inside a request they act on the request's
-- own fork.
local em = orm.em()
local analytics_em = orm.em("secondary")

local user_analytics_service = {}

---Creates the user in the primary database and logs it in the secondary one. A user is not lost because
---the log cannot be written.
---@param data table
---@return table user
function user_analytics_service.create_user_with_analytics(data)
  local user = em:create(User, data)
  em:persist_and_flush(user)

  local ok, err = pcall(function()
    local log = analytics_em:create(AnalyticsLog, { user_id = user.id, event = "user_created", timestamp = orm.now() })
    analytics_em:persist_and_flush(log)
  end)
  if not ok then
    print("  Failed to log analytics (" .. (orm.is_error(err) and err.kind or "error") .. "): " .. tostring(err))
  end

  return user
end

---The user with what is known of them in both databases, or nil.
---@param user_id integer|string
---@return table|nil
function user_analytics_service.get_user_with_analytics(user_id)
  local user = em:find_one(User, { id = user_id })
  if not user then return nil end

  local result = {}
  for name, value in pairs(user) do result[name] = value end
  result.analytics = analytics_em:find(AnalyticsLog, { user_id = user.id }, { order_by = { "id" } })
  return result
end

return user_analytics_service
