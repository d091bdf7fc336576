--- The operations and how often they are chosen.
---
---     operations.random(run)

local operations = {}

-- Of each room the operations, and how often.
local rooms = {
  { "spec.model.teams", {
    found = 2, hire = 4, rename = 2, rotate_names = 3, hand_on = 2, come_back = 3,
    take_over_person = 2, transfer = 2, lead = 1,
    swap_leaders = 1, fire = 2, dissolve = 1, badge = 3, swap_badges = 3, rotate_codes = 2,
    lower = 2, replace_badge = 1,
  } },
  { "spec.model.skills", {
    skill = 3, improve = 1, learn = 4, unlearn = 2, arrange = 2, forget_skill = 1, replace_skill = 1,
  } },
  { "spec.model.seats", {
    seat = 3, change_seat = 2, rotate_seats = 1, remove_seat = 1, replace_seat = 3,
  } },
  { "spec.model.locks", {
    lock = 2, rekey = 2, scrap = 1,
  } },
  { "spec.model.tasks", {
    insert = 5, remove = 2, replace = 1, swap = 3, reverse = 1, shift = 1, move = 2, exchange = 1, reparent = 3,
    take_over = 1,
  } },
}

local bag = {}
for _, room in ipairs(rooms) do
  local names = {}
  for name in pairs(room[2]) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    for _ = 1, room[2][name] do bag[#bag + 1] = require(room[1])[name] end
  end
end

function operations.random(run) bag[run.random(#bag)](run) end

return operations
