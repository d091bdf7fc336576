--- Running a plan: statement, rows, instances.
local later = require("heddle.later")
local auto_flush = require("heddle.auto_flush")
local compat = require("heddle.compat")
local core = require("heddle.core")
local find_options = later.module("heddle.find_options")
local kinds = later.module("heddle.kinds")
local loads = later.module("heddle.loads")
local locks = later.module("heddle.locks")
local managed = require("heddle.populate.managed")
local manager = require("heddle.manager")
local merge = later.module("heddle.merge")
local named_filters = later.module("heddle.named_filters")
local populate = later.module("heddle.populate")
local routing = later.module("heddle.routing")
local select = require("heddle.select")
local unmanaged = later.module("heddle.populate.unmanaged")
local wait = require("heddle.wait")

local fetch = {}

local Manager = manager.class
local ROW, WAIT = wait.ROW, wait.WAIT
local ONCE = { cache = false } -- a text that will not come again

---What the binding makes of a plan, once.
---@return userdata query
function fetch.prepare(self, plan)
  if plan.model ~= self.model then
    local indexes = {}
    for i, column in ipairs(plan.columns) do indexes[i] = column.index end
    local results = plan.columns
    if plan.others then
      results = { compat.unpack(plan.columns) }
      for _, column in ipairs(plan.others) do results[#results + 1] = column end
    end
    plan.query = core.query(plan.sql, plan.param_columns, results, plan.once and ONCE)
    plan.hydrator = plan.mapping and plan.columns[1] and plan.columns[1].index and
      core.hydrator(self.model, plan.mapping.id, indexes, plan.others)
    plan.model = self.model
  end
  return plan.query
end

-- A value that its column cannot hold: says which one.
local function raise_refused(self, link, plan, number)
  local record = link:error()
  local column = plan.param_columns[number] or {}
  column = column.column or column
  record.column, record.property, record.entity = nil, column.property, plan.mapping.name
  for _, map in ipairs(plan.reads) do
    if column.index and map.columns[column.index] == column then record.entity = map.name end
  end
  self.context:raise(link, record)
end

-- With a cursor: its next rows.
local function start_on(self, link, plan, params, query, seconds, cursor)
  if self.test then self.test:guard(self) end
  if self.context.config.debug then self.context:comment(link) end
  local status, fd, events, timeout = (cursor or link):start(query, params, #plan.param_columns, seconds)
  if status == wait.FAILED and fd then raise_refused(self, link, plan, fd) end
  if plan.impatient and status == WAIT and fd == nil then locks.raise_taken(self, plan.mapping) end
  if status >= WAIT then status = self:carry(link, status, fd, events, timeout) end
  return status, link
end

---Starts a plan: the status of its first row or its end, and the link that it runs on. A plan that writes says
---`connection = "write"`; so does one that reads what has to be the newest.
---@param opts? table of the query that it belongs to; `stream`: the one whose next rows these are
---@return integer status
---@return userdata link
function Manager:start(plan, params, opts)
  self:enter()
  local query = plan.model == self.model and plan.query or fetch.prepare(self, plan)
  local seconds, stream = opts and opts.timeout, opts and opts.stream
  if stream then return stream:start(start_on, plan, params, query, seconds) end
  -- What is read for the rows of a stream is read where they were.
  if self.chunk_link and not (opts and opts.connection == "write") then
    return start_on(self, self.chunk_link, plan, params, query, seconds)
  end
  if self.context.replicas then return routing.start(self, start_on, plan, opts, params, query, seconds) end
  return start_on(self, self.link or self:open_link(), plan, params, query, seconds)
end

---A statement has run to its end.
function fetch.finish(self, link, plan, opts)
  if self.context:is_logged() then self.context:log(link) end
  if self.context.replicas then routing.note(self, plan, opts) end
end

---Hydrates rows, by one of the core's functions. One that fails (out of memory) leaves the operation half read.
---@param step function
---@return integer status
function fetch.hydrate(self, link, step, ...)
  local ok, status, fd, events, timeout = pcall(step, ...)
  if not ok then
    link:finish()
    error(status, 0)
  end
  if status >= WAIT then return self:carry(link, status, fd, events, timeout) end
  return status
end

---Hydrates all rows of an operation, from the status of the first one on.
function fetch.take(self, link, status, step, ...)
  while status == ROW do status = fetch.hydrate(self, link, step, ...) end
end

---Runs a plan: its rows as arrays, of database values by position.
---@return any[][] rows
function fetch.arrays(self, plan, params, opts)
  local rows = {}
  local status, link = self:start(plan, params, opts)
  while status == ROW do status = self:carry(link, link:arrays(plan.query, rows)) end
  fetch.finish(self, link, plan, opts)
  return rows
end

---Runs a plan: its rows become managed instances, by one of the core's functions.
---@param step function core.hydrate, or what takes the same
---@return table shelf
function fetch.rows(self, plan, params, opts, step, results, others)
  local late = {}
  local status, link = self:start(plan, params, opts)
  local shelf = self:shelf_of(plan.mapping)
  loads.watch(self, shelf)
  local ok, err = compat.pcall(fetch.take, self, link, status, step, shelf.shelf, link, plan.hydrator, shelf,
    results, late, others)
  if ok then fetch.finish(self, link, plan, opts) end
  -- Whatever became of the rest: these are in the identity map.
  if late[1] then merge.late(shelf, plan, late) end
  if not ok then error(err, 0) end
  return shelf
end

---Runs a plan: managed instances; with the shelf.
---@return table[] results
---@return table shelf
---@return any[] others what stands behind the entity's columns, row by row
function fetch.managed(self, plan, params, opts)
  local results, others = {}, {}
  local shelf = fetch.rows(self, plan, params, opts, core.hydrate, results, others)
  return results, shelf, others
end

-- Instances of no entity manager, of which nobody was told yet.
local function plain_rows(self, plan, params, opts)
  local results, rest, others = {}, {}, {}
  local status, link = self:start(plan, params, opts)
  while status == ROW do
    status = fetch.hydrate(self, link, core.hydrate_plain, link, plan.hydrator, kinds.stored(plan.mapping), results,
      rest, others)
  end
  fetch.finish(self, link, plan, opts)
  merge.unmanaged(plan, results, rest)
  return results, others
end

---Runs a plan: instances of no entity manager.
---@return table[] results
---@return any[] others as fetch.managed
function fetch.unmanaged(self, plan, params, opts)
  local results, others = plain_rows(self, plan, params, opts)
  if loads.is_heard(self, plan.mapping.root) then loads.tell(self, results) end
  return results, others
end

---Runs a plan of one number.
---@return integer
function fetch.count(self, plan, params, opts)
  return fetch.arrays(self, plan, params, opts)[1][1]
end

fetch.flush_before = auto_flush.before

---Drops what was changed in memory.
---@param list table[] managed instances of one entity
---@return table[]|nil those that were changed
function fetch.drop_changes(list)
  local dropped
  local shelf = list[1] and getmetatable(list[1]).box.shelf
  local dirty = {}
  for _, slot in ipairs(shelf and shelf:dirty() or {}) do dirty[slot] = merge.is_dirty(shelf, slot) end
  for _, e in ipairs(list) do
    local slot = shelf.slot_of[e]
    if dirty[slot] or shelf.removed[slot] then
      merge.drop_changes(shelf, slot, e)
      dropped = dropped or {}
      dropped[#dropped + 1] = e
    end
  end
  return dropped
end

local function find_unmanaged(self, map, plan, params, opts, level)
  local list, others = fetch.unmanaged(self, plan, params, opts)
  if #level.views == 0 and #populate.eager_views(map) == 0 then return list, others end
  local loader = unmanaged.loader(self, opts)
  loader:know(map, list)
  populate.run(loader, level, list)
  populate.eager(loader, map, list, level)
  return list, others
end

fetch.plain_rows = plain_rows

local nothing = { views = {}, below = {}, own = {} }
local nowhere = {}

---The levels that a query's `populate`, and names with a relation in front in `fields` and `exclude`, ask for.
---@return heddle.Level
---@return table|nil opts as the query's own statement takes them
function fetch.level(map, opts)
  if type(opts) ~= "table" then return nothing, opts end
  if opts.populate == nil and opts.fields == nil and opts.exclude == nil then return nothing, opts end
  local level, own = populate.plan(map, opts.populate == nil and nowhere or opts.populate, opts), {}
  for name, value in pairs(opts) do own[name] = value end
  own.fields, own.exclude = level.own.fields, level.own.exclude
  return level, own
end

---What comes before the first statement of a query.
function fetch.before(self, map, plan, opts, level)
  locks.check_transaction(self, map, plan.lock)
  fetch.flush_before(self, { reads = populate.reads(level, plan.reads, self, opts) }, opts)
end

---Statement, instances, relations.
---@return table[]
---@return any[] others what stands behind the entity's columns, row by row
function fetch.read(self, map, plan, params, opts, level)
  local is_nobodys = opts and opts.managed == false or #map.key == 0
  if is_nobodys then return find_unmanaged(self, map, plan, params, opts, level) end
  local results, shelf, others = fetch.managed(self, plan, params, opts)
  local dropped = (opts and opts.refresh or locks.is_pessimistic(plan.lock)) and fetch.drop_changes(results)
  if dropped and opts.stream then
    for _, e in ipairs(dropped) do merge.reread(self, e) end
  elseif dropped then
    results, shelf, others = fetch.managed(self, plan, params, opts)
  end
  loads.settle(self, shelf)
  if level ~= nothing then populate.run(managed.loader(self, opts), level, results) end
  fetch.eager(self, map, results, opts, level)
  return results, others
end

---What find and its kin do with a plan.
function fetch.run(self, map, plan, params, opts, level)
  fetch.before(self, map, plan, opts, level)
  return fetch.read(self, map, plan, params, opts, level)
end

---Set by heddle.joined: what find does where something is joined; nil where nothing is.
---@type fun(em: table, map: table, where: any, opts: any, allow_empty: boolean|nil, level: table, named: table|nil)
fetch.joined = nil
later.fill(fetch, { ["heddle.joined"] = "joined" })

---What find and its kin do: filter, and then fetch.run.
---@return table[]
function fetch.find(self, entity, where, opts, allow_empty)
  manager.admit(self)
  local map = self:mapping(entity)
  local level, own = fetch.level(map, opts)
  local named = map.named and named_filters.of(self, opts)
  local found = own and fetch.joined(self, map, where, own, allow_empty, level, named)
  if found then return found end
  local plan, params = select.find(map, where, own, allow_empty, named)
  return fetch.run(self, map, plan, params, opts, level)
end

---Loads the relations that say `eager = true`, but for those that the query speaks of itself.
---@param level? heddle.Level
function fetch.eager(self, map, results, opts, level)
  if #populate.eager_views(map) > 0 then
    populate.eager(managed.loader(self, find_options.shared(opts)), map, results, level)
  end
end

-- Rows that a loader asks for by their keys.
function managed.read(self, map, where, selected, opts, level, named)
  local plan, params = select.find(map, where, selected, true, named)
  local results, shelf = fetch.managed(self, plan, params, opts)
  if opts.refresh and fetch.drop_changes(results) then results = fetch.managed(self, plan, params, opts) end
  loads.settle(self, shelf)
  fetch.eager(self, map, results, opts, level)
  return results
end

return fetch
