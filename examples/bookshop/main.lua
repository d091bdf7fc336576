-- A bookshop: relations of every kind, and what a unit of work makes of them. README.md tells it along.
--
--     lua5.4 main.lua                                    SQLite, nothing to start
--     DB_DRIVER=postgres DB_HOST=... lua5.4 main.lua     PostgreSQL; .env names the variables
local here = debug.getinfo(1, "S").source:match("^@(.*/)") or ""
package.path = here .. "?.lua;" .. package.path

local orm = require("heddle")

orm.env(here .. ".env")
local config = orm.config_from_env("DB", { entities = { "entities/*.lua" } })
-- A SQLite file lies beside this one, wherever the program is started from.
if config.driver == "sqlite" and not config.database:find("^/") then config.database = here .. config.database end
local shop = orm.init(config)
shop.schema:drop()
shop.schema:create()

local statements = 0
shop:on("query", function() statements = statements + 1 end)

local function say(format, ...) print("  " .. format:format(...)) end

-- Each chapter is a request of its own: a fresh identity map, as a web server would have it.
local function chapter(title, tell)
  print("\n" .. title)
  orm.request_context(function() tell(orm.em()) end)
end

local function names(list)
  local parts = {}
  for i, e in ipairs(list) do parts[i] = e.name or e.title end
  return table.concat(parts, ", ")
end

chapter("1. A catalogue is written from any side, in one flush", function(em)
  local crafts = em:create("Category", { name = "Crafts", position = 1 })
  local weaving = em:create("Category", { name = "Weaving", position = 1, parent = crafts })
  crafts.children:add(em:create("Category", { name = "Knitting", position = 2 }))
  local ann = em:create("Author", { name = "Ann", profile = em:create("Profile", { about = "Weaves and writes." }) })
  local loom, tool = em:create("Tag", { name = "loom" }), em:create("Tag", { name = "tool" })
  for i, title in ipairs({ "Looms", "Heddles", "Shuttles" }) do
    ann.books:add(em:create("Book", { isbn = ("978%010d"):format(i), title = title, price = "20.00", stock = 10,
      category = weaving, tags = i == 1 and { loom, tool } or { tool } }))
  end
  em:persist(crafts, ann):flush()
  say("%d books by %s, tagged: %s; %d statements", #ann.books, ann.name, names(ann.books[1].tags:items()), statements)
  say("the other side knows: %s", names(tool.books:items()))
end)

chapter("2. What is read is read by the level, never by the row", function(em)
  local before = statements
  local authors = em:find_all("Author", { populate = { "profile", "books.tags", "books.category.parent" } })
  local first = authors[1].books[1]
  say("%s: %s", authors[1].name, authors[1].profile.about)
  say("%s stands under %s > %s and is tagged %s", first:label(), first.category.parent.name, first.category.name,
    names(first.tags:items()))
  say("%d queries", statements - before)
end)

chapter("3. Collections work before they are loaded", function(em)
  local book = em:find_one("Book", "9780000000002")
  local ok, err = pcall(function() return #book.tags end)
  say("%s: %s", tostring(ok), err.kind)
  book.tags:remove(em:find_one("Tag", { name = "tool" }))
  book.tags:add(em:create("Tag", { name = "string" }))
  em:flush()
  say("%d tag, by the database: %s", book.tags:load_count(), names(book.tags:load():items()))
end)

chapter("4. An order and its lines", function(em)
  local order = em:create("Order", { customer = em:create("Customer", { email = "ben@example.com" }) })
  order:put(em:find_one("Book", "9780000000001"), 2)
  order:put(em:find_one("Book", "9780000000003"))
  em:persist_and_flush(order)
  say("order %d of %s: %d lines, placed %s", order.id, order.customer.email, #order.lines,
    type(order.placed_at) == "number" and "now" or "?")
  order.lines:remove(order.lines[2]) -- an orphan: deleted
  em:flush()
  say("after a line was removed: %d", em:count("OrderLine", { order = order }))
end)

chapter("5. An order that cannot be met takes nothing from the shelf", function(em)
  local customer = em:find_one("Customer", { email = "ben@example.com" })
  local book = em:find_one("Book", "9780000000003")
  local order = em:create("Order", { customer = customer })
  order:put(book, 11)
  em:persist(order)
  local ok, err = pcall(em.flush, em)
  say("%s: %s of %s.%s", tostring(ok), err.kind, err.entity, err.property)
  order.lines[1].quantity, book.stock = 10, 0 -- mended, and written by the next flush
  em:flush()
  say("now %d are left, and the order has line %d", em:find_one("Book", book.isbn).stock, order.lines[1].number)
end)

chapter("6. Values that are unique change places", function(em)
  local crafts = em:find_one("Category", { name = "Crafts" }, { populate = { "children" } })
  say("before: %s", names(crafts.children:items()))
  local weaving, knitting = crafts.children[1], crafts.children[2]
  weaving.position, knitting.position = knitting.position, weaving.position
  em:flush()
  say("after:  %s", names(em:fork():find_one("Category", crafts.id, { populate = { "children" } }).children:items()))
end)

chapter("7. A list in an order of its own", function(em)
  local customer = em:find_one("Customer", { email = "ben@example.com" })
  customer.wishes = em:find_all("Book", { order_by = { "title desc" } })
  em:flush()
  local mine = em:fork():find_one("Customer", customer.id, { populate = { "wishes" } })
  say("wishes: %s", names(mine.wishes:items()))
end)

chapter("8. Removing", function(em)
  local crafts = em:find_one("Category", { name = "Crafts" })
  em:remove(crafts):flush() -- its children go by the cascade, though they were never read
  say("categories left: %d; books without one: %d", em:count("Category", {}), em:count("Book", { category = orm.null }))
  local ok, err = pcall(function() em:remove(em:find_one("Author", { name = "Ann" })):flush() end)
  say("%s: %s", tostring(ok), err.kind)
end)

orm.close()
