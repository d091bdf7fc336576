-- Names of hosts that take two seconds to be found keep nobody waiting but who asked.

local contexts = require "spec.support.nginx_contexts"
local databases = require "spec.support.databases"
local http = require "spec.support.http"
local relay = require "spec.support.relay"
local socket = require "socket"

describe("nginx: names:", function()
    local default, secondary, relayed, server

    before_each(function()
        default, secondary = databases.open "postgres", databases.open "postgres"
        relayed = relay.start()
        local slow = default:config { host = "db.test", port = relayed:tcp() }
        server = contexts.start("names", slow, secondary:config(), {
            preload = "build/support/slow_names.so",
            env = { HEDDLE_TEST_NAMES = "db.test=2000:127.0.0.1 gone.test=0:" },
        })
    end)

    after_each(function()
        server:stop()
        relayed:stop()
        default:close()
        secondary:close()
    end)

    it("other requests are served while a name is looked up", function()
        assert.equal("7", select(2, server:get "/quick"))
        local slow, began = server:send "/slow", socket.gettime()
        local served, longest = 0, 0
        while socket.gettime() - began < 1.5 do
            local quick = http.wait({ server:send "/quick" })[1]
            assert.equal("7", quick.body)
            longest, served = math.max(longest, quick.seconds), served + 1
        end
        assert.equal("7", http.wait({ slow })[1].body)
        assert.is_true(slow.result.seconds >= 2)
        assert.is_true(served > 20, served)
        assert.is_true(longest < 1, longest)
    end)

    it("a client that goes away while a name is looked up leaves nothing behind", function()
        local slow = server:send "/slow"
        for _ = 1, 20 do assert.equal("7", select(2, server:get "/quick")) end
        slow:abort()
        assert.equal("7", select(2, server:get "/slow"))
    end)
end)
