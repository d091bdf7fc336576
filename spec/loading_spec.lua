-- What a program pays for that only reads and writes: the rooms of schema, migrations, seeds, console and command line
-- are loaded when they are first asked for.

local PROGRAM = [[
local orm = require "heddle"
local instance = orm.init { driver = "sqlite", database = ":memory:", entities = {
    orm.entity { name = "User", { "id", type = "integer", primary = true }, { "name", type = "string" },
        { "tags", many_to_many = "Tag" } },
    orm.entity { name = "Tag", { "id", type = "integer", primary = true } } } }
local em = orm.em():fork()
em:execute "CREATE TABLE user (id integer PRIMARY KEY, name text)"
em:persist_and_flush(em:create("User", { name = "Ann" }))
assert(em:find_one("User", { name = "Ann" }))
%s
for name in pairs(package.loaded) do
    for _, room in ipairs { "schema", "migrations", "migrator", "cli", "seeding", "seeder", "generate", "diagram",
        "console", "lua_cats" } do
        if name == "heddle." .. room or name:find("^heddle%%." .. room .. "%%.") then print(name) end
    end
end
]]

local function loaded(code)
    local path = os.tmpname()
    local file = io.open(path, "w")
    file:write(PROGRAM:format(code))
    file:close()
    local pipe = io.popen(("%s %s 2>&1"):format(os.getenv "HEDDLE_TEST_LUA", path))
    local names = {}
    for name in pipe:lines() do names[#names + 1] = name end
    pipe:close()
    os.remove(path)
    table.sort(names)
    return names
end

describe("loading", function()
    it("programs that read and write load no room of schema, migrations, seeds and commands", function()
        assert.same({}, loaded "")
    end)

    it("making the schema loads none of what compares it, and nothing of migrations", function()
        local names = table.concat(loaded "instance.schema:create_sql()", " ")
        assert.is_truthy(names:find("heddle.schema.sql", 1, true))
        for _, room in ipairs { "migrat", "plan", "introspect", "parse", "rebuild" } do
            assert.is_nil(names:find(room, 1, true), names)
        end
    end)

    it("orm.fake and orm.factory load theirs when they are first used", function()
        local names = table.concat(loaded "assert(orm.fake)", " ")
        assert.is_truthy(names:find("heddle.seeding.fake", 1, true))
        assert.is_nil(names:find("heddle.seeding.factory", 1, true))
    end)
end)
