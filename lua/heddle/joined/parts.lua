--- Which relations of a query are joined into its own statement: a tree of *parts*, one for each entity in a row.
---
--- What is not joined is in the `rest` of the part that it belongs to, for populate to read by statements of its own:
--- relations whose entry says `select_in`, members that are limited for each owner, what would make a statement larger
--- than databases take, and what is there already because it is where the query comes from.
local populate = require("heddle.populate")

local parts = {}

-- SQLite joins 64 tables and gives 2,000 columns at most, PostgreSQL gives 1,664 columns.
local MOST_TABLES, MOST_COLUMNS = 40, 1500

---@class heddle.JoinedPart
---@field number integer its place in a row
---@field map table
---@field level heddle.Level
---@field above heddle.JoinedPart|nil nil for the root
---@field view table|nil the relation of that one which leads here
---@field own heddle.LevelOptions|nil
---@field asked heddle.Part|nil what of the members is asked for, as collections know it
---@field named heddle.NamedFilters|nil
---@field below heddle.JoinedPart[]
---@field taken table<string, any> by name, the relations that are not to be read because they are eager
---@field rest heddle.Level
local function new_part(list, map, level)
  local part = { number = #list + 1, map = map, level = level, below = {}, taken = {},
    rest = { map = map, own = level.own, views = {}, below = level.below, options = level.options } }
  for name in pairs(level.below) do part.taken[name] = true end
  list[#list + 1] = part
  return part
end

---Whether members of a relation repeat the row of their owner.
function parts.is_many(view)
  return view.kind == "one_to_many" or view.kind == "many_to_many"
end

local function is_whole(own)
  return own.where == nil and not own.fields and not own.exclude
end

-- What the relation leads back to is where the query comes from.
local function is_there(above, view, below)
  return above.view and above.view == view.inverse and populate.is_to_one(view) and not below.views[1]
    and is_whole(below.own) and is_whole(above.above.level.own)
end

local function fits(build, view)
  local tables = build.tables + (view.pivot and 2 or 1)
  local columns = build.columns + #view.target.columns
  if tables > MOST_TABLES or columns > MOST_COLUMNS then return false end
  build.tables, build.columns = tables, columns
  return true
end

local add_below

-- Joins a relation of a part, as a level says; whether it did.
local function add(build, above, level, view, strategy)
  local own, asked, named = populate.asked(level, view, build.em, build.opts)
  local below = level.below[view.name]
  if strategy ~= "joined" or own.limit ~= nil or own.offset ~= nil or #view.target.key == 0 then return false end
  if is_there(above, view, below) and not (named and named:condition(view.target)) then return false end
  if not fits(build, view) then return false end
  local part = new_part(build.list, view.target, below)
  part.above, part.view, part.own, part.asked, part.named = above, view, own, asked, named
  above.below[#above.below + 1], above.taken[view.name] = part, true
  add_below(build, part, strategy)
  return true
end

local function is_behind(part, view)
  while part do
    if part.view == view then return true end
    part = part.above
  end
  return false
end

function add_below(build, part, strategy)
  for _, view in ipairs(part.level.views) do
    local own = part.level.options[view.name]
    if not add(build, part, part.level, view, own.strategy or strategy) then
      part.rest.views[#part.rest.views + 1] = view
    end
  end
  for _, view in ipairs(populate.eager_views(part.map)) do
    if not part.taken[view.name] and part.map.props[view.name] == view and not is_behind(part, view) then
      add(build, part, populate.single(part.map, view), view, strategy)
    end
  end
end

---The parts of a query's rows, each behind the one that it is joined to; the root is the first.
---@param em heddle.EntityManager
---@param map table
---@param level heddle.Level
---@param opts? table of the query
---@return heddle.JoinedPart[]
function parts.of(em, map, level, opts)
  local build = { em = em, opts = opts, list = {}, tables = 1, columns = #map.columns }
  add_below(build, new_part(build.list, map, level), opts and opts.strategy)
  return build.list
end

return parts
