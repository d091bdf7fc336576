--- A specification that asserts nothing cannot fail: it fails for that. What counts is what luassert is asked and, of
--- helpers that raise by themselves, what they say of themselves by `asserted.note()`.

local asserted = { count = 0 }

--- Something was looked at that could have been otherwise.
function asserted.note()
    asserted.count = asserted.count + 1
end

--- What runs in place of a specification.
function asserted.counting(run)
    return function(...)
        asserted.count = 0
        run(...)
        if asserted.count == 0 then error("this specification asserts nothing", 0) end
    end
end

--- Counts from now on. busted has bound what `assert` raises to itself by then, and the bound function stays.
---@param busted table
function asserted.watch(busted)
    local luassert = require "luassert"
    for _, assertion in pairs(require "luassert.namespaces".assertion) do
        local callback = assertion.callback
        assertion.callback = function(...)
            asserted.note()
            return callback(...)
        end
    end
    local meta = getmetatable(luassert)
    local call = meta.__call
    function meta.__call(...)
        asserted.note()
        return call(...)
    end
    busted.subscribe({ "test", "start" }, function(element)
        if element.run then element.run = asserted.counting(element.run) end
        return nil, true
    end)
end

return asserted
