--- Heddle in nginx: OpenResty, or stock nginx with its Lua module.
---
--- Usage: `init_worker_by_lua_block { require("heddle.openresty").setup("db") }`
local errors = require("heddle.errors")
local scope = require("heddle.scope")
local waiting = require("heddle.waiting")

local openresty = {}

---Waits go through nginx's event loop from now on (without this line that is found out), and the contexts are made:
---call it in `init_worker_by_lua`, or in `init_by_lua`, where nothing is connected.
---
---Usage: `require("heddle.openresty").setup("db")`
---Usage: `require("heddle.openresty").setup(function() require("heddle").init { ... } end)`
---
---Raises `config` outside of nginx and for a bad argument, and what the module or function raises.
---@param contexts? string|function the name of a module that calls `orm.init`, or a function that does
---@return any ... what the module or function gives back
function openresty.setup(contexts)
  waiting.use("openresty")
  if contexts == nil then return end
  if type(contexts) == "string" then return require(contexts) end
  if type(contexts) == "function" then return contexts() end
  errors.raise("config", "heddle.openresty.setup takes the name of a module or a function, not a " .. type(contexts))
end

---Opens a scope for the whole request, if it has none yet: all its phases up to `body_filter_by_lua` and all its light
---threads share it, and it ends with the request. `orm.request_context(fn)` is the same for one function.
---
---Usage: `access_by_lua_block { require("heddle.openresty").request_scope() }`
---
---Raises `no_request_context` where there is no request.
function openresty.request_scope()
  waiting.here()
  if not scope.world().request then
    errors.raise("no_request_context", "There is no request here whose scope could be opened: call request_scope in "
      .. "a phase of a request, or use orm.request_context(fn)")
  end
  scope.enter_base({ forks = {} })
end

return openresty
