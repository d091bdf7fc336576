--- A process that knows names of its own: those that are slow, have several addresses, or none (slow_names.c).
--
--     local names = require "spec.support.names"
--     local child = names.run({ ["db.test"] = { 500, "127.0.0.1" } }, config, [[
--         connect { host = "db.test" }
--         print(orm.em():fork():execute("select 1 as n")[1].n)
--     ]])
--     child.lines, child.code, child.seconds, child.lookups      --> { "1" }, 0, 0.6, { "db.test thread" }
--
-- The script finds `orm`, `loop`, `socket`, `collect()`, `connect(overrides)`, which makes the default context (and
-- gives its instance), and `context(name, overrides)`, which makes another one: both by `config`, which it finds too.

local socket = require "socket"

local names = {}

local library = "build/support/slow_names.so"

local prelude = [[
local orm, loop, socket = require "heddle", require "spec.support.loop", require "socket"
local pcall = require("heddle.compat").pcall
local config = %s
local function context(name, overrides)
    local made = { context_name = name, entities = {}, allow_global_context = true }
    for _, list in ipairs { config, overrides or {} } do
        for key, value in pairs(list) do made[key] = value or nil end
    end
    return orm.init(made)
end
local function connect(overrides) return context("default", overrides) end
local function collect()
    collectgarbage()
    collectgarbage()
end
local _ = orm and loop and socket and connect and collect and pcall
]]

local function quote(word)
    return "'" .. word:gsub("'", "'\\''") .. "'"
end

local function table_text(list)
    local items = {}
    for key, value in pairs(list) do
        items[#items + 1] = ("%s = %s"):format(key, type(value) == "string" and ("%q"):format(value) or tostring(value))
    end
    return "{ " .. table.concat(items, ", ") .. " }"
end

local function lines_of(path)
    local list = {}
    for line in io.lines(path) do list[#list + 1] = line end
    return list
end

-- A sanitizer's own libraries have to come first.
local function interpreter()
    local lua = os.getenv "HEDDLE_TEST_LUA"
    local preloaded, count = lua:gsub("LD_PRELOAD=%S+", function(found) return found .. ":$PWD/" .. library end)
    return count == 1 and preloaded or ("LD_PRELOAD=$PWD/%s %s"):format(library, lua)
end

--- Runs a script to its end.
---@param known table<string, table> names: milliseconds, then addresses
---@param config table
---@param script string
---@param variables? table<string, string> more of the environment
function names.run(known, config, script, variables)
    local path, lookups, output = os.tmpname(), os.tmpname(), os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write(prelude:format(table_text(config)), script)
    file:close()
    local said = {}
    for name, list in pairs(known) do
        said[#said + 1] = ("%s=%d:%s"):format(name, list[1], table.concat(list, ",", 2))
    end
    local words = { "HEDDLE_TEST_NAMES=" .. quote(table.concat(said, " ")), "HEDDLE_TEST_LOOKUPS=" .. lookups }
    for name, value in pairs(variables or {}) do words[#words + 1] = name .. "=" .. quote(value) end
    local began = socket.gettime()
    local pipe = assert(io.popen(("%s %s %s >%s 2>&1; echo $?"):format(table.concat(words, " "), interpreter(), path,
        output)))
    local code = tonumber(pipe:read "*a")
    pipe:close()
    local child = { lines = lines_of(output), code = code, seconds = socket.gettime() - began,
        lookups = lines_of(lookups) }
    for _, made in ipairs { path, lookups, output } do os.remove(made) end
    return child
end

return names
