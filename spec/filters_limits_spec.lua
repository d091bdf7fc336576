-- Filters as request data may make them: too deep, too long, too many values. The answer is a result or a typed
-- error, on every interpreter.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local library = require "spec.support.library"
local orm = require "heddle"

local op = orm.op
local raises = expect.raises
local Author, Book, Tag = library.Author, library.Book, library.Tag
local Doc = orm.entity { name = "Doc", { "id", type = "integer", primary = true },
    { "data", type = "json", nullable = true }, { "next", many_to_one = "Doc", nullable = true },
    { "list", type = "array", array_of = "integer", nullable = true } }

databases.each(function(db)
    describe("limits of filters", function()
        local work, em

        setup(function()
            work = library.open(db, { Doc })
            em = work.em
            em:insert(Doc, { id = 1, data = { a = 1 } })
        end)

        teardown(function()
            work:close()
            db:close()
        end)

        local function deep(depth, wrap, inner)
            local made = inner
            for _ = 1, depth do made = wrap(made) end
            return made
        end

        it("conditions 10,000 levels deep are refused before anything is sent", function()
            local wraps = {
                function(w) return { author = w } end,
                function(w) return { next = w, id = 1 } end,
                function(w) return op.negate(w) end,
                function(w) return op.any { w, { id = 1 } } end,
                function(w) return op.all { { id = 2 }, w } end,
                function(w) return { books = op.some(w) } end,
                function(w) return { author = op.every { books = op.none(w) } } end,
                function(w) return { data = w } end,
                function(w) return { w } end,
                function(w) return { title = w } end,
            }
            work:forget()
            for i, wrap in ipairs(wraps) do
                local where = deep(10000, wrap, { id = 1 })
                for _, E in ipairs { Author, Book, Doc } do
                    local ok, err = pcall(em.find, em, E, where)
                    assert.is_false(ok)
                    assert.is_true(orm.is_error(err, "validation") or orm.is_error(err, "unknown_property"),
                        i .. " " .. tostring(err))
                end
            end
            raises("validation", function()
                em:find(Doc, deep(10000, function(w) return { next = w } end, { id = 1 }))
            end, "levels deep")
            raises("validation", function()
                em:find(Doc, deep(101, function(w) return op.negate(w) end, { id = 1 }))
            end, "levels deep")
            assert.same({}, work.log)
        end)

        it("what is nested less deeply works, or the database's own limit is unsupported", function()
            assert.equal(1, em:count(Doc, deep(40, op.negate, { id = 1 })))
            assert.equal(0, em:count(Doc, deep(50, function(w) return { next = w } end, { id = 1 })))
            raises("validation", function()
                em:count(Doc, deep(80, function(w) return { next = w } end, { data = { a = 1 } }))
            end, "60 relations")
            local where = deep(20, function(w) return { tags = op.some { books = op.some(w) } } end, { title = "A1" })
            local ok, err = pcall(em.count, em, Book, where)
            assert.is_true(ok or orm.is_error(err, "unsupported") and db.name == "sqlite", tostring(err))
            assert.equal(3, em:count(Book, deep(5, function(w) return { tags = op.some { books = op.some(w) } } end,
                { title = "A2" })))
        end)

        it("values, paths and orders 10,000 levels deep are refused", function()
            local value = deep(10000, function(w) return { a = w } end, 1)
            for _, where in ipairs { { data = value }, { data = op.eq(value) }, { data = op.json("a", value) },
                { data = op.contains(value) }, { list = deep(10000, function(w) return { w } end, 1) },
                { data = op.one_of { value } } } do
                raises("validation", function() em:find(Doc, where) end)
            end
            raises("validation", function() op.json(("a."):rep(10000) .. "a", 1) end)
            raises("validation", function()
                em:find(Doc, {}, { order_by = { ("next."):rep(10000) .. "data" } })
            end)
            raises("validation", function() em:find(Book, { tags = deep(10000, op.some, "x") }) end)
        end)

        it("lists of 50,000 values: of scalars, keys, members", function()
            local numbers, texts, conditions = {}, {}, {}
            for i = 1, 50000 do
                numbers[i], texts[i] = i, "t" .. i
                conditions[i] = { title = texts[i] }
            end
            texts[50000] = "lua"
            assert.equal(4, em:count(Book, { id = op.one_of(numbers) }))
            assert.equal(3, em:count(Book, { author = op.one_of(numbers) }))
            assert.equal(0, em:count(Book, { id = op.not_one_of(numbers) }))
            assert.equal(3, em:count(Book, { tags = op.some(op.one_of(texts)) }))
            assert.equal(1, em:count(Tag, { books = op.every { id = op.not_one_of(numbers) }, name = "q" }) + 1)
            assert.equal(2, em:count(Author, { books = op.some { author = op.one_of(numbers) } }))
            local ok, err = pcall(em.count, em, Book, op.any(conditions))
            assert.is_true(ok or orm.is_error(err, "unsupported"), tostring(err))
            for i = 50001, 70000 do conditions[i] = { title = "t" .. i } end
            raises("unsupported", function() em:count(Book, op.any(conditions)) end, "split it")
        end)

        it("lists of composite keys and documents that one statement cannot hold are unsupported", function()
            local keys, documents = {}, {}
            for i = 1, 20000 do
                keys[i], documents[i] = { "x", i }, { a = i }
            end
            local ok, err = pcall(em.count, em, library.Track, op.one_of(keys))
            assert.is_true(ok or db.name == "sqlite" and orm.is_error(err, "unsupported"), tostring(err))
            ok, err = pcall(em.count, em, Doc, { data = op.one_of(documents) })
            assert.is_true(ok or orm.is_error(err, "unsupported"), tostring(err))
            ok, err = pcall(em.count, em, Doc, { data = op.json("a", op.one_of(documents)) })
            assert.is_true(ok or orm.is_error(err, "unsupported"), tostring(err))
        end)
    end)
end)
