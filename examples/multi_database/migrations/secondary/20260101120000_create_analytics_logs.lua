-- `heddle migrate --config=./orm-secondary.config.lua` runs this. Run against another context, it is refused.
return {
  context = "secondary",

  up = function(m)
    m:create_table("demo_analytics_logs", {
      { "id",        type = "integer", primary = true },
      { "user_id",   type = "integer", index = true, nullable = true },
      { "event",     type = "string", length = 100 },
      { "timestamp", type = "timestamp" },
    })
  end,

  down = function(m) m:drop_table "demo_analytics_logs" end,
}
