--- The floor: an expert's hand-written C (bench/floor).

local floor = { name = "floor" }
floor.__index = floor

function floor.load(driver)
  floor[driver] = require("bench.floor_" .. driver)
end

function floor.open(source)
  return setmetatable({ driver = source.driver, db = floor[source.driver].open(source.path or source.conninfo) }, floor)
end

function floor:load_all()
  return self.db:load()
end

function floor:find_each(keys)
  local db, rows = self.db, {}
  for i = 1, #keys do rows[i] = db:find(keys[i]) end
  return rows
end

function floor:insert(rows)
  self.db:insert(rows)
  return rows
end

function floor:copy(rows)
  self.db:copy(rows)
  return rows
end

function floor:age(rows, step)
  local changed = {}
  for i = step, #rows, step do
    local row = rows[i]
    row.age = row.age + 1
    changed[#changed + 1] = row
  end
  self.db:update(changed)
end

function floor:units(keys)
  local db, transaction = self.db, self.driver == "sqlite"
  for i = 1, #keys do
    if transaction then db:begin() end
    local row = db:find(keys[i])
    row.age = row.age + 1
    db:save(row)
    if transaction then db:commit() end
  end
end

function floor:close()
  self.db:close()
end

return floor
