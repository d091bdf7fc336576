--- Finds the name that was meant by a misspelt one.
local suggest = {}

-- Names can come from request data: what is longer than any name is not compared.
local LONGEST = 64

-- "createdAt", "created_at" and "CREATED-AT" are one name to the person who types them.
local function folded(name)
  return (name:lower():gsub("[_%-%s]", ""))
end

-- Edits (insert, delete, replace, swap of neighbours) that turn a into b; gives up beyond `limit`.
local function distance(a, b, limit)
  if math.abs(#a - #b) > limit then return limit + 1 end
  local before, last, row = {}, {}, {}
  for j = 0, #b do last[j] = j end
  for i = 1, #a do
    row[0] = i
    local best = i
    for j = 1, #b do
      local x, y = a:byte(i), b:byte(j)
      local cost = x == y and 0 or 1
      local d = math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + cost)
      if i > 1 and j > 1 and x == b:byte(j - 1) and a:byte(i - 1) == y then
        d = math.min(d, before[j - 2] + 1)
      end
      row[j] = d
      best = math.min(best, d)
    end
    if best > limit then return limit + 1 end
    before, last, row = last, row, before
  end
  return last[#b]
end

-- The names of a list, or the string keys of a set, in an order that does not change from run to run.
local function names_of(names)
  local sorted = {}
  if names[1] ~= nil then
    for _, name in ipairs(names) do sorted[#sorted + 1] = name end
  else
    for name in pairs(names) do
      if type(name) == "string" then sorted[#sorted + 1] = name end
    end
    table.sort(sorted)
  end
  return sorted
end

---The name most like `name`, or nil when none is near.
---@param name any
---@param names table a list of names, or a table keyed by them
---@return string|nil
function suggest.nearest(name, names)
  if type(name) ~= "string" or name == "" or #name > LONGEST then return nil end
  local wanted = folded(name)
  local limit = math.max(1, math.floor(#wanted / 3))
  local nearest, least
  for _, candidate in ipairs(names_of(names)) do
    local other = folded(candidate)
    local d = distance(wanted, other, limit)
    if d > limit and #wanted >= 3 and other:sub(1, #wanted) == wanted then d = limit end
    if d <= limit and (not least or d < least) then nearest, least = candidate, d end
  end
  return nearest
end

---" (did you mean 'x'?)", or "" when no name is near.
---@param name any
---@param names table a list of names, or a table keyed by them
---@return string
function suggest.hint(name, names)
  local nearest = suggest.nearest(name, names)
  return nearest and (" (did you mean '" .. nearest .. "'?)") or ""
end

return suggest
