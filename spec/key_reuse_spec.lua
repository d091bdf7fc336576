-- O1: a key or a unique value that one row gives up and another takes in the same flush.

local databases = require "spec.support.databases"
local orm = require "heddle"
local unit = require "spec.support.unit"

local Team = orm.entity { name = "Team", table = "teams",
    { "id", type = "integer", primary = true },
    { "name", type = "string", unique = true },
    { "motto", type = "string", nullable = true },
    { "rank", type = "integer", default_sql = "7" },
    { "version", type = "integer", version = true },
}
local User = orm.entity { name = "User", table = "users",
    { "id", type = "integer", primary = true },
    { "name", type = "string", unique = true },
    { "team", many_to_one = "Team" },
}
local Place = orm.entity { name = "Place", table = "places",
    { "row", type = "integer", primary = true },
    { "number", type = "integer", primary = true },
    { "guest", type = "string", nullable = true },
    uniques = { { "guest" } },
}

databases.each(function(db)
    describe("a key that is used again", function()
        local work, em, raw, told

        before_each(function()
            work = unit.open(db, { Team, User, Place })
            em, raw, told = work.em, work.raw, {}
            for _, event in ipairs { "before_create", "after_create", "before_delete", "after_delete" } do
                work.instance:on(event, function(e) told[#told + 1] = event .. " " .. tostring(e.name) end)
            end
        end)
        after_each(function()
            work:close()
            db:close()
        end)

        local function given()
            local old = Team { name = "old", motto = "m", rank = 3 }
            em:persist_and_flush(old)
            old.motto = "n"
            em:flush()
            told = {}
            work:forget()
            return old
        end

        it("O1: a new row takes the key of a removed one, and all hooks of both are called", function()
            local old = given()
            local new = Team { id = old.id, name = "old" }
            em:remove(old):persist(new):flush()
            assert.same({ { "old", false, "7" } }, raw:rows "select name, motto, rank from teams")
            assert.equal(7, new.rank)
            assert.is_false(em:contains(old))
            assert.equal(new, em:find_one(Team, new.id))
            table.sort(told)
            assert.same({ "after_create old", "after_delete old", "before_create old", "before_delete old" }, told)
            work:forget()
            em:flush()
            assert.same({}, work.log)
            em:persist_and_flush(User { name = "Ann", team = new })
            assert.equal("1", raw:value "select count(*) from users u join teams t on t.id = u.team_id")
        end)

        it("F1: one that fails leaves the old row removed still and the new one pending", function()
            local old = given()
            local twin = em:persist_and_flush(Team { name = "taken" })
            local new = Team { id = old.id, name = "taken" }
            em:remove(old):persist(new)
            unit.raises("unique_violation", em.flush, em)
            assert.is_false(em:contains(old))
            assert.is_true(em:contains(new))
            assert.same({ nil, nil }, { new.rank, new.version })
            assert.same({ "old", 2 }, { old.name, old.version })
            new.name = "new"
            em:flush()
            assert.same({ { "new" }, { "taken" } }, raw:rows "select name from teams order by name")
            assert.equal(2, em:count(Team, {}))
            assert.is_true(em:contains(twin))
        end)

        it("F1: one that is rolled back brings the old one back under its key", function()
            local old = given()
            local new = Team { id = old.id, name = "new" }
            pcall(em.transactional, em, function(tx)
                tx:remove(old):persist(new):flush()
                assert.equal(new, tx:find_one(Team, new.id))
                error "x"
            end)
            assert.is_true(em:contains(old))
            assert.is_false(em:contains(new))
            assert.equal(old, em:find_one(Team, old.id))
            old.motto = "o"
            em:flush()
            assert.same({ { "old", "o", "3" } }, raw:rows "select name, motto, version from teams")
        end)

        it("F2: a stale row is not replaced", function()
            local old = given()
            raw:exec "update teams set version = 9"
            em:remove(old):persist(Team { id = old.id, name = "new" })
            unit.raises("optimistic_lock", em.flush, em)
            assert.equal("old", raw:value "select name from teams")
        end)

        it("O1: a removal that is taken back after its key was given away is refused at the call", function()
            local old = given()
            local new = Team { id = old.id, name = "new" }
            em:remove(old):persist(new)
            unit.raises("validation", em.persist, em, old)
            em:remove(new):persist(old)
            assert.is_true(em:contains(old))
            assert.equal(old, em:find_one(Team, old.id))
            old.motto = "o"
            em:flush()
            assert.same({ { "old", "o" } }, raw:rows "select name, motto from teams")
        end)

        it("O1: composite keys, many at once, with a unique value that wanders", function()
            local list = {}
            for i = 1, 50 do
                list[i] = Place { row = i, number = 1, guest = "g" .. i }
                em:persist(list[i])
            end
            em:flush()
            for i = 1, 50 do
                em:remove(list[i])
                em:persist(Place { row = i, number = 1 }, Place { row = i, number = 2, guest = "g" .. i })
            end
            em:flush()
            assert.equal("100", raw:value "select count(*) from places")
            assert.equal("50", raw:value "select count(*) from places where number = 2 and guest = 'g' || row")
            assert.equal("50", raw:value "select count(*) from places where number = 1 and guest is null")
        end)

        it("O1: unique values: freed by a delete, an update, NULL, in one flush and any order of calls", function()
            local places = {}
            for i = 1, 6 do
                places[i] = Place { row = 1, number = i, guest = "g" .. i }
                em:persist(places[i])
            end
            em:flush()
            em:persist(Place { row = 2, number = 1, guest = "g1" }, Place { row = 2, number = 2, guest = "g2" },
                Place { row = 2, number = 3, guest = "g3" })
            places[3].guest = nil
            places[2].guest = "g9"
            em:remove(places[1])
            places[4].guest = "g5"
            places[5].guest = "g6"
            places[6].guest = "g7"
            em:flush()
            assert.same({ { "2", "g9" }, { "3", false }, { "4", "g5" }, { "5", "g6" }, { "6", "g7" } },
                raw:rows "select number, guest from places where row = 1 order by number")
            assert.same({ { "g1" }, { "g2" }, { "g3" } },
                raw:rows "select guest from places where row = 2 order by guest")
        end)

        it("I4: two new rows of one key, or of one unique value, do not pass", function()
            em:persist(Place { row = 1, number = 1 })
            unit.raises("validation", em.persist, em, Place { row = 1, number = 1 })
            em:flush()
            unit.raises("validation", em.persist, em, Place { row = 1, number = 1 })
            unit.raises("validation", em.create, em, Place, { row = 1, number = 1 })
            em:persist(Place { row = 2, number = 1, guest = "x" }, Place { row = 2, number = 2, guest = "x" })
            unit.raises("unique_violation", em.flush, em)
            assert.equal("1", raw:value "select count(*) from places")
        end)
    end)
end)
