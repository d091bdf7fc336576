-- heddle schema:*: the tables of the entities without migrations.

local command = require "spec.support.command"
local databases = require "spec.support.databases"

local ID = 'table = "users", { "id", type = "integer", primary = true }, '

databases.each(function(db)
    describe("heddle schema", function()
        local project

        -- The entity User with these properties.
        local function user(properties) project:entity("entities/user.lua", "User", ID .. properties) end

        before_each(function()
            project = command.project()
            project:configure(db:config { entities = { "entities/*.lua" } })
            user '{ "name", type = "string" }'
        end)

        after_each(function()
            project:remove()
            db:close()
        end)

        it("creates, and prints SQL that a database's own program takes", function()
            local sql = project:expect(0, "schema:create --dry-run")
            assert.matches('^CREATE TABLE "users" %(.*%);\n$', sql)
            db:raw():exec((sql:gsub(";%s*$", "")))
            assert.equal("0", db:raw():value "select count(*) from users")
            local _, err = project:expect(1, "schema:create")
            assert.truthy(err:find("users", 1, true), err)
            db:raw():exec "drop table users"
            assert.equal("1 table of context 'default' created.\n", (project:expect(0, "schema:create")))
            assert.equal("0", db:raw():value "select count(*) from users")
        end)

        it("shows what differs, with a code for CI", function()
            local sql = project:expect(1, "schema:diff --check")
            assert.matches('^CREATE TABLE "users"', sql)
            project:expect(0, "schema:create")
            local out, err = project:expect(0, "schema:diff --check")
            assert.equal("", out)
            assert.equal("Context 'default': the schema is up to date.\n", err)
            user '{ "name", type = "string" }, { "age", type = "integer", nullable = true }'
            assert.matches('ADD COLUMN "age"', (project:expect(0, "schema:diff")))
            project:expect(1, "schema:diff --check")
        end)

        it("M1: updates until nothing differs, and keeps rows", function()
            project:expect(0, "schema:create")
            db:raw():exec "insert into users (name) values ('Ann')"
            user '{ "name", type = "string", nullable = true }, { "age", type = "integer", default = 7 }'
            local out = project:expect(0, "schema:update --dry-run")
            assert.truthy(#out > 0)
            assert.is_nil(out:find("statement", 1, true))
            out = project:expect(0, "schema:update")
            assert.matches("^Context 'default': %d+ statements? run%.\n", out)
            project:expect(0, "schema:diff --check --unsafe")
            assert.equal("Context 'default': the schema is up to date.\n", (project:expect(0, "schema:update")))
            assert.same({ { "Ann", "7" } }, db:raw():rows "select name, age from users")
        end)

        it("drops nothing unless it is told to, twice", function()
            project:expect(0, "schema:create")
            db:raw():exec "insert into users (name) values ('Ann')"
            user '{ "age", type = "integer", nullable = true }'
            local _, err = project:expect(0, "schema:update")
            assert.truthy(err:find("left out: ", 1, true) and err:find("name", 1, true), err)
            assert.equal("Ann", db:raw():value "select name from users")
            for _, flag in ipairs { "--unsafe", "--no-safe" } do
                _, err = project:expect(2, "schema:update " .. flag)
                assert.truthy(err:find("may drop tables and columns", 1, true), err)
                assert.truthy(err:find("Give --yes", 1, true))
            end
            assert.equal("Ann", db:raw():value "select name from users")
            project:expect(0, "schema:update --unsafe --run")
            assert.same({ { "1", require("spec.support.raw").null } }, db:raw():rows "select * from users")
            project:expect(0, "schema:diff --check --unsafe")
        end)

        it("renames what it is told to", function()
            project:expect(0, "schema:create")
            db:raw():exec "insert into users (name) values ('Ann')"
            user '{ "full_name", type = "string" }'
            local _, err = project:expect(1, "schema:update")
            assert.truthy(err:find("full_name", 1, true), err)
            project:expect(0, "schema:update --rename users.name=full_name")
            assert.equal("Ann", db:raw():value "select full_name from users")
            project:entity("entities/user.lua", "User",
                ID:gsub("users", "people") .. '{ "full_name", type = "string" }')
            project:expect(0, "schema:update --rename users=people")
            assert.equal("Ann", db:raw():value "select full_name from people")
        end)

        it("drops only when it is told to", function()
            project:expect(0, "schema:create")
            assert.matches('^DROP TABLE', (project:expect(0, "schema:drop --dry-run")))
            local _, err = project:expect(2, "schema:drop")
            assert.truthy(err:find("This drops every table of context 'default'", 1, true), err)
            assert.equal("0", db:raw():value "select count(*) from users")
            assert.equal("The tables of context 'default' are dropped.\n", (project:expect(0, "schema:drop --run")))
            project:expect(1, "schema:diff --check")
        end)

        it("never drops a table of another context in the same database", function()
            local config = db:config { entities = { "entities/*.lua" } }
            local other = {}
            for key, value in pairs(config) do other[key] = value end
            other.context_name, other.entities = "other", { "entities/other/*.lua" }
            project:configure(config, other)
            project:entity("entities/other/log.lua", "Log",
                'table = "logs", { "id", type = "integer", primary = true }')
            project:expect(0, "schema:create --all")
            assert.equal("-- context 'default'\n-- context 'other'\n",
                (project:expect(0, "schema:diff --unsafe --all")))
            assert.equal("", (project:expect(0, "schema:diff --unsafe")))
            -- One that does not load may have tables there.
            project:write("entities/other/log.lua", "return nothing.at_all")
            for _, words in ipairs { "schema:diff --unsafe", "schema:update --unsafe --run" } do
                local _, err = project:expect(1, words)
                assert.truthy(err:find("entities/other/log.lua", 1, true), err)
            end
            assert.equal("0", db:raw():value "select count(*) from logs")
        end)
    end)
end)
