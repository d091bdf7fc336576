local orm = require("heddle")

-- The example drops its table and makes it anew: the name keeps it away from yours.
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
