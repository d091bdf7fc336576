-- What was found by trying to break it: requests that end, or are sent elsewhere, in the middle of something.

local cjson = require "cjson"
local contexts = require "spec.support.nginx_contexts"
local socket = require "socket"


describe("nginx: found:", function()
    local both = contexts.both("found", { pool = { max = 1, acquire_timeout = 5 } })
    local server, raw

    local function start(opts) server, raw = both:start(opts) end

    after_each(function() both:stop() end)

    local function answers(body, path)
        local status, got = server:get(path)
        assert.same({ 200, body }, { status, got })
    end

    local function stats(context)
        return cjson.decode((select(2, server:get("/stats?on=" .. context))))
    end

    for _, context in ipairs { "default", "secondary" } do
        local on = "&on=" .. context

        describe("[" .. context .. "]", function()
            -- The only connection of the pool was held by what is never resumed, until all of the request was over.
            local function check_redirect(status, path)
                start { server = "error_page 418 @kept;", locations = {
                    ["@kept"] = "require('spec.nginx.handlers.found').write()" } }
                local got, body = server:get(path .. on)
                assert.same({ status, "written" }, { got, body })
                assert.same({ { "1", "kept" } }, raw[context]:rows "select id, name from users")
                assert.same({ 0, 0 }, { stats(context).timeouts, stats(context).in_use })
            end

            it("ngx.exec in the middle of a transaction takes nothing from what comes then", function()
                check_redirect(200, "/leave?how=exec&id=1")
            end)

            it("ngx.exec to a named location, neither", function() check_redirect(200, "/leave?how=named&id=1") end)

            it("an error page neither", function() check_redirect(418, "/leave?how=exit&id=1") end)

            it("F1: a light thread that outlives the scope does not write outside of its transaction", function()
                start()
                answers("closed", "/outlive?pause=lua" .. on)
                assert.equal("0", tostring(raw[context]:value "select count(*) from users"))
                assert.equal(0, stats(context).in_use)
            end)
        end)
    end

    it("closed: the scope ends while a light thread waits for the database", function()
        start()
        local began = socket.gettime()
        answers("closed", "/outlive?pause=sql&on=default")
        assert.is_true(socket.gettime() - began < 3)
        assert.equal("0", raw.default:value "select count(*) from users")
        assert.equal(0, stats("default").in_use)
    end)

    it("the client goes away while a password function waits", function()
        start()
        for _ = 1, 3 do
            local request = server:send "/slow_password"
            server:await("the password is asked for", function() return stats("third").in_use == 1 end)
            request:abort()
            server:await("it is given up", function() return stats("third").in_use == 0 end)
        end
        answers("1", "/quick_password")
    end)

    it("waits take none of the timers that may be pending", function()
        start { http = "lua_max_pending_timers 2;" }
        answers("2", "/take_timers")
        for _ = 1, 3 do answers("slept", "/sleep") end
        assert.is_nil(server:errors():find("waits take longer", 1, true))
    end)

    it("TLS: what the certificate's phase has used is not the request's", function()
        local made = os.execute(([[openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost \
            -keyout '%s/found.key' -out '%s/found.crt' 2>/dev/null]]):format(os.getenv "HEDDLE_TEST_TMP",
            os.getenv "HEDDLE_TEST_TMP"))
        assert.is_truthy(made == true or made == 0)
        local tls = os.getenv "HEDDLE_TEST_TMP" .. "/found.socket"
        start { server = ([[listen unix:%s ssl; ssl_certificate %s/found.crt; ssl_certificate_key %s/found.key;
            ssl_certificate_by_lua_block { require("spec.nginx.handlers.found").write_seven() }]]):format(tls,
            os.getenv "HEDDLE_TEST_TMP", os.getenv "HEDDLE_TEST_TMP") }
        local function get(path)
            local pipe = io.popen(("curl -sk --max-time 20 --unix-socket '%s' 'https://localhost%s' 2>&1"):format(tls,
                path))
            local text = pipe:read "*a"
            pipe:close()
            return text
        end
        assert.equal("scope", get "/scope")
        assert.equal("7", raw.default:value "select id from users")
        get "/leave?how=exit&id=1"
        assert.equal(0, stats("default").in_use)
    end)
end)
