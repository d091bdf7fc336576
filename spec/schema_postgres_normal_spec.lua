-- What PostgreSQL holds and what entities ask for, compared in the server's own words: odd names, odd sessions, odd
-- tables, little right.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"
local reopen = require "spec.support.reopen"

local raises = expect.raises

databases.on("postgres", function(db)
    describe("schema:diff", function()
        local config, raw

        before_each(function()
            config = db:config {}
            raw = db:raw(config)
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        local function schema(entities, overrides)
            return reopen(config, overrides or {}, { entities = entities }).schema
        end

        local function thing(name, ...)
            return orm.entity { name = name, { "id", type = "integer", primary = true }, ... }
        end

        local function settle(item, opts)
            item:update(opts)
            assert.same({}, item:diff(opts))
        end

        local function custom(sql)
            local function same(value) return value end
            return orm.type { column = sql, to_db = same, from_db = same }
        end

        it("M1: names with quotes, capitals, spaces, reserved words, question marks and too many bytes", function()
            local long = ("ü"):rep(20) .. ("x"):rep(60)
            local Odd = orm.entity { name = "Odd", table = 'Select "it?"', comment = "it's",
                indexes = { { "order desc", name = 'in"dex ?' }, { "long", where = "\"order\" > '?'" } },
                checks = { { "\"Order By\" <> '?'", name = "che'ck" } },
                { "id", type = "integer", primary = true },
                { "order", type = "text", column = "order", default = "?\"'\\" },
                { "by", type = "text", column = "Order By", nullable = true, unique = true, comment = "?" },
                { "long", type = "text", column = long, nullable = true },
                { "double", type = "text", column = "it's \"?\"", nullable = true, generated = "\"order\" || '?'" },
                { "self", many_to_one = "Odd", nullable = true, join_column = "FROM" } }
            local Far = orm.entity { name = "Far", table = long .. "_table", { "id", type = "integer", primary = true },
                { "odd", many_to_one = Odd, nullable = true, index = true } }
            settle(schema { Odd, Far })
            raw:exec [[insert into "Select ""it?""" ("Order By") values ('a')]]
            Odd = orm.entity { name = "Odd", table = 'Select "it?"', { "id", type = "bigint", primary = true },
                { "order", type = "string", length = 30, column = "order", nullable = true },
                { "by", type = "text", column = "Order By", default = "?" },
                { "self", many_to_one = "Odd", nullable = true, join_column = "FROM" } }
            settle(schema { Odd, thing "Small" }, { safe = false })
            assert.same({ { "1", "?\"'\\", "a" } }, raw:rows [[select id, "order", "Order By" from "Select ""it?"""]])
        end)

        it("M1: two schemas with tables of the same name, and the own one by its name", function()
            local function in_schema(name, of, ...)
                return orm.entity { name = name, table = "things", schema = of, indexes = { { "name" } },
                    checks = { "name <> ''" }, { "id", type = "integer", primary = true },
                    { "name", type = "text", default = name }, ... }
            end
            local first, second = in_schema("First", "public"), in_schema("Second", "Crew Two")
            settle(schema { first, second })
            raw:exec [[insert into "Crew Two".things (name) values ('a')]]
            assert.same({}, schema({ in_schema "First", second }):diff())
            settle(schema { in_schema("First", "public", { "second", many_to_one = "Second", nullable = true }),
                in_schema("Second", "Crew Two", { "more", type = "integer", default = 1, index = true }) })
            assert.same({ { "1", "a", "1" } }, raw:rows [[select * from "Crew Two".things]])
            settle(schema { thing "Other", in_schema("Second", "Crew Two") }, { safe = false })
            assert.same({ { "1", "a" } }, raw:rows [[select * from "Crew Two".things]])
        end)

        it("M1: types, functions, operator classes and sequences of the user's", function()
            raw:exec "create schema tools"
            raw:exec "create type tools.mood as enum ('it''s', 'b')"
            raw:exec "create domain short as varchar(10) check (value <> 'long')"
            raw:exec "create function tools.twice(int) returns int immutable language sql as 'select $1 * 2'"
            raw:exec "create sequence numbers"
            local Thing = orm.entity { name = "Thing", indexes = { { "name", method = "hash" }, { "size" } },
                checks = { "tools.twice(size) > 0", "mood <> 'b' or size > 2" },
                { "id", type = "integer", primary = true },
                { "mood", type = custom "tools.mood", default_sql = "'it''s'" },
                { "moods", type = custom "tools.mood[]", nullable = true },
                { "name", type = custom "short", default_sql = "'x'" },
                { "number", type = "bigint", default_sql = "nextval('numbers')" },
                { "size", type = "integer", default_sql = "tools.twice(4)" },
                { "span", type = custom "int4range", nullable = true },
                { "bits", type = custom "bit(3)", default_sql = "b'101'" },
                { "many", type = "bigint", generated = "tools.twice(size)", nullable = true } }
            settle(schema { Thing })
            raw:exec "create index by_hand on thing (tools.twice(size) desc, name varchar_pattern_ops)"
            raw:exec "alter table thing add constraint apart exclude using gist (span with &&)"
            raw:exec "insert into thing default values"
            assert.same({}, schema({ Thing }):diff())
            settle(schema({ Thing }, { on_connect = function(conn)
                conn:execute "set search_path = tools, public, pg_catalog"
            end }), { safe = true })
            assert.same({ { "1", "it's", "8", "16" } }, raw:rows "select id, mood, size, many from thing")
            assert.same("1", raw:value "select count(*) from pg_constraint where conname = 'apart'")
        end)

        it("a session may have another path, be read only by default, and have tables of its own", function()
            local Thing = thing("Thing", { "name", type = "text", default = "x", index = true })
            raw:exec "create schema app"
            raw:exec "create table public.thing (id text)"
            local item = schema({ Thing }, { on_connect = function(conn)
                conn:execute "set search_path = app, public"
            end })
            settle(item)
            assert.same({ { "app" } }, raw:rows [[select schemaname from pg_tables where tablename = 'thing'
                and schemaname = 'app']])
            assert.same({ { "id" } }, raw:rows [[select column_name from information_schema.columns
                where table_schema = 'public' and table_name = 'thing']])
            item = schema({ Thing }, { on_connect = function(conn)
                conn:execute "set search_path = app"
                conn:execute "create temporary table thing (id integer, other text)"
                conn:execute "create temporary view thing_name_index as select 1 as one"
                conn:execute "set default_transaction_read_only = on"
            end })
            assert.same({}, item:diff())
        end)

        it("comparing needs no right to make anything but temporary tables", function()
            local Thing = thing("Thing", { "name", type = "text", default = "x", check = "name <> ''" })
            settle(schema { Thing })
            raw:exec "revoke all on schema public from public"
            raw:exec "grant usage on schema public to public"
            local as_other = { user = os.getenv "HEDDLE_TEST_PG_PASSWORD_ROLE",
                password = os.getenv "HEDDLE_TEST_PG_PASSWORD" }
            assert.same({}, schema({ Thing }, as_other):diff())
            local more = thing("Thing", { "name", type = "text", default = "y", check = "name <> ''" })
            assert.same(1, #schema({ more }, as_other):diff())
            raw:exec "create schema hidden"
            raw:exec "create function hidden.one() returns text language sql as 'select ''1'''"
            local far = schema({ thing("Thing", { "name", type = "text", default_sql = "hidden.one()" }) }, as_other)
            raises("metadata", function() far:diff() end, "Thing.name", "hidden.one()")
            raw:exec(("revoke temporary on database %s from public"):format(config.database))
            local item = schema({ Thing }, as_other)
            raises("migration", function() item:diff() end, "temporary tables", "GRANT TEMPORARY")
            raw:exec(("grant temporary on database %s to public"):format(config.database))
        end)

        it("what Heddle could not make itself is never dropped", function()
            raw:exec "create extension if not exists citext"
            raw:exec "create table measures (id integer, at date) partition by range (at)"
            raw:exec "create table measures_1 partition of measures for values from ('2020-01-01') to ('2021-01-01')"
            raw:exec "create table parent (id integer)"
            raw:exec "create table child (more integer) inherits (parent)"
            raw:exec "create extension if not exists file_fdw"
            raw:exec "create server files foreign data wrapper file_fdw"
            raw:exec "create foreign table lines (line text) server files options (filename '/dev/null')"
            raw:exec "create table heddle_migrations (name text)"
            raw:exec "create table plain (id integer)"
            local item = schema { thing "Thing" }
            settle(item, { safe = false })
            assert.same({ { "child" }, { "heddle_migrations" }, { "lines" }, { "measures" }, { "measures_1" },
                { "parent" }, { "thing" } }, raw:rows [[select relname from pg_class where relkind in ('r', 'p', 'f')
                and relnamespace = 'public'::regnamespace order by 1]])
            -- An entity may be one of them.
            local Measure = orm.entity { name = "Measure", table = "measures",
                { "id", type = "integer", primary = true, autoincrement = false },
                { "at", type = "date", primary = true },
                { "value", type = "integer", default = 1 } }
            settle(schema { thing "Thing", Measure }, { safe = false })
            raw:exec "insert into measures values (1, '2020-05-05')"
            assert.same({ { "1", "1" } }, raw:rows "select id, value from measures_1")
        end)

        it("an index that was never finished is made again", function()
            local Thing = thing("Thing", { "name", type = "text", unique = false })
            settle(schema { Thing })
            raw:exec "insert into thing (name) values ('a'), ('a')"
            assert.is_false(pcall(raw.exec, raw, "create unique index concurrently own on thing (name)"))
            raw:exec "delete from thing where id = 2"
            local Unique = orm.entity { name = "Thing", indexes = { { "name", name = "own", unique = true } },
                { "id", type = "integer", primary = true }, { "name", type = "text" } }
            settle(schema { Unique })
            assert.same("t", raw:value "select indisvalid from pg_index where indexrelid = 'own'::regclass")
        end)

        it("SQL that the server refuses names entity and property", function()
            local function refused(property, words, options)
                local definition = { name = "Thing", { "id", type = "integer", primary = true }, property }
                for key, value in pairs(options or {}) do definition[key] = value end
                local item = schema { orm.entity(definition) }
                local err = raises("metadata", function() item:diff() end, "Thing", words)
                assert.same("Thing", err.entity)
                assert.is_string(err.detail)
                return err.property
            end
            assert.same("size", refused({ "size", type = "integer", default_sql = "nope()" }, "the default nope()"))
            assert.same("size", refused({ "size", type = "integer", default_sql = "'x'" }, "the default 'x'"))
            assert.same("size", refused({ "size", type = "integer", generated = "nope + 1", nullable = true },
                "the expression of the generated column"))
            assert.same("size", refused({ "size", type = custom "nope(3)" }, "type nope(3)"))
            refused({ "size", type = "integer", check = "size > 'x'" }, "check 'thing_size_check'")
            refused({ "size", type = "integer" }, "index 'thing_size_index'", { indexes = { { "size", where = "1" } } })
            assert.same({}, raw:rows "select 1 from pg_class where relname like 'thing%' and relkind = 'r'")
        end)

        it("works inside a transaction, and leaves it usable", function()
            local item = schema { thing("Thing", { "size", type = "integer", default = 1 }) }
            local differ = require "heddle.schema.differ"
            local link = item.context:link()
            link:begin("BEGIN")
            assert.same(1, #differ.update(item.context, link, {}))
            assert.same(1, select(2, link:state()))
            item.context:run_sql(link, "create table thing (id integer generated by default as identity primary key)",
                { n = 0 })
            assert.same(1, #differ.update(item.context, link, {}))
            item.context:finish(link, link:rollback())
            link:close()
            assert.same(1, #item:diff())
        end)
    end)
end)
