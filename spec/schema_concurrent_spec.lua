-- Several processes that update one database at once: each ends well, and the schema is there once.

local databases = require "spec.support.databases"
local orm = require "heddle"

local PROGRAM = [[
local orm = require "heddle"
local name = { "name", type = "string", default = "it's", unique = true }
local instance = orm.init { driver = %q, database = %q, host = %s, port = %s, user = %s, entities = {
    orm.entity { name = "User", table = "users", { "id", type = "integer", primary = true }, name,
        { "team", many_to_one = "Team", nullable = true } },
    orm.entity { name = "Team", { "id", type = "integer", primary = true }, { "lead", many_to_one = "User" },
        { "title", type = "text", nullable = true, check = "title <> ''" } } } }
for _ = 1, 3 do instance.schema:update { safe = false } end
print(#instance.schema:diff { safe = false })
]]

local function quoted(value)
    return value and ("%q"):format(value) or "nil"
end

describe("schema:update in several processes", function()
    databases.each(function(db)
        it("M1: does its work once", function()
            local config = db:config()
            local raw, path = db:raw(config), os.tmpname()
            raw:exec "create table users (id integer primary key, name varchar(9))"
            raw:exec "insert into users (id, name) values (1, 'Ann')"
            local file = io.open(path, "w")
            file:write(PROGRAM:format(config.driver, config.database, quoted(config.host), config.port or "nil",
                quoted(config.user)))
            file:close()
            local processes = {}
            for i = 1, 3 do
                processes[i] = io.popen(("%s %s 2>&1"):format(os.getenv "HEDDLE_TEST_LUA", path))
            end
            for i = 1, 3 do
                assert.equal("0\n", processes[i]:read "*a")
                processes[i]:close()
            end
            os.remove(path)
            assert.same({ { "1", "Ann" } }, raw:rows "select id, name from users")
            assert.equal("0", raw:value "select count(*) from team")
            orm.close()
        end)
    end)
end)
