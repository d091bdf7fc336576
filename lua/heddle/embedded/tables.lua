--- Embedded values are given back in place: the tables that they were made of, with their former contents.
local tables = {}

---Which tables a value is made of.
---@param value table
---@param seen? table
---@return table { value, inner }
function tables.value(value, seen)
  seen = seen or {}
  if seen[value] then return seen[value] end
  local made = { value = value, inner = {} }
  seen[value] = made
  for name, item in next, value do
    if type(item) == "table" then made.inner[name] = tables.value(item, seen) end
  end
  return made
end

---The tables as they were, with the contents of a copy.
---@param made table as tables.value gave it
---@param copy table
---@param given? table
---@return table value
function tables.give_back(made, copy, given)
  local value = made.value
  given = given or {}
  given[made] = true
  for name in next, value do
    if rawget(copy, name) == nil then rawset(value, name, nil) end
  end
  for name, item in next, copy do
    local inner = type(item) == "table" and made.inner[name]
    if inner and not given[inner] then tables.give_back(inner, item, given) end
    rawset(value, name, inner and inner.value or item)
  end
  return value
end

return tables
