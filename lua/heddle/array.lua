--- `orm.array`: marks a table as a JSON array, so that an empty one is written as `[]`.
local errors = require("heddle.errors")
local options = require("heddle.options")

local array = {}

-- The binding finds the mark under the same name (luaL_newmetatable), whichever of the two comes first.
local NAME = "heddle.array"
local registry = debug.getregistry()
local mark = registry[NAME] or { __name = NAME }
registry[NAME] = mark

---Usage: `article.tags = orm.array {}`
---@generic T
---@param items? T[] marked in place
---@return T[]
function array.new(items)
  if items ~= nil and type(items) ~= "table" then
    errors.raise("validation", "orm.array takes a table, not " .. options.describe(items))
  end
  return setmetatable(items or {}, mark)
end

---@param value any
---@return boolean
function array.is_array(value)
  return getmetatable(value) == mark
end

return array
