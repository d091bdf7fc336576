-- What failures_spec.lua asks for: work that is told as what came of it, a word or an error's kind.

local contexts = require "spec.support.nginx_contexts"
local orm = require "heddle"

local User = orm.entity { name = "User", table = "users", { "id", type = "integer", primary = true },
    { "name", type = "string" } }

contexts.open { User }

local handlers = {}

local function answer(fn)
    local ok, result = pcall(orm.request_context, fn)
    ngx.print(ok and tostring(result or "done") or orm.is_error(result) and result.kind or "raw: " .. tostring(result))
end

function handlers.add()
    answer(function()
        orm.em():transactional(function(em)
            em:insert(User, { id = tonumber(ngx.var.arg_n), name = "first" })
            em:execute "select pg_sleep(0.01)"
            em:insert(User, { id = ngx.var.arg_n + 1000000, name = "second" })
        end)
    end)
end

function handlers.other()
    answer(function()
        local em = orm.em "secondary"
        em:persist_and_flush(em:create(User, { id = tonumber(ngx.var.arg_n), name = "event" }))
    end)
end

function handlers.one() answer(function() return orm.em():execute("select 1 as n")[1].n end) end

function handlers.nap() answer(function() orm.em():execute "select pg_sleep(30)" end) end

function handlers.stream()
    answer(function()
        local count = 0
        for _ in orm.em():stream(User, {}) do
            count = count + 1
            if count == 10 then ngx.sleep(1) end
        end
        return count
    end)
end

-- Its connection is lost while nothing runs; the next statement meets that, and the transaction is over.
function handlers.lose()
    answer(function()
        local em = orm.em():fork()
        em:begin()
        local pid = em:execute("select pg_backend_pid() as pid")[1].pid
        orm.em():execute("select pg_terminate_backend(?)", pid)
        local kinds = {}
        for i = 1, 2 do
            local ok, err = pcall(em.execute, em, "select 1")
            kinds[i] = ok and "done" or err.kind
        end
        em:rollback()
        return table.concat(kinds, " ") .. " " .. em:execute("select 1 as n")[1].n
    end)
end

function handlers.late()
    answer(function()
        local em, pids = orm.em(), {}
        for i = 1, 3 do
            local ok, err = pcall(em.find, em, User, { id = orm.raw "(select count(*)::int from pg_sleep(20))" },
                { timeout = 0.05 })
            pids[i] = ok and "done" or err.kind
        end
        return table.concat(pids, " ") .. " " .. orm.instance():pool_stats().opened
    end)
end

function handlers.thread()
    answer(function()
        local ok, err = ngx.thread.wait(ngx.thread.spawn(function()
            orm.em():fork():execute "select * from nothing_of_the_kind"
        end))
        return tostring(ok) .. " " .. tostring(orm.is_error(err, "table_not_found"))
    end)
end

function handlers.stats() ngx.print(require("cjson").encode(orm.instance():pool_stats())) end

return handlers
