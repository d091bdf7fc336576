--- What stands beside each other in the rows of a joined query is linked: collections are filled, relations of
--- instances of nobody lead somewhere.
local loading = require("heddle.relations.loading")
local managed = require("heddle.populate.managed")
local populate = require("heddle.populate")
local relations = require("heddle.relations")
local rows = require("heddle.joined.rows")
local unmanaged = require("heddle.populate.unmanaged")

local link = {}

-- Calls fn(owner, target, with) for everything that stands beside each other, again and again where a product repeats
-- it. What fn needs is given to it: LuaJIT would keep a closure, and the instances in it, for the sake of a trace.
local function each_pair(lists, part, fn, with)
  local owners, targets = lists[part.above.number].results, lists[part.number].results
  local owner, target
  for i = 1, #owners do
    if owners[i] ~= owner or targets[i] ~= target then
      owner, target = owners[i], targets[i]
      if owner and target then fn(owner, target, with) end
    end
  end
end

local function add_member(owner, member, into)
  local own, shared = into.members[owner], into.shared
  if not own then
    own = {}
    into.members[owner] = own
    if shared then shared[owner] = {} end
  end
  local known = shared and shared[owner] or into.seen
  if not known[member] then
    known[member] = true
    own[#own + 1] = member
  end
end

-- Members by owner, each once, in the order of the rows. Only pairs give a member several owners.
local function by_owner(lists, part)
  local into = { members = {}, seen = {}, shared = part.view.pivot and {} }
  each_pair(lists, part, add_member, into)
  return into.members
end

-- Managed --------------------------------------------------------------------------------------------------

local function set_of(list)
  local set = {}
  for i = 1, #list do set[list[i]] = true end
  return set
end

-- Those whose relation leads to what did not come with the rows: where the program has made it lead to, or what a
-- filter hides that is loaded all the same.
local function elsewhere(part, owners)
  local view, some, seen = part.view, {}, set_of(part.found)
  for _, e in ipairs(owners) do
    local meta, target = getmetatable(e), managed.target_of(e, view)
    if target ~= nil and not seen[target] then
      local overlay = meta.overlay and meta.overlay[meta.slot_of[e]]
      local is_hidden = part.own.where == nil and getmetatable(target).load_state ~= "reference"
      if is_hidden or overlay and overlay.rel[view.name] ~= nil then some[#some + 1] = e end
    end
  end
  return some
end

-- Members that are known and did not come with the rows.
local function others(view, owners, targets)
  local some, seen = {}, set_of(targets)
  for _, e in ipairs(owners) do
    for _, member in ipairs(relations.collection(e, view.name):known()) do
      if not seen[member] then
        seen[member] = true
        some[#some + 1] = member
      end
    end
  end
  return some
end

---Links managed instances: collections that are not known are filled, with `refresh` all of them.
---@param em heddle.EntityManager
---@param list heddle.JoinedPart[] get `found`, the instances, and `left`, what memory leads to instead
---@param lists table[] as rows.managed gives them
---@param refresh boolean|nil
function link.managed(em, list, lists, refresh)
  for number, part in ipairs(list) do
    part.found = rows.distinct(lists[number].results)
    local view, owners = part.view, part.above and part.above.found
    if view and populate.is_to_one(view) then
      if view.kind == "one_to_one" and view.inverse then
        managed.fill_inverses(view, owners)
      end
      part.left = elsewhere(part, owners)
    elseif view then
      loading.fill(em, view, owners, by_owner(lists, part), part.asked, refresh)
      part.left = others(view, owners, part.found)
    end
  end
end

-- Unmanaged ------------------------------------------------------------------------------------------------

local function point(e, target, view)
  unmanaged.point_to(e, view, target)
end

---Links instances of no entity manager.
---@param list heddle.JoinedPart[] get `found`
---@param lists table[] as rows.unmanaged gives them
---@param loader table of populate; gets to know them
function link.unmanaged(list, lists, loader)
  for number, part in ipairs(list) do
    part.found = rows.distinct(lists[number].results)
    loader:know(part.map, part.found)
    local view, owners = part.view, part.above and part.above.found
    if view and populate.is_to_one(view) then
      each_pair(lists, part, point, view)
      -- Who is not asked for may be there all the same.
      if part.asked then loader:point(view, owners) end
    elseif view then
      local members = by_owner(lists, part)
      for _, e in ipairs(owners) do unmanaged.fill(e, view, members[e] or {}, part.asked) end
    end
  end
end

return link
