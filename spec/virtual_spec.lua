-- Entities that are read from an expression: virtual ones, and views.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"

local op = orm.op
local raises = expect.raises

local Author = orm.entity {
    name = "Author",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "books", one_to_many = "Book", mapped_by = "author" },
    { "stats", one_to_one = "Stats", mapped_by = "author" },
    { "titles", one_to_many = "Title", mapped_by = "author" },
}
local Book = orm.entity {
    name = "Book",
    { "id", type = "integer", primary = true },
    { "title", type = "string" },
    { "price", type = "decimal", precision = 10, scale = 2, nullable = true },
    { "at", type = "timestamp", nullable = true },
    { "author", many_to_one = "Author" },
}
-- No key: rows without identity.
local Title = orm.entity {
    name = "Title",
    expression = "select upper(title) as loud, price, at, author_id, '?' as mark from book -- all of them;",
    { "loud", type = "string" },
    { "price", type = "decimal", precision = 10, scale = 2, nullable = true },
    { "at", type = "timestamp", nullable = true },
    { "mark", type = "string" },
    { "author", many_to_one = "Author" },
    repository = { dear = function(self) return self:find({ price = op.gt(5) }) end },
}
-- A view with a key: managed like any row, and read only.
local Stats = orm.entity {
    name = "Stats", table = "author_stats",
    expression = "select a.id as author_id, count(b.id) as books, sum(b.price) as total from author a "
        .. "left join book b on b.author_id = a.id group by a.id;",
    { "author", one_to_one = "Author", owner = true, primary = true },
    { "books", type = "bigint" },
}

databases.each(function(db)
    describe("what is read from an expression", function()
        local instance, em

        before_each(function()
            instance = orm.init(db:config { entities = { Author, Book, Title, Stats } })
            instance.schema:create()
            em = orm.em():fork()
            local ann, ben = em:create(Author, { id = 1, name = "Ann" }), em:create(Author, { id = 2, name = "Ben" })
            em:persist(em:create(Book, { title = "one", price = "9.50", at = 1.5, author = ann }))
            em:persist(em:create(Book, { title = "two", author = ann }), ben)
            em:flush()
            em:clear()
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        it("a virtual entity has filters, orders, relations and values of its types", function()
            local list = em:find(Title, { author = { name = "Ann" } }, { order_by = { "loud desc" },
                populate = { "author" } })
            assert.same({ "TWO", "ONE", "?" }, { list[1].loud, list[2].loud, list[1].mark })
            assert.same({ "9.50", 1.5 }, { list[2].price, list[2].at })
            assert.same("Ann", list[1].author.name)
            assert.same({ "ONE" }, { em:repository(Title):dear()[1].loud })
            assert.same(1, em:count(Title, { loud = "ONE" }))
            local items, total = em:find_and_count(Title, {}, { limit = 1, order_by = { "loud" } })
            assert.same({ "ONE", 2 }, { items[1].loud, total })
            assert.same("ONE", em:find_one(Title, { price = op.gt(1) }).loud)
            assert.is_nil(em:find_one(Title, { loud = "none" }))
            assert.same(2, #em:find_all(Title, { managed = false, fields = { "loud" } }))
        end)

        it("rows without a key are nobody's", function()
            local title = em:find_one(Title, { loud = "ONE" })
            assert.is_false(em:contains(title))
            assert.is_false(rawequal(title, em:find_one(Title, { loud = "ONE" })))
            raises("validation", function() em:find_one(Title, 7) end, "no primary key")
            raises("validation", function() em:get_reference(Title, 7) end, "no primary key")
            raises("validation", function() em:find_by_cursor(Title, {}, { first = 1 }) end, "primary key")
            raises("validation", function() em:find_one(Title, {}) end, "empty")
        end)

        it("a view is made and dropped with the schema, and its rows are managed", function()
            local stats = em:find_one(Stats, { author = 1 }, { populate = { "author" } })
            assert.same({ 2, "Ann" }, { stats.books, stats.author.name })
            assert.equal(stats, em:find_one(Stats, { books = 2 }))
            assert.same("Ann", em:find_one(Author, { stats = { books = op.gt(1) } }, { populate = { "stats" } }).name)
            local authors = em:find_all(Author, { populate = { "stats", "titles" }, order_by = { "id" } })
            assert.same({ 2, 0 }, { authors[1].stats.books, authors[2].stats.books })
            assert.same({ 2, 0 }, { #authors[1].titles, #authors[2].titles })
            assert.same("2", tostring(db:raw():value "select count(*) from author_stats"))
            instance.schema:drop()
            assert.is_false((pcall(function() return db:raw():rows "select * from author_stats" end)))
            instance.schema:create()
        end)

        it("what is pending is flushed before, since nobody knows what the expression reads", function()
            em:persist(em:create(Book, { title = "three", author = em:get_reference(Author, 2) }))
            assert.same(3, em:count(Title, {}))
            em:persist(em:create(Book, { title = "four", author = em:get_reference(Author, 2) }))
            assert.same(2, em:find_one(Stats, { author = 2 }).books)
            em:persist(em:create(Book, { title = "five", author = em:get_reference(Author, 2) }))
            assert.same(4, em:count(Title, {}, { flush_mode = "commit" }))
        end)

        it("nothing is written to it", function()
            raises("read_only", function() em:persist(Title { loud = "x", mark = "?" }) end)
            raises("read_only", function() em:insert(Title, { loud = "x" }) end)
            raises("read_only", function() em:update_where(Stats, { books = 1 }, { books = 2 }) end)
            raises("read_only", function() em:delete_where(Stats, { books = 1 }) end)
            raises("read_only", function() em:upsert(Stats, { author = 1, books = 2 }) end)
            local stats = em:find_one(Stats, { author = 1 })
            stats.books = 7
            raises("read_only", function() em:flush() end)
            em:refresh(stats)
            assert.same(2, stats.books)
            raises("read_only", function() em:remove(stats) end)
            raises("validation", function()
                em:transactional(function(tx) tx:find(Stats, {}, { lock = "pessimistic_write" }) end)
            end, "locked")
        end)

        it("what goes by key is refused where there is none", function()
            local title = em:find_all(Title)[1]
            for _, call in ipairs {
                function() em:find_one(Title, title) end, function() em:find(Title, title) end,
                function() em:count(Title, op.one_of { title }) end, function() em:find_one(Title, 1) end,
                function() em:find(Author, { titles = op.some(title) }) end, function() em:get_reference(Title, 1) end,
                function() em:merge(title) end, function() em:map(Title, { loud = "X", author_id = 1, mark = "?" }) end,
                function() em:find_by_cursor(Title, {}) end,
            } do
                raises("validation", call)
            end
            assert.is_false(em:contains(title))
            raises("read_only", function() em:persist(em:create(Title, { loud = "x", mark = "?" })) end)
            assert.same({}, em:changes())
        end)

        it("comes along with what it refers to, managed or not, and into plain tables", function()
            for _, opts in ipairs { {}, { strategy = "joined" }, { managed = false } } do
                opts.populate = { "titles.author" }
                em:clear()
                local ann = em:find_one(Author, { id = 1 }, opts)
                assert.same(2, #ann.titles)
                assert.equal(ann, ann.titles[1].author)
                assert.same({}, orm.to_table(ann).titles)
                local got = orm.to_table(ann, { populate = { "titles" } })
                assert.same({ "?", 1 }, { got.titles[2].mark, got.titles[2].author })
                em:flush()
            end
        end)

        it("what cannot be is refused when it is defined", function()
            local function build(...)
                orm.close()
                return orm.init(db:config { entities = { ... } })
            end
            raises("metadata", function() orm.entity { name = "A", expression = "", { "x", type = "string" } } end)
            raises("metadata", function()
                orm.entity { name = "A", expression = "select 1 as x", readonly = false, { "x", type = "integer" } }
            end, "readonly")
            local View = orm.entity { name = "View", table = "v", expression = "select 1 as id",
                { "id", type = "integer", primary = true } }
            local Owner = orm.entity { name = "Owner", { "id", type = "integer", primary = true },
                { "view", many_to_one = "View" } }
            raises("metadata", function() build(View, Owner) end, "Owner", "view", "foreign key")
            local Many = orm.entity { name = "Many", { "id", type = "integer", primary = true },
                { "views", many_to_many = "View" } }
            raises("metadata", function() build(View, Many) end, "Many", "pairs")
            local Odd = orm.entity { name = "Odd", expression = "; drop table x", { "id", type = "integer" } }
            raises("metadata", function() build(Odd) end, "SELECT")
        end)
    end)
end)
