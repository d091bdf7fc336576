-- Both databases: for nginx (db.lua), and for the command `heddle`, which reads this file by itself.
local orm = require("heddle")

return {
  orm.config_from_env("DB", {
    entities = { "entities/*.lua" },
    pool = { max = 10 },                -- for each worker of nginx
    connect_timeout = 5,
    statement_timeout = 10,
  }),
  orm.config_from_env("DB_SECONDARY", {
    context_name = "secondary",
    entities = { "entities/secondary/*.lua" },
    register_request_context = false,
    pool = { max = 4 },
  }),
}
