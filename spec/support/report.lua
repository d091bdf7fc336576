-- busted's terminal output, and beside it one line for each spec in $SPEC_PART:
--     pass|fail|error|pending <tab> driver or "-" <tab> milliseconds <tab> full name
-- and a last line "end". run_lua.sh gathers them in specs.tsv, from which CI counts and makes the table of promises.

local asserted = require "spec.support.asserted"
local busted = require "busted"

return function(options)
    local handler = require("busted.outputHandlers." .. options.defaultOutput)(options)
    local file = assert(io.open(os.getenv "SPEC_PART", "w"))
    local statuses = { success = "pass", failure = "fail", error = "error", pending = "pending" }
    local started

    local function write(status, name)
        local driver = name:match "%[(sqlite)%]" or name:match "%[(postgres)%]" or "-"
        local took = started and (busted.gettime() - started) * 1000 or 0
        file:write(("%s\t%s\t%.0f\t%s\n"):format(status, driver, took, (name:gsub("%s+", " "))))
        file:flush()
    end

    asserted.watch(busted)
    busted.subscribe({ "test", "start" }, function()
        started = busted.gettime()
        return nil, true
    end)
    busted.subscribe({ "test", "end" }, function(element, _, status)
        write(statuses[status] or status, handler.getFullName(element))
        return nil, true
    end)
    -- What goes wrong outside of a spec: a file that does not load, a setup that fails.
    local function outside(element, _, message)
        if element.descriptor ~= "it" then
            write("error", handler.getFullName(element) .. ": " .. tostring(message))
        end
        return nil, true
    end
    busted.subscribe({ "error" }, outside)
    busted.subscribe({ "failure" }, outside)
    busted.subscribe({ "exit" }, function()
        file:write "end\n"
        file:close()
        return nil, true
    end)
    return handler
end
