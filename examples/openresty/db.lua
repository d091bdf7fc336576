-- The contexts "default" (users) and "secondary" (their analytics). Nothing connects until a request needs it.
local orm = require("heddle")

local here = debug.getinfo(1, "S").source:match("^@(.*/)") or ""
for _, config in ipairs(dofile(here .. "orm.config.lua")) do orm.init(config) end
