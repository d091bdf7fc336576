--- What a change of a row's key does to the rows that refer to it by the rules that the database was given
--- (`on_update`): their foreign keys follow in memory too.
local state = require("heddle.state")

local renamed = {}

local FOLLOWING = { cascade = true, ["set null"] = true }

-- Foreign keys of the context that follow the key of an entity, by its mapping.
local function followers(mappings)
  local list = mappings.followers
  if not list then
    list = {}
    for _, map in ipairs(mappings.list) do
      for _, foreign in ipairs(map.foreign_keys) do
        if FOLLOWING[foreign.on_update] and not map.hidden then
          list[foreign.target] = list[foreign.target] or {}
          table.insert(list[foreign.target], { map = map, foreign = foreign })
        end
      end
    end
    mappings.followers = list
  end
  return list
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

---Remembers the keys of rows that may get another one.
---@param em table
---@param rows table[] as gather.collect makes them
function renamed.note(em, rows)
  local by_target = followers(em.mappings)
  if next(by_target) == nil then return end
  for _, row in ipairs(rows) do
    local map = row.shelf.mapping
    if row.op == "update" and by_target[map] then row.former_key = values_of(row.shelf, row.slot, map.key) end
  end
end

local function set(shelf, slot, columns, key, note)
  for i, column in ipairs(columns) do
    note.emptied[#note.emptied + 1] = { shelf = shelf, slot = slot, index = column.index,
      value = state.snapshot(shelf, slot, column.index) }
    state.set_snapshot(shelf, slot, column.index, key[i])
  end
end

local follow

-- A foreign key that is part of the key: the row itself is another one now.
local function rename_row(em, shelf, slot, former, note)
  local key = values_of(shelf, slot, shelf.mapping.key)
  if is_same(key, former) then return end
  note.renamed[#note.renamed + 1] = { shelf = shelf, slot = slot, key = former }
  shelf.shelf:set_key(slot, key)
  follow(em, shelf.mapping, former, key, note)
end

function follow(em, map, former, key, note)
  for _, item in ipairs(followers(em.mappings)[map] or {}) do
    local shelf = em.shelves[item.map]
    for slot = 1, shelf and shelf.shelf:count() or 0 do
      if shelf.instances[slot] and is_same(values_of(shelf, slot, item.foreign.columns), former) then
        local own = values_of(shelf, slot, item.map.key)
        set(shelf, slot, item.foreign.columns, item.foreign.on_update == "cascade" and key or {}, note)
        rename_row(em, shelf, slot, own, note)
      end
    end
  end
end

---Follows the rules, once the rows of a flush have their new keys.
---@param em table
---@param rows table[]
---@param note table the flush's note for undo: emptied, renamed
function renamed.follow(em, rows, note)
  for _, row in ipairs(rows) do
    if row.former_key and row.index then
      local key = values_of(row.shelf, row.slot, row.shelf.mapping.key)
      if not is_same(key, row.former_key) then follow(em, row.shelf.mapping, row.former_key, key, note) end
    end
  end
end

return renamed
