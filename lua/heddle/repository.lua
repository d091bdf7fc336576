--- Repositories: the entity manager's methods for one entity, and the methods that its `repository` option adds.
local class = require("heddle.class")
local handle = require("heddle.handle")
local manager = require("heddle.manager")
local registry = require("heddle.registry")

local repository = {}

-- Methods of the entity manager that take the entity first.
local of_entity = {}
for name in ([[create find find_one find_one_or_fail find_all find_and_count find_by_cursor stream count query
    get_reference insert insert_many update_where delete_where upsert upsert_many map]]):gmatch("%S+") do
  of_entity[name] = true
end

local methods = {}

local function method_of(name)
  if methods[name] then return methods[name] end
  if type(manager.class[name]) ~= "function" then return nil end
  if of_entity[name] then
    methods[name] = function(self, ...) return self.em[name](self.em, self.entity, ...) end
  elseif handle.chained[name] then
    methods[name] = function(self, ...)
      self.em[name](self.em, ...)
      return self
    end
  else
    methods[name] = function(self, ...) return self.em[name](self.em, ...) end
  end
  return methods[name]
end

-- What the entity adds. Until its context is there a name says nothing.
local function own_methods(self)
  local definition = class.definition_of(self.entity)
  if not definition and registry.has(self.em.context_name) then
    definition = registry.get(self.em.context_name):mapping(self.entity).meta
  end
  local own = definition and (definition.repository or {})
  rawset(self, "own", own)
  return own or {}
end

local function index(self, key)
  local method = (rawget(self, "own") or own_methods(self))[key]
  if method ~= nil then return method end
  return method_of(key)
end

local Repository = { __name = "heddle.repository", __index = index }

function Repository.__tostring(self)
  return ("repository<%s, %s>"):format(tostring(self.entity), self.em.context_name)
end

---@param em table an entity manager or a handle
---@param entity table
function repository.of(em, entity)
  return setmetatable({ em = em, entity = entity }, Repository)
end

---The repository of an entity on whatever entity manager is in force.
---
---Usage: `local users = orm.repository(User); users:find_one(7)`
---@param entity table
---@param name? string context, default "default"
function repository.named(entity, name)
  return repository.of(handle.new(name), entity)
end

return repository
