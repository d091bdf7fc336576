local orm = require("heddle")

return orm.entity {
  name = "AnalyticsLog", table = "analytics_logs",
  { "id",        type = "integer", primary = true },
  -- The user lives in another database: no foreign key reaches there, so this is a plain number.
  { "user_id",   type = "integer", index = true },
  { "event",     type = "string", length = 100 },
  { "timestamp", type = "timestamp", on_create = orm.now },
}
