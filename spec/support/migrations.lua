--- Directories of migrations for specs, and processes that run them.
--
--     local migrations = require "spec.support.migrations"
--     local dir = migrations.directory()
--     dir:write("20260101000000_users.lua", [[return { up = function(m) m:sql "..." end }]])
--     local process = migrations.process(config, dir, "orm.instance().migrator:up()")
--     process:wait()           -- what it printed; process:kill() is SIGKILL
--
-- A process finds `orm`, `instance` and `say(...)`, which prints a line that `process:expect "text"` waits for.

local lfs = require "lfs"

local migrations = {}

local function quote(text)
    return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function read(path)
    local file = io.open(path, "rb")
    local text = file and file:read "*a"
    if file then file:close() end
    return text
end

local function write(path, text)
    local file = assert(io.open(path, "wb"))
    file:write(text)
    file:close()
end

local count = 0

local function temporary(suffix)
    count = count + 1
    return ("%s/migrations%d%s"):format(os.getenv "HEDDLE_TEST_TMP" or "/tmp", count, suffix or "")
end

local Directory = {}
Directory.__index = Directory

--- An empty directory.
function migrations.directory()
    local path = temporary()
    os.execute("rm -rf " .. quote(path))
    assert(lfs.mkdir(path))
    return setmetatable({ path = path }, Directory)
end

function Directory:write(name, text)
    write(self.path .. "/" .. name, text)
end

function Directory:read(name)
    return read(self.path .. "/" .. name)
end

function Directory:remove(name)
    os.remove(self.path .. "/" .. name)
end

--- Names of its files, sorted; hidden ones too.
function Directory:files()
    local names = {}
    for name in lfs.dir(self.path) do
        if name ~= "." and name ~= ".." then names[#names + 1] = name end
    end
    table.sort(names)
    return names
end

--- Lua source of a configuration.
local function source_of(config)
    local parts = {}
    for key, value in pairs(config) do
        if type(value) ~= "table" then
            parts[#parts + 1] = ("[%q] = %s"):format(key, type(value) == "string" and ("%q"):format(value)
                or tostring(value))
        end
    end
    return "{ " .. table.concat(parts, ", ") .. " }"
end

--- "authors done, books pending": names without their times.
function migrations.states(migrator)
    local list = {}
    for i, item in ipairs(migrator:status()) do list[i] = item.name:sub(16) .. " " .. item.state end
    return table.concat(list, ", ")
end

local Process = {}
Process.__index = Process

local PRELUDE = [[
local orm = require "heddle"
function say(...) print(...) io.stdout:flush() end
local config = %s
config.migrations = %q
local instance = orm.init(config)
]]

--- Runs Lua in another process, with a context over the same database and migrations.
function migrations.process(config, dir, code)
    local script, out = temporary ".lua", temporary ".out"
    write(script, PRELUDE:format(source_of(config), dir.path) .. code)
    write(out, "")
    local command = ("echo pid $$; exec %s %s"):format(os.getenv "HEDDLE_TEST_LUA", quote(script))
    local pipe = io.popen(("{ sh -c %s >%s 2>&1; echo \"ended $?\" >>%s; } >/dev/null & echo started"):format(
        quote(command), quote(out), quote(out)))
    pipe:read "*l"
    pipe:close()
    return setmetatable({ out = out, script = script }, Process)
end

function Process:output()
    return read(self.out)
end

local function pause()
    require "heddle.core".sleep(0.01)
end

--- Waits until it has printed a text.
function Process:expect(text)
    for _ = 1, 3000 do
        local output = self:output()
        if output:find(text, 1, true) then return output end
        if output:find "ended %d+\n$" then break end
        pause()
    end
    error(("%q was not printed: %s"):format(text, self:output()), 2)
end

--- Waits for its end; what it printed.
function Process:wait()
    for _ = 1, 6000 do
        local output = self:output()
        if output:find "ended %d+\n$" then return (output:gsub("ended %d+\n$", ""):gsub("^pid %d+\n", "")) end
        pause()
    end
    error("it does not end: " .. self:output(), 2)
end

--- SIGKILL, at once.
function Process:kill()
    local pid = self:expect "pid ":match "pid (%d+)"
    os.execute("kill -9 " .. pid)
    return self:wait()
end

return migrations
