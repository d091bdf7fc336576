--- Heddle: a data-mapper ORM for several databases at once.
---
--- Usage: `local orm = require "heddle"`
local compat = require("heddle.compat")
local unguard = compat.guard_traversals()
local later = require("heddle.later")
unguard()

local context = require("heddle.context")
local core = require("heddle.core")
local discovery = require("heddle.discovery")
local entity = require("heddle.entity")
local errors = require("heddle.errors")
local handle = require("heddle.handle")
local registry = require("heddle.registry")
local scope = later.module("heddle.scope")
local waiting = require("heddle.waiting")

core.on_error(errors.from_core)

local orm = {
  _VERSION = "Heddle scm",
  null = core.null,
  entity = entity.entity,
  embeddable = entity.embeddable,
  metadata = entity.metadata,
  is_error = errors.is_error,
  contexts = registry.names,
  em = handle.new,
  use = waiting.use,
}

---Registers a context; nothing is connected. Raises `config`, `duplicate_context`, `metadata`.
---
---Usage: `orm.init { driver = "sqlite", database = "app.db", entities = { User } }`
---@param opts table
---@return table instance
function orm.init(opts)
  return context.init(opts, discovery.caller_dir())
end

---The instance of a context: its configuration, connections and schema. Raises `context_not_found`.
---
---Usage: `orm.instance("secondary"):check_connection()`
---@param name? string default "default"
function orm.instance(name)
  return registry.get(name)
end

---Adds entities to a context, before or after its `init`.
---
---Usage: `orm.register({ AnalyticsLog }, "secondary")`
---@param entities table
---@param name? string default "default"
function orm.register(entities, name)
  name = name or "default"
  local classes = discovery.load(entities, discovery.caller_dir(), name)
  if registry.has(name) then
    registry.get(name):add(classes)
  else
    registry.early(name, classes)
  end
end

---Closes one context, or all.
---@param name? string
function orm.close(name)
  if name ~= nil then return registry.get(name):close() end
  for _, each in ipairs(registry.names()) do registry.get(each):close() end
end

local function raise_no_context(name, why)
  errors.raise("no_request_context", ("Cannot get context '%s': %s"):format(name, why), { context = name })
end

---The entity manager of the request scope in force. Raises `no_request_context`, `context_not_found`.
---
---Usage: `orm.request_context(function() local em = orm.get_context() end)`
---@param name? string default "default"
function orm.get_context(name)
  local item = registry.get(name)
  if not item.config.register_request_context then
    raise_no_context(item.name, "it has register_request_context = false; set it to true, or use "
      .. ("orm.em(%q), which needs no registration"):format(item.name))
  end
  local em = scope.find(item)
  if not em then
    raise_no_context(item.name, "there is no request scope here; run this inside orm.request_context(fn), or use "
      .. ("orm.em(%q):fork()"):format(item.name))
  end
  return em
end

-- What many a program does without.
later.fields(orm, {
  op = "heddle.op", raw = "heddle.op raw", fn = "heddle.query.fn functions", type = "heddle.types custom",
  array = "heddle.array new", date = "heddle.date format", now = "heddle.date now", env = "heddle.env load",
  config_from_env = "heddle.env config", is_initialized = "heddle.instance is_initialized",
  to_table = "heddle.to_table to_table", request_context = "heddle.scope request_context", bind = "heddle.scope bind",
  repository = "heddle.repository named", testing = "heddle.testing testing", wrap = "heddle.wait wrap",
  fake = "heddle.seeding.fake new", factory = "heddle.seeding factory",
})

-- Where requests are worlds of their own, they are so from the first scope on; and none of them waits for a file.
local adapter = waiting.here()
if adapter and adapter.name == "openresty" then later.load_all() end

return orm
