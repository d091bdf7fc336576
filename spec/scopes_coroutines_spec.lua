-- Scopes and coroutines: generators, interleaved requests, functions that are bound, transactions.


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
    describe("scopes and coroutines:", function()
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

        it("C1: a generator inside a request sees its scope, however deep", function()
            orm.request_context(function()
                local mine = orm.get_context()
                local function tower(depth)
                    return coroutine.wrap(function()
                        coroutine.yield(orm.get_context())
                        if depth > 0 then coroutine.yield(tower(depth - 1)()) end
                    end)
                end
                for depth = 0, 3 do
                    local generator = tower(depth)
                    assert.equal(mine, generator())
                    if depth > 0 then assert.equal(mine, generator()) end
                end
            end)
        end)

        it("C1: a coroutine sees the scope of who resumes it now, not of who made it", function()
            local walker = coroutine.wrap(function()
                while true do
                    local there, found = pcall(orm.get_context)
                    coroutine.yield(there and found)
                end
            end)
            assert.is_false(walker())
            orm.request_context(function()
                assert.equal(orm.get_context(), walker())
                orm.request_context(function() assert.equal(orm.get_context(), walker()) end)
                assert.equal(orm.get_context(), walker())
            end)
            assert.is_false(walker())
        end)

        it("C1: interleaved requests each see their own", function()
            local requests, seen = {}, {}
            for i = 1, 3 do
                requests[i] = coroutine.wrap(function()
                    return orm.request_context(function()
                        seen[i] = orm.get_context()
                        em:persist(em:create(User, { name = "request " .. i }))
                        coroutine.yield()
                        assert.equal(seen[i], orm.get_context())
                        orm.request_context(function()
                            coroutine.yield()
                            assert.not_equal(seen[i], orm.get_context())
                        end)
                        assert.equal(seen[i], orm.get_context())
                        coroutine.yield()
                        em:flush()
                        return i
                    end)
                end)
            end
            for _ = 1, 3 do
                for i = 3, 1, -1 do requests[i]() end
                raises("no_request_context", orm.get_context)
            end
            assert.same({ 2, 1, 3 }, { requests[2](), requests[1](), requests[3]() })
            assert.same({ "request 2", "request 1", "request 3" }, (function()
                local names = {}
                local found = em:fork():find(User, {}, { order_by = { "id" } })
                for i, user in ipairs(found) do names[i] = user.name end
                return names
            end)())
        end)

        it("C1: a scope that a coroutine is in is not seen by who resumes it", function()
            local inside = coroutine.wrap(function()
                orm.request_context(function() coroutine.yield(orm.get_context()) end)
            end)
            orm.request_context(function()
                local mine = orm.get_context()
                assert.not_equal(mine, inside())
                assert.equal(mine, orm.get_context())
            end)
        end)

        it("C1: an error in a coroutine's scope ends that scope alone", function()
            orm.request_context(function()
                local mine = orm.get_context()
                local broken = coroutine.create(function() orm.request_context(function() error "no" end) end)
                assert.is_false((coroutine.resume(broken)))
                assert.equal(mine, orm.get_context())
            end)
        end)

        it("I7: a request whose coroutine nobody resumes any more is free, its connection too", function()
            local kept = setmetatable({}, { __mode = "v" })
            do
                local request = coroutine.create(function()
                    orm.request_context(function()
                        kept.em = orm.get_context()
                        em:begin()
                        em:persist_and_flush(em:create(User, { name = "never" }))
                        coroutine.yield()
                    end)
                end)
                coroutine.resume(request)
                kept.co = request
            end
            assert.equal(1, in_use())
            collectgarbage()
            collectgarbage()
            assert.is_nil(next(kept))
            assert.equal(0, in_use())
            assert.equal(0, em:count(User, {}))
        end)

        it("orm.bind carries the scope to a coroutine that somebody else resumes", function()
            local job
            local request = coroutine.wrap(function()
                return orm.request_context(function()
                    local mine = orm.get_context()
                    job = coroutine.wrap(orm.bind(function(...)
                        local again = orm.get_context()
                        coroutine.yield(again)
                        return orm.get_context() == again, ...
                    end))
                    coroutine.yield(mine)
                    return orm.get_context() == mine
                end)
            end)
            local mine = request()
            orm.request_context(function()
                assert.equal(mine, job(1, nil, 3))
                assert.not_equal(mine, orm.get_context())
                assert.same({ true, 1, nil, 3 }, { job() })
            end)
            assert.is_true(request())
        end)

        it("orm.bind without a scope changes nothing, and errors pass it", function()
            local bound = orm.bind(function(...) return select("#", ...) end)
            assert.equal(3, bound(nil, nil, nil))
            orm.request_context(function()
                local mine = orm.get_context()
                assert.same({ false, "inside" }, { pcall(orm.bind(function() error("inside", 0) end)) })
                assert.equal(mine, orm.get_context())
            end)
            raises("validation", orm.bind, 3)
        end)

        it("what is bound to a scope that has ended says so, and never meets another request's entities", function()
            local bound = orm.request_context(function()
                em:persist_and_flush(em:create(User, { name = "Ann" }))
                return orm.bind(function() return orm.get_context() end)
            end)
            assert.matches("ended", raises("no_request_context", bound).message)
            orm.request_context(function() raises("no_request_context", bound) end)
            orm.request_context(function()
                local late = orm.bind(function() return em:find_one(User, 1) end)
                assert.equal(em:find_one(User, 1), late())
            end)
        end)

        it("inside transactional the context's names act on the entity manager that fn was given", function()
            local fork = em:fork()
            fork:transactional(function(tx)
                assert.equal(fork, tx)
                local ann = em:create(User, { name = "Ann" })
                em:persist(ann)
                assert.is_true(tx:contains(ann))
                em:flush()
                assert.equal(ann, users:find_one(ann.id))
                assert.equal(tx, orm.get_context())
                assert.is_true(em:in_transaction())
                assert.is_false(logs:in_transaction())
                raises("no_request_context", orm.get_context, "secondary")
            end)
            assert.is_false(em:in_transaction())
            raises("no_request_context", orm.get_context)
        end)

        it("inside transactional other contexts are untouched, in a request too", function()
            orm.request_context(function()
                local mine, theirs, fork = orm.get_context(), orm.get_context "secondary", em:fork()
                fork:transactional(function()
                    assert.equal(fork, orm.get_context())
                    assert.equal(theirs, orm.get_context "secondary")
                    logs:transactional(function(tx)
                        assert.equal(theirs, tx)
                        assert.equal(fork, orm.get_context())
                    end)
                end)
                assert.equal(mine, orm.get_context())
                pcall(fork.transactional, fork, function() error "no" end)
                assert.equal(mine, orm.get_context())
            end)
        end)

        it("a request inside transactional has its own entity managers again", function()
            local fork = em:fork()
            fork:transactional(function()
                orm.request_context(function()
                    assert.not_equal(fork, orm.get_context())
                    assert.is_false(em:in_transaction())
                end)
                assert.is_true(em:in_transaction())
            end)
        end)

        it("a transaction's generator sees it, its bound function too", function()
            local fork = em:fork()
            fork:transactional(function()
                assert.equal(fork, coroutine.wrap(orm.get_context)())
                assert.equal(fork, coroutine.wrap(orm.bind(function() return orm.get_context() end))())
            end)
        end)

    end)
end)
