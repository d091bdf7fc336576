-- The pool of a context: how many connections, for how long, and who waits for whom.

local databases = require "spec.support.databases"
local loop = require "spec.support.loop"
local orm = require "heddle"
local raises = require("spec.support.unit").raises
local socket = require "socket"

local pcall = require("heddle.compat").pcall -- 5.1's own cannot be yielded across

databases.each(function(db)
    describe("pool:", function()
        local instance, em

        local function open(pool, overrides)
            local config = db:config { pool = pool, allow_global_context = true }
            for key, value in pairs(overrides or {}) do config[key] = value end
            instance = orm.init(config)
            em = instance.em
        end

        before_each(loop.reset)
        after_each(function()
            orm.use "blocking"
            orm.close()
            db:close()
        end)

        local function stats(...)
            local all, list = instance:pool_stats(), {}
            for i, name in ipairs { ... } do list[i] = all[name] end
            return list
        end

        -- Holds a connection until it is told to let go.
        local function hold(fork)
            fork = fork or em:fork()
            fork:begin { read_only = true }
            fork:execute "select 1"
            return fork
        end

        it("one connection serves one after the other", function()
            open { max = 5 }
            for _ = 1, 10 do em:fork():execute "select 1" end
            assert.same({ 1, 1, 0, 1, 0, 10 }, stats("size", "idle", "in_use", "opened", "closed", "acquired"))
        end)

        it("no more than max are opened, and those that come back are used again", function()
            open { max = 3 }
            local held = {}
            for i = 1, 3 do held[i] = hold() end
            assert.same({ 3, 3, 0 }, stats("size", "in_use", "idle"))
            raises("pool_timeout", em.execute, em, "select 1")
            assert.same({ 3, 0, 1 }, stats("size", "waiting", "timeouts"))
            for i = 1, 3 do held[i]:rollback() end
            assert.same({ 3, 0, 3 }, stats("size", "in_use", "idle"))
            em:execute "select 1"
            assert.equal(3, instance:pool_stats().opened)
        end)

        it("a connection that is idle for longer than idle_timeout is closed, down to min", function()
            open { min = 1, max = 3, idle_timeout = 0.02 }
            local held = {}
            for i = 1, 3 do held[i] = hold() end
            for i = 1, 3 do held[i]:rollback() end
            socket.sleep(0.05)
            em:execute "select 1"
            assert.same({ 1, 2, 3 }, stats("size", "closed", "opened"))
        end)

        it("a connection that is older than max_lifetime is replaced, in the middle of nothing", function()
            open { max = 1, max_lifetime = 0.05 }
            local fork = hold()
            socket.sleep(0.08)
            fork:execute "select 1" -- a transaction is not cut short
            fork:rollback()
            assert.same({ 0, 1 }, stats("size", "closed"))
            em:execute "select 1"
            socket.sleep(0.08)
            fork = hold() -- it may be too old itself when it comes back
            assert.same({ 3, 2 }, stats("opened", "closed"))
            fork:rollback()
        end)

        it("0 is no limit", function()
            open { max = 1, max_lifetime = 0, idle_timeout = 0, acquire_timeout = 0 }
            em:execute "select 1"
            socket.sleep(0.01)
            em:execute "select 1"
            assert.same({ 1, 0 }, stats("opened", "closed"))
        end)

        it("close ends idle connections at once and lent ones when they come back", function()
            open { max = 2 }
            local fork = hold()
            em:execute "select 1"
            assert.same({ 2, 1 }, stats("size", "idle"))
            local kept = instance
            orm.close()
            assert.equal(1, kept:pool_stats().size)
            raises("closed", fork.execute, fork, "select 1")
            fork = nil -- luacheck: ignore
            collectgarbage()
            collectgarbage()
            assert.equal(0, kept:pool_stats().size)
        end)

        -- The queue ----------------------------------------------------------------------------------------

        -- A turn is the connection, which is there when `begin` returns. What is sent on it is another matter: of two
        -- servers that are asked at the same time, either may answer first, and one take as long as three turns of
        -- the other.
        local function wait_for_turns(count, order)
            for i = 1, count do
                loop.spawn(function()
                    local fork = em:fork()
                    fork:begin { read_only = true }
                    order[#order + 1] = i
                    assert.equal(#order, instance:pool_stats().acquired)
                    fork:execute "select 1"
                    for _ = 1, i % 4 do loop.yield() end
                    fork:rollback()
                end)
            end
        end

        it("coroutines are served in the order of their coming", function()
            open { max = 2 }
            orm.use(loop.wait)
            local order = {}
            wait_for_turns(8, order)
            assert.equal(6, instance:pool_stats().waiting)
            loop.run()
            assert.equal(8, #order)
            local queued = {}
            for _, who in ipairs(order) do
                if who > 2 then queued[#queued + 1] = who end -- the first two had to connect, which may take its time
            end
            assert.same({ 3, 4, 5, 6, 7, 8 }, queued)
            assert.same({ 2, 0, 0, 0 }, stats("opened", "waiting", "in_use", "timeouts"))
        end)

        it("one connection is handed from one to the next, nobody overtaken", function()
            open { max = 1 }
            orm.use(loop.wait)
            local order = {}
            wait_for_turns(5, order)
            loop.spawn(function() -- comes late, although it asks again and again
                for _ = 1, 3 do
                    em:fork():execute "select 1"
                    order[#order + 1] = "late"
                end
            end)
            loop.run()
            assert.same({ 1, 2, 3, 4, 5, "late", "late", "late" }, order)
        end)

        it("waiting beyond acquire_timeout is pool_timeout, names the holder, costs nobody a place", function()
            open { max = 1, acquire_timeout = 0.03 }
            orm.use(loop.wait)
            local forks, refused = {}, 0
            loop.spawn(function()
                local fork = hold()
                while refused < 6 do loop.yield() end
                fork:rollback()
            end)
            for i = 1, 3 do
                forks[i] = em:fork()
                loop.spawn(function()
                    for _ = 1, 2 do
                        local ok, err = pcall(forks[i].execute, forks[i], "select 1")
                        assert.is_false(ok)
                        assert.is_true(orm.is_error(err, "pool_timeout"))
                        assert.matches("pool_spec.lua:%d+", err.message)
                        assert.matches("1 of 1 in use", err.message)
                        refused = refused + 1
                    end
                end)
            end
            loop.run()
            assert.same({ 6, 0, 1 }, stats("timeouts", "waiting", "idle"))
            orm.use "blocking"
            for _, fork in ipairs(forks) do fork:execute "select 1" end
            assert.same({ 6, 0, 1, 4 }, stats("timeouts", "waiting", "opened", "acquired"))
        end)

        it("who gives up waiting leaves the queue to the others", function()
            open { max = 1 }
            local first, order = hold(), {}
            orm.use(loop.wait)
            do
                local gone = loop.spawn(function()
                    em:fork():execute "select 1"
                    order[#order + 1] = "gone"
                end)
                loop.spawn(function()
                    em:fork():execute "select 1"
                    order[#order + 1] = "served"
                end)
                loop.drop(gone)
            end
            collectgarbage()
            collectgarbage()
            assert.equal(1, instance:pool_stats().waiting)
            orm.use "blocking"
            first:rollback()
            orm.use(loop.wait)
            loop.run()
            assert.same({ "served" }, order)
        end)

        it("closing the context wakes those who wait", function()
            open { max = 1 }
            orm.use(loop.wait)
            local fork, errors = nil, {}
            loop.spawn(function() fork = hold() end)
            for i = 1, 2 do
                loop.spawn(function()
                    local other = em:fork()
                    local _, err = pcall(other.execute, other, "select 1")
                    errors[i] = err.kind
                end)
            end
            while not fork or instance:pool_stats().waiting < 2 do loop.step() end
            orm.close()
            loop.run()
            assert.same({ "closed", "closed" }, errors)
        end)

        it("a fresh connection per waiter, on_connect before each first use, whoever waits", function()
            local greeted = 0
            open({ max = 2 }, { on_connect = function(conn)
                conn:execute "select 1"
                greeted = greeted + 1
            end })
            orm.use(loop.wait)
            for _ = 1, 6 do loop.spawn(function() em:fork():execute "select 1" end) end
            loop.run()
            assert.equal(instance:pool_stats().opened, greeted)
            assert.is_true(greeted <= 2)
        end)
    end)
end)

it("pool: a database in memory is one connection that no limit closes", function()
    local instance = orm.init { driver = "sqlite", database = ":memory:", pool = { max = 8, idle_timeout = 0.01,
        max_lifetime = 0.01 } }
    instance.em:execute "create table t (n integer)"
    socket.sleep(0.05)
    for _ = 1, 3 do instance.em:fork():execute "insert into t values (1)" end
    assert.same({ { n = 3 } }, instance.em:execute "select count(*) as n from t")
    assert.same({ 1, 0 }, { instance:pool_stats().opened, instance:pool_stats().closed })
    orm.close()
end)

it("pool: wrong limits are config errors that name them", function()
    for _, pool in ipairs { { max = 0 }, { min = -1 }, { min = 3, max = 2 }, { acquire_timeout = -1 }, { max = "many" },
        { max = 1.5 }, { idle_timeout = 0 / 0 }, { size = 3 } } do
        local err = raises("config", function() orm.init { driver = "sqlite", database = "x.db", pool = pool } end)
        local key = next(pool)
        assert.matches(key, err.message)
    end
end)
