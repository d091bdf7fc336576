-- M4: processes that migrate at once.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local migrations = require "spec.support.migrations"
local orm = require "heddle"

-- Runs up and prints what ran and what was told.
local UP = [[
local told = {}
local ok, names = pcall(instance.migrator.up, instance.migrator, {
    on_progress = function(event)
        told[event.event] = (told[event.event] or 0) + 1
        if event.event ~= "statement" then say(event.event) end
    end,
})
print("waited " .. (told.waiting or 0))
print(ok and "ran " .. table.concat(names, ",") or "failed: " .. tostring(names))
]]

-- What a process ran.
local function ran(output)
    local list = {}
    for name in (output:match "ran ([^\n]*)" or "?"):gmatch "[^,]+" do list[#list + 1] = name end
    return list
end

databases.each(function(db)
    describe("migrating at once", function()
        local dir, instance, config

        before_each(function()
            dir = migrations.directory()
            config = db:config { migrations = dir.path }
            instance = orm.init(config)
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        it("M4: one works, the other one waits and says so once, both end well", function()
            dir:write("20260101000000_a.lua", [[return { up = function(m)
                m:sql "CREATE TABLE a (x integer)"
                require("heddle.core").sleep(2)
            end }]])
            dir:write("20260102000000_b.up.sql", "CREATE TABLE b (x integer); INSERT INTO b VALUES (1)")
            local first = migrations.process(config, dir, UP)
            first:expect "start"
            local second = migrations.process(config, dir, UP)
            second:expect "waiting"
            local one, two = first:wait(), second:wait()
            assert.is_truthy(one:find("waited 0", 1, true), one)
            assert.is_truthy(two:find("waited 1", 1, true), two)
            local names = ran(one)
            for _, name in ipairs(ran(two)) do names[#names + 1] = name end
            table.sort(names)
            assert.same({ "20260101000000_a", "20260102000000_b" }, names)
            assert.equal("1", db:raw():value "select count(*) from b")
            assert.same({}, instance.migrator:pending())
        end)

        it("M4: six at once run each of them once", function()
            for i = 1, 20 do
                dir:write(("202601010000%02d_m.up.sql"):format(i), ("CREATE TABLE t%d (x integer);\n"):format(i)
                    .. ("INSERT INTO t%d VALUES (1)"):format(i))
            end
            local processes, names = {}, {}
            for i = 1, 6 do processes[i] = migrations.process(config, dir, UP) end
            for i = 1, 6 do
                local output = processes[i]:wait()
                assert.is_truthy(output:find "ran ", output)
                for _, name in ipairs(ran(output)) do names[#names + 1] = name end
            end
            assert.equal(20, #names)
            for i = 1, 20 do assert.equal("1", db:raw():value(("select count(*) from t%d"):format(i))) end
            assert.equal("20", db:raw():value "select count(*) from heddle_migrations")
        end)

        it("M4: one without a transaction is waited for, too", function()
            dir:write("20260101000000_a.lua", [[return { transaction = false, up = function(m)
                m:sql "CREATE TABLE a (x integer)"
                require("heddle.core").sleep(1)
            end }]])
            dir:write("20260102000000_b.up.sql", "CREATE TABLE b (x integer)")
            local first = migrations.process(config, dir, UP)
            first:expect "start"
            local second = migrations.process(config, dir, UP)
            local one, two = first:wait(), second:wait()
            assert.is_truthy(one:find("ran ", 1, true), one)
            assert.is_truthy(two:find("ran ", 1, true), two)
            assert.same({}, instance.migrator:pending())
        end)

        it("M4: a process that dies gives the lock back", function()
            dir:write("20260101000000_a.lua", [[return { up = function(m)
                m:sql "CREATE TABLE a (x integer)"
                if HANG then say "in the middle" require("heddle.core").sleep(60) end
            end }]])
            local first = migrations.process(config, dir, "HANG = true\n" .. UP)
            first:expect "in the middle"
            local second = migrations.process(config, dir, UP)
            second:expect "waiting"
            first:kill()
            assert.same({ "20260101000000_a" }, ran(second:wait()))
        end)

        it("M4: a waiting process can be stopped", function()
            dir:write("20260101000000_a.lua", [[return { up = function(m)
                m:sql "CREATE TABLE a (x integer)"
                say "in the middle"
                require("heddle.core").sleep(2)
            end }]])
            local first = migrations.process(config, dir, UP)
            first:expect "in the middle"
            local second = migrations.process(config, dir, [[
                local ok, err = pcall(instance.migrator.up, instance.migrator,
                    { on_progress = function() error "not now" end })
                print(ok, err)]])
            assert.is_truthy(second:wait():find("not now", 1, true))
            assert.same({ "20260101000000_a" }, ran(first:wait()))
        end)
    end)
end)

databases.on("postgres", function(db)
    describe("migrating at once on PostgreSQL", function()
        local dir, config

        before_each(function()
            dir = migrations.directory()
            config = db:config { migrations = dir.path }
            orm.init(config)
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        it("M4: CREATE INDEX CONCURRENTLY runs while others wait for the lock", function()
            dir:write("20260101000000_a.up.sql", "CREATE TABLE a AS SELECT n FROM generate_series(1, 300000) n")
            orm.instance().migrator:up()
            dir:write("20260102000000_b.lua", [[return { transaction = false, up = function(m)
                require("heddle.core").sleep(0.5)
                m:create_index("a", { "n" }, { concurrently = true })
            end }]])
            dir:write("20260103000000_c.up.sql",
                "-- heddle: transaction=off\nCREATE INDEX CONCURRENTLY c ON a ((n + 1));\n"
                .. "CREATE INDEX CONCURRENTLY d ON a (n)")
            local processes = {}
            for i = 1, 3 do processes[i] = migrations.process(config, dir, UP) end
            local names = {}
            for i = 1, 3 do
                local output = processes[i]:wait()
                assert.is_truthy(output:find "ran ", output)
                names[#names + 1] = output:match "ran ([^\n]+)"
            end
            assert.same({ "20260102000000_b,20260103000000_c" }, names)
            assert.equal("3", db:raw():value
                "select count(*) from pg_index where indisvalid and indrelid = 'a'::regclass")
        end)

        it("M4: a lock that is lost is noticed before anything more runs", function()
            dir:write("20260101000000_a.up.sql", "SELECT pg_advisory_unlock_all()")
            dir:write("20260102000000_b.up.sql", "CREATE TABLE b (x integer)")
            local ok, err = pcall(orm.instance().migrator.up, orm.instance().migrator)
            assert.is_false(ok)
            assert.is_truthy(err.message:find("the lock that keeps other processes out is lost", 1, true), err.message)
            assert.equal("0", db:raw():value "select count(*) from pg_tables where tablename = 'b'")
        end)

        local Thing = orm.entity { name = "Thing", { "id", type = "text", primary = true } }

        it("M4: schema:update waits for a migration to end", function()
            dir:write("20260101000000_a.lua", [[return { transaction = false, up = function(m)
                m:sql "CREATE TABLE a (x integer)"
                say "in the middle"
                require("heddle.core").sleep(1)
                m:sql "CREATE TABLE thing (id text PRIMARY KEY)"
                m:create_index("a", { "x" }, { concurrently = true })
            end }]])
            local first = migrations.process(config, dir, UP)
            first:expect "in the middle"
            orm.close()
            config.entities = { Thing }
            assert.same({}, orm.init(config).schema:update())
            assert.same({ "20260101000000_a" }, ran(first:wait()))
        end)

        it("a migration that calls schema:update does not wait for itself", function()
            dir:write("20260101000000_a.lua",
                [[return { up = function() require("heddle").instance().schema:update() end }]])
            orm.close()
            config.entities = { Thing }
            local migrator = orm.init(config).migrator
            local err = expect.raises("migration", function() migrator:up() end)
            assert.equal("busy", err.reason)
            assert.equal("0", db:raw():value "select count(*) from pg_tables where tablename = 'thing'")
        end)

        it("two schemas of a database do not wait for each other", function()
            dir:write("20260101000000_a.lua", [[return { up = function(m)
                m:sql "CREATE TABLE a (x integer)"
                say "in the middle"
                require("heddle.core").sleep(2)
            end }]])
            local first = migrations.process(config, dir, UP)
            first:expect "in the middle"
            orm.close()
            local other = migrations.directory()
            other:write("20260101000000_a.up.sql", "CREATE TABLE a (x integer)")
            config.schema, config.migrations = "other", other.path
            orm.init(config)
            local waited
            orm.instance().migrator:up { on_progress = function(event) waited = waited or event.event == "waiting" end }
            assert.is_false(waited)
            first:wait()
        end)
    end)
end)
