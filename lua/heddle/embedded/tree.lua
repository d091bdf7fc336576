--- Where embedded values stand in managed rows, and how one is made of its columns.
local embedded = require("heddle.embedded")
local null = require("heddle.null")
local state = require("heddle.state")

local tree = {}

---The embedded views of an instance: with single-table inheritance a row has columns that are not its class's.
---@param map table of its table
---@param e table
---@return table[] views
function tree.views(map, e)
  if not map.members then return map.embedded end
  local definition = getmetatable(e).definition
  map.embedded_of = map.embedded_of or {}
  local list = map.embedded_of[definition]
  if not list then
    list = {}
    for _, view in ipairs(map.embedded) do
      if definition.by_name[view.name] then list[#list + 1] = view end
    end
    map.embedded_of[definition] = list
  end
  return list
end

---The value of a property in memory, and whether it is known: a hidden one may never have been asked for.
function tree.held(overlay, e, view)
  local value
  if view.raw then value = rawget(e, view.name) else value = overlay and overlay.hidden[view.name] end
  local known = view.raw or value ~= nil
  if value == null then value = nil end
  return value, known
end

function tree.put(shelf, slot, e, view, value)
  if view.raw then return rawset(e, view.name, value) end
  state.overlay(shelf, slot).hidden[view.name] = value == nil and null or value
end

-- A flattened value; nil when it may be absent and has nothing in it.
local function build(node, get)
  local value, any = {}, false
  for _, member in ipairs(node.members) do
    local item, found
    if member.column then
      item = get(member.column)
      found = item ~= nil
    elseif member.members then
      item, found = build(member, get)
    end
    value[member.name], any = item, any or found
  end
  if not any and node.prop.nullable then return nil, false end
  return setmetatable(value, embedded.meta(embedded.of(node.prop))), any
end

---The value of a view, of the program's values of its columns.
---@param view table
---@param get fun(column: table): any
function tree.build(view, get)
  local node = view.embedded
  if node.column then return get(node.column) end
  return (build(node, get))
end

---Makes a value the instance's own, with what is nested in it.
function tree.own(node, value, e)
  if type(value) ~= "table" then return value end
  value = embedded.claim(value, e, node.path)
  for _, member in ipairs(not node.column and node.members or {}) do
    if member.members and not member.column then tree.own(member, rawget(value, member.name), e) end
  end
  return value
end

---The value of a flattened node that a row's snapshot stands for.
---@param at table a shelf, or a metatable of its instances
---@return table|nil value
---@return boolean any whether anything is in it
function tree.of_node(at, slot, node)
  return build(node, function(column) return state.value(column, state.snapshot(at, slot, column.index)) end)
end

---The value that a row's snapshot stands for.
---@param at table a shelf, or a metatable of its instances
function tree.of_snapshot(at, slot, view)
  if view.column then return state.value(view.column, state.snapshot(at, slot, view.column.index)) end
  return (tree.of_node(at, slot, view.embedded))
end

---The value of a property that its columns' snapshots stand for.
function tree.value_of(at, slot, view)
  if view.embedded then return tree.of_snapshot(at, slot, view) end
  return state.value(view.column, state.snapshot(at, slot, view.column.index))
end

---Whether a row has the value: an embedded value is loaded as a whole.
function tree.is_loaded(overlay, view)
  if not overlay or not overlay.loaded then return true end
  local index = view.stored[1].index
  return overlay.loaded[index] or overlay.assigned[index]
end

return tree
