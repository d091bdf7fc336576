--- Writing without the unit of work: insert, insert_many, update_where, delete_where.
local bulk = require("heddle.bulk")
local errors = require("heddle.errors")
local fetch = require("heddle.fetch")
local instance = require("heddle.instance")
local manager = require("heddle.manager")

local Manager = manager.class

local function run(self, plan, params)
  local status = self:start(plan, params)
  if status == 1 then self.link:finish() end
  local affected = self.link:affected()
  if self.context:is_logged() then self.context:log(self.link) end
  return affected
end

---Updates rows by filter, without entities. Raises `validation` for an empty filter unless `all = true`.
---
---Usage: `em:update_where(User, { team = 3 }, { active = false })`
---@return integer rows
function Manager:update_where(entity, where, data, opts)
  self:check_global()
  local plan, params = bulk.update(self:mapping(entity), where, data, opts)
  fetch.flush_before(self, plan)
  return run(self, plan, params)
end

---Deletes rows by filter, without entities.
---
---Usage: `em:delete_where(Session, { expires_at = op.lt(orm.now()) })`
---@return integer rows
function Manager:delete_where(entity, where, opts)
  self:check_global()
  local plan, params = bulk.delete(self:mapping(entity), where, opts)
  fetch.flush_before(self, plan)
  return run(self, plan, params)
end

-- An instance in data stands for its key: the row is written through another identity map than this one's.
local function with_keys(self, map, data)
  local copy = {}
  for name, value in pairs(type(data) == "table" and data or {}) do
    local prop = map.meta.by_name[name]
    if prop and instance.kind_of(prop) == "one" and instance.meta_of(value) then
      local shelf, slot = self:locate(value, map.name .. "." .. name)
      local key = shelf and shelf:program_key(slot) or {}
      if #key == 0 then
        errors.raise("not_managed", ("%s.%s: this %s has no row yet; flush it first"):format(map.name, name,
          getmetatable(value).definition.name), { context = self.context_name, entity = map.name, property = name })
      end
      value = #key == 1 and key[1] or key
    end
    copy[name] = value
  end
  return getmetatable(data) == nil and copy or data
end

-- Rows written through an identity map of their own, on this one's connection and transaction.
local function insert_rows(self, entity, list)
  local aside = self:sibling()
  aside.plain = true
  aside.transactions = self.transactions
  local map, made = self:mapping(entity), {}
  for i, data in ipairs(list) do
    made[i] = aside:create(entity, with_keys(self, map, data))
    aside:persist(made[i])
  end
  aside:flush()
  local shelf, keys = aside:shelf_of(aside:mapping(entity)), {}
  for i, e in ipairs(made) do
    local key = shelf:program_key(shelf.slot_of[e])
    keys[i] = #key == 1 and key[1] or key
  end
  aside:clear()
  return keys
end

---Inserts one row without an entity to manage; hooks do not run. Gives its key.
---
---Usage: `local id = em:insert(User, { name = "John" })`
function Manager:insert(entity, data)
  self:check_global()
  self:enter()
  return insert_rows(self, entity, { data or {} })[1]
end

---Inserts many rows; gives their keys in the order of the list.
function Manager:insert_many(entity, list)
  self:check_global()
  self:enter()
  if type(list) ~= "table" then
    errors.raise("validation", ("insert_many of %s takes a list of tables, not a %s"):format(self:mapping(entity).name,
      type(list)), { context = self.context_name })
  end
  return insert_rows(self, entity, list)
end

return Manager
