--- Compares memory and database with the model. A difference is raised as a line of text.
---
---     local check = require("spec.model.check")
---     check.memory(run)
---     check.rows(run)

local Model = require("spec.model.model")
local rows = require("spec.model.rows")
local schema = require("spec.model.schema")

local check = {}

local function fail(o, text, ...)
  error(("o%d (%s, %s): %s"):format(o.n, o.kind, o.mark, text:format(...)), 0)
end

local function show(value)
  return type(value) == "table" and tostring(value) or tostring(value)
end

-- Memory ---------------------------------------------------------------------------------------------------

local function number_of(run, e)
  for _, o in ipairs(run.model.objects) do
    if o.e == e then return "o" .. o.n end
  end
  return tostring(e)
end

local function check_scalars(o)
  local kind = schema.kinds[o.kind]
  for _, names in ipairs({ kind.key, kind.scalars, { kind.version and "version" } }) do
    for _, name in ipairs(names) do
      if o.e[name] ~= o.v[name] then fail(o, "%s is %s, not %s", name, show(o.e[name]), show(o.v[name])) end
    end
  end
end

local function check_values(run, o)
  check_scalars(o)
  for name in pairs(schema.kinds[o.kind].refs) do
    local target = o.to[name]
    local heir = target and run.model:heir(target) -- the same row, before and after the flush
    if o.e[name] ~= (target and target.e) and not (heir and o.e[name] == heir.e) then
      fail(o, "%s is %s, not %s", name, number_of(run, o.e[name]), target and "o" .. target.n or "nil")
    end
  end
end

local function same_members(run, o, name, entities, objects, in_order)
  local wanted = {}
  for _, item in ipairs(objects) do wanted[item.e] = true end
  local wrong = #entities ~= #objects
  for i, e in ipairs(entities) do
    wrong = wrong or not wanted[e] or in_order and objects[i].e ~= e
  end
  if not wrong then return end
  local has, want = {}, {}
  for i, e in ipairs(entities) do has[i] = number_of(run, e) end
  for i, item in ipairs(objects) do want[i] = "o" .. item.n end
  fail(o, "%s holds %s, not %s", name, table.concat(has, " "), table.concat(want, " "))
end

local function check_list(run, o, name)
  local list, members = o.e[name], run.model:members(o, name)
  if list:is_initialized() then
    if o.mark == "managed" and not o.known[name] then fail(o, "%s is loaded", name) end
    same_members(run, o, name, list:items(), members, true)
  elseif o.known[name] then
    fail(o, "%s is not loaded", name)
  end
  local row = run.model.rows[o]
  local before = row and row.list[name] or {}
  local dirty = #before ~= #members
  for i, item in ipairs(members) do dirty = dirty or item ~= before[i] end
  if list:is_dirty() ~= dirty and (dirty or o.known[name]) then
    fail(o, "%s is%s dirty", name, dirty and " not" or "")
  end
end

local function check_inverse(run, o, kind_name, name, ref)
  local members = run.model:referring(kind_name, name, o)
  if ref.single then return same_members(run, o, ref.inverse, { o.e[ref.inverse] }, members) end
  local list = o.e[ref.inverse]
  if list:is_initialized() then same_members(run, o, ref.inverse, list:items(), members) end
end

local function check_other_side(run, o, kind_name, name, inverse)
  local members = {}
  for _, other in ipairs(run.model.objects) do
    if other.kind == kind_name and Model.is_alive(other) then
      for _, item in ipairs(run.model:members(other, name)) do
        if item == o then members[#members + 1] = other end
      end
    end
  end
  local list = o.e[inverse]
  if list:is_initialized() then same_members(run, o, inverse, list:items(), members) end
end

-- Relations of all kinds whose other side is a property of this kind.
local function check_sides(run, o)
  -- What leads to a row that two objects stand for leads to either.
  if run.model:shares_row(o) then return end
  for _, kind_name in ipairs(schema.names) do
    local kind = schema.kinds[kind_name]
    for name, ref in pairs(kind.refs) do
      if ref.inverse and ref.to == o.kind then check_inverse(run, o, kind_name, name, ref) end
    end
    for name, list in pairs(kind.lists or {}) do
      if list.to == o.kind then check_other_side(run, o, kind_name, name, list.inverse) end
    end
  end
end

function check.memory(run)
  for _, o in ipairs(run.model.objects) do
    local is_here = o.mark == "new" or o.mark == "managed"
    if run.em:contains(o.e) ~= is_here then fail(o, is_here and "is not managed" or "is managed") end
    if o.mark == "lost" then check_scalars(o) end
    if Model.is_alive(o) then
      check_values(run, o)
      for name in pairs(schema.kinds[o.kind].lists or {}) do check_list(run, o, name) end
      check_sides(run, o)
    end
  end
end

-- Pending changes ------------------------------------------------------------------------------------------

local ops = { new = "create", managed = "update", removed = "delete" }

local function add(count, o, op, by) count[o .. " " .. op] = (count[o .. " " .. op] or 0) + by end

--- em:changes() tells what the model says: whom a flush would create, update and delete. Cascades come first.
function check.changes(run)
  local count, model = {}, run.model
  for _, change in ipairs(run.em:changes()) do
    if change.op ~= "collection" then add(count, number_of(run, change.entity), change.op, 1) end
  end
  for _, o in ipairs(model.objects) do
    if o.mark == "removed" or Model.is_staying(o) and rows.is_changed(model, o) then
      add(count, "o" .. o.n, ops[o.mark], -1)
    end
  end
  for name, n in pairs(count) do
    if n ~= 0 then error(("em:changes() has %s %s"):format(name, n > 0 and "too often" or "not"), 0) end
  end
end

-- Database -------------------------------------------------------------------------------------------------

local queries = {}
for _, name in ipairs(schema.names) do
  local parts = {}
  for i, column in ipairs(schema.columns[name]) do parts[i] = ("coalesce(cast(%s as text), '-')"):format(column) end
  queries[#queries + 1] = ("select '%s ' || %s as line from %s"):format(name, table.concat(parts, " || ' ' || "),
    schema.tables[name])
end
queries[#queries + 1] = "select 'pair ' || person_id || ' ' || "
  .. "row_number() over (partition by person_id order by id) || ' ' || skill_name from " .. schema.pivot
local query = table.concat(queries, " union all ")

local function text(value)
  if value == nil then return "-" end
  return tostring(value)
end

local function expected(held)
  local lines = {}
  for o, row in pairs(held) do
    local parts = { o.kind }
    for i, column in ipairs(schema.columns[o.kind]) do
      local target = row.to[column:match("^(.*)_id$") or false]
      parts[i + 1] = text(target and held[target].v.id or row.v[column])
    end
    lines[#lines + 1] = table.concat(parts, " ")
    for name in pairs(row.list) do
      for i, item in ipairs(row.list[name]) do
        lines[#lines + 1] = ("pair %s %d %s"):format(text(row.v.id), i, item.v.name)
      end
    end
  end
  table.sort(lines)
  return lines
end

local function compare(lines, held, where)
  local wanted = expected(held)
  table.sort(lines)
  if table.concat(lines, "\n") == table.concat(wanted, "\n") then return end
  local count, wrong = {}, {}
  for _, line in ipairs(lines) do count[line] = (count[line] or 0) + 1 end
  for _, line in ipairs(wanted) do count[line] = (count[line] or 0) - 1 end
  for line, n in pairs(count) do
    if n ~= 0 then wrong[#wrong + 1] = (n > 0 and "+ " or "- ") .. line end
  end
  table.sort(wrong)
  error(("the database %s has (+) and lacks (-):\n    %s"):format(where, table.concat(wrong, "\n    ")), 0)
end

--- What was committed, by the raw connection; what the open transaction has, by its own.
function check.rows(run)
  local lines = {}
  for i, row in ipairs(run.work.raw:rows(query)) do lines[i] = row[1] end
  compare(lines, run.model:committed(), "as others see it")
  if #run.model.saved == 0 then return end
  lines = {}
  for i, row in ipairs(run.em:execute(query)) do lines[i] = row.line end
  compare(lines, run.model.rows, "in the transaction")
end

return check
