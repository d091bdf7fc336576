--- Operations that a database refuses, and what puts them right again.
---
---     faults.random(run)             -- one of them
---     faults.mend(run)               -- until a flush can succeed

local chance = require("spec.model.chance")
local rows = require("spec.model.rows")
local schema = require("spec.model.schema")

local faults = {}

local any, pick, once = chance.any, chance.pick, chance.once

local spoil = {}

function spoil.name(run)
  local a, b = any(run, "Team"), any(run, "Team")
  if a and a ~= b then run.step("set", a.n, "name", b.v.name) end
end

function spoil.position(run)
  local a, b = any(run, "Task"), any(run, "Task")
  if a and a ~= b then run.step("set", a.n, "position", b.v.position) end
end

function spoil.check(run)
  local task = any(run, "Task")
  if task then run.step("set", task.n, "position", 0) end
end

function spoil.badge(run)
  local a, b = any(run, "Badge"), any(run, "Badge")
  if a and a ~= b and b.to.person then run.step("relate", a.n, "person", b.to.person.n) end
end

function spoil.leader(run)
  local team = any(run, "Team")
  if team then run.step("relate", team.n, "leader", nil) end
end

function spoil.referred(run)
  local o = any(run, pick(run, { "Team", "Person", "Task", "Lock", "Key" }))
  if o then run.step("remove", o.n) end
end

local names = { "name", "position", "check", "badge", "leader", "referred" }

function faults.random(run) spoil[pick(run, names)](run) end

-- Mending --------------------------------------------------------------------------------------------------

local mend = {}

-- Another target, none where none is needed, or the one that was to go stays.
function mend.dangling(run, o, name)
  local ref = schema.kinds[o.kind].refs[name]
  local target = o.to[name]
  if not ref.required then return run.step("relate", o.n, name, nil) end
  if target.mark == "removed" and once(run, 2) and run.step("persist", target.n) then return end
  mend.missing(run, o, name)
end

function mend.missing(run, o, name)
  local ref = schema.kinds[o.kind].refs[name]
  local target = any(run, ref.to)
  if ref.single or not target or target == o.to[name] then return faults.drop(run, o) end
  run.step("relate", o.n, name, target.n)
end

function mend.duplicate(run, o, name)
  if schema.kinds[o.kind].refs[name] then return faults.drop(run, o) end
  local n = chance.number(run)
  run.step("set", o.n, name, name == "name" and "n" .. n or n)
end

function mend.check(run, o, name) run.step("set", o.n, name, chance.number(run)) end

--- The object goes, and with it what cannot be without it.
function faults.drop(run, o, seen)
  seen = seen or {}
  if seen[o] then return end
  seen[o] = true
  for _, kind_name in ipairs(schema.names) do
    local kind = schema.kinds[kind_name]
    for _, name in ipairs(run.sorted(kind.refs)) do
      for _, other in ipairs(kind.refs[name].to == o.kind and run.model:referring(kind_name, name, o) or {}) do
        if kind.refs[name].required then
          faults.drop(run, other, seen)
        elseif other ~= o then
          run.step("relate", other.n, name, nil)
        end
      end
    end
  end
  run.step("remove", o.n)
end

--- What a flush would meet: persisting cascades included, but nothing is marked.
function faults.fault(run)
  local fresh = rows.cascade(run.model)
  local wrong = rows.fault(run.model)
  for _, o in ipairs(fresh) do o.mark = "fresh" end
  return wrong
end

--- Until a flush can succeed. What cannot be mended, because nobody is left to refer to, is given up.
function faults.mend(run)
  for _ = 1, 100 do
    local wrong = faults.fault(run)
    if not wrong then return end
    mend[wrong.what](run, wrong.o, wrong.name)
  end
  while #run.model.saved > 0 do run.step("rollback") end
  run.step("reload")
end

return faults
