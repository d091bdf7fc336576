--- Reading one entity: by its key, answered from the identity map when it is there, or by a filter.
local later = require("heddle.later")
local custom = require("heddle.custom")
local errors = require("heddle.errors")
local family = later.module("heddle.family")
local fetch = require("heddle.fetch")
local find_lane = require("heddle.manager.find_lane")
local find_options = later.module("heddle.find_options")
local key_form = require("heddle.key_form")
local loads = require("heddle.loads")
local managed = require("heddle.populate.managed")
local manager = require("heddle.manager")
local named_filters = later.module("heddle.named_filters")
local null = require("heddle.null")
local place = require("heddle.filter.place")
local populate = require("heddle.populate")
local select = require("heddle.select")
local state = require("heddle.state")

local Manager = manager.class
local admit, check_receiver = manager.admit, manager.check_receiver

local key_kinds = { number = true, string = true, boolean = true }

-- The key that a filter is, when it is nothing else: a bare key, or a table of exactly the key's properties.
local function key_of(map, where)
  local kind = type(where)
  local key = map.key
  if kind == "number" or kind == "string" then return #key == 1 and where or nil end
  if kind ~= "table" or getmetatable(where) ~= nil then return nil end
  local values = key_form.values(map, where, place.hooks.key_of)
  for i = 1, values and #values or 0 do
    if not key_kinds[type(values[i])] then return nil end
  end
  return values and #key == 1 and values[1] or values
end

-- A key as the database has it: what shelves know rows by.
local function stored_key(map, key)
  local first = custom.source(map.key[1])
  if not first.converts and #map.key == 1 then return key end
  key = custom.key(map.key, #map.key == 1 and { key } or key, custom.to_db)
  return #key == 1 and key[1] or key
end

-- What is managed under a key, and the state of its row: "other" when that is of an entity that shares the table.
local function find_managed(self, map, where)
  local key = key_of(map, where)
  local shelf = key ~= nil and self.shelves[map]
  if not shelf then return nil end
  local e, slot = shelf:find(stored_key(map, key))
  if not e then return nil end
  local row, own = shelf:state(slot), family.map_of(e)
  if row ~= "reference" and not family.is_a(own, map) then return nil, "other" end
  if row == "partial" and state.has_usual(own, shelf.overlay[slot]) then row = "managed" end
  return e, row
end

---The managed instance of a key, nil when there is none or it is marked for removal.
---@param map table
---@param key any in the program's form
function Manager:known(map, key)
  local shelf = self.shelves[map]
  local e, slot
  if shelf then e, slot = shelf:find(stored_key(map, key)) end
  return e and not shelf.removed[slot] and e or nil
end

local simple_options = { populate = true, flush_mode = true, all = true, filters = true, strategy = true,
  timeout = true }

local function answers_from_memory(opts)
  if opts == nil then return true end
  for name in pairs(opts) do
    if not simple_options[name] then return false end
  end
  return true
end

---The first entity that a filter or a key finds, or nil. A managed entity is found by its key without SQL.
---
---Usage: `local user = em:find_one(User, 7)` or `em:find_one(User, { email = "a@x" })`
---@return table|nil
function Manager:find_one(entity, where, opts)
  if opts == nil then
    local answered, found = find_lane.read(self, entity, where)
    if answered then return found end
  end
  admit(self)
  local map = self:mapping(entity)
  if opts ~= nil then find_options.check(map, opts) end
  local level = opts and opts.populate and populate.plan(map, opts.populate)
  if level then populate.reads(level, {}, self, opts) end
  local e, row = find_managed(self, map, where)
  if row == "removed" or row == "other" then return nil end
  if row == "new" or row == "managed" and answers_from_memory(opts) then
    if level then populate.run(managed.loader(self, opts), level, { e }) end
    return e
  end
  if opts == nil and type(where) ~= "table" and #map.key == 1 and where ~= nil and not map.expression then
    return self:read_key(map, where)
  end
  local key = key_of(map, where)
  local by_key = key ~= nil
  local given = {}
  for name, value in pairs(opts or {}) do given[name] = value end
  given.limit = given.limit or (not by_key and 1) or nil
  -- What is pending may be what an expression reads.
  if by_key and not map.expression then given.flush_mode = "commit" end
  return fetch.find(self, entity, by_key and key or where, given, given.all)[1]
end

-- The shortest way: by a key of one value, no options. By key nothing is flushed: what is pending is in the identity
-- map.
function Manager:read_key(map, key)
  local plan, params = select.find(map, key, nil, nil, map.named and named_filters.of(self))
  local results, shelf = fetch.managed(self, plan, params)
  loads.settle(self, shelf)
  fetch.eager(self, map, results)
  return results[1]
end

---As find_one, and raises `not_found` when there is none.
function Manager:find_one_or_fail(entity, where, opts)
  check_receiver(self)
  local e = self:find_one(entity, where, opts)
  if e then return e end
  local map = self:mapping(entity)
  errors.raise("not_found", ("No %s was found by this filter"):format(map.name),
    { context = self.context_name, entity = map.name })
end

---An entity of which only the key is known; nothing is read.
---
---Usage: `book.author = em:get_reference(Author, 7)`
---@return table
function Manager:get_reference(entity, key)
  admit(self)
  local map = self:mapping(entity)
  if key == nil or key == null then
    errors.raise("validation", ("get_reference of %s takes a key, not %s"):format(map.name,
      key == nil and "nil" or "orm.null"), { entity = map.name, context = self.context_name })
  end
  local values = key_form.values(map, key, place.hooks.key_of)
  if not values then
    errors.raise("validation", "get_reference: " .. key_form.describe(map), { entity = map.name,
      context = self.context_name })
  end
  local e = self:reference(map, stored_key(map, #values == 1 and values[1] or values))
  if not family.is_a(family.map_of(e), map) then
    errors.raise("validation", ("get_reference: what is managed under this key is a %s, not a %s"):format(
      family.map_of(e).name, map.name), { entity = map.name, context = self.context_name })
  end
  return e
end

return Manager
