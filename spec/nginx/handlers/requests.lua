-- What requests_spec.lua asks for: requests that end in many ways, in the middle of something.

local contexts = require "spec.support.nginx_contexts"
local orm = require "heddle"

local User = orm.entity { name = "User", table = "users", { "id", type = "integer", primary = true },
    { "name", type = "string", length = 20 } }

contexts.open { User }

local handlers = {}

local NAP = { default = "select pg_sleep(30)", secondary = "select 1" }

local function context() return ngx.var.arg_on or "default" end

-- In the middle of a transaction that has written, while nothing runs, or a statement.
local function in_transaction(then_what)
    orm.request_context(function()
        orm.em(context()):transactional(function(em)
            em:insert(User, { id = tonumber(ngx.var.arg_id or 1), name = "lost" })
            then_what(em)
        end)
    end)
end

function handlers.pause() in_transaction(function() ngx.sleep(30) end) end

function handlers.nap() in_transaction(function(em) em:execute(NAP[context()]) end) end

function handlers.exit() in_transaction(function() ngx.exit(204) end) end

function handlers.fail() in_transaction(function(em) em:insert(User, { id = 2, name = ("x"):rep(21) }) end) end

function handlers.fork_exit()
    local em = orm.em(context()):fork()
    em:begin()
    em:insert(User, { id = 1, name = "lost" })
    ngx.exit(204)
end

function handlers.stream_exit()
    orm.request_context(function()
        for _ in orm.em(context()):stream(User, {}) do ngx.exit(204) end
    end)
end

function handlers.thread_exit()
    orm.request_context(function()
        ngx.thread.spawn(function()
            orm.em(context()):fork():transactional(function(em)
                em:insert(User, { id = 1, name = "lost" })
                ngx.sleep(30)
            end)
        end)
        ngx.sleep(0.05)
        ngx.exit(204)
    end)
end

-- The light thread is still in its transaction when the handler is done: nginx waits for it.
function handlers.thread_outlives()
    orm.request_context(function()
        ngx.thread.spawn(function()
            orm.em(context()):fork():transactional(function(em)
                em:insert(User, { id = 1, name = "kept" })
                ngx.sleep(0.1)
            end)
        end)
    end)
end

function handlers.exec()
    in_transaction(function() ngx.exec "/write?id=5" end)
end

function handlers.write()
    orm.request_context(function()
        orm.em(context()):transactional(function(em)
            em:insert(User, { id = tonumber(ngx.var.arg_id or 7), name = "kept" })
        end)
    end)
    ngx.print "written"
end

function handlers.capture()
    orm.request_context(function()
        local em = orm.get_context()
        em:begin()
        em:insert(User, { id = 1, name = "outer" })
        local inner = ngx.location.capture "/write?id=2"
        em:rollback()
        ngx.print(inner.body, " ", tostring(orm.get_context() == em))
    end)
end

function handlers.timer()
    ngx.timer.at(0, function()
        local ok, err = pcall(orm.get_context)
        local before = not ok and err.kind
        orm.request_context(function()
            orm.em():insert(User, { id = 1, name = tostring(before) })
        end)
    end)
end

function handlers.kill_thread()
    orm.request_context(function()
        local em = orm.em():fork()
        local thread = ngx.thread.spawn(function()
            em:transactional(function() em:execute "select pg_sleep(30)" end)
        end)
        ngx.sleep(0.05)
        ngx.thread.kill(thread)
        local ok, err = pcall(em.execute, em, "select 1")
        ngx.print(tostring(ok), " ", err.kind)
        em:rollback()
        ngx.print(" ", em:execute("select 1 as n")[1].n)
    end)
end

function handlers.stats()
    ngx.print(require("cjson").encode(orm.instance(context()):pool_stats()))
end

function handlers.memory()
    collectgarbage()
    collectgarbage()
    ngx.print(collectgarbage "count")
end

function handlers.twice()
    orm.request_context(function()
        pcall(orm.request_context, function() orm.em():execute "select * from nothing_of_the_kind" end)
        orm.em():find(User, { nme = "x" })
    end)
end

return handlers
