--- Schemas that others made: spec/support/schemas/<name>.<driver>.sql, and entities made of them.

local generate = require "heddle.generate"
local compat = require "heddle.compat"
local orm = require "heddle"

local schemas = {}

schemas.names = { "music", "film" }

-- Beside the connection's own one.
local others = { film = { postgres = { "crew" } } }

--- The text that makes a schema.
function schemas.text(name, driver)
    local file = assert(io.open(("spec/support/schemas/%s.%s.sql"):format(name, driver), "rb"))
    local text = file:read "*a"
    file:close()
    return text
end

--- Makes a new database with a schema; its configuration.
function schemas.make(db, name)
    local config = db:config { entities = {} }
    for statement in (schemas.text(name, db.name) .. "\n"):gsub("%-%-[^\n]*\n", "\n"):gmatch "(.-);\n" do
        if statement:find "%S" then db:raw(config):exec(statement) end
    end
    return config
end

--- Generates the entities of a database: the files, and what was noted.
function schemas.files(config, opts)
    local instance = orm.init(config)
    local files, notes = generate.read(instance, opts)
    instance:close()
    return files, notes
end

--- Loads files; the entities by name, and as a list.
function schemas.load(files)
    local by_name, list = {}, {}
    for i, file in ipairs(files) do
        local entity = assert(compat.load(file.text, "@" .. file.name))()
        by_name[file.entity], list[i] = entity, entity
    end
    return by_name, list
end

--- A context over a new database of a schema with the entities that were generated from it.
function schemas.open(db, name)
    local config = schemas.make(db, name)
    local files, notes = schemas.files(config, { schemas = others[name] and others[name][db.name] })
    local by_name, list = schemas.load(files)
    config.entities = list
    return orm.init(config), by_name, files, notes
end

return schemas
