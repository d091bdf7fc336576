-- Completion as the shells ask for it. Bash is always there; zsh and fish are asked where they are installed.

local command = require "spec.support.command"

local function is_installed(shell)
    local ok = os.execute("command -v " .. shell .. " >/dev/null 2>&1")
    return ok == true or ok == 0
end

-- Bash splits the line into words as readline does, at blanks, colons and equal signs, and runs the function.
local BASH = [[
source <(heddle completion bash)
COMP_LINE=$1 COMP_POINT=${#1} COMP_WORDS=(x) COMP_CWORD=0
_heddle heddle
printf '%s\n' "${COMPREPLY[@]}"
]]

describe("completion", function()
    local project

    before_each(function()
        project = command.project()
        project:configure({ driver = "sqlite", database = "a.db", entities = {} },
            { context_name = "secondary", driver = "sqlite", database = "b.db", entities = {} })
        project:write("migrations/20260101000000_first.lua", "")
        project:write("migrations/20260101000001_second.up.sql", "")
        project:write("migrations/secondary/20260202000000_other.lua", "")
        project:write("bin/heddle", ("#!/bin/sh\nexec %s %s \"$@\"\n"):format(os.getenv "HEDDLE_TEST_LUA",
            command.quote(command.script)))
        os.execute("chmod +x " .. command.quote(project:path "bin/heddle"))
        project:write("ask.bash", BASH)
        project.variables.PATH = project:path "bin" .. ":" .. os.getenv "PATH"
    end)

    after_each(function() project:remove() end)

    -- What bash would show, on one line.
    local function bash(line)
        local out, err, code = project:shell("bash --norc ask.bash " .. command.quote(line))
        assert.equal(0, code, err)
        assert.equal("", err)
        return (out:gsub("\n$", ""):gsub("\n", " "))
    end

    it("knows commands; of names with colons it gives what stands behind what bash takes for a word", function()
        assert.equal("migrate migrate:create migrate:down migrate:status migrate:fresh migrate:resolve migrate:rollup",
            bash "heddle mig")
        assert.equal("create down status fresh resolve rollup", bash "heddle migrate:")
        assert.equal("status", bash "heddle migrate:s")
        assert.equal("status", bash "heddle --context secondary migrate:s")
        assert.equal("", bash "heddle nothing:")
        assert.is_nil(bash("heddle "):find("%f[%w]complete%f[%W]"))
    end)

    it("knows the seeds of the context that the line names", function()
        project:write("seeds/users.lua", "")
        project:write("seeds/books.lua", "")
        project:write("seeds/secondary/logs.lua", "")
        assert.equal("books users", bash "heddle seed ")
        assert.equal("users", bash "heddle seed books u")
        assert.equal("logs", bash "heddle seed --context secondary ")
    end)

    it("knows contexts, of the configuration that the line names", function()
        assert.equal("default secondary", bash "heddle migrate --context ")
        assert.equal("secondary", bash "heddle migrate --context=se")
        project:write("my.lua", "return { context_name = 'mine', driver = 'sqlite', database = 'c.db', entities = {} }")
        assert.equal("mine", bash "heddle migrate -c my.lua --context ")
        assert.equal("mine", bash "heddle --config=my.lua migrate --context ")
        project:write("orm.config.lua", "return = nonsense")
        assert.equal("", bash "heddle migrate --context ")
    end)

    it("knows migrations, options and their values", function()
        assert.equal("20260101000000_first 20260101000001_second", bash "heddle migrate --to ")
        assert.equal("20260101000001_second", bash "heddle migrate:resolve 20260101000001")
        assert.equal("20260202000000_other", bash "heddle migrate --context secondary --to ")
        assert.equal("--json", bash "heddle migrate:status --j")
        assert.truthy(bash("heddle migrate:status --"):find("--context", 1, true))
        assert.equal("sqlite postgres", bash "heddle init --driver ")
        assert.equal("postgres", bash "heddle init --driver=p")
        assert.equal("bash zsh fish", bash "heddle completion ")
    end)

    it("leaves files to the shell", function()
        assert.equal("orm.config.lua", bash "heddle --config orm")
        assert.equal("orm.config.lua", bash "heddle --config=orm")
        assert.equal("migrations", bash "heddle init mig")
    end)

    it("does not touch a database", function()
        project:write("orm.config.lua", "return { driver = 'postgres', host = '192.0.2.1', database = 'x', "
            .. "entities = {} }")
        assert.equal("20260101000000_first 20260101000001_second", bash "heddle migrate --to ")
    end)

    it("is a script that every shell takes", function()
        for shell, check in pairs { bash = "bash -n", zsh = "zsh -n", fish = "fish --no-execute" } do
            local out, _, code = project:shell("heddle completion " .. shell .. " > script && cat script")
            assert.equal(0, code)
            assert.truthy(out:find("complete -- ", 1, true), shell)
            if is_installed(shell) then
                local _, err
                _, err, code = project:shell(check .. " script")
                assert.equal(0, code, err)
                assert.equal("", err)
            end
        end
        project:expect(2, "completion tcsh")
    end)

    if is_installed "fish" then
        it("works in fish", function()
            local out = project:shell [[fish --no-config -c 'heddle completion fish | source
                complete -C "heddle migrate:s"; complete -C "heddle migrate --context s"']]
            assert.equal("migrate:status\tShow which migrations have run.\nsecondary\n", out)
        end)
    end
end)
