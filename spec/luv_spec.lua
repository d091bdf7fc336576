-- luv: recognised by a loop that runs; handles of waits are closed; errors reach luv;
-- coroutines that end while they wait.


local has, uv = pcall(require, "luv")
if not has or not require("spec.support.schedulers").are_covered then return end

local compat = require "heddle.compat"
local databases = require "spec.support.databases"
local orm = require "heddle"
local postgres = require "spec.support.postgres"
local raises = require("spec.support.unit").raises
local waiting = require "heddle.waiting"

databases.on("postgres", function(db)
    describe("luv:", function()
        local em, instance, made

        before_each(function()
            waiting.forget()
            made = db:config { pool = { max = 5 } }
            instance = orm.init(made)
            em = instance.em
        end)
        after_each(function()
            orm.use "blocking"
            orm.close()
            db:close()
        end)

        local function later(milliseconds, fn)
            local timer = uv.new_timer()
            timer:start(milliseconds, 0, function()
                timer:close()
                fn()
            end)
        end

        -- Runs coroutines in the loop.
        local function run(...)
            local ended, failure = 0, nil
            for _, fn in ipairs { ... } do
                later(0, function()
                    coroutine.wrap(function()
                        local ok, err = compat.pcall(fn)
                        ended = ended + 1
                        if not ok then failure = failure or { err } end
                    end)()
                end)
            end
            uv.run()
            if failure then error(failure[1], 0) end
            assert.equal(select("#", ...), ended)
        end

        local function handles()
            local n = 0
            uv.walk(function(handle) if not handle:is_closing() then n = n + 1 end end)
            return n
        end

        local function descriptors()
            local n = 0
            for _ in assert(uv.fs_scandir_next), assert(uv.fs_scandir "/proc/self/fd") do n = n + 1 end
            return n
        end

        local function warnings(fn, ...)
            local warn, found = waiting.warn, {}
            waiting.warn = function(what, advice) found[#found + 1] = what .. ": " .. advice end
            local ok, err = compat.pcall(fn, ...)
            waiting.warn = warn
            if not ok then error(err, 0) end
            return found
        end

        it("a loop that runs is recognised, and only while it does; handles and descriptors go", function()
            local before = handles()
            run(function() em:fork():execute "select 1" end)
            local open = descriptors()
            assert.is_nil(waiting.here())
            local ticks, done = 0, false
            run(function()
                assert.equal("luv", waiting.here().name)
                for _ = 1, 10 do em:fork():execute "select pg_sleep(0.01)" end
                done = true
            end, function()
                local function tick()
                    ticks = ticks + 1
                    if not done then later(2, tick) end
                end
                tick()
            end)
            assert.is_true(ticks >= 10)
            assert.is_nil(waiting.here())
            assert.same({ before, open }, { handles(), descriptors() })
        end)

        it("coroutines that start before the loop need orm.use 'luv'", function()
            local order = {}
            for _, use in ipairs { false, "luv" } do
                if use then orm.use(use) else waiting.forget() end
                local co = coroutine.create(function()
                    em:fork():execute "select pg_sleep(0.02)"
                    order[#order + 1] = "slept"
                end)
                assert(coroutine.resume(co))
                order[#order + 1] = coroutine.status(co)
                uv.run()
            end
            assert.same({ "slept", "dead", "suspended", "slept" }, order)
            assert.same({}, warnings(function() em:fork():execute "select pg_sleep(0.01)" end)) -- the main one blocks
        end)

        it("in a callback nothing can wait: it blocks, and advice is given", function()
            local warned
            later(0, function()
                warned = warnings(function() em:fork():execute "select pg_sleep(0.01)" end)
            end)
            uv.run()
            assert.matches("callback of luv's: start a coroutine", warned[1])
        end)

        it("a timer is there only where there is a limit", function()
            local timers, new_timer = 0, uv.new_timer
            uv.new_timer = function()
                timers = timers + 1
                return new_timer()
            end
            local with, without
            local ok, err = pcall(run, function()
                local fork = em:fork()
                fork:begin()
                fork:execute "select 1"
                local before = timers
                fork:execute "select pg_sleep(0.02)"
                without, before = timers - before, timers
                require("heddle.wait").sleep(0.001)
                with = timers - before
                fork:rollback()
            end)
            uv.new_timer = new_timer
            assert(ok, err)
            assert.same({ 1, 0 }, { with, without })
        end)

        it("a plain generator of the fork's maker blocks with advice; a coroutine with its own does not", function()
            local warned = warnings(run, function()
                local fork = em:fork()
                local generator = coroutine.wrap(function()
                    coroutine.yield(fork:execute("select 1 as n from pg_sleep(0.01)")[1].n)
                end)
                assert.equal(1, generator())
            end)
            assert.matches("a generator: make the generator with orm.wrap", warned[1])
            local done = 0
            assert.same({}, warnings(run, function()
                em:fork():execute "select pg_sleep(0.01)"
                for _ = 1, 3 do
                    coroutine.wrap(function()
                        em:fork():execute "select pg_sleep(0.03)"
                        done = done + 1
                    end)()
                end
                assert.equal(0, done)
                em:fork():execute "select pg_sleep(0.1)"
                assert.equal(3, done)
            end))
        end)

        it("two waits for one descriptor are two handles", function()
            local adapter, answers = require "heddle.waiting.luv", {}
            local server = assert(require("socket").bind("127.0.0.1", 0))
            local function wait()
                local ready = adapter.wait(server:getfd(), "r", 0.05)
                answers[#answers + 1] = ready
            end
            local before = handles()
            run(wait, wait)
            server:close()
            assert.same({ false, false, before }, { answers[1], answers[2], handles() })
        end)

        it("a coroutine that somebody else resumes goes on waiting", function()
            local rows, co
            run(function()
                co = coroutine.running()
                rows = em:fork():execute "select 1 as n from pg_sleep(0.1)"
            end, function()
                for i = 1, 5 do
                    later(10 * i, function() assert(coroutine.resume(co, "nonsense")) end)
                end
            end)
            assert.same({ { n = 1 } }, rows)
            if not compat.is_51 then assert.equal("dead", coroutine.status(co)) end
        end)

        if coroutine.close then
            it("a coroutine that is closed while it waits lets go; the loop, and others, go on", function()
                local before, fork, co = handles(), em:fork(), nil
                local function close() -- in the very round in which its wait begins
                    co = coroutine.create(function() fork:execute "select pg_sleep(60)" end)
                    assert(coroutine.resume(co))
                    assert(coroutine.close(co))
                    collectgarbage()
                    collectgarbage()
                end
                run(function()
                    for _ = 1, 5 do
                        close()
                        assert.same({ { n = 1 } }, fork:execute "select 1 as n from pg_sleep(0.01)")
                    end
                end)
                assert.same({ before, 0 }, { handles(), instance:pool_stats().in_use })
            end)
        end

        -- Runs a program of its own; gives its status and what it said.
        local function program(text)
            local path = os.tmpname()
            local file = assert(io.open(path, "w"))
            file:write(([[
                local orm, uv = require "heddle", require "luv"
                local em = orm.init { driver = "postgres", host = %q, port = %d, user = %q, database = %q }.em
                orm.use "luv"
            ]]):format(made.host, made.port, made.user, made.database), text)
            file:close()
            local pipe = assert(io.popen(("%s %s 2>&1; echo status $?"):format(os.getenv "HEDDLE_TEST_LUA", path)))
            local said = pipe:read "*a"
            pipe:close()
            os.remove(path)
            return said
        end

        it("an error that leaves a coroutine after it has waited is luv's to report, with its text", function()
            local said = program [[
                coroutine.wrap(function() em:fork():execute "select pg_sleep(0.01), 1 / 0" end)()
                uv.run()
                print "not reached"
            ]]
            assert.matches("Uncaught Error: .*divided by zero.*%.lua:%d+", said)
            assert.matches("status 255", said)
            assert.not_matches("not reached", said)
        end)

        it("a program that ends while coroutines wait ends, and the server knows", function()
            local said = program [[
                for _ = 1, 3 do coroutine.wrap(function() em:fork():execute "select pg_sleep(61)" end)() end
                local timer = uv.new_timer()
                timer:start(300, 0, function()
                    timer:close()
                    uv.stop()
                end)
                uv.run()
                print "stopped"
            ]]
            assert.matches("stopped\nstatus 0", said)
            local asleep = [[select count(*) from pg_stat_activity
                where query = 'select pg_sleep(61)' and state = 'active']]
            for _ = 1, 200 do
                if postgres.admin():value(asleep) == "0" then break end
                postgres.admin():rows "select pg_sleep(0.01)"
            end
            assert.equal("0", postgres.admin():value(asleep))
        end)

        it("what is unknown to luv is told by kind", function()
            raises("validation", orm.wrap, 3)
            raises("config", orm.use, "luvit")
        end)
    end)
end)
