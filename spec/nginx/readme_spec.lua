-- The README's section on OpenResty, pasted: its blocks are the files that they name, its commands are run.

local http = require "spec.support.http"
local lfs = require "lfs"
local quote = require("spec.support.example").quote
local raw = require "spec.support.raw"
local socket = require "socket"

local function read(path)
    local file = assert(io.open(path, "rb"))
    local text = file:read "*a"
    file:close()
    return text
end

local function write(path, text)
    local file = assert(io.open(path, "wb"))
    file:write(text)
    file:close()
end

describe("README.md, OpenResty:", function()
    local section = read "README.md":match "\n## OpenResty\n(.-)\n## "
    local dir, pipe, pid

    after_each(function()
        if pid then os.execute("kill -QUIT " .. pid) end
        if pipe then pipe:close() end
    end)

    it("it has fewer than thirty lines", function()
        local _, count = section:gsub("\n", "")
        assert.is_true(count < 30, count)
    end)

    it("its files, pasted and started as it says, answer as it says", function()
        dir = os.getenv "HEDDLE_TEST_TMP" .. "/readme"
        assert(lfs.mkdir(dir))
        local probe = assert(socket.bind("127.0.0.1", 0))
        local port = select(2, probe:getsockname())
        probe:close()
        local text = section:gsub("127%.0%.0%.1:8080", "127.0.0.1:" .. port)
        local files = 0
        for block in text:gmatch "\n```%l[^\n]*\n(.-)\n```" do
            write(dir .. "/" .. block:match "^[-#]+ ([%w.]+)", block .. "\n")
            files = files + 1
        end
        assert.equal(2, files)
        local command, path = text:match "(nginx %-p [^\n]+)", text:match "curl \"http://[%d.:]+(/[^\"]+)\""
        pipe = assert(io.popen(("cd %s && export PATH=$PATH:/usr/sbin && exec %s 2>&1"):format(quote(dir), command)))
        local limit = socket.gettime() + 30
        local result
        repeat
            socket.sleep(0.05)
            result = http.get({ host = "127.0.0.1", port = tonumber(port) }, path)
        until not result.problem or socket.gettime() > limit
        local file = io.open(dir .. "/nginx.pid")
        pid = file and file:read "*l"
        if file then file:close() end
        assert.same({ 200, "1 Ann\n" }, { result.status, result.body })
        assert.same({ { "1", "Ann" } }, raw.sqlite(dir .. "/app.db"):rows "select id, name from users")
    end)
end)
