--- What leads from one schema model to another, for both drivers: names and pieces of the models, no SQL.
---
---     changes = {
---       added = { table, ... },                  -- wanted, behind those that they refer to
---       dropped = { table, ... },                -- live, those that refer to others first
---       renamed = { { from = live table, to = wanted table }, ... },
---       changed = { { was = live table, now = table as it shall be,
---         columns = { added = { column }, dropped = { column }, renamed = { { from = "a", to = "b" } },
---           altered = { { was = column, now = column,
---             type, nullable, default, generated, autoincrement, comment = true or nil } } },
---         primary = true or nil,
---         uniques, foreign_keys, indexes, checks = { added = { item }, dropped = { item },
---           renamed = { { from, to } } },
---         comment = true or nil,
---         hints = { [added column] = sentence } } },
---       views = { added = { view }, dropped = { view }, changed = { { was = view, now = view } } },
---       left_out = { sentence, ... },            -- what safe mode does not do
---       hints = { sentence, ... },               -- what looks like a rename
---     }
---
--- A renamed table that changes stands in both lists. `now` is complete: with what safe mode leaves, and what no entity
--- can say (collations, a table's options). Items that are added have their new names, items that are dropped their
--- old ones.
local equal = require("heddle.schema.equal")
local model = require("heddle.schema.model")
local order = require("heddle.schema.order")
local renames = require("heddle.schema.renames")
local table_changes = require("heddle.schema.table_changes")

local compare = {}

-- Whether a table or view that no entity describes is ours to drop.
local function is_ours(run, item, kind)
  local drops = run.opts.drop_tables
  if type(drops) == "function" then drops = drops(item, kind) end
  return drops ~= false
end

local function goes_whole(run, item, kind)
  return not run.safe and is_ours(run, item, kind)
end

local function drop_table(run, t)
  if run.opts.is_kept and run.opts.is_kept(t) then return end
  if t.kind or not goes_whole(run, t, "table") then
    run.changes.left_out[#run.changes.left_out + 1] = ("%s '%s' is no entity's and stays"):format(
      t.kind and t.kind .. " table" or "table", model.path(t))
  else
    run.changes.dropped[#run.changes.dropped + 1] = t
  end
end

local function compare_tables(run)
  local changes, driver, seen = run.changes, run.driver, {}
  local wanted = model.by_key(run.wanted.tables, driver)
  for _, was in ipairs(run.live.tables) do
    local key = model.key(was.name, was.schema, driver)
    local to = run.renames.tables[key]
    local now = to or wanted[key]
    if now then
      seen[now] = true
      if to then changes.renamed[#changes.renamed + 1] = { from = was, to = now } end
      changes.changed[#changes.changed + 1] = table_changes.of(run.same, was, now, run.safe, changes.left_out)
    else
      drop_table(run, was)
    end
  end
  local added = {}
  for _, now in ipairs(run.wanted.tables) do
    if not seen[now] then added[#added + 1] = now end
  end
  changes.added = order.tables(added, driver)
end

-- References last: nothing that stays refers to what goes.
local function settle_dropped(run)
  local sorted, reversed = order.tables(run.changes.dropped, run.driver), {}
  for i = #sorted, 1, -1 do reversed[#reversed + 1] = sorted[i] end
  run.changes.dropped = reversed
end

-- A snapshot may have been made before the view, in words of its own.
local function is_same_view(was, now)
  local same = was.sql == now.sql or was.source ~= nil and was.source == now.source
  return same and (was.materialized or false) == (now.materialized or false)
end

local function compare_views(run)
  local views, left_out = { added = {}, dropped = {}, changed = {} }, run.changes.left_out
  local live, wanted = model.by_key(run.live.views, run.driver), model.by_key(run.wanted.views, run.driver)
  for _, now in ipairs(order.views(run.wanted.views)) do
    local was = live[model.key(now.name, now.schema, run.driver)]
    if not was then
      views.added[#views.added + 1] = now
    elseif not is_same_view(was, now) then
      views.changed[#views.changed + 1] = { was = was, now = now }
    end
  end
  local sorted = order.views(run.live.views)
  for i = #sorted, 1, -1 do
    local was = sorted[i]
    if not wanted[model.key(was.name, was.schema, run.driver)] and not (run.opts.is_kept and run.opts.is_kept(was)) then
      if not goes_whole(run, was, "view") then
        left_out[#left_out + 1] = ("view '%s' is no entity's and stays"):format(model.path(was))
      else
        views.dropped[#views.dropped + 1] = was
      end
    end
  end
  run.changes.views = views
end

-- Hints --------------------------------------------------------------------------------------------------------

local function hint(run, what, path, name)
  local hints = run.changes.hints
  local text = ("%s may have become '%s'; if so, say rename = { [\"%s\"] = \"%s\" } (--rename %s=%s)"):format(
    what, name, path, name, path, name)
  hints[#hints + 1] = text
  return text
end

local function goes(run, entry)
  if not run.safe then return entry.columns.dropped end
  local wanted, left = {}, {}
  for _, column in ipairs(entry.now.columns) do wanted[column] = true end
  for _, column in ipairs(entry.was.columns) do
    if wanted[column] then left[#left + 1] = column end
  end
  return left
end

local function hint_columns(run, entry)
  entry.hints = {}
  for _, was in ipairs(goes(run, entry)) do
    local found = {}
    for _, now in ipairs(entry.columns.added) do
      if was.type == now.type then found[#found + 1] = now end
    end
    if #found == 1 then
      local path = model.path(entry.was) .. "." .. was.name
      entry.hints[found[1].name] = hint(run, ("column '%s'"):format(path), path, found[1].name)
    end
  end
end

-- Half of its columns are in the other one.
local function is_alike(a, b)
  local names, common = {}, 0
  for _, column in ipairs(a.columns) do names[column.name] = true end
  for _, column in ipairs(b.columns) do
    if names[column.name] then common = common + 1 end
  end
  return common * 2 >= math.max(#a.columns, #b.columns)
end

local function hint_tables(run)
  local wanted = model.by_key(run.wanted.tables, run.driver)
  for _, was in ipairs(run.live.tables) do
    local key, found = model.key(was.name, was.schema, run.driver), {}
    local is_gone = not wanted[key] and not run.renames.tables[key]
      and not (run.opts.is_kept and run.opts.is_kept(was))
      and (run.opts.drop_tables == false or is_ours(run, was, "table"))
    for _, now in ipairs(is_gone and run.changes.added or {}) do
      if was.schema == now.schema and is_alike(was, now) then found[#found + 1] = now end
    end
    if #found == 1 then hint(run, ("table '%s'"):format(model.path(was)), model.path(was), found[1].name) end
  end
end

---Whether changes are none.
---@param changes table
---@return boolean
function compare.is_empty(changes)
  local views = changes.views
  return #changes.added + #changes.dropped + #changes.renamed + #changes.changed + #views.added + #views.dropped
    + #views.changed == 0
end

---What leads from `live` to `wanted`, both in the database's own words (or both as Heddle writes them). Raises
---`migration` for a rename that matches nothing.
---@param live table model
---@param wanted table model
---@param opts table|nil { safe = true, rename = { users = "people", ["people.name"] = "full_name" },
---  drop_tables = false (what no entity describes stays) or function(item, "table"|"view"): boolean,
---  is_kept = function(table or view): boolean (it stays without a word) }
---@return table changes
function compare.changes(live, wanted, opts)
  opts = opts or {}
  local run = { live = live, wanted = wanted, opts = opts, driver = wanted.driver, safe = opts.safe ~= false }
  run.renames = renames.of(live, wanted, opts.rename)
  run.same = equal.new(run.driver, run.renames)
  run.changes = { added = {}, dropped = {}, renamed = {}, changed = {}, left_out = {}, hints = {} }
  compare_tables(run)
  settle_dropped(run)
  compare_views(run)
  for _, entry in ipairs(run.changes.changed) do hint_columns(run, entry) end
  hint_tables(run)
  return run.changes
end

return compare
