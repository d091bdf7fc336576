--- The table of a many_to_many. Pairs are its primary key; where their order is kept, a generated `id` is, to sort by.
local naming = require("heddle.naming")

local pivot = {}

---What CREATE TABLE needs of a hidden mapping.
---@param map table hidden
---@return table mapping
function pivot.table(map)
  if not map.pivot.fixed_order then return map end
  local id = { name = "id", type = "bigint", nullable = false, primary = true, autoincrement = true, view = {} }
  local columns, names = { id }, {}
  for i, column in ipairs(map.columns) do columns[i + 1] = column end
  for i, column in ipairs(map.key) do names[i] = column.name end
  local unique = { columns = map.key, name = naming.constraint(map.table, names, "unique") }
  return setmetatable({ columns = columns, key = { id }, auto_key = id, uniques = { unique } }, { __index = map })
end

return pivot
