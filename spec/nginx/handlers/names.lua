-- What names_spec.lua asks for.

local contexts = require "spec.support.nginx_contexts"
local orm = require "heddle"

contexts.open {}

local handlers = {}

local function answer(name)
    local ok, result = pcall(orm.request_context, function() return orm.em(name):execute("select 7 as n")[1].n end)
    ngx.print(ok and result or result.kind)
end

function handlers.slow() answer "default" end

function handlers.quick() answer "secondary" end

return handlers
