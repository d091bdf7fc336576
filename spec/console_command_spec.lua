-- `heddle console` and `heddle seed` as processes: pipes, a pseudo terminal, Ctrl-C.

local command = require "spec.support.command"
local databases = require "spec.support.databases"
local typist = require "spec.support.typist"

local config = [[
local orm = require "heddle"
local User = orm.entity { name = "User", table = "users", { "id", type = "integer", primary = true },
    { "name", type = "string" } }
local Log = orm.entity { name = "Log", table = "logs", { "id", type = "integer", primary = true } }
return {
    { driver = "sqlite", database = "app.db", entities = { User } },
    { context_name = "secondary", driver = "sqlite", database = "logs.db", entities = { Log } },
}
]]

local create = "for _, name in ipairs(orm.contexts()) do orm.instance(name).schema:create() end"

-- A database's configuration as Lua.
local function source_of(made)
    local parts = {}
    for name, value in pairs(made) do
        if type(value) ~= "table" then
            parts[#parts + 1] = ("%s = %s"):format(name, type(value) == "string" and ("%q"):format(value)
                or tostring(value))
        end
    end
    return "{ " .. table.concat(parts, ", ") .. " }"
end

local function start(project)
    -- A shell that stays between would end as one that Ctrl-C was for.
    local screen = typist.start(project, ("exec %s %s console"):format(os.getenv "HEDDLE_TEST_LUA",
        command.quote(command.script)))
    screen:expect "heddle> "
    return screen
end

-- Types a line, and sees what it gives and the next prompt.
local function answers(screen, line, answer)
    screen:types(line .. "\n")
    screen:expect("\r\n" .. answer .. "\r\n")
    screen:expect "heddle> "
end

describe("heddle console", function()
    local project

    before_each(function()
        project = command.project()
        project:write("orm.config.lua", config)
        project.variables.XDG_STATE_HOME = project.dir .. "/state"
        project:expect(0, "console --execute " .. command.quote(create))
    end)
    after_each(function() project:remove() end)

    it("reads a pipe without a prompt, results on one stream and errors on the other", function()
        project:write("in", "em:persist_and_flush(User { name = 'Ann' }).id\nem:find_one(User, { nam = 1 })\n"
            .. "em:find_all(User, {})\nem_secondary:count(Log, {})\n")
        local lua = os.getenv "HEDDLE_TEST_LUA"
        local out, err, code = project:shell(lua .. " " .. command.quote(command.script) .. " console <in")
        assert.equal("1\nid  name\n 1  Ann\n(1 row)\n0\n", out)
        assert.truthy(err:find("^unknown_property: filter of User: 'nam'"))
        assert.equal(1, code)
        assert.is_nil(io.open(project.dir .. "/state/heddle/history"))
    end)

    it("runs code and files, and ends with 1 where they fail", function()
        assert.equal("0\n", (project:expect(0, "console -e 'em:count(User, {})'")))
        assert.equal("0\n", (project:expect(0, "console --context secondary -e 'em:count(Log, {})'")))
        local _, err = project:expect(1, "console -e 'error \"no\"'")
        assert.equal("error: no\n", err)
        project:write("clean.lua", "em:insert_many(User, { { name = 'a' }, { name = 'b' } })\n"
            .. "return em:delete_where(User, { name = 'a' })")
        assert.equal("1\n", (project:expect(0, "console clean.lua")))
        assert.equal("1\n", (project:expect(0, "console -e 'em:count(User, {})'")))
        _, err = project:expect(0, "console -e 'em:persist(User { name = \"c\" }); x = 1'")
        assert.truthy(err:find("1 change not flushed (create User#new)", 1, true))
    end)

    it("needs a context that is there", function()
        local _, err = project:expect(2, "console --context third -e 1")
        assert.truthy(err:find("'third'", 1, true))
    end)

    if typist.is_there() then
        it("prompts on a terminal, and Ctrl-C ends a line, a loop, a statement, again and again, but not it", function()
            local screen = start(project)
            answers(screen, "1 + 1", "2")
            screen:types "x = {\n"
            screen:expect ">> "
            screen:interrupts()
            screen:expect "heddle> "
            answers(screen, "2 + 2", "4")
            for _, what in ipairs { "while true do end", "em:execute([[with recursive c(x) as (select 1 union all "
                .. "select x + 1 from c where x < 4e9) select count(*) as n from c]])" } do
                screen:types("print('be' .. 'gun') " .. what .. "\n")
                screen:expect "\r\nbegun\r\n"
                screen:interrupts()
                screen:expect "interrupted"
                screen:expect "heddle> "
                answers(screen, "3 + 3", "6")
            end
            screen:interrupts()
            screen:expect "heddle> "
            answers(screen, "5 + 5", "10")
            screen:types "\4"
            local code, text = screen:finish()
            assert.equal(0, code)
            local _, times = text:gsub("interrupted", "")
            assert.equal(2, times)
        end)
    end
end)

databases.on("postgres", function(db)
    describe("heddle console", function()
        local project

        before_each(function() project = command.project() end)
        after_each(function()
            project:remove()
            db:close()
        end)

        if not typist.is_there() then return end

        it("Ctrl-C stops what runs on the server, and an open transaction with it", function()
            project.variables.XDG_STATE_HOME = project.dir .. "/state"
            project:write("orm.config.lua", "return " .. source_of(db:config()))
            local function running()
                return db:raw():value [[select count(*) from pg_stat_activity where state = 'active'
                    and datname = current_database() and query like 'select pg_sleep%']]
            end
            local screen = start(project)
            for _, line in ipairs { "em:execute([[create table t (n integer)]])", "begin()",
                "em:execute([[insert into t values (1)]])" } do
                screen:types(line .. "\n")
                screen:expect "heddle> "
            end
            screen:types "em:execute([[select pg_sleep(50)]])\n"
            screen:waits(function() return running() == "1" end, "the statement does not run")
            screen:interrupts()
            screen:expect "interrupted"
            screen:expect "heddle> "
            screen:types "rollback()\n"
            screen:expect "heddle> "
            answers(screen, "em:execute([[select count(*) + 70 as n from t]])[1].n", "70")
            assert.equal("0", running())
            screen:types "\4"
            assert.equal(0, (screen:finish()))
        end)
    end)
end)

describe("heddle seed", function()
    local project

    before_each(function()
        project = command.project()
        project:write("orm.config.lua", config)
        project:expect(0, "console --execute " .. command.quote(create))
    end)
    after_each(function() project:remove() end)

    local function names() return (project:expect(0, "console -e 'em:find_all(User, {})'")) end

    it("runs the seeds of a context, some of them, or those of every context", function()
        local _, err = project:expect(0, "seed")
        assert.truthy(err:find("no seeds in 'seeds'", 1, true))
        project:write("seeds/10_users.lua", "return function(em, seed)\n"
            .. "  em:persist(em:create('User', { name = seed.fake:name() }))\nend")
        project:write("seeds/20_more.lua", "return function(em) em:persist(em:create('User', { name = 'more' })) end")
        project:write("seeds/secondary/logs.lua",
            "return { context = 'secondary', run = function(em) em:persist(em:create('Log', {})) end }")
        local out = project:expect(0, "seed")
        assert.truthy(out:find("^seeded  10_users  .-\nseeded  20_more  [^\n]*\n$"))
        local first = names()
        assert.truthy(first:find("(2 rows)", 1, true))
        out = project:expect(0, "seed users")
        assert.truthy(out:find "^seeded  10_users  [^\n]*\n$")
        out = project:expect(0, "seed --all")
        assert.truthy(out:find("default:\n", 1, true) and out:find("secondary:\nseeded  logs", 1, true))
        assert.equal("1\n", (project:expect(0, "console --context secondary -e 'em:count(Log, {})'")))
        out = project:expect(0, "seed --list")
        assert.truthy(out:find("20_more   seeds/20_more.lua", 1, true))
    end)

    it("--seed gives other fake data, the same each time", function()
        project:write("seeds/a.lua", "return function(em, seed)\n"
            .. "  em:delete_where('User', {}, { all = true })\n"
            .. "  em:persist(em:create('User', { id = 1, name = seed.fake:name() .. seed.fake:uuid() }))\nend")
        local made = {}
        for i, words in ipairs { "seed", "seed --seed 1", "seed --seed 2", "seed --seed x", "seed --seed 2" } do
            project:expect(0, words)
            made[i] = names()
        end
        assert.equal(made[1], made[2])
        assert.equal(made[3], made[5])
        assert.is_true(made[1] ~= made[3] and made[3] ~= made[4] and made[1] ~= made[4])
    end)

    it("M5: a seed of another context is refused, and what fails ends with 1, file and line", function()
        project:write("seeds/a.lua", "return { context = 'secondary', run = function() end }")
        local _, err = project:expect(1, "seed")
        assert.truthy(err:find("written for context 'secondary'", 1, true))
        project:write("seeds/a.lua", "return function(em)\n  em:find_one('User', { nam = 1 })\nend")
        _, err = project:expect(1, "seed")
        assert.truthy(err:find("seeds/a.lua:2", 1, true), err)
        project:write("seeds/a.lua", "return function(em)\n\n  em:find_one('User', 1) = 2\nend")
        _, err = project:expect(1, "seed")
        assert.truthy(err:find("seeds/a.lua:3:", 1, true), err)
        _, err = project:expect(1, "seed b")
        assert.truthy(err:find("there is a", 1, true), err)
    end)
end)
