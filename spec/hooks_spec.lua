-- Hooks: their order, what they may do, and what is left of it when a flush fails.

local databases = require "spec.support.databases"
local orm = require "heddle"
local unit = require "spec.support.unit"

local told
local function tell(...)
    told[#told + 1] = table.concat({ ... }, " ")
end

local on -- hooks of the spec that runs: event -> function

local function hooks_of(...)
    local made = {}
    for _, event in ipairs { ... } do
        made[event] = function(e, about)
            tell(event, e.name or "?")
            if on[event] then on[event](e, about) end
        end
    end
    return made
end

local Team = orm.entity { name = "Team", table = "teams",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "slug", type = "string", nullable = true },
    hooks = hooks_of("before_create", "before_update", "after_create"),
}
local Tag = orm.entity { name = "Tag", table = "tags",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "slug", type = "string", nullable = true },
}
local User = orm.entity { name = "User", table = "users",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "slug", type = "string", nullable = true },
    { "data", type = "json", nullable = true },
    { "rank", type = "integer", default_sql = "7" },
    { "made", type = "integer", on_create = function(user) return #user.name end },
    { "seen", type = "integer", nullable = true, on_update = function(user) return (user.seen or 0) + 1 end },
    { "team", many_to_one = "Team", nullable = true },
    hooks = hooks_of("on_init", "on_load", "before_create", "after_create", "before_update", "after_update",
        "before_delete", "after_delete"),
}

databases.each(function(db)
    describe("hooks", function()
        local work, em, raw

        before_each(function()
            told, on = {}, {}
            work = unit.open(db, { Team, Tag, User })
            em, raw = work.em, work.raw
        end)
        after_each(function()
            work:close()
            db:close()
        end)

        local function given(name)
            local user = em:persist_and_flush(User { name = name or "Ann", team = Team { name = "core" } })
            told = {}
            work:forget()
            return user
        end

        it("F1: come in the documented order, listeners of the context behind the entity's own", function()
            for _, event in ipairs { "before_flush", "after_flush", "after_commit" } do
                work.instance:on(event, function() tell(event) end)
            end
            for _, event in ipairs { "before_create", "after_create", "before_update", "before_delete" } do
                work.instance:on(event, function(e) tell("context:" .. event, e.name) end)
            end
            work.instance:on("query", function(entry) tell(entry.sql:match "^COMMIT" or "sql") end)
            local user = User { name = "Ann" }
            on.after_create = function(e) assert.is_number(e.id) end
            em:persist(user):flush()
            local order = {}
            for _, event in ipairs(told) do
                if event ~= "sql" or order[#order] ~= "sql" then order[#order + 1] = event end
            end
            assert.same({ "on_init Ann", "before_flush", "before_create Ann", "context:before_create Ann", "sql",
                "after_create Ann", "context:after_create Ann", "after_flush", "COMMIT", "after_commit" }, order)
            told = {}
            user.name = "Bob"
            em:flush()
            assert.equal("before_update Bob", told[2])
            told = {}
            em:remove(user):flush()
            assert.same({ "before_flush", "before_delete Bob", "context:before_delete Bob" },
                { told[1], told[2], told[3] })
        end)

        it("U7: on_init when an instance is made, on_load when a row first becomes one", function()
            local user = given()
            em:clear()
            on.on_load = function(e, about)
                assert.equal(em, about.em)
                assert.equal("core", em:load(e, { "team" }).team.name)
            end
            user = em:find_one(User, user.id)
            assert.equal(user, em:find(User, {})[1])
            em:refresh(user)
            assert.same({ "on_load Ann" }, told)
            told = {}
            em:create(User, { name = "x" })
            assert.same({ "on_init x" }, told)
        end)

        it("U1: an update hook is called for what changed only, and what it sets is written", function()
            local user = given()
            on.before_update = function(e) e.slug = e.name:lower() end
            em:flush()
            user.name = "X"
            user.name = "Ann"
            em:flush()
            assert.same({}, told)
            user.name = "Bea"
            em:flush()
            assert.same({ "before_update Bea", "after_update Bea" }, told)
            assert.same({ { "Bea", "bea", "1" } }, raw:rows "select name, slug, seen from users")
            assert.equal(1, user.seen)
            em:flush()
            assert.equal(1, user.seen)
        end)

        it("U1: a hook that changes everything back leaves nothing to write", function()
            local user = given()
            on.before_update = function(e) e.name, e.seen = "Ann", nil end
            user.name = "X"
            em:flush()
            assert.equal("Ann", raw:value "select name from users")
            assert.equal(0, work:writes())
        end)

        it("U4: on_create fills what is empty, before_create sees it, and both count as given", function()
            on.before_create = function(e)
                if e.made then e.slug = e.name .. e.made end
            end
            local user = em:persist_and_flush(User { name = "Ann" })
            assert.same({ 3, "Ann3", 7 }, { user.made, user.slug, user.rank })
            assert.equal(99, em:persist_and_flush(User { name = "Bob", made = 99 }).made)
            assert.same({ { "3", "Ann3" }, { "99", "Bob99" } }, raw:rows "select made, slug from users order by id")
        end)

        it("F1: a hook may give its instance a new relation, whose own hooks then come", function()
            on.before_create = function(e)
                if getmetatable(e).definition.name == "User" then e.team = Team { name = "made" } end
            end
            em:persist_and_flush(User { name = "Ann" })
            assert.same({ "on_init Ann", "before_create Ann", "before_create made" },
                { told[1], told[2], told[3] })
            assert.equal("made", raw:value "select t.name from users u join teams t on t.id = u.team_id")
        end)

        it("F1: what a hook changes elsewhere is written in the same flush, with its own hooks", function()
            local user = given()
            on.before_update = function(e)
                if e == user then e.team.slug = "touched" end
            end
            user.name = "Bea"
            em:flush()
            assert.same({ "before_update Bea", "before_update core", "after_update Bea" }, told)
            assert.equal("touched", raw:value "select slug from teams")
        end)

        it("F1: persisting or removing inside before_* is a hook error, at that line", function()
            local user = given()
            for _, method in ipairs { "persist", "remove" } do
                local target = method == "persist" and Team { name = "x" } or user.team
                on.before_update = function() em[method](em, target) end
                user.name = "X"
                local err = unit.raises("hook", em.flush, em)
                assert.is_truthy(err.where:find("hooks_spec", 1, true))
                assert.equal("X", user.name)
            end
            on.before_update = function(e) em:persist(e) end -- it is persisted already
            em:flush()
            assert.equal("X", raw:value "select name from users")
        end)

        it("F1: before_flush may persist and remove", function()
            local user = given()
            local once = true
            work.instance:on("before_flush", function(event)
                if not once then return end
                once = false
                event.em:persist(Team { name = "added" }):remove(user)
            end)
            em:flush()
            assert.same({ { "core" }, { "added" } }, raw:rows "select name from teams order by id")
            assert.equal("0", raw:value "select count(*) from users")
        end)

        it("F1: flush inside any hook is a hook error", function()
            local user = given()
            for _, event in ipairs { "before_update", "after_update" } do
                on = { [event] = function() em:flush() end }
                user.name = "X"
                unit.raises("hook", em.flush, em)
                assert.equal("Ann", raw:value "select name from users")
            end
            on = {}
            local event = work.instance
            event:on("before_flush", function(about) about.em:flush() end)
            unit.raises("hook", em.flush, em)
        end)

        it("F1: hooks may read; a query inside one does not flush", function()
            local user = given()
            on.before_update = function(e)
                assert.equal(1, em:count(User, { name = "Ann" }))
                e.slug = em:find_one(Team, { name = "core" }).name
            end
            on.after_update = function() assert.equal(1, em:count(User, { name = "Bea" })) end
            user.name = "Bea"
            em:flush()
            assert.equal("core", raw:value "select slug from users")
        end)

        for _, event in ipairs { "before_create", "after_create" } do
            it("F1: an error in " .. event .. " takes everything back, whatever hooks had set", function()
                local user, ann = User { name = "Bob", data = { 1 }, team = Team { name = "t" } }, given()
                ann.name = "Bea"
                em:persist(user)
                local oops = {}
                on[event] = function(e)
                    e.slug = "hooked"
                    if e.data then e.data[2] = 2 end
                    if e == user then error(oops, 0) end
                end
                on.before_update = function(e) e.slug = "hooked" end
                local ok, err = pcall(em.flush, em)
                assert.is_false(ok)
                assert.equal(oops, err)
                assert.same({ nil, nil, nil, nil }, { user.id, user.slug, user.rank, user.made })
                assert.same({ 1 }, user.data)
                assert.same({ nil, nil, nil }, { user.team.id, ann.slug, ann.seen })
                assert.equal("Bea", ann.name)
                assert.equal("1", raw:value "select count(*) from users")
                assert.equal("1", raw:value "select count(*) from teams")
                on = {}
                em:flush()
                assert.same({ { "Bea", "1" }, { "Bob", false } }, raw:rows "select name, seen from users order by name")
                assert.equal("2", raw:value "select count(*) from teams")
            end)
        end

        for _, fields in ipairs { "all columns", "some columns" } do
            it("F1: what hooks changed in rows with " .. fields .. " goes back, nothing else is read", function()
                for _, name in ipairs { "Ann", "Bob", "Cid" } do given(name) end
                raw:exec "update users set data = '[1]'"
                em:clear()
                local some = fields == "some columns" and { "name", "data", "seen" } or nil
                local users = em:find(User, {}, { order_by = { "name" }, fields = some })
                local ann, bob, cid = users[1], users[2], users[3]
                ann.name, ann.data[2] = "Ada", 2
                bob.slug = "own"
                local sent = 0
                work.instance:on("query", function() sent = sent + 1 end)
                on.before_update = function(e)
                    e.slug, cid.name = "hooked", "hooked"
                    if e == ann then ann.data[1], bob.slug = 9, "hooked" end
                    if e == cid then error("no", 0) end
                end
                assert.is_false(pcall(em.flush, em))
                assert.is_true(sent <= 2) -- of a transaction alone, if any
                assert.same({ "Ada", nil, { 1, 2 } }, { ann.name, rawget(ann, "slug"), ann.data })
                assert.same({ "Bob", "own", { 1 } }, { bob.name, bob.slug, bob.data })
                assert.same({ "Cid", nil, { 1 } }, { cid.name, rawget(cid, "slug"), cid.data })
                on = {}
                em:flush()
                local json = db.name == "postgres" and "data::text" or "json(data)"
                assert.same({ { "Ada", false, "12" }, { "Bob", "own", "1" }, { "Cid", false, "1" } }, raw:rows(
                    "select name, slug, replace(replace(replace(replace(" .. json ..
                    ", '[', ''), ']', ''), ',', ''), ' ', '') from users order by name"))
            end)
        end

        it("F1: so does what they changed in rows that they read in part themselves", function()
            for _, name in ipairs { "a", "b" } do em:persist(Team { name = name }) end
            em:flush()
            em:clear()
            local a, b = em:find_one(Team, { name = "a" }), nil
            a.name = "own"
            on.before_update = function(e)
                if e == b then error("no", 0) end
                b = em:find_one(Team, { name = "b" }, { fields = { "name" } })
                a.slug, b.name = "hooked", "hooked"
            end
            local ok, err = pcall(em.flush, em)
            assert.same({ false, "no" }, { ok, err })
            assert.same({ "own", "b" }, { a.name, b.name })
            assert.is_nil(a.slug)
            on = {}
            em:flush()
            assert.same({ { "b", false }, { "own", false } }, raw:rows "select name, slug from teams order by name")
        end)

        it("F1: what an after_* hook set is taken back too", function()
            local tag, fail = Tag { name = "x" }, true
            work.instance:on("after_create", function(e)
                e.slug = "hooked"
                if fail then error "no" end
            end)
            em:persist(tag)
            assert.is_false(pcall(em.flush, em))
            assert.is_nil(tag.slug)
            fail = false
            em:flush()
            assert.equal("hooked", tag.slug) -- a change like any other, for the next flush
            em:flush()
            assert.equal("hooked", raw:value "select slug from tags")
        end)

        it("F1: an error in after_delete brings the entity back, to be removed still", function()
            local user = given()
            on.after_delete = function() error "no" end
            em:remove(user)
            assert.is_false(pcall(em.flush, em))
            assert.is_false(em:contains(user))
            assert.equal("core", user.team.name)
            assert.equal("1", raw:value "select count(*) from users")
            on = {}
            em:flush()
            assert.equal("0", raw:value "select count(*) from users")
        end)

        if db.name == "postgres" then
            it("F1: a failed statement that a hook passed over fails the flush, of which nothing is left", function()
                local bob, ann, fail = User { name = "Bob" }, User { name = "Ann" }, true
                on.after_create = function(_, about)
                    if fail then pcall(about.em.execute, about.em, "nonsense") end
                end
                em:persist(bob)
                unit.raises("driver", em.flush, em)
                assert.is_nil(bob.id)
                assert.equal("0", raw:value "select count(*) from users")
                em:begin()
                unit.raises("driver", em.flush, em)
                fail = false
                em:persist(ann):flush()
                fail = true
                bob.name = "Bea"
                on.after_update = on.after_create
                unit.raises("driver", em.flush, em)
                fail = false
                em:commit()
                assert.same({ { "Ann" }, { "Bea" } }, raw:rows "select name from users order by name")
            end)
        end

        it("F1: an error in after_flush rolls back, one in after_commit does not", function()
            local bob, fail = User { name = "Bob" }, "after_flush"
            for _, event in ipairs { "after_flush", "after_commit" } do
                work.instance:on(event, function()
                    if fail == event then error(event, 0) end
                end)
            end
            em:persist(bob)
            assert.is_false(pcall(em.flush, em))
            assert.is_nil(bob.id)
            assert.equal("0", raw:value "select count(*) from users")
            fail = "after_commit"
            local ok, err = pcall(em.flush, em)
            assert.is_false(ok)
            assert.equal("after_commit", err)
            assert.equal("1", raw:value "select count(*) from users")
            assert.is_number(bob.id)
            fail = nil
            em:flush()
            assert.equal("1", raw:value "select count(*) from users")
        end)

        it("F1: after_commit and after_flush are told what changed", function()
            local seen = {}
            for _, event in ipairs { "after_flush", "after_commit" } do
                work.instance:on(event, function(changes) seen[event] = changes end)
            end
            local user = em:persist_and_flush(User { name = "Ann" })
            for _, event in ipairs { "after_flush", "after_commit" } do
                local change = seen[event][1]
                assert.same({ "create", user, "User", "Ann", user.id },
                    { change.op, change.entity, change.name, change.values.name, change.values.id })
            end
            user.name = "Bea"
            em:flush()
            assert.same({ "update", "Bea", "Ann" }, { seen.after_commit[1].op, seen.after_commit[1].values.name,
                seen.after_commit[1].old.name })
            em:remove(user):flush()
            assert.equal("delete", seen.after_commit[1].op)
            assert.equal(1, #seen.after_commit)
        end)

        it("O3: ten thousand rows with hooks stay few statements and little time", function()
            local users, start = {}, os.clock()
            for i = 1, 10000 do
                users[i] = User { name = "n" .. i }
                em:persist(users[i])
            end
            work:forget()
            em:flush()
            -- A thousand rows each; what databases bind at once may be less.
            assert.is_true(work:writes() <= 20, work:writes())
            assert.equal("10000", raw:value "select count(*) from users where made = length(name)")
            assert.is_true(os.clock() - start < 8, os.clock() - start)
        end)
    end)
end)
