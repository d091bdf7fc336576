-- nginx's phases: which wait, which block, which refuse; and the scope of a whole request.

local contexts = require "spec.support.nginx_contexts"

local PHASES = "require('spec.nginx.handlers.phases')"

describe("nginx: phases:", function()
    local both = contexts.both("phases", { pool = { max = 2 } })
    local server, raw

    local function start(opts) server, raw = both:start(opts) end

    after_each(function() both:stop() end)

    local function get(path)
        local status, body, headers = server:get(path)
        assert.equal(200, status, body)
        return body, headers
    end

    local function logged(pattern)
        return select(2, server:errors():gsub(pattern, ""))
    end

    it("init_by_lua makes contexts and connects nothing", function()
        start {
            init = [[
                require("heddle.openresty").setup("spec.nginx.handlers.phases")
                local orm = require "heddle"
                LOOKED = {}
                for _, name in ipairs { "default", "secondary" } do
                    local ok, err = pcall(function() orm.em(name):fork():execute "select 1" end)
                    LOOKED[#LOOKED + 1] = tostring(ok) .. " " .. err.kind
                    ok, err = orm.instance(name):check_connection()
                    LOOKED[#LOOKED + 1] = tostring(ok) .. " " .. err.kind
                end
                local Copy = orm.entity { name = "Copy", table = "copies", { "id", type = "integer", primary = true } }
                orm.init { context_name = "copied", driver = "postgres", host = "/nowhere", database = "none",
                    entities = { Copy }, replicas = { { host = "/elsewhere" } } }
                for _, connection in ipairs { "read", "write" } do
                    local em = orm.em("copied"):fork()
                    local ok, err = pcall(em.find, em, Copy, {}, { connection = connection })
                    LOOKED[#LOOKED + 1] = tostring(ok) .. " " .. err.kind
                end]],
            init_worker = "local nothing",
            locations = { ["/looked"] = "ngx.print(table.concat(LOOKED, ', '), ', ', " .. PHASES .. ".look())" },
        }
        local refused = "false unsupported"
        assert.equal((refused .. ", "):rep(6) .. "7", get "/looked")
    end)

    it("init_worker_by_lua blocks, in silence", function()
        start {
            init_worker = [[
                require("heddle.openresty").setup("spec.nginx.handlers.phases")
                LOOKED = ]] .. PHASES .. [[.look()
                ]] .. PHASES .. ".write(1)",
            locations = { ["/looked"] = "ngx.print(LOOKED)" },
        }
        assert.equal("7", get "/looked")
        assert.equal("init_worker", raw.secondary:value "select name from users")
        assert.equal(0, logged "blocks the scheduler")
    end)

    it("exit_worker_by_lua blocks, in silence", function()
        start { http = ("exit_worker_by_lua_block { %s.write(1) }"):format(PHASES),
            locations = { ["/look"] = ("ngx.print(%s.look())"):format(PHASES) } }
        assert.equal("7", get "/look")
        server:stop()
        assert.equal("exit_worker", raw.secondary:value "select name from users")
        assert.equal(0, logged "blocks the scheduler")
        server = nil
    end)

    it("rewrite, access, content and timers wait", function()
        start { locations = { ["/waits"] = {
            directives = ([[
                rewrite_by_lua_block { ngx.ctx.rewrite = %s.look() }
                access_by_lua_block { ngx.ctx.access = %s.look() }]]):format(PHASES, PHASES),
            lua = ([[
                local done = require("ngx.semaphore").new()
                local in_timer
                ngx.timer.at(0, function()
                    in_timer = %s.look()
                    %s.write(1)
                    done:post()
                end)
                done:wait(5)
                ngx.print(ngx.ctx.rewrite, ngx.ctx.access, %s.look(), in_timer)]]):format(PHASES, PHASES, PHASES),
        } } }
        assert.equal("7777", get "/waits")
        assert.equal("timer", raw.secondary:value "select name from users")
        assert.equal(0, logged "blocks the scheduler")
    end)

    it("set, header_filter, body_filter, log and balancer block, which is told once for each", function()
        start {
            http = ([[upstream itself {
                server 0.0.0.1;
                balancer_by_lua_block {
                    BALANCED = %s.look()
                    require("ngx.balancer").set_current_peer("unix:" .. ngx.config.prefix() .. "socket")
                }
            }]]):format(PHASES),
            locations = {
                ["/blocks"] = {
                    directives = ([[
                        set_by_lua_block $looked { return %s.look() }
                        header_filter_by_lua_block { ngx.header["X-Looked"] = %s.look() }
                        body_filter_by_lua_block { ngx.ctx.body = %s.look() }
                        log_by_lua_block {
                            LOGGED = (LOGGED or "") .. %s.look()
                            %s.write(tonumber(ngx.var.arg_n))
                        }]]):format(PHASES, PHASES, PHASES, PHASES, PHASES),
                    lua = "ngx.print(ngx.var.looked)",
                },
                ["/balanced"] = { directives = "proxy_pass http://itself/logged;" },
                ["/logged"] = "ngx.print(LOGGED, ' ', BALANCED)",
            },
        }
        for n = 1, 3 do
            local body, headers = get("/blocks?n=" .. n)
            assert.same({ "7", "7" }, { body, headers["x-looked"] })
        end
        server:await("log_by_lua wrote", function()
            return tostring(raw.secondary:value "select count(*) from users where name = 'log'") == "3"
        end)
        assert.equal("777 7", get "/balanced")
        for _, phase in ipairs { "set", "header_filter", "body_filter", "log", "balancer" } do
            assert.equal(1, logged("a wait inside " .. phase .. "_by_lua blocks the scheduler"), phase)
        end
    end)

    it("a full pool is told at once where nobody could give anything back", function()
        start { locations = { ["/full"] = {
            directives = ("header_filter_by_lua_block { ngx.header['X-Looked'] = %s.look_without_connections() }")
                :format(PHASES),
            lua = ("%s.look()"):format(PHASES),
        } } }
        assert.equal("pool_timeout", select(2, get "/full")["x-looked"])
    end)

    it("C1: request_scope is the scope of all phases and light threads, and ends with the request", function()
        local scope = PHASES .. ".scope()"
        start { locations = {
            ["/scope"] = {
                directives = ([[
                    access_by_lua_block {
                        require("heddle.openresty").request_scope()
                        require("heddle.openresty").request_scope()
                        ngx.ctx.first = %s
                    }
                    header_filter_by_lua_block { ngx.header["X-Scope"] = %s }
                    log_by_lua_block { LOGGED = %s }]]):format(scope, scope, scope),
                lua = ([[
                    local _, other = ngx.thread.wait(ngx.thread.spawn(function() return %s end))
                    local nested = require("heddle").request_context(function() return %s end)
                    ngx.print(ngx.ctx.first, ", ", %s, ", ", other, ", ", nested)]]):format(scope, scope, scope),
            },
            ["/logged"] = "ngx.print(LOGGED)",
            ["/cleared"] = ([[
                require("heddle.openresty").request_scope()
                local before = %s
                ngx.ctx = {}
                ngx.print(before, ", ", %s, ", ", %s.look())]]):format(scope, scope, PHASES),
        } }
        local body, headers = get "/scope"
        assert.same({ "scope 1, scope 1, scope 1, scope 2", "scope 1" }, { body, headers["x-scope"] })
        body, headers = get "/scope"
        assert.same({ "scope 3, scope 3, scope 3, scope 4", "scope 3" }, { body, headers["x-scope"] })
        assert.equal("no_request_context", get "/logged")
        assert.equal("scope 5, no_request_context, 7", get "/cleared")
    end)

    it("a program that clears ngx.ctx in a transaction leaves nothing of it behind", function()
        start { locations = {
            ["/cleared"] = ([[
                require("heddle.openresty").request_scope()
                local em = require("heddle").em()
                em:begin()
                em:execute "insert into users values (1, 'lost')"
                ngx.ctx = {}
                ngx.print(%s.look())]]):format(PHASES),
            ["/stats"] = "ngx.print(require('heddle').instance():pool_stats().in_use)",
        } }
        for _ = 1, 5 do assert.equal("7", get "/cleared") end -- the pool has two connections
        assert.equal("0", get "/stats")
        assert.equal("0", raw.default:value "select count(*) from users")
    end)

    it("outside of nginx there is nothing to set up", function()
        start {}
        local ok, err = pcall(require("heddle.openresty").setup, "spec.nginx.handlers.phases")
        assert.same({ false, "config" }, { ok, err.kind })
        assert.matches("openresty", tostring(err))
        ok, err = pcall(require("heddle.openresty").request_scope)
        assert.same({ false, "no_request_context" }, { ok, err.kind })
    end)

    it("where there is no request there is no scope of one; bad arguments are refused", function()
        start {
            init_worker = [[
                require("heddle.openresty").setup("spec.nginx.handlers.phases")
                local openresty = require "heddle.openresty"
                SAID = {}
                local function note(fn, ...)
                    local ok, err = pcall(fn, ...)
                    SAID[#SAID + 1] = ok and "nothing" or type(err) == "table" and err.kind or "an error"
                end
                note(openresty.request_scope)
                note(openresty.setup, 7)
                note(openresty.setup, "no.such.module")
                note(openresty.setup)]],
            locations = { ["/said"] = "ngx.print(table.concat(SAID, ', '))" },
        }
        assert.equal("no_request_context, config, an error, nothing", get "/said")
    end)

    it("orm.use 'blocking' blocks here too, and scopes stay the request's", function()
        start {
            init_worker = [[
                require("heddle.openresty").setup("spec.nginx.handlers.phases")
                require("heddle").use "blocking"]],
            locations = { ["/blocks"] = ([[
                require("heddle.openresty").request_scope()
                ngx.print(%s.look(), ", ", %s.scope(), ", ", package.loaded["heddle.waiting"].here() == nil)]])
                :format(PHASES, PHASES) },
        }
        assert.equal("7, scope 1, true", get "/blocks")
        assert.equal("7, scope 2, true", get "/blocks")
    end)
end)
