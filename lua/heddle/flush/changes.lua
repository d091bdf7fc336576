--- Change sets as those see them who listen: what `on_flush`, `after_flush`, `after_commit` and `after_rollback` are
--- given, and what `em:changes()` gives.
---
--- An array of { op, entity, name, values, old }, and { op = "collection", entity, name, property, added, removed } for
--- the members of a many_to_many. What belongs to the whole (em, context, plan) stands behind the array, so that `#`,
--- `pairs` and encoders see the array alone. Values are the program's, by property; a relation's is the key
--- of its target, or the target itself while it has none.
local later = require("heddle.later")
local custom = require("heddle.custom")
local errors = require("heddle.errors")
local family = require("heddle.family")
local instance = require("heddle.instance")
local merge = later.module("heddle.merge")
local null = require("heddle.null")
local state = require("heddle.state")
local tree = require("heddle.embedded.tree")

local changes = {}

-- Sets -----------------------------------------------------------------------------------------------------

local About = {}
About.__index = About

---Takes an entity out of the flush that is about to be written: it stays as it is, pending, for the next one. Raises
---`wrong_context`, `not_managed`, `validation`.
---
---Usage: `changes:veto(change.entity)`
---@param e table
function About:veto(e)
  local about = getmetatable(self).__index
  if not about.vetoed then
    errors.raise("hook", "changes:veto outside of on_flush: only what is not written yet can be left out",
      { context = about.context })
  end
  about.em:locate(e, "changes:veto")
  about.vetoed[e] = true
end

---@param em table
---@param vetoed? table set of instances, for those who may add to it
---@return table set
function changes.new(em, vetoed)
  local about = setmetatable({ em = em, context = em.context_name, vetoed = vetoed }, About)
  return setmetatable({}, { __index = about, __name = "heddle.changes" })
end

---Appends what one flush did to what a transaction did.
---@param to table
---@param from table
function changes.append(to, from)
  for i = 1, #from do to[#to + 1] = from[i] end
  local about, plan = getmetatable(to).__index, from.plan
  for name, count in pairs(plan or {}) do
    about.plan = about.plan or {}
    about.plan[name] = (about.plan[name] or 0) + count
  end
end

-- Values ---------------------------------------------------------------------------------------------------

local function as_key(parts)
  if #parts == 1 then return parts[1] end
  return parts
end

-- The key of a relation's target, or the target.
local function stand_for(target)
  local meta = getmetatable(target)
  local shelf = meta.box and meta.box.shelf
  local key = shelf and shelf:program_key(meta.slot_of[target]) or {}
  return #key > 0 and as_key(key) or target
end

-- What a property holds now.
local function current(e, view)
  local value = e[view.name]
  if value ~= nil and view.columns then return stand_for(value) end
  local is_mutable = view.embedded or view.column and state.is_mutable(view.column)
  return is_mutable and instance.copy(value) or value
end

local function is_loaded(overlay, view)
  local loaded = overlay and overlay.loaded
  return not loaded or loaded[view.stored[1].index] ~= nil
end

-- What a property has in the database.
local function former(shelf, slot, view)
  if view.embedded then return tree.of_snapshot(shelf, slot, view) end
  local parts = {}
  for i, column in ipairs(view.stored) do
    parts[i] = state.value(column, state.snapshot(shelf, slot, column.index))
    if parts[i] == nil then return nil end
  end
  return as_key(parts)
end

local function or_null(value)
  if value == nil then return null end
  return value
end

local UNTOUCHED = { rel = {}, hidden = {}, assigned = {} }

local function is_changed(shelf, slot, e, view)
  local overlay = shelf.overlay[slot] or UNTOUCHED
  for _, column in ipairs(view.stored) do
    if not column.version and not column.generated and merge.is_changed(shelf, slot, e, column, overlay) then
      return true
    end
  end
  return false
end

-- Rows -----------------------------------------------------------------------------------------------------

local function entry(row, values, old)
  return { op = row.op, entity = row.e, name = getmetatable(row.e).definition.name, values = values, old = old }
end

-- A row that is going to be removed, as the database has it.
local function removed(row)
  local shelf, slot, old = row.shelf, row.slot, {}
  for _, view in ipairs(family.map_of(row.e).list) do
    if view.stored and is_loaded(shelf.overlay[slot], view) then old[view.name] = former(shelf, slot, view) end
  end
  return entry(row, {}, old)
end

local function created(row)
  local values = {}
  for _, view in ipairs(family.map_of(row.e).list) do
    if view.stored then values[view.name] = current(row.e, view) end
  end
  return entry(row, values, {})
end

-- Nil when nothing differs but forms.
local function updated(row)
  local shelf, slot, values, old = row.shelf, row.slot, {}, {}
  for _, view in ipairs(family.map_of(row.e).list) do
    if view.stored and is_changed(shelf, slot, row.e, view) then
      values[view.name] = or_null(current(row.e, view))
      if is_loaded(shelf.overlay[slot], view) then old[view.name] = or_null(former(shelf, slot, view)) end
    end
  end
  return next(values) ~= nil and entry(row, values, old) or nil
end

local pending = { create = created, update = updated, delete = removed }

-- What the collections of a many_to_many gain and lose.
local function add_collections(set, rows)
  for _, item in ipairs(rows.pairs or {}) do
    local owner = item.state.owner
    set[#set + 1] = { op = "collection", entity = owner, name = getmetatable(owner).definition.name,
      property = item.state.prop.name, added = item.added, removed = item.removed }
  end
  return set
end

---What memory says that rows will change. Nothing is converted: what cannot be stored stands in it as it is.
---@param em table
---@param rows table[]
---@param vetoed? table set of instances that are left out
---@return table set
function changes.pending(em, rows, vetoed)
  local set = changes.new(em, vetoed)
  for _, row in ipairs(rows) do set[#set + 1] = pending[row.op](row) end
  return add_collections(set, rows)
end

-- An embedded value is told as a whole, whichever members were written.
local function stored_value(row, view, values)
  local written = false
  local value = tree.build(view, function(column)
    local part = values[column.index]
    written = written or part ~= nil
    if part == nil then return state.value(column, state.snapshot(row.shelf, row.slot, column.index)) end
    if part ~= null then return custom.from_db(column, part) end
  end)
  if written then return or_null(value) end
end

-- What of a written row a view got: nil when it was not written.
local function stored(row, view, values)
  if view.embedded then return stored_value(row, view, values) end
  local parts, written = {}, false
  for i, column in ipairs(view.stored) do
    local value = values[column.index]
    written = written or value ~= nil
    if value == null then return null end
    if value == nil then value = state.snapshot(row.shelf, row.slot, column.index) end
    parts[i] = custom.from_db(column, value)
  end
  return written and as_key(parts) or nil
end

local function written(batch, row)
  if row.op == "delete" then return removed(row) end
  local values, old = batch:columns(row.index)
  local named, before = {}, {}
  local is_new, overlay = row.op == "create", row.shelf.overlay[row.slot]
  for _, view in ipairs(family.map_of(row.e).list) do
    local value = view.stored and stored(row, view, values)
    if value ~= nil and not (is_new and value == null) then named[view.name] = value end
    if value ~= nil and not is_new and is_loaded(overlay, view) then before[view.name] = stored(row, view, old) end
  end
  return entry(row, named, before)
end

---What a flush has written: keys, versions and defaults included. Asked before it is applied to memory.
---@param em table
---@param batch userdata
---@param rows table[]
---@return table set
function changes.written(em, batch, rows)
  local set = changes.new(em)
  for _, row in ipairs(rows) do
    if row.index then set[#set + 1] = written(batch, row) end
  end
  getmetatable(set).__index.plan = batch:report()
  return add_collections(set, rows)
end

return changes
