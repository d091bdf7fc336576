-- schema:create, drop and create_sql against both databases: every type, relation, constraint and default, twice.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"

local raises = expect.raises

local Country = orm.entity {
    name = "Country", comment = "Where it's at",
    { "code", type = "string", length = 2, primary = true },
    { "name", type = "string", unique = true, comment = "the people's own" },
    { "capital", many_to_one = "City", nullable = true, on_delete = "set null" },
}
local City = orm.entity {
    name = "City", uniques = { { "country", "name" } },
    { "country", many_to_one = Country, primary = true, on_delete = "cascade" },
    { "number", type = "integer", primary = true },
    { "name", type = "string", default_sql = "'it''s a city'" },
    { "twin", many_to_one = "City", nullable = true },
}
local Everything = orm.entity {
    name = "Everything", table = "every thing",
    indexes = { { "name", "amount desc" }, { "level", where = "level is not null", unique = true },
        { "small", name = "own_name" }, { "flag", where = { small = 5, level = "a'b" }, unique = true } },
    checks = { "small < 100", { "amount >= 0 or small = 7", name = "named" } },
    { "id", type = "bigint", primary = true },
    { "small", type = "smallint", default = -5 },
    { "int", type = "integer", nullable = true, column = "select" },
    { "big", type = "bigint", default = "9223372036854775807" },
    { "float", type = "float", default = 0.5 },
    { "double", type = "double", default = 1e300 },
    { "amount", type = "decimal", precision = 20, scale = 4, default = "1.5" },
    { "free", type = "decimal", nullable = true },
    { "name", type = "string", length = 40, default = "it's \"quoted\" \\ and ünïcode" },
    { "body", type = "text", default = "" },
    { "flag", type = "boolean", default = true },
    { "no", type = "boolean", default = false },
    { "code", type = "uuid", default = "0F8FAD5B-D9CB-469F-A165-70867728950E" },
    { "doc", type = "json", default = { a = { 1, "it's" } } },
    { "at", type = "timestamp", default = 1700000000.25 },
    { "day", type = "date", default = "2000-02-29" },
    { "time", type = "time", default = "23:59:59.5" },
    { "data", type = "blob", default = "\0'\255" },
    { "level", type = "enum", enum = { "low", "a'b", "high" }, nullable = true, default = "a'b" },
    { "tags", type = "array", array_of = "text", default = { "x'y" } },
    { "numbers", type = "array", array_of = "integer", nullable = true },
    { "stamped", type = "integer", default_sql = "40 + 2" },
    { "doubled", type = "integer", generated = "small * 2", nullable = true },
    { "checked", type = "integer", check = "checked > 0", default = 1 },
    { "version", type = "integer", version = true },
    { "city", many_to_one = City, nullable = true },
    { "owner", many_to_one = "Everything", nullable = true, on_delete = "cascade" },
}
local Profile = orm.entity {
    name = "Profile",
    { "everything", one_to_one = Everything, primary = true, on_delete = "cascade" },
    { "key", type = "integer", unique = true },
}
local entities = { Profile, Everything, City, Country }

databases.each(function(db)
    describe("schema", function()
        local instance, em

        before_each(function()
            instance = orm.init(db:config { entities = entities })
            em = orm.em():fork()
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        local function tables()
            local sql = db.name == "sqlite"
                and "select name from sqlite_master where type = 'table' and name not like 'sqlite_%' order by name"
                or "select table_name from information_schema.tables where table_schema = 'public' order by table_name"
            local list = {}
            for i, row in ipairs(db:raw():rows(sql)) do list[i] = row[1] end
            return table.concat(list, ",")
        end

        -- Same letters as PostgreSQL's catalog keeps them.
        local function names_of(kind)
            local list = {}
            local sql = db.name == "sqlite"
                and ("select name from sqlite_master where type = '%s' and name not like 'sqlite_%%'"):format(kind)
                or "select indexname from pg_indexes where schemaname = 'public'"
            for _, row in ipairs(db:raw():rows(sql)) do list[row[1]] = true end
            return list
        end

        it("create makes all tables, drop takes them away, and both work twice", function()
            assert.equal("", tables())
            for _ = 1, 2 do
                instance.schema:create()
                assert.equal("city,country,every thing,profile", tables())
                em:persist_and_flush(em:create(Everything, {}))
                instance.schema:drop()
                assert.equal("", tables())
                em:clear()
            end
            instance.schema:drop()
        end)

        it("create is all or nothing, and says what was in the way", function()
            instance.schema:create()
            em:persist_and_flush(Country { code = "AT", name = "Austria" })
            local err = raises("syntax", function() instance.schema:create() end)
            assert.is_string(err.cause)
            assert.equal("1", db:raw():value "select count(*) from country")
            instance.schema:drop()
            db:raw():exec "create table profile (in_the_way integer)"
            assert.has_error(function() instance.schema:create() end)
            assert.equal("profile", tables())
            assert.equal(0, instance:pool_stats().in_use)
        end)

        it("create_sql and drop_sql are what create and drop run, in the same order", function()
            local wanted = instance.schema:create_sql()
            local sent = expect.statements(instance)
            instance.schema:create()
            local run = {}
            for _, sql in ipairs(sent) do
                if not (sql:find "^BEGIN" or sql:find "^COMMIT" or sql:find "txid_") then run[#run + 1] = sql end
            end
            assert.same(wanted, run)
            instance.schema:drop()
            local raw = db:raw()
            for _, sql in ipairs(wanted) do raw:exec(sql) end
            assert.equal("city,country,every thing,profile", tables())
            if db.name == "sqlite" then raw:exec "pragma foreign_keys = off" end
            for _, sql in ipairs(instance.schema:drop_sql()) do raw:exec(sql) end
            assert.equal("", tables())
        end)

        it("M1: every default is there for rows written without Heddle, apostrophes included", function()
            instance.schema:create()
            local columns = 'small, big, "float", "double", amount, name, body, flag, "no", code, day, stamped, '
                .. "doubled, checked"
            db:raw():exec(([[insert into "every thing" (id, doc, at, time, data, tags, version)
                values (5, '{}', '2020-01-01 00:00:00.000000', '00:00:00', '', '%s', 1)]]):format(
                db.name == "sqlite" and "[]" or "{}"))
            local theirs = em:find_one(Everything, 5)
            assert.equal("a'b", theirs.level)
            em:update_where(Everything, 5, { level = orm.null })
            em:detach(theirs)
            local ours = em:create(Everything, {})
            em:persist_and_flush(ours)
            assert.equal("a'b", ours.level)
            for name in columns:gmatch '[%w_]+' do
                assert.same(ours[name], theirs[name], name)
            end
            assert.equal("it's \"quoted\" \\ and ünïcode", theirs.name)
            assert.equal("1.5000", theirs.amount)
            assert.equal(42, ours.stamped)
            assert.equal(-10, ours.doubled)
        end)

        it("M1: every type takes its default through Heddle and gives it back", function()
            instance.schema:create()
            em:persist_and_flush(em:create(Everything, {}))
            em:clear()
            local e = em:find_one(Everything, 1)
            assert.equal(-5, e.small)
            assert.equal("9223372036854775807", tostring(e.big):gsub("%.0$", ""))
            assert.equal(0.5, e.float)
            assert.equal(1e300, e.double)
            assert.equal("1.5000", e.amount)
            assert.equal("it's \"quoted\" \\ and ünïcode", e.name)
            assert.equal("", e.body)
            assert.is_true(e.flag)
            assert.is_false(e.no)
            assert.equal("0f8fad5b-d9cb-469f-a165-70867728950e", e.code)
            assert.equal("it's", e.doc.a[2])
            assert.equal(1700000000.25, e.at)
            assert.equal("2000-02-29", e.day)
            assert.equal("\0'\255", e.data)
            assert.equal("x'y", e.tags[1])
            assert.equal(1, e.version)
            assert.is_nil(e.city)
        end)

        it("F5: keys, uniques, checks, enums and foreign keys are really there, and errors name them", function()
            instance.schema:create()
            local function refused(kind, fn, entity, property)
                local err = raises(kind, fn)
                assert.is_true(orm.is_error(err, "constraint"))
                if entity then assert.equal(entity, err.entity) end
                if property then assert.equal(property, err.property) end
                assert.equal("default", err.context)
            end
            em:insert(Country, { code = "AT", name = "Austria" })
            em:insert(City, { country = "AT", number = 1, name = "Vienna" })
            refused("unique_violation", function() em:insert(Country, { code = "AT", name = "x" }) end,
                "Country", "code")
            refused("unique_violation", function() em:insert(Country, { code = "DE", name = "Austria" }) end,
                "Country", "name")
            refused("unique_violation", function() em:insert(City, { country = "AT", number = 2, name = "Vienna" }) end,
                "City")
            refused("foreign_key_violation", function() em:insert(City, { country = "XX", number = 1 }) end)
            refused("foreign_key_violation", function() em:insert(City, { country = "AT", number = 9, name = "t",
                twin = { "AT", 77 } }) end)
            refused("check_violation", function() em:insert(Everything, { small = 100 }) end, "Everything")
            refused("check_violation", function() em:insert(Everything, { amount = "-1" }) end, "Everything")
            refused("check_violation", function() em:insert(Everything, { checked = 0 }) end, "Everything")
            local first = em:insert(Everything, { amount = "-1", small = 7 })
            refused("check_violation", function() em:execute [[update "every thing" set level = 'middle']] end,
                "Everything", "level")
            refused("not_null_violation", function() em:execute [[update "every thing" set name = null]] end,
                "Everything", "name")
            refused("unique_violation", function() em:insert(Everything, { level = "a'b" }) end, "Everything")
            assert.is_number(em:insert(Everything, { level = orm.null }))
            local second = em:insert(Everything, { level = orm.null })
            em:insert(Profile, { everything = first, key = 1 })
            refused("unique_violation", function() em:insert(Profile, { everything = first, key = 2 }) end, "Profile")
            refused("unique_violation", function() em:insert(Profile, { everything = second, key = 1 }) end,
                "Profile", "key")
            assert.equal(1, em:delete_where(Everything, first))
            assert.equal("0", db:raw():value "select count(*) from profile") -- on_delete = "cascade"
            em:update_where(Country, "AT", { capital = { "AT", 1 } })
            em:delete_where(City, { country = "AT", number = 1 })
            assert.same({ { false, false } },
                db:raw():rows "select capital_country_code, capital_number from country") -- "set null"
        end)

        it("indexes have their names, and partial ones their conditions", function()
            instance.schema:create()
            local found = names_of "index"
            assert.is_true(found.own_name)
            local conditions = db.name == "sqlite"
                and "select count(*) from sqlite_master where type = 'index' and sql like '%WHERE%'"
                or "select count(*) from pg_indexes where schemaname = 'public' and indexdef like '%WHERE%'"
            assert.equal("2", db:raw():value(conditions))
            em:insert(Everything, { small = 5, level = "low" })
            em:insert(Everything, { small = 5, level = "high" })
            em:insert(Everything, { small = 5, level = "a'b" })
            raises("unique_violation", function() em:insert(Everything, { small = 5, level = "a'b" }) end)
        end)

        it("comments and identity are PostgreSQL's, generated keys go on after a given one on both", function()
            instance.schema:create()
            if db.name == "postgres" then
                assert.equal("Where it's at", db:raw():value "select obj_description('country'::regclass)")
                assert.equal("the people's own", db:raw():value "select col_description('country'::regclass, 2)")
                assert.equal("YES", db:raw():value [[select is_identity from information_schema.columns
                    where table_name = 'every thing' and column_name = 'id']])
            end
            local first = em:insert(Everything, { level = orm.null })
            em:insert(Everything, { id = first + 1000, level = orm.null })
            assert.is_true(em:insert(Everything, { level = orm.null }) > first)
            em:delete_where(Everything, {}, { all = true })
            assert.is_true(em:insert(Everything, { level = orm.null }) > first) -- never a key again
        end)
    end)
end)
