-- The short way of populate gives what the long one does: the same work at random in two contexts, one of which is kept
-- from taking the short way. What collections show, what is managed, what is written and what is raised are the same
-- after every step.

local chance = require "spec.support.chance"
local children = require("heddle.populate.children").load
local databases = require "spec.support.databases"
local loop = require "spec.support.loop"
local managed = require "heddle.populate.managed"
local orm = require "heddle"

local pcall = require("heddle.compat").pcall -- 5.1's own cannot be yielded across

local RUNS, STEPS = 60, 40
local AUTHORS, BOOKS = 12, 40
local op = orm.op
local id = { "id", type = "integer", primary = true }

local Author = orm.entity { name = "LaneAuthor", table = "authors", id,
    { "name", type = "string" },
    { "books", one_to_many = "LaneBook", mapped_by = "author" },
    { "newest", one_to_many = "LaneBook", mapped_by = "editor", order_by = { "pages desc" } },
}
local Book = orm.entity { name = "LaneBook", table = "books", id,
    { "title", type = "string" },
    { "pages", type = "integer", nullable = true },
    { "data", type = "json", nullable = true },
    { "author", many_to_one = Author, nullable = true },
    { "editor", many_to_one = Author, nullable = true },
    { "notes", one_to_many = "LaneNote", mapped_by = "book" },
}
local Note = orm.entity { name = "LaneNote", table = "notes", id,
    { "text", type = "string" },
    { "book", many_to_one = Book, nullable = true },
}
-- Keys that are no numbers, and members that are read otherwise than they are stored.
local Shop = orm.entity { name = "LaneShop", table = "shops", { "id", type = "string", primary = true },
    { "items", one_to_many = "LaneItem", mapped_by = "shop" } }
local Item = orm.entity { name = "LaneItem", table = "items", id,
    { "body", type = "text", lazy = true, nullable = true }, { "shop", many_to_one = Shop } }

local entities = { Author, Book, Note, Shop, Item }

local function insert(raw, into, row)
    raw:exec(("insert into %s values (%s)"):format(into, row))
end

-- Members do not stand in the order of their keys, nor keys without gaps.
local function fill(raw, random)
    local order = {}
    for i = 1, AUTHORS do insert(raw, "authors (id, name)", ("%d, 'a%d'"):format(i > 8 and i + 3 or i, i)) end
    for i = 1, BOOKS do table.insert(order, random(i), i) end
    local function author()
        local i = random(AUTHORS + 2)
        return i > AUTHORS and "null" or tostring(i > 8 and i + 3 or i)
    end
    for _, i in ipairs(order) do
        insert(raw, "books (id, title, pages, data, author_id, editor_id)",
            ("%d, 'b%d', %d, '[%d]', %s, %s"):format(i, i, random(9), i, author(), author()))
    end
    for i = 1, BOOKS do
        insert(raw, "notes (id, text, book_id)", ("%d, 'n%d', %d"):format(BOOKS - i + 1, i, random(BOOKS)))
    end
end

local function open(db, name, seed)
    local instance = orm.init(db:config { context_name = name, entities = entities })
    instance.schema:create()
    local raw = db:raw(instance.config)
    fill(raw, chance.generator(seed))
    return { raw = raw, instance = instance, em = instance.em:fork(), seen = {}, numbers = {}, told = {}, depth = 0 }
end

-- What is done in both contexts -------------------------------------------------------------------------------

local function see(side, e)
    if not side.numbers[e] then
        side.seen[#side.seen + 1] = e
        side.numbers[e] = #side.seen
    end
    return side.numbers[e]
end

local function of_seen(side, at, class)
    local list = {}
    for _, e in ipairs(side.seen) do
        if getmetatable(e).class == class then list[#list + 1] = e end
    end
    return list[(at - 1) % math.max(#list, 1) + 1]
end

local wheres = {
    { id = op.lte(5) }, { id = op.gt(0) }, { id = op.gt(6) }, { id = op.one_of { 2, 5, 11 } }, { id = 3 },
    { id = op.one_of { 12, 1, 2, 3, 4 } }, { name = op.gt("a2") },
}
local populates = {
    { "books" }, { "books", "newest" }, { "books.notes" }, { "newest.notes", "books" }, { "books.author.books" },
    { { "books", where = { pages = op.gt(4) } } }, { { "books", limit = 1 } }, { { "books", fields = { "title" } } },
    { { "books", order_by = { "title desc" } } }, { "newest" },
}
local orders = { { "id" }, { "id desc" }, { "name" } }

local everything = { populate = { "books", "newest" }, order_by = { "id" } }

local steps = {}

function steps.find(random)
    local where = wheres[random(#wheres)]
    local opts = { populate = populates[random(#populates)], order_by = orders[random(#orders)] }
    if random(8) == 1 then opts.refresh = true end
    if random(8) == 1 then opts.limit = random(6) end
    return function(side)
        local found = {}
        for i, e in ipairs(side.em:find(Author, where, opts)) do found[i] = see(side, e) end
        return table.concat(found, " ")
    end
end

function steps.load(random)
    local at, name = random(100), random { "books", "newest" }
    return function(side)
        local list = side.em:find(Author, { id = op.gt(at % 5) })
        side.em:load(list, { name })
        return #list
    end
end

function steps.books(random)
    local limit = random(BOOKS)
    return function(side)
        for _, e in ipairs(side.em:find(Book, { id = op.lte(limit) }, { order_by = { "id" } })) do see(side, e) end
    end
end

function steps.shops()
    return function(side) return #side.em:find(Shop, { id = op.gt("") }, { populate = { "items" } }) end
end

local function members_of(side, e, name)
    local list = {}
    for i, each in ipairs(e[name]:items()) do list[i] = see(side, each) end
    return table.concat(list, " ")
end

function steps.look(random)
    local at, name = random(1000), random { "books", "newest" }
    return function(side)
        local e = of_seen(side, at, Author)
        return e and members_of(side, e, name)
    end
end

function steps.move(random)
    local at, to, name = random(1000), random(1000), random { "author", "editor" }
    return function(side)
        local e, author = of_seen(side, at, Book), of_seen(side, to, Author)
        if e then e[name] = to % 5 > 0 and author or nil end
    end
end

function steps.add(random)
    local at, to, method, name = random(1000), random(1000), random { "add", "remove" }, random { "books", "newest" }
    return function(side)
        local e, author = of_seen(side, at, Book), of_seen(side, to, Author)
        if e and author then author[name][method](author[name], e) end
    end
end

function steps.set(random)
    local at, to, rare = random(1000), random(1000), random(3) == 1
    return function(side)
        local e, author = of_seen(side, at, Book), of_seen(side, to, Author)
        if rare and e and author then author.books = { e } end
    end
end

function steps.create(random)
    local to, title = random(1000), "new" .. random(9)
    return function(side)
        local author = of_seen(side, to, Author)
        if not author then return end
        local e = side.em:create(Book, { title = title, author = author })
        side.em:persist(e)
        return see(side, e)
    end
end

function steps.author(random)
    local name = "new" .. random(9)
    return function(side)
        local e = side.em:create(Author, { name = name })
        side.em:persist(e)
        return see(side, e)
    end
end

function steps.change(random)
    local at, pages = random(1000), random(9)
    return function(side)
        local e = of_seen(side, at, Book)
        if e then e.pages = pages end
    end
end

local function with_book(method)
    return function(random)
        local at, rare = random(1000), random(2) == 1
        return function(side)
            local e = of_seen(side, at, Book)
            if rare and e and side.em:contains(e) then side.em[method](side.em, e) end
        end
    end
end

steps.remove, steps.detach, steps.reread = with_book "remove", with_book "detach", with_book "refresh"

function steps.leave(random)
    local at, rare = random(1000), random(3) == 1
    return function(side)
        local e = of_seen(side, at, Author)
        if rare and e and side.em:contains(e) then side.em:detach(e) end
    end
end

function steps.flush()
    return function(side) side.em:flush() end
end

function steps.begin()
    return function(side)
        if side.depth > 1 then return end
        side.em:begin()
        side.depth = side.depth + 1
    end
end

local function finish(what)
    return function()
        return function(side)
            if side.depth == 0 then return end
            side.depth = side.depth - 1
            side.em[what](side.em)
        end
    end
end

steps.commit, steps.rollback = finish "commit", finish "rollback"

function steps.elsewhere(random)
    local from, to = random(BOOKS), random(8)
    return function(side)
        if side.depth == 0 then
            side.raw:exec(("update books set author_id = %d, pages = 1 where id = %d"):format(to, from))
        end
    end
end

function steps.clear(random)
    local rare = random(2) == 1
    return function(side)
        if not rare or side.depth > 0 then return end
        side.em:clear()
        side.seen, side.numbers = {}, {}
    end
end

function steps.listen(random)
    local rare = random(6) == 1
    return function(side)
        if not rare or side.listens then return end
        side.listens = true
        side.instance:on("on_load", function(e) side.told[#side.told + 1] = tostring(e) end)
    end
end

local frequent = { "find", "find", "find", "find", "find", "find", "load", "books", "shops", "look", "look", "move",
    "move", "add", "add", "set", "create", "author", "change", "remove", "detach", "reread", "leave", "flush", "flush",
    "begin", "commit", "rollback", "elsewhere", "clear", "listen" }

-- What has become of it ---------------------------------------------------------------------------------------

local function shown(side, e, name)
    local ok, collection = pcall(function() return e[name] end)
    if not ok then return collection.kind end
    if not collection:is_initialized() then return "unknown" end
    local list = {}
    for i, each in ipairs(collection:items()) do list[i] = see(side, each) end
    return table.concat(list, " ")
end

local function led(side, e, name)
    local ok, target = pcall(function() return e[name] end)
    return ok and target and see(side, target) or ok and "none" or target.kind
end

local function memory(side, looks)
    local parts, at = {}, 1
    while looks and side.seen[at] do -- there may be more while it is looked at
        local e, class = side.seen[at], getmetatable(side.seen[at]).class
        parts[at] = ("%d %s %s"):format(at, tostring(e), tostring(side.em:contains(e)))
        if class == Author then
            parts[at] = parts[at] .. " | " .. shown(side, e, "books") .. " | " .. shown(side, e, "newest")
        else
            parts[at] = parts[at] .. " " .. led(side, e, "author") .. " " .. led(side, e, "editor")
        end
        at = at + 1
    end
    return table.concat(parts, "\n")
end

local function rows(side)
    local list = {}
    for i, row in ipairs(side.raw:rows "select id, pages, author_id, editor_id from books order by id") do
        list[i] = ("%s %s %s %s"):format(tostring(row[1]), tostring(row[2]), tostring(row[3]), tostring(row[4]))
    end
    return table.concat(list, "\n")
end

databases.each(function(db)
    describe("the short way of populate", function()
        local taken

        before_each(function()
            taken = 0
            managed.children = function(em, ...)
                if em.context_name == "long" then return nil end
                local members = children(em, ...)
                if members then taken = taken + 1 end
                return members
            end
        end)

        after_each(function()
            managed.children = children
            orm.use "blocking"
            loop.reset()
            orm.close()
            db:close()
        end)

        local function run(seed)
            local random = chance.generator(seed)
            local short, long = open(db, "short", seed), open(db, "long", seed)
            local done = {}
            for _ = 1, STEPS do
                local name = frequent[random(#frequent)]
                local step, looks = steps[name](random), random(3) == 1
                done[#done + 1] = name
                local ok, result = pcall(step, short)
                local ok_long, result_long = pcall(step, long)
                local trail = ("seed %d: %s\n%s\n%s"):format(seed, table.concat(done, " "), tostring(result),
                    tostring(result_long))
                assert.equal(ok_long, ok, trail)
                assert.equal(tostring(result_long), tostring(result), trail)
                assert.equal(memory(long, looks), memory(short, looks), trail)
                table.sort(long.told) -- rows come in whatever order is quickest
                table.sort(short.told)
                assert.same(long.told, short.told, trail)
                if short.depth == 0 then assert.equal(rows(long), rows(short), trail) end
            end
            -- Whatever became of the rows: for whom nobody knows anything of, this is the way.
            local before = taken
            for _, side in ipairs { short, long } do
                while side.depth > 0 do
                    side.depth = side.depth - 1
                    side.em:rollback()
                end
                side.em:clear()
                side.seen, side.numbers = {}, {}
                for _, e in ipairs(side.em:find(Author, { id = op.gt(0) }, everything)) do see(side, e) end
            end
            assert.equal(before + 2, taken, ("seed %d"):format(seed))
            assert.equal(memory(long, true), memory(short, true), ("seed %d"):format(seed))
            orm.close()
        end

        local function run_all(runs)
            local first, last = chance.range(runs)
            for seed = first, last do
                run(seed)
                db:close()
            end
        end

        it("I1 I3 F1: shows, writes and takes back what the long one does", function()
            run_all(RUNS)
        end)

        it("L1: does so when the database is waited for", function()
            orm.use(loop.wait)
            loop.spawn(run_all, RUNS / 4)
            loop.run()
        end)
    end)
end)
