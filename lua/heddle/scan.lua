--- The dirty scan: a function generated for each mapping that walks the managed rows of a shelf and compares every raw
--- property with its snapshot. It finds candidates; what really differs as a database value the core decides.
local compat = require("heddle.compat")
local core = require("heddle.core")
local state = require("heddle.state")

local scan = {}

local HEAD = [[
local same, is_other, columns = ...
return function(instances, blocks, overlay, count, found, limit, new, removed)
  local slot, block, size, n = 1, 1, 4, #found
  while slot <= count and n < limit do
    local last = slot + size - 1
    if last > count then last = count end
    local s = blocks[block]
    if s then
      local base = 0
      for i = slot, last do
        local e = instances[i]
        if e and (overlay[i]%s) and not new[i] and not removed[i] then
          n = n + 1
          found[n] = i
        end
        base = base + %d
      end
    end
    slot, block = last + 1, block + 1
    if size < 256 then size = size * 2 end
  end
end
]]

local function same(value, image)
  if value == nil or image == nil then return value == image end
  return core.same_image(value, image)
end

local function term(column)
  if column.converts then return (" or is_other(columns[%d], e[%q], s[base + %d])"):format(column.index,
    column.property, column.index) end
  local pattern = state.is_mutable(column) and " or not same(e[%q], s[base + %d])" or " or e[%q] ~= s[base + %d]"
  return pattern:format(column.property, column.index)
end

local function generate(map)
  local terms = {}
  for _, column in ipairs(map.columns) do
    -- Versions and generated values are the database's to change.
    if column.view.raw and not column.version and not column.generated then terms[#terms + 1] = term(column) end
  end
  local text = HEAD:format(table.concat(terms), #map.columns)
  return assert(compat.load(text, "=heddle.scan." .. map.name))(same, state.is_other, map.columns)
end

---@param map table
---@return fun(instances, blocks, overlay, count, found, limit, new, removed)
function scan.of(map)
  local made = map.dirty_scan
  if not made then
    made = generate(map)
    map.dirty_scan = made
  end
  return made
end

return scan
