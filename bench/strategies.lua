--- The two ways to populate beside each other: time of strategy "joined" as a multiple of "select_in".
---
---     bench/strategies.sh
---
--- Each shape is read by a fresh entity manager; what is shown is the median of multiples, paired within a run. Below 1
--- the join is faster. A server over a network favours the join further: one round trip in the place of one a level.

local root = arg[0]:match("^(.*)/bench/[^/]*$") or "."
package.path = root .. "/?.lua;" .. package.path

local databases = require "spec.support.databases"
local orm = require "heddle"

local clock = require "bench.clock"

local RUNS = 15

local id = { "id", type = "integer", primary = true }
local Author = orm.entity {
  name = "Author", table = "authors", id, { "name", type = "string" }, { "bio", type = "string" },
  { "books", one_to_many = "Book", mapped_by = "author" }, { "awards", one_to_many = "Award", mapped_by = "author" },
}
local Book = orm.entity {
  name = "Book", table = "books", id, { "title", type = "string" }, { "pages", type = "integer" },
  { "author", many_to_one = "Author" }, { "tags", many_to_many = "Tag" },
}
local Tag = orm.entity { name = "Tag", table = "tags", id, { "name", type = "string" } }
local Award = orm.entity {
  name = "Award", table = "awards", id, { "name", type = "string" }, { "author", many_to_one = "Author" },
}

local function fill(em)
  local tags, authors, books, awards, pairs = {}, {}, {}, {}, {}
  for i = 1, 100 do tags[i] = { name = "tag " .. i } end
  for i = 1, 1000 do authors[i] = { name = "author " .. i, bio = ("words "):rep(20) } end
  for i = 1, 10000 do books[i] = { title = "title " .. i, pages = i % 900, author = (i - 1) % 1000 + 1 } end
  for i = 1, 10000 do awards[i] = { name = "award " .. i, author = (i - 1) % 1000 + 1 } end
  em:insert_many(Tag, tags)
  em:insert_many(Author, authors)
  em:insert_many(Book, books)
  em:insert_many(Award, awards)
  for i = 1, 10000 do
    for k = 1, 3 do pairs[#pairs + 1] = ("(%d, %d)"):format(i, (i * k) % 100 + 1) end
    if #pairs >= 900 or i == 10000 then
      em:execute("insert into books_tags (book_id, tag_id) values " .. table.concat(pairs, ", ")
        .. " on conflict do nothing")
      pairs = {}
    end
  end
end

local by_id = { "id" }
local shapes = {
  { "one row, to-one", Book, { id = 77 }, { populate = { "author" } } },
  { "one row, 10 members", Author, { id = 77 }, { populate = { "books" } } },
  { "one row, 10 members, 3 below each", Author, { id = 77 }, { populate = { "books.tags" } } },
  { "20 rows, 10 members each", Author, {}, { populate = { "books" }, order_by = by_id, limit = 20 } },
  { "10,000 rows, to-one", Book, {}, { populate = { "author" } } },
  { "1,000 rows, 10 members each", Author, {}, { populate = { "books" } } },
  { "1,000 rows, 10 members, 3 below each", Author, {}, { populate = { "books.tags" } } },
  { "1,000 rows, two lists of 10 each: 100 rows each", Author, {}, { populate = { "books", "awards" } } },
}

local function median(list)
  table.sort(list)
  return list[math.floor((#list + 1) / 2)]
end

local function seconds(em, shape, strategy)
  local opts = { strategy = strategy }
  for name, value in pairs(shape[4]) do opts[name] = value end
  collectgarbage()
  local fork = em:fork()
  return (clock.measure(function() return fork:find(shape[2], shape[3], opts) end))
end

local function ratio(em, shape)
  local ratios = {}
  for run = 0, RUNS do
    local apart, joined = seconds(em, shape, "select_in"), seconds(em, shape, "joined")
    if run > 0 then ratios[run] = joined / apart end
  end
  return median(ratios)
end

local found = {}
for _, name in ipairs(databases.names()) do
  local db = databases.open(name)
  local instance = orm.init(db:config { entities = { Author, Book, Tag, Award }, allow_global_context = true })
  instance.schema:create()
  fill(instance.em)
  if name == "postgres" then instance.em:execute "analyze" end
  found[name] = {}
  for i, shape in ipairs(shapes) do found[name][i] = ratio(instance.em, shape) end
  orm.close()
  db:close()
end

print(("%-52s %s"):format("joined, as a multiple of select_in", table.concat(databases.names(), "  ")))
for i, shape in ipairs(shapes) do
  local line = {}
  for k, name in ipairs(databases.names()) do line[k] = ("%" .. #name .. ".2f"):format(found[name][i]) end
  print(("%-52s %s"):format(shape[1], table.concat(line, "  ")))
end
