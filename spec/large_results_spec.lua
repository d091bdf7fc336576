-- Results of many rows: what is known of their instances is the same as for few, in whatever order keys come, and what
-- becomes of the entity manager since.

local chance = require "spec.support.chance"
local databases = require "spec.support.databases"
local orm = require "heddle"
local unit = require "spec.support.unit"

local Team = orm.entity { name = "Team", table = "teams",
    { "id", type = "bigint", primary = true }, { "name", type = "string" },
    { "users", one_to_many = "User", mapped_by = "team" } }
local User = orm.entity { name = "User", table = "users",
    { "id", type = "bigint", primary = true }, { "name", type = "string" },
    { "age", type = "integer", nullable = true },
    { "team", many_to_one = "Team", nullable = true } }

local by_id, MANY = { "id" }, 300

local tells = pcall(collectgarbage, "isrunning")

databases.each(function(db)
    describe("a large result", function()
        local work

        before_each(function() work = unit.open(db, { Team, User }) end)

        after_each(function()
            work:close()
            db:close()
        end)

        local function seed(keys)
            local teams, users = {}, {}
            for i = 1, 10 do teams[i] = ("(%d, 't%d')"):format(i, i) end
            for i, key in ipairs(keys) do users[i] = ("(%d, 'u%d', %d, %d)"):format(key, i, i, i % 10 + 1) end
            work.raw:exec("insert into teams (id, name) values " .. table.concat(teams, ","))
            work.raw:exec("insert into users (id, name, age, team_id) values " .. table.concat(users, ","))
        end

        local function count_up(step)
            local keys = {}
            for i = 1, MANY do keys[i] = i * step end
            return keys
        end

        for _, step in ipairs { 1, 16, 1024, 1048576, 4294967296 } do
            for _, order in ipairs { "asc", "desc" } do
                it(("I1: keys that are %.0f apart, %sending, lead to one instance each"):format(step, order), function()
                    seed(count_up(step))
                    local em = work:fork()
                    local list = em:find_all(User, { order_by = { "id " .. order } })
                    assert.equal(MANY, #list)
                    work:forget()
                    for _, e in ipairs(list) do assert.equal(e, (em:find_one(User, e.id))) end
                    assert.equal(0, #work.log)
                    assert.is_nil(em:find_one(User, step * MANY + 1))
                    for i, e in ipairs(em:find_all(User, { order_by = { "id " .. order } })) do
                        assert.equal(list[i], e)
                    end
                end)
            end
        end

        it("I1: half of it managed already is found, the rest joins", function()
            seed(count_up(3))
            local em, known = work:fork(), {}
            for _, e in ipairs(em:find(User, { age = orm.op.gt(MANY / 2) })) do known[e.id] = e end
            local list = em:find_all(User, { order_by = by_id })
            assert.equal(MANY, #list)
            local found = 0
            for _, e in ipairs(list) do
                if known[e.id] then
                    assert.equal(known[e.id], e)
                    found = found + 1
                end
                assert.equal(e, (em:find_one(User, e.id)))
            end
            assert.equal(MANY / 2, found)
        end)

        it("what leaves has no place, whoever comes to its slot", function()
            seed(count_up(1))
            local em = work:fork()
            local list = em:find_all(User, { order_by = by_id })
            for i = 1, MANY, 2 do em:detach(list[i]) end
            local again = em:find_all(User, { order_by = by_id })
            for i, e in ipairs(again) do
                if i % 2 == 1 then
                    assert.not_equal(list[i], e)
                    unit.raises("not_managed", em.refresh, em, list[i])
                else
                    assert.equal(list[i], e)
                end
                e.age = e.age + 1000
            end
            em:flush()
            assert.equal(tostring(MANY), work.raw:value "select count(*) from users where age > 1000")
        end)

        it("what was read stays readable when the entity manager is gone", function()
            seed(count_up(1))
            local function read()
                local em = work:fork()
                em:find_all(Team)
                return em:find_all(User, { order_by = by_id })
            end
            local list = read()
            collectgarbage()
            collectgarbage()
            assert.equal("u7", list[7].name)
            assert.equal("User", orm.metadata(getmetatable(list[9]).class).name)
            assert.has_error(function() list[9].team = Team { name = "x" } end)
        end)

        it("cleared, the entity manager reads anew and knows nobody of before", function()
            seed(count_up(1))
            local em = work:fork()
            local list = em:find_all(User, { order_by = by_id })
            em:clear()
            local again = em:find_all(User, { order_by = by_id })
            for i, e in ipairs(again) do
                assert.not_equal(list[i], e)
                assert.equal(e, (em:find_one(User, e.id)))
            end
            unit.raises("not_managed", em.remove, em, list[MANY])
        end)

        it("a rollback takes out what came meanwhile, and leaves its place to others", function()
            seed(count_up(1))
            local em = work:fork()
            local list
            assert.has_error(function()
                em:transactional(function(inner)
                    list = inner:find_all(User, { order_by = by_id })
                    for _, e in ipairs(list) do e.age = 1 end
                    inner:flush()
                    error("no", 0)
                end)
            end)
            for _, e in ipairs(em:find_all(User, { order_by = by_id })) do
                e.age = e.age + 1
                assert.equal(e, (em:find_one(User, e.id)))
            end
            em:flush()
            assert.equal("0", work.raw:value "select count(*) from users where age < 2")
        end)

        it("members that moved in memory are in the collection where they are now", function()
            seed(count_up(1))
            for run = 1, chance.runs(6) do
                local random, em = chance.generator(chance.seed(1) + run), work:fork()
                local users, teams, expected = em:find_all(User, { order_by = by_id }), {}, {}
                for i = 1, 10 do teams[i], expected[i] = em:find_one(Team, i), {} end
                for _ = 1, random(20) - 1 do users[random(#users)].team = teams[random(10)] end
                if random(2) == 1 then
                    em:remove(users[random(#users)])
                end
                for _, user in ipairs(users) do
                    local list = expected[user.team.id]
                    list[#list + 1] = user
                end
                em:find_all(Team, { populate = { "users" }, flush_mode = "commit" })
                for i, team in ipairs(teams) do
                    local there = {}
                    for k = 1, #team.users do there[team.users[k]] = true end
                    for _, user in ipairs(expected[i]) do assert.is_true(there[user], ("run %d"):format(run)) end
                    assert.equal(#expected[i], #team.users)
                end
            end
        end)

        if tells then
            it("leaves the collector as it was, also where it fails", function()
                seed(count_up(1))
                work:fork():find_all(User)
                assert.is_true(collectgarbage "isrunning")
                collectgarbage "stop"
                work:fork():find_all(User)
                assert.is_false(collectgarbage "isrunning")
                collectgarbage "restart"
                local sql = "select * from (select 1 as id union all select id from users) as t"
                assert.has_error(function() work:fork():map(User, work.em:execute(sql)) end)
                assert.is_true(collectgarbage "isrunning")
            end)
        end

        it("Q6: one after the other they do not pile up", function()
            seed(count_up(1))
            local function grown()
                for _ = 1, 60 do work:fork():find_all(User) end
                return collectgarbage "count"
            end
            grown()
            local first = grown()
            for _ = 1, 6 do grown() end
            local last = grown()
            assert.is_true(last < first * 2 + 2000, ("%.0f KB became %.0f"):format(first, last))
        end)
    end)
end)
