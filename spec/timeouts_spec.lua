-- timeout for one query and statement_timeout for a context: what takes too long is stopped, says which limit it met,
-- and leaves connection, database and memory as they were.

local databases = require "spec.support.databases"
local loop = require "spec.support.loop"
local orm = require "heddle"
local socket = require "socket"
local raises = require("spec.support.unit").raises

local pcall = require("heddle.compat").pcall -- 5.1's own cannot be yielded across
local op = orm.op

local User = orm.entity {
    name = "User", table = "users",
    { "id", type = "integer", primary = true },
    { "name", type = "string", unique = true },
    { "age", type = "integer", default = 0 },
    { "books", one_to_many = "Book", mapped_by = "owner" },
}
local Book = orm.entity {
    name = "Book", table = "books",
    { "id", type = "integer", primary = true },
    { "title", type = "string" },
    { "owner", many_to_one = User },
}

local ENDLESS = "(with recursive c(n) as (select 1 union all select n + 1 from c where n < 4000000000) "
    .. "select max(n) from c)"
local SLOW = { postgres = "(select 1 from pg_sleep(20)) = 1", sqlite = ENDLESS .. " > 0" }
local SLOW_SELECT = { postgres = "select pg_sleep(20)", sqlite = "select " .. ENDLESS }

-- Runs fn under the blocking adapter and in a coroutine under a scheduler.
local function both_ways(fn)
    fn()
    orm.use(loop.wait)
    loop.spawn(fn)
    loop.run()
    orm.use "blocking"
end

-- Calls fn, which has to fail by a limit of so many seconds, and not much later.
local function times_out(seconds, fn, ...)
    local began = socket.gettime()
    local ok, err = pcall(fn, ...)
    local spent = socket.gettime() - began
    assert.is_false(ok)
    assert.is_true(orm.is_error(err, "timeout"), tostring(err))
    assert.is_true(spent >= seconds and spent < seconds + 3, spent)
    return err
end

databases.each(function(db)
    describe("time limits:", function()
        local instance, em
        local slow = op.raw(SLOW[db.name])

        local function open(overrides)
            local config = { entities = { User, Book }, pool = { max = 3 } }
            for key, value in pairs(overrides or {}) do config[key] = value end
            config = db:config(config)
            instance = orm.init(config)
            instance.schema:create()
            em = instance.em:fork()
            em:insert(User, { name = "Ann" })
            em:insert(Book, { title = "A", owner = 1 })
            return config
        end

        before_each(function() loop.reset() end)
        after_each(function()
            orm.use "blocking"
            loop.reset()
            orm.close()
            db:close()
        end)

        local reads = {
            find = function(opts) em:find(User, slow, opts) end,
            find_one = function(opts) em:find_one(User, slow, opts) end,
            find_one_or_fail = function(opts) em:find_one_or_fail(User, slow, opts) end,
            count = function(opts) em:count(User, slow, opts) end,
            find_and_count = function(opts) em:find_and_count(User, slow, opts) end,
            find_by_cursor = function(opts)
                em:find_by_cursor(User, slow, { timeout = opts.timeout, first = 1, order_by = { "id" } })
            end,
            unmanaged = function(opts) em:find(User, slow, { timeout = opts.timeout, managed = false }) end,
            stream = function(opts)
                local rows = em:stream(User, slow, opts) -- on 5.1 a generic for cannot be yielded across
                rows()
            end,
            populate = function(opts)
                em:find(User, {}, { timeout = opts.timeout, populate = { { "books", where = slow } } })
            end,
            joined = function(opts)
                em:find(User, slow, { timeout = opts.timeout, populate = { "books" }, strategy = "joined" })
            end,
            ["the query builder"] = function(opts) em:query(User, "e0"):where(slow):options(opts):all() end,
            load = function(opts)
                em:load(em:find_one(User, 1), { { "books", where = slow } }, opts)
            end,
        }
        for name, read in pairs(reads) do
            it("timeout of " .. name .. ": the statement is stopped, its connection goes on", function()
                open()
                local opened = instance:pool_stats().opened
                both_ways(function()
                    local err = times_out(0.05, read, { timeout = 0.05 })
                    assert.matches("0%.05 seconds %(option timeout%)", err.message)
                    assert.equal("default", err.context)
                    assert.matches(name == "stream" and db.name == "postgres" and "^FETCH" or "^SELECT", err.sql)
                    assert.equal(1, em:count(User, {}))
                    em:clear()
                end)
                local stats = instance:pool_stats()
                assert.same({ 0, 0 }, { stats.in_use, stats.closed - (name == "stream" and stats.closed or 0) })
                assert.is_true(stats.opened <= opened + (name == "stream" and 2 or 0))
            end)
        end

        local writes = {
            update_where = function(opts) em:update_where(User, slow, { age = 1 }, opts) end,
            delete_where = function(opts) em:delete_where(User, slow, opts) end,
            ["the query builder"] = function(opts)
                em:query(User, "e0"):update({ age = 1 }):where(slow):options(opts):execute()
            end,
        }
        for name, write in pairs(writes) do
            it("timeout of " .. name .. ": nothing is written", function()
                open()
                both_ways(function()
                    local err = times_out(0.05, write, { timeout = 0.05 })
                    assert.matches("0%.05 seconds %(option timeout%)", err.message)
                end)
                assert.same({ { "Ann", "0" } }, db:raw():rows "select name, age from users")
                assert.same({ 0, 0 }, { instance:pool_stats().in_use, instance:pool_stats().closed })
            end)
        end

        -- Somebody else has the row, or on SQLite the file.
        local function hold(raw)
            raw:exec(db.name == "sqlite" and "begin immediate" or "begin")
            raw:exec "update users set age = 9 where id = 1"
        end

        it("timeout of upsert: waiting for a lock counts, and all of it is taken back", function()
            open()
            local raw = db:raw()
            both_ways(function()
                hold(raw)
                times_out(0.1, em.upsert, em, User, { name = "Ann", age = 5 }, { timeout = 0.1 })
                times_out(0.1, em.upsert_many, em, User, { { name = "New" }, { name = "Ann", age = 5 } },
                    { timeout = 0.1 })
                raw:exec "rollback"
                assert.same({ { "Ann", "0" } }, raw:rows "select name, age from users")
                local user, inserted = em:upsert(User, { name = "Ann", age = 5 }, { timeout = 5 })
                assert.same({ 5, false }, { user.age, inserted })
                raw:exec "update users set age = 0"
                em:clear()
            end)
            assert.equal(0, instance:pool_stats().closed)
        end)

        it("what is in time is not touched, however short the limit was before", function()
            open()
            for _ = 1, 20 do
                pcall(em.find, em, User, {}, { timeout = 1e-9 })
                assert.equal(1, em:count(User, {}, { timeout = 60 }))
                assert.equal(1, em:count(User, {}, { timeout = 1e300 }))
            end
            assert.equal(0, instance:pool_stats().in_use)
        end)

        it("a timeout is a number of seconds, more than 0", function()
            open()
            for _, wrong in ipairs { 0, -1, "1", true, {}, math.huge, -math.huge, 0 / 0 } do
                for _, call in ipairs {
                    function(opts) em:find(User, {}, opts) end,
                    function(opts) em:find_one(User, { name = "Ann" }, opts) end,
                    function(opts) em:count(User, {}, opts) end,
                    function(opts) em:load(em:get_reference(User, 1), nil, opts) end,
                    function(opts) em:update_where(User, { id = 1 }, { age = 1 }, opts) end,
                    function(opts) em:delete_where(User, { id = 1 }, opts) end,
                    function(opts) em:upsert(User, { name = "Ann" }, opts) end,
                    function(opts) for _ in em:stream(User, {}, opts) do error "a row" end end,
                    function(opts) em:find_one(User, 1).books:load(opts) end,
                    function(opts) em:find_one(User, 1).books:load_count(opts) end,
                    function(opts) em:find_one(User, 1).books:matching({}, opts) end,
                    function(opts) em:query(User, "u"):options(opts):all() end,
                } do
                    local err = raises("validation", call, { timeout = wrong })
                    assert.matches("timeout", err.message)
                end
            end
            raises("config", orm.init, { context_name = "x", driver = "sqlite", database = "x.db",
                statement_timeout = -1 })
            assert.equal("1", db:raw():value "select count(*) from users where age = 0")
        end)

        it("I2: an entity that is there already takes no statement, with a timeout either", function()
            open()
            local user, sent = em:find_one(User, 1), 0
            instance:on("query", function() sent = sent + 1 end)
            assert.equal(user, em:find_one(User, 1, { timeout = 1 }))
            assert.equal(0, sent)
        end)

        it("waiting for a pooled connection is not the statement's time", function()
            open { pool = { max = 1 } }
            orm.use(loop.wait)
            local holder, found = em:fork(), nil
            loop.spawn(function()
                holder:transactional(function()
                    holder:find_one(User, 1)
                    local till = socket.gettime() + 0.15
                    while socket.gettime() < till do loop.yield() end
                end)
            end)
            loop.spawn(function()
                assert.equal(1, instance:pool_stats().in_use)
                found = #em:find(User, {}, { timeout = 0.1 })
            end)
            loop.run()
            assert.equal(1, found)
        end)

        it("F3: in a transaction what was written before is kept by a savepoint", function()
            open()
            both_ways(function()
                em:clear()
                em:transactional(function(tx)
                    tx:update_where(User, { id = 1 }, { age = 3 })
                    local ok, err = pcall(tx.transactional, tx, function(inner)
                        inner:update_where(User, { id = 1 }, { age = 4 })
                        inner:find(User, slow, { timeout = 0.05 })
                    end)
                    assert.is_false(ok)
                    assert.is_true(orm.is_error(err, "timeout"))
                    assert.equal(3, tx:find_one(User, 1).age)
                end)
                assert.equal("3", db:raw():value "select age from users")
            end)
        end)

        it("in a transaction without one, only SQLite can go on", function()
            open()
            em:begin()
            em:update_where(User, { id = 1 }, { age = 3 })
            times_out(0.05, em.find, em, User, slow, { timeout = 0.05 })
            if db.name == "sqlite" then
                assert.equal(3, em:find_one(User, 1).age)
                em:commit()
                return assert.equal("3", db:raw():value "select age from users")
            end
            local ok, err = pcall(em.find_one, em, User, 1)
            assert.is_false(ok)
            assert.equal("25P02", err.sqlstate)
            em:rollback()
            assert.equal("0", db:raw():value "select age from users")
        end)

        it("a query listener hears which limit it was", function()
            open()
            local last
            instance:on("query", function(entry) last = entry end)
            pcall(em.find, em, User, slow, { timeout = 0.05 })
            assert.equal("timeout", last.error.kind)
            assert.matches("^SELECT", last.sql)
            assert.is_true(last.duration >= 0.05)
        end)

        -- statement_timeout ----------------------------------------------------------------------------------------

        it("statement_timeout: every statement of the context, one by one", function()
            open { statement_timeout = 0.3 }
            both_ways(function()
                for _, call in ipairs {
                    function() em:execute(SLOW_SELECT[db.name]) end,
                    function() em:find(User, slow) end,
                    function() em:update_where(User, slow, { age = 1 }) end,
                    function() em:find(User, slow, { timeout = 30 }) end,
                } do
                    local err = times_out(0.3, call)
                    assert.matches("statement_timeout", err.message)
                end
                local err = times_out(0.05, em.find, em, User, slow, { timeout = 0.05 })
                assert.matches("option timeout", err.message)
            end)
            assert.same({ 0, 0 }, { instance:pool_stats().in_use, instance:pool_stats().closed })
        end)

        it("statement_timeout = 0 is none, and a transaction of many statements may last", function()
            open { statement_timeout = 0 }
            assert.equal(1, em:count(User, {}))
            orm.close()
            open { statement_timeout = 0.3 }
            em:transactional(function(tx)
                for _ = 1, 5 do
                    tx:count(User, {})
                    socket.sleep(0.1)
                end
            end)
        end)

        it("F1: a flush that meets it is rolled back, and flushes again when it can", function()
            open { statement_timeout = 0.3 }
            local raw = db:raw()
            both_ways(function()
                em:clear()
                local user = em:find_one(User, 1)
                hold(raw)
                user.age = 5
                local new = em:create(User, { name = "Ben", books = { { title = "B" } } })
                em:persist(new)
                local err = times_out(0.3, em.flush, em)
                assert.matches("statement_timeout", err.message)
                assert.is_nil(err.outcome)
                assert.is_nil(new.id)
                assert.equal(5, user.age)
                raw:exec "rollback"
                assert.same({ { "Ann", "0" } }, raw:rows "select name, age from users")
                em:flush()
                assert.same({ { "Ann", "5" }, { "Ben", "0" } }, raw:rows "select name, age from users order by name")
                assert.equal("1", raw:value "select count(*) from books where title = 'B'")
                raw:exec "delete from books where title = 'B'"
                raw:exec "delete from users where name = 'Ben'"
                raw:exec "update users set age = 0"
            end)
            assert.equal(0, instance:pool_stats().closed)
        end)

        it("F1: a flush of one row that needs no transaction", function()
            open { statement_timeout = 0.3 }
            local raw = db:raw()
            raw:exec(db.name == "sqlite" and "begin immediate" or "begin")
            raw:exec "insert into users (name, age) values ('Ben', 1)"
            local user = em:create(User, { name = "Ben" })
            em:persist(user)
            times_out(0.3, em.flush, em)
            assert.is_nil(user.id)
            raw:exec "rollback"
            em:flush()
            assert.is_number(user.id)
            assert.equal("1", raw:value "select count(*) from users where name = 'Ben'")
        end)

        it("F3: a flush that meets it leaves the transaction around it usable", function()
            open { statement_timeout = 0.3 }
            local raw = db:raw()
            if db.name == "sqlite" then
                raw:exec("create trigger slow before update of name on users begin select " ..
                    ENDLESS:gsub("4000000000", "5000") .. "; end")
                for i = 1, 2000 do raw:exec("insert into users (name, age) values ('u" .. i .. "', 0)") end
            end
            em:transactional(function(tx)
                tx:update_where(User, { id = 1 }, { age = 7 })
                local ok, err
                if db.name == "postgres" then
                    raw:exec "begin"
                    raw:exec "insert into users (name) values ('Ben')"
                    tx:persist(tx:create(User, { name = "Ben" }))
                    ok, err = pcall(tx.flush, tx)
                    raw:exec "rollback"
                else
                    -- Many short writes, as a flush of many rows is: it is stopped between two.
                    local users = tx:find(User, { id = op.gt(1) })
                    for _, user in ipairs(users) do user.name = user.name .. "x" end
                    ok, err = pcall(tx.flush, tx)
                    for _, user in ipairs(users) do user.name = user.name:gsub("x$", "") end
                    tx:persist(tx:create(User, { name = "Ben" }))
                end
                assert.is_false(ok)
                assert.is_true(orm.is_error(err, "timeout"), tostring(err))
                tx:flush()
            end)
            assert.equal("7", raw:value "select age from users where id = 1")
            assert.equal("1", raw:value "select count(*) from users where name = 'Ben'")
            assert.equal("0", raw:value "select count(*) from users where name like '%x'")
        end)

        if db.name == "sqlite" then
            it("a write that alone takes too long ends the transaction, which says so", function()
                open()
                em:begin()
                em:insert(User, { name = "Ben" })
                times_out(0.05, em.update_where, em, User, slow, { age = 1 }, { timeout = 0.05 })
                local err = raises("connection", em.find, em, User, {})
                assert.matches("the database ended it", err.message)
                em:rollback()
                assert.equal("1", db:raw():value "select count(*) from users")
            end)

            it("a database in memory outlives its limits", function()
                instance = orm.init { driver = "sqlite", database = ":memory:", entities = { User, Book },
                    statement_timeout = 0.2 }
                instance.schema:create()
                em = instance.em:fork()
                em:insert(User, { name = "Ann" })
                times_out(0.05, em.find, em, User, slow, { timeout = 0.05 })
                times_out(0.2, em.execute, em, SLOW_SELECT.sqlite)
                assert.equal(1, em:count(User, {}))
            end)
        end
    end)
end)
