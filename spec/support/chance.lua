--- Specs of chance: which seeds they begin with, and how often they run.
---
---     local seed, runs = chance.seed(1), chance.runs(600)
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

return chance
