--- UPDATE and DELETE by filter, without the unit of work: a filter and data become a plan and its parameters.
--
-- A filter that reaches into related entities stands in a sub-select over the key, since neither database
-- joins in these statements alike. An UPDATE counts the version on, so that whoever read the rows before it
-- notices.
local condition = require("heddle.condition")
local core = require("heddle.core")
local errors = require("heddle.errors")
local filter = require("heddle.filter")
local null = require("heddle.null")
local op = require("heddle.op")
local place = require("heddle.filter.place")
local quote = require("heddle.quote")
local resolve = require("heddle.resolve")
local shape = require("heddle.shape")
local statement = require("heddle.statement")
local version_sql = require("heddle.version_sql")

local bulk = {}

local NOW = { type = "timestamp" }

local emit, push = shape.emit, shape.push

local function check_options(mapping, opts)
  for name, value in pairs(opts or {}) do
    if name ~= "all" then
      return errors.raise("unknown_property", errors.quote(name) .. " is not an option here; there is all = true, for "
        .. "every row of " .. mapping.name, resolve.fields(mapping))
    end
    if type(value) ~= "boolean" then
      return errors.raise("validation", "option 'all' is true or false, not a " .. type(value), resolve.fields(mapping))
    end
  end
  return opts ~= nil and opts.all == true
end

-- Data -----------------------------------------------------------------------------------------------------

local function data_place(mapping, name)
  local places = mapping.plans.data_places
  if not places then
    places = {}
    mapping.plans.data_places = places
  end
  local at = places[name]
  if not at then
    local view = resolve.view(mapping, name, "data")
    at = place.make(mapping, view, "data")
    if not at.column and #(view.columns or {}) == 0 then
      return place.refuse(at, "the foreign key is the other side's: set it there")
    end
    at.columns = at.column and { at.column } or view.columns
    if at.columns[1].discriminator then return place.refuse(at, "the discriminator: a row stays of its entity") end
    if at.columns[1].generated then return place.refuse(at, "the database generates this value") end
    places[name] = at
  end
  return at
end

local function read_value(to, at, value)
  if value == null then
    for _, column in ipairs(at.columns) do
      if not column.nullable then return place.refuse(at, "cannot be NULL: it is not nullable") end
    end
    return emit(to, "null", at.name)
  end
  if op.is_operator(value) and value.kind == "raw" then
    if #at.columns > 1 then return place.refuse(at, "op.raw is one value, and this key has several") end
    emit(to, "raw", at.name)
    emit(to, value.value, value.second.n)
    for i = 1, value.second.n do push(to, value.second[i]) end
    return
  end
  emit(to, "value", at.name)
  if at.column then return push(to, place.scalar(at, at.column, value)) end
  for _, part in ipairs(place.key_values(at, value)) do push(to, part) end
end

local function read_data(to, mapping, data)
  if type(data) ~= "table" or getmetatable(data) ~= nil then
    return errors.raise("validation", "data of " .. mapping.name .. ": takes a plain table, not "
      .. (type(data) == "table" and "an instance or an operator" or "a " .. type(data)), resolve.fields(mapping))
  end
  local names = {}
  for name in pairs(data) do
    -- What an open entity does not declare has no column.
    if mapping.props[name] or not mapping.meta.open then
      names[#names + 1] = resolve.view(mapping, name, "data").name
    end
  end
  if #names == 0 then
    return errors.raise("validation", "data of " .. mapping.name .. ": an empty table sets nothing",
      resolve.fields(mapping))
  end
  table.sort(names)
  emit(to, #names)
  for _, name in ipairs(names) do read_value(to, data_place(mapping, name), data[name]) end
  local version = mapping.version
  if version and version.type == "timestamp" and data[version.property] == nil then push(to, core.now()) end
end

-- Plans ----------------------------------------------------------------------------------------------------

local function assignment(made, mapping, code, at)
  local word, name = code[at], code[at + 1]
  local terms = {}
  made:open(code, at + 2)
  for i, column in ipairs(data_place(mapping, name).columns) do
    local value
    if word == "null" then
      value = "NULL"
    elseif word == "raw" then
      value = condition.raw(made)
    else
      value = made:placeholder(column)
    end
    terms[i] = quote.name(column.name) .. " = " .. value
  end
  return table.concat(terms, ", "), made.at, name
end

local function set_sql(made, mapping, code)
  local terms, at, has_version = {}, 3, false
  for i = 1, code[2] do
    local name
    terms[i], at, name = assignment(made, mapping, code, at)
    has_version = has_version or mapping.version ~= nil and name == mapping.version.property
  end
  if mapping.version and not has_version then
    terms[#terms + 1] = quote.name(mapping.version.name) .. " = "
      .. version_sql.next(mapping, function() return made:placeholder(NOW) end)
  end
  made:open(code, at)
  return " SET " .. table.concat(terms, ", ")
end

local function where_sql(made, mapping)
  local text = condition.where(made)
  if #made.joins == 0 then return text end
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
  local set = set_sql(made, mapping, to.code)
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
---@param data table values by property; orm.null for NULL, op.raw for an expression
---@param opts table? `all = true` lets the filter be empty
---@return table plan
---@return any[] params
function bulk.update(mapping, where, data, opts)
  local all = check_options(mapping, opts)
  local to = shape.new("update")
  read_data(to, mapping, data)
  filter.read(to, mapping, where, all)
  return shape.plan(to, mapping, build_update), to.params
end

---The plan of a DELETE of the rows that a filter finds.
---
---Usage: `local plan, params = bulk.delete(mapping, { created_at = op.lt(limit) })`
---@param mapping table
---@param where any
---@param opts table? `all = true` lets the filter be empty
---@return table plan
---@return any[] params
function bulk.delete(mapping, where, opts)
  local all = check_options(mapping, opts)
  local to = shape.new("delete")
  filter.read(to, mapping, where, all)
  return shape.plan(to, mapping, build_delete), to.params
end

return bulk
