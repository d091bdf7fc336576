-- What limits_spec.lua asks for: work while something has run out, told as what came of it.

local contexts = require "spec.support.nginx_contexts"
local orm = require "heddle"

local User = orm.entity { name = "User", table = "users", { "id", type = "integer", primary = true },
    { "name", type = "string" } }

contexts.open { User }

local handlers = {}

local function come_of(fn)
    local ok, result = pcall(orm.request_context, fn)
    return ok and tostring(result or "done") or orm.is_error(result) and result.kind or "raw: " .. tostring(result)
end

local function one() return come_of(function() return orm.em():execute("select 1 as n")[1].n end) end

local function slow() return come_of(function() return orm.em():execute("select 7 as n, pg_sleep(1)")[1].n end) end

function handlers.one() ngx.print(one()) end

function handlers.other()
    ngx.print(come_of(function()
        local em = orm.em "secondary"
        em:persist_and_flush(em:create(User, { id = tonumber(ngx.var.arg_n), name = "event" }))
    end))
end

-- All of nginx's connections are somewhere else.
function handlers.connections()
    local address = ("unix:%s/.s.PGSQL.%s"):format(os.getenv "HEDDLE_TEST_PG_SOCKET", os.getenv "HEDDLE_TEST_PG_PORT")
    local held = {}
    while true do
        local sock = ngx.socket.tcp()
        if not sock:connect(address) then break end
        held[#held + 1] = sock
    end
    local answer = slow()
    for i = 1, #held do held[i]:close() end
    ngx.print(answer, " ", one())
end

-- Not one descriptor is left.
function handlers.descriptors()
    local held = {}
    while true do
        local file = io.open "/dev/null"
        if not file then break end
        held[#held + 1] = file
    end
    local without = one()
    for _, file in ipairs(held) do file:close() end
    ngx.print(without, " ", one())
end

function handlers.slow() ngx.print(slow()) end

-- What they waited with is garbage before what they waited for comes.
function handlers.killed()
    local count = 0
    for _ = 1, 8 do
        local thread = ngx.thread.spawn(function() orm.em():fork():execute "select pg_sleep(0.2)" end)
        ngx.sleep(0.01)
        if ngx.thread.kill(thread) then count = count + 1 end
    end
    for _ = 1, 3 do
        collectgarbage()
        ngx.sleep(0.1)
    end
    ngx.print(count, " killed")
end

return handlers
