-- What a tab completes to, and the modules that ask: readline and linenoise are stood in for.

local complete = require "heddle.console.complete"
local orm = require "heddle"
local reader = require "heddle.console.reader"
local session = require "heddle.console.session"
local terminal = require "spec.support.terminal"

local User = orm.entity {
    name = "User", { "id", type = "integer", primary = true }, { "name", type = "string" },
    { "nickname", type = "string", nullable = true }, { "team", many_to_one = "Team" },
}
local Team = orm.entity { name = "Team", { "id", type = "integer", primary = true },
    { "users", one_to_many = "User", mapped_by = "team" } }
function User:shout() return self.name end

describe("completion in the console", function()
    local made

    before_each(function()
        local instance = orm.init { driver = "sqlite", database = ":memory:", entities = { User, Team } }
        made = session.new { contexts = { instance }, streams = terminal.new {}, is_plain = true }
        made:run "user = User { name = 'x' }"
    end)
    after_each(function() orm.close() end)

    local function given(line)
        local candidates, start = complete.candidates(made, line)
        return table.concat(candidates, " "), start
    end

    it("knows globals, entities among them, and Lua's words", function()
        assert.equal("em em_default em_of", (given "em"))
        assert.equal("Team", (given "Te"))
        assert.equal("while", (given "x = 1 whi"))
        assert.equal("user", (given "print(use"))
        assert.equal("string", (given "stri"))
        assert.equal("", (given ""))
    end)

    it("knows methods and fields behind a dot or a colon", function()
        assert.equal("em:find em:find_all em:find_and_count em:find_by_cursor em:find_one em:find_one_or_fail",
            (given "x = em:find"))
        assert.equal("user.name user.nickname", (given "user.n"))
        assert.equal("user:shout", (given "user:sh"))
        assert.equal("orm.factory orm.fake", (given "orm.fa"))
        assert.equal("op.starts_with", (given "op.st"))
        assert.equal("orm.op.starts_with", (given "f(orm.op.st"))
        assert.equal("User.shout", (given "User.sh"))
        assert.equal("string.rep string.reverse", (given "string.re"))
        assert.equal("", (given "nothing.at"))
        assert.equal("", (given "user.team.na")) -- asks no database
    end)

    it("knows properties where data of an entity is written", function()
        assert.equal("name nickname", (given "em:find(User, { n"))
        assert.equal("team", (given "em:find(User, { name = 'x', te"))
        assert.equal("name nickname", (given "User { n"))
        assert.equal("id name nickname team", (given "em:create(User, { "))
    end)

    it("knows commands and what they take", function()
        assert.equal(".describe", (given ".de"))
        assert.equal("off on", (given ".sql "))
        assert.equal("Team User", (given ".describe "))
        assert.equal("User", (given ".describe U"))
        assert.truthy((given "."):find(".help", 1, true))
    end)

    it("says where the word that it replaces begins", function()
        assert.equal(5, ({ complete.candidates(made, "x = em:fi") })[2])
        assert.equal(11, ({ complete.candidates(made, ".describe U") })[2])
    end)

    describe("with a module", function()
        local history_file = reader.history_file

        before_each(function() reader.history_file = function() return "/state/heddle/history" end end)
        after_each(function()
            package.loaded.readline, package.loaded.linenoise = nil, nil
            reader.history_file = history_file
        end)

        it("readline completes words and keeps a history", function()
            local calls, completer = {}, nil
            package.loaded.readline = {
                set_readline_name = function() end,
                set_options = function(opts) calls.options = opts end,
                set_complete_function = function(fn) completer = fn end,
                readline = function(prompt) return prompt .. "typed" end,
                add_history = function(text) calls.added = text end,
                save_history = function() calls.saved = true end,
            }
            local lines = reader.open(made, { is_terminal = true, history = true })
            assert.equal("> typed", lines.read "> ")
            assert.same({ "x[em:flush" }, completer("x[em:flu", 1, 8))
            assert.same({ ".describe" }, completer(".desc", 1, 5))
            lines.keep "typed"
            lines.close()
            assert.equal("typed", calls.added)
            assert.is_true(calls.saved)
            assert.truthy(calls.options.histfile == "/state/heddle/history")
        end)

        it("no history is kept where none is wanted", function()
            local calls = {}
            package.loaded.readline = setmetatable({}, { __index = function(_, name)
                return function(opts)
                    calls[#calls + 1] = name
                    if name == "set_options" then assert.equal("", opts.histfile) end
                end
            end })
            local lines = reader.open(made, { is_terminal = true, history = false })
            lines.keep "secret"
            lines.close()
            assert.is_nil(table.concat(calls, " "):find "history")
        end)

        it("linenoise does both too, and its Ctrl-C is one", function()
            local calls, completer = {}, nil
            package.preload.readline = function() error "not here" end
            package.loaded.linenoise = {
                setcompletion = function(fn) completer = fn end, historysetmaxlen = function() end,
                historyload = function() error "there is none yet" end,
                historyadd = function(text) calls.added = text end,
                historysave = function(path) calls.saved = path end,
                linenoise = function(prompt)
                    if prompt == "stop" then return nil, "aborted" end
                    return prompt == "> " and "typed" or nil
                end,
            }
            local lines = reader.open(made, { is_terminal = true, history = true })
            package.preload.readline = nil
            assert.equal("typed", lines.read "> ")
            assert.is_nil((lines.read ">> "))
            assert.has_error(function() lines.read "stop" end, "interrupted!")
            local found = {}
            completer({ add = function(_, text) found[#found + 1] = text end }, "x = em:flu")
            assert.same({ "x = em:flush" }, found)
            lines.keep "typed"
            lines.close()
            assert.equal("typed", calls.added)
            assert.truthy(calls.saved == "/state/heddle/history")
        end)

        it("none is asked for in a pipe", function()
            package.loaded.readline = { set_complete_function = function() error "no terminal" end }
            local lines = reader.open(made, { is_terminal = false, history = true })
            assert.is_nil((lines.read "> "))
        end)
    end)
end)
