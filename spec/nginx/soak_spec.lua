-- Seconds of mixed load, clients that go away among it: what two workers have in hand stays the same. The bench
-- directory has one that takes minutes.

local contexts = require "spec.support.nginx_contexts"
local http = require "spec.support.http"
local lfs = require "lfs"
local socket = require "socket"

local WORKERS, POOL = 2, 4

describe("nginx: soak:", function()
    local both = contexts.both("requests", { pool = { max = POOL } })
    local server, raw, last

    before_each(function()
        server, raw = both:start { workers = WORKERS }
        for _, db in pairs(raw) do db:exec "insert into users values (1000, 'kept')" end
        last = 1000
    end)

    after_each(function()
        both:stop()
    end)

    -- Path, and the status of its answer.
    local ENDS = { { "/exit", 204 }, { "/fork_exit", 204 }, { "/stream_exit", 204 }, { "/thread_exit", 204 },
        { "/fail", 500 } }

    local function round(context)
        local sent, statuses = {}, {}
        for i, case in ipairs(ENDS) do
            sent[#sent + 1] = server:send(("%s?on=%s&id=%d"):format(case[1], context, 10 + i))
            statuses[#sent] = case[2]
        end
        for _ = 1, 10 do
            last = last + 1
            sent[#sent + 1] = server:send(("/write?on=%s&id=%d"):format(context, last))
            statuses[#sent] = 200
        end
        return sent, statuses
    end

    local function load(seconds)
        local limit, rounds = socket.gettime() + seconds, 0
        while socket.gettime() < limit do
            local context = rounds % 2 == 0 and "default" or "secondary"
            local leaving = { server:send("/pause?id=2&on=" .. context), server:send "/nap?id=3" }
            local sent, statuses = round(context)
            socket.sleep(0.05)
            for _, request in ipairs(leaving) do request:abort() end
            for i, result in ipairs(http.wait(sent)) do
                assert.equal(statuses[i], result.status, tostring(result.problem or result.body))
            end
            rounds = rounds + 1
        end
        return rounds
    end

    local function entries(path)
        local count = 0
        for _ in lfs.dir(path) do count = count + 1 end
        return count
    end

    local function in_hand()
        local now = { memory = 0, descriptors = 0, threads = 0 }
        for _, pid in ipairs(server:workers()) do
            local file = assert(io.open(("/proc/%d/status"):format(pid)))
            now.memory = now.memory + tonumber(file:read("*a"):match "VmRSS:%s*(%d+)")
            file:close()
            now.descriptors = now.descriptors + entries(("/proc/%d/fd"):format(pid))
            now.threads = now.threads + entries(("/proc/%d/task"):format(pid))
        end
        return now
    end

    local function server_connections(condition)
        return tonumber(raw.default:value([[select count(*) from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid()]] .. (condition or "")))
    end

    it("memory, descriptors, threads and connections stay flat", function()
        load(4)
        socket.sleep(2.5) -- the threads that wait have ended
        local before = in_hand()
        assert.is_true(load(6) > 5)
        server:await("threads are left", function() return in_hand().threads <= before.threads end)
        server:await("descriptors are left", function() return in_hand().descriptors <= before.descriptors + 8 end)
        local after = in_hand()
        assert.is_true(after.memory - before.memory < 6144, after.memory - before.memory) -- KB
        assert.is_true(server_connections() <= WORKERS * POOL)
        assert.equal(0, server_connections " and xact_start is not null")
        for _, name in ipairs { "default", "secondary" } do
            assert.equal("0", tostring(raw[name]:value "select count(*) from users where name <> 'kept' or id < 1000"))
        end
        local count = raw.default:value "select count(*) from users" + raw.secondary:value "select count(*) from users"
        assert.equal(last - 1000 + 2, count)
    end)
end)
