--- The query builder's end: what its chains are ended with, and `em:query`.
local decode = require("heddle.query.decode")
local errors = require("heddle.errors")
local explain = require("heddle.query.explain")
local fetch = require("heddle.fetch")
local find_options = require("heddle.find_options")
local locks = require("heddle.locks")
local manager = require("heddle.manager")
local plans = require("heddle.query.plan")
local query = require("heddle.query")
local stream = require("heddle.stream")
local write = require("heddle.query.write")

local Manager, Query = manager.class, query.class
local admit, check_receiver = manager.admit, manager.check_receiver

---A query builder on an entity, under an alias; on a sub-query, which needs one; without arguments on what `from`
---names.
---
---Usage: `local books = em:query(Book, "b"):where { title = op.like "A%" }:order_by("b.title"):all()`
---@param entity? table|string|heddle.Query
---@param alias? string
---@return heddle.Query
function Manager:query(...)
  check_receiver(self)
  local made = query.new(self)
  if select("#", ...) == 0 then return made end
  local entity, alias = ...
  if entity == nil then
    errors.raise("validation", "em:query takes an entity, or a query and an alias, not nil: is a variable nil?",
      { context = self.context_name })
  end
  made:from(entity, alias)
  if type(entity) == "string" then
    self:mapping(entity)
    made.is_named = false
  end
  return made
end

local function begin(self)
  admit(self.em)
  self.em:enter()
end

local function prepare(em, plan, opts)
  locks.check_transaction(em, plan.mapping, plan.lock)
  fetch.flush_before(em, plan, opts)
end

-- What rows come from: the statement, behind a flush where one is due.
local function arrays(self, plan, params)
  prepare(self.em, plan, self.opts)
  return fetch.arrays(self.em, plan, params, find_options.shared(self.opts))
end

local function decoded(plan, list)
  for i = 1, #list do list[i] = decode.row(plan.items, list[i]) end
  return list
end

local function stream_options(self)
  if self.verb ~= "select" then
    errors.raise("validation", ("query:stream reads, and the query is an %s: rows() gives what it returns"):format(
      self.verb), { context = self.em.context_name })
  end
  local opts = { lock = self.locked }
  for name, value in pairs(self.opts) do opts[name] = value end
  return opts
end

---The entities that are found, each once, in their order; behind a write with what it wrote.
---@return table[]
function Query:all()
  begin(self)
  if self.verb ~= "select" then return write.entities(self) end
  local em = self.em
  local plan, params = plans.entities(self, "all")
  return (fetch.run(em, plan.mapping, plan, params, self.opts, fetch.level(plan.mapping, self.opts)))
end

---The first entity, or nil.
---@return table|nil
function Query:one()
  begin(self)
  if self.verb ~= "select" then return write.entities(self)[1] end
  local em = self.em
  local plan, params = plans.entities(self, "one")
  return (fetch.run(em, plan.mapping, plan, params, self.opts, fetch.level(plan.mapping, self.opts)))[1]
end

---Plain tables, with what is selected under its names; behind a write what `returning` names.
---@return table[]
function Query:rows()
  begin(self)
  if self.verb ~= "select" then return (write.rows(self)) end
  local plan, params = plans.rows(self)
  return decoded(plan, arrays(self, plan, params))
end

---What `all` gives where entities are selected, else what `rows` gives, one by one, as em:stream does: instances of no
---entity manager unless `options { managed = true }`.
---
---Usage: `for row in em:query(Book, "b"):select { "id", "title" }:stream() do print(row.title) end`
---@return heddle.Stream
function Query:stream()
  begin(self)
  local em, opts = self.em, stream_options(self)
  if plans.selects_entities(self) then
    local plan, params = plans.entities(self, "all")
    return stream.entities(em, plan.mapping, plan, params, opts, (fetch.level(plan.mapping, opts)))
  end
  local plan, params = plans.rows(self)
  return stream.open(em, plan.mapping.name, opts, function(rows, is_first)
    if is_first then prepare(em, plan, opts) end
    return decoded(plan, fetch.arrays(em, plan, params, rows.opts))
  end)
end

---How many entities are found, whatever is joined, and whatever limit and offset say; how many rows, where groups, a
---union or distinct make them; of a write, how many rows were written.
---@return integer
function Query:count()
  begin(self)
  if self.verb ~= "select" then
    local _, count = write.rows(self)
    return count
  end
  local plan, params = plans.count(self)
  return arrays(self, plan, params)[1][1]
end

---Runs it: rows of a query and of a write with `returning`, else how many rows were written.
---@return table[]|integer
function Query:execute()
  if self.verb == "select" or self.returned then return self:rows() end
  return self:count()
end

-- The statement of what a program would call.
local function plan_of(self)
  if self.verb ~= "select" then return write.plan(self) end
  if plans.selects_entities(self) then return plans.entities(self, "all") end
  return plans.rows(self)
end

---The statement, to be read, and its parameters in the order of their numbers. Of a query that selects entities it is
---that of `all`, else that of `rows`. Nothing is sent.
---@return string sql
---@return any[] params
function Query:sql()
  local plan, params = plan_of(self)
  local copy = {}
  for i = 1, #plan.param_columns do copy[i] = params[i] end
  return plan.sql, copy
end

---How the database goes about the statement of `sql`, as lines of text.
---
---Usage: `for _, line in ipairs(q:explain { analyze = true }) do print(line) end`
---@param opts? { analyze: boolean } true: it is run, and its times are told (PostgreSQL)
---@return string[]
function Query:explain(opts)
  begin(self)
  return explain.run(self, plan_of, opts)
end

return Query
