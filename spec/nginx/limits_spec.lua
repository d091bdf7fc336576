-- What runs out while nginx serves, and what is lost that Heddle waits with: typed errors, and then service again.

local contexts = require "spec.support.nginx_contexts"
local http = require "spec.support.http"
local relay = require "spec.support.relay"
local socket = require "socket"

describe("nginx: limits:", function()
    local both = contexts.both("limits")
    local server, raw, relayed

    local function start(...) server, raw = both:start(...) end

    after_each(function()
        both:stop()
        if relayed then relayed:stop() end
        relayed = nil
    end)

    local function get(path)
        local status, body = server:get(path)
        assert.equal(200, status, body)
        return body
    end

    local function logged(pattern)
        return select(2, server:errors():gsub(pattern, ""))
    end

    -- Such alerts are what the spec is about.
    local function stop_blaming(text)
        local ok, err = pcall(server.stop, server)
        server = nil
        assert.is_false(ok)
        for line in err:gmatch "%[alert%][^\n]*" do assert.matches(text, line, 1, true) end
    end

    it("no connection of nginx's is left to wait with: waits look for themselves", function()
        start { connections = 20, env = {
            HEDDLE_TEST_PG_SOCKET = os.getenv "HEDDLE_TEST_PG_SOCKET",
            HEDDLE_TEST_PG_PORT = os.getenv "HEDDLE_TEST_PG_PORT",
        } }
        assert.equal("7 1", get "/connections")
        local tries = logged "heddle: waits take longer until nginx has a connection"
        assert.is_true(tries >= 1 and tries <= 5, tries)
        stop_blaming "worker_connections are not enough"
    end)

    -- As where nginx was built in another way: its function cannot be found.
    local WITHOUT = [[
        local ffi = require "ffi"
        local C = setmetatable({}, { __index = function(_, name)
            if name == %q then error("undefined symbol: " .. name) end
            return ffi.C[name]
        end })
        package.loaded.ffi = setmetatable({ C = C }, { __index = ffi })
    ]]

    for _, name in ipairs { "heddle_ngx_watch", "heddle_ngx_epoll" } do
        it("nginx watches no descriptor of others: waits look for themselves, which is said once: " .. name, function()
            start({ init = WITHOUT:format(name) }, { pool = { max = 20 } })
            local list = {}
            for i = 1, 20 do list[i] = "/slow" end
            local results = server:many(list)
            for i = 1, 20 do
                assert.equal("7", results[i].body)
                assert.is_true(results[i].seconds < 10, results[i].seconds)
            end
            for _ = 1, 5 do assert.equal("8 killed", get "/killed") end
            assert.equal("1", get "/one")
            assert.equal(1, logged "this nginx watches no descriptor of others")
        end)
    end

    it("no descriptor is left: a typed error", function()
        start { main = "worker_rlimit_nofile 48;" }
        local without, after = get "/descriptors":match "^(%S+) (.*)$"
        assert.is_true(without == "driver" or without == "connection", without)
        assert.equal("1", after)
        assert.equal("1", get "/one")
    end)

    it("light threads that are killed while they wait are told nothing any more", function()
        start()
        for _ = 1, 5 do assert.equal("8 killed", get "/killed") end
        for _ = 1, 5 do assert.equal("1", get "/one") end
    end)

    it("a client that goes away while it waits is told nothing any more", function()
        start(nil, nil, nil)
        for _ = 1, 20 do
            local request = server:send "/slow"
            socket.sleep(0.02)
            request:abort()
        end
        for _ = 1, 20 do assert.equal("1", get "/one") end
    end)

    it("the server goes away while it is connected to", function()
        relayed = relay.start()
        start(nil, { host = relayed.host, port = relayed.port })
        relayed:latency(300)
        local request = server:send "/one"
        server:await("it connects", function() return relayed:connections() > 0 end)
        relayed:refuse(true)
        relayed:drop()
        assert.equal("connection", http.wait({ request })[1].body)
        relayed:reset()
        relayed:refuse(false)
        assert.equal("1", get "/one")
    end)

    it("SQLite that stays locked is a typed error, and keeps nobody else waiting", function()
        start(nil, nil, { options = { busy_timeout = 0.3 } })
        raw.secondary:exec "begin immediate"
        local list = { server:send "/other?n=1", server:send "/other?n=2" }
        local longest = 0
        for _ = 1, 10 do
            local quick = http.wait({ server:send "/one" })[1]
            assert.equal("1", quick.body)
            longest = math.max(longest, quick.seconds)
        end
        for _, result in ipairs(http.wait(list)) do
            assert.equal("lock_timeout", result.body)
            assert.is_true(result.seconds < 5 and result.seconds >= 0.3, result.seconds)
        end
        assert.is_true(longest < 0.25, longest)
        raw.secondary:exec "commit"
        assert.equal("done", get "/other?n=3")
    end)
end)
