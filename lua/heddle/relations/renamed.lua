--- What a change of a row's key does to the rows that refer to it by the rules that the database was given
--- (`on_update`): their foreign keys follow in memory too.
local state = require("heddle.state")

local renamed = {}

local FOLLOWING = { cascade = true, ["set null"] = true }

-- Foreign keys of the context that follow a key: by the mapping of the entity that has it, and by their own.
local function followers(mappings)
  local known = mappings.followers
  if not known then
    known = { by_target = {}, by_owner = {} }
    for _, map in ipairs(mappings.list) do
      for _, foreign in ipairs(map.foreign_keys) do
        if FOLLOWING[foreign.on_update] and not map.hidden then
          local to, of = known.by_target[foreign.target] or {}, known.by_owner[map] or {}
          known.by_target[foreign.target], known.by_owner[map] = to, of
          to[#to + 1], of[#of + 1] = { map = map, foreign = foreign }, foreign
        end
      end
    end
    mappings.followers = known
  end
  return known.by_target, known.by_owner
end

local function values_of(shelf, slot, columns)
  local values = {}
  for i, column in ipairs(columns) do values[i] = state.snapshot(shelf, slot, column.index) end
  return values
end

local function is_same(a, b)
  for i = 1, math.max(#a, #b) do
    if a[i] ~= b[i] then return false end
  end
  return true
end

local function text_of(values)
  local parts = {}
  for i, value in ipairs(values) do parts[i] = tostring(value) end
  return table.concat(parts, "\0")
end

---Remembers the keys of rows that may get another one, and the foreign keys that may follow one.
---@param em table
---@param rows table[] as gather.collect makes them
function renamed.note(em, rows)
  local by_target, by_owner = followers(em.mappings)
  if next(by_target) == nil then return end
  for _, row in ipairs(rows) do
    local map = row.shelf.mapping
    if row.op == "update" then
      if by_target[map] then row.former_key = values_of(row.shelf, row.slot, map.key) end
      for _, foreign in ipairs(by_owner[map] or {}) do
        row.former = row.former or {}
        row.former[foreign] = values_of(row.shelf, row.slot, foreign.columns)
      end
    end
  end
end

-- New keys by the former ones, by mapping: { [map] = { [text] = key } }. Many may change at once, and hand theirs on.
local function add(renames, map, former, key)
  if is_same(key, former) then return end
  renames[map] = renames[map] or {}
  renames[map][text_of(former)] = key
end

local function set(shelf, slot, columns, key, note)
  for i, column in ipairs(columns) do
    note.emptied[#note.emptied + 1] = { shelf = shelf, slot = slot, index = column.index,
      value = state.snapshot(shelf, slot, column.index) }
    state.set_snapshot(shelf, slot, column.index, key[i])
  end
end

-- A foreign key that is part of the key: the row itself is another one now. All that change give their keys up before
-- the first is taken.
local function rename_row(run, shelf, slot, former, renames)
  local key = values_of(shelf, slot, shelf.mapping.key)
  if is_same(key, former) then return end
  shelf.shelf:drop_key(slot)
  run.renamed[#run.renamed + 1] = { shelf = shelf, slot = slot, key = key }
  add(renames, shelf.mapping, former, key)
end

-- A foreign key that the flush has written itself leads to where it says.
local function is_written(row, foreign, values)
  return row ~= nil and (row.op == "create" or row.former ~= nil and not is_same(row.former[foreign], values))
end

local function follow_one(run, shelf, foreign, keys)
  local renames = {}
  for slot = 1, shelf and shelf.shelf:count() or 0 do
    local values = shelf.instances[slot] and values_of(shelf, slot, foreign.columns)
    local key = values and values[1] ~= nil and keys[text_of(values)]
    if key and not is_written(run.written[shelf.instances[slot]], foreign, values) then
      local own = values_of(shelf, slot, shelf.mapping.key)
      set(shelf, slot, foreign.columns, foreign.on_update == "cascade" and key or {}, run.note)
      rename_row(run, shelf, slot, own, renames)
    end
  end
  return renames
end

local function follow(em, run, renames)
  local by_target = followers(em.mappings)
  for map, keys in pairs(renames) do
    for _, item in ipairs(by_target[map] or {}) do
      local further = follow_one(run, em.shelves[item.map], item.foreign, keys)
      if next(further) then follow(em, run, further) end
    end
  end
end

---Follows the rules, once the rows of a flush have their new keys.
---@param em table
---@param rows table[]
---@param note table the flush's note for undo: emptied
function renamed.follow(em, rows, note)
  local run, renames = { written = {}, renamed = {}, note = note }, {}
  for _, row in ipairs(rows) do
    if row.index then run.written[row.e] = row end
    if row.index and row.former_key then
      add(renames, row.shelf.mapping, row.former_key, values_of(row.shelf, row.slot, row.shelf.mapping.key))
    end
  end
  if next(renames) then follow(em, run, renames) end
  for _, item in ipairs(run.renamed) do item.shelf.shelf:set_key(item.slot, item.key) end
end

return renamed
