-- What the API does with users. A handler gives back a status and what its answer says. Every change is told to the
-- analytics database as well, in the same request.
local orm = require("heddle")
local json = require("json")
local User = require("entities.user")
local AnalyticsLog = require("entities.secondary.analytics_log")

-- Taken once, for all requests: inside of one they act on its own fork.
local em = orm.em()
local analytics = orm.em("secondary")

local users = {}

local LARGEST_PAGE = 100

-- A change is not lost because it cannot be told.
local function tell(event, user_id)
  local ok, err = pcall(function()
    analytics:persist_and_flush(analytics:create(AnalyticsLog, { user_id = user_id, event = event }))
  end)
  if not ok then ngx.log(ngx.ERR, "no event '", event, "' of user ", user_id, ": ", tostring(err)) end
end

-- GET /api/users?first=20&after=<next of the page before>
function users.list()
  local args = ngx.req.get_uri_args()
  local size = math.min(tonumber(args.first) or 20, LARGEST_PAGE)
  local page = em:find_by_cursor(User, {}, { order_by = { "id desc" }, first = size, after = args.after, count = true })
  local items = json.list(orm.to_table(page.items))
  return 200, { items = items, total = page.total, next = page.has_next and page.end_cursor or nil }
end

-- POST /api/users { name, email }
function users.create()
  local data = json.body()
  local user = em:persist_and_flush(em:create(User, { name = data.name, email = data.email }))
  tell("user_created", user.id)
  ngx.header.Location = "/api/users/" .. user.id
  return 201, orm.to_table(user)
end

-- GET /api/users/7: the user, and from the other database what became of them
function users.show(id)
  local user = orm.to_table(em:find_one_or_fail(User, id))
  local events = analytics:find(AnalyticsLog, { user_id = user.id }, { order_by = { "id" } })
  user.events = json.list(orm.to_table(events, { fields = { "event", "timestamp" } }))
  return 200, user
end

-- PATCH /api/users/7 { name, version }: refused if somebody has changed the user since that version
function users.rename(id)
  local data = json.body()
  local user = em:find_one_or_fail(User, id)
  em:lock(user, "optimistic", data.version)
  user.name = data.name
  em:flush()
  tell("user_renamed", user.id)
  return 200, orm.to_table(user)
end

-- DELETE /api/users/7
function users.delete(id)
  local user = em:find_one_or_fail(User, id)
  em:remove_and_flush(user)
  tell("user_deleted", id)
  return 204
end

return users
