--- Specs of chance: which seeds they begin with, and how often they run.
---
---     local seed, runs = chance.seed(1), chance.runs(600)
---     local random = chance.generator(seed)
---     local n, word = random(6), random { "a", "b" }
---
--- Both are always the same, so that what passed passes again. HEDDLE_SEED=17 begins with another one, HEDDLE_SEED=now
--- with one that nobody had, HEDDLE_RUNS=10000 runs as often. Sanitizers take several times as long: there it is a
--- quarter.

local chance = {}

--- Whether this process is looked at by sanitizers.
chance.is_sanitized = (os.getenv "HEDDLE_TEST_LUA" or ""):find("asan", 1, true) ~= nil

--- The first seed.
function chance.seed(usual)
    local given = os.getenv "HEDDLE_SEED"
    if given == "now" then return os.time() % 1000000 end
    return tonumber(given) or usual or 1
end

--- How often.
function chance.runs(usual)
    return tonumber(os.getenv "HEDDLE_RUNS") or chance.is_sanitized and math.ceil(usual / 4) or usual
end

--- Numbers from 1 to n, or one of a list: with one seed the same on every interpreter.
function chance.generator(seed)
    local state = seed * 7919 % 2147483647 + 1
    return function(n)
        state = state * 16807 % 2147483647
        if type(n) == "table" then return n[state % #n + 1] end
        return state % n + 1
    end
end

return chance
