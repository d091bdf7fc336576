-- F4: connections that are lost: idle, in use, in a transaction, at COMMIT.

local databases = require "spec.support.databases"
local orm = require "heddle"
local relay = require "spec.support.relay"
local unit = require "spec.support.unit"

local Item = orm.entity { name = "Item", table = "items",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "rank", type = "integer", default_sql = "7" },
}

databases.on("postgres", function(db)
    describe("a lost connection", function()
        local r, work, em, raw

        setup(function() r = relay.start() end)
        teardown(function() r:stop() end)

        before_each(function()
            r:reset()
            r:latency(1)
            work = unit.open(db, { Item }, { host = r.host, port = r.port })
            em, raw = work.em, work.raw
            em:persist_and_flush(Item { name = "a" })
            work:forget()
        end)
        after_each(function()
            work:close()
            db:close()
        end)

        local function names()
            local list = {}
            for i, row in ipairs(raw:rows "select name from items order by id") do list[i] = row[1] end
            return table.concat(list, " ")
        end

        describe("that was idle", function()
            it("F4: is replaced without an error, for reading and for writing", function()
                for _ = 1, 3 do
                    relay.kill_others(raw)
                    assert.equal(1, em:count(Item, { name = "a" }))
                    relay.kill_others(raw)
                    em:persist_and_flush(Item { name = "b" })
                    relay.kill_others(raw)
                    em:transactional(function(tx) tx:persist(Item { name = "c" }, Item { name = "d" }) end)
                end
                assert.equal("10", raw:value "select count(*) from items")
                assert.equal(1, work.instance:pool_stats().size)
            end)

            it("F4: is replaced when the relay closed it", function()
                r:drop()
                raw:rows "select pg_sleep(0.02)"
                em:persist_and_flush(Item { name = "b" })
                assert.equal("a b", names())
            end)
        end)

        describe("in the middle of a statement", function()
            it("F4: is a connection error on that call, and the next call works", function()
                for _, kind in ipairs { "before", "after", "swallow" } do
                    r:close_at(1, kind)
                    local err = unit.raises("connection", em.find, em, Item, {})
                    assert.is_nil(err.outcome)
                    assert.equal(1, em:count(Item, {}))
                end
                r:close_at(1, "swallow")
                unit.raises("connection", em.execute, em, "select 1")
                assert.equal(1, em:execute "select 1 as one"[1].one)
                assert.same({ 1, 0, 1 }, { work.instance:pool_stats().size, work.instance:pool_stats().in_use,
                    work.instance:pool_stats().idle })
            end)

            it("F4: a server that cannot be reached is a connection error, pending work stays", function()
                r:drop()
                r:refuse(true)
                raw:rows "select pg_sleep(0.02)"
                local b = Item { name = "b" }
                em:persist(b)
                local err = unit.raises("connection", em.flush, em)
                assert.is_nil(err.outcome)
                assert.is_nil(b.id)
                assert.is_false(work.instance:check_connection())
                r:refuse(false)
                em:flush()
                assert.equal("a b", names())
                assert.equal(7, b.rank)
            end)
        end)

        describe("in a transaction", function()
            it("F4: ends it, and everything says so until it is rolled back", function()
                em:begin()
                local b = Item { name = "b" }
                em:persist(b):flush()
                relay.kill_others(raw)
                unit.raises("connection", em.count, em, Item, {})
                for _ = 1, 2 do
                    local err = unit.raises("connection", em.count, em, Item, {})
                    assert.is_truthy(err.message:find("transaction", 1, true))
                    b.name = "c"
                    unit.raises("connection", em.flush, em)
                    unit.raises("connection", em.execute, em, "insert into items (name) values ('x')")
                    b.name = "b"
                end
                assert.is_true(em:in_transaction())
                em:rollback()
                assert.is_false(em:in_transaction())
                assert.is_nil(b.id)
                assert.is_false(em:contains(b))
                assert.equal("a", names())
                em:persist_and_flush(b)
                assert.equal("a b", names())
            end)

            it("F4: commit of one that is over raises, and nothing is written", function()
                em:begin()
                em:persist(Item { name = "b" }):flush()
                relay.kill_others(raw)
                unit.raises("connection", em.count, em, Item, {})
                local err = unit.raises("connection", em.commit, em)
                assert.is_nil(err.outcome)
                assert.is_false(em:in_transaction())
                assert.equal("a", names())
                em:persist_and_flush(Item { name = "c" })
                assert.equal("a c", names())
            end)

            it("F4: transactional rolls back and raises, savepoints and all", function()
                local inner
                unit.raises("connection", em.transactional, em, function(tx)
                    tx:persist(Item { name = "b" }):flush()
                    tx:transactional(function()
                        inner = Item { name = "c" }
                        tx:persist(inner):flush()
                        relay.kill_others(raw)
                        tx:count(Item, {})
                    end)
                end)
                assert.is_nil(inner.id)
                assert.is_false(em:in_transaction())
                em:transactional(function(tx) tx:persist(inner) end)
                assert.equal("a c", names())
            end)

            it("F4: nothing after the loss runs outside of it, if the loss was caught", function()
                pcall(em.transactional, em, function(tx)
                    tx:persist(Item { name = "b" }):flush()
                    r:close_at(1, "after")
                    pcall(tx.count, tx, Item, {})
                    pcall(tx.execute, tx, "insert into items (name) values ('loose')")
                    tx:persist(Item { name = "loose" })
                    pcall(tx.flush, tx)
                end)
                assert.equal("a", names())
            end)

            it("F4: one that met a full pool has not begun", function()
                local only = orm.init { context_name = "only", driver = "postgres", host = r.host, port = r.port,
                    user = work.config.user, database = work.config.database, entities = { Item },
                    pool = { max = 1, acquire_timeout = 0.05 } }
                local holder, other = orm.em("only"):fork(), orm.em("only"):fork()
                holder:begin()
                holder:count(Item, {})
                unit.raises("pool_timeout", other.begin, other)
                assert.is_false(other:in_transaction())
                holder:rollback()
                other:begin()
                other:execute "insert into items (name) values ('b')"
                assert.equal("a", names())
                other:rollback()
                assert.equal("a", names())
                only:close()
            end)
        end)

        describe("at COMMIT", function()
            -- em:commit() of a transaction that has written; the commit is statement 1 from here on.
            local function commit(kind)
                em:begin()
                local b = Item { name = "b" }
                em:persist(b):flush()
                r:close_at(2, kind) -- RELEASE, COMMIT
                return b, pcall(em.commit, em)
            end

            it("F4: that never arrived: rolled back, which is known, and the work can be done again", function()
                local b, ok, err = commit "before"
                assert.is_false(ok)
                assert.is_true(orm.is_error(err, "connection"), tostring(err))
                assert.is_nil(err.outcome)
                assert.equal("a", names())
                assert.is_nil(b.id)
                em:persist_and_flush(b)
                assert.equal("a b", names())
            end)

            it("F4: that was done and whose answer was lost: answered as committed", function()
                local b, ok, err = commit "swallow"
                assert.is_true(ok, tostring(err))
                assert.equal("a b", names())
                assert.is_number(b.id)
                assert.is_false(em:in_transaction())
                b.name = "c"
                em:flush()
                assert.equal("a c", names())
            end)

            it("F4: after which nobody can be asked: unknown, and only clear is accepted", function()
                em:begin()
                local b = Item { name = "b" }
                em:persist(b):flush()
                r:close_at(2, "swallow")
                r:refuse(true)
                local err = unit.raises("connection", em.commit, em)
                r:refuse(false)
                assert.equal("unknown", err.outcome)
                assert.equal("a b", names())
                assert.is_false(em:in_transaction())
                for _, method in ipairs { "flush", "begin", "commit", "rollback" } do
                    assert.equal("unknown", unit.raises("connection", em[method], em).outcome)
                end
                assert.equal("unknown", unit.raises("connection", em.find, em, Item, {}).outcome)
                assert.equal("unknown", unit.raises("connection", em.persist, em, Item { name = "c" }).outcome)
                assert.equal("unknown", unit.raises("connection", em.remove, em, b).outcome)
                em:clear()
                assert.equal(2, em:count(Item, {}))
                em:persist_and_flush(Item { name = "c" })
                assert.equal("a b c", names())
            end)

            it("F4: unknown is never tried again by retry", function()
                local runs = 0
                local err = unit.raises("connection", em.transactional, em, function(tx)
                    runs = runs + 1
                    tx:persist(Item { name = "b" }):flush()
                    r:close_at(2, "swallow")
                    r:refuse(true)
                end, { retry = 3 })
                r:refuse(false)
                assert.equal(1, runs)
                assert.equal("unknown", err.outcome)
                assert.equal("a b", names())
            end)

            it("F4: a statement that is its own commit has an unknown outcome, too", function()
                for _, kind in ipairs { "before", "swallow" } do
                    local state = names()
                    r:close_at(1, kind)
                    em:persist(Item { name = "b" })
                    assert.equal("unknown", unit.raises("connection", em.flush, em).outcome)
                    assert.equal(kind == "before" and state or state .. " b", names())
                    em:clear()
                end
            end)
        end)

        it("F4: the other context does not notice", function()
            local other = orm.init(db:config { context_name = "other", entities = { Item } })
            other.schema:create()
            local elsewhere = orm.em("other"):fork()
            elsewhere:persist_and_flush(Item { name = "x" })
            r:drop()
            r:refuse(true)
            raw:rows "select pg_sleep(0.02)"
            unit.raises("connection", em.count, em, Item, {})
            elsewhere:persist_and_flush(Item { name = "y" })
            assert.equal(2, elsewhere:count(Item, {}))
            other:close()
        end)
    end)
end)
