--- SELECT and count(*) of an entity: a filter and options become a plan and its parameters.
--
-- A plan: { sql, param_columns = as what each parameter is bound, columns = the mapping columns of a row in
-- order, partial = some column is left out, reads = the mappings whose tables it reads, lock = the mode asked for }.
-- Plans are kept in the mapping by shape; what the binding makes of one is kept in the plan. A row is never found
-- twice, since only to-one relations are joined: `distinct` is taken and changes nothing.
local compat = require("heddle.compat")
local later = require("heddle.later")
local condition = require("heddle.condition")
local errors = require("heddle.errors")
local family = later.module("heddle.family")
local filter = later.module("heddle.filter")
local grouping = later.module("heddle.grouping")
local locks = require("heddle.locks")
local null = require("heddle.null")
local options = later.module("heddle.find_options")
local order = require("heddle.order")
local place = require("heddle.filter.place")
local quote = require("heddle.quote")
local resolve = require("heddle.resolve")
local shape = require("heddle.shape")
local statement = require("heddle.statement")

local select = {}

local BIGINT = { type = "bigint" }
local COUNT = { { type = "bigint", name = "count" } }

local function refuse(mapping, option, message)
  return errors.raise("validation", "option '" .. option .. "' of a query on " .. mapping.name .. ": " .. message,
    resolve.fields(mapping))
end

-- Columns --------------------------------------------------------------------------------------------------

-- The set of properties that a list of names stands for.
local function named(mapping, names, option)
  local set = {}
  for _, name in ipairs(names) do
    local view = resolve.root(mapping, name, option)
    if option == "exclude" and view.name ~= name then
      return resolve.refuse("validation", mapping, name, option, "an embedded value is read as a whole: exclude '"
        .. view.name .. "'")
    end
    if not view.stored then
      return resolve.refuse("validation", mapping, name, option, "this property has no column of its own; populate "
        .. "loads relations")
    end
    set[view.name] = true
  end
  return set
end

select.named = named

local BESIDES = { __name = "heddle.besides" }

---What `fields` may be inside: names of what is read besides everything that is not lazy.
---@param names string[]
---@return string[] the same list
function select.besides(names)
  return setmetatable(names, BESIDES)
end

local function is_besides(names)
  return type(names) == "table" and getmetatable(names) == BESIDES
end

-- The columns to read: those named, or all that are not lazy; the key and the version always, without which a
-- row could neither be found again nor be written safely.
local function columns_of(mapping, opts, whole)
  local only = opts.fields and named(mapping, opts.fields, "fields")
  local besides = is_besides(opts.fields) and only
  if besides then only = nil end
  local without = opts.exclude and named(mapping, opts.exclude, "exclude")
  local columns = {}
  for _, column in ipairs(mapping.columns) do
    local name = column.view.name
    local wanted
    if only then
      wanted = only[name]
    else
      -- What no row of the entity has costs nothing, and is known then.
      wanted = whole or besides and besides[name] or not column.lazy or not family.has_column(mapping, column)
    end
    if without and without[name] then wanted = false end
    if wanted or column.primary or column.version or column.discriminator then columns[#columns + 1] = column end
  end
  return columns, #columns < #mapping.columns
end

-- Shapes ---------------------------------------------------------------------------------------------------

local function emit_names(to, mapping, names, option)
  local besides = option == "fields" and is_besides(names)
  if type(names) ~= "table" or getmetatable(names) ~= nil and not besides then
    return refuse(mapping, option, "takes a list of names, not a " .. type(names))
  end
  local count = 0
  for _ in pairs(names) do count = count + 1 end
  if count ~= #names then return refuse(mapping, option, "takes a list of names") end
  shape.emit(to, besides and "besides" or option, count)
  for i = 1, count do
    -- Looked up here too: a name is a word of the shape only when it is one of the entity's.
    shape.emit(to, resolve.root(mapping, names[i], option).name)
  end
end

local function push_count(to, mapping, value, option)
  if type(value) ~= "number" or value < 0 or value >= 2 ^ 53 or value % 1 ~= 0 then
    return refuse(mapping, option, "takes a whole number from 0 on, not "
      .. (type(value) == "number" and "that one" or value == null and "orm.null" or "a " .. type(value)))
  end
  shape.emit(to, option)
  shape.push(to, compat.math_type(value) == "float" and math.floor(value) or value)
end

local function emit_terms(to, mapping, given)
  local terms = order.terms(mapping, given)
  shape.emit(to, "order_by", #terms)
  for i = 1, #terms do shape.emit(to, terms[i]) end
  return terms
end

local function read_options(to, mapping, opts)
  local terms
  if opts.order_by ~= nil then terms = emit_terms(to, mapping, opts.order_by) end
  if opts.fields ~= nil then emit_names(to, mapping, opts.fields, "fields") end
  if opts.exclude ~= nil then emit_names(to, mapping, opts.exclude, "exclude") end
  if opts.lock ~= nil then
    locks.check(mapping, opts.lock, "option 'lock'")
    shape.emit(to, "lock", opts.lock)
  end
  if opts.limit ~= nil then push_count(to, mapping, opts.limit, "limit") end
  if opts.offset ~= nil then push_count(to, mapping, opts.offset, "offset") end
  return terms
end

-- Plans ----------------------------------------------------------------------------------------------------

local function limit_sql(made, opts)
  local text = ""
  if opts.limit ~= nil then
    text = " LIMIT " .. made:placeholder(BIGINT)
  elseif opts.offset ~= nil and made.driver == "sqlite" then
    text = " LIMIT -1"
  end
  if opts.offset ~= nil then text = text .. " OFFSET " .. made:placeholder(BIGINT) end
  return text
end

local function order_sql(made, terms)
  if terms == nil and made.pivot_order then return " ORDER BY " .. made.pivot_order end
  return order.sql(made, terms or {})
end

local function where_sql(made, groups)
  return groups and grouping.where(made, groups) or condition.where(made)
end

local function build_find(mapping, to, extra)
  local made = statement.new(mapping)
  made:open(to.code, 2)
  local opts = extra.opts
  local columns, partial = columns_of(mapping, opts, extra.whole)
  local owner = extra.owner
  local tail = where_sql(made, extra.groups) .. order_sql(made, extra.terms) .. limit_sql(made, opts)
  local list = quote.columns(columns, "e0.") .. (owner and ", " .. quote.columns(owner.columns, owner.prefix) or "")
  return {
    sql = "SELECT " .. list .. " FROM " .. made:from() .. tail .. locks.sql(made.driver, opts.lock),
    param_columns = made.param_columns, columns = columns, mapping = mapping, partial = partial,
    reads = made.reads, lock = opts.lock, others = owner and owner.columns,
    impatient = locks.is_impatient(mapping, opts.lock),
  }
end

-- What relations/members.lua and joined/sql.lua make plans of their own with.
select.build_find, select.read_options, select.columns_of = build_find, read_options, columns_of
select.order_sql, select.limit_sql = order_sql, limit_sql

local function build_count(mapping, to, groups)
  local made = statement.new(mapping)
  made:open(to.code, 2)
  local tail = where_sql(made, groups)
  return {
    sql = "SELECT count(*) FROM " .. made:from() .. tail, param_columns = made.param_columns,
    columns = COUNT, mapping = mapping, partial = false, reads = made.reads,
  }
end

select.build_count = build_count

local none = {}

---The plan that reads by primary key; its parameters are the key's values in declared order.
---
---Usage: `local plan, params = select.by_key(mapping), { id }`
---@param mapping table
---@param whole boolean? lazy columns too
---@param lock string? a lock mode
---@return table plan
function select.by_key(mapping, whole, lock)
  local name = whole and (lock or "whole_by_key") or "by_key"
  local plan = mapping.plans[name]
  if not plan then
    local to = shape.new("find")
    shape.emit(to, "eq", "")
    plan = build_find(mapping, to, { opts = lock and { lock = lock } or none, whole = whole })
    mapping.plans[name] = plan
  end
  return plan
end

-- A bare key of one value, which is most of what find_one is asked.
local function is_bare_key(mapping, where)
  local kind = type(where)
  return (kind == "number" or kind == "string") and #mapping.key == 1
end

---The plan of a find and its parameters. Raises `validation`, `unknown_property`, `unsupported`.
---
---Usage: `local plan, params = select.find(mapping, { name = "x" }, { limit = 10 }, true)`
---@param mapping table
---@param where any a filter, a bare key or an instance
---@param opts table?
---@param allow_empty boolean? whether `{}` may stand for every row; `opts.all` says so too
---@param filters heddle.NamedFilters?
---@return table plan
---@return any[] params
function select.find(mapping, where, opts, allow_empty, filters)
  if opts ~= nil then options.check(mapping, opts) end
  if opts == nil or next(opts) == nil then
    if is_bare_key(mapping, where) and not (filters and filters:condition(mapping)) then
      local root = place.root(mapping)
      return select.by_key(mapping), { place.scalar(root, root.key[1], where) }
    end
    opts = none
  end
  local to = shape.new("find", filters)
  filter.read(to, mapping, where, allow_empty or opts.all == true)
  local groups = grouping.read(to, mapping, opts)
  local terms = opts ~= none and read_options(to, mapping, opts) or nil
  local plan = shape.plan(to, mapping, build_find, { opts = opts, terms = terms, groups = groups })
  return plan, to.params
end

---The plan of a count and its parameters; order, limit, offset and fields of `opts` make no difference to it.
---@param mapping table
---@param where any
---@param opts table?
---@param allow_empty boolean?
---@param filters heddle.NamedFilters?
---@return table plan its only column is a bigint
---@return any[] params
function select.count(mapping, where, opts, allow_empty, filters)
  if opts ~= nil then options.check(mapping, opts) end
  local to = shape.new("count", filters)
  filter.read(to, mapping, where, allow_empty or opts ~= nil and opts.all == true)
  return shape.plan(to, mapping, build_count, grouping.read(to, mapping, opts or none)), to.params
end

return select
