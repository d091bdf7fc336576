-- What em:create makes and em:persist takes: the first instance of an entity comes the long way, those behind it are
-- the core's, and nobody can tell them apart.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"
local unit = require "spec.support.unit"

local raises = expect.raises

local LONG = "a_name_of_a_property_that_is_longer_than_what_lua_interns"

local Author = orm.entity { name = "Author", table = "authors",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "age", type = "integer", nullable = true },
    { "rank", type = "integer", default_sql = "7", nullable = true },
    { "active", type = "boolean", default = false },
    { "level", type = "integer", default = 3, nullable = true },
    { "tags", type = "json", default = { "new" } },
    { "secret", type = "string", nullable = true, hidden = true },
    { LONG, type = "string", nullable = true, column = "long_one" },
    { "books", one_to_many = "Book", mapped_by = "author" },
}
local Book = orm.entity { name = "Book", table = "books",
    { "id", type = "integer", primary = true },
    { "title", type = "string" },
    { "pages", type = "integer", default = 100 },
    { "author", many_to_one = "Author", nullable = true },
}
local Code = orm.entity { name = "Code", table = "codes", -- keys of the program's
    { "code", type = "string", length = 8, primary = true },
    { "text", type = "string", nullable = true },
}
local Point = orm.entity { name = "Point", table = "points",
    { "x", type = "integer", primary = true }, { "y", type = "integer", primary = true },
    { "text", type = "string", nullable = true },
}
local Country = orm.entity { name = "Country", table = "countries", readonly = true,
    { "id", type = "integer", primary = true },
}
local Shape = orm.entity { name = "Shape", table = "shapes", discriminator_column = "kind",
    { "id", type = "integer", primary = true }, { "kind", type = "string" },
}
local Circle = orm.entity { name = "Circle", extends = Shape, { "radius", type = "integer", nullable = true } }
local entities = { Author, Book, Code, Point, Country, Shape, Circle }

local WIDE = 70 -- more properties with defaults than the core gives by itself

local function wide()
    local given = { name = "Wide", table = "wides", { "id", type = "integer", primary = true } }
    for i = 1, WIDE do given[#given + 1] = { "p" .. i, type = "integer", default = i } end
    return orm.entity(given)
end

local function raw_of(e)
    local values = {}
    for name, value in pairs(e) do values[name] = value end
    return values
end

databases.each(function(db)
    describe("created", function()
        local work, em

        local function open(more, overrides)
            local list = {}
            for _, item in ipairs(entities) do list[#list + 1] = item end
            for _, item in ipairs(more or {}) do list[#list + 1] = item end
            work = unit.open(db, list, overrides)
            em = work.em
        end

        after_each(function()
            orm.close()
            db:close()
        end)

        -- What happens twice: the long way, and then the core's.
        local function twice(fn)
            for i = 1, 2 do fn(i) end
        end

        it("10,000 rows are written in the order of their coming, and have their keys", function()
            open()
            local made = {}
            for i = 1, 10000 do
                made[i] = em:create(Book, { title = "t" .. i, pages = i % 2 == 0 and i or nil })
                em:persist(made[i])
            end
            em:flush()
            local rows = work.raw:rows "select id, title, pages from books order by id"
            assert.equal(10000, #rows)
            for i, row in ipairs(rows) do
                assert(row[1] == ("%d"):format(made[i].id) and row[2] == "t" .. i
                    and row[3] == ("%d"):format(i % 2 == 0 and i or 100), "row " .. i)
                assert(em:contains(made[i]) and em:find_one(Book, made[i].id) == made[i], "instance " .. i)
            end
        end)

        it("data is left as it was; defaults are given where it says nothing, tables to each its own", function()
            open()
            local seen
            twice(function()
                local data = { name = "Ann", age = 7, [LONG] = "long" }
                local e = em:create(Author, data)
                assert.same({ name = "Ann", age = 7, active = false, level = 3, tags = { "new" }, [LONG] = "long" },
                    raw_of(e))
                assert.same({ name = "Ann", age = 7, [LONG] = "long" }, data)
                assert.is_nil(getmetatable(data))
                assert.are_not.equal(seen, e.tags)
                seen = e.tags
                local given = em:create(Author, { name = "Bob", active = true, level = orm.null, rank = orm.null,
                    secret = "s", tags = { 1 } })
                assert.same({ name = "Bob", active = true, rank = orm.null, tags = { 1 } }, raw_of(given))
                assert.equal("s", given.secret)
                em:persist(e, given)
                em:flush()
            end)
            local one = { "Ann", "7", "7", "3", "long", false }
            local other = { "Bob", false, false, false, false, "s" }
            assert.same({ one, other, one, other },
                work.raw:rows "select name, age, rank, level, long_one, secret from authors order by id")
        end)

        it("what stands for no data at all, for an instance or for no table is the same both times", function()
            open()
            twice(function()
                assert.same({ pages = 100 }, raw_of(em:create(Book)))
                assert.same({ pages = 100 }, raw_of(em:create(Book, {})))
                assert.same({ pages = 100 }, raw_of(Book()))
                local book = em:create(Book, { title = "x" })
                raises("validation", function() em:create(Book, book) end, "Book takes a plain table", "an instance")
                raises("validation", function() em:create(Book, "x") end, "Book takes a plain table", "a string")
                raises("validation", function() em:create(Book, false) end, "a boolean")
                raises("validation", function() Book(book) end, "Book takes a plain table", "an instance")
                raises("validation", function() Book(1) end, "a number")
                raises("unknown_property", function() em:create(Book, { title = "x", titel = "y" }) end, "titel")
                raises("unknown_property", function() em:create(Book, { "x" }) end, "Book")
                raises("unknown_property", function() Book { titel = "y" } end, "titel")
                raises("validation", function() em:create(Book, { author = "x" }) end, "Author.id")
            end)
        end)

        it("more defaults than the core gives are given all the same", function()
            local Wide = wide()
            open { Wide }
            twice(function()
                local e = em:create(Wide, { p2 = 0, ["p" .. WIDE] = 1 })
                for i = 1, WIDE do
                    assert(e["p" .. i] == (i == 2 and 0 or i == WIDE and 1 or i), "p" .. i)
                end
            end)
        end)

        it("names, relations by key and as data, and entities by name", function()
            open()
            local ann = em:create("Author", { name = "Ann" })
            em:persist(ann)
            em:flush()
            twice(function(i)
                local by_key = em:create("Book", { title = "a" .. i, author = ann.id })
                local by_data = em:create(Book, { title = "b" .. i, author = { name = "new" .. i } })
                assert.equal(ann, by_key.author)
                em:persist(by_key, by_data)
            end)
            em:flush()
            assert.same({ { "a1", "Ann" }, { "a2", "Ann" }, { "b1", "new1" }, { "b2", "new2" } }, work.raw:rows
                "select b.title, a.name from books b join authors a on a.id = b.author_id order by b.title")
        end)

        it("on_init: who begins to listen is told from then on, who ends is not", function()
            open()
            local told = {}
            local function listen() return work.instance:on("on_init", function(e) told[#told + 1] = e end) end
            em:create(Book, { title = "1" })
            local off = listen()
            local second, third = em:create(Book, { title = "2" }), em:fork():create(Book, { title = "3" })
            off()
            em:create(Book, { title = "4" })
            off = listen()
            local fifth = em:create(Book, { title = "5" })
            off()
            assert.equal(3, #told)
            assert.is_true(told[1] == second and told[2] == third and told[3] == fifth)
        end)

        it("on_init: an entity's own hook sees each instance whole", function()
            local seen = {}
            local Hooked = orm.entity { name = "Hooked", table = "hooked", { "id", type = "integer", primary = true },
                { "a", type = "integer", default = 1 }, { "b", type = "integer", nullable = true },
                hooks = { on_init = function(e) seen[#seen + 1] = e.a .. tostring(e.b) end } }
            open { Hooked }
            twice(function(i)
                em:create(Hooked, { b = i })
                local _ = Hooked { a = 5 }
            end)
            assert.same({ "11", "5nil", "12", "5nil" }, seen)
        end)

        it("I4: a second instance of a key is refused, by create and by persist, however many came before", function()
            open()
            em:persist(em:create(Code, { code = "a" }))
            for _, key in ipairs { "b", "c", "d" } do
                local first, second = em:create(Code, { code = key }), em:create(Code, { code = key })
                em:persist(first)
                raises("validation", function() em:persist(second) end, "Code#" .. key .. " is managed already")
                raises("validation", function() em:create(Code, { code = key }) end, "Code#" .. key)
                assert.is_false(em:contains(second))
            end
            em:flush()
            assert.same({ { "a" }, { "b" }, { "c" }, { "d" } }, work.raw:rows "select code from codes order by code")
            -- The key of a row that is marked for removal is free.
            em:remove(em:find_one(Code, "a"))
            local again = em:create(Code, { code = "a", text = "again" })
            em:persist(again):flush()
            assert.same({ { "a", "again" } }, work.raw:rows "select code, text from codes where code = 'a'")
            raises("validation", function() em:persist(em:create(Code, { code = {} })) end, "Code.code")
        end)

        it("I4: keys of several columns too", function()
            open()
            twice(function(i)
                em:persist(em:create(Point, { x = i, y = 1 }), em:create(Point, { x = i, y = 2 }))
                raises("validation", function() em:persist(Point { x = i, y = 2 }) end, "Point#" .. i .. ",2")
            end)
            em:flush()
            assert.same({ { "1", "1" }, { "1", "2" }, { "2", "1" }, { "2", "2" } },
                work.raw:rows "select x, y from points order by x, y")
        end)

        it("a key that the program gives for one that the database would make is found at once", function()
            open()
            em:persist(em:create(Book, { title = "first" }))
            local book = em:create(Book, { id = 500, title = "given" })
            em:persist(book)
            assert.equal(book, em:get_reference(Book, 500))
            em:flush()
            assert.same({ { "given" } }, work.raw:rows "select title from books where id = 500")
        end)

        it("persisted twice is once; several at once, and what among them is none", function()
            open()
            em:persist(Book { title = "0" })
            local a, b, c = Book { title = "a" }, em:create(Book, { title = "b" }), Book { title = "c" }
            assert.equal(em, em:persist(a):persist(a, b, a))
            raises("validation", function() em:persist(c, nil) end, "not nil")
            raises("validation", function() em:persist() end, "not nil")
            raises("validation", function() em:persist({}) end, "a plain table")
            raises("validation", function() em:persist(5) end, "a number")
            assert.is_true(em:contains(c)) -- it came before what was none
            em:flush()
            assert.same({ { "0" }, { "a" }, { "b" }, { "c" } }, work.raw:rows "select title from books order by id")
        end)

        it("a new one that was removed is persisted anew", function()
            open()
            em:persist(em:create(Book, { title = "first" }))
            local book = em:create(Book, { title = "x" })
            em:persist(book):remove(book)
            assert.is_false(em:contains(book))
            em:persist(book):flush()
            assert.same({ { "first" }, { "x" } }, work.raw:rows "select title from books order by title")
        end)

        it("what is another's, was detached or cannot be written is refused as ever", function()
            open()
            local other = db:config { entities = { Author, Book } }
            other.context_name = "other"
            local elsewhere = orm.init(other)
            em:persist(Book { title = "x" }, em:create(Book, { title = "y" })):flush()
            twice(function()
                local foreign = orm.em("other"):fork():create(Book, { title = "foreign" })
                raises("wrong_context", function() em:persist(foreign) end, "other")
                local theirs = Book { title = "theirs" }
                local fork = em:fork()
                fork:persist(theirs)
                raises("not_managed", function() em:persist(theirs) end, "em:merge")
                local book = em:find_one(Book, { title = "x" })
                em:detach(book)
                raises("not_managed", function() em:persist(book) end, "em:merge")
                raises("read_only", function() em:persist(em:create(Country, { id = 1 })) end, "Country")
            end)
            elsewhere:close()
        end)

        it("entities that share a table have rows of their own kind", function()
            open()
            twice(function(i)
                em:persist(em:create(Shape, {}), em:create(Circle, { radius = i }), Circle { radius = i })
                raises("validation", function() em:create(Circle, { kind = "shape" }) end, "discriminator")
                assert.equal("circle", em:create(Circle).kind)
            end)
            em:flush()
            assert.same({ { "shape", false }, { "circle", "1" }, { "circle", "1" }, { "shape", false },
                { "circle", "2" }, { "circle", "2" } }, work.raw:rows "select kind, radius from shapes order by id")
        end)

        it("collections of a new row are known without a query", function()
            open()
            twice(function(i)
                local ann = em:create(Author, { name = "Ann" .. i })
                em:persist(ann)
                work:forget()
                assert.equal(0, #ann.books)
                ann.books:add(Book { title = "of " .. ann.name })
                assert.equal(0, #work:statements())
            end)
            em:flush()
            assert.same({ { "Ann1", "of Ann1" }, { "Ann2", "of Ann2" } }, work.raw:rows
                "select a.name, b.title from books b join authors a on a.id = b.author_id order by b.title")
        end)

        it("a hook that may change its own instance only adopts no others", function()
            open()
            local refused
            work.instance:on("before_create", function(e, about)
                if e.title == "hooked" then
                    local _, err = pcall(about.em.persist, about.em, Book { title = "another" })
                    refused = err
                end
            end)
            em:persist(Book { title = "1" }, Book { title = "hooked" })
            em:flush()
            assert.is_true(orm.is_error(refused, "hook"), tostring(refused))
            assert.same({ { "1" }, { "hooked" } }, work.raw:rows "select title from books order by id")
        end)

        it("a listener of before_flush may persist more", function()
            open()
            em:persist(Book { title = "0" })
            work.instance:on("before_flush", function(about) about.em:persist(Book { title = "more" }) end)
            em:persist(Book { title = "1" }):flush()
            assert.same({ { "0" }, { "1" }, { "more" } }, work.raw:rows "select title from books order by id")
        end)

        it("entities that are registered later are adopted like others, and so are those that were there", function()
            open()
            local Late = orm.entity { name = "Late", table = "lates",
                { "id", type = "integer", primary = true }, { "text", type = "string" } }
            em:persist(em:create(Book, { title = "before" }), em:create(Book, { title = "before too" }))
            orm.register({ Late })
            work.instance.schema:update()
            twice(function(i)
                em:persist(em:create(Late, { text = "l" .. i }), em:create(Book, { title = "b" .. i }))
            end)
            em:flush()
            assert.same({ { "l1" }, { "l2" } }, work.raw:rows "select text from lates order by id")
            assert.same({ { "before" }, { "before too" }, { "b1" }, { "b2" } },
                work.raw:rows "select title from books order by id")
        end)
    end)
end)
