-- One source for Lua 5.1, 5.3, 5.4 and LuaJIT: only what all of them have.
std = "min"
max_line_length = 120

-- Version differences are compat's business alone; everything else asks it.
files["lua/heddle/compat.lua"] = { std = "max" }
files["spec"] = {
    std = "max+busted",
}
files["spec/nginx/handlers"] = { read_globals = { ngx = { read_only = false, other_fields = true } } }
files["examples/openresty"] = { std = "min+ngx_lua" }
files["bench"] = { std = "max" }
files["bench/openresty"] = { std = "max+ngx_lua" }
files["bench/openresty/wrk.lua"] = { globals = { "init", "request", "done" }, read_globals = { "wrk" } }
files[".ci"] = { std = "max" }
