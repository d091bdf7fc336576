-- C5: a context whose database is down costs the others nothing, and says what is wrong; when it is up again, so is
-- the context.

local databases = require "spec.support.databases"
local lfs = require "lfs"
local loop = require "spec.support.loop"
local orm = require "heddle"
local raises = require("spec.support.unit").raises
local relay = require "spec.support.relay"
local socket = require "socket"

local User = orm.entity { name = "User", table = "users", { "id", type = "integer", primary = true },
    { "name", type = "string" } }
local Log = orm.entity { name = "AnalyticsLog", table = "logs", { "id", type = "integer", primary = true },
    { "event", type = "text" } }

local directory = os.getenv "HEDDLE_TEST_TMP" .. "/down"
lfs.mkdir(directory)

local function write_file(name, text)
    local path = directory .. "/" .. name
    local file = assert(io.open(path, "wb"))
    file:write(text)
    file:close()
    return path
end

-- Configurations that cannot work, by what is wrong with them.
local broken = {
    ["no directory"] = { driver = "sqlite", database = directory .. "/nowhere/x.db" },
    ["a directory"] = { driver = "sqlite", database = directory },
    ["no database"] = { driver = "sqlite", database = write_file("text.db", ("not a database\n"):rep(200)) },
    ["no file"] = { driver = "sqlite", database = directory .. "/missing.db", options = { mode = "rw" } },
    ["a truncated file"] = { driver = "sqlite", database = write_file("cut.db", "SQLite format 3\0") },
}
if databases.names()[2] or databases.names()[1] == "postgres" then
    local server = { driver = "postgres", host = os.getenv "HEDDLE_TEST_PG_SOCKET", database = "postgres",
        port = tonumber(os.getenv "HEDDLE_TEST_PG_PORT"), user = os.getenv "HEDDLE_TEST_PG_USER" }
    local function with(changes)
        local config = {}
        for key, value in pairs(server) do config[key] = value end
        for key, value in pairs(changes) do config[key] = value end
        return config
    end
    broken["no socket"] = with { host = directory }
    broken["no server on the port"] = with { host = "127.0.0.1", port = 1 }
    broken["no such host"] = with { host = "no-such-host.invalid" }
    broken["no such database"] = with { database = "nowhere" }
    broken["no such role"] = with { user = "nobody-of-that-name" }
    broken["a wrong password"] = with { user = os.getenv "HEDDLE_TEST_PG_PASSWORD_ROLE", password = "guessed" }
    broken["no password"] = with { user = os.getenv "HEDDLE_TEST_PG_PASSWORD_ROLE" }
end

local function sorted_names()
    local names = {}
    for name in pairs(broken) do names[#names + 1] = name end
    table.sort(names)
    return names
end

databases.each(function(db)
    describe("C5: beside a context that is down", function()
        local em, logs, raw

        local function open_up(overrides)
            local config = db:config { entities = { User } }
            for key, value in pairs(overrides or {}) do config[key] = value end
            orm.init(config).schema:create()
            em, raw = orm.em(), db:raw(config)
        end

        local function open_down(config)
            local given = { context_name = "secondary", entities = { Log } }
            for key, value in pairs(config) do given[key] = value end
            orm.init(given)
            logs = orm.em "secondary"
        end

        after_each(function()
            orm.use "blocking"
            orm.close()
            db:close()
        end)

        local added = 0

        -- The context that is up does its work.
        local function works()
            added = added + 1
            local name = "user " .. added
            local user = em:persist_and_flush(em:create(User, { name = name }))
            assert.equal(name, raw:value("select name from users where id = " .. user.id))
        end

        for _, name in ipairs(sorted_names()) do
            it(name .. " is its own connection error", function()
                open_down(broken[name])
                open_up()
                works()
                assert.equal(0, orm.instance("secondary"):pool_stats().opened)
                logs:persist(logs:create(Log, { event = "x" }))
                for _ = 1, 3 do
                    for _, use in ipairs {
                        function() logs:find(Log, {}) end, function() logs:flush() end,
                        function() logs:count(Log, {}) end,
                        function() logs:transactional(function() logs:execute "select 1" end) end,
                        function() logs:execute "select 1" end, function() orm.instance("secondary"):connect() end,
                        function() orm.instance("secondary").schema:create() end,
                    } do
                        local err = raises("connection", use)
                        assert.equal("secondary", err.context)
                        assert.matches("down_spec.lua:%d+$", tostring(err))
                    end
                    local ok, err = orm.instance("secondary"):check_connection()
                    assert.same({ false, true }, { ok, orm.is_error(err, "connection") })
                    works()
                end
                assert.same({ true }, { orm.instance():check_connection() })
                assert.same({ 0, 0 }, { orm.instance("secondary"):pool_stats().size,
                    orm.instance("secondary"):pool_stats().in_use })
                assert.equal(tostring(em:count(User, {})), raw:value "select count(*) from users")
                orm.close "secondary"
                works()
            end)
        end

        it("a transaction goes on after an error of the other context that is caught", function()
            open_up()
            open_down(broken["no directory"])
            em:transactional(function()
                em:persist_and_flush(em:create(User, { name = "before" }))
                assert.is_false((pcall(logs.transactional, logs, function(tx)
                    tx:persist(tx:create(Log, { event = "lost" }))
                end)))
                assert.is_false(logs:in_transaction())
                em:persist(em:create(User, { name = "after" }))
            end)
            assert.same({ { "before" }, { "after" } }, raw:rows "select name from users order by id")
        end)

        it("the request goes on, and its end is no error", function()
            open_up()
            open_down(broken["no directory"])
            orm.request_context(function()
                works()
                assert.is_false((pcall(function() logs:persist_and_flush(logs:create(Log, { event = "x" })) end)))
                pcall(logs.begin, logs)
                works()
            end)
            works()
        end)

        it("a misspelt property and an entity of another context are errors of their call alone", function()
            open_up()
            open_down(db:config())
            orm.instance("secondary").schema:create()
            for _ = 1, 2 do
                assert.matches("'event'", raises("unknown_property", function()
                    logs:create(Log, { evnt = "x" })
                end).message)
                raises("unknown_property", function() logs:find(Log, { evnt = "x" }) end)
                raises("entity_not_registered", function() logs:find(User, {}) end)
                works()
                raises("wrong_context", function() logs:persist(em:find_all(User)[1]) end)
                logs:persist_and_flush(logs:create(Log, { event = "fine" }))
            end
            assert.equal("2", db:raw():value "select count(*) from logs")
        end)

        it("a pool that is full is pool_timeout at once, says who holds it, and harms its context only", function()
            open_up()
            open_down(db:config { pool = { max = 1 } })
            orm.instance("secondary").schema:create()
            local holder, other = logs:fork(), logs:fork()
            holder:begin()
            local line = debug.getinfo(1, "l").currentline - 1
            holder:persist_and_flush(holder:create(Log, { event = "x" }))
            for _ = 1, 2 do
                local err = raises("pool_timeout", function() other:count(Log, {}) end)
                assert.matches("down_spec.lua:" .. line, err.message)
                assert.equal("secondary", err.context)
                raises("pool_timeout", function() other:persist_and_flush(other:create(Log, { event = "later" })) end)
                works()
                other:clear()
            end
            holder:commit()
            assert.equal(1, other:count(Log, {}))
        end)

        it("an entity manager that nobody has any more gives its connection back to a full pool", function()
            open_up { pool = { max = 1 } }
            do
                local lost = em:fork()
                lost:begin()
                lost:persist_and_flush(lost:create(User, { name = "never" }))
            end
            works()
        end)
    end)
end)

databases.on("sqlite", function(db)
    describe("C5: on SQLite", function()
        after_each(function()
            orm.close()
            db:close()
        end)

        it("a full disk is a driver error; what is there can be read, and what is pending waits for room", function()
            local config = db:config { entities = { Log }, pragmas = { max_page_count = 20 }, pool = { max = 1 } }
            orm.init(config).schema:create()
            orm.init(db:config { context_name = "up", entities = { User } }).schema:create()
            local em, up = orm.em(), orm.em "up"
            em:persist_and_flush(em:create(Log, { event = "small" }))
            local big = em:create(Log, { event = ("x"):rep(200000) })
            em:persist(big)
            for _ = 1, 2 do
                local err = raises("driver", em.flush, em)
                assert.matches("full", err.message .. tostring(err.cause))
                up:persist_and_flush(up:create(User, { name = "fine" }))
            end
            assert.equal(1, em:fork():count(Log, {}))
            em:execute "pragma max_page_count = 1000"
            em:flush()
            assert.same({ { "small" }, { big.event } }, db:raw(config):rows "select event from logs order by id")
        end)

        it("a directory that comes is found without another init", function()
            local path = directory .. "/later"
            local em = orm.init({ driver = "sqlite", database = path .. "/x.db", entities = { Log } }).em
            em:persist(em:create(Log, { event = "x" }))
            raises("connection", em.flush, em)
            lfs.mkdir(path)
            orm.instance().schema:create()
            em:flush()
            em:flush()
            assert.equal(1, em:fork():count(Log, {}))
        end)
    end)
end)

databases.on("postgres", function(db)
    describe("C5: on PostgreSQL", function()
        local proxy
        local up

        before_each(function()
            up = orm.init { context_name = "up", driver = "sqlite", database = ":memory:", entities = { User } }
            up.schema:create()
        end)
        after_each(function()
            orm.use "blocking"
            loop.reset()
            orm.close()
            if proxy then proxy:stop() end
            proxy = nil
            db:close()
        end)

        local function works()
            local em = up.em:fork()
            em:persist_and_flush(em:create(User, { name = "fine" }))
        end

        it("a backend that was killed while it idled is replaced without an error", function()
            local config = db:config { entities = { Log }, pool = { max = 2 } }
            local instance = orm.init(config)
            instance.schema:create()
            local em = instance.em
            for round = 1, 3 do
                em:persist_and_flush(em:create(Log, { event = "x" }))
                db.driver.kill_backends(config)
                assert.equal(round, em:fork():count(Log, {}))
            end
            db.driver.kill_backends(config)
            em:transactional(function() em:persist(em:create(Log, { event = "x" })) end)
            assert.equal("4", db:raw(config):value "select count(*) from logs")
            assert.equal(1, instance:pool_stats().size)
        end)

        it("a backend that dies at work is a connection error of that call, and is replaced", function()
            local instance = orm.init(db:config { entities = { Log } })
            instance.schema:create()
            local em = instance.em
            for _ = 1, 2 do
                local err = raises("connection", function()
                    em:execute "select pg_terminate_backend(pg_backend_pid())"
                end)
                assert.matches("down_spec.lua:%d+$", tostring(err))
                works()
                assert.equal(0, em:count(Log, {}))
            end
            assert.equal(2, instance:pool_stats().closed)
        end)

        it("a backend that dies inside a transaction ends it; every call says so until it is rolled back", function()
            local config = db:config { entities = { Log } }
            local instance = orm.init(config)
            instance.schema:create()
            local em = instance.em:fork()
            em:begin()
            em:persist_and_flush(em:create(Log, { event = "lost" }))
            db.driver.kill_backends(config)
            for _, use in ipairs {
                function() em:count(Log, {}) end, function() em:execute "select 1" end,
                function() em:persist(em:create(Log, { event = "lost too" })) em:flush() end,
                function() em:transactional(function() em:execute "select 1" end) end,
            } do
                raises("connection", use)
                works()
            end
            em:rollback()
            em:clear()
            em:transactional(function() em:persist(em:create(Log, { event = "kept" })) end)
            assert.same({ { "kept" } }, db:raw(config):rows "select event from logs")
            local ok, err = pcall(em.transactional, em, function()
                em:execute "select 1"
                db.driver.kill_backends(config)
                em:execute "select 1"
            end)
            assert.is_false(ok)
            assert.is_true(orm.is_error(err, "connection"))
            assert.is_false(em:in_transaction())
            assert.equal(1, em:count(Log, {}))
        end)

        it("a server that refused, and then does not, needs no new init: what was pending is written once", function()
            proxy = relay.start()
            local config = db:config { entities = { Log } }
            orm.init(config).schema:create()
            orm.close "default"
            local through = {}
            for key, value in pairs(config) do through[key] = value end
            through.host, through.port = proxy.host, proxy.port
            orm.init(through)
            local em = orm.em()
            proxy:refuse(true)
            em:persist(em:create(Log, { event = "x" }))
            for _ = 1, 3 do
                raises("connection", em.flush, em)
                works()
            end
            proxy:refuse(false)
            em:flush()
            em:flush()
            proxy:drop()
            assert.equal(1, em:fork():count(Log, {}))
            assert.equal("1", db:raw(config):value "select count(*) from logs")
        end)

        -- A server that takes connections and never says a word.
        local function silent()
            local host = directory .. "/silent"
            lfs.mkdir(host)
            local path = host .. "/.s.PGSQL.5432"
            os.remove(path)
            local server = require "socket.unix"()
            assert(server:bind(path))
            assert(server:listen(8))
            return { driver = "postgres", host = host, port = 5432, database = "d", user = "u", entities = { Log },
                connect_timeout = 0.3 }, server
        end

        it("a server that says nothing is a connection error after connect_timeout", function()
            local config, server = silent()
            local instance = orm.init(config)
            raises("connection", instance.connect, instance)
            works()
            assert.equal(0, instance:pool_stats().size)
            server:close()
        end)

        it("while one waits for a server that says nothing, the others go on", function()
            local config, server = silent()
            local instance = orm.init(config)
            orm.use(loop.wait)
            local failed, written = false, 0
            for _ = 1, 3 do
                loop.spawn(function()
                    local ok, err = instance:check_connection()
                    assert.same({ false, true }, { ok, orm.is_error(err, "connection") })
                    failed = true
                end)
            end
            loop.spawn(function()
                while written < 20 do
                    works()
                    assert.is_false(failed)
                    written = written + 1
                    loop.yield()
                end
            end)
            local started = socket.gettime()
            loop.run()
            assert.same({ true, 20 }, { failed, written })
            assert.is_true(socket.gettime() - started < 5) -- together, not one after the other, and never 10 s
            server:close()
        end)
    end)
end)
