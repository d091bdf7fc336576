--- The strategy "joined": one statement for a query and for what it populates.
---
--- `joined/parts.lua` decides what is joined, `joined/sql.lua` writes the statement, `joined/rows.lua` makes instances
--- of its rows, `joined/link.lua` ties these together. What is left is read as populate always reads: relations that
--- are not joined, and what memory knows of and the rows do not.
local fetch = require("heddle.fetch")
local find_options = require("heddle.find_options")
local link = require("heddle.joined.link")
local loads = require("heddle.loads")
local locks = require("heddle.locks")
local managed = require("heddle.populate.managed")
local parts = require("heddle.joined.parts")
local populate = require("heddle.populate")
local rows = require("heddle.joined.rows")
local sql = require("heddle.joined.sql")
local unmanaged = require("heddle.populate.unmanaged")

local joined = {}

-- What of a part other statements read.
local function read_rest(loader, plain, part)
  if part.rest.views[1] then populate.run(loader, part.rest, part.found) end
  populate.eager(plain, part.map, part.found, { below = part.taken })
end

local function tell_loads(em, shelves)
  local lists = {}
  for _, shelf in ipairs(shelves) do
    lists[#lists + 1] = shelf.loads
    shelf.loads = nil
  end
  for _, list in ipairs(lists) do loads.tell(em, list) end
end

local function drop_changes(list, lists, is_whole)
  local dropped = false
  for number = 1, is_whole and #list or 1 do
    if fetch.drop_changes(rows.distinct(lists[number].results)) then dropped = true end
  end
  return dropped
end

-- What a relation of a part leads to in memory, and did not in the rows.
local function read_left(loader, plain, part)
  local view = part.view
  if not view or not part.left[1] then return end
  if populate.is_to_one(view) then
    local above = part.above.level
    populate.run(loader, { map = above.map, own = above.own, views = { view }, below = { [view.name] = part.level },
      options = { [view.name] = part.own } }, part.left)
  else
    plain:rows(part.level, part.left)
    populate.run(loader, part.level, part.left)
  end
end

local function find_managed(em, plan, params, opts, list)
  local refresh = opts.refresh
  local lists, shelves = rows.managed(em, plan, params, opts)
  if (refresh or locks.is_pessimistic(plan.lock)) and drop_changes(list, lists, refresh) then
    lists, shelves = rows.managed(em, plan, params, opts)
  end
  link.managed(em, list, lists, refresh)
  tell_loads(em, shelves)
  -- What nobody asked for is not refreshed.
  local loader, plain = managed.loader(em, opts), managed.loader(em, find_options.shared(opts))
  for _, part in ipairs(list) do
    read_left(loader, plain, part)
    read_rest(loader, plain, part)
  end
end

local function find_unmanaged(em, plan, params, opts, list)
  local lists = rows.unmanaged(em, plan, params, opts)
  local loader, told = unmanaged.loader(em, opts), {}
  link.unmanaged(list, lists, loader)
  for _, part in ipairs(list) do
    if loads.is_heard(em, part.map.root) then
      for _, e in ipairs(part.found) do
        if not told[e] then told[e], told[#told + 1] = true, e end
      end
    end
  end
  loads.tell(em, told)
  for _, part in ipairs(list) do read_rest(loader, loader, part) end
end

-- Whether something is to be joined. What has no key cannot be told from the rows that repeat it, and groups are of the
-- root's rows.
local function is_wanted(map, level, opts)
  if type(opts) ~= "table" or #map.key == 0 or opts.group_by ~= nil or opts.having ~= nil then return false end
  if opts.strategy == "joined" then return level.views[1] ~= nil or populate.eager_views(map)[1] ~= nil end
  for _, view in ipairs(level.views) do
    if level.options[view.name].strategy == "joined" then return true end
  end
  return false
end

---What find does where something is joined; nil where nothing is.
---@param em heddle.EntityManager
---@param map table
---@param where any
---@param opts any as the query's own statement takes them
---@param allow_empty boolean?
---@param level heddle.Level
---@param named heddle.NamedFilters?
---@return table[]|nil
function joined.find(em, map, where, opts, allow_empty, level, named)
  if not is_wanted(map, level, opts) then return nil end
  find_options.check(map, opts)
  local list = parts.of(em, map, level, opts)
  if not list[2] then return nil end
  local plan, params = sql.plan(list, where, opts, allow_empty, named)
  fetch.before(em, map, plan, opts, level)
  local find = opts.managed == false and find_unmanaged or find_managed
  find(em, plan, params, opts, list)
  return list[1].found
end

fetch.joined = joined.find

return joined
