--- Relations in the data of a new instance. All are checked before the first is assigned: assigning acts at once, and
--- what is refused must not be left in the collections of others, nor have taken a place from somebody.
local instance = require("heddle.instance")
local later = require("heddle.later")
local null = require("heddle.null")
local relate = require("heddle.relate")
local relations = require("heddle.relations")
local shown = later.module("heddle.relations.shown")

local given = {}

local kind_of = instance.kind_of

---@class heddle.Given
---@field prop table
---@field value any what is to be assigned
---@field targets? table[] the instances that it speaks of

local function targets_of(meta, item)
  if item.value == null then return {} end
  if kind_of(item.prop) == "one" or item.prop.kind == "one_to_one" then return { item.value } end
  return shown.list(meta, item.prop, item.value)
end

-- The entity manager of a member that has to follow.
local function manager_of(list)
  for _, item in ipairs(list) do
    for _, target in ipairs(kind_of(item.prop) == "many" and item.targets or {}) do
      local box = getmetatable(target).box
      if box then return box.shelf.em end
    end
  end
end

---Checks all; to-one relations of the key can be read then, so that the key may be asked for. Raises `validation`,
---`wrong_context`, `not_managed`.
---@param e table an instance of no entity manager that nobody has seen yet
---@param list heddle.Given[]
---@param em? table the one that is about to manage it
function given.check(e, list, em)
  local meta = getmetatable(e)
  for _, item in ipairs(list) do
    local prop = item.prop
    item.targets = targets_of(meta, item)
    for _, target in ipairs(item.targets) do
      if kind_of(prop) == "one" then relate.check(meta, prop, target) else relate.check_member(e, prop, target) end
    end
  end
  em = em or manager_of(list)
  if em then relate.check_coming(em, e, list) end
  for _, item in ipairs(list) do
    if item.prop.primary and kind_of(item.prop) == "one" then instance.own(e).values[item.prop.name] = item.value end
  end
end

-- Assigning these in turn, the last first, takes back what assigning an item does: the instance's own side, who has had
-- the members, who has had the place of a one_to_one.
local function note_former(undo, e, item)
  local prop, name = item.prop, item.prop.name
  if prop.kind == "many_to_many" then
    undo[#undo + 1] = { e, name, {} }
    return
  end
  if kind_of(prop) == "one" then undo[#undo + 1] = { e, name, nil } end
  for _, target in ipairs(item.targets) do
    local other = relations.partner_of(e, prop, target)
    local is_single = other and other.kind == "one_to_one" and kind_of(other) == "many"
    local state = is_single and relations.known(target, other.name)
    local former = state and state:known()[1]
    if former then undo[#undo + 1] = { former, name, target } end
    if kind_of(prop) == "many" and not relate.is_unread(target, other) then
      undo[#undo + 1] = { target, other.name, target[other.name] }
    end
  end
end

---Assigns all that was checked.
---@param e table
---@param list heddle.Given[]
---@param undo? table[] gets what `given.retract` has to do
function given.assign(e, list, undo)
  for _, item in ipairs(list) do
    local prop = item.prop
    if prop.primary and kind_of(prop) == "one" then instance.own(e).values[prop.name] = nil end
    if undo then note_former(undo, e, item) end
    e[prop.name] = item.value
  end
end

---Leaves the others as they were when the instance cannot be made after all.
function given.retract(undo)
  for i = #undo, 1, -1 do
    local e, name, value = undo[i][1], undo[i][2], undo[i][3]
    e[name] = value
  end
end

return given
