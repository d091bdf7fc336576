--- Statements in another process, on a PostgreSQL connection of its own, while the spec goes on.
--
--     local elsewhere = require "spec.support.elsewhere"
--     local finish = elsewhere.run(config, "begin", "update t set n = 1", 0.5, "commit")    -- numbers: seconds to wait
--     ...
--     finish()                                                                               -- waits for its end

local elsewhere = {}

local function quote(text)
    return "'" .. text:gsub("'", "'\\''") .. "'"
end

function elsewhere.run(config, ...)
    local lines = { "local db = require 'luasql.postgres'.postgres():connect(arg[1])" }
    for _, step in ipairs { ... } do
        lines[#lines + 1] = ("db:execute(%q)"):format(type(step) == "number"
            and ("select pg_sleep(%s)"):format(step) or step)
    end
    local path = os.tmpname()
    local file = io.open(path, "w")
    file:write(table.concat(lines, "\n"))
    file:close()
    local process = io.popen(("%s %s %s; echo done"):format(os.getenv "HEDDLE_TEST_LUA", quote(path),
        quote(("host=%s port=%s user=%s dbname=%s"):format(config.host, config.port, config.user, config.database))))
    return function()
        process:read "*a"
        process:close()
        os.remove(path)
    end
end

return elsewhere
