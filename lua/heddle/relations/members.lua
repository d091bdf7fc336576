--- Plans that read the members of to-many relations, and of inverse sides of one_to_one, of many owners at once.
local filter = require("heddle.filter")
local options = require("heddle.find_options")
local select = require("heddle.select")
local shape = require("heddle.shape")

local members = {}

local none = {}

-- Which columns of a member's row, or of the pair that leads to it, hold the owner's key.
local function owner_of(view)
  local pivot = view.pivot
  if not pivot then return { columns = view.inverse.columns, prefix = "e0." } end
  return { columns = view.prop.owner and pivot.owner_columns or pivot.target_columns, prefix = "p." }
end

-- The relation's own order, or that in which pairs were added, else that of the key: always the same one.
local function member_order(view)
  local pivot = view.pivot
  if pivot and pivot.order_column and not view.prop.order_by then return nil end
  local terms, seen = {}, {}
  for i, term in ipairs(view.prop.order_by or {}) do terms[i] = term end
  for _, column in ipairs(view.target.key) do
    if not seen[column.property] then terms[#terms + 1] = column.property end
    seen[column.property] = true
  end
  return terms
end

---The plan that reads members of a to-many relation, or of the inverse side of a one_to_one, of some owners, and its
---parameters. With `owned` a row has the owner's key behind the member's columns: `plan.others`.
---@param view table the relation, of the owners
---@param keys table[] of the owners
---@param where any
---@param opts table?
---@param owned boolean?
---@param named heddle.NamedFilters?
---@return table plan
---@return any[] params
function members.find(view, keys, where, opts, owned, named)
  local mapping, given = view.target, {}
  if opts ~= nil then options.check(mapping, opts) end
  for name, value in pairs(opts or none) do given[name] = value end
  if given.order_by == nil then given.order_by = member_order(view) end
  local to = shape.new(owned and "members" or "find", named)
  filter.members(to, view, keys, where)
  local terms = select.read_options(to, mapping, given)
  local extra = { opts = given, terms = terms, owner = owned and owner_of(view) or nil }
  return shape.plan(to, mapping, select.build_find, extra), to.params
end

---The plan that counts the members of one owner, and its parameters.
---@param view table
---@param key any of the owner
---@param named heddle.NamedFilters?
---@return table plan
---@return any[] params
function members.count(view, key, named)
  local to = shape.new("count", named)
  filter.members(to, view, { key }, none)
  return shape.plan(to, view.target, select.build_count), to.params
end

---The members in a list of rows: a pivot that is an entity may hold a pair more than once.
---@param view table
---@param list table[]|nil
---@return table[]
function members.distinct(view, list)
  if not list or not (view.pivot and view.pivot.entity) then return list or {} end
  local seen, left = {}, {}
  for _, e in ipairs(list) do
    if not seen[e] then left[#left + 1] = e end
    seen[e] = true
  end
  return left
end

return members
