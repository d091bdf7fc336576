--- What of a row is to be written, beside its raw values: methods of shelves.
local later = require("heddle.later")
local custom = require("heddle.custom")
local embedded_writing = later.module("heddle.embedded.writing")
local generated = later.module("heddle.generated")
local given_key = later.module("heddle.given_key")
local null = require("heddle.null")
local state = require("heddle.state")

local written = {}

local Shelf = {}

---What of a row is to be written, beside its raw values: { [column index] = value or orm.null } and, for a partial row,
---the columns that count. A relation to a row without a key is given to `pending(view, target)`.
function Shelf:written(slot, pending)
  local overlay = self.overlay[slot]
  generated.check(self, slot)
  local values = embedded_writing.write(self, slot, self:converted(slot))
  if self.kinds then values = self:with_discriminator(slot, values) end
  if not overlay then return values, nil end
  local related = overlay.rel
  for _, view in ipairs(self.mapping.list) do
    local value = overlay.hidden[view.name]
    if value ~= nil and view.column and not view.embedded then
      values = values or {}
      values[view.column.index] = custom.to_db(view.column, value)
    end
    local target = related[view.name]
    if target ~= nil then
      values = values or {}
      self:write_relation(values, view, target, pending)
    end
  end
  return values, self:mask(overlay)
end

-- What tells of which entity the row is, where the instance does not hold it.
function Shelf:with_discriminator(slot, values)
  local column = self.mapping.discriminator
  if column.raw or not self.new[slot] then return values end
  values = values or {}
  values[column.index] = getmetatable(self.instances[slot]).definition.discriminator_value
  return values
end

-- Database values of the raw properties that a custom type converts. What equals its snapshot is not among them; to a
-- new row nil is the database's default, to others NULL.
function Shelf:converted(slot)
  local values
  for _, column in ipairs(custom.columns(self.mapping)) do
    local value = rawget(self.instances[slot], column.property)
    if value == nil and not self.new[slot] then value = null end
    if column.view.raw and value ~= nil
      and state.differs(self, column, value, state.snapshot(self, slot, column.index)) then
      values = values or {}
      values[column.index] = custom.to_db(column, value)
      if values[column.index] == nil then values[column.index] = null end
    end
  end
  return values
end

function Shelf.write_relation(_, values, view, target, pending)
  if target == null then
    for _, column in ipairs(view.columns) do values[column.index] = null end
    return
  end
  local meta = getmetatable(target)
  local other = meta.box.shelf
  local key = given_key.coming(other, meta.slot_of[target])
  if #key == 0 then return pending(view, target) end
  for i, column in ipairs(view.columns) do values[column.index] = key[i] end
end

function Shelf:mask(overlay)
  if not overlay.loaded then return nil end
  local mask, related = {}, overlay.rel
  for index in pairs(overlay.loaded) do mask[index] = true end
  for index in pairs(overlay.assigned) do
    if not overlay.loaded[index] then mask[index] = "assigned" end
  end
  for _, view in ipairs(self.mapping.list) do
    if related[view.name] ~= nil then
      for _, column in ipairs(view.columns) do mask[column.index] = mask[column.index] or "assigned" end
    end
  end
  return mask
end

---Gives shelves these methods.
---@param class table
function written.add(class)
  for name, method in pairs(Shelf) do class[name] = method end
end

return written
