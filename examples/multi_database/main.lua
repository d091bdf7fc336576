-- Two databases, one program: users in the context "default", their analytics in "secondary".
--
--     lua5.4 main.lua                                    SQLite, nothing to start
--     DB_DRIVER=postgres DB_HOST=... lua5.4 main.lua     PostgreSQL; .env names the variables
local here = debug.getinfo(1, "S").source:match("^@(.*/)") or ""
package.path = here .. "?.lua;" .. package.path

local orm = require("heddle")
-- Services may be loaded before a database is configured: nothing connects until it is used.
local user_analytics_service = require("services.user_analytics_service")
local my_service = require("services.my_service")

local function say(format, ...) print("  " .. format:format(...)) end

-- Runs one part of the story as a request of its own. A secondary that is down is told and lived with; any other
-- error ends the program.
local function chapter(title, tell)
  print("\n" .. title)
  local ok, err = pcall(orm.request_context, tell)
  if ok then return end
  if not orm.is_error(err, "connection") or err.context ~= "secondary" then error(tostring(err), 0) end
  say("not now, '%s' is down (%s): %s", err.context, err.kind, err.message)
end

orm.init(dofile(here .. "orm.config.lua"))
orm.init(dofile(here .. "orm-secondary.config.lua"))

chapter("1. Two contexts, each with a database, a pool and entities of its own", function()
  for _, name in ipairs(orm.contexts()) do
    local instance = orm.instance(name)
    instance.migrator:fresh()
    say("%-9s  %s, database %s: migrated", name, instance.config.driver, instance.config.database)
  end
end)

local john_id
chapter("2. The service writes to both", function()
  local john = user_analytics_service.create_user_with_analytics({ name = "John", email = "john@example.com" })
  john_id = john.id
  say("default    created user %d, %s", john.id, john:label())

  local found = user_analytics_service.get_user_with_analytics(john.id)
  for _, log in ipairs(found.analytics) do
    say("secondary  '%s' of user %d at %s", log.event, log.user_id, orm.date("%H:%M:%S", log.timestamp))
  end
end)

chapter("3. The same databases, reached in four ways", function()
  say("global     user %d created", my_service.create_user({ name = "Ann", email = "ann@example.com" }).id)
  say("request    %s found by get_context()", my_service.do_something(john_id):label())
  say("repository %d users, the first by name is %s", #my_service.find_users(), my_service.find_users()[1].name)
  say("global     log %d written", my_service.log_analytics("report_viewed").id)
  local data = my_service.get_data()
  say("fork       %d users and %d logs, each read by a fork of its instance", #data.users, #data.logs)
  say("repository %d logs, %d of them 'user_created'", #my_service.find_logs(), my_service.count_created())
end)

chapter("4. What belongs to one context is refused in the other, at the line that does it", function()
  for _, wrong in ipairs({
    function() return orm.em("default"):find("AnalyticsLog", {}) end,
    function() return my_service.do_something_secondary(1) end,
    function() return orm.em("third"):find("User", {}) end,
  }) do
    local _, err = pcall(wrong)
    say("%s: %s", err.kind, err.message)
  end
end)

-- The same program when the secondary's database is gone.
orm.close("secondary")
local config = dofile(here .. "orm-secondary.config.lua")
config.url, config.database = nil, here .. "no-such-directory/analytics.db"
orm.init(config)

chapter("5. The secondary is down: the user is created all the same", function()
  say("secondary  check_connection: %s", tostring((orm.instance("secondary"):check_connection())))
  local eve = user_analytics_service.create_user_with_analytics({ name = "Eve", email = "eve@example.com" })
  say("default    created user %d, %s", eve.id, eve:label())
  say("default    %d users in all", #my_service.find_users())
end)

orm.close()
print("\nBoth contexts are closed.")
