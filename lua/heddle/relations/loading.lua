--- Members of to-many relations, and of inverse sides of one_to_one, read from the database: those of many owners in
--- one query, whose rows have the owner's key behind the member's columns.
local cascade = require("heddle.relations.cascade")
local core = require("heddle.core")
local errors = require("heddle.errors")
local fetch = require("heddle.fetch")
local find_options = require("heddle.find_options")
local loads = require("heddle.loads")
local managed = require("heddle.populate.managed")
local members = require("heddle.relations.members")
local named_filters = require("heddle.named_filters")
local options = require("heddle.options")
local populate = require("heddle.populate")
local relations = require("heddle.relations")
local unseen = require("heddle.relations.unseen")

local loading = {}

local none = {}

local query_rules = {
  refresh = options.boolean, flush_mode = options.one_of({ "auto", "commit", "always" }),
  connection = options.one_of({ "read", "write" }), timeout = options.duration,
}

-- Entities may have been registered since the relation was looked up.
local function current(view, owner)
  local views = getmetatable(owner).views
  return views and views[view.name] or view
end

-- What a query for members reads.
local function reads_of(view)
  return { view.target, view.pivot and view.pivot.mapping }
end

-- Whether what is known of a collection is not what is asked for. One that was set is what it was set to, and is read
-- only to learn what has to go.
local function is_wanted(state, part, refresh)
  if state.replaced then return not part and (refresh or not state.snapshot) end
  return refresh or not members.is_shown(state, part)
end

-- The collections that have to be read, with the keys of their owners. New rows have none.
local function unknown(em, view, owners, part, refresh)
  local list, keys, seen = {}, {}, {}
  for _, owner in ipairs(owners) do
    local meta = getmetatable(owner)
    local shelf = meta.box and meta.box.shelf
    local slot = shelf and shelf.em == em and not seen[owner] and meta.slot_of[owner]
    local state = slot and not shelf.new[slot] and relations.collection(owner, view.name)
    seen[owner] = true
    if state and is_wanted(state, part, refresh) then
      list[#list + 1], keys[#keys + 1] = state, shelf:program_key(slot)
    end
  end
  return list, keys
end

-- The rows by their owners, in order. `others` has the owners' keys one after the other.
local function by_owner(shelf, rows, others, width)
  if width == 1 then return core.by_owner(shelf.shelf, shelf.instances, rows, others) end
  local lists = {}
  for i, e in ipairs(rows) do
    local key = {}
    for k = 1, width do key[k] = others[(i - 1) * width + k] end
    local owner = shelf:find(key)
    if owner then
      local list = lists[owner]
      if list then list[#list + 1] = e else lists[owner] = { e } end
    end
  end
  return lists
end

---Fills the collections that have to be read, of what has been read.
---@param owners table[] managed
---@param lists table<table, table[]> members by owner
---@param part heddle.Part|nil what of the members was asked for
---@param refresh boolean|nil all of them, also those that are known
function loading.fill(em, view, owners, lists, part, refresh)
  for _, state in ipairs((unknown(em, view, owners, part, refresh))) do state:fill(lists[state.owner] or {}, part) end
end

local function read_some(em, view, states, keys, opts, level, fresh)
  local own, part, named = populate.asked(level, view, em, opts)
  local plan, params = members.find(view, keys, own.where == nil and none or own.where, populate.selected(own, opts),
    true, named)
  local rows, shelf, others = fetch.managed(em, plan, params, opts)
  if opts.refresh and fetch.drop_changes(rows) then rows, shelf, others = fetch.managed(em, plan, params, opts) end
  local owners = em:shelf_of(getmetatable(states[1].owner).mapping)
  local lists = by_owner(owners, rows, others, #plan.others)
  local count = 0
  for _, state in ipairs(states) do
    fresh[state] = state:fill(members.distinct(view, lists[state.owner]), part)
    if fresh[state] then count = count + 1 end
  end
  loads.settle(em, shelf)
  fetch.eager(em, view.target, rows, opts, level.below[view.name])
  return count
end

---Reads the members of a relation of many owners, one query for all of whom other members are known than are asked for.
---Each gets its collection filled; what was added and removed in memory stays.
---
---Usage: `loading.load(em, views.books, authors)`
---@param em heddle.EntityManager
---@param view table the relation, of the owners
---@param owners table[] managed by that entity manager; others are passed over
---@param opts? table of the query: refresh, flush_mode, what statements share
---@param level? heddle.Level of the owners, which says what is asked for
---@return table<heddle.Collection, true> fresh those whose members have all been read just now
---@return integer count of them
function loading.load(em, view, owners, opts, level)
  local fresh, count = {}, 0
  opts = opts or {}
  if not owners[1] then return fresh, count end
  view = current(view, owners[1])
  level = level or populate.single(getmetatable(owners[1]).mapping, view)
  fetch.flush_before(em, { reads = populate.reads(level, none, em, opts) }, opts)
  view = current(view, owners[1])
  local _, part = populate.asked(level, view, em, opts)
  local list, keys = unknown(em, view, owners, part, opts.refresh)
  if not list[1] then return fresh, count end
  for some, first in populate.parts(getmetatable(list[1].owner).mapping, keys) do
    local states = {}
    for i = 1, #some do states[i] = list[first + i - 1] end
    count = count + read_some(em, view, states, some, opts, level, fresh)
  end
  return fresh, count
end

---Raises `validation` for options that are no table.
function loading.check(name, opts)
  if opts == nil then return end
  local is_plain = type(opts) == "table" and getmetatable(opts) == nil
  if is_plain and opts[1] == nil then return end
  errors.raise("validation", ("load of %s: its options are %s"):format(name,
    is_plain and "named: a list says nothing there" or "a table, not a " .. type(opts)), { property = name })
end

local of_query = { "refresh", "flush_mode", "connection", "timeout" }

---Reads the members of one collection as the options say, unless those are there.
---@param owner table managed
---@param opts? table those of an entry of `populate`, and of em:load
function loading.collection(em, view, owner, opts)
  em:check_global()
  local entry, query = { view.name }, {}
  for name, value in pairs(opts or none) do entry[name] = value end
  for _, name in ipairs(of_query) do query[name], entry[name] = entry[name], nil end
  options.check(query, query_rules, function(message)
    errors.raise("validation", ("load of %s: %s"):format(view.name, message), { property = view.name })
  end)
  local level = populate.plan(getmetatable(owner).mapping, { entry })
  fetch.flush_before(em, { reads = populate.reads(level, none, em, query) }, query)
  populate.run(managed.loader(em, query), level, { owner })
end

local function key_of(em, view, owner, opts)
  em:check_global()
  fetch.flush_before(em, { reads = reads_of(view) }, opts)
  local meta = getmetatable(owner)
  local key = meta.box.shelf:program_key(meta.slot_of[owner])
  if #key == 0 then return nil end
  return #key == 1 and key[1] or key
end

---How many members the database has of a relation of one owner.
---@param owner table managed
---@param opts? table as em:count takes them
---@return integer
function loading.count(em, view, owner, opts)
  view = current(view, owner)
  if opts ~= nil then find_options.check(view.target, opts) end
  local key = key_of(em, view, owner, opts)
  if key == nil then return 0 end
  local plan, params = members.count(view, key, view.target.named and named_filters.of(em, opts))
  return fetch.count(em, plan, params, opts)
end

---The members that a filter finds in the database, as em:find gives them.
---@param owner table managed
---@param where any as em:find takes it
---@param opts? table as em:find takes them
---@return table[]
function loading.matching(em, view, owner, where, opts)
  view = current(view, owner)
  local map = view.target
  if opts ~= nil then find_options.check(map, opts) end
  local level, own = fetch.level(map, opts)
  local key = key_of(em, view, owner, opts)
  if key == nil then return {} end
  local plan, params = members.find(view, { key }, where, own, nil, map.named and named_filters.of(em, opts))
  return (fetch.run(em, map, plan, params, opts, level))
end

managed.load = loading.load

-- What is to be written is decided by all that there is.
local ALL = { flush_mode = "commit", filters = false }

function cascade.load(em, view, owners)
  loading.load(em, view, owners, ALL)
end

function unseen.read(em, map, name, list)
  managed.loader(em, ALL):rows(populate.plan(map, none, { fields = { name } }), list, true)
end

return loading
