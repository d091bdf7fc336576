-- Ctrl-C while a migration runs: nothing stays half done, and the lock is free.

local command = require "spec.support.command"
local databases = require "spec.support.databases"

-- Begins, says so, and goes on for longer than anybody waits: on PostgreSQL within one statement, on SQLite in many.
local LONG = {
    postgres = "m:sql 'select pg_sleep(60)'",
    sqlite = "for i = 1, 1e9 do m:sql('insert into begun values (?)', i) end",
}

databases.each(function(db)
    describe("Ctrl-C", function()
        local project

        before_each(function()
            project = command.project()
            project:configure(db:config { entities = {} })
            project:write("migrations/20260101000000_a.lua", "return { context = 'default', up = function(m)\n"
                .. "  m:sql 'create table before (n integer)' end }")
            project:write("migrations/20260101000001_b.lua", ("return { context = 'default', up = function(m)\n"
                .. "  m:sql 'create table begun (n integer)'\n  io.open('begun', 'w'):close()\n  %s end }"):format(
                LONG[db.name]))
            project:write("interrupt.sh", ([[
                %s %s migrate "$@" &
                pid=$!
                tries=0
                until [ -e begun ] || [ $tries -gt 500 ]; do sleep 0.05; tries=$((tries + 1)); done
                sleep 0.2
                kill -INT $pid
                wait $pid
            ]]):format(os.getenv "HEDDLE_TEST_LUA", command.quote(command.script)))
        end)

        after_each(function()
            project:remove()
            db:close()
        end)

        it("M6: leaves nothing half done", function()
            local out, err, code = project:shell "sh interrupt.sh"
            assert.equal(130, code, out .. err)
            assert.matches("migrated 20260101000000_a  %d+ ms\n", out)
            assert.matches("heddle: Migration '20260101000001_b' of context 'default' failed: interrupted; nothing of "
                .. "it is left\n$", err)
            assert.is_nil(err:find("traceback", 1, true))
            local rows = require("cjson").decode((project:expect(0, "migrate:status --json")))
            assert.equal("done pending", rows[1].state .. " " .. rows[2].state)
            assert.has_error(function() db:raw():rows "select * from begun" end)
            assert.same({}, db:raw():rows "select * from before")
            project:write("migrations/20260101000001_b.lua", "return { context = 'default', up = function(m)\n"
                .. "  m:sql 'create table begun (n integer)' end }")
            project:expect(0, "migrate")
        end)

        if db.name == "sqlite" then
            it("M6: breaks off one long statement of SQLite", function()
                project:write("migrations/20260101000001_b.lua", [[return { context = "default", up = function(m)
                    m:sql "create table begun (n integer)"
                    io.open("begun", "w"):close()
                    m:sql("insert into begun with recursive c(n) as (select 1 union all select n + 1 from c"
                        .. " where n < 1e11) select max(n) from c") end }]])
                local out, err, code = project:shell "sh interrupt.sh"
                assert.equal(130, code, out .. err)
                assert.truthy(err:find("nothing of it is left\n", 1, true), err)
                assert.has_error(function() db:raw():rows "select * from begun" end)
            end)
        end

        it("takes back all of them where it is all or nothing", function()
            local _, err, code = project:shell "sh interrupt.sh --all-or-nothing"
            assert.equal(130, code, err)
            local rows = require("cjson").decode((project:expect(0, "migrate:status --json")))
            assert.equal("pending pending", rows[1].state .. " " .. rows[2].state)
            assert.has_error(function() db:raw():rows "select * from before" end)
        end)

        it("says of one without a transaction how to go on", function()
            local text = project:read("migrations/20260101000001_b.lua"):gsub("up =", "transaction = false, up =")
            project:write("migrations/20260101000001_b.lua", text)
            local _, err, code = project:shell "sh interrupt.sh"
            assert.equal(130, code, err)
            assert.truthy(err:find("heddle migrate:resolve 20260101000001_b --done or --undone", 1, true), err)
            local rows = require("cjson").decode((project:expect(0, "migrate:status --json")))
            assert.equal("done started", rows[1].state .. " " .. rows[2].state)
        end)
    end)
end)
