--- `em:assign` with nested data: laid over the embedded value that is there.
local embedded = require("heddle.embedded")
local null = require("heddle.null")

local data_over = {}

---Checks data for `data_over.assign`. Raises `unknown_property`, `validation`.
function data_over.check(prop, data, at)
  local embeddable = embedded.of(prop)
  if data == null then return end
  if prop.array then return embedded.check_list(data, at) end
  embedded.check_table(embeddable, data, at)
  for name, item in pairs(data) do
    embedded.check_name(embeddable, name, at)
    local inner = embeddable.by_name[name]
    if inner.kind == "embedded" then data_over.check(inner, item, embedded.below(at, name)) end
  end
end

---Whether `em:assign` lays a value over the one that is there, instead of putting it in its place.
function data_over.is_data(prop, value)
  return not prop.array and type(value) == "table" and getmetatable(value) == nil
end

---The value that `em:assign` leaves: a plain table changes the members that it names, in the value that is there;
---anything else replaces it.
---@param prop table
---@param current any
---@param data any
---@param at heddle.At
---@return table|nil
function data_over.assign(prop, current, data, at)
  if data == null then return nil end
  local embeddable = embedded.of(prop)
  if not data_over.is_data(prop, data) or type(current) ~= "table" then return embedded.given(prop, data, at) end
  if not at.inner then current = embedded.claim(current, at.e, at.path) end
  for name, item in pairs(data) do
    local member, new = embeddable.by_name[name], item
    if member.kind == "embedded" then
      local inner = embedded.below(at, name)
      inner.inner = at.inner or member.object
      new = data_over.assign(member, rawget(current, name), item, inner)
    elseif item == null then
      new = nil
    end
    rawset(current, name, new)
  end
  return current
end

return data_over
