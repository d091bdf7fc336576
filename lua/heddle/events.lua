--- What a context tells to those who listen for events. `self` is the context. Of statements tells heddle.logging.
local compat = require("heddle.compat")
local definition = require("heddle.definition")
local errors = require("heddle.errors")
local suggest = require("heddle.suggest")

local pcall = compat.pcall

local events = {}

-- What can be listened to.
local known = { before_flush = true, on_flush = true, after_flush = true, after_commit = true, after_rollback = true,
  query = true }
for _, name in ipairs(definition.hooks) do known[name] = true end

-- Lists are never changed, only replaced: who is being called now may come and go without disturbing the others.
local function without(list, fn)
  local rest, found = {}, false
  for i = 1, #list do
    if list[i] == fn and not found then found = true else rest[#rest + 1] = list[i] end
  end
  return rest[1] and rest or nil
end

local function with(list, fn)
  local longer = {}
  for i = 1, list and #list or 0 do longer[i] = list[i] end
  longer[#longer + 1] = fn
  return longer
end

local function set(self, event, list)
  self.listeners[event] = list
  -- Instances are made without a look at who listens while nobody does.
  for entity in pairs(event == "on_init" and self.makers or {}) do self.makers[entity] = nil end
end

---Calls a function at every event of a kind, in the order of their coming. Gives what switches it off again. Raises
---`hook` for an event that is none, `validation` for what is no function.
---
---Usage: `local off = instance:on("after_create", function(user, event) print(event.em, user) end)`
---@param event string "query", "before_flush", "on_flush", "after_flush", "after_commit", "after_rollback" or a hook
---of entities
---@param fn function
---@return fun() off
function events.on(self, event, fn)
  if type(fn) ~= "function" then errors.raise("validation", "instance:on takes an event and a function") end
  if not known[event] then
    errors.raise("hook", ("instance:on: %s is no event%s"):format(errors.quote(event), suggest.hint(event, known)),
      { context = self.name })
  end
  local is_on = true
  set(self, event, with(self.listeners[event], fn))
  return function()
    if not is_on then return end
    is_on = false
    set(self, event, without(self.listeners[event], fn))
  end
end

---Calls the listeners of an event in the order of their coming.
function events.emit(self, event, ...)
  local list = self.listeners[event]
  for i = 1, list and #list or 0 do list[i](...) end
end

---Calls every listener of what has happened already, whatever one of them raises; gives the first error.
---@return boolean ok
---@return any err
function events.emit_all(self, event, ...)
  local list = self.listeners[event]
  local ok, err = true, nil
  for i = 1, list and #list or 0 do
    local called, why = pcall(list[i], ...)
    if ok and not called then ok, err = false, why end
  end
  return ok, err
end

---Says that somebody who only watches failed: nothing of that changes what has happened.
---@param event string
---@param err any
function events.report(self, event, err)
  io.stderr:write(("heddle: a listener of '%s' in context '%s' failed: %s\n"):format(event, self.name, tostring(err)))
end

return events
