--- The replicas of a context: a pool for each, and which of them can be used. One that fails is left out for a while,
--- longer each time; then one read tries it again.
local compat = require("heddle.compat")
local core = require("heddle.core")
local errors = require("heddle.errors")
local waiting = require("heddle.waiting")

local replicas = {}

-- Seconds that a replica is left out after its first failure, and at most.
local SHORTEST, LONGEST = 1, 30
-- Seconds to connect to one: while a read waits for it, others could answer.
local CONNECT = 2

-- Which replica a link leads to.
local of = setmetatable({}, { __mode = "k" })

---The replicas that a context is configured with; nil when there are none.
---@param made table configuration
---@param driver userdata
---@param limits table of the primary's pool
---@return table[]|nil
function replicas.open(made, driver, limits)
  local list = {}
  for number, options in ipairs(made.driver == "postgres" and made.replica_options() or {}) do
    local given, own = made.replicas[number], {}
    for key, value in pairs(limits) do own[key] = value end
    own.connect_timeout = given.connect_timeout or CONNECT
    own.host_password = made.replica_passwords[number] ~= nil
    list[number] = {
      name = "replica " .. number, host = given.host, port = given.port, failures = 0,
      password_function = made.replica_passwords[number], pool = core.pool(driver, options, own),
    }
  end
  -- Many processes that begin at once do not all begin with the first one.
  list.turn = math.floor(core.clock() * 1e6) % math.max(#list, 1)
  return list[1] and list
end

---The replica that a link leads to, nil when it is the primary's.
function replicas.of(link)
  return of[link]
end

---A new link to a replica.
---@param context table
---@param replica table
---@return userdata
function replicas.link(context, replica)
  waiting.refuse(context)
  local link = replica.pool:link()
  link:want_on_connect(context.config.on_connect ~= nil)
  of[link] = replica
  return link
end

---Calls what the program gave for connections (`on_connect`, a password's function). Where it fails for a replica, the
---replica cannot be used, and the read goes elsewhere.
function replicas.call(link, fn, ...)
  local replica = of[link]
  if not replica then return fn(...) end
  local ok, result = compat.pcall(fn, ...)
  if ok then return result end
  return errors.raise("connection", ("%s cannot be used: on_connect or the function of its password failed"):format(
    replica.name), { cause = result })
end

-- Up and down ----------------------------------------------------------------------------------------------

local function respite(replica)
  return math.min(SHORTEST * 2 ^ math.max(replica.failures - 1, 0), LONGEST)
end

---A connection to it failed.
---@param err table
---@param was_trial boolean|nil it was being tried again
function replicas.failed(replica, err, was_trial)
  replica.replayed = nil
  if replica.down_until and not was_trial then return end -- others met the same failure
  replica.failures, replica.error = replica.failures + 1, err
  replica.down_until = core.clock() + respite(replica)
end

---It has answered.
function replicas.answered(replica)
  if replica.down_until then replica.failures, replica.down_until, replica.error = 0, nil, nil end
end

local function load_of(replica)
  local stats = replica.pool:stats()
  return stats.in_use + stats.waiting
end

---The replica that has least to do among those that are up, by turns where several have. One that was down for long
---enough is up for whoever asks first.
---@param list table[] the context's replicas
---@param tried table<table, any> those that will not do
---@return table|nil replica
---@return boolean|nil is_trial
function replicas.pick(list, tried)
  local now, best, least = core.clock(), nil, nil
  list.turn = list.turn + 1
  for i = 0, #list - 1 do
    local replica = list[(list.turn + i) % #list + 1]
    if not tried[replica] and (not replica.down_until or now >= replica.down_until) then
      local load = load_of(replica)
      if not least or load < least then best, least = replica, load end
    end
  end
  local is_trial = best and best.down_until ~= nil
  if is_trial then best.down_until = now + respite(best) end
  return best, is_trial
end

---Whether a replica is not left out at present.
function replicas.is_up(replica)
  return replica.down_until == nil
end

---The pools' numbers, and which replica is up.
---@return table[]
function replicas.stats(list)
  local shown = {}
  for number, replica in ipairs(list) do
    local stats = replica.pool:stats()
    stats.host, stats.port, stats.up, stats.error = replica.host, replica.port, replicas.is_up(replica), replica.error
    shown[number] = stats
  end
  return shown
end

---Closes the pools.
function replicas.shut(list)
  for _, replica in ipairs(list) do replica.pool:shut() end
end

return replicas
