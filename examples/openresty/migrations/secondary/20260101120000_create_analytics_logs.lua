return {
  context = "secondary",

  up = function(m)
    m:create_table("analytics_logs", {
      { "id",        type = "integer", primary = true },
      { "user_id",   type = "integer", index = true },
      { "event",     type = "string", length = 100 },
      { "timestamp", type = "timestamp" },
    })
  end,

  down = function(m) m:drop_table "analytics_logs" end,
}
