-- I7 with graphs: populated relations of every kind, collections that were read in part, what is pending in them. An
-- entity manager that is dropped takes all of it along, on every interpreter.

local orm = require "heddle"
local databases = require "spec.support.databases"
local library = require "spec.support.library"

local op = orm.op
local Author, Book, Tag, Playlist, Student = library.Author, library.Book, library.Tag, library.Playlist,
    library.Student

-- Calls on a stack of its own: what a call leaves on the stack when it has ended is reachable for a while.
local function apart(fn, ...)
    return coroutine.wrap(fn)(...)
end

local function collect()
    for _ = 1, 4 do collectgarbage() end
end

local function watch()
    local watched = setmetatable({}, { __mode = "v" })
    local count = 0
    local function add(value)
        count = count + 1
        watched[count] = value
        return value
    end
    local function alive()
        collect()
        local n = 0
        for i = 1, count do n = n + (watched[i] ~= nil and 1 or 0) end
        return n
    end
    return add, alive
end

local everything = { "books.tags.books", "books.editor", "edited", "profile", "friends.fans" }
local parts = {
    { "books", where = { title = op.ne "A2" }, populate = { { "tags", limit = 1, fields = { "weight" } } } },
    { "edited", limit = 1, order_by = { "title desc" } }, { "profile", where = { site = "x" } },
    { "friends", where = { name = "Ben" }, populate = { "fans" } },
}

databases.each(function(db)
    describe("I7:", function()
        local work

        before_each(function()
            work = library.open(db)
        end)

        after_each(function()
            work:close()
            db:close()
        end)

        -- The graph of an entity manager, every instance and collection watched; with what is pending in it.
        local function build(em, add, populate, strategy)
            local authors = em:find(Author, {}, { populate = populate, order_by = { "id" }, strategy = strategy })
            for _, author in ipairs(authors) do
                add(author)
                for _, name in ipairs { "books", "edited", "friends" } do
                    add(author[name])
                    for _, member in author[name]:iter() do add(member) end
                end
                for _, book in author.books:iter() do
                    add(book.tags)
                    for _, tag in book.tags:iter() do add(tag) end
                end
            end
            for _, list in ipairs(em:find(Playlist, {}, { populate = { { "tracks", limit = 2 } } })) do
                add(list)
                add(list.tracks[1])
            end
            for _, student in ipairs(em:find(Student, {}, { populate = { "courses.students", "enrolments" } })) do
                add(student)
                add(student.courses[1])
            end
            return authors
        end

        local function change(em, authors, add)
            local book = authors[1].books[1]
            book.tags:remove(em:find_one(Tag, "lua", { flush_mode = "commit" }))
            book.tags:add(add(em:create(Tag, { name = "new", weight = 1 })))
            authors[1].books:remove(book)
            authors[2].books:add(book)
            authors[1].friends:set { authors[3] }
            authors[3].books:add(add(em:create(Book, { title = "new" })))
        end

        -- No closures over entity managers: the traces of LuaJIT keep those that they call.
        local function write(em)
            em:flush()
            em:load(em:find_one(Author, 1), { "books.tags" })
        end

        local function roll_back(em)
            local ann = em:find_one(Author, 1)
            em:load(ann, parts)
            ann.books:remove_all()
            em:flush()
            error("rolled back")
        end

        for _, case in ipairs { { "whole", everything }, { "in part", parts }, { "joined", everything, "joined" },
            { "joined, in part", parts, "joined" } } do
            it("a dropped entity manager frees graphs, " .. case[1], function()
                local add, alive = watch()
                local function run()
                    local em = add(work.em:fork())
                    change(em, build(em, add, case[2], case[3]), add)
                end
                apart(run)
                assert.equal(0, alive())
                local function written()
                    local em = add(work.em:fork())
                    local authors = build(em, add, case[2], case[3])
                    change(em, authors, add)
                    em:transactional(write)
                    pcall(em.transactional, em, roll_back)
                end
                apart(written)
                assert.equal(0, alive())
            end)
        end

        it("graphs of nobody are freed", function()
            local add, alive = watch()
            local function run(populate)
                for _, author in ipairs(work.em:find(Author, {}, { populate = populate, managed = false })) do
                    add(author)
                    add(author.books)
                    for _, book in author.books:iter() do add(book) end
                end
            end
            apart(run, everything)
            apart(run, parts)
            assert.equal(0, alive())
        end)

        it("one instance that is kept keeps nothing else; a collection keeps its owner and members", function()
            local add, alive = watch()
            local function run(pick)
                local em = add(work.em:fork())
                return pick(build(em, add, parts))
            end
            local kept = apart(run, function(authors) return authors[1] end)
            assert.equal(1, alive())
            assert.equal("Ann", kept.name)
            kept = apart(run, function(authors) return authors[1].books end)
            assert.equal(3, alive()) -- itself, Ann and one book
            assert.equal("A1", kept[1].title)
            assert.equal(1, #kept)
            local ok, err = pcall(kept.load, kept)
            assert.is_false(ok)
            assert.equal("not_managed", err.kind)
        end)

        it("loading again and again in part does not grow", function()
            local em = work.em:fork()
            local authors = em:find(Author, {})
            local function run(count)
                work:forget()
                for i = 1, count do
                    em:load(authors, { { "books", where = { id = op.ne(i) }, populate = { { "tags", limit = 1 } } } })
                    authors[1].books:load { limit = 1, offset = i % 2 }
                end
            end
            run(300)
            work:forget()
            collect()
            local before = collectgarbage "count"
            run(600)
            work:forget()
            collect()
            assert.is_true(collectgarbage "count" - before < 150, collectgarbage "count" - before)
        end)
    end)
end)
