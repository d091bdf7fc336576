return {
  context = "default",

  up = function(m)
    m:create_table("users", {
      { "id",         type = "integer", primary = true },
      { "name",       type = "string", length = 60 },
      { "email",      type = "string", length = 255, unique = true },
      { "version",    type = "integer" },
      { "created_at", type = "timestamp" },
    })
  end,

  down = function(m) m:drop_table "users" end,
}
