--- Plans that read the members of to-many relations, and of inverse sides of one_to_one, of many owners at once.
local condition = require("heddle.condition")
local filter = require("heddle.filter")
local options = require("heddle.find_options")
local order = require("heddle.order")
local quote = require("heddle.quote")
local select = require("heddle.select")
local shape = require("heddle.shape")
local statement = require("heddle.statement")

local members = {}

local none = {}
local BIGINT = { type = "bigint" }

-- Which columns of a member's row, or of the pair that leads to it, hold the owner's key.
local function owner_of(view)
  local pivot = view.pivot
  if not pivot then return { columns = view.inverse.columns, prefix = "e0." } end
  return { columns = view.prop.owner and pivot.owner_columns or pivot.target_columns, prefix = "p." }
end

---The order of a relation's members: what was asked for, the relation's own, or that in which pairs were added, which
---is nil, else that of the key. It is always the same one.
---@param view table
---@param given any[]|nil terms
---@return any[]|nil terms
function members.order(view, given)
  local pivot = view.pivot
  if pivot and pivot.order_column and not given and not view.prop.order_by then return nil end
  local terms, seen = {}, {}
  for i, term in ipairs(given or view.prop.order_by or {}) do terms[i] = term end
  for _, column in ipairs(view.target.key) do
    if not seen[column.property] then terms[#terms + 1] = column.property end
    seen[column.property] = true
  end
  return terms
end

-- Positions within each owner's members, for a limit that counts these. A pivot that is an entity may hold a pair more
-- than once, which is one member.
local function build_ranked(mapping, to, extra)
  local made = statement.new(mapping)
  made:open(to.code, 2)
  local opts, owner = extra.opts, extra.owner
  local columns, partial = select.columns_of(mapping, opts)
  local where, order_text = condition.where(made), select.order_sql(made, extra.terms)
  local count, list, names = #columns + #owner.columns, {}, {}
  for i = 1, count do
    local column = columns[i] or owner.columns[i - #columns]
    list[i] = (columns[i] and "e0." or owner.prefix) .. quote.name(column.name) .. " AS c" .. i
    names[i] = "m.c" .. i
  end
  local pivot = extra.view.pivot
  local rank = (pivot and pivot.entity and extra.terms and "dense_rank" or "row_number") .. "() OVER (PARTITION BY "
    .. quote.columns(owner.columns, owner.prefix) .. order_text .. ")"
  local limit = opts.limit ~= nil and made:placeholder(BIGINT)
  local offset = opts.offset ~= nil and made:placeholder(BIGINT)
  local bounds = {}
  if offset then bounds[1] = "m.n > " .. offset end
  if limit then bounds[#bounds + 1] = "m.n" .. (offset and " - " .. offset or "") .. " <= " .. limit end
  return {
    sql = "SELECT " .. table.concat(names, ", ") .. " FROM (SELECT " .. table.concat(list, ", ") .. ", " .. rank
      .. " AS n FROM " .. made:from() .. where .. ") AS m WHERE " .. table.concat(bounds, " AND ") .. " ORDER BY m.n",
    param_columns = made.param_columns, columns = columns, mapping = mapping, partial = partial, reads = made.reads,
    others = owner.columns,
  }
end

---The plan that reads members of a to-many relation, or of the inverse side of a one_to_one, of some owners, and its
---parameters. With `owned` a row has the owner's key behind the member's columns: `plan.others`.
---@param view table the relation, of the owners
---@param keys table[] of the owners
---@param where any
---@param opts table?
---@param owned boolean?
---@param named heddle.NamedFilters?
---@return table plan
---@return any[] params
function members.find(view, keys, where, opts, owned, named)
  local mapping, given = view.target, {}
  if opts ~= nil then options.check(mapping, opts, "members") end
  for name, value in pairs(opts or none) do given[name] = value end
  local is_ranked = owned and (given.limit ~= nil or given.offset ~= nil)
  if given.order_by == nil then
    given.order_by = members.order(view)
  elseif owned then
    given.order_by = members.order(view, order.terms(mapping, given.order_by))
  end
  local to = shape.new(owned and "members" or "find", named)
  filter.members(to, view, keys, where)
  local terms = select.read_options(to, mapping, given)
  local extra = { opts = given, terms = terms, owner = owned and owner_of(view) or nil, view = view }
  return shape.plan(to, mapping, is_ranked and build_ranked or select.build_find, extra), to.params
end

---What of a relation's targets is read, told from other parts of them.
---@class heddle.Part
---@field code string
---@field params any[]
---@field reads table[] mappings
---@field is_whole boolean all of them, in an order of its own

---What is asked for, where it is not all targets of a relation in their usual order.
---@param view table
---@param own heddle.LevelOptions
---@param named heddle.NamedFilters?
---@return heddle.Part|nil
function members.part(view, own, named)
  local pairs_of = view.pivot and view.pivot.entity
  local is_whole = own.where == nil and own.limit == nil and own.offset == nil
    and not (named and (named:condition(view.target) or pairs_of and named:condition(pairs_of)))
  if is_whole and own.order_by == nil then return nil end
  local to, where = shape.new("part", named), own.where == nil and none or own.where
  if view.columns and #view.columns > 0 then
    filter.read(to, view.target, where, true)
  else
    filter.members(to, view, none, where)
  end
  local opts = { order_by = own.order_by, limit = own.limit, offset = own.offset }
  local terms = select.read_options(to, view.target, opts)
  local plan = shape.plan(to, view.target, select.build_find, { opts = opts, terms = terms })
  return {
    code = table.concat(to.code, "\1"), params = to.params, reads = plan.reads,
    -- What stands in another order than the pairs do is no list to tell a changed order from.
    is_whole = is_whole and not view.prop.fixed_order,
  }
end

---Whether two parts are the same one.
---@param a heddle.Part|nil
---@param b heddle.Part|nil
---@return boolean
function members.is_same(a, b)
  if a == b then return true end
  if not a or not b or a.code ~= b.code or #a.params ~= #b.params then return false end
  for i, value in ipairs(a.params) do
    if value ~= b.params[i] then return false end
  end
  return true
end

---The plan that counts the members of one owner, and its parameters.
---@param view table
---@param key any of the owner
---@param named heddle.NamedFilters?
---@return table plan
---@return any[] params
function members.count(view, key, named)
  local to = shape.new("count", named)
  filter.members(to, view, { key }, none)
  return shape.plan(to, view.target, select.build_count), to.params
end

---Whether a collection shows what is asked for.
---@param state heddle.Collection
---@param part heddle.Part|nil nil: all members
---@return boolean
function members.is_shown(state, part)
  if not state.initialized then return false end
  if part then return members.is_same(state.part, part) end
  return not state:is_partial()
end

---The members in a list of rows: a pivot that is an entity may hold a pair more than once.
---@param view table
---@param list table[]|nil
---@return table[]
function members.distinct(view, list)
  if not list or not (view.pivot and view.pivot.entity) then return list or {} end
  local seen, left = {}, {}
  for _, e in ipairs(list) do
    if not seen[e] then left[#left + 1] = e end
    seen[e] = true
  end
  return left
end

return members
