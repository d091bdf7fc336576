-- The command line itself: help, wrong usage, exit codes, colours.

local cli = require "heddle.cli"
local command = require "spec.support.command"
local output = require "heddle.cli.output"

describe("heddle", function()
    local project

    before_each(function() project = command.project() end)
    after_each(function() project:remove() end)

    it("shows its version", function()
        local out, err, code = project:run "--version"
        assert.matches("^Heddle %S+ %(Lua 5%.%d%)\n$", out)
        assert.equal("", err)
        assert.equal(0, code)
    end)

    it("shows its commands in groups, on standard output", function()
        local out, err, code = project:run "--help"
        assert.equal(0, code)
        assert.equal("", err)
        for _, name in ipairs { "init", "migrate", "migrate:create", "migrate:down", "migrate:status", "migrate:fresh",
            "migrate:resolve", "migrate:rollup", "schema:create", "schema:update", "schema:drop", "schema:diff",
            "seed", "debug", "completion" } do
            assert.truthy(out:find("\n   " .. name .. "  ", 1, true), name)
        end
        assert.truthy(out:find("--config FILE", 1, true))
        assert.is_nil(out:find("\n   complete ", 1, true))
    end)

    it("has help with examples and the common options for every command", function()
        for _, name in ipairs(cli.grammar().names) do
            local out, err, code = command.inside { name, "--help" }
            assert.equal(0, code, name)
            assert.equal("", err)
            assert.truthy(out:find("^Usage: heddle " .. name:gsub("%p", "%%%0")), out)
            assert.truthy(out:find("\nExamples:\n   %S*.-heddle"), name)
            assert.truthy(out:find("Options of every command:", 1, true), name)
        end
    end)

    it("ends with 2 when it is used in a wrong way, and says how it is used", function()
        for words, said in pairs {
            [""] = "a command is required",
            ["migrat"] = "unknown command 'migrat' (did you mean 'migrate'?)",
            ["migrate:staus"] = "(did you mean 'migrate:status'?)",
            ["statement"] = "unknown command 'statement'\n",
            ["migrate --nope"] = "unknown option '--nope'",
            ["migrate --too x"] = "unknown option '--too' (did you mean '--to'?)",
            ["migrate extra"] = "too many arguments",
            ["migrate --to"] = "option '--to' requires an argument",
            ["migrate:resolve"] = "missing argument 'migration'",
            ["init --driver mysql"] = "must be one of 'sqlite', 'postgres'",
        } do
            local list = {}
            for word in words:gmatch "%S+" do list[#list + 1] = word end
            local out, err, code = command.inside(list)
            assert.equal(2, code, words)
            assert.equal("", out)
            assert.truthy(err:find(said, 1, true), err)
            assert.truthy(err:find("Usage: heddle", 1, true))
        end
    end)

    it("takes options of every command before the command and behind it", function()
        project:write("my.config.lua", "return { driver = 'sqlite', database = ':memory:', entities = {} }")
        assert.equal("[]\n", (project:expect(0, "--config my.config.lua migrate:status --json")))
        assert.equal("[]\n", (project:expect(0, "migrate:status --json -c my.config.lua")))
        assert.equal("[]\n", (project:expect(0, "migrate:status --json --config=./my.config.lua --context default")))
    end)

    it("shows a traceback where one was asked for, and none otherwise", function()
        project:write("orm.config.lua", "local function deeper()\n  error('no luck')\nend\ndeeper()")
        local _, err = project:expect(1, "migrate")
        assert.equal("heddle: orm.config.lua:2: no luck\n", err)
        _, err = project:expect(1, "migrate --debug")
        assert.truthy(err:find("heddle: orm.config.lua:2: no luck\n", 1, true))
        assert.truthy(err:find("stack traceback:.*orm%.config%.lua:4"), err)
    end)
end)

describe("colours", function()
    it("are for terminals alone", function()
        local _, err = command.inside({ "migrate:resolve", "x", "--config", "/no/such" }, { terminal = true })
        assert.truthy(err:find("\27[31mheddle:\27[0m", 1, true))
        for _, case in ipairs { { {}, false }, { { "--no-color" }, true } } do
            local words = { "migrate:resolve", "x", "--config", "/no/such" }
            for _, word in ipairs(case[1]) do words[#words + 1] = word end
            _, err = command.inside(words, { terminal = case[2] })
            assert.is_nil(err:find("\27", 1, true))
        end
    end)

    it("can be refused by the environment", function()
        local project = command.project()
        project.variables.NO_COLOR = "1"
        local script = ([[local out = require("heddle.cli.output")
            local streams = { is_terminal = function() return true end }
            io.write(tostring(out.style(streams, "stdout").is_coloured))]]):gsub("\n%s*", " ")
        project:write("x.lua", script)
        assert.equal("false", (project:lua "x.lua"))
        project.variables = { TERM = "dumb" }
        assert.equal("false", (project:lua "x.lua"))
        project.variables = {}
        assert.equal("true", (project:lua "x.lua"))
        project:remove()
    end)
end)

describe("tables", function()
    local plain = output.style({}, "stdout", true)

    it("are columns as wide as their characters, whatever their bytes", function()
        assert.same({ "Name    Rows", "Jürgen     3", "Ann       12", "日本         1" }, output.table(
            { { "Jürgen", 3 }, { "Ann", 12 }, { "日本", 1 } }, { "Name", { "Rows", align = "right" } }, plain))
    end)

    it("hold no tabs, no line ends, no control characters and nothing behind the last column", function()
        assert.same({ "A    B", "x y  z", "     w", "q" },
            output.table({ { "x\ty", "z" }, { nil, "w\n" }, { "q" } }, { "A", "B" }, plain)
        )
    end)

    it("colour cells without moving the columns", function()
        local style = output.style({ is_terminal = function() return true end, getenv = function() end }, "stdout")
        local lines = output.table({ { "done", 1 }, { "x", 22 } },
            { { "State", style = function(text) return style.green(text) end }, "N" }, style)
        assert.equal("\27[1mState  N\27[0m", lines[1])
        assert.equal("\27[32mdone\27[0m   1", lines[2])
        assert.equal("\27[32mx\27[0m      22", lines[3])
    end)

    it("cut long texts between characters", function()
        assert.equal("ÄÖ...", output.one_line("ÄÖÜäöü", 5))
        assert.equal("a b", output.one_line("a\n\tb", 5))
        assert.equal("ÄÖÜäö", output.one_line("ÄÖÜäö", 5))
    end)

    it("tell times as people do", function()
        assert.equal("0 ms", output.duration(0))
        assert.equal("999 ms", output.duration(0.9991))
        assert.equal("1.0 s", output.duration(0.9996))
        assert.equal("59.9 s", output.duration(59.9))
        assert.equal("1 min 00 s", output.duration(59.96))
        assert.equal("2 min 05 s", output.duration(125))
    end)
end)
