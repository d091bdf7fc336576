-- Named filters where relations are loaded: populate of every kind, collections, strategies, streams.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"
local unit = require "spec.support.unit"

local op, raises = orm.op, expect.raises

local id = { "id", type = "integer", primary = true }
local deleted_at = { "deleted_at", type = "timestamp", nullable = true }
local filters = { living = { cond = { deleted_at = orm.null }, default = true } }

local Project = orm.entity {
    name = "Project", table = "projects", id, deleted_at, { "name", type = "string" },
    { "tasks", one_to_many = "Task", mapped_by = "project", order_by = { "id" } },
    { "plan", one_to_one = "Plan", mapped_by = "project" },
    filters = filters,
}
local Task = orm.entity {
    name = "Task", table = "tasks", id, deleted_at, { "title", type = "string" },
    { "text", type = "text", nullable = true, lazy = true },
    { "project", many_to_one = "Project", nullable = true },
    { "owner", many_to_one = "Person", nullable = true, eager = true },
    { "tags", many_to_many = "Tag", order_by = { "name" } },
    { "readers", many_to_many = "Person", pivot_entity = "Reading", order_by = { "id" } },
    filters = {
        living = filters.living,
        titled = { cond = function(params) return { title = op.like(params.like) } end, params = { "like" } },
    },
}
local Plan = orm.entity { name = "Plan", table = "plans", id, deleted_at,
    { "project", one_to_one = "Project", nullable = true }, filters = filters }
local Tag = orm.entity { name = "Tag", table = "tags", deleted_at, { "name", type = "string", primary = true },
    { "tasks", many_to_many = "Task", mapped_by = "tags" }, filters = filters }
local Person = orm.entity { name = "Person", table = "people", id, deleted_at, { "name", type = "string" },
    filters = filters }
local Reading = orm.entity { name = "Reading", table = "readings", deleted_at,
    { "task", many_to_one = "Task", primary = true }, { "person", many_to_one = "Person", primary = true },
    filters = filters }

local rows = {
    "insert into people (id, name, deleted_at) values (1, 'Ann', null), (2, 'Ben', @)",
    "insert into projects (id, name, deleted_at) values (1, 'loom', null), (2, 'old', @)",
    "insert into plans (id, project_id, deleted_at) values (1, 1, @), (2, 2, null)",
    [[insert into tasks (id, title, text, project_id, owner_id, deleted_at) values (1, 'a', 'x', 1, 1, null),
        (2, 'b', 'y', 1, 2, null), (3, 'c', 'z', 1, 1, @), (4, 'd', 'w', 2, 1, null)]],
    "insert into tags (name, deleted_at) values ('new', null), ('gone', @), ('old', null)",
    "insert into tasks_tags (task_id, tag_name) values (1, 'new'), (1, 'gone'), (3, 'old'), (2, 'old')",
    "insert into readings (task_id, person_id, deleted_at) values (1, 1, null), (1, 2, null), (2, 1, @)",
}

local function titles(list)
    local words = {}
    for i, e in ipairs(type(list) == "table" and list or list:items()) do
        words[i] = rawget(e, "title") or rawget(e, "name")
    end
    return table.concat(words, " ")
end

databases.each(function(db)
    describe("named filters and relations", function()
        local work, em

        before_each(function()
            work = unit.open(db, { Project, Task, Plan, Tag, Person, Reading })
            local time = db.name == "sqlite" and "'2020-01-01 00:00:00.000000'" or "'2020-01-01'"
            for _, sql in ipairs(rows) do work.raw:exec((sql:gsub("@", time))) end
            em = work.em
            work:forget()
        end)

        after_each(function() work:close() end)

        for _, how in ipairs { { strategy = "select_in" }, { strategy = "joined" }, { managed = false },
            { managed = false, strategy = "joined" } } do
            local name = how.strategy and how.managed == false and "joined, unmanaged" or how.strategy or "unmanaged"

            local function with(more)
                local opts = { order_by = { "id" } }
                for _, from in ipairs { how, more } do
                    for key, value in pairs(from) do opts[key] = value end
                end
                return opts
            end

            describe("(" .. name .. ")", function()
                it("populate takes them along at each level, to one and to many", function()
                    local list = em:find(Project, {}, with { populate = { "tasks.tags", "tasks.owner", "plan" } })
                    assert.equal("loom", titles(list))
                    assert.equal("a b", titles(list[1].tasks))
                    assert.equal("new", titles(list[1].tasks[1].tags))
                    assert.equal("old", titles(list[1].tasks[2].tags))
                    assert.is_nil(list[1].plan)
                    assert.equal("Ann", list[1].tasks[1].owner.name)
                end)

                it("a target that is hidden stays a reference: its key is known, and it is no NULL", function()
                    local list = em:find(Task, { id = op.lt(3) }, with { populate = { "owner" } })
                    assert.equal("Ann", list[1].owner.name)
                    assert.equal(2, list[2].owner.id)
                    raises("not_loaded", function() return list[2].owner.name end)
                    list = em:find(Task, { id = 4 }, with { populate = { "project.tasks" } })
                    assert.equal(2, list[1].project.id)
                    raises("not_loaded", function() return list[1].project.name end)
                end)

                it("filters of the query, and of a path, which is louder", function()
                    local all = em:find(Project, {}, with { filters = false, populate = { "tasks.tags", "plan" } })
                    assert.equal("loom old", titles(all))
                    assert.equal("a b c", titles(all[1].tasks))
                    assert.equal("gone new", titles(all[1].tasks[1].tags))
                    assert.equal(1, all[1].plan.id)
                    local fork = em:fork()
                    local some = fork:find(Project, {}, with {
                        populate = { "tasks.tags",
                            { "tasks", filters = { living = false, titled = { like = "c" } } } } })
                    assert.equal("loom", titles(some))
                    assert.equal("c", titles(some[1].tasks))
                    fork = em:fork()
                    some = fork:find(Project, {}, with { filters = { titled = { like = "b" } },
                        populate = { tasks = { filters = { living = true } } } })
                    assert.equal("b", titles(some[1].tasks))
                    fork = em:fork()
                    some = fork:find(Project, {}, with { filters = { titled = { like = "b" } },
                        populate = { tasks = { filters = false, populate = "tags" } } })
                    assert.equal("a b c", titles(some[1].tasks))
                    assert.equal("new", titles(some[1].tasks[1].tags))
                end)

                it("pairs that are entities are filtered", function()
                    local list = em:find(Task, { id = op.lt(3) }, with { populate = { "readers" } })
                    assert.equal("Ann", titles(list[1].readers))
                    assert.equal("", titles(list[2].readers))
                    local fork = em:fork()
                    list = fork:find(Task, { id = op.lt(3) }, with { filters = false, populate = { "readers" } })
                    assert.equal("Ann Ben", titles(list[1].readers))
                    assert.equal("Ann", titles(list[2].readers))
                end)

                it("unknown names in a path's filters are refused", function()
                    raises("unknown_property", function()
                        em:find(Project, {}, with { populate = { { "tasks", filters = { "livin" } } } })
                    end, "'living'")
                    raises("validation", function()
                        em:find(Project, {}, with { populate = { { "tasks", filters = 7 } } })
                    end, "filters")
                end)
            end)
        end

        it("eager relations are filtered too", function()
            local list = em:find(Task, { id = op.lt(3) }, { order_by = { "id" } })
            assert.equal("Ann", list[1].owner.name)
            raises("not_loaded", function() return list[2].owner.name end)
            em:refresh(list[2])
            local fork = em:fork()
            list = fork:find(Task, { id = 2 }, { filters = false })
            assert.equal("Ben", list[1].owner.name)
        end)

        it("lazy properties are read of whatever is there", function()
            local task = em:find_one(Task, 3, { filters = false })
            em:load(task, { "text" })
            assert.equal("z", task.text)
            work.raw:exec "update tasks set title = 'C' where id = 3"
            em:load(task, nil, { refresh = true })
            assert.equal("C", task.title)
            task.title = "D"
            em:refresh(task)
            assert.equal("C", task.title)
        end)

        describe("collections", function()
            it("load, load_count and matching see what is not hidden", function()
                local project = em:find_one(Project, 1)
                assert.equal(2, project.tasks:load_count())
                assert.equal(3, project.tasks:load_count { filters = false })
                assert.equal(0, project.tasks:load_count { filters = { titled = { like = "c" } } })
                assert.equal("a b", titles(project.tasks:matching({}, { order_by = { "id" } })))
                assert.equal("a b c", titles(project.tasks:matching({}, { order_by = { "id" }, filters = false })))
                assert.equal("", titles(project.tasks:matching { title = "c" }))
                assert.equal("a b", titles(project.tasks:load()))
                assert.equal("a b c", titles(project.tasks:load { filters = false }))
                assert.equal("a b", titles(project.tasks:load()))
                raises("unknown_property", function() project.tasks:load_count { filters = { "livin" } } end)
                raises("unknown_property", function() project.tasks:load { filters = { "livin" } } end)
                raises("unknown_property", function() project.tasks:load_count { filtres = false } end, "'filters'")
            end)

            it("loading what is there already sends nothing; other filters read again", function()
                local project = em:find_one(Project, 1, { populate = { "tasks" } })
                work:forget()
                em:load(project, { "tasks" })
                project.tasks:load()
                em:find_one(Project, 1, { populate = { "tasks" } })
                assert.equal(0, #work.log)
                em:enable_filter("titled", { like = "b" })
                em:load(project, { "tasks" })
                assert.equal("b", titles(project.tasks))
                assert.equal(1, #work:statements 'FROM "tasks"')
                em:load(project, { "tasks" })
                assert.equal(1, #work:statements 'FROM "tasks"')
                em:set_filter_params("titled", { like = "a" })
                assert.equal("a", titles(em:load(project, { "tasks" }).tasks))
                em:disable_filter("titled")
                em:disable_filter("living")
                assert.equal("a b c", titles(em:load(project, { "tasks" }).tasks))
                em:enable_filter("living")
                assert.equal("a b", titles(em:load(project, { "tasks" }).tasks))
            end)

            it("em:load takes the option", function()
                local project = em:find_one(Project, 1)
                em:load(project, { "tasks" }, { filters = false })
                assert.equal("a b c", titles(project.tasks))
                raises("unknown_property", function() em:load(project, { "tasks" }, { filters = { "livin" } }) end)
                local fork = em:fork()
                local task = fork:get_reference(Task, 3)
                fork:load(task)
                raises("not_loaded", function() return task.title end)
                fork:load(task, nil, { filters = false })
                assert.equal("c", task.title)
            end)

            it("what is hidden is no member in memory; new members are, whatever they are", function()
                local project = em:find_one(Project, 1, { populate = { "tasks" } })
                local gone = Task { id = 9, title = "e", deleted_at = 1 }
                project.tasks:add(gone)
                assert.equal("a b e", titles(project.tasks))
                em:flush()
                assert.equal("a b e", titles(project.tasks))
                local fork = em:fork()
                assert.equal("a b", titles(fork:find_one(Project, 1, { populate = { "tasks" } }).tasks))
                assert.same({ { "4" } }, work.raw:rows "select count(*) from tasks where project_id = 1")
            end)
        end)

        it("streams are filtered, and what they populate", function()
            local found = {}
            for task in em:stream(Task, {}, { order_by = { "id" }, populate = { "tags" } }) do
                found[#found + 1] = task.title .. ":" .. titles(task.tags)
            end
            assert.equal("a:new b:old d:", table.concat(found, " "))
            found = {}
            for task in em:stream(Task, {}, { order_by = { "id" }, filters = false, managed = true }) do
                found[#found + 1] = task.title
            end
            assert.equal("a b c d", table.concat(found, " "))
        end)
    end)
end)
