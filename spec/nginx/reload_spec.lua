-- Workers come and go: no request is lost by it, nothing stays of those that have gone.

local contexts = require "spec.support.nginx_contexts"
local http = require "spec.support.http"
local lfs = require "lfs"
local socket = require "socket"


describe("nginx: workers that come and go:", function()
    local both = contexts.both("reload", { pool = { max = 5 } })
    local server, raw, last

    local function start(opts)
        last = 0
        server, raw = both:start(opts)
    end

    after_each(function() both:stop() end)

    local function send(n)
        local list = {}
        for i = 1, n do
            last = last + 1
            list[i] = server:send("/add?n=" .. last)
        end
        return list
    end

    local function receive(list)
        for _, result in ipairs(http.wait(list)) do
            assert.equal(200, result.status, tostring(result.problem or result.body))
        end
    end

    local function check_rows()
        assert.equal(2 * last, tonumber(raw.default:value "select count(*) from users"))
        assert.equal(last, tonumber(raw.secondary:value "select count(*) from users"))
    end

    local function server_connections()
        return tonumber(raw.default:value [[select count(*) from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid()]])
    end

    local function descriptors(pid)
        local count = 0
        for _ in lfs.dir(("/proc/%d/fd"):format(pid)) do count = count + 1 end
        return count
    end

    -- What the server has had to say since a time at which it said so much.
    local function server_log(from)
        local file = assert(io.open(os.getenv "HEDDLE_TEST_PG_SOCKET" .. "/server.log"))
        file:seek("set", from or 0)
        local text = file:read "*a"
        file:close()
        return text
    end

    it("reload under load: not one request is lost, and every connection is closed with a goodbye", function()
        start { workers = 2 }
        local said = #server_log()
        for _ = 1, 5 do
            local first = send(15)
            server:signal "HUP"
            local pids = server:workers()
            local second = send(15)
            receive(first)
            receive(second)
            server:await("the workers are new ones", function()
                local now = server:workers()
                return #now == 2 and math.min(now[1], now[2]) > math.max(pids[1], pids[2])
            end)
        end
        server:settle()
        receive(send(15))
        check_rows()
        assert.is_true(server_connections() <= 10)
        for _, pid in ipairs(server:workers()) do assert.is_true(descriptors(pid) < 40) end
        server:stop()
        server:await("connections are still open", function() return server_connections() == 0 end)
        server = nil
        assert.equal("", server_log(said))
    end)

    it("what waits when its worker is told to go is finished first", function()
        start()
        local slow = { server:send "/slow" }
        server:await("it sleeps", function()
            return raw.default:value "select count(*) from pg_stat_activity where query = 'select pg_sleep(1)'" == "1"
        end)
        server:signal "HUP"
        receive(slow)
        server:settle()
        assert.equal("slept", slow[1].result.body)
        server:await("its connection is closed", function() return server_connections() == 0 end)
    end)

    it("QUIT finishes what was begun", function()
        start()
        local list = send(10)
        server:await("all have begun", function() return server_connections() == 5 end)
        server:signal "QUIT"
        receive(list)
        check_rows()
    end)

    it("TERM ends at once, and nothing half done stays", function()
        start { workers = 2 }
        local list = send(20)
        server:await("some are at work", function() return server_connections() > 1 end)
        server:signal "TERM"
        server:await("nothing is connected", function() return server_connections() == 0 end)
        for _, request in ipairs(list) do request:abort() end
        assert.equal("0", raw.default:value [[select count(*) from users a where id < 1000000
            and not exists (select 1 from users b where b.id = a.id + 1000000)]])
    end)

    for _, context in ipairs { "default", "secondary" } do
        it("a worker that is killed in a transaction is replaced; rows are as they were: " .. context, function()
            start()
            local pid = server:workers()[1]
            local request = server:send("/hold?on=" .. context)
            if context == "default" then
                server:await("it is in its transaction", function()
                    return raw.default:value [[select count(*) from pg_stat_activity
                        where state = 'idle in transaction' and datname = current_database()]] == "1"
                end)
            else
                socket.sleep(0.3)
            end
            server:signal("KILL", pid)
            server:await("it is replaced", function()
                local now = server:workers()
                return #now == 1 and now[1] ~= pid
            end)
            request:abort()
            receive(send(5))
            local rows = tostring(raw[context]:value "select count(*) from users")
            assert.equal(context == "default" and "10" or "5", rows)
            assert.matches("exited on signal 9", table.concat(server:faults(), "\n"))
            local ok, err = pcall(server.stop, server)
            assert.is_false(ok)
            assert.matches("exited on signal 9", err)
            server = nil
        end)
    end

    it("contexts that were made in init_by_lua are each worker's own", function()
        start { workers = 2, init = "require('heddle.openresty').setup('spec.nginx.handlers.reload')",
            init_worker = "local nothing" }
        for _ = 1, 3 do receive(send(20)) end
        check_rows()
        assert.equal("0", raw.default:value "select count(*) from pg_stat_activity where state like 'idle in trans%'")
    end)
end)
