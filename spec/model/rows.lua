--- What a flush does, by the model: whom persisting cascades to, whether the rows can be as memory has them, and what
--- they are then.
---
---     local fresh = rows.cascade(model)
---     local wrong = rows.fault(model)              -- nil, or { what, o, name }
---     rows.flush(model, function(o) return o.e.id end)

local Model = require("spec.model.model")
local schema = require("spec.model.schema")

local rows = {}

local copy, copy_lists, find, is_staying = Model.copy, Model.copy_lists, Model.find, Model.is_staying

--- What persisting cascades to is marked new. Gives those objects, which were fresh.
function rows.cascade(model)
  local found, again = {}, true
  local function reach(o)
    if o.mark == "fresh" then
      o.mark, again = "new", true
      found[#found + 1] = o
    end
  end
  while again do
    again = false
    for _, o in ipairs(model.objects) do
      local kind = schema.kinds[o.kind]
      for name, ref in pairs(kind.refs) do
        local target = o.to[name]
        if target and is_staying(o) then reach(target) end
        if target and ref.inverse and is_staying(target) then reach(o) end
      end
      for name in pairs(kind.lists or {}) do
        for _, item in ipairs(model:members(o, name)) do
          if is_staying(o) then reach(item) end
          if is_staying(item) then reach(o) end
        end
      end
    end
  end
  return found
end

-- Faults ---------------------------------------------------------------------------------------------------

local function value_of(model, o, name)
  if not schema.kinds[o.kind].refs[name] then return o.v[name] end
  local target = o.to[name]
  return target and (model:heir(target) or target).n
end

local function check_unique(model, o, columns, taken)
  local parts = {}
  for i, name in ipairs(columns) do
    local value = value_of(model, o, name)
    if value == nil then return nil end
    parts[i] = tostring(value)
  end
  local text = o.kind .. "." .. table.concat(columns, ",") .. "=" .. table.concat(parts, ",")
  if taken[text] then return { what = "duplicate", o = o, name = columns[#columns] } end
  taken[text] = true
end

local function check_references(model, o, refs)
  for name, ref in pairs(refs) do
    local target = o.to[name]
    if not target and ref.required then return { what = "missing", o = o, name = name } end
    if target and not is_staying(target) and not model:heir(target) then
      return { what = "dangling", o = o, name = name }
    end
  end
end

local function check_object(model, o, taken)
  local kind = schema.kinds[o.kind]
  local wrong = check_references(model, o, kind.refs)
  if kind.check and not kind.check(o.v) then wrong = wrong or { what = "check", o = o, name = "position" } end
  for _, columns in ipairs(kind.uniques) do wrong = wrong or check_unique(model, o, columns, taken) end
  return wrong or check_unique(model, o, kind.key, taken)
end

--- The first reason for which the rows cannot be as memory has them; nil when they can. What is reached by persisting
--- has to be marked before.
function rows.fault(model)
  local taken = {}
  for _, o in ipairs(model.objects) do
    local wrong = is_staying(o) and check_object(model, o, taken)
    if wrong then return wrong end
  end
end

-- Flushing -------------------------------------------------------------------------------------------------

--- Whether the row of an object that stays is to be written, its lists left aside.
function rows.is_changed(model, o)
  if o.mark == "new" then return true end
  local row = model.rows[o]
  for _, name in ipairs(schema.kinds[o.kind].scalars) do
    if o.v[name] ~= row.v[name] then return true end
  end
  for name in pairs(schema.kinds[o.kind].refs) do
    local target, former = o.to[name], row.to[name]
    if (target and (model:heir(target) or target)) ~= (former and (model:heir(former) or former)) then return true end
  end
  return false
end

-- Members that are removed leave a list, but for those that it has in the database and whose rows go on: after these
-- the list has to be read again.
local function inherit_list(model, o, name, heirs, row)
  local before, members, list = row and row.list[name] or {}, model:members(o, name), {}
  local function take(items)
    for _, item in ipairs(items) do
      if heirs[item] then o.known[name] = nil end
      item = find(before, item) and heirs[item] or item
      if item.mark ~= "removed" and not find(list, item) then list[#list + 1] = item end
    end
  end
  -- Who takes over a row has its members too.
  if row ~= model.rows[o] then
    take(before)
    o.known[name] = nil
  end
  take(members)
  o.list[name], o.put[name], o.cut[name] = list, {}, {}
end

-- References to removed objects whose rows go on are references to those that took them over.
local function inherit(model, heirs, former)
  for _, o in ipairs(model.objects) do
    if is_staying(o) then
      for name, target in pairs(o.to) do o.to[name] = heirs[target] or target end
    end
    for name in pairs(schema.kinds[o.kind].lists or {}) do inherit_list(model, o, name, heirs, former[o]) end
  end
end

local function settle(o, old)
  local kind = schema.kinds[o.kind]
  for name, value in pairs(kind.filled or {}) do
    if o.mark == "new" and o.v[name] == nil then o.v[name] = value end
  end
  if kind.version then o.v.version = old and old.v.version + 1 or 1 end
  o.mark = "managed"
end

-- What of a row another object takes over: members that left its lists before it was removed are not among it.
local function left_row(model, o)
  local row, list = model.rows[o], {}
  for name, items in pairs(row.list) do
    list[name] = {}
    for _, item in ipairs(items) do
      if find(model:members(o, name), item) then table.insert(list[name], item) end
    end
  end
  return { v = row.v, to = row.to, list = list }
end

--- Everything is written: `id_of(o)` gives the keys that the database chose.
function rows.flush(model, id_of)
  local heirs, former, changed, made = {}, copy(model.rows), {}, {}
  for _, o in ipairs(model.objects) do
    heirs[o] = model:heir(o)
    if heirs[o] then former[heirs[o]] = left_row(model, o) end
    changed[o] = is_staying(o) and rows.is_changed(model, o)
  end
  inherit(model, heirs, former)
  for _, o in ipairs(model.objects) do
    if o.mark == "removed" then
      o.mark = "gone"
    elseif is_staying(o) then
      if not schema.kinds[o.kind].given then o.v.id = id_of(o) end
      if changed[o] then settle(o, former[o]) end
      made[o] = { v = copy(o.v), to = copy(o.to), list = copy_lists(o.list) }
    end
  end
  model.rows = made
end

return rows
