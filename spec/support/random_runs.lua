--- Specs of chance over whole schemas: one run for each seed, and what fails names its seed.
--
--     local sum, count = random_runs.each(db, 150, function(random) ... return 1 end)
--     random_runs.up_to_date(instance, { safe = false }, "after update")

local chance = require "spec.support.chance"
local orm = require "heddle"

local random_runs = {}

local function words(err)
    if type(err) ~= "table" then return debug.traceback(tostring(err)) end
    return ("%s\n%s\n%s"):format(tostring(err), tostring(err.detail or err.cause), tostring(err.sql))
end

--- The sum of what `run(random)` gave, and how many runs there were.
function random_runs.each(db, runs, run)
    local first, sum, count = chance.seed(1), 0, chance.runs(runs)
    for seed = first, first + count - 1 do
        -- Lua 5.1 hands no arguments through xpcall.
        local ok, result = xpcall(function() return run(chance.generator(seed)) end, words)
        orm.close()
        db:close()
        if not ok then error(("seed %d on %s: %s"):format(seed, db.name, result), 0) end
        sum = sum + result
    end
    return sum, count
end

--- Raises where the database is not what the entities say.
function random_runs.up_to_date(instance, opts, when)
    local statements = instance.schema:diff(opts)
    if #statements > 0 then error(when .. " there is something to do:\n" .. table.concat(statements, ";\n"), 0) end
end

return random_runs
