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
}

databases.each(function(db)
  describe("found by chance:", function()
    local work, em

    before_each(function()
      work = unit.open(db, { Team, Person })
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
  end)
end)
