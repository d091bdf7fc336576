-- What schema:update makes of a SQLite database that others have made or changed. Everything is read back over a raw
-- connection.

local apply = require "heddle.schema.apply"
local databases = require "spec.support.databases"
local differ = require "heddle.schema.differ"
local expect = require "spec.support.expect"
local orm = require "heddle"
local schema_model = require "heddle.schema.model"

local raises = expect.raises

-- Entities of the same tables, as they are from version to version.
local function user(properties, options)
    local definition = options or {}
    definition.name, definition.table = "User", "users"
    definition[1] = { "id", type = "integer", primary = true }
    for _, property in ipairs(properties) do definition[#definition + 1] = property end
    return orm.entity(definition)
end

local function post(target)
    return orm.entity { name = "Post", table = "posts",
        { "id", type = "integer", primary = true },
        { "user", many_to_one = target, on_delete = "cascade" },
    }
end

databases.on("sqlite", function(db)
    describe("schema:update", function()
        local instance, raw, config

        before_each(function() config = db:config() end)
        after_each(function()
            orm.close()
            db:close()
        end)

        local function open(...)
            orm.close()
            local made = {}
            for key, value in pairs(config) do made[key] = value end
            made.entities = { ... }
            instance = orm.init(made)
            raw = db:raw()
        end

        local function exec(...)
            for _, sql in ipairs { ... } do raw:exec(sql) end
        end

        local function count_of(list, word)
            local count = 0
            for _, text in ipairs(list) do
                if text:find(word, 1, true) then count = count + 1 end
            end
            return count
        end

        local function is_settled(opts)
            local left = instance.schema:diff(opts)
            assert.same({}, left)
        end

        local NAME = { "name", type = "string" }

        -- What changes, and whether it takes a rebuild; rows 1 'Ann' and 2 'Bob' and three posts are there before.
        local cases = {
            { "a nullable column", { NAME, { "age", type = "integer", nullable = true } }, native = true },
            { "a column with a default", { NAME, { "age", type = "integer", default = 5 } }, native = true,
                rows = { { "1", "5" }, { "2", "5" } }, "select id, age from users" },
            { "a column whose default is an expression", { NAME, { "age", type = "integer", default_sql = "40 + 2" } },
                rows = { { "1", "42" }, { "2", "42" } }, "select id, age from users" },
            { "a relation", { NAME, { "boss", many_to_one = "User", nullable = true, on_delete = "set null" } },
                native = true, rows = { { "users", "SET NULL" } },
                [[select "table", on_delete from pragma_foreign_key_list('users')]] },
            { "an enum", { NAME, { "level", type = "enum", enum = { "low", "it's" }, nullable = true } } },
            { "a generated column", { NAME, { "loud", type = "string", nullable = true, generated = "upper(name)" } },
                rows = { { "ANN" }, { "BOB" } }, "select loud from users" },
            { "a longer name", { { "name", type = "string", length = 200 } }, none = true },
            { "nullable", { { "name", type = "string", nullable = true } },
                rows = { { "0" } }, "select \"notnull\" from pragma_table_info('users') where name = 'name'" },
            { "a unique key", { { "name", type = "string", unique = true } } },
            { "a check", { NAME }, { checks = { "length(users.name) > 1" } } },
            { "an index", { NAME }, { indexes = { { "name desc", where = "name <> 'it''s'" } } }, native = true },
            { "a default", { { "name", type = "string", default = "it's" } } },
            { "a type", { { "name", type = "blob" } }, rows = { { "416E6E" }, { "426F62" } },
                "select hex(name) from users" },
        }

        for _, case in ipairs(cases) do
            it("M1, M2: " .. case[1] .. ", and back again", function()
                local before = user { NAME }
                open(before, post(before))
                instance.schema:create()
                exec("insert into users (name) values ('Ann'), ('Bob')",
                    "insert into posts (user_id) values (1), (2), (2)")
                is_settled { safe = false }
                local options = {}
                for key, value in pairs(type(case[3]) == "table" and case[3] or {}) do options[key] = value end
                local after = user(case[2], options)
                open(after, post(after))
                local shown = instance.schema:diff()
                local sent = instance.schema:update()
                assert.same(shown, sent)
                assert.equal((case.native or case.none) and 0 or 1, count_of(sent, "DROP TABLE"))
                if case.none then assert.same({}, sent) end
                is_settled()
                is_settled { safe = false }
                if case.rows then
                    local query = type(case[3]) == "string" and case[3] or case[4]
                    assert.same(case.rows, raw:rows(query))
                end
                assert.same({ { "1", "Ann" }, { "2", "Bob" } }, raw:rows "select id, cast(name as text) from users")
                assert.same({ { "1", "1" }, { "2", "2" }, { "3", "2" } }, raw:rows "select id, user_id from posts")
                assert.same({}, raw:rows "pragma foreign_key_check")
                assert.equal("ok", raw:value "pragma integrity_check")
                -- Back.
                local again = user { NAME }
                open(again, post(again))
                instance.schema:update { safe = false }
                is_settled { safe = false }
                assert.same({ { "1", "Ann" }, { "2", "Bob" } }, raw:rows "select id, name from users")
                assert.equal("3", raw:value "select count(*) from posts")
            end)
        end

        it("M2: a rename with a change of the table, its children, views, triggers and indexes", function()
            local before = user({ NAME, { "age", type = "integer", nullable = true } }, { indexes = { { "name" } } })
            open(before, post(before))
            instance.schema:create()
            exec("insert into users (name, age) values ('Ann', 5), ('Bob', 6)",
                "insert into posts (user_id) values (1), (2)", "create table log (what text)",
                "create index own on users (lower(name))",
                "create trigger t after update of name on users begin insert into log values (old.name); end",
                "create view names as select u.name from users u join posts p on p.user_id = u.id")
            local after = orm.entity { name = "Person", table = "people", indexes = { { "full" } },
                { "id", type = "integer", primary = true },
                { "full", type = "string", column = "full_name" },
                { "age", type = "integer", default = 7 },
            }
            open(after, post(after))
            local opts = { rename = { users = "people", ["users.name"] = "full_name" } }
            local shown = instance.schema:diff(opts)
            assert.same(shown, instance.schema:update(opts))
            is_settled()
            assert.same({ { "1", "Ann", "5" }, { "2", "Bob", "6" } }, raw:rows "select id, full_name, age from people")
            assert.same({ { "Ann" }, { "Bob" } }, raw:rows "select * from names order by 1")
            exec "update people set full_name = 'Anna' where id = 1"
            assert.same({ { "Ann" } }, raw:rows "select what from log")
            assert.same({ { "people" } }, raw:rows [[select "table" from pragma_foreign_key_list('posts')]])
            assert.equal("1", raw:value "select count(*) from sqlite_schema where name = 'own'")
            assert.same({ { "people", "2" } }, raw:rows "select * from sqlite_sequence where name = 'people'")
        end)

        it("M2: what others put into a table stays: columns, conflict clauses, checks, indexes", function()
            local before = user { NAME }
            open(before, post(before))
            exec([[create table Users (ID integer primary key autoincrement, "NAME" varchar(20) not null
                on conflict ignore collate nocase /* theirs */, own text default 'x' check (own <> ''),
                unique (own) on conflict replace)]],
                "create table posts (id integer primary key autoincrement, user_id int not null references users "
                    .. "on delete cascade)",
                "create index posts_user_id_index on posts (user_id)",
                "insert into users (name, own) values ('Ann', 'a'), ('Bob', 'b')",
                "insert into posts (user_id) values (1)")
            local left = instance.schema:diff()
            assert.same({}, left)
            assert.is_truthy(#left.left_out > 0)
            local after = user { { "name", type = "string", nullable = true },
                { "extra", type = "text", default = "e" } }
            open(after, post(after))
            instance.schema:update()
            is_settled()
            assert.same({ { "1", "Ann", "a", "e" }, { "2", "Bob", "b", "e" } },
                raw:rows "select id, name, own, extra from users")
            exec "insert into users (name, own) values ('Cid', 'b')"
            assert.same({ { "Ann" }, { "Cid" } }, raw:rows "select name from users order by id")
            assert.equal("1", raw:value "select count(*) from users where name = 'CID'")
            assert.has_error(function() exec "insert into users (own) values ('')" end)
            instance.schema:update { safe = false }
            assert.same({ { "id" }, { "name" }, { "extra" } },
                raw:rows "select lower(name) from pragma_table_info('users')")
            is_settled { safe = false }
            assert.equal("1", raw:value "select count(*) from posts")
        end)

        it("M2: steps between two models, of which the database knows more: there and back", function()
            local function model_of(...)
                open(...)
                local link = instance:link()
                local model = require("heddle.schema.sqlite.normal").of(instance, link, schema_model.of(instance))
                link:close()
                return model
            end
            local function run(from, to, opts)
                local link = instance:link()
                local ok, err = pcall(function()
                    local steps = differ.steps(instance, link, from, to, opts)
                    apply.run(instance, link, steps)
                end)
                link:close()
                if not ok then error(err, 0) end
            end
            local after = user({ { "title", type = "string", column = "full_name" },
                { "age", type = "integer", nullable = true }, { "boss", many_to_one = "User", nullable = true } },
                { checks = { "age < 200" } })
            local second = model_of(after, post(after))
            local before = user({ NAME, { "age", type = "integer" } }, { indexes = { { "age" } } })
            local first = model_of(before, post(before))
            instance.schema:create()
            exec("alter table users add column theirs text default 'x' check (theirs <> '')",
                "create index their_index on users (theirs, name)",
                "insert into users (name, age, theirs) values ('Ann', 5, 'a'), ('Bob', 6, 'b')",
                "insert into posts (user_id) values (1), (2), (2)")
            run(first, second, { safe = false, rename = { ["users.name"] = "full_name" } })
            assert.same({ { "1", "Ann", "5", "a", false }, { "2", "Bob", "6", "b", false } },
                raw:rows "select id, full_name, age, theirs, boss_id from users")
            assert.equal("3", raw:value "select count(*) from posts")
            assert.equal("1", raw:value "select count(*) from sqlite_schema where name = 'their_index'")
            open(after, post(after))
            is_settled()
            exec "insert into users (full_name, age) values ('Cid', null)"
            local back = { safe = false, rename = { ["users.full_name"] = "name" }, reverse = true }
            local ok, err = pcall(run, second, first, back)
            assert.is_false(ok)
            assert.is_true(orm.is_error(err, "migration"))
            assert.is_truthy(err.message:find("users.age: 1 row has NULL", 1, true), err.message)
            exec "delete from users where full_name = 'Cid'"
            run(second, first, back)
            assert.same({ { "1", "Ann", "5", "a" }, { "2", "Bob", "6", "b" } }, raw:rows "select * from users")
            assert.has_error(function() exec "update users set theirs = ''" end)
            open(before, post(before))
            is_settled()
            assert.equal("3", raw:value "select count(*) from posts")
        end)

        it("M2: a key that somebody else's foreign key refers to does not go", function()
            open(user { { "name", type = "string", unique = true } })
            instance.schema:create()
            exec("create table theirs (n text references users (name) on update cascade)",
                "insert into users (name) values ('Ann')", "insert into theirs values ('Ann')")
            open(user { { "title", type = "string" } })
            local opts = { safe = false, drop_tables = false, rename = { ["users.name"] = "title" } }
            raises("migration", function() instance.schema:update(opts) end, "'users'", "(name)", "'theirs'")
            open(user { { "title", type = "string", nullable = true, unique = true } })
            instance.schema:update(opts)
            exec("pragma foreign_keys = on", "update users set title = 'Anna'")
            assert.equal("Anna", raw:value "select n from theirs")
        end)

        it("M2: a table that a trigger of others needs does not go", function()
            local before = user { NAME }
            local log = orm.entity { name = "Log", table = "log", { "id", type = "integer", primary = true } }
            open(before, log)
            instance.schema:create()
            exec("insert into users (name) values ('Ann')", "insert into log values (1)",
                "create trigger noted after insert on users begin insert into log values (new.id + 10); end")
            open(before)
            raises("migration", function() instance.schema:update { safe = false } end, "'log'", "trigger 'noted'")
            assert.same({ { "1" } }, raw:rows "select * from log")
            exec "drop trigger noted"
            instance.schema:update { safe = false }
            is_settled { safe = false }
            assert.equal("0", raw:value "select count(*) from sqlite_schema where name = 'log'")
        end)

        it("M2: a rename beside a view that does not work is refused by its name", function()
            open(user { NAME })
            instance.schema:create()
            exec "create view broken as select x from nowhere"
            open(user { { "title", type = "string" } })
            for _ = 1, 2 do
                raises("migration", function()
                    instance.schema:update { rename = { ["users.name"] = "title" } }
                end, "'broken'", "nowhere")
                assert.equal("name", raw:value "select name from pragma_table_info('users') where cid = 1")
            end
            exec "drop view broken"
            instance.schema:update { rename = { ["users.name"] = "title" } }
            is_settled { safe = false }
        end)

        it("M3: NOT NULL without a default is refused where there are rows", function()
            local before = user { { "name", type = "string", nullable = true } }
            open(before, post(before))
            instance.schema:create()
            local strict = user { NAME, { "age", type = "integer" } }
            open(strict, post(strict))
            instance.schema:diff()
            exec "insert into users (name) values (null)"
            local err = raises("migration", function() instance.schema:update() end, "User.age", "default")
            assert.same({ "User", "age", "users", "age" }, { err.entity, err.property, err.table, err.column })
            strict = user { NAME }
            open(strict, post(strict))
            raises("migration", function() instance.schema:update() end, "User.name", "NULL")
            strict = user { { "name", type = "string", default = "nobody" } }
            open(strict, post(strict))
            instance.schema:update()
            is_settled()
            assert.equal("nobody", raw:value "select name from users")
        end)

        it("M2: a view that changes keeps its triggers", function()
            local function numbers(sql)
                return orm.entity { name = "Number", table = "numbers", expression = sql,
                    { "id", type = "integer", primary = true }, { "n", type = "integer", nullable = true } }
            end
            local before = user { NAME }
            open(before, numbers "select id, id as n from users")
            instance.schema:create()
            exec("create trigger into_numbers instead of insert on numbers begin "
                .. "insert into users (name) values ('n' || new.n); end")
            open(before, numbers "select id, id + 1 as n from users")
            instance.schema:update()
            is_settled { safe = false }
            exec "insert into numbers (n) values (4)"
            assert.same({ { "1", "2", "n4" } },
                raw:rows "select n.id, n.n, u.name from numbers n join users u on u.id = n.id")
        end)

        it("M1: two columns, and two tables, that swap their names", function()
            open(orm.entity { name = "A", table = "a", { "id", type = "integer", primary = true },
                { "x", type = "text" }, { "y", type = "text" } })
            instance.schema:create()
            exec "insert into a (x, y) values ('was x', 'was y')"
            local changes = require "heddle.schema.sqlite.plan"
            local live = require("heddle.schema.sqlite.introspect").read(instance, instance:link())
            local entry = { was = live.tables[1], now = live.tables[1],
                columns = { added = {}, dropped = {}, altered = {},
                renamed = { { from = "x", to = "y" }, { from = "y", to = "x" } } } }
            for _, kind in ipairs { "uniques", "foreign_keys", "indexes", "checks" } do
                entry[kind] = { added = {}, dropped = {}, renamed = {} }
            end
            local steps = changes.steps({ added = {}, dropped = {}, renamed = {}, changed = { entry },
                views = { added = {}, dropped = {}, changed = {} } }, { tables = {}, views = {} }, instance)
            for _, sql in ipairs(steps) do exec(sql) end
            assert.same({ { "was x", "was y" } }, raw:rows "select y, x from a")
        end)

        it("M1: tables that refer to each other, made and changed together", function()
            local function pair(nullable)
                return orm.entity { name = "Left", table = "left side", { "id", type = "integer", primary = true },
                    { "right", many_to_one = "Right", nullable = nullable },
                    { "up", many_to_one = "Left", nullable = true } },
                    orm.entity { name = "Right", table = "order", { "id", type = "integer", primary = true },
                        { "left", many_to_one = "Left", nullable = true, unique = nullable or nil } }
            end
            open(pair(true))
            assert.is_true(#instance.schema:update() > 0)
            is_settled { safe = false }
            exec([[insert into "order" (id) values (5)]],
                [[insert into "left side" (id, right_id, up_id) values (1, 5, 1)]],
                [[update "order" set left_id = 1]])
            open(pair(false))
            instance.schema:update { safe = false }
            is_settled { safe = false }
            assert.same({ { "1", "5", "1" } }, raw:rows [[select id, right_id, up_id from "left side"]])
            assert.same({ { "5", "1" } }, raw:rows [[select id, left_id from "order"]])
        end)
    end)
end)
