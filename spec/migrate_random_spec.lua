-- M1, M2 through migrations: entities of chance, the first migration, rows, changes of chance, the second migration
-- made of the snapshot, and the way back.
--
-- HEDDLE_RUNS=5000 runs as often; what fails names its seed.

local databases = require "spec.support.databases"
local migrations = require "spec.support.migrations"
local orm = require "heddle"
local random_changes = require "spec.support.random_changes"
local random_entities = require "spec.support.random_entities"
local random_rows = require "spec.support.random_rows"
local random_runs = require "spec.support.random_runs"
local random_schema = require "spec.support.random_schema"
local reopen = require "spec.support.reopen"

local function up_to_date(instance, when)
    random_runs.up_to_date(instance, { safe = false }, when)
end

describe("migrations of a random schema", function()
    databases.each(function(db)
        local config, dir

        local function open(entities)
            return reopen(config, { entities = entities, migrations = dir.path })
        end

        -- Back to the former entities; where rows stand in the way nothing has changed.
        local function back(former, has_rows)
            local instance = orm.instance()
            local ok, err = pcall(instance.migrator.down, instance.migrator)
            if not ok then
                if not (has_rows and orm.is_error(err, "migration")) then error(err, 0) end
                up_to_date(instance, "after a refused down")
                return
            end
            up_to_date(open(former), "after down")
        end

        local function run(random)
            config, dir = db:config(), migrations.directory()
            local world = random_schema.new(random, db.name)
            local former = random_entities.of(world)
            local instance = open(former)
            instance.migrator:create()
            instance.migrator:up()
            up_to_date(instance, "after the first")
            local has_rows = random(2) == 1
            local rows = has_rows and random_rows.fill(instance, db:raw(config), random) or 0
            local before = random_rows.read(instance, db:raw(config))
            local rename = random_changes.make(world, random(5))
            local latter = random_entities.of(world)
            instance = open(latter)
            local made = instance.migrator:create { rename = rename }
            instance.migrator:up()
            up_to_date(instance, "after the second")
            local lost = random_rows.lost(before, random_rows.read(instance, db:raw(config)))
            if lost then error(lost, 0) end
            if instance.migrator:create() then error("there is something to create", 0) end
            if not made then return rows end
            -- Some types know no way back, nor a column whose former name another one has taken; the file says so.
            local file = io.open(made.path)
            local refused = file:read "*a":match "%-%- No way down: ([^\n]*)"
            file:close()
            if refused then
                assert.is_truthy(refused:find "its type changes from" or refused:find "which is there already", refused)
            else
                back(former, has_rows)
            end
            return rows
        end

        it("M1: M2: up makes what entities say and keeps rows, down makes what they said", function()
            assert.is_true(random_runs.each(db, db.name == "sqlite" and 150 or 30, run) > 0)
        end)
    end)
end)
