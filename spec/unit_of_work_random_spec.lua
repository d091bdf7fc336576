-- The unit of work by chance: random work on a hostile schema, made to fail at random places, compared with a model of
-- plain tables after every flush and every rollback (O1, O2, F1, F3, U1, I6). The parts stand in spec/model/.
--
-- HEDDLE_SEED does one run again, HEDDLE_RUNS does as many from the first seed on. A run that goes wrong is shortened,
-- and what it did is printed.

local chance = require("spec.support.chance")
local databases = require("spec.support.databases")
local inject = require("spec.model.inject")
local run = require("spec.model.run")
local schema = require("spec.model.schema")
local unit = require("spec.support.unit")

-- What at least 1 % of the runs have to need. On SQLite any foreign key can be deferred, so that no statement has to
-- hold a ring of rows.
local runs = { sqlite = 1500, postgres = 1000 }
local needed = {
  sqlite = { "parked", "switched", "deferred" },
  postgres = { "parked", "switched", "deferred", "whole" },
}
-- One connection: what is set for a failure and the raw reader must not wait for each other.
local options = {
  sqlite = { pool = { max = 1 }, pragmas = { synchronous = "off" } },
}

local function shares(counts, total)
  local names = {}
  for name in pairs(counts) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do names[i] = ("%s %.1f %%"):format(name, counts[name] / total * 100) end
  return table.concat(names, ", ")
end

databases.each(function(db)
  it("O1 O2 F1: rows and memory are what a model says after every flush and every rollback", function()
    local work = unit.open(db, schema.entities, options[db.name])
    inject.prepare(work)
    local stats = run.stats()
    local first, last = chance.range(runs[db.name])
    for each = first, last do run.seed(work, each, stats) end
    print(("\n%s: %d runs, seeds %d to %d; needed: %s; flushes failed by: %s"):format(db.name, stats.runs,
      first, last, shares(stats.plans, stats.runs), shares(stats.failures, stats.runs)))
    for _, name in ipairs(stats.runs >= 500 and needed[db.name] or {}) do
      assert.is_true((stats.plans[name] or 0) >= stats.runs / 100, name .. " in less than 1 % of the runs")
    end
    work:close()
    db:close()
  end)
end)
