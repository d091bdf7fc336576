-- The poller as an adapter sees it: what core.poller() arms is told of on the connection that it accepts.

local orm = require "heddle"
local core = require "heddle.core"
local socket = require "socket"
local unix = require "socket.unix"

--- The next id; 0 is a sign of life.
local function next_id(connection)
    local bytes = assert(connection:receive(4))
    local a, b, c, d = bytes:byte(1, 4)
    return a + b * 2 ^ 8 + c * 2 ^ 16 + d * 2 ^ 24
end

local function next_ready(connection)
    local id
    repeat id = next_id(connection) until id ~= 0
    return id
end

local function pair()
    local server = assert(socket.bind("127.0.0.1", 0))
    local address, port = server:getsockname()
    local here = assert(socket.connect(address, port))
    local there = assert(server:accept())
    server:close()
    return here, there
end

local function kind_of(call, ...)
    local ok, err = pcall(call, ...)
    assert.is_false(ok)
    return orm.is_error(err) and err.kind or tostring(err)
end

--- Runs a chunk in an interpreter of its own; gives whether it ended by itself, with status 0.
local function ends_well(chunk)
    local command = ("timeout 60 %s -e '%s'"):format(os.getenv "HEDDLE_TEST_LUA", chunk)
    local a, _, c = os.execute(command)
    return a == true and c == 0 or a == 0
end

describe("the poller", function()
    local poller, connection, here, there

    before_each(function()
        poller = core.poller()
        connection = assert(unix.stream and unix.stream() or unix())
        assert(connection:connect(poller:path()))
        connection:settimeout(10)
        here, there = pair()
    end)

    after_each(function()
        poller:close()
        connection:close()
        here:close()
        there:close()
    end)

    it("tells of what was armed, by its id", function()
        poller:arm(here:getfd(), "w", 1)
        assert.equal(1, next_ready(connection))
        poller:arm(here:getfd(), "r", 2 ^ 32 - 1)
        there:send "x"
        assert.equal(2 ^ 32 - 1, next_ready(connection))
        poller:arm(here:getfd(), "rw", 0x12345678)
        assert.equal(0x12345678, next_ready(connection))
    end)

    it("says that it is alive, and nothing of what is disarmed", function()
        poller:arm(here:getfd(), "r", 3)
        poller:disarm(here:getfd())
        poller:disarm(here:getfd())
        there:send "x"
        assert.equal(0, next_id(connection))
    end)

    it("takes only what can be waited for", function()
        local fd = here:getfd()
        for _, id in ipairs { 0, -1, 2 ^ 32, "x" } do
            assert.matches("bad argument", kind_of(poller.arm, poller, fd, "r", id))
        end
        assert.matches("bad argument", kind_of(poller.arm, poller, fd, "x", 1))
        assert.equal("driver", kind_of(poller.arm, poller, -1, "r", 1))
    end)

    it("is closed once", function()
        poller:close()
        poller:close()
        for _, method in ipairs { "path", "arm", "disarm" } do
            assert.equal("closed", kind_of(poller[method], poller, 0, "r", 1))
        end
        local _, problem = connection:receive(4)
        assert.equal("closed", problem)
    end)

    it("says when nobody hears of what is ready", function()
        connection:close()
        local limit = core.clock() + 10
        repeat
            local ok, err = pcall(poller.arm, poller, here:getfd(), "r", 1)
            if not ok then assert.equal("closed", err.kind) end
        until not ok or core.clock() > limit
        assert.equal("closed", kind_of(poller.arm, poller, here:getfd(), "r", 1))
    end)

    it("ends with its state, connected or not, and when it is collected", function()
        assert.is_true(ends_well [[poller = require "heddle.core".poller()]])
        assert.is_true(ends_well [[
            poller = require "heddle.core".poller()
            local unix = require "socket.unix"
            connection = unix.stream and unix.stream() or unix()
            assert(connection:connect(poller:path()))
            poller:arm(connection:getfd(), "r", 1)
            assert(#connection:receive(4) == 4)]])
        assert.is_true(ends_well [[
            local function threads()
                local text = io.open("/proc/self/status"):read(100000)
                return tonumber(text:match "Threads:%s*(%d+)")
            end
            local before = threads()
            local poller = require "heddle.core".poller()
            assert(threads() == before + 1)
            poller = nil
            collectgarbage() collectgarbage()
            assert(threads() == before)]])
    end)
end)
