-- F5 and section 6: which entity and property an error names, alike on both drivers.
local orm = require "heddle"
local databases = require "spec.support.databases"

local Team = orm.entity { name = "Team",
    { "id", type = "integer", primary = true },
    { "name", type = "string" } }
local User = orm.entity { name = "User", table = "users",
    { "id", type = "integer", primary = true },
    { "data", type = "json", nullable = true },
    { "ratio", type = "double", nullable = true },
    { "team", many_to_one = "Team", nullable = true } }

databases.each(function(db)
    local em

    before_each(function()
        orm.init(db:config { entities = { Team, User } }).schema:create()
        em = orm.em()
    end)

    after_each(function()
        orm.close()
        db:close()
    end)

    local function raised(fn, ...)
        local ok, err = pcall(fn, ...)
        assert.is_false(ok)
        assert.is_true(orm.is_error(err), tostring(err))
        return err
    end

    it("F5: a foreign key that still refers to a removed row is named with the entity that has it", function()
        local user = em:create(User, { team = em:create(Team, { name = "core" }) })
        em:persist_and_flush(user)
        local fork = em:fork()
        fork:remove(fork:find_one(Team, user.team.id))
        local err = raised(fork.flush, fork)
        assert.equal("foreign_key_violation", err.kind)
        -- SQLite does not say which one.
        if db.name == "postgres" then
            assert.same({ "User", "team", "users" }, { err.entity, err.property, err.table })
        end
        assert.is_true(orm.is_error(err, "constraint"))
    end)

    it("U4: NUL inside json is validation, before anything is sent", function()
        local sent = 0
        em:count(User, {})
        orm.instance():on("query", function() sent = sent + 1 end)
        for _, data in ipairs { "a\0b", { "\0" }, { a = { b = "x\0" } }, { ["k\0"] = 1 } } do
            for _, write in ipairs { em.insert, em.create } do
                local err = raised(function()
                    local made = write(em, User, { data = data })
                    em:persist_and_flush(made)
                end)
                em:clear()
                assert.same({ "validation", "User", "data" }, { err.kind, err.entity, err.property })
            end
        end
        assert.equal(0, sent)
    end)
end)
