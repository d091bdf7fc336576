--- Entity manager: identity map and unit of work of one context. The class itself; its groups of methods stand in
--- `manager/*.lua`, the redirecting handle that `orm.em` gives in `handle.lua`.
local later = require("heddle.later")
local context = require("heddle.context")
local core = require("heddle.core")
local errors = require("heddle.errors")
local holders = require("heddle.relations.holders")
local hooks = require("heddle.hooks")
local instance = require("heddle.instance")
local kinds = require("heddle.kinds")
local options = require("heddle.options")
local own_writes = later.module("heddle.own_writes")
local rooms = require("heddle.manager.rooms")
local scope = require("heddle.scope")
local wait = require("heddle.wait")
local shelves = require("heddle.shelf")
local write_lock = later.module("heddle.write_lock")

---@class heddle.EntityManager
---@field context_name string
---@field instance table what orm.instance(context_name) gives
local Manager = { __name = "heddle.em" }
Manager.__index = Manager

local manager = { class = Manager }

---Called with '.', a method has something else in the place of its entity manager. Raises `validation`.
function manager.check_receiver(self)
  if getmetatable(self) == Manager then return end
  errors.raise("validation", "call the methods of an entity manager with ':', as in em:find(User, {})")
end
local check_receiver = manager.check_receiver

---What most methods begin with. Raises `validation`, `global_context`.
function manager.admit(self)
  check_receiver(self)
  if self.context.global == self then self:check_global() end
end

-- Instances are left without an entity manager; those that were never written are nobody's, as they were before.
local function let_go(self)
  for _, shelf in ipairs(self.order) do shelf:release_new() end
  for _, shelf in ipairs(self.order) do shelf.box.shelf = nil end
  self.notes, self.outcome_unknown, self.adopters = {}, false, false
  self.mark_serial = self.mark_serial + 1
  holders.forget(self)
end

-- Fresh identity map and bookkeeping.
local function reset(self)
  let_go(self)
  self.session, self.shelves, self.order, self.touched, self.orphans = core.session(), {}, {}, {}, {}
  self.token, self.model, self.mappings = self.session, self.context.model, self.context.mappings
end

---@param item table the context
---@param inside? table a scope
---@param link? userdata somebody else's
---@param test? table
local function new(item, inside, link, test)
  local session = core.session()
  local self = setmetatable({
    context = item, context_name = item.name, instance = item, transactions = {}, scope = inside,
    flush_mode = item.config.flush_mode, link = link or false, maker = false, makers = item.makers,
    -- What is asked for all the time is there, so that nobody looks for it in the class. `wary`: entering takes more
    -- than a glance, for there is or was a test, a hook, one more link, an end.
    borrowed = link and true or false, test = test or false, replica_link = false, chunk_link = false,
    flushing = false, hook = false, committing = false, dropped = false, wary = test and true or false,
    filter_states = item.global and item.global.filter_states or {},
    -- `token`: by which groups of unmanaged instances know it. `touched`: collections that the next flush has to look
    -- at; `orphans`: instances that left a relation which removes them; `mark_serial`: what tells one mark of undo from
    -- another.
    session = session, token = session, model = item.model, mappings = item.mappings, shelves = {}, order = {},
    notes = {}, outcome_unknown = false, adopters = false, touched = {}, orphans = {}, mark_serial = 1,
  }, Manager)
  if item.replicas then self.writes = own_writes.of_scope(item, inside) or own_writes.mark() end
  return self
end

-- A test lends its connection to every entity manager that is made inside it.
context.manager = function(item, inside)
  local test = scope.test_of(item, inside)
  return new(item, inside, test and test.link, test)
end

-- Shelves --------------------------------------------------------------------------------------------------

-- A shelf is found under every entity whose rows it holds.
local function put_shelf(self, shelf)
  local root = shelf.mapping
  self.shelves[root] = shelf
  for _, member in ipairs(root.members or {}) do self.shelves[member] = shelf end
end

-- Entities were registered since: what is managed moves over to their mappings.
local function take_up(self)
  self.model, self.mappings = self.context.model, self.context.mappings
  self.shelves, self.adopters = {}, false
  for _, shelf in ipairs(self.order) do
    shelf:move(self.mappings.by_class[shelf.mapping.class].root)
    put_shelf(self, shelf)
  end
end

---The shelf of a mapping, made at first use.
function Manager:shelf_of(map)
  local shelf = self.shelves[map]
  if not shelf then
    shelf = shelves.new(self, map.root)
    put_shelf(self, shelf)
    self.order[#self.order + 1] = shelf
  end
  return shelf
end

---The mapping of an entity. Raises `entity_not_registered`.
function Manager:mapping(entity)
  local known = self.mappings
  local map = known.by_class[entity] or known.by_name[entity]
  if map then return map end
  if self.mappings ~= self.context.mappings then take_up(self) end
  return self.mappings.by_class[entity] or self.mappings.by_name[entity] or self.context:mapping(entity)
end

---The managed instance of a key, a reference when it is not loaded.
function Manager:reference(map, key)
  local shelf = self:shelf_of(map)
  local e = shelf:find(key)
  if e then return kinds.narrow(shelf, e, map) end
  return (shelf:make_reference(type(key) == "table" and key or { key }, map))
end

---Where a managed instance stands. Raises `wrong_context`, `not_managed`, `validation`.
---@return table|nil shelf nil when the instance has no entity manager
---@return integer|nil slot
---@return table map
function Manager:locate(e, what)
  local meta = instance.meta_of(e)
  if not meta then
    errors.raise("validation", ("%s takes an instance of an entity, not %s"):format(what,
      type(e) == "table" and "a plain table" or "a " .. type(e)), { context = self.context_name })
  end
  local shelf = meta.box and meta.box.shelf
  if shelf and shelf.em == self then return shelf, meta.slot_of[e], meta.mapping end
  if meta.context_name and meta.context_name ~= self.context_name then
    errors.raise("wrong_context", ("%s: this %s belongs to context '%s', not '%s'"):format(what, meta.definition.name,
      meta.context_name, self.context_name), { context = self.context_name, entity = meta.definition.name })
  end
  if meta.box then
    errors.raise("not_managed", ("%s: this %s %s; em:merge(it) gives this one's own"):format(what, meta.definition.name,
      shelf and ("is managed by another entity manager of context '%s'"):format(self.context_name)
      or "belonged to an entity manager that was cleared or is gone"),
      { context = self.context_name, entity = meta.definition.name })
  end
  return nil, nil, self:mapping(meta.class)
end

-- Operations -----------------------------------------------------------------------------------------------

---The way to the database, made at first use.
function Manager:open_link()
  if not self.link then self.link = wait.made_by(self.context:link(), self.maker) end
  return self.link
end

---Carries an operation on to a row or to its end; raises its failure.
---@param link userdata
---@return integer status
function Manager:carry(link, status, fd, events, timeout)
  if status >= wait.WAIT then
    status = wait.drive(link, self.context, status, fd, events, timeout)
    if status == wait.FAILED then self.context:raise(link) end
  end
  return status
end

---The same on the entity manager's own link.
function Manager:drive(status, fd, events, timeout)
  return self:carry(self.link, status, fd, events, timeout)
end

---Carries an operation without rows to its end.
function Manager:finish(...)
  local status = self:drive(...)
  if self.context:is_logged() then self.context:log(self.link) end
  return status
end

-- Life -----------------------------------------------------------------------------------------------------

local fork_rules = { flush_mode = options.one_of({ "auto", "commit", "always" }) }

---An isolated entity manager of the same context. Raises `validation`, `unknown_property`.
---
---Usage: `local em = orm.em():fork()`
---@param opts? { flush_mode: string }
---@return heddle.EntityManager
function Manager:fork(opts)
  check_receiver(self)
  if opts ~= nil then opts = options.given(opts, fork_rules, "em:fork", self.context_name) end
  local em = new(self.context, nil, self.test and self.link, self.test)
  em.filter_states, em.maker = self.filter_states, wait.maker() or false
  if opts and opts.flush_mode then em.flush_mode = opts.flush_mode end
  if em.writes then em.writes = own_writes.mark(self.writes) end
  return em
end

---An entity manager with its own identity map on the same connection and transaction.
function Manager:sibling()
  self:open_link()
  local em = new(self.context, nil, self.link)
  em.writes = self.writes
  return em
end

---Forgets every managed entity; what was pending is not written. Streams that are open are over. Raises `busy` while
---another coroutine waits.
function Manager:clear()
  check_receiver(self)
  self:check_waiters()
  hooks.refuse(self, "clear")
  self:end_streams("clear")
  reset(self)
  self.replica = nil
end

---Ends the entity manager: an open transaction is rolled back, its connection goes back to the pool. Whoever uses it
---afterwards gets `closed`.
function Manager:drop()
  self.dropped, self.wary = true, true
  self:end_streams("drop")
  if self:is_in_use() then return end -- it takes back itself what it had begun
  let_go(self)
  local nothing = {}
  self.shelves, self.order, self.touched, self.orphans, self.transactions = nothing, nothing, nothing, nothing, {}
  write_lock.release(self)
  local link = self.link
  if link and not self.borrowed then
    self.link = false
    link:close()
  end
  link = self.replica_link
  self.replica_link, self.replica = false, nil
  if link then link:close() end
end

function Manager:__tostring()
  local count = 0
  for _, shelf in ipairs(self.order) do
    for _ in pairs(shelf.instances) do count = count + 1 end
  end
  return ("em<%s: %d managed%s>"):format(self.context_name, count,
    #self.transactions > 0 and ", in transaction" or "")
end

-- Streams that are open are over; set by heddle.stream, without which there is none.
function Manager.end_streams() end

Manager.__close = Manager.drop
rooms(Manager)

manager.new = new
return manager
