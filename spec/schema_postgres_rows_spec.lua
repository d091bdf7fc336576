-- What a change costs and risks on PostgreSQL where there are rows: M3 when a migration is made, tables not rewritten.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"
local differ = require "heddle.schema.differ"
local model = require "heddle.schema.model"

local raises = expect.raises

databases.on("postgres", function(db)
    describe("a change of schema", function()
        local config, raw, context

        before_each(function()
            config = db:config {}
            raw = db:raw(config)
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        local function with(...)
            orm.close()
            config.entities = { orm.entity { name = "Thing", { "id", type = "integer", primary = true }, ... } }
            context = orm.init(config)
            return context.schema
        end

        -- The steps of a migration from what the database holds.
        local function migration(opts)
            local link = context:link()
            local ok, steps = pcall(function()
                return differ.steps(context, link, differ.live(context, link), differ.wanted(context, link), opts or {})
            end)
            link:close()
            if not ok then error(steps, 0) end
            return steps
        end

        local text = { "name", type = "text" }

        it("M3: a NOT NULL column without a default is refused when a migration is made, rows or none", function()
            with():update()
            with(text)
            local ok, err = pcall(migration)
            assert.is_false(ok)
            assert.is_true(orm.is_error(err, "migration"))
            assert.same({ "Thing", "name", "thing" }, { err.entity, err.property, err.table })
            assert.matches("default_sql", err.message)
            assert.matches("nullable first", err.message)
            -- The way back from a drop is tried when it is gone.
            assert.same({ 'ALTER TABLE "thing" ADD COLUMN "name" text NOT NULL' }, migration { reverse = true })
            with { "name", type = "text", default = "x" }
            assert.same(1, #migration())
            with { "name", type = "text", nullable = true }
            assert.same(1, #migration())
        end)

        it("M3: a column is made NOT NULL where the database shows that it can be", function()
            with({ "name", type = "text", nullable = true }):update()
            with(text)
            assert.is_false((pcall(migration)))
            raw:exec "insert into thing (name) values (null)"
            local ok, err = pcall(migration)
            assert.is_false(ok)
            assert.matches("Thing.name: it cannot be made NOT NULL", err.message)
            raw:exec "update thing set name = 'a'"
            assert.same({ 'ALTER TABLE "thing" ALTER COLUMN "name" SET NOT NULL' }, migration())
            with { "name", type = "text", default = "x" }
            assert.same({
                [[ALTER TABLE "thing" ALTER COLUMN "name" SET DEFAULT 'x'::text]],
                [[UPDATE "thing" SET "name" = DEFAULT WHERE "name" IS NULL]],
                [[ALTER TABLE "thing" ALTER COLUMN "name" SET NOT NULL]],
            }, migration())
        end)

        it("M3: a type that values cannot take is refused when a migration is made", function()
            with({ "name", type = "integer", nullable = true }):update()
            local item = with { "name", type = "uuid", nullable = true }
            local ok, err = pcall(migration)
            assert.is_false(ok)
            assert.matches("Thing.name: its type changes from integer to uuid", err.message)
            raw:exec "insert into thing (name) values (1)"
            raises("migration", function() item:diff() end, "USING")
            with { "name", type = "boolean", nullable = true }
            assert.same({ 'ALTER TABLE "thing" ALTER COLUMN "name" TYPE boolean USING "name"::boolean' }, migration())
        end)

        local function file()
            return raw:value "select pg_relation_filenode('thing')"
        end

        local function keeps_file(...)
            local before = file()
            with(...):update()
            assert.same({}, with(...):diff())
            assert.same(before, file())
        end

        it("a table is not rewritten where its types only grow, or a column with a constant default comes", function()
            with({ "name", type = "string", length = 10 },
                { "price", type = "decimal", precision = 8, scale = 2 }):update()
            raw:exec "insert into thing (name, price) select i, i from generate_series(1, 100) i"
            local price = { "price", type = "decimal", precision = 12, scale = 2 }
            keeps_file({ "name", type = "string", length = 20 }, price)
            keeps_file(text, price)
            keeps_file(text, price, { "more", type = "string", length = 5, default = "it's" },
                { "flag", type = "boolean", default = true }, { "none", type = "integer", nullable = true })
            assert.same("100", raw:value "select count(*) from thing where more = 'it''s' and flag")
        end)

        it("a column without values takes any type", function()
            with({ "name", type = "integer", nullable = true }):update()
            raw:exec "insert into thing default values"
            with({ "name", type = "uuid", nullable = true }):update()
            assert.same({}, context.schema:diff())
            raw:exec "update thing set name = gen_random_uuid()"
            local item = with { "name", type = "blob", nullable = true }
            raises("migration", function() item:update() end, "Thing.name", "knows no way")
            raises("migration", function() item:update { safe = false } end, "Thing.name", "knows no way")
        end)

        it("M1: steps between models in Heddle's own words, as snapshots have them, lead there as well", function()
            local function people(name, key, ...)
                orm.close()
                config.entities = {
                    orm.entity { name = "Person", table = name,
                        { "code", type = "string", length = key, primary = true },
                        { "size", type = "integer", default = 2 }, ... },
                    orm.entity { name = "Pet", { "id", type = "integer", primary = true },
                        { "owner", many_to_one = "Person", nullable = true } },
                }
                context = orm.init(config)
                return model.of(context)
            end
            local from = people("person", 20)
            context.schema:update()
            raw:exec "insert into person values ('a', 5), ('b', 6)"
            raw:exec "insert into pet (owner_code) values ('a')"
            local seen = {}
            local function go(to)
                local link = context:link()
                local steps = differ.steps(context, link, from, to, { safe = false })
                link:close()
                for _, sql in ipairs(steps) do raw:exec(sql) end
                assert.same({}, context.schema:diff { safe = false })
                from, seen[#seen + 1] = to, table.concat(steps, "\n")
            end
            local function area(expression)
                return { "area", type = "bigint", generated = expression, nullable = true, index = true }
            end
            go(people("person", 40, area "size * size"))
            assert.not_matches("FOREIGN KEY", seen[1])
            go(people("people", 40, area "size + 1"))
            assert.same({ { "a", "5", "6" }, { "b", "6", "7" } }, raw:rows "select * from people order by 1")
            assert.same("1", raw:value "select count(*) from pg_constraint where conname = 'people_pkey'")
            go(people("people", 40, { "number", type = "integer", default = 1, primary = true, autoincrement = false },
                { "boss", many_to_one = "Pet", nullable = true }))
            assert.same({ { "a", "5", "1" }, { "b", "6", "1" } },
                raw:rows "select code, size, number from people order by 1")
            go(people("person", 20))
            assert.same({ { "a", "5" }, { "b", "6" } }, raw:rows "select * from person order by 1")
        end)

        it("a column of a table that its entity renames is asked for by the old name, or the new", function()
            with({ "name", type = "text" })
            local from = model.of(context)
            for _, path in ipairs { "thing.name", "things.name" } do
                orm.close()
                config.entities = { orm.entity { name = "Thing", table = "things",
                    { "id", type = "integer", primary = true }, { "title", type = "text" } } }
                context = orm.init(config)
                local link = context:link()
                local steps = differ.steps(context, link, from, model.of(context), { rename = { [path] = "title" } })
                link:close()
                assert.same({
                    'ALTER TABLE "thing" RENAME TO "things"', 'ALTER TABLE "things" RENAME COLUMN "name" TO "title"',
                    'ALTER TABLE "things" RENAME CONSTRAINT "thing_pkey" TO "things_pkey"',
                }, steps)
            end
        end)

        it("several types of a table change in one statement", function()
            with({ "a", type = "integer", default = 1 }, { "b", type = "integer", default = 2 }):update()
            with({ "a", type = "bigint", default = 1 }, { "b", type = "text", default = "x" })
            assert.same({
                'ALTER TABLE "thing" ALTER COLUMN "a" DROP DEFAULT',
                'ALTER TABLE "thing" ALTER COLUMN "b" DROP DEFAULT',
                'ALTER TABLE "thing" ALTER COLUMN "a" TYPE bigint, ALTER COLUMN "b" TYPE text',
                'ALTER TABLE "thing" ALTER COLUMN "a" SET DEFAULT 1',
                [[ALTER TABLE "thing" ALTER COLUMN "b" SET DEFAULT 'x'::text]],
            }, migration())
        end)

        it("M6: an update that fails half way leaves everything as it was", function()
            local item = with(text, { "size", type = "integer", default = 1 })
            item:update()
            raw:exec "insert into thing (name) values ('a'), ('a')"
            local before = raw:rows "select * from thing"
            local more = with({ "name", type = "text", unique = true }, { "size", type = "bigint", default = 2 },
                { "more", type = "text", default = "x" })
            raises("unique_violation", function() more:update() end)
            assert.same(before, raw:rows "select * from thing")
            assert.same({}, with(text, { "size", type = "integer", default = 1 }):diff())
        end)

        it("says the same each time", function()
            with(text, { "size", type = "integer", default = 1 }):update()
            with({ "name", type = "string", length = 9, index = true },
                { "size", type = "bigint", default = 2, unique = true },
                { "area", type = "bigint", generated = "size * size", nullable = true })
            local first = migration()
            for _ = 1, 3 do assert.same(first, migration()) end
        end)
    end)
end)
