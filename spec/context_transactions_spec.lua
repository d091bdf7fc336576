-- Several contexts at once: transactions of their own (C2), and definitions that they share (C4).

local databases = require "spec.support.databases"
local orm = require "heddle"
local raises = require("spec.support.unit").raises

local Team = orm.entity { name = "Team", table = "teams", { "id", type = "integer", primary = true },
    { "name", type = "string" } }
local User = orm.entity { name = "User", table = "users", { "id", type = "integer", primary = true },
    { "name", type = "string" }, { "team", many_to_one = Team, nullable = true },
    { "boss", many_to_one = "User", nullable = true } }
local Log = orm.entity { name = "AnalyticsLog", table = "logs", { "id", type = "integer", primary = true },
    { "event", type = "string" } }

databases.each(function(db)
    describe("contexts and their transactions:", function()
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

        local function add(em, name) em:persist(em:create(User, { name = name })) end

        it("C2: a transaction inside one of another context is its own, and commits for good", function()
            local em, other = orm.em(), orm.em "secondary"
            assert.same({ false, "outer fails" }, { pcall(em.transactional, em, function()
                add(em, "outer")
                em:flush()
                other:transactional(function()
                    assert.same({ true, true }, { em:in_transaction(), other:in_transaction() })
                    add(other, "inner")
                end)
                assert.same({ true, false }, { em:in_transaction(), other:in_transaction() })
                assert.equal(1, count(raw_two, "users"))
                error("outer fails", 0)
            end) })
            assert.same({ 0, 1 }, { count(raw_one, "users"), count(raw_two, "users") })
            local text = table.concat(statements, "\n")
            assert.matches("two BEGIN", text)
            assert.matches("two COMMIT", text)
            assert.equal(1, select(2, text:gsub("two BEGIN", "")))
        end)

        it("C2: an error of the inner one that is caught leaves the outer in its own transaction", function()
            local em, other = orm.em(), orm.em "secondary"
            em:transactional(function()
                add(em, "outer")
                em:flush()
                pcall(other.transactional, other, function()
                    add(other, "inner")
                    other:flush()
                    error "inner fails"
                end)
                assert.same({ true, false }, { em:in_transaction(), other:in_transaction() })
                add(em, "outer too")
            end)
            assert.same({ 2, 0 }, { count(raw_one, "users"), count(raw_two, "users") })
        end)

        it("C2: an error that propagates rolls back the inner one, then the outer", function()
            local em, other, ended = orm.em(), orm.em "secondary", {}
            for name, instance in pairs { default = one, secondary = two } do
                instance:on("after_rollback", function() ended[#ended + 1] = name end)
            end
            local thrown = {}
            local ok, err = pcall(em.transactional, em, function()
                add(em, "outer")
                em:flush()
                other:transactional(function()
                    add(other, "inner")
                    other:flush()
                    error(thrown)
                end)
            end)
            assert.is_false(ok)
            assert.equal(thrown, err)
            assert.same({ "secondary", "default" }, ended)
            assert.same({ 0, 0 }, { count(raw_one, "users"), count(raw_two, "users") })
        end)

        it("C2: a database error in the inner one does not touch the outer", function()
            local em, other = orm.em(), orm.em "secondary"
            em:transactional(function()
                add(em, "outer")
                em:flush()
                raises("table_not_found", other.transactional, other, function()
                    other:execute "select * from nowhere"
                end)
                assert.same({ { n = 1 } }, em:execute "select count(*) as n from users")
                add(em, "outer too")
            end)
            assert.equal(2, count(raw_one, "users"))
        end)

        it("C2: begun by hand they interleave as they like", function()
            local em, other = orm.em(), orm.em "secondary"
            em:begin()
            add(em, "a")
            em:flush()
            other:begin()
            add(other, "b")
            other:flush()
            em:commit()
            assert.same({ false, true }, { em:in_transaction(), other:in_transaction() })
            assert.same({ 1, 0 }, { count(raw_one, "users"), count(raw_two, "users") })
            other:rollback()
            raises("transaction_required", other.commit, other)
            assert.equal(0, count(raw_two, "users"))
        end)

        it("C2: a context twice in the stack is a savepoint of its own transaction", function()
            local em, other = orm.em(), orm.em "secondary"
            em:transactional(function()
                add(em, "outer")
                other:transactional(function()
                    add(other, "kept")
                    pcall(em.transactional, em, function()
                        add(em, "undone")
                        em:flush()
                        other:transactional(function()
                            add(other, "undone")
                            other:flush()
                            error "both innermost"
                        end)
                    end)
                end)
            end)
            assert.same({ { "outer" } }, raw_one:rows "select name from users")
            assert.same({ { "kept" } }, raw_two:rows "select name from users")
        end)

        it("C2: a flush is the business of one context", function()
            local em, other = orm.em(), orm.em "secondary"
            add(em, "a")
            add(other, "b")
            em:flush()
            assert.same({ 1, 0 }, { count(raw_one, "users"), count(raw_two, "users") })
        end)

        -- Shared definitions -------------------------------------------------------------------------------

        it("C4: one definition serves several contexts, each with its own rows and identity", function()
            local em, other = one.em:fork(), two.em:fork()
            local a = em:persist_and_flush(em:create(User, { name = "a" }))
            local b = other:persist_and_flush(other:create(User, { name = "b" }))
            assert.equal(a.id, b.id)
            assert.equal(a, em:find_one(User, 1))
            assert.equal(b, other:find_one(User, 1))
            assert.equal(getmetatable(a).__name, getmetatable(b).__name)
            a.name = "changed"
            other:flush()
            em:flush()
            assert.same({ { "changed" } }, raw_one:rows "select name from users")
            assert.same({ { "b" } }, raw_two:rows "select name from users")
        end)

        it("C4: listeners hear their own context only", function()
            local heard = {}
            for name, instance in pairs { one = one, two = two } do
                for _, event in ipairs { "before_create", "after_create", "on_load", "after_flush", "after_commit" } do
                    instance:on(event, function() heard[#heard + 1] = name end)
                end
            end
            local em = one.em:fork()
            em:persist_and_flush(em:create(User, { name = "a" }))
            em:fork():find_all(User)
            assert.is_true(#heard >= 5)
            for _, name in ipairs(heard) do assert.equal("one", name) end
        end)

        it("C4: naming, schema and batch size are the context's own", function()
            orm.close "secondary"
            local config = db:config { context_name = "secondary", entities = { User, Team },
                naming_strategy = { column = function(name) return "c_" .. name end } }
            two = orm.init(config)
            two.schema:create()
            for _, instance in ipairs { one, two, one } do
                local em = instance.em:fork()
                local user = em:persist_and_flush(em:create(User, { name = "a" }))
                user.name = "b"
                em:flush()
                assert.equal(user, em:find_one(User, { name = "b" }))
                em:remove_and_flush(user)
            end
            local em = two.em:fork()
            em:persist_and_flush(em:create(User, { name = "a" }))
            assert.equal("a", db:raw(config):value "select c_name from users")
        end)

        it("C4: closing one context leaves the definition to the others", function()
            two.em:persist_and_flush(two.em:create(User, { name = "a" }))
            one:close()
            assert.equal(1, two.em:count(User, {}))
            two.em:persist_and_flush(two.em:create(User, { name = "b" }))
            assert.equal(2, count(raw_two, "users"))
        end)

        it("C4: methods and repositories are one, instances are not", function()
            function User:shout() return self.name:upper() end
            local a, b = one.em:create(User, { name = "a" }), two.em:create(User, { name = "b" })
            one.em:persist(a)
            two.em:persist(b)
            assert.same({ "A", "B" }, { a:shout(), b:shout() })
            assert.equal("default", one.em:repository(User).em.context_name)
            assert.equal("secondary", orm.repository(User, "secondary").em.context_name)
        end)
    end)
end)

databases.on("postgres", function(db)
    it("C4: one definition on two kinds of databases", function()
        local sqlite = databases.open "sqlite"
        local instances = { orm.init(db:config { entities = { User, Team } }),
            orm.init(sqlite:config { entities = { User, Team }, context_name = "secondary" }) }
        for round = 1, 2 do
            for _, instance in ipairs(instances) do
                if round == 1 then instance.schema:create() end
                local em = instance.em:fork()
                local team = em:create(Team, { name = "t" })
                em:persist(em:create(User, { name = "n", team = team }))
                em:flush()
                em:clear()
                assert.equal(round, #em:find(User, { team = { name = "t" } }, { populate = { "team" } }))
            end
        end
        assert.equal("2", db:raw():value "select count(*) from users")
        assert.equal("2", sqlite:raw():value "select count(*) from users")
        orm.close()
        sqlite:close()
    end)
end)
