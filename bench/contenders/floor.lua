--- The floor: an expert's hand-written C (bench/floor).

local floor = { name = "floor" }
floor.__index = floor

function floor.load(driver)
  floor[driver] = require("bench.floor_" .. driver)
  floor[driver .. "_more"] = require("bench.floor_more_" .. driver)
end

function floor.open(source, besides)
  local self = { driver = source.driver, db = floor[source.driver].open(source.path or source.conninfo) }
  if besides then self.more = floor[source.driver .. "_more"].open(source.path or source.conninfo) end
  return setmetatable(self, floor)
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

function floor:shelves(count)
  return self.more:shelves(count)
end

function floor.books_of(author)
  return author.books
end

function floor:revise()
  local rows = self.more:members()
  for i = 1, #rows do
    local row = rows[i]
    row.age = row.age + 1
  end
  self.more:revise(rows)
end

function floor:close()
  if self.more then self.more:close() end
  self.db:close()
end

return floor
