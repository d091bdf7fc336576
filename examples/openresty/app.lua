-- The API: which handler answers what, and what an error is called in HTTP.
local orm = require("heddle")
local json = require("json")
local statistics = require("statistics")
local users = require("users")

local ROUTES = {
  { "^/api/users$",       { GET = users.list, POST = users.create } },
  { "^/api/users/(%d+)$", { GET = users.show, PATCH = users.rename, DELETE = users.delete } },
  { "^/api/statistics$",  { GET = statistics.show } },
}

local STATUS = {
  validation = 422, not_found = 404, unique_violation = 409, optimistic_lock = 409,
  connection = 503, pool_timeout = 503,
}

local function problem(status, kind, message, property)
  return status, { kind = kind, message = message, property = property }
end

-- Errors of Heddle hold no value of anybody's in their message; what is not foreseen is for the log alone.
local function problem_of(err)
  if type(err) == "table" and err.status then return problem(err.status, err.kind, err.message) end
  for kind, status in pairs(STATUS) do
    if orm.is_error(err, kind) then
      if status >= 500 then ngx.log(ngx.ERR, tostring(err)) end
      local own_words = kind == "validation" and type(err.cause) == "string" and err.cause
      return problem(status, kind, own_words or err.message, err.property)
    end
  end
  ngx.log(ngx.ERR, tostring(err))
  return problem(500, "internal", "Something went wrong here")
end

local function route()
  for _, item in ipairs(ROUTES) do
    local id = ngx.var.uri:match(item[1])
    if id then
      local handler = item[2][ngx.req.get_method()]
      if not handler then return problem(405, "bad_request", "This cannot be done here") end
      return handler(id)
    end
  end
  return problem(404, "not_found", "There is nothing here")
end

local app = {}

---Answers the request that is being served: inside of its scope, so that no error leaves that.
function app.answer()
  local ok, status, body = pcall(route)
  if not ok then status, body = problem_of(status) end
  ngx.status = status
  if body then ngx.print(json.encode(body)) end
end

return app
