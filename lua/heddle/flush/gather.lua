--- Gather: from pending instances to a change set. What is new, changed or removed becomes rows, instances that a
--- persisting cascade reaches become new rows themselves, and every row's values go to the core.
local core = require("heddle.core")
local errors = require("heddle.errors")
local null = require("heddle.null")

local gather = {}

---Set by manager/writing: makes an unmanaged instance a new row.
---@type fun(em: table, map: table, e: table): table, integer
gather.adopt = nil

-- Pending rows ---------------------------------------------------------------------------------------------

local function sorted(set)
  local list = {}
  for slot in pairs(set) do list[#list + 1] = slot end
  table.sort(list)
  return list
end

-- Unmanaged instances that a persisting cascade reaches from a row become new rows themselves.
local function cascade_row(em, shelf, slot)
  local overlay = shelf.overlay[slot]
  local found = false
  for name, target in pairs(overlay and overlay.rel or {}) do
    local meta = target ~= null and getmetatable(target)
    if meta and not meta.box then
      local prop = shelf.mapping.meta.by_name[name]
      if prop.cascade and not (prop.cascade.persist or prop.cascade.all) then
        errors.raise("not_managed", ("%s.%s: the %s was never persisted, "
          .. "and this relation does not cascade persist"):format(
          shelf.mapping.name, name, meta.definition.name), { context = em.context_name, entity = shelf.mapping.name,
          property = name })
      end
      gather.adopt(em, shelf.mapping.props[name].target, target)
      found = true
    elseif meta and meta.box.shelf == nil then
      errors.raise("not_managed",
        ("%s.%s: the entity manager of the %s is gone; em:merge(it)"):format(shelf.mapping.name,
        name, meta.definition.name), { context = em.context_name, entity = shelf.mapping.name, property = name })
    end
  end
  return found
end

---Adopts everything that a persisting cascade reaches.
function gather.cascade(em)
  local again = true
  while again do
    again = false
    -- Adopting may add shelves and overlays: what is walked is a list made before.
    for i = 1, #em.order do
      local shelf = em.order[i]
      for _, slot in ipairs(sorted(shelf.overlay)) do
        if not shelf.removed[slot] and cascade_row(em, shelf, slot) then again = true end
      end
    end
  end
end

---@class heddle.Row { shelf, slot, e, op }

---Rows in the order of persisting; entities in the order in which they were first used.
---@return table[] rows { shelf, slot, e, op = "create", "update" or "delete" }
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
  if row.op == "create" then
    row.index = batch:insert(id, shelf, slot, values)
  else
    -- A foreign key to a row without key is a change whatever it was before.
    row.pending = links[#links] and links[#links].row == row
    row.index = batch:update(id, shelf, slot, values, mask)
  end
end

-- Foreign keys to rows that get their key in this flush.
local function add_links(batch, rows, links)
  if #links == 0 then return end
  local index_of = {}
  for _, row in ipairs(rows) do
    if row.index then index_of[row.e] = row.index end
  end
  for _, link in ipairs(links) do
    local row = link.row
    row.index = row.index or batch:touch(row.shelf.mapping.id, row.shelf, row.slot)
    for i, column in ipairs(link.view.columns) do
      batch:pending(row.index, column.index, index_of[link.target], link.view.target.key[i].index)
    end
  end
end

local function raise_missing(em, batch)
  local index, property = batch:missing()
  if not index then return end
  local _, id = batch:change(index)
  local map = em.mappings.list[id + 1]
  errors.raise("validation", ("%s.%s is required and has no value"):format(map.name, property),
    { context = em.context_name, entity = map.name, property = property })
end

---The change set of the rows; `row.index` is set for those that have something to write. Raises `validation`.
---@return userdata batch
function gather.changes(em, rows)
  local batch = core.flush(em.model, em.context.config.batch_size, core.now())
  local links = {}
  for _, row in ipairs(rows) do add_row(batch, row, links) end
  add_links(batch, rows, links)
  raise_missing(em, batch)
  return batch
end

return gather
