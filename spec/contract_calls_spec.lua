-- What calls give and refuse, sentence by sentence.
local orm = require "heddle"
local databases = require "spec.support.databases"

local Account = orm.entity { name = "Account",
    { "id", type = "integer", primary = true },
    { "owner", type = "string", unique = true } }

local function raised(fn, ...)
    local ok, err = pcall(fn, ...)
    assert.is_false(ok)
    assert.is_true(orm.is_error(err), tostring(err))
    return err
end

describe("calls", function()
    after_each(function() orm.close() end)

    it("a definition's mistakes are metadata errors with the nearest name, on every level", function()
        local function define(options, property)
            options.name = "X"
            options[1] = property or { "id", type = "integer", primary = true }
            return orm.entity(options)
        end
        local err = raised(define, { tabel = "x" })
        assert.same({ "metadata", "X", nil }, { err.kind, err.entity, err.property })
        assert.truthy(err.message:find("did you mean 'table'", 1, true))
        err = raised(define, {}, { "team", many_to_on = "Team" })
        assert.same({ "metadata", "X", "team" }, { err.kind, err.entity, err.property })
        assert.truthy(err.message:find("did you mean 'many_to_one'", 1, true))
        assert.truthy(raised(define, {}, { "id", typ = "integer" }).message:find("did you mean 'type'", 1, true))
    end)

    it("what is no function, no table, no context is refused by an error object", function()
        assert.equal("validation", raised(orm.array, 5).kind)
        assert.equal("validation", raised(orm.wrap, 5).kind)
        assert.equal("validation", raised(orm.bind, 5).kind)
        assert.equal("validation", raised(orm.request_context, 5).kind)
        assert.equal("validation", raised(orm.testing, "default", 5).kind)
        assert.equal("validation", raised(orm.testing, function() end).kind)
    end)

    it("orm.em gives one entity manager for each name, before and after init", function()
        local before = orm.em()
        assert.equal(before, orm.em "default")
        assert.not_equal(before, orm.em "secondary")
        local instance = orm.init { driver = "sqlite", database = ":memory:", entities = { Account } }
        assert.equal(before, orm.em())
        assert.equal(before, instance.em)
    end)

    it("a method that is called with '.' says so", function()
        orm.init { driver = "sqlite", database = ":memory:", entities = { Account } }
        local err = raised(orm.em().find, Account, {})
        assert.equal("validation", err.kind)
        assert.truthy(err.message:find("em:find", 1, true))
    end)
end)

databases.each(function(db)
    local instance, em

    before_each(function()
        instance = orm.init(db:config { entities = { Account }, pool = { max = 1 } })
        em = orm.em()
        instance.schema:create()
    end)

    after_each(function()
        orm.close()
        db:close()
    end)

    it("instance:on takes the hooks of an entity, which get the entity and the event", function()
        local seen = {}
        for _, name in ipairs { "on_init", "on_load", "before_create", "after_create", "before_update", "after_update",
            "before_delete", "after_delete" } do
            instance:on(name, function(account, event)
                seen[#seen + 1] = name
                assert.equal("Ann", account.owner)
                assert.equal(account, event.entity)
                assert.equal("default", event.em.context_name)
            end)
        end
        local ann = em:create(Account, { owner = "Ann" })
        em:persist_and_flush(ann)
        em:clear()
        ann = em:find_one(Account, { owner = "Ann" })
        em:remove_and_flush(ann)
        assert.same({ "on_init", "before_create", "after_create", "on_load", "before_delete", "after_delete" }, seen)
    end)

    it("instance:on refuses what is no event", function()
        local err = raised(instance.on, instance, "befor_create", print)
        assert.equal("hook", err.kind)
        assert.truthy(err.message:find("did you mean 'before_create'", 1, true))
        assert.equal("validation", raised(instance.on, instance, "query").kind)
    end)

    it("execute gives back what its placeholders were given, numbers as numbers, on both drivers", function()
        local rows = em:execute("select ? as n, ? as big, ? as f, ? as s, ? as no", 7, 5000000000, 1.5, "7", orm.null)
        assert.same({ { n = 7, big = 5000000000, f = 1.5, s = "7" } }, rows)
        for _, value in ipairs { 1, "a", 1.5, 2 ^ 40, "1" } do
            assert.equal(value, em:execute("select ? as x", value)[1].x)
        end
        local yes = em:execute("select ? as x", true)[1].x
        assert.is_true(yes == true or db.name == "sqlite" and yes == 1)
        local id = em:insert(Account, { owner = "Ann" })
        assert.equal(1, em:execute("select count(*) as n from account where id = ? and owner = ?", id, "Ann")[1].n)
        assert.equal(1, em:execute("select count(*) as n from account where id = ?", tostring(id))[1].n)
        assert.equal(1, em:count(Account, orm.op.raw("e0.id < ?", id + 1)))
        assert.equal(1, em:execute("update account set owner = ? where id = ?", "Ben", id))
    end)

    it("a full pool is pool_timeout, also for whoever writes, and pool_stats counts it", function()
        local first, second = em:fork(), em:fork()
        first:begin()
        first:persist_and_flush(first:create(Account, { owner = "Ann" }))
        local err = raised(second.count, second, Account, {})
        first:rollback()
        assert.equal("pool_timeout", err.kind)
        assert.equal(1, instance:pool_stats().timeouts)
        assert.equal(0, instance:pool_stats().in_use)
    end)
end)
