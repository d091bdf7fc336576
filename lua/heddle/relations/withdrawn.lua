--- Instances that leave their entity manager without their row being deleted: new ones that are not to be written after
--- all, and those that are detached. Collections do not hold what nobody manages: a flush could not write it, and
--- another instance may stand for the row by and by.
local cascade = require("heddle.relations.cascade")
local holders = require("heddle.relations.holders")
local instance = require("heddle.instance")
local relate = require("heddle.relate")
local relations = require("heddle.relations")
local state = require("heddle.state")

local withdrawn = {}

local function holds(list, e)
  for i = 1, #(list or {}) do
    if list[i] == e then return true end
  end
  return false
end

-- Where the row is a member in the database, members are not known any more; what was added and removed besides stays.
local function let_go(list, e)
  if not holds(list.snapshot, e) then return list:drop(e) end
  if list.replaced then return end
  local added, removed = list:differences()
  list:touch()
  list:reopen()
  for _, other in ipairs(added) do list:take(other) end
  for _, other in ipairs(removed) do
    if other ~= e then list:drop(other) end
  end
end

-- A many_to_many may have one side only, or be known on one side only: every collection that may hold it is asked.
local function leave_pairs(em, e)
  for _, list in ipairs(holders.lists(em, e)) do let_go(list, e) end
end

-- What was assigned and changes nothing is what the foreign key says, whoever will stand for the row. Nothing says so
-- of a row that is new.
local function leave_rows(em, e)
  local own = getmetatable(e)
  if own.box.shelf.new[own.slot_of[e]] then return end
  for _, at in ipairs(holders.relations(em, e)) do
    local loaded, view = at.overlay.loaded, at.view
    local is_read = not loaded or loaded[view.columns[1].index]
    if is_read and not state.points_elsewhere(at.shelf, at.slot, view, e) then at.overlay.rel[view.name] = nil end
  end
end

---What an instance belongs to lets go of it, before it leaves.
---@param em table
---@param e table managed
function withdrawn.withdraw(em, e)
  local meta = getmetatable(e)
  leave_pairs(em, e)
  leave_rows(em, e)
  for _, prop in ipairs(meta.definition.properties) do
    local target = instance.kind_of(prop) == "one" and relate.peek(e, prop)
    local back = target and relations.partner_of(e, prop, target)
    local list = back and relations.known(target, back.name)
    if list and list:has(e) then let_go(list, e) end
  end
end

local function is_new(em, e)
  local box = getmetatable(e).box
  return box and box.shelf and box.shelf.em == em and box.shelf.new[getmetatable(e).slot_of[e]] ~= nil
end

---A new row is not to be written after all, nor what it would take along; rows among that are marked for removal.
---@param em table
---@param e table
---@return table[] list the new rows that the caller lets go of, those first that took others along
function withdrawn.forget(em, e)
  local list, seen, at = { e }, { [e] = true }, 1
  while list[at] do
    withdrawn.withdraw(em, list[at])
    for _, prop in ipairs(cascade.removing_props(getmetatable(list[at]).definition)) do
      for _, member in ipairs(relations.members(list[at], prop)) do
        if not is_new(em, member) then
          cascade.remove_target(em, member)
        elseif not seen[member] then
          seen[member], list[#list + 1] = true, member
        end
      end
    end
    at = at + 1
  end
  return list
end

return withdrawn
