-- heddle migrate*: what the commands say and do; how migrations themselves work is in the specs of the migrator.

local command = require "spec.support.command"
local databases = require "spec.support.databases"

local USER = 'table = "users", { "id", type = "integer", primary = true }, '

-- A migration's file.
local function migration(project, name, up, down)
    project:write("migrations/" .. name .. ".lua", ([[return { context = "default",
        up = function(m) m:sql "%s" end, %s }]]):format(up,
        down and ('down = function(m) m:sql "%s" end'):format(down) or ""))
end

local function tables_of(db)
    if db.name == "sqlite" then
        return db:raw():rows [[select name from sqlite_master where type = 'table' and name not like 'sqlite_%'
            order by name]]
    end
    return db:raw():rows "select table_name from information_schema.tables where table_schema = 'public' order by 1"
end

databases.each(function(db)
    describe("heddle migrate", function()
        local project

        before_each(function()
            project = command.project()
            project:configure(db:config { entities = { "entities/*.lua" } })
            project:entity("entities/user.lua", "User", USER .. '{ "name", type = "string", length = 50 }')
        end)

        after_each(function()
            project:remove()
            db:close()
        end)

        -- Two that have not run.
        local function write_two()
            migration(project, "20260101000000_one", "create table one (n integer)", "drop table one")
            migration(project, "20260101000001_two", "create table two (n integer)", "drop table two")
        end

        it("writes what has changed, runs it, shows it, and takes it back", function()
            local out = project:expect(0, "migrate:create --name 'add users'")
            local path = out:match "^created (migrations/%d+_add_users%.lua)\n"
            assert.truthy(path, out)
            assert.truthy(out:find("  up\n    CREATE TABLE \"users\"", 1, true), out)
            assert.truthy(out:find("  down\n    DROP TABLE \"users\"", 1, true), out)
            assert.is_nil(out:find "[\t\27]")
            local name = path:match "([^/]+)%.lua$"
            out = project:expect(0, "migrate")
            assert.matches("^  migrated " .. name .. "  %d+ ms\nContext 'default': 1 migration run%.\n$", out)
            assert.same({ { "heddle_migrations" }, { "users" } }, tables_of(db))
            out = project:expect(0, "migrate:status")
            assert.matches("^Migration +State  Executed at\n" .. name .. "  done   %d+%-%d+%-%d+ %d+:%d+:%d+\n$", out)
            assert.equal("Context 'default': nothing to do.\n", (project:expect(0, "migrate")))
            out = project:expect(0, "migrate:down")
            assert.matches("^  taken back " .. name .. "  %d+ ms\nContext 'default': 1 migration taken back%.\n$", out)
            assert.same({ { "heddle_migrations" } }, tables_of(db))
            assert.equal("Context 'default': nothing to do.\n", (project:expect(0, "migrate:down")))
        end)

        it("writes nothing when nothing has changed, and empty ones when asked", function()
            project:expect(0, "migrate:create --name first")
            assert.equal("Context 'default': nothing has changed; --blank makes an empty migration.\n",
                (project:expect(0, "migrate:create --name second")))
            assert.matches("^created migrations/%d+_by_hand%.lua\n$",
                (project:expect(0, "migrate:create -n 'by hand' --blank")))
            assert.matches("^created migrations/%d+_script%.up%.sql\n$",
                (project:expect(0, "migrate:create -n script --blank --sql")))
        end)

        it("renames where it is told, and gives a hint where it may be meant", function()
            project:expect(0, "migrate:create --name first")
            project:expect(0, "migrate")
            db:raw():exec "insert into users (name) values ('Ann')"
            project:entity("entities/user.lua", "User", USER .. '{ "full_name", type = "string", length = 50 }')
            local out, err = project:expect(0, "migrate:create -n rename --rename users.name=full_name")
            assert.truthy(out:find("RENAME COLUMN \"name\" TO \"full_name\"", 1, true), out .. err)
            project:expect(0, "migrate")
            assert.same({ { "Ann" } }, db:raw():rows "select full_name from users")
            local _, misuse = project:expect(2, "migrate:create --rename users.name")
            assert.truthy(misuse:find("--rename takes TABLE.COLUMN=NEW or TABLE=NEW, such as", 1, true))
            _, misuse = project:expect(2, "migrate:create --safe --unsafe")
            assert.truthy(misuse:find("--safe and --unsafe say the opposite", 1, true))
            _, err = project:expect(1, "migrate:create --rename users.nmae=x")
            assert.truthy(err:find("'nmae'", 1, true), err)
        end)

        it("goes to a migration, or runs one alone, and back", function()
            write_two()
            project:expect(0, "migrate --to 20260101000000_one")
            assert.same({ { "heddle_migrations" }, { "one" } }, tables_of(db))
            project:expect(0, "migrate --only two")
            project:expect(0, "migrate:down --to 20260101000000_one")
            assert.same({ { "heddle_migrations" }, { "one" } }, tables_of(db))
            project:expect(0, "migrate")
            project:expect(0, "migrate:down --to 0")
            assert.same({ { "heddle_migrations" } }, tables_of(db))
            local _, err = project:expect(1, "migrate --to 20260101000009_nine")
            assert.truthy(err:find("20260101000009_nine", 1, true))
        end)

        it("prints what it would run, and runs nothing", function()
            write_two()
            assert.equal("-- 20260101000000_one\ncreate table one (n integer);\n"
                .. "-- 20260101000001_two\ncreate table two (n integer);\n", (project:expect(0, "migrate --dry-run")))
            assert.same({}, tables_of(db))
            project:expect(0, "migrate")
            assert.equal("-- 20260101000001_two\ndrop table two;\n", (project:expect(0, "migrate:down --dry-run")))
            assert.equal(3, #tables_of(db))
        end)

        it("shows states as JSON for programs, with a code for CI", function()
            write_two()
            project:expect(0, "migrate --to one")
            local out = project:expect(1, "migrate:status --json --check")
            local list = require("cjson").decode(out)
            assert.equal(2, #list)
            assert.equal("20260101000000_one", list[1].name)
            assert.equal("done", list[1].state)
            assert.equal("default", list[1].context)
            assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ$", list[1].executed_at)
            assert.same({ name = "20260101000001_two", state = "pending", context = "default" }, list[2])
            project:expect(0, "migrate:status --json")
            project:expect(1, "migrate:status --check")
            project:expect(0, "migrate")
            project:expect(0, "migrate:status --check")
            migration(project, "20260101000001_two", "create table other (n integer)")
            out = project:expect(1, "migrate:status --check")
            assert.truthy(out:find("20260101000001_two  edited", 1, true))
            local _, err = project:expect(1, "migrate")
            assert.truthy(err:find("20260101000001_two", 1, true) and err:find("edited", 1, true))
        end)

        it("M6: one that fails is told with its file, line and the database's words, and leaves nothing", function()
            write_two()
            project:write("migrations/20260101000002_three.lua",
                "return { context = 'default',\n  up = function(m)\n    m:sql 'insert into one values (1)'\n"
                    .. "    m:sql 'insert into nowhere values (1)'\n  end }")
            local out, err = project:expect(1, "migrate")
            assert.matches("migrated 20260101000001_two  %d+ ms\n  failed 20260101000002_three  %d+ ms\n$", out)
            assert.truthy(err:find("heddle: Migration '20260101000002_three' of context 'default' failed at "
                .. "migrations/20260101000002_three.lua:4", 1, true), err)
            assert.truthy(err:find("nowhere", 1, true), err)
            assert.is_nil(err:find("traceback", 1, true))
            assert.equal("0", db:raw():value "select count(*) from one")
            local _, _, code = project:run "migrate:down --to 0"
            assert.equal(0, code)
            project:expect(1, "migrate --all-or-nothing")
            assert.same({ { "heddle_migrations" } }, tables_of(db))
        end)

        it("names the line of a migration that does not parse", function()
            project:write("migrations/20260101000000_a.lua", "return {\n  context = 'default'\n  up = 1 }")
            local _, err = project:expect(1, "migrate")
            assert.truthy(err:find("migrations/20260101000000_a.lua:3: '}' expected", 1, true), err)
        end)

        it("M5: refuses one of another context", function()
            project:write("migrations/20260101000000_a.lua", "return { context = 'other', up = function() end }")
            local _, err = project:expect(1, "migrate")
            assert.truthy(err:find("'other'", 1, true) and err:find("'default'", 1, true), err)
        end)

        it("M6: settles one that broke off without a transaction", function()
            project:write("migrations/20260101000000_a.lua", "return { context = 'default', transaction = false,\n"
                .. "  up = function(m) m:sql 'create table a (n integer)'; m:sql 'nonsense' end }")
            local _, err = project:expect(1, "migrate")
            assert.truthy(err:find("heddle migrate:resolve 20260101000000_a --done or --undone", 1, true), err)
            assert.truthy(project:expect(1, "migrate:status --check"):find("20260101000000_a  started", 1, true))
            project:expect(1, "migrate")
            for _, words in ipairs { "", " --done --undone" } do
                _, err = project:expect(2, "migrate:resolve 20260101000000_a" .. words)
                assert.truthy(err:find("give --done or --undone", 1, true))
            end
            assert.equal("Migration '20260101000000_a' of context 'default' is recorded as done.\n",
                (project:expect(0, "migrate:resolve 20260101000000_a --done")))
            project:expect(0, "migrate:status --check")
        end)

        it("starts anew only when it is told to", function()
            project:expect(0, "migrate:create -n first")
            project:expect(0, "migrate")
            db:raw():exec "insert into users (name) values ('Ann')"
            local _, err = project:expect(2, "migrate:fresh")
            assert.truthy(err:find("This drops everything in context 'default'", 1, true), err)
            assert.truthy(err:find("Give --yes to do it without being asked.", 1, true), err)
            assert.equal("1", db:raw():value "select count(*) from users")
            local out = project:expect(0, "migrate:fresh --yes")
            assert.truthy(out:find("Context 'default': made anew, 1 migration run.", 1, true), out)
            assert.equal("0", db:raw():value "select count(*) from users")
        end)

        it("makes one of those that have run", function()
            write_two()
            project:expect(0, "migrate")
            project:expect(2, "migrate:rollup")
            local out = project:expect(0, "migrate:rollup --yes --name all")
            assert.matches("created migrations/%d+_all%.lua\n", out)
            project:expect(0, "migrate:status --check")
            assert.equal("Context 'default': nothing to do.\n", (project:expect(0, "migrate")))
        end)
    end)

    describe("heddle migrate with several contexts", function()
        local project

        before_each(function()
            project = command.project()
            project:entity("entities/user.lua", "User", USER .. '{ "name", type = "string" }')
            project:entity("entities/second/log.lua", "Log",
                'table = "logs", { "id", type = "integer", primary = true }')
            project:configure(db:config { entities = { "entities/*.lua" } },
                db:config { context_name = "second", entities = { "entities/second/*.lua" } })
        end)

        after_each(function()
            project:remove()
            db:close()
        end)

        it("M5: keeps each to its own directory and record", function()
            local out = project:expect(0, "migrate:create --name initial --all")
            assert.matches("default:\ncreated migrations/%d+_initial%.lua.*second:\n"
                .. "created migrations/second/%d+_initial", out)
            local err
            out, err = project:expect(0, "migrate")
            assert.truthy(out:find("Context 'default': 1 migration run.", 1, true))
            assert.equal("context 'second': 1 migration pending; heddle migrate --context second, or --all\n", err)
            assert.equal(0, #tables_of(db))
            out, err = project:expect(0, "migrate --all")
            assert.matches("^default:\nContext 'default': nothing to do%.\nsecond:\n  migrated %d+_initial", out)
            assert.equal("", err)
            assert.same({ { "heddle_migrations" }, { "logs" } }, tables_of(db))
            local list = require("cjson").decode((project:expect(0, "migrate:status --all --json --check")))
            assert.equal("default second", list[1].context .. " " .. list[2].context)
        end)

        it("C5: goes on with the others where one fails, and ends with 1", function()
            project:write("migrations/20260101000000_a.lua", "return { context = 'default',\n up = function(m) "
                .. "m:sql 'nonsense' end }")
            project:write("migrations/second/20260101000000_b.lua", "return { context = 'second',\n up = function(m) "
                .. "m:sql 'create table b (n integer)' end }")
            local out, err = project:expect(1, "migrate --all")
            assert.truthy(out:find("Context 'second': 1 migration run.", 1, true))
            assert.truthy(err:find("Migration '20260101000000_a' of context 'default' failed", 1, true))
            assert.same({ { "b" }, { "heddle_migrations" } }, tables_of(db))
        end)
    end)
end)

databases.on("postgres", function(db)
    it("draws progress on a terminal, and tells of statements that take long", function()
        local project = command.project()
        project:configure(db:config { entities = {} })
        project:write("migrations/20260101000000_a.lua", [[return { context = "default", up = function(m)
            m:sql "create table a (n integer)"
            m:sql "select pg_sleep(1.05)" end }]])
        local out, err, code = command.inside({ "migrate", "--config", project:path "orm.config.lua" },
            { terminal = true })
        assert.equal(0, code, err)
        assert.matches("^\r\27%[K  migrating 20260101000000_a %(1 of 1%) %.%.%.\r\27%[K  %d+%.%d s  "
            .. "select pg_sleep%(1%.05%)\n\r\27%[K$", err)
        assert.matches("^  \27%[32mmigrated\27%[0m 20260101000000_a  \27%[2m%d+%.%d s\27%[0m\n", out)
        project:remove()
        db:close()
    end)
end)

describe("questions", function()
    it("are asked on a terminal, and only yes is one", function()
        local project = command.project()
        project:configure { driver = "sqlite", database = project:path "a.db", entities = {} }
        project:write("migrations/20260101000000_a.lua", "return { context = 'default', up = function() end }")
        local words = { "migrate:fresh", "--config", project:path "orm.config.lua" }
        for _, answer in ipairs { "", "n", "no", "x" } do
            local _, err, code = command.inside(words, { terminal = true, answers = { answer } })
            assert.equal(1, code)
            assert.truthy(err:find("Go on? [y/N]", 1, true))
            assert.truthy(err:find("Nothing was done.", 1, true))
        end
        local out, _, code = command.inside(words, { terminal = true, answers = { " Yes " } })
        assert.equal(0, code)
        assert.truthy(out:find("made anew, 1 migration run", 1, true))
        project:remove()
    end)
end)
