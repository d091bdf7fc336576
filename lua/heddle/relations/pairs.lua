--- Pairs of many_to_many relations: what a flush writes into pivot tables, read off the owning side's collections.
local custom = require("heddle.custom")
local errors = require("heddle.errors")
local instance = require("heddle.instance")

local pair = {}

local function shelf_of(em, e)
  local meta = getmetatable(e)
  local shelf = meta.box and meta.box.shelf
  if shelf and shelf.em == em then return shelf, meta.slot_of[e] end
end

local function is_removed(em, e)
  local shelf, slot = shelf_of(em, e)
  return shelf == nil or shelf.removed[slot] ~= nil
end

-- Whether a row has pairs to lose: it stays, or another instance has taken its key and the row stays for that one.
local function keeps_pairs(em, e)
  local shelf, slot = shelf_of(em, e)
  return shelf ~= nil and (not shelf.removed[slot] or shelf:key(slot) == nil)
end

-- In a fixed order everything behind the first difference is written anew: the order is that of writing.
local function reordered(state)
  local before, now, first = state.snapshot, state:members(), 1
  while before[first] ~= nil and before[first] == now[first] do first = first + 1 end
  local added, removed = {}, {}
  for i = first, #now do added[#added + 1] = now[i] end
  for i = first, #before do removed[#removed + 1] = before[i] end
  return added, removed
end

-- Of an owner that is removed, and whose row another instance takes over, only what it had lost before is written.
local function differences(em, state)
  local is_leaving = is_removed(em, state.owner)
  local is_all = state.initialized and not state:is_partial()
  if is_all and state.prop.fixed_order and not is_leaving then return reordered(state) end
  local added, removed = state:differences()
  return is_leaving and {} or added, removed
end

---The many_to_many collections of the em that have pairs to write.
---@param em table
---@return table[] list { state, view, added, removed }
function pair.collect(em)
  local list = {}
  for _, state in ipairs(em.touched) do
    local prop = state.prop
    if prop.kind == "many_to_many" and prop.owner and keeps_pairs(em, state.owner) and state:is_dirty() then
      local added, removed = differences(em, state)
      list[#list + 1] = { state = state, view = getmetatable(state.owner).views[prop.name], added = added,
        removed = removed }
    end
  end
  return list
end

-- Rows -----------------------------------------------------------------------------------------------------

-- The key of one side goes into its columns; that of a row without one is taken over when it has it.
local function put_key(em, columns, e, values, links)
  local shelf, slot = shelf_of(em, e)
  local key = shelf:row_key(slot)
  for i, column in ipairs(columns) do
    if #key > 0 then
      values[column.index] = key[i]
    else
      links[#links + 1] = { column = column.index, target = e, part = shelf.mapping.key[i].index }
    end
  end
end

local function put_extra(em, map, values)
  for _, column in ipairs(map.columns) do
    local prop = column.view and column.view.prop
    if prop and values[column.index] == nil and (prop.default ~= nil or prop.on_create) then
      local value = instance.copy(prop.default)
      if value == nil then value = prop.on_create({}, em) end
      values[column.index] = custom.to_db(column, value)
    end
  end
end

local function add_row(em, batch, index_of, pivot, op, owner, target)
  local values, links = {}, {}
  put_key(em, pivot.owner_columns, owner, values, links)
  put_key(em, pivot.target_columns, target, values, links)
  if op == "delete" and links[1] then return end -- a row that is not there yet is in no pair
  if op == "create" then put_extra(em, pivot.mapping, values) end
  local index = batch:pair(op, pivot.mapping.id, values)
  for _, link in ipairs(links) do batch:pending(index, link.column, index_of(link.target), link.part) end
end

---Puts the pairs into the change set. Those of rows that are deleted go with them.
---@param em table
---@param batch userdata
---@param list table[] as pair.collect gives it
---@param index_of fun(e: table): integer the change of a new row
function pair.add(em, batch, list, index_of)
  for _, item in ipairs(list) do
    local owner, pivot = item.state.owner, item.view.pivot
    for _, e in ipairs(item.removed) do
      if keeps_pairs(em, e) then add_row(em, batch, index_of, pivot, "delete", owner, e) end
    end
    for _, e in ipairs(item.added) do
      if not is_removed(em, e) then
        add_row(em, batch, index_of, pivot, "create", owner, e)
      elseif not shelf_of(em, e) then
        errors.raise("not_managed", ("%s.%s holds a %s that is not managed"):format(item.view.prop.name,
          item.view.name, getmetatable(e).definition.name), { context = em.context_name })
      end
    end
  end
end

return pair
