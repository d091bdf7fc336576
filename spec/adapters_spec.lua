-- What waits under every adapter, on PostgreSQL: others go on meanwhile, and nothing of Heddle's blocks.


local databases = require "spec.support.databases"
local orm = require "heddle"
local raises = require("spec.support.unit").raises
local relay = require "spec.support.relay"
local schedulers = require "spec.support.schedulers"

local User = orm.entity { name = "User", table = "users", { "id", type = "integer", primary = true },
    { "name", type = "string" } }

databases.on("postgres", function(db)
    schedulers.each(function(s)
        describe("waiting:", function()
            local em, instance

            local function open(overrides)
                local config = { entities = { User }, pool = { max = 20 } }
                for key, value in pairs(overrides or {}) do config[key] = value end
                instance = orm.init(db:config(config))
                em = instance.em
            end

            local function with_table(overrides)
                orm.use "blocking"
                open(overrides)
                instance.schema:create()
                orm.use(s.kind.adapter)
                s.blocked = 0
            end

            after_each(function()
                orm.close()
                db:close()
            end)

            local function each_of(n, fn)
                for i = 1, n do s:spawn(function() fn(i) end) end
            end

            -- Opens n connections and leaves them in the pool.
            local function warm(n)
                local begun = 0
                each_of(n, function()
                    em:fork():transactional(function(tx)
                        tx:execute "select 1"
                        begun = begun + 1
                        while begun < n do s:sleep(0.001) end
                    end)
                end)
                s:run()
            end

            it("twenty forks sleep on the server at once, over one pool", function()
                open()
                warm(20)
                assert.equal(20, instance:pool_stats().idle)
                local first_end, last_start, done = math.huge, 0, 0
                each_of(20, function()
                    local row = em:fork():execute([[select extract(epoch from clock_timestamp())::float8 as began,
                        pg_sleep(0.1), extract(epoch from clock_timestamp())::float8 as ended]])[1]
                    first_end, last_start = math.min(first_end, row.ended), math.max(last_start, row.began)
                    done = done + 1
                end)
                s:run()
                assert.equal(20, done)
                assert.is_true(last_start < first_end)
                assert.same({ 20, 0 }, { instance:pool_stats().opened, s.blocked })
            end)

            it("the pool's queue is served in order", function()
                open { pool = { max = 2 } }
                local asked, served, most, now = {}, {}, 0, 0
                local function serve(i)
                    asked[#asked + 1] = i
                    em:fork():transactional(function(tx)
                        tx:execute "select 1"
                        served[#served + 1], now = i, now + 1
                        most = math.max(most, now)
                        -- The first keeps its connection: the rest have one between them.
                        repeat tx:execute "select pg_sleep(0.01)" until i ~= 0 or #served == 9
                        now = now - 1
                    end)
                end
                s:spawn(function() serve(0) end)
                s:spawn(function()
                    while #served == 0 do s:sleep(0.001) end
                    each_of(8, serve)
                end)
                s:run()
                assert.equal(9, #served)
                assert.same(asked, served)
                assert.same({ 2, 2, 0 }, { most, instance:pool_stats().opened, s.blocked })
            end)

            it("a place in the queue that takes too long is pool_timeout", function()
                open { pool = { max = 1, acquire_timeout = 0.05 } }
                s:spawn(function() em:fork():execute "select pg_sleep(0.3)" end)
                s:spawn(function()
                    s:sleep(0.02)
                    local fork = em:fork()
                    raises("pool_timeout", fork.execute, fork, "select 1")
                end)
                s:run()
                assert.equal(0, s.blocked)
            end)

            it("connecting waits for a server that is slow, and passes over hosts that refuse", function()
                local slow = relay.start()
                slow:latency(50)
                open { host = "127.0.0.1,/nowhere," .. slow.host, port = "1,5432," .. slow.port }
                s:spawn(function() assert.same({ { n = 1 } }, em:fork():execute "select 1 as n") end)
                s:beside(0.002)
                s:run()
                assert.is_true(s.ticks >= 10)
                slow:refuse(true)
                slow:drop()
                s:spawn(function()
                    local fork = em:fork()
                    raises("connection", fork.execute, fork, "select 1")
                    slow:refuse(false)
                    assert.same({ { n = 2 } }, fork:execute "select 2 as n")
                end)
                s:run()
                assert.equal(0, s.blocked)
                orm.close()
                slow:stop()
            end)

            it("connections that close and open again, with numbers that come again, wait for their own", function()
                open { pool = { max = 5 } }
                local done = 0
                each_of(10, function(i)
                    for round = 1, 6 do
                        local fork = em:fork()
                        fork:begin()
                        local pid = fork:execute("select pg_backend_pid() as pid")[1].pid
                        if (i + round) % 3 == 0 then
                            raises("connection", fork.execute, fork, "select pg_terminate_backend(?), pg_sleep(1)", pid)
                        else
                            assert.same({ { n = i } }, fork:execute("select ?::int as n from pg_sleep(0.003)", i))
                        end
                        fork:rollback()
                    end
                    done = done + 1
                end)
                s:run()
                assert.same({ 10, 0, 0 }, { done, instance:pool_stats().in_use, s.blocked })
                assert.is_true(instance:pool_stats().closed >= 20)
            end)

            it("a flush of hundreds of rows waits for each answer", function()
                local slow = relay.start()
                with_table()
                local there = instance
                local config = { host = slow.host, port = slow.port, context_name = "slow", entities = { User } }
                config.driver, config.user, config.database = "postgres", there.config.user, there.config.database
                local fork = orm.init(config).em:fork()
                slow:latency(40)
                s:spawn(function()
                    for i = 1, 600 do fork:persist(fork:create(User, { name = ("x"):rep(200) .. i })) end
                    fork:flush()
                end)
                s:beside(0.002)
                s:run()
                assert.is_true(s.ticks >= 15)
                assert.equal(0, s.blocked)
                assert.equal("600", db:raw():value "select count(*) from users")
                orm.close()
                slow:stop()
            end)

            it("a stream waits for its chunks", function()
                with_table()
                db:raw():exec "insert into users (name) select 'u' || i from generate_series(1, 1500) i"
                local seen = {}
                each_of(4, function(i)
                    seen[i] = 0
                    for user in em:fork():stream(User, {}, { order_by = { "id" } }) do
                        seen[i] = seen[i] + 1
                        assert.equal("u" .. seen[i], user.name)
                    end
                end)
                s:run()
                assert.same({ 1500, 1500, 1500, 1500 }, seen)
                assert.equal(0, s.blocked)
            end)

            it("transactions of coroutines do not mix", function()
                with_table()
                each_of(6, function(i)
                    local fork = em:fork()
                    local ok = require("heddle.compat").pcall(fork.transactional, fork, function(tx)
                        for n = 1, 3 do
                            tx:persist_and_flush(tx:create(User, { name = i .. "." .. n }))
                            s:sleep(0.001)
                            assert.equal(n, tx:count(User, {}))
                        end
                        -- Committed only when all have seen theirs alone.
                        s:sleep(0.2)
                        if i % 2 == 0 then error "back" end
                    end)
                    assert.equal(i % 2 == 1, ok)
                end)
                s:run()
                assert.equal("1.1 1.2 1.3 3.1 3.2 3.3 5.1 5.2 5.3",
                    db:raw():value "select string_agg(name, ' ' order by name) from users")
                assert.equal(0, s.blocked)
            end)

            it("the password function and on_connect may wait themselves", function()
                local asked, connected = 0, 0
                open { password = function()
                    s:sleep(0.03)
                    asked = asked + 1
                    return "unused"
                end, on_connect = function(conn)
                    s:sleep(0.03)
                    conn:execute "select pg_sleep(0.03)"
                    connected = connected + 1
                end }
                each_of(3, function() em:fork():execute "select pg_sleep(0.01)" end)
                s:beside(0.002)
                s:run()
                assert.same({ 3, 3 }, { asked, connected })
                assert.is_true(s.ticks >= 10)
                assert.equal(0, s.blocked)
            end)

        end)
    end)
end)
