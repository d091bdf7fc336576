-- Names of hosts are looked up by threads: nobody else waits for them, limits hold, libpq connects as it would have.

local databases = require "spec.support.databases"
local names = require "spec.support.names"
local relay = require "spec.support.relay"
local schedulers = require "spec.support.schedulers"

databases.on("postgres", function(db)
    describe("names:", function()
        local server, port, config

        setup(function()
            server = relay.start()
            port = server:tcp()
        end)
        teardown(function() server:stop() end)
        before_each(function()
            server:reset()
            config = db:config()
        end)
        after_each(function() db:close() end)

        -- Runs a script that connects to the relay; it prints `expected`, and these are looked up, by threads.
        local function assert_prints(expected, lookups, known, script, variables)
            config.port, config.host = port, false
            local child = names.run(known, config, script, variables)
            assert.equal(expected, table.concat(child.lines, "\n"))
            assert.equal(0, child.code)
            table.sort(child.lookups)
            assert.equal(lookups, table.concat(child.lookups, ", "))
            return child
        end

        -- What every scheduler runs: `fast` is another context, on the server's socket.
        local busy = [[
            local fast = context("fast", { host = %q, port = %q }).em
            fast:fork():execute "select 1" -- is connected
            local done, served, longest = false, 0, 0
            local function serve()
                local own, last = fast:fork(), socket.gettime()
                while not done do
                    own:execute "select 1"
                    local now = socket.gettime()
                    longest, last, served = math.max(longest, now - last), now, served + 1
                end
            end
            local function slow()
                local rows = connect({ host = "db.test" }).em:fork():execute "select inet_client_port() as p, 7 as n"
                done = true
                print(rows[1].n, served > 50, longest < 1)
            end
        ]]

        local runs = {
            loop = [[
                orm.use(loop.wait)
                loop.spawn(slow)
                loop.spawn(serve)
                loop.run()
            ]],
            cqueues = [[
                local controller = require("cqueues").new()
                controller:wrap(slow)
                controller:wrap(serve)
                assert(controller:loop())
            ]],
            luv = [[
                local uv = require "luv"
                for _, fn in ipairs { slow, serve } do
                    local timer = uv.new_timer()
                    timer:start(0, 0, function()
                        timer:close()
                        coroutine.wrap(fn)()
                    end)
                end
                uv.run()
            ]],
        }

        for _, name in ipairs { "loop", "cqueues", "luv" } do
            if name == "loop" or schedulers.are_covered and pcall(require, name) then
                it("others are served while a name takes two seconds: " .. name, function()
                    local script = busy:format(config.host, tostring(config.port)) .. runs[name]
                    local child = assert_prints("7\ttrue\ttrue", "db.test thread",
                        { ["db.test"] = { 2000, "127.0.0.1" } }, script)
                    assert.is_true(child.seconds >= 2)
                end)
            end
        end

        it("several are looked up at the same time", function()
            local known = {}
            for i = 1, 5 do known["db" .. i .. ".test"] = { 1000, "127.0.0.1" } end
            local child = assert_prints("1", "db1.test thread, db2.test thread, db3.test thread, db4.test thread, "
                .. "db5.test thread", known, [[
                connect { host = "db1.test,db2.test,db3.test,db4.test,db5.test" }
                print(orm.em():fork():execute("select 1 as n")[1].n)
            ]])
            assert.is_true(child.seconds < 4)
        end)

        it("one that has no address is left out, and each address of the others is tried", function()
            assert_prints("1", "db.test thread, gone.test thread",
                { ["db.test"] = { 0, "127.0.0.2", "127.0.0.1" }, ["gone.test"] = { 0 } }, [[
                connect { host = "gone.test,/nowhere,db.test", options = { target_session_attrs = "read-write" } }
                print(orm.em():fork():execute("select 1 as n")[1].n)
            ]])
            assert.equal(1, server:connections())
        end)

        it("a server of the wrong kind is refused behind names as it is without", function()
            assert_prints("connection", "db.test thread", { ["db.test"] = { 0, "127.0.0.1" } }, [[
                local instance = connect { host = "db.test", options = { target_session_attrs = "standby" } }
                print(select(2, pcall(instance.connect, instance)).kind)
            ]])
        end)

        it("without any address the error has names and reasons", function()
            config.port = nil
            local child = names.run({ ["gone.test"] = { 0 }, ["lost.test"] = { 0 } }, config, [[
                local instance = connect { host = "gone.test,lost.test", port = "1,2", user = "ann" }
                local ok, err = pcall(instance.connect, instance)
                print(ok, err.kind, err.message)
                orm.use(loop.wait)
                loop.spawn(function()
                    local again, same = pcall(instance.connect, instance)
                    print(again, same.kind, same.message == err.message)
                end)
                loop.run()
            ]])
            assert.matches("^false\tconnection\t.*'gone.test,lost.test' port 1,2, database '.+', as user 'ann': "
                .. "host 'gone.test' was not found %(.+%), host 'lost.test' was not found %(.+%)$", child.lines[1])
            assert.equal("false\tconnection\ttrue", child.lines[2])
        end)

        it("names of a url and of the environment are looked up, and what has an address is not", function()
            local known = { ["db.test"] = { 0, "127.0.0.1" }, ["gone.test"] = { 0 } }
            local select_one = "print(orm.em():fork():execute('select 1 as n')[1].n)"
            assert_prints("1", "db.test thread, gone.test thread", known, ([[
                connect { url = "postgres://%s@gone.test:1,db.test:%d/" .. config.database, port = false, user = false }
            ]]):format(config.user, port) .. select_one)
            assert_prints("1", "db.test thread", known, "connect()" .. select_one, { PGHOST = "db.test" })
            assert_prints("1", "", known, "connect { host = '127.0.0.1' }" .. select_one)
            assert_prints("1", "", known, "connect { host = 'gone.test', options = { hostaddr = '127.0.0.1' } }"
                .. select_one)
            assert_prints("1", "", known, "connect { host = 'gone.test' }" .. select_one, { PGHOSTADDR = "127.0.0.1" })
        end)

        it("the password file knows a host by its name", function()
            local path = os.tmpname()
            local file = assert(io.open(path, "w"))
            file:write(("other.test:*:*:*:wrong\ndb.test:%d:*:%s:%s\n"):format(port,
                os.getenv "HEDDLE_TEST_PG_PASSWORD_ROLE", os.getenv "HEDDLE_TEST_PG_PASSWORD"))
            file:close()
            os.execute("chmod 600 " .. path)
            config.user = os.getenv "HEDDLE_TEST_PG_PASSWORD_ROLE"
            assert_prints(config.user, "db.test thread", { ["db.test"] = { 0, "127.0.0.1" } }, [[
                connect { host = "db.test" }
                print(orm.em():fork():execute("select current_user as u")[1].u)
            ]], { PGPASSFILE = path })
            os.remove(path)
        end)

        it("connect_timeout holds while a name is looked up, under a scheduler and without", function()
            local child = assert_prints("false\tconnection\ttrue\nfalse\tconnection\ttrue",
                "db.test thread, db.test thread", { ["db.test"] = { 10000, "127.0.0.1" } }, [[
                local instance = connect { host = "db.test", connect_timeout = 0.3 }
                local function try()
                    local began = socket.gettime()
                    local ok, err = pcall(instance.connect, instance)
                    print(ok, err.kind, socket.gettime() - began >= 0.3)
                end
                try()
                orm.use(loop.wait)
                loop.spawn(try)
                loop.run()
            ]])
            assert.is_true(child.seconds < 8) -- and the process ends without waiting for the threads
            assert.equal(0, server:connections())
        end)

        it("a coroutine that is forgotten while it connects leaves nothing behind", function()
            assert_prints("true\t0\t0\ntrue\n1", "db.test thread, db.test thread",
                { ["db.test"] = { 700, "127.0.0.1" } }, [[
                local lfs = require "lfs"
                local function descriptors()
                    local count = 0
                    for _ in lfs.dir "/proc/self/fd" do count = count + 1 end
                    return count
                end
                local instance = connect { host = "db.test", pool = { max = 1 } }
                orm.use(loop.wait)
                local before = descriptors()
                local co = loop.spawn(function() instance.em:fork():execute "select 1" end)
                print(loop.waits(co), instance:pool_stats().idle, instance:pool_stats().size - 1)
                loop.drop(co)
                co = nil
                collect()
                assert(instance:pool_stats().size == 0)
                local till = socket.gettime() + 5 -- the thread ends by itself
                while descriptors() > before and socket.gettime() < till do socket.sleep(0.01) end
                print(descriptors() <= before)
                loop.spawn(function() print(instance.em:fork():execute("select 1 as n")[1].n) end)
                loop.run()
            ]])
            assert.equal(1, server:connections())
        end)

        it("a process may end, and close its library, while a name is looked up", function()
            local child = assert_prints("bye", "db.test thread", { ["db.test"] = { 8000, "127.0.0.1" } }, [[
                local instance = connect { host = "db.test" }
                orm.use(loop.wait)
                loop.spawn(function() instance:connect() end)
                socket.sleep(0.2) -- it is at it
                print "bye"
            ]])
            assert.is_true(child.seconds < 6)
        end)
    end)
end)
