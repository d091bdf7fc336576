--- A builder becomes a shape: everything in it is resolved and checked here, in one walk, and written down as words and
--- parameters. What the walk found is a *node*, from which `query/sql.lua` writes the text when the shape is new. Both
--- go through a query in the same order, since that numbers its parameters:
---
---     with, source, joins, items, where, group_by, having, parts, order_by, limit, offset
local compat = require("heddle.compat")
local conditions = require("heddle.query.conditions")
local errors = require("heddle.errors")
local find_options = require("heddle.find_options")
local items = require("heddle.query.items")
local level = require("heddle.query.level")
local named_filters = require("heddle.named_filters")
local op = require("heddle.op")
local resolve = require("heddle.resolve")
local shape = require("heddle.shape")
local sources = require("heddle.query.sources")

local read = {}

---Whether a value is a builder; `query/sub.lua` says so.
function read.is_query() return false end

local emit, none = shape.emit, {}

local function at_of(source, where)
  return { source = source, where = where, read_sub = read.sub, is_query = read.is_query }
end

-- Reads conditions that all have to hold, and what a source's named filters say; where their words begin.
local function read_conditions(to, list, where, source, selected)
  local begins = to.n + 1
  emit(to, "all", 0)
  local count = 0
  for _, each in ipairs({ source, source and source.pair }) do
    if conditions.read_named(to, each) then count = count + 1 end
  end
  for _, each in ipairs(list) do
    local at = at_of(each.alias and read.alias(to, each.alias, where) or to.level.sources[1], where)
    at.selected = selected
    if not conditions.is_empty(each[1]) then
      conditions.read(to, at, each[1])
      count = count + 1
    end
  end
  to.code[begins + 1] = count
  return begins
end

---The source of an alias, or `unknown_property`.
function read.alias(to, alias, where)
  return level.source(to.level, alias) or level.split(to.level, alias .. ".x", where)
end

-- Clauses --------------------------------------------------------------------------------------------------------

local function read_joins(to, query, node)
  node.joins = {}
  emit(to, "joins", #query.joins)
  for i, given in ipairs(query.joins) do
    local source = sources.join(to, query, given, read)
    node.joins[i] = source
    level.declare(to.level, source)
    -- Their names speak of the joined source first.
    local on = {}
    for k, cond in ipairs(given.on) do on[k] = { cond, alias = source.alias } end
    source.on_at = read_conditions(to, on, "join", source)
  end
end

local function read_groups(to, query, node)
  node.groups = {}
  emit(to, "group_by", #query.groups)
  for i, given in ipairs(query.groups) do
    if op.is_raw(given) then
      emit(to, "raw")
      node.groups[i] = { at = to.n + 1 }
      items.read_raw(to, given.value, given.second)
    else
      local source, path = level.split(to.level, given, "group_by")
      level.check_path(source, path, "group_by")
      local columns = resolve.columns(source.mapping, path, "group_by")
      if #columns == 0 then
        return resolve.refuse("validation", source.mapping, path, "group_by", "this property has no column of its own")
      end
      emit(to, source.alias, path)
      node.groups[i] = { source = source, columns = columns }
    end
  end
end

-- Items that a HAVING can name: an expression is written once more, with its parameters.
local function selected_of(to, node)
  local selected = {}
  for _, item in ipairs(node.items) do
    if item.name and (item.raw or item.fn) then
      local name = item.name
      item.mapping = item.mapping or sources.item_mapping(item, to.level.sources[1].mapping)
      item.again = function(again)
        if not item.raw then return end
        items.read_raw(again, item.raw[1], item.raw[2])
      end
      selected[name] = item
    end
  end
  return selected
end

local function read_having(to, query, node)
  if #query.havings == 0 then return end
  emit(to, "having")
  node.having_at = read_conditions(to, query.havings, "having", nil, selected_of(to, node))
end

local function read_orders(to, query, node)
  emit(to, "order_by", #query.orders)
  node.orders = {}
  for i, term in ipairs(query.orders) do
    if op.is_raw(term) then
      if #node.parts > 0 then
        errors.raise("validation", "order_by of " .. node.mapping.name .. ": a union is sorted by names of its items",
          resolve.fields(node.mapping))
      end
      emit(to, "raw")
      node.orders[i] = { at = to.n + 1 }
      items.read_raw(to, term.value, term.second)
    else
      emit(to, term)
      node.orders[i] = { term = term }
    end
  end
end

local function push_count(to, node, name, value)
  if value == nil then return end
  emit(to, name)
  shape.push(to, compat.math_type(value) == "float" and math.floor(value) or value)
  node[name] = true
end

local function read_parts(to, query, node)
  node.parts = {}
  for i, part in ipairs(query.parts) do
    emit(to, part.word)
    local inner = read.sub(to, part.query, true)
    if #inner.columns ~= #node.columns then
      errors.raise("validation", ("%s: the first query gives %d values a row, and number %d gives %d"):format(
        part.method, #node.columns, i + 1, #inner.columns), resolve.fields(node.mapping))
    end
    node.parts[i] = { word = part.word, node = inner }
  end
end

-- Names of WITH: each sees those before it and itself.
local function read_ctes(to, query, node)
  node.ctes = {}
  emit(to, "with", #query.ctes)
  for i, given in ipairs(query.ctes) do
    emit(to, given.name)
    local cte = { name = given.name }
    local outer = to.level
    cte.declare = function(inner)
      cte.mapping, cte.bottom = cte.mapping or sources.named_mapping(cte.name, inner), inner.mapping
    end
    outer.ctes[given.name] = cte
    cte.node = read.sub(to, given.query, true, cte)
    cte.declare(cte.node)
    to.level = outer
    node.ctes[i] = cte
  end
end

-- What is counted is not what is selected, unless groups, parts or distinct make it so.
local function is_counted_whole(query, use)
  return use == "count" and #query.groups + #query.parts + #query.havings == 0 and not query.unique
end

-- A query ----------------------------------------------------------------------------------------------------------

-- What a count does not look at is not read.
local function read_tail(to, query, node, use)
  if use == "count" then
    node.orders = {}
    return
  end
  read_orders(to, query, node)
  push_count(to, node, "limit", use == "one" and math.min(query.limited or 1, 1) or query.limited)
  push_count(to, node, "offset", query.skipped)
  if query.locked then emit(to, "lock", query.locked) end
  node.lock = query.locked
end

-- Whether it is the root that is selected, as it is.
local function is_whole(node)
  for _, item in ipairs(node.items) do
    if item.star ~= node.root then return false end
  end
  return true
end

local function flat_columns(node)
  local columns = {}
  for _, item in ipairs(node.items) do
    for _, column in ipairs(item.columns) do columns[#columns + 1] = column end
  end
  return columns
end

---Reads a query at a level of its own, which is entered here and left again.
---@param to heddle.Shape
---@param query table
---@param use "all"|"one"|"rows"|"count"|"sub"
---@param closed boolean|nil
---@param cte table|nil whose body it is
---@return table node
function read.query(to, query, use, closed, cte)
  local outer, named, negations = to.level, to.named, to.negations
  to.negations = 0
  local node = { level = level.new(outer, closed) }
  to.level = node.level
  read_ctes(to, query, node)
  node.root = sources.root(to, query, read)
  node.mapping = node.root.bottom
  level.declare(to.level, node.root)
  if query.opts.filters ~= nil or use ~= "sub" then
    to.named = node.mapping.named and named_filters.of(query.em, query.opts)
  end
  read_joins(to, query, node)
  node.items = items.read(to, is_counted_whole(query, use) and none or query.items, read.sub)
  node.columns, node.distinct, node.is_whole = flat_columns(node), query.unique, is_whole(node)
  if cte then cte.declare(node) end
  if query.unique then emit(to, "distinct") end
  emit(to, "where")
  node.where_at = read_conditions(to, query.wheres, "where", node.root)
  read_groups(to, query, node)
  read_having(to, query, node)
  read_parts(to, query, node)
  read_tail(to, query, node, use)
  emit(to, "end")
  node.stop = to.n + 1
  to.level, to.named, to.negations = outer, named, negations
  return node
end

---Reads what a write has of a query: names of WITH, and which rows of its entity it is about.
---@return table node with `is_bound`, whether it says which
function read.target(to, query)
  local map = query.em:mapping(query.source)
  local node = { level = level.new(), mapping = map, is_bound = false }
  to.level, to.context = node.level, query.em.context_name
  node.root = { alias = query.alias or "e0", mapping = map, bottom = map }
  emit(to, map.name, node.root.alias)
  read_ctes(to, query, node)
  level.declare(to.level, node.root)
  to.named = map.named and named_filters.of(query.em, query.opts)
  emit(to, "where")
  for _, each in ipairs(query.wheres) do node.is_bound = node.is_bound or not conditions.is_empty(each[1]) end
  node.where_at = read_conditions(to, query.wheres, "where", node.root)
  return node
end

---Reads a query inside another one.
---@return table node
function read.sub(to, query, closed, cte)
  if not read.is_query(query) then
    errors.raise("validation", "a sub-query belongs here, as em:query gives it, not a " .. type(query))
  end
  if query.verb ~= "select" then
    errors.raise("validation", ("a sub-query selects; this one is an %s"):format(query.verb),
      { context = query.em.context_name })
  end
  if query.em.context_name ~= to.context then
    errors.raise("wrong_context", ("a sub-query of context '%s' stands in a query of context '%s'"):format(
      query.em.context_name, to.context), { context = to.context })
  end
  if query.locked or query.opts.populate then
    errors.raise("validation", "a sub-query locks nothing and loads no relations: say " .. (query.locked and "lock"
      or "populate") .. " of the query around it", { context = to.context })
  end
  local depth = (to.subs or 0) + 1
  if depth > 40 then
    errors.raise("validation", "sub-queries are nested more than 40 deep: does one stand in itself?",
      { context = query.em.context_name })
  end
  to.subs = depth
  local node = read.query(to, query, "sub", closed, cte)
  find_options.check(node.mapping, query.opts)
  to.subs = depth - 1
  return node
end

return read
