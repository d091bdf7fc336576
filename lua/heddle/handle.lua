--- What `orm.em(name)` gives: an entity manager by name, which every call resolves anew - the one of the transaction or
--- request scope in force, else the context's global one. It can be stored before the context exists.
local context = require("heddle.context")
local errors = require("heddle.errors")
local later = require("heddle.later")
local manager = later.module("heddle.manager")
local registry = require("heddle.registry")
local scope = later.module("heddle.scope")

local handle = {}

local names = setmetatable({}, { __mode = "k" })
local handles = setmetatable({}, { __mode = "v" })

local function resolve(self)
  if not names[self] then
    errors.raise("validation", "call the methods of an entity manager with ':', as in em:find(User, {})")
  end
  local item = registry.get(names[self])
  return (scope.find(item)) or item:global_manager()
end

local methods = {}

-- One forwarding function a method, made when it is first asked for. What gives the entity manager itself gives the
-- handle. The entity manager is asked for its method: one of a migration has its own.
local chained = {
  persist = true, remove = true, detach = true, enable_filter = true, disable_filter = true, set_filter_params = true,
}

local function forward(name)
  if chained[name] then
    return function(self, ...)
      local em = resolve(self)
      em[name](em, ...)
      return self
    end
  end
  return function(self, ...)
    local em = resolve(self)
    return em[name](em, ...)
  end
end

local Handle = { __name = "heddle.em" }

function Handle.__index(self, key)
  local method = methods[key]
  if method then return method end
  if key == "context_name" then return names[self] end
  if key == "instance" then return registry.get(names[self]) end
  if type(manager.class[key]) == "function" then
    methods[key] = forward(key)
    return methods[key]
  end
end

function Handle.__newindex()
  error("an entity manager has no fields of the program's", 2)
end

function Handle.__tostring(self)
  if not registry.has(names[self]) then return ("em<%s>"):format(tostring(names[self])) end
  return tostring(resolve(self))
end

---@param name? string default "default"
function handle.new(name)
  if name == nil then name = "default" end
  local self = handles[name]
  if not self then
    self = setmetatable({}, Handle)
    names[self], handles[name] = name, self
  end
  return self
end
context.handle = handle.new

handle.resolve, handle.chained = resolve, chained
return handle
