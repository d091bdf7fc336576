-- Streams under a scheduler: steps that wait, coroutines that are given up, and what is busy meanwhile.

local databases = require "spec.support.databases"
local loop = require "spec.support.loop"
local orm = require "heddle"
local streams = require "spec.support.streams"
local unit = require "spec.support.unit"

local pcall = require("heddle.compat").pcall -- 5.1's own cannot be yielded across

local op, raises = orm.op, unit.raises
local Item, CHUNK = streams.Item, streams.CHUNK
local BY_ID = { order_by = { "id" } }

describe("streams under a scheduler:", function()
    after_each(function()
        orm.use "blocking"
        loop.reset()
        orm.close()
    end)

    streams.each(function(place)
        local work, em

        local function open(overrides, count)
            work = place:open(overrides)
            em = work.em
            streams.fill(em, count or 600)
            loop.reset()
            orm.use(loop.wait)
        end

        after_each(function() place.db:close() end)

        local function in_use() return work.instance:pool_stats().in_use end

        -- Reads to the end, giving way at each tenth row.
        local function read(rows)
            local count, item = 0, rows()
            while item do
                count = count + 1
                assert.equal(count, item.id)
                if count % 10 == 0 then loop.yield() end
                item = rows()
            end
            return count
        end

        it("Q6: two coroutines stream at once, each over a fork", function()
            open()
            local done, order, begun = {}, {}, 0
            for i = 1, 2 do
                loop.spawn(function()
                    local fork = em:fork()
                    local count = 0
                    for item in fork:stream(Item, {}, { order_by = { "id" }, populate = { "box" } }) do
                        count = count + #item.box.label - 2
                        order[#order + 1] = i
                        if item.id == 1 then begun = begun + 1 end
                        while begun < 2 do loop.yield() end
                        if item.id % 10 == 0 then loop.yield() end
                    end
                    done[i] = count
                end)
            end
            loop.run()
            assert.same({ 600, 600 }, done)
            local changes = 0
            for i = 2, #order do changes = changes + (order[i] ~= order[i - 1] and 1 or 0) end
            assert.is_true(changes > 2)
            assert.equal(0, in_use())
        end)

        it("Q6: the body may use the entity manager, and others may between two steps", function()
            open()
            local done, turn
            loop.spawn(function()
                for item in em:stream(Item, {}, BY_ID) do
                    if item.id % 100 == 0 then
                        em:transactional(function(tx)
                            tx:find_one(Item, item.id).name = "body"
                            tx:flush()
                            assert.equal(600, tx:count(Item, {}))
                        end)
                        turn = "other"
                        while turn == "other" do loop.yield() end
                    end
                end
                done = true
            end)
            loop.spawn(function()
                while not done do
                    if turn == "other" then
                        assert.equal(600, em:count(Item, {}))
                        turn = "stream"
                    end
                    loop.yield()
                end
            end)
            loop.run()
            orm.use "blocking"
            assert.equal(6, em:count(Item, { name = "body" }))
            assert.equal(0, in_use())
        end)

        it("Q6: a coroutine that is forgotten between two rows frees what it had", function()
            open()
            local function start(body)
                local co = loop.spawn(body)
                loop.drop(co)
            end
            start(function() read(em:stream(Item, {}, BY_ID)) end)
            start(function() read(em:fork():stream(Item, {}, { order_by = { "id" }, managed = true })) end)
            start(function()
                em:fork():transactional(function(tx) read(tx:stream(Item, {}, BY_ID)) end)
            end)
            streams.collect_garbage()
            assert.equal(0, in_use())
            loop.spawn(function() assert.equal(600, read(em:stream(Item, {}, BY_ID))) end)
            loop.run()
        end)

        it("orm.wrap: a generator streams through its consumer's waits", function()
            open()
            local function items()
                return orm.wrap(function()
                    for item in orm.em():stream(Item, {}, BY_ID) do coroutine.yield(item) end
                end)
            end
            local counts = {}
            for i = 1, 2 do
                loop.spawn(function()
                    orm.request_context(function()
                        local count = 0
                        for item in items() do
                            count = count + 1
                            assert.equal(count, item.id)
                        end
                        counts[i] = count
                    end)
                end)
            end
            loop.run()
            assert.same({ 600, 600 }, counts)
            assert.equal(0, in_use())
        end)

        it("a stream waits for a connection as everything else does", function()
            open { pool = { max = 1 } }
            local order = {}
            loop.spawn(function()
                em:fork():transactional(function(tx)
                    tx:execute "update items set rank = 1 where id = 1"
                    for _ = 1, 5 do loop.yield() end
                    order[#order + 1] = "transaction"
                end)
            end)
            loop.spawn(function()
                local rows = em:fork():stream(Item, {}, BY_ID)
                assert.equal(1, rows().rank)
                while rows() do loop.yield() end
                order[#order + 1] = "stream"
            end)
            loop.run()
            assert.same({ "transaction", "stream" }, order)
            assert.equal(0, in_use())
        end)

        it("Q6: a scope that ends takes the streams along that its coroutines left", function()
            open()
            local rows
            loop.spawn(function()
                orm.request_context(function()
                    local co = loop.spawn(orm.bind(function()
                        rows = orm.em():stream(Item, {}, BY_ID)
                        rows()
                    end))
                    while coroutine.status(co) ~= "dead" do loop.yield() end
                    assert.equal(place.is_memory and 0 or 1, in_use())
                end)
                assert.equal(0, in_use())
                raises("closed", rows)
            end)
            loop.run()
        end)
    end)

    -- Steps that wait for the server ----------------------------------------------------------------------

    databases.on("postgres", function(db)
        local work, em, raw
        -- From row 257 on each chunk takes its time.
        local slow = op.raw("case when id % 256 = 1 and id > 1 then pg_sleep(0.05) is not null else true end")

        before_each(function()
            work = unit.open(db, streams.entities, { pool = { max = 4 } })
            em, raw = work.em, work.raw
            streams.fill(em, 600)
            loop.reset()
            orm.use(loop.wait)
        end)
        after_each(function() db:close() end)

        local function in_use() return work.instance:pool_stats().in_use end

        -- What runs, or rests in a transaction.
        local function is_quiet()
            local sql = [[select count(*) from pg_stat_activity where datname = current_database()
                and pid <> pg_backend_pid() and state <> 'idle']]
            for _ = 1, 1000 do
                if raw:value(sql) == "0" then return true end
                raw:rows "select pg_sleep(0.002)"
            end
        end

        -- Steps that may wait on every interpreter: Lua 5.1 cannot yield out of a generic for.
        local function count_rows(rows)
            local count = 0
            while rows() do count = count + 1 end
            return count
        end

        -- A coroutine that waits for the second chunk of a stream; `body` is given a function that reads one, and one
        -- that says that the first chunk is read. `go_on` lets others run.
        local function waiting(body, go_on)
            local is_there = false
            local function mark() is_there = true end
            local co = loop.spawn(body, function(rows)
                for i = 1, CHUNK do assert.equal(i, rows().id) end
                mark()
                return count_rows(rows)
            end, mark)
            while not is_there do (go_on or loop.step)() end
            return co -- which went on to its next wait
        end

        it("Q6: streams wait beside each other", function()
            local done = 0
            for _ = 1, 4 do
                loop.spawn(function()
                    assert.equal(600, count_rows((em:fork():stream(Item, slow, BY_ID))))
                    done = done + 1
                end)
            end
            loop.run()
            assert.same({ 4, 4, 0 }, { done, loop.most, in_use() })
        end)

        it("busy: another coroutine uses the entity manager, or the stream, while it waits for rows", function()
            local rows, seen = em:stream(Item, slow, BY_ID), nil
            waiting(function(read_on) assert.equal(600 - CHUNK, read_on(rows)) end)
            loop.spawn(function()
                raises("busy", em.count, em, Item, {})
                raises("busy", em.flush, em)
                raises("busy", rows)
                local err = raises("busy", rows.close, rows)
                assert.matches("Item", err.message)
                seen = true
            end)
            loop.run()
            assert.is_true(seen)
            assert.equal(0, in_use())
        end)

        for name, inside in pairs { ["outside of a transaction"] = false, ["inside one"] = true } do
            it("Q6: a coroutine that is forgotten while it waits, " .. name .. ", frees all", function()
                loop.drop(waiting(function(read_on)
                    local function stream(tx) read_on((tx:stream(Item, slow, BY_ID))) end
                    if inside then em:transactional(stream) else stream(em) end
                end))
                streams.collect_garbage()
                assert.is_true(is_quiet())
                loop.spawn(function()
                    if inside then em:rollback() end
                    assert.equal(600, em:count(Item, {}))
                    assert.equal(600, count_rows((em:stream(Item, {}))))
                end)
                loop.run()
                assert.equal(0, in_use())
            end)
        end

        it("Q6: a stream whose coroutine was forgotten while it waited is over for everybody else", function()
            local rows = em:stream(Item, slow, BY_ID)
            loop.drop(waiting(function(read_on) read_on(rows) end))
            streams.collect_garbage()
            loop.spawn(function()
                raises("closed", rows)
                raises("closed", rows)
                assert.equal(0, in_use())
                assert.equal(600, em:count(Item, {}))
            end)
            loop.run()
            assert.is_true(is_quiet())
        end)

        it("Q6: an error of the adapter's ends the stream and leaves nothing running", function()
            loop.spawn(function()
                local rows = em:stream(Item, slow, BY_ID)
                for i = 1, CHUNK do assert.equal(i, rows().id) end
                orm.use(function() error("the scheduler has had enough", 0) end)
                local ok, err = pcall(rows)
                orm.use(loop.wait)
                assert.same({ false, "the scheduler has had enough" }, { ok, err })
                raises("closed", rows)
                assert.equal(0, in_use())
                assert.equal(600, em:count(Item, {}))
            end)
            loop.run()
            assert.is_true(is_quiet())
        end)

        it("Q6: a loop that is left waits for its transaction to end, and gives the connection back", function()
            loop.spawn(function()
                local rows = em:stream(Item, {}, BY_ID)
                for i = 1, 300 do assert.equal(i, rows().id) end
                rows:close()
                assert.same({ 0, 0 }, { in_use(), work.instance:pool_stats().closed })
            end)
            loop.run()
            assert.is_true(is_quiet())
        end)

        if coroutine.close then
            it("Q6: the closing value of a for loop may wait, and coroutine.close frees what waits", function()
                loop.spawn(function()
                    for item in em:stream(Item, {}, BY_ID) do
                        if item.id == 300 then break end
                    end
                    assert.same({ 0, 0 }, { in_use(), work.instance:pool_stats().closed })
                end)
                loop.run()
                for _, inside in ipairs { false, true } do
                    local fork = em:fork()
                    local co = waiting(function(_, mark)
                        local function stream(tx)
                            for row in tx:stream(Item, slow, BY_ID) do
                                if row.id == CHUNK then mark() end
                            end
                        end
                        if inside then fork:transactional(stream) else stream(fork) end
                    end)
                    loop.drop(co)
                    assert.is_true(coroutine.close(co))
                    if inside then fork:drop() end
                    assert.equal(0, in_use())
                    assert.is_true(is_quiet())
                end
            end)
        end

        it("Q6: what a scope's end meets while a stream still waits is ended", function()
            local failed
            loop.spawn(function()
                orm.request_context(function()
                    local fork = orm.em()
                    local co = waiting(orm.bind(function(read_on)
                        failed = not pcall(read_on, (fork:stream(Item, slow, BY_ID)))
                    end), loop.yield)
                    assert.equal("suspended", coroutine.status(co))
                end)
                assert.equal(1, in_use()) -- it still waits, and gives back what it has when it goes on
            end)
            loop.run()
            assert.is_true(failed)
            assert.equal(0, in_use())
            assert.is_true(is_quiet())
        end)

        it("Q6: a generic for waits, but for Lua 5.1, where it blocks and says so once", function()
            local count, heard, real = 0, {}, io.stderr
            local rigid = require("heddle.compat").is_51 and not rawget(_G, "jit")
            io.stderr = { write = function(_, ...) -- luacheck: ignore
                for i = 1, select("#", ...) do heard[#heard + 1] = (select(i, ...)) end
            end }
            local co = loop.spawn(function()
                for row in em:stream(Item, slow, BY_ID) do
                    count = count + 1
                    assert.equal(count, row.id)
                end
            end)
            local ok = pcall(loop.run)
            io.stderr = real -- luacheck: ignore
            assert.is_true(ok and coroutine.status(co) == "dead")
            assert.equal(600, count)
            assert.equal(0, in_use())
            if rigid then
                assert.is_true(loop.most == 0)
            else
                assert.same({ 1, "" }, { loop.most, table.concat(heard) })
            end
        end)
    end)

    -- Steps that wait for a lock --------------------------------------------------------------------------

    databases.on("sqlite", function(db)
        it("Q6: a stream of a file waits until nobody writes, where a writer keeps readers out", function()
            local work = unit.open(db, streams.entities, { pragmas = { journal_mode = "delete" } })
            streams.fill(work.em, 600)
            loop.reset()
            orm.use(loop.wait)
            work.raw:exec "begin exclusive"
            local count = 0
            local co = loop.spawn(function()
                local rows = work.em:stream(Item, {}, BY_ID)
                while rows() do count = count + 1 end
            end)
            for _ = 1, 3 do loop.step() end
            assert.same({ 0, true }, { count, loop.waits(co) })
            work.raw:exec "rollback"
            loop.run()
            assert.equal(600, count)
            assert.is_true(loop.pauses > 0)
            assert.equal(0, work.instance:pool_stats().in_use)
            db:close()
        end)
    end)
end)
