-- Waiting: the same calls under a scheduler, with an adapter of the program's own (spec/support/loop.lua).

local databases = require "spec.support.databases"
local loop = require "spec.support.loop"
local orm = require "heddle"
local raises = require("spec.support.unit").raises

local pcall = require("heddle.compat").pcall -- 5.1's own cannot be yielded across

local User = orm.entity { name = "User", table = "users", { "id", type = "integer", primary = true },
    { "name", type = "string" } }

-- What a function writes to stderr.
local function heard(fn, ...)
    local real, text = io.stderr, {}
    io.stderr = { write = function(_, ...) -- luacheck: ignore
        for i = 1, select("#", ...) do text[#text + 1] = tostring((select(i, ...))) end
    end }
    local ok, err = pcall(fn, ...)
    io.stderr = real -- luacheck: ignore
    if not ok then error(err, 0) end
    return table.concat(text)
end

local function collect()
    collectgarbage()
    collectgarbage()
end

describe("waiting:", function()
    before_each(function()
        loop.reset()
        orm.use(loop.wait)
    end)
    after_each(function()
        orm.use "blocking"
        loop.reset()
        orm.close()
    end)

    it("orm.use takes what it knows and nothing else", function()
        local err = raises("config", orm.use, "nginx")
        assert.matches("'nginx'", err.message)
        raises("config", orm.use, {})
        raises("config", orm.use)
        orm.use "blocking"
    end)

    databases.each(function(db)
        local instance

        local function open(overrides)
            orm.use "blocking"
            local config = { entities = { User }, allow_global_context = true }
            for key, value in pairs(overrides or {}) do config[key] = value end
            instance = orm.init(db:config(config))
            instance.schema:create()
            orm.use(loop.wait)
            return instance.em
        end

        after_each(function()
            orm.use "blocking"
            orm.close()
            db:close()
        end)

        -- A flush of one INSERT was broken off. SQLite was waiting for its lock, so it goes again; PostgreSQL may have
        -- written and committed it.
        local function flush_again(fork, raw)
            local function flush() fork:flush() end
            if db.name == "postgres" then
                for _ = 1, 2 do
                    local err = raises("connection", flush)
                    assert.equal("unknown", err.outcome)
                    assert.matches("em:clear%(%)", err.message)
                end
                fork:clear()
                local others = "select count(*) from pg_stat_activity where datname = current_database() "
                    .. "and pid <> pg_backend_pid()"
                while tonumber(raw:value(others)) > instance:pool_stats().size do raw:rows "select pg_sleep(0.001)" end
                raw:exec "delete from users"
                fork:persist(fork:create(User, { name = "x" }))
            end
            loop.spawn(flush)
            loop.run()
            assert.equal("1", raw:value "select count(*) from users")
        end

        it("the same calls give the same results, interleaved", function()
            open { pool = { max = 4 } }
            local done = {}
            for i = 1, 4 do
                loop.spawn(function()
                    orm.request_context(function()
                        local em = orm.em()
                        local user = em:persist_and_flush(em:create(User, { name = "user " .. i }))
                        em:transactional(function()
                            user.name = "changed " .. i
                            em:flush()
                            loop.yield()
                            assert.is_false((pcall(em.transactional, em, function()
                                em:persist(em:create(User, { name = "undone " .. i }))
                                em:flush()
                                loop.yield()
                                error "undo"
                            end)))
                        end)
                        em:clear()
                        assert.equal("changed " .. i, em:find_one(User, user.id).name)
                        done[#done + 1] = i
                    end)
                end)
            end
            loop.run()
            assert.equal(4, #done)
            assert.same({ { "4", "4" } }, db:raw():rows "select count(*), count(distinct name) from users")
        end)

        it("F1: an error of the adapter's breaks the call off and leaves nothing running", function()
            local em = open()
            local fork = em:fork()
            local raw = db:raw()
            if db.name == "sqlite" then raw:exec "begin immediate" end
            loop.spawn(function()
                orm.use(function() error("the scheduler has had enough", 0) end)
                local ok, err = pcall(function()
                    fork:persist(fork:create(User, { name = "x" }))
                    fork:flush()
                end)
                assert.same({ false, "the scheduler has had enough" }, { ok, err })
            end)
            orm.use(loop.wait)
            loop.run()
            if db.name == "sqlite" then raw:exec "rollback" end
            assert.equal(0, instance:pool_stats().in_use)
            flush_again(fork, raw)
        end)

        it("busy: another coroutine uses an entity manager on which a transaction is open", function()
            local em = open():fork()
            local seen
            loop.spawn(function()
                em:transactional(function()
                    em:persist_and_flush(em:create(User, { name = "mine" }))
                    loop.yield()
                    em:persist(em:create(User, { name = "mine too" }))
                end)
            end)
            loop.spawn(function()
                for _, use in ipairs {
                    function() em:find(User, {}) end, function() em:execute "select 1" end, function() em:flush() end,
                    function() em:begin() end, function() em:commit() end, function() em:rollback() end,
                    function() em:transactional(function() end) end, function() em:insert(User, { name = "y" }) end,
                    function() em:persist(User { name = "y" }) end,
                    function() em:delete_where(User, {}, { all = true }) end,
                } do
                    local err = raises("busy", use)
                    assert.matches("fork", err.message)
                    assert.equal("default", err.context)
                end
                seen = true
            end)
            loop.run()
            assert.is_true(seen)
            assert.same({ { "mine" }, { "mine too" } }, db:raw():rows "select name from users order by id")
        end)

        it("a transaction belongs to the coroutines that its own resumes, too", function()
            local em = open():fork()
            loop.spawn(function()
                em:transactional(function()
                    local inner = orm.wrap(function()
                        em:persist_and_flush(em:create(User, { name = "from within" }))
                        coroutine.yield(em:count(User, {}))
                    end)
                    assert.equal(1, inner())
                end)
            end)
            loop.run()
            assert.equal("1", db:raw():value "select count(*) from users")
        end)

        it("a transaction that an ended coroutine left open is busy until somebody rolls it back", function()
            local em = open():fork()
            local co = loop.spawn(function()
                em:begin()
                em:persist_and_flush(em:create(User, { name = "left" }))
            end)
            loop.run()
            assert.equal("dead", coroutine.status(co))
            loop.spawn(function()
                local err = raises("busy", em.find, em, User, {})
                assert.matches("em:rollback%(%)", err.message)
                raises("busy", em.commit, em)
                em:rollback()
                assert.equal(0, em:count(User, {}))
            end)
            loop.run()
            assert.equal(0, instance:pool_stats().in_use)
            assert.equal("0", db:raw():value "select count(*) from users")
        end)

        it("a coroutine that is given up inside a transaction frees its connection when it is collected", function()
            local em = open { pool = { max = 1 } }
            do
                local co = loop.spawn(function()
                    orm.request_context(function()
                        em:begin()
                        em:persist_and_flush(em:create(User, { name = "never" }))
                        loop.yield()
                    end)
                end)
                while instance:pool_stats().in_use == 0 or loop.waits(co) do loop.step() end
                loop.drop(co)
            end
            collect()
            assert.equal(0, instance:pool_stats().in_use)
            loop.spawn(function() em:fork():insert(User, { name = "next" }) end)
            loop.run()
            assert.same({ { "next" } }, db:raw():rows "select name from users")
        end)

        it("orm.wrap passes waits through generators, nested ones too", function()
            local em = open { pool = { max = 2 } }
            loop.spawn(function()
                em:insert_many(User, { { name = "a" }, { name = "b" }, { name = "c" } })
                orm.request_context(function()
                    local function names(of)
                        return orm.wrap(function()
                            for _, user in ipairs(of:find(User, {}, { order_by = { "id" } })) do
                                coroutine.yield(user.name, of:count(User, {}))
                            end
                        end)
                    end
                    local list = {}
                    local outer = orm.wrap(function()
                        local inner = names(em)
                        local name, count = inner() -- on 5.1 a generic for cannot be yielded across
                        while name do
                            em:fork():execute "select 1"
                            coroutine.yield(name .. count)
                            name, count = inner()
                        end
                        error("the end", 0)
                    end)
                    for i = 1, 3 do list[i] = outer() end
                    assert.same({ "a3", "b3", "c3" }, list)
                    assert.same({ false, "the end" }, { pcall(outer) })
                    assert.is_false((pcall(outer)))
                end)
            end)
            loop.run()
            assert.equal(0, instance:pool_stats().in_use)
        end)

        it("a foreign generator blocks, says so once with its place, and gives what it should", function()
            local em = open { pool = { max = 2 } }
            local text = heard(function()
                loop.spawn(function()
                    orm.request_context(function()
                        em:persist_and_flush(em:create(User, { name = "a" }))
                        for _ = 1, 2 do
                            local generator = coroutine.wrap(function()
                                for _, user in ipairs(em:fork():find_all(User)) do coroutine.yield(user) end
                                coroutine.yield(orm.wrap(function() coroutine.yield(em:fork():count(User, {})) end)())
                            end)
                            assert.equal("a", generator().name)
                            assert.equal(1, generator())
                        end
                    end)
                end)
                loop.run()
            end)
            if db.name == "postgres" then
                local _, times = text:gsub("orm%.wrap", "")
                assert.equal(1, times)
                assert.matches("waiting_spec.lua:%d+", text)
            end
        end)

        it("coroutines that inherit the main coroutine's scope wait like any other", function()
            local em = open { pool = { max = 2 } }
            local text = heard(function()
                orm.request_context(function()
                    loop.spawn(function() em:fork():execute "select 1" end)
                    loop.run()
                end)
            end)
            assert.equal("", text)
        end)

        if _VERSION >= "Lua 5.4" then
            it("a coroutine that is closed while it waits leaves its entity manager usable", function()
                local em = open { pool = { max = 2 } }
                local fork, raw = em:fork(), db:raw()
                if db.name == "sqlite" then raw:exec "begin immediate" end
                local co = loop.spawn(function() fork:persist_and_flush(fork:create(User, { name = "x" })) end)
                assert.is_true(loop.waits(co))
                loop.drop(co)
                coroutine.close(co)
                if db.name == "sqlite" then raw:exec "rollback" end
                flush_again(fork, raw)
                assert.equal(0, instance:pool_stats().in_use)
            end)
        end
    end)
end)
