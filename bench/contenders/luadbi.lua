--- LuaDBI, as one uses it who knows it: every statement prepared once, 100 rows written by each execution. PostgreSQL's
--- integers and floats arrive as numbers.

local authors = require "bench.authors"
local books = require "bench.books"
local shelves = require "bench.contenders.shelves"

local luadbi = { name = "LuaDBI", text_instants = true }
luadbi.__index = luadbi

local SELECT = "SELECT " .. authors.columns .. " FROM authors"
local BLOCK = 100
local unpack = table.unpack or unpack

-- SQLite names the columns of VALUES itself and takes numbers as they come; PostgreSQL wants to be told.
local texts = {
  sqlite = {
    insert = "INSERT INTO authors (name, email, age, rating, created_at) VALUES %s",
    update = "UPDATE authors SET age = given.column2 FROM (VALUES %s) AS given WHERE authors.id = given.column1",
  },
  postgres = {
    insert = "INSERT INTO authors (name, email, age, rating, created_at) VALUES %s RETURNING id",
    update = "UPDATE authors SET age = given.age FROM (VALUES %s) AS given (id, age) WHERE authors.id = given.id",
  },
}

local function prepare(conn, text, group, count)
  return assert(conn:prepare((text:gsub("%%s", group .. (", " .. group):rep(count - 1)))))
end

function luadbi.load(driver)
  luadbi.DBI = require "DBI"
  require(driver == "sqlite" and "dbd.sqlite3" or "dbd.postgresql")
end

local function connect(source)
  local DBI = luadbi.DBI
  if source.driver == "sqlite" then return assert(DBI.Connect("SQLite3", source.path)) end
  return assert(DBI.Connect("PostgreSQL", source.database, source.user, nil, source.host, source.port))
end

local function run(conn, sql)
  local statement = assert(conn:prepare(sql))
  assert(statement:execute())
  statement:close()
end

-- Statements that only one workload has, and only its database has the table for.
local function prepare_shelves(conn)
  return {
    authors = assert(conn:prepare(SELECT .. " WHERE id <= ? ORDER BY id")),
    books = assert(conn:prepare("SELECT " .. books.columns .. " FROM books WHERE author_id <= ?")),
  }
end

function luadbi.open(source, besides)
  local conn = connect(source)
  conn:autocommit(true)
  if source.driver == "sqlite" then
    run(conn, "PRAGMA journal_mode = WAL")
    run(conn, "PRAGMA synchronous = NORMAL")
  else
    run(conn, "SET timezone = 'UTC'")
  end
  local text, pair = texts[source.driver], source.driver == "sqlite" and "(?, ?)" or "(?::int, ?::int)"
  return setmetatable({
    conn = conn, driver = source.driver, shelf = besides == "books" and prepare_shelves(conn) or {},
    statements = {
      load = assert(conn:prepare(SELECT)),
      find = assert(conn:prepare(SELECT .. " WHERE id = ?")),
      save = assert(conn:prepare("UPDATE authors SET age = ? WHERE id = ?")),
      insert = prepare(conn, text.insert, "(?, ?, ?, ?, ?)", 1),
      insert_block = prepare(conn, text.insert, "(?, ?, ?, ?, ?)", BLOCK),
      update_block = prepare(conn, text.update, pair, BLOCK),
    },
  }, luadbi)
end

local function read(statement, ...)
  local rows, n = {}, 0
  assert(statement:execute(...))
  for row in statement:rows(true) do
    n = n + 1
    rows[n] = row
  end
  return rows
end

function luadbi:load_all()
  return read(self.statements.load)
end

function luadbi:shelves(count)
  return shelves.fill(read(self.shelf.authors, count), read(self.shelf.books, count))
end

luadbi.books_of = shelves.books_of

local function find(statement, key)
  assert(statement:execute(key))
  return statement:fetch(true)
end

function luadbi:find_each(keys)
  local statement, rows = self.statements.find, {}
  for i = 1, #keys do rows[i] = find(statement, keys[i]) end
  return rows
end

-- Calls fn(first, last) for blocks of `size`, and gives the first row that fits into none.
local function each_block(rows, size, fn)
  local first = 1
  while first + size - 1 <= #rows do
    fn(first, first + size - 1)
    first = first + size
  end
  return first
end

function luadbi:insert_rows(statement, rows, first, last)
  local values, n = {}, 0
  for i = first, last do
    local row = rows[i]
    values[n + 1], values[n + 2], values[n + 3] = row.name, row.email, row.age
    values[n + 4], values[n + 5] = row.rating, row.created_at
    n = n + 5
  end
  assert(statement:execute(unpack(values, 1, n)))
  local before = self.driver == "sqlite" and self.conn:last_id() - (last - first + 1)
  for i = first, last do rows[i].id = before and before + i - first + 1 or statement:fetch()[1] end
end

function luadbi:insert(rows)
  local statements = self.statements
  self.conn:autocommit(false)
  local rest = each_block(rows, BLOCK, function(first, last)
    self:insert_rows(statements.insert_block, rows, first, last)
  end)
  for i = rest, #rows do self:insert_rows(statements.insert, rows, i, i) end
  self.conn:commit()
  self.conn:autocommit(true)
  return rows
end

function luadbi:update(rows)
  local statements = self.statements
  self.conn:autocommit(false)
  local rest = each_block(rows, BLOCK, function(first, last)
    local values, n = {}, 0
    for i = first, last do
      values[n + 1], values[n + 2] = rows[i].id, rows[i].age
      n = n + 2
    end
    assert(statements.update_block:execute(unpack(values, 1, n)))
  end)
  for i = rest, #rows do assert(statements.save:execute(rows[i].age, rows[i].id)) end
  self.conn:commit()
  self.conn:autocommit(true)
end

function luadbi:age(rows, step)
  local changed = {}
  for i = step, #rows, step do
    local row = rows[i]
    row.age = row.age + 1
    changed[#changed + 1] = row
  end
  self:update(changed)
end

function luadbi:units(keys)
  local find_statement, save_statement = self.statements.find, self.statements.save
  for i = 1, #keys do
    local row = find(find_statement, keys[i])
    row.age = row.age + 1
    assert(save_statement:execute(row.age, row.id))
  end
end

function luadbi:close()
  for _, statement in pairs(self.statements) do statement:close() end
  for _, statement in pairs(self.shelf) do statement:close() end
  self.conn:close()
end

return luadbi
