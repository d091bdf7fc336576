-- heddle debug: what is wrong, and what to do about it, one context at a time.

local command = require "spec.support.command"
local databases = require "spec.support.databases"

local ID = 'table = "users", { "id", type = "integer", primary = true }'

databases.each(function(db)
    describe("heddle debug", function()
        local project, config

        before_each(function()
            project = command.project()
            config = db:config { entities = { "entities/*.lua" } }
            project:configure(config)
            project:entity("entities/user.lua", "User", ID)
        end)

        after_each(function()
            project:remove()
            db:close()
        end)

        it("is content with what is well", function()
            project:expect(0, "migrate:create --name initial")
            project:expect(0, "migrate")
            local out, err = project:expect(0, "debug")
            assert.equal("", err)
            assert.matches("^Heddle %S+, %S.*argparse.*lfs", out)
            assert.matches("\ncontext 'default' %(orm%.config%.lua%)\n", out)
            assert.matches("\n  ok    entities      1: User\n", out)
            assert.matches(db.name == "sqlite" and "connection    SQLite 3%.%d" or "connection    PostgreSQL 1%d", out)
            assert.matches("\n  ok    migrations    none pending, 1 done\n", out)
            assert.matches("\n  ok    schema        as the entities say\n", out)
            assert.matches("\nAll is well%.\n$", out)
        end)

        it("says what is to be done", function()
            local out = project:expect(1, "debug")
            assert.matches("to do schema        1 difference from what the entities say\n +%-> heddle schema:diff "
                .. "%-%-context default shows them, heddle migrate:create %-%-context default makes a migration\n", out)
            project:expect(0, "migrate:create --name initial")
            out = project:expect(1, "debug")
            assert.matches("to do migrations    1 pending, 0 done\n +%-> heddle migrate %-%-context default\n", out)
            assert.matches("%-> after heddle migrate: heddle schema:diff", out)
            assert.matches("\nSomething is to be done: see above%.\n$", out)
        end)

        it("sees what was edited, is missing or does not parse", function()
            project:write("migrations/20260101000000_a.lua", "return { context = 'default', up = function() end }")
            project:expect(0, "migrate")
            project:write("migrations/20260101000000_a.lua", "return { context = 'default', up = function() end } -- x")
            local out = project:expect(1, "debug")
            assert.matches("wrong migrations    20260101000000_a is edited\n +%->", out)
            os.remove(project:path "migrations/20260101000000_a.lua")
            assert.matches("20260101000000_a is missing", (project:expect(1, "debug")))
            project:write("migrations/20260101000000_a.lua", "return { context = 'default', up = function() end }")
            project:write("migrations/20260101000001_b.lua", "return {\n up = = 1 }")
            out = project:expect(1, "debug")
            assert.truthy(out:find("wrong migrations    Migration '20260101000001_b' of context 'default' cannot be "
                .. "loaded: migrations/20260101000001_b.lua:2: unexpected symbol", 1, true), out)
        end)

        it("M5: sees a pending migration that `heddle migrate` will refuse", function()
            for text, said in pairs {
                ["return 5"] = "the file gave a number; expected return { up = function(m) ... end }",
                ["return { up = 5 }"] = "option 'up' must be a function",
                ["return { context = 'other', up = function() end }"] = "is written for context 'other'",
                ["error 'not now'"] = "20260101000000_a.lua:1: not now",
            } do
                project:write("migrations/20260101000000_a.lua", text)
                local out = project:expect(1, "debug")
                assert.matches("\n  wrong migrations    Migration '20260101000000_a'.-\n +%-> mend the file\n", out)
                assert.truthy(out:find(said, 1, true), out)
            end
        end)

        it("C5: looks at each context by itself", function()
            local down = { context_name = "down", driver = db.name, entities = { "entities/*.lua" },
                database = db.name == "sqlite" and "/no-such-directory/x.db" or "nowhere", host = config.host,
                port = config.port, user = config.user }
            project:configure(config, down,
                { context_name = "broken", driver = "sqlite", database = "x.db", entities = { "nothing/*.lua" } },
                { context_name = "wrong", driver = "sqlite", databsae = "x.db" },
                db:config { context_name = "last", entities = {} })
            project:write("second.lua", "return = 1")
            local out = project:expect(1, "debug --config orm.config.lua -c second.lua")
            local function part(name) return out:match("context '" .. name .. "'[^\n]*\n(.-)\n\n") end
            assert.matches("ok    connection", part "default")
            assert.matches("wrong connection .-\n +%-> " .. (db.name == "sqlite" and "is the path right"
                or "is the database there"), part "down")
            assert.is_nil(part("down"):find("migrations", 1, true))
            assert.matches("wrong configuration .-no file matches 'nothing/%*%.lua'", part "broken")
            assert.matches("wrong configuration .-did you mean 'database'", part "wrong")
            assert.matches("ok    connection", part "last")
            assert.matches("to do entities      none", part "last")
            assert.matches("second%.lua\n  wrong configuration second%.lua:1: unexpected symbol", out)
            out = project:expect(1, "debug --context last")
            assert.is_nil(out:find("'default'", 1, true))
        end)

        it("says how a project begins where there is none", function()
            os.remove(project:path "orm.config.lua")
            local out = project:expect(1, "debug")
            assert.truthy(out:find("there is no orm.config.lua here: `heddle init` makes one", 1, true), out)
        end)
    end)
end)
