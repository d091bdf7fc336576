-- Who is who under every adapter: requests, functions that are bound, generators, entity managers in use, and what goes
-- wrong while a coroutine waits.


local compat = require "heddle.compat"
local databases = require "spec.support.databases"
local orm = require "heddle"
local raises = require("spec.support.unit").raises
local schedulers = require "spec.support.schedulers"
local waiting = require "heddle.waiting"

local User = orm.entity { name = "User", table = "users", { "id", type = "integer", primary = true },
    { "name", type = "string" } }

-- What is warned of while fn runs.
local function warnings(fn, ...)
    local warn, found = waiting.warn, {}
    waiting.warn = function(what, advice) found[#found + 1] = what .. ": " .. advice end
    local ok, err = compat.pcall(fn, ...)
    waiting.warn = warn
    if not ok then error(err, 0) end
    return found
end

databases.on("postgres", function(db)
    schedulers.each(function(s)
        describe("waiting:", function()
            local em, instance

            before_each(function()
                orm.use "blocking"
                instance = orm.init(db:config { entities = { User }, pool = { max = 10 } })
                instance.schema:create()
                em = instance.em
                orm.use(s.kind.adapter)
                s.blocked = 0
            end)
            after_each(function()
                orm.close()
                db:close()
            end)

            local function each_of(n, fn)
                for i = 1, n do s:spawn(function() fn(i) end) end
            end

            local function run_each(n, fn)
                each_of(n, fn)
                s:beside(0.002)
                s:run()
            end

            it("U1: requests of coroutines have identity maps of their own, though they wait for each other", function()
                db:raw():exec "insert into users (name) values ('x')"
                local seen, at = {}, 0
                each_of(4, function(i)
                    orm.request_context(function()
                        local mine = orm.get_context()
                        seen[i] = orm.em():find_one(User, 1)
                        at = at + 1
                        while at < 4 do s:sleep(0.001) end
                        seen[i].name = "request " .. i
                        assert.equal(mine, orm.get_context())
                        assert.equal(seen[i], orm.em():find_one(User, 1, { flush_mode = "commit" }))
                        if i == 3 then orm.em():flush() end
                    end)
                end)
                s:run()
                for i = 1, 4 do
                    for k = i + 1, 4 do assert.not_equal(seen[i], seen[k]) end
                end
                assert.equal("request 3", db:raw():value "select name from users")
                assert.equal(0, s.blocked)
            end)

            it("the global entity manager is for nobody where others run while somebody waits", function()
                s:spawn(function() raises("global_context", em.find, em, User, {}) end)
                s:run()
                orm.use "blocking"
                assert.same({}, em:find(User, {}))
            end)

            it("orm.bind carries a request's scope into another coroutine, which waits", function()
                s:spawn(function()
                    orm.request_context(function()
                        local mine, done = orm.get_context(), false
                        s:spawn(orm.bind(function()
                            assert.equal(mine, orm.get_context())
                            assert.same({ { n = 1 } }, orm.em():fork():execute "select 1 as n from pg_sleep(0.02)")
                            assert.equal(mine, orm.get_context())
                            done = true
                        end))
                        while not done do s:sleep(0.001) end
                    end)
                end)
                s:beside(0.002)
                s:run()
                assert.is_true(s.ticks >= 3)
            end)

            it("orm.wrap passes a generator's waits to the scheduler, through others too", function()
                local got = {}
                local warned = warnings(run_each, 3, function(i)
                    local fork = em:fork()
                    got[i] = {}
                    local function numbers(from)
                        return orm.wrap(function()
                            for n = from, from + 2 do
                                coroutine.yield(fork:execute("select ?::int as n from pg_sleep(0.01)", n)[1].n)
                            end
                        end)
                    end
                    local outer = orm.wrap(function()
                        for n in numbers(i * 10) do coroutine.yield(-n) end
                    end)
                    local n = outer() -- a generic for of Lua 5.1 cannot be yielded out of
                    while n do
                        table.insert(got[i], n)
                        n = outer()
                    end
                end)
                if not compat.is_51 or rawget(_G, "jit") then assert.same({}, warned) end
                assert.same({ { -10, -11, -12 }, { -20, -21, -22 }, { -30, -31, -32 } }, got)
                if #warned == 0 then
                    assert.equal(0, s.blocked)
                    assert.is_true(s.ticks >= 5)
                end
            end)

            it("a plain generator gets its rows all the same, blocks, and advice is given", function()
                local got = {}
                local warned = warnings(run_each, 2, function(i)
                    local fork = em:fork()
                    local generator = coroutine.wrap(function()
                        for n = 1, 3 do coroutine.yield(fork:execute("select ?::int as n", i * 10 + n)[1].n) end
                    end)
                    got[i] = { generator(), generator(), generator() }
                end)
                assert.same({ { 11, 12, 13 }, { 21, 22, 23 } }, got)
                assert.is_true(#warned >= 2)
                for _, text in ipairs(warned) do assert.matches("orm.wrap", text) end
                assert.equal(#warned, s.blocked)
            end)

            it("a function that C calls cannot wait: it blocks, and advice is given", function()
                local warned
                s:spawn(function()
                    local fork, list = em:fork(), { 2, 1 }
                    fork:begin()
                    fork:execute "select 1"
                    if not coroutine.isyieldable then return end
                    warned = warnings(table.sort, list, function(a, b)
                        return fork:execute("select ?::int < ?::int as less from pg_sleep(0.001)", a, b)[1].less
                    end)
                    assert.same({ 1, 2 }, list)
                    assert.matches("table.sort", warned[1])
                    fork:commit()
                end)
                s:run()
            end)

            it("busy: one coroutine at a time uses an entity manager", function()
                local fork, first = em:fork(), false
                s:spawn(function()
                    first = true
                    fork:execute "select pg_sleep(0.1)"
                    first = false
                end)
                s:spawn(function()
                    while not first do s:sleep(0.001) end
                    assert.matches("em:fork%(%)", raises("busy", fork.find, fork, User, {}).message)
                    raises("busy", fork.flush, fork)
                    raises("busy", fork.begin, fork)
                    while first do s:sleep(0.005) end
                    assert.same({}, fork:find(User, {}))
                    fork:begin()
                end)
                s:spawn(function()
                    while not fork:in_transaction() do s:sleep(0.005) end
                    raises("busy", fork.execute, fork, "select 1")
                end)
                s:run()
                fork:rollback()
            end)

            it("X1: a backend killed while a coroutine waits is a connection error, others do not notice", function()
                local other
                s:spawn(function()
                    local fork = em:fork()
                    raises("connection", fork.execute, fork, "select pg_sleep(5)")
                    assert.same({ { n = 1 } }, fork:execute "select 1 as n")
                end)
                s:spawn(function() other = em:fork():execute("select 2 as n from pg_sleep(0.2)")[1].n end)
                s:spawn(function()
                    local killer = em:fork()
                    repeat
                        s:sleep(0.01)
                        local hit = killer:execute([[select pg_terminate_backend(pid) as hit from pg_stat_activity
                            where query = 'select pg_sleep(5)']])
                    until #hit > 0
                end)
                s:run()
                assert.same({ 2, 0 }, { other, s.blocked })
            end)

            it("a statement over its limit is timeout, and the server drops it", function()
                each_of(3, function(i)
                    local fork = em:fork()
                    fork:persist_and_flush(fork:create(User, { name = "u" .. i }))
                    raises("timeout", fork.find, fork, User, orm.raw "pg_sleep(5) is not null", { timeout = 0.1 })
                    assert.same({ { n = i } }, fork:execute("select ?::int as n", i))
                end)
                s:beside(0.002)
                s:run()
                assert.is_true(s.ticks >= 10)
                assert.equal(0, s.blocked)
                assert.equal("0", db:raw():value [[select count(*) from pg_stat_activity
                    where state = 'active' and query ~ 'pg_sleep.5' and pid <> pg_backend_pid()]])
            end)

            it("serialization failures are tried again after a pause, which is no block", function()
                db:raw():exec "insert into users (name) values ('0')"
                local pauses = 0
                each_of(4, function()
                    em:fork():transactional(function(tx)
                        pauses = pauses + 1
                        local user = tx:find_one(User, 1)
                        s:sleep(0.01)
                        user.name = tostring(tonumber(user.name) + 1)
                    end, { isolation = "serializable", retry = 12 })
                end)
                s:run()
                assert.equal("4", db:raw():value "select name from users")
                assert.is_true(pauses > 4)
                assert.equal(0, s.blocked)
            end)
        end)
    end)
end)
