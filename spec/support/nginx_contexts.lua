--- Two contexts inside an nginx of a spec, and what answers its requests.
--
--     local contexts = require "spec.support.nginx_contexts"
--     local server = contexts.start("requests", postgres:config(), sqlite:config { ... }, { workers = 2 })
--     server:get "/name?arg=1"        -- spec/nginx/handlers/requests.lua: the function `name`
--
-- A module of handlers calls `contexts.open(entities)` when it is loaded, which is in init_worker (or, without a code
-- cache, for each request).

local cjson = require "cjson"
local databases = require "spec.support.databases"

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

local TABLE = "create table users (id integer primary key, name varchar(20))"

local Both = {}
Both.__index = Both

--- For the specs of a file: fresh databases with a table of users, the first on PostgreSQL, the second on SQLite, and
--- nginx over them.
--
--     local both = contexts.both("requests", { pool = { max = 2 } })       -- for both contexts
--     local server, raw = both:start(opts, { ... }, { ... })               -- for this one's contexts
--     after_each(function() both:stop() end)
function contexts.both(handlers, overrides)
    return setmetatable({ handlers = handlers, overrides = overrides }, Both)
end

---@return table server
---@return table raw { default =, secondary = }
function Both:start(opts, default, secondary)
    self.postgres, self.sqlite = databases.open "postgres", databases.open "sqlite"
    local first = self.postgres:config(default or self.overrides)
    local second = self.sqlite:config(secondary or self.overrides)
    local raw = { default = self.postgres:raw(), secondary = self.sqlite:raw() }
    raw.default:exec(TABLE)
    raw.secondary:exec(TABLE)
    self.server = contexts.start(self.handlers, first, second, opts)
    return self.server, raw
end

function Both:stop()
    local server = self.server
    self.server = nil
    if server then server:stop() end
    self.postgres:close()
    self.sqlite:close()
end

return contexts
