-- A new user's first hour, within ten commands: a project with two databases, its first migration, a second one that
-- renames a column and makes another nullable on a table with children, and down again.

local command = require "spec.support.command"
local databases = require "spec.support.databases"
local lfs = require "lfs"

local PREFIXES = { "DB", "DB_AUDIT" }
local KEYS = { HOST = "host", PORT = "port", USER = "user", NAME = "database" }

local ORDER = [[local orm = require "heddle"
return orm.entity {
  name = "Order", table = "orders",
  { "id",    type = "integer", primary = true },
  { "total", type = "decimal", precision = 10, scale = 2 },
  { "user",  many_to_one = "User", on_delete = "cascade" },
}
]]

local ADD_ORDER = [[local orm = require "heddle"
for _, config in ipairs(dofile "orm.config.lua") do orm.init(config) end
local em = orm.em()
em:persist_and_flush(em:create("Order", { total = "9.50", user = em:get_reference("User", 1) }))
orm.close()
]]

-- The README's chapter, as its reader does it: shell blocks are run, Lua blocks are the files that they name.
describe("README.md", function()
    it("its project does what it says, within ten commands", function()
        local parent = command.project()
        local function tool(name, line)
            -- The interpreter may have the name of the tool itself.
            parent:write("bin/" .. name, ("#!/bin/sh\nPATH=%s\nexec %s \"$@\"\n"):format(
                command.quote(os.getenv "PATH"), line))
            os.execute("chmod +x " .. command.quote(parent:path("bin/" .. name)))
        end
        local lua = os.getenv "HEDDLE_TEST_LUA"
        tool("lua5.4", lua)
        tool("heddle", lua .. " " .. command.quote(command.script))
        local variables = { PATH = parent:path "bin" .. ":" .. os.getenv "PATH" }
        local project = setmetatable({ dir = parent:path "shop", variables = variables }, getmetatable(parent))
        parent.variables = variables

        local file = assert(io.open("README.md", "rb"))
        local chapter = file:read("*a"):match "\n## A project and its migrations\n(.-)\n## "
        file:close()
        local commands, blocks = 0, 0
        for kind, text in chapter:gmatch "```(%a+)[^\n]*\n(.-)```" do
            blocks = blocks + 1
            if kind == "lua" then
                project:write(text:match "^%-%- (%S+)\n", text)
            else
                commands = commands + select(2, ("\n" .. text):gsub("\nheddle ", ""))
                local out, err, code = (blocks == 1 and parent or project):shell("set -e\n" .. text)
                assert.equal(0, code, text .. out .. err)
            end
            if blocks == 4 then
                local raw = require("spec.support.sqlite").raw { database = project:path "shop.db" }
                raw:exec "insert into orders (total, user_id) values ('9.50', 1)"
                raw:close()
            end
        end
        assert.equal(5, blocks)
        assert.is_true(commands <= 10 and commands >= 8)
        local raw = require("spec.support.sqlite").raw { database = project:path "shop.db" }
        assert.same({ { "User 1", "user1@example.com", "9.50" } },
            raw:rows "select name, email, total from users join orders on user_id = users.id")
        raw:close()
        assert.matches("_full_name  pending", (project:shell "heddle migrate:status"))
        parent:remove()
    end)
end)

databases.each(function(db)
    describe("a new project", function()
        local parent, project, configs

        before_each(function() parent = command.project() end)
        after_each(function()
            parent:remove()
            db:close()
        end)

        -- What a user of PostgreSQL writes into .env; for SQLite nothing is to be done.
        local function tell_where()
            configs = {}
            for i, prefix in ipairs(PREFIXES) do
                if db.name == "sqlite" then
                    configs[i] = { driver = "sqlite", database = project:path(i == 1 and "shop.db" or "audit.db") }
                else
                    configs[i] = db:config()
                    local env = project:read ".env"
                    for name, key in pairs(KEYS) do
                        env = env:gsub("(" .. prefix .. "_" .. name .. "=)[^\n]*", "%1" .. configs[i][key])
                    end
                    project:write(".env", env)
                end
            end
        end

        -- Rows of one of the two databases, over a connection that Heddle knows nothing of.
        local function rows(which, sql)
            local raw = require("spec.support." .. db.name).raw(configs[which])
            local found = raw:rows(sql)
            raw:close()
            return found
        end

        it("runs at once, changes and goes back without losing a row", function()
            local commands = 0
            local function heddle(words)
                commands = commands + 1
                return project:expect(0, words)
            end

            parent:expect(0, "init shop --databases shop,audit --driver " .. db.name)
            commands, project = 1, setmetatable({ dir = parent:path "shop" }, getmetatable(parent))
            project.variables = {}
            tell_where()
            project:write("entities/order.lua", ORDER)
            heddle "migrate:create --name initial --all"
            heddle "migrate --all"
            local out, err, code = project:lua "main.lua"
            assert.equal(0, code, err)
            assert.equal("created user1@example.com, user 1 of 1\naudit: 1 rows\n", out)
            assert.equal("created user2@example.com, user 2 of 2\naudit: 2 rows\n", (project:lua "main.lua"))
            project:write("add_order.lua", ADD_ORDER)
            assert.equal(0, (select(3, project:lua "add_order.lua")))

            project:write("entities/user.lua", (project:read "entities/user.lua"
                :gsub('"name",       type = "string", length = 100', '"full_name",  type = "string", length = 100')
                :gsub('length = 255, unique = true', 'length = 255, unique = true, nullable = true')))
            heddle "migrate:create --name full_name --rename users.name=full_name"
            local dry = heddle "migrate --dry-run"
            assert.truthy(dry:find('RENAME COLUMN "name" TO "full_name"', 1, true), dry)
            heddle "migrate"
            assert.same({ { "1", "user1@example.com", "User 1" }, { "2", "user2@example.com", "User 2" } },
                rows(1, "select id, email, full_name from users order by id"))
            assert.same({ { "1", "9.50", "1" } }, rows(1, "select id, total, user_id from orders"))
            rows(1, "insert into users (full_name, created_at) values ('Nobody', '2026-01-01 00:00:00')")
            heddle "schema:diff --check --unsafe"
            heddle "debug"

            -- What is NULL now cannot go back to NOT NULL, and nothing is lost in trying.
            local _, refused = project:expect(1, "migrate:down")
            assert.truthy(refused:find("full_name", 1, true), refused)
            assert.equal("3", rows(1, "select count(*) from users")[1][1])
            rows(1, "delete from users where email is null")
            heddle "migrate:down"
            assert.same({ { "1", "User 1" }, { "2", "User 2" } }, rows(1, "select id, name from users order by id"))
            assert.same({ { "1", "9.50", "1" } }, rows(1, "select id, total, user_id from orders"))
            assert.same({ { "2" } }, rows(2, "select count(*) from audit_logs"))

            out = heddle "migrate:status --all"
            assert.matches("_initial +done.*_full_name  pending.*audit:.*_initial +done", out)
            assert.is_true(commands <= 10, commands .. " commands")
        end)

        it("acts on the second database alone by its own file", function()
            parent:expect(0, "init shop --databases shop,audit --driver " .. db.name)
            project = setmetatable({ dir = parent:path "shop", variables = {} }, getmetatable(parent))
            tell_where()
            project:expect(0, "migrate:create --name initial --config=./orm-audit.config.lua")
            local out = project:expect(0, "migrate --config=./orm-audit.config.lua")
            assert.truthy(out:find("Context 'audit': 1 migration run.", 1, true))
            assert.same({ { "0" } }, rows(2, "select count(*) from audit_logs"))
            assert.equal("Context 'default' has no migrations.\n", (project:expect(0, "migrate:status")))
            assert.is_truthy(lfs.attributes(project:path "migrations/audit"))
        end)
    end)
end)
