-- examples/openresty as its users meet it: started by its script, over HTTP, and its page in a browser. What they are
-- told is compared with what the two databases hold.

local browser = require "spec.support.browser"
local cjson = require "cjson"
local databases = require "spec.support.databases"
local http = require "spec.support.http"
local lfs = require "lfs"
local quote = require("spec.support.example").quote
local socket = require "socket"

local function free_port()
    local probe = assert(socket.bind("127.0.0.1", 0))
    local _, port = probe:getsockname()
    probe:close()
    return tonumber(port)
end

local function postgres_url(config)
    return ("postgres://%s@%s:%s/%s"):format(config.user, config.host:gsub("/", "%%2F"), config.port, config.database)
end

local EVENTS = "select event, user_id from analytics_logs order by id"

describe("examples/openresty:", function()
    local postgres, sqlite, users, analytics, demo, address, tmp

    -- The command `env` with what the example is told, and more.
    local function environment(...)
        local words = { "DB_URL=" .. postgres_url(postgres.made[1].config),
            "DB_SECONDARY_URL=sqlite:" .. sqlite.made[1].config.database, ... }
        for i, word in ipairs(words) do words[i] = quote(word) end
        return "env " .. table.concat(words, " ")
    end

    -- Runs the script until it says where the page is.
    local function start(seconds)
        local pipe = assert(io.popen(("echo $$; exec %s examples/openresty/run.sh 2>&1"):format(
            environment("PORT=" .. address.port, "TMPDIR=" .. tmp, "DEMO_SECONDS=" .. seconds))))
        local pid, said = pipe:read "*l", {}
        repeat
            said[#said + 1] = pipe:read "*l"
        until #said == 0 or said[#said]:find "^It ends" or #said > 50
        demo = { pipe = pipe, pid = pid, said = table.concat(said, "\n") }
        assert.is_truthy(demo.said:find(("http://127.0.0.1:%d/"):format(address.port), 1, true), demo.said)
    end

    -- What it said since it started: nginx's log.
    local function stop()
        if not demo then return "" end
        os.execute("kill -TERM " .. demo.pid)
        local rest = demo.pipe:read "*a"
        demo.pipe:close()
        demo = nil
        return rest
    end

    before_each(function()
        postgres, sqlite = databases.open "postgres", databases.open "sqlite"
        postgres:config()
        sqlite:config()
        users, analytics = postgres:raw(), sqlite:raw()
        tmp = os.getenv "HEDDLE_TEST_TMP" .. "/example"
        lfs.mkdir(tmp)
        address = { host = "127.0.0.1", port = free_port() }
        start(600)
    end)

    after_each(function()
        stop()
        postgres:close()
        sqlite:close()
    end)

    local function call(method, path, data)
        local result = http.get(address, "/api/" .. path, { method = method,
            body = type(data) == "table" and cjson.encode(data) or data })
        assert.is_nil(result.problem)
        local body = result.body ~= "" and cjson.decode(result.body) or nil
        return result.status, body, result
    end

    local function create(name)
        local status, user = call("POST", "users", { name = name, email = name:lower() .. "@example.com" })
        assert.equal(201, status)
        return user
    end

    local function names(list)
        local found = {}
        for i, user in ipairs(list) do found[i] = user.name end
        return table.concat(found, " ")
    end

    it("its migrations make what its entities say", function()
        local heddle = ("%s/%s/bin/heddle"):format(lfs.currentdir(), os.getenv "BUILD")
        local pipe = io.popen(("cd examples/openresty && %s %s schema:diff --all 2>/dev/null"):format(environment(),
            quote(heddle)))
        local said = pipe:read "*a"
        pipe:close()
        assert.equal("-- context 'default'\n-- context 'secondary'\n", said)
    end)

    it("every change is in one database, and told in the other", function()
        local ann = create "Ann"
        create "Ben"
        local status, renamed = call("PATCH", "users/" .. ann.id, { name = "Anna", version = ann.version })
        assert.same({ 200, "Anna", ann.version + 1 }, { status, renamed.name, renamed.version })
        assert.equal(204, (call("DELETE", "users/2")))
        assert.same({ { "1", "Anna", "ann@example.com", "2" } },
            users:rows "select id, name, email, version from users")
        assert.same({ { "user_created", "1" }, { "user_created", "2" }, { "user_renamed", "1" },
            { "user_deleted", "2" } }, analytics:rows(EVENTS))

        local _, shown = call("GET", "users/1")
        assert.same({ "Anna", "user_created", "user_renamed" },
            { shown.name, shown.events[1].event, shown.events[2].event })
        local _, statistics = call("GET", "statistics")
        assert.same({ { event = "user_created", count = 2 }, { event = "user_deleted", count = 1 },
            { event = "user_renamed", count = 1 } }, statistics.counts)
        assert.same({ "user_deleted", 2 }, { statistics.latest[1].event, statistics.latest[1].user_id })
    end)

    it("users come in pages, the newest first", function()
        assert.is_truthy(select(3, call("GET", "users")).body:find('"items":[]', 1, true))
        for _, name in ipairs { "Ann", "Ben", "Cleo", "Dora", "Eve" } do create(name) end
        local _, page = call("GET", "users?first=2")
        assert.same({ "Eve Dora", 5 }, { names(page.items), page.total })
        create "Finn"
        _, page = call("GET", "users?first=2&after=" .. page.next)
        assert.equal("Cleo Ben", names(page.items))
        _, page = call("GET", "users?first=2&after=" .. page.next)
        assert.same({ "Ann", nil }, { names(page.items), page.next })
    end)

    local function fails(status, kind, property, ...)
        local got, body = call(...)
        assert.same({ status, kind, property }, { got, body.kind, body.property })
        assert.equal("string", type(body.message))
        return body.message
    end

    it("what is wrong is told by status, kind and property, and changes nothing", function()
        create "Ann"
        local mail = "ben@example.com"
        assert.equal("Say a name", fails(422, "validation", "name", "POST", "users", { name = " ", email = mail }))
        assert.equal("This is no e-mail address",
            fails(422, "validation", "email", "POST", "users", { name = "Ben", email = "ben" }))
        fails(422, "validation", "name", "POST", "users", { email = mail })
        fails(422, "validation", "name", "POST", "users", { name = { ["$gt"] = "" }, email = mail })
        fails(422, "validation", "name", "POST", "users", { name = ("x"):rep(61), email = mail })
        fails(422, "validation", nil, "GET", "users?after=forged")
        fails(422, "validation", "id", "GET", "users/99999999999999999999")
        fails(422, "validation", "name", "PATCH", "users/1", {})
        fails(409, "unique_violation", "email", "POST", "users", { name = "Ann", email = "ann@example.com" })
        fails(404, "not_found", nil, "GET", "users/7")
        fails(404, "not_found", nil, "DELETE", "users/7")
        fails(404, "not_found", nil, "GET", "nothing")
        fails(405, "bad_request", nil, "PUT", "users")
        fails(400, "bad_request", nil, "POST", "users", "no JSON")
        assert.same({ { "1", "Ann" } }, users:rows "select id, name from users")
        assert.same({ { "user_created", "1" } }, analytics:rows(EVENTS))
        assert.equal("", stop())
    end)

    it("of twenty who rename the same version one does", function()
        local ann = create "Ann"
        local list = {}
        for i = 1, 20 do
            list[i] = { "/api/users/" .. ann.id, method = "PATCH",
                body = cjson.encode { name = "Ann " .. i, version = ann.version } }
        end
        local count = {}
        for _, result in ipairs(http.many(address, list)) do
            count[result.status] = (count[result.status] or 0) + 1
        end
        assert.same({ [200] = 1, [409] = 19 }, count)
        assert.equal("2", users:value "select version from users")
        assert.same({ { "user_created", "1" }, { "user_renamed", "1" } }, analytics:rows(EVENTS))
    end)

    it("a user is not lost because the event cannot be written", function()
        analytics:exec "drop table analytics_logs"
        create "Ann"
        assert.equal("Ann", users:value "select name from users")
        assert.equal(500, (call("GET", "statistics")))
        assert.equal(200, (call("GET", "users")))
        local log = stop()
        assert.is_truthy(log:find("no event 'user_created' of user 1", 1, true), log)
    end)

    it("while the users' database is away the other one goes on, and afterwards both do", function()
        create "Ann"
        local name = postgres.made[1].config.database
        local admin = postgres:raw(postgres:config())
        admin:exec(("alter database %s allow_connections false"):format(name))
        admin:rows(("select pg_terminate_backend(pid) from pg_stat_activity where datname = '%s'"):format(name))
        for _ = 1, 3 do
            fails(503, "connection", nil, "GET", "users")
            assert.equal(1, (select(2, call("GET", "statistics"))).counts[1].count)
        end
        admin:exec(("alter database %s allow_connections true"):format(name))
        assert.equal("Ann", (select(2, call("GET", "users"))).items[1].name)
    end)

    it("ends by itself after DEMO_SECONDS, can be run again, and leaves nothing behind", function()
        create "Ann"
        stop()
        start(1)
        assert.is_truthy(demo.said:find("Context 'default': nothing to do.", 1, true), demo.said)
        assert.equal("Ann", (select(2, call("GET", "users/1"))).name)
        demo.pipe:read "*a"
        demo.pipe:close()
        demo = nil
        for name in lfs.dir(tmp) do assert.is_truthy(name == "." or name == "..", name) end
        assert.equal("connection refused", http.get(address, "/").problem)
    end)

    describe("the page", function()
        local page

        before_each(function()
            page = browser.start()
            page:go(("http://127.0.0.1:%d/"):format(address.port))
        end)

        after_each(function() if page then page:stop() end end)

        local function says(css, text)
            page:wait_for(("%s says %q"):format(css, text), function()
                return (page:text(css) or ""):find(text, 1, true) ~= nil
            end)
        end

        -- What the page does behind an answer takes its time.
        local function becomes(expected, script)
            local value
            page:wait_for(("%s becomes %s"):format(script, expected), function()
                value = page:run("return " .. script)
                return value == expected
            end)
            assert.equal(expected, value)
        end

        local function add(name, email)
            page:type("#name", name)
            page:type("#email", email)
            page:click "#add button"
        end

        local function screenshot(name)
            local dir = os.getenv "SCREENSHOTS"
            if dir then page:screenshot(("%s/%s.png"):format(dir, name)) end
        end

        it("adds, renames and deletes users, and shows what the other database was told", function()
            says("#events", "Nothing yet")
            says("#users", "Nobody yet")
            add("Ann", "ann@example.com")
            says("#users", "ann@example.com")
            says("#events", "user created #1")
            assert.same({ { "Ann", "ann@example.com" } }, users:rows "select name, email from users")
            assert.same({ { "user_created", "1" } }, analytics:rows(EVENTS))
            becomes("", "document.getElementById('name').value")

            page:click "[aria-label='Rename Ann']"
            page:type("[aria-label='New name of Ann']", "Anna")
            page:click "#users form button"
            says("#status", "Ann is called Anna now")
            says("#events", "user renamed #1")
            assert.equal("Anna", users:value "select name from users")

            for _, name in ipairs { "Ben", "Cleo", "Dora" } do
                add(name, name:lower() .. "@example.com")
                says("#users", name)
            end
            screenshot "users"
            page:click "[aria-label='Delete Ben']"
            says("#status", "Ben is deleted")
            says("#events", "user deleted #2")
            becomes("Dora Cleo Anna", [=[
                [...document.querySelectorAll("#users strong")].map((item) => item.textContent).join(" ")]=])
            assert.same({ { "1", "Anna" }, { "3", "Cleo" }, { "4", "Dora" } },
                users:rows "select id, name from users order by id")
            assert.equal("6", analytics:value "select count(*) from analytics_logs")
            assert.equal("", stop())
        end)

        it("shows what is wrong beside the field", function()
            add("Ann", "ann.example.com")
            says("#email-error", "This is no e-mail address")
            assert.equal("", page:text "#name-error")
            becomes("true", "document.getElementById('email').getAttribute('aria-invalid')")
            add("", "ann@example.com")
            says("#name-error", "Say a name")
            assert.equal("", page:text "#email-error")
            add("Ann", "ann@example.com")
            says("#users", "ann@example.com")
            add("Ann again", "ann@example.com")
            says("#email-error", "Somebody has this one already")
            screenshot "errors"
            page:click "[aria-label='Rename Ann']"
            page:type("[aria-label='New name of Ann']", ("x"):rep(61))
            page:click "#users form button"
            says("#users .error", "Longer than 60 characters")
            screenshot "rename"
            assert.same({ { "1", "Ann" } }, users:rows "select id, name from users")
        end)

        it("a user whom somebody else has changed is shown anew, and not overwritten", function()
            create "Ann"
            page:go(("http://127.0.0.1:%d/"):format(address.port))
            says("#users", "Ann")
            page:click "[aria-label='Rename Ann']"
            assert.equal(200, (call("PATCH", "users/1", { name = "Annabel" })))
            page:type("[aria-label='New name of Ann']", "Anna")
            page:click "#users form button"
            says("#status", "Somebody else has changed this user")
            says("#users", "Annabel")
            assert.equal("Annabel", users:value "select name from users")
        end)

        it("text is text, events come by themselves, and more users are a click away", function()
            for i = 1, 10 do create("Name" .. i) end
            says("#events", "user created #10")
            page:go(("http://127.0.0.1:%d/"):format(address.port))
            says("#users", "Name10")
            becomes(8, "document.querySelectorAll('#users li').length")
            page:click "#more"
            page:wait_for("all are there", function()
                return page:run "return document.querySelectorAll('#users li').length" == 10
            end)
            assert.equal("", page:text "#more")
            add("<b onclick=x>&amp;", "markup@example.com")
            says("#users", "<b onclick=x>&amp;")
        end)
    end)
end)
