--- Repositories: the entity manager's methods for one entity, and the methods that its `repository` option adds.
local class = require("heddle.class")
local errors = require("heddle.errors")
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

---@class heddle.Repository
---@field em table an entity manager or a handle
---@field entity table|string
local Repository = { __name = "heddle.repository" }

local function em_of(self)
  if getmetatable(self) == Repository then return self.em end
  return errors.raise("validation", "call the methods of a repository with ':', as in users:find {}")
end

local function forward(name)
  if of_entity[name] then
    return function(self, ...)
      local em = em_of(self)
      return em[name](em, self.entity, ...)
    end
  end
  if handle.chained[name] then
    return function(self, ...)
      local em = em_of(self)
      em[name](em, ...)
      return self
    end
  end
  return function(self, ...)
    local em = em_of(self)
    return em[name](em, ...)
  end
end

local methods = {}

-- What the entity adds. Until its context is there a name says nothing, and another context may have another entity of
-- that name later.
local function own_methods(self)
  local entity, context_name = rawget(self, "entity"), self.em.context_name
  local definition = class.definition_of(entity)
  if not definition and registry.has(context_name) then
    definition = registry.get(context_name):mapping(entity).meta
  end
  return definition and definition.repository
end

function Repository.__index(self, key)
  local own = own_methods(self)
  if own and own[key] then return own[key] end
  if not methods[key] and type(manager.class[key]) == "function" then methods[key] = forward(key) end
  return methods[key]
end

function Repository.__tostring(self)
  return ("repository<%s, %s>"):format(tostring(self.entity), self.em.context_name)
end

---@param em table an entity manager or a handle
---@param entity table|string
---@return heddle.Repository
function repository.of(em, entity)
  return setmetatable({ em = em, entity = entity }, Repository)
end

---The repository of an entity on whatever entity manager is in force.
---
---Usage: `local users = orm.repository(User); users:find_one(7)`
---@param entity table|string
---@param name? string context, default "default"
---@return heddle.Repository
function repository.named(entity, name)
  return repository.of(handle.new(name), entity)
end

return repository
