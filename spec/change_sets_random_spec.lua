-- Random work: what em:changes() says before a flush is what on_flush and after_flush are told, and asking changes
-- nothing. HEDDLE_SEED=n and HEDDLE_RUNS=n choose the work.

local chance = require "spec.support.chance"
local databases = require "spec.support.databases"
local orm = require "heddle"
local unit = require "spec.support.unit"

local Address = orm.embeddable { name = "Address",
    { "city", type = "string" },
    { "zip", type = "string", nullable = true },
}
local Author = orm.entity { name = "Author", table = "authors",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "price", type = "decimal", precision = 10, scale = 2, nullable = true },
    { "data", type = "json", nullable = true },
    { "address", embedded = Address, prefix = "address_", nullable = true },
    { "books", one_to_many = "Book", mapped_by = "author", cascade = { "persist", "remove" }, orphan_removal = true },
    { "tags", many_to_many = "Tag" },
    { "friend", many_to_one = "Author", nullable = true },
}
local Book = orm.entity { name = "Book", table = "books",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "author", many_to_one = "Author", nullable = true },
}
local Tag = orm.entity { name = "Tag", table = "tags",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "authors", many_to_many = "Author", mapped_by = "tags" },
}

local function describe_value(value)
    if value == orm.null then return "null" end
    if type(value) ~= "table" then return tostring(value) end
    if getmetatable(value) and getmetatable(value).is_heddle then return "<" .. value.name .. ">" end
    local parts = {}
    for k, v in pairs(value) do parts[#parts + 1] = tostring(k) .. "=" .. describe_value(v) end
    table.sort(parts)
    return "{" .. table.concat(parts, ",") .. "}"
end

-- One line for each change, sorted: names are unique, so that they tell entities apart.
local function lines(changes, only_ops)
    local list = {}
    for i, change in ipairs(changes) do
        local more = ""
        if change.op == "collection" then
            local names = {}
            for _, e in ipairs(change.added) do names[#names + 1] = "+" .. e.name end
            for _, e in ipairs(change.removed) do names[#names + 1] = "-" .. e.name end
            table.sort(names)
            more = change.property .. " " .. table.concat(names, " ")
        elseif not only_ops then
            more = describe_value(change.values) .. " was " .. describe_value(change.old)
        end
        list[i] = table.concat({ change.op, change.name, change.entity.name, more }, " ")
    end
    table.sort(list)
    return list
end

local random = math.random

local function pick(list) return list[random(#list)] end

local World = {}
World.__index = World

function World:name()
    self.count = self.count + 1
    return "n" .. self.count
end

local function keep(list, test)
    for i = #list, 1, -1 do
        if not test(list[i]) then table.remove(list, i) end
    end
end

local steps = {
    function(w)
        local author = Author { name = w:name(), price = pick { "1", "2.5" }, data = { n = random(3) } }
        if random(2) == 1 then author.address = Address { city = "c" .. random(3) } end
        w.authors[#w.authors + 1] = author
        w.em:persist(author)
    end,
    function(w)
        local book = Book { name = w:name(), author = pick(w.authors) }
        w.books[#w.books + 1] = book
        if random(2) == 1 then w.em:persist(book) end
    end,
    function(w)
        local tag = Tag { name = w:name() }
        w.tags[#w.tags + 1] = tag
        w.em:persist(tag)
    end,
    function(w) pick(w.authors).price = pick { "1", "1.00", "2.50", "3" } end,
    function(w) pick(w.authors).price = nil end,
    function(w) pick(w.authors).data = pick { { n = 1 }, { n = 2, m = { 1 } } } end,
    function(w)
        local data = pick(w.authors).data
        if data then data.n = random(3) end
    end,
    function(w)
        local author = pick(w.authors)
        if author.address and random(2) == 1 then
            author.address.zip = pick { "1", "2" }
        else
            author.address = random(3) > 1 and Address { city = "c" .. random(3) } or nil
        end
    end,
    function(w) pick(w.authors).friend = random(3) > 1 and pick(w.authors) or nil end,
    function(w)
        if #w.books > 0 then pick(w.books).author = pick(w.authors) end
    end,
    function(w)
        if #w.books > 0 then pick(w.authors).books:add(pick(w.books)) end
    end,
    function(w)
        local author = pick(w.authors)
        if author.books:is_initialized() and #author.books > 0 then author.books:remove(author.books[1]) end
    end,
    function(w)
        if #w.tags > 0 then pick(w.authors).tags:add(pick(w.tags)) end
    end,
    function(w)
        if #w.tags > 0 then pick(w.authors).tags:remove(pick(w.tags)) end
    end,
    function(w)
        if #w.tags > 0 then pick(w.tags).authors:add(pick(w.authors)) end
    end,
    function(w)
        if #w.books == 0 then return end
        local book = pick(w.books)
        if w.em:contains(book) then w.em:remove(book) end
    end,
    function(w)
        if #w.authors < 3 then return end
        local author = pick(w.authors)
        for _, other in ipairs(w.authors) do
            if other.friend == author then other.friend = nil end
        end
        if w.em:contains(author) then w.em:remove(author) end
    end,
}

-- The databases cannot hold all that is done: then everything is begun anew, which is part of the game.
local function forget(w)
    w.em:clear()
    w.authors, w.books, w.tags = w.em:find_all(Author, { populate = { "books", "tags" } }), w.em:find_all(Book),
        w.em:find_all(Tag, { populate = { "authors" } })
    if #w.authors == 0 then steps[1](w) end
end

local function names_of(collection)
    if not collection:is_initialized() then return "?" end
    local names = {}
    for i, e in ipairs(collection:items()) do names[i] = e.name end
    return table.concat(names, " ")
end

-- A deleted book's author is a reference of nobody.
local function known_name(e)
    return e and (rawget(e, "name") or e.id)
end

-- What the program can see.
local function memory(w)
    local seen = {}
    for _, author in ipairs(w.authors) do
        seen[#seen + 1] = { author.name, w.em:contains(author), author.price, describe_value(author.data or {}),
            known_name(author.friend), names_of(author.books), names_of(author.tags) }
    end
    for _, book in ipairs(w.books) do
        seen[#seen + 1] = { book.name, w.em:contains(book), known_name(book.author) }
    end
    for _, tag in ipairs(w.tags) do seen[#seen + 1] = { tag.name, w.em:contains(tag), names_of(tag.authors) } end
    return seen
end

local function run(w, moves)
    local told = {}
    for _, event in ipairs { "on_flush", "after_flush" } do
        w.offs[#w.offs + 1] = w.instance:on(event, function(changes) told[event] = changes end)
    end
    for _ = 1, moves do
        for _ = 1, random(6) do pick(steps)(w) end
        local was = memory(w)
        local before = lines(w.em:changes())
        assert.same(was, memory(w))
        assert.same(before, lines(w.em:changes()))
        told.on_flush, told.after_flush = nil, nil
        local ok, err = pcall(w.em.flush, w.em)
        if told.on_flush then
            assert.same(before, lines(told.on_flush))
        elseif ok then
            assert.same({}, before)
        end
        if ok then
            w.flushed = w.flushed + 1
            if told.on_flush then assert.same(lines(told.on_flush, true), lines(told.after_flush, true)) end
            assert.same({}, lines(w.em:changes()))
            keep(w.books, function(book) return w.em:contains(book) or random(2) == 1 end)
            keep(w.authors, function(author) return w.em:contains(author) end)
            if #w.authors == 0 then forget(w) end
        else
            if not orm.is_error(err) then error(err, 0) end
            assert.same(before, lines(w.em:changes())) -- what was pending is pending again
            forget(w)
        end
        if random(8) == 1 then forget(w) end
    end
    for _, off in ipairs(w.offs) do off() end
end

databases.each(function(db)
    it("F1: [" .. db.name .. "] em:changes() is what the flush will tell, and telling changes nothing", function()
        local seed = chance.seed(1)
        local runs = chance.runs(6)
        local flushed = 0
        for i = 1, runs do
            math.randomseed(seed + i)
            local work = unit.open(db, { Author, Book, Tag })
            local w = setmetatable({ em = work.em, instance = work.instance, count = 0, flushed = 0, authors = {},
                books = {}, tags = {}, offs = {} }, World)
            steps[1](w)
            local ok, err = pcall(run, w, 40)
            work:close()
            db:close()
            if not ok then error(("HEDDLE_SEED=%d HEDDLE_RUNS=1: %s"):format(seed + i - 1, tostring(err)), 0) end
            flushed = flushed + w.flushed
        end
        assert.is_true(flushed > runs * 20, flushed)
    end)
end)
