-- examples/multi_database as its reader runs it: another process, another working directory, the environment's
-- variables. What it says is compared with what the databases hold.

local command = require "spec.support.command"
local databases = require "spec.support.databases"
local lfs = require "lfs"
local program = require "spec.support.example"
local raw = require "spec.support.raw"

local example = lfs.currentdir() .. "/examples/multi_database/"

local quote, assert_says = program.quote, program.assert_says

local function run(primary, secondary)
    return program.run("multi_database/main.lua",
        program.variables("DB_SECONDARY", secondary, program.variables("DB", primary)))
end

-- A place where no database is, for either driver.
local function down(config)
    local copy = {}
    for key, value in pairs(config) do copy[key] = value end
    if config.driver == "postgres" then copy.port = 1 else copy.database = "/no-such-directory/analytics.db" end
    return copy
end

databases.each(function(db)
    describe("the example", function()
        local primary, secondary

        before_each(function()
            primary, secondary = db:config(), db:config()
        end)

        after_each(function() db:close() end)

        it("tells its story and leaves what it tells in the two databases", function()
            local output, status = run(primary, secondary)
            assert.equal(0, status, output)
            assert_says(output, "1. Two contexts", db.name, primary.database, db.name, secondary.database,
                "2. The service", "created user 1, John <john@example.com>", "'user_created' of user 1",
                "3. ", "user 2 created", "John <john@example.com> found by get_context()", "2 users and 2 logs",
                "4. ", "entity_not_registered", "no_request_context", "context_not_found",
                "5. The secondary is down", "check_connection: false", "Failed to log analytics (connection)",
                "created user 3, Eve <eve@example.com>", "3 users in all", "Both contexts are closed.")
            assert.same({ { "John", "john@example.com" }, { "Ann", "ann@example.com" }, { "Eve", "eve@example.com" } },
                db:raw(primary):rows "select name, email from demo_users order by id")
            assert.same({ { "1", "user_created" }, { raw.null, "report_viewed" } },
                db:raw(secondary):rows "select user_id, event from demo_analytics_logs order by id")
        end)

        it("can be run again", function()
            local first = run(primary, secondary)
            local output, status = run(primary, secondary)
            assert.equal(0, status, output)
            local function without_times(text) return (text:gsub("%d%d:%d%d:%d%d", "")) end
            assert.equal(without_times(first), without_times(output))
            assert.equal("3", db:raw(primary):value "select count(*) from demo_users")
        end)

        local function count_tables(config, pattern)
            local catalog = { sqlite = "sqlite_master where name", postgres = "pg_class where relname" }
            return db:raw(config):value(("select count(*) from %s like '%s'"):format(catalog[db.name], pattern))
        end

        it("migrates each database with its own configuration, as the entities say", function()
            local variables = table.concat(program.variables("DB_SECONDARY", secondary,
                program.variables("DB", primary)), " ")
            local function heddle(arguments)
                local pipe = io.popen(("cd / && env %s %s %s %s 2>&1; echo \"status $?\""):format(variables,
                    os.getenv "HEDDLE_TEST_LUA", quote(command.script), arguments))
                local output, status = pipe:read("*a"):match "^(.*)status (%d+)\n$"
                pipe:close()
                return output, tonumber(status)
            end
            local first = "--config=" .. quote(example .. "orm.config.lua")
            local second = "--config=" .. quote(example .. "orm-secondary.config.lua")
            assert_says(heddle("migrate " .. first), "migrated 20260101120000_create_users", "1 migration run")
            assert.equal("0", count_tables(secondary, "demo_%"))
            assert_says(heddle("migrate " .. second), "migrated 20260101120000_create_analytics_logs")
            assert.equal("0", count_tables(primary, "demo_analytics%"))
            for _, config in ipairs { first, second } do
                local output, status = heddle("migrate:status --check " .. config)
                assert.equal(0, status, output)
                output, status = heddle("schema:diff --unsafe " .. config)
                assert.equal(0, status, output)
                assert_says(output, "the schema is up to date")
            end
        end)

        it("C5: creates its users when the secondary is down from the beginning", function()
            local output, status = run(primary, down(secondary))
            assert.equal(0, status, output)
            assert_says(output, "not now, 'secondary' is down (connection)",
                "Failed to log analytics (connection)", "created user 1, John",
                "created user 3, Eve", "Both contexts are closed.")
            assert.equal("3", db:raw(primary):value "select count(*) from demo_users")
        end)

        it("ends with an error when the primary is down", function()
            local output, status = run(down(primary), secondary)
            assert.not_equal(0, status)
            assert_says(output, "cannot ")
            assert.is_nil(output:find("created user", 1, true))
        end)
    end)
end)

describe("the example", function()
    it("one entity: the pattern of the configuration and the service's require", function()
        local script = ("local orm = require 'heddle'; package.path = %q .. '?.lua;' .. package.path; "
            .. "local instance = orm.init(dofile(%q .. 'orm.config.lua')); "
            .. "local User = require 'entities.user'; "
            .. "print(orm.em():create(User, { name = 'a', email = 'b' }):label())"):format(example, example)
        -- Patterns are relative to the file that calls init: here it is none, so that the directory counts.
        local pipe = io.popen(("cd %s && %s -e %s 2>&1"):format(quote(example), os.getenv "HEDDLE_TEST_LUA",
            quote(script)))
        local output = pipe:read "*a"
        pipe:close()
        assert.equal("a <b>\n", output)
    end)

    it("reads its databases from .env when the environment says nothing", function()
        local script = ("local orm = require 'heddle'; local config = dofile(%q .. 'orm.config.lua'); "
            .. "print(config.driver, config.database)"):format(example)
        local pipe = io.popen(("env -u DB_DRIVER -u DB_NAME -u DB_HOST %s -e %s 2>&1"):format(
            os.getenv "HEDDLE_TEST_LUA", quote(script)))
        local output = pipe:read "*a"
        pipe:close()
        assert.equal("sqlite\t" .. example .. "app.db\n", output)
    end)
end)
