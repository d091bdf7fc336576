--- What nginx answers in the bench: the same row, fetched in several ways.

local core = require "heddle.core"
local orm = require "heddle"
local wait = require "heddle.wait"

local cosocket = require "bench.openresty.cosocket"

local ngx = ngx

local handlers = {}

local SIZE = tonumber(os.getenv "BENCH_POOL")
local DATABASE = {
  host = os.getenv "BENCH_HOST", port = tonumber(os.getenv "BENCH_PORT"), user = os.getenv "BENCH_USER",
  name = os.getenv "BENCH_DATABASE",
}

local Author = orm.entity {
  name = "Author", table = "authors",
  { "id", type = "integer", primary = true },
  { "name", type = "string" },
  { "email", type = "string" },
  { "age", type = "integer" },
  { "rating", type = "double" },
  { "created_at", type = "timestamp" },
}

local context = orm.init {
  context_name = "bench", driver = "postgres", entities = { Author }, host = DATABASE.host, port = DATABASE.port,
  user = DATABASE.user, database = DATABASE.name, pool = { max = SIZE },
}

local function answer(row)
  ngx.print(row.id, "|", row.name, "|", row.email, "|", row.age, "|", row.rating)
end

local function key()
  return tonumber(ngx.var.arg_id)
end

-- A server that only answers ----------------------------------------------------------------------------------

local constant = { id = 1, name = "Author 1", email = "author1@example.org", age = 19, rating = 0.1 }

function handlers.hello()
  answer(constant)
end

-- Heddle ------------------------------------------------------------------------------------------------------

function handlers.heddle_find()
  orm.request_context(function()
    answer(orm.em("bench"):find_one(Author, key()))
  end)
end

function handlers.heddle_unit()
  orm.request_context(function()
    local em = orm.em("bench")
    local author = em:find_one(Author, key())
    author.age = author.age + 1
    em:flush()
    answer(author)
  end)
end

-- By hand, on what Heddle waits with --------------------------------------------------------------------------

local COLUMNS = "id, name, email, age, rating, created_at"

local by_key = core.query("SELECT " .. COLUMNS .. " FROM authors WHERE id = $1", { { type = "integer" } }, {
  { type = "integer" }, { type = "string" }, { type = "string" }, { type = "integer" }, { type = "double" },
  { type = "timestamp" },
})
local free = {}

function handlers.floor_find()
  local link = table.remove(free) or context.pool:link()
  local rows = {}
  local status = wait.drive(link, context, link:start(by_key, { key() }, 1))
  while status == wait.ROW do status = wait.drive(link, context, link:arrays(by_key, rows)) end
  if status == wait.FAILED then context:raise(link) end
  free[#free + 1] = link
  local row = rows[1]
  answer { id = row[1], name = row[2], email = row[3], age = row[4], rating = row[5], created_at = row[6] }
end

-- As the field does it ----------------------------------------------------------------------------------------

local function connect()
  return cosocket.connect(DATABASE.host, DATABASE.port, DATABASE.user, DATABASE.name, SIZE)
end

local function select(client, id)
  return client:query(("SELECT %s FROM authors WHERE id = %d"):format(COLUMNS, id))[1]
end

function handlers.cosocket_find()
  local client = connect()
  local row = select(client, key())
  client:keep()
  answer(row)
end

function handlers.cosocket_unit()
  local client = connect()
  local row = select(client, key())
  row.age = row.age + 1
  client:query(("UPDATE authors SET age = %d WHERE id = %d"):format(row.age, row.id))
  client:keep()
  answer(row)
end

return handlers
