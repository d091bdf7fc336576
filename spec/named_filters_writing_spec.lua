-- Named filters and what is written: statements by filter take them along, the unit of work looks at rows as they are.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"
local unit = require "spec.support.unit"

local op, raises = orm.op, expect.raises

local id = { "id", type = "integer", primary = true }
local gone = { "gone", type = "boolean", default = false }
local filters = { living = { cond = { gone = false }, default = true } }

local Project = orm.entity {
    name = "Project", table = "projects", id, gone, { "name", type = "string", unique = true },
    { "version", type = "integer", version = true },
    { "tasks", one_to_many = "Task", mapped_by = "project", cascade = { "persist", "remove" } },
    { "notes", one_to_many = "Note", mapped_by = "project", orphan_removal = true },
    { "links", one_to_many = "Link", mapped_by = "project" },
    { "plan", one_to_one = "Plan", mapped_by = "project" },
    { "tags", many_to_many = "Tag" },
    filters = filters,
}
local Task = orm.entity { name = "Task", table = "tasks", id, gone, { "project", many_to_one = "Project" },
    { "title", type = "string", default = "t" }, { "parent", many_to_one = "Project", nullable = true },
    filters = filters }
local Note = orm.entity { name = "Note", table = "notes", id, gone,
    { "project", many_to_one = "Project", nullable = true }, filters = filters }
local Link = orm.entity { name = "Link", table = "links", id, gone,
    { "project", many_to_one = "Project", nullable = true }, filters = filters }
local Plan = orm.entity { name = "Plan", table = "plans", id, gone,
    { "project", one_to_one = "Project", nullable = true }, filters = filters }
local Tag = orm.entity { name = "Tag", table = "tags", gone, { "name", type = "string", primary = true },
    filters = filters }

local entities = { Project, Task, Note, Link, Plan, Tag }
local rows = {
    "insert into projects (id, name, gone, version) values (1, 'loom', @no, 1), (2, 'old', @yes, 1)",
    "insert into tasks (id, project_id, gone, title) values (1, 1, @no, 'a'), (2, 1, @yes, 'b'), (3, 2, @no, 'c')",
    "insert into notes (id, project_id, gone) values (1, 1, @no), (2, 1, @yes)",
    "insert into links (id, project_id, gone) values (1, 1, @no), (2, 1, @yes)",
    "insert into plans (id, project_id, gone) values (1, 1, @yes)",
    "insert into tags (name, gone) values ('new', @no), ('dead', @yes), ('old', @no)",
    "insert into projects_tags (project_id, tag_name) values (1, 'new'), (1, 'dead')",
}

databases.each(function(db)
    describe("named filters and writing", function()
        local work, em

        before_each(function()
            work = unit.open(db, entities)
            local bools = db.name == "sqlite" and { no = "0", yes = "1" } or { no = "false", yes = "true" }
            for _, sql in ipairs(rows) do work.raw:exec((sql:gsub("@(%a+)", bools))) end
            em = work.em
        end)

        after_each(function() work:close() end)

        local function column(sql)
            local list = {}
            for i, row in ipairs(work.raw:rows(sql)) do list[i] = tostring(row[1]) end
            return table.concat(list, " ")
        end

        describe("update_where and delete_where", function()
            it("reach no hidden row", function()
                assert.equal(2, em:update_where(Task, {}, { title = "x" }, { all = true }))
                assert.equal("x b x", column "select title from tasks order by id")
                assert.equal(1, em:update_where(Task, { id = 2 }, { title = "y" }, { filters = false }))
                assert.equal("x y x", column "select title from tasks order by id")
                assert.equal(0, em:delete_where(Task, { id = 2 }))
                assert.equal(2, em:delete_where(Task, {}, { all = true }))
                assert.equal("2", column "select id from tasks")
                assert.equal(1, em:delete_where(Task, { title = "y" }, { filters = { living = false } }))
                assert.equal("", column "select id from tasks")
            end)

            it("over relations too", function()
                assert.equal(1, em:update_where(Task, { project = { name = op.like "%" } }, { title = "x" }))
                assert.equal("x b c", column "select title from tasks order by id")
                assert.equal(0, em:delete_where(Task, { project = { name = "old" } }))
                assert.equal(1, em:delete_where(Tag, op.negate { name = "new" }))
                assert.equal("dead new", column "select name from tags order by name")
                assert.equal(1, em:update_where(Project, { links = op.some { id = 1 } }, { name = "x" }))
                assert.equal(0, em:update_where(Project, { links = op.some { id = 2 } }, { name = "y" }))
            end)

            it("Q1: the filter of the program's own has to say something", function()
                raises("validation", function() em:delete_where(Task, {}) end, "all = true")
                raises("validation", function() em:update_where(Task, {}, { title = "x" }) end, "all = true")
            end)

            it("check the option", function()
                raises("unknown_property", function() em:delete_where(Task, { id = 1 }, { filters = { "livin" } }) end,
                    "'living'")
                raises("validation", function() em:update_where(Task, { id = 1 }, { title = "x" }, { filters = 7 }) end)
                raises("validation", function() em:delete_where(Task, { id = 1 }, 7) end)
                raises("unknown_property", function() em:delete_where(Task, { id = 1 }, { filtres = false }) end)
                assert.equal("1 2 3", column "select id from tasks order by id")
            end)
        end)

        describe("the unit of work", function()
            it("refresh and lock read the row that there is", function()
                local task = em:find_one(Task, 2, { filters = false })
                work.raw:exec "update tasks set title = 'z' where id = 2"
                em:refresh(task)
                assert.equal("z", task.title)
                em:transactional(function(inner)
                    local own = inner:find_one(Task, 2)
                    assert.equal(task, own)
                    assert.equal(task, inner:lock(task, "pessimistic_write"))
                end)
                local project = em:find_one(Project, 2, { filters = false })
                em:lock(project, "optimistic")
            end)

            it("merge finds the row that a filter hides, and makes no second one", function()
                local fork = em:fork()
                local other = fork:find_one(Project, 2, { filters = false })
                other.name = "older"
                local own = em:merge(other)
                em:flush()
                assert.equal("older", own.name)
                assert.equal("loom older", column "select name from projects order by id")
            end)

            it("upsert gives the row that it wrote", function()
                local project, inserted = em:upsert(Project, { name = "old", gone = true },
                    { on_conflict_fields = { "name" } })
                assert.is_false(inserted)
                assert.equal(2, project.id)
            end)

            it("I4: changes and removals of what is hidden are written", function()
                local task = em:find_one(Task, 2, { filters = false })
                task.title = "w"
                em:flush()
                assert.equal("a w c", column "select title from tasks order by id")
                em:remove_and_flush(task)
                assert.equal("1 3", column "select id from tasks order by id")
            end)

            it("a removing cascade takes hidden members along, whose rows would have no owner", function()
                em:delete_where(Note, { id = op.gt(0) }, { filters = false })
                em:delete_where(Link, { id = op.gt(0) }, { filters = false })
                em:delete_where(Plan, { id = op.gt(0) }, { filters = false })
                for _, populate in ipairs { false, { "tasks" } } do
                    local fork = em:fork()
                    fork:begin()
                    fork:remove(fork:find_one(Project, 1, populate and { populate = populate } or nil))
                    fork:flush()
                    assert.equal(1, fork:count(Task, {}, { filters = false }))
                    fork:rollback()
                end
                em:remove_and_flush(em:find_one(Project, 1, { populate = { "tasks" } }))
                assert.equal("3", column "select id from tasks")
            end)

            it("set and remove_all say what the members are: hidden ones go with the others", function()
                local project = em:find_one(Project, 1, { populate = { "links", "tags" } })
                assert.equal(1, #project.links)
                project.links:remove_all()
                project.tags:set { em:find_one(Tag, "old") }
                em:flush()
                assert.same({}, work.raw:rows "select id from links where project_id is not null")
                assert.equal("old", column "select tag_name from projects_tags")
                project.notes:set {}
                em:flush()
                assert.equal("", column "select id from notes") -- orphans
                assert.equal("1 2", column "select id from links order by id")
            end)

            it("set of a collection that nobody has read likewise", function()
                local project = em:find_one(Project, 1)
                project.links:set { em:find_one(Link, 1) }
                project.notes:remove_all()
                em:flush()
                assert.equal("1", column "select id from links where project_id = 1")
                assert.equal("", column "select id from notes")
            end)

            it("add and remove leave hidden members where they are", function()
                local project = em:find_one(Project, 1, { populate = { "links", "notes", "tags" } })
                project.links:remove(project.links[1])
                project.tags:remove(project.tags[1])
                project.notes:remove(project.notes[1])
                project.links:add(Link { id = 7 })
                em:flush()
                assert.equal("2 7", column "select id from links where project_id = 1 order by id")
                assert.equal("dead", column "select tag_name from projects_tags")
                assert.equal("2", column "select id from notes")
            end)

            it("U1: a collection that was read in part is no change", function()
                local project = em:find_one(Project, 1, { populate = { "*" } })
                assert.is_nil(project.plan)
                work:forget()
                em:flush()
                assert.equal(0, #work.log)
                project.name = "x"
                em:flush()
                assert.equal(1, work:writes())
            end)

            it("a one_to_one that takes another partner lets the hidden one go", function()
                local project = em:find_one(Project, 1, { populate = { "plan" } })
                assert.is_nil(project.plan)
                project.plan = Plan { id = 5 }
                em:flush()
                assert.equal("5", column "select id from plans where project_id = 1")
                assert.equal("1", column "select id from plans where project_id is null")
            end)

            it("inserts are what they are", function()
                em:insert(Task, { id = 8, project = 1, gone = true })
                em:persist_and_flush(em:create(Task, { id = 9, project = em:find_one(Project, 1), gone = true }))
                assert.equal("1 2 3 8 9", column "select id from tasks order by id")
                assert.equal(2, em:count(Task, {}))
            end)
        end)
    end)
end)
