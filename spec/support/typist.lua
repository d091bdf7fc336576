--- A program on a pseudo terminal of script(1). What is typed waits for what the screen shows, so that nothing depends
--- on haste.
--
--     local screen = typist.start(project, "exec heddle console")
--     screen:expect "heddle> "                 -- until that stands behind what was expected before, or it fails
--     screen:types "1 + 1\n"
--     screen:expect "\r\n2\r\n"
--     local code, text = screen:finish()       -- waits for the program's end; text without colours

local asserted = require "spec.support.asserted"
local command = require "spec.support.command"
local socket = require "socket"

local typist = {}

local Screen = {}
Screen.__index = Screen

-- Seconds until what does not come is missed; no measure of anything.
local PATIENCE = 60

--- Whether there is a `script` that takes a command and what is typed from a pipe.
function typist.is_there()
    local pipe = io.popen "script -qec 'echo here' /dev/null </dev/null 2>/dev/null"
    local out = pipe:read "*a"
    pipe:close()
    return out:find("here", 1, true) ~= nil
end

--- Runs a line of the shell on a terminal, in a project's directory.
function typist.start(project, line)
    local variables = {}
    for name, value in pairs(project.variables) do variables[#variables + 1] = command.quote(name .. "=" .. value) end
    local shown, status = project:path "screen", project:path "status"
    local keys = io.popen(("cd %s && env -u NO_COLOR TERM=xterm %s timeout 150 script -qec %s /dev/null >%s 2>&1; "
        .. "echo $? >%s"):format(command.quote(project.dir), table.concat(variables, " "), command.quote(line),
        command.quote(shown), command.quote(status)), "w")
    return setmetatable({ project = project, keys = keys, seen = 1 }, Screen)
end

--- What the screen showed so far, without colours.
function Screen:text()
    return ((self.project:read "screen" or ""):gsub("\27%[[%d;?]*%a", ""))
end

--- Waits until `is_so()`; `what` is told where it does not come to that.
function Screen:waits(is_so, what)
    asserted.note()
    local till = socket.gettime() + PATIENCE
    while not is_so() do
        if socket.gettime() > till then error(("%s:\n%s"):format(what, self:text()), 2) end
        socket.sleep(0.01)
    end
end

function Screen:expect(text)
    self:waits(function()
        local _, last = self:text():find(text, self.seen, true)
        self.seen = last and last + 1 or self.seen
        return last ~= nil
    end, ("%q is not shown"):format(text))
end

function Screen:types(keys)
    self.keys:write(keys)
    self.keys:flush()
end

--- Ctrl-C, for what runs or for the line that is being read.
function Screen:interrupts()
    socket.sleep(0.1) -- what was shown comes right before what it says
    self:types "\3"
end

---@return integer code
---@return string text
function Screen:finish()
    self.keys:close()
    return tonumber((self.project:read "status" or ""):match "%d+"), self:text()
end

return typist
