-- What phases_spec.lua asks for: one look at the database in each phase.

local contexts = require "spec.support.nginx_contexts"
local orm = require "heddle"

local User = orm.entity { name = "User", table = "users", { "id", type = "integer", primary = true },
    { "name", type = "string" } }

contexts.open { User }

local phases = {}

-- A statement that takes its time, and its answer.
local function look(em) return em:execute("select ?::int as n, pg_sleep(0.01)", 7)[1].n end

--- What comes of it, in words.
function phases.look()
    local ok, err = pcall(function() return look(orm.em():fork()) end)
    return ok and tostring(err) or orm.is_error(err) and err.kind or tostring(err)
end

--- A whole unit of work in a scope of its own.
function phases.write(id)
    orm.request_context(function()
        orm.em("secondary"):persist_and_flush(orm.em("secondary"):create(User, { id = id, name = ngx.get_phase() }))
    end)
end

--- The scope that is in force: one number for each, or why there is none.
local numbers, last = setmetatable({}, { __mode = "k" }), 0
function phases.scope()
    local ok, em = pcall(orm.get_context)
    if not ok then return em.kind end
    if not numbers[em] then
        last = last + 1
        numbers[em] = last
    end
    return "scope " .. numbers[em]
end

--- A full pool: everything is lent.
function phases.look_without_connections()
    local held = {}
    for i = 1, 2 do
        held[i] = orm.em():fork()
        held[i]:begin()
    end
    local what = phases.look()
    for i = 1, 2 do held[i]:rollback() end
    return what
end

return phases
