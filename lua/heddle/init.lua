--- Heddle: a data-mapper ORM for several databases at once.
---
--- Usage: `local orm = require "heddle"`
local unguard = require("heddle.compat").guard_traversals()
local array = require("heddle.array")
local construct = require("heddle.construct")
local context = require("heddle.context")
local core = require("heddle.core")
local custom = require("heddle.custom")
local date = require("heddle.date")
local discovery = require("heddle.discovery")
local entity = require("heddle.entity")
local env = require("heddle.env")
local errors = require("heddle.errors")
local filter = require("heddle.filter")
local fn = require("heddle.query.fn")
local given_key = require("heddle.given_key")
local handle = require("heddle.handle")
local inherit = require("heddle.inherit")
local instance = require("heddle.instance")
local op = require("heddle.op")
local registry = require("heddle.registry")
local repository = require("heddle.repository")
local scope = require("heddle.scope")
local testing = require("heddle.testing")
local to_table = require("heddle.to_table")
local types = require("heddle.types")
local wait = require("heddle.wait")
local waiting = require("heddle.waiting")

require("heddle.manager.entering")
require("heddle.manager.by_key")
require("heddle.manager.paging")
require("heddle.manager.querying")
require("heddle.manager.reading")
require("heddle.manager.streaming")
require("heddle.manager.filters")
require("heddle.manager.creating")
require("heddle.manager.writing")
require("heddle.manager.direct")
require("heddle.manager.locking")
require("heddle.manager.mapped")
require("heddle.manager.upsert")
require("heddle.manager.merging")
require("heddle.manager.transactions")
require("heddle.relations.methods")

core.on_error(errors.from_core)
entity.construct = construct.construct

-- The key of an instance that stands in a filter.
function filter.hooks.key_of(value, map)
  local meta = instance.meta_of(value)
  if not meta then return nil end
  local shelf = meta.box and meta.box.shelf
  if meta.context_name and meta.context_name ~= map.context then
    errors.raise("wrong_context", ("a %s of context '%s' in a filter of context '%s'"):format(meta.definition.name,
      meta.context_name, map.context), { context = map.context, entity = meta.definition.name })
  end
  if not inherit.is_a(meta.definition, map.meta) then
    errors.raise("validation", ("a filter on %s was given a %s"):format(map.name, meta.definition.name),
      { context = map.context, entity = map.name })
  end
  local key
  if shelf then
    key = shelf:program_key(meta.slot_of[value])
  else
    key = custom.key(map.key, given_key.of(value, map) or {}, custom.from_db)
  end
  if #key < #map.key then
    errors.raise("validation", ("a %s without a key in a filter: flush it first"):format(map.name),
      { context = map.context, entity = map.name })
  end
  return key
end

local orm = {
  _VERSION = "Heddle scm",
  null = core.null,
  op = op,
  raw = op.raw,
  fn = fn.functions,
  entity = entity.entity,
  embeddable = entity.embeddable,
  metadata = entity.metadata,
  type = types.custom,
  array = array.new,
  date = date.format,
  now = date.now,
  env = env.load,
  config_from_env = env.config,
  is_error = errors.is_error,
  is_initialized = instance.is_initialized,
  to_table = to_table.to_table,
  contexts = registry.names,
  em = handle.new,
  request_context = scope.request_context,
  bind = scope.bind,
  repository = repository.named,
  testing = testing.testing,
  use = waiting.use,
  wrap = wait.wrap,
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

-- What stands outside of most programs is loaded when it is first asked for.
local lazy = {
  fake = function() return require("heddle.seeding.fake").new end,
  factory = function() return require("heddle.seeding").factory end,
}

setmetatable(orm, {
  __index = function(_, name)
    local load = lazy[name]
    if load then orm[name] = load() end
    return rawget(orm, name)
  end,
})

unguard()

-- Where requests are worlds of their own, they are so from the first scope on.
waiting.here()

return orm
