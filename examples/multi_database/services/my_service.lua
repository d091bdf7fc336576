-- The ways to reach a database, each as short as it can be.
local orm = require("heddle")
local User = require("entities.user")
local AnalyticsLog = require("entities.secondary.analytics_log")

local my_service = {}

-- 1. The global entity managers.

local em = orm.em()
local em_secondary = orm.em("secondary")

function my_service.create_user(data)
  local user = em:create(User, data)
  return em:persist_and_flush(user)
end

function my_service.log_analytics(event)
  local log = em_secondary:create(AnalyticsLog, { event = event })
  return em_secondary:persist_and_flush(log)
end

-- 2. The instances, and a fork of each: entity managers of one's own, shared with nobody.

function my_service.get_data()
  local primary_em = orm.instance().em:fork()
  local secondary_em = orm.instance("secondary").em:fork()

  local users = primary_em:find(User, {}, { order_by = { "id" } })
  local logs = secondary_em:find(AnalyticsLog, {}, { order_by = { "id" } })

  return { users = users, logs = logs }
end

-- 3. Repositories: an entity manager's methods without the entity, and the entity's own methods.

local user_repository = orm.repository(User)
local analytics_repository = orm.repository(AnalyticsLog, "secondary")

function my_service.find_users()
  return user_repository:find_all({ order_by = { "name" } })
end

function my_service.find_logs()
  return analytics_repository:find_all({ order_by = { "id" } })
end

function my_service.count_created()
  return analytics_repository:count_of("user_created")
end

-- 4. The entity manager of the request that is being served.

function my_service.do_something(id)
  local request_em = orm.get_context()
  return request_em:find_one_or_fail(User, id)
end

function my_service.do_something_secondary(id)
  local request_em = orm.get_context("secondary")
  return request_em:find_one_or_fail(AnalyticsLog, id)
end

return my_service
