--- Rows of a joined query become instances: for each part of a row a list, which says row by row what stands there.
local compat = require("heddle.compat")
local core = require("heddle.core")
local fetch = require("heddle.fetch")
local kinds = require("heddle.kinds")
local loads = require("heddle.loads")
local merge = require("heddle.merge")

local rows = {}

-- What the binding makes of a part of a plan, once.
local function hydrator_of(em, part)
  if part.model ~= em.model then
    local indexes = {}
    for i, column in ipairs(part.columns) do indexes[i] = column.index end
    part.hydrator, part.model = core.hydrator(em.model, part.mapping.id, indexes), em.model
  end
  return part.hydrator
end

-- Reads what the statement gives; `late` is what the host has to look at, in the order of the rows, whatever became of
-- the rest.
local function read(em, plan, opts, link, status, lists)
  local late = {}
  local ok, err = compat.pcall(fetch.take, em, link, status, core.hydrate_joined, link, lists, late)
  if ok then fetch.finish(em, link, plan, opts) end
  return late, ok, err
end

---What stands in a list of a part, each once, in the order of the rows.
---@param results any[] instances, false where there is none
---@return table[]
function rows.distinct(results)
  local seen, list = {}, {}
  for i = 1, #results do
    local e = results[i]
    if e and not seen[e] then
      seen[e] = true
      list[#list + 1] = e
    end
  end
  return list
end

---Runs a plan: managed instances.
---@return table[] lists { results = } for each part
---@return table[] shelves of the parts, each once
function rows.managed(em, plan, params, opts)
  local status, link = em:start(plan, params, opts)
  local lists, shelves, seen = {}, {}, {}
  for number, part in ipairs(plan.parts) do
    local shelf = em:shelf_of(part.mapping)
    if not seen[shelf] then
      loads.watch(em, shelf)
      seen[shelf], shelves[#shelves + 1] = true, shelf
    end
    lists[number] = { shelf = shelf.shelf, state = shelf, hydrator = hydrator_of(em, part), results = {}, seen = {} }
  end
  local late, ok, err = read(em, plan, opts, link, status, lists)
  local unknown
  for _, row in ipairs(late) do
    if row.unknown then
      unknown = unknown or row
    else
      merge.late(lists[row.part].state, plan.parts[row.part], { row })
    end
  end
  if not ok then error(err, 0) end
  if unknown then kinds.raise_unknown(lists[unknown.part].state.mapping, unknown.value) end
  return lists, shelves
end

-- Unmanaged ------------------------------------------------------------------------------------------------

-- What was not read of an instance: of what several parts read, what none of them did.
local function note_unloaded(plan, lists)
  local known = {}
  for number, part in ipairs(plan.parts) do
    for _, e in ipairs(rows.distinct(lists[number].results)) do
      merge.note_unloaded(part, e, known[e])
      known[e] = true
    end
  end
end

---Runs a plan: instances of no entity manager.
---@return table[] lists { results = } for each part
function rows.unmanaged(em, plan, params, opts)
  local status, link = em:start(plan, params, opts)
  -- Finds what was there before, in this result.
  local session, shelves, instances, lists, rest = core.session(), {}, {}, {}, {}
  for number, part in ipairs(plan.parts) do
    local id = part.mapping.id
    shelves[id], instances[id] = shelves[id] or session:shelf(em.model, id), instances[id] or {}
    lists[number] = { shelf = shelves[id], meta = kinds.stored(part.mapping), instances = instances[id],
      hydrator = hydrator_of(em, part), results = {}, seen = {} }
    rest[number] = {}
  end
  local late, ok, err = read(em, plan, opts, link, status, lists)
  if not ok then error(err, 0) end
  for _, row in ipairs(late) do table.insert(rest[row.part], row) end
  for number, part in ipairs(plan.parts) do merge.rest(part, rest[number]) end
  note_unloaded(plan, lists)
  return lists
end

return rows
