--- What the hydrator leaves to the host: rows of partial and referenced instances, rows with an overlay (I3, I5),
--- rereading.
local core = require("heddle.core")
local custom = require("heddle.custom")
local embedded = require("heddle.embedded")
local errors = require("heddle.errors")
local family = require("heddle.family")
local instance = require("heddle.instance")
local kinds = require("heddle.kinds")
local reading = require("heddle.embedded.reading")
local relations = require("heddle.relations")
local select = require("heddle.select")
local state = require("heddle.state")
local undo = require("heddle.undo")
local wait = require("heddle.wait")

local merge = {}

-- What is asked for its newest state.
local FROM_PRIMARY = { connection = "write" }

-- What reading changes in a row, for a rollback.
local function noted(shelf, slot, change, ...)
  if not shelf.em.session:has_marks() then return change(shelf, slot, ...) end
  local note = undo.note_row(shelf.em, "read", shelf, slot)
  change(shelf, slot, ...)
  undo.narrow(note)
end

local function note_loaded(shelf, slot, columns)
  local overlay = state.overlay(shelf, slot)
  overlay.loaded = overlay.loaded or {}
  for _, column in ipairs(columns) do overlay.loaded[column.index] = true end
  return overlay
end

-- Was this column changed in memory since it was loaded?
local function is_changed(shelf, slot, e, column, overlay)
  if overlay.loaded and not overlay.loaded[column.index] then return overlay.assigned[column.index] end
  local view = column.view
  if view.columns then
    local target = overlay.rel[view.name]
    return target ~= nil and state.points_elsewhere(shelf, slot, view, target)
  end
  local value = overlay.hidden[view.name]
  if view.raw then
    value = rawget(e, view.name)
  elseif value == nil then
    return false
  end
  if column.at then value = embedded.part(value, column) end
  return state.differs(shelf, column, value, state.snapshot(shelf, slot, column.index))
end

merge.is_changed = is_changed

local function is_row_changed(shelf, slot, e, overlay)
  for _, column in ipairs(shelf.mapping.columns) do
    if not column.version and not column.generated and is_changed(shelf, slot, e, column, overlay) then return true end
  end
  return false
end

---Whether a slot that the dirty scan found holds a change: rows with an overlay are always found.
---@return boolean
function merge.is_dirty(shelf, slot)
  local overlay = shelf.overlay[slot]
  return overlay == nil or is_row_changed(shelf, slot, shelf.instances[slot], overlay)
end

-- The program's table stays where the row says nothing new.
local function take(shelf, slot, e, column, overlay, value)
  local image = state.snapshot(shelf, slot, column.index)
  if value == image or state.is_mutable(column) and core.same_image(value, image) then return end
  image = state.image(column, value)
  state.set_snapshot(shelf, slot, column.index, image)
  overlay.rel[column.property], overlay.hidden[column.property] = nil, nil
  if column.view.raw then rawset(e, column.property, state.value(column, image)) end
end

local function is_complete(e, overlay)
  if not overlay.loaded then return true end
  for _, column in ipairs(family.map_of(e).owned) do
    if not overlay.loaded[column.index] then return false end
  end
  return true
end

local function one(shelf, slot, plan, row)
  local version = shelf.mapping.version
  local e = shelf.instances[slot]
  if shelf.kinds then kinds.become(shelf, slot, e, row[shelf.mapping.discriminator.index]) end
  local overlay = state.overlay(shelf, slot)
  local known = version and (not overlay.loaded or overlay.loaded[version.index])
  if known and is_row_changed(shelf, slot, e, overlay)
    and row[version.index] ~= state.snapshot(shelf, slot, version.index) then
    return -- its flush will raise optimistic_lock
  end
  for _, column in ipairs(plan.columns) do
    local is_member = column.at -- an embedded value is merged as a whole
    if not is_member and not is_changed(shelf, slot, e, column, overlay) then
      take(shelf, slot, e, column, overlay, row[column.index])
    elseif not is_member and overlay.loaded and not overlay.loaded[column.index] then
      -- Assigned before it was loaded: now there is something to compare it with.
      state.set_snapshot(shelf, slot, column.index, state.image(column, row[column.index]))
    end
  end
  reading.merge(shelf, slot, plan, row)
  if overlay.loaded then
    note_loaded(shelf, slot, plan.columns)
    if shelf:state(slot) == "reference" then
      shelf.shelf:set_state(slot, "partial")
      setmetatable(e, kinds.meta(shelf, getmetatable(e).class, "partial_meta"))
      if shelf.loads then shelf.loads[#shelf.loads + 1] = e end
    end
    if is_complete(e, overlay) then shelf:complete(slot) end
  elseif next(overlay.rel) == nil and next(overlay.hidden) == nil then
    shelf.overlay[slot] = nil
  end
end

-- A row that was not there before.
local function fresh(shelf, plan, slot)
  if plan.partial then
    local overlay = note_loaded(shelf, slot, plan.columns)
    -- What was left out may be of entities that share the table.
    if shelf.kinds and is_complete(shelf.instances[slot], overlay) then shelf:complete(slot) end
  end
  for _, column in ipairs(plan.columns) do
    if column.converts and column.view.raw and not column.at then
      rawset(shelf.instances[slot], column.property, state.value(column, state.snapshot(shelf, slot, column.index)))
    end
  end
  reading.fresh(shelf, slot, plan)
end

local states = { loaded = "managed", partial = "partial", reference = "reference" }

-- A row that is to be deleted is merged only when it is read again for that.
local function known(shelf, plan, row)
  local slot = row.slot
  if not shelf.removed[slot] then return noted(shelf, slot, one, plan, row) end
  if not shelf.reread[slot] then return end
  shelf.reread[slot] = nil
  shelf.shelf:set_state(slot, states[getmetatable(shelf.instances[slot]).load_state])
  noted(shelf, slot, one, plan, row)
  shelf.shelf:set_state(slot, "removed")
end

---Rows that the hydrator could not finish by itself. What nobody knows raises when the others are in order.
---@param shelf table
---@param plan table
---@param late table[] { slot =, fresh =, [column index] = value }
function merge.late(shelf, plan, late)
  local unknown
  for _, row in ipairs(late) do
    if row.unknown then
      unknown = unknown or row
    elseif row.fresh then
      fresh(shelf, plan, row.slot)
    else
      known(shelf, plan, row)
    end
  end
  if unknown then kinds.raise_unknown(shelf.mapping, unknown.value) end
end

-- What a plan does not read, by name.
local function missing_of(plan)
  local missing = plan.missing
  if not missing then
    missing = {}
    for _, column in ipairs(plan.mapping.columns) do missing[column.view.name] = true end
    for _, column in ipairs(plan.columns) do missing[column.view.name] = nil end
    plan.missing = missing
  end
  return missing
end

---Notes what was not read of an instance of no entity manager.
---@param is_known boolean|nil whether something else of it was read before
function merge.note_unloaded(plan, e, is_known)
  local own = getmetatable(e).own
  if not is_known then
    if plan.partial then instance.own(e).unloaded = setmetatable({}, { __index = missing_of(plan) }) end
  elseif own and own.unloaded and plan.partial then
    for _, column in ipairs(plan.columns) do own.unloaded[column.view.name] = false end
  elseif own then
    own.unloaded = nil
  end
end

---Unmanaged instances: what is not raw, and what was not read.
function merge.unmanaged(plan, results, rest)
  if plan.partial then
    for _, e in ipairs(results) do merge.note_unloaded(plan, e) end
  end
  merge.rest(plan, rest)
end

---What of rows for unmanaged instances is not raw. A row may add to what another one gave.
function merge.rest(plan, rest)
  for _, row in ipairs(plan.mapping.root.members and rest or {}) do
    if row.unknown then kinds.raise_unknown(plan.mapping.root, row.value) end
  end
  for _, row in ipairs(rest) do
    local own, map = instance.own(row.instance), family.of_class(plan.mapping, getmetatable(row.instance).class)
    own.keys, own.views = own.keys or {}, map.props
    for _, item in ipairs(reading.unmanaged(row.instance, plan, row)) do
      if item.view.raw then
        rawset(row.instance, item.view.name, item.value)
      else
        own.values[item.view.name] = item.value
      end
    end
    for _, view in ipairs(map.list) do
      if not view.embedded and view.column and not view.column.raw then
        local value = custom.from_db(view.column, row[view.column.index])
        if view.raw and value ~= nil then
          rawset(row.instance, view.name, value)
        elseif value ~= nil then
          own.values[view.name] = value
        end
      elseif view.columns then
        local key = {}
        for i, column in ipairs(view.columns) do key[i] = row[column.index] end
        own.keys[view.name] = #key == #view.columns and key or own.keys[view.name]
      end
    end
  end
end

-- What is to be forgotten of an overlay: everything, or some columns.
local function clear_overlay(shelf, slot, overlay, columns)
  if not columns then
    overlay.rel, overlay.hidden, overlay.assigned = {}, {}, {}
  end
  for _, column in ipairs(columns or {}) do
    local name = column.view.name
    overlay.rel[name], overlay.hidden[name], overlay.assigned[column.index] = nil, nil, nil
  end
  if not overlay.loaded and next(overlay.rel) == nil and next(overlay.hidden) == nil then shelf.overlay[slot] = nil end
end

---Gives a row the values of its snapshot.
---@param columns? table[] of these only
function merge.restore(shelf, slot, e, columns)
  local overlay = shelf.overlay[slot]
  for _, column in ipairs(columns or shelf.mapping.columns) do
    if column.view.raw and not column.at then
      local loaded = not overlay or not overlay.loaded or overlay.loaded[column.index]
      local value
      if loaded then value = state.value(column, state.snapshot(shelf, slot, column.index)) end
      rawset(e, column.property, value)
    end
  end
  reading.restore(shelf, slot, e, columns)
  if overlay then clear_overlay(shelf, slot, overlay, columns) end
end

---Drops what was changed in memory, before the row is read again.
---@param columns? table[] of these only
function merge.drop_changes(shelf, slot, e, columns)
  relations.revert(e, columns)
  noted(shelf, slot, merge.restore, e, columns)
  shelf.reread[slot] = shelf.removed[slot]
end

---Reads a managed row again by its key; changes in memory are dropped. Raises `not_found`.
function merge.reread(em, e)
  local meta = instance.meta_of(e)
  local shelf, slot = meta.box.shelf, meta.slot_of[e]
  local map = shelf.mapping
  local params = { shelf:key(slot) }
  merge.drop_changes(shelf, slot, e)
  local plan = select.by_key(map, true)
  local results, late = {}, {}
  local status, link = em:start(plan, params, FROM_PRIMARY)
  while status == wait.ROW do
    status = em:carry(link, core.hydrate(shelf.shelf, link, plan.hydrator, shelf, results, late))
  end
  if em.context:is_logged() then em.context:log(link) end
  merge.late(shelf, plan, late)
  if not results[1] then
    errors.raise("not_found", ("%s#%s is not in the database any more"):format(map.name, table.concat(params, ",")),
      { context = em.context_name, entity = map.name })
  end
  return e
end

return merge
