--- Named filters: conditions that an entity has under a name, and that queries take along.
---
--- Whether one is on, these say, each louder than those before it: the filter's `default`, the entity manager, the
--- query's option `filters`, that of an entry of `populate`. Parameters add up in the same order. What looks at rows
--- because of what is to be written (cascades, orphans, the truth about a collection that is replaced, locks, refresh)
--- asks without filters.
---
--- `of(em, opts)` gives what answers for one statement; its `condition(map)` is a filter that `filter.lua` reads before
--- what the program asked for, at the root and wherever the statement goes on to another entity. The condition of a
--- named filter is not filtered itself.
local compat = require("heddle.compat")
local errors = require("heddle.errors")
local names = require("heddle.named_filters.names")
local op = require("heddle.op")
local options = require("heddle.options")

local pcall = compat.pcall

local named_filters = {}

---@class heddle.NamedFilters
---@field em table
---@field layers table[] { option = }: what queries said, the loudest last
---@field known table<table, any> conditions by mapping, false where there is none
local Named = {}
Named.__index = Named

---What answers for one statement.
---
---Usage: `local named = map.named and named_filters.of(self, opts)`: contexts without filters pay nothing
---@param em table
---@param opts? table of the query
---@return heddle.NamedFilters|nil nil when no filter can be on
function named_filters.of(em, opts)
  local option
  if type(opts) == "table" then option = opts.filters end
  if option == false then return nil end
  return setmetatable({ em = em, layers = names.layers(option), known = {} }, Named)
end

local function merged(first, second)
  local all = {}
  for name, value in pairs(first or {}) do all[name] = value end
  for name, value in pairs(second) do all[name] = value end
  return all
end

-- Whether a filter is on, and its parameters.
local function settle(self, named)
  local state = self.em.filter_states[named.name]
  local on, params = named.default, state and state.params
  if state and state.on ~= nil then on = state.on end
  for _, layer in ipairs(self.layers) do
    local said = names.said(layer.option, named.name)
    if said ~= nil then on = said ~= false end
    if type(said) == "table" then params = merged(params, said) end
  end
  return on, params or {}
end

local function refuse(map, named, message)
  return errors.raise("validation", ("filter '%s' of %s: %s"):format(named.name, map.name, message),
    { context = map.context, entity = map.name })
end

-- Its functions may read. One that its own query asks again would never end.
local function call(self, map, named, params)
  local em, here = self.em, compat.running()
  local asking = em.asking
  while asking do
    if asking.named == named and asking.coroutine == here then
      return refuse(map, named, "its function reads what the filter itself is about: give that query filters = false")
    end
    asking = asking.outer
  end
  em.asking = { named = named, coroutine = here, outer = em.asking }
  local ok, found = pcall(named.cond, params, em, op)
  em.asking = em.asking and em.asking.outer
  if not ok then error(found, 0) end
  return found
end

local function check_given(map, named, found)
  if op.is_operator(found) then return found end
  if type(found) ~= "table" or getmetatable(found) ~= nil then
    return refuse(map, named, "its function has to give a filter, not " .. (found == nil and "nil"
      or options.describe(found)))
  end
  if next(found) == nil then
    return refuse(map, named, "its function gave an empty filter, which would hold for every row: is a parameter nil? "
      .. "em:disable_filter switches a filter off")
  end
  return found
end

local function ask(self, map, named, params)
  if type(named.cond) ~= "function" then return named.cond end
  for _, name in ipairs(named.params or {}) do
    if params[name] == nil then
      return refuse(map, named, ("it needs the parameter '%s': em:set_filter_params('%s', { %s = ... }), or say it in "
        .. "the query's option 'filters'"):format(name, named.name, name))
    end
  end
  return check_given(map, named, call(self, map, named, merged(nil, params)))
end

local function make(self, map)
  local conditions = {}
  for _, named in ipairs(map.named or {}) do
    local on, params = settle(self, named)
    if on then conditions[#conditions + 1] = ask(self, map, named, params) end
  end
  if #conditions < 2 then return conditions[1] or false end
  return op.all(conditions)
end

---The condition that the filters of an entity come to; nil when none is on.
---@param map table
---@return any a filter
function Named:condition(map)
  local condition = self.known[map]
  if condition == nil then
    condition = make(self, map)
    self.known[map] = condition
  end
  return condition or nil
end

return named_filters
