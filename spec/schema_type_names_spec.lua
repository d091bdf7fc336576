-- Tables that are called like a type of the server's.

local databases = require "spec.support.databases"
local orm = require "heddle"

databases.each(function(db)
    it("M1: tables that are called like types differ in nothing", function()
        local entities = {}
        for _, name in ipairs { "text", "date", "uuid", "jsonb", "bytea" } do
            entities[#entities + 1] = orm.entity { name = name:upper(), table = name,
                { "id", type = "integer", primary = true }, { "a", type = "string" },
                { "b", type = "date", nullable = true }, { "c", type = "uuid", nullable = true },
                { "d", type = "json", nullable = true }, { "e", type = "blob", nullable = true } }
        end
        local instance = orm.init(db:config { entities = entities })
        instance.schema:create()
        assert.same({}, instance.schema:diff { safe = false })
        orm.close()
    end)
end)
