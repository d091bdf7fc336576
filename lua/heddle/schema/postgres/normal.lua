--- The normal form of a wanted model: what the database would tell of it, were it there.
---
--- The same default, condition or type has many spellings, and only the server knows which are one: `'a'` and
--- `'a'::text`, `varchar(20)` and `character varying(20)`, `x in (1, 2)` and `x = ANY (ARRAY[1, 2])`. So it is asked:
--- each table is made as a temporary one, which needs no right to make tables and meets no lock, read like the live
--- ones, and rolled back. One schema at a time: their tables may have the same names. Foreign keys need no asking, and
--- generated keys get none, because a temporary sequence would hide a real one of that name from defaults.
local catalog = require("heddle.schema.postgres.catalog")
local compat = require("heddle.compat")
local errors = require("heddle.errors")
local faults = require("heddle.schema.postgres.faults")
local introspect = require("heddle.schema.postgres.introspect")
local models = require("heddle.schema.model")
local names = require("heddle.schema.postgres.names")
local raw_sql = require("heddle.raw_sql")
local render = require("heddle.schema.render")
local scratch = require("heddle.schema.postgres.scratch")
local views = require("heddle.schema.postgres.views")

local normal = {}

local function make(context, link, t)
  local draft = scratch.draft(t)
  raw_sql.statement(context, link, render.create_table(draft, "postgres"))
  for _, index in ipairs(t.indexes) do
    raw_sql.statement(context, link, render.index(draft, index, "postgres"))
  end
end

local function by_name(list)
  local found = {}
  for _, item in ipairs(list) do found[item.name] = item end
  return found
end

local function merge(item, told)
  local made = {}
  for key, value in pairs(item) do made[key] = value end
  for _, key in ipairs({ "type", "default", "generated", "virtual", "collation", "expression", "method", "parts",
    "where", "include" }) do
    made[key] = told[key]
  end
  if told.autoincrement then made.autoincrement, made.serial = true, nil end
  return made
end

-- The wanted table in the words that the server had for it.
local function told(t, live)
  local made = {}
  for key, value in pairs(t) do made[key] = value end
  made.primary = live.primary
  for _, kind in ipairs({ "columns", "checks", "indexes" }) do
    local known = by_name(live[kind])
    made[kind] = {}
    for i, item in ipairs(t[kind]) do made[kind][i] = merge(item, known[item.name]) end
  end
  -- What is part of a primary key is never NULL, whatever was said.
  for i, column in ipairs(made.columns) do column.nullable = live.columns[i].nullable end
  return made
end

-- Each table holds a few locks until the transaction ends, and the server has room for some thousands.
local AT_ONCE = 200

-- What can be made together.
local function group(tables)
  local groups, by_schema = {}, {}
  for _, t in ipairs(tables) do
    local list = by_schema[t.schema or ""]
    if not list or #list >= AT_ONCE then
      list = {}
      by_schema[t.schema or ""], groups[#groups + 1] = list, list
    end
    list[#list + 1] = t
  end
  return groups
end

local function read_group(context, link, list)
  local current
  local ok, result = compat.pcall(scratch.within, context, link, function()
    scratch.clear(context, link)
    for _, t in ipairs(list) do
      current = t
      make(context, link, t)
    end
    current = nil
    local live = by_name(introspect.model(catalog.read(context, link, { scratch.schema(context, link) })).tables)
    local made = {}
    for i, t in ipairs(list) do made[i] = told(t, live[t.name]) end
    return made
  end)
  if ok then return result end
  if not current or not errors.is_error(result) then error(result, 0) end
  return faults.raise(context, link, current, result)
end

-- A default that takes from the column's own sequence is what `serial` makes, and read as a generated key.
local function recognise_serials(context, link, tables, own)
  local function asks()
    for _, t in ipairs(tables) do
      for _, column in ipairs(t.columns) do
        if column.default and column.default:find("^nextval%(") then return true end
      end
    end
  end
  if not asks() then return end
  local known = catalog.serials(context, link)
  for _, t in ipairs(tables) do
    for _, column in ipairs(t.columns) do
      local path = table.concat({ t.schema or own or "", t.name, column.name }, "\1")
      if column.default and known[path] == column.default then
        column.autoincrement, column.default = true, nil
      end
    end
  end
end

---The wanted model in the form in which `introspect.read` would give it, with `entity` and `property` kept.
---Raises `metadata` for a text that the server refuses, `migration` when the role may make no temporary tables.
---
---Usage: `local changes = compare.changes(live, normal.of(context, link, model.of(context)))`
---@param context table
---@param link userdata
---@param wanted table model
---@return table model
function normal.of(context, link, wanted)
  local own = catalog.own_schema(context, link)
  local short = names.shortened(models.localised(wanted, own), catalog.longest_name(context, link))
  local made = { driver = "postgres", tables = {}, views = {} }
  for _, list in ipairs(group(short.tables)) do
    for _, t in ipairs(read_group(context, link, list)) do made.tables[#made.tables + 1] = t end
  end
  table.sort(made.tables, models.before)
  recognise_serials(context, link, made.tables, own)
  made.views = views.normal(context, link, short.views)
  return made
end

return normal
