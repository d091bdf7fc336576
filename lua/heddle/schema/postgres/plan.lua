--- From changes to statements for PostgreSQL.
---
--- Every statement belongs to a phase, and the phases follow each other over all tables: what is in the way goes first
--- (views, foreign keys, constraints, indexes), foreign keys come last, so that tables and keys may refer to each other
--- in any way. Nothing is conditional: what the statements meet is what was compared.
---
--- Locks: ALTER TABLE shuts everyone out of the table until the transaction ends. So a table's types change in one
--- statement, which rewrites it once; a type that only grows (varchar, numeric) and a column with a constant default
--- rewrite nothing; a foreign key is not touched where its columns stay comparable. What remains slow on a large table
--- is an index: a migration without a transaction may make it CONCURRENTLY.
local catalog = require("heddle.schema.postgres.catalog")
local columns = require("heddle.schema.postgres.columns")
local entry = require("heddle.schema.postgres.entry")
local keys = require("heddle.schema.postgres.keys")
local order = require("heddle.schema.order")
local quote = require("heddle.quote")
local render = require("heddle.schema.render")
local view_steps = require("heddle.schema.postgres.view_steps")

local plan = {}

local PHASES = {
  "views_go", "foreign_keys_go", "tables_go", "schemas", "tables_renamed", "constraints_go", "columns_go",
  "columns_renamed", "tables", "defaults_go", "types", "columns", "defaults", "fill", "required", "identity",
  "constraints", "indexes", "foreign_keys", "comments", "views",
}

local Plan = {}
Plan.__index = Plan

---@param phase string
---@param sql string
function Plan:add(phase, sql)
  local list = self.phases[phase]
  list[#list + 1] = sql
end

---ALTER TABLE of a table.
---@param phase string
---@param t table
---@param ... string actions
function Plan:alter(phase, t, ...)
  local actions = table.concat({ ... }, ", ")
  if actions ~= "" then self:add(phase, ("ALTER TABLE %s %s"):format(render.table(t), actions)) end
end

---The session's own schema, quoted.
---@return string
function Plan:own_schema()
  return quote.name(catalog.own_schema(self.context, self.link))
end

---A schema that has to be there. Where it is nobody needs the right to make it.
---@param name string|nil
function Plan:need_schema(name)
  if not name or self.schemas[name] then return end
  self.schemas[name] = true
  if self.live and catalog.ask(self.context, self.link,
    "select exists (select from pg_catalog.pg_namespace where nspname = ?) as found", name)[1].found then
    return
  end
  self:add("schemas", "CREATE SCHEMA IF NOT EXISTS " .. quote.name(name))
end

---A table as the entities have it.
---@param t table
---@return table|nil
function Plan:wanted_table(t)
  for _, other in ipairs(self.wanted.tables) do
    if other.name == t.name and other.schema == t.schema then return other end
  end
end

-- What has been there before Heddle and is not a plain table is not Heddle's to remove or to move.
local function is_plain(t)
  return not t.kind
end

local function rename_tables(self)
  local list = {}
  for _, pair in ipairs(self.changes.renamed) do
    local from, to = pair.from, pair.to
    if from.schema ~= to.schema then
      self:need_schema(to.schema)
      self:alter("tables_renamed", from, "SET SCHEMA " .. (to.schema and quote.name(to.schema) or self:own_schema()))
    end
    if from.name ~= to.name then list[#list + 1] = { from = from.name, to = to.name, schema = to.schema } end
  end
  order.renames(list, function(item, name) return (item.schema or "") .. "\0" .. name end, function(from, to, item)
    self:alter("tables_renamed", { name = from, schema = item.schema }, "RENAME TO " .. quote.name(to))
  end)
end

local function drop_tables(self)
  local position = {}
  for i, t in ipairs(self.changes.dropped) do position[t.name .. "\0" .. (t.schema or "")] = i end
  for i, t in ipairs(self.changes.dropped) do
    if is_plain(t) then
      for _, fk in ipairs(t.foreign_keys) do
        -- Its target is gone before it: they refer to each other.
        local target = position[fk.table .. "\0" .. (fk.schema or "")]
        if target and target < i then
          self:alter("foreign_keys_go", t, "DROP CONSTRAINT " .. quote.name(fk.name))
        end
      end
      self:add("tables_go", "DROP TABLE " .. render.table(t))
    end
  end
end

local function add_tables(self)
  for _, t in ipairs(self.changes.added) do
    self:need_schema(t.schema)
    self:add("tables", render.create_table(t, "postgres"))
    for _, index in ipairs(t.indexes) do self:add("tables", render.index(t, index, "postgres")) end
    for _, fk in ipairs(t.foreign_keys) do self:add("foreign_keys", render.add(t, render.foreign_key(fk))) end
    for _, comment in ipairs(render.comments(t)) do self:add("tables", comment) end
  end
end

local function collect(self)
  local steps = {}
  for _, phase in ipairs(PHASES) do
    for _, sql in ipairs(self.phases[phase]) do steps[#steps + 1] = sql end
  end
  return steps
end

---The statements that make `changes`, in order. Raises `migration` for what cannot work (M3): a NOT NULL column that
---nothing fills, a type that values cannot take.
---
---Usage: `for _, sql in ipairs(plan.steps(changes, wanted, context, link)) do print(sql) end`
---@param changes table as `compare.changes` gives them
---@param wanted table model in normal form
---@param context table
---@param link userdata
---@param opts table|nil `live`: for this database, now, whose rows are asked; else for others, later. `reverse`: the
---  way back, tried when it is gone. `safe` (default true): no value is changed in silence
---@return string[]
function plan.steps(changes, wanted, context, link, opts)
  opts = opts or {}
  local self = setmetatable({ changes = changes, wanted = wanted, context = context, link = link, phases = {},
    live = opts.live or false, reverse = opts.reverse, safe = opts.safe ~= false, entries = {},
    schemas = {}, names = {} }, Plan)
  for _, phase in ipairs(PHASES) do self.phases[phase] = {} end
  for _, changed in ipairs(changes.changed) do
    -- A foreign table is its server's.
    if changed.was.kind ~= "foreign" then self.entries[#self.entries + 1] = entry.new(changed) end
  end
  drop_tables(self)
  rename_tables(self)
  add_tables(self)
  for _, item in ipairs(self.entries) do
    columns.plan(self, item)
    keys.plan(self, item)
  end
  keys.plan_foreign(self)
  keys.plan_names(self)
  view_steps.plan(self)
  return collect(self)
end

return plan
