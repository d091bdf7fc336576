--- UPDATE and DELETE by filter, without the unit of work: a filter and data become a plan and its parameters.
--
-- A filter that reaches other rows stands in a sub-select over the key (`Statement:finds_first`). An UPDATE counts the
-- version on, so that whoever read the rows before it notices.
local condition = require("heddle.condition")
local data = require("heddle.bulk.data")
local errors = require("heddle.errors")
local filter = require("heddle.filter")
local filter_names = require("heddle.named_filters.names")
local options = require("heddle.options")
local quote = require("heddle.quote")
local resolve = require("heddle.resolve")
local shape = require("heddle.shape")
local statement = require("heddle.statement")

local bulk = {}

local function check_options(mapping, opts)
  if opts == nil then return false end
  if type(opts) ~= "table" or getmetatable(opts) ~= nil then
    return errors.raise("validation", "the options of a query on " .. mapping.name .. " are a table, not a "
      .. type(opts), resolve.fields(mapping))
  end
  for name, value in pairs(opts) do
    if name == "filters" then
      filter_names.check(mapping, value)
    elseif name == "timeout" then
      local expected = options.duration(value)
      if expected then
        return errors.raise("validation", ("option 'timeout' must be %s; got %s"):format(expected,
          options.describe(value)), resolve.fields(mapping))
      end
    elseif name ~= "all" then
      return errors.raise("unknown_property", errors.quote(name) .. " is not an option here; there is all = true, for "
        .. "every row of " .. mapping.name .. ", filters and timeout", resolve.fields(mapping))
    elseif type(value) ~= "boolean" then
      return errors.raise("validation", "option 'all' is true or false, not a " .. type(value), resolve.fields(mapping))
    end
  end
  return opts.all == true
end

-- Plans ----------------------------------------------------------------------------------------------------

local function where_sql(made, mapping)
  local text = condition.where(made)
  if not made:finds_first(text) then return text end
  local key = quote.columns(mapping.key, "e0.")
  local operand = #mapping.key > 1 and "(" .. key .. ")" or key
  return " WHERE " .. operand .. " IN (SELECT " .. key .. " FROM " .. made:from() .. text .. ")"
end

local function plan_of(made, mapping, sql)
  return {
    sql = sql, param_columns = made.param_columns, columns = {}, mapping = mapping, partial = false,
    reads = made.reads,
  }
end

local function build_update(mapping, to)
  local made = statement.new(mapping)
  local set = data.sql(made, mapping, to.code)
  return plan_of(made, mapping, "UPDATE " .. quote.table(mapping) .. " AS e0" .. set
    .. where_sql(made, mapping))
end

local function build_delete(mapping, to)
  local made = statement.new(mapping)
  made:open(to.code, 2)
  return plan_of(made, mapping, "DELETE FROM " .. quote.table(mapping) .. " AS e0"
    .. where_sql(made, mapping))
end

---The plan of an UPDATE of the rows that a filter finds. Raises `validation`, `unknown_property`, `unsupported`.
---
---Usage: `local plan, params = bulk.update(mapping, { team = 3 }, { active = false, score = op.raw("score + ?", 1) })`
---@param mapping table
---@param where any
---@param given table values by property; orm.null for NULL, op.raw for an expression
---@param opts table? `all = true` lets the filter be empty
---@param named heddle.NamedFilters?
---@return table plan
---@return any[] params
function bulk.update(mapping, where, given, opts, named)
  local all = check_options(mapping, opts)
  local to = shape.new("update", named)
  data.read(to, mapping, given)
  filter.read(to, mapping, where, all)
  return shape.plan(to, mapping, build_update), to.params
end

---The plan of a DELETE of the rows that a filter finds.
---
---Usage: `local plan, params = bulk.delete(mapping, { created_at = op.lt(limit) })`
---@param mapping table
---@param where any
---@param opts table? `all = true` lets the filter be empty
---@param named heddle.NamedFilters?
---@return table plan
---@return any[] params
function bulk.delete(mapping, where, opts, named)
  local all = check_options(mapping, opts)
  local to = shape.new("delete", named)
  filter.read(to, mapping, where, all)
  return shape.plan(to, mapping, build_delete), to.params
end

return bulk
