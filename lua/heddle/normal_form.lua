--- Normal form of values of custom types: whether a property holds what a read would give (U7). What the program holds
--- stays where that is the same; objects say so themselves (`equals`, `__eq`, or their stored form).
local compat = require("heddle.compat")
local row_copy = require("heddle.row_copy")
local state = require("heddle.state")

local normal_form = {}

local plain = { string = true, number = true, boolean = true }

---Whether two plain values, or plain tables, are one in one form; nil for objects.
---@return boolean|nil
function normal_form.is_same(value, fresh)
  if plain[type(value)] then return value == fresh and compat.math_type(value) == compat.math_type(fresh) end
  if type(value) == "table" and getmetatable(value) == nil then return row_copy.is_same(value, fresh) end
end

---The same for values of a custom type, which may say when objects are equal; nil where only their stored form can.
---@param made heddle.Type
---@return boolean|nil
function normal_form.are_one(made, value, fresh)
  local same = normal_form.is_same(value, fresh)
  if same ~= nil or not made.equals then return same end
  local ok, is_equal = pcall(made.equals, value, fresh)
  return ok and is_equal and true or false
end

---Whether a value of a converting column is what a read of its snapshot would give; if not, what that is.
---@return boolean
---@return any fresh
function normal_form.of(column, value, image)
  local is_other = state.is_other(column, value, image)
  if value == nil or image == nil then return not is_other, state.value(column, image) end
  local fresh = state.value(column, image)
  local same = normal_form.is_same(value, fresh)
  if same == nil then same = not is_other end
  return same, fresh
end

return normal_form
