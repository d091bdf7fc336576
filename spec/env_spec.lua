local env = require "heddle.env"
local errors = require "heddle.errors"

local path = os.getenv("HEDDLE_TEST_TMP") .. "/env_spec.env"

local function load(text)
    local file = assert(io.open(path, "wb"))
    file:write(text)
    file:close()
    return env.load(path)
end

local function refused(text, line)
    local ok, err = pcall(load, text)
    assert.is_false(ok)
    assert.is_true(errors.is_error(err, "config"), tostring(err))
    assert.truthy(err.message:find(path .. ":" .. line .. ":", 1, true), err.message)
    assert.is_nil(tostring(err):find("s3cret", 1, true))
end

describe("orm.env", function()
    it("reads names, comments, blanks and export", function()
        assert.same({ A = "1", B = "two words", C = "", D = "x#y", E = "5", ["F.G"] = "7" }, load(
            "# comment\n\nA=1\n  B = two words   # comment\nC=\nD=x#y\nexport E=5\r\nF.G=7\n"))
        assert.same({ A = "", B = "1" }, load "A= # nothing\nB=1")
        assert.same({ A = "1" }, load "\239\187\191A=1")
        assert.same({}, load "")
    end)

    it("single quotes keep every character, double quotes know escapes and several lines", function()
        assert.same({ A = "a b # c", B = [[\n${A}]], C = "a\nb\tc\"d\\e$f", D = "one\ntwo", E = "x" }, load(
            "A='a b # c'\nB='\\n${A}'\nC=\"a\\nb\\tc\\\"d\\\\e\\$f\"\nD=\"one\r\ntwo\" # comment\nE=\"x\""))
        assert.same({ A = [[C:\new\table]] }, load [[A=C:\new\table]])
    end)

    it("expands ${NAME} once, of the process first, then of the file", function()
        local read = load(("A=one\nB=${A}-${A}\nC=\"<${B}>\"\nD='${A}'\nE=\\${A}\nF=${HEDDLE_SPEC_UNSET}.\n"
            .. "G=${PATH}\nH=$A\nI=${E}"))
        assert.equal("one-one", read.B)
        assert.equal("<one-one>", read.C)
        assert.equal("${A}", read.D)
        assert.equal("${A}", read.E)
        assert.equal(".", read.F)
        assert.equal(os.getenv "PATH", read.G)
        assert.equal("$A", read.H)
        assert.equal("${A}", read.I)
    end)

    it("contract 2: never overrides a variable that is set", function()
        local read = load "PATH=/nowhere\nHEDDLE_SPEC_FIRST=1"
        assert.equal("/nowhere", read.PATH)
        assert.equal(os.getenv "PATH", env.get "PATH")
        load "HEDDLE_SPEC_FIRST=2\nHEDDLE_SPEC_EMPTY="
        assert.equal("1", env.get "HEDDLE_SPEC_FIRST")
        assert.is_nil(env.get "HEDDLE_SPEC_EMPTY")
        assert.is_nil(env.get "HEDDLE_SPEC_NEVER")
    end)

    it("a malformed line is a config error with file and line, without the line's text", function()
        refused("A=1\ns3cret\n", 2)
        refused("A=1\n\nB=\"s3cret\nmore\n", 3)
        refused("A='s3cret\n", 1)
        refused("A=\"x\" s3cret\n", 1)
        refused("1A=s3cret\n", 1)
        refused("export s3cret\n", 1)
        refused("A=\"x\ny\"\n=s3cret\n", 3)
    end)

    it("a file that is not there matters only when it was named", function()
        local ok, err = pcall(env.load, path .. ".missing")
        assert.is_false(ok)
        assert.is_true(errors.is_error(err, "config"))
        assert.truthy(err.message:find(path .. ".missing", 1, true))
        assert.is_false(pcall(env.load, os.getenv "HEDDLE_TEST_TMP"))
        assert.is_false(pcall(env.load, 7))
        local lfs = require "lfs"
        local before = lfs.currentdir()
        local empty = os.getenv("HEDDLE_TEST_TMP") .. "/env_spec"
        lfs.mkdir(empty)
        lfs.chdir(empty)
        local read = env.load()
        lfs.chdir(before)
        assert.same({}, read)
    end)
end)
