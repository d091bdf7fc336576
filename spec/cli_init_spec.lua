-- heddle init: what it writes, what it leaves alone, what it asks.

local command = require "spec.support.command"
local lfs = require "lfs"

describe("heddle init", function()
    local project

    before_each(function() project = command.project() end)
    after_each(function() project:remove() end)

    it("makes a project of one database that runs at once", function()
        local out, err = project:expect(0, "init")
        assert.equal("", err)
        assert.same({ ".env", ".env.example", ".gitignore", "entities", "main.lua", "migrations", "orm.config.lua",
            "seeds" }, project:list())
        for _, name in ipairs { ".env", ".gitignore", "entities/user.lua", "main.lua", "orm.config.lua" } do
            assert.truthy(out:find("  created    " .. name .. "\n", 1, true), out)
        end
        assert.matches("Next:\n  heddle migrate:create %-%-name initial\n  heddle migrate\n  lua%S* main%.lua\n$", out)
        project:expect(0, "migrate:create --name initial")
        project:expect(0, "migrate")
        assert.equal("created user1@example.com, user 1 of 1\n", (project:lua "main.lua"))
        assert.equal("created user2@example.com, user 2 of 2\n", (project:lua "main.lua"))
        project:expect(0, "seed")
        project:expect(0, "seed")
        assert.matches("^created user8@example%.com, user %d+ of 8\n$", (project:lua "main.lua"))
        assert.truthy(lfs.attributes(project:path "app.db"))
        assert.truthy(project:read(".gitignore"):find("*.db", 1, true))
        assert.equal(project:read ".env", project:read ".env.example")
    end)

    it("makes directories that are not there, and runs from anywhere", function()
        project:expect(0, "init deep/er/shop --databases shop")
        project:expect(0, "migrate:create --name initial -c deep/er/shop/orm.config.lua")
        project:expect(0, "migrate -c deep/er/shop/orm.config.lua")
        local out, err = project:lua "deep/er/shop/main.lua"
        assert.equal("created user1@example.com, user 1 of 1\n", out, err)
        assert.truthy(lfs.attributes(project:path "deep/er/shop/shop.db"))
    end)

    it("needs no .env where the environment says it all", function()
        project:expect(0, "init")
        os.remove(project:path ".env")
        local _, err = project:expect(1, "migrate")
        assert.truthy(err:find("option 'database' is missing", 1, true), err)
        project.variables = { DB_NAME = "other.db", DB_DRIVER = "sqlite" }
        project:expect(0, "migrate:create --name initial")
        project:expect(0, "migrate")
        assert.truthy(lfs.attributes(project:path "other.db"))
    end)

    it("never overwrites, and says what it left alone", function()
        project:write("main.lua", "mine")
        project:write("entities/user.lua", "mine too")
        local out = project:expect(0, "init")
        assert.truthy(out:find("  left alone main.lua\n", 1, true), out)
        assert.truthy(out:find("  left alone entities/user.lua\n", 1, true))
        assert.truthy(out:find("2 files left alone: what was there already stays as it is.", 1, true), out)
        assert.equal("mine", project:read "main.lua")
        assert.equal("mine too", project:read "entities/user.lua")
        assert.truthy(project:read "orm.config.lua")
        out = project:expect(0, "init")
        assert.is_nil(out:find("created ", 1, true))
    end)

    it("writes for PostgreSQL what has to be edited", function()
        local out = project:expect(0, "init --driver postgres --databases shop,reports")
        assert.truthy(out:find("edit .env", 1, true))
        local env = project:read ".env"
        assert.matches("DB_DRIVER=postgres\nDB_HOST=localhost\nDB_PORT=5432\nDB_NAME=shop\n", env)
        assert.matches("DB_REPORTS_DRIVER=postgres\nDB_REPORTS_HOST=localhost\n", env)
        assert.truthy(project:read("orm-reports.config.lua"):find('context_name = "reports"', 1, true))
        assert.is_nil(project:read("orm.config.lua"):find("sqlite", 1, true))
    end)

    it("makes as many databases as are named", function()
        project:expect(0, "init --databases app,one,two_words")
        project:expect(0, "migrate:create --name initial --all")
        project:expect(0, "migrate --all")
        assert.equal("created user1@example.com, user 1 of 1\none: 1 rows\ntwo_words: 1 rows\n",
            (project:lua "main.lua"))
        assert.truthy(project:read "entities/two_words/two_words_log.lua")
        project:expect(0, "debug")
    end)

    it("refuses names that are none", function()
        for _, names in ipairs { "App", "1st", "a-b", "a,,b", "a,a", "x,default", "'a b'", "''" } do
            local _, err, code = project:run("init --databases " .. names)
            assert.equal(2, code, names)
            assert.truthy(err:find("database", 1, true), err)
        end
        assert.same({}, project:list())
    end)

    it("asks on a terminal only", function()
        local dir = project:path "asked"
        local out, err, code = command.inside({ "init", dir }, { terminal = true, answers = { "pos", " shop, logs " } })
        assert.equal(0, code, err)
        assert.truthy(err:find("Which database? sqlite or postgres [sqlite]", 1, true), err)
        assert.truthy(out:find("asked/orm-logs.config.lua", 1, true))
        assert.truthy(project:read("asked/.env"):find("DB_DRIVER=postgres", 1, true))
        dir = project:path "defaults"
        out, err, code = command.inside({ "init", dir }, { terminal = true, answers = { "", "" } })
        assert.equal(0, code, out .. err)
        assert.truthy(project:read("defaults/.env"):find("DB_NAME=app.db", 1, true))
        out, err, code = command.inside({ "init", project:path "third" }, { terminal = true, answers = { "oracle" } })
        assert.equal(2, code)
        assert.truthy(err:find("the driver is 'sqlite' or 'postgres'; got 'oracle'", 1, true))
        assert.equal("", out)
    end)

    it("says where it cannot write", function()
        project:write("file", "")
        local _, err = project:expect(1, "init file/below")
        assert.truthy(err:find("cannot be", 1, true) and err:find("file/", 1, true), err)
    end)
end)
