-- Locks: em:lock and the option `lock` of queries, beside a connection that holds locks of its own.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"
local unit = require "spec.support.unit"

local raises = expect.raises

local Owner = orm.entity { name = "Owner", table = "owners",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
}
local Account = orm.entity { name = "Account", table = "accounts",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "balance", type = "integer", default = 0 },
    { "note", type = "text", nullable = true, lazy = true },
    { "owner", many_to_one = Owner, nullable = true },
    { "version", type = "integer", version = true },
}

databases.each(function(db)
    describe("locks", function()
        local work, em, raw, a, b

        before_each(function()
            local options = db.name == "sqlite" and { busy_timeout = 0.3 } or nil
            work = unit.open(db, { Account, Owner }, { options = options })
            em, raw = work.em, work.raw
            em:insert(Owner, { name = "Ann" })
            em:insert_many(Account, { { name = "a", owner = 1 }, { name = "b", note = "long" } })
            a, b = em:find_one(Account, 1), em:find_one(Account, 2)
            work:forget()
        end)

        local holding
        local function hold(sql)
            if db.name == "sqlite" then raw:exec "begin immediate" else raw:exec "begin" end
            raw:rows(sql or "select 1")
            holding = true
        end
        local function let_go()
            if holding then raw:exec "commit" end
            holding = false
        end

        after_each(function()
            let_go()
            work:close()
            db:close()
        end)

        local hold_a = "select * from accounts where id = 1" .. (db.name == "sqlite" and "" or " for update")

        local function timed(fn)
            local started = os.time()
            fn()
            return os.time() - started
        end

        describe("optimistic", function()
            it("F2: compares the version that is loaded with the one given, in whatever form", function()
                assert.equal(a, em:lock(a, "optimistic", 1))
                em:lock(a, "optimistic", "1")
                em:lock(a, "optimistic", 1.0)
                assert.same({}, work:statements())
                raises("optimistic_lock", function() em:lock(a, "optimistic", 2) end, "Account#1")
                raises("optimistic_lock", function() em:lock(a, "optimistic", "no number") end)
                a.balance = 5
                em:flush()
                raises("optimistic_lock", function() em:lock(a, "optimistic", 1) end)
                em:lock(a, "optimistic", 2)
            end)

            it("F2: without one asks the row for its version", function()
                em:lock(a, "optimistic")
                raw:exec "update accounts set version = 2, balance = 9 where id = 1"
                raises("optimistic_lock", function() em:lock(a, "optimistic") end)
                assert.equal(0, a.balance)
                raw:exec "delete from accounts where id = 2"
                raises("optimistic_lock", function() em:lock(b, "optimistic") end)
            end)

            it("reads what was never loaded", function()
                local other = em:fork()
                local reference = other:get_reference(Account, 1)
                other:lock(reference, "optimistic", 1)
                assert.equal("a", reference.name)
                assert.equal(0, #work:statements "FOR")
            end)

            it("needs a version", function()
                local owner = em:find_one(Owner, 1)
                raises("validation", function() em:lock(owner, "optimistic", 1) end, "Owner", "version")
                raises("validation", function() em:find(Owner, {}, { lock = "optimistic" }) end, "Owner", "version")
                assert.equal(2, #em:find(Account, {}, { lock = "optimistic" }))
            end)
        end)

        it("is refused for unknown modes, new rows, outside of transactions, in those that only read", function()
            raises("validation", function() em:lock(a, "exclusive") end, "pessimistic_write")
            raises("validation", function() em:find(Account, {}, { lock = "exclusive" }) end, "pessimistic_write")
            raises("not_managed", function() em:lock(em:create(Account, { name = "c" }), "pessimistic_write") end)
            local new = em:create(Account, { name = "c" })
            em:persist(new)
            raises("not_managed", function() em:lock(new, "pessimistic_write") end)
            em:clear()
            a = em:find_one(Account, 1)
            raises("transaction_required", function() em:lock(a, "pessimistic_write") end)
            raises("transaction_required", function() em:find(Account, {}, { lock = "pessimistic_read" }) end)
            raises("transaction_required", function()
                em:find_one(Account, 1, { lock = "pessimistic_write_nowait" })
            end)
            raises("validation", function()
                em:transactional(function() em:lock(a, "pessimistic_write", 1) end)
            end, "optimistic")
            raises("read_only", function()
                em:transactional(function() em:lock(a, "pessimistic_write") end, { read_only = true })
            end)
            raises("read_only", function()
                em:transactional(function()
                    em:transactional(function() em:find(Account, {}, { lock = "pessimistic_read" }) end)
                end, { read_only = true })
            end)
        end)

        it("I3: a pessimistic lock reads everything again and drops local changes", function()
            raw:exec "update accounts set version = 2, balance = 9, note = 'new' where id = 1"
            a.name, a.balance = "mine", 1
            em:transactional(function()
                assert.equal(a, em:lock(a, "pessimistic_write"))
                assert.same({ "a", 9, 2, "new" }, { a.name, a.balance, a.version, a.note })
                a.balance = a.balance + 1
            end)
            assert.equal("10", raw:value "select balance from accounts where id = 1")
        end)

        it("I3: so does a query with a lock; relations follow", function()
            local other = work.em:fork({ flush_mode = "commit" })
            local mine = other:find_one(Account, 1)
            local owner = mine.owner
            mine.balance, mine.owner = 1, nil
            raw:exec "update accounts set version = 2, balance = 9 where id = 1"
            other:transactional(function()
                local list = other:find(Account, { name = "a" }, { lock = "pessimistic_write" })
                assert.equal(mine, list[1])
                assert.same({ 9, 2 }, { mine.balance, mine.version })
                assert.equal(owner, mine.owner)
            end)
            mine.balance = 1
            other:begin()
            assert.equal(mine, other:find_one(Account, 1, { lock = "pessimistic_read" }))
            assert.equal(9, mine.balance)
            other:rollback()
            assert.equal(1, mine.balance) -- F1: as it was when the transaction began
        end)

        it("a reference is loaded, a row that is gone is not_found", function()
            raw:exec "delete from accounts where id = 2"
            raises("not_found", function() em:transactional(function() em:lock(b, "pessimistic_write") end) end,
                "Account#2")
            local other = em:fork()
            other:transactional(function()
                local reference = other:get_reference(Account, 1)
                other:lock(reference, "pessimistic_read")
                assert.equal("a", reference.name)
            end)
        end)

        it("nobody writes what is locked until the transaction ends", function()
            local function try()
                if db.name == "sqlite" then raw:rows "pragma busy_timeout = 0" end
                if db.name == "postgres" then raw:exec "set lock_timeout = '50ms'" end
                return (pcall(raw.exec, raw, "update accounts set balance = 3 where id = 1"))
            end
            em:transactional(function()
                em:lock(a, "pessimistic_write")
                assert.is_false(try())
            end)
            assert.is_true(try())
            em:transactional(function()
                em:find(Account, { id = 1 }, { lock = "pessimistic_read" })
                assert.is_false(try())
            end)
            em:transactional(function()
                em:find(Account, { id = 1 }, { lock = "pessimistic_read", managed = false })
                assert.is_false(try())
            end)
        end)

        it("nowait is lock_timeout at once, and nothing is lost", function()
            hold(hold_a)
            local account = em:find_one(Account, 1)
            account.balance = 77
            local elapsed = timed(function()
                for _, mode in ipairs { "pessimistic_read_nowait", "pessimistic_write_nowait" } do
                    raises("lock_timeout", function() em:transactional(function() em:lock(account, mode) end) end)
                    raises("lock_timeout", function()
                        em:transactional(function(tx)
                            tx:find(Account, { owner = { name = "Ann" } }, { lock = mode, flush_mode = "commit" })
                        end)
                    end)
                end
                em:begin()
                pcall(em.lock, em, account, "pessimistic_write_nowait")
                -- A statement has failed, which a server remembers.
                if db.name == "postgres" then raises("driver", function() em:commit() end) else em:rollback() end
            end)
            assert.is_true(elapsed < 4) -- one that waits does so for 5 s, or for ever
            assert.equal(77, account.balance)
            let_go()
            em:transactional(function()
                em:lock(account, "pessimistic_write_nowait")
                account.balance = 78
            end)
            assert.equal("78", raw:value "select balance from accounts where id = 1")
            assert.equal(1, work.instance:pool_stats().size)
        end)

        it("without it the lock is waited for, and then lock_timeout", function()
            hold(hold_a)
            raises("lock_timeout", function()
                em:transactional(function(tx)
                    if db.name == "postgres" then tx:execute "set local lock_timeout = '50ms'" end
                    tx:lock(a, "pessimistic_write")
                end)
            end)
        end)

        if db.name == "sqlite" then
            it("skip_locked is unsupported: there are no rows to skip", function()
                em:transactional(function()
                    raises("unsupported", function() em:lock(a, "pessimistic_write_skip_locked") end, "file")
                    raises("unsupported", function()
                        em:find(Account, {}, { lock = "pessimistic_read_skip_locked" })
                    end, "file")
                end)
            end)

            it("the lock is the transaction's own: nothing is sent but the read", function()
                em:transactional(function()
                    em:lock(a, "pessimistic_write")
                    em:lock(a, "pessimistic_read_nowait")
                end)
                assert.equal("BEGIN IMMEDIATE", work:statements()[1])
                assert.equal(4, #work:statements())
            end)
        else
            it("skip_locked leaves out what others hold", function()
                hold(hold_a)
                em:transactional(function()
                    local list = em:find(Account, {}, { lock = "pessimistic_write_skip_locked", order_by = { "id" } })
                    assert.same({ b }, list)
                    a.balance = 5
                    assert.is_nil(em:lock(a, "pessimistic_write_skip_locked"))
                    assert.equal(5, a.balance)
                    a.balance = 0
                    assert.equal(b, em:lock(b, "pessimistic_read_skip_locked"))
                end)
                let_go()
            end)

            it("two may share a lock to read, and the rows that are joined are not locked", function()
                hold "select * from accounts where id = 1 for share"
                em:transactional(function()
                    em:lock(a, "pessimistic_read_nowait")
                    em:find(Account, { owner = { name = "Ann" } }, { lock = "pessimistic_read_nowait" })
                    raw:exec "savepoint s"
                    raw:exec "set local lock_timeout = '50ms'"
                    raw:exec "update owners set name = 'Anna'"
                    assert.is_false((pcall(raw.exec, raw, "update accounts set balance = 1 where id = 1")))
                    raw:exec "rollback to s"
                end)
                raises("lock_timeout", function()
                    em:transactional(function() em:lock(a, "pessimistic_write_nowait") end)
                end)
            end)
        end
    end)
end)
