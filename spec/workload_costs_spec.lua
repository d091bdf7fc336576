-- What the bench's workloads send: 10,000 rows as there; of W2 and W7, where a unit is like the other, twenty.
-- On PostgreSQL nobody listens, which would be another way through a flush: a relay counts. SQLite's statements have
-- to be listened to. Instructions and allocations: bench/instructions.txt.

local bench = require "bench.database"
local databases = require "spec.support.databases"
local heddle = require "bench.contenders.heddle"
local keys_of = require("bench.authors").keys
local orm = require "heddle"
local relay = require "spec.support.relay"
local workloads = require "bench.workloads"

local ROWS = 10000
local UNITS = { W2 = 20, W7 = 20 }

-- Control of transactions and a COPY count as well; a statement that is run for many rows in turn counts once.
local LIMITS = {
    postgres = {
        W1 = { statements = 1, turns = 1 },
        W2 = { statements = 20, turns = 20 },
        W3 = { statements = 7, turns = 4 },
        W4 = { statements = 4, turns = 1 },
        W5 = { statements = 14, turns = 2 },
        W7 = { statements = 40, turns = 40 },
    },
    sqlite = {
        W1 = { statements = 1 },
        W2 = { statements = 20 },
        W3 = { statements = 5 },
        W4 = { statements = 3 },
        W5 = { statements = 4 },
        W7 = { statements = 40 },
    },
}

local counters = {}

function counters.postgres(db)
    local r = relay.start()
    local source = setmetatable({ host = r.host, port = r.port }, { __index = db.source })
    return source, function(fn)
        r:reset()
        local result = fn()
        return { statements = r:statements(), turns = r:turns() }, result
    end, function() r:stop() end
end

function counters.sqlite()
    return nil, function(fn)
        local count = 0
        orm.instance("bench"):on("query", function() count = count + 1 end)
        local result = fn()
        return { statements = count }, result
    end, function() end
end

databases.each(function(each)
    describe("workloads", function()
        local db, source, count, stop

        setup(function()
            db = assert(bench.new(each.name, ROWS))
            source, count, stop = counters[each.name](db)
            heddle.load(each.name)
        end)
        teardown(function()
            stop()
            db:close()
        end)

        for _, workload in ipairs(workloads) do
            local limit = LIMITS[each.name][workload.name]
            if limit then
                it(workload.name .. " sends no more than it has to", function()
                    local fresh = db:fresh(workload.full)
                    local handle = heddle.open(source or fresh)
                    local run = { contender = heddle, database = db, source = fresh, rows = ROWS }
                    local units = UNITS[workload.name]
                    local input = units and keys_of(units, ROWS) or workload.prepare and workload.prepare(run, handle)
                    handle:find_each { 1 }
                    local sent, result = count(function() return workload.run(handle, input) end)
                    workload.check(run, result, input)
                    handle:close()
                    db:drop(fresh)
                    for what, most in pairs(limit) do
                        assert.is_true(sent[what] <= most, ("%d %s, at most %d"):format(sent[what], what, most))
                    end
                end)
            end
        end
    end)
end)
