-- C3: an entity in the wrong context or entity manager fails at the line that used it, never at flush.

local databases = require "spec.support.databases"
local orm = require "heddle"
local op = orm.op
local raises = require("spec.support.unit").raises

local Team = orm.entity { name = "Team", table = "teams", { "id", type = "integer", primary = true },
    { "name", type = "string" } }
local User = orm.entity { name = "User", table = "users", { "id", type = "integer", primary = true },
    { "name", type = "string" }, { "team", many_to_one = Team, nullable = true },
    { "boss", many_to_one = "User", nullable = true } }
local Log = orm.entity { name = "AnalyticsLog", table = "logs", { "id", type = "integer", primary = true },
    { "event", type = "string" } }

-- The call has to fail on its own line.
local function raises_here(kind, fn)
    local err = raises(kind, fn)
    local defined = debug.getinfo(fn, "S").linedefined
    assert.equal(("wrong_place_spec.lua:%d"):format(defined), tostring(err.where):match "[^/]+$",
        tostring(err))
    assert.equal(" at " .. err.where, tostring(err):sub(-#err.where - 4))
    return err
end

databases.each(function(db)
    describe("the wrong place:", function()
        local one, two, raw_one, raw_two, statements

        before_each(function()
            local entities = { Team, User }
            local config = db:config { entities = entities }
            one = orm.init(config)
            one.schema:create()
            raw_one = db:raw(config)
            config = db:config { entities = { Team, User, Log }, context_name = "secondary" }
            two = orm.init(config)
            two.schema:create()
            raw_two = db:raw(config)
            statements = {}
            for name, instance in pairs { one = one, two = two } do
                instance:on("query", function(entry)
                    statements[#statements + 1] = name .. " " .. entry.sql:match "^%a+"
                end)
            end
        end)
        after_each(function()
            orm.close()
            db:close()
        end)

        local function count(raw, name) return tonumber(raw:value("select count(*) from " .. name)) end


        -- Every call that takes an instance, each on a line of its own; `mine` belongs to `em`.
        local function uses(em, mine, theirs)
            return {
                function() em:persist(theirs) end,
                function() em:persist(theirs, em:create(User, { name = "fine" })) end,
                function() em:persist_and_flush(theirs) end,
                function() em:remove(theirs) end,
                function() em:remove_and_flush(theirs) end,
                function() mine.boss = theirs end,
                function() em:create(User, { name = "x", boss = theirs }) end,
                function() em:assign(mine, { boss = theirs }) end,
                function() em:refresh(theirs) end,
                function() em:assign(theirs, { name = "x" }) end,
                function() em:insert(User, { name = "x", boss = theirs }) end,
                function() em:persist(User { name = "x", boss = theirs }) end,
            }
        end

        -- A filter takes the key of an instance, so that only the context counts.
        local function filters(em, theirs)
            return {
                function() em:find(User, { boss = theirs }) end,
                function() em:find_one(User, { boss = theirs }) end,
                function() em:count(User, { boss = theirs }) end,
                function() em:find(User, { boss = op.ne(theirs) }) end,
                function() em:find(User, { boss = op.one_of { theirs } }) end,
                function() em:find(User, op.any { { boss = theirs }, { name = "x" } }) end,
                function() em:find(User, { boss = { boss = theirs } }) end,
                function() em:delete_where(User, { boss = theirs }) end,
                function() em:update_where(User, { boss = theirs }, { name = "x" }) end,
                function() em:update_where(User, { name = "y" }, { boss = theirs }) end,
            }
        end

        local function check_all(kind, list)
            for _, use in ipairs(list) do
                local err = raises_here(kind, use)
                assert.equal("default", err.context)
            end
        end

        it("C3: an instance of another context fails at the line that used it", function()
            local em = one.em:fork()
            local mine = em:persist_and_flush(em:create(User, { name = "mine" }))
            local other = two.em:fork()
            local theirs = other:persist_and_flush(other:create(User, { name = "theirs" }))
            for _, foreign in ipairs { theirs, other:get_reference(User, 99) } do
                check_all("wrong_context", uses(em, mine, foreign))
                check_all("wrong_context", filters(em, foreign))
                assert.is_false(em:contains(foreign))
            end
            statements = {}
            em:flush()
            assert.same({}, statements)
            assert.same({ 1, 1 }, { count(raw_one, "users"), count(raw_two, "users") })
            assert.equal("theirs", theirs.name)
            local err = raises("wrong_context", em.persist, em, theirs)
            assert.matches("'secondary'", err.message)
            assert.matches("'default'", err.message)
            assert.equal("User", err.entity)
        end)

        it("C3: an instance of another entity manager of the same context fails at the line that used it", function()
            local em, other = one.em:fork(), one.em:fork()
            local mine = em:persist_and_flush(em:create(User, { name = "mine" }))
            local theirs = other:persist_and_flush(other:create(User, { name = "theirs" }))
            for _, foreign in ipairs { theirs, other:get_reference(User, 99) } do
                check_all("not_managed", uses(em, mine, foreign))
            end
            for _, use in ipairs(filters(em, theirs)) do use() end
            assert.matches("em:merge", raises("not_managed", em.persist, em, theirs).message)
            local own = em:merge(theirs)
            assert.not_equal(theirs, own)
            mine.boss = own
            em:flush()
            assert.equal(tostring(theirs.id), raw_one:value("select boss_id from users where id = " .. mine.id))
        end)

        it("C3: what a request loaded fails in the next one, and after it", function()
            local em = orm.em()
            local id = em:persist_and_flush(em:create(User, { name = "x" })).id
            local stale = orm.request_context(function() return em:find_one(User, id) end)
            orm.request_context(function()
                local mine = em:find_one(User, id)
                check_all("not_managed", uses(em, mine, stale))
                stale.name = "changed where nobody sees it"
                em:flush()
                em:merge(stale)
                assert.equal("changed where nobody sees it", mine.name)
            end)
            collectgarbage()
            raises_here("not_managed", function() em:persist(stale) end)
            raises_here("wrong_context", function() two.em:persist(stale) end)
            raises_here("wrong_context", function() two.em:find(User, { boss = stale }) end)
        end)

        it("C3: what was managed before clear fails like a stranger's", function()
            local em = one.em:fork()
            local old = em:persist_and_flush(em:create(User, { name = "old" }))
            local pending = em:create(User, { name = "pending" })
            em:persist(pending)
            em:clear()
            local mine = em:persist_and_flush(em:create(User, { name = "mine" }))
            check_all("not_managed", uses(em, mine, old))
            raises_here("not_managed", function() old.boss = mine end)
            assert.same({ { "old" }, { "mine" } }, raw_one:rows "select name from users order by id")
        end)

        it("C3: instances that nobody manages yet carry strangers no further than persist", function()
            local em, other = one.em:fork(), two.em:fork()
            local theirs = other:persist_and_flush(other:create(User, { name = "theirs" }))
            local loose = User { name = "loose", boss = theirs }
            raises_here("wrong_context", function() em:persist(loose) end)
            local chain = User { name = "chain", boss = User { name = "x", boss = theirs } }
            raises_here("wrong_context", function() em:persist(chain) end)
            local mine = em:create(User, { name = "mine" })
            em:persist(mine)
            raises_here("wrong_context", function() mine.boss = loose end)
            em:flush()
            assert.same({ { "mine" } }, raw_one:rows "select name from users")
            other:persist(loose)
            other:flush()
            assert.equal(tostring(theirs.id), raw_two:value "select boss_id from users where name = 'loose'")
        end)

        it("C3: a stranger that is hung on later is found before the first statement", function()
            local em, other = one.em:fork(), two.em:fork()
            local theirs = other:persist_and_flush(other:create(User, { name = "theirs" }))
            local middle = User { name = "middle" }
            local mine = em:create(User, { name = "mine", boss = middle })
            em:persist(mine)
            middle.boss = theirs -- nobody's instance may hold anything
            statements = {}
            raises("wrong_context", em.flush, em)
            assert.same({}, statements)
            middle.boss = nil
            em:flush()
            assert.equal(2, count(raw_one, "users"))
        end)

        it("C3: an instance of another entity, or another definition of that name, is refused at its line", function()
            local em = one.em:fork()
            local mine = em:persist_and_flush(em:create(User, { name = "mine" }))
            local team = em:persist_and_flush(em:create(Team, { name = "team" }))
            raises_here("validation", function() mine.boss = team end)
            raises_here("validation", function() mine.team = mine end)
            raises_here("validation", function() em:create(User, { team = mine }) end)
            raises_here("validation", function() em:find(User, { team = mine }) end)
            raises_here("validation", function() mine.team = { id = 1 } end)
            raises_here("validation", function() em:persist({ id = 1 }) end)
            raises_here("validation", function() em:persist(nil) end)
            raises_here("validation", function() em:remove("User") end)
            local Other = orm.entity { name = "Team", table = "teams", { "id", type = "integer", primary = true },
                { "name", type = "string" } }
            raises_here("validation", function() mine.team = Other { name = "impostor" } end)
            raises_here("entity_not_registered", function() em:persist(Other { name = "impostor" }) end)
            raises_here("entity_not_registered", function() em:find(Other, {}) end)
        end)

        it("C3: an entity that is not registered fails at its line, related ones too", function()
            local em = one.em:fork()
            raises_here("entity_not_registered", function() em:persist(Log { event = "x" }) end)
            raises_here("entity_not_registered", function() em:create(Log, { event = "x" }) end)
            raises_here("entity_not_registered", function() em:repository(Log) end)
        end)
    end)
end)
