--- Two contexts inside an nginx of a spec, and what answers its requests.
--
--     local contexts = require "spec.support.nginx_contexts"
--     local server = contexts.start("requests", postgres:config(), sqlite:config { ... }, { workers = 2 })
--     server:get "/name?arg=1"        -- spec/nginx/handlers/requests.lua: the function `name`
--
-- A module of handlers calls `contexts.open(entities)` when it is loaded, which is in init_worker (or, without a code
-- cache, for each request).

local cjson = require "cjson"

local contexts = {}

local NAMES = { "default", "secondary" }

--- Inside nginx: orm.init for each of them.
function contexts.open(entities)
    local orm = require "heddle"
    for i, config in ipairs(cjson.decode(os.getenv "HEDDLE_SPEC_CONTEXTS")) do
        config.context_name, config.entities = NAMES[i], entities
        if config.port then config.port = math.floor(config.port) end
        orm.init(config)
    end
    return orm
end

--- Starts nginx with the handlers of a module, on a database for each context.
function contexts.start(handlers, default, secondary, opts)
    opts = opts or {}
    local module = ("spec.nginx.handlers.%s"):format(handlers)
    local setup = ("require('heddle.openresty').setup(%q)"):format(module)
    if opts.code_cache == false then opts.init = setup else opts.init_worker = opts.init_worker or setup end
    opts.env = opts.env or {}
    opts.env.HEDDLE_SPEC_CONTEXTS = cjson.encode { default, secondary }
    opts.locations = opts.locations or {}
    opts.locations["~ ^/(\\w+)$"] = {
        directives = "lua_check_client_abort on;",
        lua = ("require(%q)[ngx.var[1]]()"):format(module),
    }
    return require("spec.support.nginx").start(opts)
end

return contexts
