-- Waiting in nginx: who waits keeps nobody waiting, and nothing of one request is another's.

local cjson = require "cjson"
local contexts = require "spec.support.nginx_contexts"
local databases = require "spec.support.databases"

local TABLE = "create table users (id integer primary key, name text, visits integer not null default 0)"

describe("nginx: waiting:", function()
    local postgres, sqlite, server

    local function start(overrides, opts)
        postgres, sqlite = databases.open "postgres", databases.open "sqlite"
        local default, secondary = postgres:config(overrides), sqlite:config()
        postgres:raw():exec(TABLE)
        sqlite:raw():exec(TABLE)
        server = contexts.start("waits", default, secondary, opts)
    end

    after_each(function()
        if server then server:stop() end
        server = nil
        if postgres then postgres:close() end
        if sqlite then sqlite:close() end
    end)

    local function bodies(list)
        local all = {}
        for i, result in ipairs(server:many(list)) do
            assert.same({ 200 }, { result.status }, result.problem or result.body)
            all[i] = result.body
        end
        return all
    end

    local function times(n, path)
        local list = {}
        for i = 1, n do list[i] = path:format(i) end
        return list
    end

    local function get(path)
        local status, body = server:get(path)
        assert.equal(200, status, body)
        return body
    end

    it("twenty requests that sleep in PostgreSQL take one sleep in one worker", function()
        start { pool = { max = 20 } }
        bodies(times(20, "/sleep")) -- connects
        local longest = 0
        for _, result in ipairs(server:many(times(20, "/sleep"))) do
            assert.equal("slept", result.body)
            longest = math.max(longest, result.seconds)
        end
        assert.is_true(longest < 1, longest) -- twenty sleeps are two seconds
        local stats = cjson.decode(get "/stats")
        assert.same({ 20, 20, 0 }, { stats.opened, stats.idle, stats.in_use })
    end)

    it("a full pool serves its queue", function()
        start { pool = { max = 2 } }
        bodies(times(10, "/sleep"))
        local stats = cjson.decode(get "/stats")
        assert.same({ 2, 2, 0, 0 }, { stats.opened, stats.idle, stats.waiting, stats.timeouts })
    end)

    it("identity maps of requests at the same time have nothing in common", function()
        start()
        postgres:raw():exec "insert into users (id, name) values (1, 'stored')"
        local list = {}
        for i, body in ipairs(bodies(times(20, "/isolated?name=%d"))) do list[i] = body end
        for i = 1, 20 do assert.equal(i .. " true true", list[i]) end
        assert.equal("stored", postgres:raw():value "select name from users")
    end)

    it("transactions of requests at the same time do not mix", function()
        start { pool = { max = 10 } }
        for i, body in ipairs(bodies(times(20, "/transfer?n=%d"))) do assert.equal(tostring(i % 2 == 0), body) end
        local ids = {}
        for i = 1, 10 do ids[i], ids[i + 10] = { tostring(2 * i) }, { tostring(2 * i + 1000) } end
        assert.same(ids, postgres:raw():rows "select id from users order by id")
    end)

    it("transactions on SQLite at the same time wait for each other", function()
        start()
        for _, body in ipairs(bodies(times(20, "/lite?n=%d"))) do assert.equal("written", body) end
        assert.same({ { "40" } }, sqlite:raw():rows "select count(*) from users")
    end)

    it("a transaction that loses against another is tried again", function()
        start({ pool = { max = 4 } }, { workers = 2 })
        postgres:raw():exec "insert into users (id, name) values (1, 'x')"
        bodies(times(12, "/visit"))
        assert.equal("12", postgres:raw():value "select visits from users")
    end)

    it("C1: light threads share the request's scope; each may have a fork of its own", function()
        start()
        assert.equal("true true true", get "/light_threads")
        assert.equal("1 2 3 4 5 6 7 8 9 10", get "/forks")
    end)

    it("busy: a light thread uses what another one waits on, or has a transaction on", function()
        start()
        assert.equal("busy busy none", get "/busy")
    end)

    it("a generator waits like everything else", function()
        start()
        assert.equal("1 2 3", get "/generator")
    end)

    it("a stream waits like everything else, and gives its cursor back", function()
        start()
        postgres:raw():exec "insert into users (id, name) select i, 'x' from generate_series(1, 1000) i"
        assert.equal("1000 1000", get "/stream")
        assert.equal(0, cjson.decode(get "/stats").in_use)
    end)

    it("C1: scopes nest; a light thread sees the outer one, or what was bound", function()
        start()
        assert.equal("true inner inner outer inner true no_request_context", get "/nested")
    end)

    it("the global entity manager is refused", function()
        start()
        assert.equal("global_context", get "/global")
    end)

    it("nginx is recognised without being set up", function()
        start(nil, { init_worker = "require 'spec.nginx.handlers.waits'" })
        assert.equal("openresty", get "/scheduled")
        bodies(times(5, "/sleep"))
    end)
end)
