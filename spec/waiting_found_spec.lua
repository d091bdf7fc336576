-- What is given up while it waits for a connection leaves nothing behind that later work would run into.

local databases = require "spec.support.databases"
local loop = require "spec.support.loop"
local orm = require "heddle"
local raises = require("spec.support.unit").raises

local pcall = require("heddle.compat").pcall -- 5.1's own cannot be yielded across

local User = orm.entity {
    name = "User", table = "users",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
}

databases.each(function(db)
    describe("with a full pool:", function()
        local instance, em, is_held

        before_each(function()
            instance = orm.init(db:config { entities = { User }, allow_global_context = true, pool = { max = 1 } })
            instance.schema:create()
            em = instance.em:fork()
            em:insert(User, { name = "known" })
            loop.reset()
            orm.use(loop.wait)
            is_held = true
            loop.spawn(function()
                instance.em:fork():transactional(function(tx)
                    tx:execute "select 1"
                    while is_held do loop.yield() end
                end)
            end)
        end)
        after_each(function()
            orm.use "blocking"
            loop.reset()
            orm.close()
            db:close()
        end)

        -- Starts fn, which waits for a connection, and forgets it there.
        local function give_up(fn)
            local co = loop.spawn(fn)
            assert.is_true(loop.waits(co))
            loop.drop(co)
            co = nil -- luacheck: ignore
            collectgarbage()
            collectgarbage()
        end

        local function go_on(fn)
            is_held = false
            local is_done
            loop.spawn(function()
                fn()
                is_done = true
            end)
            loop.run()
            assert.is_true(is_done)
            assert.equal(0, instance:pool_stats().in_use)
        end

        local function stored() return db:raw():value "select count(*) from users" end

        for name, begin in pairs {
            begin = function() em:begin() end,
            transactional = function() em:transactional(function() end) end,
        } do
            it("F1: a " .. name .. " that was given up has begun nothing: a flush then writes", function()
                give_up(begin)
                assert.is_false(em:in_transaction())
                go_on(function()
                    em:persist(User { name = "new" }):flush()
                    em:insert(User, { name = "newer" })
                    em:update_where(User, { name = "known" }, { name = "changed" })
                end)
                assert.equal("3", stored())
                assert.equal("1", db:raw():value "select count(*) from users where name = 'changed'")
            end)
        end

        it("F1: so has one that its scheduler aborts", function()
            local is_aborted
            orm.use(function(...)
                local answer = loop.wait(...)
                if is_aborted then error("aborted", 0) end
                return answer
            end)
            local result
            local co = loop.spawn(function() result = { pcall(em.begin, em) } end)
            is_aborted = true
            loop.drop(co)
            assert.is_true(coroutine.resume(co, false))
            assert.same({ false, "aborted" }, result)
            is_aborted = false
            go_on(function() em:persist(User { name = "new" }):flush() end)
            assert.equal("2", stored())
        end)

        it("clear is busy while another coroutine waits, and not when that one is gone", function()
            em:persist(User { name = "new" })
            local co = loop.spawn(function() em:flush() end)
            assert.is_true(loop.waits(co))
            raises("busy", em.clear, em)
            go_on(function() end)
            assert.equal("2", stored())
            local users
            go_on(function() users = em:find(User, {}) end)
            assert.is_true(em:contains(users[1]))
        end)

        it("what a flush that was given up had pending can be cleared", function()
            em:persist(User { name = "new" })
            give_up(function() em:flush() end)
            em:clear()
            go_on(function() em:flush() end)
            assert.equal("1", stored())
        end)
    end)
end)
