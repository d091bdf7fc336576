-- Waiting for PostgreSQL under a scheduler, and waits that are broken off or given up.


local databases = require "spec.support.databases"
local loop = require "spec.support.loop"
local orm = require "heddle"
local raises = require("spec.support.unit").raises

local pcall = require("heddle.compat").pcall -- 5.1's own cannot be yielded across

local User = orm.entity { name = "User", table = "users", { "id", type = "integer", primary = true },
    { "name", type = "string" } }

local function collect()
    collectgarbage()
    collectgarbage()
end

describe("waiting on PostgreSQL:", function()
    before_each(function()
        loop.reset()
        orm.use(loop.wait)
    end)
    after_each(function()
        orm.use "blocking"
        loop.reset()
        orm.close()
    end)

    databases.on("postgres", function(db)
        local em, instance

        local function open(overrides)
            local config = { entities = { User }, allow_global_context = true, pool = { max = 20 } }
            for key, value in pairs(overrides or {}) do config[key] = value end
            instance = orm.init(db:config(config))
            em = instance.em
        end

        after_each(function()
            orm.use "blocking"
            orm.close()
            db:close()
        end)

        it("twenty coroutines wait for the server all at once", function()
            open()
            local done = 0
            for _ = 1, 20 do
                loop.spawn(function()
                    em:fork():execute "select pg_sleep(0.1)"
                    done = done + 1
                end)
            end
            loop.run()
            assert.same({ 20, 20 }, { done, loop.most })
            assert.same({ 20, 20, 0 }, { instance:pool_stats().opened, instance:pool_stats().idle, loop.pauses })
        end)

        it("connecting waits like everything else", function()
            open()
            local waited
            orm.use(function(fd, events, timeout)
                waited = waited or { fd, events, timeout }
                return loop.wait(fd, events, timeout)
            end)
            loop.spawn(function() instance:connect() end)
            loop.run()
            assert.equal("number", type(waited[1]))
            assert.matches("^[rw]+$", waited[2])
            assert.is_true(waited[3] > 0 and waited[3] <= 10)
        end)

        it("busy: another coroutine uses an entity manager that waits", function()
            open()
            local fork = em:fork()
            local first = loop.spawn(function()
                assert.same({ { n = 1 } }, fork:execute "select 1 as n from pg_sleep(0.05)")
            end)
            loop.spawn(function()
                assert.is_true(loop.waits(first))
                local err = raises("busy", fork.find, fork, User, {})
                assert.matches("em:fork%(%)", err.message)
                raises("busy", fork.execute, fork, "select 1")
                raises("busy", fork.flush, fork)
                raises("busy", fork.begin, fork)
            end)
            loop.run()
        end)

        it("a wait that is collected closes its connection, and its entity manager can be used again", function()
            open()
            local fork = em:fork()
            do
                local co = loop.spawn(function() fork:execute "select pg_sleep(5)" end)
                while not db:raw():value "select 1 from pg_stat_activity where query = 'select pg_sleep(5)'" do
                    loop.step()
                end
                loop.drop(co)
            end
            collect()
            loop.spawn(function() assert.same({ { n = 1 } }, fork:execute "select 1 as n") end)
            loop.run()
            assert.same({ 1, 1 }, { instance:pool_stats().closed, instance:pool_stats().idle })
        end)

        it("F1: a flush that is given up before its commit is pending again for whoever comes next", function()
            open()
            orm.use "blocking"
            instance.schema:create()
            orm.use(loop.wait)
            local fork = em:fork()
            local users = { fork:create(User, { name = "x" }), fork:create(User, { name = "y" }) }
            fork:persist(users[1], users[2])
            do
                local co = loop.spawn(function() fork:flush() end)
                assert.is_true(loop.waits(co)) -- for the keys
                loop.drop(co)
            end
            collect()
            assert.is_nil(users[1].id)
            loop.spawn(function()
                fork:flush()
                fork:flush()
            end)
            loop.run()
            assert.same({ { tostring(users[1].id), "x" }, { tostring(users[2].id), "y" } },
                db:raw():rows "select id, name from users order by name")
        end)

        it("a transaction whose operation is broken off is over, and says so until it is rolled back", function()
            open()
            local fork = em:fork()
            local broken = false
            orm.use(function(...)
                if broken then error("broken off", 0) end
                return loop.wait(...)
            end)
            loop.spawn(function()
                fork:begin()
                fork:execute "create table t (n int)"
                broken = true
                assert.same({ false, "broken off" }, { pcall(fork.execute, fork, "select pg_sleep(1)") })
                broken = false
                raises("connection", fork.execute, fork, "insert into t values (1)")
                raises("connection", fork.execute, fork, "select 1")
                fork:rollback()
                assert.same({ { n = 1 } }, fork:execute "select 1 as n")
            end)
            loop.run()
            assert.equal("0", db:raw():value "select count(*) from pg_class where relname = 't'")
        end)

        it("a transaction whose connection is broken off has not begun", function()
            open()
            local fork = em:fork()
            local broken = true
            orm.use(function(...)
                if broken then error("broken off", 0) end
                return loop.wait(...)
            end)
            loop.spawn(function()
                assert.same({ false, "broken off" }, { pcall(fork.begin, fork) })
                assert.is_false(fork:in_transaction())
                broken = false
                fork:begin()
                fork:execute "create table t (n int)"
                fork:rollback()
            end)
            loop.run()
            assert.equal("0", db:raw():value "select count(*) from pg_class where relname = 't'")
            assert.equal(0, instance:pool_stats().in_use)
        end)

        it("the password function and on_connect may wait", function()
            open { password = function()
                loop.yield()
                return "unused"
            end, on_connect = function(conn)
                loop.yield()
                conn:execute "select pg_sleep(0.01)"
            end }
            local done = 0
            for _ = 1, 3 do
                loop.spawn(function()
                    em:fork():execute "select 1"
                    done = done + 1
                end)
            end
            loop.run()
            assert.equal(3, done)
        end)
    end)
end)
