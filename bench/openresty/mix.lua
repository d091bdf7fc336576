--- What nginx is kept busy with in the soak: a request of a kind that chance chooses, on PostgreSQL and SQLite. Answers
--- 200 when all went as it has to, failures that are meant included, and 500 when something did not.

local orm = require "heddle"

local ngx = ngx
local op = orm.op

local mix = {}

local ROWS = tonumber(os.getenv "SOAK_ROWS")

local Account = orm.entity {
  name = "Account", table = "accounts",
  { "id", type = "integer", primary = true },
  { "owner", type = "string", unique = true },
  { "balance", type = "integer" },
}

orm.init {
  context_name = "server", driver = "postgres", entities = { Account }, host = os.getenv "BENCH_HOST",
  port = tonumber(os.getenv "BENCH_PORT"), user = os.getenv "BENCH_USER", database = os.getenv "BENCH_DATABASE",
  pool = { max = tonumber(os.getenv "BENCH_POOL") },
}
orm.init {
  context_name = "file", driver = "sqlite", entities = { Account }, database = os.getenv "SOAK_FILE",
  pool = { max = 4 }, options = { busy_timeout = 20 },
}

local function some_id() return math.random(ROWS) end

-- Two of them, in an order in which nobody waits for each other.
local function two_ids()
  local a, b = some_id(), some_id()
  if a == b then b = a % ROWS + 1 end
  return math.min(a, b), math.max(a, b)
end

local function fails(kind, fn, ...)
  local ok, err = pcall(fn, ...)
  if ok or not orm.is_error(err, kind) then error(("not %s but %s"):format(kind, tostring(err)), 0) end
end

local function find(em)
  local id = some_id()
  local account = em:find_one(Account, id)
  assert(account.id == id and account.owner == "owner " .. id, "another row")
  assert(em:find_one(Account, id) == account, "another instance")
end

-- The sum of all balances stays what it was.
local function transfer(em)
  em:transactional(function(tx)
    local a, b = two_ids()
    local from = tx:find_one(Account, a, { lock = "pessimistic_write" })
    local to = tx:find_one(Account, b, { lock = "pessimistic_write" })
    from.balance, to.balance = from.balance - 1, to.balance + 1
  end)
end

local function roll_back(em)
  local reason = {}
  local ok, err = pcall(em.transactional, em, function(tx)
    tx:insert(Account, { id = ROWS + some_id(), owner = "lost " .. some_id(), balance = 1000000 })
    error(reason, 0)
  end)
  assert(not ok and err == reason, "another error")
end

local kinds = {}

function kinds.find() find(orm.em "server") end

function kinds.find_in_file() find(orm.em "file") end

function kinds.list()
  local list = orm.em "server":find(Account, { id = op.lte(50) }, { order_by = { "id" } })
  assert(#list == 50 and list[50].id == 50, "not fifty")
end

function kinds.transfer() transfer(orm.em "server") end

function kinds.transfer_in_file()
  local em = orm.em "file"
  em:transactional(function(tx)
    local a, b = two_ids()
    tx:execute("UPDATE accounts SET balance = balance - 1 WHERE id = ?", a) -- the lock first
    tx:find_one(Account, b).balance = op.raw "balance + 1"
  end)
end

function kinds.roll_back() roll_back(orm.em "server") end

function kinds.roll_back_in_file() roll_back(orm.em "file") end

function kinds.duplicate()
  local em = orm.em "server"
  em:persist(Account { id = ROWS + 1, owner = "owner 1", balance = 1000000 })
  fails("unique_violation", em.flush, em)
end

function kinds.too_slow()
  fails("timeout", orm.em "server".find, orm.em "server", Account, op.raw "(SELECT pg_sleep(2)) IS NULL",
    { timeout = 0.02 })
end

function kinds.broken_sql()
  fails("syntax", orm.em "file".execute, orm.em "file", "SELEKT 1")
end

-- The server ends the connection under the statement.
function kinds.killed()
  local em = orm.em "server"
  fails("connection", em.execute, em, "SELECT pg_terminate_backend(pg_backend_pid())")
end

function kinds.nap() orm.em "server":execute "SELECT pg_sleep(0.02)" end

-- A stream that is left before its end.
function kinds.stream()
  local count = 0
  for account in orm.em(math.random(2) == 1 and "server" or "file"):stream(Account, {}, { order_by = { "id" } }) do
    count = count + 1
    assert(account.id == count, "another row")
    if count == 300 then break end
  end
end

function kinds.light_threads()
  local threads = {}
  for i = 1, 4 do
    threads[i] = ngx.thread.spawn(function()
      local em = orm.em(i % 2 == 0 and "server" or "file"):fork()
      find(em)
      if i == 4 then transfer(em) end
    end)
  end
  for _, thread in ipairs(threads) do
    local ok, err = ngx.thread.wait(thread)
    if not ok then error(err, 0) end
  end
end

-- The request ends in the middle of a transaction, and nothing of it stays.
function kinds.exit()
  orm.em "server":transactional(function(tx)
    tx:insert(Account, { id = 2 * ROWS + some_id(), owner = "exit " .. ngx.var.request_id, balance = 1000000 })
    ngx.exit(200)
  end)
end

-- How often, in a hundred.
local WEIGHTS = {
  { "find", 30 }, { "find_in_file", 20 }, { "list", 5 }, { "transfer", 14 }, { "transfer_in_file", 6 },
  { "roll_back", 4 }, { "roll_back_in_file", 2 }, { "duplicate", 3 }, { "too_slow", 1 }, { "broken_sql", 2 },
  { "killed", 1 }, { "nap", 3 }, { "stream", 3 }, { "light_threads", 4 }, { "exit", 2 },
}

local chosen = {}
for _, item in ipairs(WEIGHTS) do
  for _ = 1, item[2] do chosen[#chosen + 1] = item[1] end
end

function mix.any()
  local name = ngx.var.arg_kind or chosen[math.random(#chosen)]
  local ok, err = pcall(orm.request_context, kinds[name])
  if ok then return ngx.print(name) end
  ngx.log(ngx.ERR, "soak: ", name, ": ", tostring(err))
  ngx.exit(500)
end

-- For clients that go away: in a transaction that has written, asleep or in a statement. nginx does not notice who went
-- before the request was begun, so that some come to their end.
function mix.hold()
  local reason = {}
  local ok, err = pcall(orm.request_context, function()
    orm.em(ngx.var.arg_on):transactional(function(tx)
      tx:insert(Account, { id = 3 * ROWS + some_id(), owner = "held " .. ngx.var.request_id, balance = 1000000 })
      if ngx.var.arg_how == "statement" then tx:execute "SELECT pg_sleep(1)" else ngx.sleep(1) end
      error(reason, 0)
    end)
  end)
  if not ok and err ~= reason then ngx.log(ngx.ERR, "soak: hold: ", tostring(err)) end
end

math.randomseed(ngx.worker.pid())

return mix
