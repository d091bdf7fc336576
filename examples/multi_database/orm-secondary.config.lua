-- The analytics database: context "secondary".
local orm = require("heddle")

local here = debug.getinfo(1, "S").source:match("^@(.*/)") or ""
orm.env(here .. ".env")

local config = orm.config_from_env("DB_SECONDARY", {
  context_name = "secondary",
  entities = { "entities/secondary/*.lua" },
  register_request_context = false,
  pool = { max = 5 },
  connect_timeout = 3,
})

if config.driver == "sqlite" and not config.database:find("^/") then config.database = here .. config.database end

return config
