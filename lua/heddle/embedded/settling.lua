--- Embedded values behind a flush: what was written gets the form that a read would give (U7), database defaults and
--- generated values included; the tables stay the program's.
local compat = require("heddle.compat")
local core = require("heddle.core")
local custom = require("heddle.custom")
local embedded = require("heddle.embedded")
local normal_form = require("heddle.normal_form")
local null = require("heddle.null")
local state = require("heddle.state")
local tree = require("heddle.embedded.tree")

local settling = {}

local function put(value, name, new, given)
  given[#given + 1] = { e = value, property = name, value = rawget(value, name) }
  rawset(value, name, new)
end

local function is_identical(a, b)
  if a ~= b or compat.math_type(a) ~= compat.math_type(b) then return false end
  return a ~= 0 or 1 / a == 1 / b
end

-- Documents -----------------------------------------------------------------------------------------------------

-- Whether two values of a member are one, in one form.
local function is_same(prop, a, b)
  if a == nil or b == nil or a == null then return a == b end
  if custom.converts(prop.custom) then
    local same, column = normal_form.are_one(prop.custom, a, b), { custom = prop.custom, converts = true }
    if same ~= nil then return same end
    a, b = custom.to_db(column, a), custom.to_db(column, b)
  end
  if type(a) == "table" and type(b) == "table" then return core.same_image(a, core.image(b)) end
  return is_identical(a, b)
end

local align

local function align_list(embeddable, list, fresh, given)
  for i, item in ipairs(list) do
    if type(item) == "table" and type(fresh[i]) == "table" then align(embeddable, item, fresh[i], given) end
  end
end

local function align_value(prop, value, fresh, given)
  return (prop.array and align_list or align)(embedded.of(prop), value, fresh, given)
end

-- Gives a value of a document the form of another one, in place.
function align(embeddable, value, fresh, given)
  for _, prop in ipairs(embeddable.properties) do
    local a, b = rawget(value, prop.name), rawget(fresh, prop.name)
    if prop.persist ~= false then
      if prop.kind == "embedded" and type(a) == "table" and type(b) == "table" then
        align_value(prop, a, b, given)
      elseif not is_same(prop, a, b) then
        put(value, prop.name, b, given)
      end
    end
  end
end

-- Columns -------------------------------------------------------------------------------------------------------

-- Whether a value has the form that a read of its column would give.
local function is_settled(column, value, image)
  if value == nil or image == nil then return value == image end
  if value == null then return false end
  if column.converts and column.custom.embedded then return not state.is_other(column, value, image) end
  if column.converts then return (normal_form.of(column, value, image)) end
  if state.is_mutable(column) then return core.same_image(value, image) end
  return is_identical(value, image)
end

local function settle_column(to, place, name, column, prop)
  local value, image = rawget(place, name), state.snapshot(to.shelf, to.slot, column.index)
  if not is_settled(column, value, image) then
    local fresh = state.value(column, image)
    if prop.kind == "embedded" and type(value) == "table" and type(fresh) == "table" then
      align_value(prop, value, fresh, to.given)
    else
      put(place, name, fresh, to.given)
    end
  end
  return image ~= nil
end

local settle_members

-- A flattened value in its place; whether there is anything in it.
local function settle_node(to, place, name, node)
  local value = rawget(place, name)
  if type(value) ~= "table" then
    local fresh, any = tree.of_node(to.shelf, to.slot, node)
    if fresh ~= nil or value ~= nil then put(place, name, tree.own(node, fresh, to.e), to.given) end
    return any
  end
  local any = settle_members(to, value, node)
  if not any and node.prop.nullable then put(place, name, nil, to.given) end
  return any
end

function settle_members(to, value, node)
  local any = false
  for _, member in ipairs(node.members) do
    local found
    if member.column then
      found = settle_column(to, value, member.name, member.column, member.prop)
    elseif member.members then
      found = settle_node(to, value, member.name, member)
    end
    any = any or found
  end
  return any
end

---@param given table list that is told what changes, for undo
function settling.row(shelf, slot, given)
  local map, e, overlay = shelf.mapping, shelf.instances[slot], shelf.overlay[slot]
  if not map.embedded[1] then return end
  local to = { shelf = shelf, slot = slot, e = e, given = given }
  for _, view in ipairs(tree.views(map, e)) do
    local value, known = tree.held(overlay, e, view)
    if known and tree.is_loaded(overlay, view) then
      local place = view.raw and e or { [view.name] = value }
      if view.column then
        settle_column(to, place, view.name, view.column, view.prop)
        if view.raw then tree.own(view.embedded, rawget(e, view.name), e) end
      else
        settle_node(to, place, view.name, view.embedded)
      end
    end
  end
end

return settling
