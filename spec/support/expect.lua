--- Assertions about Heddle's errors and statements that several spec files share.
--
--     local expect = require "spec.support.expect"
--     local err = expect.raises("validation", function() em:create(User, { name = {} }) end, "User.name")
--     local sent = expect.statements(instance)       -- a list that grows with every statement sent
--
-- `raises` takes a function written in the spec: the error's `where` has to be a line of that function.

local asserted = require "spec.support.asserted"
local orm = require "heddle"

local expect = {}

-- "spec/x_spec.lua:12": a line inside the function.
local function is_line_of(where, fn)
    local info = debug.getinfo(fn, "S")
    local file, line = tostring(where):match "^(.*):(%d+)$"
    line = tonumber(line)
    return file == info.short_src and line >= info.linedefined and line <= info.lastlinedefined
end

--- Calls `fn`, which has to raise an error of that kind, at a line of its own; the words in `...` have to be in the
--- message. Gives the error.
function expect.raises(kind, fn, ...)
    asserted.note()
    local ok, err = pcall(fn)
    if ok then error("nothing was raised, expected " .. kind, 2) end
    if not orm.is_error(err, kind) then
        local cause = type(err) == "table" and rawget(err, "cause") or ""
        error(("expected %s, got %s: %s %s"):format(kind, tostring(type(err) == "table" and err.kind), tostring(err),
            tostring(cause)), 2)
    end
    if type(err.message) ~= "string" or err.message == "" then error("the error has no message", 2) end
    if not is_line_of(err.where, fn) then
        error(("'where' is %s, which is no line of the function: %s"):format(tostring(err.where), err.message), 2)
    end
    if tostring(err) ~= err.message .. " at " .. err.where then error("tostring is " .. tostring(err), 2) end
    for _, word in ipairs { ... } do
        if not err.message:find(word, 1, true) then error(("%q is not in: %s"):format(word, err.message), 2) end
    end
    return err
end

--- A list to which the SQL of every statement of a context is appended.
function expect.statements(instance)
    local sent = {}
    instance:on("query", function(entry) sent[#sent + 1] = entry.sql end)
    return sent
end

--- Runs `fn` and gives the statements sent meanwhile, and what fn returned.
function expect.sent_by(sent, fn)
    local before, result = #sent, fn()
    local list = {}
    for i = before + 1, #sent do list[#list + 1] = sent[i] end
    return list, result
end

return expect
