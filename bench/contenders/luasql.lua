--- LuaSQL, as one uses it who knows it: no prepared statements there, so values are written into the text,
--- many rows a statement. PostgreSQL's values arrive as strings and stay so.

local authors = require "bench.authors"
local books = require "bench.books"
local shelves = require "bench.contenders.shelves"

local luasql = { name = "LuaSQL", text_instants = true }
luasql.__index = luasql

local BATCH = { sqlite = 100, postgres = 1000 }
local SELECT = "SELECT " .. authors.columns .. " FROM authors"

function luasql.load(driver)
  local name = driver == "sqlite" and "sqlite3" or "postgres"
  luasql[driver] = require("luasql." .. name)[name]
end

local function run(conn, sql)
  local result = assert(conn:execute(sql))
  if type(result) ~= "number" then result:close() end
end

function luasql.open(source)
  local env = luasql[source.driver]()
  local conn = assert(env:connect(source.path or source.conninfo))
  if source.driver == "sqlite" then
    run(conn, "PRAGMA journal_mode = WAL")
    run(conn, "PRAGMA synchronous = NORMAL")
  else
    run(conn, "SET timezone = 'UTC'")
  end
  return setmetatable({ env = env, conn = conn, driver = source.driver, batch = BATCH[source.driver] }, luasql)
end

local function read(conn, sql)
  local cursor, rows, n = assert(conn:execute(sql)), {}, 0
  local row = cursor:fetch({}, "a")
  while row do
    n = n + 1
    rows[n] = row
    row = cursor:fetch({}, "a")
  end
  cursor:close()
  return rows
end

function luasql:load_all()
  return read(self.conn, SELECT)
end

function luasql:shelves(count)
  return shelves.fill(read(self.conn, ("%s WHERE id <= %d ORDER BY id"):format(SELECT, count)),
    read(self.conn, ("SELECT %s FROM books WHERE author_id <= %d"):format(books.columns, count)))
end

luasql.books_of = shelves.books_of

local function find(conn, key)
  local cursor = assert(conn:execute((SELECT .. " WHERE id = %d"):format(key)))
  local row = cursor:fetch({}, "a")
  cursor:close()
  return row
end

function luasql:find_each(keys)
  local conn, rows = self.conn, {}
  for i = 1, #keys do rows[i] = find(conn, keys[i]) end
  return rows
end

local function insert_text(conn, rows, first, last)
  local values = {}
  for i = first, last do
    local row = rows[i]
    values[#values + 1] = ("('%s', '%s', %d, %.17g, '%s')"):format(conn:escape(row.name), conn:escape(row.email),
      row.age, row.rating, conn:escape(row.created_at))
  end
  return "INSERT INTO authors (name, email, age, rating, created_at) VALUES " .. table.concat(values, ", ")
end

function luasql:insert_batch(rows, first, last)
  local conn, sql = self.conn, insert_text(self.conn, rows, first, last)
  if self.driver == "sqlite" then
    assert(conn:execute(sql))
    local before = conn:getlastautoid() - (last - first + 1)
    for i = first, last do rows[i].id = before + i - first + 1 end
    return
  end
  local cursor = assert(conn:execute(sql .. " RETURNING id"))
  for i = first, last do rows[i].id = tonumber((cursor:fetch())) end
  cursor:close()
end

function luasql:insert(rows)
  self.conn:setautocommit(false)
  for first = 1, #rows, self.batch do
    self:insert_batch(rows, first, math.min(first + self.batch - 1, #rows))
  end
  self.conn:commit()
  self.conn:setautocommit(true)
  return rows
end

-- SQLite names the columns of VALUES itself; PostgreSQL lets the alias name them.
local UPDATE = {
  sqlite = { "UPDATE authors SET age = given.column2 FROM (VALUES ", ") AS given WHERE authors.id = given.column1" },
  postgres = { "UPDATE authors SET age = given.age FROM (VALUES ",
    ") AS given (id, age) WHERE authors.id = given.id" },
}

function luasql:update(rows)
  local text = UPDATE[self.driver]
  self.conn:setautocommit(false)
  for first = 1, #rows, self.batch do
    local values = {}
    for i = first, math.min(first + self.batch - 1, #rows) do
      values[#values + 1] = ("(%d, %d)"):format(rows[i].id, rows[i].age)
    end
    assert(self.conn:execute(text[1] .. table.concat(values, ", ") .. text[2]))
  end
  self.conn:commit()
  self.conn:setautocommit(true)
end

function luasql:age(rows, step)
  local changed = {}
  for i = step, #rows, step do
    local row = rows[i]
    row.age = row.age + 1
    changed[#changed + 1] = row
  end
  self:update(changed)
end

function luasql:units(keys)
  local conn = self.conn
  for i = 1, #keys do
    local row = find(conn, keys[i])
    row.age = row.age + 1
    assert(conn:execute(("UPDATE authors SET age = %d WHERE id = %d"):format(row.age, row.id)))
  end
end

function luasql:close()
  self.conn:close()
  self.env:close()
end

return luasql
