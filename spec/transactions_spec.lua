-- Transactions as a program drives them: handles, transactional and its options, what is sent when.

local databases = require "spec.support.databases"
local orm = require "heddle"
local unit = require "spec.support.unit"

local Item = orm.entity { name = "Item", table = "items",
    { "id", type = "integer", primary = true },
    { "name", type = "string", unique = true },
    { "count", type = "integer", default = 0 },
}

local function pack(...) return { n = select("#", ...), ... } end

databases.each(function(db)
    describe("a transaction", function()
        local work, em, raw

        before_each(function()
            work = unit.open(db, { Item }, { options = db.name == "sqlite" and { busy_timeout = 2 } or nil })
            em, raw = work.em, work.raw
            em:persist_and_flush(Item { name = "a" })
            work:forget()
        end)
        after_each(function()
            work:close()
            db:close()
        end)

        local function names() return raw:value "select count(*) from items" end

        describe("by hand", function()
            it("F1: begin, flush, commit; nobody else sees it before", function()
                assert.is_false(em:in_transaction())
                em:begin()
                assert.is_true(em:in_transaction())
                em:persist(Item { name = "b" }):flush()
                assert.equal("1", names())
                assert.equal(2, em:count(Item, {}))
                em:commit()
                assert.is_false(em:in_transaction())
                assert.equal("2", names())
            end)

            it("F1: commit flushes what is pending", function()
                em:begin()
                em:persist(Item { name = "b" })
                em:commit()
                assert.equal("2", names())
            end)

            it("F3: a commit whose flush fails leaves the transaction open", function()
                em:begin()
                em:persist(Item { name = "b" }):flush()
                local twin = Item { name = "a" }
                em:persist(twin)
                unit.raises("unique_violation", em.commit, em)
                assert.is_true(em:in_transaction())
                twin.name = "c"
                em:commit()
                assert.equal("3", names())
            end)

            it("F1: without a transaction commit and rollback say so", function()
                unit.raises("transaction_required", em.commit, em)
                unit.raises("transaction_required", em.rollback, em)
            end)

            it("F3: begin inside is a savepoint; commit and rollback end the innermost", function()
                em:begin()
                em:persist(Item { name = "b" })
                em:begin()
                em:persist(Item { name = "c" }):flush()
                em:rollback()
                em:begin()
                em:persist(Item { name = "d" })
                em:commit()
                assert.is_true(em:in_transaction())
                assert.equal("1", names())
                em:commit()
                assert.same({ { "a" }, { "b" }, { "d" } }, raw:rows "select name from items order by name")
            end)

            it("F1: the handle commits and rolls back; what is over is over", function()
                local handle = em:begin()
                em:persist(Item { name = "b" })
                handle:commit()
                assert.equal("2", names())
                handle:rollback()
                assert.is_false(em:in_transaction())
                handle = em:begin()
                em:execute "delete from items"
                handle:rollback()
                assert.equal("2", names())
            end)

            it("F3: a handle ends its own transaction, with what was left open inside it", function()
                local outer = em:begin()
                em:persist(Item { name = "b" }):flush()
                em:begin()
                em:persist(Item { name = "c" }):flush()
                outer:rollback()
                assert.is_false(em:in_transaction())
                assert.equal("1", names())
                outer = em:begin()
                local inner = em:begin()
                unit.raises("transaction_required", outer.commit, outer)
                inner:commit()
                unit.raises("transaction_required", inner.commit, inner)
                outer:commit()
                assert.is_false(em:in_transaction())
            end)

            local run_closing = (loadstring or load) [[
                local em, Item, fail = ...
                do
                    local tx <close> = em:begin()
                    em:persist(Item { name = "b" }):flush()
                    if fail then error("out", 0) end
                    if fail == nil then tx:commit() end
                end]]

            if run_closing then
                it("F1: a <close> variable rolls back unless it was committed", function()
                    run_closing(em, Item)
                    assert.equal("2", names())
                    em:remove(em:find_one(Item, { name = "b" })):flush()
                    run_closing(em, Item, false)
                    assert.is_false(em:in_transaction())
                    assert.equal("1", names())
                    assert.is_false(pcall(run_closing, em, Item, true))
                    assert.is_false(em:in_transaction())
                    assert.equal("1", names())
                end)
            end
        end)

        describe("by transactional", function()
            it("F1: gives back all that fn gives, flushes and commits", function()
                local got = pack(em:transactional(function(tx)
                    assert.equal(em, tx)
                    tx:persist(Item { name = "b" })
                    return 1, nil, "x", nil
                end))
                assert.same({ n = 4, 1, nil, "x", nil }, got)
                assert.equal("2", names())
            end)

            it("F1: an error rolls back and is raised again, the very same", function()
                local oops = setmetatable({}, { __tostring = function() return "oops" end })
                local ok, err = pcall(em.transactional, em, function(tx)
                    tx:persist(Item { name = "b" }):flush()
                    error(oops)
                end)
                assert.is_false(ok)
                assert.equal(oops, err)
                assert.equal("1", names())
                assert.is_false(em:in_transaction())
                ok, err = pcall(em.transactional, em, function() error(nil) end)
                assert.is_false(ok)
                assert.is_nil(err)
            end)

            it("F1: a flush that fails at its end rolls back", function()
                local twin
                local err = unit.raises("unique_violation", em.transactional, em, function(tx)
                    tx:persist(Item { name = "b" }):flush()
                    twin = Item { name = "a" }
                    tx:persist(twin)
                end)
                assert.equal("name", err.property)
                assert.equal("1", names())
                assert.is_false(em:contains(twin))
                assert.is_nil(twin.id)
            end)

            if db.name == "postgres" then
                it("F3: a failed statement that fn passed over fails it, and it alone", function()
                    em:transactional(function(tx)
                        tx:persist(Item { name = "outer" }):flush()
                        unit.raises("driver", tx.transactional, tx, function()
                            tx:persist(Item { name = "inner" }):flush()
                            assert.is_false(pcall(tx.execute, tx, "nonsense"))
                        end)
                        assert.equal(2, tx:count(Item, {}))
                    end)
                    assert.equal("2", names())
                    unit.raises("driver", em.transactional, em, function(tx)
                        tx:persist(Item { name = "b" }):flush()
                        assert.is_false(pcall(tx.execute, tx, "nonsense"))
                    end)
                    assert.equal("2", names())
                end)
            end

            it("F3: what fn left open is an error, and everything is rolled back", function()
                unit.raises("transaction_required", em.transactional, em, function(tx)
                    tx:begin()
                    tx:persist(Item { name = "b" })
                end)
                assert.is_false(em:in_transaction())
                assert.equal("1", names())
                unit.raises("transaction_required", em.transactional, em, function(tx) tx:commit() end)
                assert.is_false(em:in_transaction())
            end)

            it("C2: while fn runs, the context's handle and repositories act on its entity manager", function()
                local handle, repository = orm.em(), orm.repository(Item)
                em:transactional(function(tx)
                    tx:persist(Item { name = "b" }):flush()
                    assert.equal(2, handle:count(Item, {}))
                    assert.equal(2, repository:count {})
                    assert.is_true(handle:in_transaction())
                end)
                assert.is_false(handle:in_transaction())
            end)

            it("F1: wrong options are refused before anything begins", function()
                local function noop() end
                unit.raises("unknown_property", em.transactional, em, noop, { isolaton = "serializable" })
                unit.raises("validation", em.transactional, em, noop, { isolation = "chaos" })
                unit.raises("validation", em.transactional, em, noop, { propagation = "sometimes" })
                unit.raises("validation", em.transactional, em, noop, { retry = "often" })
                unit.raises("validation", em.transactional, em, noop, { retry = -1 })
                unit.raises("validation", em.transactional, em, noop, "serializable")
                unit.raises("validation", em.transactional, em, nil)
                assert.is_false(em:in_transaction())
                assert.same({}, work.log)
            end)
        end)

        describe("and its statements", function()
            it("U1: one in which nothing is sent sends nothing", function()
                em:transactional(function() end)
                em:transactional(function(tx) tx:transactional(function() end) end)
                pcall(em.transactional, em, function() error "x" end)
                em:begin()
                em:rollback()
                assert.same({}, work.log)
            end)

            it("F3: transaction control is in the query events, savepoints that wrote nothing are not", function()
                em:transactional(function(tx)
                    tx:transactional(function() end)
                    tx:persist(Item { name = "b" }):flush()
                    pcall(tx.transactional, tx, function()
                        tx:execute "delete from items"
                        error "x"
                    end)
                end)
                local control = {}
                for _, entry in ipairs(work.log) do
                    assert.equal("default", entry.context)
                    assert.is_number(entry.duration)
                    local verb = entry.sql:match "^BEGIN" or entry.sql:match "^COMMIT" or entry.sql:match "^ROLLBACK TO"
                        or entry.sql:match "^RELEASE" or entry.sql:match "^SAVEPOINT" or "-"
                    if verb ~= "-" or control[#control] ~= "-" then control[#control + 1] = verb end
                end
                assert.same({ "BEGIN", "SAVEPOINT", "-", "RELEASE", "SAVEPOINT", "-", "ROLLBACK TO", "RELEASE",
                    "COMMIT" }, control)
            end)

            it("F1: commit and rollback are told to those who listen, once, at the end of all", function()
                local told = {}
                work.instance:on("after_commit", function(changes)
                    told[#told + 1] = "commit"
                    for _, change in ipairs(changes) do told[#told + 1] = change.op .. " " .. change.entity.name end
                end)
                work.instance:on("after_rollback", function() told[#told + 1] = "rollback" end)
                em:transactional(function(tx)
                    tx:persist(Item { name = "b" }):flush()
                    tx:transactional(function() tx:persist(Item { name = "c" }) end)
                    pcall(tx.transactional, tx, function()
                        tx:persist(Item { name = "d" }):flush()
                        error "x"
                    end)
                    assert.same({}, told)
                end)
                assert.same({ "commit", "create b", "create c" }, told)
                told = {}
                pcall(em.transactional, em, function(tx)
                    tx:persist(Item { name = "e" }):flush()
                    error "x"
                end)
                assert.same({ "rollback" }, told)
                told = {}
                em:persist_and_flush(Item { name = "f" })
                assert.same({ "commit", "create f" }, told)
                told = {}
                em:persist(Item { name = "f" })
                unit.raises("unique_violation", em.flush, em)
                assert.same({ "rollback" }, told)
            end)
        end)

        describe("and propagation", function()
            local function insert(name, opts)
                return em:transactional(function(tx) tx:persist(Item { name = name }) end, opts)
            end

            it("F3: required and mandatory join, mandatory needs one, never refuses one", function()
                unit.raises("transaction_required", insert, "x", { propagation = "mandatory" })
                insert("never", { propagation = "never" })
                insert("required", { propagation = "required" })
                em:transactional(function()
                    unit.raises("transaction_required", insert, "x", { propagation = "never" })
                    insert("b", { propagation = "mandatory" })
                    insert("c", { propagation = "required" })
                    insert("d", { propagation = "supports" })
                    assert.equal("3", names())
                end)
                insert("e", { propagation = "supports" })
                assert.equal("7", names())
            end)

            it("F3: an error in what joined that nobody catches fails the whole", function()
                local ok = pcall(em.transactional, em, function(tx)
                    tx:persist(Item { name = "b" })
                    tx:transactional(function()
                        tx:persist(Item { name = "c" }):flush()
                        error "x"
                    end, { propagation = "required" })
                end)
                assert.is_false(ok)
                assert.equal("1", names())
            end)

            if db.name == "postgres" then
                it("F3: requires_new works on a connection of its own", function()
                    pcall(em.transactional, em, function(tx)
                        tx:persist(Item { name = "outer" }):flush()
                        tx:transactional(function(own)
                            assert.are_not.equal(tx, own)
                            assert.equal(1, own:count(Item, {}))
                            own:persist(Item { name = "audit" })
                        end, { propagation = "requires_new" })
                        tx:transactional(function(own)
                            assert.is_false(own:in_transaction())
                            own:persist(Item { name = "plain" })
                        end, { propagation = "not_supported" })
                        error "x"
                    end)
                    assert.same({ { "a" }, { "audit" }, { "plain" } }, raw:rows "select name from items order by name")
                    assert.equal(0, work.instance:pool_stats().in_use)
                end)
            else
                it("F3: requires_new cannot wait for its own file, and says so at once", function()
                    local start = os.time()
                    em:transactional(function(tx)
                        tx:persist(Item { name = "outer" }):flush()
                        local err = unit.raises("lock_timeout", tx.transactional, tx, function(own)
                            own:persist(Item { name = "audit" })
                        end, { propagation = "requires_new" })
                        assert.is_truthy(err.message:find("coroutine", 1, true))
                        assert.is_true(tx:in_transaction())
                    end)
                    assert.is_true(os.time() - start < 4) -- who waits does so for 5 s
                    assert.same({ { "a" }, { "outer" } }, raw:rows "select name from items order by name")
                end)

                it("F3: in memory there is no second connection", function()
                    orm.init { context_name = "memory", driver = "sqlite", database = ":memory:", entities = { Item } }
                    orm.instance("memory").schema:create()
                    local memory = orm.em("memory"):fork()
                    memory:transactional(function(tx)
                        tx:persist(Item { name = "outer" }):flush()
                        unit.raises("unsupported", tx.transactional, tx, function(own) own:count(Item, {}) end,
                            { propagation = "requires_new" })
                    end)
                    assert.equal(1, memory:count(Item, {}))
                    orm.close "memory"
                end)
            end
        end)
    end)
end)
