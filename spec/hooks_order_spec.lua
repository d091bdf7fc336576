-- The order of hooks and events, in single rows and batches, and what is refused while one of them runs.

local databases = require "spec.support.databases"
local loop = require "spec.support.loop"
local orm = require "heddle"
local unit = require "spec.support.unit"

local told, on
local function tell(...) told[#told + 1] = table.concat({ ... }, " ") end

local HOOKS = { "on_init", "on_load", "before_create", "after_create", "before_update", "after_update",
    "before_delete", "after_delete" }
local EVENTS = { "before_flush", "on_flush", "after_flush", "after_commit", "after_rollback" }

local function hooks_of(kind)
    local made = {}
    for _, event in ipairs(HOOKS) do
        made[event] = function(e, about)
            tell(event, kind .. ":" .. tostring(e.name))
            assert(about.entity == e and about.name == event)
            if on[event] then on[event](e, about) end
        end
    end
    return made
end

local Team = orm.entity { name = "Team", table = "teams",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "slug", type = "string", nullable = true },
    { "users", one_to_many = "User", mapped_by = "team", cascade = { "persist", "remove" } },
    hooks = hooks_of "Team",
}
local User = orm.entity { name = "User", table = "users",
    { "id", type = "integer", primary = true },
    { "name", type = "string", length = 20 },
    { "rank", type = "integer", default_sql = "7" },
    { "slug", type = "string", nullable = true },
    { "team", many_to_one = "Team", nullable = true },
    hooks = hooks_of "User",
}
-- Nobody's hooks.
local Note = orm.entity { name = "Note", table = "notes",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "slug", type = "string", nullable = true },
    { "user", many_to_one = "User", nullable = true },
}

databases.each(function(db)
    describe("the order of hooks", function()
        local work, em, raw

        before_each(function()
            told, on = {}, {}
            work = unit.open(db, { Team, User, Note })
            em, raw = work.em, work.raw
        end)
        after_each(function()
            work:close()
            db:close()
        end)

        local function given(name)
            local user = em:persist_and_flush(User { name = name or "Ann" })
            told = {}
            work:forget()
            return user
        end

        local function listen_to_all()
            for _, event in ipairs(EVENTS) do work.instance:on(event, function() tell(event) end) end
            work.instance:on("query", function(entry)
                local word = entry.sql:match "^COMMIT" or entry.sql:match "^ROLLBACK" or "sql"
                if told[#told] ~= word then tell(word) end
            end)
        end

        it("F1: of one flush with rows of every kind", function()
            local bob, cid = given "Bob", given "Cid"
            listen_to_all()
            local team = Team { name = "core" }
            team.users:add(User { name = "Ann" })
            told = {}
            bob.rank = 3
            em:remove(cid):persist(team):flush()
            assert.same({ "before_flush",
                "before_create User:Ann", "before_create Team:core", "before_update User:Bob", "before_delete User:Cid",
                "on_flush", "sql",
                "after_create User:Ann", "after_create Team:core", "after_update User:Bob", "after_delete User:Cid",
                "after_flush", "COMMIT", "after_commit" }, told)
            assert.same({ { "Ann", "7" }, { "Bob", "3" } }, raw:rows "select name, rank from users order by name")
        end)

        it("F1: of many rows is all of one event before the next, and few statements", function()
            listen_to_all()
            on.before_create = function(e) e.slug = e.name .. "!" end
            local seen = 0
            on.after_create = function(e)
                assert.is_number(e.id)
                assert.equal(7, e.rank)
                seen = seen + 1
            end
            for i = 1, 500 do em:persist(User { name = "u" .. i }) end
            told = {}
            em:flush()
            for i = 1, 500 do
                assert.equal("before_create User:u" .. i, told[1 + i])
                assert.equal("after_create User:u" .. i, told[503 + i])
            end
            assert.same({ "on_flush", "sql", "after_flush", "COMMIT", "after_commit" },
                { told[502], told[503], told[1004], told[1005], told[1006] })
            assert.equal(500, seen)
            assert.equal("500", raw:value "select count(*) from users where slug = name || '!'")
            assert.is_true(work:writes() <= 6)
        end)

        it("F1: inside a transaction after_commit waits for its end", function()
            listen_to_all()
            em:begin()
            em:persist(User { name = "Ann" }):flush()
            assert.equal("after_flush", told[#told])
            em:persist(User { name = "Bob" })
            em:commit()
            assert.same({ "COMMIT", "after_commit" }, { told[#told - 1], told[#told] })
            local commits = 0
            for _, each in ipairs(told) do commits = commits + (each == "after_commit" and 1 or 0) end
            assert.equal(1, commits)
        end)

        it("F1: a row that is removed and made again under its key has the hooks of both, and is one UPDATE", function()
            local ann = given()
            local id = ann.id
            on.after_delete = function(e) assert.equal(id, e.id) end
            em:remove(ann):persist(User { id = id, name = "Bea" })
            told = {}
            em:flush()
            assert.same({ "before_create User:Bea", "before_delete User:Ann", "after_create User:Bea",
                "after_delete User:Ann" }, told)
            assert.same({ 1, 1 }, { work:writes "UPDATE", work:writes() })
            assert.same({ { tostring(id), "Bea" } }, raw:rows "select id, name from users")
        end)

        it("F1: values of before_* are written and validated", function()
            on.before_create = function(e) e.name = ("x"):rep(21) end
            em:persist(User { name = "Ann" })
            local err = unit.raises("validation", em.flush, em)
            assert.same({ "User", "name" }, { err.entity, err.property })
            on.before_create = function(e) e.name = "good" end
            em:flush()
            assert.equal("good", raw:value "select name from users")
        end)

        it("F1: a removed entity's values may be read in before_delete, and changing them writes nothing", function()
            local ann = given()
            on.before_delete = function(e) e.name = e.name .. "?" end
            em:remove(ann):flush()
            assert.same({ "before_delete User:Ann", "after_delete User:Ann?" }, told)
            assert.equal(0, work:writes "UPDATE")
        end)

        it("F1: what any hook or listener sets, in whatever entity, is taken back when the flush fails", function()
            local ann, team, note = given(), Team { name = "t" }, Note { name = "n" }
            em:persist(team, note):flush()
            local added = User { name = "Bob", team = team }
            em:persist(added)
            ann.name = "Bea"
            note.name = "mine"
            local fail = true
            work.instance:on("before_flush", function()
                note.slug, note.name = "before_flush", "theirs"
                em:persist(Note { name = "another" })
            end)
            on.before_create = function(e)
                if e == added then team.slug, ann.slug = "touched", "too" end
            end
            on.after_create = function()
                note.user = added
                if fail then error("no", 0) end
            end
            for _ = 1, 2 do
                assert.is_false(pcall(em.flush, em))
                assert.same({ "mine", "Bea", "Bob" }, { note.name, ann.name, added.name })
                assert.same({}, { note.slug, ann.slug, team.slug, note.user, added.id })
                assert.equal("Ann", raw:value "select name from users")
                assert.equal("1", raw:value "select count(*) from notes")
            end
            local pending = em:changes()
            assert.equal(3, #pending) -- Bob, Ann, the note
            fail = false
            em:flush()
            assert.equal(added, note.user) -- for the next flush
            em:flush()
            assert.same({ { "theirs", "before_flush", tostring(added.id) } },
                raw:rows "select name, slug, user_id from notes where name <> 'another'")
            assert.same({ { "Bea", "too" }, { "Bob", false } }, raw:rows "select name, slug from users order by name")
            assert.equal("touched", raw:value "select slug from teams")
        end)

        it("F1: a listener is switched off by what `on` gave back", function()
            local calls = {}
            local function count(e) calls[#calls + 1] = e.name end
            local first = work.instance:on("before_create", count)
            local second = work.instance:on("before_create", count)
            local third
            third = work.instance:on("before_create", function() third() end) -- in the middle of being called
            local last = work.instance:on("before_create", count)
            em:persist(Note { name = "a" }):flush()
            assert.same({ "a", "a", "a" }, calls)
            first()
            first()
            em:persist(Note { name = "b" }):flush()
            assert.same({ "a", "a", "a", "b", "b" }, calls)
            second()
            last()
            em:persist(Note { name = "c" }):flush()
            assert.equal(5, #calls)
            assert.is_nil(next(work.instance.listeners.before_create or {}))
        end)

        it("F1: one that comes while others are called is called from the next time on", function()
            local calls = 0
            local off = work.instance:on("before_create", function()
                work.instance:on("before_create", function() calls = calls + 1 end)
            end)
            em:persist(Note { name = "a" }):flush()
            assert.equal(0, calls)
            off()
            em:persist(Note { name = "b" }):flush()
            assert.equal(1, calls)
        end)

        local ENDINGS = { "flush", "clear", "begin", "commit", "rollback", "transactional" }
        local function try_all(where)
            for _, method in ipairs(ENDINGS) do
                local ok, err = pcall(em[method], em, method == "transactional" and print or nil)
                assert(not ok and orm.is_error(err, "hook"), where .. ": " .. method .. " " .. tostring(err))
                assert(err.message:find(where, 1, true), err.message)
            end
        end

        it("F1: no hook and no listener flushes, clears, begins or ends a transaction: hook", function()
            given()
            local tried = {}
            local function try(event)
                return function()
                    if tried[event] then return end
                    tried[event] = true
                    try_all(event)
                end
            end
            for _, event in ipairs(HOOKS) do on[event] = try(event) end
            for _, event in ipairs(EVENTS) do work.instance:on(event, try(event)) end
            local bob = em:create(User, { name = "Bob" })
            em:persist(bob):flush()
            bob.name = "Bea"
            em:flush()
            em:clear()
            bob = em:find_one(User, bob.id)
            em:remove(bob):flush()
            em:begin()
            em:rollback()
            for _, event in ipairs(HOOKS) do assert.is_true(tried[event], event) end
            for _, event in ipairs(EVENTS) do assert.is_true(tried[event], event) end
            em:transactional(function() em:persist(User { name = "after" }) end) -- and afterwards all is as ever
            assert.same({ { "Ann" }, { "after" } }, raw:rows "select name from users order by name")
        end)

        it("F1: an error in on_load or on_init leaves the entity manager usable", function()
            local id = given().id
            em:clear()
            on.on_load = function() error("no", 0) end
            assert.is_false(pcall(em.find_one, em, User, id))
            on.on_init = on.on_load
            assert.is_false(pcall(em.create, em, User, { name = "x" }))
            em:clear()
            em:transactional(function() end)
        end)

        it("F1: on_load may read, and what is pending is not flushed by that", function()
            local ann, bob = given(), given "Bob"
            em:clear()
            ann = em:find_one(User, ann.id)
            ann.name = "Bea"
            on.on_load = function(_, about) assert.equal(0, about.em:count(User, { name = "Bea" })) end
            em:find_one(User, bob.id)
            assert.equal("Ann", raw:value("select name from users where id = " .. ann.id))
        end)

        it("F1: before_* hooks do not persist, remove or detach others: hook", function()
            local ann, other = given(), Note { name = "x" }
            for _, method in ipairs { "persist", "remove", "detach" } do
                on.before_update = function() em[method](em, method == "persist" and other or ann) end
                ann.name = "X"
                local err = unit.raises("hook", em.flush, em)
                assert.is_truthy(err.message:find("before_update of User", 1, true))
                assert.is_truthy(err.where:find("hooks_order_spec", 1, true))
            end
        end)

        it("F1: nothing is written beside the flush before its statements; behind them it is part of it", function()
            local ann = given()
            local calls = {
                insert = function() return em:insert(Note, { name = "x" }) end,
                insert_many = function() return em:insert_many(Note, { { name = "x" } }) end,
                upsert = function() return em:upsert(Note, { id = 500, name = "x" }) end,
                update_where = function() return em:update_where(Note, { name = "n" }, { name = "m" }) end,
                delete_where = function() return em:delete_where(Note, { name = "m" }) end,
            }
            em:insert(Note, { name = "n" })
            for name, call in pairs(calls) do
                for _, event in ipairs { "before_flush", "before_update", "on_flush" } do
                    local off = work.instance:on(event, call)
                    ann.name = "X"
                    local err = unit.raises("hook", em.flush, em)
                    assert.is_truthy(err.message:find("em:" .. name .. " inside " .. event, 1, true), err.message)
                    off()
                end
            end
            assert.same({ { "n" } }, raw:rows "select name from notes")
            local fail = true
            on.after_update = function()
                for _, name in ipairs { "insert", "insert_many", "upsert", "update_where" } do calls[name]() end
                if fail then error("no", 0) end
            end
            assert.is_false(pcall(em.flush, em))
            assert.same({ { "n" } }, raw:rows "select name from notes")
            fail = false
            em:flush()
            assert.same({ { "m" }, { "x" }, { "x" }, { "x" } }, raw:rows "select name from notes order by name")
        end)

        it("F1: on_load is for instances of no entity manager too", function()
            local id = given().id
            on.on_load = function(e) e.slug = "loaded " .. e.id end
            local ann = em:find(User, {}, { managed = false })[1]
            assert.same({ "on_load User:Ann" }, told)
            assert.equal("loaded " .. id, ann.slug)
        end)

        it("F1: after_* may persist; that is for the next flush", function()
            on.after_create = function(e) em:persist(Note { name = "of " .. e.name, user = e }) end
            local ann = em:persist_and_flush(User { name = "Ann" })
            assert.equal("0", raw:value "select count(*) from notes")
            on = {}
            em:flush()
            assert.same({ { "of Ann", tostring(ann.id) } }, raw:rows "select name, user_id from notes")
            on.after_create = function(e)
                em:persist(Note { name = "of " .. e.name })
                error("no", 0)
            end
            em:persist(User { name = "Bob" })
            assert.is_false(pcall(em.flush, em))
            on = {}
            assert.equal(1, #em:changes()) -- Bob alone
        end)

        describe("that wait", function()
            before_each(function()
                loop.reset()
                orm.use(loop.wait)
            end)
            after_each(function()
                loop.reset()
                orm.use "blocking"
            end)

            for _, event in ipairs { "before_create", "after_create" } do
                it("C2: others are busy while " .. event .. " waits, and the flush goes on behind it", function()
                    local own = em:fork()
                    local entered, errs = false, {}
                    on[event] = function()
                        entered = true
                        loop.yield()
                        assert.equal(0, own:count(Note, {}))
                    end
                    loop.spawn(function() own:persist_and_flush(User { name = "Ann" }) end)
                    loop.spawn(function()
                        while not entered do loop.yield() end
                        for _, call in ipairs { "flush", "begin", "count", "persist" } do
                            local ok, err = pcall(own[call], own, Note, {})
                            errs[#errs + 1] = not ok and err.kind or "none"
                        end
                    end)
                    loop.run()
                    assert.same({ "busy", "busy", "busy", "busy" }, errs)
                    assert.equal("1", raw:value "select count(*) from users")
                end)

                it("F1: a coroutine that ends inside " .. event .. " takes its flush back", function()
                    local own, user = em:fork(), User { name = "Ann" }
                    on[event] = function(e)
                        e.slug = "hooked"
                        coroutine.yield()
                    end
                    do
                        local co = coroutine.create(function() own:persist_and_flush(user) end)
                        local _, wait = coroutine.resume(co)
                        while type(wait) == "table" do -- of the database; the hook's is nil
                            require("socket").sleep(0.01)
                            _, wait = coroutine.resume(co, true)
                        end
                        assert.equal("suspended", coroutine.status(co))
                    end
                    collectgarbage()
                    collectgarbage()
                    on = {}
                    loop.spawn(function()
                        assert.equal(0, own:count(User, {}, { flush_mode = "commit" }))
                        assert.same({}, { user.slug, user.id })
                        own:flush()
                    end)
                    loop.run()
                    assert.equal("1", raw:value "select count(*) from users where slug is null")
                end)
            end
        end)
    end)
end)
