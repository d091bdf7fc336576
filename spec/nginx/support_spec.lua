-- What the other specs with nginx rely on: it starts, answers, reloads, ends, and says when something broke.

local nginx = require "spec.support.nginx"

local function set(list)
    local all = {}
    for _, item in ipairs(list) do all[item] = true end
    return all
end

describe("nginx for specs", function()
    local server

    local function start(opts)
        server = nginx.start(opts)
        return server
    end

    after_each(function()
        if server then server:stop() end
        server = nil
    end)

    it("answers", function()
        start {
            env = { GREETING = 'say "hello"' },
            init = "greeting = os.getenv 'GREETING'",
            init_worker = "count = 0",
            locations = {
                ["/hello"] = "count = count + 1 ngx.say(greeting, ' ', count)",
                ["/echo"] = [[
                    ngx.req.read_body()
                    ngx.status = 201
                    ngx.header["X-Method"] = ngx.req.get_method()
                    ngx.print(ngx.req.get_headers()["X-Name"], ngx.req.get_body_data())]],
                ["~ ^/any/(.*)"] = { directives = "set $name $1;", lua = "ngx.print(ngx.var.name)" },
            },
        }
        local status, body = server:get "/hello"
        assert.same({ 200, 'say "hello" 1\n' }, { status, body })
        local headers
        status, body, headers = server:get("/echo", { body = "text", headers = { ["X-Name"] = "name:" } })
        assert.same({ 201, "name:text", "POST" }, { status, body, headers["x-method"] })
        assert.equal("thing", select(2, server:get "/any/thing"))
        assert.equal(404, (server:get "/none"))
    end)

    it("has Heddle and a scheduler", function()
        start { locations = { ["/"] = [[
            local orm = require "heddle"
            ngx.print(jit and orm._VERSION and "LuaJIT", " ", ngx.thread and "light threads")]] } }
        assert.equal("LuaJIT light threads", select(2, server:get "/"))
    end)

    it("is asked many things at once", function()
        start { locations = { ["/sleep"] = "ngx.sleep(0.3) ngx.print(ngx.var.arg_n)" } }
        local list = {}
        for i = 1, 20 do list[i] = "/sleep?n=" .. i end
        local sum = 0
        for i, result in ipairs(server:many(list)) do
            assert.equal(tostring(i), result.body)
            sum = sum + result.seconds
        end
        assert.is_true(sum >= 20 * 0.3)
        assert.is_true(sum < 20 * 3) -- one after the other it were 63 seconds
    end)

    it("tells an answer from none", function()
        start {
            locations = {
                ["/half"] = [[ngx.header["Content-Length"] = 10 ngx.print "half" ngx.flush(true) ngx.exit(444)]],
                ["/part"] = [[ngx.print "part" ngx.flush(true) ngx.exit(444)]],
                ["/slow"] = "ngx.sleep(0.5)",
                ["/whole"] = [[ngx.print "a" ngx.flush(true) ngx.print(("b"):rep(100000))]],
            },
        }
        assert.same({ nil, "closed" }, { server:get "/half" })
        assert.same({ nil, "closed" }, { server:get "/part" })
        assert.same({ nil, "timeout" }, { server:get("/slow", { timeout = 0.05 }) })
        assert.equal("a" .. ("b"):rep(100000), select(2, server:get "/whole"))
    end)

    it("sees clients go away", function()
        start {
            http = "lua_shared_dict seen 1m;",
            locations = {
                ["/slow"] = {
                    directives = "lua_check_client_abort on;",
                    lua = [[
                        ngx.on_abort(function() ngx.shared.seen:set("gone", true) ngx.exit(499) end)
                        ngx.shared.seen:set("began", true)
                        ngx.sleep(30)]],
                },
                ["/seen"] = "ngx.print(tostring(ngx.shared.seen:get(ngx.var.arg_what)))",
            },
        }
        local function seen(what)
            server:await(what .. " was not seen", function()
                return select(2, server:get("/seen?what=" .. what)) == "true"
            end)
        end
        local request = server:send "/slow"
        seen "began"
        assert.equal("nil", select(2, server:get "/seen?what=gone"))
        request:abort()
        seen "gone"
    end)

    it("reloads: others serve, and what was begun is finished", function()
        start {
            workers = 2,
            locations = { ["/pid"] = "ngx.sleep(tonumber(ngx.var.arg_s)) ngx.print(ngx.worker.pid())" },
        }
        local before = server:workers()
        assert.equal(2, #before)
        local slow = server:send "/pid?s=0.5"
        repeat local _, pid = server:get "/pid?s=0" until set(before)[tonumber(pid)]
        server:reload()
        local after = server:workers()
        assert.equal(2, #after)
        for _, pid in ipairs(after) do assert.is_nil(set(before)[pid]) end
        assert.is_true(set(after)[tonumber((select(2, server:get "/pid?s=0")))])
        local result = require "spec.support.http".wait({ slow })[1]
        assert.is_true(set(before)[tonumber(result.body)])
        server:reload { workers = 1, locations = { ["/new"] = "ngx.print 'new'" } }
        assert.equal("new", select(2, server:get "/new"))
        server:settle()
        assert.equal(1, #server:workers())
    end)

    it("listens on a port for those who know no Unix sockets", function()
        start { port = true, locations = { ["/"] = "ngx.print 'here'" } }
        local http = require "spec.support.http"
        assert.equal("here", http.get({ host = "127.0.0.1", port = server.port }, "/").body)
    end)

    it("reports a crash", function()
        start { locations = { ["/crash"] = "require 'ffi'.cast('int *', 8)[0] = 1", ["/"] = "ngx.print 'here'" } }
        local pid = server:workers()[1]
        assert.same({ nil, "closed" }, { server:get "/crash" })
        assert.equal("here", select(2, server:get "/")) -- another one
        assert.not_equal(pid, server:workers()[1])
        local ok, message = pcall(server.stop, server)
        assert.is_false(ok)
        assert.matches("worker process " .. pid .. " exited on signal 11", message)
        server:stop() -- has stopped
    end)

    it("says why it does not start", function()
        local ok, message = pcall(nginx.start, { http = "no_such_directive;" })
        assert.is_false(ok)
        assert.matches("unknown directive", message)
    end)

    it("leaves nothing behind", function()
        local path = start({ locations = { ["/"] = "ngx.print 'here'" } }).dir
        server:stop()
        assert.is_nil((io.open(path .. "/nginx.pid")))
        assert.same({}, server:faults())
        local lfs = require "lfs"
        assert(lfs.mkdir(path .. "/heddle-left"))
        assert.same({ "left behind: heddle-left" }, server:faults())
    end)
end)
