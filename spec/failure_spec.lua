-- F1 and F3: a statement of a flush fails, whichever it is. What the program sees is what it was, and once the fault is
-- mended a second flush writes everything, exactly once.

local databases = require "spec.support.databases"
local orm = require "heddle"
local relay = require "spec.support.relay"
local shop = require "spec.support.bookshop"
local unit = require "spec.support.unit"

-- A second flush of what the first one could not write.
local function mend(work, em, set)
    em:flush()
    assert.equal("after", shop.state(work.raw))
    shop.agree(set, work.raw)
    for _, item in ipairs(set) do
        assert.equal(item[1] ~= "cid" and item[1] ~= "c1", em:contains(item[2]))
    end
    work:forget()
    em:flush()
    assert.same({}, work.log)
end

databases.on("postgres", function(db)
    describe("the k-th statement fails", function()
        local r, work, raw

        setup(function()
            r = relay.start()
            work = unit.open(db, shop.entities, { host = r.host, port = r.port })
            raw = work.raw
        end)
        teardown(function()
            work:close()
            db:close()
            r:stop()
        end)

        local function fresh()
            r:reset()
            r:latency(1)
            shop.seed(raw)
            local em = work:fork()
            local set = shop.change(em)
            return em, set
        end

        -- Runs try(k) for every statement of the flush that try() does without a fault.
        local function each_statement(try)
            local n = try(0)
            assert.is_true(n >= 7, n .. " statements")
            for k = 1, n do try(k) end
        end

        -- A flush in which the k-th statement fails in one way; gives how many statements it has when none does.
        local function attempt(k, kind, around)
            local em, set = fresh()
            local before = shop.dump(set)
            r:reset()
            r:latency(1)
            if k == 0 then
                around(em)
                local n = r:statements()
                assert.equal("after", shop.state(raw))
                return n
            end
            r:fault(k, kind)
            local ok, err = pcall(around, em)
            r:disarm()
            local where = ("%s at %d: %s"):format(kind, k, tostring(err))
            if ok then
                -- COMMIT was done, its answer was lost, and Heddle found out.
                assert.is_true(kind == "swallow" or kind == "after", where)
                assert.equal("after", shop.state(raw), where)
                shop.agree(set, raw)
                return
            end
            assert.is_true(orm.is_error(err, kind == "error" and "driver" or "connection"), where)
            if err.outcome == "unknown" then
                assert.not_equal("error", kind, where)
                local state = shop.state(raw)
                assert.is_true(state == "before" or state == "after", where .. "\n" .. state)
                assert.equal("unknown", unit.raises("connection", em.flush, em).outcome)
                em:clear()
                em:flush()
                assert.equal(state, shop.state(raw))
                return
            end
            assert.equal("before", shop.state(raw), where)
            assert.same(before, shop.dump(set), where)
            mend(work, em, set)
        end

        local function plainly(em) em:flush() end

        for _, kind in ipairs { "error", "before", "after", "swallow" } do
            it("F1: " .. kind .. ": values stay, what was written is taken back, a second one writes all", function()
                each_statement(function(k) return attempt(k, kind, plainly) end)
            end)
        end

        describe("with a listener before the commit", function()
            local armed

            setup(function()
                work.instance:on("after_create", function() armed = true end)
            end)

            for _, kind in ipairs { "error", "before", "after", "swallow" } do
                it("F4: " .. kind .. ": a lost COMMIT is looked up, so that every outcome is known", function()
                    each_statement(function(k)
                        armed = false
                        return attempt(k, kind, function(em)
                            local ok, err = pcall(em.flush, em)
                            if not ok then
                                assert.is_nil(err.outcome)
                                error(err, 0)
                            end
                            assert.is_true(armed)
                        end)
                    end)
                end)
            end
        end)

        describe("in an open transaction", function()
            -- One flush is written, another one fails at its k-th statement.
            local function begin(k)
                local em, set = fresh()
                em:begin()
                em:flush()
                local fay = shop.Author { name = "Fay" }
                local gus = shop.Book { title = "Gus", author = fay }
                em:persist(gus)
                set[1][2].name = "Annie"
                set[#set + 1], set[#set + 2] = { "fay", fay }, { "gus", gus }
                local before = shop.dump(set)
                r:reset()
                r:latency(1)
                if k > 0 then r:fault(k, "error") end
                local ok, err = pcall(em.flush, em)
                local n = r:statements()
                r:disarm()
                if k > 0 then assert.is_true(not ok and orm.is_error(err, "driver"), tostring(err)) end
                return em, set, before, n
            end

            local function count()
                local em, _, _, n = begin(0)
                em:rollback()
                assert.is_true(n >= 6, n .. " statements")
                return n
            end

            it("F3: it stays usable, what it wrote before stays, the second flush writes the rest", function()
                for k = 3, count() do -- behind RELEASE and SAVEPOINT
                    local em, set, before = begin(k)
                    local ann, fay, gus = set[1][2], set[11][2], set[12][2]
                    assert.same(before, shop.dump(set))
                    assert.is_true(em:in_transaction())
                    assert.equal(0, em:count(shop.Author, { name = "Fay" }, { flush_mode = "commit" }))
                    assert.equal(1, em:count(shop.Author, { name = "Dot" }, { flush_mode = "commit" }))
                    em:flush()
                    em:commit()
                    assert.same({ { "Annie", "3", "kept Annie" }, { "Fay", "1", "made Fay" } }, raw:rows
                        "select name, version, label from authors where name in ('Annie', 'Fay') order by name")
                    assert.same({ { tostring(fay.id), tostring(gus.id) } }, raw:rows
                        "select author_id, id from books where title = 'Gus'")
                    assert.equal(3, ann.version)
                    assert.equal("5", raw:value "select count(*) from authors")
                end
            end)

            it("F3: where its savepoint itself fails, it can only be rolled back, and says so", function()
                for k = 1, 2 do
                    local em, set, before = begin(k)
                    assert.same(before, shop.dump(set))
                    local err = unit.raises("driver", em.count, em, shop.Author, {}, { flush_mode = "commit" })
                    assert.is_truthy(err.message:find("rolled back", 1, true))
                    em:rollback()
                    assert.equal("before", shop.state(raw))
                    assert.equal("Anna", set[1][2].name)
                    em:flush()
                    assert.equal("after", shop.state(raw))
                end
            end)
        end)

        it("F1: a deferred constraint that COMMIT finds broken", function()
            raw:exec [[create function grumble() returns trigger language plpgsql as
                $$ begin if new.name = 'Dot' then raise exception 'no Dot here' using errcode = '23514'; end if;
                return null; end $$]]
            raw:exec [[create constraint trigger grumble after insert on authors deferrable initially deferred
                for each row execute function grumble()]]
            local em, set = fresh()
            local before = shop.dump(set)
            unit.raises("check_violation", em.flush, em)
            assert.equal("before", shop.state(raw))
            assert.same(before, shop.dump(set))
            raw:exec "drop trigger grumble on authors"
            raw:exec "drop function grumble()"
            mend(work, em, set)
        end)
    end)
end)

databases.on("postgres", function(db)
    describe("the wait is broken off", function()
        local work, raw

        setup(function()
            work = unit.open(db, shop.entities)
            raw = work.raw
        end)
        teardown(function()
            orm.use "blocking"
            work:close()
            db:close()
        end)
        after_each(function() orm.use "blocking" end)

        -- An adapter that looks every millisecond and raises at its k-th wait.
        local function break_at(k)
            local waits = 0
            orm.use(function()
                waits = waits + 1
                if waits == k then error("broken off", 0) end
                raw:rows "select pg_sleep(0.001)"
                return true
            end)
        end

        -- True when the flush came to its end before the k-th wait.
        local function attempt(k, around)
            shop.seed(raw)
            local em = work:fork()
            local set = shop.change(em)
            local before = shop.dump(set)
            break_at(k)
            local ok, err = pcall(around, em)
            orm.use "blocking"
            if ok then return true end
            assert.equal("broken off", err)
            local state
            for _ = 1, 100 do -- the server may still be at work
                state = shop.state(raw)
                raw:rows "select pg_sleep(0.002)"
            end
            if pcall(em.count, em, shop.Book, {}, { flush_mode = "commit" }) then
                assert.equal("before", state)
                assert.same(before, shop.dump(set))
                mend(work, em, set)
            else
                assert.equal("unknown", unit.raises("connection", em.flush, em).outcome)
                assert.is_true(state == "before" or state == "after", state)
            end
        end

        it("F1: at every wait of a flush: taken back, or unknown, never half", function()
            local k = 1
            while not attempt(k, function(em) em:flush() end) do k = k + 1 end
            assert.is_true(k >= 3)
        end)

        it("F1: at every wait of a transaction", function()
            local k = 1
            local function around(em)
                em:transactional(function(tx) tx:flush() end)
            end
            while not attempt(k, around) do k = k + 1 end
            assert.is_true(k >= 4)
            assert.equal(0, work.instance:pool_stats().in_use)
        end)
    end)
end)
