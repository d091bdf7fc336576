--- Streams for what talks to a terminal or a pipe, in this process.
--
--     local streams = terminal.new({ "1 + 1", "em:flush()" }, { is_terminal = true })
--     console.run { contexts = { instance }, streams = streams }
--     streams:out(), streams:err()                       -- what was written so far
--
-- A line that is `terminal.INTERRUPT` is Ctrl-C.

local terminal = {}

terminal.INTERRUPT = {}

local function sink()
    local stream = { parts = {} }
    function stream:write(...)
        for i = 1, select("#", ...) do self.parts[#self.parts + 1] = tostring((select(i, ...))) end
        return self
    end
    function stream.flush() end
    function stream:text() return table.concat(self.parts) end
    return stream
end

function terminal.new(lines, opts)
    local streams = { stdout = sink(), stderr = sink(), stdin = {} }
    local at = 0
    function streams.stdin.read()
        at = at + 1
        if lines[at] == terminal.INTERRUPT then return nil, "Interrupted system call", 4 end
        return lines[at]
    end
    function streams.is_terminal() return opts ~= nil and opts.is_terminal == true end
    function streams:out() return self.stdout:text() end
    function streams:err() return self.stderr:text() end
    return streams
end

return terminal
