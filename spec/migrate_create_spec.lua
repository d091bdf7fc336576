-- Migrations that are made of what differs: from the snapshot, from the database, blank and initial ones.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local migrations = require "spec.support.migrations"
local orm = require "heddle"
local reopen = require "spec.support.reopen"

local raises = expect.raises

-- Two stages of a project's entities.
local function first()
    return {
        orm.entity { name = "Author", table = "authors", comment = "it's them",
            { "id", type = "integer", primary = true },
            { "name", type = "string", length = 50, default = "it's\nnew" }, { "age", type = "integer" },
            { "books", one_to_many = "Book", mapped_by = "author" }, checks = { "age > 0" } },
        orm.entity { name = "Book", table = "books", { "id", type = "integer", primary = true },
            { "title", type = "string" }, { "author", many_to_one = "Author", on_delete = "cascade" },
            { "tags", many_to_many = "Tag" }, indexes = { { "title desc", where = "title <> 'a;b'" } } },
        orm.entity { name = "Tag", table = "tags", { "id", type = "integer", primary = true },
            { "label", type = "string", unique = true } },
    }
end

-- A column has another name, another may be NULL, one and a table are new.
local function second(more)
    local author = { name = "Author", table = "authors", { "id", type = "integer", primary = true },
        { "name", column = "full_name", type = "string", length = 50, default = "it's\nnew" },
        { "age", type = "integer", nullable = true }, { "books", one_to_many = "Book", mapped_by = "author" },
        { "rank", type = "integer", default = 3 }, checks = { "age > 0" }, more }
    return {
        orm.entity(author),
        orm.entity { name = "Book", table = "books", { "id", type = "integer", primary = true },
            { "title", type = "string" }, { "author", many_to_one = "Author", on_delete = "cascade" },
            { "tags", many_to_many = "Tag" }, indexes = { { "title desc", where = "title <> 'a;b'" } } },
        orm.entity { name = "Tag", table = "tags", { "id", type = "integer", primary = true },
            { "label", type = "string", unique = true } },
        orm.entity { name = "Event", { "id", type = "bigint", primary = true }, { "at", type = "timestamp" } },
    }
end

databases.each(function(db)
    describe("migrator:create", function()
        local dir, instance, migrator, config

        before_each(function()
            dir = migrations.directory()
            config = db:config {}
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        local function open(entities, more)
            instance = reopen(config, { entities = entities, migrations = dir.path }, more)
            migrator = instance.migrator
        end

        local function fill()
            db:raw():exec "INSERT INTO authors (id, name, age) VALUES (1, 'Ann', 30), (2, 'Bob', 40)"
            db:raw():exec "INSERT INTO books (id, title, author_id) VALUES (1, 'x', 1), (2, 'y', 2)"
            db:raw():exec "INSERT INTO tags (id, label) VALUES (1, 't')"
        end

        it("M1, M2: makes the first, then what has changed, and back, with every row", function()
            open(first())
            local made = migrator:create { name = "First one!" }
            assert.is_truthy(made.name:find "^%d%d%d%d%d%d%d%d%d%d%d%d%d%d_first_one$")
            assert.equal(dir.path .. "/" .. made.name .. ".lua", made.path)
            assert.is_truthy(made.up[1]:find "CREATE TABLE")
            assert.is_truthy(made.down[#made.down]:find "DROP TABLE")
            assert.same({ ".snapshot.json", made.name .. ".lua" }, dir:files())
            assert.is_nil(migrator:create { name = "again" })
            assert.same({ made.name }, migrator:up())
            assert.same({}, instance.schema:diff { safe = false })
            fill()

            open(second())
            made = migrator:create()
            assert.is_truthy(made.name:find "_schema$")
            assert.same({}, made.hints)
            assert.same({ made.name }, migrator:up())
            assert.same({}, instance.schema:diff { safe = false })
            assert.same({ { "1", "Ann", "3" }, { "2", "Bob", "3" } },
                db:raw():rows "select id, full_name, rank from authors order by id")
            assert.same({ { "1", "1" }, { "2", "2" } }, db:raw():rows "select id, author_id from books order by id")
            db:raw():exec "UPDATE authors SET age = 5"

            assert.same({ made.name }, migrator:down())
            assert.same({ { "1", "Ann" }, { "2", "Bob" } }, db:raw():rows "select id, name from authors order by id")
            assert.same({ { "1", "1" }, { "2", "2" } }, db:raw():rows "select id, author_id from books order by id")
            open(first())
            assert.same({}, instance.schema:diff { safe = false })
            open(second())
            migrator:up()
            assert.same({}, instance.schema:diff { safe = false })
            assert.equal(2, #migrator:down { all = true })
            assert.equal("0", db:raw():value(db.name == "sqlite"
                and "select count(*) from sqlite_master where name in ('authors', 'books', 'tags', 'event')"
                or "select count(*) from pg_tables where tablename in ('authors', 'books', 'tags', 'event')"))
        end)

        it("needs no database where there is a snapshot", function()
            open(first())
            migrator:create()
            open(second(), db.name == "sqlite" and { database = "/no/such/directory/x.db" } or { port = 1 })
            local made = migrator:create()
            assert.is_truthy(made.up[1])
            assert.is_nil(migrator:create())
        end)

        it("the file reads as if somebody had written it", function()
            open(first())
            local made = migrator:create()
            local text = dir:read(made.name .. ".lua")
            assert.is_truthy(text:find('^return {\n  context = "default",\n\n  up = function%(m%)\n    m:sql %[%['))
            assert.is_truthy(text:find('\n  end,\n\n  down = function%(m%)\n    m:sql %[%[DROP TABLE'))
            assert.is_truthy(text:find('CREATE TABLE "tags" %(\n        "id"'))
        end)

        it("the snapshot is sorted, and the same for the same entities", function()
            open(first())
            migrator:create()
            local text = dir:read ".snapshot.json"
            assert.is_truthy(text:find('      "name": "authors",.-      "name": "books",.-      "name": "tags",'))
            os.remove(dir.path .. "/.snapshot.json")
            migrator:up()
            local list = first()
            list[1], list[3] = list[3], list[1]
            open(list)
            dir:write(".snapshot.json", (text:gsub('"rank"', '"x"'):gsub('"age > 0"', '"age > 1"')))
            assert.is_nil(migrator:create { from = "database" })
            assert.equal(text, dir:read ".snapshot.json")
            open(second())
            migrator:create()
            assert.is_truthy(dir:read ".snapshot.json":find('"full_name"', 1, true))
        end)

        it("M3: a NOT NULL column that nothing fills is refused, with what to do instead", function()
            open(first())
            migrator:create()
            local files = dir:files()
            open(second { "code", type = "string" })
            local err = raises("migration", function() migrator:create() end, "Author.code")
            assert.equal("Author", err.entity)
            assert.equal("code", err.property)
            assert.is_truthy(err.message:find("default", 1, true))
            assert.same(files, dir:files())
            open(second { "code", type = "string", default = "-" })
            assert.is_truthy(migrator:create())
        end)

        it("safe drops nothing, and says so; else what is gone goes, and comes back empty", function()
            open(first())
            migrator:create()
            migrator:up()
            local list = second()
            local without_tags = { list[1], orm.entity { name = "Book", table = "books",
                { "id", type = "integer", primary = true }, { "title", type = "string" },
                { "author", many_to_one = "Author", on_delete = "cascade" },
                indexes = { { "title desc", where = "title <> 'a;b'" } } } }
            open(without_tags)
            local made = migrator:create { safe = true }
            assert.is_truthy(table.concat(made.left_out, "\n"):find("'tags'", 1, true))
            assert.is_truthy(dir:read(made.name .. ".lua"):find("-- Left out: table ", 1, true))
            migrator:up()
            assert.equal("0", db:raw():value "select count(*) from tags")
            migrator:down()
            migrator:up()
            assert.same({}, instance.schema:diff())
            made = migrator:create { from = "database" }
            assert.is_truthy(made.up[1]:find "DROP TABLE")
            migrator:up()
            assert.same({}, instance.schema:diff { safe = false })
            migrator:down()
            assert.equal("0", db:raw():value "select count(*) from tags")
        end)

        it("renames are made where they are asked for, else hinted at", function()
            open { orm.entity { name = "User", table = "users", { "id", type = "integer", primary = true },
                { "name", type = "string", nullable = true } } }
            migrator:create()
            migrator:up()
            db:raw():exec "INSERT INTO users VALUES (1, 'Ann')"
            open { orm.entity { name = "Person", table = "people", { "id", type = "integer", primary = true },
                { "label", type = "string", nullable = true } } }
            migrator:create { rename = { users = "people", ["users.name"] = "label" } }
            migrator:up()
            assert.same({ { "1", "Ann" } }, db:raw():rows "select id, label from people")
            assert.same({}, instance.schema:diff { safe = false })
            migrator:down()
            assert.same({ { "1", "Ann" } }, db:raw():rows "select id, name from users")
            migrator:up()
            raises("migration", function() migrator:create { rename = { user = "x" } } end, "'user'", "users")
            open { orm.entity { name = "Person", table = "people", { "id", type = "integer", primary = true },
                { "title", type = "string", nullable = true } } }
            local made = migrator:create()
            assert.is_truthy(made.hints[1]:find("people.label", 1, true))
            assert.is_truthy(dir:read(made.name .. ".lua"):find("^%-%- Hint: "))
        end)

        it("sql makes a pair of files", function()
            open(first())
            local made = migrator:create { sql = true, name = "tables" }
            assert.same({ ".snapshot.json", made.name .. ".down.sql", made.name .. ".up.sql" }, dir:files())
            assert.is_truthy(dir:read(made.name .. ".up.sql"):find "^%-%- heddle: context=default\n\nCREATE TABLE")
            migrator:up()
            assert.same({}, instance.schema:diff { safe = false })
            open(second())
            if db.name == "sqlite" then
                raises("migration", function() migrator:create { sql = true } end, "'authors' has to be made anew")
                assert.equal(3, #dir:files())
                return
            end
            migrator:create { sql = true }
            migrator:up()
            assert.same({}, instance.schema:diff { safe = false })
            migrator:down { all = true }
        end)

        it("blank ones are there to be filled, and leave the snapshot alone", function()
            open(first())
            local made = migrator:create { blank = true, name = "data" }
            assert.same({ made.name .. ".lua" }, dir:files())
            assert.same({}, made.up)
            migrator:up()
            migrator:down()
            made = migrator:create { blank = true, sql = true, name = "more" }
            assert.equal(3, #dir:files())
            assert.same({ made.name }, { migrator:up()[2] })
        end)

        it("two made in one second are two files, and none is overwritten", function()
            open {}
            local seen = {}
            for i = 1, 5 do
                local made = migrator:create { blank = true, name = "same", sql = i > 3 }
                assert.is_nil(seen[made.name])
                seen[made.name] = true
            end
            local stamps = {}
            for name in pairs(seen) do stamps[#stamps + 1] = name:sub(1, 14) end
            table.sort(stamps)
            for i = 2, 5 do assert.is_true(stamps[i] > stamps[i - 1]) end
            local processes = {}
            for i = 1, 4 do
                processes[i] = migrations.process(config, dir, [[
                    for _ = 1, 10 do print(instance.migrator:create({ blank = true, name = "race" }).name) end]])
            end
            local count = 0
            for i = 1, 4 do
                for name in processes[i]:wait():gmatch "[^\n]+" do
                    assert.is_nil(seen[name], name)
                    seen[name], count = true, count + 1
                end
            end
            assert.equal(40, count)
            assert.equal(45, #migrator:status())
        end)

        it("wrong options are told", function()
            open {}
            raises("unknown_property", function() migrator:create { nam = "x" } end, "did you mean 'name'")
            raises("validation", function() migrator:create { name = "../.." } end, "letters and digits")
            raises("validation", function() migrator:create { blank = true, initial = true } end, "exclude")
            raises("validation", function() migrator:create { from = "there" } end, "'snapshot', 'database'")
            raises("validation", function() migrator:create "x" end, "table of options")
            raises("migration", function() migrator:create { from = "snapshot" } end, ".snapshot.json")
            assert.same({}, dir:files())
        end)

        it("a snapshot that is none is told, and not written over", function()
            open(first())
            for _, text in ipairs { "<<<<<<< HEAD\n{}", "[]", '{ "format": 1, "tables": [], "views": [], '
                .. '"context": "other", "driver": "' .. db.name .. '" }', '{ "format": 1, "tables": [], "views": [], '
                .. '"context": "default", "driver": "oracle" }' } do
                dir:write(".snapshot.json", text)
                raises("migration", function() migrator:create() end, ".snapshot.json")
                assert.equal(text, dir:read ".snapshot.json")
            end
        end)

        it("without a snapshot it begins from the database, once all have run", function()
            open(first())
            migrator:create()
            dir:remove ".snapshot.json"
            raises("migration", function() migrator:create() end, "is pending", "run them first")
            migrator:up()
            assert.is_nil(migrator:create())
            open(second())
            local made = migrator:create()
            migrator:up()
            assert.same({}, instance.schema:diff { safe = false })
            migrator:down()
            open(first())
            assert.same({}, instance.schema:diff { safe = false })
            assert.is_truthy(made)
        end)

        it("initial: tables that are there count as made", function()
            open(first())
            local made = migrator:create { initial = true }
            assert.is_truthy(made.name:find "_initial$")
            assert.is_nil(made.recorded)
            migrator:up()
            raises("migration", function() migrator:create { initial = true } end, "migrations already")

            -- Another place, where the tables are there and the migrations are not.
            for _, name in ipairs(dir:files()) do dir:remove(name) end
            db:raw():exec "DROP TABLE heddle_migrations"
            fill()
            made = migrator:create { initial = true }
            assert.is_true(made.recorded)
            assert.equal("done", migrator:status()[1].state)
            assert.same({}, migrator:up())
            assert.equal("2", db:raw():value "select count(*) from authors")
            open(second())
            migrator:create()
            migrator:up()
            assert.same({}, instance.schema:diff { safe = false })

            for _, name in ipairs(dir:files()) do dir:remove(name) end
            db:raw():exec "DROP TABLE heddle_migrations"
            open(first())
            raises("migration", function() migrator:create { initial = true } end, "not what the entities say",
                "schema:update")
            assert.same({}, dir:files())
        end)

        it("another context's tables stay out of it", function()
            open(first())
            local default = instance
            instance.schema:create()
            local copy = { context_name = "secondary", migrations = migrations.directory().path, entities = {
                orm.entity { name = "Log", { "id", type = "integer", primary = true } } } }
            for key, value in pairs(config) do copy[key] = value end
            local other = orm.init(copy)
            local made = other.migrator:create { from = "database" }
            assert.equal(1, #made.up)
            assert.is_truthy(made.up[1]:find 'CREATE TABLE "log"')
            other.migrator:up()
            other.migrator:down()
            assert.same({}, default.schema:diff { safe = false })
        end)
    end)
end)
