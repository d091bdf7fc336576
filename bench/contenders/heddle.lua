--- Heddle, through what its contract promises and nothing else.

local heddle = { name = "Heddle" }
heddle.__index = heddle

local orm, Author

function heddle.load()
  orm = require "heddle"
  Author = Author or orm.entity {
    name = "Author", table = "authors",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "email", type = "string" },
    { "age", type = "integer" },
    { "rating", type = "double" },
    { "created_at", type = "timestamp" },
  }
end

function heddle.open(source)
  orm.init {
    context_name = "bench", driver = source.driver, entities = { Author },
    database = source.path or source.database,
    host = source.host, port = tonumber(source.port), user = source.user,
  }
  return setmetatable({ global = orm.em("bench") }, heddle)
end

function heddle:load_all()
  self.em = self.global:fork()
  return self.em:find_all(Author)
end

function heddle:find_each(keys)
  local em, rows
  rows = {}
  for i = 1, #keys do
    if i % 100 == 1 then em = self.global:fork() end
    rows[i] = em:find_one(Author, keys[i])
  end
  return rows
end

function heddle:insert(rows)
  local em, created = self.global:fork(), {}
  for i = 1, #rows do
    local author = em:create(Author, rows[i])
    em:persist(author)
    created[i] = author
  end
  em:flush()
  return created
end

heddle.copy = heddle.insert

-- Rows are what load_all gave last.
function heddle:age(rows, step)
  for i = step, #rows, step do
    local row = rows[i]
    row.age = row.age + 1
  end
  self.em:flush()
end

function heddle:units(keys)
  for i = 1, #keys do
    local em = self.global:fork()
    local row = em:find_one(Author, keys[i])
    row.age = row.age + 1
    em:flush()
  end
end

function heddle:forget()
  self.em = nil
end

function heddle.close()
  orm.close("bench")
end

return heddle
