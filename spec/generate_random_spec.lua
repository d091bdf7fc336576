-- M1: whatever a schema has in it, the entities that are generated from it say the same. Entities of chance make the
-- schema (support/random_schema.lua), others are generated from the database, and nothing differs.
--
-- HEDDLE_RUNS=5000 runs as often; what fails names its seed.

local chance = require "spec.support.chance"
local databases = require "spec.support.databases"
local orm = require "heddle"
local random_entities = require "spec.support.random_entities"
local random_schema = require "spec.support.random_schema"
local schemas = require "spec.support.schemas"

local function words(err)
    if type(err) ~= "table" then return debug.traceback(tostring(err)) end
    return ("%s\n%s\n%s"):format(tostring(err), tostring(err.detail or err.cause), tostring(err.sql))
end

local function copy(config, entities)
    local made = {}
    for key, value in pairs(config) do made[key] = value end
    made.entities = entities
    return made
end

describe("entities from a random schema", function()
    databases.each(function(db)
        -- Tables without a form in an entity are told, and left out of what may be dropped.
        local function run(random)
            local config, world = db:config(), random_schema.new(random, db.name)
            local instance = orm.init(copy(config, random_entities.of(world)))
            instance.schema:create()
            orm.close()
            local files, notes = schemas.files(copy(config, {}), { schemas = { "crew", "Odd sch'ema" } })
            local _, list = schemas.load(files)
            instance = orm.init(copy(config, list))
            local left
            for _, note in ipairs(notes) do left = left or note:find("becomes no relation", 1, true) ~= nil end
            local statements = instance.schema:diff { safe = left or false }
            if #statements > 0 then
                local texts = {}
                for i, file in ipairs(files) do texts[i] = file.text end
                error(table.concat(statements, ";\n") .. "\n\n" .. table.concat(texts, "\n"), 0)
            end
            return left and 0 or 1
        end

        it("M1: differ in nothing from the database", function()
            local first, whole, runs = chance.seed(1), 0, chance.runs(db.name == "sqlite" and 150 or 40)
            for seed = first, first + runs - 1 do
                local ok, result = xpcall(function() return run(chance.generator(seed)) end, words)
                orm.close()
                db:close()
                if not ok then error(("seed %d on %s: %s"):format(seed, db.name, result), 0) end
                whole = whole + result
            end
            assert.is_true(whole > runs / 2)
        end)
    end)
end)
