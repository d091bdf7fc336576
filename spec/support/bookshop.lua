--- A flush with something of everything in it, for specs that break it at every place.
--
--     local shop = require "spec.support.bookshop"
--     local work = unit.open(db, shop.entities)
--     shop.seed(work.raw)                       -- rows as they were before
--     local set = shop.change(em)               -- new, changed and removed entities of two tables, nothing flushed
--     local before = shop.dump(set)
--     ... em:flush() fails ...
--     assert.same(before, shop.dump(set))       -- what the program sees is what it was
--     assert.equal("before", shop.state(work.raw))
--     em:flush()
--     assert.equal("after", shop.state(work.raw))
--     shop.agree(set, work.raw)                 -- keys, versions and defaults of the instances are the rows'

local asserted = require "spec.support.asserted"
local orm = require "heddle"

local shop = {}

local Author = orm.entity { name = "Author", table = "authors",
    { "id", type = "integer", primary = true },
    { "name", type = "string", unique = true },
    { "version", type = "integer", version = true },
    { "rank", type = "integer", default_sql = "7" },
    { "created", type = "integer", on_create = function() return 1000 end },
    { "touched", type = "integer", nullable = true, on_update = function() return 2000 end },
    { "label", type = "string", nullable = true },
    { "price", type = "decimal", precision = 10, scale = 2, nullable = true },
    { "data", type = "json", nullable = true },
    hooks = {
        before_create = function(author) author.label = "made " .. author.name end,
        before_update = function(author) author.label = "kept " .. author.name end,
    },
}
local Book = orm.entity { name = "Book", table = "books",
    { "id", type = "integer", primary = true },
    { "title", type = "string" },
    { "author", many_to_one = "Author" },
    { "seen", type = "boolean", default = false },
}
shop.Author, shop.Book, shop.entities = Author, Book, { Author, Book }

--- Empties the tables and fills them.
function shop.seed(raw)
    raw:exec "delete from books"
    raw:exec "delete from authors"
    raw:exec [[insert into authors (id, name, version, rank, created, data) values
        (-1, 'Ann', 1, 7, 1000, '{"n":[1]}'), (-2, 'Bob', 4, 7, 1000, null), (-3, 'Cid', 1, 7, 1000, null)]]
    raw:exec [[insert into books (id, title, author_id, seen) values
        (-1, 'A1', -1, false), (-2, 'B1', -2, false), (-3, 'C1', -3, false)]]
end

--- New, changed and removed: gives a list of { label, instance }.
function shop.change(em)
    local ann, bob, cid = em:find_one(Author, -1), em:find_one(Author, -2), em:find_one(Author, -3)
    local a1, b1, c1 = em:find_one(Book, -1), em:find_one(Book, -2), em:find_one(Book, -3)
    local dot = Author { name = "Dot", price = "1.5" }
    local eve = Author { name = "Eve", data = { tags = { "x" } } }
    local d1, e1 = Book { title = "D1", author = dot }, Book { title = "E1", author = eve }
    em:persist(d1, e1, eve)
    ann.name, ann.price = "Anna", "2.5"
    ann.data.n[2] = 2
    bob.name = "Bobby"
    a1.title, a1.author = "A2", dot
    b1.seen = true
    em:remove(cid, c1)
    return { { "ann", ann }, { "bob", bob }, { "cid", cid }, { "a1", a1 }, { "b1", b1 }, { "c1", c1 }, { "dot", dot },
        { "eve", eve }, { "d1", d1 }, { "e1", e1 } }
end

local function copy(value)
    if type(value) ~= "table" then return value end
    local made = {}
    for key, item in pairs(value) do made[key] = copy(item) end
    return made
end

--- What a program sees of the entities: raw values, relations by label.
function shop.dump(set)
    local label_of, seen = {}, {}
    for _, item in ipairs(set) do label_of[item[2]] = item[1] end
    for _, item in ipairs(set) do
        local e = item[2]
        local values = {}
        for key, value in pairs(e) do values[key] = copy(value) end
        local author = orm.metadata(Book).by_name.author and getmetatable(e).definition.name == "Book" and e.author
        if author then values.author = label_of[author] or tostring(author.id) end
        seen[item[1]] = values
    end
    return seen
end

local function rows_of(raw)
    local text = {}
    for _, sql in ipairs {
        [[select a.name, a.version, a.rank, a.created, a.touched, a.label, a.price, a.id < 0
          from authors a order by a.name]],
        [[select b.title, a.name, b.seen, b.id < 0 from books b join authors a on a.id = b.author_id order by b.title]],
        [[select count(*) from books]],
    } do
        for _, row in ipairs(raw:rows(sql)) do
            for i, value in ipairs(row) do
                if value == false then value = "-" end
                if value == "t" then value = "1" end
                if value == "f" then value = "0" end
                row[i] = value
            end
            text[#text + 1] = table.concat(row, " ")
        end
    end
    return table.concat(text, "\n")
end

local before = [[
Ann 1 7 1000 - - - 1
Bob 4 7 1000 - - - 1
Cid 1 7 1000 - - - 1
A1 Ann 0 1
B1 Bob 0 1
C1 Cid 0 1
3]]

local after = [[
Anna 2 7 1000 2000 kept Anna 2.50 1
Bobby 5 7 1000 2000 kept Bobby - 1
Dot 1 7 1000 - made Dot 1.50 0
Eve 1 7 1000 - made Eve - 0
A2 Dot 0 1
B1 Bobby 1 1
D1 Dot 0 0
E1 Eve 0 0
4]]

--- "before", "after", or what else the database holds.
function shop.state(raw)
    local rows = rows_of(raw)
    if rows == before then return "before" end
    if rows == after then return "after" end
    return rows
end

local function differs(row, ...)
    for i = 1, select("#", ...) do
        local value = select(i, ...)
        if type(value) == "number" then value = ("%d"):format(value) end
        if not row or row[i] ~= (value or false) then return true end
    end
    return false
end

--- What the instances say that their rows are: keys, versions, defaults, foreign keys. After the flush.
function shop.agree(set, raw)
    asserted.note()
    for _, item in ipairs(set) do
        local label, e = item[1], item[2]
        local wrong
        if label == "cid" or label == "c1" then
            local left = "select id from authors where name = 'Cid' union select id from books where title = 'C1'"
            wrong = raw:value(left) ~= nil
        elseif e.title then
            local row = raw:rows(("select title, author_id from books where id = %d"):format(e.id))[1]
            wrong = differs(row, e.title, e.author.id)
        else
            local columns = "select name, version, rank, label, price from authors"
            local row = raw:rows(("%s where id = %d"):format(columns, e.id))[1]
            wrong = differs(row, e.name, e.version, e.rank, e.label, e.price)
        end
        if wrong then error("bookshop: " .. label .. " is not its row", 2) end
    end
end

return shop
