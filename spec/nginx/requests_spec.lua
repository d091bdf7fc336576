-- However a request ends, what it held is given back: the connection to its pool, and nothing of a transaction stays.

local cjson = require "cjson"
local contexts = require "spec.support.nginx_contexts"


describe("nginx: the end of a request:", function()
    local both = contexts.both("requests", { pool = { max = 2 } })
    local server, raw

    local function start(opts) server, raw = both:start(opts) end

    before_each(function() start() end)

    after_each(function() both:stop() end)

    local function answers(body, path)
        local status, got = server:get(path)
        assert.same({ 200, body }, { status, got })
    end

    local function stats(context)
        return cjson.decode((select(2, server:get("/stats?on=" .. context))))
    end

    -- Nothing of it is there, nothing is held, and the next one can write the same.
    local function check_gone(context)
        server:await("a connection is still in use", function()
            local now = stats(context)
            return now.in_use == 0 and now.waiting == 0
        end)
        server:await("the server still has a transaction", function()
            return context ~= "default" or raw.default:value [[select count(*) from pg_stat_activity
                where datname = current_database() and pid <> pg_backend_pid() and xact_start is not null]] == "0"
        end)
        assert.equal("0", tostring(raw[context]:value "select count(*) from users"))
        answers("written", "/write?id=1&on=" .. context)
    end

    local function begun(context)
        if context == "default" then
            return raw.default:value [[select count(*) from pg_stat_activity
                where datname = current_database() and pid <> pg_backend_pid() and xact_start is not null]] ~= "0"
        end
        return stats(context).in_use == 1
    end

    for _, context in ipairs { "default", "secondary" } do
        local on = "?on=" .. context

        describe("[" .. context .. "]", function()
            it("the client goes away in the middle of a transaction", function()
                for _ = 1, 5 do
                    local request = server:send("/pause" .. on)
                    server:await("the transaction begins", function() return begun(context) end)
                    request:abort()
                    server:await("it is given up", function() return not begun(context) end)
                end
                check_gone(context)
                -- The connection that was lost in quiet is the one that is used.
                assert.is_true(stats(context).opened <= 2)
            end)

            it("ngx.exit in the middle of a transaction", function()
                for _ = 1, 5 do assert.equal(204, (server:get("/exit" .. on))) end
                check_gone(context)
                assert.same({ 1, 0 }, { stats(context).opened, stats(context).closed })
            end)

            it("an error in the middle of a transaction", function()
                assert.equal(500, (server:get("/fail" .. on)))
                check_gone(context)
            end)

            it("ngx.exit while a fork of no scope has a transaction", function()
                assert.equal(204, (server:get("/fork_exit" .. on)))
                check_gone(context)
            end)

            it("ngx.exit in the loop over a stream", function()
                raw[context]:exec "insert into users values (1, 'a'), (2, 'b')"
                for _ = 1, 5 do assert.equal(204, (server:get("/stream_exit" .. on))) end
                raw[context]:exec "delete from users"
                check_gone(context)
            end)

            it("ngx.exit while a light thread has a transaction", function()
                assert.equal(204, (server:get("/thread_exit" .. on)))
                check_gone(context)
            end)

            it("a light thread that is longer than its handler is waited for", function()
                assert.equal(200, (server:get("/thread_outlives" .. on)))
                assert.equal("kept", raw[context]:value "select name from users")
            end)

            it("ngx.exec begins anew", function()
                answers("written", "/exec?id=4")
                server:await("the first part is given up", function()
                    return raw.default:value "select count(*) from users where id = 4" == "0"
                        and stats("default").in_use == 0
                end)
                assert.same({ { "5" } }, raw.default:rows "select id from users")
            end)
        end)
    end

    it("the client goes away while a statement runs: it is stopped on the server", function()
        local request = server:send "/nap"
        server:await("the statement runs", function()
            return raw.default:value "select count(*) from pg_stat_activity where query = 'select pg_sleep(30)'" == "1"
        end)
        request:abort()
        server:await("the statement is stopped", function()
            return raw.default:value [[select count(*) from pg_stat_activity
                where query = 'select pg_sleep(30)' and state = 'active']] == "0"
        end)
        check_gone "default"
    end)

    it("a subrequest has a scope and a connection of its own", function()
        answers("written true", "/capture")
        assert.same({ { "2" } }, raw.default:rows "select id from users")
    end)

    it("a timer has a scope of its own", function()
        server:get "/timer"
        server:await("the timer ran", function() return raw.default:value "select count(*) from users" == "1" end)
        assert.equal("no_request_context", raw.default:value "select name from users")
    end)

    it("a light thread that is killed leaves its transaction to be rolled back", function()
        answers("false busy 1", "/kill_thread")
    end)

    it("an error that leaves a scope is in nginx's log, once, with its kind and its property", function()
        assert.equal(500, (server:get "/twice"))
        assert.equal(500, (server:get "/fail"))
        local log = server:errors()
        for _, pattern in ipairs { "heddle: table_not_found:[^\n]*nothing_of_the_kind",
            "heddle: unknown_property:[^\n]*nme", "heddle: validation:[^\n]*name" } do
            assert.equal(1, select(2, log:gsub(pattern, "")), pattern .. "\n" .. log)
        end
    end)

    it("I7: a thousand aborted requests leave nothing in memory", function()
        local function abort(n)
            for _ = 1, n do assert.equal(204, (server:get "/exit")) end
            return tonumber((select(2, server:get "/memory")))
        end
        abort(200)
        local before = abort(100)
        assert.is_true(abort(1000) - before < 100) -- KB
    end)
end)
