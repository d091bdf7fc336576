--- A scheduler of forty lines, for specs of waiting: coroutines, and one poll for all that they wait for.
--
--     local loop = require "spec.support.loop"
--     orm.use(loop.wait)
--     loop.spawn(function() orm.em():fork():execute "select 1" end)
--     loop.run()          -- until every coroutine has ended; raises what one of them raised
--     loop.most           --> how many coroutines waited at the same time
--     orm.use "blocking"

local socket = require "socket"

local loop = { most = 0, pauses = 0 }

local tasks = {}

local function resume(task, ...)
    local ok, wait = coroutine.resume(task.co, ...)
    if not ok then error(wait, 0) end
    task.wait = wait -- nil: it has ended, or only gives way
    task.ended = coroutine.status(task.co) == "dead"
end

--- Starts a coroutine; it runs up to its first wait.
function loop.spawn(fn, ...)
    local task = { co = coroutine.create(fn) }
    tasks[#tasks + 1] = task
    resume(task, ...)
    return task.co
end

--- The adapter.
function loop.wait(fd, events, timeout)
    if not fd then loop.pauses = loop.pauses + 1 end
    return coroutine.yield { fd = fd, events = events or "", till = timeout and socket.gettime() + timeout }
end

--- Lets the others run once.
function loop.yield() coroutine.yield() end

local function handle(task)
    return { task = task, getfd = function() return task.wait.fd end, dirty = function() return false end }
end

-- The tasks that need not wait any longer; waits for the first of them.
local function poll()
    local readers, writers, ready, now, nearest, waiting = {}, {}, {}, socket.gettime(), 1, 0
    for _, task in ipairs(tasks) do
        local wait = task.wait
        if wait then
            waiting = waiting + 1
            if wait.fd and wait.events:find "r" then readers[#readers + 1] = handle(task) end
            if wait.fd and wait.events:find "w" then writers[#writers + 1] = handle(task) end
        end
        nearest = math.min(nearest, not wait and 0 or wait.till and math.max(wait.till - now, 0) or 1)
    end
    loop.most = math.max(loop.most, waiting)
    local readable, writable = socket.select(readers, writers, nearest)
    for _, list in ipairs { readable, writable } do
        for _, each in ipairs(list) do ready[each.task] = true end
    end
    return ready, socket.gettime()
end

--- One round: everybody who can go on does. False when nobody is left.
function loop.step()
    local ready, now = poll()
    local list = tasks
    tasks = {}
    for _, task in ipairs(list) do
        local wait = task.wait
        if not task.ended then tasks[#tasks + 1] = task end
        if not task.ended and (not wait or ready[task] or wait.till and now >= wait.till) then
            resume(task, ready[task] or false)
        end
    end
    return #tasks > 0
end

--- Runs until every coroutine has ended.
function loop.run()
    while loop.step() do end
end

--- Forgets a coroutine as a scheduler does that cancels it: nobody resumes it any more.
function loop.drop(co)
    for i = #tasks, 1, -1 do
        if tasks[i].co == co then table.remove(tasks, i) end
    end
end

--- Whether a coroutine is in the adapter.
function loop.waits(co)
    for _, task in ipairs(tasks) do
        if task.co == co then return task.wait ~= nil end
    end
    return false
end

--- Forgets everything, counts included.
function loop.reset()
    tasks, loop.most, loop.pauses = {}, 0, 0
end

return loop
