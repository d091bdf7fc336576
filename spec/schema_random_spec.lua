-- M1: whatever entities say, the schema that was made or changed for them differs from them in nothing, and the rows
-- are what they were. Entities of chance (support/random_schema.lua), rows, changes of chance, update.
--
-- HEDDLE_RUNS=5000 runs as often; what fails names its seed.

local chance = require "spec.support.chance"
local databases = require "spec.support.databases"
local orm = require "heddle"
local random_changes = require "spec.support.random_changes"
local random_entities = require "spec.support.random_entities"
local random_rows = require "spec.support.random_rows"
local random_schema = require "spec.support.random_schema"

local function words(err)
    if type(err) ~= "table" then return debug.traceback(tostring(err)) end
    return ("%s\n%s\n%s"):format(tostring(err), tostring(err.detail or err.cause), tostring(err.sql))
end

local function up_to_date(instance, opts, when)
    local statements = instance.schema:diff(opts)
    if #statements > 0 then error(when .. " there is something to do:\n" .. table.concat(statements, ";\n"), 0) end
end

describe("a random schema", function()
    databases.each(function(db)
        local config, world

        local function open()
            local made = {}
            for key, value in pairs(config) do made[key] = value end
            made.entities = random_entities.of(world)
            return orm.init(made)
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
                orm.close()
                before = change(random, before)
            end
            return rows
        end

        it("M1: M2: is made, changed and then as the entities say, its rows kept", function()
            local first, rows = chance.seed(1), 0
            for seed = first, first + chance.runs(db.name == "sqlite" and 150 or 30) - 1 do
                local ok, result = xpcall(function() return run(chance.generator(seed)) end, words)
                orm.close()
                db:close()
                if not ok then error(("seed %d on %s: %s"):format(seed, db.name, result), 0) end
                rows = rows + result
            end
            assert.is_true(rows > 0)
        end)
    end)
end)
