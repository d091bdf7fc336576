--- Rows of one table that are of several entities: which are whose. How their mappings hang together, stands in
--- `mapping/family.lua`.
local quote = require("heddle.quote")

local family = {}

local function literal(value)
  return type(value) == "string" and quote.text(value) or ("%d"):format(value)
end

---The condition under which a row of the table is of one of some members.
---@param root table the table's mapping
---@param values any[] discriminator values
---@param prefix string "e0."
---@return string
function family.among(root, values, prefix)
  local terms = {}
  for i, value in ipairs(values) do terms[i] = literal(value) end
  if #terms == 0 then return "1 = 0" end
  return prefix .. quote.name(root.discriminator.name)
    .. (#terms == 1 and " = " .. terms[1] or " IN (" .. table.concat(terms, ", ") .. ")")
end

---The condition under which a row is one of an entity; nil where every row of its table is.
---
---Usage: `local text = family.condition(map, "e0.")` is `e0."type" IN ('employee', 'manager')`
---@param map table
---@param prefix string the table's alias and a dot, or ""
---@return string|nil
function family.condition(map, prefix)
  if not map.values or map.place == 1 then return nil end
  return family.among(map.root, map.values, prefix)
end

---What has to hold for rows of an entity, as it can be said of every row of its table.
---@param root table
---@param of table the entity's mapping
---@param expression string SQL
---@return string
function family.implied(root, of, expression)
  if not of.values or of.place == 1 then return expression end
  return "NOT (" .. family.among(root, of.values, "") .. ") OR (" .. expression .. ")"
end

---Whether rows of an entity are rows of another one too: it is that one, or extends it.
---@param map table
---@param of table mapping
---@return boolean
function family.is_a(map, of)
  while map do
    if map == of then return true end
    map = map.parent
  end
  return false
end

---The nearest entity that two entities are or extend; nil when they share no table.
---@param a table mapping
---@param b table
---@return table|nil
function family.common(a, b)
  while a and not family.is_a(b, a) do a = a.parent end
  return a
end

---Whether an entity, or one that extends it, has something in a column.
---@param map table
---@param column table
---@return boolean
function family.has_column(map, column)
  if not map.place then return true end
  for _, member in ipairs(map.root.members) do
    if member.props[column.within.name] and family.is_a(member, map) then return true end
  end
  return false
end

---The mapping of an entity that shares another one's table, or of that one itself.
---@param map table
---@param class table
---@return table
function family.of_class(map, class)
  if map.class == class and map.root ~= map then return map end
  for _, member in ipairs(map.root.members or {}) do
    if member.class == class then return member end
  end
  return map
end

---The mapping of the entity that an instance of an entity manager is of.
---@param e table
---@return table
function family.map_of(e)
  return getmetatable(e).mapping
end

return family
