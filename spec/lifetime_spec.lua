-- Lives of entity managers: what is dropped is freed, on every interpreter (I7).

local orm = require "heddle"
local databases = require "spec.support.databases"
local unit = require "spec.support.unit"

local Author = orm.entity {
    name = "Author", table = "authors",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "bio", type = "text", nullable = true, lazy = true },
    { "secret", type = "json", nullable = true, hidden = true },
    { "mentor", many_to_one = "Author", nullable = true },
}

local Book = orm.entity {
    name = "Book", table = "books",
    { "id", type = "integer", primary = true },
    { "title", type = "string" },
    { "data", type = "json", nullable = true },
    { "author", many_to_one = "Author" },
}

local function collect()
    for _ = 1, 4 do collectgarbage() end
end

-- How much of what is put in survives a collection.
local function watch()
    local weak = setmetatable({}, { __mode = "v" })
    local watched = {}
    function watched.add(value)
        weak[#weak + 1] = value
        watched.count = (watched.count or 0) + 1
        return value
    end
    function watched.alive()
        collect()
        local n = 0
        for i = 1, watched.count do
            if weak[i] ~= nil then n = n + 1 end
        end
        return n
    end
    return watched
end

local function registry_size()
    local n = 0
    for _ in pairs(debug.getregistry()) do n = n + 1 end
    return n
end

local function kilobytes()
    collect()
    return collectgarbage "count"
end

databases.each(function(db)
    local work

    before_each(function()
        work = unit.open(db, { Author, Book })
        local em = work.em
        for i = 1, 20 do
            local author = em:create(Author, { name = "a" .. i, secret = { i } })
            em:persist(author)
            for k = 1, 5 do em:persist(em:create(Book, { title = "b" .. k, data = { k }, author = author })) end
        end
        em:flush()
        em:clear()
    end)

    after_each(function()
        work:close()
        db:close()
    end)

    -- Everything an entity manager can hold: relations both ways, overlays, partial rows, references, pending changes.
    local function fill(em, watched)
        local books = em:find(Book, {}, { populate = { "author" } })
        for _, book in ipairs(books) do
            watched.add(book)
            watched.add(book.author)
            watched.add(book.data)
        end
        books[1].author.mentor = books[99].author
        books[99].author.mentor = books[1].author
        books[1].author.secret = { "changed" }
        watched.add(books[1].author.secret)
        books[2].title = "changed"
        local new = watched.add(em:create(Book, { title = "new", author = books[1].author }))
        em:persist(new)
        em:remove(books[50])
        watched.add(em:get_reference(Author, 12345))
        watched.add(em:find(Author, { id = 3 }, { fields = { "name" }, flush_mode = "commit" })[1])
        return books
    end

    it("I7: a dropped fork is freed, and all that it managed", function()
        local watched = watch()
        local function run()
            local em = watched.add(work.em:fork())
            fill(em, watched)
        end
        run()
        assert.equal(0, watched.alive())
    end)

    it("I7: one instance that is kept keeps nothing else, and can still be read", function()
        local watched = watch()
        local function run()
            local em = watched.add(work.em:fork())
            local kept = em:find_one(Book, 7)
            fill(em, watched)
            return kept
        end
        local kept = run()
        local alive = watched.alive()
        assert.equal(2, alive) -- itself and its json value
        assert.equal(7, kept.id)
        assert.is_not_nil(kept.title)
        assert.is_truthy(tostring(kept):find "Book#7")
        kept.title = "still a table"
        assert.equal("still a table", kept.title)
    end)

    it("I7: after a flush, a rollback, a stream of new rows the same", function()
        local watched = watch()
        local function run()
            local em = watched.add(work.em:fork())
            local books = fill(em, watched)
            em:flush()
            books[3].title = "again"
            pcall(em.transactional, em, function(inner)
                books[4].title = "inside"
                inner:persist(watched.add(inner:create(Book, { title = "x", author = books[4].author })))
                inner:flush()
                error "no"
            end)
        end
        run()
        assert.equal(0, watched.alive())
    end)

    it("I7: a failed flush keeps nothing", function()
        local watched = watch()
        local function run()
            local em = watched.add(work.em:fork())
            local book = watched.add(em:create(Book, { title = "x", author = em:get_reference(Author, 12345) }))
            em:persist(book)
            watched.add(select(2, pcall(em.flush, em)))
        end
        run()
        work:forget() -- the log tells of the error
        assert.equal(0, watched.alive())
    end)

    it("I7: clear frees what was managed, and instances of before are of no entity manager", function()
        local watched = watch()
        local em = work.em:fork()
        local function run()
            local books = fill(em, watched)
            return books[1]
        end
        local kept = run()
        em:clear()
        assert.equal(2, watched.alive())
        assert.is_false(em:contains(kept))
        work:forget()
        em:flush()
        assert.equal(0, #work.log)
        local again = em:find_one(Book, kept.id)
        assert.are_not.equal(kept, again)
    end)

    it("I7: detach frees one, and its row can be read anew", function()
        local watched = watch()
        local em = work.em:fork()
        local function run()
            local book = watched.add(em:find_one(Book, 1))
            book.title = "not written"
            em:detach(book)
        end
        run()
        assert.equal(0, watched.alive())
        assert.equal("b1", em:find_one(Book, 1).title)
        em:flush()
        assert.equal("b1", work.raw:value "select title from books where id = 1")
    end)

    it("I7: find and detach in a loop does not grow", function()
        local em = work.em:fork()
        local function run(n)
            for _ = 1, n do
                for _, book in ipairs(em:find(Book, { author = 1 })) do em:detach(book) end
            end
        end
        run(50)
        work:forget()
        local before = kilobytes()
        -- Many turns: an interpreter's own tables grow by leaps, a leak with every turn.
        run(1000)
        work:forget()
        assert.is_true(kilobytes() - before < 200, "grew by " .. kilobytes() - before .. " KiB")
    end)

    it("I7: a request scope frees its forks, error or not", function()
        local watched = watch()
        local function run(fail)
            orm.request_context(function()
                local em = watched.add(orm.get_context())
                fill(em, watched)
                if fail then error "no" end
            end)
        end
        run(false)
        assert.equal(0, watched.alive())
        pcall(run, true)
        assert.equal(0, watched.alive())
    end)

    it("I7: scopes of coroutines that are given up are freed", function()
        local watched = watch()
        local function run()
            local co = watched.add(coroutine.create(function()
                orm.request_context(function()
                    local em = watched.add(orm.get_context())
                    watched.add(em:find_one(Book, 1))
                    coroutine.yield()
                end)
            end))
            assert(coroutine.resume(co))
        end
        for _ = 1, 10 do run() end
        assert.equal(0, watched.alive())
        assert.equal(0, work.instance:pool_stats().in_use)
    end)

    it("I7: unmanaged instances and their relations are freed", function()
        local watched = watch()
        local function run()
            local a, b = Author { name = "a" }, Author { name = "b" }
            a.mentor, b.mentor = b, a
            watched.add(a)
            watched.add(b)
            for _, book in ipairs(work.em:find(Book, {}, { managed = false })) do
                watched.add(book)
                watched.add(book.author)
            end
        end
        run()
        assert.equal(0, watched.alive())
    end)

    it("I7: ten thousand forks leave neither registry entries nor memory behind", function()
        local function run(n)
            for i = 1, n do
                local em = work.em:fork()
                local book = em:find_one(Book, i % 100 + 1)
                assert(book.author.id)
                if i % 100 == 0 then
                    book.title = "t" .. i
                    em:flush()
                end
            end
        end
        run(500)
        work:forget()
        collect()
        local entries, memory, stats = registry_size(), kilobytes(), work.instance:pool_stats()
        run(10000)
        work:forget()
        collect()
        assert.is_true(registry_size() <= entries + 2, registry_size() .. " entries after " .. entries)
        assert.is_true(kilobytes() - memory < 150, "grew by " .. kilobytes() - memory .. " KiB")
        assert.equal(stats.opened, work.instance:pool_stats().opened)
        assert.equal(0, work.instance:pool_stats().in_use)
    end)

    it("I7: a closed context is freed, entity managers and all", function()
        local watched = watch()
        local function run()
            local instance = orm.init(db:config { context_name = "other", entities = { Author, Book } })
            instance.schema:create()
            watched.add(instance)
            local em = watched.add(orm.em("other"):fork())
            em:persist(watched.add(em:create(Author, { name = "x" })))
            em:flush()
            instance:close()
        end
        run()
        assert.equal(0, watched.alive())
    end)
end)
