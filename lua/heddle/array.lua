--- `orm.array`: marks a table as a JSON array, so that an empty one is written as `[]`.
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
  return setmetatable(items or {}, mark)
end

---@param value any
---@return boolean
function array.is_array(value)
  return getmetatable(value) == mark
end

return array
