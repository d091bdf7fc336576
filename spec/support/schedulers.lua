--- The list of behaviours under every adapter: a user's own function (loop.lua), cqueues, luv, as far as the
--- interpreter has them.
--
--     local schedulers = require "spec.support.schedulers"
--     schedulers.each(function(s)                  -- once in describe "[function]", "[cqueues]", "[luv]"
--         it("...", function()
--             s:spawn(function() em:fork():execute "select pg_sleep(0.1)" end)
--             s:beside(0.005)                      -- a coroutine that counts while the others go on: s.ticks
--             s:run()                              -- until all have ended; raises what one of them raised
--             assert.equal(0, s.blocked)           -- how often Heddle blocked, and for how many pauses
--         end)
--     end)
--
-- s:sleep(seconds) pauses the running coroutine. The adapter is chosen before each spec and left after it.

local compat = require "heddle.compat"
local core = require "heddle.core"
local orm = require "heddle"

local schedulers = {}

local function at_hand(name)
    local ok, module = pcall(require, name)
    return ok and module or nil
end

local kinds = {
    { name = "function", make = function()
        local loop = require "spec.support.loop"
        return {
            adapter = loop.wait, start = loop.spawn, run = loop.run, reset = loop.reset,
            sleep = function(seconds) loop.wait(nil, nil, seconds) end,
        }
    end },
    { name = "cqueues", needs = "cqueues", make = function(cqueues)
        local controller
        return {
            adapter = "cqueues",
            start = function(fn) controller:wrap(fn) end,
            run = function() assert(controller:loop()) end,
            reset = function() controller = cqueues.new() end,
            sleep = cqueues.sleep,
        }
    end },
    { name = "luv", needs = "luv", make = function(uv)
        return {
            adapter = "luv",
            start = function(fn)
                -- In the loop, as all that a program does.
                local timer = uv.new_timer()
                timer:start(0, 0, function()
                    timer:close()
                    coroutine.wrap(fn)()
                end)
            end,
            run = function() uv.run() end,
            reset = function() end,
            sleep = function(seconds)
                local co, timer = compat.running(), uv.new_timer()
                timer:start(math.ceil(seconds * 1000), 0, function()
                    timer:close()
                    assert(coroutine.resume(co))
                end)
                coroutine.yield()
            end,
        }
    end },
}

local Scheduler = {}
Scheduler.__index = Scheduler

--- Starts a coroutine, in the order of calls.
function Scheduler:spawn(fn)
    self.alive = self.alive + 1
    self.kind.start(function()
        local ok, err = compat.pcall(fn)
        self.alive = self.alive - 1
        if not ok then self.failure = self.failure or { err } end
    end)
end

function Scheduler:sleep(seconds) self.kind.sleep(seconds) end

--- Starts a coroutine that does nothing but count pauses until all others have ended.
function Scheduler:beside(seconds)
    self.ticks = 0
    self.kind.start(function()
        while self.alive > 0 do
            self.kind.sleep(seconds)
            self.ticks = self.ticks + 1
        end
    end)
end

--- Runs until every coroutine has ended.
function Scheduler:run()
    self.kind.run()
    local failure = self.failure
    self.failure = nil
    if failure then error(failure[1], 0) end
    if self.alive ~= 0 then error(("%d coroutines have not ended"):format(self.alive), 2) end
end

-- Nothing blocks but these two functions of the core.
local function count_blocking(self)
    local methods = debug.getregistry()["heddle.link"].__index
    local block, sleep = methods.block, core.sleep
    methods.block = function(...)
        self.blocked = self.blocked + 1
        return block(...)
    end
    core.sleep = function(...)
        self.blocked = self.blocked + 1
        return sleep(...)
    end
    return function() methods.block, core.sleep = block, sleep end
end

function Scheduler:enter()
    self.alive, self.ticks, self.blocked, self.failure = 0, 0, 0, nil
    self.kind.reset()
    orm.use(self.kind.adapter)
    self.restore = count_blocking(self)
end

function Scheduler:leave()
    self.restore()
    orm.use "blocking"
    self.kind.reset()
end

--- Whether this interpreter yields across pcall and out of iterators; plain Lua 5.1 does not.
schedulers.are_covered = not compat.is_51 or rawget(_G, "jit") ~= nil

--- Runs `block(s)` in a describe block for every scheduler that is there.
function schedulers.each(block)
    if not schedulers.are_covered then return end
    local busted = require "busted"
    for _, kind in ipairs(kinds) do
        local module = not kind.needs or at_hand(kind.needs)
        if module then
            local self = setmetatable({ name = kind.name, kind = kind.make(module) }, Scheduler)
            busted.describe("[" .. kind.name .. "]", function()
                busted.before_each(function() self:enter() end)
                busted.after_each(function() self:leave() end)
                block(self)
            end)
        end
    end
end

return schedulers
