--- The pivot table of a many_to_many as a mapping without an entity: two foreign keys that are the primary key.
local naming = require("heddle.naming")

local pivot = {}

local inherited = { "type", "length", "precision", "scale", "array_of", "custom", "cast" }

local function add_side(made, described, side, target)
  local columns, targets, names = {}, {}, {}
  for i, given in ipairs(side) do
    local col = { name = given.name, property = described.property, view = {}, nullable = false, primary = true }
    for _, field in ipairs(inherited) do col[field] = given.target[field] end
    columns[i], targets[i], names[i] = col, given.target, col.name
    made.columns[#made.columns + 1], made.key[#made.key + 1] = col, col
  end
  local fk = {
    property = described.property, columns = columns, target = target, target_columns = targets,
    on_delete = described.on_delete, on_update = described.on_update, deferrable = made.driver == "postgres",
    name = naming.constraint(made.table, names, "foreign"),
  }
  for _, col in ipairs(columns) do col.foreign_key = fk end
  made.foreign_keys[#made.foreign_keys + 1] = fk
  return columns, names
end

---@param described table a view's `pivot`
---@param driver "postgres"|"sqlite"
---@return table mapping
function pivot.mapping(described, driver)
  local made = {
    name = described.table, table = described.table, schema = described.schema, driver = driver, meta = {},
    columns = {}, key = {}, foreign_keys = {}, uniques = {}, indexes = {}, checks = {}, list = {},
  }
  add_side(made, described, described.join_columns, described.owner)
  local columns, names = add_side(made, described, described.inverse_join_columns, described.target)
  -- The primary key serves look-ups from the owner's side, this one those from the other.
  local parts = {}
  for i, col in ipairs(columns) do parts[i] = { col, desc = false } end
  made.indexes[1] = { columns = parts, name = naming.constraint(made.table, names, "index"), unique = false }
  return made
end

return pivot
