--- Operations on locks and keys, whose foreign keys go round and cannot be deferred.

local chance = require("spec.model.chance")

local locks = {}

local any, make, once, number, new_name = chance.any, chance.make, chance.once, chance.number, chance.name

function locks.lock(run)
  local lock, label = number(run), new_name(run)
  run.step("make", lock, "Lock", { label = label }, {})
  local key = make(run, "Key", { label = label }, { lock = lock })
  run.step("relate", lock, "key", key.n)
  run.step("persist", lock)
end

-- Locks take each other's keys.
function locks.rekey(run)
  local lock, key = any(run, "Lock"), any(run, "Key")
  if not lock or not key then return end
  run.step("relate", lock.n, "key", key.n)
  if once(run, 2) then run.step("relate", key.n, "lock", lock.n) end
end

-- A lock goes with the keys that fit it, and they with the locks that they fit.
function locks.scrap(run)
  local lock = any(run, "Lock")
  local seen, list, at = { [lock or 0] = true }, { lock }, 1
  while list[at] do
    local o = list[at]
    local kind, name = o.kind == "Lock" and "Key" or "Lock", o.kind == "Lock" and "lock" or "key"
    for _, other in ipairs(run.model:referring(kind, name, o)) do
      if not seen[other] then
        seen[other], list[#list + 1] = true, other
      end
    end
    at = at + 1
  end
  for _, o in ipairs(list) do run.step("remove", o.n) end
end

return locks
