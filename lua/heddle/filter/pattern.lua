--- Patterns of LIKE, as every database takes them.
local place = require("heddle.filter.place")

-- SQLite's own limit.
local MOST_BYTES = 50000

local BACKSLASH = ("\\"):byte()

local function ends_open(pattern)
  local at = #pattern
  while pattern:byte(at) == BACKSLASH do at = at - 1 end
  return (#pattern - at) % 2 == 1
end

---The pattern that an operator stands for. Raises `validation` for one that ends with a `\`, which would have nothing
---to take as it is; `unsupported` for one that is too long.
---@param at heddle.Place
---@param operator heddle.Operator
---@param before? string what stands around a text that is taken as it is; nil for a pattern of the program's own
---@param after? string
---@return string
return function(at, operator, before, after)
  local pattern = operator.value
  if before then
    pattern = before .. place.escaped(pattern) .. after
  elseif ends_open(pattern) then
    return place.refuse(at, tostring(operator) .. " takes a pattern in which something stands behind every \\; this "
      .. "one ends with one")
  end
  if #pattern > MOST_BYTES and at.mapping.driver == "sqlite" then
    return place.refuse(at, tostring(operator) .. ": SQLite takes no pattern of more than " .. MOST_BYTES .. " bytes",
      "unsupported")
  end
  return pattern
end
