-- examples/audit_log and examples/soft_delete as their readers run them, and what is left in their databases.
local lfs = require "lfs"
local program = require "spec.support.example"
local raw = require "spec.support.raw"

local function database(path)
    return raw.sqlite(lfs.currentdir() .. "/examples/" .. path)
end

local function run(path)
    local output, status = program.run(path, {})
    assert.equal(0, status, output)
    return output
end

local function without_keys(output) return (output:gsub("%d%d%d%d+", "")) end

describe("the audit log", function()
    it("tells its story and leaves log and messages in the database", function()
        local output = run "audit_log/main.lua"
        program.assert_says(output, "ann  create Customer#1  [] -> [id=1 limit=100.00 name=Cid version=1]",
            "ben  update Customer#1  [limit=100.00 version=1] -> [limit=250.00 version=2]",
            "ben  delete Customer#2  [id=2 limit=100.00 name=Dora version=1] -> []",
            "messages that wait: 1", "sent       order 1: 12.50", "messages that wait: 0",
            "refused: new entries in the log: 0, orders: 1", "the post is down: the message waits", "orders     2",
            "sent       order 2: 7.00", "sent       order 3: 8.00", "new entries in the log: 0")
        assert.is_nil(output:find("secret", 1, true))
        local db = database "audit_log/audit.db"
        assert.same({ { "create", "Customer", "ann" }, { "update", "Customer", "ben" }, { "create", "Customer", "ben" },
            { "delete", "Customer", "ben" }, { "create", "Order", "ben" }, { "create", "Order", "ben" },
            { "create", "Order", "ben" } }, db:rows "select op, entity, who from audit_entries order by id")
        assert.equal("0", db:value "select count(*) from audit_entries where old || new like '%secret%'")
        assert.equal("3", db:value "select count(*) from outbox_messages where sent_at is not null")
        assert.equal("250.00", db:value "select json_extract(new, '$.limit') from audit_entries where op = 'update'")
        db:close()
    end)

    it("can be run again", function()
        local first = run "audit_log/main.lua"
        assert.equal(without_keys(first), without_keys(run "audit_log/main.lua"))
    end)
end)

describe("soft delete", function()
    it("tells its story and leaves the rows in the database", function()
        local output = run "soft_delete/main.lua"
        program.assert_says(output, "projects: Loom, Spindle", "rows:     2 projects, 2 tasks, 2 comments",
            "Loom: deleted_at is number, the entity manager has it", "projects: Spindle", "tasks:    Build the Spindle",
            "rows:     2 projects, 2 tasks, 1 comments", "projects: Loom, Spindle", "rows:     3 projects",
            "tasks:    Build the Loom, Build the Spindle", "rows:     2 projects, 2 tasks, 1 comments")
        local db = database "soft_delete/projects.db"
        assert.same({ { "Loom", "Build the Loom" }, { "Spindle", "Build the Spindle" } }, db:rows [[
            select p.name, t.title from projects p join tasks t on t.project_id = p.id
            where t.deleted_at is null order by p.name]])
        db:close()
    end)

    it("can be run again", function()
        local first = run "soft_delete/main.lua"
        assert.equal(first, run "soft_delete/main.lua")
    end)
end)
