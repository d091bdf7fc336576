-- Request scopes: which entity manager a name stands for, in nested scopes, coroutines and transactions.

local databases = require "spec.support.databases"
local orm = require "heddle"
local raises = require("spec.support.unit").raises

local User = orm.entity { name = "User", table = "users", { "id", type = "integer", primary = true },
    { "name", type = "string" } }
local Log = orm.entity { name = "AnalyticsLog", { "id", type = "integer", primary = true },
    { "event", type = "string" } }

-- Stored before any context exists, as a service module does when it is loaded.
local em, logs, users = orm.em(), orm.em "secondary", orm.repository(User)

databases.each(function(db)
    describe("scopes:", function()
        before_each(function()
            orm.init(db:config { entities = { User }, pool = { max = 3 } })
            orm.init(db:config { entities = { Log }, context_name = "secondary", pool = { max = 3 } })
            for _, name in ipairs(orm.contexts()) do orm.instance(name).schema:create() end
        end)
        after_each(function()
            orm.use "blocking"
            orm.close()
            db:close()
        end)

        local function in_use() return em.instance:pool_stats().in_use + logs.instance:pool_stats().in_use end

        it("C1: one scope covers every context, and each has one fork in it", function()
            orm.request_context(function()
                assert.equal(orm.get_context(), orm.get_context "default")
                assert.equal(orm.get_context "secondary", orm.get_context "secondary")
                assert.not_equal(orm.get_context(), orm.get_context "secondary")
                assert.same({ "default", "secondary" },
                    { orm.get_context().context_name, orm.get_context("secondary").context_name })
                em:persist(em:create(User, { name = "Ann" }))
                logs:persist(logs:create(Log, { event = "made" }))
                em:flush()
                assert.equal("0", db:raw():value "select count(*) from analytics_log")
                logs:flush()
            end)
            assert.equal("1", db:raw():value "select count(*) from analytics_log")
        end)

        it("C1: a fork is made at first use: a context that is added or replaced meanwhile has one too", function()
            orm.request_context(function()
                orm.close "secondary"
                raises("context_not_found", orm.get_context, "secondary")
                orm.init(db:config { entities = { Log }, context_name = "secondary" })
                assert.equal("secondary", orm.get_context("secondary").context_name)
                orm.init(db:config { context_name = "third" })
                assert.equal("third", orm.get_context("third").context_name)
            end)
        end)

        it("C1: identity maps do not leak between scopes, nor to the global entity manager", function()
            local ann = em:persist_and_flush(em:create(User, { name = "Ann" }))
            local seen = {}
            for i = 1, 2 do
                orm.request_context(function()
                    seen[i] = em:find_one(User, ann.id)
                    assert.equal(seen[i], users:find_one(ann.id))
                    assert.is_true(orm.get_context():contains(seen[i]))
                    assert.is_false(orm.get_context():contains(ann))
                    seen[i].name = "changed, and never flushed"
                end)
            end
            assert.not_equal(seen[1], seen[2])
            assert.not_equal(ann, seen[1])
            em:flush()
            assert.same({ { "Ann" } }, db:raw(em.instance.config):rows "select name from users")
        end)

        it("C1: what is pending at the scope's end is dropped", function()
            orm.request_context(function() em:persist(em:create(User, { name = "never" })) end)
            orm.request_context(function() em:flush() end)
            em:flush()
            assert.equal(0, em:count(User, {}))
        end)

        it("C1: a transaction that is open at the scope's end is rolled back, and its connection free", function()
            orm.request_context(function()
                em:begin()
                em:persist_and_flush(em:create(User, { name = "never" }))
                logs:begin()
                logs:persist_and_flush(logs:create(Log, { event = "never" }))
                assert.equal(2, in_use())
            end)
            assert.equal(0, in_use())
            assert.same({ 0, 0 }, { em:count(User, {}), logs:count(Log, {}) })
            em:persist_and_flush(em:create(User, { name = "and nothing is locked" }))
        end)

        it("C1: results are passed on, nils included", function()
            local function results(...) return select("#", ...), nil, 5, nil end
            assert.same({ 3, nil, 5, nil }, { orm.request_context(results, 1, nil, nil) })
            assert.equal(4, select("#", orm.request_context(function() return 1, nil, nil, nil end)))
            assert.equal(0, select("#", orm.request_context(function() end)))
            raises("validation", orm.request_context, "not a function")
            raises("validation", orm.request_context)
        end)

        it("C1: an error leaves the scope as it is, and the forks are dropped", function()
            local thrown = { "any value" }
            local ok, err = pcall(orm.request_context, function()
                em:begin()
                em:execute "select 1"
                error(thrown)
            end)
            assert.is_false(ok)
            assert.equal(thrown, err)
            assert.equal(0, in_use())
            raises("no_request_context", orm.get_context)
            local _, message = pcall(orm.request_context, function() error("plain", 0) end)
            assert.equal("plain", message)
            raises("context_not_found", orm.request_context, function() orm.get_context "nowhere" end)
            raises("no_request_context", orm.get_context)
        end)

        it("C1: nested scopes do not disturb each other", function()
            orm.request_context(function()
                local outer = orm.get_context()
                local ann = em:persist_and_flush(em:create(User, { name = "Ann" }))
                orm.request_context(function()
                    assert.not_equal(outer, orm.get_context())
                    local same = em:find_one(User, ann.id)
                    assert.not_equal(ann, same)
                    same.name = "inner"
                    em:flush()
                end)
                assert.equal(outer, orm.get_context())
                assert.equal("Ann", ann.name)
                pcall(orm.request_context, function() error "inner" end)
                assert.equal(outer, orm.get_context())
                assert.equal(ann, em:find_one(User, ann.id))
            end)
        end)

        it("I7: what a scope managed is free after it", function()
            local kept = setmetatable({}, { __mode = "v" })
            orm.request_context(function()
                kept.em, kept.logs = orm.get_context(), orm.get_context "secondary"
                for i = 1, 10 do em:persist(em:create(User, { name = "n" .. i })) end
                em:flush()
                kept.user = em:find_one(User, 3)
                kept.all = em:find(User, {})
                kept.log = logs:persist_and_flush(logs:create(Log, { event = "x" }))
            end)
            collectgarbage()
            collectgarbage()
            assert.is_nil(next(kept))
        end)

        it("an instance that outlives its scope stays readable", function()
            local ann = orm.request_context(function()
                return em:persist_and_flush(em:create(User, { name = "Ann" }))
            end)
            collectgarbage()
            assert.same({ 1, "Ann" }, { ann.id, ann.name })
            assert.matches("User#1", tostring(ann))
        end)

        it("get_context without a scope says what to do", function()
            local err = raises("no_request_context", function() orm.get_context "secondary" end)
            assert.matches("^Cannot get context 'secondary': ", err.message)
            assert.matches("request_context", err.message)
            assert.equal("secondary", err.context)
            assert.matches("scopes_spec.lua:%d+$", tostring(err))
            assert.matches("^Cannot get context 'default': ", raises("no_request_context", orm.get_context).message)
            err = raises("context_not_found", orm.get_context, "secondry")
            assert.matches("'secondary'", err.message)
        end)

        it("register_request_context = false keeps a context's fork from get_context, not from em", function()
            orm.close "secondary"
            local instance = orm.init(db:config { entities = { Log }, context_name = "secondary",
                register_request_context = false })
            instance.schema:create()
            local outside = logs:persist_and_flush(logs:create(Log, { event = "x" }))
            orm.request_context(function()
                local err = raises("no_request_context", orm.get_context, "secondary")
                assert.matches("^Cannot get context 'secondary': ", err.message)
                assert.matches("register_request_context", err.message)
                assert.not_equal(outside, logs:find_one(Log, outside.id))
                assert.equal("default", orm.get_context().context_name)
            end)
            assert.equal(outside, logs:find_one(Log, outside.id))
            local err = raises("no_request_context", orm.get_context, "secondary")
            assert.matches("register_request_context", err.message)
        end)

        it("a fork is never redirected", function()
            local fork = em:fork()
            local ann = fork:persist_and_flush(fork:create(User, { name = "Ann" }))
            orm.request_context(function()
                assert.equal(ann, fork:find_one(User, ann.id))
                assert.not_equal(ann, em:find_one(User, ann.id))
                local inner = em:fork()
                assert.not_equal(inner, orm.get_context())
                assert.not_equal(em:find_one(User, ann.id), inner:find_one(User, ann.id))
            end)
        end)

        -- The global entity manager ------------------------------------------------------------------------

        local function use_identity_map(of)
            return {
                function() of:find(User, {}) end, function() of:find_one(User, 1) end, function() of:find_all(User) end,
                function() of:create(User, {}) end, function() of:persist(User { name = "x" }) end,
                function() of:get_reference(User, 1) end, function() of:flush() end,
                function() of:transactional(function() end) end, function() of:begin() end,
                function() of:repository(User):find_all() end, function() users:find_all() end,
            }
        end

        it("allow_global_context = false: the global identity map is refused outside of a scope", function()
            orm.close "default"
            orm.init(db:config { entities = { User }, allow_global_context = false }).schema:create()
            for i, use in ipairs(use_identity_map(em)) do
                local err = raises("global_context", use)
                assert.equal("default", err.context, i)
                assert.matches("request_context", err.message)
                assert.matches("scopes_spec.lua:%d+$", tostring(err))
            end
            assert.same({ { one = 1 } }, em:execute "select 1 as one")
            orm.request_context(function() em:find(User, {}) end)
            local fork = em:fork()
            fork:persist_and_flush(fork:create(User, { name = "x" }))
            fork:transactional(function() assert.equal(1, #users:find_all()) end)
        end)

        it("allow_global_context: true in plain scripts, false under an adapter, unless it is said", function()
            orm.use(function() return true end)
            for _, use in ipairs(use_identity_map(em)) do raises("global_context", use) end
            orm.close "default"
            orm.init(db:config { entities = { User }, allow_global_context = true })
            assert.is_truthy(em:create(User, { name = "x" }))
            orm.close "default"
            orm.init(db:config { entities = { User } })
            orm.use "blocking"
            assert.is_truthy(em:create(User, { name = "x" }))
        end)
    end)
end)
