--- What a deletion does to other rows by the rules that the database was given (I6): rows that it takes along leave the
--- entity manager, references that it empties are empty in memory too. And nobody holds an instance any more that no
--- row stands behind.
local later = require("heddle.later")
local state = require("heddle.state")
local unopened = later.module("heddle.relations.unopened")

local deleted = {}

local EMPTYING = { ["set null"] = true, ["set default"] = true }

local function text_of(values, count)
  local parts = {}
  for i = 1, count do
    local value = values[i]
    if value == nil then return nil end
    parts[i] = #tostring(value) .. ":" .. tostring(value)
  end
  return table.concat(parts, ",")
end

-- The key of a row in the database.
local function key_of(shelf, slot)
  local values = {}
  for i, column in ipairs(shelf.mapping.key) do values[i] = state.snapshot(shelf, slot, column.index) end
  return text_of(values, #shelf.mapping.key)
end

-- The key that a row's foreign key holds in the database.
local function foreign_key_of(shelf, slot, columns)
  local values = {}
  for i, column in ipairs(columns) do values[i] = state.snapshot(shelf, slot, column.index) end
  return text_of(values, #columns)
end

-- Keys of deleted rows by shelf; one that another row takes over in the same flush is not gone.
local function gone_of(rows, is_switched)
  local gone
  for _, row in ipairs(rows) do
    local key = row.op == "delete" and not is_switched(row) and row.key
    if key then
      gone = gone or {}
      gone[row.shelf] = gone[row.shelf] or {}
      gone[row.shelf][key] = true
    end
  end
  return gone
end

local function has_rule(map, rules)
  for _, foreign in ipairs(map.foreign_keys) do
    if rules[foreign.on_delete] then return true end
  end
  return false
end

local CASCADING = { cascade = true }

-- Before -------------------------------------------------------------------------------------------------------

-- A changed row whose target goes, and which goes with it unless it was moved.
local function is_doomed(em, row, gone)
  for _, foreign in ipairs(row.shelf.mapping.foreign_keys) do
    local keys = foreign.on_delete == "cascade" and gone[em.shelves[foreign.target]]
    local overlay = row.shelf.overlay[row.slot]
    if keys and not (overlay and overlay.rel[foreign.property] ~= nil) then
      local key = foreign_key_of(row.shelf, row.slot, foreign.columns)
      if key and keys[key] then return true end
    end
  end
  return false
end

---Takes changes out of the rows whose row a rule deletes in this flush.
---@param em table
---@param rows table[] as gather.collect makes them; deletions get their `key`
---@return table[] rows
function deleted.without_doomed(em, rows)
  local any = false
  for _, row in ipairs(rows) do
    if row.op == "delete" then
      any, row.key = true, key_of(row.shelf, row.slot)
    end
  end
  if not any then return rows end
  local gone = gone_of(rows, function(row) return row.shelf:key(row.slot) == nil end)
  local again = gone ~= nil
  while again do
    local left = {}
    again = false
    for _, row in ipairs(rows) do
      if row.op == "update" and has_rule(row.shelf.mapping, CASCADING) and is_doomed(em, row, gone) then
        gone[row.shelf] = gone[row.shelf] or {}
        gone[row.shelf][key_of(row.shelf, row.slot)] = true
        again = true
      else
        left[#left + 1] = row
      end
    end
    rows = left
  end
  return rows
end

-- After --------------------------------------------------------------------------------------------------------

-- `run` is what one flush follows: its note, dead instances, what is gone and was not looked at, rows by foreign key.
local function take_along(shelf, slot, run)
  local e = shelf.instances[slot]
  run.note.deleted[#run.note.deleted + 1] = { shelf = shelf, slot = slot, e = e, overlay = shelf.overlay[slot],
    meta = getmetatable(e), snapshot = state.snapshots(shelf, slot), was_removed = shelf.removed[slot],
    since = shelf.adopted[slot] }
  run.gone[#run.gone + 1] = { shelf = shelf, key = key_of(shelf, slot) }
  run.dead[e] = true
  shelf.removed[slot] = true
  shelf:release(slot)
end

local function empty(shelf, slot, foreign, note)
  for _, column in ipairs(foreign.columns) do
    note.emptied[#note.emptied + 1] = { shelf = shelf, slot = slot, index = column.index,
      value = state.snapshot(shelf, slot, column.index) }
    state.set_snapshot(shelf, slot, column.index, nil)
  end
end

-- Slots by what a foreign key holds, looked up once, however deep the rules lead.
local function slots_by_key(shelf, foreign, run)
  local slots = run.slots[foreign]
  if slots then return slots end
  slots = {}
  for slot = 1, shelf.shelf:count() do
    local key = shelf.instances[slot] and not shelf.new[slot] and foreign_key_of(shelf, slot, foreign.columns)
    if key then
      slots[key] = slots[key] or {}
      table.insert(slots[key], slot)
    end
  end
  run.slots[foreign] = slots
  return slots
end

-- Follows one rule for one key that is gone.
local function follow(shelf, foreign, key, run)
  for _, slot in ipairs(slots_by_key(shelf, foreign, run)[key] or {}) do
    -- Another rule may have been here.
    if shelf.instances[slot] and foreign_key_of(shelf, slot, foreign.columns) == key then
      if foreign.on_delete == "cascade" then
        take_along(shelf, slot, run)
      else
        empty(shelf, slot, foreign, run.note)
      end
    end
  end
end

-- The rules of an em's foreign keys, by the shelf that they lead to.
local function rules_of(em)
  local rules = {}
  for _, shelf in ipairs(em.order) do
    for _, foreign in ipairs(shelf.mapping.foreign_keys) do
      local target = em.shelves[foreign.target]
      if target and (foreign.on_delete == "cascade" or EMPTYING[foreign.on_delete]) then
        rules[target] = rules[target] or {}
        table.insert(rules[target], { shelf = shelf, foreign = foreign })
      end
    end
  end
  return rules
end

local function follow_rules(em, gone, note, dead)
  local rules, run, at = rules_of(em), { note = note, dead = dead, gone = {}, slots = {} }, 1
  for shelf, keys in pairs(gone) do
    for key in pairs(keys) do run.gone[#run.gone + 1] = { shelf = shelf, key = key } end
  end
  while run.gone[at] do
    for _, rule in ipairs(rules[run.gone[at].shelf] or {}) do
      follow(rule.shelf, rule.foreign, run.gone[at].key, run)
    end
    at = at + 1
  end
end

-- What was assigned and leads to such an instance leads nowhere.
local function clear_relations(shelf, dead, note)
  for _, overlay in pairs(shelf.overlay) do
    local related = overlay.rel
    for name, target in pairs(related) do
      if dead[target] then
        note.cleared[#note.cleared + 1] = { related = related, name = name, value = target }
        related[name] = nil
      end
    end
  end
end

-- Pairs of a row that another instance stands for now are still there.
local function leave_list(list, dead, switched)
  local held = switched and list.prop.kind == "many_to_many" and list.snapshot
  for _, e in ipairs(held or {}) do
    if switched[e] then return list:reopen() end
  end
  list:bury(dead)
end

---Follows the rules, once the rows of a flush are deleted.
---@param em table
---@param batch userdata
---@param rows table[]
---@param note table the flush's note for undo: deleted, emptied, cleared
function deleted.follow(em, batch, rows, note)
  local dead, any, switched = {}, false, nil
  for _, row in ipairs(rows) do
    if row.op == "delete" then
      any, dead[row.e] = true, true
      if batch:is_switched(row.index) then
        switched = switched or {}
        switched[row.e] = true
      end
    end
  end
  if not any then return end
  local gone = gone_of(rows, function(row) return switched and switched[row.e] end)
  if gone then follow_rules(em, gone, note, dead) end
  for _, shelf in ipairs(em.order) do
    clear_relations(shelf, dead, note)
    if shelf.unopened then unopened.open_with(shelf, dead) end
    for _, lists in pairs(shelf.collections) do
      for _, list in pairs(lists) do leave_list(list, dead, switched) end
    end
  end
end

return deleted
