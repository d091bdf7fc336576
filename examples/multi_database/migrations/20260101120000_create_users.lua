-- `heddle migrate` runs this. m:create_table says it for both databases; m:sql takes SQL as it is.
return {
  context = "default",

  up = function(m)
    m:create_table("demo_users", {
      { "id",         type = "integer", primary = true },
      { "name",       type = "string", length = 100 },
      { "email",      type = "string", length = 255, unique = true },
      { "created_at", type = "timestamp" },
    })
  end,

  down = function(m) m:drop_table "demo_users" end,
}
