-- The console's core, in this process: what lines give, how it is shown, what is told.

local console = require "heddle.console"
local databases = require "spec.support.databases"
local orm = require "heddle"
local terminal = require "spec.support.terminal"

local Team = orm.entity {
    name = "Team", table = "teams",
    { "id", type = "integer", primary = true }, { "name", type = "string", unique = true },
    { "users", one_to_many = "User", mapped_by = "team" },
}
local User = orm.entity {
    name = "User", table = "users",
    { "id", type = "integer", primary = true }, { "name", type = "string" },
    { "secret", type = "string", hidden = true, nullable = true },
    { "bio", type = "text", lazy = true, nullable = true },
    { "team", many_to_one = "Team", nullable = true },
}
local Log = orm.entity { name = "Log", table = "logs", { "id", type = "integer", primary = true },
    { "text", type = "string" } }
local OtherUser = orm.entity { name = "User", table = "visitors", { "id", type = "integer", primary = true } }
function User:shout() return self.name:upper() end

databases.each(function(db)
    describe("console", function()
        local instance, other

        before_each(function()
            instance = orm.init(db:config { entities = { Team, User } })
            instance.schema:create()
            local em = orm.em():fork()
            local team = Team { name = "core" }
            em:persist(User { name = "Ann", team = team, secret = "hush" }, User { name = "Benedikt" })
            em:flush()
            other = orm.init(db:config { context_name = "my-logs", entities = { Log, OtherUser },
                allow_global_context = false })
            other.schema:create()
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        local function run(lines, opts)
            local streams = terminal.new(lines, opts)
            local code = console.run { contexts = { instance, other }, streams = streams, is_plain = true }
            return streams:out(), streams:err(), code
        end

        local function gives(expected, ...)
            local out, err = run { ... }
            assert.equal("", err)
            assert.equal(expected, out)
        end

        it("shows what expressions give, and nothing for statements", function()
            gives("2\n", "1 + 1")
            gives("2\n", "=1 + 1")
            gives("2\n3\n", "2, 3")
            gives("nil\n", "nil")
            gives("text\n", "'text'")
            gives("", "x = 5")
            gives("6\n", "x = 5", "x + 1")
            gives("true\n", "return true")
            gives("{ 1, \"a\", { b = 2 } }\n", "{ 1, 'a', { b = 2 } }")
            gives("  a  1\n  b  { 1, 2 }\n", "{ b = { 1, 2 }, a = 1 }")
            gives("{}\n", "{}")
            gives("", "", "  ", "-- a comment")
            gives("9007199254740991\n0.1\n-7\n", "9007199254740991", "0.1", "-7")
            gives("null\n", "orm.null")
            gives("1\t2\n", "print(1, 2)")
        end)

        it("keeps the last result in _", function()
            gives("5\n6\nnil\nnil\n", "5", "_ + 1", "nil", "_")
            gives("5\n5\n", "5", "x = 1", "_")
        end)

        it("goes on until a statement is complete", function()
            gives("6\n", "for i = 1, 3 do", "  sum = (sum or 0) + i", "end", "sum")
            gives("a\nb\n", "[[a", "b]]")
            gives("2\n", "em:count(User,", "{", "}", ")")
            local _, err, code = run { "for i = 1, 3 do" }
            assert.truthy(err:find("ends before its last statement does", 1, true))
            assert.equal(1, code)
        end)

        it("shows lists of entities as tables, with what is not loaded left out", function()
            gives("id  name      team\n 1  Ann       Team#1\n 2  Benedikt\n(2 rows)\n",
                "em:find_all(User, { order_by = { 'id' } })")
            gives("id\n 1\n(1 row)\n1\n", "em:find_and_count(User, { name = 'Ann' }, { fields = { 'id' } })")
        end)

        it("shows an entity as its properties, and loads nothing", function()
            gives("User#1\n  id    1\n  name  Ann\n  bio   not loaded\n  team  Team#1\n", "em:find_one(User, 1)")
            gives("Team#1\n  id     1\n  name   core\n  users  not loaded\n", "em:find_one(Team, 1)")
            local out = run { "em:find_one(Team, 1, { populate = { 'users' } })", "_.users" }
            assert.truthy(out:find("  users  1 item\n", 1, true))
            assert.truthy(out:find("id  name", 1, true))
            assert.is_nil(out:find("hush", 1, true))
        end)

        it("shows rows as tables, columns in an order that stays", function()
            gives("id  also  name\n 1     3  Ann\n 2     4  Benedikt\n(2 rows)\n",
                "em:execute('select name, id, id + 2 as also from users order by id')")
            gives("unset  id\n        1\n(1 row)\n", "em:execute('select null as unset, id from teams')")
        end)

        it("does what data says on no terminal, and cuts nothing in a pipe", function()
            gives("a\\27[31mb\n", "(('a\\\\27[31mb'))")
            local out = run { "'a' .. string.char(27) .. '[31m'", "{ 'x' .. string.char(27, 10) }" }
            assert.is_nil(out:find("\27", 1, true))
            out = run { "em:create(User, { name = ('x'):rep(200) })", "{ _, _ }" }
            assert.truthy(out:find(("x"):rep(200), 1, true))
            out = run({ "{ em:create(User, { name = ('ä'):rep(200) }) }" }, { is_terminal = true })
            assert.truthy(out:find(("ä"):rep(57) .. "...\n", 1, true) or out:find(("ä"):rep(57) .. "... ", 1, true))
            out = run({ "l = {}; for i = 1, 500 do l[i] = { n = i } end", "l" }, { is_terminal = true })
            assert.truthy(out:find("(500 rows, the first 200 shown)", 1, true))
        end)

        it("has every context's entity manager, and entities by name", function()
            gives("2\n0\n0\n0\n", "em:count(User, {})", "em_my_logs:count(Log, {})", "em_of['my-logs']:count(Log, {})",
                "em_of['my-logs']:count('User', {})")
            gives("ANN\n", "em:find_one(User, 1):shout()")
            gives("default  my-logs\n", "table.concat(orm.contexts(), '  ')")
        end)

        it("tells errors of Heddle as kind and message, without a traceback, and goes on", function()
            local out, err, code = run { "em:find_one(User, { naem = 1 })", "em:execute('selec')", "1" }
            assert.equal("1\n", out)
            assert.truthy(err:find("^unknown_property: .-did you mean 'name'"))
            assert.truthy(err:find("\nsyntax: ", 1, true))
            assert.truthy(err:find("\n  cause: ", 1, true) or err:find("\n  detail: ", 1, true))
            assert.is_nil(err:find("traceback", 1, true))
            assert.is_nil(err:find("console:1", 1, true))
            assert.equal(1, code)
            local _, other_err = run { "x = = 1", "error 'no'", "error({})", "nothing.at_all" }
            assert.truthy(other_err:find("error: no\n", 1, true))
            local _, lines = other_err:gsub("error: ", "")
            assert.equal(4, lines)
        end)

        it("errors and values that cannot be shown do no harm", function()
            local out, err = run { "error(setmetatable({}, { __tostring = function() error 'boom' end }))",
                "setmetatable({}, { __tostring = function() error 'boom' end })",
                "setmetatable({ a = 1 }, { __index = function() error 'idx' end })", "t = {}; t.t = t", "t", "7" }
            assert.truthy(err:find("error: a table that cannot be shown", 1, true))
            assert.equal("  a  1\n  t  {...}\n7\n", (out:gsub("{ t = {...} }", "{...}")))
        end)

        it("a line that fails leaves the entity manager usable", function()
            gives("ok\n", "t = Team { name = 'core' }",
                "pcall(function() em:persist_and_flush(t) end) and 'no' or 'ok'", "t.name = 'other'", "flush()")
            assert.same({ { "core" }, { "other" } }, db:raw(instance.config):rows "select name from teams order by id")
            local _, err = run { "em:persist_and_flush(Team { name = 'core' })", "em:clear()",
                "x = em:persist_and_flush(Team { name = 'third' })" }
            assert.truthy(err:find("^unique_violation: "))
            assert.equal(3, #db:raw(instance.config):rows "select name from teams")
        end)

        it("begin, commit and rollback are at hand", function()
            run { "begin()", "em:persist(Team { name = 'a' })", "commit()", "begin()",
                "em:insert(Team, { name = 'b' })", "rollback()",
                "begin 'my-logs'", "x = em_my_logs:insert(Log, { text = 't' })", "commit 'my-logs'" }
            assert.same({ { "core" }, { "a" } }, db:raw(instance.config):rows "select name from teams order by id")
            assert.same({ { "t" } }, db:raw(other.config):rows "select text from logs")
            local _, err = run { "begin 'logs'" }
            assert.truthy(err:find("^context_not_found"))
        end)

        it("tells what was not flushed when it ends, and what is open", function()
            local _, err = run { "em:persist(Team { name = 'lost' }); begin 'my-logs'",
                "u = em:find_one(User, 1); u.name = 'changed'", "x = em_my_logs:insert(Log, { text = 'lost' })" }
            assert.truthy(err:find("context 'default': 2 changes not flushed (", 1, true))
            assert.truthy(err:find("Team#new", 1, true) and err:find("User#1", 1, true))
            assert.truthy(err:find("context 'my-logs': the open transaction is rolled back", 1, true))
            assert.same({}, db:raw(other.config):rows "select text from logs")
            local _, none = run { "em:persist(Team { name = 'kept' })", "flush()" }
            assert.equal("", none)
        end)

        it("has commands", function()
            local out = run { ".contexts", ".entities", ".describe User", ".describe Log" }
            for _, line in ipairs { "default  +em_default  +" .. db.name, "my%-logs  +em_my_logs  +" .. db.name,
                "User  +default  +users", "User  +my%-logs  +visitors  +1  not as a global",
                "User %(context 'default', table users%)", "name  +string  +name",
                "team  +many_to_one Team  +team_id  null",
                "id  +integer  +id  +primary", "Log %(context 'my%-logs', table logs%)" } do
                assert.truthy(out:find(line), line .. "\n" .. out)
            end
            out = run { ".help" }
            for _, word in ipairs { ".help", ".contexts", ".entities", ".describe ENTITY", ".sql on|off", ".clear",
                ".exit", ".changes", "begin()" } do
                assert.truthy(out:find(word, 1, true), word)
            end
            local _, err = run { ".describe Usr", ".describe", ".hlep", ".sql perhaps" }
            for _, word in ipairs { "did you mean 'User'", "which entity?", "no command .hlep (did you mean 'help'",
                "on or off" } do
                assert.truthy(err:find(word, 1, true), word)
            end
            gives("0.5\n", ".5")
            gives("1\n", "1", ".exit", "2")
        end)

        it(".sql shows statements, and stops", function()
            local out, err = run { ".sql on", "em:count(User, {})", ".sql off", "em:count(Team, {})" }
            assert.equal("2\n1\n", out)
            assert.truthy(err:find("SELECT count", 1, true) and err:find("users", 1, true))
            assert.is_nil(err:find("teams", 1, true))
            assert.is_nil(instance.listeners.query and instance.listeners.query[1])
        end)

        it(".clear forgets, .changes says what is pending", function()
            gives("nothing is pending\ncontext 'default': 1 change not flushed (create Team#new)\nnothing is pending\n",
                ".changes", "x = em:persist(Team { name = 'x' })", ".changes", ".clear", ".changes")
        end)

        it("prompts on a terminal alone, and Ctrl-C drops what was begun", function()
            local out, err, code = run({ "x = {", terminal.INTERRUPT, "1 + 1", "error 'x'" }, { is_terminal = true })
            assert.truthy(out:find("^Heddle .-\nheddle>      >> \nheddle> 2\nheddle> heddle> \n$"), out)
            assert.equal("error: x\n", err)
            assert.equal(0, code)
        end)

        it("an interrupted statement is told, and the console goes on", function()
            local out, err = run { "error('interrupted!', 0)", "1" }
            assert.equal("1\n", out)
            assert.equal("interrupted\n", err)
        end)

        it("runs a text or a file instead of lines", function()
            local function with(opts)
                local streams = terminal.new { "99" }
                opts.contexts, opts.streams = { instance }, streams
                local code = console.run(opts)
                return streams:out(), streams:err(), code
            end
            local out, err, code = with { execute = "em:count(User, {})" }
            assert.same({ "2\n", "", 0 }, { out, err, code })
            out, err, code = with { execute = "for i = 1, 2 do print(i) end\nprint 'b'" }
            assert.same({ "1\n2\nb\n", "", 0 }, { out, err, code })
            out, err, code = with { execute = "error 'x'" }
            assert.same({ "", "error: x\n", 1 }, { out, err, code })
            out, err, code = with { execute = "for i = 1" }
            assert.same({ "", 1, true }, { out, code, err:find "ends before" ~= nil })
            local path = os.tmpname()
            local file = assert(io.open(path, "wb"))
            file:write("#!/usr/bin/env heddle\nprint(em:count(User, {}))\nlocal x = nil + 1\n")
            file:close()
            out, err, code = with { file = path }
            assert.equal("2\n", out)
            assert.truthy(err:find(path .. ":3:", 1, true))
            assert.equal(1, code)
            os.remove(path)
            out, err, code = with { file = path }
            assert.equal("", out)
            assert.truthy(err:find(path, 1, true))
            assert.equal(1, code)
        end)
    end)
end)
