-- Waiters, as an event loop and an adapter see them: what is armed is told by the host's own function, when the loop
-- calls.
-- Only LuaJIT, which nginx has, can give functions of a host's.

local core = require "heddle.core"
local orm = require "heddle"
local socket = require "socket"

local has_ffi, ffi = pcall(require, "ffi")

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

describe("waiters", function()
    local here, there

    before_each(function() here, there = pair() end)
    after_each(function()
        here:close()
        there:close()
    end)

    it("take only what can be waited for, until they are closed", function()
        local waiter = core.waiter(1, 1, "kept")
        assert.matches("bad argument", kind_of(waiter.arm, waiter, here:getfd(), "x"))
        assert.equal("driver", kind_of(waiter.arm, waiter, -1, "r"))
        waiter:close()
        waiter:close()
        for _, method in ipairs { "arm", "disarm" } do
            assert.matches("the waiter is closed", kind_of(waiter[method], waiter, here:getfd(), "r"))
        end
        assert.matches("bad argument", kind_of(core.waiter, "x", 1, 1))
        assert.matches("bad argument", kind_of(core.waiter, 1, 1))
    end)

    it("keep what they were made with until they are closed, and no longer", function()
        local seen = setmetatable({}, { __mode = "v" })
        local function make(n)
            seen[n] = {}
            return core.waiter(1, 1, seen[n])
        end
        local one, two = make(1), make(2)
        collectgarbage()
        collectgarbage()
        assert.is_table(seen[1])
        one:close()
        collectgarbage()
        collectgarbage()
        assert.same({ nil, true }, { seen[1], seen[2] ~= nil })
        two:close()
        two = make(3)
        assert.is_truthy(two)
        two = nil -- luacheck: ignore
        for _ = 1, 4 do collectgarbage() end
        assert.is_nil(seen[3])
    end)

    if not has_ffi then return end

    ffi.cdef [[
        int sem_init(void *semaphore, int shared, unsigned value);
        int sem_post(void *semaphore);
        int sem_getvalue(void *semaphore, int *value);
        struct spec_poll { int fd; short events, revents; };
        int poll(struct spec_poll *list, unsigned long count, int timeout);
    ]]

    local function bell()
        local semaphore = ffi.new("char[?]", 64)
        assert(ffi.C.sem_init(semaphore, 0, 0) == 0)
        local waiter = core.waiter(tonumber(ffi.cast("uintptr_t", ffi.cast("void *", ffi.C.sem_post))),
            tonumber(ffi.cast("uintptr_t", ffi.cast("void *", semaphore))), semaphore)
        local function rung()
            local value = ffi.new "int[1]"
            ffi.C.sem_getvalue(semaphore, value)
            return value[0]
        end
        return waiter, rung
    end

    -- As an event loop does it; false: nothing was ready.
    local function turn()
        local _, fd, call = core.polled()
        local one = ffi.new("struct spec_poll", { fd, 1, 0 })
        if ffi.C.poll(one, 1, 50) == 0 then return false end
        ffi.cast("void (*)(void *)", call)(nil)
        return true
    end

    it("are told once of what is ready, when the loop calls", function()
        local waiter, rung = bell()
        waiter:arm(here:getfd(), "r")
        assert.is_false(turn())
        there:send "x"
        assert.equal(0, rung())
        assert.is_true(turn())
        assert.equal(1, rung())
        assert.is_false(turn())
        assert.is_true(waiter:arm(here:getfd(), "rw")) -- the loop has called
        assert.is_true(turn())
        assert.equal(2, rung())
        waiter:close()
    end)

    it("say whether the loop has called, and remember that it knows", function()
        core.polled(true)
        assert.is_true((core.polled()))
        local _, fd = core.polled()
        local _, again = core.polled()
        assert.equal(fd, again)
    end)

    it("are not told of what they have disarmed, nor when they are closed", function()
        local waiter, rung = bell()
        there:send "x"
        waiter:arm(here:getfd(), "r")
        waiter:disarm(here:getfd())
        assert.is_false(turn())
        waiter:arm(here:getfd(), "r")
        waiter:close()
        local other, other_rung = bell() -- in the place that is free now
        assert.is_true(turn())
        assert.same({ 0, 0 }, { rung(), other_rung() })
        other:arm(here:getfd(), "r")
        assert.is_true(turn())
        assert.equal(1, other_rung())
        other:close()
    end)

    it("are told though more are ready than are taken at once", function()
        local list = {}
        for i = 1, 200 do
            local waiter, rung = bell()
            local a, b = pair()
            waiter:arm(a:getfd(), "w")
            list[i] = { waiter, rung, a, b }
        end
        repeat local was_ready = turn() until not was_ready
        for _, item in ipairs(list) do
            assert.equal(1, item[2]())
            item[1]:close()
            item[3]:close()
            item[4]:close()
        end
    end)
end)
