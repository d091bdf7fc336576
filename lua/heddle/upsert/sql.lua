--- SQL of upserts: INSERT ... ON CONFLICT of several rows, and the SELECT that finds them again by their unique key.
--- The same text on both drivers, but for casts and for how PostgreSQL tells what it inserted.
---
--- A *group* is what its rows have in common: { columns = written, raws = { [column index] = { sql, n } }, target =
--- columns of the unique key, set = columns that a row which is there takes over, opts = as options.read gave them }.
local condition = require("heddle.condition")
local column_sql = require("heddle.schema.column")
local family = require("heddle.family")
local quote = require("heddle.quote")
local resolve = require("heddle.resolve")
local shape = require("heddle.shape")
local statement = require("heddle.statement")
local version_sql = require("heddle.version_sql")

local upsert_sql = {}

local INSERTED = { type = "boolean", name = "inserted" }
local NOW = { type = "timestamp" }

local function raw_sql(made, sql, count)
  made:open({ sql, count }, 1)
  return condition.raw(made)
end

-- A value of a VALUES list. Its column gives it its type, where that one is Heddle's; elsewhere it has to be said.
local function value_sql(made, column, certain)
  local text = made:placeholder(column)
  if made.driver ~= "postgres" or certain and not column.cast then return text end
  return text .. "::" .. (column.cast or column_sql.type(column, "postgres"))
end

local function rows_sql(made, group, count)
  local rows = {}
  for i = 1, count do
    local row = {}
    for k, column in ipairs(group.columns) do
      local raw = group.raws[column.index]
      row[k] = raw and raw_sql(made, raw[1], raw[2]) or value_sql(made, column, true)
    end
    rows[i] = "(" .. table.concat(row, ", ") .. ")"
  end
  return table.concat(rows, ", ")
end

local function set_sql(made, group)
  local terms = {}
  for i, column in ipairs(group.set) do
    local name = quote.name(column.name)
    terms[i] = name .. " = excluded." .. name
  end
  for _, item in ipairs(group.opts.raws) do
    terms[#terms + 1] = quote.name(item.column.name) .. " = " .. raw_sql(made, item.raw.value, item.raw.second.n)
  end
  local version = made.mapping.version
  if version then
    terms[#terms + 1] = quote.name(version.name) .. " = "
      .. version_sql.next(made.mapping, function() return made:placeholder(NOW) end, made.root.alias)
  end
  return table.concat(terms, ", ")
end

-- The row that is there may be of an entity that shares the table: it stays as it is.
local function where_sql(made, group)
  local own = family.condition(made.mapping, made.root.alias .. ".")
  if not group.where then return own and " WHERE " .. own or "" end
  made:open(group.where.code, 2)
  local text = condition.where(made)
  if not made:is_alone() then
    resolve.refuse("unsupported", made.mapping, nil, "on_conflict_where", "it can only name properties of the entity "
      .. "itself")
  end
  return text
end

local function conflict_sql(made, group)
  if not group.target then return group.ignores and " ON CONFLICT DO NOTHING" or "" end
  local text = " ON CONFLICT (" .. quote.columns(group.target) .. ")"
  if group.ignores then return text .. " DO NOTHING" end
  return text .. " DO UPDATE SET " .. set_sql(made, group) .. where_sql(made, group)
end

local function plan_of(made, sql, columns)
  return { sql = sql, param_columns = made.param_columns, columns = columns, mapping = made.mapping, reads = made.reads,
    partial = #columns < #made.mapping.columns, once = made.once }
end

---An INSERT of `count` rows of a group, up to what it gives back.
---@param alias? string of the table, as SQL; `e0` when left out
---@return heddle.Statement made
---@return string
function upsert_sql.statement(mapping, group, count, alias)
  local made = statement.new(mapping, alias)
  local text = "INSERT INTO " .. quote.table(mapping) .. " AS " .. made.root.alias
  if #group.columns == 0 then return made, text .. " DEFAULT VALUES" .. conflict_sql(made, group) end
  text = text .. " (" .. quote.columns(group.columns) .. ")"
  -- A key that the server says it always makes is taken all the same, as the program gives it.
  if made.driver == "postgres" and group.writes_key then text = text .. " OVERRIDING SYSTEM VALUE" end
  return made, text .. " VALUES " .. rows_sql(made, group, count) .. conflict_sql(made, group)
end

local function build_insert(mapping, group, count)
  local made, text = upsert_sql.statement(mapping, group, count)
  if not group.target then
    return plan_of(made, text .. " RETURNING " .. quote.columns(mapping.key), mapping.key)
  end
  if made.driver == "sqlite" then return plan_of(made, text, {}) end
  local columns = { INSERTED }
  for i, column in ipairs(mapping.key) do columns[i + 1] = column end
  -- A row that was there had to be locked before it was updated.
  return plan_of(made, text .. " RETURNING xmax = 0, " .. quote.columns(mapping.key), columns)
end

local function build_find(mapping, group, count, columns)
  local made = statement.new(mapping)
  local rows, terms = {}, {}
  for i = 1, count do
    local row = { tostring(i) }
    for k, column in ipairs(group.target) do row[k + 1] = value_sql(made, column, false) end
    rows[i] = "(" .. table.concat(row, ", ") .. ")"
  end
  for k, column in ipairs(group.target) do
    terms[k] = "e0." .. quote.name(column.name) .. " = hd_v.column" .. (k + 1)
  end
  terms[#terms + 1] = family.condition(mapping, "e0.")
  return plan_of(made, "SELECT " .. quote.columns(columns, "e0.") .. " FROM (VALUES " .. table.concat(rows, ", ")
    .. ") AS hd_v JOIN " .. quote.table(mapping) .. " AS e0 ON " .. table.concat(terms, " AND ")
    .. " ORDER BY hd_v.column1", columns)
end

-- Texts for one row and for a full statement come again; others are not worth keeping.
local function kept(mapping, verb, words, count, is_common, build)
  if not is_common then
    local plan = build()
    plan.once = true
    return plan
  end
  local to = shape.new(verb)
  shape.emit(to, count)
  for i = 1, #words do shape.emit(to, words[i]) end
  return shape.plan(to, mapping, build)
end

---The plan of an INSERT of `count` rows of a group. On PostgreSQL it gives, for each row that was written, whether it
---was inserted, and its key; without a conflict target it gives keys.
---@param is_common boolean whether a statement of so many rows comes again
---@return table plan
function upsert_sql.insert(mapping, group, count, is_common)
  return kept(mapping, "upsert", group.words, count, is_common, function()
    return build_insert(mapping, group, count)
  end)
end

---The plan of a SELECT that finds `count` rows by the unique key, in the order in which its values are given.
---@param columns table[] what to read of them
---@return table plan
function upsert_sql.find(mapping, group, count, columns, is_common)
  local words = { #group.target }
  for i, list in ipairs({ group.target, columns }) do
    for _, column in ipairs(list) do words[#words + 1] = column.index end
    words[#words + 1] = i
  end
  return kept(mapping, "find_again", words, count, is_common, function()
    return build_find(mapping, group, count, columns)
  end)
end

---Parameters of a plan of `insert`.
---@param rows table[]
function upsert_sql.insert_params(group, rows)
  local params, n = {}, 0
  local function push(value)
    n = n + 1
    params[n] = value
  end
  local function push_raw(raw)
    for i = 1, raw.second.n do push(raw.second[i]) end
  end
  for _, row in ipairs(rows) do
    for _, column in ipairs(group.columns) do
      local raw = row.raws and row.raws[column.index]
      if raw then push_raw(raw) else push(row.values[column.index]) end
    end
  end
  if not group.target or group.ignores then return params end
  for _, item in ipairs(group.opts.raws) do push_raw(item.raw) end
  local version = group.mapping.version
  if version and version.type == "timestamp" then push(group.now) end
  for i = 1, group.where and group.where.count or 0 do push(group.where.params[i]) end
  return params
end

---Parameters of a plan of `find`.
function upsert_sql.find_params(group, rows)
  local params, n = {}, 0
  for _, row in ipairs(rows) do
    for _, column in ipairs(group.target) do
      n = n + 1
      params[n] = row.values[column.index]
    end
  end
  return params
end

return upsert_sql
