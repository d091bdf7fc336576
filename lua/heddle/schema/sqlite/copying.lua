--- Which value each column of the new table gets from a row of the old one, and what has to hold for that.
---
---     copying = { create = parsed CREATE TABLE, columns = { quoted names }, values = { SQL },
---                 checks = { { misfit = SQL, column, message } } }
local convert = require("heddle.schema.sqlite.convert")
local errors = require("heddle.errors")
local quote = require("heddle.quote")
local read = require("heddle.schema.sqlite.read")
local suggest = require("heddle.suggest")
local tokens = require("heddle.schema.sqlite.tokens")

local copying = {}

local fold = tokens.fold

local function by_name(columns)
  local found = {}
  for _, column in ipairs(columns) do found[fold(column.name)] = column end
  return found
end

local function names_of(columns)
  local names = {}
  for i, column in ipairs(columns) do names[i] = column.name end
  return names
end

local function refuse(run, message, column)
  errors.raise("migration", ("Table '%s' cannot change so: %s. Nothing was changed"):format(run.name, message),
    { context = run.context.name, table = run.name, column = column })
end

-- What `copy` says ---------------------------------------------------------------------------------------------

-- The old column that an expression is, where it is nothing else.
local function source_of(run, text)
  local list = tokens.of(text) or {}
  local only = list[2] == nil and list[1]
  if only and (only.kind == "word" or only.kind == "quoted") then return run.old[fold(tokens.name(only))] end
end

local function note_used(run, text)
  for _, token in ipairs(tokens.of(text) or {}) do
    if token.kind == "word" or token.kind == "quoted" then run.used[fold(tokens.name(token))] = true end
  end
end

local function read_copy(run, copy)
  run.copy, run.used = {}, {}
  for name, said in pairs(copy or {}) do
    if name == "*" then
      run.keeps = true
    elseif said == false then
      if not run.old[fold(name)] then
        refuse(run, ("it has no column %s to go%s"):format(errors.quote(name), suggest.hint(name,
          names_of(run.was.columns))), name)
      end
      run.used[fold(name)] = true
    elseif type(said) ~= "string" then
      refuse(run, ("copy[%s] has to be SQL over the old row, or false for a column that goes"):format(
        errors.quote(name)))
    elseif not run.new[fold(name)] then
      refuse(run, ("copy names %s, which the new table has not%s"):format(errors.quote(name), suggest.hint(name,
        names_of(run.now.columns))), name)
    else
      run.copy[fold(name)] = said
      note_used(run, said)
    end
  end
end

-- Columns that the new table does not know ---------------------------------------------------------------------

local function mentions(item, names)
  for _, token in ipairs(tokens.of(item.text) or {}) do
    if tokens.is_name(token) and names[fold(tokens.name(token))] then return true end
  end
  return false
end

local function is_known(run, column)
  return run.new[fold(column.name)] or run.used[fold(column.name)]
end

-- `copy = { ["*"] = "*" }`: what else is there comes along, as it is written.
local function carry(run, parsed)
  local carried, gone = {}, {}
  for _, column in ipairs(parsed.columns) do
    if not is_known(run, column) then
      carried[fold(column.name)] = true
      table.insert(run.create.columns, column)
    elseif not run.new[fold(column.name)] then
      gone[fold(column.name)] = true
    end
  end
  for _, item in ipairs(parsed.constraints) do
    if next(carried) and item.kind ~= "primary" and mentions(item, carried) and not mentions(item, gone) then
      table.insert(run.create.constraints, item)
    end
  end
  run.now = read.table(run.create)
  run.new = by_name(run.now.columns)
end

local function check_known(run, parsed)
  for _, column in ipairs(parsed.columns) do
    if not is_known(run, column) then
      refuse(run, ("its column '%s' is not in the new table, and what it holds would be lost: say copy = { [%q] = "
        .. "false } if it shall go, or [\"*\"] = \"*\" if whatever else is there shall come along"):format(
        column.name, column.name), column.name)
    end
  end
end

-- Values -------------------------------------------------------------------------------------------------------

local function add_check(run, column, misfit, message)
  run.checks[#run.checks + 1] = { misfit = misfit, column = column.name, message = message }
end

-- What the table itself refuses: SQLite lets a key be NULL unless it is the rowid, or there is none, or types count.
local function required_names(parsed)
  local names = {}
  local is_strict = parsed.strict or parsed.without_rowid
  local function add(items, own)
    for _, item in ipairs(items) do
      if item.kind == "not null" then names[fold(own)] = true end
      for _, name in ipairs(is_strict and item.kind == "primary" and (item.columns or { own }) or {}) do
        names[fold(name)] = true
      end
    end
  end
  for _, column in ipairs(parsed.columns) do add(column.items, column.name) end
  add(parsed.constraints)
  return names
end

local NOT_NULL = "have NULL where the new table takes none: give the column a default, or fill it first"

local function add_value(run, column)
  local name = fold(column.name)
  local said = run.copy[name]
  local source = said and source_of(run, said) or not said and run.old[name]
  -- The rowid is made where there is none.
  local is_required = run.required[name] and name ~= run.alias
  if not said and not source then
    if is_required and not column.default then add_check(run, column, "1", NOT_NULL) end
    return
  end
  local value, misfit, what = source and quote.name(source.name) or "(" .. said .. ")", nil, nil
  if source then value, misfit, what = convert.of(value, source.type, column.type) end
  if misfit then
    add_check(run, column, misfit, ("hold values that are %s, and its type changes from %s to %s"):format(what,
      source.type, column.type))
  end
  if is_required and column.default then
    value = ("coalesce(%s, %s)"):format(value, column.default)
  elseif is_required then
    add_check(run, column, value .. " IS NULL", NOT_NULL)
  end
  run.columns[#run.columns + 1], run.values[#run.values + 1] = quote.name(column.name), value
end

-- The rowid ----------------------------------------------------------------------------------------------------

---The column that is the rowid itself; nil when there is none.
---@param parsed table
---@return string|nil name in lower case
function copying.alias(parsed)
  if parsed.without_rowid then return nil end
  local name
  for _, column in ipairs(parsed.columns) do
    for _, item in ipairs(column.items) do
      if item.kind == "primary" and not item.desc then name = column.name end
    end
  end
  for _, item in ipairs(parsed.constraints) do
    if item.kind == "primary" and #item.columns == 1 then name = item.columns[1] end
  end
  for _, column in ipairs(name and parsed.columns or {}) do
    if fold(column.name) == fold(name) and column.type:upper() == "INTEGER" then return fold(name) end
  end
end

-- Other tables, and full-text indexes, may know rows by it.
local function keep_rowid(run, parsed)
  if parsed.without_rowid or run.create.without_rowid then return end
  if run.alias and (run.copy[run.alias] or run.old[run.alias]) then return end
  local function free(columns)
    for _, name in ipairs({ "rowid", "_rowid_", "oid" }) do
      if not columns[name] then return name end
    end
  end
  local from, to = free(run.old), free(run.new)
  if from and to then
    table.insert(run.columns, 1, to)
    table.insert(run.values, 1, from)
  end
end

---How the rows get from one table into the other.
---@param context table
---@param name string
---@param was table the parsed CREATE TABLE of the old one
---@param create table of the new one
---@param copy table|nil
---@return table copying
function copying.of(context, name, was, create, copy)
  local run = { context = context, name = name, create = create, was = read.table(was), now = read.table(create),
    columns = {}, values = {}, checks = {} }
  run.old, run.new = by_name(run.was.columns), by_name(run.now.columns)
  read_copy(run, copy)
  if run.keeps then carry(run, was) else check_known(run, was) end
  run.alias, run.required = copying.alias(create), required_names(create)
  for _, column in ipairs(run.now.columns) do
    if not column.generated then add_value(run, column) end
  end
  keep_rowid(run, was)
  return run
end

return copying
