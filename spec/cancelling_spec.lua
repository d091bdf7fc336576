-- What nobody waits for any more is stopped: on the server too, and whoever comes next can go on.

local core = require "heddle.core"
local databases = require "spec.support.databases"
local loop = require "spec.support.loop"
local orm = require "heddle"
local socket = require "socket"
local raises = require("spec.support.unit").raises

local pcall = require("heddle.compat").pcall -- 5.1's own cannot be yielded across

local User = orm.entity {
    name = "User", table = "users",
    { "id", type = "integer", primary = true },
    { "name", type = "string", unique = true },
}

local function collect()
    collectgarbage()
    collectgarbage()
end

databases.each(function(db)
    describe("giving up:", function()
        local instance, em, config, told

        local function open(overrides)
            config = { entities = { User }, allow_global_context = true, pool = { max = 3 } }
            for key, value in pairs(overrides or {}) do config[key] = value end
            if not config.database then config = db:config(config) end
            instance = orm.init(config)
            instance.schema:create()
            em = instance.em:fork()
            em:insert(User, { name = "Ann" })
            told = {}
            instance:on("query", function(entry) told[#told + 1] = entry end)
        end

        before_each(function() loop.reset() end)
        after_each(function()
            orm.use "blocking"
            debug.sethook()
            loop.reset()
            orm.close()
            db:close()
        end)

        local function running(what)
            return tonumber(db:raw():value(("select count(*) from pg_stat_activity where state = 'active' and "
                .. "datname = current_database() and pid <> pg_backend_pid() and query like '%%%s%%'"):format(what)))
        end

        -- Lets the loop run until the server is at it.
        local function until_it_runs(what)
            local till = socket.gettime() + 10
            while running(what) == 0 do
                assert.is_true(socket.gettime() < till, "it does not run")
                loop.step()
            end
        end

        -- The server stops by itself; nobody asks it any more.
        local function stops(what)
            local till = socket.gettime() + 5
            while running(what) > 0 do
                assert.is_true(socket.gettime() < till, "the statement goes on")
                socket.sleep(0.005)
            end
        end

        if db.name == "postgres" then
            -- Runs fn in a coroutine whose scheduler raises an error in it when the server is at work.
            local function abort_in(what, fn)
                local aborted, result = false, nil
                orm.use(function(...)
                    local answer = loop.wait(...)
                    if aborted then error("the request was aborted", 0) end
                    return answer
                end)
                local co = loop.spawn(function() result = { pcall(fn) } end)
                until_it_runs(what)
                aborted = true
                loop.drop(co)
                orm.use "blocking" -- for what is done about it
                assert.is_true(coroutine.resume(co, false))
                orm.use(loop.wait)
                assert.same({ false, "the request was aborted" }, result)
            end

            it("an error of the scheduler's stops what runs on the server", function()
                open()
                abort_in("pg_sleep", function() em:execute "select pg_sleep(60)" end)
                stops "pg_sleep"
                assert.equal("canceled", told[#told].error.kind)
                assert.equal("select pg_sleep(60)", told[#told].sql)
                assert.is_true(told[#told].duration > 0)
                assert.is_nil(told[#told].rows)
                loop.spawn(function() assert.equal(1, em:count(User, {})) end)
                loop.run()
                assert.equal(0, instance:pool_stats().in_use)
            end)

            it("in a transaction its locks are free again, and the transaction is over", function()
                open()
                em:begin()
                em:update_where(User, { id = 1 }, { name = "changed" })
                abort_in("pg_sleep", function() em:execute "select pg_sleep(60)" end)
                stops "pg_sleep"
                db:raw():exec "set lock_timeout = '2s'"
                db:raw():exec "update users set name = 'Ben' where name = 'Ann'"
                raises("connection", em.find, em, User, {})
                em:rollback()
                loop.spawn(function() assert.equal("Ben", em:find_one(User, 1).name) end)
                loop.run()
                assert.equal(0, instance:pool_stats().in_use)
            end)

            it("F1: a flush that is given up while it waits for a lock is pending again, and stops", function()
                open()
                local raw = db:raw()
                local user = em:find_one(User, 1)
                user.name = "changed"
                local new = em:create(User, { name = "new" })
                em:persist(new)
                local holder = require("spec.support.postgres").raw(config)
                holder:exec "begin"
                holder:exec "update users set name = 'held' where id = 1"
                abort_in("users", function() em:flush() end)
                stops "users"
                holder:exec "rollback"
                holder:close()
                assert.equal("1", raw:value "select count(*) from users where name = 'Ann'")
                loop.spawn(function() em:flush() end)
                loop.run()
                assert.same({ { "changed" }, { "new" } }, raw:rows "select name from users order by name")
            end)

            local function leave_behind(keep)
                local co = loop.spawn(function()
                    local own = keep or em:fork()
                    own:execute "select pg_sleep(60)"
                end)
                until_it_runs "pg_sleep"
                loop.drop(co)
                return co
            end

            it("a coroutine that is collected stops it at once, whoever has its entity manager", function()
                open()
                orm.use(loop.wait)
                for _, keep in ipairs { false, em } do
                    leave_behind(keep)
                    collect()
                    stops "pg_sleep"
                    assert.equal(0, instance:pool_stats().in_use)
                end
                loop.spawn(function() assert.equal(1, em:count(User, {})) end)
                loop.run()
            end)

            it("what an entity manager does after that is not met by the collector", function()
                open()
                assert.equal(1, em:count(User, {}))
                orm.use(loop.wait)
                local guard = core.guard(em.link) -- as a coroutine that waited for that one would have it
                assert.is_userdata(guard)
                local co = loop.spawn(function()
                    assert.same({ { n = 1 } }, em:execute "select 1 as n from pg_sleep(0.1)")
                end)
                guard = nil -- luacheck: ignore
                assert.is_true(loop.waits(co))
                collect()
                loop.run()
                assert.equal(0, instance:pool_stats().closed)
            end)

            it("what held a wait that is over holds a later one, and nothing in between", function()
                open()
                orm.use(loop.wait)
                for _ = 1, 2 do
                    loop.spawn(function() em:execute "select pg_sleep(0.05)" end)
                    loop.run()
                    leave_behind(false)
                    collect()
                    stops "pg_sleep"
                end
                local fork = em:fork()
                fork:open_link()
                local guard, known = core.guard(em.link), setmetatable({ fork.link }, { __mode = "v" })
                guard:release()
                guard:hold(fork.link)
                fork = nil -- luacheck: ignore
                collect()
                assert.is_userdata(known[1])
                guard:release()
                collect()
                assert.is_nil(known[1])
                assert.has_error(function() guard:hold(1) end)
            end)

            if coroutine.close then
                it("a coroutine that is closed stops it when it is collected", function()
                    open()
                    orm.use(loop.wait)
                    local co = leave_behind(em)
                    coroutine.close(co)
                    co = nil -- luacheck: ignore
                    collect()
                    stops "pg_sleep"
                    loop.spawn(function() assert.equal(1, em:count(User, {})) end)
                    loop.run()
                end)
            end

            it("canceled: somebody else's doing is told apart from a limit, and the connection goes on", function()
                open()
                orm.use(loop.wait)
                local err
                local co = loop.spawn(function()
                    local ok
                    ok, err = pcall(em.execute, em, "select pg_sleep(60)")
                    assert.is_false(ok)
                end)
                until_it_runs "pg_sleep"
                db:raw():rows [[select pg_cancel_backend(pid) from pg_stat_activity
                    where query like 'select pg_sleep%' and datname = current_database()]]
                loop.run()
                assert.equal("dead", coroutine.status(co))
                assert.is_true(orm.is_error(err, "canceled"))
                assert.equal("57014", err.sqlstate)
                assert.equal("canceled", told[#told].error.kind)
                assert.same({ 0, 0 }, { instance:pool_stats().closed, instance:pool_stats().in_use })
            end)

            it("leaving a stream early stops nothing but the stream", function()
                open()
                for i = 1, 2000 do db:raw():exec("insert into users (name) values ('u" .. i .. "')") end
                local rows = em:stream(User, {}, { order_by = { "id" } })
                assert.is_table(rows())
                rows:close()
                assert.equal(2001, em:count(User, {}))
                assert.equal(0, instance:pool_stats().in_use)
            end)
        else
            it("a wait for a lock that is broken off leaves the connection, in memory too", function()
                open { driver = "sqlite", database = ":memory:" }
                local first, second, waited = em:fork(), em:fork(), false
                orm.use(loop.wait)
                loop.spawn(function()
                    first:transactional(function()
                        first:insert(User, { name = "Ben" })
                        while not waited do loop.yield() end
                    end)
                end)
                loop.spawn(function()
                    orm.use(function() error("aborted", 0) end)
                    assert.same({ false, "aborted" }, { pcall(second.count, second, User, {}) })
                    orm.use(loop.wait)
                    waited = true
                end)
                loop.run()
                loop.spawn(function() assert.equal(2, second:count(User, {})) end)
                loop.run()
                assert.equal(0, instance:pool_stats().closed)
            end)

            it("a transaction that waits for a lock and is given up is rolled back", function()
                open()
                local raw = db:raw()
                orm.use(loop.wait)
                raw:exec "begin immediate"
                local co = loop.spawn(function()
                    em:transactional(function(tx) tx:insert(User, { name = "never" }) end)
                end)
                assert.is_true(loop.waits(co))
                loop.drop(co)
                co = nil -- luacheck: ignore
                collect()
                raw:exec "rollback"
                raw:exec "insert into users (name) values ('Ben')"
                loop.spawn(function()
                    if em:in_transaction() then em:rollback() end
                    assert.equal(2, em:count(User, {}))
                end)
                loop.run()
                assert.same({ 0, 0 }, { instance:pool_stats().closed, instance:pool_stats().in_use })
            end)
        end

        -- Ctrl-C -----------------------------------------------------------------------------------------------------

        if db.name == "postgres" then
            it("Ctrl-C stops a script, and what it runs on the server", function()
                open()
                local script = os.tmpname()
                local file = assert(io.open(script, "w"))
                file:write(([[
                    local orm = require "heddle"
                    orm.init { driver = "postgres", host = %q, port = %d, user = %q, database = %q, entities = {} }
                    local em = orm.em():fork()
                    local ok, err = pcall(em.execute, em, "select pg_sleep(60)")
                    print(ok, err)
                    print(em:execute("select 1 as n")[1].n)
                ]]):format(config.host, config.port, config.user, config.database))
                file:close()
                local began = socket.gettime()
                local pipe = io.popen(("echo $$; exec %s %s 2>&1"):format(os.getenv "HEDDLE_TEST_LUA", script))
                local pid = tonumber(pipe:read "*l")
                until_it_runs "pg_sleep"
                os.execute("kill -INT " .. pid)
                local output = pipe:read "*a"
                pipe:close()
                os.remove(script)
                assert.matches("^false\t.*interrupted!.*\n1\n$", output)
                assert.is_true(socket.gettime() - began < 10)
                stops "pg_sleep"
            end)
        end

        it("an error that comes at any instruction leaves nothing running", function()
            local is_memory = db.name == "sqlite"
            open(is_memory and { driver = "sqlite", database = ":memory:" } or nil)
            local jit, stderr = rawget(_G, "jit"), io.stderr
            if jit then
                jit.off()
                jit.flush()
            end
            io.stderr = { write = function() end } -- luacheck: ignore 122
            finally(function()
                io.stderr = stderr -- luacheck: ignore 122
                if jit then jit.on() end
            end)
            local fork, broken = em, 0
            for count = 1, 1500, 7 do
                fork:clear()
                local fired = false
                local function hook()
                    debug.sethook()
                    fired = true
                    error("interrupted!", 0)
                end
                local ok, err = pcall(function()
                    debug.sethook(hook, "", count)
                    fork:find(User, {})
                    debug.sethook()
                end)
                if not fired then break end
                broken = broken + (ok and 0 or 1)
                if not ok then assert.equal("interrupted!", tostring(err)) end
                assert.equal(1, fork:execute("select count(*) as n from users")[1].n)
                fork:clear()
                assert.equal("Ann", fork:find(User, {})[1].name)
                assert.equal(0, instance:pool_stats().in_use)
            end
            assert.is_true(broken > 20, broken)
        end)
    end)
end)
