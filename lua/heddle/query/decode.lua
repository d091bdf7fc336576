--- Rows of a query as plain tables: each value under its item's name, as its property has it; SQL NULL is an absent
--- field.
local custom = require("heddle.custom")
local reading = require("heddle.embedded.reading")
local tree = require("heddle.embedded.tree")

local decode = {}

local function value_of(column, value)
  if value == nil then return nil end
  return custom.from_db(custom.source(column), reading.stored(column, value))
end

-- A value that stands in several columns: an embedded one, or a key.
local function whole(item, row, first)
  if item.view.embedded then
    local at = {}
    for i, column in ipairs(item.columns) do at[column] = first + i - 1 end
    return tree.build(item.view, function(column) return value_of(column, row[at[column]]) end)
  end
  local key = {}
  for i, column in ipairs(item.columns) do key[i] = value_of(column, row[first + i - 1]) end
  return #key == #item.columns and key or nil
end

---@param list table[] items
---@param row any[]
---@return table
function decode.row(list, row)
  local made, first = {}, 1
  for i = 1, #list do
    local item = list[i]
    local columns = item.columns
    if item.source and (#columns > 1 or item.view.embedded and not item.node) then
      made[item.name] = whole(item, row, first)
    else
      made[item.name] = value_of(columns[1], row[first])
    end
    first = first + #columns
  end
  return made
end

-- What a row's value is read as. Places of a mapping's columns mean nothing in such a row.
local function result(column)
  return setmetatable({ index = false }, { __index = column })
end

---@param columns table[]
---@return table[]
function decode.results(columns)
  local results = {}
  for i, column in ipairs(columns) do results[i] = result(column) end
  return results
end

return decode
