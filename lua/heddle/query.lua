--- The query builder, `em:query(E, alias)`: what its methods are given is checked for its form here and kept; names are
--- resolved when the query is run, so that a selection may speak of what is joined behind it.
local errors = require("heddle.errors")
local given = require("heddle.query.given")
local instance = require("heddle.instance")
local op = require("heddle.op")

---@class heddle.Query
---@field em heddle.EntityManager
---@field verb "select"|"insert"|"update"|"delete"
local Query = { __name = "heddle.query", __sql = true }
Query.__index = Query

local query = { class = Query }

local lists = { "items", "joins", "wheres", "groups", "havings", "orders", "parts", "ctes" }

---@param em heddle.EntityManager
---@return heddle.Query
function query.new(em)
  local self = setmetatable({ em = em, verb = "select", opts = {} }, Query)
  for _, name in ipairs(lists) do self[name] = {} end
  return self
end

---@param value any
---@return boolean
function query.is(value)
  return type(value) == "table" and getmetatable(value) == Query
end

function Query:__tostring()
  return ("query<%s, %s>"):format(self.em.context_name, self.verb)
end

local function refuse(self, method, message, kind)
  return errors.raise(kind or "validation", "query:" .. method .. ": " .. message, { context = self.em.context_name })
end

local function fail(self, method)
  return function(message, kind) return refuse(self, method, message, kind) end
end

---A copy that goes on by itself.
---
---Usage: `local base = em:query(Author, "a"):where { name = op.like "A%" }; local n = base:clone():limit(3):all()`
---@return heddle.Query
function Query:clone()
  local made = setmetatable({}, Query)
  for key, value in pairs(self) do made[key] = value end
  for _, name in ipairs(lists) do
    made[name] = {}
    for i, value in ipairs(self[name]) do made[name][i] = value end
  end
  made.opts = {}
  for key, value in pairs(self.opts) do made.opts[key] = value end
  return made
end

-- Sources ----------------------------------------------------------------------------------------------------------

---What the query reads from: an entity, a sub-query, a name of `with`.
---
---Usage: `em:query():with("recent", sub):from("recent", "r")`
---@param source any
---@param alias? string
---@return heddle.Query self
function Query:from(source, alias)
  local check = fail(self, "from")
  if query.is(source) then
    if alias == nil then check("a sub-query needs an alias: from(query, \"x\")") end
  elseif not given.is_entity(source) and type(source) ~= "string" then
    check("takes an entity, a sub-query, or a name of with, not " .. given.describe(source))
  end
  self.source, self.alias, self.is_named = source, given.alias(alias, check, true), type(source) == "string"
  if not query.is(source) and type(source) ~= "string" then self.em:mapping(source) end
  return self
end

local function add_join(self, how, method, source, alias, ...)
  local check = fail(self, method)
  if not (query.is(source) or type(source) == "string" or given.is_entity(source)) then
    check("takes a relation, \"books\" or \"a.books\", an entity, a sub-query, or a name of with, not "
      .. given.describe(source))
  end
  local on = {}
  for i = 1, select("#", ...) do on[i] = given.condition((select(i, ...)), check) end
  alias = given.alias(alias, check)
  self.joins[#self.joins + 1] = { how = how, source = source, alias = alias, on = on }
  return self
end

---Joins what has rows on both sides: a relation, by its name or behind an alias ("a.books"); or an entity, a sub-query,
---a name of `with`, which need a condition. Conditions narrow down what is joined.
---
---Usage: `em:query(Author, "a"):join("books", "b", { published = true })`
---@param source any
---@param alias? string the relation's name when left out
---@return heddle.Query self
function Query:join(source, alias, ...) return add_join(self, "inner", "join", source, alias, ...) end

---Joins, and keeps the rows that have nothing to join.
---@param source any
---@param alias? string
---@return heddle.Query self
function Query:left_join(source, alias, ...) return add_join(self, "left", "left_join", source, alias, ...) end

---A sub-query under a name, which `from` and `join` of this query and of its sub-queries can read. One that names
---itself behind `union` or `union_all` is recursive.
---@param name string
---@param sub heddle.Query
---@return heddle.Query self
function Query:with(name, sub)
  local check = fail(self, "with")
  given.alias(name, check)
  if name == nil then check("takes a name and a query") end
  if not query.is(sub) then check("takes a query, as em:query gives it, not " .. given.describe(sub)) end
  for _, cte in ipairs(self.ctes) do
    if cte.name == name then check(("there is a '%s' already"):format(name)) end
  end
  self.ctes[#self.ctes + 1] = { name = name, query = sub }
  return self
end

-- Clauses ----------------------------------------------------------------------------------------------------------

---What rows have: names of properties ("name", "b.title", "*", "b.*"), `orm.raw "count(*) AS n"`, and under names of
---their own properties, orm.raw, orm.fn, sub-queries: `{ total = orm.fn.count "b.id" }`. Once more adds to it.
---@return heddle.Query self
function Query:select(...)
  given.items(self.items, fail(self, "select"), query.is, ...)
  return self
end

---A condition, of the root or of an alias. Several all have to hold.
---
---Usage: `q:where { name = "x", ["b.title"] = op.like "A%" }:where("b", { published = true })`
---@return heddle.Query self
function Query:where(...)
  self.wheres[#self.wheres + 1] = given.aliased(fail(self, "where"), ...)
  return self
end

---By what rows are put together: names of properties, orm.raw.
---@return heddle.Query self
function Query:group_by(...)
  given.names(self.groups, fail(self, "group_by"), ...)
  return self
end

---A condition on groups; it may name selected expressions: `having { books = op.gt(3) }`.
---@return heddle.Query self
function Query:having(...)
  self.havings[#self.havings + 1] = given.aliased(fail(self, "having"), ...)
  return self
end

---`"name desc nulls last"`, `"b.title"`, names of selected expressions, orm.raw, `{ name = "desc" }`. Once more adds to
---it.
---@return heddle.Query self
function Query:order_by(...)
  given.terms(self.orders, fail(self, "order_by"), ...)
  return self
end

---@param count integer|nil nil: no limit
---@return heddle.Query self
function Query:limit(count)
  self.limited = given.count(count, fail(self, "limit"))
  return self
end

---@param count integer|nil
---@return heddle.Query self
function Query:offset(count)
  self.skipped = given.count(count, fail(self, "offset"))
  return self
end

---@param is_distinct? boolean true when left out
---@return heddle.Query self
function Query:distinct(is_distinct)
  if is_distinct ~= nil and type(is_distinct) ~= "boolean" then
    refuse(self, "distinct", "takes true, false or nothing, not " .. given.describe(is_distinct))
  end
  self.unique = is_distinct ~= false or nil
  return self
end

---Locks the root's rows, as find's option `lock`.
---@param mode string
---@return heddle.Query self
function Query:lock(mode)
  if type(mode) ~= "string" then refuse(self, "lock", "takes a lock mode, not " .. given.describe(mode)) end
  self.locked = mode
  return self
end

---Relations to load with the entities, as find's option `populate`.
---@param paths any
---@return heddle.Query self
function Query:populate(paths)
  if paths == nil then refuse(self, "populate", "takes paths, as find's option of that name") end
  self.opts.populate = paths
  return self
end

---Options of the query: `connection filters flush_mode managed refresh timeout`, as those of find; `all = true` for a
---write without a where.
---@param opts table
---@return heddle.Query self
function Query:options(opts)
  given.options(self.opts, opts, fail(self, "options"))
  return self
end

-- Unions -----------------------------------------------------------------------------------------------------------

local words = { union = "UNION", union_all = "UNION ALL", intersect = "INTERSECT", except = "EXCEPT" }

for method, word in pairs(words) do
  ---Puts the rows of another query together with those of this one, from left to right; `order_by`, `limit` and
  ---`offset` of this one speak of all of them.
  Query[method] = function(self, other)
    if not query.is(other) then
      refuse(self, method, "takes a query, as em:query gives it, not " .. given.describe(other))
    end
    self.parts[#self.parts + 1] = { word = word, method = method, query = other }
    return self
  end
end

-- Writes -----------------------------------------------------------------------------------------------------------

local function begin_write(self, verb, data)
  if self.verb ~= "select" then
    refuse(self, verb, ("the query is an %s already"):format(self.verb))
  elseif query.is(self.source) or self.is_named or not self.source then
    refuse(self, verb, "writes rows of an entity: em:query(Entity):" .. verb)
  elseif verb ~= "delete" and (type(data) ~= "table" or op.is_operator(data) or instance.meta_of(data)) then
    refuse(self, verb, "takes a table of values by property, not " .. given.describe(data))
  end
  self.verb, self.data = verb, data
  return self
end

---Rows to insert: a table of values by property, or a list of them. Values may be orm.raw.
---@param data table
---@return heddle.Query self
function Query:insert(data) return begin_write(self, "insert", data) end

---Values to set in the rows that `where` finds; they may be orm.raw.
---@param data table
---@return heddle.Query self
function Query:update(data) return begin_write(self, "update", data) end

---Deletes the rows that `where` finds.
---@return heddle.Query self
function Query:delete() return begin_write(self, "delete") end

---What becomes of a row whose unique key is there already: `{ "email" }` merges what is given into the row that is
---there; `{ "email", action = "ignore" }`, `{ "email", merge = { "name", visits = orm.raw("a.visits + 1") }, exclude =
---{ ... }, where = { ... } }`; `{ action = "ignore" }` goes by any key. The options may stand in a table of their own.
---@param conflict table|string
---@param options? table
---@return heddle.Query self
function Query:on_conflict(conflict, options)
  self.conflict = given.conflict(conflict, options, fail(self, "on_conflict"))
  return self
end

---What a write gives back of each row: names of properties; nothing for what a find would read.
---@return heddle.Query self
function Query:returning(...)
  local names = {}
  given.names(names, fail(self, "returning"), ...)
  self.returned = names
  return self
end

return query
