--- What has to change in one table. `now` of the answer is the table as it shall be, which includes what safe mode
--- leaves where it is.
local equal = require("heddle.schema.equal")
local names = require("heddle.schema.postgres.names")
local naming = require("heddle.naming")

local table_changes = {}

local kinds = { "uniques", "foreign_keys", "indexes", "checks" }

local words = { uniques = "unique key", foreign_keys = "foreign key", indexes = "index", checks = "check" }

local function copy(item)
  local made = {}
  for key, value in pairs(item) do made[key] = value end
  return made
end

local function copies(list)
  local made = {}
  for i, item in ipairs(list) do made[i] = copy(item) end
  return made
end

local function leave(run, message)
  run.left_out[#run.left_out + 1] = ("table '%s': %s"):format(run.was.name, message)
end

-- Columns ------------------------------------------------------------------------------------------------------

local function columns_by_name(run, t)
  local found = {}
  for _, column in ipairs(t.columns) do found[run.same:fold(column.name)] = column end
  return found
end

local function in_key(run, name)
  for _, column in ipairs(run.now.primary and run.now.primary.columns or {}) do
    if run.same:fold(column) == run.same:fold(name) then return true end
  end
  return false
end

local function drop_column(run, changes, column)
  if not run.safe then
    changes.dropped[#changes.dropped + 1] = column
    return
  end
  run.now.columns[#run.now.columns + 1] = column
  local message = ("column '%s' is no property's any more and stays"):format(column.name)
  if not column.nullable and not column.default and not column.generated and not column.autoincrement then
    message = message .. "; it takes no NULL and has no default, so that inserts fail until it goes (safe = false) or "
      .. "takes NULL"
  end
  leave(run, message)
end

local function compare_columns(run)
  local changes = { added = {}, dropped = {}, renamed = {}, altered = {} }
  local wanted, had = columns_by_name(run, run.now), {}
  for _, was in ipairs(run.was.columns) do
    local name = run.same:new_name(run.was, was.name)
    local now = wanted[run.same:fold(name)]
    if now then
      had[now] = true
      -- What no entity says of a column stays.
      now.collation = now.collation or was.collation
      now.virtual = now.virtual or now.generated and was.generated and was.virtual
      if run.safe and was.comment and not now.comment then
        leave(run, ("the comment of column '%s' is no property's any more and stays"):format(was.name))
      end
      if name ~= was.name then changes.renamed[#changes.renamed + 1] = { from = was.name, to = now.name } end
      local differs = run.same:differences(run.was, was, now, in_key(run, now.name), run.safe)
      if differs then
        differs.was, differs.now = was, now
        changes.altered[#changes.altered + 1] = differs
      end
    else
      drop_column(run, changes, was)
    end
  end
  for _, now in ipairs(run.now.columns) do
    if wanted[run.same:fold(now.name)] == now and not had[now] then changes.added[#changes.added + 1] = now end
  end
  return changes
end

-- Constraints and indexes ------------------------------------------------------------------------------------------

-- Takes out of `was` and `now` what is the same in both, and answers which are called otherwise.
local function pair_off(run, kind, was, now, renamed)
  local by_name, partner = {}, {}
  for _, item in ipairs(was) do
    if item.name then by_name[run.same:fold(item.name)] = item end
  end
  local function is_same(a, b) return not partner[a] and run.same[kind](run.same, run.was, a, b) end
  for _, item in ipairs(now) do
    local other = item.name and by_name[run.same:fold(item.name)]
    if other and is_same(other, item) then partner[item], partner[other] = other, item end
  end
  for _, item in ipairs(now) do
    for _, other in ipairs(partner[item] and {} or was) do
      local is_free = not (item.name and by_name[run.same:fold(item.name)])
      if is_same(other, item) and (is_free or not other.name) then
        partner[item], partner[other] = other, item
        if item.name and other.name then renamed[#renamed + 1] = { from = other.name, to = item.name } end
        break
      end
    end
  end
  return partner
end

local function without(list, partner)
  local rest = {}
  for _, item in ipairs(list) do
    if not partner[item] then rest[#rest + 1] = item end
  end
  return rest
end

-- A unique key is a unique key, whether a constraint or an index makes it.
local function pair_across(run, rest)
  local partner = {}
  local function match(uniques, indexes, is_live)
    for _, unique in ipairs(uniques) do
      for _, index in ipairs(indexes) do
        local plain = not partner[index] and not partner[unique] and equal.plain_unique(index)
        if plain then
          local was, now = is_live and unique or plain, is_live and plain or unique
          if run.same:uniques(run.was, was, now) then partner[unique], partner[index] = index, unique end
        end
      end
    end
  end
  match(rest.uniques.was, rest.indexes.now, true)
  match(rest.uniques.now, rest.indexes.was, false)
  for _, kind in ipairs({ "uniques", "indexes" }) do
    for _, side in ipairs({ "was", "now" }) do rest[kind][side] = without(rest[kind][side], partner) end
  end
  return partner
end

-- Whether something of the same name, or the same way, comes instead.
local function is_replaced(run, kind, item, added)
  for _, other in ipairs(added) do
    if item.name and other.name and run.same:fold(item.name) == run.same:fold(other.name) then return true end
    if kind == "foreign_keys" and run.same:way(run.was, item, other) then return true end
    if run.same[kind](run.same, run.was, item, other) then return true end
  end
  return false
end

-- With the columns' names as they are now.
local function renamed_item(run, item)
  local made = copy(item)
  for _, field in ipairs({ "columns", "include" }) do
    if item[field] then
      made[field] = {}
      for i, name in ipairs(item[field]) do made[field][i] = run.same:new_name(run.was, name) end
    end
  end
  if item.parts then
    made.parts = copies(item.parts)
    for _, part in ipairs(made.parts) do part.column = part.column and run.same:new_name(run.was, part.column) end
  end
  return made
end

local function describe(kind, item)
  if item.name then return ("%s '%s'"):format(words[kind], item.name) end
  return ("a %s (%s)"):format(words[kind], item.expression or table.concat(item.columns, ", "))
end

-- The check of an enum belongs to its property's type: where that is another one, it is in the way of every value.
local function goes_with_type(run, kind, item)
  for _, was in ipairs(kind == "checks" and item.name and run.was.columns or {}) do
    if item.name == naming.constraint(run.was.name, { was.name }, "enum") then
      return columns_by_name(run, run.now)[run.same:fold(run.same:new_name(run.was, was.name))] ~= nil
    end
  end
  return false
end

local function drop_items(run, kind, was, added)
  local dropped = {}
  for _, item in ipairs(was) do
    if not run.safe or is_replaced(run, kind, item, added) or goes_with_type(run, kind, item) then
      dropped[#dropped + 1] = item
    else
      leave(run, describe(kind, item) .. " is nobody's any more and stays")
      run.now[kind][#run.now[kind] + 1] = renamed_item(run, item)
    end
  end
  return dropped
end

-- What an entity cannot say of an index or foreign key stays as it is.
local function keep_unsaid(item, was)
  if not was then return end
  item.deferrable = was.deferrable
  for i, part in ipairs(item.parts or {}) do
    part.collation, part.opclass = was.parts[i].collation, was.parts[i].opclass
  end
end

-- In the table as it shall be a unique key stays what makes it now.
local function keep_across(run, across)
  for _, kind in ipairs({ "uniques", "indexes" }) do
    local kept = {}
    for _, item in ipairs(run.now[kind]) do
      if not across[item] then kept[#kept + 1] = item end
    end
    for _, item in ipairs(run.was[kind]) do
      if across[item] then kept[#kept + 1] = renamed_item(run, item) end
    end
    run.now[kind] = kept
  end
end

local function compare_items(run)
  local result, rest = {}, {}
  for _, kind in ipairs(kinds) do
    local renamed = {}
    local partner = pair_off(run, kind, run.was[kind], run.now[kind], renamed)
    result[kind] = { renamed = renamed }
    rest[kind] = { was = without(run.was[kind], partner), now = without(run.now[kind], partner) }
    if kind == "indexes" or kind == "foreign_keys" then
      for _, item in ipairs(run.now[kind]) do keep_unsaid(item, partner[item]) end
    end
  end
  keep_across(run, pair_across(run, rest))
  for _, kind in ipairs(kinds) do
    result[kind].added = rest[kind].now
    result[kind].dropped = drop_items(run, kind, rest[kind].was, rest[kind].now)
  end
  return result
end

-- PostgreSQL calls the key of "users" "users_pkey"; a table that is called otherwise shall have its own. Where nobody
-- read its name the server gave it.
local function rename_key(run, renamed)
  local key, usual = run.was.primary, names.primary(run.was.name)
  if run.driver == "postgres" and key and (key.name or usual) == usual and run.was.name ~= run.now.name then
    renamed[#renamed + 1] = { from = usual, to = names.primary(run.now.name) }
  end
end

local function is_empty(entry)
  for _, list in pairs(entry.columns) do
    if #list > 0 then return false end
  end
  for _, kind in ipairs(kinds) do
    for _, list in pairs(entry[kind]) do
      if #list > 0 then return false end
    end
  end
  return not entry.primary and not entry.comment
end

---What has to change in a table: { was, now, columns = { added, dropped, renamed, altered }, primary, uniques,
---foreign_keys, indexes, checks = { added, dropped, renamed }, comment }; nil when nothing has.
---@param same table `equal.new(...)`
---@param was table live
---@param now table wanted
---@param safe boolean
---@param left_out string[] what safe mode does not do is added to it
---@return table|nil
function table_changes.of(same, was, now, safe, left_out)
  local target = copy(now)
  target.columns, target.options = copies(now.columns), now.options or was.options
  for _, kind in ipairs(kinds) do
    target[kind] = copies(now[kind])
    for _, item in ipairs(target[kind]) do item.parts = item.parts and copies(item.parts) end
  end
  local run = { same = same, driver = same.driver, was = was, now = target, safe = safe, left_out = left_out }
  local entry = compare_items(run)
  entry.was, entry.now, entry.columns = was, target, compare_columns(run)
  entry.primary = not same:primary(was, was.primary, target.primary) or nil
  entry.comment = was.comment ~= target.comment and not (safe and target.comment == nil) or nil
  if not entry.primary then rename_key(run, entry.uniques.renamed) end
  if safe and was.comment and not target.comment then leave(run, "its comment is no entity's any more and stays") end
  return not is_empty(entry) and entry or nil
end

return table_changes
