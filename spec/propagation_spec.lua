-- Propagation of transactions: what each mode does inside and outside of one, when it ends well and when it fails.

local databases = require "spec.support.databases"
local orm = require "heddle"
local unit = require "spec.support.unit"

local Tag = orm.entity { name = "Tag", table = "tags",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
}
local Item = orm.entity { name = "Item", table = "items",
    { "id", type = "integer", primary = true },
    { "name", type = "string", unique = true },
    { "count", type = "integer", default = 0 },
    { "doc", type = "json", nullable = true },
    { "tags", many_to_many = Tag },
    { "version", type = "integer", version = true },
}

databases.each(function(db)
    describe("propagation", function()
        local work, em, raw, item, tag

        before_each(function()
            work = unit.open(db, { Item, Tag })
            em, raw = work.em, work.raw
            item, tag = Item { name = "a", doc = { n = 1 } }, Tag { name = "t" }
            em:persist(item, tag):flush()
            work:forget()
            if db.name == "postgres" then raw:exec "set lock_timeout = '2s'" end
        end)
        after_each(function()
            work:close()
            db:close()
        end)

        local function names()
            local list = {}
            for _, row in ipairs(raw:rows "select name, count from items order by name") do
                list[#list + 1] = row[1] .. row[2]
            end
            return table.concat(list, " ")
        end

        local joining = { "nested", "required", "mandatory", "supports" }

        for _, how in ipairs(joining) do
            describe(how .. " inside of another", function()
                it("F3: an error that is caught undoes its own work only, in memory too", function()
                    local new, other = Item { name = "outer" }, Item { name = "inner" }
                    em:transactional(function(tx)
                        assert.equal(em, tx)
                        item.count = 1
                        tx:persist(new)
                        local err = unit.raises("not_found", tx.transactional, tx, function(joined)
                            assert.equal(tx, joined)
                            assert.equal(tx, orm.em(work.instance.context_name):fork() and joined)
                            item.count, item.doc.n = 2, 2
                            item.tags:add(tag)
                            joined:persist(other):flush()
                            joined:find_one_or_fail(Item, { name = "none" })
                        end, { propagation = how })
                        assert.equal("not_found", err.kind)
                        assert.same({ 1, 1 }, { item.count, item.doc.n })
                        assert.is_false(item.tags:is_dirty())
                        assert.is_nil(other.id)
                        assert.is_true(tx:in_transaction())
                        assert.equal("a0", names())
                    end)
                    assert.equal("a1 outer0", names())
                    assert.equal("0", raw:value "select count(*) from items_tags")
                    assert.equal(2, item.version)
                end)

                it("F3: so does a failed statement, and a flush that fails at its end", function()
                    em:transactional(function(tx)
                        tx:persist(Item { name = "outer" })
                        unit.raises("syntax", tx.transactional, tx, function(joined)
                            joined:persist(Item { name = "inner" }):flush()
                            joined:execute "no statement"
                        end, { propagation = how })
                        local twin = Item { name = "a" }
                        unit.raises("unique_violation", tx.transactional, tx, function(joined)
                            joined:persist(twin)
                        end, { propagation = how })
                        assert.is_false(tx:contains(twin))
                        assert.equal(1, tx:count(Item, { name = "outer" }))
                    end)
                    assert.equal("a0 outer0", names())
                end)

                it("F1: what ended well is undone with the whole", function()
                    pcall(em.transactional, em, function(tx)
                        tx:transactional(function(joined)
                            item.count = 5
                            joined:persist(Item { name = "inner" })
                        end, { propagation = how })
                        assert.equal(5, item.count)
                        assert.equal(2, tx:count(Item, {}))
                        error "x"
                    end)
                    assert.equal("a0", names())
                    assert.same({ 0, 1 }, { item.count, item.version })
                    assert.is_false(em:in_transaction())
                end)

                it("F3: levels undo one by one", function()
                    local function level(n, fail)
                        em:transactional(function(tx)
                            tx:persist(Item { name = "l" .. n })
                            if n < 4 then pcall(level, n + 1, n == 2) end
                            item.count = item.count + n
                            if fail then error "x" end
                        end, { propagation = n > 1 and how or nil })
                    end
                    level(1)
                    assert.equal("a3 l10 l20", names())
                end)
            end)
        end

        it("required, nested and requires_new begin where none is open", function()
            for i, how in ipairs { "nested", "required", "requires_new" } do
                em:transactional(function(tx)
                    assert.equal(em, tx)
                    assert.is_true(tx:in_transaction())
                    tx:persist(Item { name = "i" .. i }):flush()
                    assert.equal(i - 1, tonumber(raw:value "select count(*) from items where name like 'i%'"))
                end, { propagation = how })
            end
            assert.equal("a0 i10 i20 i30", names())
        end)

        it("supports, not_supported and never run without one where none is open, and flush", function()
            for i, how in ipairs { "supports", "not_supported", "never" } do
                local result = em:transactional(function(tx)
                    assert.equal(em, tx)
                    assert.is_false(tx:in_transaction())
                    tx:persist(Item { name = "i" .. i }):flush()
                    assert.equal(i, tonumber(raw:value "select count(*) from items where name like 'i%'"))
                    item.count = i
                    return how
                end, { propagation = how })
                assert.equal(how, result)
                assert.equal(tostring(i), raw:value "select count from items where name = 'a'")
            end
            -- An error: what was flushed stays, what was pending is pending.
            pcall(em.transactional, em, function(tx)
                tx:persist(Item { name = "kept" }):flush()
                item.count = 9
                error "x"
            end, { propagation = "never" })
            assert.equal("a3 i10 i20 i30 kept0", names())
            em:flush()
            assert.equal("9", raw:value "select count from items where name = 'a'")
        end)

        it("mandatory outside and never inside are refused before fn runs; what is open stays so", function()
            local runs = 0
            local function run() runs = runs + 1 end
            unit.raises("transaction_required", em.transactional, em, run, { propagation = "mandatory" })
            em:begin()
            item.count = 1
            unit.raises("transaction_required", em.transactional, em, run, { propagation = "never" })
            em:commit()
            assert.equal(0, runs)
            assert.equal("a1", names())
        end)

        it("access and isolation are the outermost one's; what asks for others is unsupported", function()
            em:transactional(function(tx)
                local function ask(opts) return unit.raises("unsupported", tx.transactional, tx, error, opts) end
                assert.is_truthy(ask({ read_only = true }).message:find("requires_new", 1, true))
                ask { read_only = true, propagation = "required" }
                unit.raises("unsupported", tx.begin, tx, { read_only = true })
                tx:transactional(function() item.count = 1 end, { read_only = false })
            end)
            em:transactional(function(tx)
                unit.raises("unsupported", tx.transactional, tx, error, { read_only = false })
                tx:transactional(function() tx:count(Item, {}) end, { read_only = true })
                unit.raises("read_only", tx.transactional, tx, function() item.count = 7 end,
                    { propagation = "required" })
                assert.equal(1, item.count)
            end, { read_only = true })
            assert.equal("a1", names())
        end)

        it("read-only refuses every kind of write, and reads go on", function()
            em:begin { read_only = true }
            for _, write in ipairs {
                function() em:insert(Item, { name = "x" }) end,
                function() em:insert_many(Item, { { name = "x" }, { name = "y" } }) end,
                function() em:upsert(Item, { name = "x" }) end,
                function() em:persist_and_flush(Item { name = "x" }) end,
                function() item.count = 2 em:flush() end,
            } do
                unit.raises("read_only", write)
                assert.equal(1, em:count(Item, {}, { flush_mode = "commit" }))
            end
            em:rollback()
            assert.equal("a0", names())
            for _, write in ipairs {
                function(tx) tx:update_where(Item, { id = 1 }, { count = 3 }) end,
                function(tx) tx:delete_where(Item, { id = 1 }) end,
                function(tx) tx:execute "update items set count = 4" end,
            } do
                unit.raises("read_only", em.transactional, em, write, { read_only = true })
            end
            item.count = 5
            em:flush()
            assert.equal("a5", names())
        end)

        it("is refused inside of hooks", function()
            local err
            work.instance:on("before_update", function(_, about)
                err = select(2, pcall(about.em.transactional, about.em, function() end))
            end)
            item.count = 1
            em:flush()
            assert.is_true(orm.is_error(err, "hook"))
        end)

        if db.name == "postgres" then
            it("requires_new is committed by itself, in an identity map of its own", function()
                local audit
                pcall(em.transactional, em, function(tx)
                    item.count = 1
                    tx:flush()
                    audit = tx:transactional(function(own)
                        assert.are_not.equal(tx, own)
                        local same = own:find_one(Item, item.id)
                        assert.are_not.equal(item, same)
                        assert.equal(0, same.count)
                        unit.raises("not_managed", own.persist, own, item)
                        assert.equal(0, own:count(Item, { count = 1 }))
                        own:persist(Item { name = "audit" })
                        return own:create(Item, { name = "loose" })
                    end, { propagation = "requires_new" })
                    assert.equal("a0 audit0", names())
                    assert.is_true(tx:in_transaction())
                    error "x"
                end)
                assert.equal("a0 audit0", names())
                em:persist_and_flush(audit)
                assert.equal("a0 audit0 loose0", names())
                assert.equal(0, work.instance:pool_stats().in_use)
            end)

            it("F3: its failure is its own", function()
                em:transactional(function(tx)
                    item.count = 1
                    tx:flush()
                    unit.raises("unique_violation", tx.transactional, tx, function(own)
                        own:persist(Item { name = "b" }):flush()
                        own:persist(Item { name = "b" })
                    end, { propagation = "requires_new" })
                    assert.equal(1, tx:count(Item, {}))
                end)
                assert.equal("a1", names())
            end)

            it("not_supported runs beside it, each flush for itself", function()
                pcall(em.transactional, em, function(tx)
                    item.count = 1
                    tx:flush()
                    tx:transactional(function(own)
                        assert.is_false(own:in_transaction())
                        own:persist(Item { name = "b" }):flush()
                        assert.equal("a0 b0", names())
                        own:persist(Item { name = "c" })
                    end, { propagation = "not_supported" })
                    pcall(tx.transactional, tx, function(own)
                        own:persist(Item { name = "d" }):flush()
                        own:persist(Item { name = "lost" })
                        error "x"
                    end, { propagation = "not_supported" })
                    error "y"
                end)
                assert.equal("a0 b0 c0 d0", names())
            end)

            it("access and isolation of requires_new are its own", function()
                em:transactional(function(tx)
                    item.count = 1
                    unit.raises("read_only", tx.transactional, tx, function(own)
                        own:persist(Item { name = "x" })
                    end, { propagation = "requires_new", read_only = true })
                    tx:transactional(function(own)
                        assert.equal("serializable", own:execute "show transaction_isolation"[1].transaction_isolation)
                    end, { propagation = "requires_new", isolation = "serializable" })
                end)
                assert.equal("a1", names())
            end)

            it("a pool of one has no second connection, and says so at once", function()
                local small = unit.open(db, { Item, Tag }, { context_name = "small", pool = { max = 1 } })
                small.em:transactional(function(tx)
                    unit.raises("pool_timeout", tx.transactional, tx, function(own) own:count(Item, {}) end,
                        { propagation = "requires_new" })
                    tx:persist(Item { name = "x" })
                end)
                assert.equal("1", small.raw:value "select count(*) from items")
                orm.close "small"
            end)

            describe("retry", function()
                -- Another connection changes the row between fn's read and its write, `times` times.
                local function bump(runs, times)
                    return function(tx)
                        local own = tx:find_one_or_fail(Item, { name = "a" }, { refresh = true })
                        if #runs < times then raw:exec "update items set count = count + 10 where name = 'a'" end
                        runs[#runs + 1] = tx
                        tx:execute("update items set count = ? where id = ?", own.count + 1, own.id)
                        return own.count + 1
                    end
                end

                it("F2: runs fn again on a fresh fork, each time another, whatever the mode begins", function()
                    for i, how in ipairs { "nested", "required", "requires_new" } do
                        raw:exec "update items set count = 0"
                        local runs = {}
                        local result = em:transactional(bump(runs, 2),
                            { retry = 2, isolation = "repeatable read", propagation = how })
                        assert.equal(21, result)
                        assert.equal("a21", names())
                        assert.same({ 3, em }, { #runs, runs[1] })
                        assert.is_true(runs[2] ~= em and runs[3] ~= runs[2], "run " .. i)
                        em:clear()
                    end
                end)

                it("F2: requires_new is tried again although it is inside of another, what joins is not", function()
                    em:transactional(function(tx)
                        local runs = {}
                        assert.equal(11, tx:transactional(bump(runs, 1),
                            { retry = 1, isolation = "repeatable read", propagation = "requires_new" }))
                        assert.equal(2, #runs)
                    end)
                    local runs, inner = {}, {}
                    local result = em:transactional(function(tx)
                        runs[#runs + 1] = tx
                        return tx:transactional(bump(inner, 1), { retry = 5, propagation = "required" })
                    end, { retry = 1, isolation = "serializable" })
                    assert.equal(22, result)
                    assert.same({ 2, 2 }, { #runs, #inner })
                end)

                it("F1: the entities of the first run are as they were", function()
                    local runs = {}
                    local new = Item { name = "new" }
                    item.doc.n = 5
                    em:transactional(function(tx)
                        local own = tx:find_one_or_fail(Item, item.id)
                        tx:count(Tag, {})
                        if #runs == 0 then raw:exec "update items set count = count + 10 where name = 'a'" end
                        runs[#runs + 1] = tx
                        if tx == em then tx:persist(new) end
                        own.count = 99
                    end, { retry = 1, isolation = "repeatable read", propagation = "required" })
                    assert.equal(2, #runs)
                    assert.equal("a99", names())
                    assert.same({ 0, 5, 1 }, { item.count, item.doc.n, item.version })
                    assert.is_nil(new.id)
                    assert.equal(0, work.instance:pool_stats().in_use)
                end)

                it("F2: what does not begin a transaction does not get one by being tried again", function()
                    local runs = {}
                    em:transactional(function(tx)
                        runs[#runs + 1] = tx
                        assert.is_false(tx:in_transaction())
                        tx:transactional(bump(runs, 2), { isolation = "repeatable read" })
                    end, { retry = 2, propagation = "supports" })
                    assert.equal("a11", names())
                    assert.equal(4, #runs)
                end)

                it("F2: the context's retry holds where none is given", function()
                    local other = unit.open(db, { Item, Tag }, { context_name = "other", retry = 2 })
                    other.em:persist_and_flush(Item { name = "a" })
                    local runs = 0
                    other.em:transactional(function(tx)
                        runs = runs + 1
                        local own = tx:find_one_or_fail(Item, { name = "a" })
                        if runs == 1 then other.raw:exec "update items set count = 10" end
                        tx:execute("update items set count = ? where id = ?", own.count + 1, own.id)
                    end, { isolation = "serializable" })
                    assert.equal(2, runs)
                    assert.equal("11", other.raw:value "select count from items")
                    orm.close "other"
                end)
            end)
        else
            it("requires_new and not_supported write beside a transaction that has not written yet", function()
                em:transactional(function(tx)
                    tx:transactional(function(own) own:persist(Item { name = "b" }) end,
                        { propagation = "requires_new" })
                    tx:transactional(function(own) own:persist(Item { name = "c" }) end,
                        { propagation = "not_supported" })
                    item.count = 1
                end)
                assert.equal("a1 b0 c0", names())
            end)
        end
    end)
end)
