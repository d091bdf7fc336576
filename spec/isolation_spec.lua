-- Transactions beside others: isolation, read-only ones, conflicts that are tried again.

local databases = require "spec.support.databases"
local orm = require "heddle"
local other = require "spec.support.elsewhere"
local unit = require "spec.support.unit"

local Item = orm.entity { name = "Item", table = "items",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "count", type = "integer", default = 0 },
}

databases.each(function(db)
    describe("a transaction beside others", function()
        local work, em, raw, a, b

        before_each(function()
            work = unit.open(db, { Item })
            em, raw = work.em, work.raw
            a, b = Item { name = "a" }, Item { name = "b" }
            em:persist(a, b):flush()
            work:forget()
        end)
        after_each(function()
            work:close()
            db:close()
        end)

        describe("read-only", function()
            it("F1: reads, and refuses to write", function()
                assert.equal(2, em:transactional(function(tx) return tx:count(Item, {}) end, { read_only = true }))
                unit.raises("read_only", em.transactional, em, function(tx)
                    tx:persist(Item { name = "c" })
                end, { read_only = true })
                unit.raises("read_only", em.transactional, em, function(tx)
                    tx:execute "delete from items"
                end, { read_only = true })
                assert.is_false(em:in_transaction())
                assert.equal("2", raw:value "select count(*) from items")
            end)

            it("F4: its connection writes again afterwards, however it ended", function()
                local function write(name) em:persist_and_flush(Item { name = name }) end
                em:transactional(function(tx) tx:count(Item, {}) end, { read_only = true })
                write "one"
                pcall(em.transactional, em, function(tx)
                    tx:count(Item, {})
                    error "x"
                end, { read_only = true })
                write "two"
                pcall(em.transactional, em, function(tx) tx:execute "nonsense" end, { read_only = true })
                write "three"
                pcall(em.transactional, em, function(tx)
                    tx:transactional(function() tx:execute "delete from items" end)
                end, { read_only = true })
                write "four"
                em:begin { read_only = true }
                em:count(Item, {})
                em:rollback()
                write "five"
                assert.equal("7", raw:value "select count(*) from items")
                assert.equal(1, work.instance:pool_stats().opened)
            end)

            it("F1: a flush that a read-only transaction refused is pending afterwards", function()
                a.count = 5
                unit.raises("read_only", em.transactional, em, function() end, { read_only = true })
                assert.equal(5, a.count)
                em:flush()
                assert.equal("5", raw:value "select count from items where name = 'a'")
            end)
        end)

        it("F1: isolation is chosen by the outermost", function()
            local inside = 0
            for _, level in ipairs { "read committed", "repeatable_read", "Serializable" } do
                em:transactional(function(tx)
                    tx:count(Item, {})
                    if db.name == "postgres" then
                        assert.equal(level:lower():gsub("_", " "), tx:execute "show transaction_isolation"[1]
                            .transaction_isolation)
                    end
                    tx:transactional(function() inside = inside + 1 end, { isolation = level })
                end, { isolation = level })
            end
            assert.equal(3, inside)
            if db.name == "postgres" then
                em:transactional(function(tx)
                    local err = unit.raises("unsupported", tx.transactional, tx, function() end,
                        { isolation = "serializable" })
                    assert.is_truthy(err.message:find("requires_new", 1, true))
                    tx:transactional(function(own) own:count(Item, {}) end,
                        { isolation = "serializable", propagation = "requires_new" })
                end)
            end
        end)

        if db.name == "postgres" then
            local function elsewhere(...) return other.run(work.config, ...) end

            local function wait_for(sql)
                for _ = 1, 200 do
                    if raw:value(sql) ~= "0" then return end
                    raw:rows "select pg_sleep(0.01)"
                end
                error("waited in vain for " .. sql)
            end

            it("F2: a serialization failure is one, and retry runs fn again on fresh entities", function()
                local runs, managers = 0, {}
                local function add(tx)
                    runs = runs + 1
                    assert.is_nil(managers[tx])
                    managers[tx] = true
                    local item = tx:find_one_or_fail(Item, { name = "a" })
                    if runs <= 2 then raw:exec "update items set count = count + 10 where name = 'a'" end
                    item.count = item.count + 1
                    return item
                end
                unit.raises("serialization_failure", em.transactional, em, add, { isolation = "repeatable read" })
                assert.equal(1, runs)
                assert.equal(0, a.count)
                assert.equal("10", raw:value "select count from items where name = 'a'")
                runs, managers = 0, {}
                local item = em:transactional(add, { isolation = "repeatable read", retry = 3 })
                assert.equal(3, runs)
                assert.equal(31, item.count)
                assert.equal("31", raw:value "select count from items where name = 'a'")
                assert.is_false(em:in_transaction())
                runs, managers = 0, {}
                unit.raises("serialization_failure", em.transactional, em, add,
                    { isolation = "repeatable read", retry = 1 })
                assert.equal(2, runs)
            end)

            it("F2: what is no conflict is not tried again", function()
                local runs = 0
                unit.raises("not_found", em.transactional, em, function(tx)
                    runs = runs + 1
                    tx:find_one_or_fail(Item, { name = "none" })
                end, { retry = 5 })
                assert.equal(1, runs)
            end)

            it("F2: a deadlock is one, and is tried again", function()
                local finish = elsewhere("begin", "update items set count = 7 where name = 'b'", 0.5,
                    "update items set count = count + 100 where name = 'a'", "commit")
                wait_for [[select count(*) from pg_locks
                    where mode = 'RowExclusiveLock' and relation = 'items'::regclass]]
                local runs = 0
                em:transactional(function(tx)
                    runs = runs + 1
                    tx:execute "set local deadlock_timeout = '900ms'"
                    local one, two = tx:find_one(Item, { name = "a" }), tx:find_one(Item, { name = "b" })
                    one.count = one.count + 1
                    tx:flush()
                    two.count = two.count + 1
                end, { retry = 2 })
                finish()
                assert.equal(2, runs)
                assert.same({ { "a", "101" }, { "b", "8" } }, raw:rows "select name, count from items order by name")
            end)

            it("F2: a lock that is not to be had in time is lock_timeout", function()
                raw:exec "begin"
                raw:exec "update items set count = 7 where name = 'b'"
                unit.raises("lock_timeout", em.transactional, em, function(tx)
                    tx:execute "set local lock_timeout = '50ms'"
                    tx:find_one(Item, { name = "b" }).count = 1
                end)
                raw:exec "commit"
                assert.equal(0, b.count)
                assert.equal("7", raw:value "select count from items where name = 'b'")
            end)
        end
    end)
end)
