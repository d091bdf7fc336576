--- Examples as their readers run them: another process, another working directory, the environment's variables.
local asserted = require "spec.support.asserted"
local lfs = require "lfs"

local example = {}

local keys = { DRIVER = "driver", HOST = "host", PORT = "port", NAME = "database", USER = "user" }

---@return string a word for the shell
function example.quote(word)
    return "'" .. tostring(word):gsub("'", "'\\''") .. "'"
end

---Variables that say where a database is.
---@param prefix string "DB"
---@param config table as databases.config gives it
---@param into? string[] words that it adds to
---@return string[]
function example.variables(prefix, config, into)
    into = into or {}
    for name, key in pairs(keys) do
        if config[key] then into[#into + 1] = example.quote(prefix .. "_" .. name .. "=" .. config[key]) end
    end
    return into
end

---Runs a program of `examples/`.
---@param path string below `examples/`
---@param variables string[]
---@return string output errors included
---@return integer status
function example.run(path, variables)
    local pipe = io.popen(("cd / && env %s %s %s 2>&1; echo \"status $?\""):format(table.concat(variables, " "),
        os.getenv "HEDDLE_TEST_LUA", example.quote(lfs.currentdir() .. "/examples/" .. path)))
    local output, status = pipe:read("*a"):match "^(.*)status (%d+)\n$"
    pipe:close()
    return output, tonumber(status)
end

---Raises unless the output has all texts, in this order.
function example.assert_says(output, ...)
    asserted.note()
    local from = 1
    for _, text in ipairs { ... } do
        local _, last = output:find(text, from, true)
        if not last then error(("%q is not said, or too early, in:\n%s"):format(text, output), 2) end
        from = last + 1
    end
end

return example
