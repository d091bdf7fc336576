--- The command `heddle` as its users run it: another process, a directory of its own.
--
--     local command = require "spec.support.command"
--     local project = command.project()                              -- an empty directory
--     project:write("orm.config.lua", "return { ... }")
--     local out, err, code = project:run("migrate:status --json")    -- what a shell would be given
--     local out, err, code = command.inside({ "init", dir }, { terminal = true, answers = { "sqlite", "app" } })
--     project:remove()

local asserted = require "spec.support.asserted"
local lfs = require "lfs"

local command = {}

local root = lfs.currentdir()
command.script = root .. "/lua/heddle/cli/heddle"

local made = 0

local Project = {}
Project.__index = Project

---@return string a word for the shell
function command.quote(word)
    return "'" .. tostring(word):gsub("'", "'\\''") .. "'"
end

local function read(path)
    local file = io.open(path, "rb")
    if not file then return nil end
    local text = file:read "*a"
    file:close()
    return text
end

--- An empty directory.
function command.project()
    made = made + 1
    local dir = ("%s/command%d"):format(os.getenv "HEDDLE_TEST_TMP", made)
    assert(lfs.mkdir(dir))
    return setmetatable({ dir = dir, variables = {} }, Project)
end

function Project:path(name) return self.dir .. "/" .. name end

function Project:read(name) return read(self:path(name)) end

--- Writes a file, and the directories that lead to it.
function Project:write(name, text)
    local at = self.dir
    for part in name:gmatch "([^/]+)/" do
        at = at .. "/" .. part
        lfs.mkdir(at)
    end
    local file = assert(io.open(self:path(name), "wb"))
    file:write(text)
    file:close()
end

local function literal(value)
    if type(value) ~= "table" then return type(value) == "string" and ("%q"):format(value) or tostring(value) end
    local parts = {}
    for key, each in pairs(value) do
        parts[#parts + 1] = type(key) == "number" and literal(each) or ("%s = %s"):format(key, literal(each))
    end
    return "{ " .. table.concat(parts, ", ") .. " }"
end

--- Writes orm.config.lua: one configuration, or a list of several.
function Project:configure(...)
    local texts = {}
    for i, config in ipairs { ... } do texts[i] = literal(config) end
    self:write("orm.config.lua", #texts == 1 and "return " .. texts[1] or "return {\n" .. table.concat(texts, ",\n")
        .. "\n}")
end

--- Writes an entity's file: its name and the text of its properties.
function Project:entity(path, name, text)
    self:write(path, ('local orm = require "heddle"\nreturn orm.entity { name = %q, %s }\n'):format(name, text))
end

--- Names in a directory, sorted; those that begin with a dot too.
function Project:list(name)
    local names = {}
    for each in lfs.dir(self:path(name or "")) do
        if each ~= "." and each ~= ".." then names[#names + 1] = each end
    end
    table.sort(names)
    return names
end

--- Runs a line of the shell in the directory: what it wrote to both streams, and its status.
function Project:shell(line)
    local variables = {}
    for name, value in pairs(self.variables) do variables[#variables + 1] = command.quote(name .. "=" .. value) end
    local out, err = self.dir .. ".out", self.dir .. ".err"
    local pipe = io.popen(("cd %s && env -u NO_COLOR TERM=xterm %s sh -c %s >%s 2>%s </dev/null; echo $?"):format(
        command.quote(self.dir), table.concat(variables, " "), command.quote(line), command.quote(out),
        command.quote(err)))
    local status = pipe:read "*a"
    pipe:close()
    return read(out), read(err), tonumber(status:match "%d+")
end

--- Runs `heddle` with words as a shell would split them.
function Project:run(words)
    return self:shell(("exec %s %s %s"):format(os.getenv "HEDDLE_TEST_LUA", command.quote(command.script), words))
end

--- The same, which has to end with that status.
function Project:expect(code, words)
    local out, err, status = self:run(words)
    asserted.note()
    if status ~= code then
        error(("heddle %s ended with %s, expected %d:\n%s%s"):format(words, tostring(status), code, out, err), 2)
    end
    return out, err
end

--- Runs a Lua program of the directory.
function Project:lua(file)
    return self:shell(("exec %s %s"):format(os.getenv "HEDDLE_TEST_LUA", command.quote(file)))
end

function Project:remove()
    os.execute(("rm -rf %s %s %s"):format(command.quote(self.dir), command.quote(self.dir .. ".out"),
        command.quote(self.dir .. ".err")))
end

local function collector()
    local stream = { parts = {} }
    function stream:write(...)
        for _, part in ipairs { ... } do self.parts[#self.parts + 1] = tostring(part) end
        return self
    end
    return stream
end

--- Runs `heddle` in this process: what it wrote, and its exit code. opts: terminal (every stream is one), answers
--- (lines that are typed).
function command.inside(words, opts)
    opts = opts or {}
    local streams = { stdout = collector(), stderr = collector(), stdin = {} }
    local answers = {}
    for i, text in ipairs(opts.answers or {}) do answers[i] = text end
    function streams.stdin.read() return table.remove(answers, 1) end
    function streams.is_terminal() return opts.terminal == true end
    function streams.getenv() return nil end -- whatever the specs are run in
    local code = require("heddle.cli").main(words, streams)
    return table.concat(streams.stdout.parts), table.concat(streams.stderr.parts), code
end

return command
