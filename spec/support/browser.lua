--- Headless Chromium, driven through chromedriver (WebDriver), for specs that look at a page.
--
--     local browser = require "spec.support.browser"
--     local page = browser.start()
--     page:go "http://127.0.0.1:8080/"
--     page:type("#name", "Ann"); page:click "form button"       -- CSS selectors; both raise when nothing is there
--     page:text "#name-error"                                   -- what can be seen of it; nil: it is not there
--     page:wait_for("Ann is in the list", function() return page:text "li" == "Ann" end)
--     page:run("return document.title")                         -- JavaScript
--     page:screenshot "/path/of/a.png"
--     page:stop()
--
-- It has nothing to do with anybody's profile: everything that it writes lies in a directory of its own.

local cjson = require "cjson"
local http = require "socket.http"
local lfs = require "lfs"
local ltn12 = require "ltn12"
local mime = require "mime"
local socket = require "socket"

local browser = {}

local PATIENCE = 60 -- seconds
local ELEMENT = "element-6066-11e4-a52e-4f735466cecf" -- the name that the standard gives
local FLAGS = { "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
    "--window-size=1100,800" }
-- Ends with its standard input, with the process that started it, and so does a browser that is still there.
local DRIVER = [[
cd '%s' && export HOME="$PWD" TMPDIR="$PWD" && unset XDG_CONFIG_HOME XDG_CACHE_HOME
chromedriver --port=0 >output 2>&1 </dev/null &
cat >/dev/null
kill $(cat browser.pid 2>/dev/null) $! 2>/dev/null
wait]]

local Page = {}
Page.__index = Page

local started = 0

local function read(path)
    local file = io.open(path, "rb")
    if not file then return "" end
    local text = file:read "*a"
    file:close()
    return text
end

local function await(what, problem, fn)
    local limit = socket.gettime() + PATIENCE
    repeat
        local value = fn()
        if value then return value end
        socket.sleep(0.02)
    until socket.gettime() > limit
    error(("browser: waited in vain: %s\n%s"):format(what, problem()), 3)
end

-- One command of WebDriver; its value, or nil and an error as the standard has them.
local function ask(self, method, path, data)
    local body = method == "POST" and (data and cjson.encode(data) or "{}") or nil
    local parts = {}
    local ok, status = http.request { url = self.address .. path, method = method, sink = ltn12.sink.table(parts),
        source = body and ltn12.source.string(body), headers = body and { ["Content-Length"] = #body },
        create = function()
            local client = socket.tcp()
            client:settimeout(PATIENCE)
            return client
        end }
    if not ok then error("browser: chromedriver: " .. status, 0) end
    local value = cjson.decode(table.concat(parts)).value
    if status == 200 then return value end
    return nil, value
end

local function command(self, method, path, data)
    local value, problem = ask(self, method, self.session .. path, data)
    if problem then error(("browser: %s: %s"):format(problem.error, problem.message), 3) end
    return value
end

local function open_session(self)
    local flags = { "--user-data-dir=" .. self.dir .. "/profile" }
    for _, flag in ipairs(FLAGS) do flags[#flags + 1] = flag end
    local value, problem = ask(self, "POST", "/session", { capabilities = { alwaysMatch = {
        browserName = "chrome", ["goog:chromeOptions"] = { args = flags } } } })
    if problem then error("browser: " .. problem.message, 0) end
    self.session = "/session/" .. value.sessionId
    local file = assert(io.open(self.dir .. "/browser.pid", "w"))
    file:write(("%d\n"):format(value.capabilities["goog:processID"]))
    file:close()
end

function browser.start()
    started = started + 1
    local dir = ("%s/browser%d"):format(os.getenv "HEDDLE_TEST_TMP" or error("HEDDLE_TEST_TMP is not set", 2), started)
    assert(lfs.mkdir(dir))
    local self = setmetatable({ dir = dir }, Page)
    self.process = assert(io.popen(DRIVER:format(dir), "w"))
    local port = await("chromedriver listens", function() return read(dir .. "/output") end, function()
        return read(dir .. "/output"):match "started successfully on port (%d+)"
    end)
    self.address = "http://127.0.0.1:" .. port
    open_session(self)
    return self
end

function Page:stop()
    if self.session then ask(self, "DELETE", self.session) end
    if self.process then self.process:close() end
    self.session, self.process = nil, nil
end

function Page:go(url) command(self, "POST", "/url", { url = url }) end

--- The first element of a selector; nil when there is none.
function Page:find(css)
    local value = ask(self, "POST", self.session .. "/element", { using = "css selector", value = css })
    return value and "/element/" .. value[ELEMENT]
end

local function found(self, css)
    return self:find(css) or error("browser: nothing is there for " .. css, 3)
end

--- Writes into a field, in the place of what it has.
function Page:type(css, text)
    local element = found(self, css)
    command(self, "POST", element .. "/clear")
    command(self, "POST", element .. "/value", { text = text })
end

function Page:click(css) command(self, "POST", found(self, css) .. "/click") end

--- Nil too when the page replaces the element at this very moment.
function Page:text(css)
    local element = self:find(css)
    return element and ask(self, "GET", self.session .. element .. "/text")
end

--- Runs the body of a JavaScript function; further values are its `arguments`.
function Page:run(script, ...)
    local value = command(self, "POST", "/execute/sync", { script = script, args = { ..., cjson.null } })
    if value == cjson.null then return nil end
    return value
end

function Page:wait_for(what, fn)
    return await(what, function() return self:text "body" or "" end, fn)
end

function Page:screenshot(path)
    local file = assert(io.open(path, "wb"))
    file:write((mime.unb64(command(self, "GET", "/screenshot"))))
    file:close()
end

return browser
