-- debug, logger, slow_query and query events: every statement sent, once, with times and without values.

local databases = require "spec.support.databases"
local orm = require "heddle"

local Team = orm.entity {
    name = "Team",
    { "id", type = "integer", primary = true },
    { "name", type = "string", unique = true },
}
local User = orm.entity {
    name = "User", table = "users",
    { "id", type = "integer", primary = true },
    { "name", type = "string", length = 30 },
    { "doc", type = "json", nullable = true },
    { "code", type = "uuid", nullable = true },
    { "team", many_to_one = Team, nullable = true },
}

local SECRET = "s3cret-value"

databases.each(function(db)
    describe("logging", function()
        local instance, em, log

        local function open(overrides)
            local config = db:config(overrides)
            config.entities = { Team, User }
            instance = orm.init(config)
            instance.schema:create()
            em = orm.em():fork()
            log = {}
            return config
        end

        after_each(function()
            orm.close()
            db:close()
        end)

        local function listen()
            instance:on("query", function(entry) log[#log + 1] = entry end)
        end

        local function words()
            local list = {}
            for _, entry in ipairs(log) do
                local verb = entry.sql:match "^%s*(%a+)"
                -- PostgreSQL's transaction id, asked for so that a lost COMMIT can be looked up.
                local own = entry.sql:find "txid_" or entry.sql:find "xact_id"
                if not own then list[#list + 1] = verb end
            end
            return table.concat(list, " ")
        end

        it("query: one table for each statement, with sql, context, duration and rows", function()
            open {}
            em:insert(User, { name = "Ann" })
            listen()
            em:find(User, {})
            assert.equal(1, #log)
            assert.matches("^SELECT .* FROM \"users\"", log[1].sql)
            assert.equal("default", log[1].context)
            assert.is_number(log[1].duration)
            assert.is_true(log[1].duration >= 0 and log[1].duration < 5)
            assert.equal(1, log[1].rows)
            assert.is_nil(log[1].error)
            em:update_where(User, { name = "nobody" }, { name = "x" })
            em:update_where(User, { name = "Ann" }, { name = "x" })
            em:execute "select 1 as one"
            em:count(User, {})
            local rows = {}
            for i = 2, #log do rows[i - 1] = log[i].rows end
            assert.same({ 0, 1, 1, 1 }, rows)
            em:find_one(User, 1)
            local before = #log
            em:find_one(User, 1)
            assert.equal(before, #log)
        end)

        it("every statement is told once, transaction control included, and none that was not sent", function()
            open {}
            listen()
            em:persist_and_flush(Team { name = "core" })
            assert.equal("INSERT", words())
            log = {}
            em:transactional(function() end)
            assert.equal("", words())
            em:transactional(function(tx) tx:find(Team, {}) end)
            assert.equal("BEGIN SELECT COMMIT", words())
            log = {}
            em:transactional(function(tx)
                tx:find(Team, {})
                tx:transactional(function(inner) inner:find(Team, {}) end)
                pcall(tx.transactional, tx, function(inner)
                    inner:find(Team, {})
                    error "undo"
                end)
                tx:find(Team, {})
            end)
            assert.matches("^BEGIN SELECT SAVEPOINT SELECT RELEASE SAVEPOINT SELECT ROLLBACK.- SELECT COMMIT$", words())
            log = {}
            pcall(em.transactional, em, function(tx)
                tx:insert(User, { name = "x" })
                error "undo"
            end)
            assert.matches("^BEGIN .*INSERT.* ROLLBACK$", words())
            log = {}
            em:persist(User { name = "a", team = Team { name = "b" } }, User { name = "c" }):flush()
            local begins, commits, inserts = 0, 0, 0
            for _, entry in ipairs(log) do
                if entry.sql:find "^BEGIN" then begins = begins + 1 end
                if entry.sql:find "^COMMIT" then commits = commits + 1 end
                if entry.sql:find "INSERT INTO" then inserts = inserts + 1 end
            end
            assert.equal(1, begins)
            assert.equal(1, commits)
            assert.equal(2, inserts)
        end)

        it("a failing statement is told with its error, the ones before it without", function()
            open {}
            em:insert(Team, { name = "core" })
            listen()
            local ok, err = pcall(em.insert, em, Team, { name = "core" })
            assert.is_false(ok)
            assert.equal("unique_violation", log[#log].error.kind)
            assert.equal(err.kind, log[#log].error.kind)
            log = {}
            ok = pcall(em.execute, em, "select * from nowhere")
            assert.is_false(ok)
            assert.equal(1, #log)
            assert.is_true(orm.is_error(log[1].error, "table_not_found"))
            log = {}
            em:begin()
            em:find(Team, {})
            pcall(em.execute, em, "selct")
            em:rollback()
            assert.matches("^BEGIN SELECT selct ROLLBACK$", words())
            assert.is_nil(log[1].error)
            assert.is_nil(log[2].error)
            assert.equal("syntax", log[3].error.kind)
            assert.is_nil(log[4].error)
            log = {}
            pcall(em.find, em, User, { nmae = 1 })
            pcall(em.find, em, User, { id = "x" })
            assert.same({}, log)
        end)

        it("no value that was bound is in what is told, or in an error's message", function()
            local all = {}
            open { debug = true, logger = function(entry) all[#all + 1] = entry end }
            all = {}
            listen()
            local calls = {
                function() em:insert(User, { name = SECRET, doc = { SECRET } }) end,
                function() em:persist_and_flush(User { name = SECRET }) end,
                function() em:find(User, { name = SECRET }) end,
                function() em:find_one_or_fail(User, { name = SECRET .. "x" }) end,
                function() em:find(User, { name = orm.op.one_of { SECRET, "x" } }) end,
                function() em:update_where(User, { name = SECRET }, { doc = { SECRET } }) end,
                function() em:insert_many(Team, { { name = SECRET }, { name = SECRET } }) end,
                function() em:insert(User, { name = SECRET:rep(20) }) end,
                function() em:find(User, { id = SECRET }) end,
                function() em:find(User, { code = SECRET }) end,
                function() em:execute("select cast(? as integer) + nowhere", SECRET) end,
                function() em:execute("insert into users (name, team_id) values (?, 99)", SECRET) end,
                function() em:find_one(User, SECRET) end,
                function() em:get_reference(User, SECRET) end,
                function() em:create(User, { name = "x", team = SECRET }) end,
                function()
                    local user = em:create(User, { name = "x", code = SECRET })
                    em:fork():persist_and_flush(user)
                end,
            }
            local failed = 0
            for i, call in ipairs(calls) do
                local ok, err = pcall(call)
                if not ok then
                    failed = failed + 1
                    assert.is_true(orm.is_error(err), tostring(err))
                    assert.is_nil(tostring(err):find(SECRET, 1, true), i .. ": " .. tostring(err))
                    assert.is_nil(err.message:find(SECRET, 1, true))
                end
                em:clear()
            end
            assert.is_true(failed >= 9)
            assert.is_true(#all > 8)
            assert.equal(#log, #all)
            for _, entry in ipairs(all) do
                assert.is_nil(entry.sql:find(SECRET, 1, true), entry.sql)
                assert.is_nil(tostring(entry.error):find(SECRET, 1, true))
            end
        end)

        it("logger hears everything with debug, slow statements with slow_query", function()
            local entries = {}
            local function logger(entry) entries[#entries + 1] = entry end
            open { debug = true, logger = logger }
            entries = {}
            em:find(Team, {})
            assert.equal(1, #entries)
            assert.matches("^SELECT", entries[1].sql)
            orm.close()
            db:close()
            open { slow_query = 0.05, logger = logger }
            entries = {}
            em:find(Team, {})
            assert.same({}, entries)
            local slow = db.name == "postgres" and "select pg_sleep(0.08)" or [[with recursive c(n) as
                (select 1 union all select n + 1 from c where n < 2000000) select max(n) from c]]
            em:execute(slow)
            assert.equal(1, #entries)
            assert.is_true(entries[1].duration >= 0.05)
            assert.equal(slow, entries[1].sql)
            orm.close()
            db:close()
            open { logger = logger }
            entries = {}
            em:find(Team, {})
            assert.equal(1, #entries)
        end)

        it("debug without a logger writes a line for each statement to standard error", function()
            local config = open {}
            orm.close()
            local script = os.tmpname()
            local file = assert(io.open(script, "w"))
            file:write((([[
                local orm = require "heddle"
                orm.init { driver = %q, host = %q, port = %s, user = %q, database = %q, debug = true,
                    entities = { orm.entity { name = "Team", { "id", type = "integer", primary = true },
                        { "name", type = "string" } } } }
                local em = orm.em()
                em:transactional(function(tx) tx:find("Team", { name = %q }) end)
                local ok, err = pcall(em.execute, em, "select * from nowhere where 1 = ?", 1)
                io.stderr:write(err.traceback and "has a traceback" or "has none", "\n")
            ]]):format(config.driver, config.host or "", config.port or "nil", config.user or "", config.database,
                SECRET)
                :gsub('host = "", port = nil, user = "", ', "")))
            file:close()
            local pipe = io.popen(("%s %s 2>&1"):format(os.getenv "HEDDLE_TEST_LUA", script))
            local output = pipe:read "*a"
            pipe:close()
            os.remove(script)
            local lines = {}
            for line in output:gmatch "[^\n]+" do
                if not line:find "txid_" then lines[#lines + 1] = line end
            end
            assert.equal(5, #lines, output)
            local place = script:gsub("%p", "%%%0")
            assert.matches("^%[default%] %d+%.%d+ ms  BEGIN[%a ]*  %-%- " .. place .. ":6$", lines[1])
            assert.matches("^%[default%] %d+%.%d+ ms  SELECT .*  %-%- 0 rows, " .. place .. ":6$", lines[2])
            assert.matches("^%[default%] %d+%.%d+ ms  COMMIT  %-%- " .. place .. ":6$", lines[3])
            assert.matches("nowhere.*  %-%- table_not_found, .*:7$", lines[4])
            assert.equal("has a traceback", lines[5])
            assert.is_nil(output:find(SECRET, 1, true))
        end)

        it("a listener that fails changes nothing: what was sent was sent", function()
            open {}
            local stderr, said = io.stderr, {}
            io.stderr = { write = function(_, text) said[#said + 1] = text end } -- luacheck: ignore 122
            finally(function() io.stderr = stderr end) -- luacheck: ignore 122
            local fails = false
            instance:on("query", function() if fails then error("the listener's own", 0) end end)
            em:persist(Team { name = "a" })
            fails = true
            em:flush()
            em:flush()
            assert.equal(1, #em:find(Team, {}))
            assert.equal("1", db:raw():value "select count(*) from team")
            assert.equal(2, #said)
            assert.matches("'query' listener.*'default'.*the listener's own", said[1])
            fails = false
            assert.equal(1, em:count(Team, {}))
            assert.equal(0, instance:pool_stats().in_use)
        end)
    end)
end)
