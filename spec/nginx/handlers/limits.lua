-- What limits_spec.lua asks for: work while something has run out, told as what came of it.

local contexts = require "spec.support.nginx_contexts"
local ffi = require "ffi"
local lfs = require "lfs"
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

-- All of nginx's connections but one are somewhere else.
function handlers.connections()
    local address = ("unix:%s/.s.PGSQL.%s"):format(os.getenv "HEDDLE_TEST_PG_SOCKET", os.getenv "HEDDLE_TEST_PG_PORT")
    local held = {}
    while true do
        local sock = ngx.socket.tcp()
        if not sock:connect(address) then break end
        held[#held + 1] = sock
    end
    for i = 1, tonumber(ngx.var.arg_free) do held[i]:close() end
    local answer = slow()
    for i = ngx.var.arg_free + 1, #held do held[i]:close() end
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

ffi.cdef "int shutdown(int fd, int how);"

-- Ends the connection to the thread that waits, as it sees it.
local function break_poller()
    local inodes = {}
    for line in io.lines "/proc/self/net/unix" do
        local inode = line:match "(%d+) %S+/heddle%-%w+/poller$"
        if inode then inodes["socket:[" .. inode .. "]"] = true end
    end
    local broken = 0
    for name in lfs.dir "/proc/self/fd" do
        local target = lfs.symlinkattributes("/proc/self/fd/" .. name, "target")
        if inodes[target] and ffi.C.shutdown(tonumber(name), 2) == 0 then broken = broken + 1 end
    end
    return broken
end

-- Somebody waits meanwhile, and somebody waits next.
function handlers.poller()
    local waits = ngx.thread.spawn(slow)
    ngx.sleep(0.2)
    local broken = break_poller()
    local limit = ngx.now() + tonumber(ngx.var.arg_busy)
    repeat ngx.update_time() until ngx.now() > limit
    local at_once = one()
    local _, waited = ngx.thread.wait(waits)
    ngx.print(broken, " ", at_once, " ", waited, " ", one())
end

return handlers
