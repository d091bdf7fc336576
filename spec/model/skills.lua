--- Operations on skills, and on the order in which persons have them.

local chance = require("spec.model.chance")

local skills = {}

local any, make, pick, number = chance.any, chance.make, chance.pick, chance.number
local staying, once, shuffled, new_name = chance.staying, chance.once, chance.shuffled, chance.name

function skills.skill(run) make(run, "Skill", { name = new_name(run), level = run.random(9) }) end

function skills.improve(run)
  local s = any(run, "Skill")
  if s then run.step("set", s.n, "level", run.random(9)) end
end

function skills.learn(run)
  local p, s = any(run, "Person"), any(run, "Skill")
  if p and s then run.step("put", p.n, "skills", s.n, once(run, 3) and "people" or nil) end
end

function skills.unlearn(run)
  local p = any(run, "Person")
  local s = p and (pick(run, run.model:members(p, "skills")) or any(run, "Skill"))
  if s then run.step("cut", p.n, "skills", s.n, once(run, 3) and "people" or nil) end
end

function skills.arrange(run)
  local p, numbers = any(run, "Person"), {}
  if not p then return end
  local list = once(run, 2) and run.model:members(p, "skills") or staying(run, "Skill")
  for i, s in ipairs(shuffled(run, list)) do numbers[i] = s.n end
  while #numbers > 4 do table.remove(numbers) end
  run.step("arrange", p.n, "skills", numbers)
end

function skills.forget_skill(run)
  local s = any(run, "Skill")
  if s then run.step("remove", s.n) end
end

--- Removed and made again under its name: those who had it have it still.
function skills.replace_skill(run)
  local s = any(run, "Skill")
  if not s then return end
  run.step("remove", s.n)
  local n = number(run)
  run.step("make", n, "Skill", { level = run.random(9) }, {}, s.n)
  run.step("persist", n)
  local p = any(run, "Person")
  if p and once(run, 3) then run.step("put", p.n, "skills", n) end
end

return skills
