-- What breaks while nginx serves: each answer is right or a typed error, nobody hangs, and service comes back.

local cjson = require "cjson"
local cluster = require "spec.support.cluster"
local contexts = require "spec.support.nginx_contexts"
local databases = require "spec.support.databases"
local http = require "spec.support.http"
local socket = require "socket"

local TABLE = "create table users (id integer primary key, name text)"

describe("nginx: failures:", function()
    local postgres, sqlite, server, raw, servers

    local function open(default, opts)
        sqlite = databases.open "sqlite"
        local secondary = sqlite:config()
        raw.secondary = sqlite:raw()
        raw.secondary:exec(TABLE)
        server = contexts.start("failures", default, secondary, opts)
    end

    local function start(overrides, opts)
        postgres, raw = databases.open "postgres", {}
        local default = postgres:config(overrides)
        raw.default = postgres:raw()
        raw.default:exec(TABLE)
        open(default, opts)
    end

    after_each(function()
        if server then server:stop() end
        if postgres then postgres:close() end
        if servers then servers:stop() end
        if sqlite then sqlite:close() end
        server, postgres, servers, sqlite = nil, nil, nil, nil
    end)

    local function get(path)
        local status, body = server:get(path)
        assert.equal(200, status, body)
        return body
    end

    local function runs(query)
        return raw.default:value(("select count(*) from pg_stat_activity where query like '%s' and state = 'active' "
            .. "and pid <> pg_backend_pid()"):format(query)) ~= "0"
    end

    local function terminate(condition)
        raw.default:rows("select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() "
            .. "and datname = current_database() and " .. condition)
    end

    it("F4: a backend that is killed under a statement", function()
        start { pool = { max = 5 } }
        local request = server:send "/nap"
        server:await("it sleeps", function() return runs "select pg_sleep(30)%" end)
        terminate "query like 'select pg_sleep(30)%'"
        assert.equal("connection", http.wait({ request })[1].body)
        assert.equal("1", get "/one")
    end)

    it("F4: a backend that is killed in a quiet transaction; the transaction is over, and says so", function()
        start()
        assert.matches("^connection %l+ 1$", get "/lose")
    end)

    it("F4: connections that are killed while they are idle are replaced without an error", function()
        start { pool = { max = 5 } }
        local list = {}
        for i = 1, 5 do list[i] = "/add?n=" .. i end
        server:many(list)
        terminate "true"
        server:await("they are gone", function()
            return raw.default:value [[select count(*) from pg_stat_activity
                where datname = current_database() and pid <> pg_backend_pid()]] == "0"
        end)
        for i = 1, 10 do assert.equal("1", get "/one", i) end
    end)

    it("a backend that is killed while a stream is read", function()
        start()
        raw.default:exec "insert into users select i, 'x' from generate_series(1, 2000) i"
        local request = server:send "/stream"
        server:await("it reads", function()
            return raw.default:value [[select count(*) from pg_stat_activity
                where datname = current_database() and state = 'idle in transaction']] == "1"
        end)
        terminate "true"
        assert.equal("connection", http.wait({ request })[1].body)
        assert.equal("2000", get "/stream")
    end)

    it("a statement that takes too long is stopped, and its connection kept", function()
        start()
        assert.equal("timeout timeout timeout 1", get "/late")
        assert.is_false(runs "%pg_sleep(20)%")
    end)

    it("a queue that takes too long is pool_timeout; the others are served", function()
        start { pool = { max = 1, acquire_timeout = 0.2 } }
        local holder = server:send "/nap"
        server:await("it sleeps", function() return runs "select pg_sleep(30)%" end)
        for _, result in ipairs(server:many { "/one", "/one", "/one" }) do assert.equal("pool_timeout", result.body) end
        assert.equal("done", get "/other?n=1")
        holder:abort()
        server:await("it is given back", function() return get "/one" == "1" end)
        assert.equal(3, cjson.decode(get "/stats").timeouts >= 3 and 3)
    end)

    it("an error in a light thread is its waiter's", function()
        start()
        assert.equal("false true", get "/thread")
    end)

    -- Requests one after another, some at a time, until told; what each of them answered.
    local function load(first, count, between)
        local answers, requests = {}, {}
        for n = first, first + count - 1 do
            requests[#requests + 1] = server:send("/add?n=" .. n, { timeout = 20 })
            requests[#requests + 1] = server:send("/other?n=" .. n, { timeout = 20 })
            between(n)
        end
        for i, result in ipairs(http.wait(requests)) do
            assert.equal(200, result.status, result.problem)
            if i % 2 == 0 then
                assert.equal("done", result.body) -- C5: the other context knows nothing of it
            else
                answers[first + (i - 1) / 2] = result.body
            end
        end
        return answers
    end

    for _, mode in ipairs { "fast", "immediate" } do
        it("PostgreSQL is restarted under load: typed errors, then service, without a reload: " .. mode, function()
            servers, raw = cluster.start(0), {}
            local default = servers:config { pool = { max = 8 } }
            servers.primary:raw():exec(TABLE)
            open(default, { workers = 2 })
            local answers = load(1, 120, function(n)
                if n == 40 then servers.primary:stop(mode) end
                if n == 80 then servers.primary:start() end
                socket.sleep(0.002)
            end)
            server:await("service is back", function() return get "/one" == "1" end)
            local counts, stored = {}, {}
            for _, row in ipairs(servers.primary:raw():rows "select id from users") do
                stored[tonumber(row[1])] = true
            end
            for n, answer in pairs(answers) do
                counts[answer] = (counts[answer] or 0) + 1
                assert.equal(stored[n], stored[n + 1000000], n)
                if answer == "done" then assert.is_true(stored[n], n) end
            end
            assert.equal(120, (counts.done or 0) + (counts.connection or 0), cjson.encode(counts))
            assert.is_true(counts.done > 0 and counts.connection > 0, cjson.encode(counts))
            for _, answer in pairs(load(1000, 20, function() end)) do assert.equal("done", answer) end
        end)
    end

    it("SQLite that another process has locked is waited for", function()
        start()
        raw.secondary:exec "begin immediate"
        local list = { server:send "/other?n=1", server:send "/other?n=2", server:send "/one" }
        socket.sleep(0.3)
        assert.equal("1", get "/one") -- nobody else waits
        raw.secondary:exec "commit"
        for i, result in ipairs(http.wait(list)) do assert.equal(i < 3 and "done" or "1", result.body) end
    end)

    it("waits take none of the timers that may run", function()
        start(nil, {
            http = "lua_max_running_timers 1;",
            locations = { ["/timer"] = [[
                ngx.timer.at(0, function() ngx.sleep(6) end)
                ngx.sleep(0.05)
                ngx.print "begun"]] },
        })
        assert.equal("begun", get "/timer")
        for _ = 1, 5 do assert.equal("1", get "/one") end
    end)
end)
