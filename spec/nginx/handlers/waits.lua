-- What waits_spec.lua asks for.

local contexts = require "spec.support.nginx_contexts"
local orm = require "heddle"

local User = orm.entity { name = "User", table = "users", { "id", type = "integer", primary = true },
    { "name", type = "string" }, { "visits", type = "integer", default = 0 } }

contexts.open { User }

local handlers = {}

local function say(...) ngx.print(table.concat({ ... }, " ")) end

local function wait_all(threads)
    local results = {}
    for i, thread in ipairs(threads) do results[i] = select(2, ngx.thread.wait(thread)) end
    return results
end

function handlers.sleep()
    orm.request_context(function()
        orm.em():execute "select pg_sleep(0.1)"
        ngx.ctx.slept = true
    end)
    say "slept"
end

-- A read, a pause and a look at what stands in memory: of this request alone.
function handlers.isolated()
    orm.request_context(function()
        local em = orm.em()
        local user = em:find_one(User, 1)
        user.name = ngx.var.arg_name
        em:execute "select pg_sleep(0.05)"
        local again = em:find_one(User, 1)
        say(again.name, tostring(again == user), tostring(orm.get_context():contains(user)))
    end)
end

-- A transaction each, with a pause in the middle, half of which are given up.
function handlers.transfer()
    local n = tonumber(ngx.var.arg_n)
    local ok = pcall(orm.request_context, function()
        orm.em():transactional(function(em)
            em:insert(User, { id = n, name = "user " .. n })
            em:execute "select pg_sleep(0.02)"
            em:persist_and_flush(em:create(User, { id = n + 1000, name = "second of " .. n }))
            if n % 2 == 1 then error "given up" end
        end)
    end)
    say(tostring(ok))
end

function handlers.light_threads()
    orm.request_context(function()
        local em = orm.get_context()
        local threads = {}
        for i = 1, 3 do threads[i] = ngx.thread.spawn(function() return tostring(orm.get_context() == em) end) end
        say(unpack(wait_all(threads)))
    end)
end

function handlers.forks()
    orm.request_context(function()
        local threads = {}
        for i = 1, 10 do
            threads[i] = ngx.thread.spawn(function()
                return orm.em():fork():execute("select ?::int as n, pg_sleep(0.1)", i)[1].n
            end)
        end
        say(unpack(wait_all(threads)))
    end)
end

local function kind_of(fn, ...)
    local ok, err = pcall(fn, ...)
    return ok and "none" or orm.is_error(err) and err.kind or tostring(err)
end

function handlers.busy()
    orm.request_context(function()
        local em = orm.get_context()
        local waiting = ngx.thread.spawn(function() em:execute "select pg_sleep(0.1)" end)
        local while_it_waits = kind_of(em.execute, em, "select 1")
        ngx.thread.wait(waiting)
        local in_transaction = em:transactional(function()
            return wait_all { ngx.thread.spawn(kind_of, em.execute, em, "select 1") }[1]
        end)
        say(while_it_waits, in_transaction, kind_of(em.execute, em, "select 1"))
    end)
end

function handlers.generator()
    orm.request_context(function()
        orm.em():transactional(function(em)
            local numbers = coroutine.wrap(function()
                for i = 1, 3 do coroutine.yield(em:execute("select ?::int as n, pg_sleep(0.01)", i)[1].n) end
            end)
            say(numbers(), numbers(), numbers())
        end)
    end)
end

function handlers.stream()
    orm.request_context(function()
        local count = 0
        for _ in orm.em():stream(User, {}) do count = count + 1 end
        for user in orm.em():stream(User, {}) do
            if user then break end
        end
        say(count, orm.em():count(User, {}))
    end)
end

function handlers.nested()
    orm.request_context(function()
        local outer = orm.get_context()
        orm.request_context(function()
            local inner = orm.get_context()
            local function sees() return orm.get_context() == inner and "inner" or "outer" end
            local generator = coroutine.create(sees)
            say(tostring(inner ~= outer), sees(), select(2, coroutine.resume(generator)),
                unpack(wait_all { ngx.thread.spawn(sees), ngx.thread.spawn(orm.bind(sees)) }))
        end)
        ngx.print(" ", tostring(orm.get_context() == outer))
    end)
    ngx.print(" ", kind_of(orm.get_context))
end

function handlers.global() say(kind_of(function() orm.em():find(User, {}) end)) end

-- The read-modify-write of an open transaction, tried again when it loses.
function handlers.visit()
    orm.request_context(function()
        orm.em():transactional(function(em)
            local user = em:find_one(User, 1)
            user.visits = user.visits + 1
        end, { isolation = "serializable", retry = 50 })
        say "visited"
    end)
end

function handlers.lite()
    local n = tonumber(ngx.var.arg_n)
    orm.request_context(function()
        orm.em("secondary"):transactional(function(em)
            em:insert(User, { id = n, name = "user " .. n })
            ngx.sleep(0.005)
            em:insert(User, { id = n + 1000, name = "second" })
        end)
    end)
    say "written"
end

function handlers.stats() say(require("cjson").encode(orm.instance():pool_stats())) end

function handlers.scheduled() say(tostring(package.loaded["heddle.waiting"].here().name)) end

return handlers
