-- What found_spec.lua asks for.

local contexts = require "spec.support.nginx_contexts"
local orm = require "heddle"

local User = orm.entity { name = "User", table = "users", { "id", type = "integer", primary = true },
    { "name", type = "string", length = 20 } }

contexts.open { User }

local function slow_password()
    if ngx.var.arg_pause ~= "none" then ngx.sleep(30) end
    return "any"
end

local first = orm.instance().config
orm.init { context_name = "third", driver = "postgres", host = first.host, port = first.port, user = first.user,
    database = first.database, password = slow_password, pool = { max = 1, acquire_timeout = 5 }, entities = { User } }

local handlers = {}

local function context() return ngx.var.arg_on or "default" end

local LEAVE = {
    exec = function() ngx.exec("/write", { id = 1, on = context() }) end,
    named = function() ngx.exec "@kept" end,
    exit = function() ngx.exit(418) end,
}

function handlers.leave()
    orm.request_context(function()
        orm.em(context()):transactional(function(em)
            em:insert(User, { id = 1, name = "lost" })
            LEAVE[ngx.var.arg_how]()
        end)
    end)
end

function handlers.write()
    orm.request_context(function() orm.em(context()):insert(User, { id = tonumber(ngx.var.arg_id), name = "kept" }) end)
    ngx.print "written"
end

function handlers.write_seven()
    orm.request_context(function()
        orm.em():execute "insert into users values (7, 'kept') on conflict (id) do nothing"
    end)
end

local PAUSE = {
    lua = function() ngx.sleep(0.2) end,
    sql = function(em) em:execute "select pg_sleep(0.2)" end,
}

-- A light thread is in a transaction of the scope's own entity manager when the scope ends.
function handlers.outlive()
    local pause, on = PAUSE[ngx.var.arg_pause], context()
    local function work()
        orm.em(on):transactional(function(em)
            em:insert(User, { id = 1, name = "first" })
            pause(em)
            em:insert(User, { id = 2, name = "second" })
        end)
    end
    local thread = orm.request_context(function()
        local thread = ngx.thread.spawn(function() return pcall(work) end)
        ngx.sleep(0.05)
        return thread
    end)
    local _, _, err = ngx.thread.wait(thread)
    ngx.print(orm.is_error(err) and err.kind or tostring(err))
end

function handlers.slow_password() orm.request_context(function() orm.em("third"):execute "select 1" end) end

function handlers.quick_password()
    ngx.req.set_uri_args "pause=none"
    orm.request_context(function() ngx.print(orm.em("third"):execute("select 1 as n")[1].n) end)
end

function handlers.take_timers()
    local count = 0
    while ngx.timer.at(1000, function() end) do count = count + 1 end
    ngx.print(count)
end

function handlers.sleep()
    orm.request_context(function() orm.em():execute "select pg_sleep(0.05)" end)
    ngx.print "slept"
end

function handlers.scope()
    require("heddle.openresty").request_scope()
    ngx.print(orm.get_context():count(User, {}) == 1 and "scope" or "none")
end

function handlers.stats()
    ngx.print(require("cjson").encode(orm.instance(context()):pool_stats()))
end

return handlers
