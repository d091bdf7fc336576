--- The statement of a joined query: the root, and everything that is joined to it.
---
--- A limit counts roots, whatever is joined: where members would multiply them, their keys come from a sub-select that
--- has filter, order and limit. Rows stand in the root's order, then in that of each collection, so that what is seen
--- first of an owner's members is their order. Conditions on what is joined stand in its ON.
local condition = require("heddle.condition")
local errors = require("heddle.errors")
local family = require("heddle.family")
local filter = require("heddle.filter")
local locks = require("heddle.locks")
local members = require("heddle.relations.members")
local order = require("heddle.order")
local parts = require("heddle.joined.parts")
local quote = require("heddle.quote")
local resolve = require("heddle.resolve")
local select = require("heddle.select")
local shape = require("heddle.shape")
local statement = require("heddle.statement")

local sql = {}

-- SQLite joins 64 tables at most.
local MOST_JOINS = 60

-- Joins ----------------------------------------------------------------------------------------------------

local function new_scope(made, map, above)
  local alias = "e" .. made.aliases
  made.aliases = made.aliases + 1
  return { mapping = map, alias = alias, parent = above, level = made.level, children = {} }
end

local function equal(made, scope, column, other, other_column)
  return made:column(scope, column) .. " = " .. made:column(other, other_column)
end

local function join(made, scope, terms)
  if #made.joins >= MOST_JOINS then
    return errors.raise("validation", ("a joined query on %s joins more than %d tables: give some entries of populate "
      .. "strategy = \"select_in\""):format(made.mapping.name, MOST_JOINS), resolve.fields(made.mapping))
  end
  terms[#terms + 1] = family.condition(scope.mapping, scope.alias .. ".")
  made.joins[#made.joins + 1] = " LEFT JOIN " .. quote.table(scope.mapping) .. " AS " .. scope.alias .. " ON "
    .. table.concat(terms, " AND ")
  made.reads[#made.reads + 1] = scope.mapping
  return scope
end

local function cut(list, length)
  for i = #list, length + 1, -1 do list[i] = nil end
end

local function is_raw(code, from, to)
  for i = from, to do
    if code[i] == "raw" or code[i] == "eq_raw" then return true end
  end
  return false
end

-- A condition in a sub-select about the same row, where it can join and names of columns are its own table's.
local function apart(made, scope)
  local level = made:inner(scope.mapping)
  for _, column in ipairs(scope.mapping.key) do
    level.terms[#level.terms + 1] = equal(made, level.root, column, scope, column)
  end
  made.own = level.root
  return "EXISTS (" .. made:select(level, "1", condition.at(made, level.root)) .. ")"
end

-- Adds what words of the shape say of a scope to the terms of its join.
local function add_condition(made, terms, scope, words)
  local joins, params, text = #made.joins, #made.param_columns, nil
  local code, own = made.code, made.own
  made:open(code, words.from)
  if not is_raw(code, words.from, words.to) then text = condition.at(made, scope) end
  if not text or #made.joins > joins then
    cut(made.joins, joins)
    cut(made.param_columns, params)
    scope.children = {}
    made:open(code, words.from)
    text = apart(made, scope)
  end
  made.own = own
  if text ~= "1 = 1" then terms[#terms + 1] = text end
end

-- The scope of a to-one relation's target that a filter or an order may have joined already.
local function shared_scope(made, above, view)
  local scope = made:child(above, view)
  made:reach(scope)
  return scope
end

local function direct_scope(made, above, part)
  local view, terms = part.view, {}
  local scope = new_scope(made, view.target, above)
  local foreign, inverse = resolve.foreign_key(above.mapping, view)
  for i, column in ipairs(foreign.columns) do
    local target = foreign.target_columns[i]
    terms[i] = inverse and equal(made, scope, column, above, target) or equal(made, scope, target, above, column)
  end
  if part.words then add_condition(made, terms, scope, part.words) end
  return join(made, scope, terms)
end

local function paired_scope(made, above, part)
  local view, terms = part.view, {}
  local map = view.pivot.mapping
  local near, far = map.props.owner, map.props.target
  if not view.prop.owner then near, far = far, near end
  local pair = new_scope(made, map, above)
  for i, column in ipairs(near.columns) do
    terms[i] = equal(made, pair, column, above, column.foreign_key.target_columns[i])
  end
  if part.pair_words then
    local rows = { mapping = view.pivot.entity, alias = pair.alias, level = pair.level, children = {} }
    add_condition(made, terms, rows, part.pair_words)
  end
  join(made, pair, terms)
  local scope = new_scope(made, view.target, pair)
  terms = {}
  for i, column in ipairs(far.columns) do
    terms[i] = equal(made, scope, column.foreign_key.target_columns[i], pair, column)
  end
  if part.words then add_condition(made, terms, scope, part.words) end
  return join(made, scope, terms), pair
end

-- Order ----------------------------------------------------------------------------------------------------

local function add_all(list, more)
  for _, item in ipairs(more) do list[#list + 1] = item end
end

-- Each column once.
local function distinct(sorted)
  local list, seen = {}, {}
  for _, item in ipairs(sorted) do
    local known = seen[item.scope] or {}
    seen[item.scope] = known
    if not known[item.column] then list[#list + 1] = item end
    known[item.column] = true
  end
  return list
end

-- The order of the key: a fixed one, whatever rows the database meets first.
local function add_key(sorted, scope)
  for _, column in ipairs(scope.mapping.key) do
    sorted[#sorted + 1] = { column = column, scope = scope, nullable = false, descending = false, nulls = "last" }
  end
end

local function add_order(made, sorted, part, scope, pair)
  if part.terms then
    add_all(sorted, order.columns(made, part.terms, scope))
  elseif part.view.pivot.order_column then
    sorted[#sorted + 1] = { column = { name = part.view.pivot.order_column }, scope = pair, nullable = false,
      descending = false, nulls = "last" }
  end
end

-- The statement --------------------------------------------------------------------------------------------

local function join_part(made, above, part)
  local view = part.view
  if view.pivot then return paired_scope(made, above, part) end
  if parts.is_many(view) or part.words then return direct_scope(made, above, part) end
  return shared_scope(made, above, view)
end

-- The keys of the roots, in a sub-select with filter, order and limit.
local function root_keys(mapping, to, extra)
  local made, key = statement.new(mapping), mapping.key
  made:open(to.code, 2)
  local tail = condition.where(made) .. (extra.is_limited and order.sql(made, extra.terms or {}) or "")
    .. select.limit_sql(made, extra.opts)
  local text = "SELECT " .. quote.columns(key, "e0.") .. " FROM " .. made:from() .. tail
    .. locks.sql(made.driver, extra.opts.lock)
  return made, text
end

-- Opens the statement: made, and " WHERE ..." and " LIMIT ..." unless a sub-select has them.
local function open(mapping, to, extra)
  local made = statement.new(mapping)
  made:open(to.code, 2)
  if not extra.is_apart then
    local where = condition.where(made)
    return made, where, select.limit_sql(made, extra.opts)
  end
  local inner, text = root_keys(mapping, to, extra)
  local terms = {}
  made.param_columns = inner.param_columns
  add_all(made.reads, inner.reads)
  for i, column in ipairs(mapping.key) do
    local name = quote.name(column.name)
    terms[i] = "r." .. name .. " = e0." .. name
  end
  made.joins[1] = " JOIN (" .. text .. ") AS r ON " .. table.concat(terms, " AND ")
  return made, "", ""
end

local function columns_of(map, own, alias, list)
  local columns, partial = select.columns_of(map, own)
  list[#list + 1] = quote.columns(columns, alias .. ".")
  return { mapping = map, columns = columns, partial = partial }
end

local function build(mapping, to, extra)
  local made, where, limit = open(mapping, to, extra)
  local sorted = order.columns(made, extra.terms or {})
  if extra.is_many then add_key(sorted, made.root) end
  local scopes, list, others = { made.root }, {}, {}
  local made_parts = { columns_of(mapping, extra.opts, "e0", list) }
  for number = 2, #extra.parts do
    local part = extra.parts[number]
    local scope, pair = join_part(made, scopes[part.above.number], part)
    scopes[number] = scope
    made_parts[number] = columns_of(part.map, part.own, scope.alias, list)
    add_all(others, made_parts[number].columns)
    if parts.is_many(part.view) then add_order(made, sorted, part, scope, pair) end
  end
  -- What it is sorted by may have to be joined, too.
  local tail = where .. order.text(made, distinct(sorted)) .. limit
  return {
    sql = "SELECT " .. table.concat(list, ", ") .. " FROM " .. made:from() .. tail
      .. locks.sql(made.driver, extra.opts.lock),
    param_columns = made.param_columns, columns = made_parts[1].columns, others = others, mapping = mapping,
    partial = made_parts[1].partial, reads = made.reads, lock = extra.opts.lock, parts = made_parts,
    impatient = locks.is_impatient(mapping, extra.opts.lock),
  }
end

-- The shape ------------------------------------------------------------------------------------------------

local everything = {}

-- The words of a filter and where they stand; nil where they say nothing.
local function words_of(to, read)
  local from = to.n + 1
  read()
  if to.code[from] == "all" and to.code[from + 1] == 0 then return nil end
  return { from = from, to = to.n }
end

local function read_part(to, part)
  local view, own, pivot = part.view, part.own, part.view.pivot
  shape.emit(to, "join", part.above.number, view.name)
  to.named = part.named
  if pivot and pivot.entity then
    part.pair_words = words_of(to, function()
      if not filter.named(to, pivot.entity, true) then shape.emit(to, "all", 0) end
    end)
  end
  part.words = words_of(to, function()
    filter.read(to, view.target, own.where == nil and everything or own.where, true)
  end)
  local given = { fields = own.fields, exclude = own.exclude }
  if parts.is_many(view) then
    given.order_by = members.order(view, own.order_by and order.terms(view.target, own.order_by))
  end
  part.terms = select.read_options(to, view.target, given)
end

---The plan of a joined query and its parameters: `plan.parts` are, for each part of a row, its mapping and columns.
---@param list heddle.JoinedPart[]
---@param where any
---@param opts table what is said of the root
---@param allow_empty boolean?
---@param named heddle.NamedFilters?
---@return table plan
---@return any[] params
function sql.plan(list, where, opts, allow_empty, named)
  local map = list[1].map
  local to = shape.new("joined", named)
  filter.read(to, map, where, allow_empty or opts.all == true)
  local is_own = is_raw(to.code, 2, to.n)
  local terms = select.read_options(to, map, opts)
  local is_many = false
  for number = 2, #list do
    read_part(to, list[number])
    is_many = is_many or parts.is_many(list[number].view)
  end
  local is_limited = opts.limit ~= nil or opts.offset ~= nil
  return shape.plan(to, map, build, { parts = list, opts = opts, terms = terms, is_many = is_many,
    is_limited = is_limited, is_apart = is_own or is_limited and is_many }), to.params
end

return sql
