-- M1: whatever entities say, the schema that was made or changed for them differs from them in nothing, and the rows
-- are what they were. Entities of chance (support/random_schema.lua), rows, changes of chance, update.
--
-- HEDDLE_RUNS=5000 runs as often; what fails names its seed.

local databases = require "spec.support.databases"
local orm = require "heddle"
local random_changes = require "spec.support.random_changes"
local random_entities = require "spec.support.random_entities"
local random_rows = require "spec.support.random_rows"
local random_runs = require "spec.support.random_runs"
local random_schema = require "spec.support.random_schema"
local reopen = require "spec.support.reopen"

local up_to_date = random_runs.up_to_date

describe("a random schema", function()
    databases.each(function(db)
        local config, world

        local function open()
            return reopen(config, { entities = random_entities.of(world) })
        end

        local function keeps(before, instance)
            local lost = random_rows.lost(before, random_rows.read(instance, db:raw(config)))
            if lost then error(lost, 0) end
        end

        -- What stays may be in the way of what changes; then all is as it was.
        local function update_safely(instance, rename)
            local ok, err = pcall(instance.schema.update, instance.schema, { rename = rename })
            if not ok and not orm.is_error(err, "migration") then error(err, 0) end
            return ok
        end

        local function change(random, before)
            local rename = random_changes.make(world, random(5))
            local instance = open()
            if random(3) == 1 and update_safely(instance, rename) then
                up_to_date(instance, nil, "after a safe update")
                keeps(before, instance)
                rename = nil
            end
            instance.schema:diff { safe = false, rename = rename }
            instance.schema:update { safe = false, rename = rename }
            up_to_date(instance, { safe = false }, "after update")
            keeps(before, instance)
            return random_rows.read(instance, db:raw(config))
        end

        local function run(random)
            config, world = db:config(), random_schema.new(random, db.name)
            local instance = open()
            instance.schema:create()
            local rows = random_rows.fill(instance, db:raw(config), random)
            up_to_date(instance, { safe = false }, "after create")
            local before = random_rows.read(instance, db:raw(config))
            for _ = 1, random(3) do
                before = change(random, before)
            end
            return rows
        end

        it("M1: M2: is made, changed and then as the entities say, its rows kept", function()
            assert.is_true(random_runs.each(db, db.name == "sqlite" and 150 or 30, run) > 0)
        end)
    end)
end)
