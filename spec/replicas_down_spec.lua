-- Read replicas that are down: no read fails or waits because of one. It is left out, and tried again later.

local cluster = require "spec.support.cluster"
local core = require "heddle.core"
local databases = require "spec.support.databases"
local loop = require "spec.support.loop"
local op = require("heddle").op
local orm = require "heddle"
local places = require "spec.support.places"
local raises = require("spec.support.unit").raises
local relay = require "spec.support.relay"
local socket = require "socket"

local Place, Owner, User = places.Place, places.Owner, places.User

databases.on("postgres", function()
    describe("a replica that is down:", function()
        local servers, standby, instance, log, late, relays

        setup(function() servers = cluster.start(2) end)
        teardown(function() servers:stop() end)

        -- Time goes on by this many seconds at once: replicas are left out by core.clock.
        local clock = core.clock
        local function wait(seconds) late = late + seconds end

        before_each(function()
            late, relays, standby = 0, {}, servers.standbys[1]
            core.clock = function() return clock() + late end -- luacheck: ignore 122
        end)
        after_each(function()
            core.clock = clock -- luacheck: ignore 122
            orm.use "blocking"
            orm.close()
            for _, each in ipairs(relays) do each:stop() end
        end)

        local function open(replicas, overrides)
            local config = { replicas = replicas or { { port = standby.port } } }
            for key, value in pairs(overrides or {}) do config[key] = value end
            instance, log = places.open(servers, config)
        end

        local function relay_to(server)
            relays[#relays + 1] = relay.start(server:socket())
            relays[#relays]:latency(0)
            return relays[#relays]
        end

        local function read(em)
            return (em or orm.em():fork()):find(Place, { port = op.gt(0) }, { managed = false })[1].port
        end
        local function replica(number) return instance:pool_stats().replicas[number or 1] end

        it("stopped, it is left out for a second; started again, it reads", function()
            open()
            local em = orm.em():fork()
            assert.equal(standby.port, read(em))
            standby:stop "fast"
            assert.equal(5432, read(em))
            assert.is_false(replica().up)
            assert.is_true(orm.is_error(replica().error, "connection"))
            assert.equal("default", replica().error.context)
            places.forget(log)
            for _ = 1, 5 do assert.equal(5432, read(em)) end
            assert.equal(5, #log)
            standby:start()
            assert.equal(5432, read(em)) -- nobody asks yet
            wait(1.1)
            assert.equal(standby.port, read(em))
            assert.same({ true, nil }, { replica().up, replica().error })
            assert.equal(standby.port, read())
        end)

        it("it is tried again later and later, by one read each time", function()
            local far, tries = relay_to(standby), 0
            open { { host = far.host, port = far.port, password = function()
                tries = tries + 1
                return ""
            end } }
            far:refuse(true)
            local delays, before = {}, 0
            while #delays < 8 do
                local former = tries
                for _ = 1, 3 do assert.equal(5432, read()) end
                if tries > former then
                    assert.equal(former + 1, tries)
                    delays[#delays + 1] = late - before
                    before = late
                end
                wait(0.5)
            end
            assert.same({ 0, 1, 2, 4, 8, 16, 30, 30 }, delays)
            far:refuse(false)
            wait(30)
            assert.equal(standby.port, read())
            far:drop()
            far:refuse(true)
            assert.equal(5432, read())
            wait(1.1) -- from the beginning
            far:refuse(false)
            assert.equal(standby.port, read())
        end)

        for _, how in ipairs { "before", "after", "swallow" } do
            it("it dies in the middle of a read (" .. how .. "): the read is repeated elsewhere", function()
                local near, far = relay_to(servers.standbys[1]), relay_to(servers.standbys[2])
                open { { host = near.host, port = near.port }, { host = far.host, port = far.port } }
                local em = orm.em():fork()
                local first = read(em)
                local mine, other = near, far
                if first == servers.standbys[2].port then mine, other = far, near end
                mine:refuse(true)
                mine:close_at(1, how)
                local second = read(em)
                assert.are_not.equal(5432, second)
                assert.are_not.equal(first, second)
                assert.equal(second, read(em)) -- and stays there
                wait(5)
                assert.equal(second, read(em))
                other:refuse(true)
                other:close_at(1, how)
                local list = em:find(Owner, {}, { populate = { "places", "visits" } })
                assert.same({ 1, 1, 5432 }, { #list, #list[1].visits, list[1].places[1].port })
                assert.equal(5432, read(em))
            end)
        end

        it("between the question how far it is and the read", function()
            local far = relay_to(standby)
            open { { host = far.host, port = far.port } }
            local em = orm.em():fork()
            em:insert(User, { name = "a" })
            assert.equal(1, em:count(User, {}))
            servers:catch_up()
            far:close_at(1)
            assert.equal(1, em:count(User, {}))
            wait(1.1)
            far:close_at(2)
            assert.equal(1, em:count(User, {}))
            wait(2.1)
            assert.equal(standby.port, read(em))
        end)

        it("what is known of it ends with its connections", function()
            open()
            local em = orm.em():fork()
            em:insert(User, { name = "a" })
            read(em)
            servers:catch_up()
            for _ = 1, 2 do assert.equal(standby.port, read(em)) end
            places.forget(log)
            assert.equal(standby.port, read(em))
            assert.equal(1, #log)
            standby:disconnect()
            places.forget(log)
            -- The pool meets closed connections and opens one; whose server that is, nobody has asked yet.
            local port = read(em)
            assert.is_true(port == 5432 or #log == 2, port .. " " .. #log)
            wait(1.1)
            assert.equal(standby.port, read(em))
        end)

        it("entities that were read before stay what they are, and on_load runs once", function()
            local far, loads = relay_to(standby), {}
            open { { host = far.host, port = far.port } }
            instance:on("on_load", function(e) loads[#loads + 1] = e end)
            local em = orm.em():fork()
            local owner = em:find_one(Owner, 1)
            far:close_at(1)
            assert.equal(owner, em:find(Owner, {}, { populate = { "places" } })[1])
            assert.equal(owner, owner.places[1].owner)
            assert.same({ owner, owner.places[1] }, loads)
        end)

        it("two of which one is down: the other one reads", function()
            open { { port = servers.standbys[1].port }, { port = servers.standbys[2].port } }
            standby:stop "immediate"
            for _ = 1, 6 do assert.equal(servers.standbys[2].port, read()) end
            assert.same({ false, true }, { replica(1).up, replica(2).up })
            standby:start()
            wait(1.1)
            local ports = {}
            for _ = 1, 4 do ports[read()] = true end
            assert.same({ [5433] = true, [5434] = true }, ports)
            assert.is_true(replica(1).up)
        end)

        it("all of them down, from the start: the primary reads", function()
            open { { host = "/nowhere" }, { host = "127.0.0.1", port = 1 }, { database = "nowhere" },
                { user = "nobody" } }
            for _ = 1, 3 do assert.equal(5432, read()) end
            local em = orm.em():fork()
            em:insert(User, { name = "a" })
            for _ = 1, 3 do assert.equal(1, em:count(User, {})) end
            em:transactional(function() em:insert(User, { name = "b" }) end)
            assert.equal(2, em:count(User, {}, { connection = "read" }))
            for number = 1, 4 do
                assert.is_false(replica(number).up)
                assert.is_true(orm.is_error(replica(number).error, "connection"))
            end
            assert.same({ true }, { instance:check_connection() })
        end)

        it("C5: one that does not answer costs its connect_timeout once", function()
            local silent = assert(socket.bind("127.0.0.1", 0))
            local port = tonumber((select(2, silent:getsockname())))
            for given, expected in pairs { [0.3] = 0.3, [false] = 2 } do
                open { { host = "127.0.0.1", port = port, connect_timeout = given or nil } }
                local began = socket.gettime()
                assert.equal(5432, read())
                local took = socket.gettime() - began
                assert.is_true(took >= expected - 0.05 and took < expected + 1.5, took)
                for _ = 1, 20 do assert.equal(5432, read()) end
                silent:settimeout(0)
                assert.is_userdata(silent:accept())
                assert.is_nil((silent:accept()))
                orm.close()
            end
            silent:close()
        end)

        it("one that hangs is left out when it is asked how far it is, and a read of it takes its own time", function()
            open()
            orm.em():fork():insert(User, { name = "a" })
            local em = orm.em():fork()
            read(em)
            em:insert(User, { name = "b" })
            assert.equal(2, em:count(User, {}))
            local others = "select pid from pg_stat_activity where pid <> pg_backend_pid() and datname = '%s'"
            local pid = standby:raw():value(others:format(servers.database))
            os.execute("kill -STOP " .. pid)
            local began = socket.gettime()
            assert.equal(2, em:count(User, {}))
            assert.is_true(socket.gettime() - began < 3)
            assert.is_false(replica().up)
            assert.equal(2, em:count(User, {}))
            os.execute("kill -CONT " .. pid)
        end)

        it("C5: init does not connect, and a primary that is down is an error as ever", function()
            local far = relay_to(servers.primary)
            open({ { host = servers.directory, port = standby.port } }, { host = far.host, port = far.port })
            assert.same({ 0, 0 }, { instance:pool_stats().opened, replica().opened })
            assert.equal(standby.port, read())
            far:refuse(true)
            assert.equal(standby.port, read()) -- reads go on
            raises("connection", function() orm.em():fork():insert(User, { name = "a" }) end)
            raises("connection", function() orm.em():fork():find(User, {}, { connection = "write" }) end)
            assert.is_false((instance:check_connection()))
        end)

        it("its password's function and on_connect are its own matter", function()
            local asked, fails = {}, false
            open({ { port = servers.standbys[1].port, password = function()
                asked[#asked + 1] = "replica"
                if fails == "password" then error "no password" end
                return fails == "type" and 7 or "x"
            end } }, {
                password = function()
                    asked[#asked + 1] = "primary"
                    return "y"
                end,
                on_connect = function(conn)
                    local row = conn:execute("select pg_is_in_recovery() as standby")[1]
                    if row.standby and fails == "on_connect" then conn:execute "create table t (a int)" end
                end,
            })
            for _, what in ipairs { "password", "type", "on_connect" } do
                fails = what
                assert.equal(5432, read())
                assert.is_false(replica().up)
                assert.is_true(orm.is_error(replica().error, "connection"))
                fails = false
                wait(31)
                assert.equal(standby.port, read())
                standby:disconnect()
            end
            assert.is_truthy(table.concat(asked, " "):find "replica primary")
        end)

        it("a conflict with what it replays sends the read elsewhere, and leaves it up", function()
            open(nil, { pool = { max = 5 } })
            loop.reset()
            orm.use(loop.wait)
            local port, slow
            loop.spawn(function()
                local em = orm.em():fork()
                slow = em:find(User, op.raw "pg_sleep(case when pg_is_in_recovery() then 10 else 0 end) is not null",
                    { managed = false })
            end)
            loop.spawn(function()
                while standby:raw "postgres":value "select count(*) from pg_stat_activity where wait_event = 'PgSleep'"
                    == "0" do loop.yield() end
                servers.primary:raw():exec "alter table users alter column score set default 0"
                port = "altered"
            end)
            servers.primary:raw():exec "insert into users (name, score, version) values ('x', 0, 1)"
            servers:catch_up()
            local began = socket.gettime()
            loop.run()
            assert.same({ "altered", 1, true }, { port, #slow, replica().up })
            assert.is_true(socket.gettime() - began < 9)
        end)

        it("crashed under many readers, it makes none of them fail", function()
            open { { port = servers.standbys[1].port }, { port = servers.standbys[2].port } }
            loop.reset()
            orm.use(loop.wait)
            local done, running = 0, 0
            for _ = 1, 10 do
                loop.spawn(function()
                    local em = orm.em():fork()
                    for round = 1, 6 do
                        running = running + 1
                        local list = em:find(Place, op.raw "pg_sleep(0.03) is not null", { managed = false })
                        assert.equal(1, #list)
                        if round == 2 and running < 30 then
                            running = 30
                            standby:stop "immediate"
                        end
                    end
                    done = done + 1
                end)
            end
            loop.run()
            assert.same({ 10, false, true }, { done, replica(1).up, replica(2).up })
            standby:start()
        end)

        it("one reader at a time tries it again, the others do not wait", function()
            local far, tries = relay_to(standby), 0
            open { { host = far.host, port = far.port, password = function()
                tries = tries + 1
                return ""
            end } }
            far:refuse(true)
            assert.equal(5432, read())
            wait(1.1)
            loop.reset()
            orm.use(loop.wait)
            for _ = 1, 10 do loop.spawn(function() assert.equal(5432, read()) end) end
            loop.run()
            assert.equal(2, tries)
        end)

        it("a full pool of it sends reads elsewhere where nobody could give a connection back", function()
            open(nil, { pool = { max = 1 } })
            local held = require("heddle.replicas").link(instance, instance.replicas[1])
            held:begin "BEGIN"
            instance:run_sql(held, "select 1", { n = 0 })
            assert.equal(5432, read())
            assert.is_true(replica().up)
            held:close()
            assert.equal(standby.port, read())
        end)

        it("promoted, it goes on reading, but never what a request has written elsewhere", function()
            open { { port = servers.standbys[2].port } }
            local em = orm.em():fork()
            assert.equal(5434, read(em))
            servers.standbys[2]:promote()
            assert.equal(5434, read(em))
            em:insert(User, { name = "a" })
            for _ = 1, 3 do
                assert.equal(1, em:count(User, {}))
                assert.equal(5432, read(em))
                socket.sleep(0.03)
            end
            assert.equal(5434, read())
            assert.is_true(replica().up)
        end)
    end)
end)
