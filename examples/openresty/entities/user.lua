local orm = require("heddle")

-- Text of a certain form. What is raised here is a `validation` error that names the property, with this as its cause.
local function text(pattern, problem)
  return orm.type {
    column = "string",
    to_db = function(value)
      if type(value) ~= "string" or not value:find(pattern) then error(problem, 0) end
      return value
    end,
    from_db = function(value) return value end,
  }
end

return orm.entity {
  name = "User", table = "users",
  { "id",         type = "integer", primary = true },
  { "name",       type = text("%S", "Say a name"), length = 60 },
  { "email",      type = text("^[^@%s]+@[^@%s]+%.[^@%s]+$", "This is no e-mail address"), length = 255, unique = true },
  { "version",    type = "integer", version = true },
  { "created_at", type = "timestamp", on_create = orm.now },
}
