--- The values of a row at one moment, to be given back later.
local instance = require("heddle.instance")
local state = require("heddle.state")
local tables_of = require("heddle.embedded.tables")

local row_copy = {}

---Whether two values of the program's have the same contents; instances are the same or not.
function row_copy.is_same(a, b, seen)
  if a == b then return true end
  if type(a) ~= "table" or type(b) ~= "table" or instance.meta_of(a) or instance.meta_of(b) then return false end
  seen = seen or {}
  if seen[a] then return true end
  seen[a] = true
  for key, value in next, a do
    if not row_copy.is_same(value, rawget(b, key), seen) then return false end
  end
  for key in next, b do
    if rawget(a, key) == nil then return false end
  end
  return true
end

---The values of a row as they are now.
function row_copy.of(shelf, slot)
  local e, raw = shelf.instances[slot], {}
  local views, tables = getmetatable(e).views, {}
  for name, value in next, e do
    raw[name] = instance.copy(value)
    if type(value) == "table" and views[name] and views[name].embedded then tables[name] = tables_of.value(value) end
  end
  local overlay = shelf.overlay[slot]
  local kept = overlay and state.new_overlay(shelf, overlay.loaded and {})
  for _, part in ipairs(kept and { "rel", "hidden", "assigned", overlay.loaded and "loaded" } or {}) do
    for name, value in pairs(overlay[part]) do kept[part][name] = part == "hidden" and instance.copy(value) or value end
  end
  return { e = e, raw = raw, overlay = kept, tables = tables }
end

---Gives a row the values of a copy; tables that have not changed stay the program's own.
function row_copy.restore(shelf, slot, copy)
  local e = shelf.instances[slot]
  if e ~= copy.e then return end
  for name in pairs(e) do
    if copy.raw[name] == nil then rawset(e, name, nil) end
  end
  for name, value in pairs(copy.raw) do
    local view = shelf.mapping.props[name]
    local now = rawget(e, name)
    if copy.tables[name] then
      rawset(e, name, tables_of.give_back(copy.tables[name], value))
    elseif not (type(value) == "table" and view and view.column and now ~= nil
      and state.is_equal(shelf, view.column, now, value)) then
      rawset(e, name, value)
    end
  end
  shelf.overlay[slot] = copy.overlay
end

---What differs between two states of a row's values: appends { part, name, before, after }.
function row_copy.compare(changes, part, before, now, tables)
  for name, value in next, now do
    if not row_copy.is_same(before[name], value) then
      changes[#changes + 1] = { part = part, name = name, before = before[name], tables = tables and tables[name],
        after = part ~= "rel" and instance.copy(value) or value }
    end
  end
  for name, value in next, before do
    if rawget(now, name) == nil then
      changes[#changes + 1] = { part = part, name = name, before = value, tables = tables and tables[name] }
    end
  end
end

return row_copy
