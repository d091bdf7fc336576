-- Waiting for SQLite's locks: pauses while another one writes, and never for oneself.


local databases = require "spec.support.databases"
local loop = require "spec.support.loop"
local orm = require "heddle"
local raises = require("spec.support.unit").raises

local pcall = require("heddle.compat").pcall -- 5.1's own cannot be yielded across

local User = orm.entity { name = "User", table = "users", { "id", type = "integer", primary = true },
    { "name", type = "string" } }

describe("waiting on SQLite:", function()
    before_each(function()
        loop.reset()
        orm.use(loop.wait)
    end)
    after_each(function()
        orm.use "blocking"
        loop.reset()
        orm.close()
    end)

    databases.on("sqlite", function(db)
        local em, instance

        local function open(overrides)
            local config = db:config { entities = { User }, allow_global_context = true }
            for key, value in pairs(overrides or {}) do config[key] = value end
            instance = orm.init(config)
            instance.schema:create()
            em = instance.em
            return config
        end

        after_each(function()
            orm.close()
            db:close()
        end)

        it("a lock of another process is waited for in pauses, while others go on", function()
            open()
            local raw, order = db:raw(), {}
            raw:exec "begin immediate"
            loop.spawn(function()
                local fork = em:fork()
                fork:persist_and_flush(fork:create(User, { name = "x" }))
                order[#order + 1] = "written"
            end)
            loop.spawn(function()
                while loop.pauses < 5 do loop.yield() end
                assert.equal(0, em:fork():count(User, {}))
                order[#order + 1] = "unlocked"
                raw:exec "commit"
            end)
            loop.run()
            assert.same({ "unlocked", "written" }, order)
            assert.equal("1", raw:value "select count(*) from users")
        end)

        it("a lock that is never given back is lock_timeout after busy_timeout", function()
            open { options = { busy_timeout = 0.05 } }
            local raw = db:raw()
            raw:exec "begin immediate"
            for _, adapter in ipairs { "blocking", loop.wait } do
                orm.use(adapter)
                loop.spawn(function()
                    local fork = em:fork()
                    fork:persist(fork:create(User, { name = "x" }))
                    local ok, err = pcall(fork.flush, fork)
                    assert.is_false(ok)
                    assert.is_true(orm.is_error(err, "lock_timeout"))
                end)
                loop.run()
            end
            raw:exec "rollback"
            assert.is_true(loop.pauses > 0)
        end)

        it("two coroutines that write wait for each other", function()
            open()
            local done = 0
            for _ = 1, 4 do
                loop.spawn(function()
                    em:fork():transactional(function(tx)
                        tx:persist_and_flush(tx:create(User, { name = "x" }))
                        loop.yield()
                        tx:persist_and_flush(tx:create(User, { name = "y" }))
                    end)
                    done = done + 1
                end)
            end
            loop.run()
            assert.equal(4, done)
            assert.is_true(loop.pauses > 0)
            assert.equal("8", db:raw():value "select count(*) from users")
        end)

        -- Every way to wait for a lock that this very coroutine, or one above it, holds.
        local function waits_for_itself(other)
            return {
                function() other:persist_and_flush(other:create(User, { name = "y" })) end,
                function() other:insert(User, { name = "y" }) end,
                function() other:update_where(User, {}, { name = "y" }, { all = true }) end,
                function() other:execute "delete from users" end,
                function() other:transactional(function(tx) tx:execute "delete from users" end) end,
                function() coroutine.wrap(function() other:execute "delete from users" end)() end,
            }
        end

        it("waiting for oneself is lock_timeout at once, naming the holder", function()
            local config = open()
            orm.init { context_name = "same file", driver = "sqlite", database = config.database, entities = { User } }
            for round, adapter in ipairs { "blocking", loop.wait } do
                orm.use(adapter)
                loop.spawn(function()
                    em:fork():transactional(function(holder)
                        holder:persist_and_flush(holder:create(User, { name = "x" }))
                        for _, other in ipairs { em:fork(), orm.em("same file"):fork() } do
                            for i, wait in ipairs(waits_for_itself(other)) do
                                local err = raises("lock_timeout", wait)
                                assert.matches("waiting_sqlite_spec.lua:%d+", err.message, i)
                                other:clear()
                            end
                            assert.equal(round - 1, other:count(User, {}))
                        end
                    end)
                end)
                loop.run()
            end
            assert.equal(0, loop.pauses)
            assert.equal("2", db:raw():value "select count(*) from users")
        end)

        it("requires_new on the same file is lock_timeout, and the outer transaction goes on", function()
            open()
            orm.use "blocking"
            em:transactional(function(tx)
                tx:persist_and_flush(tx:create(User, { name = "outer" }))
                raises("lock_timeout", tx.transactional, tx, function(inner)
                    inner:persist(inner:create(User, { name = "inner" }))
                end, { propagation = "requires_new" })
            end)
            assert.same({ { "outer" } }, db:raw():rows "select name from users")
        end)

        it("a transaction that has sent nothing yet, or only reads, is in nobody's way", function()
            open()
            orm.use "blocking"
            local idle, reader, writer = em:fork(), em:fork(), em:fork()
            idle:begin()
            reader:begin { read_only = true }
            assert.equal(0, reader:count(User, {}))
            writer:persist_and_flush(writer:create(User, { name = "x" }))
            assert.equal(0, reader:count(User, {}))
            reader:commit()
            idle:commit()
            assert.equal("1", db:raw():value "select count(*) from users")
        end)

        it(":memory: is one connection: a second one during a transaction is unsupported at once", function()
            orm.close()
            instance = orm.init { driver = "sqlite", database = ":memory:", entities = { User },
                allow_global_context = true }
            instance.schema:create()
            em = instance.em
            for _, adapter in ipairs { "blocking", loop.wait } do
                orm.use(adapter)
                loop.spawn(function()
                    em:fork():transactional(function(holder)
                        holder:persist_and_flush(holder:create(User, { name = "x" }))
                        local other = em:fork()
                        raises("unsupported", other.find, other, User, {})
                        raises("unsupported", other.execute, other, "select 1")
                        raises("unsupported", holder.transactional, holder, function(tx) tx:execute "select 1" end,
                            { propagation = "requires_new" })
                    end)
                end)
                loop.run()
            end
            loop.spawn(function()
                em:fork():transactional(function(holder)
                    holder:persist_and_flush(holder:create(User, { name = "x" }))
                    loop.yield()
                    loop.yield()
                end)
            end)
            local seen
            loop.spawn(function() seen = em:fork():count(User, {}) end) -- another coroutine waits for its turn
            loop.run()
            assert.equal(3, seen)
        end)
    end)
end)
