-- What reload_spec.lua and code_cache_spec.lua ask for: writes to both databases that take their time.

local contexts = require "spec.support.nginx_contexts"
local orm = require "heddle"

local User = orm.entity { name = "User", table = "users", { "id", type = "integer", primary = true },
    { "name", type = "string" } }

contexts.open { User }

local handlers = {}

function handlers.add()
    local n = tonumber(ngx.var.arg_n)
    orm.request_context(function()
        orm.em():transactional(function(em)
            em:insert(User, { id = n, name = "first" })
            em:execute "select pg_sleep(0.02)"
            em:insert(User, { id = n + 1000000, name = "second" })
        end)
        orm.em("secondary"):persist_and_flush(orm.em("secondary"):create(User, { id = n, name = "event" }))
    end)
    ngx.print(n)
end

function handlers.slow()
    orm.request_context(function() orm.em():execute "select pg_sleep(1)" end)
    ngx.print "slept"
end

function handlers.hold()
    orm.request_context(function()
        orm.em(ngx.var.arg_on):transactional(function(em)
            em:insert(User, { id = 1, name = "held" })
            ngx.sleep(30)
        end)
    end)
end

function handlers.pid() ngx.print(ngx.worker.pid()) end

return handlers
