-- instance.seeder: files that fill tables, each in one transaction, and never those of another context.

local databases = require "spec.support.databases"
local lfs = require "lfs"
local orm = require "heddle"
local unit = require "spec.support.unit"

local raises = unit.raises

local Team = orm.entity {
    name = "Team", table = "teams",
    { "id", type = "integer", primary = true }, { "name", type = "string", unique = true },
}
local User = orm.entity {
    name = "User", table = "users", { "id", type = "integer", primary = true }, { "name", type = "string" },
    { "team", many_to_one = "Team", nullable = true },
}

databases.each(function(db)
    describe("seeder", function()
        local directory, instance, raw

        before_each(function()
            directory = os.tmpname()
            os.remove(directory)
            assert(lfs.mkdir(directory))
            instance = orm.init(db:config { entities = { Team, User }, seeds = { path = directory } })
            instance.schema:create()
            raw = db:raw()
        end)

        after_each(function()
            orm.close()
            db:close()
            os.execute("rm -rf '" .. directory .. "'")
        end)

        local function write(name, text)
            local file = assert(io.open(directory .. "/" .. name, "wb"))
            file:write(text)
            file:close()
        end

        local function rows(sql) return raw:rows(sql) end

        it("runs files in the order of their names, functions and tables alike", function()
            write("20_users.lua", [[return { context = "default", run = function(em, seed)
                local team = seed:call("teams")[1]
                em:persist(em:create("User", { name = seed.name .. " of " .. seed.context, team = team }))
            end }]])
            write("10_teams.lua", [[return function(em)
                local list = { em:create("Team", { name = "a" }), em:create("Team", { name = "b" }) }
                em:persist(list[1], list[2])
                return list
            end]])
            write("notes.txt", "no seed")
            local list = instance.seeder:list()
            assert.same({ "10_teams", "20_users" }, { list[1].name, list[2].name })
            local told = {}
            assert.same({ "10_teams", "20_users" }, instance.seeder:run(nil, {
                on_progress = function(name, seconds) told[#told + 1] = name .. " " .. type(seconds) end,
            }))
            assert.same({ "10_teams nil", "10_teams number", "20_users nil", "20_users number" }, told)
            assert.same({ { "a" }, { "b" } }, rows "select name from teams order by id")
            assert.same({ { "20_users of default", "a" } },
                rows "select u.name, t.name from users u join teams t on t.id = u.team_id")
        end)

        it("runs those that are named, with what they call, each once", function()
            write("a.lua", [[return function(em, seed)
                seed:call "b"
                seed:call "b"
                em:persist(em:create("User", { name = "a" }))
            end]])
            write("b.lua", [[return function(em) em:persist(em:create("User", { name = "b" })) end]])
            write("c.lua", [[return function(em) em:persist(em:create("User", { name = "c" })) end]])
            assert.same({ "c", "a" }, instance.seeder:run { "c", "a" })
            assert.same({ { "c" }, { "b" }, { "a" } }, rows "select name from users order by id")
            assert.same({ "b" }, instance.seeder:run "b")
            local err = raises("migration", instance.seeder.run, instance.seeder, "d")
            assert.truthy(err.message:find("there is a, b, c", 1, true))
            raises("validation", instance.seeder.run, instance.seeder, 7)
            raises("validation", instance.seeder.run, instance.seeder, "a", { sed = 1 })
        end)

        it("a seed that fails leaves nothing, says where, and keeps what ran before it", function()
            write("1.lua", [[return function(em) em:persist(em:create("Team", { name = "x" })) end]])
            write("2.lua", "return function(em)\n  em:persist_and_flush(em:create('User', { name = 'u' }))\n"
                .. "  local x = nil + 1\nend")
            write("3.lua", [[return function(em) em:persist(em:create("User", { name = "never" })) end]])
            local err = raises("migration", instance.seeder.run, instance.seeder)
            assert.truthy(err.message:find("Seed '2' of context 'default'", 1, true))
            assert.truthy(err.message:find("2.lua:3:", 1, true))
            assert.same({ { "x" } }, rows "select name from teams")
            assert.same({}, rows "select name from users")

            write("2.lua", "return function(em)\n\n  em:persist_and_flush(em:create('Team', { name = 'x' }))\nend")
            err = raises("unique_violation", instance.seeder.run, instance.seeder, "2")
            assert.truthy(err.message:find("Seed '2'", 1, true))
            assert.truthy(err.where:find("2.lua:3", 1, true))
            assert.equal("2", err.seed)
        end)

        it("a seed that was called and caught undoes its own work only", function()
            write("a.lua", [[return function(em, seed)
                em:persist(em:create("User", { name = "before" }))
                pcall(seed.call, seed, "bad")
                em:persist(em:create("User", { name = "after" }))
            end]])
            write("bad.lua", [[return function(em)
                em:persist_and_flush(em:create("User", { name = "bad" }))
                error "no"
            end]])
            instance.seeder:run "a"
            assert.same({ { "after" }, { "before" } }, rows "select name from users order by name")
        end)

        it("M5: a seed never runs against another context than its own", function()
            write("logs.lua", [[return { context = "secondary", run = function(em)
                em:persist(em:create("User", { name = "wrong" }))
            end }]])
            write("a.lua", [[return function(em) em:persist(em:create("User", { name = "a" })) end]])
            local err = raises("migration", instance.seeder.run, instance.seeder)
            assert.truthy(err.message:find("'secondary'", 1, true))
            assert.truthy(err.message:find("logs.lua", 1, true))
            assert.same({}, rows "select name from users") -- all are loaded before one runs
        end)

        it("files that are no seeds are told with file, line and what was expected", function()
            local function told(text, ...)
                write("x.lua", text)
                local err = raises("migration", instance.seeder.run, instance.seeder)
                for _, word in ipairs { "x.lua", ... } do
                    assert.truthy(err.message:find(word, 1, true), err.message .. " lacks " .. word)
                end
            end
            told("return {\n  run = function( end\n}", ":2:")
            told("", "it gave nothing", "function(em, seed)")
            told("return 7", "it gave a number")
            told("return { contxt = 'default', run = print }", "did you mean 'context'")
            told("return { context = 'default' }", "'run' is missing")
            told("\nerror 'broken'", ":2: broken")
        end)

        it("seeds that call each other in a circle are told", function()
            write("a.lua", [[return function(_, seed) seed:call "b" end]])
            write("b.lua", [[return function(_, seed) seed:call "a" end]])
            local err = raises("migration", instance.seeder.run, instance.seeder)
            assert.truthy(err.message:find("a > b > a", 1, true))
        end)

        it("fake data depends on the seed's name and the number that was given, and factories follow it", function()
            write("a.lua", [[local orm = require "heddle"
                local users = orm.factory("User" and SEED_USER, function(fake) return { name = fake:name() } end)
                return function(em, seed)
                    users:create_many(em, 3)
                    users:create_many(orm.em(), 2)
                    em:persist(em:create("User", { name = seed.fake:name() }))
                end]])
            _G.SEED_USER = User
            local function names(opts)
                raw:exec "delete from users"
                instance.seeder:run(nil, opts)
                local list = {}
                for i, row in ipairs(rows "select name from users order by id") do list[i] = row[1] end
                return table.concat(list, ",")
            end
            local first = names()
            assert.equal(first, names())
            assert.equal(first, names { seed = 1 })
            assert.equal(first, names { seed = "1" })
            assert.not_equal(first, names { seed = 2 })
            _G.SEED_USER = nil
        end)

        it("a directory that is not there has no seeds", function()
            os.execute("rm -rf '" .. directory .. "'")
            assert.same({}, instance.seeder:list())
            assert.same({}, instance.seeder:run())
            raises("migration", instance.seeder.run, instance.seeder, "users")
        end)
    end)
end)
