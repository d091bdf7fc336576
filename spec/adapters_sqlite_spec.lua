-- SQLite under every adapter: its lock is waited for in pauses, others go on.


local databases = require "spec.support.databases"
local orm = require "heddle"
local raises = require("spec.support.unit").raises
local schedulers = require "spec.support.schedulers"

local User = orm.entity { name = "User", table = "users", { "id", type = "integer", primary = true },
    { "name", type = "string" } }

databases.on("sqlite", function(db)
    schedulers.each(function(s)
        describe("waiting for SQLite:", function()
            local em, instance

            local function open(overrides)
                local config = { entities = { User } }
                for key, value in pairs(overrides or {}) do config[key] = value end
                orm.use "blocking"
                instance = orm.init(db:config(config))
                instance.schema:create()
                em = instance.em
                orm.use(s.kind.adapter)
                s.blocked = 0
            end

            after_each(function()
                orm.close()
                db:close()
            end)

            it("another process's lock is waited for while others go on", function()
                open()
                local raw, order = db:raw(), {}
                raw:exec "begin immediate"
                s:spawn(function()
                    local fork = em:fork()
                    fork:persist_and_flush(fork:create(User, { name = "x" }))
                    order[#order + 1] = "written"
                end)
                s:spawn(function()
                    for _ = 1, 20 do s:sleep(0.005) end
                    assert.equal(0, em:fork():count(User, {}))
                    order[#order + 1] = "unlocked"
                    raw:exec "commit"
                end)
                s:run()
                assert.same({ "unlocked", "written" }, order)
                assert.equal(0, s.blocked)
                assert.equal("1", raw:value "select count(*) from users")
            end)

            it("a lock that is not given back is lock_timeout after busy_timeout", function()
                open { options = { busy_timeout = 0.1 } }
                local raw = db:raw()
                raw:exec "begin immediate"
                s:spawn(function()
                    local fork = em:fork()
                    fork:persist(fork:create(User, { name = "x" }))
                    raises("lock_timeout", fork.flush, fork)
                end)
                s:beside(0.005)
                s:run()
                raw:exec "rollback"
                assert.is_true(s.ticks >= 5)
                assert.equal(0, s.blocked)
            end)

            it("coroutines that write wait for each other", function()
                open()
                local inside = 0
                for i = 1, 4 do
                    s:spawn(function()
                        em:fork():transactional(function(tx)
                            tx:persist_and_flush(tx:create(User, { name = i .. " x" }))
                            inside = inside + 1
                            assert.equal(1, inside)
                            s:sleep(0.005)
                            tx:persist_and_flush(tx:create(User, { name = i .. " y" }))
                            inside = inside - 1
                        end)
                    end)
                end
                s:run()
                assert.equal(0, s.blocked)
                assert.equal("8", db:raw():value "select count(*) from users")
            end)

            it("one connection is enough for many: the pool's queue, streams and transactions", function()
                open { pool = { max = 1 } }
                local seen = 0
                for i = 1, 6 do
                    s:spawn(function()
                        orm.request_context(function()
                            for n = 1, 5 do orm.em():persist(User { name = i .. "." .. n }) end
                            orm.em():flush()
                            for user in orm.em():stream(User, { name = orm.op.starts_with(i .. ".") }) do
                                assert.matches("^" .. i, user.name)
                                seen = seen + 1
                            end
                        end)
                    end)
                end
                s:run()
                assert.equal(30, seen)
                if not (_VERSION == "Lua 5.1" and not rawget(_G, "jit")) then assert.equal(0, s.blocked) end
            end)
        end)
    end)
end)
