--- The steps of a run. A step is plain data, { "make", 3, "Person", { name = "p3" }, { team = 1 } }, so that a run can
--- be done again, shortened and printed; objects stand in it by number. `actions.apply` does one to memory and to the
--- model alike, and gives false, having done nothing, where the step makes no sense.
---
---     actions.apply(run, { "relate", 3, "team", 1 })
---     print(actions.text(run.trace))                  -- the steps as a script

local Model = require("spec.model.model")
local schema = require("spec.model.schema")

local unpack = table.unpack or unpack

local actions = {}

local apply, text = {}, {}

local function object(run, n, ...)
  local o = run.model.by_number[n]
  for _, mark in ipairs({ ... }) do
    if o and o.mark == mark then return o end
  end
end

local function entity_of(run, n)
  return n and run.model.by_number[n].e
end

local function name_of(n) return n and "o" .. n or "nil" end

local function literal(value)
  return type(value) == "string" and ("%q"):format(value) or tostring(value)
end

-- Objects --------------------------------------------------------------------------------------------------

-- Whether an object that stays has the key.
local function is_taken(run, kind, key, besides)
  for _, other in ipairs(key and run.model:all(kind, "new", "managed") or {}) do
    if other ~= besides and run.model:key(other) == key then return true end
  end
  return false
end

-- What an object of the same key has to be given.
local function key_values(run, kind, m)
  local former, values = run.model.by_number[m], {}
  for _, name in ipairs(former and schema.kinds[kind].key or {}) do values[name] = former.v[name] end
  return values
end

-- `m`: the object whose key it has.
function apply.make(run, n, kind, values, refs, m)
  local former = m and object(run, m, "removed")
  if m and (not former or is_taken(run, kind, run.model:key(former))) then return false end
  local data = m and key_values(run, kind, m) or {}
  for key, value in pairs(values) do data[key] = value end
  local o = run.model:make(n, kind, data)
  o.e = schema.class[kind](data)
  for _, name in ipairs(run.sorted(refs)) do
    if object(run, refs[name], "fresh", "new", "managed") then apply.relate(run, n, name, refs[name]) end
  end
  return true
end

function text.make(run_sorted, n, kind, values, refs, m)
  local parts = { m and "the key of o" .. m }
  for _, key in ipairs(run_sorted(values)) do parts[#parts + 1] = key .. " = " .. literal(values[key]) end
  for _, key in ipairs(run_sorted(refs)) do parts[#parts + 1] = key .. " = " .. name_of(refs[key]) end
  return ("local o%d = %s { %s }"):format(n, kind, table.concat(parts, ", "))
end

function apply.persist(run, n)
  local o = object(run, n, "fresh", "removed")
  if not o or is_taken(run, o.kind, run.model:key(o), o) then return false end
  run.em:persist(o.e)
  o.mark = o.mark == "fresh" and "new" or "managed"
  return true
end

function text.persist(_, n) return ("em:persist(o%d)"):format(n) end

-- Objects that are lost with it: those that it leads to, and those that lead to it.
local function lost_with(run, o)
  local list, seen, at = { o }, { [o] = true }, 1
  local function meet(other)
    if other.mark == "lost" and not seen[other] then
      seen[other], list[#list + 1] = true, other
    end
  end
  while list[at] do
    local each = list[at]
    for _, target in pairs(each.to) do meet(target) end
    for _, items in pairs(each.list) do
      for _, item in ipairs(items) do meet(item) end
    end
    for _, other in ipairs(run.model.objects) do
      for _, target in pairs(other.to) do
        if target == each then meet(other) end
      end
      for _, items in pairs(other.list) do
        if Model.find(items, each) then meet(other) end
      end
    end
    at = at + 1
  end
  return list, seen
end

-- Whether all that it leads to will be there, and none takes another one's place.
local function can_come_back(run, o, with)
  for name, target in pairs(o.to) do
    if not with[target] and not Model.is_staying(target) then return false end
    if schema.kinds[o.kind].refs[name].single and run.model:referring(o.kind, name, target)[1] then return false end
  end
  for _, items in pairs(o.list) do
    for _, item in ipairs(items) do
      if not with[item] and not Model.is_staying(item) then return false end
    end
  end
  return not is_taken(run, o.kind, run.model:key(o))
end

-- What a rollback has made new again is persisted again.
function apply.adopt(run, n)
  local o = object(run, n, "lost")
  if not o then return false end
  local list, with = lost_with(run, o)
  for _, each in ipairs(list) do
    if not can_come_back(run, each, with) then return false end
  end
  for _, each in ipairs(list) do
    run.em:persist(each.e)
    each.mark = "new"
    for name in pairs(each.list) do each.known[name], each.put[name], each.cut[name] = true, {}, {} end
  end
  return true
end

function text.adopt(_, n) return ("em:persist(o%d) -- and those lost with it"):format(n) end

-- What is new leaves those who list it; what points at it would bring it back.
local function forget(run, o)
  for _, other in ipairs(run.model.objects) do
    for _, target in pairs(other.to) do
      if target == o and other ~= o and Model.is_alive(other) then return false end
    end
  end
  run.em:remove(o.e)
  o.mark = "gone"
  for _, other in ipairs(run.model.objects) do
    for name in pairs(schema.kinds[other.kind].lists or {}) do run.model:cut(other, name, o) end
  end
  return true
end

function apply.remove(run, n)
  local o = object(run, n, "new", "managed")
  if not o then return false end
  if o.mark == "new" then return forget(run, o) end
  run.em:remove(o.e)
  o.mark = "removed"
  return true
end

function text.remove(_, n) return ("em:remove(o%d)"):format(n) end

function apply.set(run, n, name, value)
  local o = object(run, n, "fresh", "new", "managed")
  if not o then return false end
  o.v[name] = value
  o.e[name] = value
  return true
end

function text.set(_, n, name, value) return ("o%d.%s = %s"):format(n, name, literal(value)) end

-- Relations ------------------------------------------------------------------------------------------------

-- Of a row that two objects stand for nobody can tell which of them is the one of a one_to_one.
local function is_shared(run, o, name, m)
  return schema.kinds[o.kind].refs[name].single and m and run.model:shares_row(run.model.by_number[m])
end

function apply.relate(run, n, name, m)
  local o = object(run, n, "fresh", "new", "managed")
  if not o or m and not object(run, m, "fresh", "new", "managed") or is_shared(run, o, name, m) then return false end
  run.model:relate(o, name, m and run.model.by_number[m])
  o.e[name] = entity_of(run, m)
  return true
end

function text.relate(_, n, name, m) return ("o%d.%s = %s"):format(n, name, name_of(m)) end

-- The same from the other side: a member of `inverse` of m.
function apply.join(run, m, inverse, n, name)
  local o, target = object(run, n, "fresh", "new", "managed"), object(run, m, "fresh", "new", "managed")
  if not o or not target or is_shared(run, o, name, m) then return false end
  run.model:relate(o, name, target)
  if schema.kinds[o.kind].refs[name].single then
    target.e[inverse] = o.e
  else
    target.e[inverse]:add(o.e)
  end
  return true
end

function text.join(_, m, inverse, n) return ("o%d.%s:add(o%d)"):format(m, inverse, n) end

function apply.leave(run, m, inverse, n, name)
  local o, target = object(run, n, "fresh", "new", "managed"), object(run, m, "fresh", "new", "managed")
  if not o or not target or o.to[name] ~= target then return false end
  run.model:relate(o, name, nil)
  target.e[inverse]:remove(o.e)
  return true
end

function text.leave(_, m, inverse, n) return ("o%d.%s:remove(o%d)"):format(m, inverse, n) end

-- Lists ----------------------------------------------------------------------------------------------------

function apply.put(run, n, name, m, from)
  local o, item = object(run, n, "fresh", "new", "managed"), object(run, m, "fresh", "new", "managed")
  if not o or not item then return false end
  run.model:put(o, name, item)
  if from then item.e[from]:add(o.e) else o.e[name]:add(item.e) end
  return true
end

function text.put(_, n, name, m, from)
  if from then return ("o%d.%s:add(o%d)"):format(m, from, n) end
  return ("o%d.%s:add(o%d)"):format(n, name, m)
end

function apply.cut(run, n, name, m, from)
  local o, item = object(run, n, "fresh", "new", "managed"), object(run, m, "fresh", "new", "managed", "removed")
  if not o or not item then return false end
  run.model:cut(o, name, item)
  if from then item.e[from]:remove(o.e) else o.e[name]:remove(item.e) end
  return true
end

function text.cut(_, n, name, m, from)
  if from then return ("o%d.%s:remove(o%d)"):format(m, from, n) end
  return ("o%d.%s:remove(o%d)"):format(n, name, m)
end

function apply.arrange(run, n, name, numbers)
  local o, items, entities = object(run, n, "fresh", "new", "managed"), {}, {}
  if not o or not o.known[name] then return false end
  for i, m in ipairs(numbers) do
    items[i] = object(run, m, "fresh", "new", "managed")
    if not items[i] then return false end
    entities[i] = items[i].e
  end
  run.model:set(o, name, items)
  o.e[name] = entities
  return true
end

function text.arrange(_, n, name, numbers)
  local parts = {}
  for i, m in ipairs(numbers) do parts[i] = "o" .. m end
  return ("o%d.%s = { %s }"):format(n, name, table.concat(parts, ", "))
end

function apply.load(run, n, name)
  local o = object(run, n, "managed")
  if not o then return false end
  o.e[name]:load()
  if o.list[name] then run.model:know(o, name) end
  return true
end

function text.load(_, n, name) return ("o%d.%s:load()"):format(n, name) end

-- Everything is forgotten and read anew.
function apply.reload(run)
  if #run.model.saved > 0 then return false end
  run.model:reload()
  run.em:clear()
  for _, kind in ipairs(schema.names) do
    local by_key = {}
    for _, o in ipairs(run.model:all(kind, "managed")) do by_key[run.model:key(o)] = o end
    for _, e in ipairs(run.em:find_all(schema.class[kind])) do
      local key = {}
      for i, name in ipairs(schema.kinds[kind].key) do key[i] = tostring(e[name]) end
      local o = by_key[table.concat(key, ",")]
      if not o then error("a row that should not be there: " .. tostring(e), 0) end
      o.e = e
    end
  end
  run.em:load(run.em:find_all(schema.class.Person), { "badge" })
  return true
end

function text.reload() return "em:clear() -- and everything is read anew" end

-- ----------------------------------------------------------------------------------------------------------

--- A table of further steps (flushes and transactions).
function actions.add(name, act, show)
  apply[name], text[name] = act, show
end

--- Does a step; false when it makes no sense.
function actions.apply(run, step)
  return apply[step[1]](run, unpack(step, 2, step.n or #step))
end

local function sorted(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end
actions.sorted = sorted

--- Steps as a script.
function actions.text(steps)
  local lines = {}
  for i, step in ipairs(steps) do lines[i] = "  " .. text[step[1]](sorted, unpack(step, 2, step.n or #step)) end
  return table.concat(lines, "\n")
end

return actions
