-- Running migrations up and down, what is recorded, and what `m` can do; on both databases.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local migrations = require "spec.support.migrations"
local orm = require "heddle"

local raises = expect.raises

local function entities()
    return {
        orm.entity { name = "Author", table = "authors", { "id", type = "integer", primary = true },
            { "name", type = "string" }, { "books", one_to_many = "Book", mapped_by = "author" } },
        orm.entity { name = "Book", table = "books", { "id", type = "integer", primary = true },
            { "title", type = "string" }, { "author", many_to_one = "Author" } },
    }
end

local AUTHORS = "20260101000000_authors.lua"
local BOOKS = "20260102000000_books"

databases.each(function(db)
    describe("migrator", function()
        local dir, instance, migrator, config

        before_each(function()
            dir = migrations.directory()
            config = db:config { entities = entities(), migrations = dir.path }
            instance = orm.init(config)
            migrator = instance.migrator
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        local function write_both()
            dir:write(AUTHORS, [[return {
                up = function(m)
                    m:sql "CREATE TABLE authors (id integer PRIMARY KEY, name text NOT NULL)"
                    m:sql("INSERT INTO authors VALUES (?, ?), (2, 'b?;b')", 1, "a'?")
                end,
                down = function(m) m:sql "DROP TABLE authors" end }]])
            dir:write(BOOKS .. ".up.sql", "-- heddle: context=default\nCREATE TABLE books (id integer PRIMARY KEY, "
                .. "title text NOT NULL, author_id integer NOT NULL REFERENCES authors (id));\n"
                .. "INSERT INTO books VALUES (1, 'x;y', 1);\n")
            dir:write(BOOKS .. ".down.sql", "DROP TABLE books;")
        end

        local function states() return migrations.states(migrator) end

        local function recorded()
            local list = {}
            for i, row in ipairs(db:raw():rows "select context, name, state from heddle_migrations order by 1, 2") do
                list[i] = table.concat(row, " ")
            end
            return list
        end

        local function has(name)
            local sql = db.name == "sqlite" and "select count(*) from sqlite_master where name = '%s'"
                or "select count(*) from pg_class where relname = '%s'"
            return db:raw():value(sql:format(name)) == "1"
        end

        it("up runs what is pending in order, Lua and SQL alike, and records it", function()
            write_both()
            assert.equal("authors pending, books pending", states())
            assert.is_false(has "heddle_migrations") -- looking makes nothing
            assert.same({ "20260101000000_authors", BOOKS }, migrator:up())
            assert.same({ { "1", "a'?" }, { "2", "b?;b" } }, db:raw():rows "select id, name from authors order by id")
            assert.same({ { "x;y" } }, db:raw():rows "select title from books")
            assert.same({ "default 20260101000000_authors done", "default " .. BOOKS .. " done" }, recorded())
            assert.equal("authors done, books done", states())
            assert.same({}, migrator:pending())
            assert.same({}, migrator:up())
        end)

        it("status says when and how long", function()
            write_both()
            local before = orm.now()
            migrator:up()
            for _, item in ipairs(migrator:status()) do
                assert.is_true(item.executed_at >= before - 1 and item.executed_at <= orm.now() + 1)
                assert.is_true(item.duration >= 0 and item.duration < 10)
                assert.is_truthy(item.path:find(dir.path, 1, true))
            end
        end)

        it("down takes back what ran last, to names what stays, all is all", function()
            write_both()
            dir:write("20260103000000_c.lua", [[return { up = function(m) m:sql "CREATE TABLE c (a integer)" end,
                down = function(m) m:drop_table "c" end }]])
            migrator:up()
            assert.same({ "20260103000000_c" }, migrator:down())
            assert.is_false(has "c")
            assert.equal("authors done, books done, c pending", states())
            migrator:up()
            assert.same({ "20260103000000_c", BOOKS }, migrator:down { to = "authors" })
            assert.is_true(has "authors")
            assert.is_false(has "books")
            migrator:up()
            assert.same({ "20260103000000_c", BOOKS, "20260101000000_authors" }, migrator:down { all = true })
            assert.same({}, recorded())
            assert.is_false(has "authors")
            assert.same({}, migrator:down())
        end)

        it("to and only choose", function()
            for i = 1, 4 do
                dir:write(("2026010%d000000_t%d.up.sql"):format(i, i), ("CREATE TABLE t%d (a integer)"):format(i))
                dir:write(("2026010%d000000_t%d.down.sql"):format(i, i), ("DROP TABLE t%d"):format(i))
            end
            assert.same({ "20260101000000_t1", "20260102000000_t2" }, migrator:up { to = "20260102000000" })
            assert.same({ "20260104000000_t4" }, migrator:up { only = "t4" })
            assert.is_false(has "t3")
            assert.same({ "20260101000000_t1" }, migrator:down { only = "20260101000000_t1" })
            assert.equal("t1 pending, t2 done, t3 pending, t4 done", states())
            -- What ran last is taken back first.
            migrator:up { only = { "t3" } }
            assert.same({ "20260103000000_t3" }, migrator:down())
            raises("migration", function() migrator:up { to = "t9" } end, "'t9' of context 'default' is not there")
            raises("migration", function() migrator:down { to = "t1" } end, "has not run")
            raises("validation", function() migrator:up { to = "t1", only = "t2" } end, "exclude each other")
            raises("unknown_property", function() migrator:up { too = "t1" } end, "did you mean 'to'")
            raises("validation", function() migrator:up { to = 5 } end, "'to'")
            raises("validation", function() migrator:up "t1" end, "table of options")
        end)

        it("what has no down stays, and what is behind it too", function()
            dir:write("20260101000000_a.up.sql", "CREATE TABLE a (x integer)")
            dir:write("20260102000000_b.up.sql", "CREATE TABLE b (x integer)")
            dir:write("20260102000000_b.down.sql", "DROP TABLE b")
            migrator:up()
            raises("migration", function() migrator:down { all = true } end, "20260101000000_a", "has no down",
                "20260101000000_a.down.sql")
            assert.is_true(has "b")
            assert.equal("a done, b done", states())
        end)

        it("m:em() writes in the migration's transaction, and what it left is flushed", function()
            local order = {}
            instance:on("before_create", function(e) order[#order + 1] = e.name or e.title end)
            dir:write(AUTHORS, [[
                local orm = require "heddle"
                return { up = function(m)
                    m:sql "CREATE TABLE authors (id integer PRIMARY KEY, name text NOT NULL)"
                    m:sql "CREATE TABLE books (id integer PRIMARY KEY, title text NOT NULL, author_id integer NOT NULL)"
                    local em = m:em()
                    local ann = em:create("Author", { id = 1, name = "Ann" })
                    em:persist_and_flush(ann)
                    assert(m:execute("SELECT count(*) AS n FROM authors WHERE name = ?", "Ann")[1].n == 1)
                    assert(em:find_one("Author", 1) == ann and m:em() == em and orm.em():find_one("Author", 1) == ann)
                    em:transactional(function(tx) tx:persist(tx:create("Author", { id = 3, name = "Cy" })) end)
                    pcall(em.transactional, em, function(tx)
                        tx:persist(tx:create("Author", { id = 4, name = "Di" }))
                        error "no"
                    end)
                    em:persist(em:create("Book", { id = 1, title = "late", author = ann }))
                end }]])
            dir:write("20260102000000_b.lua", [[return { up = function(m)
                local list = m:em():find_all("Author")
                for _, author in ipairs(list) do author.name = author.name:upper() end
            end }]])
            migrator:up()
            assert.same({ { "1", "ANN" }, { "3", "CY" } }, db:raw():rows "select id, name from authors order by id")
            assert.same({ { "late", "1" } }, db:raw():rows "select title, author_id from books")
            assert.same({ "Ann", "Cy", "late" }, order)
            -- Nothing of it is left behind in the context.
            assert.equal("ANN", orm.em():find_one("Author", 1).name)
        end)

        it("the migration's transaction is not its own to end", function()
            for i, what in ipairs { "m:em():commit()", "m:em():rollback()", "m:sql 'COMMIT'",
                "m:sql 'SELECT 1; ROLLBACK'", "m:execute 'COMMIT'" } do
                dir:write("20260101000000_a.lua",
                    ("return { up = function(m) m:sql 'CREATE TABLE a (x integer)' %s end }"):format(what))
                raises("migration", function() migrator:up() end, "transaction = false")
                assert.is_false(has "a", i)
            end
            dir:write("20260101000000_a.lua", [[return { transaction = false, up = function(m)
                m:sql 'CREATE TABLE a (x integer)'
                m:em():transactional(function() m:sql 'INSERT INTO a VALUES (1)' end)
                m:em():begin()
                m:sql 'INSERT INTO a VALUES (2)'
                m:em():commit()
            end }]])
            migrator:up()
            assert.equal("3", db:raw():value "select sum(x) from a")
        end)

        it("helpers are words for both databases", function()
            dir:write("20260101000000_a.lua", [[return { up = function(m)
                assert(not m:has_table "people")
                m:sql 'CREATE TABLE users (id integer PRIMARY KEY, "na""me" text)'
                m:rename_table("users", "people")
                m:rename_column("people", 'na"me', "name")
                m:add_column("people", "age", "integer NOT NULL DEFAULT 5")
                m:add_column("people", "gone", "integer")
                m:drop_column("people", "gone")
                m:create_index("people", { "name", "age desc" }, { unique = true, where = "age > 3" })
                m:create_index("people", { "age" }, { name = "by_age" })
                m:drop_index "by_age"
                assert(m:has_table "people" and not m:has_table "users")
                assert(m:has_column("people", "age") and not m:has_column("people", "gone"))
                assert(m.context_name == "default" and m.driver == "]] .. db.name .. [[")
                assert(m:execute("INSERT INTO people (id, name) VALUES (1, ?)", "x") == 1)
                assert(m.name == "20260101000000_a" and tostring(m):find "20260101000000_a")
            end }]])
            migrator:up()
            assert.same({ { "1", "x", "5" } }, db:raw():rows "select id, name, age from people")
            assert.is_true(has "people_name_age_index")
            assert.is_false(has "by_age")
            dir:write("20260102000000_b.lua", "return { up = function(m) m:create_index('people', {}) end }")
            raises("migration", function() migrator:up() end, "m:create_index takes names")
            dir:write("20260102000000_b.lua",
                "return { up = function(m) m:create_index('people', { 'age' }, { uniqe = true }) end }")
            raises("migration", function() migrator:up() end, "did you mean 'unique'")
            dir:write("20260102000000_b.lua", "return { up = function(m) m:sql(nil) end }")
            raises("migration", function() migrator:up() end, "m:sql takes SQL")
        end)

        it("dry_run says the SQL and does nothing", function()
            write_both()
            dir:write("20260103000000_c.lua", [[return { transaction = false, up = function(m)
                m:sql("UPDATE authors SET name = ? WHERE id = ?", "it's", 1)
                m:add_column("authors", "age", "integer")
                if not m:has_table "authors" then m:sql "SELECT 'not there'" end
                local em = m:em()
                for _, author in ipairs(em:find_all("Author")) do author.name = "x" end
                em:persist(em:create("Author", { name = "y" })):flush()
                for _, row in ipairs(m:execute("SELECT 1 WHERE 1 = ?", 2)) do m:sql(row) end
                m:sql "SELECT 2"
                em:find_one("Author", 1).name = "no row, no name"
            end }]])
            local names, scripts = migrator:up { dry_run = true }
            assert.same({ "20260101000000_authors", BOOKS, "20260103000000_c" }, names)
            assert.is_false(has "authors")
            assert.is_false(has "heddle_migrations")
            assert.same({ "CREATE TABLE authors (id integer PRIMARY KEY, name text NOT NULL)",
                "INSERT INTO authors VALUES (?, ?), (2, 'b?;b') -- with 1, 'a''?'" }, scripts[1].sql)
            assert.equal("INSERT INTO books VALUES (1, 'x;y', 1)", scripts[2].sql[2])
            assert.is_true(scripts[2].transaction)
            assert.is_false(scripts[3].transaction)
            local lines = table.concat(scripts[3].sql, "\n")
            for _, part in ipairs {
                "WHERE id = ? -- with 'it''s', 1\nALTER TABLE \"authors\" ADD COLUMN \"age\" integer",
                "SELECT 'not there'\n-- em:find_all(\"Author\"): depends on the rows that are there, read as none",
                "-- em:persist(...)",
                "-- m:execute, which finds no rows here: SELECT 1 WHERE 1 = ? -- with 2\nSELECT 2\n",
                "-- from here on it cannot be told without rows: " } do
                assert.is_truthy(lines:find(part, 1, true), lines)
            end
            migrator:up { to = BOOKS }
            names, scripts = migrator:down { dry_run = true, all = true }
            assert.same({ BOOKS, "20260101000000_authors" }, names)
            assert.same({ "DROP TABLE books" }, scripts[1].sql)
            assert.is_true(has "books")
        end)

        it("progress is told with its timing", function()
            write_both()
            local told = {}
            migrator:up { on_progress = function(event) told[#told + 1] = event end }
            local words = {}
            for i, event in ipairs(told) do words[i] = event.event .. (event.index and " " .. event.index or "") end
            assert.same({ "start 1", "statement", "statement", "done 1", "start 2", "statement", "statement",
                "done 2" }, words)
            assert.equal("up", told[1].direction)
            assert.equal(2, told[1].count)
            assert.equal("default", told[1].context)
            assert.equal("20260101000000_authors", told[2].name)
            assert.is_true(told[4].duration >= told[2].duration + told[3].duration)
            assert.is_truthy(told[2].sql:find "CREATE TABLE authors")
            -- What it raises ends the migration.
            local err = raises("migration", function()
                migrator:down { on_progress = function(event)
                    if event.event == "statement" then error "enough" end
                end }
            end, "enough")
            assert.equal(BOOKS, err.migration)
            assert.is_true(has "books")
        end)

        it("statement_timeout does not cut a migration short, and is there again behind it", function()
            orm.close()
            config.statement_timeout = 0.2
            instance = orm.init(config)
            migrator = instance.migrator
            local slow = db.name == "postgres" and "SELECT pg_sleep(0.5)"
                or "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 8000000) "
                    .. "SELECT max(n) FROM c"
            dir:write("20260101000000_a.up.sql", slow)
            assert.same({ "20260101000000_a" }, migrator:up())
            raises("timeout", function() orm.em():execute(slow) end)
        end)

        it("a migration's session ends with it", function()
            if db.name == "sqlite" then
                dir:write("20260101000000_a.up.sql", "SELECT 1")
                migrator:up()
                assert.equal(1, orm.em():execute("PRAGMA foreign_keys")[1].foreign_keys)
                return
            end
            dir:write("20260101000000_a.up.sql", "SELECT set_config('search_path', '', false); "
                .. "CREATE TEMPORARY TABLE leftover (a int); SET ROLE pg_read_all_data; SET ROLE none")
            dir:write("20260102000000_b.up.sql", "CREATE TABLE b (a int)")
            migrator:up()
            assert.equal("public", db:raw():value "select schemaname from pg_tables where tablename = 'b'")
            assert.same({ { path = '"$user", public' } },
                orm.em():execute "SELECT current_setting('search_path') AS path")
            raises("table_not_found", function() orm.em():execute "SELECT * FROM leftover" end)
        end)

        it("all_or_nothing is one transaction", function()
            write_both()
            dir:write("20260103000000_c.up.sql", "CREATE TABLE c (a integer); SELECT * FROM nowhere")
            local err = raises("migration", function() migrator:up { all_or_nothing = true } end, "20260103000000_c",
                "nor of those before it")
            assert.equal(dir.path .. "/20260103000000_c.up.sql", err.file)
            assert.is_false(has "authors")
            assert.same({}, recorded())
            dir:write("20260103000000_c.up.sql", "CREATE TABLE c (a integer)")
            assert.equal(3, #migrator:up { all_or_nothing = true })
            dir:write("20260103000000_c.down.sql", "DROP TABLE c")
            raises("migration", function() migrator:down { all = true, all_or_nothing = true } end, "was edited")
            dir:remove "20260103000000_c.down.sql"
            dir:write("20260104000000_d.lua", "return { transaction = false, up = function() end }")
            raises("migration", function() migrator:up { all_or_nothing = true } end, "20260104000000_d",
                "without a transaction")
        end)

        it("a thousand are quick", function()
            for i = 1, 1000 do
                dir:write(("202601%08d_m.up.sql"):format(i), ("CREATE TABLE t%d (a integer)"):format(i))
            end
            local started = os.time()
            assert.equal(1000, #migrator:up())
            assert.equal(1000, #migrator:status())
            assert.same({}, migrator:up())
            assert.is_true(os.time() - started < 30)
        end)

        it("an open test is told, not waited for", function()
            dir:write("20260101000000_a.up.sql", "CREATE TABLE a (x integer)")
            local test = orm.testing()
            orm.em():execute "CREATE TABLE b (x integer)"
            raises("busy", function() migrator:up() end, "orm.testing")
            test:finish()
            assert.equal(1, #migrator:up())
        end)

        it("a migration cannot migrate", function()
            dir:write("20260101000000_a.lua", [[return { up = function(m)
                require("heddle").instance():connect().migrator:up()
            end }]])
            raises("migration", function() migrator:up() end, "running in this process already")
        end)
    end)
end)

databases.on("sqlite", function(db)
    describe("migrations on SQLite", function()
        local dir, instance

        before_each(function()
            dir = migrations.directory()
            instance = orm.init(db:config { migrations = dir.path })
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        it("rows that would refer to nothing are named, and nothing is left", function()
            dir:write("20260101000000_a.up.sql", [[
                CREATE TABLE p (id integer PRIMARY KEY);
                CREATE TABLE c (id integer PRIMARY KEY, p integer REFERENCES p (id) ON DELETE CASCADE);
                INSERT INTO p VALUES (1), (2); INSERT INTO c VALUES (7, 1), (8, 2);]])
            instance.migrator:up()
            dir:write("20260102000000_b.up.sql", "DELETE FROM p WHERE id = 1")
            raises("migration", function() instance.migrator:up() end, "'c' row 7 refers to 'p'",
                "nothing of it is left")
            assert.equal("2", db:raw():value "select count(*) from p")
            -- What was broken before is nobody's fault.
            db:raw():exec "PRAGMA foreign_keys = OFF"
            db:raw():exec "DELETE FROM p WHERE id = 2"
            dir:write("20260102000000_b.up.sql", "INSERT INTO c VALUES (9, 1)")
            assert.equal(1, #instance.migrator:up())
        end)

        it("M2: m:rebuild keeps rows, and those of tables that refer to it", function()
            dir:write("20260101000000_a.up.sql", [[
                CREATE TABLE p (id integer PRIMARY KEY, name text);
                CREATE TABLE c (id integer PRIMARY KEY, p integer REFERENCES p (id) ON DELETE CASCADE);
                INSERT INTO p VALUES (1, 'a'), (2, 'b'); INSERT INTO c VALUES (7, 1), (8, 2);]])
            dir:write("20260102000000_b.lua", [[return { up = function(m)
                m:rebuild("p", "CREATE TABLE p (id integer PRIMARY KEY, full_name text NOT NULL, size integer)",
                    { full_name = "name", size = "length(name)" }, { add = { "CREATE INDEX by_size ON p (size)" } })
            end }]])
            local _, scripts = instance.migrator:up { dry_run = true }
            assert.is_truthy(table.concat(scripts[2].sql, "\n"):find("made anew", 1, true))
            instance.migrator:up()
            assert.same({ { "1", "a", "1" }, { "2", "b", "1" } },
                db:raw():rows "select id, full_name, size from p order by 1")
            assert.equal("2", db:raw():value "select count(*) from c")
            assert.equal("by_size", db:raw():value
                "select name from sqlite_master where tbl_name = 'p' and type = 'index'")
        end)

        it("an open transaction of this coroutine is told, not waited for", function()
            dir:write("20260101000000_a.up.sql", "CREATE TABLE a (x integer)")
            orm.em():transactional(function(em)
                em:execute "CREATE TABLE x (a integer)"
                raises("lock_timeout", function() instance.migrator:up() end)
            end)
            assert.equal(1, #instance.migrator:up())
        end)
        it("nor one of a coroutine that nobody resumes", function()
            dir:write("20260101000000_a.up.sql", "CREATE TABLE a (x integer)")
            local co = coroutine.create(function()
                local em = orm.em():fork()
                em:begin()
                em:execute "CREATE TABLE x (a integer)"
                coroutine.yield()
                em:rollback()
            end)
            assert(coroutine.resume(co))
            raises("lock_timeout", function() instance.migrator:up() end, "migrate_run_spec.lua", "finish it first")
            assert(coroutine.resume(co))
            assert.equal(1, #instance.migrator:up())
        end)

        it("a database in memory migrates too", function()
            orm.close()
            local memory = orm.init { database = ":memory:", migrations = dir.path }
            dir:write("20260101000000_a.up.sql", "CREATE TABLE a (x integer)")
            memory.migrator:up()
            assert.equal(0, #memory.em:execute "SELECT * FROM a")
            assert.equal(1, memory.em:execute("PRAGMA foreign_keys")[1].foreign_keys)
        end)
    end)
end)

databases.on("postgres", function(db)
    describe("migrations on PostgreSQL", function()
        after_each(function()
            orm.close()
            db:close()
        end)

        it("m:rebuild is SQLite's", function()
            local dir = migrations.directory()
            local instance = orm.init(db:config { migrations = dir.path })
            dir:write("20260101000000_a.lua",
                "return { up = function(m) m:rebuild('a', 'CREATE TABLE a (b int)') end }")
            local err = raises("migration", function() instance.migrator:up() end, "ALTER TABLE")
            assert.equal("unsupported", err.reason)
        end)

        it("the record stands in the context's schema, which is made", function()
            local dir = migrations.directory()
            local instance = orm.init(db:config { migrations = dir.path, schema = "Own Space" })
            dir:write("20260101000000_a.up.sql", "CREATE TABLE a (x int)")
            assert.equal("pending", instance.migrator:status()[1].state)
            instance.migrator:up()
            assert.same({ { "a" }, { "heddle_migrations" } }, db:raw():rows
                "select tablename from pg_tables where schemaname = 'Own Space' order by 1")
            assert.equal("done", instance.migrator:status()[1].state)
        end)
    end)
end)
