-- schema:update on PostgreSQL: every type, default, nullability, check and index, from each to each, with rows.

local databases = require "spec.support.databases"
local orm = require "heddle"

-- What a property can be, and a value in SQL that every type of its like can hold.
local properties = {
    { name = "smallint", sql = "smallint", type = "smallint" },
    { name = "integer", sql = "integer", type = "integer", default = 7 },
    { name = "bigint", sql = "bigint", type = "bigint", default = "7" },
    { name = "float", sql = "double precision", type = "float", default = 1.5 },
    { name = "decimal", sql = "numeric", type = "decimal", precision = 12, scale = 2, default = "1.50" },
    { name = "any decimal", sql = "numeric", type = "decimal" },
    { name = "short string", sql = "character varying", type = "string", length = 10, default = "it's" },
    { name = "string", sql = "character varying", type = "string", length = 40 },
    { name = "text", sql = "text", type = "text", default = "\\ 'a' \"b\" ?" },
    { name = "boolean", sql = "boolean", type = "boolean", default = true },
    { name = "uuid", sql = "uuid", type = "uuid", default = "0f8fad5b-d9cb-469f-a165-70867728950e" },
    { name = "json", sql = "jsonb", type = "json" },
    { name = "timestamp", sql = "timestamp with time zone", type = "timestamp", default_sql = "now()" },
    { name = "date", sql = "date", type = "date", default = "2000-02-29" },
    { name = "time", sql = "time without time zone", type = "time" },
    { name = "blob", sql = "bytea", type = "blob" },
    { name = "enum", sql = "text", type = "enum", enum = { "a", "it's" }, default = "it's" },
    { name = "texts", sql = "text[]", type = "array", array_of = "text" },
    { name = "integers", sql = "integer[]", type = "array", array_of = "integer", default_sql = "'{1,2}'" },
}

local samples = {
    ["uuid"] = "'0f8fad5b-d9cb-469f-a165-70867728950e'", ["json"] = "'{\"a\":[1]}'", ["timestamp"] = "'2020-01-01'",
    ["date"] = "'2020-01-01'", ["time"] = "'12:00'", ["blob"] = "'\\x61'", ["enum"] = "'a'", ["texts"] = "'{1,2}'",
    ["integers"] = "'{1,2}'", ["boolean"] = "true",
}

databases.on("postgres", function(db)
    describe("schema:update", function()
        local config, raw

        setup(function()
            config = db:config {}
            raw = db:raw(config)
        end)

        after_each(function()
            orm.close()
            raw:exec "drop table if exists things"
        end)

        local function option_copy(from, more)
            local made = { "value", nullable = true }
            for _, source in ipairs { from, more or {} } do
                for key, value in pairs(source) do made[key] = value end
            end
            made.name, made.sql = nil, nil
            return made
        end

        -- The schema of an entity of that property.
        local function schema(property, more, options)
            orm.close()
            local definition = {
                name = "Thing", table = "things",
                { "id", type = "integer", primary = true }, option_copy(property, more),
            }
            for key, value in pairs(options or {}) do definition[key] = value end
            config.entities = { orm.entity(definition) }
            return orm.init(config).schema
        end

        local function settled(property, more, options)
            local item = schema(property, more, options)
            assert.same({}, item:diff())
            return item
        end

        local function values()
            return raw:rows "select id, value::text from things order by id"
        end

        -- Updates, and is up to date then. What values cannot take is refused, and nothing has changed.
        local function change(property, more, options, opts)
            local before = values()
            local item = schema(property, more, options)
            local ok, err = pcall(item.update, item, opts)
            if ok then
                assert.same({}, item:diff(opts))
                return #before == #values()
            end
            if not orm.is_error(err, "migration") then error(err, 0) end
            assert.same("Thing", err.entity)
            assert.same("value", err.property)
            assert.same(before, values())
            return nil, err
        end

        -- Whether PostgreSQL's own catalog has a cast.
        local function has_cast(from, to)
            return raw:value(([[select exists (select from pg_cast where castsource = '%s'::regtype
                and casttarget = '%s'::regtype)]]):format(from, to)) == "t"
        end

        local function sample(property)
            return samples[property.name] or property.type == "string" and "'a'" or "'1'"
        end

        local function is_text(property)
            return property.sql == "text" or property.type == "string"
        end

        -- A value that no label of the enum is.
        local function is_no_label(err, to)
            return to.type == "enum" and orm.is_error(err, "check_violation") and err.property == "value"
        end

        for _, from in ipairs(properties) do
            it("M1: every type and default comes from " .. from.name .. ", rows and all", function()
                local create = schema(from):create_sql()
                raw:exec(create[1])
                settled(from)
                raw:exec "drop table things"
                local refused
                for _, to in ipairs(properties) do
                    -- One that has no way is like the other.
                    local has_way = has_cast(from.sql, to.sql) or is_text(from) or is_text(to)
                    if to ~= from and (has_way or not refused) then
                        refused = refused or not has_way
                        raw:exec(create[1])
                        raw:exec(("insert into things (value) values (%s), (null)"):format(sample(from)))
                        raw:exec "alter table things drop constraint if exists things_value_enum"
                        local ok, done, err = pcall(change, to)
                        if not ok then
                            assert.is_true(is_no_label(done, to), to.name .. ": " .. tostring(done))
                        elseif done == nil then
                            local is_lost = err.message:find("would not survive", 1, true)
                            assert.is_true(is_lost ~= nil or not has_way, err.message)
                        else
                            assert.is_true(done)
                        end
                        raw:exec "drop table things"
                    end
                end
            end)
        end

        it("what a type has no room for is refused, unless safe = false", function()
            local exact = { type = "decimal", precision = 12, scale = 4 }
            schema(exact):update()
            raw:exec "insert into things (value) values (1.2500)"
            assert.is_true(change { type = "decimal", precision = 12, scale = 2 })
            raw:exec "update things set value = 1.23"
            local _, err = change { type = "integer" }
            assert.matches("Thing.value: its type changes from numeric%(12,2%) to integer", err.message)
            assert.same({ { "1", "1.23" } }, values())
            assert.is_true(change({ type = "integer" }, nil, nil, { safe = false }))
            assert.same({ { "1", "1" } }, values())
            assert.is_true(change { type = "text" })
            raw:exec "update things set value = 'twelve chars'"
            assert.is_nil(change { type = "string", length = 5 })
            assert.is_nil(change { type = "integer" })
            assert.is_true(change { type = "string", length = 12 })
            raw:exec "update things set value = '0042'"
            assert.is_true(change { type = "integer" })
            assert.same({ { "1", "42" } }, values())
        end)

        it("a check that stays for safety's sake is in the way of another type", function()
            schema { type = "string", check = "value <> 'x'" }:update()
            raw:exec "insert into things (value) values ('1')"
            local _, err = change { type = "integer" }
            assert.matches("things_value_check", err.message)
            assert.is_true(change({ type = "integer" }, nil, nil, { safe = false }))
            assert.same({ { "1", "1" } }, values())
        end)

        it("M1: nullable and not, with a default that fills", function()
            for _, property in ipairs(properties) do
                local with_default = property.default ~= nil or property.default_sql
                schema(property):update()
                raw:exec(("insert into things (value) values (%s), (null)"):format(sample(property)))
                local done = change(property, { nullable = false })
                if with_default then
                    assert.is_true(done)
                    assert.same("0", raw:value "select count(*) from things where value is null")
                else
                    assert.is_nil(done)
                    raw:exec "delete from things where value is null"
                    assert.is_true(change(property, { nullable = false }))
                end
                assert.is_true(change(property))
                raw:exec "insert into things (value) values (null)"
                raw:exec "drop table things"
            end
        end)

        -- A walk that goes from each of a list to each other one, once.
        local function each_to_each(list, go)
            for i, first in ipairs(list) do
                go(first)
                for k = i + 1, #list do
                    go(list[k])
                    go(first)
                end
            end
        end

        local text = { type = "text" }

        local defaults = {
            {}, { default = "it's" }, { default = "" }, { default = "a\\b ? \"c\"" }, { default_sql = "lower('X')" },
            { default_sql = "'x' || current_date" }, { default = "null" },
        }

        it("M1: defaults, from each to each", function()
            schema(text):update()
            each_to_each(defaults, function(default) assert.is_true(change(text, default)) end)
        end)

        local things = {
            {}, { indexes = { { "value" } } }, { indexes = { { "value desc", "id" } } },
            { indexes = { { "value", where = "value <> 'it''s'", unique = true } } },
            { indexes = { { "value", method = "hash" } } }, { uniques = { { "value", "id" } } },
            { checks = { "value <> 'it''s'" } }, { checks = { { "length(value) < 100", name = "short" } } },
            { indexes = { { "value", name = "own" } }, checks = { "value like '%' or value is null" } },
            { comment = "it's" }, { indexes = { { "value", name = "own", where = { value = "a'b" } } } },
        }

        it("M1: indexes, unique keys, checks and comments, from each to each", function()
            schema(text):update()
            raw:exec "insert into things (value) values ('a'), (null), ('c')"
            each_to_each(things, function(options)
                assert.is_true(change(text, nil, options, { safe = false }))
            end)
            assert.same({ { "1", "a" }, { "2", false }, { "3", "c" } }, values())
        end)

        it("safe mode leaves what no entity asks for, and says so", function()
            local options = { indexes = { { "value", name = "own" } }, checks = { { "value <> ''", name = "full" } } }
            schema(text, nil, options):update()
            local item = schema(text)
            local run = item:update()
            assert.same(0, #run)
            assert.same(2, #run.left_out)
            assert.same("1", raw:value "select count(*) from pg_constraint where conname = 'full'")
            assert.same(2, #item:update { safe = false })
            assert.same("0", raw:value "select count(*) from pg_class where relname = 'own'")
        end)
    end)
end)
