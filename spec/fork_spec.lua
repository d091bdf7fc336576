-- A process that is forked while it has connections, as a server's is that loads the program before it starts its
-- workers: they are the parent's. What the child does, it does on connections of its own, on replicas too.
-- (Of the interpreters LuaJIT alone can fork. What the pool and the link do, spec/c proves for all.)

local has_ffi, ffi = pcall(require, "ffi")
if not has_ffi then return end

local cluster = require "spec.support.cluster"
local databases = require "spec.support.databases"
local orm = require "heddle"
local places = require "spec.support.places"
local raises = require("spec.support.unit").raises

local Place, User = places.Place, places.User

ffi.cdef [[
    int fork(void);
    int waitpid(int pid, int *status, int options);
    void _exit(int status);
]]

-- Runs fn in a child, which ends without closing what the parent has open.
local function in_child(fn)
    io.stdout:flush()
    local status = ffi.new "int[1]"
    local child = ffi.C.fork()
    if child == 0 then
        local ok, err = pcall(fn)
        if not ok then io.stderr:write(tostring(err), "\n") end
        ffi.C._exit(ok and 0 or 1)
    end
    assert.equal(child, ffi.C.waitpid(child, status, 0))
    assert.equal(0, status[0], "what the child did failed")
end

databases.on("postgres", function()
    describe("in a child of the process", function()
        local servers, instance, log, em

        setup(function() servers = cluster.start(1) end)
        teardown(function() servers:stop() end)
        before_each(function()
            instance, log = places.open(servers)
            em = orm.em():fork()
        end)
        after_each(function() orm.close() end)

        local function on_standby(any) return any:find(Place, {}, { managed = false })[1].standby end

        local function session(any, connection)
            local query = any:query(Place):select { pid = orm.raw "pg_backend_pid()" }
            return query:options { connection = connection }:rows()[1].pid
        end

        -- Numbers of a pool that agree with each other.
        local function check(stats, size)
            assert.same({ size, size, 0 }, { stats.size, stats.opened - stats.closed, stats.in_use })
        end

        it("idle connections stay the parent's, to the primary and to a replica", function()
            local mine = { session(em, "write"), session(em) }
            in_child(function()
                local stats = instance:pool_stats()
                check(stats, 0)
                check(stats.replicas[1], 0)
                for _, any in ipairs { em, orm.em():fork() } do
                    assert.is_true(on_standby(any))
                    assert.is_false(session(any, "write") == mine[1])
                    assert.is_false(session(any) == mine[2])
                end
                check(instance:pool_stats(), 1)
                check(instance:pool_stats().replicas[1], 1)
                orm.close()
            end)
            assert.same(mine, { session(em, "write"), session(em) })
            check(instance:pool_stats().replicas[1], 1)
            assert.equal(0, instance:pool_stats().replicas[1].closed)
        end)

        it("a transaction and streams stay the parent's", function()
            servers.primary:raw():exec [[insert into users (name, score, version)
                select n, 0, 1 from generate_series(1, 600) n]]
            servers:catch_up()
            local stream, tied = em:stream(User, {}), orm.em():fork()
            assert.is_table(stream())
            tied:begin()
            tied:insert(User, { name = "mine" })
            in_child(function()
                raises("connection", tied.count, tied, User, {})
                tied:rollback()
                assert.equal(600, tied:count(User, {}))
                stream:close()
                em:clear()
                assert.equal(600, em:count(User, {}))
                collectgarbage()
                orm.close()
            end)
            local count = 1
            for _ in stream do count = count + 1 end
            assert.equal(600, count)
            tied:commit()
            assert.equal("601", servers.primary:raw():value "select count(*) from users")
        end)

        it("what the parent knew of a replica is asked anew", function()
            em:insert(User, { name = "a" })
            assert.is_false(on_standby(em))
            servers:catch_up()
            assert.is_true(on_standby(em))
            places.forget(log)
            in_child(function()
                assert.is_true(on_standby(em))
                local told = {}
                for i, entry in ipairs(log) do
                    told[i] = entry.connection .. (entry.sql:find "wal" and " place" or "")
                end
                assert.same({ "replica 1 place", "replica 1" }, told)
                orm.close()
            end)
            assert.is_true(on_standby(em))
            assert.equal(1, #log)
        end)
    end)
end)
