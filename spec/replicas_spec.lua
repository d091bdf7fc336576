-- Read replicas: reads outside of transactions go to a standby, everything else to the primary. Where a read ran, the
-- server that answered it says (support/places.lua).

local cluster = require "spec.support.cluster"
local databases = require "spec.support.databases"
local loop = require "spec.support.loop"
local orm = require "heddle"
local places = require "spec.support.places"
local raises = require("spec.support.unit").raises

local op = orm.op

local Place, Owner, Visit, User = places.Place, places.Owner, places.Visit, places.User

databases.on("sqlite", function(db)
    it("SQLite takes a configuration with replicas, and has none", function()
        local instance = orm.init(db:config { entities = { User }, replicas = { { host = "replica", port = 5433 } } })
        instance.schema:create()
        local em = orm.em()
        em:insert(User, { name = "a" })
        for _, connection in ipairs { "read", "write" } do
            assert.equal(1, em:count(User, {}, { connection = connection }))
        end
        assert.matches("connection", raises("validation", em.find, em, User, {}, { connection = "any" }).message)
        assert.is_nil(instance:pool_stats().replicas)
        raises("config", orm.init, db:config { context_name = "x", replicas = { { hots = "replica" } } })
        orm.close()
    end)
end)

databases.on("postgres", function()
    describe("read replicas:", function()
        local servers, standby, instance, log

        setup(function()
            servers = cluster.start(2)
            standby = servers.standbys[1]
        end)
        teardown(function() servers:stop() end)

        local function open(overrides)
            instance, log = places.open(servers, overrides)
        end

        -- With one standby, whose replaying the specs stop.
        local function open_one(overrides)
            local config = { replicas = { { port = standby.port } } }
            for key, value in pairs(overrides or {}) do config[key] = value end
            return open(config)
        end

        after_each(function()
            orm.use "blocking"
            orm.close()
            for _, each in ipairs(servers.standbys) do each:resume() end
        end)

        local function fork() return orm.em():fork() end

        -- Whether a fresh read ran on a standby.
        local function on_standby(em, opts) return em:find(Place, {}, opts or { managed = false })[1].standby end

        describe("without a transaction", function()
            before_each(function() open() end)

            local reads = {
                find = function(em) return em:find(Place, {})[1].standby end,
                ["find, unmanaged"] = function(em) return em:find(Place, {}, { managed = false })[1].standby end,
                ["find by a filter"] = function(em) return em:find(Place, { port = op.gt(0) })[1].standby end,
                find_all = function(em) return em:find_all(Place)[1].standby end,
                ["find_one by key"] = function(em) return em:find_one(Place, 1).standby end,
                ["find_one by key with options"] = function(em)
                    return em:find_one(Place, 1, { fields = { "standby" } }).standby
                end,
                ["find_one by a filter"] = function(em) return em:find_one(Place, { port = op.gt(0) }).standby end,
                find_one_or_fail = function(em) return em:find_one_or_fail(Place, 1).standby end,
                count = function(em) return em:count(Place, { standby = true }) == 1 end,
                find_and_count = function(em)
                    local list, total = em:find_and_count(Place, { standby = true })
                    assert.equal(#list, total)
                    return total == 1
                end,
                find_by_cursor = function(em)
                    local page = em:find_by_cursor(Place, { standby = true },
                        { order_by = { "id" }, first = 5, count = true })
                    assert.equal(#page.items, page.total)
                    return page.total == 1
                end,
                ["load of a reference"] = function(em)
                    return em:load(em:get_reference(Place, 1)).standby
                end,
                ["load of a lazy property"] = function(em)
                    local place = em:find_one(Place, 1)
                    places.forget(log)
                    assert.equal("x", em:load(place, { "about" }).about)
                    return log[1].connection ~= "primary" and #log == 1
                end,
                ["load of a path"] = function(em)
                    local visit = em:find_one(Visit, 1)
                    em:load(visit, { "place" })
                    return visit.place.standby
                end,
                ["load of a collection"] = function(em)
                    local owner = em:find_one(Owner, 1)
                    return owner.places:load()[1].standby
                end,
                ["load_count of a collection"] = function(em)
                    local owner = em:find_one(Owner, 1)
                    places.forget(log)
                    owner.places:load_count()
                    return #log == 1 and log[1].connection ~= "primary"
                end,
                ["matching of a collection"] = function(em)
                    return em:find_one(Owner, 1).places:matching({ port = op.gt(0) })[1].standby
                end,
                ["populate of a to-one relation"] = function(em)
                    return em:find(Visit, {}, { populate = { "place" } })[1].place.standby
                end,
                ["populate of collections"] = function(em)
                    local place = em:find(Owner, {}, { populate = { "places.words" } })[1].places[1]
                    assert.equal(place.standby, place.words[1].standby)
                    return place.standby
                end,
                ["populate in one joined statement"] = function(em)
                    local owners = em:find(Owner, {}, { populate = { "places", "visits" }, strategy = "joined" })
                    assert.equal(1, #log)
                    return owners[1].places[1].standby
                end,
                stream = function(em)
                    local standby_of
                    for place in em:stream(Place, {}) do standby_of = place.standby end
                    return standby_of
                end,
                ["stream with populate"] = function(em)
                    local standby_of
                    for owner in em:stream(Owner, {}, { populate = { "places" }, managed = true }) do
                        standby_of = owner.places[1].standby
                    end
                    return standby_of
                end,
                ["query builder, entities"] = function(em) return em:query(Place, "p"):all()[1].standby end,
                ["query builder, one"] = function(em) return em:query(Place, "p"):one().standby end,
                ["query builder, rows"] = function(em)
                    return em:query(Place, "p"):select("standby"):rows()[1].standby
                end,
                ["query builder, count"] = function(em)
                    return em:query(Place, "p"):where({ standby = true }):count() == 1
                end,
                ["populate, unmanaged"] = function(em)
                    return em:find(Owner, {}, { populate = { "places" }, managed = false })[1].places[1].standby
                end,
            }

            for name, read in pairs(reads) do
                it(name .. " runs on a replica", function()
                    assert.is_true(read(fork()))
                    for _, entry in ipairs(log) do assert.matches("^replica [12]$", entry.connection) end
                end)
            end

            it("every statement of one query runs on the same one", function()
                for _ = 1, 6 do
                    places.forget(log)
                    fork():find(Owner, {}, { populate = { "places.words", "visits" } })
                    assert.is_true(#log >= 4)
                    for _, entry in ipairs(log) do assert.equal(log[1].connection, entry.connection) end
                end
            end)

            it("entity managers are shared out among the replicas, and each stays with its own", function()
                local ports = {}
                for _ = 1, 8 do
                    local em = fork()
                    local port = em:find_one(Place, 1, { managed = false }).port
                    ports[port] = (ports[port] or 0) + 1
                    for _ = 1, 3 do assert.equal(port, em:find_one(Place, 1, { managed = false }).port) end
                end
                assert.same({ [5433] = 4, [5434] = 4 }, ports)
            end)

            it("clear chooses anew", function()
                local em, ports = fork(), {}
                for _ = 1, 4 do
                    local port = em:find_one(Place, 1).port
                    ports[port] = (ports[port] or 0) + 1
                    em:clear()
                end
                assert.same({ [5433] = 2, [5434] = 2 }, ports)
            end)

            it("connection = \"write\" reads on the primary, in every statement of the query", function()
                local em = fork()
                assert.is_false(on_standby(em, { connection = "write" }))
                assert.equal(0, em:count(Place, { standby = true }, { connection = "write" }))
                local visit = em:find(Visit, {}, { populate = { "place.words" }, connection = "write" })[1]
                assert.same({ false, false }, { visit.place.standby, visit.place.words[1].standby })
                local owner = fork():find_one(Owner, 1, { connection = "write", populate = { "places" } })
                assert.is_false(owner.places[1].standby)
                for _, entry in ipairs(log) do assert.equal("primary", entry.connection) end
                assert.is_true(on_standby(em))
                assert.is_true(on_standby(em, { connection = "read" }))
            end)

            it("any other connection is validation", function()
                local em = fork()
                local owner = em:find_one(Owner, 1)
                for _, value in ipairs { "primary", "", true, 1, {} } do
                    local opts = { connection = value }
                    for _, use in ipairs {
                        function() em:find(User, {}, opts) end, function() em:find_all(User, opts) end,
                        function() em:find_one(User, 1, opts) end, function() em:count(User, {}, opts) end,
                        function() em:find_and_count(User, {}, opts) end,
                        function()
                            em:find_by_cursor(User, {}, { order_by = { "id" }, first = 1, connection = value })
                        end,
                        function() em:load(owner, { "visits" }, opts) end,
                        function() owner.visits:matching({}, opts) end,
                    } do
                        assert.matches("connection", raises("validation", use).message)
                    end
                end
            end)

            it("what has to be the newest is the primary's", function()
                local em = fork()
                local user = em:create(User, { name = "a" })
                em:persist_and_flush(user)
                places.forget(log)
                em:refresh(user)
                em:find_one(User, user.id, { refresh = true })
                em:load(user, {}, { refresh = true })
                em:lock(user, "optimistic")
                for _, entry in ipairs(log) do assert.equal("primary", entry.connection) end
                assert.equal(4, #log)
                assert.same({ { standby = false } }, em:execute "select pg_is_in_recovery() as standby")
            end)

            it("what a flush reads is the primary's", function()
                standby:pause()
                servers.standbys[2]:pause()
                servers.primary:raw():exec "insert into visits (place_id, owner_id) values (1, 1)"
                local em = fork()
                em:remove(em:find_one(Owner, 1)):flush()
                assert.equal("0", servers.primary:raw():value "select count(*) from visits")
                for i = 2, #log do assert.equal("primary", log[i].connection) end
            end)
        end)

        describe("inside a transaction", function()
            before_each(function() open_one() end)

            it("everything is the primary's", function()
                local em = fork()
                em:transactional(function(tx)
                    assert.is_false(on_standby(tx))
                    assert.is_false(on_standby(tx, { connection = "read" }))
                    assert.is_false(on_standby(orm.em()))
                    tx:transactional(function() assert.is_false(on_standby(tx)) end)
                    tx:find(Owner, {}, { populate = { "places" } })
                    assert.is_true(on_standby(fork())) -- another one
                end)
                em:transactional(function() assert.is_false(on_standby(em)) end, { read_only = true })
                em:begin()
                assert.is_false(on_standby(em))
                em:commit()
                assert.is_true(on_standby(em))
                em:begin()
                assert.is_false(on_standby(em))
                em:rollback()
                assert.is_true(on_standby(em))
            end)

            it("in orm.testing too", function()
                orm.testing(nil, function()
                    local em = orm.em()
                    em:persist_and_flush(em:create(User, { name = "a" }))
                    assert.is_false(on_standby(em))
                    assert.is_false(on_standby(em:fork(), { connection = "read" }))
                    assert.equal(1, em:fork():count(User, {}))
                end)
                assert.is_true(on_standby(fork()))
            end)
        end)

        it("a read that the standby refuses because it writes is done by the primary", function()
            open_one()
            local before = tonumber(servers.primary:raw():value "select last_value from numbers")
            local em = fork()
            assert.is_true(on_standby(em))
            assert.is_false(em:find(Place, op.raw("nextval('numbers') > 0"), { managed = false })[1].standby)
            assert.is_false(on_standby(em)) -- it has written
            servers:catch_up()
            assert.is_true(on_standby(em))
            assert.equal(before, tonumber(servers.primary:raw():value "select last_value from numbers"))
        end)

        it("errors of the query are raised as ever", function()
            open_one()
            local em = fork()
            local err = raises("validation", function() em:find(Place, op.raw "1 / 0 = 1") end)
            assert.equal("22012", err.sqlstate)
            assert.is_true(instance:pool_stats().replicas[1].up)
            assert.equal(1, #log)
        end)

        it("an entity manager that waits for a replica is busy, and free when its coroutine is given up", function()
            open_one { allow_global_context = true }
            loop.reset()
            orm.use(loop.wait)
            local em, raised = fork(), nil
            local function wait_long()
                return em:find(Place, op.raw "pg_sleep(0.2) is not null", { managed = false })[1].standby
            end
            local first
            loop.spawn(function() first = wait_long() end)
            loop.spawn(function() raised = raises("busy", em.find, em, Place, {}) end)
            loop.run()
            assert.is_true(first)
            assert.is_truthy(raised)
            do
                local co = loop.spawn(wait_long)
                loop.step()
                loop.drop(co)
            end
            collectgarbage()
            collectgarbage()
            loop.spawn(function() first = on_standby(em) end)
            loop.run()
            assert.is_true(first)
            orm.use "blocking"
            assert.equal(0, instance:pool_stats().replicas[1].in_use)
        end)

        it("em:drop and the end of a request give its connection back", function()
            open_one { pool = { max = 2 } }
            for _ = 1, 5 do orm.request_context(function() assert.is_true(on_standby(orm.em())) end) end
            local stats = instance:pool_stats().replicas[1]
            assert.same({ 1, 0, 5 }, { stats.opened, stats.in_use, stats.acquired })
        end)

        it("pool_stats tells of each replica; the primary's numbers are the primary's", function()
            open()
            local em, other = fork(), fork()
            on_standby(em)
            on_standby(other)
            local stats = instance:pool_stats()
            assert.same({ 0, 0, 2 }, { stats.opened, stats.acquired, #stats.replicas })
            for number, replica in ipairs(stats.replicas) do
                assert.same({ servers.directory, tostring(5432 + number), true },
                    { replica.host, replica.port, replica.up })
                assert.same({ 1, 1, 0, 1 }, { replica.opened, replica.idle, replica.in_use, replica.acquired })
                assert.is_nil(replica.error)
            end
            assert.same({ true }, { instance:check_connection() })
            assert.equal(1, instance:pool_stats().opened)
            orm.close()
            local sessions = "select count(*) = 0 from pg_stat_activity where datname = '%s'"
            standby:wait_for(sessions:format(servers.database))
        end)

        it("without replicas pool_stats has none, and connection changes nothing", function()
            open { replicas = {} }
            assert.is_nil(instance:pool_stats().replicas)
            assert.is_false(on_standby(fork(), { connection = "read" }))
            assert.equal("primary", log[1].connection)
        end)
    end)
end)
