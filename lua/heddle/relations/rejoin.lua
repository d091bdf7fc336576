--- An instance is persisted that a rollback left with what it had, or made new again: those that it leads to may have
--- forgotten it, and those that it lists may lead elsewhere, for they have what they had when the transaction began.
--- What a row's own columns and pairs would say is so; the other sides follow.
local instance = require("heddle.instance")
local relate = require("heddle.relate")
local relations = require("heddle.relations")

local rejoin = {}

local function leads_back(e, prop, other)
  local back = relations.partner(prop, getmetatable(e).definition, getmetatable(other).definition)
  if not back then return true end
  if prop.kind ~= "many_to_many" then return (relate.peek(other, back)) == e end
  local state = relations.known(other, back.name)
  return state ~= nil and state:has(e) == true
end

local function lead_to(e, prop, other)
  local back = relations.partner(prop, getmetatable(e).definition, getmetatable(other).definition)
  if back then relations.collection(other, back.name):take(e) end
end

local function follow(e, prop, state)
  local members = {}
  for i, other in ipairs(state:known()) do members[i] = other end
  for _, other in ipairs(members) do
    if prop.kind == "many_to_many" and prop.owner then
      lead_to(e, prop, other)
    elseif not leads_back(e, prop, other) then
      state:drop(other)
    end
  end
end

---Both sides of the relations of an instance that is managed from now on.
---@param e table
function rejoin.follow(e)
  for _, prop in ipairs(getmetatable(e).definition.properties) do
    local kind = instance.kind_of(prop)
    local state = kind == "many" and relations.known(e, prop.name)
    if kind == "one" then
      local target = relate.peek(e, prop)
      if target then relations.moved(e, prop, nil, target) end
    elseif state then
      follow(e, prop, state)
    end
  end
end

return rejoin
