--- Names as PostgreSQL keeps them: cut off at 63 bytes, never within a character.
local names = {}

---Usage: `names.cut("größe", 3)` is "gr"
---@param name string
---@param longest integer bytes
---@return string
function names.cut(name, longest)
  if #name <= longest then return name end
  local last = longest
  -- The first byte that goes must begin a character.
  while last > 0 and name:byte(last + 1) >= 128 and name:byte(last + 1) < 192 do last = last - 1 end
  return name:sub(1, last)
end

---What the server calls a primary key that nobody named.
---@param table_name string
---@return string
function names.primary(table_name)
  return names.cut(table_name, 58) .. "_pkey"
end

-- What holds a name, or names, in any part of a model.
local single = { name = true, table = true, schema = true, column = true }
local lists = { columns = true, target_columns = true, include = true }

local function shortened(value, key, longest)
  if type(value) == "string" then return single[key] and names.cut(value, longest) or value end
  if type(value) ~= "table" then return value end
  local copy = {}
  for k, item in pairs(value) do
    if lists[key] and type(item) == "string" then
      copy[k] = names.cut(item, longest)
    else
      copy[k] = shortened(item, k, longest)
    end
  end
  return copy
end

---A copy of a model with every name as the server would keep it.
---@param model table
---@param longest integer
---@return table
function names.shortened(model, longest)
  return shortened(model, nil, longest)
end

return names
