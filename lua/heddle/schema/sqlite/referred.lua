--- Keys that foreign keys of others need: SQLite lets them go, and then refuses every write to the tables that refer to
--- them.
local errors = require("heddle.errors")
local introspect = require("heddle.schema.sqlite.introspect")
local tokens = require("heddle.schema.sqlite.tokens")

local referred = {}

local fold = tokens.fold

-- Columns in any order, as one text.
local function key_of(names, renamed)
  local list = {}
  for i, name in ipairs(names) do list[i] = fold(renamed and renamed[fold(name)] or name) end
  table.sort(list)
  return table.concat(list, "\0")
end

local function keys_of(t)
  local keys = {}
  if t.primary then keys[key_of(t.primary.columns)] = true end
  for _, unique in ipairs(t.uniques) do keys[key_of(unique.columns)] = true end
  for _, index in ipairs(t.indexes) do
    local names = {}
    for i, part in ipairs(index.parts) do names[i] = part.column end
    if index.unique and not index.where and #names == #index.parts then keys[key_of(names)] = true end
  end
  return keys
end

---Raises `migration` where a table that does not change refers to a key that goes.
---@param context table
---@param link userdata
---@param changes table
---@param renames table see compose.rename
function referred.check(context, link, changes, renames)
  local touched, entries = {}, {}
  for _, t in ipairs(changes.dropped) do touched[fold(t.name)] = true end
  for _, entry in ipairs(changes.changed) do
    touched[fold(entry.was.name)], entries[fold(entry.was.name)] = true, entry
  end
  if not next(entries) then return end
  for _, t in ipairs(introspect.read(context, link).tables) do
    for _, fk in ipairs(touched[fold(t.name)] and {} or t.foreign_keys) do
      local entry = entries[fold(fk.table)]
      local was, now = key_of(fk.target_columns), key_of(fk.target_columns, renames.columns[fold(fk.table)])
      if entry and keys_of(entry.was)[was] and not keys_of(entry.now)[now] then
        errors.raise("migration", ("Table '%s' cannot change so: its key (%s) would go, which a foreign key of '%s' "
          .. "refers to; drop that one first. Nothing was changed"):format(entry.was.name,
          table.concat(fk.target_columns, ", "), t.name), { context = context.name, table = entry.was.name })
      end
    end
  end
end

return referred
