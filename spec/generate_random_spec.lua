-- M1: whatever a schema has in it, the entities that are generated from it say the same. Entities of chance make the
-- schema (support/random_schema.lua), others are generated from the database, and nothing differs.
--
-- HEDDLE_RUNS=5000 runs as often; what fails names its seed.

local databases = require "spec.support.databases"
local orm = require "heddle"
local random_entities = require "spec.support.random_entities"
local random_runs = require "spec.support.random_runs"
local random_schema = require "spec.support.random_schema"
local reopen = require "spec.support.reopen"
local schemas = require "spec.support.schemas"

describe("entities from a random schema", function()
    databases.each(function(db)
        -- Tables without a form in an entity are told, and left out of what may be dropped.
        local function run(random)
            local config, world = db:config(), random_schema.new(random, db.name)
            local instance = reopen(config, { entities = random_entities.of(world) })
            instance.schema:create()
            orm.close()
            local files, notes = schemas.files(config, { schemas = { "crew", "Odd sch'ema" } })
            local _, list = schemas.load(files)
            instance = reopen(config, { entities = list })
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
            local runs = db.name == "sqlite" and 150 or 40
            local sum, count = random_runs.each(db, runs, run)
            assert.is_true(sum > count / 2)
        end)
    end)
end)
