-- Cancel requests that take their time: under a scheduler nobody else waits for them.

local databases = require "spec.support.databases"
local loop = require "spec.support.loop"
local names = require "spec.support.names"
local orm = require "heddle"
local relay = require "spec.support.relay"
local socket = require "socket"

local pcall = require("heddle.compat").pcall -- 5.1's own cannot be yielded across

local User = orm.entity { name = "User", table = "users", { "id", type = "integer", primary = true } }

databases.on("postgres", function(db)
    describe("slow cancel requests:", function()
        local server, instance, fast, served, longest

        setup(function() server = relay.start() end)
        teardown(function() server:stop() end)

        before_each(function()
            server:reset()
            loop.reset()
            local config = db:config { entities = { User }, allow_global_context = true, pool = { max = 2 } }
            config.context_name = "fast"
            fast = orm.init(config)
            fast.schema:create()
            config.context_name, config.host, config.port = "default", server.host, server.port
            instance = orm.init(config)
            instance.em:insert(User, {})
            fast:connect()
            served, longest = 0, 0
        end)
        after_each(function()
            orm.use "blocking"
            loop.reset()
            orm.close()
            db:close()
        end)

        -- Another coroutine works on while `busy()`.
        local function serve(busy)
            loop.spawn(function()
                local own, last = fast.em:fork(), socket.gettime()
                while busy() do
                    own:execute "select 1"
                    local now = socket.gettime()
                    longest, last, served = math.max(longest, now - last), now, served + 1
                end
            end)
        end

        local function sleepers()
            return tonumber(db:raw():value [[select count(*) from pg_stat_activity where state = 'active'
                and datname = current_database() and pid <> pg_backend_pid() and query like '%pg_sleep%']])
        end

        local function stops()
            local till = socket.gettime() + 10
            while sleepers() > 0 do
                assert.is_true(socket.gettime() < till, "the statement goes on")
                socket.sleep(0.01)
            end
        end

        -- A statement with a limit of 0.1 s on the relay; gives the error.
        local function limited()
            local ok, err = pcall(function()
                return instance.em:fork():find(User, orm.op.raw "pg_sleep(60) is not null", { timeout = 0.1 })
            end)
            assert.is_false(ok)
            return err
        end

        it("others are served while a statement is canceled, and the connection stays", function()
            server:cancels(600)
            orm.use(loop.wait)
            local err
            loop.spawn(function() err = limited() end)
            serve(function() return not err end)
            loop.run()
            assert.is_true(orm.is_error(err, "timeout"))
            assert.is_true(served > 50, served)
            assert.is_true(longest < 0.5, longest)
            assert.same({ 1, 0, 0 }, { instance:pool_stats().size, instance:pool_stats().closed,
                instance:pool_stats().in_use })
            loop.spawn(function() assert.equal(1, instance.em:fork():count(User, {})) end)
            loop.run()
            assert.equal(0, sleepers())
        end)

        it("one that takes too long is left to itself, with its connection closed", function()
            server:cancels(2000)
            orm.use(loop.wait)
            local err
            loop.spawn(function() err = limited() end)
            serve(function() return not err end)
            loop.run()
            assert.is_true(orm.is_error(err, "timeout"))
            assert.is_true(served > 50, served)
            assert.is_true(longest < 0.5, longest)
            assert.equal(1, instance:pool_stats().closed)
            assert.equal(1, sleepers())
            loop.spawn(function() assert.equal(1, instance.em:fork():count(User, {})) end)
            loop.run()
            stops()
        end)

        it("a coroutine that is collected keeps nobody waiting, and its statement stops", function()
            server:cancels(1500)
            orm.use(loop.wait)
            local co = loop.spawn(function() instance.em:fork():execute "select pg_sleep(60)" end)
            while sleepers() == 0 do loop.step() end
            loop.drop(co)
            co = nil -- luacheck: ignore
            local began = socket.gettime()
            collectgarbage()
            collectgarbage()
            assert.is_true(socket.gettime() - began < 1)
            assert.equal(0, instance:pool_stats().in_use)
            assert.equal(1, sleepers())
            stops()
        end)

        it("a process that ends stops what it gives up last", function()
            for _ = 1, 6 do
                local child = names.run({}, db:config(), [[
                    local em = connect().em:fork()
                    orm.use(loop.wait)
                    loop.spawn(function() em:execute "select pg_sleep(60)" end)
                    local till = socket.gettime() + 0.2
                    while socket.gettime() < till do loop.step() end
                    error "the end"
                ]])
                assert.matches("the end", child.lines[1])
                assert.is_true(child.seconds < 5)
                stops()
            end
        end)

        it("an entity manager that waited in a scheduler and then blocks makes the request itself", function()
            server:cancels(600)
            local em = instance.em:fork()
            orm.use(loop.wait)
            loop.spawn(function() em:execute "select pg_sleep(0.05)" end)
            loop.run()
            orm.use "blocking"
            local ok, err = pcall(em.find, em, User, orm.op.raw "pg_sleep(60) is not null", { timeout = 0.1 })
            assert.is_false(ok)
            assert.is_true(orm.is_error(err, "timeout"))
            assert.equal(0, sleepers())
            assert.equal(0, instance:pool_stats().closed)
            assert.equal(1, em:count(User, {}))
        end)
    end)
end)
