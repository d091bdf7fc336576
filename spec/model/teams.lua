--- Operations on teams and persons, who need each other, and on the badges that belong to one person.

local chance = require("spec.model.chance")
local tasks = require("spec.model.tasks")

local teams = {}

local any, make, pick, staying = chance.any, chance.make, chance.pick, chance.staying
local once, shuffled, rotate = chance.once, chance.shuffled, chance.rotate
local number, new_name = chance.number, chance.name

function teams.found(run)
  local t = number(run)
  run.step("make", t, "Team", { name = new_name(run) }, {})
  local p = make(run, "Person", { name = "p" .. t }, { team = t })
  run.step("relate", t, "leader", p.n)
  if not once(run, 4) then run.step("persist", t) end
end

function teams.hire(run)
  local team = any(run, "Team")
  if not team then return teams.found(run) end
  local p = make(run, "Person", { name = new_name(run) }, { team = not once(run, 3) and team.n or nil })
  if not p.to.team then run.step("join", team.n, "members", p.n, "team") end
end

function teams.rename(run)
  local o = any(run, pick(run, { "Team", "Person" }))
  if o then run.step("set", o.n, "name", new_name(run)) end
end

function teams.rotate_names(run) rotate(run, staying(run, "Team"), "name", run.random(3) + 1) end

-- One takes the name that another gives up: a chain, no ring.
function teams.hand_on(run)
  local list = shuffled(run, staying(run, "Team"))
  for i = 1, math.min(run.random(3), #list - 1) do run.step("set", list[i].n, "name", list[i + 1].v.name) end
  if #list > 1 then run.step("set", list[math.min(4, #list)].n, "name", new_name(run)) end
end

function teams.transfer(run)
  local p, team = any(run, "Person"), any(run, "Team")
  if not p or not team then return end
  if once(run, 2) then run.step("relate", p.n, "team", team.n) else run.step("join", team.n, "members", p.n, "team") end
end

function teams.lead(run)
  local team, p = any(run, "Team"), any(run, "Person")
  if team and p then run.step("relate", team.n, "leader", p.n) end
end

function teams.swap_leaders(run)
  local list = shuffled(run, staying(run, "Team"))
  if not list[2] then return end
  local a, b = list[1], list[2]
  local first, second = a.to.leader, b.to.leader
  run.step("relate", a.n, "leader", second and second.n)
  run.step("relate", b.n, "leader", first and first.n)
end

-- What refers to a person goes too, or refers to another one.
local function fire(run, p, instead)
  for _, badge in ipairs(run.model:referring("Badge", "person", p)) do run.step("remove", badge.n) end
  for _, seat in ipairs(run.model:referring("Seat", "guest", p)) do run.step("relate", seat.n, "guest", nil) end
  for _, team in ipairs(run.model:referring("Team", "leader", p)) do
    if instead then run.step("relate", team.n, "leader", instead.n) end
  end
  run.step("remove", p.n)
end

function teams.fire(run)
  local p, instead = any(run, "Person"), any(run, "Person")
  if p and p ~= instead then fire(run, p, instead) end
end

-- A team with all that belongs to it: the ring of foreign keys goes at once.
function teams.dissolve(run)
  local list = shuffled(run, staying(run, "Team"))
  local team, other = list[1], list[2]
  if not other then return end
  for _, task in ipairs(run.model:referring("Task", "team", team)) do tasks.drop(run, task) end
  for _, p in ipairs(run.model:referring("Person", "team", team)) do
    local leads
    for _, each in ipairs(run.model:referring("Team", "leader", p)) do leads = leads or each ~= team end
    if leads or once(run, 3) then run.step("relate", p.n, "team", other.n) else fire(run, p) end
  end
  run.step("remove", team.n)
end

--- Another person becomes the row: badge, seats and skills are that one's.
function teams.take_over_person(run)
  local p = any(run, "Person")
  if not p or not p.v.id or not p.to.team then return end
  local skill = run.model:members(p, "skills")[1]
  if skill and once(run, 2) then run.step("cut", p.n, "skills", skill.n) end
  run.step("remove", p.n)
  local n = number(run)
  run.step("make", n, "Person", { name = new_name(run) }, { team = p.to.team.n }, p.n)
  run.step("persist", n)
end

--- What a rollback has made new again.
function teams.come_back(run)
  local o = pick(run, run.model:all(nil, "lost"))
  if o then run.step("adopt", o.n) end
end

-- Badges --------------------------------------------------------------------------------------------------

function teams.badge(run)
  for _, p in ipairs(shuffled(run, staying(run, "Person"))) do
    if not run.model:referring("Badge", "person", p)[1] then
      local b = make(run, "Badge", { code = number(run) }, { person = not once(run, 3) and p.n or nil })
      if not b.to.person then run.step("join", p.n, "badge", b.n, "person") end
      return
    end
  end
end

-- Two swap their owners, three rotate them.
function teams.swap_badges(run)
  local list, owners = shuffled(run, staying(run, "Badge")), {}
  local count = math.min(#list, run.random(2) + 1)
  for i = 1, count do owners[i] = list[i].to.person end
  for i = 1, count do
    local owner = owners[i % count + 1]
    if owner and once(run, 2) then
      run.step("join", owner.n, "badge", list[i].n, "person")
    elseif owner then
      run.step("relate", list[i].n, "person", owner.n)
    end
  end
end

function teams.rotate_codes(run) rotate(run, staying(run, "Badge"), "code", run.random(3) + 1) end

--- A code below all others.
function teams.lower(run)
  local o = any(run, pick(run, { "Badge", "Seat" }))
  if o then run.step("set", o.n, "code", -number(run)) end
end

-- A badge is thrown away and its owner gets another one, perhaps with the same code.
function teams.replace_badge(run)
  local b = any(run, "Badge")
  if not b or not b.to.person then return end
  run.step("remove", b.n)
  make(run, "Badge", { code = once(run, 2) and b.v.code or number(run) }, { person = b.to.person.n })
end

return teams
