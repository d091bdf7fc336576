-- F1, F3: what a rolled-back transaction or savepoint gives back in memory.

local databases = require "spec.support.databases"
local orm = require "heddle"
local unit = require "spec.support.unit"

local Team = orm.entity { name = "Team", table = "teams",
    { "id", type = "integer", primary = true },
    { "name", type = "string", unique = true },
}
local User = orm.entity { name = "User", table = "users",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "age", type = "integer", nullable = true },
    { "data", type = "json", nullable = true },
    { "tags", type = "array", array_of = "string", nullable = true },
    { "secret", type = "string", hidden = true, nullable = true },
    { "bio", type = "text", nullable = true, lazy = true },
    { "version", type = "integer", version = true },
    { "team", many_to_one = "Team", nullable = true },
}

databases.each(function(db)
    describe("a rollback", function()
        local work, em, raw, ann, bob, core

        before_each(function()
            work = unit.open(db, { Team, User })
            em, raw = work.em, work.raw
            core = Team { name = "core" }
            ann = User { name = "Ann", age = 30, data = { n = { 1 } }, tags = { "a" }, secret = "s1", team = core }
            bob = User { name = "Bob" }
            em:persist(ann, bob):flush()
            work:forget()
        end)
        after_each(function()
            work:close()
            db:close()
        end)

        local Oops = {}

        -- Runs fn in a transaction (or savepoint) that is rolled back.
        local function rolled_back(fn, target)
            local ok, err = pcall((target or em).transactional, target or em, function(tx)
                fn(tx)
                error(Oops, 0)
            end)
            assert.is_false(ok)
            if err ~= Oops then error(err, 0) end
        end

        local function nothing_is_written()
            work:forget()
            em:flush()
            assert.same({}, work.log)
        end

        it("F1: gives back changed values, whatever their kind", function()
            local data = ann.data
            rolled_back(function()
                ann.name, ann.age, ann.secret = "X", nil, "s2"
                ann.data.n[2], ann.tags = 2, { "b", "c" }
                ann.team = nil
                bob.age, bob.team = 7, Team { name = "new" }
            end)
            assert.same({ "Ann", 30, "s1", core }, { ann.name, ann.age, ann.secret, ann.team })
            assert.same({ n = { 1 } }, ann.data)
            assert.same({ "a" }, ann.tags)
            assert.is_nil(bob.age)
            assert.is_nil(bob.team)
            assert.is_not_nil(data)
            nothing_is_written()
        end)

        it("F1: gives back what a flush inside it wrote: values, versions, snapshots", function()
            rolled_back(function(tx)
                ann.name, ann.data.n[2], ann.secret, ann.team = "X", 2, "s2", nil
                tx:flush()
                assert.equal(2, ann.version)
                ann.name, ann.tags = "Y", nil
                tx:flush()
                assert.equal(3, ann.version)
            end)
            assert.same({ "Ann", 30, "s1", core, 1 }, { ann.name, ann.age, ann.secret, ann.team, ann.version })
            assert.same({ n = { 1 } }, ann.data)
            assert.same({ "a" }, ann.tags)
            nothing_is_written()
            ann.name = "Z"
            em:flush()
            assert.same({ { "Z", "2" } }, raw:rows("select name, version from users where id = " .. ann.id))
        end)

        it("F1: changes that were pending when it began are pending again", function()
            ann.name, ann.data.n[1], bob.team, ann.secret = "Anna", 9, Team { name = "late" }, "s3"
            local late = bob.team
            rolled_back(function(tx)
                tx:flush()
                ann.name, ann.data, bob.team, ann.secret = "X", nil, nil, nil
                tx:flush()
            end)
            assert.same({ "Anna", "s3" }, { ann.name, ann.secret })
            assert.same({ n = { 9 } }, ann.data)
            assert.equal(late, bob.team)
            assert.is_nil(late.id)
            em:flush()
            assert.same({ { "Ann", "Anna" } }, { { "Ann", raw:value("select name from users where id = " .. ann.id) } })
            assert.equal("late", raw:value("select t.name from users u join teams t on t.id = u.team_id where u.id = "
                .. bob.id))
            assert.equal(2, ann.version)
        end)

        it("F1: what was first persisted inside is new again, without key, not pending", function()
            local cid = User { name = "Cid", team = Team { name = "made" }, data = { 1 }, secret = "own" }
            rolled_back(function(tx)
                tx:persist(cid):flush()
                assert.is_number(cid.id)
                assert.equal(1, cid.version)
                cid.name = "changed"
            end)
            assert.is_false(em:contains(cid))
            assert.same({ nil, nil }, { cid.id, cid.version })
            assert.equal("own", cid.secret)
            assert.equal("made", cid.team.name)
            assert.is_nil(cid.team.id)
            nothing_is_written()
            em:persist(cid):flush()
            assert.same({ { "made", "own" } }, raw:rows(
                "select t.name, u.secret from users u join teams t on t.id = u.team_id where u.id = " .. cid.id))
            assert.equal(cid, em:find_one(User, cid.id))
        end)

        it("F1: what was pending as new before it began is pending as new again, without key", function()
            local cid = User { name = "Cid" }
            em:persist(cid)
            rolled_back(function(tx)
                tx:flush()
                cid.name = "X"
                tx:flush()
            end)
            assert.same({ nil, nil, "Cid" }, { cid.id, cid.version, cid.name })
            assert.is_true(em:contains(cid))
            em:flush()
            assert.equal("1", raw:value "select count(*) from users where name = 'Cid'")
        end)

        it("F1: what was removed inside is there again, what was pending for removal is that again", function()
            em:remove(bob)
            rolled_back(function(tx)
                tx:remove(ann):flush()
                assert.is_false(tx:contains(ann))
                assert.is_nil(tx:find_one(User, { name = "Ann" }))
            end)
            assert.is_true(em:contains(ann))
            assert.is_false(em:contains(bob))
            assert.equal(core, ann.team)
            assert.equal("s1", ann.secret)
            assert.equal(ann, em:find_one(User, ann.id))
            ann.name = "Anna"
            em:flush()
            assert.same({ { "Anna" } }, raw:rows "select name from users")
        end)

        it("F1: a removal that was taken back inside is pending again", function()
            em:remove(bob)
            rolled_back(function(tx) tx:persist(bob):flush() end)
            assert.is_false(em:contains(bob))
            em:flush()
            assert.same({ { "Ann" } }, raw:rows "select name from users")
        end)

        it("F1: what was new and removed inside is pending as new again", function()
            local cid = User { name = "Cid", team = core }
            em:persist(cid)
            rolled_back(function(tx) tx:remove(cid):flush() end)
            assert.is_true(em:contains(cid))
            assert.equal(core, cid.team)
            em:flush()
            assert.equal("1", raw:value "select count(*) from users where name = 'Cid'")
        end)

        it("F1: what was first loaded inside is detached", function()
            local id = work:fork():persist_and_flush(User { name = "Dan", team = nil, secret = "d" }).id
            local dan
            rolled_back(function(tx)
                dan = tx:find_one(User, id)
                dan.name = "X"
                tx:flush()
            end)
            assert.is_false(em:contains(dan))
            local again = em:find_one(User, id)
            assert.are_not.equal(dan, again)
            assert.equal("Dan", again.name)
            dan.name = "Y"
            nothing_is_written()
            assert.equal("Dan", raw:value("select name from users where id = " .. id))
        end)

        it("F1: what was read again inside has its former values: rows that are no longer", function()
            rolled_back(function(tx)
                tx:execute("update users set name = 'raw', age = 99, secret = 'raw', team_id = null")
                assert.equal(ann, tx:find_one(User, { name = "raw", age = 99 }, { order_by = { "id" } }))
                assert.same({ "raw", 99 }, { ann.name, ann.age })
                tx:refresh(bob)
                assert.equal("raw", bob.name)
            end)
            assert.same({ "Ann", 30, "s1", core }, { ann.name, ann.age, ann.secret, ann.team })
            assert.same({ "Bob" }, { bob.name, bob.age, bob.secret, bob.team })
            nothing_is_written()
            assert.equal("2", raw:value "select count(*) from users where name in ('Ann', 'Bob')")
        end)

        it("F1: a reference that was loaded inside is a reference again", function()
            em:clear()
            local user = em:find_one(User, ann.id)
            local team = user.team
            assert.is_false(orm.is_initialized(team))
            rolled_back(function(tx)
                tx:execute "update teams set name = 'raw'"
                tx:load(user, { "team" })
                assert.equal("raw", team.name)
            end)
            assert.equal(team, user.team)
            assert.is_false(orm.is_initialized(team))
            unit.raises("not_loaded", function() return team.name end)
            em:load(user, { "team" })
            assert.equal("core", team.name)
        end)

        it("F1: a partial row that was loaded further inside is partial again", function()
            em:clear()
            local user = em:find_one(User, { name = "Ann" }, { fields = { "id", "name" } })
            unit.raises("not_loaded", function() return user.age end)
            rolled_back(function(tx)
                tx:execute "update users set age = 31"
                tx:find(User, {})
                assert.equal(31, user.age)
            end)
            unit.raises("not_loaded", function() return user.age end)
            em:find(User, {})
            assert.equal(30, user.age)
        end)

        it("F1: what was detached inside is managed again", function()
            local cid = User { name = "Cid" }
            em:persist(cid)
            rolled_back(function(tx)
                tx:detach(ann):detach(cid)
                ann.name = "X"
            end)
            assert.is_true(em:contains(ann))
            assert.is_true(em:contains(cid))
            assert.same({ "Ann", core }, { ann.name, ann.team })
            em:flush()
            assert.equal("1", raw:value "select count(*) from users where name = 'Cid'")
            assert.equal(ann, em:find_one(User, ann.id))
        end)

        it("F1: begin and rollback by hand do the same", function()
            em:begin()
            ann.name = "X"
            em:persist(User { name = "Cid" }):remove(bob):flush()
            em:rollback()
            assert.equal("Ann", ann.name)
            assert.is_true(em:contains(bob))
            nothing_is_written()
            assert.equal("2", raw:value "select count(*) from users")
        end)

        it("F3: a savepoint undoes its own work only, what was pending outside is written", function()
            em:transactional(function(tx)
                ann.name = "Anna"
                tx:persist(User { name = "outer" })
                rolled_back(function(inner)
                    ann.name, bob.name = "X", "Y"
                    inner:persist(User { name = "inner" }):remove(bob):flush()
                    assert.equal(1, inner:execute "select count(*) as n from users where name = 'inner'"[1].n)
                end, tx)
                assert.same({ "Anna", "Bob" }, { ann.name, bob.name })
                assert.is_true(tx:contains(bob))
                bob.age = 5
            end)
            assert.same({ { "Anna", "30" }, { "Bob", "5" }, { "outer", false } },
                raw:rows "select name, age from users order by name")
        end)

        it("F3: what the outer one had flushed stays, savepoints follow one another and nest", function()
            em:transactional(function(tx)
                ann.name = "A1"
                tx:flush()
                for i = 1, 3 do
                    rolled_back(function(one)
                        ann.name = "in " .. i
                        one:flush()
                        rolled_back(function(two)
                            ann.name = "deep"
                            two:persist(User { name = "deep" }):flush()
                        end, one)
                        assert.equal("in " .. i, ann.name)
                        one:transactional(function() bob.name = "kept?" end)
                    end, tx)
                    assert.same({ "A1", "Bob", 2 }, { ann.name, bob.name, ann.version })
                end
                tx:transactional(function() bob.age = 1 end)
            end)
            assert.same({ { "A1", "30", "2" }, { "Bob", "1", "2" } },
                raw:rows "select name, age, version from users order by name")
            nothing_is_written()
        end)

        it("F3: a savepoint that ended well is undone with the transaction around it", function()
            rolled_back(function(tx)
                tx:transactional(function() ann.name, bob.age = "X", 3 end)
                assert.equal(2, ann.version)
            end)
            assert.same({ "Ann", nil, 1 }, { ann.name, bob.age, ann.version })
            nothing_is_written()
            assert.equal("Ann", raw:value("select name from users where id = " .. ann.id))
        end)

        it("F1: keys are found as they were: by key, in relations, among new ones", function()
            local id = bob.id
            rolled_back(function(tx)
                tx:remove(bob):flush()
                local other = User { id = id, name = "other" }
                tx:persist(other):flush()
                assert.equal(other, tx:find_one(User, id))
            end)
            assert.equal(bob, em:find_one(User, id))
            assert.equal("Bob", raw:value("select name from users where id = " .. id))
            local cid = User { name = "Cid" }
            em:persist_and_flush(cid)
            assert.equal(cid, em:find_one(User, cid.id))
        end)

        it("F1: 1,000 rows, changed, new and removed", function()
            local users = {}
            for i = 1, 1000 do users[i] = User { name = "n" .. i, data = { i } } end
            for _, user in ipairs(users) do em:persist(user) end
            em:flush()
            for i = 1, 500 do users[i].age = i end
            local fresh = {}
            rolled_back(function(tx)
                for i = 1, 1000 do users[i].name, users[i].data[2] = "x", i end
                for i = 1, 1000 do fresh[i] = User { name = "f" .. i } end
                for _, user in ipairs(fresh) do tx:persist(user) end
                for i = 901, 1000 do tx:remove(users[i]) end
                tx:flush()
            end)
            for i, user in ipairs(users) do
                if user.name ~= "n" .. i or #user.data ~= 1 or user.version ~= 1 or user.age ~= (i <= 500 and i or nil)
                    or not em:contains(user) or fresh[i].id then
                    error("row " .. i .. " is not what it was")
                end
            end
            work:forget()
            em:flush()
            assert.equal(1, work:writes "UPDATE")
            assert.equal("500", raw:value "select count(*) from users where version = 2 and age > 0")
            assert.equal("1002", raw:value "select count(*) from users")
        end)
    end)
end)
