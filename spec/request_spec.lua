-- core.request(): what links belong to, and end with.

local core = require "heddle.core"
local databases = require "spec.support.databases"
local loop = require "spec.support.loop"
local orm = require "heddle"

local has_ffi, ffi = pcall(require, "ffi")

local function collect()
    collectgarbage()
    collectgarbage()
end

describe("core.request:", function()
    local db, instance, fork

    local function open()
        instance = orm.init(db:config { entities = {}, allow_global_context = true, pool = { max = 2 } })
        fork = instance.em:fork()
        fork:begin()
        fork:execute "select 1"
        assert.equal(1, instance:pool_stats().in_use)
    end

    after_each(function()
        orm.close()
        db:close()
        loop.reset()
    end)

    databases.each(function(given)
        before_each(function()
            db = given
            open()
        end)

        it("its end gives up what its links have under way, once", function()
            local request = core.request()
            request:own(fork.link)
            assert.is_false(request:ended())
            request:finish()
            request:finish()
            assert.is_true(request:ended())
            assert.same({ 0, 0 }, { instance:pool_stats().in_use, instance:pool_stats().closed })
            fork:rollback()
            fork:begin()
            fork:execute "select 1"
            request:own(fork.link) -- it has ended: nothing is taken any more
            request:finish()
            fork:commit()
        end)

        it("one that is collected lets its links go on", function()
            core.request():own(fork.link)
            collect()
            fork:commit()
            assert.equal(0, instance:pool_stats().in_use)
        end)

        it("raises where there is no link", function()
            local request = core.request()
            assert.is_false(pcall(request.own, request, {}))
            assert.is_false(pcall(request.own, {}, fork.link))
            fork:rollback()
        end)

        if has_ffi then
            ffi.cdef "struct spec_cleanup { void (*handler)(void *); void *data; };"

            -- As a server has it: what it gives is called when the request ends.
            local function attach(request)
                local entry = ffi.new "struct spec_cleanup"
                local add = ffi.cast("void *(*)(void *, size_t)", function() return entry end)
                assert.is_true(request:attach(tonumber(ffi.cast("uintptr_t", add)), 1))
                add:free()
                return function() entry.handler(entry.data) end
            end

            it("says that the server has no memory for it", function()
                local add = ffi.cast("void *(*)(void *, size_t)", function() return nil end)
                assert.is_false(core.request():attach(tonumber(ffi.cast("uintptr_t", add)), 1))
                add:free()
                fork:rollback()
            end)

            it("the clean-up ends it, before the request is collected or after", function()
                for _, first in ipairs { "clean-up", "collected" } do
                    local request = core.request()
                    local clean_up = attach(request)
                    request:own(fork.link)
                    if first == "collected" then
                        request = nil
                        collect()
                        assert.equal(1, instance:pool_stats().in_use)
                    end
                    clean_up()
                    assert.is_true(request == nil or request:ended())
                    assert.same({ 0, 0 }, { instance:pool_stats().in_use, instance:pool_stats().closed })
                    fork:rollback()
                    fork:begin()
                    fork:execute "select 1"
                end
                fork:rollback()
            end)

            it("the clean-up may come when links, contexts and all are gone", function()
                local alive = setmetatable({}, { __mode = "v" })
                local clean_up
                do
                    local request = core.request()
                    clean_up = attach(request)
                    request:own(fork.link)
                    alive[1], alive[2] = request, fork
                end
                orm.close()
                fork, instance = nil, nil
                collect()
                assert.same({}, alive)
                clean_up()
            end)
        end
    end)
end)
