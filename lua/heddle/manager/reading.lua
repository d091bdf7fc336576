--- Reading: find and its kin, references, load of to-one relations, refresh.
local later = require("heddle.later")
local class_of = require("heddle.class")
local compat = require("heddle.compat")
local errors = require("heddle.errors")
local family = later.module("heddle.family")
local fetch = require("heddle.fetch")
local filter_names = later.module("heddle.named_filters.names")
local find_options = later.module("heddle.find_options")
local instance = later.module("heddle.instance")
local managed = later.module("heddle.populate.managed")
local manager = require("heddle.manager")
local merge = later.module("heddle.merge")
local named_filters = later.module("heddle.named_filters")
local options = later.module("heddle.options")
local populate = later.module("heddle.populate")
local routing = later.module("heddle.routing")
local select = later.module("heddle.select")
local waiting = later.module("heddle.waiting")

local Manager = manager.class
local admit, check_receiver = manager.admit, manager.check_receiver

---The entities that a filter finds. Raises `validation`, `unknown_property`, and what the database says.
---
---Usage: `local adults = em:find(User, { age = op.gte(18) }, { order_by = { "name" }, limit = 10 })`
---@param entity table|string
---@param where table
---@param opts? table
---@return table[]
function Manager:find(entity, where, opts)
  return (fetch.find(self, entity, where, opts, true))
end

---Every entity of a type.
---
---Usage: `for _, user in ipairs(em:find_all(User)) do print(user) end`
function Manager:find_all(entity, opts)
  return (fetch.find(self, entity, {}, opts, true))
end

---The number of entities that a filter finds.
---
---Usage: `local n = em:count(User, { age = op.gte(18) })`
---@return integer
function Manager:count(entity, where, opts)
  admit(self)
  local map = self:mapping(entity)
  local plan, params = select.count(map, where, opts, true, map.named and named_filters.of(self, opts))
  fetch.flush_before(self, plan, opts)
  return fetch.count(self, plan, params, opts)
end

---Items as `find` gives them with limit and offset, and the number of all that the filter finds.
---@return table[] items
---@return integer total
function Manager:find_and_count(entity, where, opts)
  check_receiver(self)
  local items = self:find(entity, where, opts)
  opts = opts or {}
  return items, self:count(entity, where, find_options.shared(opts, { flush_mode = opts.flush_mode, all = opts.all,
    group_by = opts.group_by, having = opts.having }))
end

local load_rules = {
  refresh = options.boolean, flush_mode = options.one_of({ "auto", "commit", "always" }),
  connection = options.one_of({ "read", "write" }), timeout = options.duration, filters = options.any,
  strategy = options.one_of({ "select_in", "joined" }), where = options.any, order_by = options.any,
  limit = options.any, offset = options.any, fields = options.any, exclude = options.any,
}

local of_path = { "where", "order_by", "limit", "offset", "fields", "exclude" }

-- The paths of a load, with what its options say about the only one.
local function entries(self, paths, opts)
  local said = {}
  for _, name in ipairs(of_path) do said[name] = opts[name] end
  if paths == nil then paths = {} end
  if next(said) == nil then return paths end
  local path = type(paths) == "table" and getmetatable(paths) == nil and paths[2] == nil and paths[1] or paths
  if type(path) ~= "string" then
    errors.raise("validation", ("em:load: option '%s' is for one path: { { \"path\", %s = ... }, ... } says it of "
      .. "several"):format(next(said), next(said)), { context = self.context_name })
  end
  said[1] = path
  return { said }
end

-- What em:load takes, as a list.
local function loadable(self, what)
  if instance.meta_of(what) then return { what } end
  local list, count = type(what) == "table" and not class_of.definition_of(what) and what or nil, 0
  for _ in pairs(list or {}) do count = count + 1 end
  if list and count == #list then return list end
  local got = list and "a plain table" or class_of.definition_of(what) and "an entity" or "a " .. type(what)
  return errors.raise("validation", "em:load takes an instance of an entity, or a list of them without holes, not "
    .. got, { context = self.context_name })
end

-- The mapping of a list's instances. Raises for what is none of this entity manager's, or of another entity.
local function check_loadable(self, list)
  local first
  for _, e in ipairs(list) do
    local shelf, _, map = self:locate(e, "em:load")
    if not shelf then
      errors.raise("not_managed", ("em:load: this %s is not managed; populate it where it is read"):format(map.name),
        { context = self.context_name, entity = map.name })
    end
    local common = first and family.common(first, map) or not first and map
    if not common then
      errors.raise("validation", ("em:load: a list of one entity's instances is taken, not of %s and %s"):format(
        first.name, map.name), { context = self.context_name, entity = map.name })
    end
    first = common
  end
  return first
end

---Loads what is not loaded of entities that are there already: those that are references, the relations and lazy
---properties that the paths name. To-one relations are loaded without a flush. Raises `validation`, `not_managed`,
---`unknown_property`.
---
---Usage: `em:load(author, { "books.tags" })`
---@param what table an entity, or a list of entities of one kind
---@param paths? table|string as in `populate`
---@param opts? table `refresh`: read again what is loaded, and drop what was changed; `flush_mode connection timeout
---filters strategy` as for find; `where order_by limit offset fields exclude` of the only path
---@return table what
function Manager:load(what, paths, opts)
  admit(self)
  opts = opts or {}
  local function fail(message, is_unknown)
    errors.raise(is_unknown and "unknown_property" or "validation", "em:load: " .. message,
      { context = self.context_name })
  end
  if type(opts) ~= "table" then fail("its options are a table, not a " .. type(opts)) end
  options.check(opts, load_rules, fail)
  local list = loadable(self, what)
  local map = check_loadable(self, list)
  if not map then return what end
  if opts.filters ~= nil then filter_names.check(map, opts.filters) end
  local level = populate.plan(map, entries(self, paths, opts), nil, true)
  level.named = map.named and named_filters.of(self, opts)
  local reads = populate.reads(level, {}, self, opts)
  if reads[1] then fetch.flush_before(self, { reads = reads }, opts) end
  local loader = managed.loader(self, opts)
  loader:rows(level, list, paths ~= nil)
  populate.run(loader, level, list)
  return what
end

---Reads an entity again; changes in memory are dropped. Raises `not_found` when its row is gone.
---
---Usage: `em:refresh(user)`
function Manager:refresh(e)
  check_receiver(self)
  local shelf, slot, map = self:locate(e, "em:refresh")
  if not shelf or shelf:state(slot) == "new" then
    errors.raise("not_managed", ("em:refresh: this %s is not in the database yet"):format(map.name),
      { context = self.context_name, entity = map.name })
  end
  merge.reread(self, e)
  return e
end

---Whether the entity is managed here and not marked for removal.
function Manager:contains(e)
  check_receiver(self)
  local meta = instance.meta_of(e)
  local shelf = meta and meta.box and meta.box.shelf
  if not shelf or shelf.em ~= self then return false end
  local slot = meta.slot_of[e]
  return slot ~= nil and not shelf.removed[slot]
end

---Runs SQL: an array of rows, or the number of rows touched. `?` stands for a value, `??` for a question mark.
---
---Usage: `local rows = em:execute("select id, name from users where age > ?", 18)`
---@param sql string
---@return table|integer
function Manager:execute(sql, ...)
  check_receiver(self)
  self:enter()
  local link = self:open_link()
  if self.test then self.test:guard(self) end
  local rows, count = routing.execute(self, link, sql, compat.pack(...))
  return rows or count
end

---The global entity manager's identity map outside a scope may be forbidden.
function Manager:check_global()
  if self.context.global ~= self then return end
  local allowed = self.context.config.allow_global_context
  if allowed == nil then allowed = not waiting.is_scheduled() end
  if not allowed then
    errors.raise("global_context",
      ("The global entity manager of context '%s' would be shared by everybody: work inside "
      .. "orm.request_context, on em:fork(), or say allow_global_context = true"):format(self.context_name),
      { context = self.context_name })
  end
end

---The entity manager.s methods without the entity argument, and those that the entity.s `repository` adds.
function Manager:repository(entity)
  check_receiver(self)
  self:mapping(entity)
  return require("heddle.repository").of(self, entity)
end

return Manager
