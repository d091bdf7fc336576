-- Which configurations a command loads, on which contexts it acts, and what it says of those that do not load.

local command = require "spec.support.command"

local function context(name, more)
    return ("{ context_name = %q, driver = 'sqlite', database = '%s.db', entities = {} %s}"):format(name, name,
        more or "")
end

-- The contexts that a command acts on, off its JSON.
local function acted_on(project, words)
    local out, err = project:expect(0, "schema:create " .. words)
    local names = {}
    for name in out:gmatch "tables of context '([^']*)' created" do names[#names + 1] = name end
    return table.concat(names, " "), err
end

describe("configurations", function()
    local project

    before_each(function() project = command.project() end)
    after_each(function() project:remove() end)

    local function says(words, ...)
        local out, err = project:expect(1, words)
        assert.equal("", out)
        for _, text in ipairs { ... } do assert.truthy(err:find(text, 1, true), err) end
        assert.is_nil(err:find("traceback", 1, true))
        assert.is_nil(err:find("heddle/cli", 1, true), err)
    end

    it("come from orm.config.lua; one that is missing says how to make it", function()
        says("migrate", "heddle: there is no orm.config.lua here: `heddle init` makes one, `--config FILE`")
        says("migrate --config my.lua", "the configuration file 'my.lua' cannot be read")
        project:write("orm.config.lua", "return " .. context "default")
        assert.equal("default", acted_on(project, ""))
    end)

    it("that do not parse are told by file and line", function()
        project:write("orm.config.lua", "local orm = require 'heddle'\nreturn {\n  driver = = 'sqlite',\n}")
        says("migrate", "heddle: orm.config.lua:3: unexpected symbol near '='\n")
        project:write("conf/mine.lua", "return =\n")
        says("migrate -c conf/mine.lua", "heddle: conf/mine.lua:1: unexpected symbol near '='\n")
    end)

    it("that fail when they run are told by file and line", function()
        project:write("orm.config.lua", "local t\nreturn { driver = t.driver }")
        says("migrate", "heddle: orm.config.lua:2: attempt to index")
        project:write("orm.config.lua", "return require 'no_such_module'")
        says("migrate", "module 'no_such_module' not found")
        project:write(".env", "DB_NAME=x\nthis is nothing\n")
        project:write("orm.config.lua", "require 'heddle'.env '.env'\nreturn {}")
        says("migrate", "heddle: .env:2: the line is not NAME=value, or a quote is not closed\n  at orm.config.lua:1")
    end)

    it("that give something else say what was expected", function()
        for text, said in pairs {
            ["return"] = "orm.config.lua: the file must return a configuration, the table that orm.init takes, "
                .. "or a list of them; it gave nothing",
            ["return 'x'"] = "it gave a string",
            ["return {}"] = "the file returned an empty table",
            ["return { { driver = 'sqlite', database = 'a.db' }, 'b' }"] = "item 2 of the list must be a "
                .. "configuration, a table; it is a string",
            ["return { { database = 'a.db' }, driver = 'sqlite' }"] = "this list has a key 'driver' too",
            ["return require 'heddle'.init " .. context "default"] = "the file gave an instance",
            ["return { driver = 'mysql', database = 'x' }"] = "Configuration of context 'default': option "
                .. "'driver' must be one of 'postgres', 'sqlite'",
            ["return { driver = 'sqlite', databse = 'x' }"] = "unknown option 'databse' (did you mean 'database'?)",
            ["return { context_name = 7, driver = 'sqlite', database = 'x' }"] = "option 'context_name' must be",
        } do
            project:write("orm.config.lua", text)
            says("migrate", said)
        end
    end)

    it("with entities that do not parse are told by the entity's file and line", function()
        project:write("orm.config.lua", "return { driver = 'sqlite', database = ':memory:', entities = { 'e/*.lua' } }")
        says("migrate", "no file matches 'e/*.lua'")
        project:write("e/user.lua", "local orm = require 'heddle'\nreturn orm.entity {\n  name = 'User' 'x'\n  y\n}")
        says("migrate", "heddle: Entities of context 'default': the file 'e/user.lua' cannot be loaded: ",
            "e/user.lua:3: '}' expected")
        project:write("e/user.lua", "local orm = require 'heddle'\nlocal User = orm.entity {\n"
            .. "  name = 'User', { 'id', type = 'integr' },\n}\nreturn User")
        says("migrate", "Entity 'User', property 'id': option 'type' must be", "did you mean 'integer'?", "e/user.lua:")
        project:write("e/user.lua", "return 5")
        says("migrate", "the file 'e/user.lua' must return an entity or a list of entities; it gave a number")
        -- Said once: `require` names the file, too.
        project:write("e/user.lua", "return {")
        local _, err = project:expect(1, "migrate")
        assert.is_nil(err:find("error loading module", 1, true))
        assert.is_nil(err:find("cause", 1, true), err)
    end)

    it("with entities that do not fit together are told by the file that defines them, too", function()
        local function define(rest)
            project:write("e/post.lua", "local orm = require 'heddle'\n\nlocal Post = orm.entity { name = 'Post', "
                .. "{ 'id', type = 'integer', primary = true }, " .. rest .. " }\nreturn Post")
        end
        project:write("orm.config.lua", "return { driver = 'sqlite', database = ':memory:', entities = { 'e/*.lua' } }")
        project:entity("e/user.lua", "User", "table = 'users', { 'id', type = 'integer', primary = true }")
        for rest, said in pairs {
            ["{ 'user', many_to_one = 'Usr' }"] = "its target 'Usr' is not registered",
            ["table = 'users'"] = "its table 'users' is the table of entity ",
            ["extends = 'Bse'"] = "'Bse' is not registered",
        } do
            define(rest)
            for _, line in ipairs { "migrate", "debug" } do
                local out, err = project:expect(1, line)
                assert.truthy((out .. err):find(said, 1, true), out .. err)
                assert.truthy((out .. err):find("\n +at [^\n]*e/%a+%.lua"), out .. err)
            end
        end
    end)

    it("with a wrong option are told by the file that has it", function()
        project:write("one.lua", "return " .. context "default")
        project:write("two.lua", "return { context_name = 'two', driver = 'sqlite', databse = 'x' }")
        says("migrate -c one.lua -c two.lua --context two", "did you mean 'database'?)\n  at two.lua\n")
    end)

    it("may be several files, each with its own directory, one context a name", function()
        project:write("one.lua", "return " .. context "default")
        project:write("deep/two.lua", "return " .. context("second", ", migrations = 'mine' "))
        assert.equal("default second", acted_on(project, "-c one.lua --config=deep/two.lua --all"))
        assert.equal("second", acted_on(project, "-c deep/two.lua"))
        project:write("deep/mine/20260101000000_first.lua", "return { context = 'second', up = function() end }")
        assert.truthy(project:expect(0, "migrate:status -c deep/two.lua"):find("20260101000000_first", 1, true))
        says("migrate -c one.lua -c one.lua", "context 'default' is configured twice: both times in one.lua;")
        project:write("three.lua", "return { driver = 'sqlite', database = 'x.db', entities = {} }")
        says("migrate -c one.lua -c three.lua", "configured twice: in one.lua and in three.lua")
    end)

    it("find modules beside themselves, wherever the command is started", function()
        project:write("app/names.lua", "return { file = 'names.db' }")
        project:write("app/entities/tag.lua", [[local orm = require "heddle"
            require "names"
            return orm.entity { name = "Tag", { "id", type = "integer", primary = true } }]])
        project:write("app/orm.config.lua", [[local names = require "names"
            return { driver = "sqlite", database = "app/" .. names.file, entities = { "entities/*.lua" } }]])
        local out = project:expect(0, "schema:create --config app/orm.config.lua")
        assert.equal("1 table of context 'default' created.\n", out)
    end)

    describe("of several contexts", function()
        before_each(function()
            project:write("orm.config.lua", ("return { %s, %s, %s }"):format(context "default",
                context "reports", context "audit"))
        end)

        it("are acted on as `default`, by name, or all of them", function()
            assert.equal("default", acted_on(project, ""))
            assert.equal("audit", acted_on(project, "--context audit"))
            assert.equal("default reports audit", acted_on(project, "--all"))
        end)

        it("say what names there are", function()
            local _, err = project:expect(2, "migrate --context report")
            assert.equal("heddle: there is no context 'report' in orm.config.lua; there is 'default', 'reports', "
                .. "'audit' (did you mean 'reports'?)\n", err)
        end)

        it("are named or all, not both", function()
            local _, err = project:expect(2, "migrate --context audit --all")
            assert.equal("heddle: give --context NAME or --all, not both\n", err)
        end)

        it("need a name where there is no default", function()
            project:write("orm.config.lua", ("return { %s, %s }"):format(context "reports", context "audit"))
            local _, err = project:expect(2, "migrate")
            assert.equal("heddle: which context? There is 'reports', 'audit', and none is 'default'; give --context "
                .. "NAME or --all\n", err)
            project:write("orm.config.lua", "return " .. context "reports")
            assert.equal("reports", acted_on(project, ""))
        end)

        it("say what is pending in those that were left alone, on standard error", function()
            project:write("migrations/reports/20260101000000_a.lua", "return { context = 'reports', up = print }")
            project:write("migrations/reports/20260101000001_b.lua", "return { context = 'reports', up = print }")
            local _, err = acted_on(project, "")
            assert.equal("context 'reports': 2 migrations pending; heddle migrate --context reports, or --all\n", err)
            _, err = acted_on(project, "--all")
            assert.equal("", err)
            _, err = acted_on(project, "--context reports")
            assert.equal("", err)
            project:expect(0, "migrate --context reports")
            os.remove(project:path "migrations/reports/20260101000000_a.lua")
            os.remove(project:path "default.db")
            _, err = acted_on(project, "")
            assert.equal("warning: context 'reports': 1 migration edited, missing or broken off; heddle migrate:status "
                .. "--context reports\n", err)
        end)

        it("C5: one that is down or does not load costs the others nothing", function()
            project:write("orm.config.lua", ([[return { %s, %s,
                { context_name = "down", driver = "sqlite", database = "/no-such-directory/x.db", entities = {} },
                { context_name = "wrong", driver = "sqlite", database = "y.db", entities = { "no/*.lua" } },
            }]]):format(context "default", context "audit"))
            local names, err = acted_on(project, "")
            assert.equal("default", names)
            assert.truthy(err:find("warning: context 'wrong' does not load: Entities of context 'wrong': no file "
                .. "matches", 1, true), err)
            assert.truthy(err:find("warning: context 'down': what is pending there cannot be said", 1, true), err)
            os.remove(project:path "default.db")
            local out
            out, err = project:expect(1, "schema:create --all")
            assert.truthy(out:find("context 'default' created.*audit:.*context 'audit' created.*down:.*wrong:"), out)
            assert.truthy(err:find("no file matches 'no/*.lua'", 1, true))
        end)
    end)
end)
