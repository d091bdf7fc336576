--- From changes to steps for SQLite: statements, and for what ALTER TABLE cannot do a rebuild of the table.
---
--- ALTER TABLE is used where it is surely right: for names, which SQLite changes in views, triggers and other tables
--- too, and for plain columns that are added. Everything else that changes in a table is one rebuild, which begins
--- with the text that the table has. What is in the way of names goes first: views, indexes, tables.
local ask = require("heddle.schema.sqlite.ask")
local edit = require("heddle.schema.sqlite.edit")
local errors = require("heddle.errors")
local integrity = require("heddle.schema.sqlite.integrity")
local order = require("heddle.schema.order")
local quote = require("heddle.quote")
local referred = require("heddle.schema.sqlite.referred")
local render = require("heddle.schema.render")
local rows = require("heddle.schema.sqlite.rows")
local tokens = require("heddle.schema.sqlite.tokens")

local plan = {}

local fold = tokens.fold

local Plan = {}
Plan.__index = Plan

function Plan:add(step)
  self.steps[#self.steps + 1] = step
end

-- Names --------------------------------------------------------------------------------------------------------

local function key(_, name) return fold(name) end

local function rename_tables(self)
  local names = {}
  for i, pair in ipairs(self.changes.renamed) do names[i] = { from = pair.from.name, to = pair.to.name } end
  order.renames(names, key, function(from, to)
    self:add(("ALTER TABLE %s RENAME TO %s"):format(quote.name(from), quote.name(to)))
  end)
end

-- By the table's new name.
local function rename_columns(self)
  for _, entry in ipairs(self.changes.changed) do
    order.renames(entry.columns.renamed, key, function(from, to)
      self:add(("ALTER TABLE %s RENAME COLUMN %s TO %s"):format(quote.name(entry.now.name), quote.name(from),
        quote.name(to)))
    end)
  end
end

-- As compose.rename wants them.
local function renames_of(changes)
  local renames = { tables = {}, columns = {} }
  for _, pair in ipairs(changes.renamed) do renames.tables[fold(pair.from.name)] = pair.to.name end
  for _, entry in ipairs(changes.changed) do
    local names = {}
    for _, pair in ipairs(entry.columns.renamed) do names[fold(pair.from)] = pair.to end
    if next(names) then renames.columns[fold(entry.was.name)] = names end
  end
  return renames
end

-- ALTER TABLE ... RENAME reads the whole schema, and does nothing while a view in it is broken.
local function check_views(self)
  if not self.live or not (next(self.renames.tables) or next(self.renames.columns)) then return end
  local goes = {}
  for _, view in ipairs(self.changes.views.dropped) do goes[fold(view.name)] = true end
  for _, change in ipairs(self.changes.views.changed) do goes[fold(change.was.name)] = true end
  for _, view in ipairs(ask.rows(self.context, self.link, "SELECT name FROM main.sqlite_schema WHERE type = 'view'")) do
    local why = not goes[fold(view.name)]
      and ask.problem(self.context, self.link, "SELECT * FROM main." .. quote.name(view.name))
    if why then
      errors.raise("migration", ("View '%s' does not work (%s), and SQLite renames nothing beside it: drop or mend it "
        .. "first. Nothing was changed"):format(view.name, why), { context = self.context.name })
    end
  end
end

-- Views --------------------------------------------------------------------------------------------------------

local function triggers_of(self, view)
  if not self.live then return {} end
  return ask.rows(self.context, self.link, "SELECT sql FROM main.sqlite_schema WHERE type = 'trigger' AND tbl_name = "
    .. quote.text(view.name) .. " COLLATE NOCASE ORDER BY rowid")
end

local function drop_views(self)
  local views = self.changes.views
  for _, view in ipairs(views.dropped) do self:add("DROP VIEW " .. quote.name(view.name)) end
  for i = #views.changed, 1, -1 do self:add("DROP VIEW " .. quote.name(views.changed[i].was.name)) end
end

-- When the change is made, not when it is only shown: it has to be tried.
local function check_drops(self)
  local names = {}
  for i, t in ipairs(self.changes.dropped) do names[i] = t.name end
  if not self.live or #names == 0 then return end
  local _, depth = self.link:state()
  if depth == 0 then return end
  integrity.check_drops(self.context, self.link, self.steps, names)
end

local function create_view(self, view)
  self:add(render.view({ name = view.name, sql = view.source or view.sql }))
end

-- Triggers INSTEAD OF go with their view.
local function create_views(self)
  local made, views = {}, self.changes.views
  local function make(list, view_of)
    for _, item in ipairs(list) do made[fold(view_of(item).name)] = item.was or true end
  end
  make(views.added, function(item) return item end)
  make(views.changed, function(item) return item.now end)
  for _, view in ipairs(self.sorted_views) do
    local was = made[fold(view.name)]
    if was then
      create_view(self, view)
      for _, trigger in ipairs(was ~= true and triggers_of(self, was) or {}) do self:add(trigger.sql) end
    end
  end
end

-- Indexes and tables -------------------------------------------------------------------------------------------

local function index_named(t, name)
  for _, index in ipairs(t.indexes) do
    if fold(index.name) == fold(name) then return index end
  end
end

local function drop_indexes(self)
  for _, entry in ipairs(self.changes.changed) do
    for _, index in ipairs(entry.indexes.dropped) do self:add("DROP INDEX " .. quote.name(index.name)) end
    for _, pair in ipairs(entry.indexes.renamed) do self:add("DROP INDEX " .. quote.name(pair.from)) end
  end
end

local function create_indexes(self)
  for _, entry in ipairs(self.changes.changed) do
    for _, index in ipairs(entry.indexes.added) do self:add(render.index(entry.now, index, "sqlite")) end
    for _, pair in ipairs(entry.indexes.renamed) do
      self:add(render.index(entry.now, index_named(entry.now, pair.to), "sqlite"))
    end
  end
end

local function add_tables(self)
  for _, t in ipairs(self.changes.added) do
    self:add(render.create_table(t, "sqlite"))
    for _, index in ipairs(t.indexes) do self:add(render.index(t, index, "sqlite")) end
  end
end

-- What changes in a table --------------------------------------------------------------------------------------

-- A constant that every row can be said to have.
local function is_plain(column)
  if column.autoincrement or column.generated then return false end
  if not column.default then return column.nullable end
  return not column.default:find("^%(") and not fold(column.default):find("^current_")
end

-- The foreign key of an added column, where SQLite lets it come along: rows have NULL there.
local function inline_foreign_keys(entry)
  local by_column, added = {}, {}
  for _, column in ipairs(entry.columns.added) do added[fold(column.name)] = column end
  for _, fk in ipairs(entry.foreign_keys.added) do
    local column = #fk.columns == 1 and added[fold(fk.columns[1])]
    if not column or not column.nullable or column.default or by_column[column] then return nil end
    by_column[column] = fk
  end
  return by_column
end

local function count_of(list)
  return #list.added + #list.dropped + #list.renamed
end

local function is_native(entry)
  local columns = entry.columns
  if entry.primary or #columns.dropped + #columns.altered + count_of(entry.uniques) + count_of(entry.checks)
    + #entry.foreign_keys.dropped + #entry.foreign_keys.renamed > 0 then
    return false
  end
  for _, column in ipairs(columns.added) do
    if not is_plain(column) then return false end
  end
  return inline_foreign_keys(entry) ~= nil
end

local function add_columns(self, entry)
  local inline = inline_foreign_keys(entry)
  for _, column in ipairs(entry.columns.added) do
    local text = ("ALTER TABLE %s ADD COLUMN %s"):format(quote.name(entry.now.name), render.column(column, "sqlite"))
    local fk = inline[column]
    if fk then text = text .. " " .. render.foreign_key(fk):gsub("FOREIGN KEY %b() ", "", 1) end
    self:add(text)
  end
end

local function check_rows(self, entry)
  for _, column in ipairs(entry.columns.added) do rows.check_added(self, entry, column) end
  for _, change in ipairs(entry.columns.altered) do
    if change.nullable and not change.now.nullable then rows.check_required(self, entry, change.was, change.now) end
  end
end

-- What stands in front of a rebuild and is not one: shown before it is run, it has to be thought of as done.
local function before(self)
  local list = {}
  for _, step in ipairs(self.steps) do
    if type(step) == "string" then list[#list + 1] = step end
  end
  return list
end

local function rebuild_table(self, entry)
  local copy = { ["*"] = "*" }
  for _, column in ipairs(entry.columns.dropped) do copy[column.name] = false end
  self:add({ rebuild = entry.now.name, create = edit.table(entry, self.renames), copy = copy, drop_indexes = {},
    add_indexes = {}, before = before(self) })
end

local function change_table(self, entry)
  check_rows(self, entry)
  if is_native(entry) then add_columns(self, entry) else rebuild_table(self, entry) end
end

---The steps that make `changes`, in order. Raises `migration` for what cannot work (M3): a NOT NULL column that nothing
---fills. What values of a column cannot take another type is seen when it is tried; then nothing has changed.
---
---Usage: `apply.run(context, link, plan.steps(changes, wanted, context, link))`
---@param changes table as `compare.changes` gives them
---@param wanted table model in normal form
---@param context table
---@param link userdata
---@param opts table|nil `live`: for this database, now, whose rows are asked; else for others, later. `reverse`: the
---  way back, tried when it is gone
---@return table steps
function plan.steps(changes, wanted, context, link, opts)
  opts = opts or {}
  local self = setmetatable({ changes = changes, context = context, link = link, live = opts.live or false,
    reverse = opts.reverse, steps = {}, renames = renames_of(changes),
    sorted_views = order.views(wanted.views) }, Plan)
  check_views(self)
  if self.live then referred.check(context, link, changes, self.renames) end
  drop_views(self)
  check_drops(self)
  drop_indexes(self)
  for _, t in ipairs(changes.dropped) do self:add("DROP TABLE " .. quote.name(t.name)) end
  rename_tables(self)
  rename_columns(self)
  add_tables(self)
  for _, entry in ipairs(changes.changed) do change_table(self, entry) end
  create_indexes(self)
  create_views(self)
  return self.steps
end

return plan
