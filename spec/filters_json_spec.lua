-- Filters into json documents and over whole ones: paths, types, NULLs, containment, exact numbers, indexes, and
-- against a model by chance. HEDDLE_SEED runs one seed.

local chance = require "spec.support.chance"
local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local json_model = require "spec.support.json_model"
local orm = require "heddle"
local unit = require "spec.support.unit"

local op = orm.op
local raises = expect.raises

local Part = orm.embeddable { name = "Part", { "name", type = "string" },
    { "data", type = "json", nullable = true }, { "tags", array_of = "text", nullable = true } }
local Doc = orm.entity { name = "Doc",
    { "id", type = "integer", primary = true },
    { "data", type = "json", nullable = true },
    { "name", type = "string", nullable = true },
    { "part", embedded = Part, object = true, nullable = true },
    { "other", many_to_one = "Doc", nullable = true },
    { "others", one_to_many = "Doc", mapped_by = "other" },
}

databases.each(function(db)
    describe("filters over json", function()
        local work, em, raw

        before_each(function()
            work = unit.open(db, { Doc })
            em, raw = work.em, work.raw
        end)

        after_each(function()
            work:close()
            db:close()
        end)

        local function fill(list)
            for _, data in ipairs(list) do em:insert(Doc, { data = data }) end
        end

        local function ids(where)
            local found = em:find(Doc, where, { order_by = { "id" }, managed = false })
            for i, e in ipairs(found) do found[i] = e.id end
            assert.equal(#found, em:count(Doc, where))
            return table.concat(found, " ")
        end

        local function at(path, condition) return ids { data = op.json(path, condition) } end

        it("Q2: equality by type; what is missing and JSON null are NULL", function()
            fill { { a = 1 }, { a = "1" }, { a = true }, { a = orm.null }, { b = 1 }, orm.null, { a = { 1 } },
                { a = { b = 1 } }, { a = 1.0 }, { a = 1.5 } }
            assert.equal("1 9", at("a", 1))
            assert.equal("2", at("a", "1"))
            assert.equal("3", at("a", true))
            assert.equal("", at("a", false))
            assert.equal("10", at("a", op.eq(1.5)))
            assert.equal("7", at("a", { 1 }))
            assert.equal("8", at("a", { b = 1 }))
            assert.equal("2 3 7 8 10", at("a", op.ne(1)))
            assert.equal("2 3 7 8 10", at("a", op.negate(1)))
            assert.equal("2 3 7 8 10", ids(op.negate { data = op.json("a", 1) }))
            assert.equal("4 5 6", at("a", orm.null))
            assert.equal("4 5 6", at("a", op.is_null()))
            assert.equal("1 2 3 7 8 9 10", at("a", op.not_null()))
            assert.equal("1 2 3 7 8 9 10", at("a", op.ne(orm.null)))
            assert.equal("1 2 9", at("a", op.one_of { 1, "1" }))
            assert.equal("1 4 5 6 9", at("a", op.one_of { 1, orm.null }))
            assert.equal("4 5 6", at("a", op.one_of { orm.null }))
            assert.equal("", at("a", op.one_of {}))
            assert.equal("2 3 7 8 10", at("a", op.not_one_of { 1 }))
            assert.equal("2 3 7 8 10", at("a", op.not_one_of { 1, orm.null }))
            assert.equal("4", ids { data = op.contains { a = orm.null } })
            assert.equal("6", ids { data = orm.null })
        end)

        it("Q2: order and patterns are of numbers and of texts; anything else is unknown", function()
            fill { { a = 1 }, { a = 10 }, { a = "5" }, { a = "Hello" }, { a = "hello" }, { a = orm.null }, {},
                { a = false }, { a = -0.5 }, { a = "50%_\\" } }
            assert.equal("1 2", at("a", op.gt(0)))
            assert.equal("1 2", at("a", op.gte(1)))
            assert.equal("9", at("a", op.lt(0)))
            assert.equal("1 9", at("a", op.lte(1.0)))
            assert.equal("1 2", at("a", op.between(1, 10)))
            assert.equal("1 9", at("a", op.negate(op.gt(1))))
            assert.equal("3", at("a", op.between("5", "50")))
            assert.equal("4", at("a", op.like "H%"))
            assert.equal("4 5", at("a", op.ilike "h%"))
            assert.equal("3 5 10", at("a", op.not_like "H%"))
            assert.equal("10", at("a", op.starts_with "50%"))
            assert.equal("10", at("a", op.ends_with "_\\"))
            assert.equal("4 5", at("a", op.contains "ell"))
            assert.equal("10", at("a", op.contains "%"))
            assert.equal("2 4", at("a", op.any { op.gt(5), op.like "H%" }))
            assert.equal("1", at("a", op.all { op.gt(0), op.lt(5) }))
        end)

        it("paths: names, places from 1 on and backwards, lists of steps; nothing of them is SQL", function()
            fill { { lines = { { price = 1 }, { price = 2 } } }, { lines = { { price = 2 } } },
                { ["a.b"] = { ["1"] = "x" } }, { ["q\"'\\\n"] = 1, ["é"] = 2 }, { { 5 }, 6 }, { ["1"] = 7 } }
            assert.equal("1", at("lines.1.price", 1))
            assert.equal("1 2", at("lines.-1.price", 2))
            assert.equal("1", at({ "lines", 2, "price" }, 2))
            assert.equal("3", at({ "a.b", "1" }, "x"))
            assert.equal("", at({ "a.b", 1 }, "x"))
            assert.equal("4", at({ "q\"'\\\n" }, 1))
            assert.equal("4", at("é", 2))
            assert.equal("5", at("1.1", 5))
            assert.equal("5", at({ -1 }, 6))
            assert.equal("6", at({ "1" }, 7))
            assert.equal("", at({ 1 }, 7))
            assert.equal("", at("lines.99.price", 1))
            assert.equal("1", ids { data = op.json("lines", op.json("1.price", 1)) })
            for _, name in ipairs { "'", "') or 1=1 --", "$1", "?", "\\", "\"", "x\ty", "}", "{a,b}", "->>", "[0]",
                "a'||'b", "#", "*", "@.x" } do
                assert.equal("", at({ name }, 1), name)
                assert.equal("1 2 3 4 5 6", at({ name, name }, orm.null), name)
                em:insert(Doc, { id = 90, data = { [name] = { [name] = "v" } } })
                assert.equal("90", at({ name, name }, "v"), name)
                em:delete_where(Doc, { id = 90 })
            end
        end)

        it("Q1: bad paths and conditions are refused", function()
            local function refused(fn, ...) return raises("validation", fn, ...) end
            refused(function() op.json(nil, 1) end, "op.json")
            refused(function() op.json("a", nil) end, "op.json")
            for _, path in ipairs { "", "a..b", ".a", "a.", {}, { "a", {} }, { 0 }, { 1.5 }, { true }, { a = 1 },
                { "a", b = 1 }, 5, true, "0", { 2 ^ 40 }, { "nul\0" }, ("a."):rep(200) .. "a" } do
                refused(function() op.json(path, 1) end, "op.json")
            end
            refused(function() em:find(Doc, { name = op.json("a", 1) }) end, "Doc.name", "json")
            refused(function() em:find(Doc, { other = op.json("a", 1) }) end, "Doc.other")
            refused(function() em:find(Doc, { part = op.json("a", 1) }) end, "Doc.part")
            for _, condition in ipairs { op.gt(true), op.between(1, "2"), op.gt({}), op.some { a = 1 }, op.raw "1",
                op.overlaps { 1 }, op.eq(op.eq(1)), print, op.one_of { print }, op.contains(op.eq(1)), 0 / 0,
                op.like "bad\255", { x = print }, op.one_of { { 1, nil, 3, [5] = 1 } }, "nul\0" } do
                local err = refused(function() em:find(Doc, { data = op.json("a", condition) }) end)
                assert.equal("data", err.property, tostring(condition))
            end
            raises("validation", function() em:find(Doc, { data = op.json({ "bad\255" }, 1) }) end)
        end)

        it("U3: integers beyond 2^53 and every digit of a decimal compare exactly", function()
            raw:exec [[insert into doc (data) values ('{"n": 9007199254740993}'), ('{"n": 9007199254740992}'),
                ('{"n": -9223372036854775808}'), ('{"n": 0.1}'), ('{"n": 1e2}'), ('{"n": "9007199254740993"}')]]
            local exact = em:find_one(Doc, 1).data.n
            assert.equal(type(exact) == "string" and "1 6" or "1", at("n", exact))
            assert.equal("1", at("n", op.gt(9007199254740992)))
            assert.equal("2 4 5", at("n", op.between(0, 9007199254740992)))
            assert.equal("3", at("n", op.lt(-9007199254740992)))
            assert.equal("4", at("n", 0.1))
            assert.equal("5", at("n", 100))
            assert.equal("4 5", at("n", op.one_of { 0.1, 100 }))
            assert.equal(type(exact) == "string" and "2 3 4 5" or "2 3 4 5 6", at("n", op.ne(exact)))
            assert.equal("1 2", at("n", op.gte(9007199254740992)))
        end)

        it("whole documents are equal as values, however they are written", function()
            raw:exec [[insert into doc (data) values ('{"b": [1, 2.50, null], "a": {"y": "\u00e9", "x": 1}}'),
                ('{ "a":{"x":1.0,"y":"é"},"b":[1,25e-1,null] }'), ('{"b": [2.5, 1, null], "a": {"y": "é", "x": 1}}'),
                ('[]'), ('{}'), ('"text"'), ('5'), ('null'), ('{"a": 1, "a": 2}')]]
            local value = { a = { x = 1, y = "é" }, b = { 1, 2.5, orm.null } }
            assert.equal("1 2", ids { data = value })
            assert.equal("1 2", ids { data = op.eq(value) })
            assert.equal("3 4 5 6 7 8 9", ids { data = op.ne(value) })
            assert.equal("1 2 6 7", ids { data = op.one_of { value, "text", 5 } })
            assert.equal("3 4 5 8 9", ids { data = op.not_one_of { value, "text", 5 } })
            assert.equal("4", ids { data = orm.array {} })
            assert.equal("5", ids { data = op.eq {} })
            assert.equal("9", ids { data = { a = 2 } })
            assert.equal("", ids { data = orm.null })
        end)

        it("contains and contained: members and items, at the top and at a path", function()
            fill { { a = { b = 1, c = 2 }, tags = { "x", "y" } }, { tags = { "x" } }, { 1, 2, { 3 } }, "x",
                { tags = "x and y" }, { tags = { { "x" } } } }
            assert.equal("1", ids { data = op.contains { a = { b = 1 } } })
            assert.equal("1 2", ids { data = op.contains { tags = { "x" } } })
            assert.equal("3", ids { data = op.contains { 2, 1, 1 } })
            assert.equal("3", ids { data = op.contains(2) })
            assert.equal("3", ids { data = op.contains { { 3 } } })
            assert.equal("", ids { data = op.contains(3) })
            assert.equal("4", ids { data = op.contains "x" })
            assert.equal("1 2 5 6", ids { data = op.contains {} })
            assert.equal("2", ids { data = op.contained { tags = { "y", "x" }, more = 1 } })
            assert.equal("1 2", at("tags", op.contains { "x" }))
            assert.equal("1 2 5", at("tags", op.contains "x"))
            assert.equal("1 2", at("tags", op.contained { "x", "y", "z" }))
            assert.equal("2 3 4 5 6", ids(op.negate { data = op.contains { a = { b = 1 } } }))
        end)

        it("in nested filters, members, writes and embedded objects", function()
            fill { { a = 1 }, { a = 2 } }
            em:insert(Doc, { other = 1, part = { name = "p", data = { k = { 1, "two" } }, tags = { "t", "u" } } })
            assert.equal("3", ids { other = { data = op.json("a", 1) } })
            assert.equal("1", ids { others = op.some { part = { data = op.json("k.2", "two") } } })
            assert.equal("3", ids { part = { data = { k = { 1, "two" } } } })
            assert.equal("3", ids { part = { data = op.contains { k = { "two" } } } })
            assert.equal("3", ids { part = { tags = op.contains "t" } })
            assert.equal("3", ids { part = { tags = { "t", "u" } } })
            assert.equal("", ids { part = { tags = op.ne { "t", "u" } } })
            assert.equal("3", ids { part = { tags = op.overlaps { "u", "v" } } })
            assert.equal("", ids { part = { tags = op.negate(op.overlaps { "u", "v" }) } })
            assert.equal("3", ids { part = { tags = op.contained { "t", "u", "v" } } })
            assert.equal("1 2", ids { part = { tags = orm.null } })
            assert.equal(1, em:update_where(Doc, { data = op.json("a", op.gt(1)) }, { name = "big" }))
            assert.equal("2", raw:value "select id from doc where name = 'big'")
            assert.equal(1, em:delete_where(Doc, { other = { data = op.json("a", 1) } }))
        end)

        it("SQL is made once for a shape of path, whatever its names are", function()
            local statement = require "heddle.statement"
            local made, new = 0, statement.new
            statement.new = function(...)
                made = made + 1
                return new(...)
            end
            local ok, err = pcall(function()
                for i = 1, 10 do
                    em:find(Doc, { data = op.json("a" .. i .. ".b", op.gt(i)) })
                    em:find(Doc, { data = op.json("a" .. i, op.eq(i)) })
                    em:find(Doc, { data = op.json("a" .. i, op.one_of { i, "x", 3 }) })
                end
            end)
            statement.new = new
            if not ok then error(err) end
            assert.equal(3, made)
        end)

        it("op.matches: by PostgreSQL's own, unsupported where SQLite has no regexp", function()
            fill { { a = "Hello" }, { a = 5 } }
            em:insert(Doc, { name = "x1" })
            if db.name == "postgres" then
                assert.equal("1", at("a", op.matches "^H.*o$"))
                assert.equal("3", ids { name = op.matches "^[a-z]\\d$" })
            else
                for _, where in ipairs { { name = op.matches "^x" }, { data = op.json("a", op.matches "^H") } } do
                    raises("unsupported", function() em:find(Doc, where) end, "regexp", "op.like")
                end
                assert.equal(3, em:count(Doc, {}))
            end
            raises("validation", function() op.matches(5) end, "op.matches")
            raises("validation", function() em:find(Doc, { other = op.matches "x" }) end)
        end)

        local function document(random, depth)
            local roll = random(depth > 0 and 9 or 6)
            if roll == 1 then return random(3) - 1 end
            if roll == 2 then return random { "a", "b", "ab", "" } end
            if roll == 3 then return random(2) == 1 end
            if roll == 4 then return orm.null end
            if roll == 5 then return random { 1.5, -1, 1.0, 100 } end
            if roll == 6 then return random(2) == 1 and {} or orm.array {} end
            local made = {}
            if roll == 9 then
                for i = 1, random(3) do made[i] = document(random, depth - 1) end
                return orm.array(made)
            end
            for _ = 1, random(3) do made[random { "a", "b", "1" }] = document(random, depth - 1) end
            return made
        end

        local function path(random)
            local steps = {}
            for i = 1, random(2) do steps[i] = random { "a", "b", "1", 1, 2, -1 } end
            return steps
        end

        -- A condition and what it means for the value at a path, which is nil for NULL.
        local function condition(random)
            local kind = random { "eq", "ne", "gt", "lte", "contains", "contained", "one_of", "like", "null" }
            local value = document(random, 2)
            if kind == "null" or value == orm.null then
                return op.is_null(), function(own) return own == nil end
            elseif kind == "like" then
                return op.like "a%", function(own)
                    if type(own) ~= "string" then return nil end
                    return own:sub(1, 1) == "a"
                end
            elseif kind == "gt" or kind == "lte" then
                value = random(3) - 1
                return op[kind](value), function(own)
                    if type(own) ~= "number" then return nil end
                    return (own > value) == (kind == "gt")
                end
            elseif kind == "one_of" then
                local other = document(random, 1)
                if other == orm.null then other = 1 end
                return op.one_of { value, other }, function(own)
                    if own == nil then return nil end
                    return json_model.equal(own, value) or json_model.equal(own, other)
                end
            end
            return op[kind](value), function(own)
                if own == nil then return nil end
                if kind == "eq" then return json_model.equal(own, value) end
                if kind == "ne" then return not json_model.equal(own, value) end
                if kind == "contained" then return json_model.contains(value, own) end
                if type(value) == "string" and type(own) == "string" then
                    return own:find(value, 1, true) ~= nil
                end
                return json_model.contains(own, value)
            end
        end

        it("by chance: documents, paths and conditions, against a model", function()
            local seed = chance.seed(1)
            local random = chance.generator(seed)
            local documents, some = {}, 0
            for i = 1, 40 do
                documents[i] = i % 5 == 0 and document(random, 3)
                    or { a = document(random, 2), b = document(random, 2), ["1"] = document(random, 2) }
                em:insert(Doc, { id = i, data = documents[i] })
            end
            for _ = 1, 400 do
                local where, holds = condition(random)
                local steps, negated = path(random), random(4) == 1
                local expected = {}
                for i, value in ipairs(documents) do
                    local found = holds(json_model.at(value, steps))
                    if found == not negated then expected[#expected + 1] = i end
                end
                where = { data = op.json(steps, where) }
                local text = ("seed %d, %s, %s%s"):format(seed, table.concat(steps, "."), negated and "negated " or "",
                    tostring(rawget(where.data.value, "kind")))
                assert.equal(table.concat(expected, " "), ids(negated and op.negate(where) or where), text)
                if #expected > 0 and #expected < 40 then some = some + 1 end
            end
            assert.is_true(some > 100, "conditions that tell documents apart: " .. some)
        end)

        it("by chance: containment and equality of whole documents, against a model", function()
            local seed = chance.seed(1)
            local random = chance.generator(seed + 1)
            local documents = {}
            for i = 1, 40 do
                documents[i] = document(random, 3)
                em:insert(Doc, { id = i, data = documents[i] })
            end
            for _ = 1, 300 do
                local value = document(random, 3)
                local kind = random { "contains", "contained", "eq" }
                if value ~= orm.null then
                    local expected = {}
                    for i, own in ipairs(documents) do
                        local holds = own ~= orm.null and (kind == "contains" and json_model.contains(own, value)
                            or kind == "contained" and json_model.contains(value, own)
                            or kind == "eq" and json_model.equal(own, value))
                        if holds then expected[#expected + 1] = i end
                    end
                    assert.equal(table.concat(expected, " "), ids { data = op[kind](value) },
                        ("seed %d, %s"):format(seed, kind))
                end
            end
        end)
    end)
end)

databases.on("postgres", function(db)
    it("equality at a path of names can be found by an index over the document", function()
        local Indexed = orm.entity { name = "Indexed", { "id", type = "integer", primary = true },
            { "data", type = "json" }, indexes = { { "data", method = "gin" } } }
        local work = unit.open(db, { Indexed })
        local sent = {}
        work.instance:on("query", function(entry) sent[#sent + 1] = entry.sql end)
        work.em:find(Indexed, { data = op.json("a.b", 1) })
        work.em:find(Indexed, op.negate { data = op.json("a.b", 1) })
        assert.truthy(sent[1]:find('e0."data" @> $1', 1, true))
        assert.is_nil(sent[2]:find("@>", 1, true))
        work.raw:exec [[insert into indexed (data) select json_build_object('a', json_build_object('b', i))
            from generate_series(1, 2000) i]]
        work.raw:exec "analyze indexed"
        work.raw:exec "set enable_seqscan = off"
        local plan = work.raw:rows("explain select * from indexed e0 where e0.data @> '{\"a\": {\"b\": 1}}'")
        local text = {}
        for i, row in ipairs(plan) do text[i] = row[1] end
        assert.truthy(table.concat(text, "\n"):find("Bitmap Index Scan", 1, true))
        work:close()
        db:close()
    end)
end)
