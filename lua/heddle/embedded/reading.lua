--- Embedded values of rows that are read: made of their columns, and merged with what is in memory (I3).
local core = require("heddle.core")
local custom = require("heddle.custom")
local embedded = require("heddle.embedded")
local state = require("heddle.state")
local tree = require("heddle.embedded.tree")

local reading = {}

local function own_snapshot(shelf, slot, e, view)
  return tree.own(view.embedded, tree.of_snapshot(shelf, slot, view), e)
end

-- The views whose columns a plan reads.
local function views_read(plan)
  local list = plan.embedded
  if not list then
    list = {}
    local seen = {}
    for _, column in ipairs(plan.columns) do
      if column.at and not seen[column.view] then
        seen[column.view] = true
        list[#list + 1] = column.view
      end
    end
    plan.embedded = list
  end
  return list
end

---A document in the form in which this program stores it; other values as they are.
function reading.stored(column, value)
  if value ~= nil and column.custom and column.custom.embedded then return (column.custom.loose(value)) end
  return value
end

-- The snapshot of a document that was read becomes what this program would have written. Gives the value.
local function fresh_document(shelf, slot, column, image)
  local document = core.from_image(image)
  local stored, value = column.custom.loose(document)
  if stored ~= document then state.set_snapshot(shelf, slot, column.index, core.image(stored)) end
  return value
end

---A row that was not there before gets its values; its snapshot has been taken.
function reading.fresh(shelf, slot, plan)
  local e = shelf.instances[slot]
  local by_name = getmetatable(e).definition.by_name
  for _, view in ipairs(views_read(plan)) do
    local value
    for _, column in ipairs(view.stored) do
      local image = column.custom and column.custom.embedded and state.snapshot(shelf, slot, column.index)
      if image then value = fresh_document(shelf, slot, column, image) end
    end
    if view.raw and by_name[view.name] then
      if not view.column then value = tree.of_snapshot(shelf, slot, view) end
      rawset(e, view.name, tree.own(view.embedded, value, e))
    end
  end
end

-- Takes over a value that no member of was changed in memory.
local function pour(node, value, fresh, e)
  if node.column then return embedded.pour(not node.prop.array and embedded.of(node.prop) or nil, value, fresh) end
  for name in pairs(value) do
    if not node.by_name[name] then rawset(value, name, nil) end
  end
  for _, member in ipairs(node.members) do
    local a, b = rawget(value, member.name), rawget(fresh, member.name)
    local is_nested = member.members and not member.column and type(a) == "table" and type(b) == "table"
    if is_nested and embedded.is_owned(a, e, member.path) then
      pour(member, a, b, e)
    elseif member.prop.persist ~= false then
      rawset(value, member.name, b)
    end
  end
  return value
end

local function put_fresh(shelf, slot, e, view, value)
  local fresh = own_snapshot(shelf, slot, e, view)
  if type(value) == "table" and type(fresh) == "table" and embedded.is_owned(value, e, view.name) then
    pour(view.embedded, value, fresh, e)
    tree.own(view.embedded, value, e)
  elseif view.raw then
    rawset(e, view.name, fresh)
  else
    local overlay = shelf.overlay[slot]
    if overlay then overlay.hidden[view.name] = nil end
  end
end

-- One member of a value of which others were changed.
local function put_part(node, value, column, item, e)
  for i = 1, #column.at - 1 do
    node = node.by_name[column.at[i]]
    local inner = rawget(value, node.name)
    if type(inner) ~= "table" then
      if item == nil then return end
      inner = setmetatable({}, embedded.meta(embedded.of(node.prop)))
    end
    inner = embedded.claim(inner, e, node.path)
    rawset(value, node.name, inner)
    value = inner
  end
  rawset(value, column.at[#column.at], item)
end

-- Which columns of a view the row says something new about and memory has not changed; and whether it has changed any.
local function compare(shelf, slot, view, value, row)
  local news, changed = {}, false
  for _, column in ipairs(view.stored) do
    local image = state.snapshot(shelf, slot, column.index)
    local stored = reading.stored(column, row[column.index])
    if not column.generated and state.differs(shelf, column, embedded.part(value, column), image) then
      changed = true
    elseif not (stored == image or state.is_mutable(column) and core.same_image(stored, image)) then
      news[#news + 1] = column
      state.set_snapshot(shelf, slot, column.index, state.image(column, stored))
    end
  end
  return news, changed
end

local function merge_view(shelf, slot, e, view, row)
  local value, known = tree.held(shelf.overlay[slot], e, view)
  if not known then
    for _, column in ipairs(view.stored) do
      state.set_snapshot(shelf, slot, column.index, state.image(column, reading.stored(column, row[column.index])))
    end
    return
  end
  local news, changed = compare(shelf, slot, view, value, row)
  if not news[1] then return end
  if not changed then return put_fresh(shelf, slot, e, view, value) end
  if type(value) ~= "table" then return end
  value = embedded.claim(value, e, view.name)
  tree.put(shelf, slot, e, view, value)
  for _, column in ipairs(news) do
    put_part(view.embedded, value, column, state.value(column, state.snapshot(shelf, slot, column.index)), e)
  end
end

---A managed row is read again (I3): members that were not changed in memory are refreshed, in place.
---@param row table values by column index
function reading.merge(shelf, slot, plan, row)
  local e, overlay = shelf.instances[slot], shelf.overlay[slot]
  local by_name = getmetatable(e).definition.by_name
  for _, view in ipairs(views_read(plan)) do
    local loaded = not overlay or not overlay.loaded or overlay.loaded[view.stored[1].index]
    if loaded then
      merge_view(shelf, slot, e, view, row)
    else
      for _, column in ipairs(view.stored) do
        state.set_snapshot(shelf, slot, column.index, state.image(column, reading.stored(column, row[column.index])))
      end
      local is_kept = overlay.assigned[view.stored[1].index] or not by_name[view.name]
      if view.raw and not is_kept then rawset(e, view.name, own_snapshot(shelf, slot, e, view)) end
    end
  end
end

local function restore_view(shelf, slot, e, view)
  local overlay = shelf.overlay[slot]
  if not view.raw then
    if overlay then overlay.hidden[view.name] = nil end
  elseif not overlay or not overlay.loaded or overlay.loaded[view.stored[1].index] then
    put_fresh(shelf, slot, e, view, rawget(e, view.name))
  else
    rawset(e, view.name, nil)
  end
end

---A row gets the values of its snapshot again.
---@param columns? table[] of these only
function reading.restore(shelf, slot, e, columns)
  local wanted
  for _, column in ipairs(columns or {}) do
    wanted = wanted or {}
    wanted[column.view] = true
  end
  for _, view in ipairs(tree.views(shelf.mapping, e)) do
    if not columns or wanted and wanted[view] then restore_view(shelf, slot, e, view) end
  end
end

---An instance of no entity manager gets its values.
---@param e table
---@param row table values by column index
---@return fun(view: table): any
function reading.unmanaged(e, plan, row)
  local list, by_name = {}, getmetatable(e).definition.by_name
  for _, view in ipairs(views_read(plan)) do
    local value = by_name[view.name] and tree.build(view, function(column)
      return custom.from_db(column, reading.stored(column, row[column.index]))
    end)
    if value then list[#list + 1] = { view = view, value = tree.own(view.embedded, value, e) } end
  end
  return list
end

return reading
