-- `lua_code_cache off`, as one has it while developing: a Lua state for each request, with connections of its own.

local contexts = require "spec.support.nginx_contexts"
local lfs = require "lfs"


describe("nginx: without a code cache:", function()
    local both = contexts.both("reload")
    local server, raw

    local function start(opts)
        opts.code_cache = false
        server, raw = both:start(opts)
    end

    after_each(function() both:stop() end)

    local function entries(path)
        local count = 0
        for _ in lfs.dir(path) do count = count + 1 end
        return count
    end

    local function in_hand()
        local pid = server:workers()[1]
        local status = assert(io.open(("/proc/%d/status"):format(pid))):read "*a"
        return {
            descriptors = entries(("/proc/%d/fd"):format(pid)), threads = entries(("/proc/%d/task"):format(pid)),
            memory = tonumber(status:match "VmRSS:%s*(%d+)"),
        }
    end

    local function is_quiet()
        return raw.default:value [[select count(*) from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid()]] == "0"
    end

    it("requests are served, and nothing stays of them", function()
        start {}
        local written = 0
        local function round()
            local list = {}
            for i = 1, 10 do list[i] = "/add?n=" .. written + i end
            written = written + 10
            for _, result in ipairs(server:many(list)) do assert.equal(200, result.status, result.body) end
            server:await("connections are still open", is_quiet)
        end
        for _ = 1, 3 do round() end
        local before = in_hand()
        for _ = 1, 8 do round() end
        local after = in_hand()
        assert.same({ before.descriptors, before.threads }, { after.descriptors, after.threads })
        assert.is_true(after.memory - before.memory < 8192, after.memory - before.memory) -- KB
        assert.equal(tostring(2 * written), raw.default:value "select count(*) from users")
        assert.equal(tostring(written), tostring(raw.secondary:value "select count(*) from users"))
    end)

    it("a client that goes away takes its state with it", function()
        start {}
        for _ = 1, 3 do
            local request = server:send "/hold?on=default"
            server:await("it is in its transaction", function()
                return raw.default:value [[select count(*) from pg_stat_activity
                    where state = 'idle in transaction' and datname = current_database()]] == "1"
            end)
            request:abort()
            server:await("its connection is closed", is_quiet)
        end
        assert.equal("0", raw.default:value "select count(*) from users")
    end)

    it("contexts that were made in init_worker_by_lua are not there, which an error says", function()
        start { init_worker = "require('heddle.openresty').setup('spec.nginx.handlers.reload')",
            locations = { ["/none"] = [[
                local orm = require "heddle"
                local ok, err = pcall(function() return orm.em():execute "select 1" end)
                ngx.print(tostring(ok), " ", err.kind)]] } }
        server:reload { init = "local nothing" }
        local status, body = server:get "/none"
        assert.same({ 200, "false context_not_found" }, { status, body })
    end)
end)
