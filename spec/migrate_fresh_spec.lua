-- fresh and rollup: starting anew, and one file for many.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local migrations = require "spec.support.migrations"
local orm = require "heddle"

local raises = expect.raises

databases.each(function(db)
    describe("migrations", function()
        local dir, instance, migrator, config

        before_each(function()
            dir = migrations.directory()
            config = db:config { migrations = dir.path, entities = { orm.entity { name = "Author", table = "authors",
                { "id", type = "integer", primary = true }, { "name", type = "string" } } } }
            instance = orm.init(config)
            migrator = instance.migrator
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        local function tables()
            local sql = db.name == "sqlite" and [[select name from sqlite_master where type in ('table', 'view')
                and name not like 'sqlite%' order by 1]] or [[select relname from pg_class c
                join pg_namespace n on n.oid = relnamespace where nspname = 'public' and relkind in ('r', 'v', 'm')
                order by 1]]
            local list = {}
            for i, row in ipairs(db:raw():rows(sql)) do list[i] = row[1] end
            return table.concat(list, ",")
        end

        local function states() return migrations.states(migrator) end

        local function write_some()
            migrator:create { name = "authors" }
            dir:write("20270101000000_b.lua", [[return { up = function(m)
                m:sql [=[CREATE TABLE "ma""de" (id integer PRIMARY KEY, up_id integer REFERENCES "ma""de" (id))]=]
                m:sql "CREATE TABLE temporary_name (x integer)"
                m:rename_table("temporary_name", "final")
                m:sql "CREATE VIEW v AS SELECT * FROM final"
                m:sql "CREATE VIEW w AS SELECT * FROM v"
                m:em():persist(m:em():create("Author", { name = "Ann" }))
            end, down = function(m)
                m:sql [=[DROP VIEW w; DROP VIEW v; DROP TABLE final; DROP TABLE "ma""de"; DELETE FROM authors]=]
            end }]])
        end

        it("fresh drops what entities and migrations made, and nothing else, then runs all", function()
            write_some()
            migrator:up()
            local all = tables()
            db:raw():exec [[INSERT INTO "ma""de" VALUES (1, 1)]]
            db:raw():exec "CREATE TABLE somebody_elses (x integer)"
            db:raw():exec "INSERT INTO somebody_elses VALUES (5)"
            assert.equal(2, #migrator:fresh())
            assert.equal("5", db:raw():value "select x from somebody_elses")
            assert.equal("0", db:raw():value [[select count(*) from "ma""de"]])
            assert.equal("1", db:raw():value "select count(*) from authors")
            db:raw():exec "DROP TABLE somebody_elses"
            assert.equal(all, tables())
            assert.equal("authors done, b done", states())
        end)

        it("fresh works on an empty database, and after one that was broken off", function()
            write_some()
            assert.equal(2, #migrator:fresh())
            dir:write("20270101000000_b.lua", dir:read "20270101000000_b.lua" .. "-- edited")
            assert.equal("authors done, b edited", states())
            assert.equal(2, #migrator:fresh())
            dir:remove "20270101000000_b.lua"
            assert.equal("authors done, b missing", states())
            migrator:resolve("b", "undone")
        end)

        it("fresh never drops another context's tables", function()
            local other_dir = migrations.directory()
            local copy = {}
            for key, value in pairs(config) do copy[key] = value end
            copy.context_name, copy.migrations = "secondary", other_dir.path
            copy.entities = { orm.entity { name = "Log", { "id", type = "integer", primary = true } } }
            local other = orm.init(copy)
            other.migrator:create()
            other.migrator:up()
            db:raw():exec "INSERT INTO log VALUES (1)"
            write_some()
            -- A migration that names it does not make it ours.
            dir:write("20270102000000_c.lua",
                "return { up = function(m) m:sql 'CREATE TABLE IF NOT EXISTS log (id int)' end }")
            migrator:up()
            migrator:fresh()
            assert.equal("1", db:raw():value "select count(*) from log")
            assert.equal("done", other.migrator:status()[1].state)
        end)

        it("fresh drops nothing where a file cannot run, or where somebody depends on a table", function()
            write_some()
            migrator:up()
            local all = tables()
            dir:write("20270102000000_c.lua", "return { up = ")
            raises("migration", function() migrator:fresh() end, "20270102000000_c.lua:1")
            assert.equal(all, tables())
            dir:remove "20270102000000_c.lua"
            db:raw():exec "CREATE TABLE theirs (a integer REFERENCES authors (id))"
            db:raw():exec "INSERT INTO theirs SELECT id FROM authors"
            raises("migration", function() migrator:fresh() end, "drops nothing", "theirs")
            assert.equal("1", db:raw():value "select count(*) from authors")
            assert.equal("authors done, b done", states())
        end)

        it("rollup makes one of those that have run; up, down and other databases know it", function()
            write_some()
            dir:write("20270102000000_c.up.sql",
                "-- heddle: context=default\nINSERT INTO authors (name) VALUES ('x;]]y');")
            dir:write("20270102000000_c.down.sql", "DELETE FROM authors WHERE name = 'x;]]y';")
            migrator:up()
            dir:write("20270103000000_d.up.sql", "CREATE TABLE d (x integer)")
            dir:write("20270103000000_d.down.sql", "DROP TABLE d")
            local originals = {}
            for _, name in ipairs(dir:files()) do originals[name] = dir:read(name) end
            local all, rows = tables(), db:raw():rows "select name from authors order by 1"
            local made = migrator:rollup { name = "all so far" }
            assert.equal("20270102000000_all_so_far", made.name)
            assert.equal(3, #made.replaces)
            assert.same({ ".snapshot.json", "20270102000000_all_so_far.lua", "20270103000000_d.down.sql",
                "20270103000000_d.up.sql" }, dir:files())
            assert.equal("all_so_far done, d pending", states())
            assert.equal(all, tables())
            assert.same({ "20270103000000_d" }, migrator:up())
            assert.equal(2, #migrator:down { all = true })
            assert.equal("heddle_migrations", tables())
            migrator:up { to = "all_so_far" }
            assert.equal(all, tables())
            assert.same(rows, db:raw():rows "select name from authors order by 1")

            -- A database where the others have run: they count as it.
            local other = db:config { migrations = dir.path, context_name = "default", entities = config.entities }
            orm.close()
            local second = migrations.directory()
            for name, text in pairs(originals) do second:write(name, text) end
            other.migrations = second.path
            instance = orm.init(other)
            instance.migrator:up()
            orm.close()
            other.migrations = dir.path
            instance = orm.init(other)
            migrator = instance.migrator
            assert.equal("all_so_far done, d done", states())
            assert.same({}, migrator:up())
            assert.same({ { "20270102000000_all_so_far" }, { "20270103000000_d" } },
                db:raw(other):rows "select name from heddle_migrations order by 1")
            assert.equal(2, #migrator:down { all = true })
        end)

        it("rollup waits for those that are pending in front, and where some have run they run to the end", function()
            dir:write("20260101000000_a.up.sql", "CREATE TABLE a (x integer)")
            dir:write("20260102000000_b.up.sql", "CREATE TABLE b (x integer)")
            raises("migration", function() migrator:rollup() end, "there are not two")
            migrator:up { only = "b" }
            raises("migration", function() migrator:rollup() end, "20260101000000_a", "run it first")
            migrator:up()
            local kept = { dir:read "20260101000000_a.up.sql", dir:read "20260102000000_b.up.sql" }
            local made = migrator:rollup()
            assert.equal("20260102000000_rollup", made.name)
            -- No down in them, none in it.
            raises("migration", function() migrator:down() end, "has no down")
            -- The files are there again, as before a merge: the one stands for them.
            dir:write("20260101000000_a.up.sql", kept[1])
            dir:write("20260102000000_b.up.sql", kept[2])
            assert.equal("rollup done", states())
            db:raw():exec "DELETE FROM heddle_migrations"
            assert.equal("rollup pending", states())
            dir:remove "20260102000000_rollup.lua"
            migrator:resolve("a", "done")
            dir:write("20260102000000_rollup.lua",
                "-- heddle: replaces=20260101000000_a replaces=20260102000000_b\n"
                .. "return { up = function() error 'x' end }")
            assert.equal("a done, b pending", states())
            db:raw():exec "DROP TABLE b"
            assert.same({ "20260102000000_b" }, migrator:up())
            assert.equal("rollup done", states())
        end)

        it("rollup does not mix what runs without a transaction with what runs in one", function()
            for i, mode in ipairs { "on", "on", "off", "off", "on" } do
                dir:write(("2026010%d000000_t%d.up.sql"):format(i, i),
                    ("-- heddle: transaction=%s\nCREATE TABLE t%d (x integer)"):format(mode, i))
            end
            migrator:up()
            local made = migrator:rollup()
            assert.equal(2, #made.files)
            assert.equal("rollup done, rollup done, t5 done", states())
            assert.is_truthy(dir:read "20260104000000_rollup.lua":find("transaction = false", 1, true))
            assert.is_nil(dir:read "20260102000000_rollup.lua":find("transaction = false", 1, true))
            assert.equal(3, #migrator:fresh())
        end)
    end)
end)

databases.on("postgres", function(db)
    it("fresh drops types, functions and materialized views of migrations", function()
        local dir = migrations.directory()
        local instance = orm.init(db:config { migrations = dir.path })
        dir:write("20260101000000_a.up.sql", [[
            CREATE TYPE mood AS ENUM ('a'); CREATE DOMAIN small AS integer CHECK (VALUE < 5); CREATE SEQUENCE counter;
            CREATE FUNCTION f(m mood) RETURNS mood LANGUAGE sql AS $$ SELECT m; $$;
            CREATE SCHEMA app;
            CREATE TABLE app.t (m mood DEFAULT f('a'), s small, n integer DEFAULT nextval('counter'));
            CREATE MATERIALIZED VIEW mv AS SELECT * FROM app.t;
            CREATE TABLE parted (x integer) PARTITION BY RANGE (x);
            CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (1) TO (5);]])
        instance.migrator:up()
        dir:write("20260101000000_a.up.sql", (dir:read "20260101000000_a.up.sql":gsub("CREATE SCHEMA app",
            "CREATE SCHEMA IF NOT EXISTS app")))
        assert.equal(1, #instance.migrator:fresh())
        assert.equal(1, #instance.migrator:fresh())
        orm.close()
        db:close()
    end)
end)
