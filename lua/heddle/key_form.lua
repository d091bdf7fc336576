--- The forms in which a program gives a key: one value; of a composite key an array of its properties' values in
--- declared order; a table of them by name; an instance. What stands for a relation is an instance of its target or
--- that one's key, in any of these forms. A key's plain column values in order, as other rooms make them, are a form
--- too.
local null = require("heddle.null")

local key_form = {}

local function add_part(values, view, part, of_instance)
  if not view.columns then
    values[#values + 1] = part
    return true
  end
  local key = key_form.values(view.target, part, of_instance)
  for i = 1, key and #key or 0 do values[#values + 1] = key[i] end
  return key ~= nil
end

local function from_table(map, given, of_instance)
  local primary, count, is_list = map.meta.primary, 0, given[1] ~= nil
  for _ in pairs(given) do count = count + 1 end
  if is_list and #map.key == 1 then return nil end
  local values = {}
  if is_list and count == #map.key and count ~= #primary then
    for i = 1, count do values[i] = given[i] end
    return #values == count and values or nil
  end
  if count ~= #primary then return nil end
  for i, prop in ipairs(primary) do
    local part = given[is_list and i or prop.name]
    if part == nil or not add_part(values, map.props[prop.name], part, of_instance) then return nil end
  end
  return values
end

---The values of a key's columns, in order and in the program's form, not checked one by one; nil for what is no key of
---the entity.
---@param map table
---@param given any
---@param of_instance fun(value: table, map: table): any[]|nil the key of an instance
---@return any[]|nil
function key_form.values(map, given, of_instance)
  if given == nil or given == null or #map.key == 0 then return nil end
  if type(given) ~= "table" then return #map.key == 1 and { given } or nil end
  if getmetatable(given) ~= nil then return of_instance(given, map) or nil end
  return from_table(map, given, of_instance)
end

---What the key of an entity is, for messages.
---@param map table
---@return string
function key_form.describe(map)
  if #map.key == 0 then return map.name .. " has no primary key" end
  if #map.key == 1 then return "the key of " .. map.name .. " is one value" end
  local names = {}
  for i, prop in ipairs(map.meta.primary) do names[i] = prop.name end
  return ("the key of %s is { %s }, as a list in this order or by these names"):format(map.name,
    table.concat(names, ", "))
end

return key_form
