-- Q6: how long a stream lives, what ends it, and that nothing of it is left then.

local compat = require "heddle.compat"
local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"
local relay = require "spec.support.relay"
local streams = require "spec.support.streams"
local unit = require "spec.support.unit"

local op, raises = orm.op, expect.raises
local Item, CHUNK = streams.Item, streams.CHUNK
local collect, numbers = streams.collect, streams.numbers
local BY_ID = { order_by = { "id" } }
local HAS_CLOSE = _VERSION == "Lua 5.4" -- closing values

streams.each(function(place)
    describe("a stream", function()
        local work, em

        before_each(function()
            work = place:open { pool = { max = 3 } }
            em = work.em
            streams.fill(em, 600)
            work:forget()
        end)
        after_each(function()
            work:close()
            place.db:close()
        end)

        -- Nothing of a stream is left: no connection in use, none in a transaction. A server takes its time to notice
        -- that a connection was closed.
        local function assert_free()
            assert.equal(0, work.instance:pool_stats().in_use)
            if place.is_sqlite then return end
            local open, sql = nil, [[select count(*) from pg_stat_activity
                where datname = current_database() and state like 'idle in transaction%']]
            for _ = 1, 500 do
                open = work.raw:value(sql)
                if open == "0" then return end
                work.raw:rows "select pg_sleep(0.002)"
            end
            assert.equal("0", open)
        end

        local function closed() return work.instance:pool_stats().closed end

        -- The same, and its connection went back to the pool.
        local function assert_given_back(closed_before)
            assert_free()
            assert.equal(closed_before or 0, closed())
        end

        -- Cursors of PostgreSQL that the transaction has.
        local function cursors(tx)
            if place.is_sqlite then return 0 end
            return tx:execute("select count(*) as n from pg_cursors where name like 'hd%'")[1].n
        end

        describe("that is left early", function()
            -- Ways of leaving a loop at its first row.
            local ways = {
                ["break"] = function(s)
                    for item in s() do
                        if item then break end
                    end
                end,
                ["return"] = function(s)
                    for item in s() do return item end -- luacheck: ignore 512
                end,
                ["an error"] = function(s)
                    pcall(function()
                        for item in s() do error(item) end
                    end)
                end,
            }
            local jump = not compat.is_51 and compat.load(
                "local s = ... for item in s() do if item then goto out end end ::out::", "=jump")
            if jump then ways["goto"] = jump end

            for name, leave in pairs(ways) do
                if HAS_CLOSE then
                    it("Q6: by " .. name .. " is freed at once, and its connection goes back to the pool", function()
                        leave(function() return em:stream(Item, {}) end)
                        assert_given_back()
                        em:transactional(function(tx)
                            leave(function() return tx:stream(Item, {}) end)
                            assert.equal(0, cursors(tx))
                        end)
                        assert_given_back()
                    end)
                end

                it("Q6: by " .. name .. " is freed when it is collected", function()
                    collectgarbage "stop"
                    leave(function() return (em:stream(Item, {})) end)
                    collectgarbage "restart"
                    streams.collect_garbage()
                    assert_free()
                    em:transactional(function(tx)
                        leave(function() return (tx:stream(Item, {})) end)
                        streams.collect_garbage()
                        assert.equal(0, cursors(tx))
                    end)
                    assert_free()
                    assert.equal(600, em:count(Item, {}))
                end)
            end

            it("Q6: is freed by stream:close(), more than once, and gives nothing more", function()
                local rows = em:stream(Item, {}, BY_ID)
                for item in rows do
                    if item.id == 3 then break end
                end
                rows:close()
                rows:close()
                assert_given_back()
                assert.is_nil(rows())
                local unread = em:stream(Item, {})
                unread:close()
                assert.is_nil(unread())
                em:transactional(function(tx)
                    local inner = tx:stream(Item, {})
                    inner()
                    inner:close()
                    assert.equal(0, cursors(tx))
                    assert.is_nil(inner())
                end)
                assert_given_back()
            end)

            it("Q6: closed in its own body it ends the loop", function()
                local count, rows = 0, em:stream(Item, {}, BY_ID)
                for _ in rows do
                    count = count + 1
                    if count == 5 then rows:close() end
                end
                assert.equal(5, count)
                assert_given_back()
            end)

            it("Q6: again and again needs no more than one connection", function()
                for _ = 1, 200 do
                    local rows = em:stream(Item, {})
                    rows()
                    rows:close()
                end
                assert_given_back()
                assert.is_true(work.instance:pool_stats().size <= 2)
                em:transactional(function(tx)
                    for _ = 1, 50 do
                        local rows = tx:stream(Item, {})
                        rows()
                        rows:close()
                    end
                    assert.equal(0, cursors(tx))
                end)
            end)

            it("Q6: is freed with its coroutine", function()
                local function start(tx)
                    local co = coroutine.create(function()
                        for item in tx:stream(Item, {}, BY_ID) do coroutine.yield(item.id) end
                    end)
                    for i = 1, 300 do assert.equal(i, select(2, coroutine.resume(co))) end
                    return co
                end
                start(em)
                streams.collect_garbage()
                assert_free()
                em:transactional(function(tx)
                    start(tx)
                    streams.collect_garbage()
                    assert.equal(0, cursors(tx))
                end)
                if not coroutine.close then return end
                local before, co = closed(), start(em)
                assert.is_true(coroutine.close(co))
                assert_given_back(before)
            end)

            it("Q6: is freed with its entity manager", function()
                local function start()
                    local fork = em:fork()
                    local rows = fork:stream(Item, {})
                    return rows()
                end
                start()
                streams.collect_garbage()
                assert_free()
            end)
        end)

        describe("is over", function()
            local function fails(rows, kind, ...)
                raises(kind or "closed", function() rows() end, "Item", ...)
                raises(kind or "closed", function() rows() end, "Item") -- and stays so
                assert.equal("stream<Item, over>", tostring(rows))
            end

            it("Q6: at the end of its request scope", function()
                local rows
                orm.request_context(function()
                    rows = orm.em():stream(Item, {})
                    rows()
                    assert.equal(place.is_memory and 0 or 1, work.instance:pool_stats().in_use)
                end)
                assert_given_back()
                fails(rows, "closed", "scope")
            end)

            it("Q6: when its entity manager is cleared or dropped", function()
                local rows = em:stream(Item, {})
                rows()
                em:clear()
                assert_given_back()
                fails(rows, "closed", "em:clear()", "em:detach")
                local fork = em:fork()
                rows = fork:stream(Item, {})
                rows()
                fork:drop()
                assert_given_back()
                fails(rows, "closed", "entity manager")
                if not HAS_CLOSE then return end
                rows = compat.load [[
                    local em, Item = ...
                    local fork <close> = em:fork()
                    local rows = fork:stream(Item, {})
                    rows()
                    return rows]](em, Item)
                assert_given_back()
                fails(rows)
            end)

            it("Q6: when its context is closed", function()
                local rows = em:stream(Item, {})
                rows()
                work.instance:close()
                assert.equal(0, work.instance:pool_stats().size)
                raises("closed", function() rows() end, "Context 'default' is closed")
                work = place:open()
            end)

            it("Q6: at COMMIT and at ROLLBACK, at the next step, however much of it was read", function()
                for _, count in ipairs { 10, CHUNK, 600 } do
                    for _, ending in ipairs { "commit", "rollback" } do
                        em:begin()
                        local rows = em:stream(Item, { id = op.lte(count) }, BY_ID)
                        for _ = 1, 7 do rows() end
                        em[ending](em)
                        fails(rows, "closed", "transaction")
                        assert_given_back()
                    end
                end
            end)

            it("Q6: in a loop whose body commits", function()
                local count = 0
                raises("closed", function()
                    em:transactional(function(tx)
                        for _ in tx:stream(Item, {}, BY_ID) do
                            count = count + 1
                            tx:commit()
                        end
                    end)
                end, "read it to its end inside")
                assert.equal(1, count)
                assert_given_back()
            end)

            it("Q6: when the savepoint that it was opened in is rolled back, and not before", function()
                em:transactional(function(tx)
                    local outer = tx:stream(Item, {}, BY_ID)
                    for i = 1, 300 do assert.equal(i, outer().id) end
                    local inner, released
                    tx:begin()
                    inner = tx:stream(Item, {}, BY_ID)
                    inner()
                    tx:transactional(function(nested)
                        released = nested:stream(Item, {}, BY_ID)
                        released()
                    end)
                    for i = 2, 300 do assert.equal(i, released().id) end
                    for i = 301, 590 do assert.equal(i, outer().id) end -- read on inside the savepoint
                    tx:execute "delete from items"
                    tx:rollback()
                    fails(inner)
                    fails(released)
                    for i = 591, 600 do assert.equal(i, outer().id) end
                    assert.is_nil(outer())
                    assert.equal(0, cursors(tx))
                end)
                assert_given_back()
                assert.equal(600, em:count(Item, {}))
            end)

            it("Q6: not when a savepoint in its body is rolled back", function()
                em:transactional(function(tx)
                    local count = 0
                    for item in tx:stream(Item, {}, BY_ID) do
                        count = count + 1
                        if item.id % 50 == 0 then
                            pcall(tx.transactional, tx, function(inner)
                                inner:execute("update items set id = id + 1000 where id > ?", item.id)
                                local rows = inner:stream(Item, { id = op.gt(1000) })
                                rows()
                                error "back"
                            end)
                        end
                    end
                    assert.equal(600, count)
                end)
                assert_given_back()
            end)

            it("Q6: not when a flush in its body fails", function()
                em:transactional(function(tx)
                    local count, mine = 0, tx:create(Item, { id = 1, name = "taken" })
                    tx:persist(mine)
                    for _ in tx:stream(Item, {}, { order_by = { "id" }, flush_mode = "commit" }) do
                        count = count + 1
                        if count == 200 then unit.raises("unique_violation", tx.flush, tx) end
                    end
                    assert.equal(600, count)
                    tx:remove(mine)
                end)
                assert_given_back()
            end)
        end)

        describe("outside of a transaction", function()
            it("Q6: goes on whatever transactions its body begins and ends", function()
                local count = 0
                for item in em:stream(Item, {}, BY_ID) do
                    count = count + 1
                    assert.equal(count, item.id)
                    if count == 100 then
                        em:begin()
                        em:execute "delete from items where id > 200"
                    elseif count == 300 then
                        em:rollback()
                    elseif count == 310 then
                        em:begin()
                        em:execute "update items set name = 'x', id = id + 1000"
                    elseif count == 580 then
                        em:commit()
                    end
                end
                assert.equal(600, count)
                assert.equal(600, em:count(Item, { name = "x" }))
                assert_given_back()
            end)

            it("Q6: goes on when its body alters the table", function()
                if place.db.name == "postgres" then return assert.equal(600, #collect(em:stream(Item, {}))) end
                local count = 0
                for _ in em:stream(Item, {}, { order_by = { "id" }, flush_mode = "commit" }) do
                    count = count + 1
                    if count == 10 and place.is_memory then
                        em:execute "alter table items add column more text"
                    elseif count == 300 and place.is_memory then
                        em:execute "drop table items"
                    end
                end
                assert.equal(600, count)
            end)
        end)

        it("of a statement_timeout or a timeout that strikes is over, and says so", function()
            local slow = place.is_sqlite
                and op.raw("(with recursive n(i) as (select 1 union all select i + 1 from n "
                    .. "where i < 30000 * (id > 260)) select count(*) from n) > 0")
                or op.raw("case when id > 260 then pg_sleep(0.01) is not null else true end")
            for _, inside in ipairs { false, true } do
                local function read(tx)
                    local count = 0
                    local err = unit.raises("timeout", function()
                        for _ in tx:stream(Item, slow, { order_by = { "id" }, timeout = 0.1 }) do count = count + 1 end
                    end)
                    assert.equal(CHUNK, count)
                    error(err, 0)
                end
                unit.raises("timeout", function()
                    if inside then em:transactional(read) else read(em) end
                end)
                assert_free()
                assert.equal(600, em:count(Item, {}))
            end
        end)
    end)
end)

-- One connection in memory --------------------------------------------------------------------------------

databases.on("sqlite", function(db)
    describe("a stream in memory", function()
        local work, em

        before_each(function()
            work = unit.open(db, streams.entities, { database = ":memory:" })
            em = work.em
            streams.fill(em, 600)
        end)
        after_each(function()
            work:close()
            db:close()
        end)

        it("lends its connection to any entity manager between two steps", function()
            local count = 0
            for item in em:stream(Item, {}, BY_ID) do
                count = count + 1
                local fork = em:fork()
                if item.id % 100 == 0 then
                    fork:transactional(function(tx) tx:find_one(Item, item.id).name = "theirs" end)
                    assert.equal("theirs", em:find_one(Item, item.id).name)
                end
            end
            assert.equal(600, count)
        end)

        it("does not go on over another entity manager's open transaction", function()
            local fork = em:fork()
            local rows = em:stream(Item, {}, BY_ID)
            for i = 1, CHUNK do assert.equal(i, rows().id) end
            fork:begin()
            fork:execute "update items set name = 'x'"
            raises("unsupported", function() rows() end, "in memory", "a transaction begun at")
            fork:rollback()
            assert.equal(600, #collect(em:stream(Item, {})))
        end)

        it("ends with a transaction of its own entity manager that it was opened in, and not with one begun since",
            function()
                local rows = em:stream(Item, {}, BY_ID)
                rows()
                em:begin()
                em:execute "delete from items"
                local inner = em:stream(Item, {})
                assert.is_nil(inner())
                for i = 2, 400 do assert.equal(i, rows().id) end
                em:rollback()
                for i = 401, 600 do assert.equal(i, rows().id) end
                assert.is_nil(rows())
            end)

        it("is kept from being closed by age, and does not keep the connection from being used", function()
            work:close()
            work = unit.open(db, streams.entities, { database = ":memory:", pool = { idle_timeout = 0.01,
                max_lifetime = 0.01 } })
            em = work.em
            streams.fill(em, 600)
            local rows = em:stream(Item, {}, BY_ID)
            rows()
            require("heddle.core").sleep(0.03)
            assert.equal(600, em:count(Item, {}))
            assert.equal(599, #collect(rows))
        end)
    end)
end)

-- A server ------------------------------------------------------------------------------------------------

databases.on("postgres", function(db)
    describe("a stream from a server", function()
        local r, work, em, raw

        setup(function() r = relay.start() end)
        teardown(function() r:stop() end)

        before_each(function()
            r:reset()
            work = unit.open(db, streams.entities, { host = r.host, port = r.port, pool = { max = 3 } })
            em, raw = work.em, work.raw
            streams.fill(em, 1000)
            work:forget()
        end)
        after_each(function()
            work:close()
            db:close()
        end)

        it("Q6: takes one round trip a chunk, and one to end", function()
            em:count(Item, {})
            local rows = em:stream(Item, {}, BY_ID)
            rows()
            rows:close()
            r:reset()
            assert.equal(1000, #collect(em:stream(Item, {}, BY_ID)))
            assert.equal(4 + 1, r:turns())
            em:transactional(function(tx)
                tx:count(Item, {})
                r:reset()
                assert.equal(1000, #collect(tx:stream(Item, {}, BY_ID)))
                assert.equal(4, r:turns())
                local few = tx:stream(Item, {}, { limit = 10 })
                few()
                few:close()
                assert.equal(5, r:turns())
            end)
        end)

        it("Q6, F4: whose connection dies in the middle raises `connection`; the entity manager goes on", function()
            local rows = em:stream(Item, {}, BY_ID)
            for i = 1, CHUNK do assert.equal(i, rows().id) end
            relay.kill_others(raw)
            raises("connection", function() rows() end)
            raises("closed", function() rows() end, "Item")
            assert.equal(0, work.instance:pool_stats().in_use)
            assert.equal(1000, em:count(Item, {}))
            assert.equal(1000, #collect(em:stream(Item, {})))
        end)

        it("Q6, F4: so does one in a transaction, which is over with it", function()
            em:begin()
            local rows = em:stream(Item, {}, BY_ID)
            local other = em:stream(Item, {}, BY_ID)
            for i = 1, 10 do assert.equal(i, rows().id) end
            other()
            relay.kill_others(raw)
            unit.raises("connection", em.execute, em, "select 1")
            raises("connection", function() rows() end, "connection was lost")
            raises("connection", function() other() end, "connection was lost")
            em:rollback()
            assert.equal(0, work.instance:pool_stats().in_use)
            assert.equal(1000, #collect(em:stream(Item, {})))
        end)

        it("Q6, F4: an idle connection that the server has closed is replaced before the first row", function()
            em:count(Item, {})
            relay.kill_others(raw)
            assert.equal(1000, #collect(em:stream(Item, {})))
        end)

        it("that finds the pool used up says who holds the connections", function()
            local held = {}
            for i = 1, 3 do
                held[i] = em:stream(Item, {})
                held[i]()
            end
            local err = raises("pool_timeout", function() em:count(Item, {}) end)
            assert.matches("a stream of Item begun at .*stream_lifetime_spec.lua:%d+", err.message)
            for i = 1, 3 do held[i]:close() end
            assert.equal(1000, em:count(Item, {}))
        end)

        it("whose cursor the program closed in SQL is closed", function()
            em:begin()
            local rows = em:stream(Item, {}, BY_ID)
            for _ = 1, CHUNK do rows() end
            em:execute "close all"
            raises("closed", function() rows() end)
            em:rollback()
            assert.equal(1000, #collect(em:stream(Item, {})))
        end)

        it("reads in a transaction that cannot write, and ends it before its last rows are handed out", function()
            local rows = em:stream(Item, {}, BY_ID)
            for i = 1, 1000 do
                assert.equal(i, rows().id)
                local state = raw:value [[select count(*) from pg_stat_activity where datname = current_database()
                    and state = 'idle in transaction']]
                if i % 100 == 0 then assert.equal(i > 3 * CHUNK and "0" or "1", state) end
            end
            assert.is_true(work:statements()[1]:find "READ ONLY" ~= nil)
        end)

        it("minds no search path that is set in its body", function()
            em:transactional(function(tx)
                local count = 0
                for _ in tx:stream(Item, {}, BY_ID) do
                    count = count + 1
                    if count == 100 then tx:execute "set local search_path = pg_catalog" end
                end
                assert.equal(1000, count)
            end)
        end)

        it("is read with the types of its columns after the table was altered", function()
            em:transactional(function(tx)
                assert.equal(1000, #collect(tx:stream(Item, {}, BY_ID)))
                tx:execute "alter table items alter column rank type bigint"
                tx:execute "alter table items add column more integer"
                assert.same(numbers(1, 1000), collect(tx:stream(Item, {}, BY_ID)))
            end)
        end)
    end)
end)
