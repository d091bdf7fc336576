--- Checks what `orm.init` is given and fills in what it was not.
---
--- Defaults: pool { min = 0, max = 10, acquire_timeout = 30, idle_timeout = 60, max_lifetime = 1800 },
--- connect_timeout 10, flush_mode "auto", batch_size 1000, prepare true, retry 0, register_request_context true.
--- A time of 0 means no limit. What has a meaning for one driver only (`host` for SQLite, `pragmas` for PostgreSQL)
--- is accepted by the other, so that one configuration can serve both.
local connection = require("heddle.connection")
local errors = require("heddle.errors")
local naming = require("heddle.naming")
local options = require("heddle.options")

local config = {}

local seconds = options.number(0)

-- One port, or one for each of several hosts ("5432,5433").
local function port(value)
  local expected = "a port from 1 to 65535"
  if type(value) == "number" then
    return options.integer(1, 65535)(value) and expected
  end
  if type(value) ~= "string" or not value:match("^[%d,]+$") then return expected end
  for one in value:gmatch("%d+") do
    local number = tonumber(one)
    if number < 1 or number > 65535 then return expected end
  end
end

local connection_rules = {
  url = options.text, host = options.text, port = port, database = options.text, user = options.text,
  password = options.either(options.string, options.func), schema = options.text,
  ssl_mode = options.one_of({ "disable", "allow", "prefer", "require", "verify-ca", "verify-full" }),
  options = options.table, pragmas = options.table, connect_timeout = seconds, statement_timeout = seconds,
  application_name = options.text, prepare = options.boolean,
}

local rules = {
  context_name = options.text, driver = options.one_of({ "postgres", "sqlite" }), entities = options.table,
  pool = options.table, register_request_context = options.boolean, allow_global_context = options.boolean,
  debug = options.either(options.boolean, options.table), logger = options.func, slow_query = seconds,
  naming_strategy = options.table,
  flush_mode = options.one_of({ "auto", "commit", "always" }), batch_size = options.integer(1, 10000),
  migrations = options.either(options.text, options.table), seeds = options.either(options.text, options.table),
  replicas = options.list_of(options.table), on_connect = options.func, retry = options.integer(0, 100),
}
for key, rule in pairs(connection_rules) do rules[key] = rule end

local pool_rules = {
  min = options.integer(0, 10000), max = options.integer(1, 10000), acquire_timeout = seconds,
  idle_timeout = seconds, max_lifetime = seconds,
}
local directory_rules = { path = options.text }
local debug_rules = { sql = options.boolean, comments = options.boolean, traceback = options.boolean }

-- Keys that stand in the configuration as they were given.
local plain = {
  "schema", "ssl_mode", "application_name", "allow_global_context", "logger", "slow_query", "on_connect",
  "statement_timeout",
}

local function either(value, default)
  if value == nil then return default end
  return value
end

local function read_pool(given, memory, fail)
  given = given or {}
  options.check(given, pool_rules, function(message) fail("pool: " .. message) end)
  -- A database in memory is its connection: one, and never closed for its age.
  if memory then
    return { min = 0, max = 1, acquire_timeout = either(given.acquire_timeout, 30), idle_timeout = 0, max_lifetime = 0 }
  end
  local pool = {
    min = either(given.min, 0), max = either(given.max, math.max(10, given.min or 0)),
    acquire_timeout = either(given.acquire_timeout, 30), idle_timeout = either(given.idle_timeout, 60),
    max_lifetime = either(given.max_lifetime, 1800),
  }
  if pool.min > pool.max then fail(("pool: 'min' (%d) is greater than 'max' (%d)"):format(pool.min, pool.max)) end
  return pool
end

-- What debug says when it is no table of wishes: comments cost a prepared statement for each place.
local function read_debug(given, fail)
  if not given then return false end
  if given == true then return { sql = true, traceback = true } end
  options.check(given, debug_rules, function(message) fail("debug: " .. message) end)
  if given[1] ~= nil then fail("debug: a value stands without its key; write key = true") end
  return { sql = given.sql, comments = given.comments, traceback = given.traceback }
end

-- Directory of migrations or seeds: one for each context, beside the file that configures.
local function read_directory(given, key, context_name, base_dir, fail)
  local path = given
  if type(given) == "table" then
    options.check(given, directory_rules, function(message) fail(key .. ": " .. message) end)
    path = given.path
  end
  path = path or (context_name == "default" and key or (key .. "/" .. context_name))
  if base_dir and base_dir ~= "" and not path:match("^/") then path = base_dir .. "/" .. path end
  return { path = path }
end

local function read_replicas(given, driver, fail)
  local replicas = { options = {}, passwords = {}, shown = {} }
  for position, replica in ipairs(given.replicas or {}) do
    local function fail_here(message) fail(("replicas, item %d: %s"):format(position, message)) end
    options.check(replica, connection_rules, fail_here)
    local merged = { driver = driver }
    for key in pairs(connection_rules) do merged[key] = either(replica[key], given[key]) end
    -- An address says where and who; nothing of the primary's may override it.
    if replica.url then
      for _, key in ipairs({ "host", "port", "database", "user", "password" }) do merged[key] = replica[key] end
    end
    local link = connection.read(merged, fail_here)
    replicas.options[position] = link.options
    replicas.passwords[position] = type(merged.password) == "function" and merged.password or nil
    replicas.shown[position] = {
      host = link.shown.host, port = link.shown.port, database = link.shown.database, user = link.shown.user,
      connect_timeout = merged.connect_timeout,
    }
  end
  return replicas
end

local function sorted_list(map)
  local list = {}
  for position, name in ipairs(options.sorted_keys(map)) do list[position] = { name, map[name] } end
  return list
end

local function describe(made)
  local place = made.database or ""
  if made.host then place = made.host .. (made.port and (":" .. made.port) or "") .. "/" .. place end
  if made.user then place = made.user .. "@" .. place end
  return ("config<%s: %s %s>"):format(made.context_name, made.driver, place)
end

-- What may hold a secret is answered by these functions and stands in no field, so that a configuration can be
-- printed.
local function hide(made, secret)
  local methods = {}

  ---The driver's options, password included when it is a string: a sorted list of { name, text }.
  function methods.driver_options()
    return sorted_list(secret.options)
  end

  ---The same for each replica.
  function methods.replica_options()
    local lists = {}
    for position, map in ipairs(secret.replicas.options) do lists[position] = sorted_list(map) end
    return lists
  end

  ---The function that gives the password of a new connection, nil when there is none.
  methods.password_function = secret.password

  ---The same for each replica that has one.
  methods.replica_passwords = secret.replicas.passwords
  return setmetatable(made, { __index = methods, __tostring = describe, __name = "heddle.config" })
end

---The configuration of a context. Raises `config`.
---@param given table what `orm.init` was given
---@param base_dir? string directory of the file that calls `init`
---@return table config
function config.check(given, base_dir)
  local context_name = "default"
  local function fail(message)
    errors.raise("config", ("Configuration of context '%s': %s"):format(context_name, message),
      { context = context_name })
  end
  if type(given) ~= "table" then fail("takes a table, got " .. options.describe(given)) end
  if given.context_name ~= nil and not options.text(given.context_name) then context_name = given.context_name end
  options.check(given, rules, fail)
  for key in pairs(given) do
    if type(key) == "number" then fail("a value stands without its key; write key = value") end
  end
  local link = connection.read(given, fail)
  local memory = link.driver == "sqlite" and connection.is_memory(link.shown.database)
  local replicas = read_replicas(given, link.driver, fail)
  local made = {
    context_name = context_name, driver = link.driver, memory = memory, base_dir = base_dir,
    host = link.shown.host, port = link.shown.port, database = link.shown.database, user = link.shown.user,
    entities = given.entities or {}, pool = read_pool(given.pool, memory, fail),
    connect_timeout = either(given.connect_timeout, 10),
    register_request_context = either(given.register_request_context, true),
    debug = read_debug(given.debug, fail), naming = naming.strategy(given.naming_strategy, fail),
    flush_mode = either(given.flush_mode, "auto"), batch_size = either(given.batch_size, 1000),
    prepare = either(given.prepare, true), retry = either(given.retry, 0), replicas = replicas.shown,
    migrations = read_directory(given.migrations, "migrations", context_name, base_dir, fail),
    seeds = read_directory(given.seeds, "seeds", context_name, base_dir, fail),
  }
  for _, key in ipairs(plain) do made[key] = given[key] end
  made.is_told = made.logger ~= nil or made.slow_query ~= nil or made.debug and made.debug.sql or false
  return hide(made, {
    options = link.options, replicas = replicas,
    password = type(given.password) == "function" and given.password or nil,
  })
end

return config
