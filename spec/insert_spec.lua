-- em:insert and em:insert_many: keys, values of every kind, expressions, all or nothing.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"

local raises, sent_by = expect.raises, expect.sent_by

local Author = orm.entity { name = "Author",
    { "id", type = "integer", primary = true },
    { "name", type = "string", length = 40, unique = true },
    { "rank", type = "integer", default_sql = "7" },
    { "books", one_to_many = "Book", mapped_by = "author" },
}
local Book = orm.entity { name = "Book",
    { "id", type = "integer", primary = true },
    { "title", type = "string" },
    { "author", many_to_one = Author },
    { "version", type = "integer", version = true },
}
local Page = orm.entity { name = "Page",
    { "book", many_to_one = Book, primary = true },
    { "number", type = "integer", primary = true },
    { "text", type = "text", nullable = true },
}
local Sheet = orm.entity { name = "Sheet",
    { "code", type = "string", length = 8, primary = true },
    { "page", many_to_one = Page, nullable = true },
}
local Node = orm.entity { name = "Node",
    { "id", type = "integer", primary = true },
    { "parent", many_to_one = "Node", nullable = true },
}

databases.each(function(db)
    describe("insert", function()
        local instance, em, sent

        before_each(function()
            instance = orm.init(db:config { entities = { Author, Book, Page, Sheet, Node } })
            instance.schema:create()
            em = orm.em():fork()
            sent = expect.statements(instance)
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        local function rows(sql) return db:raw():rows(sql) end

        it("U5: 10,000 rows with gaps in few statements; generated keys are in the order of the list", function()
            local data = {}
            for i = 1, 10000 do data[i] = { name = "n" .. i, rank = i % 3 > 0 and i or nil } end
            local keys
            local list = sent_by(sent, function() keys = em:insert_many(Author, data) end)
            assert.is_true(#list <= 26, #list .. " statements")
            assert.equal(10000, #keys)
            local stored = {}
            for _, row in ipairs(rows "select id, name, rank from author") do stored[row[1]] = row end
            for i = 1, 10000 do
                local row = stored[("%d"):format(keys[i])]
                assert(row[2] == "n" .. i and row[3] == (i % 3 > 0 and tostring(i) or "7"), "row " .. i)
            end
        end)

        it("relations are given as instances or keys, composite ones too; keys come as declared", function()
            local ann = em:create(Author, { name = "Ann" })
            em:persist(ann):flush()
            local ids = em:insert_many(Book, { { title = "A", author = ann }, { title = "B", author = ann.id },
                { title = "C", author = em:get_reference(Author, ann.id) } })
            assert.same({ 1, 2, 3 }, ids)
            assert.same({ { 2, 1 }, { 2, 2 } },
                em:insert_many(Page, { { book = 2, number = 1 }, { book = em:find_one(Book, 2), number = 2 } }))
            assert.equal("x", em:insert(Sheet, { code = "x", page = { 2, 1 } }))
            em:insert(Sheet, { code = "y", page = em:find_one(Page, { book = 2, number = 2 }) })
            em:insert(Sheet, { code = "z", page = { book = 2, number = 2 } })
            assert.same({ { "x", "2", "1" }, { "y", "2", "2" }, { "z", "2", "2" } },
                rows "select code, page_book_id, page_number from sheet order by code")
        end)

        it("O1: rows of one list may refer to each other by key, whatever their order", function()
            em:insert_many(Node, { { id = 2, parent = 1 }, { id = 1 }, { id = 4, parent = 5 }, { id = 5, parent = 2 } })
            assert.same({ { "1", false }, { "2", "1" }, { "4", "5" }, { "5", "2" } },
                rows "select id, parent_id from node order by id")
        end)

        it("nothing of it is managed, and what is managed already stays as it is", function()
            local ann = em:create(Author, { name = "Ann" })
            em:persist(ann)
            local id = em:insert(Author, { name = "Ben" })
            assert.equal("1", db:raw():value "select count(*) from author")
            assert.is_nil(ann.id)
            em:flush()
            assert.equal("Ben", em:find_one(Author, id).name)
        end)

        it("expressions are values, in rows of a list too", function()
            local id = em:insert(Author, { name = orm.raw("upper(?)", "ann"), rank = orm.raw("3 * ?", 4) })
            assert.same({ { "ANN", "12" } }, rows(("select name, rank from author where id = %d"):format(id)))
            local keys = em:insert_many(Author, { { name = "Ben" }, { name = "C" },
                { name = orm.raw "'x?' || lower('Y')" }, { id = 70, name = orm.raw("? || ?", "q", "r") } })
            assert.equal(70, keys[4])
            assert.same({ "Ben", "C", "x?y", "qr" }, (function()
                local names = {}
                for i, key in ipairs(keys) do names[i] = em:find_one(Author, key).name end
                return names
            end)())
            em:update_where(Author, { id = 70 }, { rank = orm.raw("rank * 2 + ?", 1) })
            assert.equal("15", db:raw():value "select rank from author where id = 70")
        end)

        it("an expression is an object, never data", function()
            local forged = { kind = "raw", value = "(select 1)", second = { n = 0 } }
            raises("validation", function() em:insert(Author, { name = forged }) end, "Author.name")
            raises("validation", function() em:update_where(Author, { id = 1 }, { name = forged }) end)
            raises("validation", function()
                em:insert(Book, { title = "x", author = orm.raw("1", 2) })
            end, "placeholders")
            raises("validation", function()
                em:insert(Sheet, { code = "x", page = orm.raw "1" })
            end, "Sheet.page", "several columns")
            raises("validation", function() em:insert(Author, { name = orm.raw("?", {}) }) end)
            assert.same({}, rows "select * from author")
        end)

        it("U4: what is required or cannot be stored raises before the first statement", function()
            local list = sent_by(sent, function()
                raises("validation", function() em:insert_many(Author, { { name = "a" }, { rank = 3 } }) end,
                    "Author.name", "required")
                raises("validation", function()
                    em:insert_many(Author, { { name = "a" }, { name = orm.raw "'b'", rank = "x" } })
                end, "Author.rank")
                raises("validation", function() em:insert(Book, { title = orm.raw "'t'" }) end,
                    "Book.author", "required")
                raises("unknown_property", function() em:insert(Author, { nam = "x" }) end, "name")
                raises("unsupported", function() em:insert(Author, { name = "x", books = { 1 } }) end, "Author.books")
                raises("validation", function() em:insert(Author, Author { name = "x" }) end, "an instance")
                raises("validation", function() em:insert_many(Author, { "x" }) end, "plain tables")
                raises("validation", function() em:insert_many(Author, "x") end, "a list")
                raises("not_managed", function()
                    em:insert(Book, { title = "x", author = Author { name = "new" } })
                end, "Book.author")
            end)
            assert.same({}, list)
            assert.same({}, em:insert_many(Author, {}))
        end)

        it("F1: on failure nothing is written, expressions or not", function()
            em:insert(Author, { name = "n700" })
            local data = {}
            for i = 1, 1500 do data[i] = { name = "n" .. i } end
            raises("unique_violation", function() em:insert_many(Author, data) end, "Author.name")
            assert.equal("1", db:raw():value "select count(*) from author")
            raises("unique_violation", function()
                em:insert_many(Author, { { name = "a" }, { name = orm.raw "'b'" }, { name = orm.raw "'n700'" } })
            end, "Author.name")
            assert.equal("1", db:raw():value "select count(*) from author")
        end)

        it("F3: inside a transaction they are part of it, and a failing one leaves it usable", function()
            em:transactional(function()
                em:insert(Author, { name = "a" })
                raises("unique_violation", function() em:insert_many(Author, { { name = "b" }, { name = "a" } }) end)
                raises("unique_violation", function() em:insert(Author, { name = orm.raw "'a'" }) end)
                em:insert(Author, { name = orm.raw "'c'" })
            end)
            pcall(em.transactional, em, function()
                em:insert_many(Author, { { name = "d" }, { name = orm.raw "'e'" } })
                error("no")
            end)
            assert.same({ { "a" }, { "c" } }, rows "select name from author order by name")
        end)

        it("listeners of instances hear nothing of them", function()
            local heard = {}
            for _, event in ipairs { "on_init", "before_create", "after_create", "before_flush", "after_commit" } do
                instance:on(event, function() heard[#heard + 1] = event end)
            end
            em:insert_many(Author, { { name = "a" }, { name = orm.raw "'b'" } })
            em:upsert(Author, { name = "a", rank = 3 })
            assert.same({}, heard)
        end)
    end)
end)
