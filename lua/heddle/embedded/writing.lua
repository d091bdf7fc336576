--- Embedded values in a flush: what the program assigned is adopted, and its columns' values are given to the change
--- set.
local custom = require("heddle.custom")
local embedded = require("heddle.embedded")
local null = require("heddle.null")
local op = require("heddle.op")
local state = require("heddle.state")
local tree = require("heddle.embedded.tree")

local writing = {}

local function name_of(e)
  return getmetatable(e).definition.name
end

---What the program has assigned becomes a value of the instance. Raises `unknown_property`, `validation`.
---@param given table list that is told what changes, for undo
function writing.adopt(shelf, slot, given)
  local map, e = shelf.mapping, shelf.instances[slot]
  if not map.embedded[1] then return end
  for _, view in ipairs(tree.views(map, e)) do
    local value = tree.held(shelf.overlay[slot], e, view)
    local adopted = value ~= nil and embedded.adopt(view.prop, value, { entity = name_of(e), path = view.name, e = e,
      given = given })
    if adopted and adopted ~= value then
      if view.raw then given[#given + 1] = { e = e, property = view.name, value = value } end
      tree.put(shelf, slot, e, view, adopted)
    end
  end
end

local function require_value(e, node)
  embedded.refuse("validation", { entity = name_of(e), path = node.path }, nil, "is required and has no value")
end

local function write_column(to, column, value)
  local shelf, values = to.shelf, to.values
  if value == nil and column.default_sql then
    if to.is_new then return end
    local is_lost = not column.prop.nullable and state.snapshot(shelf, to.slot, column.index) ~= nil
    if to.was_absent or is_lost then value = op.raw(column.default_sql) end
  end
  if value == nil then value = null end
  if column.converts and not to.is_new
    and not state.differs(shelf, column, value, state.snapshot(shelf, to.slot, column.index)) then return end
  value = custom.to_db(column, value)
  if value == nil then value = null end
  values[column.index] = value
end

local function has_snapshot(to, node)
  if node.column then return state.snapshot(to.shelf, to.slot, node.column.index) ~= nil end
  for _, member in ipairs(node.members or {}) do
    if has_snapshot(to, member) then return true end
  end
  return false
end

-- What a row lacks since before this program is not its fault.
local function is_required(to, member)
  local prop = member.prop
  if prop.nullable or prop.persist == false then return false end
  return to.is_new or to.was_absent or has_snapshot(to, member)
end

-- Nothing is said of columns that the database fills. `absent`: the whole value is NULL.
local function write_members(to, node, value, absent)
  for _, member in ipairs(node.members) do
    local column, item = member.column, nil
    if not absent then item = rawget(value, member.name) end
    local is_missing = item == nil or item == null
    if is_missing and not absent and is_required(to, member) then
      local filled = column and (column.generated or column.default_sql and item == nil)
      if not filled then require_value(to.shelf.instances[to.slot], member) end
    end
    if column and not column.generated then
      if absent then to.values[column.index] = null else write_column(to, column, item) end
    elseif not column and member.members then
      write_members(to, member, item, is_missing)
    end
  end
end

---The columns' values of a row that is written, adopted before: put into `values`. Raises `validation`.
---@param values table|nil by column index
---@return table|nil values
function writing.write(shelf, slot, values)
  local map, e, overlay = shelf.mapping, shelf.instances[slot], shelf.overlay[slot]
  if not map.embedded[1] then return values end
  local to = { shelf = shelf, slot = slot, values = values or {}, is_new = shelf.new[slot] }
  for _, view in ipairs(tree.views(map, e)) do
    local node, value, known = view.embedded, tree.held(overlay, e, view)
    if tree.is_loaded(overlay, view) and (known or to.is_new) then
      if value == nil and not view.prop.nullable then require_value(e, node) end
      to.was_absent = not has_snapshot(to, node)
      if node.column then
        write_column(to, node.column, value)
      else
        write_members(to, node, value, value == nil)
      end
    end
  end
  return to.values
end

-- Generators ----------------------------------------------------------------------------------------------------

---Whether a member of a property's values has `on_create` or `on_update`. Lists have no generators.
---@param prop table
---@param event "create"|"update"
---@return boolean
function writing.generates(prop, event)
  for _, member in ipairs(prop.array and {} or embedded.of(prop).properties) do
    if member["on_" .. event] or member.kind == "embedded" and writing.generates(member, event) then return true end
  end
  return false
end

local function generate(embeddable, value, e, em, event)
  for _, prop in ipairs(embeddable.properties) do
    local item = rawget(value, prop.name)
    if prop.kind == "embedded" then
      if type(item) == "table" and not prop.array then generate(embedded.of(prop), item, e, em, event) end
    elseif event == "create" and prop.on_create and item == nil then
      rawset(value, prop.name, prop.on_create(e, em))
    elseif event == "update" and prop.on_update then
      rawset(value, prop.name, prop.on_update(e, em))
    end
  end
end

---`on_create` and `on_update` of the members of a value; one that is absent stays so.
---@param event "create"|"update"
function writing.generate(em, shelf, slot, view, event)
  local e = shelf.instances[slot]
  local value = tree.held(shelf.overlay[slot], e, view)
  if type(value) == "table" then generate(embedded.of(view.prop), value, e, em, event) end
end

return writing
