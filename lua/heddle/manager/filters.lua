--- Named filters of an entity manager: which are on, and their parameters. What is said is never changed in place:
--- forks share it until one of them says something else.
local manager = require("heddle.manager")
local names = require("heddle.named_filters.names")

local Manager = manager.class
local check_receiver = manager.check_receiver

local function check(self, name, params, what)
  local known = self.context.mappings.filter_names
  local fields = { context = self.context_name }
  names.about(known, name, fields, what)
  if params ~= nil then names.check_params(known, name, params, fields, what) end
end

local function copy(given)
  local made = {}
  for name, value in pairs(given) do made[name] = value end
  return made
end

local function change(self, name, on, params)
  local states = copy(self.filter_states)
  local former = states[name] or {}
  if on == nil then on = former.on end
  states[name] = { on = on, params = params and copy(params) or former.params }
  self.filter_states = states
  return self
end

---Switches a filter on for all queries of this entity manager and of what is forked from it, whichever entities have a
---filter of the name. Raises `unknown_property`, `validation`.
---
---Usage: `em:enable_filter("tenant", { id = 7 })`
---@param name string
---@param params? table what the filter's function gets, in the place of what was set before
---@return heddle.EntityManager
function Manager:enable_filter(name, params)
  check_receiver(self)
  check(self, name, params, "em:enable_filter")
  return change(self, name, true, params)
end

---Switches a filter off, for one that is on by `default` too. Its parameters are kept. Raises `unknown_property`.
---
---Usage: `em:disable_filter("active")`
---@param name string
---@return heddle.EntityManager
function Manager:disable_filter(name)
  check_receiver(self)
  check(self, name, nil, "em:disable_filter")
  return change(self, name, false)
end

---Sets the parameters of a filter, which is on or off as it was. Raises `unknown_property`, `validation`.
---
---Usage: `em:set_filter_params("tenant", { id = 7 })`
---@param name string
---@param params table
---@return heddle.EntityManager
function Manager:set_filter_params(name, params)
  check_receiver(self)
  check(self, name, params or false, "em:set_filter_params")
  return change(self, name, nil, params)
end

return Manager
