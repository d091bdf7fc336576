--- Populate: what the paths of a query lead to, loaded in one query a level, never one a row.
---
--- The paths become a tree of levels, checked against the mappings before anything is sent; walking it asks a *loader*
--- for the targets of a whole level at once. There are two: one for the instances of an entity manager, one for
--- those of nobody.
local compat = require("heddle.compat")
local errors = require("heddle.errors")
local family = require("heddle.family")
local resolve = require("heddle.resolve")
local views_of = require("heddle.mapping.family")

local populate = {}

local function is_relation(view)
  return view.target ~= nil and view.kind ~= "embedded"
end

---Whether a relation's targets are in its own columns; those of other relations are asked for by the owners' keys.
function populate.is_to_one(view)
  return view.columns ~= nil and #view.columns > 0
end

local function refuse(map, name, kind, message)
  return errors.raise(kind, ("populate of %s: %s"):format(map.name, message), { context = map.context,
    entity = map.name, property = name })
end

---@class heddle.Level
---@field map table
---@field views table[] relations to load, in the order of the paths
---@field below table<string, heddle.Level> what is loaded of their targets, by the relation's name
---@field lazy table[] lazy scalars to load
local function new_level(map)
  return { map = map, views = {}, below = {}, lazy = {} }
end

local function add_relation(level, view)
  if not level.below[view.name] then
    level.views[#level.views + 1] = view
    level.below[view.name] = new_level(view.target)
  end
  return level.below[view.name]
end

local function add_path(level, path)
  local top = level.map
  for name, rest in (path .. "."):gmatch("([^.]*)%.()") do
    local map = level and level.map
    local view = level and resolve.view(map, name, "populate")
    if view and view.embedded then
      if rest <= #path then resolve.member(map, view, path:sub(rest), "populate") end
      if view.prop.lazy then level.lazy[#level.lazy + 1] = view end
      return -- a value is loaded as a whole
    elseif view and is_relation(view) then
      level = add_relation(level, view)
    elseif view and view.stored and view.prop.lazy then
      level.lazy[#level.lazy + 1] = view
      level = nil -- nothing can follow
    else
      refuse(view and map or top, name, "validation", ("'%s' is no relation"):format(view and name or path))
    end
  end
end

---The tree of levels that paths stand for. Raises `unknown_property`, `validation`.
---@param map table
---@param paths string[]|string "author", "author.books", a lazy property; "*" for every relation
---@return heddle.Level
function populate.plan(map, paths)
  if type(paths) == "string" then paths = { paths } end
  if type(paths) ~= "table" then refuse(map, nil, "validation", "takes a list of paths, not a " .. type(paths)) end
  local top = new_level(map)
  for _, path in ipairs(paths) do
    if type(path) ~= "string" then
      refuse(map, nil, "validation", "takes a list of paths, each a string, not a " .. type(path))
    elseif path == "*" then
      for _, view in ipairs(map.list) do
        if is_relation(view) then add_relation(top, view) end
      end
    else
      add_path(top, path)
    end
  end
  return top
end

---The mappings whose tables the queries for a level read, but for those that to-one relations ask for: by its key a row
---is found as it is in memory.
---@param level heddle.Level
---@param reads table[] is left alone
---@return table[] more than `reads`
function populate.reads(level, reads)
  if not level.views[1] then return reads end
  local all = { compat.unpack(reads) }
  local function add(below)
    for _, view in ipairs(below.views) do
      if not populate.is_to_one(view) then
        all[#all + 1] = view.target
        all[#all + 1] = view.pivot and view.pivot.mapping
      end
      add(below.below[view.name])
    end
  end
  add(level)
  return all
end

local function targets(loader, map, view, list)
  if populate.is_to_one(view) then return loader:targets(view, list) end
  return loader:members(map, view, list)
end

---Loads a level and what is below it, for all instances of the list.
---@param loader table with the methods `targets(view, list)` and `members(map, view, list)`, which give what to-one and
---other relations lead to, each once, and `lazy(map, views, list)`
---@param level heddle.Level
---@param list table[]
function populate.run(loader, level, list)
  if #list == 0 then return end
  if level.lazy[1] then loader:lazy(level.map, level.lazy, list) end
  for _, view in ipairs(level.views) do
    populate.run(loader, level.below[view.name], targets(loader, level.map, view, list))
  end
end

---The relations that say `eager = true`, of an entity and of those that extend it.
---@return table[] views
function populate.eager_views(map)
  local eager = map.eager_views
  if not eager then
    eager = {}
    for view, declared in views_of.views(map.root) do
      local is_shown = map.props[view.name] == view or family.is_a(declared, map)
      if view.prop.eager and is_relation(view) and is_shown then eager[#eager + 1] = view end
    end
    map.eager_views = eager
  end
  return eager
end

-- Those of a list that have a relation.
local function having(map, view, list)
  if map.props[view.name] == view then return list end
  local some = {}
  for _, e in ipairs(list) do
    if family.of_class(map, getmetatable(e).class).props[view.name] == view then some[#some + 1] = e end
  end
  return some
end

---Loads them.
function populate.eager(loader, map, list)
  for _, view in ipairs(populate.eager_views(map)) do
    local owners = having(map, view, list)
    if #owners > 0 then targets(loader, map, view, owners) end
  end
end

-- A list of more values is filled up to a power of two: it may become twice as long.
local MOST_VALUES = { single = 30000, composite = 16000 }

---Many keys in parts that one statement takes.
---
---Usage: `for part, first in populate.parts(map, keys) do ... end`
---@param map table
---@param keys any[][]
---@return fun(): table|nil, integer iterator: keys as filters take them, and the position of the first
function populate.parts(map, keys)
  local width = #map.key
  local most = width == 1 and MOST_VALUES.single or math.floor(MOST_VALUES.composite / width)
  local first = 1 - most
  return function()
    first = first + most
    if first > #keys then return nil end
    local part = {}
    for i = first, math.min(first + most - 1, #keys) do part[#part + 1] = width == 1 and keys[i][1] or keys[i] end
    return part, first
  end
end

return populate
