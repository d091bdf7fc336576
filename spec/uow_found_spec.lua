-- What random work on the unit of work has found (unit_of_work_random_spec), each as small as it could be made.
local databases = require("spec.support.databases")
local orm = require("heddle")
local unit = require("spec.support.unit")

local Team = orm.entity {
  name = "Team", table = "teams",
  { "id", type = "integer", primary = true },
  { "name", type = "string" },
  { "members", one_to_many = "Person", mapped_by = "team" },
}
local Person = orm.entity {
  name = "Person", table = "persons",
  { "id", type = "integer", primary = true },
  { "team", many_to_one = "Team", nullable = true },
  { "topics", many_to_many = "Topic", inversed_by = "people", pivot_table = "persons_topics" },
  { "ranking", many_to_many = "Topic", fixed_order = true, pivot_table = "persons_ranking" },
}
local Topic = orm.entity {
  name = "Topic", table = "topics",
  { "id", type = "integer", primary = true },
  { "name", type = "string" },
  { "people", many_to_many = "Person", mapped_by = "topics" },
}
-- Parked values go below these, whatever the type.
local Mark = orm.entity {
  name = "Mark", table = "marks",
  { "id", type = "integer", primary = true },
  { "code", type = "integer", unique = true },
  { "price", type = "decimal", precision = 6, scale = 2, unique = true },
  { "day", type = "date", unique = true },
  { "seen", type = "timestamp", unique = true },
}
local Lock = orm.entity {
  name = "Lock", table = "locks",
  { "id", type = "integer", primary = true },
  { "key", many_to_one = "Key" },
}
local Key = orm.entity {
  name = "Key", table = "keys",
  { "id", type = "integer", primary = true },
  { "lock", many_to_one = "Lock" },
}

databases.each(function(db)
  describe("found by chance:", function()
    local work, em

    before_each(function()
      work = unit.open(db, { Team, Person, Topic, Lock, Key, Mark })
      em = work.em
    end)

    after_each(function()
      work:close()
      db:close()
    end)

    it("F1: a new row that was removed in a transaction has its members again after the rollback", function()
      local team, person = Team { name = "a" }, Person {}
      person.team = team
      em:persist(team, person)
      em:begin()
      person.team = nil
      em:remove(team)
      em:rollback()
      assert.equal(team, person.team)
      assert.same({ person }, team.members:items())
      em:flush()
      assert.same({ { tostring(team.id) } }, work.raw:rows("select team_id from persons"))
    end)

    it("F1: what a rollback made new again has both sides of its relations when it is persisted again", function()
      local team, stays = Team { name = "a" }, Person {}
      local topic, kept = Topic { name = "x" }, Topic { name = "y" }
      stays.team = team
      stays.topics:add(kept)
      em:persist(team, stays, topic):flush()
      em:begin()
      local comes, other = Person { team = team }, Team { name = "b" }
      local made = Topic { name = "z" }
      comes.topics:add(kept, made)
      stays.topics:add(made)
      stays.team = other
      em:persist(comes, other):flush()
      em:rollback()
      assert.same({ stays }, team.members:items())
      assert.is_nil(comes.id)
      em:persist(comes, other, made)
      assert.same({ stays, comes }, team.members:items())
      assert.same({}, other.members:items())
      assert.same({ stays, comes }, kept.people:items())
      assert.same({ comes }, made.people:items())
      em:flush()
      assert.equal("2", work.raw:value("select count(*) from persons where team_id = " .. team.id))
      assert.equal("3", work.raw:value("select count(*) from persons_topics"))
    end)

    it("O2: a foreign key that stays broken fails its flush, though checks were put off in the transaction", function()
      local team, person = Team { name = "a" }, Person {}
      person.team = team
      local lock, key = Lock {}, Key {}
      lock.key, key.lock = key, lock
      em:persist(team, person):flush()
      em:begin()
      for _, first in ipairs({ true, false }) do
        em:remove(team)
        if first then em:persist(lock, key) end
        local err = unit.raises("foreign_key_violation", em.flush, em)
        assert.is_nil(tostring(err):find("Lock", 1, true))
        assert.equal(team, person.team)
        em:persist(team):flush()
      end
      em:commit()
      assert.equal("1", work.raw:value("select count(*) from persons where team_id is not null"))
      assert.equal("1", work.raw:value("select count(*) from locks"))
    end)

    it("U2: a relation that was assigned what it was is no change when its target's row is taken over", function()
      local team, person = Team { name = "a" }, Person {}
      person.team = team
      em:persist(team, person):flush()
      person.team = nil
      person.team = team
      em:remove(team)
      local other = Team { id = team.id, name = "b" }
      em:persist(other)
      local ops = {}
      for i, change in ipairs(em:changes()) do ops[i] = change.op .. " " .. change.name end
      table.sort(ops)
      assert.same({ "create Team", "delete Team" }, ops)
      em:flush()
      assert.equal(other, person.team)
    end)

    it("O1: members in an order stay with the row when another instance takes it over", function()
      local first, person = Topic { name = "1" }, Person {}
      local rest = { Topic { name = "2" }, Topic { name = "3" } }
      person.ranking:add(first):add(rest)
      em:persist(person):flush()
      person.ranking:remove(first)
      person.ranking:add(Topic { name = "never" })
      em:remove(person)
      local other = Person { id = person.id }
      em:persist(other):flush()
      assert.same(rest, other.ranking:load():items())
      assert.equal("2", work.raw:value("select count(*) from persons_ranking"))
    end)

    it("O2: rows that swap unique values are not put aside at values that others take", function()
      local function set(mark, n)
        mark.code, mark.price, mark.day, mark.seen = n, ("%d.00"):format(n), ("2020-01-%02d"):format(n), n
        return mark
      end
      local rows = {}
      for n = 11, 20 do
        rows[n] = set(Mark {}, n)
        em:persist(rows[n])
      end
      em:flush()
      set(rows[11], 12)
      set(rows[12], 11)
      for n = 13, 20 do set(rows[n], n - 10) end
      em:persist(set(Mark {}, 1), set(Mark {}, 2))
      em:flush()
      assert.equal("1 2 3 4 5 6 7 8 9 10 11 12", (function()
        local codes = {}
        for i, row in ipairs(work.raw:rows("select code from marks order by code")) do codes[i] = row[1] end
        return table.concat(codes, " ")
      end)())
    end)

    it("I1: a key that was to be taken over is again that of the row whose removal is pending", function()
      local team, person = Team { name = "a" }, Person {}
      person.team = team
      em:persist(team, person):flush()
      for _, leave in ipairs({ em.remove, em.detach }) do
        local other = Team { id = team.id, name = "b" }
        em:remove(team)
        em:begin()
        em:persist(other)
        assert.equal(other, person.team)
        leave(em, other)
        assert.equal(team, person.team)
        em:rollback()
        assert.equal(team, person.team)
        em:persist(team)
      end
      em:flush()
      assert.equal("1", work.raw:value("select count(*) from teams"))
    end)
  end)
end)
