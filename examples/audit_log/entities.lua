local orm = require("heddle")

local Customer = orm.entity {
  name = "Customer", table = "customers",
  { "id",       type = "integer", primary = true },
  { "name",     type = "string" },
  { "password", type = "string", hidden = true },
  { "limit",    type = "decimal", precision = 10, scale = 2, default = "100" },
  { "version",  type = "integer", version = true },
}

local Order = orm.entity {
  name = "Order", table = "orders",
  { "id",       type = "integer", primary = true },
  { "customer", many_to_one = Customer },
  { "total",    type = "decimal", precision = 10, scale = 2 },
}

return { Customer, Order }
