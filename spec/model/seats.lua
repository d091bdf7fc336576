--- Operations on seats, whose key is the program's and has two columns.

local chance = require("spec.model.chance")

local seats = {}

local any, make, pick, staying = chance.any, chance.make, chance.pick, chance.staying
local once, next_number, new_name, rotate = chance.once, chance.number, chance.name, chance.rotate

local function free_seat(run)
  local taken = {}
  for _, o in ipairs(run.model:all("Seat", "fresh", "new", "managed", "removed")) do taken[run.model:key(o)] = true end
  for _ = 1, 20 do
    local hall, number = ("h" .. run.random(3)), run.random(5)
    if not taken[hall .. "," .. number] then return hall, number end
  end
end

function seats.seat(run)
  local hall, number = free_seat(run)
  local guest = any(run, "Person")
  if not hall then return end
  make(run, "Seat", { hall = hall, number = number, code = next_number(run), price = once(run, 2) and 5 or nil },
    { guest = guest and guest.n })
end

function seats.change_seat(run)
  local seat, guest = any(run, "Seat"), any(run, "Person")
  if not seat then return end
  run.step("set", seat.n, "note", once(run, 2) and new_name(run) or nil)
  if once(run, 2) then run.step("relate", seat.n, "guest", guest and guest.n) end
end

function seats.rotate_seats(run) rotate(run, staying(run, "Seat"), "code", run.random(3) + 1) end

function seats.remove_seat(run)
  local seat = any(run, "Seat")
  if seat then run.step("remove", seat.n) end
end

-- Removed and made again under one key, with the same code or another one, or that of another seat.
function seats.replace_seat(run)
  local seat, other = any(run, "Seat"), any(run, "Seat")
  if not seat then return end
  run.step("remove", seat.n)
  local code = pick(run, { seat.v.code, next_number(run) })
  if other ~= seat and once(run, 3) then
    code = other.v.code
    run.step("set", other.n, "code", once(run, 2) and seat.v.code or next_number(run))
  end
  local n = next_number(run)
  run.step("make", n, "Seat", { hall = seat.v.hall, number = seat.v.number, code = code,
    note = once(run, 2) and "again" or nil }, {})
  run.step("persist", n)
end

return seats
