--- A real nginx with its Lua module, this tree and its LuaJIT build, for a spec.
--
--     local nginx = require "spec.support.nginx"
--     local server = nginx.start {
--         workers = 2, connections = 16,                     -- default 1 and 2048
--         code_cache = false,                                -- default true
--         init = "...", init_worker = "...",                 -- Lua text
--         locations = { ["/hello"] = "ngx.say 'hello'", ["/x"] = { lua = "...", directives = "..." } },
--         http = "lua_shared_dict d 1m;", server = "...",    -- more directives
--         env = { NAME = "value" },                          -- for os.getenv
--         port = true,                                       -- on a port of 127.0.0.1 too: server.port
--         preload = "build/support/x.so",                    -- in nginx's processes
--     }
--     local status, body, headers = server:get("/hello", { body = "..." })     -- nil, problem: no answer (http.lua)
--     local results = server:many { "/hello", { "/x", timeout = 5 } }          -- all at once
--     local request = server:send "/x"; request:abort()                        -- a client that goes away
--     server:reload { locations = { ... } }                                    -- with what is changed, if anything
--     server:workers(); server:signal("USR1", pid); server:errors()            -- pids; the error log's text
--     server:stop()                                            -- raises what of the log is to blame on somebody
--
-- A location that begins with "/" is that path exactly. nginx listens on a Unix socket in a directory of its own, which
-- is its TMPDIR as well, and ends with this process.

local http = require "spec.support.http"
local lfs = require "lfs"
local socket = require "socket"

local nginx = {}

local root = lfs.currentdir()
local PATIENCE = 60 -- seconds, for nginx to start, reload and stop

local Server = {}
Server.__index = Server

local function read(path)
    local file = io.open(path, "rb")
    if not file then return nil end
    local text = file:read "*a"
    file:close()
    return text
end

local function write(path, text)
    local file = assert(io.open(path, "wb"))
    file:write(text)
    file:close()
end

-- What nginx is configured with --------------------------------------------------------------------------------

local function lua_block(directive, text)
    return text and ("%s_by_lua_block {\n%s\n}\n"):format(directive, text) or ""
end

local function locations(list)
    local names, parts = {}, {}
    for name in pairs(list or {}) do names[#names + 1] = name end
    table.sort(names)
    for i, name in ipairs(names) do
        local item = list[name]
        if type(item) == "string" then item = { lua = item } end
        parts[i] = ("location %s%s {\n%s\n%s}\n"):format(name:find "^/" and "= " or "", name, item.directives or "",
            lua_block("content", item.lua))
    end
    return table.concat(parts)
end

local function environment(dir, env)
    local lines = { ('env "TMPDIR=%s";'):format(dir) }
    for name, value in pairs(env or {}) do
        lines[#lines + 1] = ('env "%s=%s";'):format(name, (tostring(value):gsub('[\\"]', "\\%0")))
    end
    return table.concat(lines, "\n")
end

local CONFIGURATION = [[
daemon off;
pid nginx.pid;
error_log error.log notice;
worker_processes $workers;
worker_shutdown_timeout 20s;
worker_rlimit_core 0;
load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;
$user
$env
$main
events { worker_connections $connections; }
http {
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    lua_package_path "$root/lua/?.lua;$root/lua/?/init.lua;$root/?.lua;;";
    lua_package_cpath "$root/build/luajit/?.so;;";
    lua_code_cache $code_cache;
    $http
    $init
    $init_worker
    server {
        listen unix:$dir/socket;
        $listen
        $server
        $locations
    }
}
]]

local function configuration(server)
    local opts = server.opts
    local values = {
        dir = server.dir, root = root, workers = tostring(opts.workers or 1),
        code_cache = opts.code_cache == false and "off" or "on",
        user = server.is_root and "user root;" or "",
        env = environment(server.dir, opts.env), main = opts.main or "", http = opts.http or "",
        init = lua_block("init", opts.init), init_worker = lua_block("init_worker", opts.init_worker),
        server = opts.server or "", locations = locations(opts.locations), connections = opts.connections or 2048,
        listen = server.port and ("listen 127.0.0.1:%d;"):format(server.port) or "",
    }
    return (CONFIGURATION:gsub("%$([%l_]+)", values))
end

-- Its processes ------------------------------------------------------------------------------------------------

local function is_root()
    return (read "/proc/self/status" or ""):find "\nUid:%s*0%s" ~= nil
end

local function free_port()
    local probe = assert(socket.bind("127.0.0.1", 0))
    local _, port = probe:getsockname()
    probe:close()
    return tonumber(port)
end

--- Waits until the function gives a value; raises with what nginx has to say when it does not.
function Server:await(what, fn)
    local limit = socket.gettime() + PATIENCE
    repeat
        local value = fn()
        if value then return value end
        socket.sleep(0.01)
    until socket.gettime() > limit
    error(("nginx: %s\n%s%s"):format(what, read(self.dir .. "/output") or "", self:errors()), 2)
end

local function exit_status(server)
    return tonumber(read(server.dir .. "/status") or "")
end

local function children(server)
    local list = {}
    local text = read(("/proc/%d/task/%d/children"):format(server.pid, server.pid)) or ""
    for pid in text:gmatch "%d+" do
        local command = (read("/proc/" .. pid .. "/cmdline") or ""):gsub("%z", " ")
        list[#list + 1] = { pid = tonumber(pid), serves = command:find "worker process%s*$" ~= nil }
    end
    return list
end

--- Process ids of the workers that take requests.
function Server:workers()
    local pids = {}
    for _, child in ipairs(children(self)) do
        if child.serves then pids[#pids + 1] = child.pid end
    end
    return pids
end

local function has_all_workers(server)
    return #server:workers() == (server.opts.workers or 1)
end

local function begin(server)
    local preload = server.opts.preload and ("LD_PRELOAD='%s/%s' "):format(root, server.opts.preload) or ""
    server.process = assert(io.popen(("%sexec spec/support/nginx.sh '%s'"):format(preload, server.dir), "w"))
    server:await("it did not start", function()
        if exit_status(server) then error("nginx did not start:\n" .. read(server.dir .. "/output"), 4) end
        server.pid = tonumber(read(server.dir .. "/nginx.pid") or "")
        return server.pid and has_all_workers(server)
    end)
end

-- This module may be loaded anew for each file of specs.
local function new_directory()
    local parent = os.getenv "HEDDLE_TEST_TMP" or error("HEDDLE_TEST_TMP is not set", 3)
    local number = 1
    while lfs.attributes(parent .. "/nginx" .. number) do number = number + 1 end
    local dir = parent .. "/nginx" .. number
    assert(lfs.mkdir(dir))
    return dir
end

---@param opts table see above
function nginx.start(opts)
    local dir = new_directory()
    local server = setmetatable({ dir = dir, opts = opts, address = { socket = dir .. "/socket" }, is_root = is_root(),
        port = opts.port and free_port() }, Server)
    write(dir .. "/nginx.conf", configuration(server))
    begin(server)
    return server
end

--- Has the master read its configuration again, with options that are changed; waits for the new workers. Those that
--- were there finish what they have.
function Server:reload(changed)
    for name, value in pairs(changed or {}) do self.opts[name] = value end
    write(self.dir .. "/nginx.conf", configuration(self))
    local before = {}
    for _, pid in ipairs(self:workers()) do before[pid] = true end
    self:signal "HUP"
    self:await("it did not reload", function()
        for _, pid in ipairs(self:workers()) do
            if before[pid] then return false end
        end
        return has_all_workers(self)
    end)
end

--- Waits until no process but the master and those that serve is there.
function Server:settle()
    self:await("workers of before a reload are still there", function()
        return #children(self) == #self:workers()
    end)
end

--- Signals the master, or another of its processes.
function Server:signal(name, pid)
    os.execute(("kill -%s %d 2>/dev/null"):format(name, pid or self.pid)) -- it may have ended
end

--- The text of the error log.
function Server:errors() return read(self.dir .. "/error.log") or "" end

local BLAMED = { "exited on signal", "exited with fatal code", "%[alert%]", "%[emerg%]" }

--- Lines of the log that no run may leave, and what else was left.
function Server:faults()
    local faults = {}
    for line in self:errors():gmatch "[^\n]+" do
        local is_fault = false
        for _, pattern in ipairs(BLAMED) do is_fault = is_fault or line:find(pattern) ~= nil end
        if is_fault and not line:find("lua_code_cache is off", 1, true) then faults[#faults + 1] = line end
    end
    if self.process then return faults end
    for name in lfs.dir(self.dir) do
        if name:find "^heddle%-" then faults[#faults + 1] = "left behind: " .. name end
    end
    return faults
end

--- Lets it finish what it has, and raises what stands in the log that should not.
function Server:stop()
    if not self.process then return end
    self:signal "QUIT"
    self:await("it did not stop", function() return exit_status(self) end)
    self.process:close()
    self.process = nil
    local faults = self:faults()
    if exit_status(self) ~= 0 then faults[#faults + 1] = "the exit status was " .. exit_status(self) end
    if #faults > 0 then error("nginx has this in its log:\n" .. table.concat(faults, "\n"), 2) end
end

-- Requests -----------------------------------------------------------------------------------------------------

--- Sends a request and does not wait for its answer: http.lua.
function Server:send(path, opts) return http.send(self.address, path, opts) end

---@return table[] results as http.lua describes them
function Server:many(list) return http.many(self.address, list) end

---@return integer|nil status, string body_or_problem, table headers
function Server:get(path, opts)
    local result = http.get(self.address, path, opts)
    if result.problem then return nil, result.problem end
    return result.status, result.body, result.headers
end

return nginx
