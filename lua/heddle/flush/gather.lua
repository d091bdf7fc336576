--- Gather: from pending instances to a change set. What is new, changed or removed becomes rows, what collections gain
--- and lose becomes pairs, and every row's values go to the core.
local cascade = require("heddle.relations.cascade")
local core = require("heddle.core")
local discriminator = require("heddle.discriminator")
local deleted = require("heddle.relations.deleted")
local embedded_writing = require("heddle.embedded.writing")
local errors = require("heddle.errors")
local kinds = require("heddle.kinds")
local pairs_of = require("heddle.relations.pairs")
local readonly = require("heddle.readonly")
local renamed = require("heddle.relations.renamed")
local undo = require("heddle.undo")

local gather = {}

-- Pending rows ---------------------------------------------------------------------------------------------

local function sorted(set)
  local list = {}
  for slot in pairs(set) do list[#list + 1] = slot end
  table.sort(list)
  return list
end

---Persists, removes and reads what follows from what is pending.
---@param em table
function gather.cascade(em)
  local run = em.flushing
  run.cascaded = run.cascaded or {}
  cascade.run(em, run.cascaded)
end

---@class heddle.Row { shelf, slot, e, op }

-- What the program has assigned to embedded properties becomes their values, before any hook looks at them.
local function adopt(em, rows)
  local given
  for _, row in ipairs(rows) do
    if row.op ~= "delete" and row.shelf.mapping.embedded[1] then
      if not given then
        given = {}
        undo.note(em, { kind = "adopted_values", given = given })
      end
      embedded_writing.adopt(row.shelf, row.slot, given)
    end
  end
end

---Rows in the order of persisting; entities in the order in which they were first used.
---@return table[] rows { shelf, slot, e, op = "create", "update" or "delete" }, and their `pairs`
function gather.collect(em)
  local rows = {}
  for _, shelf in ipairs(em.order) do
    for _, slot in ipairs(sorted(shelf.new)) do
      rows[#rows + 1] = { shelf = shelf, slot = slot, e = shelf.instances[slot], op = "create" }
    end
  end
  for _, shelf in ipairs(em.order) do
    for _, slot in ipairs(shelf:dirty()) do
      rows[#rows + 1] = { shelf = shelf, slot = slot, e = shelf.instances[slot], op = "update" }
    end
  end
  for _, shelf in ipairs(em.order) do
    for _, slot in ipairs(sorted(shelf.removed)) do
      rows[#rows + 1] = { shelf = shelf, slot = slot, e = shelf.instances[slot], op = "delete" }
    end
  end
  rows = deleted.without_doomed(em, rows)
  renamed.note(em, rows)
  rows.pairs = pairs_of.collect(em)
  adopt(em, rows)
  return rows
end

-- Change set -----------------------------------------------------------------------------------------------

local function add_row(batch, row, links)
  local shelf, slot = row.shelf, row.slot
  local id = shelf.mapping.id
  if row.op == "delete" then
    row.index = batch:delete(id, shelf, slot)
    return
  end
  local values, mask = shelf:written(slot, function(view, target)
    links[#links + 1] = { row = row, view = view, target = target }
  end)
  if shelf.kinds then discriminator.check_written(row.e, shelf.em.context_name) end
  if row.op == "create" then
    row.index = batch:insert(id, shelf, slot, values)
  else
    -- A foreign key to a row without key is a change whatever it was before.
    row.pending = links[#links] and links[#links].row == row
    row.index = batch:update(id, shelf, slot, values, mask)
  end
end

local function raise_left_out(em, e)
  local name = getmetatable(e).definition.name
  errors.raise("hook", ("A new %s was left out of this flush by changes:veto, but what is written refers to it: leave "
    .. "that out too"):format(name), { context = em.context_name, entity = name })
end

-- The change of a new row.
local function finder(em, rows)
  local index_of
  return function(e)
    if not index_of then
      index_of = {}
      for _, row in ipairs(rows) do
        if row.index then index_of[row.e] = row.index end
      end
    end
    return index_of[e] or raise_left_out(em, e)
  end
end

-- Foreign keys to rows that get their key in this flush.
local function add_links(batch, index_of, links)
  for _, link in ipairs(links) do
    local row = link.row
    row.index = row.index or batch:touch(row.shelf.mapping.id, row.shelf, row.slot)
    for i, column in ipairs(link.view.columns) do
      batch:pending(row.index, column.index, index_of(link.target), link.view.target.key[i].index)
    end
  end
end

-- A child that has lost its parent: what could be done instead.
local function choices(map, property, op)
  local view = map.props[property]
  local inverse = op == "update" and view and view.columns and view.inverse
  if not inverse then return "" end
  return ("; em:remove the %s, give it another %s, say orphan_removal = true at %s.%s, or nullable = true at %s.%s")
    :format(map.name, property, view.target.name, inverse.name, map.name, property)
end

---Raises `validation` for the first row of a change set that lacks what it has to have.
function gather.check_required(em, batch)
  local index, property = batch:missing()
  if not index then return end
  local op, id, slot = batch:change(index)
  local map = kinds.map_at(em, id, slot)
  errors.raise("validation", ("%s.%s is required and has no value%s"):format(map.name, property,
    choices(map, property, op)), { context = em.context_name, entity = map.name, property = property })
end

---The change set of the rows; `row.index` is set for those that have something to write. Raises `validation`.
---@return userdata batch
function gather.changes(em, rows)
  adopt(em, rows)
  local batch = core.flush(em.model, em.context.config.batch_size, core.now())
  local links = {}
  for _, row in ipairs(rows) do add_row(batch, row, links) end
  local index_of = finder(em, rows)
  add_links(batch, index_of, links)
  pairs_of.add(em, batch, rows.pairs or {}, index_of)
  readonly.check_rows(em, rows)
  gather.check_required(em, batch)
  return batch
end

return gather
