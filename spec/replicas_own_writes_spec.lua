-- Read replicas: what a request has written, its reads see, however far behind the standby is. Its replaying is paused,
-- so that it never has what was written since, and every answer that has it came from the primary.

local cluster = require "spec.support.cluster"
local databases = require "spec.support.databases"
local loop = require "spec.support.loop"
local orm = require "heddle"
local places = require "spec.support.places"
local relay = require "spec.support.relay"
local socket = require "socket"

local Place, User, Owner = places.Place, places.User, places.Owner

databases.on("postgres", function()
    describe("read your own writes:", function()
        local servers, standby, log

        setup(function()
            servers = cluster.start(1)
            standby = servers.standbys[1]
        end)
        teardown(function() servers:stop() end)

        before_each(function()
            log = select(2, places.open(servers))
            orm.em():fork():persist_and_flush(User { name = "known" })
            servers:catch_up()
            standby:pause()
            places.forget(log)
        end)
        after_each(function()
            orm.use "blocking"
            orm.close()
            standby:resume()
        end)

        local function on_standby(em) return em:find(Place, {}, { managed = false })[1].standby end

        local function names(em)
            local list = {}
            local found = em:find(User, {}, { managed = false, order_by = { "name" } })
            for i, user in ipairs(found) do list[i] = user.name end
            return table.concat(list, " ")
        end

        -- Statements since the log was emptied: "replica 1: SELECT", with `place` for the questions of replication.
        local function sent()
            local list = {}
            for i, entry in ipairs(log) do
                local is_place = entry.sql:find "wal_lsn_diff"
                list[i] = entry.connection .. ": " .. (is_place and "place" or entry.sql:match "^%a+")
            end
            places.forget(log)
            return list
        end

        local function known(em) return em:find_one(User, { name = "known" }, { connection = "write" }) end

        local writes = {
            ["a flush that inserts"] = { function(em) em:persist_and_flush(User { name = "new" }) end, "known new" },
            ["a flush that updates"] = { function(em)
                known(em).name = "new"
                em:flush()
            end, "new" },
            ["a flush that deletes"] = { function(em) em:remove(known(em)):flush() end, "" },
            ["a flush of several statements"] = { function(em)
                known(em).name = "old"
                em:persist(User { name = "new" }):flush()
            end, "new old" },
            ["a flush that a query made"] = { function(em)
                em:persist(User { name = "new" })
                assert.equal(2, em:count(User, {}))
            end, "known new" },
            insert = { function(em) em:insert(User, { name = "new" }) end, "known new" },
            ["insert with an expression"] = { function(em)
                em:insert(User, { name = orm.raw "'n' || 'ew'" })
            end, "known new" },
            insert_many = { function(em) em:insert_many(User, { { name = "a" }, { name = "b" } }) end, "a b known" },
            update_where = { function(em) em:update_where(User, { name = "known" }, { name = "new" }) end, "new" },
            delete_where = { function(em) em:delete_where(User, { name = "known" }) end, "" },
            upsert = { function(em)
                em:upsert(User, { name = "new" }, { on_conflict_fields = { "name" } })
            end, "known new" },
            ["upsert_many"] = { function(em)
                em:upsert_many(User, { { name = "new" }, { name = "known", score = 7 } },
                    { on_conflict_fields = { "name" } })
            end, "known new" },
            ["execute of an INSERT"] = { function(em)
                em:execute("insert into users (name, score, version) values (?, 0, 1)", "new")
            end, "known new" },
            ["execute with a row back"] = { function(em)
                em:execute("update users set name = ? returning id", "new")
            end, "new" },
            ["execute of a CTE"] = { function(em)
                em:execute "with gone as (delete from users returning 1) select count(*) from gone"
            end, "" },
            ["execute of a SELECT that calls what writes"] = { function(em)
                em:execute("select add_user(?)", "new")
            end, "known new" },
            ["a find whose condition writes"] = { function(em)
                em:find(User, orm.op.raw "add_user('new') > 0", { limit = 1 })
            end, "known new" },
            ["the query builder's insert"] = { function(em)
                em:query(User):insert({ name = "new", score = 1 }):execute()
            end, "known new" },
            ["the query builder's update, with rows back"] = { function(em)
                em:query(User):update({ name = "new" }):where({ name = "known" }):returning("name"):rows()
            end, "new" },
            ["the query builder's delete"] = { function(em)
                em:query(User):delete():where({ name = "known" }):execute()
            end, "" },
            ["a transaction"] = { function(em)
                em:transactional(function() em:persist(User { name = "new" }) end)
            end, "known new" },
            ["a transaction of raw SQL"] = { function(em)
                em:begin()
                em:execute "delete from users"
                em:commit()
            end, "" },
            ["a transaction of a SELECT that calls what writes"] = { function(em)
                em:begin()
                em:execute("select add_user(?)", "new")
                em:commit()
            end, "known new" },
            ["a transaction after a savepoint that was rolled back"] = { function(em)
                em:transactional(function()
                    em:update_where(User, {}, { name = "new" }, { all = true })
                    pcall(em.transactional, em, function() error "no" end)
                end)
            end, "new" },
            ["a transaction on another connection"] = { function(em)
                em:transactional(function()
                    em:transactional(function(tx) tx:insert(User, { name = "new" }) end,
                        { propagation = "requires_new" })
                end)
            end, "known new" },
        }

        for name, case in pairs(writes) do
            local write, expected = case[1], case[2]
            it(name .. " is seen by the reads of its request", function()
                orm.request_context(function()
                    local em = orm.get_context()
                    assert.equal("known", names(em))
                    write(em)
                    for _ = 1, 3 do assert.equal(expected, names(em)) end
                    assert.equal(expected, names(em:fork()))
                    orm.request_context(function() assert.equal(expected, names(orm.em())) end)
                    assert.equal(expected, names(orm.em()))
                end)
                orm.request_context(function() assert.equal("known", names(orm.em())) end) -- another request
                standby:resume()
            end)
        end

        it("is seen by whoever shares the request: what was there before it, and what is nested", function()
            local outside = orm.em():fork()
            assert.equal("known", names(outside))
            orm.request_context(function()
                local em, inner = orm.get_context():fork(), nil
                orm.request_context(function()
                    inner = orm.get_context():fork()
                    inner:insert(User, { name = "new" })
                end)
                assert.equal("known new", names(em))
                assert.equal("known new", names(orm.em()))
                assert.equal("known new", names(outside))
                outside:insert(User, { name = "other" })
                assert.equal("known new other", names(em))
            end)
            assert.equal("known new other", names(outside)) -- it wrote itself
            assert.equal("known", names(orm.em():fork()))
        end)

        it("outside of requests an entity manager sees its own, and a fork what was written before it", function()
            local em = orm.em():fork()
            local before = em:fork()
            em:insert(User, { name = "new" })
            assert.equal("known new", names(em:fork()))
            assert.equal("known new", names(em))
            assert.equal("known new", names(em:fork()))
            assert.equal("known", names(before))
            assert.equal("known", names(orm.em()))
            em:transactional(function() em:transactional(function(tx)
                tx:insert(User, { name = "other" })
            end, { propagation = "requires_new" }) end)
            assert.equal("known new other", names(em))
        end)

        it("a request that writes does not slow others down", function()
            orm.request_context(function()
                orm.em():insert(User, { name = "new" })
                assert.equal("known new", names(orm.em()))
            end)
            places.forget(log)
            orm.request_context(function() names(orm.em()) end)
            assert.same({ "replica 1: SELECT" }, sent())
        end)

        it("costs no round trip but one to each replica that is asked how far it is", function()
            orm.request_context(function()
                local em = orm.em()
                em:insert(User, { name = "new" })
                places.forget(log)
                assert.equal("known new", names(em))
                assert.same({ "primary: SELECT", "primary: place" }, sent()) -- one batch
                assert.equal("known new", names(em))
                assert.same({ "replica 1: place", "primary: SELECT" }, sent())
                assert.equal("known new", names(em)) -- it was behind just now
                assert.same({ "primary: SELECT" }, sent())
                standby:resume()
                standby:catch_up()
                socket.sleep(0.03)
                assert.equal("known new", names(em))
                assert.same({ "replica 1: place", "replica 1: SELECT" }, sent())
                for _ = 1, 3 do assert.equal("known new", names(em)) end
                assert.same({ "replica 1: SELECT", "replica 1: SELECT", "replica 1: SELECT" }, sent())
                em:insert(User, { name = "again" })
                assert.equal("again known new", names(em))
                assert.equal("primary: place", sent()[3])
            end)
        end)

        -- Writes until the primary's place is that far behind a multiple of a size.
        local function fill(size, behind)
            servers.primary:raw():exec(([[
                do $$ begin
                    for i in 1..100000 loop
                        perform pg_logical_emit_message(false, 'p', repeat('x', i %% 8 * 8));
                        exit when pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0') %% %d = %d;
                    end loop;
                end $$]]):format(size, behind))
        end

        local ends = {
            ["of a page"] = function() fill(8192, 24) end,
            ["of a segment"] = function() servers.primary:raw():rows "select pg_switch_wal()" end,
        }
        for name, go in pairs(ends) do
            it("a replica has caught up at the end " .. name .. ", where nothing more is written", function()
                standby:resume()
                orm.request_context(function()
                    local em = orm.em()
                    em:insert(User, { name = "new" })
                    go()
                    local place = servers.primary:raw():value "select pg_current_wal_insert_lsn()"
                    assert.equal("known new", names(em))
                    places.forget(log)
                    local limit = socket.gettime() + 5
                    repeat
                        socket.sleep(0.05)
                        names(em)
                    until log[#log].connection == "replica 1" or socket.gettime() > limit
                    assert.equal(place, servers.primary:raw():value "select pg_current_wal_insert_lsn()")
                    assert.equal("replica 1", log[#log].connection)
                    assert.is_true(#log >= 2) -- it was asked
                end)
            end)
        end

        it("in round trips: none on the primary, one on the replica", function()
            orm.close()
            local near, far = relay.start(servers.primary:socket()), relay.start(standby:socket())
            standby:resume()
            places.open(servers, { host = near.host, port = near.port,
                replicas = { { host = far.host, port = far.port } } })
            near:latency(3)
            far:latency(3)
            orm.request_context(function()
                local em = orm.em()
                local function turns(fn)
                    local before = { near:turns(), far:turns() }
                    fn()
                    return { near:turns() - before[1], far:turns() - before[2] }
                end
                local function read() names(em) end
                em:execute "select 1" -- connects
                read()
                assert.same({ 0, 1 }, turns(read))
                em:insert(User, { name = "new" })
                assert.same({ 1, 0 }, turns(read))
                servers:catch_up()
                assert.same({ 0, 2 }, turns(read))
                assert.same({ 0, 1 }, turns(read))
                assert.same({ 1, 0 }, turns(function() em:execute "select count(*) from users" end))
            end)
            orm.close()
            near:stop()
            far:stop()
        end)

        it("streams see it too, and what the body of a loop writes", function()
            orm.request_context(function()
                local em, list = orm.em(), {}
                em:insert(User, { name = "new" })
                for user in em:stream(User, {}, { order_by = { "name" } }) do
                    list[#list + 1] = user.name
                    em:persist(User { name = user.name .. "!" }):flush()
                    assert.equal(2 + #list, em:count(User, {}, { connection = "write" }))
                end
                assert.same({ "known", "new" }, list)
                assert.equal("known known! new new!", names(em))
            end)
        end)

        it("what one request has found out, others need not ask", function()
            standby:resume()
            local function write_and_read()
                orm.request_context(function()
                    orm.em():insert(User, { name = "u" .. math.random(1e9) })
                    names(orm.em())
                    standby:catch_up()
                    socket.sleep(0.03)
                    places.forget(log)
                    names(orm.em())
                end)
            end
            write_and_read()
            assert.same({ "replica 1: place", "replica 1: SELECT" }, sent())
            local em = orm.em():fork()
            names(em)
            assert.same({ "replica 1: SELECT" }, sent())
        end)

        it("what was not written leaves nothing to wait for", function()
            local em = orm.em():fork()
            local cases = {
                function() em:transactional(function() known(em) end) end,
                function() pcall(em.transactional, em, function() em:insert(User, { name = "x" }) error "no" end) end,
                function()
                    em:begin()
                    em:insert(User, { name = "x" })
                    em:rollback()
                end,
                function() em:flush() end, function() em:execute "select 1" end,
                function() em:execute "select count(*) from users" end, function() known(em) end,
                function() em:begin() em:commit() end,
                function() em:refresh(known(em)) end,
            }
            for i, case in ipairs(cases) do
                case()
                places.forget(log)
                assert.is_true(on_standby(em), "case " .. i)
                assert.same({ "replica 1: SELECT" }, sent())
            end
        end)

        it("a failed flush, and a failed statement, leave reads right", function()
            orm.request_context(function()
                local em = orm.em()
                em:persist(User { name = "known" })
                assert.is_false((pcall(em.flush, em)))
                em:clear()
                assert.equal("known", names(em))
                assert.is_false((pcall(em.execute, em, "insert into users (name) values ('x')")))
                assert.is_false((pcall(em.execute, em, "select 1 / 0")))
                assert.is_false((pcall(em.execute, em, "select ?", 1, 2)))
                for _ = 1, 3 do assert.equal("known", names(em)) end
            end)
        end)

        it("tables that were just made are there for everybody", function()
            local Fresh = orm.entity { name = "Fresh", { "id", type = "integer", primary = true } }
            local config = { context_name = "fresh", entities = { Fresh } }
            for key, value in pairs(servers.of_places) do config[key] = config[key] or value end
            local instance = orm.init(config)
            instance.schema:create()
            assert.equal(0, orm.em("fresh"):count(Fresh, {}))
            orm.request_context(function() assert.equal(0, orm.em("fresh"):count(Fresh, {})) end)
            assert.is_true(on_standby(orm.em():fork())) -- of another context
            instance.schema:drop()
        end)

        it("what a SELECT is asked, whether it wrote, is not taken for how far the log is", function()
            local Fresh = orm.entity { name = "Fresh", { "id", type = "integer", primary = true } }
            local config = { context_name = "fresh", entities = { Fresh } }
            for key, value in pairs(servers.of_places) do config[key] = config[key] or value end
            local instance = orm.init(config)
            instance.schema:create()
            local em = orm.em("fresh"):fork()
            assert.equal(0, em:count(Fresh, {}))
            em:execute("select add_user('new')")
            for _ = 1, 2 do assert.equal(0, em:count(Fresh, {})) end
            for _ = 1, 2 do assert.equal(0, orm.em("fresh"):fork():count(Fresh, {})) end -- not there on the standby
            instance.schema:drop()
        end)

        it("a table that was altered in between does not disturb the question", function()
            local em = orm.em():fork()
            em:insert(User, { name = "a" })
            assert.equal("a known", names(em))
            em:execute "alter table users alter column name type varchar(100)"
            assert.equal("a known", names(em))
            em:execute "alter table users alter column name type text"
            assert.equal("a known", names(em))
        end)

        it("a change of an instance that is managed stays as it was flushed", function()
            orm.request_context(function()
                local em = orm.em()
                local user = em:find_one(User, { name = "known" })
                user.score = 5
                em:flush()
                for _ = 1, 3 do
                    assert.equal(user, em:find(User, { name = "known" })[1])
                    assert.equal(5, user.score)
                end
                em:find(Owner, {}, { populate = { "places" } })
                user.score = 6
                em:flush() -- with the version that it has
            end)
            assert.equal("6", servers.primary:raw():value "select score from users")
        end)

        it("under a scheduler, requests side by side see their own and nobody else's", function()
            loop.reset()
            orm.use(loop.wait)
            local done = 0
            for i = 1, 10 do
                loop.spawn(function()
                    orm.request_context(function()
                        local em = orm.em()
                        assert.equal("known", names(em))
                        loop.yield()
                        if i % 2 == 0 then em:insert(User, { name = "user " .. i }) end
                        for _ = 1, 4 do
                            loop.yield()
                            local all = names(em)
                            if i % 2 == 0 then
                                assert.is_truthy(all:find("user " .. i, 1, true), all)
                            else
                                assert.equal("known", all)
                            end
                        end
                        done = done + 1
                    end)
                end)
            end
            loop.run()
            assert.equal(10, done)
        end)

        it("a coroutine of the same request sees what another one wrote, once that has come back", function()
            loop.reset()
            orm.use(loop.wait)
            orm.request_context(function()
                local wrote
                loop.spawn(orm.bind(function()
                    orm.em():fork():insert(User, { name = "new" })
                    wrote = true
                end))
                loop.spawn(orm.bind(function()
                    local em = orm.em():fork()
                    local seen
                    repeat
                        local had = wrote
                        seen = names(em)
                        if had then assert.equal("known new", seen) end
                        loop.yield()
                    until had
                end))
                loop.run()
                assert.is_true(wrote)
            end)
        end)
    end)
end)
