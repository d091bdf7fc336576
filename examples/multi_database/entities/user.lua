local orm = require("heddle")

-- The example drops its tables and makes them anew: their names keep it away from yours.
local User = orm.entity {
  name = "User", table = "demo_users",
  { "id",         type = "integer", primary = true },
  { "name",       type = "string", length = 100 },
  { "email",      type = "string", length = 255, unique = true },
  { "created_at", type = "timestamp", on_create = orm.now },
}

function User:label()
  return self.name .. " <" .. self.email .. ">"
end

return User
