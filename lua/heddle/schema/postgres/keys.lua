--- What happens to the keys, checks and indexes of tables that change.
local equal = require("heddle.schema.equal")
local names = require("heddle.schema.postgres.names")
local order = require("heddle.schema.order")
local quote = require("heddle.quote")
local refuse = require("heddle.schema.postgres.refuse")
local render = require("heddle.schema.render")
local retype = require("heddle.schema.postgres.retype")

local keys = {}

local function drop_constraint(plan, t, name)
  plan:alter("constraints_go", t, "DROP CONSTRAINT " .. quote.name(name))
end

local function index_name(t, name)
  return render.name(name, t.schema)
end

-- Two tables may have to wait for each other's names: `keys.plan_names` renames.
local function rename_item(plan, t, kind, from, to)
  plan.names[#plan.names + 1] = { t = t, kind = kind, from = from, to = to }
end

-- What stays for safety's sake was written for the type that a column had.
local function check_conflict(plan, entry, kind, item)
  local wanted = plan:wanted_table(entry.now)
  local column = wanted and entry:conflict(kind, item, wanted, retype.breaks_keys)
  if not column then return end
  refuse(plan.context, entry.now, column, ("its type changes, and '%s' is over it, which no entity asks for and is "
    .. "not dropped while nothing is; drop it yourself, or say safe = false"):format(item.name))
end

local writers = { uniques = render.unique, checks = render.check }

-- Whether the primary key goes, to come again or not.
local function loses_primary(entry)
  return entry.was.primary and (entry.primary or entry.now.primary and entry:is_disturbed(entry.now.primary))
end

-- What it is called in the database.
local function primary_name(entry)
  return entry.was.primary.name or names.primary(entry.was.name)
end

-- The same three turns for each kind: what goes, what is called otherwise, what comes.
local function plan_items(plan, entry, kind)
  local t, changes = entry.now, entry[kind]
  local function go(name)
    if kind == "indexes" then
      plan:add("constraints_go", "DROP INDEX " .. index_name(t, name))
    else
      drop_constraint(plan, t, name)
    end
  end
  local function come(item)
    if kind == "indexes" then
      plan:add("indexes", render.index(t, item, "postgres"))
    else
      plan:add("constraints", render.add(t, writers[kind](item)))
    end
  end
  for _, item in ipairs(changes.dropped) do go(item.name) end
  local known = {}
  for _, item in ipairs(entry:kept(kind)) do
    check_conflict(plan, entry, kind, item)
    known[item.name] = true
    local name = entry:old_name(kind, item)
    if entry:is_disturbed(item) then
      go(name)
      come(item)
    elseif name ~= item.name then
      rename_item(plan, t, kind, name, item.name)
    end
  end
  -- What is no item of the kind has its name there all the same: the primary key.
  for _, pair in ipairs(changes.renamed) do
    if not known[pair.to] and not loses_primary(entry) then
      rename_item(plan, t, kind, pair.from, pair.to)
    end
  end
  for _, item in ipairs(changes.added) do come(item) end
end

local function plan_primary(plan, entry)
  local loses = loses_primary(entry)
  if loses then drop_constraint(plan, entry.now, primary_name(entry)) end
  if entry.now.primary and (loses or entry.primary) then
    plan:add("constraints", render.add(entry.now, render.primary(entry.now.primary)))
  end
end

---Adds the statements for a table's keys, checks and indexes, foreign keys left aside.
---@param plan table
---@param entry table
function keys.plan(plan, entry)
  plan_primary(plan, entry)
  for _, kind in ipairs({ "uniques", "checks", "indexes" }) do plan_items(plan, entry, kind) end
end

-- Foreign keys ---------------------------------------------------------------------------------------------------

local function path_of(name, schema)
  return (schema or "") .. "\0" .. name
end

local function set_of(columns)
  local sorted = {}
  for i, name in ipairs(columns) do sorted[i] = name end
  table.sort(sorted)
  return table.concat(sorted, "\0")
end

-- The keys of a table that go, by their columns as they are called from now on.
local function lost_keys(entry)
  local lost = {}
  local function lose(columns)
    local now = {}
    for i, name in ipairs(columns) do now[i] = entry:new_name(name) end
    lost[set_of(now)] = true
  end
  if loses_primary(entry) then lose(entry.was.primary.columns) end
  for _, unique in ipairs(entry.uniques.dropped) do lose(unique.columns) end
  for _, unique in ipairs(entry:kept("uniques")) do
    if entry:is_disturbed(unique) then lost[set_of(unique.columns)] = true end
  end
  -- A unique index carries foreign keys as well.
  for _, index in ipairs(entry.indexes.dropped) do
    local unique = equal.plain_unique(index)
    if unique then lose(unique.columns) end
  end
  return lost
end

-- Whether a foreign key that stays must be out of the way meanwhile.
local function is_in_the_way(plan, entry, fk)
  if entry and entry:breaks(fk.columns, retype.breaks_keys) then return true end
  local target = plan.by_path[path_of(fk.table, fk.schema)]
  return target and (target:breaks(fk.target_columns, retype.breaks_keys)
    or target.lost[set_of(fk.target_columns)]) or false
end

local function plan_kept(plan, entry, t, fk)
  local was = entry and entry.was or t
  local name = entry and entry:old_name("foreign_keys", fk) or fk.name
  if is_in_the_way(plan, entry, fk) then
    plan:alter("foreign_keys_go", was, "DROP CONSTRAINT " .. quote.name(name))
    plan:add("foreign_keys", render.add(t, render.foreign_key(fk)))
  elseif name ~= fk.name then
    rename_item(plan, t, "foreign_keys", name, fk.name)
  end
end

local function is_list(a, b)
  return table.concat(a, "\0") == table.concat(b, "\0")
end

-- The new foreign key that differs from one that goes in when it is checked, and perhaps in its name.
local function twin_of(entry, was)
  local columns = {}
  for i, name in ipairs(was.columns) do columns[i] = entry:new_name(name) end
  for _, now in ipairs(entry.foreign_keys.added) do
    if is_list(columns, now.columns) and is_list(was.target_columns, now.target_columns) and was.table == now.table
      and was.schema == now.schema and was.on_delete == now.on_delete and was.on_update == now.on_update then
      return now
    end
  end
end

-- When it is checked can be said without checking every row.
local function plan_deferrable(plan, entry, was, now)
  if was.name ~= now.name then rename_item(plan, entry.now, "foreign_keys", was.name, now.name) end
  plan:alter("foreign_keys", entry.now, ("ALTER CONSTRAINT %s %s"):format(quote.name(now.name),
    now.deferrable and "DEFERRABLE INITIALLY " .. now.deferrable:upper() or "NOT DEFERRABLE"))
end

local function plan_changed(plan, entry)
  local settled = {}
  for _, was in ipairs(entry.foreign_keys.dropped) do
    local now = twin_of(entry, was)
    if now and not settled[now] and not is_in_the_way(plan, entry, now) then
      settled[now] = true
      plan_deferrable(plan, entry, was, now)
    else
      plan:alter("foreign_keys_go", entry.was, "DROP CONSTRAINT " .. quote.name(was.name))
    end
  end
  for _, fk in ipairs(entry.foreign_keys.added) do
    if not settled[fk] then plan:add("foreign_keys", render.add(entry.now, render.foreign_key(fk))) end
  end
end

---Adds the statements for every foreign key that changes, or is in the way of what does.
---@param plan table
function keys.plan_foreign(plan)
  plan.by_path = {}
  for _, entry in ipairs(plan.entries) do
    entry.lost = lost_keys(entry)
    plan.by_path[path_of(entry.now.name, entry.now.schema)] = entry
  end
  local added = {}
  for _, t in ipairs(plan.changes.added) do added[path_of(t.name, t.schema)] = true end
  for _, t in ipairs(plan.wanted.tables) do
    local path = path_of(t.name, t.schema)
    local entry = plan.by_path[path]
    local kept = entry and entry:kept("foreign_keys") or not added[path] and t.foreign_keys or {}
    for _, fk in ipairs(kept) do plan_kept(plan, entry, entry and entry.now or t, fk) end
  end
  for _, entry in ipairs(plan.entries) do plan_changed(plan, entry) end
end

-- Where a name has to be nobody else's: a key has an index of its name, and those are the schema's.
local function place_of(item, name)
  local is_relation = item.kind == "indexes" or item.kind == "uniques"
  return table.concat({ item.t.schema or "", is_relation and "" or item.t.name, name }, "\0")
end

---Adds the statements for what is only called otherwise.
---@param plan table
function keys.plan_names(plan)
  order.renames(plan.names, place_of, function(from, to, item)
    if item.kind == "indexes" then
      plan:add("columns_renamed", ("ALTER INDEX %s RENAME TO %s"):format(index_name(item.t, from), quote.name(to)))
    else
      plan:alter("columns_renamed", item.t, ("RENAME CONSTRAINT %s TO %s"):format(quote.name(from), quote.name(to)))
    end
  end)
end

return keys
