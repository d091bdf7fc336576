--- Populate: the targets of to-one relations of many entities, in one query a level.
local errors = require("heddle.errors")
local op = require("heddle.op")
local resolve = require("heddle.resolve")

local populate = {}

local MANY = 1000 -- keys of one query

local function is_to_one(view)
  return view.columns ~= nil and #view.columns > 0
end

-- Distinct targets that are not loaded.
local function missing(em, view, list)
  local shelf, seen, found = em:shelf_of(view.target), {}, {}
  for _, e in ipairs(list) do
    local target = e[view.name]
    if target ~= nil and not seen[target] then
      seen[target] = true
      local slot = shelf.slot_of[target]
      local state = slot and shelf:state(slot)
      if state == "reference" then found[#found + 1] = slot end
    end
  end
  return found, shelf
end

local function filter_of(map, shelf, slots, first, last)
  if #map.key == 1 then
    local keys = {}
    for i = first, last do keys[#keys + 1] = shelf:program_key(slots[i])[1] end
    return { [map.key[1].property] = op.one_of(keys) }
  end
  local any = {}
  for i = first, last do
    local values, where = shelf:program_key(slots[i]), {}
    for k, column in ipairs(map.key) do where[column.property] = values[k] end
    any[#any + 1] = where
  end
  return op.any(any)
end

local function targets_of(view, list)
  local seen, targets = {}, {}
  for _, e in ipairs(list) do
    local target = e[view.name]
    if target ~= nil and not seen[target] then
      seen[target] = true
      targets[#targets + 1] = target
    end
  end
  return targets
end

local function load_level(em, view, list)
  local slots, shelf = missing(em, view, list)
  for first = 1, #slots, MANY do
    local last = math.min(first + MANY - 1, #slots)
    em:find(view.target.class, filter_of(view.target, shelf, slots, first, last), { flush_mode = "commit" })
  end
  return targets_of(view, list)
end

local function view_of(map, name)
  local view = resolve.view(map, name, "populate")
  if is_to_one(view) then return view end
  if view.kind == "scalar" then
    if view.column and view.column.lazy then return nil end
    errors.raise("validation", ("populate of %s: '%s' is no relation"):format(map.name, name),
      { entity = map.name, property = name })
  end
  errors.raise("unsupported", ("populate of %s: '%s' is a %s, which cannot be loaded yet"):format(map.name, name,
    view.kind),
    { entity = map.name, property = name })
end

local function run_path(em, map, list, path)
  for name in path:gmatch("[^.]+") do
    local view = view_of(map, name)
    if not view or #list == 0 then return end
    list, map = load_level(em, view, list), view.target
  end
end

---Loads what the paths name, for all entities of the list.
---@param em table
---@param map table
---@param list table[]
---@param paths string[]|string "author", "author.team"; "*" for every to-one relation
function populate.run(em, map, list, paths)
  if type(paths) == "string" then paths = { paths } end
  if type(paths) ~= "table" then
    errors.raise("validation", ("populate of %s takes a list of paths"):format(map.name), { entity = map.name })
  end
  for _, path in ipairs(paths) do
    if type(path) ~= "string" then
      errors.raise("validation", ("populate of %s takes a list of paths, each a string"):format(map.name),
        { entity = map.name })
    end
    if path == "*" then
      for _, view in ipairs(map.list) do
        if is_to_one(view) then load_level(em, view, list) end
      end
    else
      run_path(em, map, list, path)
    end
  end
end

---Relations that say `eager = true`.
function populate.eager(em, map, list)
  local eager = map.eager_views
  if not eager then
    eager = {}
    for _, view in ipairs(map.list) do
      if view.prop.eager and is_to_one(view) then eager[#eager + 1] = view end
    end
    map.eager_views = eager
  end
  for _, view in ipairs(eager) do load_level(em, view, list) end
end

return populate
