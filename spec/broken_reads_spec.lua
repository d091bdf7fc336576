-- A query that fails in the middle of its rows: what had been read until then is what it says it is.

local databases = require "spec.support.databases"
local orm = require "heddle"
local unit = require "spec.support.unit"
local raises = unit.raises

local Upper = orm.type { column = "string",
    to_db = function(value) return value:lower() end, from_db = function(value) return value:upper() end }
local Team = orm.entity { name = "Team", table = "teams", { "id", type = "integer", primary = true },
    { "name", type = Upper }, { "members", one_to_many = "Member", mapped_by = "team" } }
local Member = orm.entity { name = "Member", table = "members", { "id", type = "integer", primary = true },
    { "name", type = "string" }, { "team", many_to_one = "Team" } }

-- True for the first row, an error for the second.
local fails = {
    sqlite = "abs(case when e0.id = 2 then -9223372036854775807 - 1 else e0.id end) > 0",
    postgres = "1 / (e0.id - 2) <> 0",
}

databases.each(function(db)
    describe("a query that breaks off", function()
        local work

        before_each(function()
            work = unit.open(db, { Team, Member })
            local em = work:fork()
            for i = 1, 3 do
                local team = em:create(Team, { name = "team " .. i })
                em:persist(em:create(Member, { name = "m" .. i, team = team }))
            end
            em:flush()
        end)
        after_each(function()
            work:close()
            db:close()
        end)

        -- The query fails, and then what it left is looked at.
        local function broken(opts, managed)
            raises("validation", work.em.find, work.em, Team, orm.raw(fails[db.name]), opts)
            return managed ~= false and work.em:find_one(Team, 1)
        end

        it("I5: a row that was read in part is partial", function()
            local team = work.em:get_reference(Team, 1)
            raises("validation", work.em.find, work.em, Team, orm.raw(fails[db.name]), { fields = { "id" } })
            raises("not_loaded", function() return team.name end)
            assert.equal("TEAM 1", work.em:find_one(Team, 1).name)
            assert.equal("TEAM 1", team.name)
        end)

        it("a row that was not known before is partial too", function()
            assert.equal("TEAM 1", broken({ fields = { "id" } }).name)
        end)

        it("values of custom types are the program's", function()
            assert.equal("TEAM 1", broken().name)
            assert.same({}, work.em:changes().updated or {})
            work:forget()
            work.em:flush()
            assert.same({}, work:statements())
        end)

        it("with what is joined as well", function()
            local team = broken { populate = { "members" }, strategy = "joined" }
            assert.equal("TEAM 1", team.name)
            team.members:load()
            assert.equal("m1", team.members[1].name)
            broken { populate = { "members" }, strategy = "joined", fields = { "id" } }
            assert.equal("TEAM 2", work.em:find_one(Team, 2).name)
        end)
    end)
end)
