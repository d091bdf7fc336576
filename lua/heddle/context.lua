--- Context: one named database with its configuration, pool, mappings and global entity manager. What
--- `orm.instance(name)` gives.
local later = require("heddle.later")
local blame = later.module("heddle.blame")
local compat = require("heddle.compat")
local config = require("heddle.config")
local core = require("heddle.core")
local discovery = require("heddle.discovery")
local errors = require("heddle.errors")
local filters = later.module("heddle.named_filters.mapped")
local mapping = require("heddle.mapping")
local membership = later.module("heddle.mapping.membership")
local own_writes = later.module("heddle.own_writes")
local raw_sql = later.module("heddle.raw_sql")
local registry = require("heddle.registry")
local replicas = later.module("heddle.replicas")
local wait = later.module("heddle.wait")
local waiting = require("heddle.waiting")

local pcall = compat.pcall

local Context = { __name = "heddle.instance" }
Context.__index = Context

local context = {}

-- What a manager, a handle and the streams put here when they are loaded:
--   manager(context, scope|nil)  makes the context's entity manager; scope nil: a free fork
--   handle(name)                 makes the redirecting handle that `orm.em(name)` gives
--   end_streams(context)         ends those that are open
later.fill(context, { ["heddle.manager"] = "manager", ["heddle.handle"] = "handle" })
function context.end_streams() end

local load_driver = {}

local function driver_of(name)
  if not load_driver[name] then
    local ok, driver = pcall(require, "heddle." .. name)
    if not ok then
      errors.raise("config", ("The driver '%s' cannot be loaded: is the library that it needs installed?"):format(name),
        { cause = driver })
    end
    core.driver(driver)
    load_driver[name] = driver
  end
  return load_driver[name]
end

local function limits_of(made)
  local pool = made.pool
  return {
    min = pool.min, max = pool.max, acquire_timeout = pool.acquire_timeout, idle_timeout = pool.idle_timeout,
    max_lifetime = pool.max_lifetime, connect_timeout = made.connect_timeout,
    host_password = made.password_function ~= nil,
  }
end

---Makes and registers a context. Raises `config`, `duplicate_context`, `metadata`.
---@param given table
---@param base_dir string|nil
function context.init(given, base_dir)
  local made = config.check(given, base_dir)
  if registry.has(made.context_name) then
    errors.raise("duplicate_context", ("Context '%s' exists already; close it first, "
      .. "or give another context_name"):format(
      made.context_name), { context = made.context_name })
  end
  local self = setmetatable({
    context_name = made.context_name, name = made.context_name, config = made, classes = {}, listeners = {},
    tests = {}, makers = {},
    driver_name = made.driver, refused_waits = 0,
    -- Fields that are there are found at once, others are looked for in the class: these are asked for all the time.
    closed = false, global = false, replicas = false,
  }, Context)
  local classes = discovery.load(made.entities, made.base_dir, self.name)
  for _, item in ipairs(registry.early(self.name)) do classes[#classes + 1] = item end
  self.driver = driver_of(made.driver)
  self:add(classes)
  self.pool = core.pool(self.driver, made.driver_options(), limits_of(made))
  if made.replicas[1] then
    self.replicas, self.writes = replicas.open(made, self.driver, limits_of(made)), own_writes.mark()
  end
  self.em = context.handle(self.name)
  self.schema = later.object({ context = self }, "heddle.schema")
  self.migrator = later.object({ context = self }, "heddle.migrator")
  self.seeder = later.object({ context = self }, "heddle.seeder")
  if made.debug and made.debug.traceback then errors.debug = true end
  registry.add(self)
  return self
end

---Adds entities: the mappings are made anew. Entity managers take them up when they are next used.
function Context:add(classes)
  local list, seen = {}, {}
  for _, source in ipairs({ self.classes, classes }) do
    for _, item in ipairs(source) do
      if not seen[item] then
        seen[item] = true
        list[#list + 1] = item
      end
    end
  end
  local made = mapping.build(self.name, self.driver_name, list, self.config.naming, { schema = self.config.schema })
  if made.is_partial then membership.fill(made.list) end
  if made.has_filters then filters.fill(made) end
  self.classes, self.mappings = list, made
  self.model = core.model(self.driver, made.list)
end

---The mapping of an entity (or its name). Raises `entity_not_registered`.
function Context:mapping(entity)
  local known = self.mappings
  local map = known.by_class[entity] or known.by_name[entity]
  if not map then registry.raise_unregistered(self, entity) end
  return map
end

---The context's own entity manager, made at first use.
function Context:global_manager()
  if not self.global then
    self.global = context.manager(self, nil)
    self.global.makers = {} -- of its own, and empty
  end
  return self.global
end

function Context:new_manager(scope)
  return context.manager(self, scope)
end

later.fill(Context, { ["heddle.events"] = "on emit emit_all report", ["heddle.logging"] = "log comment" })

---Whether statements are told to somebody.
function Context:is_logged()
  return self.config.is_told or self.listeners.query ~= nil
end

-- Links ----------------------------------------------------------------------------------------------------

---A new way to the database, one operation at a time.
function Context:link()
  if self.closed then self:raise_closed() end
  waiting.refuse(self)
  local link = self.pool:link()
  link:want_on_connect(self.config.on_connect ~= nil)
  return link
end

function Context:raise_closed()
  errors.raise("closed", ("Context '%s' is closed"):format(self.name), { context = self.name })
end

---Raises the link's last failure.
function Context:raise(link, record)
  record = record or link:error()
  local test = self.tests[link]
  if test then test:recover() end
  local ok, err = pcall(blame.raise, self, record)
  if self:is_logged() then self:log(link, err) end
  return ok, error(err, 0)
end

---Finishes an operation that gives no rows to the caller.
function Context:finish(link, ...)
  local status = wait.drive(link, self, ...)
  if status == wait.FAILED then self:raise(link) end
  if link:wrote() then own_writes.note_all(self) end
  if self:is_logged() then self:log(link) end
end

---Runs raw SQL on a link: rows (or, for statements without a result, nil), and the number of rows touched.
---@param link userdata
---@param sql string
---@param params table packed
---@param bare boolean|nil between operations (on_connect)
---@param seconds number|nil that it may take
function Context:run_sql(link, sql, params, bare, seconds)
  return raw_sql.run(self, link, sql, params, bare, seconds)
end

local Connection = {}
Connection.__index = Connection

---@param sql string `?` for parameters
function Connection:execute(sql, ...)
  local rows, count = self.context:run_sql(self.link, sql, compat.pack(...), true)
  return rows or count
end

function Connection:__tostring()
  return "connection<" .. self.link:describe() .. ">"
end

---A fresh connection: on_connect has its say. Called by the wait loop.
function Context:connected(link)
  replicas.call(link, self.config.on_connect, setmetatable({ context = self, link = link }, Connection))
end

---The password of a fresh connection, which a function gives. Called by the wait loop. Raises `config`.
---@return string
function Context:password(link)
  local replica = replicas.of(link)
  local password = replicas.call(link, replica and replica.password_function or self.config.password_function)
  if type(password) ~= "string" then
    errors.raise(replica and "connection" or "config", ("the password function of context '%s' gave a %s, not a string")
      :format(self.name, type(password)), { context = self.name })
  end
  return password
end

---The pool that a link's connections come from.
---@return userdata
function Context:pool_of(link)
  local replica = replicas.of(link)
  return replica and replica.pool or self.pool
end

---Where a link leads, for logs: "primary", "replica 1".
---@return string
function Context:connection_name(link) -- luacheck: no self
  local replica = replicas.of(link)
  return replica and replica.name or "primary"
end

-- Holds as many connections at once as `pool.min` still asks for.
local function open_connections(self, held)
  for i = 1, math.max(1, self.config.pool.min - self:pool_stats().in_use) do
    held[i] = self:link()
    -- A transaction keeps the connection until all are open.
    held[i]:begin("BEGIN")
    self:run_sql(held[i], "SELECT 1", compat.pack())
  end
  for _, link in ipairs(held) do self:finish(link, link:rollback()) end
end

---Opens a connection now. Raises `connection`.
---
---Usage: `orm.instance("secondary"):connect()`
function Context:connect()
  local held = {}
  local ok, err = pcall(open_connections, self, held)
  for _, link in ipairs(held) do link:close() end
  if not ok then error(err, 0) end
  return self
end

---Whether the database can be reached: true, or false and the error (what `on_connect` or the password's function
---raised is one too).
---@return boolean ok
---@return any err
function Context:check_connection()
  local ok, err = pcall(self.connect, self)
  if ok then return true end
  return false, err
end

---`size idle in_use waiting opened closed acquired timeouts`, and where there are replicas, in `replicas`, the same of
---each with `host port up error`.
---@return table
function Context:pool_stats()
  local stats = self.pool:stats()
  stats.timeouts = stats.timeouts + self.refused_waits
  stats.replicas = self.replicas and replicas.stats(self.replicas) or nil
  return stats
end

---Closes the context: its connections, and its name, which is free again.
function Context:close()
  if self.closed then return end
  self.closed = true
  context.end_streams(self)
  if self.global then self.global:drop() end
  self.pool:shut()
  if self.replicas then replicas.shut(self.replicas) end
  if registry.has(self.name) and registry.get(self.name) == self then registry.remove(self.name) end
end

function Context:__tostring()
  return ("instance<%s: %s%s>"):format(self.name, tostring(self.config), self.closed and ", closed" or "")
end

return context
