--- A schema model as what a diagram shows: boxes with rows, and edges from foreign keys to what they refer to.
---
---     graph = { boxes = { { name, entity, rows = { { name, type, keys = { "PK", "FK", "UK" }, nullable } } } },
---               edges = { { from, to = boxes, from_row, to_row = positions, label, many, optional } } }
local models = require("heddle.schema.model")

local graph = {}

local function position_of(t, name)
  for i, column in ipairs(t.columns) do
    if column.name == name then return i end
  end
end

local function mark(box, t, name, key)
  local row = box.rows[position_of(t, name) or 0]
  if not row then return end
  for _, other in ipairs(row.keys) do
    if other == key then return end
  end
  row.keys[#row.keys + 1] = key
end

local function box_of(t)
  local box = { name = models.path(t), rows = {}, comment = t.comment }
  -- The table of a many_to_many has no entity; its name in the model is a path.
  if t.entity and not t.entity:find(".", 1, true) then box.entity = t.entity end
  for i, column in ipairs(t.columns) do
    box.rows[i] = {
      name = column.name, type = column.type, nullable = column.nullable or false, keys = {}, comment = column.comment,
    }
  end
  for _, name in ipairs(t.primary and t.primary.columns or {}) do mark(box, t, name, "PK") end
  for _, fk in ipairs(t.foreign_keys) do
    for _, name in ipairs(fk.columns) do mark(box, t, name, "FK") end
  end
  for _, unique in ipairs(t.uniques) do
    if #unique.columns == 1 then mark(box, t, unique.columns[1], "UK") end
  end
  return box
end

-- Whether no two rows can have the same values there.
local function is_unique(t, columns)
  if t.primary and models.same_names(t.primary.columns, columns) then return true end
  for _, unique in ipairs(t.uniques) do
    if models.same_names(unique.columns, columns) then return true end
  end
  for _, index in ipairs(t.indexes) do
    if index.unique and not index.where and models.same_names(models.columns_of(index), columns) then return true end
  end
  return false
end

local function edge_of(t, fk, from, to, target)
  local optional = false
  for _, name in ipairs(fk.columns) do
    local row = from.rows[position_of(t, name) or 0]
    optional = optional or row and row.nullable or false
  end
  local target_column = fk.target_columns and fk.target_columns[1] or target.primary and target.primary.columns[1]
  return {
    from = from, to = to, from_row = position_of(t, fk.columns[1]) or 1,
    to_row = target_column and position_of(target, target_column) or 1, label = table.concat(fk.columns, ", "),
    many = not is_unique(t, fk.columns), optional = optional,
  }
end

---@param made table a schema model
---@return table graph
function graph.of(made)
  local result, tables, boxes = { boxes = {}, edges = {} }, {}, {}
  for i, t in ipairs(made.tables) do
    local key = models.key(t.name, t.schema, made.driver)
    result.boxes[i] = box_of(t)
    tables[key], boxes[key] = t, result.boxes[i]
  end
  for i, t in ipairs(made.tables) do
    for _, fk in ipairs(t.foreign_keys) do
      local key = models.key(fk.table, fk.schema, made.driver)
      if boxes[key] then
        result.edges[#result.edges + 1] = edge_of(t, fk, result.boxes[i], boxes[key], tables[key])
      end
    end
  end
  return result
end

return graph
