-- The primary database: context "default".
local orm = require("heddle")

local here = debug.getinfo(1, "S").source:match("^@(.*/)") or ""
orm.env(here .. ".env")

local config = orm.config_from_env("DB", {
  entities = { "entities/*.lua" },
  pool = { min = 1, max = 10 },
})

-- A SQLite file lies beside this one, wherever the program is started from.
if config.driver == "sqlite" and not config.database:find("^/") then config.database = here .. config.database end

return config
