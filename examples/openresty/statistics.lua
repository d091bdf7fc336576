-- What the analytics database knows.
local orm = require("heddle")
local json = require("json")
local AnalyticsLog = require("entities.secondary.analytics_log")

local analytics = orm.em("secondary")

local statistics = {}

-- GET /api/statistics: how many of each event, and the latest ones
function statistics.show()
  local counts = analytics:query(AnalyticsLog):select { "event", count = orm.fn.count("id") }
    :group_by("event"):order_by("count desc", "event"):rows()
  local latest = analytics:find(AnalyticsLog, {}, { order_by = { "id desc" }, limit = 10 })
  return 200, { counts = json.list(counts), latest = json.list(orm.to_table(latest)) }
end

return statistics
