--- Specs of chance: which seeds they begin with, and how often they run.
---
---     local seed, runs = chance.seed(1), chance.runs(600)
---     local first, last = chance.range(600)            -- the same as seeds
---     local random = chance.generator(seed)
---     local n, word = random(6), random { "a", "b" }
---
--- They are always the same, so that what passed passes again. HEDDLE_SEED=17 begins with another one, HEDDLE_SEED=now
--- with one that nobody had, HEDDLE_RUNS=10000 runs as often.
---
--- Each interpreter has seeds of its own: what four of them run says more than the same four times. So those beside
--- Lua 5.4 run a third as often. Sanitizers take several times as long: there it is a quarter.

local chance = {}

--- Whether this process is looked at by sanitizers.
chance.is_sanitized = (os.getenv "HEDDLE_TEST_LUA" or ""):find("asan", 1, true) ~= nil

-- How far the seeds of an interpreter are from those of Lua 5.4.
local offset = rawget(_G, "jit") and 100000 or ({ ["Lua 5.1"] = 200000, ["Lua 5.3"] = 300000 })[_VERSION] or 0

--- The first seed.
function chance.seed(usual)
    local given = os.getenv "HEDDLE_SEED"
    if given == "now" then return os.time() % 1000000 end
    return tonumber(given) or (usual or 1) + offset
end

--- How often.
function chance.runs(usual)
    local share = chance.is_sanitized and 4 or offset > 0 and 3 or 1
    return tonumber(os.getenv "HEDDLE_RUNS") or math.ceil(usual / share)
end

--- The first seed and the last one; HEDDLE_SEED without HEDDLE_RUNS is that one alone.
function chance.range(usual)
    local first = chance.seed(1)
    local is_one = os.getenv "HEDDLE_SEED" and not os.getenv "HEDDLE_RUNS"
    return first, is_one and first or first + chance.runs(usual) - 1
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
