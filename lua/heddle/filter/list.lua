--- `one_of` and `not_one_of`: lists of any length in few shapes.
--
-- PostgreSQL takes a list as one array parameter (`= ANY($1)`), a composite key as one for each of its columns, so its
-- shape has no length. SQLite, and what has no array form (types of the database's own), gets one placeholder for each
-- value, their number rounded up to a power of two by saying the last value again. Longer lists travel on SQLite as
-- one JSON array where JSON holds every value of the type exactly: SQLite prepares a statement in a time that grows
-- with the square of its placeholders.
local null = require("heddle.null")
local place = require("heddle.filter.place")
local shape = require("heddle.shape")

local list = {}

-- SQLite takes 32,766 parameters in one statement; some are left for the rest of the filter.
local LARGEST = 32000
local MOST_PLACES = 512

local exact_in_json = {
  smallint = true, integer = true, bigint = true, string = true, text = true, uuid = true, enum = true, date = true,
}

local function padded(n)
  local size = 1
  while size < n do size = size * 2 end
  return size > LARGEST and LARGEST or size
end

-- The checked values, keys as lists, without NULLs; and whether there was one.
local function collect(at, given)
  local values, n, has_null = {}, 0, false
  for i = 1, #given do
    if given[i] == null then
      has_null = true
    else
      n = n + 1
      if at.column then
        values[n] = place.scalar(at, at.column, given[i])
      else
        local key = place.key_values(at, given[i])
        values[n] = #key == 1 and key[1] or key
      end
    end
  end
  return values, n, has_null
end

local function push_each(to, at, values, n, width)
  local size = padded(n)
  if n > size or size * width > LARGEST then
    place.refuse(at, "a list of " .. n .. " values is too long for one statement: split it", "unsupported")
  end
  for i = 1, size do
    local value = values[i <= n and i or n]
    if width == 1 then
      shape.push(to, value)
    else
      for k = 1, width do shape.push(to, value[k]) end
    end
  end
  return size
end

local not_in_arrays = { unknown = true, json = true, array = true }

-- `to.each` asks for every value on its own.
local function travel_as_arrays(to, at, columns)
  for _, column in ipairs(columns) do
    if not_in_arrays[column.type] then return false end
  end
  return not to.each and at.mapping.driver == "postgres"
end

-- One array for each column.
local function push_arrays(to, values, n, width)
  if width == 1 then return shape.push(to, values) end
  for k = 1, width do
    local array = {}
    for i = 1, n do array[i] = values[i][k] end
    shape.push(to, array)
  end
end

---Reads an operator's list as `word property how nulls`: `how` is "bulk", "json" or a number of placeholders,
---`nulls` is "null" when orm.null was in the list.
---@param to heddle.Shape
---@param at heddle.Place
---@param operator heddle.Operator
---@param word "in"|"not_in"
function list.read(to, at, operator, word)
  local values, n, has_null = collect(at, operator.value)
  if n == 0 then
    if has_null then return shape.emit(to, word == "in" and "null" or "not_null", at.name) end
    return shape.emit(to, word == "in" and "any" or "all", 0)
  end
  local columns = at.column and { at.column } or at.key
  local width = #columns
  local how
  if travel_as_arrays(to, at, columns) then
    how = "bulk"
    push_arrays(to, values, n, width)
  elseif width == 1 and n > MOST_PLACES and at.mapping.driver == "sqlite" and exact_in_json[columns[1].type] then
    how = "json"
    shape.push(to, values)
  else
    how = push_each(to, at, values, n, width)
  end
  shape.emit(to, word, at.name, how)
  return shape.emit(to, has_null and "null" or "-")
end

return list
