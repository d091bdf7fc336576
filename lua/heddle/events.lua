--- What a context tells to those who listen: life-cycle events, and every statement that was sent. `self` is the
--- context.
local definition = require("heddle.definition")
local errors = require("heddle.errors")
local suggest = require("heddle.suggest")

local events = {}

-- What can be listened to: false is for later.
local known = { before_flush = true, on_flush = false, after_flush = true, after_commit = true, after_rollback = true,
  query = true }
for _, name in ipairs(definition.hooks) do known[name] = not name:find("upsert") end

---Calls a function at every event of a kind: hooks get the entity and the event, `query` one table.
---
---Usage: `instance:on("after_create", function(user, event) print(event.em, user) end)`
---@param event string "query", "before_flush", "after_flush", "after_commit", "after_rollback" or a life-cycle hook
---@param fn function
---@return table self
function events.on(self, event, fn)
  if type(fn) ~= "function" then errors.raise("validation", "instance:on takes an event and a function") end
  if not known[event] then
    local message = known[event] == false and "cannot be listened to yet"
      or "is no event" .. suggest.hint(event, known)
    errors.raise(known[event] == false and "unsupported" or "hook", ("instance:on: %s %s"):format(errors.quote(event),
      message), { context = self.name })
  end
  local list = self.listeners[event] or {}
  list[#list + 1] = fn
  self.listeners[event] = list
  return self
end

---Calls the listeners of an event in the order of their coming.
function events.emit(self, event, ...)
  local list = self.listeners[event]
  if not list then return end
  for i = 1, #list do list[i](...) end
end

-- Logging --------------------------------------------------------------------------------------------------

---Whether statements are to be told to somebody.
function events.is_logged(self)
  local made = self.config
  return self.listeners.query ~= nil or made.debug or made.logger ~= nil or made.slow_query ~= nil
end

local function print_entry(entry)
  io.stderr:write(("[%s] %.3f ms  %s%s\n"):format(entry.context, entry.duration * 1000, entry.sql,
    entry.error and ("  -- " .. entry.error.kind) or ""))
end

local function tell(self, entry)
  local made = self.config
  events.emit(self, "query", entry)
  local slow = made.slow_query and entry.duration >= made.slow_query
  if made.logger and (made.debug or not made.slow_query or slow) then
    made.logger(entry)
  elseif made.debug or slow then
    print_entry(entry)
  end
end

---Tells `query` listeners, logger and debug output of every statement that the link's last operation sent. Whoever
---only watches changes nothing: when one fails, the statement has been sent all the same, so its error ends here.
---@param link userdata
---@param failure table|nil the error that the operation ended with
function events.log(self, link, failure)
  local entries = link:log()
  for i, entry in ipairs(entries) do
    entry.context = self.name
    if i == #entries then entry.error = failure end
    local ok, err = pcall(tell, self, entry)
    if not ok then
      io.stderr:write(("heddle: a 'query' listener or the logger of context '%s' failed: %s\n"):format(self.name,
        tostring(err)))
    end
  end
end

return events
