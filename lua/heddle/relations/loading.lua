--- Members of to-many relations, and of inverse sides of one_to_one, read from the database: those of many owners in
--- one query, whose rows have the owner's key behind the member's columns.
local cascade = require("heddle.relations.cascade")
local errors = require("heddle.errors")
local fetch = require("heddle.fetch")
local find_options = require("heddle.find_options")
local managed = require("heddle.populate.managed")
local members = require("heddle.relations.members")
local named_filters = require("heddle.named_filters")
local options = require("heddle.options")
local populate = require("heddle.populate")
local relations = require("heddle.relations")

local loading = {}

-- Entities may have been registered since the relation was looked up.
local function current(view, owner)
  local views = getmetatable(owner).views
  return views and views[view.name] or view
end

-- What a query for members reads.
local function reads_of(view)
  return { view.target, view.pivot and view.pivot.mapping }
end

-- The collections whose members nobody knows yet, with the keys of their owners. New rows have none.
local function unknown(em, view, owners, refresh)
  local list, keys, seen = {}, {}, {}
  for _, owner in ipairs(owners) do
    local meta = getmetatable(owner)
    local shelf = meta.box and meta.box.shelf
    local slot = shelf and shelf.em == em and not seen[owner] and meta.slot_of[owner]
    local state = slot and not shelf.new[slot] and relations.collection(owner, view.name)
    seen[owner] = true
    if state and (refresh or not state.initialized or state.replaced and not state.snapshot) then
      list[#list + 1], keys[#keys + 1] = state, shelf:program_key(slot)
    end
  end
  return list, keys
end

-- The rows by their owners, in order. `others` has the owners' keys one after the other.
local function by_owner(shelf, rows, others, width)
  local lists = {}
  for i, e in ipairs(rows) do
    local key = others[i]
    if width > 1 then
      key = {}
      for k = 1, width do key[k] = others[(i - 1) * width + k] end
    end
    local owner = shelf:find(key)
    if owner then
      local list = lists[owner]
      if list then list[#list + 1] = e else lists[owner] = { e } end
    end
  end
  return lists
end

local function read_part(em, view, states, keys, opts)
  local plan, params = members.find(view, keys, {},
    find_options.shared(opts, { order_by = opts.order_by }), true, view.target.named and named_filters.of(em, opts))
  local rows, shelf, others = fetch.managed(em, plan, params, opts)
  if opts.refresh and fetch.drop_changes(rows) then rows, shelf, others = fetch.managed(em, plan, params, opts) end
  local owners = em:shelf_of(getmetatable(states[1].owner).mapping)
  local lists = by_owner(owners, rows, others, #plan.others)
  for _, state in ipairs(states) do state:fill(members.distinct(view, lists[state.owner])) end
  fetch.on_load(em, shelf)
  fetch.eager(em, view.target, rows, opts)
end

local rules = {
  order_by = options.table, refresh = options.boolean,
  flush_mode = options.one_of({ "auto", "commit", "always" }),
}

---Raises `unknown_property` and `validation` for what loading a collection does not take. `where` is matching's: a part
---of a collection could not be told from the whole.
---@param view table
---@param opts table|nil
function loading.check(view, opts)
  local function fail(message, is_unknown)
    errors.raise(is_unknown and "unknown_property" or "validation", ("load of %s: %s"):format(view.name, message),
      { property = view.name })
  end
  if opts ~= nil and type(opts) ~= "table" then fail("its options are a table, not a " .. type(opts)) end
  options.check(opts or {}, rules, fail)
end

---Reads the members of a relation of many owners, one query for all whose members are not known. Each gets its
---collection filled; what was added and removed in memory stays.
---
---Usage: `loading.load(em, views.books, authors)`
---@param em heddle.EntityManager
---@param view table the relation, of the owners
---@param owners table[] managed by that entity manager; others are passed over
---@param opts? { order_by: table, refresh: boolean, flush_mode: string }
function loading.load(em, view, owners, opts)
  opts = opts or {}
  if not owners[1] then return end
  fetch.flush_before(em, { reads = reads_of(current(view, owners[1])) }, opts)
  view = current(view, owners[1])
  local list, keys = unknown(em, view, owners, opts.refresh)
  if not list[1] then return end
  for part, first in populate.parts(getmetatable(list[1].owner).mapping, keys) do
    local states = {}
    for i = 1, #part do states[i] = list[first + i - 1] end
    read_part(em, view, states, part, opts)
  end
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
---@return integer
function loading.count(em, view, owner)
  view = current(view, owner)
  local key = key_of(em, view, owner)
  if key == nil then return 0 end
  local plan, params = members.count(view, key, view.target.named and named_filters.of(em))
  return fetch.count(em, plan, params)
end

---The members that a filter finds in the database, as em:find gives them.
---@param owner table managed
---@param where any as em:find takes it
---@param opts? table as em:find takes them
---@return table[]
function loading.matching(em, view, owner, where, opts)
  view = current(view, owner)
  local map = view.target
  local level = fetch.level(map, opts)
  local key = key_of(em, view, owner, opts)
  if key == nil then return {} end
  local plan, params = members.find(view, { key }, where, opts, nil, map.named and named_filters.of(em, opts))
  return fetch.run(em, map, plan, params, opts, level)
end

managed.load = loading.load

function cascade.load(em, view, owners)
  loading.load(em, view, owners, { flush_mode = "commit", filters = false })
end

return loading
