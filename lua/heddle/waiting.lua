--- How Heddle waits here and now: the adapter that `orm.use` was given, or the one of the scheduler that is running.
---
--- An adapter is `{ name, wait(fd, events, timeout) -> ready }` and where it needs them
---   blocks()          why nothing can be yielded here (true, or a text and advice, which are logged once); nil: it can
---   passes            its waits come through generators by themselves
---   knows_generators  blocks() tells them from coroutines that the scheduler resumes
---   refuse(context)   raises where no connection may be made
---   own(link)         the link waits, or begins a transaction, on behalf of whatever runs
---   log(text)         where warnings go
local errors = require("heddle.errors")

local waiting = {}

local loaded = package.loaded
-- nil: what runs is recognised; false: blocking.
local chosen
-- Whether there is a scheduler in this process.
local scheduled = false

local function in_nginx()
  local ngx = loaded.ngx
  return type(ngx) == "table" and ngx.get_phase ~= nil
end

local function in_cqueues()
  local cqueues = loaded.cqueues
  return type(cqueues) == "table" and cqueues.running() ~= nil
end

-- A loop that does not run yet may never do.
local function in_luv()
  local uv = loaded.luv or loaded.uv
  return type(uv) == "table" and uv.loop_mode ~= nil and uv.loop_mode() ~= nil
end

local function take(name)
  scheduled = true
  return require("heddle.waiting." .. name)
end

local function recognise()
  if in_nginx() then return take("openresty") end
  if in_cqueues() then return take("cqueues") end
  if in_luv() then return take("luv") end
  return nil
end

---The adapter in force, nil for the blocking one.
---@return table|nil
function waiting.here()
  if chosen ~= nil then return chosen or nil end
  if loaded.ngx or loaded.cqueues or loaded.luv or loaded.uv then return recognise() end
  return nil
end

---Whether a scheduler was chosen, or has been seen, in this process: others run while somebody waits.
---@return boolean
function waiting.is_scheduled()
  return scheduled or waiting.here() ~= nil
end

---Notes on whose behalf a link waits, or begins a transaction.
---@param link userdata
---@param request? userdata where it is known already
function waiting.own(link, request)
  local adapter = waiting.here()
  if adapter and adapter.own then adapter.own(link, request) end
end

---Raises where no connection may be made.
---@param context table
function waiting.refuse(context)
  local adapter = waiting.here()
  if adapter and adapter.refuse then adapter.refuse(context) end
end

local NAMED = { openresty = true, cqueues = true, luv = true }

local function named(name)
  local ok, adapter = pcall(take, name)
  if ok then return adapter end
  scheduled = false
  errors.raise("config", ("orm.use %q: it is not there"):format(name), { cause = adapter })
end

---Forgets what was chosen: the running environment is recognised again.
function waiting.forget()
  chosen, scheduled = nil, false
end

---Chooses how Heddle waits. Without it the running environment is recognised: nginx, a cqueues controller, a luv loop
---that runs, otherwise blocking.
---
---Usage: `orm.use "cqueues"`
---Usage: `orm.use(function(fd, events, timeout) return scheduler.wait(fd, events, timeout) end)`
---
---Raises `config` for an unknown adapter and for one whose library is not there.
---@param given string|function "blocking", "openresty", "cqueues", "luv", or a function: fd (nil: only a pause),
---events ("r", "w", "rw"), timeout in seconds (nil: none); it gives back whether the fd is ready
function waiting.use(given)
  if given == "blocking" then
    chosen, scheduled = false, false
  elseif type(given) == "function" then
    chosen, scheduled = { name = "function", wait = given }, true
  elseif NAMED[given] then
    chosen = named(given)
  else
    errors.raise("config", "orm.use takes \"blocking\", \"openresty\", \"cqueues\", \"luv\" or a function, not "
      .. errors.quote(given))
  end
end

local warned = {}

---Tells once that something blocks where others wait.
function waiting.warn(what, advice)
  if warned[what] then return end
  warned[what] = true
  local text = ("heddle: a wait inside %s blocks the scheduler (%s); %s"):format(what, tostring(errors.where()), advice)
  local adapter = waiting.here()
  if adapter and adapter.log then return adapter.log(text) end
  io.stderr:write(text, "\n")
end

return waiting
