--- Reading: find and its kin, references, load of to-one relations, refresh.
local compat = require("heddle.compat")
local core = require("heddle.core")
local errors = require("heddle.errors")
local find_options = require("heddle.find_options")
local instance = require("heddle.instance")
local manager = require("heddle.manager")
local merge = require("heddle.merge")
local null = require("heddle.null")
local populate = require("heddle.populate")
local select = require("heddle.select")
local wait = require("heddle.wait")

local Manager = manager.class
local ROW, WAIT = wait.ROW, wait.WAIT

-- What the binding makes of a plan, once.
local function prepare(self, plan)
  if plan.model ~= self.model then
    local indexes = {}
    for i, column in ipairs(plan.columns) do indexes[i] = column.index end
    plan.query = core.query(plan.sql, plan.param_columns, plan.columns)
    plan.hydrator = plan.mapping and plan.columns[1] and plan.columns[1].index and
      core.hydrator(self.model, plan.mapping.id, indexes)
    plan.model = self.model
  end
  return plan.query
end

---Starts a plan on the link: status, and fd, events, timeout of a wait.
function Manager:start(plan, params)
  self:enter()
  local query = plan.model == self.model and plan.query or prepare(self, plan)
  local link = self.link or self:open_link()
  return self:drive(link:start(query, params, #plan.param_columns))
end

-- A hydration that fails (out of memory) leaves the operation half read.
local function hydrate(self, step, ...)
  local ok, status, fd, events, timeout = pcall(step, ...)
  if not ok then
    self.link:finish()
    error(status, 0)
  end
  if status >= WAIT then return self:drive(status, fd, events, timeout) end
  return status
end

local function run_managed(self, plan, params)
  local results, late = {}, {}
  local status = self:start(plan, params)
  local shelf = self:shelf_of(plan.mapping)
  local before = shelf.shelf:count()
  while status == ROW do
    status = hydrate(self, core.hydrate, shelf.shelf, self.link, plan.hydrator, shelf, results, late)
  end
  if self.context:is_logged() then self.context:log(self.link) end
  if late[1] then merge.late(shelf, plan, late) end
  return results, shelf, before
end

local function run_unmanaged(self, plan, params)
  local results, rest = {}, {}
  local status = self:start(plan, params)
  while status == ROW do
    status = hydrate(self, core.hydrate_plain, self.link, plan.hydrator, instance.unmanaged(plan.mapping.class),
      results, rest)
  end
  if self.context:is_logged() then self.context:log(self.link) end
  merge.unmanaged(plan, results, rest)
  return results
end

local function call_on_load(self, shelf, results, before)
  local hook = shelf.mapping.meta.hooks.on_load
  local listened = self.context.listeners.on_load
  if not hook and not listened then return end
  for _, e in ipairs(results) do
    if shelf.slot_of[e] > before then
      if hook then hook(e, { entity = e, em = self }) end
      if listened then self.context:emit("on_load", { entity = e, em = self }) end
    end
  end
end

-- A query that reads what has changes pending flushes them first.
local function flush_before(self, plan, opts)
  local mode = opts and opts.flush_mode or self.flush_mode
  if mode == "commit" or self.flushing then return end
  if mode == "always" then return self:flush() end
  for _, map in ipairs(plan.reads) do
    local shelf = self.shelves[map]
    if shelf and (next(shelf.new) or next(shelf.removed) or shelf:dirty(1)[1]) then return self:flush() end
  end
end

local function lock_check(self, plan)
  if plan.lock and plan.lock ~= "optimistic" and #self.transactions == 0 then
    errors.raise("transaction_required", "a lock lasts as long as its transaction, and none is open: use "
      .. "em:transactional", { context = self.context_name, entity = plan.mapping.name })
  end
end

local function find(self, entity, where, opts, allow_empty)
  self:check_global()
  local map = self:mapping(entity)
  local plan, params = select.find(map, where, opts, allow_empty)
  lock_check(self, plan)
  flush_before(self, plan, opts)
  if opts and opts.managed == false then return run_unmanaged(self, plan, params) end
  local results, shelf, before = run_managed(self, plan, params)
  if opts and opts.refresh then
    for _, e in ipairs(results) do merge.reread(self, e) end
  end
  call_on_load(self, shelf, results, before)
  if opts and opts.populate then populate.run(self, map, results, opts.populate) end
  populate.eager(self, map, results)
  return results
end

---The entities that a filter finds. Raises `validation`, `unknown_property`, and what the database says.
---
---Usage: `local adults = em:find(User, { age = op.gte(18) }, { order_by = { "name" }, limit = 10 })`
---@param entity table|string
---@param where table
---@param opts? table
---@return table[]
function Manager:find(entity, where, opts)
  return find(self, entity, where, opts, true)
end

---Every entity of a type.
---
---Usage: `for _, user in ipairs(em:find_all(User)) do print(user) end`
function Manager:find_all(entity, opts)
  if opts ~= nil and type(opts) == "table" and opts.where ~= nil then
    return find(self, entity, opts.where, opts, true)
  end
  return find(self, entity, {}, opts, true)
end

-- The key that a filter is, when it is nothing else: a bare key, or a table of exactly the key's properties.
local function key_of(map, where)
  local kind = type(where)
  local key = map.key
  if kind == "number" or kind == "string" then return #key == 1 and where or nil end
  if kind ~= "table" or getmetatable(where) ~= nil then return nil end
  local values, count = {}, 0
  for i, column in ipairs(key) do
    local value = where[column.property]
    if value == nil then value = where[i] end
    local value_kind = type(value)
    if value_kind ~= "number" and value_kind ~= "string" then return nil end
    values[i] = value
  end
  for _ in pairs(where) do count = count + 1 end
  if count ~= #key then return nil end
  if #key == 1 then return where[key[1].property] end
  return values
end

-- The managed instance of a key: answered without SQL when it is loaded. Second result: nothing is there to be read.
local function find_managed(self, map, where)
  local key = key_of(map, where)
  local shelf = key ~= nil and self.shelves[map]
  if not shelf then return nil end
  local e, slot = shelf:find(key)
  if not e then return nil end
  local state = shelf:state(slot)
  if state == "removed" then return nil, true end
  return (state == "managed" or state == "new") and e or nil
end

local simple_options = { populate = true, flush_mode = true, all = true }

local function answers_from_memory(opts)
  if opts == nil then return true end
  for name in pairs(opts) do
    if not simple_options[name] then return false end
  end
  return true
end

---The first entity that a filter or a key finds, or nil. A managed entity is found by its key without SQL.
---
---Usage: `local user = em:find_one(User, 7)` or `em:find_one(User, { email = "a@x" })`
---@return table|nil
function Manager:find_one(entity, where, opts)
  self:check_global()
  local map = self:mapping(entity)
  if answers_from_memory(opts) then
    local e, gone = find_managed(self, map, where)
    if gone then return nil end
    if e then
      if opts then find_options.check(map, opts) end
      if opts and opts.populate then populate.run(self, map, { e }, opts.populate) end
      return e
    end
  end
  if opts == nil and type(where) ~= "table" and #map.key == 1 and where ~= nil then
    return self:read_key(map, where)
  end
  local by_key = key_of(map, where) ~= nil
  local given = {}
  for name, value in pairs(opts or {}) do given[name] = value end
  given.limit = given.limit or (not by_key and 1) or nil
  if by_key then given.flush_mode = "commit" end
  return find(self, entity, where, given, given.all)[1]
end

-- The shortest way: by a key of one value, no options. By key nothing is flushed: what is pending is in the identity
-- map.
function Manager:read_key(map, key)
  local plan, params = select.find(map, key)
  local results, shelf, before = run_managed(self, plan, params)
  call_on_load(self, shelf, results, before)
  populate.eager(self, map, results)
  return results[1]
end

---As find_one, and raises `not_found` when there is none.
function Manager:find_one_or_fail(entity, where, opts)
  local e = self:find_one(entity, where, opts)
  if e then return e end
  local map = self:mapping(entity)
  errors.raise("not_found", ("No %s was found by this filter"):format(map.name),
    { context = self.context_name, entity = map.name })
end

---The number of entities that a filter finds.
---
---Usage: `local n = em:count(User, { age = op.gte(18) })`
---@return integer
function Manager:count(entity, where, opts)
  self:check_global()
  local map = self:mapping(entity)
  local plan, params = select.count(map, where, opts, true)
  flush_before(self, plan, opts)
  local rows = {}
  local status = self:start(plan, params)
  while status == ROW do status = self:drive(self.link:arrays(plan.query, rows)) end
  if self.context:is_logged() then self.context:log(self.link) end
  return rows[1][1]
end

---Items as `find` gives them with limit and offset, and the number of all that the filter finds.
---@return table[] items
---@return integer total
function Manager:find_and_count(entity, where, opts)
  local items = self:find(entity, where, opts)
  return items, self:count(entity, where)
end

---An entity of which only the key is known; nothing is read.
---
---Usage: `book.author = em:get_reference(Author, 7)`
---@return table
function Manager:get_reference(entity, key)
  self:check_global()
  local map = self:mapping(entity)
  if key == nil or key == null then
    errors.raise("validation", ("get_reference of %s takes a key, not %s"):format(map.name,
      key == nil and "nil" or "orm.null"), { entity = map.name, context = self.context_name })
  end
  local values = type(key) == "table" and key or { key }
  if type(key) == "table" and key[1] == nil then
    values = {}
    for i, column in ipairs(map.key) do values[i] = key[column.property] end
  end
  if #values ~= #map.key then
    errors.raise("validation", ("the key of %s has %d values"):format(map.name, #map.key),
      { entity = map.name, context = self.context_name })
  end
  return self:reference(map, #values == 1 and values[1] or values)
end

---Loads to-one relations of entities that are there already.
---
---Usage: `em:load(books, { "author" })`
function Manager:load(what, paths)
  local list = instance.meta_of(what) and { what } or what
  if type(list) ~= "table" then errors.raise("validation", "em:load takes an entity or a list of them") end
  if list[1] then
    local _, _, map = self:locate(list[1], "em:load")
    populate.run(self, map, list, paths)
  end
  return what
end

---Reads an entity again; changes in memory are dropped. Raises `not_found` when its row is gone.
---
---Usage: `em:refresh(user)`
function Manager:refresh(e)
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
  self:enter()
  local link = self:open_link()
  self.running = compat.running()
  local ok, rows, count = pcall(self.context.run_sql, self.context, link, sql, compat.pack(...))
  self.running = nil
  if not ok then error(rows, 0) end
  return rows or count
end

---The global entity manager's identity map outside a scope may be forbidden.
function Manager:check_global()
  if self.context.global ~= self then return end
  local allowed = self.context.config.allow_global_context
  if allowed == nil then allowed = wait.is_blocking() end
  if not allowed then
    errors.raise("global_context",
      ("The global entity manager of context '%s' would be shared by everybody: work inside "
      .. "orm.request_context, on em:fork(), or say allow_global_context = true"):format(self.context_name),
      { context = self.context_name })
  end
end

---The entity manager.s methods without the entity argument, and those that the entity.s `repository` adds.
function Manager:repository(entity)
  self:mapping(entity)
  return require("heddle.repository").of(self, entity)
end

return Manager
