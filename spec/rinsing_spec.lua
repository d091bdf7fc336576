-- Connections whose coroutine is forgotten in an open transaction: what is open on the server ends at once, and the
-- connection serves the next one, who sees nothing of it.

local databases = require "spec.support.databases"
local loop = require "spec.support.loop"
local orm = require "heddle"

local pcall = require("heddle.compat").pcall -- 5.1's own cannot be yielded across

local Item = orm.entity { name = "RinsingItem", table = "items", { "id", type = "integer", primary = true },
    { "name", type = "string" } }

local function collect()
    collectgarbage()
    collectgarbage()
end

describe("rinsing:", function()
    local em, instance, db

    before_each(function() loop.reset() end)
    after_each(function()
        orm.use "blocking"
        loop.reset()
        orm.close()
        db:close()
    end)

    local function open(max)
        instance = orm.init(db:config { entities = { Item }, allow_global_context = true, pool = { max = max } })
        em = instance.em
        instance.schema:create()
        orm.use(loop.wait)
    end

    -- Runs every coroutine up to its pause, and forgets them all.
    local function forget_all(count, fn)
        local tasks, paused = {}, 0
        for i = 1, count do
            tasks[i] = loop.spawn(function()
                fn(i)
                paused = paused + 1
                coroutine.yield {}
            end)
        end
        while paused < count do loop.step() end
        for _, co in ipairs(tasks) do loop.drop(co) end
    end

    local function in_loop(fn)
        loop.spawn(fn)
        loop.run()
    end

    databases.each(function(given)
        local is_sqlite = given.name == "sqlite"

        before_each(function() db = given end)

        local function stats()
            local s = instance:pool_stats()
            return { opened = s.opened, closed = s.closed, idle = s.idle, in_use = s.in_use }
        end

        it("a forgotten transaction gives its connection back", function()
            open(1)
            for i = 1, 5 do
                forget_all(1, function()
                    local fork = em:fork()
                    fork:begin()
                    fork:execute(("insert into items (id, name) values (%d, 'x')"):format(i))
                end)
                collect()
                assert.same({ opened = 1, closed = 0, idle = 1, in_use = 0 }, stats())
                assert.equal("0", tostring(db:raw():value "select count(*) from items"))
            end
            in_loop(function()
                local fork = em:fork()
                fork:persist(fork:create(Item, { id = 1, name = "y" }))
                fork:flush()
                assert.equal(1, fork:count(Item, {}))
            end)
            assert.same({ opened = 1, closed = 0, idle = 1, in_use = 0 }, stats())
        end)

        it("many of them serve whoever waits, with two connections", function()
            open(2)
            local seen = 0
            for round = 1, 10 do
                forget_all(is_sqlite and 1 or 2, function(i) -- one writes at a time there
                    local fork = em:fork()
                    fork:begin()
                    fork:execute(("insert into items (id, name) values (%d, 'x')"):format(round * 10 + i))
                end)
                for _ = 1, 4 do
                    loop.spawn(function()
                        local fork = em:fork()
                        fork:transactional(function(tx)
                            assert.equal(0, tx:count(Item, {}))
                            seen = seen + 1
                        end)
                    end)
                end
                collect()
                loop.run()
            end
            assert.equal(40, seen)
            local s = stats()
            assert.same({ 0, 0, s.opened }, { s.closed, s.in_use, s.idle })
            assert.is_true(s.opened <= 2)
        end)

        it("em:drop, a failed transaction and a forgotten stream give it back too", function()
            open(1)
            local ways = {
                function(fork)
                    fork:begin()
                    fork:execute "insert into items (id, name) values (1, 'x')"
                    fork:drop()
                end,
                function(fork)
                    fork:begin()
                    fork:execute "insert into items (id, name) values (1, 'x')"
                    local ok = pcall(fork.execute, fork, "select nothing_of_that_name from items")
                    assert.is_false(ok)
                end,
                function(fork)
                    fork:begin()
                    fork:execute "insert into items (id, name) values (1, 'x')"
                    pcall(fork.execute, fork, "insert into items (id, name) values (1, 'x')")
                end,
                function(fork)
                    local rows = fork:stream(Item, {})
                    assert.is_nil(rows())
                    fork:begin()
                    fork:stream(Item, {})
                end,
            }
            for _, way in ipairs(ways) do
                forget_all(1, function() way(em:fork()) end)
                collect()
                assert.same({ opened = 1, closed = 0, idle = 1, in_use = 0 }, stats())
                in_loop(function() assert.equal(0, em:fork():count(Item, {})) end)
            end
            assert.same({ opened = 1, closed = 0, idle = 1, in_use = 0 }, stats())
        end)
    end)

    databases.on("postgres", function(given)
        before_each(function() db = given end)

        local function value(fork, sql)
            return fork:execute("select " .. sql .. " as v")[1].v
        end

        -- Transactions that are open on the server. A server takes its time to read what was sent.
        local function open_transactions()
            local sql = [[select count(*) from pg_stat_activity
                where datname = current_database() and pid <> pg_backend_pid() and xact_start is not null]]
            for _ = 1, 500 do
                if tostring(db:raw():value(sql)) == "0" then return 0 end
                db:raw():rows "select pg_sleep(0.002)"
            end
            return db:raw():value(sql)
        end

        it("what is open on the server ends at once, whoever comes next, on the same backend", function()
            open(1)
            local pid
            forget_all(1, function()
                local fork = em:fork()
                fork:begin()
                pid = value(fork, "pg_backend_pid()")
                fork:execute "insert into items (id, name) values (1, 'x')"
                fork:execute "select pg_advisory_xact_lock(42)"
            end)
            assert.equal("1", tostring(db:raw():value "select count(*) from pg_locks where locktype = 'advisory'"))
            collect()
            assert.equal(0, open_transactions()) -- nobody has taken the connection
            assert.equal("0", tostring(db:raw():value "select count(*) from pg_locks where locktype = 'advisory'"))
            in_loop(function() assert.equal(pid, value(em:fork(), "pg_backend_pid()")) end)
        end)

        it("the next one sees no setting, table or cursor of the former one's transaction", function()
            open(1)
            local before, pid
            in_loop(function()
                local fork = em:fork()
                before, pid = value(fork, "current_setting('work_mem')"), value(fork, "pg_backend_pid()")
            end)
            forget_all(1, function()
                local fork = em:fork()
                fork:begin()
                fork:execute "set local work_mem = '7MB'"
                fork:execute "set local statement_timeout = 60000"
                fork:execute "create temporary table mine (id integer) on commit drop"
                fork:execute "declare hd_c1 cursor for select 1"
            end)
            collect()
            in_loop(function()
                local fork = em:fork()
                assert.equal(pid, value(fork, "pg_backend_pid()"))
                assert.equal(before, value(fork, "current_setting('work_mem')"))
                assert.equal("0", tostring(value(fork, "current_setting('statement_timeout')")))
                assert.equal(0, value(fork, "(select count(*) from pg_class where relname = 'mine')"))
                assert.equal(0, value(fork, "(select count(*) from pg_cursors where name like 'hd%')"))
                assert.is_nil(value(fork, "txid_current_if_assigned()"))
            end)
        end)

        it("one that the server ended meanwhile is replaced", function()
            open(1)
            forget_all(1, function()
                local fork = em:fork()
                fork:begin()
                fork:execute "select 1"
            end)
            collect()
            assert.equal(0, open_transactions())
            local others = "from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
            db:raw():rows("select pg_terminate_backend(pid) " .. others)
            while tostring(db:raw():value("select count(*) " .. others)) ~= "0" do
                db:raw():rows "select pg_sleep(0.01)"
            end
            db:raw():rows "select pg_sleep(0.1)" -- its process ends, and its socket with it
            in_loop(function() assert.equal(0, em:fork():count(Item, {})) end)
            assert.same({ 2, 1, 1 }, { instance:pool_stats().opened, instance:pool_stats().closed,
                instance:pool_stats().idle })
        end)

        it("prepared statements stay, and those that were sent ahead do no harm", function()
            open(1)
            for i = 1, 30 do
                forget_all(1, function()
                    local fork = em:fork()
                    fork:begin()
                    fork:find(Item, { id = i })
                    fork:find(Item, { name = "n" })
                end)
                collect()
            end
            in_loop(function()
                assert.is_nil(em:fork():find_one(Item, { id = 1 }))
                assert.equal(1, value(em:fork(),
                    "(select count(*) from pg_prepared_statements where statement = 'ROLLBACK')"))
            end)
            assert.same({ 1, 0 }, { instance:pool_stats().opened, instance:pool_stats().closed })
        end)
    end)
end)
