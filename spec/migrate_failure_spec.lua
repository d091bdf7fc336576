-- Migrations that fail, that are killed in the middle, that were edited or removed, or are another context's.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local migrations = require "spec.support.migrations"
local orm = require "heddle"

local raises = expect.raises

databases.each(function(db)
    describe("a migration that fails", function()
        local dir, instance, migrator, config

        before_each(function()
            dir = migrations.directory()
            config = db:config { migrations = dir.path }
            instance = orm.init(config)
            migrator = instance.migrator
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        -- Everything that the database says of its schema, and what is recorded.
        local function all()
            local schema = db.name == "sqlite" and "select type, name, sql from sqlite_master order by 1, 2"
                or [[select table_name, column_name, data_type from information_schema.columns
                    where table_schema = 'public' order by 1, 2]]
            local ok, record = pcall(db:raw().rows, db:raw(),
                "select context, name, state, checksum from heddle_migrations")
            return { db:raw():rows(schema), ok and record or {} }
        end

        local FIRST = [[return { up = function(m)
            m:sql "CREATE TABLE a (id integer PRIMARY KEY, v text)"
            m:sql "INSERT INTO a VALUES (1, 'one')"
        end, down = function(m) m:sql "DROP TABLE a" end }]]

        it("M6: leaves schema and record as they were, whatever it did before", function()
            dir:write("20260101000000_a.lua", FIRST)
            migrator:up()
            local before = all()
            for _, code in ipairs {
                "m:sql 'CREATE TABL x'", "error 'enough'", "error { code = 5 }", "m:sql 'INSERT INTO a VALUES (1, 2)'",
                "m:em():execute 'SELECT * FROM nowhere'", "local x = nil; x.y = 1",
                "coroutine.wrap(function() error 'deep' end)()",
                "pcall(m.sql, m, 'CREATE TABL x'); m:sql 'SELECT 1 FROM no'",
            } do
                dir:write("20260102000000_b.lua", ([[return { up = function(m)
                    m:sql "ALTER TABLE a ADD COLUMN w text; CREATE TABLE b (x integer); UPDATE a SET w = 'two'"
                    m:sql "DELETE FROM a; ALTER TABLE a RENAME TO c"
                    %s
                end }]]):format(code))
                local err = raises("migration", function() migrator:up() end, "20260102000000_b",
                    "nothing of it is left")
                assert.equal("20260102000000_b", err.migration)
                assert.equal("default", err.context)
                assert.same(before, all(), code)
                assert.same({ { "1", "one" } }, db:raw():rows "select id, v from a")
            end
            -- Down too.
            dir:write("20260102000000_b.lua", [[return { up = function(m) m:sql "CREATE TABLE b (x integer)" end,
                down = function(m) m:sql "DROP TABLE b"; m:sql "DROP TABLE bb" end }]])
            migrator:up()
            before = all()
            raises("migration", function() migrator:down() end, "20260102000000_b")
            assert.same(before, all())
        end)

        it("says file, line, statement and what the database said", function()
            dir:write("20260101000000_a.up.sql",
                "-- one\nCREATE TABLE a (x integer);\n\nSELECT 'é';\nSELECT\n * FROM nowhere;")
            local err = raises("migration", function() migrator:up() end, dir.path .. "/20260101000000_a.up.sql:5",
                "20260101000000_a", "'default'")
            assert.equal("SELECT\n * FROM nowhere", err.sql)
            assert.equal(5, err.line)
            assert.equal(dir.path .. "/20260101000000_a.up.sql", err.file)
            assert.equal("table_not_found", err.reason)
            assert.is_truthy(err.cause:find "nowhere")
            if db.name == "postgres" then assert.equal("42P01", err.sqlstate) end
            dir:remove "20260101000000_a.up.sql"
            dir:write("20260101000000_a.lua", "return { up = function(m)\n\n  m:sql 'SELECT * FROM nowhere'\nend }")
            err = raises("migration", function() migrator:up() end, "20260101000000_a.lua:3")
            assert.equal("SELECT * FROM nowhere", err.sql)
            assert.equal(3, err.line)
            dir:write("20260101000000_a.lua", "return { up = function(m)\n\n\n  local x = nil; return x.y\nend }")
            raises("migration", function() migrator:up() end, "20260101000000_a.lua:4")
        end)

        it("M6: at its COMMIT, it leaves nothing either", function()
            dir:write("20260101000000_a.up.sql", "CREATE TABLE p (id integer PRIMARY KEY); CREATE TABLE c "
                .. "(p integer REFERENCES p (id) DEFERRABLE INITIALLY DEFERRED)")
            migrator:up()
            local before = all()
            dir:write("20260102000000_b.up.sql", "CREATE TABLE b (x integer); INSERT INTO c VALUES (5)")
            local err = raises("migration", function() migrator:up() end, "20260102000000_b", "nothing of it is left")
            assert.equal("foreign_key_violation", err.reason)
            assert.same(before, all())
            dir:write("20260102000000_b.up.sql", "INSERT INTO c VALUES (5); INSERT INTO p VALUES (5)")
            assert.equal(1, #migrator:up())
        end)

        it("what fails behind its COMMIT is no failure of it", function()
            dir:write("20260101000000_a.up.sql", "CREATE TABLE a (x integer)")
            migrator:up()
            dir:write("20260102000000_b.up.sql", "CREATE TABLE b (x integer)")
            instance:on("after_commit", function() error "too late" end)
            raises("migration", function() migrator:up() end, "too late", "it is committed and recorded all the same")
            assert.equal("done", migrator:status()[2].state)
        end)

        it("its error is the one that is raised, whatever progress says of it", function()
            dir:write("20260101000000_a.up.sql", "CREATE TABL a (x integer)")
            raises("migration", function()
                migrator:up { on_progress = function(event) if event.event == "failed" then error "mine" end end }
            end, "20260101000000_a")
        end)

        it("stops the ones behind it, those before it are done", function()
            dir:write("20260101000000_a.up.sql", "CREATE TABLE a (x integer)")
            dir:write("20260102000000_b.up.sql", "CREATE TABL b (x integer)")
            dir:write("20260103000000_c.up.sql", "CREATE TABLE c (x integer)")
            local told = {}
            raises("migration", function()
                migrator:up { on_progress = function(event) told[#told + 1] = event.event .. (event.index or "") end }
            end, "20260102000000_b")
            assert.same({ "start1", "statement", "done1", "start2", "failed2" }, told)
            assert.same({ { "20260101000000_a" } }, db:raw():rows "select name from heddle_migrations")
        end)

        for _, direction in ipairs { "up", "down" } do
            it("M6: killed in the middle of " .. direction .. ", it leaves nothing", function()
                dir:write("20260101000000_a.lua", FIRST)
                migrator:up()
                dir:write("20260102000000_b.lua", [[
                    local function work(m)
                        m:sql "ALTER TABLE a ADD COLUMN w text; CREATE TABLE b (x integer); UPDATE a SET w = 'two'"
                        m:sql "DELETE FROM a"
                        if HANG then
                            say "in the middle"
                            require("heddle.core").sleep(60)
                        end
                    end
                    return { up = work, down = function(m) m:sql "DROP TABLE b"; m:drop_column("a", "w"); HANG = NEXT
                        work(m) end }]])
                if direction == "down" then
                    migrator:up()
                    db:raw():exec "INSERT INTO a VALUES (1, 'one', 'w')"
                end
                local before = all()
                local process = migrations.process(config, dir, ("%s = true\ninstance.migrator:%s()"):format(
                    direction == "up" and "HANG" or "NEXT", direction))
                process:expect "in the middle"
                process:kill()
                assert.same(before, all())
                assert.same({ { "1", "one" } }, db:raw():rows "select id, v from a")
                assert.equal(direction == "up" and "pending" or "done", migrator:status()[2].state)
                -- And the lock is free.
                assert.same({ "20260102000000_b" }, migrator[direction](migrator))
            end)
        end

        it("M6: without a transaction it is recorded as started, up and down stop, resolve settles it", function()
            dir:write("20260101000000_a.lua", FIRST)
            dir:write("20260102000000_b.lua", [[return { transaction = false, up = function(m)
                m:sql "CREATE TABLE b (x integer)"
                m:sql "CREATE TABL c"
            end, down = function(m) m:sql "DROP TABLE b" end }]])
            dir:write("20260103000000_c.up.sql", "CREATE TABLE c (x integer)")
            raises("migration", function() migrator:up() end, "20260102000000_b", "stays recorded as started",
                "heddle migrate:resolve 20260102000000_b --done or --undone")
            assert.same({ { "20260101000000_a", "done" }, { "20260102000000_b", "started" } },
                db:raw():rows "select name, state from heddle_migrations order by name")
            for _, call in ipairs { "up", "down" } do
                local err = raises("migration", function() migrator[call](migrator) end, "did not end",
                    "heddle migrate:resolve 20260102000000_b --done or --undone")
                assert.equal("started", err.state)
            end
            assert.equal("started", migrator:pending()[1].state)
            migrator:resolve("20260102000000_b", "undone")
            assert.equal("pending", migrator:status()[2].state)
            db:raw():exec "DROP TABLE b"
            raises("migration", function() migrator:up() end, "20260102000000_b")
            migrator:resolve("b", "done")
            assert.equal("done", migrator:status()[2].state)
            assert.same({ "20260103000000_c" }, migrator:up())
            raises("validation", function() migrator:resolve("b", "finished") end, "'done' or 'undone'")
            raises("migration", function() migrator:resolve("zz", "done") end, "'zz'")
        end)

        it("M6: killed without a transaction, it is recorded as started", function()
            dir:write("20260102000000_b.lua", [[return { transaction = false, up = function(m)
                m:sql "CREATE TABLE b (x integer)"
                say "in the middle"
                require("heddle.core").sleep(60)
            end }]])
            local process = migrations.process(config, dir, "instance.migrator:up()")
            process:expect "in the middle"
            process:kill()
            assert.equal("started", migrator:status()[1].state)
            raises("migration", function() migrator:up() end, "heddle migrate:resolve 20260102000000_b")
            migrator:resolve("20260102000000_b", "done")
            assert.same({}, migrator:pending())
        end)

        it("M4: one that was edited or removed after it ran is reported, and stops up and down", function()
            dir:write("20260101000000_a.lua", FIRST)
            dir:write("20260102000000_b.up.sql", "CREATE TABLE b (x integer)")
            dir:write("20260102000000_b.down.sql", "DROP TABLE b")
            migrator:up()
            dir:write("20260103000000_c.up.sql", "CREATE TABLE c (x integer)")
            local function is_stopped(state, ...)
                local words = { ... }
                assert.equal(state, migrator:pending()[1].state)
                for _, call in ipairs { "up", "down" } do
                    local err = raises("migration", function() migrator[call](migrator) end,
                        (table.unpack or unpack)(words))
                    assert.equal(state, err.state)
                end
                raises("migration", function() migrator:up { dry_run = true } end)
                assert.equal("2", db:raw():value "select count(*) from heddle_migrations")
            end
            dir:write("20260101000000_a.lua", FIRST .. " ")
            is_stopped("edited", "20260101000000_a", "was edited", "heddle migrate:resolve 20260101000000_a --done")
            dir:write("20260101000000_a.lua", (FIRST:gsub("\n", "\r\n")))
            assert.equal("done", migrator:status()[1].state)
            dir:write("20260102000000_b.down.sql", "DROP TABLE b;")
            is_stopped("edited", "20260102000000_b")
            migrator:resolve("20260102000000_b", "done")
            assert.equal("done", migrator:status()[2].state)
            dir:remove "20260101000000_a.lua"
            is_stopped("missing", "20260101000000_a", "its file is gone", "--undone")
            raises("migration", function() migrator:resolve("20260101000000_a", "done") end, "has no file")
            migrator:resolve("20260101000000_a", "undone")
            assert.same({ "20260103000000_c" }, migrator:up())
        end)
    end)

    describe("a migration's file", function()
        local dir, instance, migrator

        before_each(function()
            dir = migrations.directory()
            instance = orm.init(db:config { migrations = dir.path, context_name = "secondary" })
            migrator = instance.migrator
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        local function tables()
            return db:raw():value(db.name == "sqlite" and "select count(*) from sqlite_master"
                or "select count(*) from pg_tables where schemaname = 'public'")
        end

        it("M5: of another context never runs, nor anything before it", function()
            dir:write("20260101000000_a.lua", [[return { context = "secondary", up = function(m)
                m:sql "CREATE TABLE a (x integer)" end }]])
            for name, code in pairs {
                ["20260102000000_b.lua"] = "return { context = 'default', up = function() end }",
                ["20260102000000_c.lua"] = "return { up = function() end }",
                ["20260102000000_d.up.sql"] = "-- heddle: context=third\nCREATE TABLE d (x integer)",
                ["20260102000000_e.up.sql"] = "CREATE TABLE e (x integer)",
            } do
                dir:write(name, code)
                local err = raises("migration", function() migrator:up() end, "'secondary'", "is written for context",
                    name)
                assert.equal(dir.path .. "/" .. name, err.file)
                assert.equal("0", tables())
                dir:remove(name)
            end
            dir:write("20260102000000_b.up.sql", "-- heddle: context=secondary\nCREATE TABLE b (x integer)")
            dir:write("20260102000000_b.down.sql", "-- heddle: context=default\nDROP TABLE b")
            raises("migration", function() migrator:up() end, "b.down.sql")
            dir:remove "20260102000000_b.down.sql"
            assert.equal(2, #migrator:up())
            assert.same({ { "secondary" } }, db:raw():rows "select distinct context from heddle_migrations")
        end)

        it("M5: two contexts of one database have records of their own", function()
            local other = migrations.directory()
            local config = {}
            for key, value in pairs(db.made[#db.made].config) do config[key] = value end
            config.migrations = other.path
            local default = orm.init(config)
            other:write("20260101000000_a.up.sql", "CREATE TABLE a (x integer)")
            other:write("20260101000000_a.down.sql", "DROP TABLE a")
            dir:write("20260101000000_a.up.sql", "-- heddle: context=secondary\nCREATE TABLE b (x integer)")
            default.migrator:up()
            assert.equal("pending", migrator:status()[1].state)
            migrator:up()
            default.migrator:down()
            assert.equal("done", migrator:status()[1].state)
            assert.equal("pending", default.migrator:status()[1].state)
        end)

        local function is_refused(name, code, ...)
            dir:write(name, code)
            local words = { ... }
            local err = raises("migration", function() migrator:up() end, (table.unpack or unpack)(words))
            assert.equal("0", tables())
            dir:remove(name)
            return err
        end

        it("with a syntax error is named with file, line and what was expected, before anything runs", function()
            dir:write("20260101000000_a.lua",
                "return { context = 'secondary', up = function(m) m:sql 'CREATE TABLE a (x integer)' end }")
            local err = is_refused("20260102000000_b.lua", "return {\n  up = function(m)\n  m.sql = = 2\n end }",
                "20260102000000_b.lua:3", "near '='")
            assert.equal(3, err.line)
            is_refused("20260102000000_b.lua", "return {\n  up = function(m)\n m:sql 'x' ", "20260102000000_b.lua:3",
                "'end' expected")
            is_refused("20260102000000_b.lua", "error('no ' .. 5)", "20260102000000_b.lua:1", "no 5")
            is_refused("20260102000000_b.lua", "local x = require 'no.such.module'", "no.such.module")
            is_refused("20260102000000_b.lua", "", "gave nothing", "return { up = function(m) ... end }")
            is_refused("20260102000000_b.lua", "return 5", "gave a number")
            is_refused("20260102000000_b.lua", "return { context = 'secondary' }", "option 'up' is missing")
            is_refused("20260102000000_b.lua", "return { up = 'CREATE' }", "'up' must be a function; got a string")
            is_refused("20260102000000_b.lua", "return { upp = function() end }", "unknown option 'upp'",
                "did you mean 'up'")
            is_refused("20260102000000_b.lua", "\27Lua", "cannot be loaded")
            is_refused("20260102000000_b.lua", "-- heddle: context=secondary\nreturn {}", "b.lua:1", "in the table")
            is_refused("20260102000000_b.up.sql", "-- heddle: contxt=secondary\n", "b.up.sql:1",
                "did you mean 'context'")
            is_refused("20260102000000_b.up.sql", "\n-- heddle: transaction=no\n", "b.up.sql:2", "transaction=off")
            is_refused("20260102000000_b.up.sql", "-- heddle: off\n", "context=NAME")
            is_refused("20260102000000_b.up.sql", "-- heddle: context=secondary\nSELECT 1;\nCOMMIT;", "b.up.sql:3",
                "COMMIT")
            is_refused("20260102000000_b.up.sql", "-- heddle: context=secondary\n\\connect x", "psql")
        end)

        it("that is named like none is no migration that is left out without a word", function()
            is_refused("2026_b.lua", "return {}", "2026_b.lua", "YYYYMMDDHHMMSS_name.lua")
            is_refused("20260101000000_b.sql", "", "not named like a migration")
            is_refused("20260101000000_b.down.sql", "", "20260101000000_b.up.sql")
            dir:write("20260101000000_b.up.sql", "")
            is_refused("20260101000000_b.lua", "", "twice")
            dir:remove "20260101000000_b.up.sql"
            dir:write("README.md", "")
            dir:write(".hidden.lua", "syntax error")
            assert.same({}, migrator:status())
        end)

        it("may begin with a byte order mark and have a context's name with blanks", function()
            orm.close()
            instance = orm.init(db:config { migrations = dir.path, context_name = "two words" })
            dir:write("20260101000000_a.up.sql",
                "\239\187\191-- heddle: context=\"two words\" transaction=on\nCREATE TABLE a (x integer)")
            dir:write("20260102000000_b.lua", "\239\187\191return { context = 'two words', up = function() end }")
            assert.equal(2, #instance.migrator:up())
        end)

        it("stands in the directory that the configuration names, none is none", function()
            orm.close()
            instance = orm.init(db:config { context_name = "secondary" })
            assert.is_truthy(instance.config.migrations.path:find "migrations/secondary$")
            instance = orm.init(db:config { migrations = dir.path .. "/not/there/" })
            assert.same({}, instance.migrator:status())
            assert.same({}, instance.migrator:up())
        end)
    end)
end)
