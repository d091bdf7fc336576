--- How a change is refused.
local errors = require("heddle.errors")

---Raises `migration`: what cannot be done to a table or column, and what to do instead.
---@param context table
---@param t table
---@param column table|nil
---@param message string
return function(context, t, column, message)
  local who = t.entity or t.name
  if column then who = who .. "." .. (column.property or column.name) end
  return errors.raise("migration", who .. ": " .. message, {
    context = context.name, entity = t.entity, property = column and column.property, table = t.name,
    column = column and column.name,
  })
end
