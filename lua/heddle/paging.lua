--- Pages by cursor: plans that read a part of an ordered result, and the cursors of its rows.
---
--- The order always ends with the primary key, so that every row has one place in it; a cursor holds the values by
--- which its row stands there, as the row had them when it was read, and a page is what is behind or before them: rows
--- that come and go elsewhere move nothing (Q4).
local condition = require("heddle.condition")
local cursor = require("heddle.cursor")
local filter = require("heddle.filter")
local json_member = require("heddle.embedded.json_member")
local keyset = require("heddle.keyset")
local locks = require("heddle.locks")
local order = require("heddle.order")
local quote = require("heddle.quote")
local resolve = require("heddle.resolve")
local select = require("heddle.select")
local shape = require("heddle.shape")
local statement = require("heddle.statement")

local paging = {}

local BIGINT = { type = "bigint" }

local function has_column(columns, to, column)
  for _, each in ipairs(columns) do
    if each.scope == to.root and each.column == column then return true end
  end
  return false
end

-- An order that no two rows share: the terms, how many columns they stand for, and a fingerprint.
local function build_order(mapping, _, terms)
  local to = statement.new(mapping)
  local columns, all, named = order.columns(to, terms), {}, {}
  for i, term in ipairs(terms) do all[i] = term end
  for _, column in ipairs(mapping.key) do
    if not has_column(columns, to, column) and not named[column.property] then
      named[column.property], all[#all + 1] = true, column.property
    end
  end
  local names = { mapping.name }
  columns = order.columns(statement.new(mapping), all)
  for _, each in ipairs(columns) do
    names[#names + 1] = each.name .. (each.descending and ">" or "<") .. each.nulls
  end
  return { terms = all, count = #columns, fingerprint = cursor.fingerprint(table.concat(names, "\n")) }
end

local function order_of(mapping, given)
  if #mapping.key == 0 then
    resolve.refuse("validation", mapping, nil, "find_by_cursor", "the entity has no primary key")
  end
  local terms = order.terms(mapping, given or {})
  local to = shape.new("order")
  for _, term in ipairs(terms) do shape.emit(to, term) end
  return shape.plan(to, mapping, build_order, terms)
end

-- Every column that the order needs stands in the row, behind the entity's own.
local function order_columns(to, columns)
  local list, others = {}, {}
  for i, each in ipairs(columns) do
    list[i] = to:column(each.scope, each.column)
    others[i] = each.column.json and json_member.parameter(to, each.column) or each.column
  end
  return table.concat(list, ", "), others
end

local function build_page(mapping, to, extra)
  local made = statement.new(mapping)
  made:open(to.code, 2)
  local opts, terms = extra.opts, { condition.where(made):match("^ WHERE (.*)$") }
  local sorted = order.columns(made, extra.order.terms)
  local reversed = keyset.reversed(sorted)
  if extra.after then terms[#terms + 1] = keyset.behind(made, sorted, extra.after) end
  if extra.before then terms[#terms + 1] = keyset.behind(made, reversed, extra.before) end
  local tail = (terms[1] and " WHERE " .. table.concat(terms, " AND ") or "")
    .. order.text(made, extra.backward and reversed or sorted)
    .. (extra.limited and " LIMIT " .. made:placeholder(BIGINT) or "")
  local columns, partial = select.columns_of(mapping, opts)
  local list, others = order_columns(made, sorted)
  return {
    sql = "SELECT " .. quote.columns(columns, "e0.") .. ", " .. list .. " FROM " .. made:from() .. tail
      .. locks.sql(made.driver, opts.lock),
    param_columns = made.param_columns, columns = columns, mapping = mapping, partial = partial, reads = made.reads,
    lock = opts.lock, others = others, impatient = locks.is_impatient(mapping, opts.lock),
  }
end

-- Which values of a cursor are NULL; the others become parameters.
local function read_cursor(to, mapping, sorted, option, text)
  if text == nil then return nil end
  local values, problem = cursor.read(text, sorted.fingerprint, sorted.count)
  if not values then
    resolve.refuse("validation", mapping, nil, "option '" .. option .. "' of find_by_cursor", "a cursor " .. problem)
  end
  local isnull = {}
  shape.emit(to, option)
  for i = 1, sorted.count do
    isnull[i] = values[i] == nil
    shape.emit(to, isnull[i] and "-" or "+")
    if not isnull[i] then shape.push(to, values[i]) end
  end
  return isnull
end

---The plan of a page, its parameters, and the order by which its cursors are written.
---@param mapping table
---@param where any
---@param opts table checked; `first` or `last`, `after`, `before`, `order_by`, and options of a find
---@param named heddle.NamedFilters?
---@return table plan
---@return any[] params
---@return table order for paging.cursor
function paging.plan(mapping, where, opts, named)
  local sorted = order_of(mapping, opts.order_by)
  local to = shape.new("page", named)
  filter.read(to, mapping, where, true)
  select.read_options(to, mapping, { order_by = sorted.terms, fields = opts.fields, exclude = opts.exclude,
    lock = opts.lock })
  local extra = { opts = opts, order = sorted, backward = opts.last ~= nil }
  extra.after = read_cursor(to, mapping, sorted, "after", opts.after)
  extra.before = read_cursor(to, mapping, sorted, "before", opts.before)
  local size = opts.first or opts.last
  extra.limited = size ~= nil
  shape.emit(to, extra.backward and "last" or "first", size and "limited" or "all")
  -- One more than asked for: whether anything is behind the page.
  if size then shape.push(to, size + 1) end
  return shape.plan(to, mapping, build_page, extra), to.params, sorted
end

---The cursor of a row of a page.
---@param sorted table order as paging.plan gives it
---@param others any[] what stands behind the rows of the page
---@param row integer its position among them
---@return string
function paging.cursor(sorted, others, row)
  local values, first = {}, (row - 1) * sorted.count
  for i = 1, sorted.count do values[i] = others[first + i] end
  return cursor.write(sorted.fingerprint, values, sorted.count)
end

return paging
