--- Rows that refer to rows which are not there: which of them a change has made. Those from before are not its to mend.
local compat = require("heddle.compat")
local errors = require("heddle.errors")
local options = require("heddle.options")
local quote = require("heddle.quote")
local tokens = require("heddle.schema.sqlite.tokens")

local references = {}

local fold = tokens.fold

local function query(context, link, sql)
  return context:run_sql(link, sql, compat.pack()) or {}
end

local function names_of(context, link)
  local names = {}
  for _, row in ipairs(query(context, link, "SELECT name FROM main.sqlite_schema WHERE type = 'table'")) do
    names[fold(row.name)] = true
  end
  return names
end

-- Rows of a check; nil for one that SQLite cannot make, because a foreign key leads to columns that are no key.
local function check(context, link, sql)
  local ok, rows = compat.pcall(query, context, link, sql)
  if ok then return rows end
  local words = errors.is_error(rows) and tostring(rows.cause or rows.detail) or ""
  if not words:find("mismatch", 1, true) then error(rows, 0) end
  return nil
end

-- One such key keeps nobody from looking at the other tables.
local function check_each(context, link, names)
  local list = {}
  for _, name in ipairs(options.sorted_keys(names)) do
    local rows = check(context, link, ("PRAGMA main.foreign_key_check(%s)"):format(quote.name(name)))
    for _, row in ipairs(rows or { { table = name, parent = "", is_mismatch = true } }) do list[#list + 1] = row end
  end
  return list
end

---What is broken now, for `broken_since`.
---@param context table
---@param link userdata
---@return table noted { rows = { { table, rowid, parent, is_mismatch }, ... }, names }
function references.note(context, link)
  local names = names_of(context, link)
  return { rows = check(context, link, "PRAGMA main.foreign_key_check") or check_each(context, link, names),
    names = names }
end

---What is wrong with one of them, in words.
---@param row table
---@return string
function references.describe(row)
  if row.is_mismatch then return ("a foreign key of '%s' refers to columns that are no key"):format(row.table) end
  local which = row.rowid and (" row %s"):format(tostring(row.rowid)) or ""
  return ("'%s'%s refers to '%s'"):format(row.table, which, row.parent)
end

local function key_of(row)
  return fold(row.table) .. "\0" .. tostring(row.rowid) .. "\0" .. fold(row.parent)
end

local function count(rows)
  local counts = {}
  for _, row in ipairs(rows) do counts[key_of(row)] = (counts[key_of(row)] or 0) + 1 end
  return counts
end

-- Those of `rows` that are not among the others.
local function without(rows, others)
  local counts, left = count(others), {}
  for _, row in ipairs(rows) do
    local key = key_of(row)
    if (counts[key] or 0) > 0 then counts[key] = counts[key] - 1 else left[#left + 1] = row end
  end
  return left
end

-- Whether a table may only be called otherwise: one name is gone, the other one new.
local function may_be(was, now, before, after)
  was, now = fold(was), fold(now)
  return was == now or not after.names[was] and not before.names[now]
end

-- A row of the same number whose table is one that may only be called otherwise now.
local function take(gone, row, before, after)
  for i, was in ipairs(gone) do
    if may_be(was.table, row.table, before, after) and may_be(was.parent, row.parent, before, after) then
      return table.remove(gone, i)
    end
  end
end

local function by_number(rows)
  local found = {}
  for _, row in ipairs(rows) do
    local number = tostring(row.rowid)
    found[number] = found[number] or {}
    table.insert(found[number], row)
  end
  return found
end

---The rows of `after` that are broken and were not so `before`; one whose table is called otherwise now is the same.
---@param before table noted
---@param after table noted
---@return table[] rows { table, rowid, parent, is_mismatch }
function references.broken_since(before, after)
  local gone, made = by_number(without(before.rows, after.rows)), {}
  for _, row in ipairs(without(after.rows, before.rows)) do
    if not take(gone[tostring(row.rowid)] or {}, row, before, after) then made[#made + 1] = row end
  end
  return made
end

return references
