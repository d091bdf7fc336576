-- cqueues: recognised by a running controller;
-- controllers in controllers; numbers that come again, controllers that go.


local has, cqueues = pcall(require, "cqueues")
if not has or not require("spec.support.schedulers").are_covered then return end

local compat = require "heddle.compat"
local databases = require "spec.support.databases"
local orm = require "heddle"
local raises = require("spec.support.unit").raises
local waiting = require "heddle.waiting"

databases.on("postgres", function(db)
    describe("cqueues:", function()
        local em, instance

        before_each(function()
            waiting.forget()
            instance = orm.init(db:config { pool = { max = 5 } })
            em = instance.em
        end)
        after_each(function()
            orm.use "blocking"
            orm.close()
            db:close()
        end)

        -- Runs coroutines in a controller.
        local function run(...)
            local controller = cqueues.new()
            for _, fn in ipairs { ... } do controller:wrap(fn) end
            assert(controller:loop())
        end

        local function warnings(fn, ...)
            local warn, found = waiting.warn, {}
            waiting.warn = function(what, advice) found[#found + 1] = what .. ": " .. advice end
            local ok, err = compat.pcall(fn, ...)
            waiting.warn = warn
            if not ok then error(err, 0) end
            return found
        end

        it("a controller that runs is recognised, and only while it does", function()
            assert.is_nil(waiting.here())
            assert.same({}, em:execute "select 1 where false") -- nothing was seen yet: the global one may be used
            local ticks, done = 0, false
            run(function()
                assert.equal("cqueues", waiting.here().name)
                em:fork():execute "select pg_sleep(0.1)"
                done = true
            end, function()
                while not done do
                    cqueues.sleep(0.002)
                    ticks = ticks + 1
                end
            end)
            assert.is_true(ticks >= 10)
            assert.is_nil(waiting.here())
            assert.same({ { n = 1 } }, em:fork():execute "select 1 as n from pg_sleep(0.01)")
        end)

        it("the global entity manager is refused once a controller was seen", function()
            local User = orm.entity { name = "User", { "id", type = "integer", primary = true } }
            orm.close()
            em = orm.init(db:config { entities = { User } }).em
            run(function() em:fork():execute "select 1" end)
            raises("global_context", em.find, em, User, {})
        end)

        it("without a controller orm.use 'cqueues' blocks, and says nothing", function()
            orm.use "cqueues"
            assert.same({}, warnings(function()
                assert.same({ { n = 1 } }, em:fork():execute "select 1 as n from pg_sleep(0.01)")
                coroutine.wrap(function() em:fork():execute "select pg_sleep(0.01)" end)()
            end))
        end)

        it("a controller in a coroutine of another one waits through both", function()
            local ticks, done = 0, 0
            assert.same({}, warnings(run, function()
                orm.request_context(function()
                    local inner = cqueues.new()
                    for _ = 1, 2 do
                        inner:wrap(function()
                            em:fork():execute "select pg_sleep(0.1)"
                            done = done + 1
                        end)
                    end
                    assert(inner:loop())
                end)
            end, function()
                while done < 2 do
                    cqueues.sleep(0.002)
                    ticks = ticks + 1
                end
            end))
            assert.is_true(ticks >= 10)
            assert.equal(2, instance:pool_stats().opened)
        end)

        it("a coroutine that the controller does not know blocks with advice, whoever made its fork", function()
            local fork = em:fork()
            local warned = warnings(run, function()
                local generator = coroutine.wrap(function()
                    coroutine.yield(fork:execute("select 1 as n from pg_sleep(0.01)")[1].n)
                    coroutine.yield "end"
                end)
                assert.same({ 1, "end" }, { generator(), generator() })
            end)
            assert.is_true(#warned > 0)
            assert.matches("orm.wrap", warned[1])
        end)

        it("a descriptor's number that comes again in the same coroutine and in others is a new one", function()
            local numbers, poll = {}, cqueues.poll
            cqueues.poll = function(object, ...)
                if type(object) == "table" then numbers[object.pollfd] = (numbers[object.pollfd] or 0) + 1 end
                return poll(object, ...)
            end
            local function use(i)
                for n = 1, 10 do
                    local fork = em:fork()
                    fork:begin()
                    assert.same({ { n = i * n } }, fork:execute("select ?::int as n from pg_sleep(0.001)", i * n))
                    raises("connection", fork.execute, fork,
                        "select pg_terminate_backend(pg_backend_pid()), pg_sleep(1)")
                    fork:rollback()
                end
            end
            local ok, err = pcall(run, function() use(1) end, function() use(2) end, function() use(3) end)
            cqueues.poll = poll
            assert(ok, err)
            local most = 0
            for _, n in pairs(numbers) do most = math.max(most, n) end
            assert.is_true(most > 10)
            assert.equal(30, instance:pool_stats().closed)
        end)

        it("an error leaves a coroutine by the controller's loop, and the next one goes on", function()
            local controller, done = cqueues.new(), false
            controller:wrap(function() em:fork():execute "select pg_sleep(0.01), 1 / 0" end)
            controller:wrap(function()
                em:fork():execute "select pg_sleep(0.05)"
                done = true
            end)
            local ok, err = controller:loop()
            assert.is_false(ok)
            assert.is_true(orm.is_error(err))
            assert(controller:loop())
            assert.is_true(done)
            assert.equal(0, instance:pool_stats().in_use)
        end)

        it("coroutines of a controller that is collected give up what they wait for", function()
            do
                local controller = cqueues.new()
                for _ = 1, 2 do
                    controller:wrap(function()
                        em:fork():transactional(function(tx)
                            tx:execute "create table never ()"
                            tx:execute "select pg_sleep(60)"
                        end)
                    end)
                end
                local asleep = "select 1 from pg_stat_activity where query = 'select pg_sleep(60)'"
                repeat controller:step(0.01) until db:raw():value(asleep)
                assert.is_true(instance:pool_stats().in_use >= 1)
            end
            collectgarbage()
            collectgarbage()
            assert.equal(0, instance:pool_stats().in_use)
            run(function() assert.same({ { n = 1 } }, em:fork():execute "select 1 as n") end)
            assert.is_nil(db:raw():value "select 1 from pg_class where relname = 'never'")
            local others = "select 1 from pg_stat_activity where query = 'select pg_sleep(60)' and state = 'active'"
            for _ = 1, 200 do
                if not db:raw():value(others) then break end
                db:raw():rows "select pg_sleep(0.01)"
            end
            assert.is_nil(db:raw():value(others))
        end)
    end)
end)
