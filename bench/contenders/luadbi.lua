--- LuaDBI, as one uses it who knows it: every statement prepared once, rows written through it.

local authors = require "bench.authors"

local luadbi = { name = "LuaDBI", text_instants = true }
luadbi.__index = luadbi

local SELECT = "SELECT " .. authors.columns .. " FROM authors"
local INSERT = "INSERT INTO authors (name, email, age, rating, created_at) VALUES (?, ?, ?, ?, ?)"

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

function luadbi.open(source)
  local conn = connect(source)
  conn:autocommit(true)
  if source.driver == "sqlite" then
    run(conn, "PRAGMA journal_mode = WAL")
    run(conn, "PRAGMA synchronous = NORMAL")
  else
    run(conn, "SET timezone = 'UTC'")
  end
  local insert = source.driver == "sqlite" and INSERT or INSERT .. " RETURNING id"
  return setmetatable({
    conn = conn, driver = source.driver,
    load_statement = assert(conn:prepare(SELECT)),
    find_statement = assert(conn:prepare(SELECT .. " WHERE id = ?")),
    insert_statement = assert(conn:prepare(insert)),
    update_statement = assert(conn:prepare("UPDATE authors SET age = ? WHERE id = ?")),
  }, luadbi)
end

function luadbi:load_all()
  local statement, rows, n = self.load_statement, {}, 0
  assert(statement:execute())
  for row in statement:rows(true) do
    n = n + 1
    rows[n] = row
  end
  return rows
end

local function find(statement, key)
  assert(statement:execute(key))
  return statement:fetch(true)
end

function luadbi:find_each(keys)
  local statement, rows = self.find_statement, {}
  for i = 1, #keys do rows[i] = find(statement, keys[i]) end
  return rows
end

function luadbi:insert(rows)
  local conn, statement, sqlite = self.conn, self.insert_statement, self.driver == "sqlite"
  conn:autocommit(false)
  for i = 1, #rows do
    local row = rows[i]
    assert(statement:execute(row.name, row.email, row.age, row.rating, row.created_at))
    row.id = sqlite and conn:last_id() or statement:fetch()[1]
  end
  conn:commit()
  conn:autocommit(true)
  return rows
end

function luadbi:age(rows, step)
  local conn, statement = self.conn, self.update_statement
  conn:autocommit(false)
  for i = step, #rows, step do
    local row = rows[i]
    row.age = row.age + 1
    assert(statement:execute(row.age, row.id))
  end
  conn:commit()
  conn:autocommit(true)
end

function luadbi:units(keys)
  local find_statement, update_statement = self.find_statement, self.update_statement
  for i = 1, #keys do
    local row = find(find_statement, keys[i])
    row.age = row.age + 1
    assert(update_statement:execute(row.age, row.id))
  end
end

function luadbi:close()
  for _, name in ipairs { "load", "find", "insert", "update" } do self[name .. "_statement"]:close() end
  self.conn:close()
end

return luadbi
