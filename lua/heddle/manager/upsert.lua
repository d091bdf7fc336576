--- `em:upsert` and `em:upsert_many`: rows that are inserted, or merged into the row that has their unique key already.
local apart = require("heddle.apart")
local errors = require("heddle.errors")
local family = require("heddle.family")
local fetch = require("heddle.fetch")
local groups = require("heddle.upsert.groups")
local hooks = require("heddle.hooks")
local instance = require("heddle.instance")
local loads = require("heddle.loads")
local manager = require("heddle.manager")
local merge = require("heddle.merge")
local readonly = require("heddle.readonly")
local row_data = require("heddle.row_data")
local undo = require("heddle.undo")
local upsert_options = require("heddle.upsert.options")
local upsert_rows = require("heddle.upsert.rows")
local upsert_sql = require("heddle.upsert.sql")

local Manager = manager.class
local admit, check_receiver = manager.admit, manager.check_receiver

local ROWS = 1000
local MOST_PARAMETERS = { postgres = 65535, sqlite = 32766 }
local TRIES = 3

-- Statements ---------------------------------------------------------------------------------------------------

local function keys_from(rows, first)
  local keys = {}
  for i, row in ipairs(rows) do
    local key = {}
    for k = first, #row do key[#key + 1] = row[k] end
    keys[i] = key
  end
  return keys
end

-- Writes a chunk: the keys of rows that were there and were merged, and which keys were not there.
local function write(self, group, chunk, is_common)
  local map = group.mapping
  local plan, params = upsert_sql.insert(map, group, #chunk, is_common), upsert_sql.insert_params(group, chunk)
  if map.driver == "postgres" then
    local told = fetch.arrays(self, plan, params, group.opts.sent)
    local new, merged = {}, {}
    for i, key in ipairs(keys_from(told, 2)) do
      if told[i][1] then new[groups.key_text(key)] = true else merged[#merged + 1] = key end
    end
    return merged, function(text) return new[text] or false end
  end
  -- Nobody else writes between these two statements: the transaction has the file's write lock.
  local there = keys_from(fetch.arrays(self, upsert_sql.find(map, group, #chunk, map.key, is_common),
    upsert_sql.find_params(group, chunk), group.opts.sent), 1)
  local old = {}
  for _, key in ipairs(there) do old[groups.key_text(key)] = true end
  fetch.arrays(self, plan, params, group.opts.sent)
  return group.ignores and {} or there, function(text) return not old[text] end
end

-- Memory -------------------------------------------------------------------------------------------------------

-- What was changed in memory and has been written over is not pending any more.
local function drop_overwritten(self, group, keys)
  local shelf = self.shelves[group.mapping]
  if not shelf or #keys == 0 then return end
  local dirty
  for _, key in ipairs(keys) do
    local e, slot = shelf:find(#key == 1 and key[1] or key)
    if e then
      if not dirty then
        dirty = {}
        for _, each in ipairs(shelf:dirty()) do dirty[each] = true end
      end
      if dirty[slot] then merge.drop_changes(shelf, slot, e, group.written) end
    end
  end
end

-- The columns that a find reads, and those that were written.
local function columns_to_read(map, group)
  local written, columns = {}, {}
  for _, column in ipairs(group.written) do written[column] = true end
  for _, column in ipairs(map.columns) do
    if not column.lazy or written[column] then columns[#columns + 1] = column end
  end
  return columns
end

local function refuse_pending(self, map, e)
  errors.raise("validation", ("upsert of %s: %s is managed as a new row; flush it first"):format(map.name,
    instance.name_of(e)), { context = self.context_name, entity = map.name })
end

local function refuse_alien(self, map)
  errors.raise("unique_violation", ("upsert of %s: a row of another entity of its table has a unique key of the data; "
    .. "change that one, or find it as what it is"):format(map.name),
    { context = self.context_name, entity = map.name })
end

-- The rows as entities, in the order of the chunk; fewer when some have gone in between.
local function read_back(self, group, chunk, is_common)
  local map = group.mapping
  local plan = upsert_sql.find(map, group, #chunk, columns_to_read(map, group), is_common)
  local list, shelf = fetch.managed(self, plan, upsert_sql.find_params(group, chunk), group.opts.sent)
  loads.settle(self, shelf)
  return list, shelf
end

local function run_chunk(self, group, chunk, is_common, results, flags)
  local map = group.mapping
  for try = 1, TRIES do
    local merged, is_new = write(self, group, chunk, is_common)
    drop_overwritten(self, group, merged)
    local list, shelf = read_back(self, group, chunk, is_common)
    if #list == #chunk then
      for i, row in ipairs(chunk) do
        local e = list[i]
        local slot = shelf.slot_of[e]
        if shelf.new[slot] then refuse_pending(self, map, e) end
        if shelf.removed[slot] then self:persist(e) end
        results[row.number] = e
        flags[row.number] = is_new(groups.key_text({ shelf:key(slot) })) or flags[row.number] or false
      end
      return
    end
    -- Somebody deleted a row that was left alone: another try inserts it.
    if try == TRIES then
      if family.condition(map, "") then refuse_alien(self, map) end
      errors.raise("not_found", ("upsert of %s: %d of %d rows are not in the database after they were written; a "
        .. "trigger takes them away, or other writers do"):format(map.name, #chunk - #list, #chunk),
        { context = self.context_name, entity = map.name })
    end
  end
end

-- Columns that a merge writes.
local function written_columns(group)
  local list = {}
  for _, column in ipairs(group.ignores and {} or group.set) do list[#list + 1] = column end
  for _, item in ipairs(group.ignores and {} or group.opts.raws) do list[#list + 1] = item.column end
  return list
end

-- How many rows of a group go into one statement.
local function chunk_size(self, group)
  local most = MOST_PARAMETERS[group.mapping.driver] - 1 - (group.where and group.where.count or 0)
  for _, item in ipairs(group.opts.raws) do most = most - item.raw.second.n end
  local each = math.max(#group.columns, #group.target)
  for _, raw in pairs(group.raws) do each = each + raw[2] end
  return math.max(1, math.min(self.context.config.batch_size or ROWS, math.floor(most / each)))
end

-- What a hook changes in memory is undone when the upsert fails.
local function after_upsert(self, list)
  for _, e in ipairs(list) do
    local meta = getmetatable(e)
    if hooks.is_heard(self, meta.definition, "after_upsert") then
      local note = undo.note_row(self, "hooks", meta.box.shelf, meta.slot_of[e])
      hooks.upsert(self, meta.mapping, "after", e)
      undo.narrow(note)
    end
  end
end

local function run_groups(self, list, results, flags)
  for _, group in ipairs(list) do
    group.written = written_columns(group)
    local size = chunk_size(self, group)
    for first = 1, #group.rows, size do
      local chunk = {}
      for i = first, math.min(first + size - 1, #group.rows) do chunk[#chunk + 1] = group.rows[i] end
      run_chunk(self, group, chunk, #chunk == 1 or #chunk == size, results, flags)
    end
  end
  after_upsert(self, results)
  return results, flags
end

local function upsert(self, entity, list, opts)
  admit(self)
  self:enter()
  local map = self:mapping(entity)
  readonly.check(self, map, "em:upsert")
  hooks.guard_writes(self, "upsert")
  local given = upsert_options.read(map, opts)
  given.filter = groups.condition(map, given.where)
  fetch.flush_before(self, { reads = { map } })
  local rows = upsert_rows.read(self, map, entity, list, given)
  if #rows == 0 then return {}, {} end
  return apart.run(self, run_groups, self, groups.make(map, rows, given), {}, {})
end

---Inserts a row, or merges the data into the row that has its unique key already. Gives the managed entity, and whether
---it was inserted. Raises `validation`, `unknown_property`, the constraint kinds ...
---
---Usage: `local user, inserted = em:upsert(User, { email = "a@x", name = "Ann" })`
---@param entity table|string
---@param data table
---@param opts? table on_conflict_fields, on_conflict_action ("merge" or "ignore"), on_conflict_merge_fields,
---on_conflict_exclude_fields, on_conflict_where, timeout (seconds for each statement)
---@return table e
---@return boolean inserted
function Manager:upsert(entity, data, opts)
  check_receiver(self)
  row_data.check(self, self:mapping(entity), data, "upsert")
  local list, flags = upsert(self, entity, { data }, opts)
  return list[1], flags[1]
end

---As upsert for each item of a list, in few statements. Gives the entities and whether each was inserted, in the order
---of the list.
---
---Usage: `local users, inserted = em:upsert_many(User, { { email = "a@x" }, { email = "b@x" } })`
---@return table[] entities
---@return boolean[] inserted
function Manager:upsert_many(entity, list, opts)
  check_receiver(self)
  row_data.check_list(self, self:mapping(entity), list, "upsert_many")
  return upsert(self, entity, list, opts)
end

return Manager
