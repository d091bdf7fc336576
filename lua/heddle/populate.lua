--- Populate: what the paths of a query lead to, loaded in one query a level, never one a row.
---
--- The paths become a tree of levels, checked against the mappings before anything is sent; walking it asks a *loader*
--- for the targets of a whole level at once. There are two: one for the instances of an entity manager, one for
--- those of nobody.
local compat = require("heddle.compat")
local later = require("heddle.later")
local family = require("heddle.family")
local find_options = later.module("heddle.find_options")
local members = later.module("heddle.relations.members")
local named_filters = later.module("heddle.named_filters")
local names = later.module("heddle.named_filters.names")
local tree = require("heddle.populate.tree")
local views_of = later.module("heddle.mapping.family")

local populate = {}

populate.plan, populate.single, populate.is_to_one = tree.plan, tree.single, tree.is_to_one

---What a query for a relation's targets asks for.
---@param level heddle.Level
---@param view table a relation of it
---@param em heddle.EntityManager
---@param opts? table of the whole query
---@return heddle.LevelOptions
---@return heddle.Part|nil part where it does not ask for all of them in their usual order
---@return heddle.NamedFilters|nil
function populate.asked(level, view, em, opts)
  local below = level.below[view.name]
  local own = below.own
  if below.part == nil then
    local filters = names.layered(opts and opts.filters, own.filters)
    below.named = view.target.named and named_filters.of(em, { filters = filters }) or nil
    below.part = members.part(view, own, below.named) or false
  end
  return own, below.part or nil, below.named
end

---The options with which the targets of a level are selected.
---@param own heddle.LevelOptions
---@param opts? table of the whole query
---@return table
function populate.selected(own, opts)
  return find_options.shared(opts, { fields = own.fields, exclude = own.exclude, order_by = own.order_by,
    limit = own.limit, offset = own.offset })
end

-- No closure over the entity manager: LuaJIT would keep it for the sake of a trace.
local function add_reads(all, level, em, opts)
  for _, view in ipairs(level.views) do
    local _, part = populate.asked(level, view, em, opts)
    for _, map in ipairs(part and part.reads or {}) do all[#all + 1] = map end
    if not populate.is_to_one(view) then
      all[#all + 1] = view.target
      all[#all + 1] = view.pivot and view.pivot.mapping
    end
    add_reads(all, level.below[view.name], em, opts)
  end
  return all
end

---The mappings whose tables the queries for a level read, but for those that to-one relations ask for by key alone: a
---row is found so as it is in memory. Checks what is said about the level.
---@param level heddle.Level
---@param reads table[] is left alone
---@param em heddle.EntityManager
---@param opts? table of the whole query
---@return table[] more than `reads`
function populate.reads(level, reads, em, opts)
  if not level.views[1] then return reads end
  return add_reads({ compat.unpack(reads) }, level, em, opts)
end

local function is_relation(view)
  return view.target ~= nil and view.kind ~= "embedded"
end

local function targets(loader, level, view, list)
  if populate.is_to_one(view) then return loader:targets(level, view, list) end
  return loader:members(level, view, list)
end

---Loads a level and what is below it, for all instances of the list.
---@param loader table with the methods `targets(level, view, list)` and `members(level, view, list)`, which give what
---to-one and other relations lead to, each once, as far as it was asked for
---@param level heddle.Level
---@param list table[]
function populate.run(loader, level, list)
  if #list == 0 then return end
  for _, view in ipairs(level.views) do
    populate.run(loader, level.below[view.name], targets(loader, level, view, list))
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

---Loads them, but for those that the query speaks of itself.
---@param level? heddle.Level that of the list
function populate.eager(loader, map, list, level)
  for _, view in ipairs(populate.eager_views(map)) do
    local owners = level and level.below[view.name] and {} or having(map, view, list)
    if #owners > 0 then targets(loader, tree.single(map, view), view, owners) end
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
