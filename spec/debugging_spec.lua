-- What entries say, who hears them when, loggers that fail, wait or query themselves, and comments in the SQL.

local databases = require "spec.support.databases"
local logging = require "heddle.logging"
local loop = require "spec.support.loop"
local orm = require "heddle"
local raises = require("spec.support.unit").raises

local pcall = require("heddle.compat").pcall -- 5.1's own cannot be yielded across

local Team = orm.entity {
    name = "Team",
    { "id", type = "integer", primary = true },
    { "name", type = "string", unique = true },
}

local SECRET = "s3cret-value"

-- What a function writes to stderr.
local function heard(fn, ...)
    local real, text = io.stderr, {}
    io.stderr = { write = function(_, ...) -- luacheck: ignore 122
        for i = 1, select("#", ...) do text[#text + 1] = tostring((select(i, ...))) end
    end }
    local ok, err = pcall(fn, ...)
    io.stderr = real -- luacheck: ignore 122
    if not ok then error(err, 0) end
    return table.concat(text)
end

local function kinds_of(entries)
    local list = {}
    for i, entry in ipairs(entries) do list[i] = entry.kind end
    return table.concat(list, " ")
end

-- The line that this is called on, as entries name it.
local function here()
    local info = debug.getinfo(2, "Sl")
    return info.short_src .. ":" .. info.currentline
end

describe("an entry as a line", function()
    local function entry(given)
        local made = { sql = "SELECT 1", context = "default", connection = "primary", duration = 0.0123456, rows = 1,
            kind = "select" }
        for key, value in pairs(given or {}) do made[key] = value end
        return made
    end

    it("is plain: context, milliseconds, text, rows, place", function()
        assert.equal("[default] 12.346 ms  SELECT 1  -- 1 row\n", logging.line(entry()))
        assert.equal("[default] 12.346 ms  SELECT 1  -- 0 rows, app.lua:3\n",
            logging.line(entry { rows = 0, where = "app.lua:3" }))
        assert.equal("[b replica 2] 12.346 ms  SELECT 1  -- slow, 2 rows\n",
            logging.line(entry { context = "b", connection = "replica 2", slow = true, rows = 2 }))
        assert.equal("[default] 12.346 ms  COMMIT\n", logging.line(entry { sql = "COMMIT", kind = "commit", rows = 0 }))
        local failed = entry { error = { kind = "timeout" } }
        failed.rows = nil
        assert.equal("[default] 12.346 ms  SELECT 1  -- timeout\n", logging.line(failed))
    end)

    it("is one line, and no terminal's order, whatever stands in the text", function()
        assert.equal("[default] 12.346 ms  SELECT 1 FROM ?[2Jx\n",
            logging.line(entry { sql = "SELECT\n\t1\r\nFROM \27[2Jx", kind = "other" }))
    end)

    it("has colours on a terminal: red for failures, yellow for what is slow", function()
        assert.equal("\27[2m[default] 12.346 ms\27[0m  SELECT 1  \27[2m-- 1 row\27[0m\n", logging.line(entry(), true))
        assert.matches("\27%[33m%-%- slow, 1 row\27%[0m\n$", logging.line(entry { slow = true }, true))
        local failed = logging.line(entry { error = { kind = "syntax" } }, true)
        assert.matches("\27%[31m%-%- syntax, 1 row\27%[0m\n$", failed)
    end)
end)

databases.each(function(db)
    describe("debugging:", function()
        local instance, em, entries, config

        local function open(overrides)
            config = db:config { entities = { Team }, pool = { max = 3 }, allow_global_context = true }
            for key, value in pairs(overrides or {}) do config[key] = value end
            instance = orm.init(config)
            heard(function() instance.schema:create() end)
            em = instance.em:fork()
            entries = {}
        end

        local function keep(entry) entries[#entries + 1] = entry end

        before_each(function() loop.reset() end)
        after_each(function()
            orm.use "blocking"
            require("heddle.errors").debug = false
            loop.reset()
            orm.close()
            db:close()
        end)

        -- Entries ----------------------------------------------------------------------------------------------------

        it("an entry says sql, kind, context, connection, duration, rows, and no value", function()
            open { logger = keep }
            em:insert(Team, { name = SECRET })
            em:find(Team, { name = SECRET })
            em:update_where(Team, { name = SECRET }, { name = "x" })
            em:transactional(function(tx) tx:execute("select ? as s", SECRET) end)
            assert.matches("insert select update begin.* select commit$", (kinds_of(entries):gsub(" %(", "")))
            for _, entry in ipairs(entries) do
                assert.same({ "default", "primary" }, { entry.context, entry.connection })
                assert.is_true(entry.duration >= 0 and entry.duration < 5)
                assert.is_number(entry.rows)
                assert.is_nil(entry.where)
                assert.is_nil(entry.slow)
                for key, value in pairs(entry) do
                    assert.is_nil(tostring(value):find(SECRET, 1, true), key)
                end
            end
        end)

        it("with debug it says where the program asked for it, in flushes and loops too", function()
            local said = heard(function()
                open { debug = true, logger = keep }
                entries = {}
                em:find(Team, {}) local found = here()
                em:persist(Team { name = "a" }, Team { name = "b" })
                em:flush() local flushed = here()
                for _ in em:stream(Team, {}) do em:count(Team, {}) end local counted = here()
                assert.equal(found, entries[1].where)
                assert.equal(flushed, entries[2].where)
                assert.equal(counted, entries[#entries].where)
            end)
            assert.equal("", said)
        end)

        it("a failure stands at the statement that failed, wherever it was in a pipeline", function()
            open { logger = keep }
            em:insert(Team, { name = "taken" })
            entries = {}
            em:persist(Team { name = "free" }, Team { name = "taken" })
            raises("unique_violation", em.flush, em)
            local failed = {}
            for _, entry in ipairs(entries) do
                if entry.error then failed[#failed + 1] = entry end
            end
            assert.equal(1, #failed)
            assert.matches("INSERT INTO", failed[1].sql)
            assert.equal("unique_violation", failed[1].error.kind)
            assert.is_true(orm.is_error(failed[1].error, "constraint"))
            assert.is_true(entries[#entries].error == nil) -- the rollback
        end)

        it("what the server said of a failure is told with debug only: it may hold values", function()
            for _, debugged in ipairs { false, { sql = true } } do
                heard(function() open { logger = keep, debug = debugged } end)
                em:insert(Team, { name = SECRET })
                entries = {}
                local err = raises("unique_violation", em.insert, em, Team, { name = SECRET })
                assert.is_string(err.cause)
                local told
                for _, entry in ipairs(entries) do told = entry.error or told end
                assert.equal(err.kind, told.kind)
                assert.is_true(orm.is_error(told))
                assert.equal(debugged and err.cause or nil, told.cause)
                if not debugged then
                    for key, value in pairs(told) do
                        assert.is_nil(tostring(value):find(SECRET, 1, true), key)
                    end
                end
                orm.close()
                db:close()
            end
        end)

        -- Who hears what ---------------------------------------------------------------------------------------------

        local slow_sql = db.name == "postgres" and "select pg_sleep(0.15)" or [[with recursive c(n) as
            (select 1 union all select n + 1 from c where n < 3000000) select max(n) from c]]

        local function run(overrides)
            em:count(Team, {})
            em:execute(overrides.slow_query and slow_sql or "select 1")
        end

        -- How many lines, and how many entries of the logger's, the quick and the slow statement make.
        local function told(overrides)
            heard(open, overrides)
            entries = {}
            local _, lines = heard(run, overrides):gsub("\n", "")
            orm.close()
            db:close()
            return lines, #entries
        end

        it("logger, slow_query and debug together", function()
            local function is(lines, heard_by_logger, overrides)
                assert.same({ lines, heard_by_logger }, { told(overrides) })
            end
            is(0, 0, {})
            is(0, 2, { logger = keep })
            is(1, 0, { slow_query = 0.1 })
            is(0, 1, { slow_query = 0.1, logger = keep })
            is(2, 0, { debug = true })
            is(2, 0, { debug = true, slow_query = 0.1 })
            is(0, 2, { debug = true, logger = keep })
            is(0, 2, { debug = true, slow_query = 0.1, logger = keep })
            is(0, 0, { debug = { traceback = true, comments = true } })
            is(0, 2, { debug = { comments = true }, logger = keep })
        end)

        it("what is slow says so, and where it comes from", function()
            open { slow_query = 0.1, logger = keep }
            local listened = {}
            instance:on("query", function(entry) listened[#listened + 1] = entry end)
            em:count(Team, {})
            em:execute(slow_sql) local place = here()
            assert.equal(1, #entries)
            assert.is_true(entries[1].slow)
            assert.is_true(entries[1].duration >= 0.1)
            assert.equal(place, entries[1].where)
            assert.equal(2, #listened)
            assert.is_nil(listened[1].slow)
            assert.is_true(listened[2].slow)
        end)

        it("a statement that took too long and failed is slow, too", function()
            open { slow_query = 0.03, logger = keep }
            local slow = db.name == "postgres" and "(select 1 from pg_sleep(20)) = 1" or "(with recursive c(n) as "
                .. "(select 1 union all select n + 1 from c) select max(n) from c) > 0"
            db:raw():exec "insert into team (name) values ('a')"
            raises("timeout", em.find, em, Team, orm.op.raw(slow), { timeout = 0.05 })
            assert.equal(1, #entries)
            assert.same({ true, "timeout" }, { entries[1].slow, entries[1].error.kind })
            assert.is_true(entries[1].duration >= 0.05)
        end)

        it("debug takes true, false or a table of sql, comments, traceback", function()
            for _, wrong in ipairs { 1, "sql", { 1 }, { sql = 1 }, { sqll = true }, { "sql" } } do
                local err = raises("config", orm.init, { context_name = "x", driver = "sqlite", database = "x.db",
                    debug = wrong })
                assert.matches("debug", err.message)
            end
            local err = raises("config", orm.init, { context_name = "x", driver = "sqlite", database = "x.db",
                debug = { comment = true } })
            assert.matches("did you mean 'comments'", err.message)
            open { debug = { traceback = true } }
            local _, failure = pcall(em.execute, em, "select * from nowhere")
            assert.matches("traceback", failure.traceback)
            require("heddle.errors").debug = false
            orm.close()
            heard(open, { debug = { sql = true } })
            heard(function() _, failure = pcall(em.execute, em, "select * from nowhere") end)
            assert.is_nil(failure.traceback)
        end)

        -- Listeners that do things -----------------------------------------------------------------------------------

        it("one that fails changes nothing, and keeps nobody else from being told", function()
            open { logger = function(entry)
                keep(entry)
                error("the logger's own", 0)
            end }
            local second = 0
            instance:on("query", function() error { "not even a text" } end)
            instance:on("query", function() second = second + 1 end)
            local said = heard(function()
                em:persist(Team { name = "a" })
                em:flush()
                assert.equal(1, em:count(Team, {}))
            end)
            assert.same({ #entries, true }, { second, second >= 2 })
            local _, times = said:gsub("the logger of context 'default' failed: the logger's own\n", "")
            assert.equal(second, times)
            assert.matches("a 'query' listener of context 'default' failed: table", said)
            assert.equal(0, instance:pool_stats().in_use)
        end)

        for name, trouble in pairs {
            ["raises what has no text"] = function()
                error(setmetatable({}, { __tostring = function() error "no" end }))
            end,
            ["empties the entry"] = function(entry)
                for key in pairs(entry) do entry[key] = nil end
            end,
        } do
            it("one that " .. name .. " changes nothing either", function()
                open { debug = true }
                instance:on("query", trouble)
                local said = heard(function()
                    assert.same({ { n = 1 } }, em:execute "select 1 as n")
                end)
                assert.equal(0, instance:pool_stats().in_use)
                assert.matches("^heddle: ", said)
            end)
        end

        it("one that uses the entity manager of the statement is refused, without recursion", function()
            local refused, created = {}, false
            open { logger = function(entry)
                keep(entry)
                if not created then return end
                for _, use in ipairs { "count", "find", "find_all", "insert", "flush", "begin", "rollback" } do
                    local ok, err = pcall(em[use], em, Team, {})
                    assert.is_false(ok)
                    refused[#refused + 1] = err
                end
            end }
            created = true
            assert.equal(0, em:count(Team, {}))
            em:transactional(function(tx) tx:persist(Team { name = "a" }) end)
            assert.is_true(#refused >= 7 * 3)
            for _, err in ipairs(refused) do
                assert.equal("busy", err.kind)
                assert.matches("em:fork%(%)", err.message)
            end
            assert.equal("1", db:raw():value "select count(*) from team")
        end)

        it("one may write with an entity manager of its own; of that nobody is told", function()
            open { pool = { max = 2 }, logger = function(entry)
                keep(entry)
                if entry.kind == "select" then em:fork():insert(Team, { name = "log " .. #entries }) end
            end }
            local listened = 0
            instance:on("query", function() listened = listened + 1 end)
            em:count(Team, {})
            em:count(Team, {})
            assert.same({ 2, 2 }, { #entries, listened })
            assert.equal("2", db:raw():value "select count(*) from team where name like 'log %'")
            em:fork():insert(Team, { name = "told again" })
            assert.is_true(#entries > 2)
        end)

        it("two contexts whose loggers write into each other come to an end", function()
            local other
            local other_config = db:config { context_name = "other", entities = { Team }, logger = function(entry)
                keep(entry)
                if entry.kind ~= "create" and entry.sql:find "team" then instance.em:fork():count(Team, {}) end
            end }
            other = orm.init(other_config)
            other.schema:create()
            open { logger = function(entry)
                keep(entry)
                other.em:fork():count(Team, {})
            end }
            em:count(Team, {})
            local contexts = {}
            for i, entry in ipairs(entries) do contexts[i] = entry.context end
            assert.same({ "default", "other" }, contexts)
        end)

        it("inside a transaction that holds the only connection, or the file, it fails at once", function()
            open { pool = { max = 1 }, logger = function(entry)
                keep(entry)
                em:fork():insert(Team, { name = "log " .. #entries })
            end }
            local said = heard(function()
                em:transactional(function(tx)
                    tx:insert(Team, { name = "a" })
                    tx:count(Team, {})
                end)
            end)
            assert.matches("the logger of context 'default' failed", said)
            assert.equal("1", db:raw():value "select count(*) from team where name = 'a'")
            assert.equal(0, instance:pool_stats().in_use)
        end)

        it("one may wait: meanwhile its entity manager is busy for others, then everything goes on", function()
            open { logger = function(entry)
                keep(entry)
                loop.yield()
                loop.yield()
            end }
            orm.use(loop.wait)
            local busy, done = 0, 0
            local first = loop.spawn(function()
                em:transactional(function(tx) tx:persist(Team { name = "a" }) end)
                em:persist(Team { name = "b" })
                em:flush()
                done = done + 1
            end)
            loop.spawn(function()
                while coroutine.status(first) ~= "dead" do
                    local ok, err = pcall(em.count, em, Team, {})
                    assert.is_false(ok)
                    assert.equal("busy", err.kind)
                    busy = busy + 1
                    loop.yield()
                end
                assert.equal(2, em:count(Team, {}))
                done = done + 1
            end)
            loop.run()
            assert.equal(2, done)
            assert.is_true(busy >= 4)
            assert.equal(0, instance:pool_stats().in_use)
        end)

        it("one that is never resumed is given up with its entity manager's work", function()
            open { pool = { max = 1 }, logger = function(entry)
                keep(entry)
                loop.yield()
            end }
            orm.use(loop.wait)
            do
                local co = loop.spawn(function() em:update_where(Team, {}, { name = "x" }, { all = true }) end)
                while #entries == 0 do loop.step() end
                loop.drop(co)
            end
            collectgarbage()
            collectgarbage()
            local count
            loop.spawn(function() count = em:count(Team, {}) end)
            loop.run()
            assert.equal(0, count)
        end)

        -- Comments ---------------------------------------------------------------------------------------------------

        it("comments: every statement of a call says where it comes from, control statements do not", function()
            open { debug = { comments = true }, logger = keep }
            entries = {}
            em:count(Team, {}) local counted = here()
            assert.equal(" /* " .. counted .. " */", entries[1].sql:match " /%*.*$")
            em:execute "select 1 as one" local executed = here()
            assert.equal("select 1 as one /* " .. executed .. " */", entries[2].sql)
            entries = {}
            em:begin()
            em:persist(Team { name = "a" }, Team { name = "b" })
            em:flush() local flushed = here()
            em:rollback()
            local commented = 0
            for _, entry in ipairs(entries) do
                local comment = entry.sql:match "/%*.*%*/$"
                if comment then
                    assert.equal("/* " .. flushed .. " */", comment)
                    commented = commented + 1
                else
                    assert.is_nil(entry.sql:find "team", entry.sql)
                end
            end
            assert.is_true(commented >= 1)
            assert.equal(0, em:count(Team, {}))
        end)

        it("comments: each row finds its place, whatever the text ends with", function()
            open { debug = { comments = true } }
            em:insert_many(Team, { { name = "a" }, { name = "b" } })
            assert.same({ { n = 2 } }, em:execute "select count(*) as n from team -- all of them")
            assert.same({ { s = "it's /* no */ comment" } }, em:execute("select ? as s", "it's /* no */ comment"))
            local user, inserted = em:upsert(Team, { name = "c" })
            assert.is_true(inserted)
            user.name = "d"
            em:flush()
            em:remove(user):flush()
            local names = {}
            for team in em:stream(Team, {}, { order_by = { "name" } }) do names[#names + 1] = team.name end
            assert.same({ "a", "b" }, names)
        end)

        it("comments: the name of a file cannot end one, nor say anything else", function()
            open { debug = { comments = true }, logger = keep }
            local load_text = require("heddle.compat").load
            for _, name in ipairs { "evil*/; drop table team; --", "a/*b", "x\n;delete from team", "\195\40", "?$1:n",
                ("long"):rep(100) } do
                local text = "local em, Team = ...\nlocal n = em:count(Team, {})\nreturn n"
                local chunk = assert(load_text(text, "@" .. name))
                entries = {}
                assert.equal(0, chunk(em, Team))
                local comment = entries[1].sql:match " /%* (.*) %*/$"
                assert.matches("^[%w._/: %-]+$", comment)
                assert.is_true(#comment < 128)
            end
            assert.equal("0", db:raw():value "select count(*) from team")
        end)

        it("without them the text is what it was", function()
            open { debug = { sql = true }, logger = keep }
            em:count(Team, {})
            assert.is_nil(entries[#entries].sql:find("/*", 1, true))
        end)

        if db.name == "postgres" then
            it("comments reach the server, and a call that is made again is prepared once", function()
                open { debug = { comments = true } }
                orm.use(loop.wait)
                local place
                loop.spawn(function()
                    place = here():gsub("%d+$", function(line) return tonumber(line) + 1 end)
                    em:execute "select pg_sleep(0.3)"
                end)
                local seen
                while not seen do
                    seen = db:raw():value("select query from pg_stat_activity where query like 'select pg_sleep(0.3)%'"
                        .. " and state = 'active'")
                end
                loop.run()
                assert.equal("select pg_sleep(0.3) /* " .. place .. " */", seen)
                orm.use "blocking"
                em:begin()
                for _ = 1, 5 do em:find(Team, { name = "x" }) end
                em:find(Team, { name = "x" })
                local prepared = em:execute("select count(*) as n from pg_prepared_statements where statement like ?",
                    "SELECT%team%/* %debugging_spec.lua%")[1].n
                em:rollback()
                assert.equal(2, prepared)
            end)

            it("comments: what on_connect sends says where that comes from", function()
                local sent = {}
                open { debug = { comments = true }, on_connect = function(conn) conn:execute "set lock_timeout = 0" end,
                    logger = keep }
                instance:on("query", function(entry) sent[#sent + 1] = entry.sql end)
                orm.close()
                entries = {}
                instance = orm.init(config)
                em = instance.em:fork()
                em:count(Team, {}) local counted = here()
                assert.matches("^set lock_timeout = 0 /%* .*debugging_spec.lua:%d+ %*/$", entries[1].sql)
                assert.equal("/* " .. counted .. " */", entries[2].sql:match "/%*.*$")
                assert.not_equal(entries[1].sql:match "/%*.*$", entries[2].sql:match "/%*.*$")
            end)
        end
    end)
end)
