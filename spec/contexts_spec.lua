-- Contexts: what orm.init registers, and what orm.instance gives.

local databases = require "spec.support.databases"
local orm = require "heddle"
local raises = require("spec.support.unit").raises

local PASSWORD = "k33p-it/secret@here"

-- Everything that can be reached from a value by pairs and tostring, as one text.
local function everything(value, seen, out)
    seen, out = seen or {}, out or {}
    out[#out + 1] = tostring(value)
    if type(value) ~= "table" or seen[value] then return table.concat(out, "\n") end
    seen[value] = true
    for key, item in pairs(value) do
        everything(key, seen, out)
        everything(item, seen, out)
    end
    return table.concat(out, "\n")
end

describe("contexts:", function()
    after_each(function() orm.close() end)

    local function entity(name)
        return orm.entity { name = name, { "id", type = "integer", primary = true }, { "name", type = "string" } }
    end

    it("a name that no init gave raises context_not_found and lists those that exist", function()
        local err = raises("context_not_found", orm.instance)
        assert.equal("default", err.context)
        assert.matches("no context exists", err.message)
        orm.init { driver = "sqlite", database = ":memory:" }
        orm.init { driver = "sqlite", database = ":memory:", context_name = "secondary" }
        err = raises("context_not_found", orm.instance, "secondry")
        assert.equal("secondry", err.context)
        assert.matches("'default', 'secondary'", err.message)
        assert.matches("did you mean 'secondary'", err.message)
        for _, wrong in ipairs { 7, true, "" } do raises("context_not_found", orm.instance, wrong) end
    end)

    it("orm.contexts lists the live names in order", function()
        assert.same({}, orm.contexts())
        for _, name in ipairs { "b", "default", "a" } do
            orm.init { driver = "sqlite", database = ":memory:", context_name = name }
        end
        assert.same({ "a", "b", "default" }, orm.contexts())
        local list = orm.contexts()
        list[1] = "changed"
        assert.same({ "a", "b", "default" }, orm.contexts())
        orm.close "b"
        assert.same({ "a", "default" }, orm.contexts())
    end)

    it("a context is called 'default' whether or not it says so", function()
        local instance = orm.init { driver = "sqlite", database = ":memory:" }
        assert.equal("default", instance.context_name)
        assert.equal(instance, orm.instance())
        assert.equal(instance, orm.instance "default")
        raises("duplicate_context", orm.init, { driver = "sqlite", database = ":memory:", context_name = "default" })
    end)

    it("a second init of a live name is duplicate_context and harms neither", function()
        local first = orm.init { driver = "sqlite", database = ":memory:" }
        local err = raises("duplicate_context", function() orm.init { driver = "sqlite", database = "other.db" } end)
        assert.equal("default", err.context)
        assert.matches("contexts_spec.lua:%d+$", tostring(err))
        assert.equal(first, orm.instance())
        assert.same({ { one = 1 } }, orm.em():execute "select 1 as one")
        first:close()
        assert.not_equal(first, orm.init { driver = "sqlite", database = ":memory:" })
    end)

    it("an init that fails leaves no context behind", function()
        raises("metadata", orm.init, { driver = "sqlite", database = ":memory:", entities = {
            orm.entity { name = "Orphan", { "id", type = "integer", primary = true },
                { "a", many_to_one = "Nobody" } } } })
        raises("config", orm.init, { driver = "sqlite", database = ":memory:", poool = {} })
        assert.same({}, orm.contexts())
        orm.init { driver = "sqlite", database = ":memory:" }
    end)

    it("entities registered early survive an init that fails", function()
        local Early = entity "Early"
        orm.register({ Early }, "late")
        raises("config", orm.init, { driver = "sqlite", database = ":memory:", context_name = "late", poool = {} })
        raises("metadata", orm.init, { driver = "sqlite", database = ":memory:", context_name = "late", entities = {
            orm.entity { name = "Orphan", { "id", type = "integer", primary = true },
                { "a", many_to_one = "Nobody" } } } })
        orm.init { driver = "sqlite", database = ":memory:", context_name = "late" }
        orm.instance("late").schema:create()
        assert.same({}, orm.em("late"):find_all(Early))
    end)

    it("a closed context is closed for everybody who kept a part of it", function()
        local Thing = entity "Thing"
        local instance = orm.init { driver = "sqlite", database = ":memory:", entities = { Thing } }
        instance.schema:create()
        local em, fork, repository = orm.em(), orm.em():fork(), orm.repository(Thing)
        fork:persist_and_flush(fork:create(Thing, { name = "x" }))
        orm.close()
        orm.close()
        instance:close()
        assert.same({}, orm.contexts())
        raises("closed", fork.find, fork, Thing, {})
        raises("closed", fork.flush, fork)
        raises("closed", fork.execute, fork, "select 1")
        raises("closed", instance.connect, instance)
        assert.is_false((instance:check_connection()))
        raises("context_not_found", em.find, em, Thing, {})
        raises("context_not_found", repository.find_all, repository)
        raises("context_not_found", orm.close, "default")
    end)

    it("a name can be used again, and stored entity managers follow it", function()
        local Thing = entity "Thing"
        local em = orm.em()
        for round = 1, 2 do
            orm.init { driver = "sqlite", database = ":memory:", entities = { Thing } }
            orm.instance().schema:create()
            em:persist_and_flush(em:create(Thing, { name = "round " .. round }))
            assert.equal(1, em:count(Thing, {}))
            orm.close()
        end
    end)

    it("a scope that was open when its context was replaced follows the name too", function()
        local Thing = entity "Thing"
        local function open()
            orm.init { driver = "sqlite", database = ":memory:", entities = { Thing } }
            orm.instance().schema:create()
        end
        open()
        orm.request_context(function()
            orm.em():persist_and_flush(orm.em():create(Thing, { name = "old" }))
            orm.close()
            open()
            assert.same({}, orm.em():find_all(Thing))
            assert.same({}, orm.get_context():find_all(Thing))
        end)
    end)

    it("C4: init takes no hold of the table that it is given", function()
        local given = { driver = "sqlite", database = ":memory:", entities = {}, pool = { max = 3 } }
        local instance = orm.init(given)
        given.context_name, given.database, given.pool.max = "x", "y", 99
        given.entities[1] = entity "Late"
        assert.equal("default", instance.context_name)
        assert.equal(":memory:", instance.config.database)
        raises("entity_not_registered", orm.em().find, orm.em(), "Late", {})
    end)

    it("no password stands in anything that can be printed", function()
        local configs = {
            { context_name = "key", driver = "postgres", host = "/nowhere", database = "d", user = "u",
                password = PASSWORD },
            { context_name = "url", url = "postgres://u:k33p-it%2Fsecret%40here@nowhere.invalid/d" },
            { context_name = "options", driver = "postgres", host = "/nowhere", database = "d",
                options = { passfile = "/nowhere" }, password = PASSWORD },
            { context_name = "fn", driver = "postgres", host = "/nowhere", database = "d",
                password = function() return PASSWORD end },
            { context_name = "replica", driver = "postgres", host = "/nowhere", database = "d",
                replicas = { { host = "/nowhere", password = PASSWORD } } },
        }
        for _, config in ipairs(configs) do
            local instance = orm.init(config)
            local text = everything(instance) .. tostring(instance.em) .. tostring(instance.em:fork())
            local _, err = instance:check_connection()
            text = text .. everything(err)
            assert.is_nil(text:find("k33p", 1, true), config.context_name)
            assert.matches(config.context_name, tostring(instance))
        end
    end)

    it("a config error never repeats a password", function()
        for _, config in ipairs {
            { driver = "postgres", database = "d", password = { PASSWORD } },
            { driver = "postgres", database = "d", passwort = PASSWORD },
            { url = "postgres://u:" .. PASSWORD .. "%zz@h/d" },
            { driver = "sqlite", url = "postgres://u:" .. PASSWORD .. "@h/d" },
        } do
            local err = raises("config", orm.init, config)
            assert.is_nil(everything(err):find("k33p", 1, true))
        end
    end)

    it("an unknown key names the nearest one", function()
        assert.matches("did you mean 'password'", raises("config", orm.init, { driver = "sqlite", database = "x",
            passwort = "y" }).message)
        assert.matches("did you mean 'max'", raises("config", orm.init, { driver = "sqlite", database = "x",
            pool = { mx = 1 } }).message)
    end)

    it("orm.em never raises, and names what it stands for", function()
        local em = orm.em "not there yet"
        assert.equal("not there yet", em.context_name)
        assert.matches("not there yet", tostring(em))
        local err = raises("context_not_found", function() em:find("Thing", {}) end)
        assert.matches("contexts_spec.lua:%d+$", tostring(err))
        assert.is_nil(em.no_such_method)
        for _, odd in ipairs { 7, true } do assert.matches("em<", tostring(orm.em(odd))) end
    end)

    it("entity managers and handles keep the program's hands off their names", function()
        orm.init { driver = "sqlite", database = ":memory:" }
        assert.is_false(pcall(function() orm.em().context_name = "x" end))
        assert.equal("default", orm.em().context_name)
    end)

    databases.each(function(db)
        after_each(function()
            orm.close()
            db:close()
        end)

        it("orm.init connects to nothing; the first use does", function()
            local instance = orm.init(db:config { entities = { entity "Thing" }, pool = { min = 3, max = 5 } })
            assert.same({ size = 0, idle = 0, in_use = 0, waiting = 0, opened = 0, closed = 0, acquired = 0,
                timeouts = 0 }, instance:pool_stats())
            local em = instance.em
            em:persist(em:create("Thing", { name = "x" }))
            assert.equal(0, instance:pool_stats().opened)
            em:execute "select 1"
            assert.equal(1, instance:pool_stats().opened)
        end)

        it("an instance has the contract's fields", function()
            local instance = orm.init(db:config { context_name = "secondary", entities = { entity "Thing" } })
            assert.equal("secondary", instance.context_name)
            assert.equal(db.name, instance.config.driver)
            assert.equal("secondary", instance.em.context_name)
            assert.equal(instance, instance.em.instance)
            assert.equal(instance, instance.em:fork().instance)
            assert.equal("table", type(instance.schema))
            for _, method in ipairs { "connect", "check_connection", "pool_stats", "close", "on" } do
                assert.equal("function", type(instance[method]), method)
            end
        end)

        it("connect opens pool.min connections now and keeps them", function()
            local instance = orm.init(db:config { pool = { min = 3, max = 5 } })
            assert.equal(instance, instance:connect())
            local stats = instance:pool_stats()
            assert.same({ 3, 3, 0 }, { stats.size, stats.idle, stats.in_use })
            instance:connect()
            assert.is_true(instance:check_connection())
            assert.equal(3, instance:pool_stats().opened)
        end)

        it("check_connection works beside connections that are in use", function()
            local instance = orm.init(db:config { pool = { min = 2, max = 2 } })
            local em = orm.em():fork()
            local tx = em:begin()
            em:execute "select 1"
            assert.same({ true }, { instance:check_connection() })
            tx:rollback()
            assert.same({ 0, 0 }, { instance:pool_stats().in_use, instance:pool_stats().closed })
        end)

        it("every context of a process has connections and settings of its own", function()
            local Thing = entity "Thing"
            local one = orm.init(db:config { entities = { Thing }, pool = { max = 1 } })
            local two = orm.init(db:config { entities = { Thing }, context_name = "two", pool = { max = 1 } })
            one.schema:create()
            two.schema:create()
            local tx = one.em:fork()
            tx:begin()
            tx:persist_and_flush(tx:create(Thing, { name = "x" }))
            assert.equal(0, two.em:count(Thing, {}))
            tx:rollback()
            orm.close "two"
            assert.equal(0, one.em:count(Thing, {}))
        end)

        it("entities registered before init, at init and after it are known", function()
            local Before, At, After = entity "Before", entity "At", entity "After"
            orm.register { Before }
            local instance = orm.init(db:config { entities = { At } })
            orm.register({ After }, "default")
            instance.schema:create()
            for _, each in ipairs { Before, At, After } do
                instance.em:persist_and_flush(instance.em:create(each, { name = "x" }))
                assert.equal(1, instance.em:count(each, {}))
            end
            assert.equal("1", db:raw():value "select count(*) from after")
            orm.register { At } -- known already
            assert.equal(1, instance.em:count(At, {}))
        end)

        it("I1: what is managed stays managed when more entities are registered", function()
            local Known = entity "Known"
            local instance = orm.init(db:config { entities = { Known } })
            instance.schema:create()
            local em = instance.em
            local known = em:persist_and_flush(em:create(Known, { name = "x" }))
            local pending = em:create(Known, { name = "pending" })
            em:persist(pending)
            local New = orm.entity { name = "New", { "id", type = "integer", primary = true },
                { "known", many_to_one = Known } }
            orm.register { New }
            db:raw():exec(db.name == "sqlite" and "create table new (id integer primary key, known_id integer)"
                or "create table new (id serial primary key, known_id integer)")
            local made = em:create(New, { known = known })
            em:persist(made)
            known.name = "y"
            em:flush()
            assert.equal(known, em:find_one(Known, known.id))
            assert.equal(known, made.known)
            assert.same({ { "1", "1" } }, db:raw():rows "select id, known_id from new")
            assert.same({ { "y" }, { "pending" } }, db:raw():rows "select name from known order by id")
        end)

        it("a register that fails leaves the context as it was", function()
            local Known = entity "Known"
            local instance = orm.init(db:config { entities = { Known } })
            instance.schema:create()
            raises("metadata", orm.register, { orm.entity { name = "Bad", { "id", type = "integer", primary = true },
                { "x", many_to_one = "Nobody" } } })
            raises("metadata", orm.register, { entity "Known" }) -- another definition of that name
            raises("entity_not_registered", instance.em.find, instance.em, "Bad", {})
            instance.em:persist_and_flush(instance.em:create(Known, { name = "x" }))
            assert.equal("1", db:raw():value "select count(*) from known")
        end)

        it("an entity of another context is entity_not_registered and says where it is", function()
            local User, Log = entity "User", entity "AnalyticsLog"
            orm.init(db:config { entities = { User } })
            orm.init(db:config { entities = { Log }, context_name = "secondary" })
            local em = orm.em()
            local err = raises("entity_not_registered", em.find, em, Log, {})
            assert.matches("^Entity 'AnalyticsLog' not found in context 'default'; it is registered in 'secondary'",
                err.message)
            assert.same({ "default", "AnalyticsLog" }, { err.context, err.entity })
            for _, call in ipairs {
                function() em:create(Log, {}) end, function() em:persist(Log {}) end,
                function() em:find_one(Log, 1) end, function() em:count(Log, {}) end,
                function() em:get_reference(Log, 1) end, function() em:insert(Log, {}) end,
                function() em:update_where(Log, { id = 1 }, { name = "x" }) end,
                function() em:delete_where(Log, { id = 1 }) end,
                function() em:repository(Log) end, function() orm.repository(Log):find_all() end,
                function() em:find("AnalyticsLog", {}) end, function() em:find_all(Log) end,
            } do
                assert.matches("secondary", raises("entity_not_registered", call).message)
            end
            assert.matches("did you mean 'User'", raises("entity_not_registered", em.find, em, "Usr", {}).message)
        end)
    end)
end)
