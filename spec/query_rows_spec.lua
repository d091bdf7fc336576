-- em:query: what a row's values are - every type, embedded values, custom types; groups, aggregates, window functions.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local library = require "spec.support.library"
local orm = require "heddle"

local op, fn, raises = orm.op, orm.fn, expect.raises

local Point = orm.type { column = "string", to_db = function(p) return p.x .. "," .. p.y end,
    from_db = function(text)
        local x, y = text:match "^(.*),(.*)$"
        return { x = tonumber(x), y = tonumber(y) }
    end }
local Address = orm.embeddable { name = "Address", { "city", type = "string" }, { "zip", type = "string",
    nullable = true } }
local Thing = orm.entity {
    name = "Thing", table = "things",
    { "id", type = "integer", primary = true },
    { "label", type = "string", nullable = true },
    { "price", type = "decimal", precision = 20, scale = 2, nullable = true },
    { "ratio", type = "double", nullable = true },
    { "big", type = "bigint", nullable = true },
    { "active", type = "boolean", nullable = true },
    { "seen", type = "timestamp", nullable = true },
    { "told", type = "timestamp", as = "iso8601", nullable = true },
    { "born", type = "date", nullable = true },
    { "code", type = "uuid", nullable = true },
    { "data", type = "json", nullable = true },
    { "bytes", type = "blob", nullable = true },
    { "words", type = "array", array_of = "string", nullable = true },
    { "at", type = Point, nullable = true },
    { "home", embedded = Address, nullable = true },
    { "work", embedded = Address, object = true, nullable = true },
    { "secret", type = "string", hidden = true, nullable = true },
    { "kin", many_to_one = "Thing", nullable = true },
}

local Stat = orm.entity { name = "Stat",
    expression = "select author_id as author, count(*) as n from books where author_id is not null group by author_id",
    { "author", type = "integer" }, { "n", type = "integer" } }

local UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"

databases.each(function(db)
    local work, em

    setup(function()
        work = library.open(db, { Thing, Stat })
        local em0 = work.em
        em0:persist(Thing { id = 1, label = "one", price = "12345678901234567.80", ratio = 0.5, big = 9007199254740992,
            active = true, seen = 1000.25, told = 1000, born = "2000-01-31", code = UUID, data = { n = { 1, 2 } },
            bytes = "\0\255", words = { "a", "b" }, at = { x = 1, y = 2 }, home = Address { city = "Oslo" },
            work = Address { city = "Rome", zip = "1" }, secret = "s" })
        em0:persist(Thing { id = 2, label = "two", price = "0.20", ratio = 1.5, big = 3, active = false,
            kin = em0:get_reference(Thing, 1) })
        em0:persist(Thing { id = 3 })
        em0:flush()
    end)

    before_each(function() em = work:fork() end)

    teardown(function()
        work:close()
        db:close()
    end)

    describe("rows of a query", function()
        it("U3: hold values as entities do", function()
            local e = em:find_one(Thing, 1)
            local row = em:query(Thing, "t"):select("*", "secret"):where { id = 1 }:rows()[1]
            for _, name in ipairs { "label", "price", "ratio", "big", "active", "seen", "told", "born", "code",
                "bytes" } do
                assert.equal(e[name], row[name], name)
            end
            for _, name in ipairs { "data", "words", "at" } do assert.same(e[name], row[name], name) end
            assert.equal("Oslo", row.home.city)
            assert.equal("Rome", row.work.city)
            assert.equal("1", row.work.zip)
            assert.equal("s", row.secret)
            assert.is_nil(row.kin)
            assert.same({ id = 2, kin = 1 }, em:query(Thing):select("id", "kin"):where { id = 2 }:rows()[1])
            assert.is_nil(em:query(Thing):where { id = 1 }:rows()[1].secret)
            assert.same({ id = 3 }, em:query(Thing):where { id = 3 }:rows()[1])
        end)

        it("members of embedded values by name, from columns and from a document", function()
            assert.same({ { city = "Oslo", other = "Rome", zip = "1" }, {}, {} }, em:query(Thing, "t")
                :select { "home.city", other = "work.city", zip = "t.work.zip" }:order_by("id"):rows())
            assert.equal(1, em:query(Thing, "t"):where { home = { city = "Oslo" }, ["t.work"] = { zip = "1" } }
                :one().id)
            local cities = em:query(Thing):select { "id", city = "work.city" }
            assert.same({ { id = 1, city = "Rome" } }, em:query(cities, "c"):where { city = "Rome" }:rows())
            raises("unsupported", function() em:query(em:query(Thing):select("home"), "x"):rows() end, "members")
            raises("unknown_property", function() em:query(Thing):select("home.cty"):rows() end, "did you mean 'city'")
        end)

        it("U3: pass through sub-queries with their types", function()
            local inner = em:query(Thing):select { "id", p = "price", s = "seen", w = "at", d = "data", k = "kin" }
            local row = em:query(inner, "x"):where { p = op.gt("1") }:rows()[1]
            assert.equal("12345678901234567.80", row.p)
            assert.equal(1000.25, row.s)
            assert.same({ x = 1, y = 2 }, row.w)
            assert.same({ n = { 1, 2 } }, row.d)
            assert.same({ { id = 1 } }, em:query(inner, "x"):select("id"):where { w = { x = 1, y = 2 } }:rows())
            assert.equal("one", em:query(inner, "x"):select("t.label"):join("k", "t"):rows()[1].label)
        end)

        it("what a sub-query was asked for by name is in its *, lazy or hidden", function()
            local inner = em:query(Thing):select("id", "secret"):where { id = 1 }
            assert.same({ { id = 1, secret = "s" } }, em:query(inner, "x"):rows())
            local text = em:query(library.Book):select("text"):where(1)
            assert.same({ { text = "long" } }, em:query(text, "x"):select("*"):rows())
        end)

        it("{alias} in SQL of the program's own is the root's, wherever it stands", function()
            local query = em:query(Thing, "t"):select { n = orm.raw "{alias}.id * 2" }:where(op.raw "{alias}.id < 3")
                :group_by(orm.raw "{alias}.id"):having { n = op.gt(1) }:order_by(orm.raw "{alias}.id desc")
            assert.same({ { n = 4 }, { n = 2 } }, query:rows())
            assert.same({ { n = 3 } }, em:query(Thing, "t"):update { label = "two" }:where { id = 2 }
                :returning(orm.raw "{alias}.id + 1 AS n"):rows())
        end)

        it("SQL of the program's own is as the database has it", function()
            local row = em:query(Thing, "t"):select { n = orm.raw "t.id + 1", s = orm.raw("upper(t.label) -- why"),
                none = orm.raw "NULL" }:where { id = 1 }:rows()[1]
            assert.same({ n = 2, s = "ONE" }, row)
        end)
    end)

    describe("virtual entities in a query", function()
        it("are read, joined and counted as others are, and not written", function()
            local counts = em:query(Stat, "s"):where { n = op.gt(1) }
            assert.same({ { author = 1, n = 2 } }, counts:rows())
            assert.equal(2, counts:one().n)
            assert.equal(1, counts:count())
            assert.same({ { name = "Ben", n = 1 }, { name = "Ann", n = 2 } }, em:query(library.Author, "a")
                :select("a.name", "s.n"):join(Stat, "s", { author = op.ref "a.id" }):order_by("s.n"):rows())
            assert.equal(2, #em:query(Stat, "s"):join(library.Author, "a", { id = op.ref "s.author" }):all())
            raises("read_only", function() em:query(Stat):delete():where { n = 1 }:count() end)
        end)
    end)

    describe("groups of a query", function()
        local Author, Book, Tag = library.Author, library.Book, library.Tag

        it("Q7: aggregates are exact and alike on both", function()
            local row = em:query(Thing):select { n = fn.count(), labels = fn.count "label", sum = fn.sum "price",
                mean = fn.avg "ratio", least = fn.min "price", most = fn.max "price", big = fn.sum "big",
                    first = fn.min "label",
                born = fn.max "born", price = fn.avg "price", seen = fn.max "seen" }:rows()[1]
            assert.equal(3, row.n)
            assert.equal(2, row.labels)
            assert.equal("12345678901234568.00", row.sum)
            assert.equal("0.20", row.least)
            assert.equal("12345678901234567.80", row.most)
            assert.equal(1, row.mean)
            assert.equal("number", type(row.price))
            assert.equal("9007199254740995", ("%s"):format(_VERSION == "Lua 5.1" and row.big or ("%d"):format(row.big)))
            assert.equal("one", row.first)
            assert.equal("2000-01-31", row.born)
            assert.equal(1000.25, row.seen)
            local none = em:query(Thing):select { n = fn.count(), sum = fn.sum "price" }:where { id = 77 }:rows()
            assert.same({ { n = 0 } }, none)
        end)

        it("are counted, sorted and chosen by what is selected", function()
            local query = em:query(Author, "a"):select { "name", books = fn.count "b.id",
                tags = fn.count_distinct "t.name" }
                :left_join("books", "b"):left_join("b.tags", "t"):group_by("id")
            assert.same({ { name = "Ann", books = 3, tags = 2 }, { name = "Ben", books = 1, tags = 1 },
                { name = "Cid", books = 0, tags = 0 } }, query:order_by("books desc", "name"):rows())
            assert.equal(3, query:count())
            assert.equal(2, query:clone():having { books = op.gt(0) }:count())
            assert.same({ "Ben" }, { query:clone():having { books = op.any { 1, 7 }, tags = op.lt(2) }:rows()[1].name })
            assert.equal("Ben", query:clone():having(op.raw("count(b.id) = ?", 1)):rows()[1].name)
            assert.equal("Ann", query:clone():having { name = "Ann" }:rows()[1].name)
            assert.equal(2, #query:clone():having(op.any { { books = 0 }, { name = "Ann" } }):rows())
        end)

        it("having repeats an expression with its parameters", function()
            local query = em:query(Tag, "t"):select { w = orm.raw("t.weight % ?", 2), n = fn.count() }
                :group_by(orm.raw("t.weight"))
            assert.equal(1, #query:clone():having { w = 0 }:rows())
            assert.equal(2, #query:clone():having { w = op.eq(1), n = op.gte(1) }:rows())
            local _, params = query:clone():having { w = op.between(3, 4) }:sql()
            assert.same({ 2, 2, 3, 4 }, params)
        end)

        it("by several names, relations, members and expressions", function()
            assert.same({ { author = 1, editor = 2, n = 2 }, { author = 2, editor = 1, n = 1 }, { n = 1 } },
                em:query(Book, "b"):select { "author", "editor", n = fn.count() }:group_by { "author", "b.editor" }
                    :order_by("author"):rows())
            assert.equal(3, em:query(Book):group_by("author"):count())
            assert.same({ { n = 1 }, { l = 3, n = 3 } }, em:query(Thing, "t"):group_by(orm.raw("length(t.label)"))
                :select { l = orm.raw "length(t.label)", n = orm.raw "count(*) * 2 - 1" }:order_by("l nulls first")
                    :rows())
            assert.same({ { city = "Oslo", n = 1 } }, em:query(Thing):select { "home.city", n = fn.count() }
                :where { home = op.not_null() }:group_by("home.city"):rows())
        end)

        it("window functions are SQL of the program's own", function()
            local rows = em:query(Book, "b"):select { "id",
                nth = orm.raw("row_number() OVER (PARTITION BY b.author_id ORDER BY b.id DESC)"),
                all = orm.raw("count(*) OVER () + ?", 100) }:order_by("id"):rows()
            local sql = "select row_number() over (partition by author_id order by id desc) from books order by id"
            for i, row in ipairs(work.raw:rows(sql)) do assert.equal(tonumber(row[1]), rows[i].nth) end
            assert.equal(104, rows[1].all)
            local ranked = em:query(Book, "b"):select { "id", "author",
                nth = orm.raw("row_number() OVER (PARTITION BY b.author_id ORDER BY b.id DESC)") }
            assert.same({ 2, 3 }, { em:query(ranked, "r"):where { nth = 1, author = op.not_null() }:order_by("id")
                :rows()[1].id,
                em:query(ranked, "r"):where { nth = 1, author = op.not_null() }:order_by("id desc"):rows()[1].id })
        end)

        it("find groups by the key at least, with having", function()
            local function names(list) return library.names(list) end
            local opts = { group_by = { "id" }, having = op.raw("count(*) > ?", 0), order_by = { "profile.site",
                "id" } }
            assert.equal("Ann Cid Ben", names(em:find(Author, {}, opts)))
            opts = { group_by = "id", having = { name = op.gt "B" }, order_by = { "id" }, limit = 1,
                populate = { "books" } }
            local list, total = em:find_and_count(Author, { id = op.lt(3) }, opts)
            assert.equal("Ben", names(list))
            assert.equal(1, total)
            assert.is_true(list[1].books:is_initialized())
            assert.equal(2, em:count(Author, {}, { group_by = { "id", "name" }, having = { name = op.gt "B" } }))
            assert.equal(1, #em:find(Author, {}, { group_by = "id", having = { name = "Cid" }, strategy = "joined",
                populate = { "books" } }))
            raises("validation", function() em:find(Author, {}, { group_by = { "name" } }) end, "'id'")
            raises("validation", function() em:find(Author, {}, { having = { name = "x" } }) end, "group_by")
            raises("validation", function() em:find(Author, {}, { group_by = "id", having = {} }) end)
            raises("unknown_property", function()
                em:find(Author, {}, { group_by = { "id", "nam" } })
            end, "did you mean")
            raises("validation", function() em:find(Author, {}, { group_by = 7 }) end)
            raises("validation", function() em:find(Author, {}, { group_by = { "id", "books" } }) end)
            raises("validation", function()
                em:find_by_cursor(Author, {}, { group_by = { "id" }, order_by = { "id" }, first = 1 })
            end)
            raises("validation", function() em:find_one(Author, 1).books:matching({}, { group_by = { "id" } }) end)
        end)

        it("functions refuse what they cannot add or compare", function()
            raises("validation", function() em:query(Thing):select { n = fn.sum "label" }:rows() end, "string")
            raises("validation", function() em:query(Thing):select { n = fn.avg "active" }:rows() end, "boolean")
            raises("validation", function() em:query(Thing):select { n = fn.min "data" }:rows() end, "json")
            raises("validation", function() em:query(Thing):select { n = fn.max "code" }:rows() end, "uuid")
            raises("validation", function() em:query(Thing):select { n = fn.sum "at" }:rows() end, "custom")
            raises("validation", function() em:query(Thing):select { n = fn.count "home" }:rows() end, "several")
            raises("validation", function() em:query(Author):select { n = fn.count "books" }:rows() end, "column")
            raises("unknown_property", function() em:query(Thing):select { n = fn.count "lable" }:rows() end, "'label'")
            raises("validation", function() fn.sum() end, "nil")
            raises("validation", function() fn.count(3) end)
            raises("validation", function() em:query(Thing):select { fn.count() }:rows() end, "name")
        end)
    end)
end)
