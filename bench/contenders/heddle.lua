--- Heddle, through what its contract promises and nothing else.

local heddle = { name = "Heddle" }
heddle.__index = heddle

local orm, Author

-- What a workload needs: the authors alone, authors with their books, or members (bench/database.lua).
local entities = {}

local function define_author(more)
  return orm.entity {
    name = "Author", table = "authors",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "email", type = "string" },
    { "age", type = "integer" },
    { "rating", type = "double" },
    { "created_at", type = "timestamp" },
    more,
  }
end

local function define_book()
  return orm.entity {
    name = "Book", table = "books",
    { "id", type = "integer", primary = true },
    { "title", type = "string" },
    { "pages", type = "integer" },
    { "author", many_to_one = "Author" },
  }
end

local function define_member()
  return orm.entity {
    name = "Member", table = "members",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "email", type = "string" },
    { "age", type = "integer" },
    { "rating", type = "double" },
    { "created_at", type = "timestamp" },
    { "version", type = "integer", version = true },
    { "notes", type = "json" },
    { "fee", type = "decimal", precision = 10, scale = 2 },
    { "mentor", many_to_one = "Member", nullable = true },
  }
end

function heddle.load()
  if orm then return end
  orm = require "heddle"
  Author = define_author()
  entities.authors = { Author }
  entities.books = { define_author { "books", one_to_many = "Book", mapped_by = "author" }, define_book() }
  entities.members = { Author, define_member() }
end

---@param source table of bench.database
---@param besides? "books"|"members"
---@param context? string
function heddle.open(source, besides, context)
  local self = { context = context or "bench", entities = entities[besides or "authors"] }
  local instance = orm.init {
    context_name = self.context, driver = source.driver, entities = self.entities,
    database = source.path or source.database,
    host = source.host, port = tonumber(source.port), user = source.user,
  }
  self.instance, self.global = instance, instance.em
  self.Author = self.entities[1]
  return setmetatable(self, heddle), instance
end

function heddle:load_all()
  self.em = self.global:fork()
  return self.em:find_all(self.Author)
end

function heddle:load_half(count)
  self.em = self.global:fork()
  return self.em:find(self.Author, { id = orm.op.lte(count) })
end

function heddle:load_rest()
  return self.em:find_all(self.Author)
end

function heddle:shelves(count)
  self.em = self.global:fork()
  return self.em:find(self.Author, { id = orm.op.lte(count) }, { populate = { "books" }, order_by = { "id" } })
end

function heddle.books_of(found)
  local list = {}
  for i, each in found.books:iter() do list[i] = each end
  return list
end

function heddle:find_each(keys)
  local em, rows, class = nil, {}, self.Author
  for i = 1, #keys do
    if i % 100 == 1 then em = self.global:fork() end
    rows[i] = em:find_one(class, keys[i])
  end
  return rows
end

function heddle:insert(rows)
  local em, created, class = self.global:fork(), {}, self.Author
  for i = 1, #rows do
    local author = em:create(class, rows[i])
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

-- How often the listener was called.
function heddle:revise()
  local told = 0
  self.instance:on("before_update", function() told = told + 1 end)
  local em = self.global:fork()
  local rows = em:find_all(self.entities[2])
  for i = 1, #rows do
    local row = rows[i]
    row.age = row.age + 1
  end
  em:flush()
  return told
end

function heddle:units(keys)
  local class = self.Author
  for i = 1, #keys do
    local em = self.global:fork()
    local row = em:find_one(class, keys[i])
    row.age = row.age + 1
    em:flush()
  end
end

function heddle:forget()
  self.em = nil
end

function heddle:close()
  orm.close(self.context)
end

return heddle
