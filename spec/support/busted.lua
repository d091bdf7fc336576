-- busted under whichever interpreter runs this file (Debian's own script picks one).

-- What Heddle does for its own loops under the LuaJIT of Debian 12 (compat.guard_traversals), the libraries of the
-- tests and the specs need as well. Others may listen beside it.
if rawget(_G, "jit") then
    local compat = require "heddle.compat"
    local attach, others, own = jit.attach, {}, nil
    rawset(jit, "attach", function(fn, event)
        if event == "bc" and not own then
            own = fn
            attach(function(proto)
                own(proto)
                for other in next, others do other(proto) end
            end, "bc")
        elseif event == "bc" then
            others[fn] = true
        elseif others[fn] then
            others[fn] = nil
        else
            attach(fn, event)
        end
    end)
    compat.guard_traversals()
end

-- busted gives every spec file fresh modules but for those that are there before it starts: the helpers keep
-- their connections and databases over all files.
require "spec.support.asserted"
require "spec.support.raw"
require "spec.support.sqlite"
require "spec.support.postgres"
require "spec.support.databases"
require "spec.support.relay"

require "busted.runner" { standalone = false }
