-- What a demanding user of migrations met: rows and tables of others, the order of the way back, what a dry run does.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local migrations = require "spec.support.migrations"
local orm = require "heddle"
local reopen = require "spec.support.reopen"

local raises = expect.raises

databases.each(function(db)
    describe("migrations", function()
        local dir, config

        before_each(function()
            dir = migrations.directory()
            config = db:config {}
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        local function author(more)
            return orm.entity { name = "Author", table = "authors", { "id", type = "integer", primary = true },
                { "name", type = "string" }, more }
        end

        local function open(entities, more)
            return reopen(config, { entities = entities, migrations = dir.path }, more)
        end

        local function rows(sql)
            local list = {}
            for i, row in ipairs(db:raw():rows(sql)) do list[i] = row[1] end
            return table.concat(list, ",")
        end

        it("M5: the first migration of a context drops nothing of one that only another process knows", function()
            local migrator = open({ author() }).migrator
            migrator:create { name = "authors" }
            migrator:up()
            db:raw():exec "INSERT INTO authors (id, name) VALUES (1, 'Ann')"
            db:raw():exec "CREATE VIEW names AS SELECT name FROM authors"

            local other = migrations.directory()
            local log = orm.entity { name = "Log", { "id", type = "integer", primary = true },
                { "name", type = "string" } }
            migrator = open({ log }, { context_name = "secondary", migrations = other.path }).migrator
            local made = migrator:create()
            assert.equal(1, #made.up)
            assert.matches('^CREATE TABLE "', made.up[1])
            assert.matches("table 'authors' is no entity's and stays", table.concat(made.left_out, "\n"))
            assert.same({}, made.hints)
            migrator:up()
            migrator:fresh()
            assert.equal("Ann", rows "SELECT name FROM names")

            -- What migrations of its own made goes with the entity.
            os.remove(other.path .. "/.snapshot.json")
            local text = orm.entity { name = "Note", { "id", type = "integer", primary = true },
                { "words", type = "string" } }
            migrator = open({ text }, { context_name = "secondary", migrations = other.path }).migrator
            assert.matches("DROP TABLE \"log", table.concat(migrator:create { from = "database" }.up, "\n"))
            assert.equal("Ann", rows "SELECT name FROM names")
        end)

        it("M6: fresh of a table that another context describes, too, leaves tables and record", function()
            local instance = open { author() }
            orm.init((function(copy)
                for key, value in pairs(config) do copy[key] = value end
                return copy
            end)({ context_name = "reports", entities = { author() } }))
            instance.migrator:create()
            instance.migrator:up()
            instance.em:insert("Author", { name = "Ann" })
            raises("migration", function() instance.migrator:fresh() end, "'authors' is another context's, too")
            assert.equal("done", instance.migrator:status()[1].state)
            assert.equal("Ann", rows "SELECT name FROM authors")
        end)

        it("M4: a migration that was edited and is resolved keeps its place in the way back", function()
            local migrator = open({ author() }).migrator
            dir:write("20260101000000_a.up.sql", "CREATE TABLE a (n integer)")
            dir:write("20260101000000_a.down.sql", "DROP TABLE a")
            dir:write("20260101000001_b.up.sql", "CREATE TABLE b (n integer)")
            dir:write("20260101000001_b.down.sql", "DROP TABLE b")
            migrator:up()
            local before = migrator:status()[1].executed_at
            dir:write("20260101000000_a.up.sql", "CREATE TABLE a (n integer) -- edited")
            migrator:resolve("a", "done")
            assert.equal(before, migrator:status()[1].executed_at)
            assert.same({ "20260101000001_b" }, migrator:down())
            assert.same({ "20260101000000_a" }, migrator:down())
        end)

        it("M6: the way back is the way there, also where the clock was put back between two migrations", function()
            local migrator = open({ author() }).migrator
            dir:write("20260101000000_a.up.sql", "CREATE TABLE a (n integer)")
            dir:write("20260101000000_a.down.sql", "DROP TABLE a")
            migrator:up()
            db:raw():exec "UPDATE heddle_migrations SET executed_at = '2199-12-31 23:59:59.999999'"
            dir:write("20260101000001_b.up.sql", "CREATE TABLE b (n integer)")
            dir:write("20260101000001_b.down.sql", "DROP TABLE b")
            migrator:up()
            assert.same({ "20260101000001_b" }, migrator:down())
            assert.same({ "20260101000000_a" }, migrator:down())
        end)

        it("M6: a way back without a transaction that failed and is resolved as done keeps its place", function()
            local migrator = open({ author() }).migrator
            dir:write("20260101000000_a.lua", [[return { transaction = false,
                up = function(m) m:sql "CREATE TABLE a (n integer)" end, down = function() error("not now") end }]])
            dir:write("20260101000001_b.lua", [[return { up = function(m) m:sql "CREATE TABLE b (n integer)" end,
                down = function(m) m:sql "DROP TABLE b" end }]])
            migrator:up()
            raises("migration", function() migrator:down { only = "a" } end, "not now")
            assert.equal("started", migrator:status()[1].state)
            migrator:resolve("a", "done")
            assert.same({ "20260101000001_b" }, migrator:down())
        end)

        it("M4: a migration without a transaction is waited for, however long it takes", function()
            open {}
            dir:write("20260101000000_a.lua", [[return { transaction = false, up = function(m)
                m:sql "CREATE TABLE a (n integer)"
                for i = 1, 8 do
                    m:em():transactional(function(em) em:execute("INSERT INTO a (n) VALUES (?)", i) end)
                    require("heddle.core").sleep(0.4)
                end
            end }]])
            local run = [[local names = instance.migrator:up { on_progress = function(told) say(told.event) end }
                print("ran " .. table.concat(names, ","))]]
            local first = migrations.process(config, dir, run)
            first:expect "start"
            local second = migrations.process(config, dir, run)
            second:expect "waiting"
            assert.matches("ran 20260101000000_a", first:wait())
            assert.matches("ran \n", second:wait())
            assert.equal("8", rows "SELECT count(*) FROM a")
        end)

        it("M4: resolving one that another process is at waits for its end; that of a dead one does not", function()
            open {}
            dir:write("20260101000000_a.lua", [[return { transaction = false, up = function(m)
                m:sql "CREATE TABLE a (n integer)"
                say "in the middle"
                require("heddle.core").sleep(HANG or 0)
            end }]])
            local first = migrations.process(config, dir, "HANG = 60 instance.migrator:up()")
            first:expect "in the middle"
            local second = migrations.process(config, dir,
                [[instance.migrator:resolve("a", "undone") print "resolved"]])
            assert.is_falsy(second:output():find "resolved")
            require "heddle.core".sleep(0.5)
            assert.is_falsy(second:output():find "resolved")
            first:kill()
            assert.matches("resolved", second:wait())
            assert.equal("pending", orm.instance().migrator:status()[1].state)
        end)

        it("what to type next names the context", function()
            local migrator = open({}, { context_name = "secondary" }).migrator
            dir:write("20260101000000_a.lua",
                [[return { context = "secondary", transaction = false, up = function() error "no" end }]])
            local wanted = "heddle migrate:resolve 20260101000000_a --done or --undone --context secondary"
            raises("migration", function() migrator:up() end, wanted)
            raises("migration", function() migrator:up() end, wanted)
        end)

        it("an error of Lua's in a migration tells its file and line", function()
            local migrator = open({}).migrator
            dir:write("20260101000000_a.lua", "return { up = function(m)\n local t = nil\n return t.x end }")
            local err = raises("migration", function() migrator:up() end, "a.lua:3: attempt to index")
            assert.equal(3, err.line)
            assert.matches("20260101000000_a.lua$", err.file)
        end)

        it("a dry run writes nothing, whichever entity manager a migration asks for", function()
            local instance = open { author() }
            instance.schema:create()
            dir:write("20260101000000_a.lua", [[local orm = require "heddle"
            return { up = function(m)
                orm.em():execute("INSERT INTO authors (name) VALUES ('one')")
                orm.repository("Author"):insert { name = "two" }
                orm.em():persist(orm.em():create("Author", { name = "three" })):flush()
                repeat local n = m:execute("UPDATE authors SET name = 'x' WHERE name = 'y'") until n == 0
                for _, a in ipairs(m:em():query("Author"):where { name = "x" }:all()) do a.name = "z" end
                m:sql "CREATE TABLE last (n integer)"
            end }]])
            local _, scripts = instance.migrator:up { dry_run = true }
            assert.equal("0", rows "SELECT count(*) FROM authors")
            local sql = scripts[1].sql
            assert.equal("CREATE TABLE last (n integer)", sql[#sql])
            assert.matches("INSERT INTO authors", sql[1])
            instance.migrator:up()
            assert.equal("3", rows "SELECT count(*) FROM authors")
        end)

        it("M6: orm.em() cannot end a migration's transaction any more than m:em()", function()
            local migrator = open({ author() }).migrator
            dir:write("20260101000000_a.lua", [[return { up = function(m)
                m:sql "CREATE TABLE a (n integer)"
                require "heddle".em():commit()
            end }]])
            raises("migration", function() migrator:up() end, "would end the migration's own transaction")
            assert.is_false(pcall(rows, "SELECT * FROM a"))
            assert.equal("pending", migrator:status()[1].state)
        end)
    end)
end)

databases.on("sqlite", function(db)
    describe("migrations and rows that refer to nothing", function()
        local dir, migrator, raw

        before_each(function()
            dir = migrations.directory()
            migrator = orm.init(db:config { migrations = dir.path }).migrator
            raw = db:raw()
            raw:exec "CREATE TABLE p (id integer PRIMARY KEY)"
            raw:exec "CREATE TABLE c (id integer PRIMARY KEY, p integer REFERENCES p (id))"
            raw:exec "INSERT INTO p VALUES (1)"
            raw:exec "PRAGMA foreign_keys = OFF"
            raw:exec "INSERT INTO c VALUES (1, 1), (2, 99), (3, 98)"
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        it("M6: what was broken before keeps nothing from running, what a migration breaks does", function()
            dir:write("20260101000000_a.up.sql", "DELETE FROM c WHERE id = 2; DELETE FROM p WHERE id = 1")
            raises("migration", function() migrator:up() end, "'c' row 1 refers to 'p'")
            assert.equal("3", raw:value "SELECT count(*) FROM c")
            dir:write("20260101000000_a.up.sql", "ALTER TABLE c RENAME TO d; DELETE FROM d WHERE id = 2")
            assert.equal(1, #migrator:up())
        end)

        it("M6: a foreign key that leads to no key keeps neither migrations nor their checks from working", function()
            raw:exec "CREATE TABLE x (n integer)"
            raw:exec "CREATE TABLE y (n integer REFERENCES x (n))"
            raw:exec "INSERT INTO y VALUES (1)"
            dir:write("20260101000000_a.up.sql", "DELETE FROM p WHERE id = 1")
            raises("migration", function() migrator:up() end, "'c' row 1 refers to 'p'")
            dir:write("20260101000000_a.up.sql", "CREATE TABLE z (n REFERENCES x (n)); INSERT INTO z VALUES (1)")
            raises("migration", function() migrator:up() end, "a foreign key of 'z' refers to columns that are no key")
            dir:write("20260101000000_a.up.sql", "INSERT INTO p VALUES (5); INSERT INTO c VALUES (5, 5)")
            assert.equal(1, #migrator:up())
        end)
    end)
end)

databases.on("postgres", function(db)
    describe("migrations of two schemas in one database", function()
        after_each(function()
            orm.close()
            db:close()
        end)

        it("tables of one name are each context's own: fresh makes one anew and leaves the other", function()
            local config, made = db:config {}, {}
            for _, name in ipairs { "one", "two" } do
                local copy = { context_name = name, schema = name, migrations = migrations.directory().path,
                    entities = { orm.entity { name = "Author", table = "authors",
                        { "id", type = "integer", primary = true }, { "name", type = "string" } } } }
                for key, value in pairs(config) do copy[key] = value end
                made[name] = orm.init(copy)
            end
            for _, name in ipairs { "one", "two" } do
                made[name].migrator:create()
                made[name].migrator:up()
                made[name].em:insert("Author", { name = name })
            end
            assert.equal(1, #made.one.migrator:fresh())
            assert.equal("0", db:raw():value "SELECT count(*) FROM one.authors")
            assert.equal("two", db:raw():value "SELECT name FROM two.authors")
        end)
    end)
end)
