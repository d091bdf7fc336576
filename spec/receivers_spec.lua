-- Methods of an entity manager that are called with '.' say what is wrong, as those of handles, repositories and
-- collections do.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"

local unpack = table.unpack or unpack

local User = orm.entity { name = "User",
    { "id", type = "integer", primary = true },
    { "name", type = "string", nullable = true },
}
local METHODS = [[
    create persist remove flush persist_and_flush remove_and_flush assign clear refresh merge detach contains changes
    find find_one find_one_or_fail find_all find_and_count find_by_cursor count stream load get_reference map query
    insert insert_many update_where delete_where upsert upsert_many execute lock
    begin commit rollback in_transaction transactional fork enable_filter disable_filter set_filter_params repository]]

-- These pay for no more than what programs write by mistake.
local FAST = { create = true, persist = true, find_one = true }

databases.each(function(db)
    describe("methods called with '.'", function()
        local em, user

        before_each(function()
            orm.init(db:config { entities = { User } }).schema:create()
            em = orm.em():fork()
            user = em:create(User, { name = "Ann" })
            em:persist_and_flush(user)
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        for name in METHODS:gmatch "%S+" do
            it(name, function()
                local method = em[name]
                assert.equal("function", type(method))
                for _, args in ipairs { { n = 0 }, { n = 1, User }, { n = 2, User, 1 }, { n = 2, User, { name = "x" } },
                    { n = 1, user }, { n = 1, {} }, { n = 1, "User" }, { n = 2, user, { name = "x" } },
                    not FAST[name] and { n = 1, 7 } or nil, not FAST[name] and { n = 1, function() end } or nil } do
                    local err = expect.raises("validation", function()
                        local made = method(unpack(args, 1, args.n))
                        return made
                    end)
                    assert.matches("':'", err.message)
                end
                assert.equal("1", db:raw():value "select count(*) from \"user\"")
            end)
        end
    end)
end)
