local bulk = require "heddle.bulk"
local databases = require "spec.support.databases"
local entity = require "heddle.entity"
local null = require "heddle.null"
local op = require "heddle.op"
local plans = require "spec.support.plans"
local schema_sql = require "heddle.schema.sql"
local select_sql = require "heddle.select"

local Author = entity.entity {
    name = "Author", table = "authors",
    { "id", type = "integer", primary = true },
    { "name", type = "string", nullable = true },
    { "secret", type = "string", nullable = true, hidden = true },
    { "books", one_to_many = "Book", mapped_by = "author" },
}

local Book = entity.entity {
    name = "Book", table = "books",
    { "id", type = "integer", primary = true },
    { "title", type = "string" },
    { "price", type = "decimal", precision = 8, scale = 2, nullable = true },
    { "pages", type = "integer", nullable = true },
    { "blurb", type = "text", nullable = true, lazy = true },
    { "doc", type = "json", nullable = true },
    { "isbn_upper", type = "string", nullable = true, generated = "upper(title)" },
    { "author", many_to_one = "Author", nullable = true },
    { "version", type = "integer", version = true },
    { "shelf_note", type = "string", persist = false },
}

local Stock = entity.entity {
    name = "Stock", table = "stocks", schema = "depot",
    { "book", many_to_one = "Book", primary = true },
    { "place", type = "string", primary = true },
    { "count", type = "integer" },
}

local entities = { Author, Book, Stock }

local function names(columns)
    local list = {}
    for i, column in ipairs(columns) do list[i] = column.name end
    return table.concat(list, " ")
end

for _, driver in ipairs { "postgres", "sqlite" } do
    local postgres = driver == "postgres"

    describe("select on " .. driver, function()
        local mappings, book

        local function find(where, opts) return select_sql.find(book, where, opts, true) end
        local function raises(kind, opts) return plans.raises(kind, find, {}, opts) end
        local function tail(opts)
            return (plans.text(find({}, opts)):match('"books" AS e0(.*)$'):gsub("^ ", ""))
        end

        before_each(function()
            mappings = plans.mappings(driver, entities)
            book = mappings.Book
        end)

        it("reads by key with one plan that needs no shape", function()
            local plan, params = find(7)
            assert.equal(select_sql.by_key(book), plan)
            assert.same({ 7 }, params)
            assert.equal(plan, (find("7")))
            assert.equal('WHERE e0."id" = ' .. (postgres and "$1" or "?1"), plan.sql:match("WHERE.*"))
            assert.equal(book.key[1], plan.param_columns[1])
            assert.equal('WHERE (e0."book_id" = 1 AND e0."place" = \'x\')',
                plans.text(select_sql.by_key(mappings.Stock), { 1, "x" }):match("WHERE.*"))
        end)

        it("keeps plans by shape", function()
            local plan = find({ title = "a", pages = 1 }, { limit = 1, order_by = { "id" } })
            assert.equal(plan, (find({ pages = 2, title = "b" }, { order_by = { "id" }, limit = 5 })))
            for _, other in ipairs {
                find({ title = "a", pages = 1 }, { limit = 1, order_by = { "id desc" } }),
                find({ title = "a", pages = 1 }, { limit = 1 }),
                find({ title = "a", pages = 1 }, { limit = 1, offset = 1, order_by = { "id" } }),
                find({ title = "a", pages = op.gt(1) }, { limit = 1, order_by = { "id" } }),
                find({ title = "a", pages = 1 }, { limit = 1, order_by = { "id" }, fields = { "id" } }),
                find({ title = "a", pages = 1 }, { limit = 1, order_by = { "id" }, exclude = { "pages" } }),
                select_sql.count(book, { title = "a", pages = 1 }),
            } do
                assert.not_equal(plan, other)
            end
        end)

        it("does not keep plans without end, nor those that failed", function()
            for i = 1, 1200 do find(op.raw("e0.id = " .. i)) end
            local count = 0
            for _ in pairs(book.plans.shapes) do count = count + 1 end
            assert.is_true(count <= 500)
            book.plans.shapes, book.plans.count = nil, nil
            raises("unknown_property", { order_by = { "nothing" } })
            assert.is_nil(book.plans.shapes)
        end)

        it("leaves lazy columns out unless they are named", function()
            local plan = find {}
            assert.equal("id title price pages doc isbn_upper author_id version", names(plan.columns))
            assert.is_true(plan.partial)
            assert.is_false(select_sql.find(mappings.Author, {}, nil, true).partial)
            assert.equal("id blurb version", names(find({}, { fields = { "blurb" } }).columns))
        end)

        it("fields and exclude keep the key and the version", function()
            assert.equal("id title version", names(find({}, { fields = { "title" } }).columns))
            assert.equal("id author_id version", names(find({}, { fields = { "author" } }).columns))
            assert.equal("id version", names(find({}, { fields = {} }).columns))
            assert.equal("id title isbn_upper version",
                names(find({}, { exclude = { "id", "version", "price", "pages", "doc", "author" } }).columns))
            assert.equal("id version", names(find({}, { fields = { "title" }, exclude = { "title" } }).columns))
            assert.is_true(find({}, { exclude = { "price" } }).partial)
            raises("unknown_property", { fields = { "titel" } })
            raises("unknown_property", { exclude = { "titel" } })
            raises("unknown_property", { fields = { "id\1order_by" } })
            raises("unknown_property", { fields = { {} } })
            raises("validation", { fields = "title" })
            raises("validation", { fields = { title = true } })
            raises("validation", { fields = { "shelf_note" } })
            plans.raises("validation", select_sql.find, mappings.Author, {}, { fields = { "books" } }, true)
        end)

        it("sorts by every form of the contract", function()
            local last, first = postgres and "" or " NULLS LAST", postgres and "" or " NULLS FIRST"
            local price = 'e0."price"' .. (postgres and "" or " COLLATE hd_decimal")
            assert.equal('ORDER BY e0."title"', tail { order_by = { "title" } })
            assert.equal('ORDER BY e0."title" DESC, e0."id"', tail { order_by = { "title DESC", "id  asc" } })
            assert.equal('ORDER BY e0."pages"' .. last .. ", " .. price .. " DESC" .. first,
                tail { order_by = { "pages", "price desc" } })
            assert.equal('ORDER BY e0."pages" NULLS FIRST', tail { order_by = { "pages asc Nulls First" } })
            assert.equal('ORDER BY e0."pages" DESC NULLS LAST', tail { order_by = { { pages = "desc nulls last" } } })
            assert.equal('ORDER BY e0."pages" NULLS FIRST', tail { order_by = { "pages nulls first" } })
            assert.equal('ORDER BY e0."title" DESC', tail { order_by = { title = "desc" } })
            assert.equal('ORDER BY e0."author_id"' .. last, tail { order_by = { "author" } })
            assert.equal('ORDER BY e0."author_id"' .. last, tail { order_by = { "author.id" } })
            assert.equal('LEFT JOIN "authors" AS e1 ON e1."id" = e0."author_id" ORDER BY e1."name"' .. last,
                tail { order_by = { "author.name asc" } })
            assert.equal("", tail { order_by = {} })
        end)

        it("Q1: names and directions of an order are checked", function()
            local err = raises("unknown_property", { order_by = { "titel" } })
            assert.truthy(err.message:find("did you mean 'title'", 1, true))
            raises("unknown_property", { order_by = { "author.nmae" } })
            raises("unknown_property", { order_by = { "author.secret" } })
            raises("unknown_property", { order_by = { "author..name" } })
            raises("unknown_property", { order_by = { "title;drop" } })
            for _, wrong in ipairs {
                "title", 3, { "title up" }, { "title desc nulls" }, { "title nulls first asc" }, { "" }, { 5 }, { {} },
                { title = "desc", id = "asc" }, { { title = "desc", id = "asc" } }, { "id", title = "desc" },
                { title = true }, { "title.name" }, { "doc" }, { "shelf_note" }, { "id\1limit" }, { op.eq(1) },
            } do
                raises("validation", { order_by = wrong })
            end
            plans.raises("validation", select_sql.find, mappings.Author, {}, { order_by = { "books.title" } }, true)
        end)

        it("Q3: limit and offset are bound", function()
            local plan, params = find({ title = "x" }, { offset = 20, limit = 10 })
            assert.same({ "x", 10, 20 }, params)
            assert.equal("bigint", plan.param_columns[2].type)
            assert.equal("LIMIT 10 OFFSET 20", tail { limit = 10, offset = 20 })
            assert.equal(postgres and "OFFSET 3" or "LIMIT -1 OFFSET 3", tail { offset = 3 })
            assert.equal("LIMIT 0", tail { limit = 0 })
            local _, whole = find({}, { limit = 3.0 })
            assert.equal("3", tostring(whole[1]))
            for _, wrong in ipairs { -1, 1.5, "10", 2 ^ 60, 0 / 0, 1 / 0, null, {}, true } do
                raises("validation", { limit = wrong })
                raises("validation", { offset = wrong })
            end
        end)

        it("locks rows", function()
            local function lock(mode) return tail { lock = mode } end
            assert.equal(postgres and "FOR UPDATE OF e0" or "", lock "pessimistic_write")
            assert.equal(postgres and "FOR SHARE OF e0 NOWAIT" or "", lock "pessimistic_read_nowait")
            assert.equal("", lock "optimistic")
            assert.equal("pessimistic_write", find({}, { lock = "pessimistic_write" }).lock)
            if postgres then
                assert.equal("FOR UPDATE OF e0 SKIP LOCKED", lock "pessimistic_write_skip_locked")
            else
                raises("unsupported", { lock = "pessimistic_write_skip_locked" })
            end
            raises("validation", { lock = "write" })
            raises("validation", { lock = true })
        end)

        it("Q1: options are checked", function()
            local err = raises("unknown_property", { limt = 3 })
            assert.truthy(err.message:find("did you mean 'limit'", 1, true))
            raises("unknown_property", { "id" })
            raises("validation", { group_by = { "title" } })
            raises("validation", { managed = "no" })
            raises("validation", 5)
            plans.raises("unknown_property", select_sql.count, book, {}, { limt = 3 }, true)
            assert.equal(find {}, (find({}, {})))
        end)

        it("counts, whatever the order and the limit", function()
            local plan, params = select_sql.count(book, { author = { name = "x" } },
                { order_by = { "title" }, limit = 3, fields = { "id" } })
            assert.same({ "x" }, params)
            assert.equal("bigint", plan.columns[1].type)
            assert.equal('SELECT count(*) FROM "books" AS e0 LEFT JOIN "authors" AS e1 ON e1."id" = e0."author_id" '
                .. 'WHERE (e1."id" IS NOT NULL AND e1."name" = \'x\')', plans.text(plan, params))
            plans.raises("validation", select_sql.count, book, {})
        end)

        it("names the schema where there are schemas", function()
            local plan = select_sql.find(mappings.Stock, {}, nil, true)
            assert.truthy(plan.sql:find(postgres and ' FROM "depot"."stocks" AS e0' or ' FROM "stocks" AS e0', 1, true))
        end)
    end)

    describe("bulk statements on " .. driver, function()
        local mappings, book

        local function update(where, data, opts) return plans.text(bulk.update(book, where, data, opts)) end
        local function raises(kind, data) return plans.raises(kind, bulk.update, book, 1, data) end

        before_each(function()
            mappings = plans.mappings(driver, entities)
            book = mappings.Book
        end)

        it("update what is named, and count the version on", function()
            assert.equal([[UPDATE "books" AS e0 SET "pages" = NULL, "title" = 'x', "version" = e0."version" + 1 ]]
                .. [[WHERE e0."id" = 3]], update(3, { title = "x", pages = null }))
            assert.equal([[UPDATE "books" AS e0 SET "title" = 'x', "version" = 9 WHERE e0."id" = 3]],
                update(3, { title = "x", version = 9 }))
            assert.equal([[UPDATE "books" AS e0 SET "author_id" = 4, "pages" = (pages + 1), ]]
                .. [["version" = e0."version" + 1 WHERE e0."title" = 'x']],
                update({ title = "x" }, { author = 4, pages = op.raw("pages + ?", 1) }))
            assert.equal([[UPDATE "authors" AS e0 SET "name" = 'x']],
                plans.text(bulk.update(mappings.Author, {}, { name = "x" }, { all = true })))
        end)

        it("reach related rows through a sub-select", function()
            assert.equal([[DELETE FROM "books" AS e0 WHERE e0."id" IN (SELECT e0."id" FROM "books" AS e0 LEFT JOIN ]]
                .. [["authors" AS e1 ON e1."id" = e0."author_id" WHERE (e1."id" IS NOT NULL AND e1."name" = 'x'))]],
                plans.text(bulk.delete(book, { author = { name = "x" } })))
            assert.truthy(plans.text(bulk.delete(mappings.Stock, { book = { title = "x" } }))
                :find('WHERE (e0."book_id", e0."place") IN (SELECT e0."book_id", e0."place" FROM', 1, true))
        end)

        it("keep plans by shape", function()
            local plan = bulk.update(book, 1, { title = "x", pages = 3 })
            assert.equal(plan, (bulk.update(book, 2, { pages = 4, title = "y" })))
            assert.not_equal(plan, (bulk.update(book, 2, { pages = null, title = "y" })))
            assert.not_equal(plan, (bulk.update(book, { title = "y" }, { pages = 4, title = "y" })))
        end)

        it("Q1: refuse an empty filter unless all = true", function()
            plans.raises("validation", bulk.delete, book, {})
            plans.raises("validation", bulk.update, book, { id = nil }, { title = "x" })
            plans.raises("validation", bulk.delete, book, nil, { all = true })
            plans.raises("validation", bulk.delete, book, { author = {} }, { all = true })
            plans.raises("validation", bulk.delete, book, {}, { all = 1 })
            plans.raises("unknown_property", bulk.delete, book, {}, { al = true })
            assert.equal('DELETE FROM "books" AS e0', plans.text(bulk.delete(book, {}, { all = true })))
        end)

        it("check the data", function()
            assert.truthy(raises("unknown_property", { titel = "x" }).message:find("did you mean 'title'", 1, true))
            raises("unknown_property", { "x" })
            raises("validation", {})
            raises("validation", nil)
            raises("validation", op.eq(1))
            raises("validation", { title = null })
            raises("validation", { title = { "x" } })
            raises("validation", { title = op.eq "x" })
            raises("validation", { author = { name = "x" } })
            raises("validation", { isbn_upper = "X" })
            raises("unsupported", { shelf_note = "x" })
            plans.raises("unsupported", bulk.update, mappings.Author, 1, { books = {} })
            assert.is_table(bulk.update(mappings.Stock, { 1, "x" }, { count = 3 }))
        end)
    end)
end

describe("selects in a database", function()
    databases.each(function(db)
        local mappings, raw

        local function ids(opts, where)
            local found = {}
            for _, row in ipairs(raw:rows(plans.text(select_sql.find(mappings.Book, where or {}, opts, true)))) do
                found[#found + 1] = row[1]
            end
            return table.concat(found, " ")
        end

        before_each(function()
            mappings = plans.mappings(db.name, entities)
            raw = db:raw(db:config())
            for _, statement in ipairs(schema_sql.create({ mappings.Author, mappings.Book }, db.name)) do
                raw:exec(statement)
            end
            raw:exec "insert into authors (id, name) values (1, 'Zoe'), (2, 'Ann'), (3, NULL)"
            raw:exec [[insert into books (id, title, pages, author_id, version) values
                (1, 'a', 10, 1, 1), (2, 'b', NULL, 2, 1), (3, 'c', 5, 3, 1), (4, 'd', 7, NULL, 1)]]
        end)

        it("NULLs stand in the same place on both drivers", function()
            assert.equal("3 4 1 2", ids { order_by = { "pages" } })
            assert.equal("2 1 4 3", ids { order_by = { "pages desc" } })
            assert.equal("2 3 4 1", ids { order_by = { "pages nulls first" } })
            assert.equal("1 4 3 2", ids { order_by = { "pages desc nulls last" } })
            assert.equal("2 1 3 4", ids { order_by = { "author.name", "id" } })
            assert.equal("3 4 1 2", ids { order_by = { "author.name desc", "id" } })
            assert.equal("4 1 2 3", ids { order_by = { "author nulls first" } })
        end)

        it("Q3: limit and offset count entities, whatever is joined", function()
            assert.equal("1 2", ids { order_by = { "author.name desc nulls last", "id" }, limit = 2, offset = 0 })
            assert.equal("2 3", ids { order_by = { "id" }, limit = 2, offset = 1 })
            assert.equal("3 4", ids { order_by = { "id" }, offset = 2 })
            assert.equal("", ids { limit = 0 })
        end)

        it("locks and partial rows are good SQL", function()
            assert.equal("1", ids({ lock = "pessimistic_write", order_by = { "author.name" } }, { title = "a" }))
            assert.equal("2", ids({ fields = { "blurb" } }, { author = { name = "Ann" } }))
        end)

        it("bulk statements touch what they say", function()
            raw:exec(plans.text(bulk.update(mappings.Book, { author = { name = op.not_null() } },
                { pages = op.raw("coalesce(pages, ?) + 1", 0), title = "it's", author = null })))
            assert.same({ { "1", "it's", "11", "2" }, { "2", "it's", "1", "2" }, { "3", "c", "5", "1" } },
                raw:rows "select id, title, pages, version from books where id < 4 order by id")
            raw:exec(plans.text(bulk.delete(mappings.Book, { author = { id = op.gt(2) } })))
            assert.equal("1 2 4", ids { order_by = { "id" } })
            raw:exec(plans.text(bulk.delete(mappings.Book, {}, { all = true })))
            assert.equal("", ids {})
        end)
    end)
end)
