--- Generated columns are the database's: what it computes is read back, what the program assigns is refused. Members of
--- embedded values are put back in line instead, since a value may have been another entity's.
local errors = require("heddle.errors")
local null = require("heddle.null")
local state = require("heddle.state")

local generated = {}

---Refuses a value for a generated property. Raises `validation`.
---@param entity string
---@param name string
---@param context string|nil
function generated.refuse(entity, name, context)
  errors.raise("validation", ("%s.%s: the database generates this value; it cannot be assigned"):format(entity, name),
    { context = context, entity = entity, property = name })
end

local function columns_of(map)
  local list = map.generated_columns
  if not list then
    list = {}
    for _, column in ipairs(map.columns) do
      if column.generated and not column.at then list[#list + 1] = column end
    end
    map.generated_columns = list
  end
  return list
end

---Whether an entity has generated properties.
---@return boolean
function generated.has_columns(map)
  return columns_of(map)[1] ~= nil
end

local function is_assigned(shelf, slot, e, column)
  local overlay, view = shelf.overlay[slot], column.view
  local value
  if view.raw then value = rawget(e, view.name) else value = overlay and overlay.hidden[view.name] end
  if overlay and overlay.loaded and not overlay.loaded[column.index] then return overlay.assigned[column.index] end
  if value == nil and not view.raw then return false end
  if value == null then value = nil end
  return state.differs(shelf, column, value, state.snapshot(shelf, slot, column.index))
end

---Raises `validation` when a generated property of a managed row was assigned.
---@param shelf table
---@param slot integer
function generated.check(shelf, slot)
  if shelf.new[slot] then return end
  local e = shelf.instances[slot]
  for _, column in ipairs(columns_of(shelf.mapping)) do
    if is_assigned(shelf, slot, e, column) then
      generated.refuse(column.entity, column.property, shelf.mapping.context)
    end
  end
end

return generated
