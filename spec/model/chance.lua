--- What operations are made of: choices by run.random, and new objects.
---
---     local team = chance.any(run, "Team")             -- a team that is to stay, or nil
---     chance.make(run, "Person", { name = chance.name(run) }, { team = team.n })

local chance = {}

--- One of a list.
function chance.pick(run, list)
  return list[1] and list[run.random(#list)]
end

--- Objects of a kind that are to be in the database after the next flush.
function chance.staying(run, kind)
  return run.model:all(kind, "new", "managed")
end

function chance.any(run, kind) return chance.pick(run, chance.staying(run, kind)) end

--- True once in n times.
function chance.once(run, n) return run.random(n) == 1 end

function chance.number(run)
  run.made = run.made + 1
  return run.made
end

function chance.name(run) return "n" .. chance.number(run) end

--- A new object; some are left to persisting cascades.
function chance.make(run, kind, values, refs)
  local n = chance.number(run)
  run.step("make", n, kind, values, refs or {})
  if not chance.once(run, 4) then run.step("persist", n) end
  return run.model.by_number[n]
end

function chance.shuffled(run, list)
  local made = {}
  for i, item in ipairs(list) do made[i] = item end
  for i = #made, 2, -1 do
    local k = run.random(i)
    made[i], made[k] = made[k], made[i]
  end
  return made
end

--- Hands the values of a property on in a ring: two swap, three rotate.
function chance.rotate(run, list, name, count)
  list = chance.shuffled(run, list)
  count = math.min(count, #list)
  if count < 2 then return end
  local first = list[1].v[name]
  for i = 1, count - 1 do run.step("set", list[i].n, name, list[i + 1].v[name]) end
  run.step("set", list[count].n, name, first)
end

return chance
