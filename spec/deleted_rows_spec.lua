-- I6: what a declared rule of the database does to other rows is done in memory too.
local databases = require("spec.support.databases")
local orm = require("heddle")

local Team = orm.entity {
  name = "DelTeam", table = "del_teams",
  { "id", type = "integer", primary = true },
  { "name", type = "string" },
  { "members", one_to_many = "DelMember", mapped_by = "team" },
  { "guests", one_to_many = "DelMember", mapped_by = "visits" },
}
local Member = orm.entity {
  name = "DelMember", table = "del_members",
  { "id", type = "integer", primary = true },
  { "name", type = "string" },
  { "team", many_to_one = "DelTeam", on_delete = "cascade", nullable = true },
  { "visits", many_to_one = "DelTeam", on_delete = "set null", nullable = true },
  { "notes", one_to_many = "DelNote", mapped_by = "member" },
  { "skills", many_to_many = "DelSkill" },
}
local Note = orm.entity {
  name = "DelNote", table = "del_notes",
  { "id", type = "integer", primary = true },
  { "text", type = "string" },
  { "member", many_to_one = "DelMember", on_delete = "cascade" },
}
local Skill = orm.entity {
  name = "DelSkill", table = "del_skills",
  { "id", type = "integer", primary = true },
  { "name", type = "string" },
}

databases.each(function(db)
  describe("deleted rows", function()
    local instance, em, raw

    before_each(function()
      instance = orm.init(db:config { context_name = "del", entities = { Team, Member, Note, Skill } })
      instance.schema:create()
      em = orm.em("del"):fork()
      raw = db:raw(instance.config)
    end)

    after_each(function()
      orm.close()
      db:close()
    end)

    local function team_of(name)
      local team, member, guest = Team { name = name }, Member { name = name .. "m" }, Member { name = name .. "g" }
      team.members:add(member)
      team.guests:add(guest)
      member.notes:add(Note { text = "n" })
      return team, member, guest, member.notes[1]
    end

    it("I6: what the database deletes with a row is detached, what it empties is empty", function()
      local team, member, guest, note = team_of("a")
      em:persist(team):flush()
      local other = em:fork()
      local mine = other:find_one(Member, guest.id)
      em:remove(team):flush()
      assert.is_false(em:contains(member))
      assert.is_false(em:contains(note))
      assert.is_true(em:contains(guest))
      assert.is_nil(guest.visits)
      assert.equal(1, #raw:rows("select * from del_members"))
      guest.name = "still there"
      em:flush()
      assert.same({ { "still there" } }, raw:rows("select name from del_members"))
      assert.is_not_nil(mine)
    end)

    it("I6: pending deletes and changes of rows that go anyway are no missing rows", function()
      local team, member, _, note = team_of("a")
      em:persist(team):flush()
      note.text = "changed"
      em:remove(member)
      em:remove(team):flush()
      assert.equal(0, #raw:rows("select * from del_notes"))
    end)

    it("I6: a row that was moved before does not go", function()
      local t1, member = team_of("a")
      local t2 = Team { name = "b" }
      em:persist(t1, t2):flush()
      t2.members:add(member)
      em:remove(t1):flush()
      assert.is_true(em:contains(member))
      assert.equal(t2, member.team)
      assert.same({ { tostring(t2.id) } }, raw:rows("select team_id from del_members where name = 'am'"))
    end)

    it("I6: collections let go of what is deleted", function()
      local team, member = team_of("a")
      local skill = Skill { name = "s" }
      member.skills:add(skill, Skill { name = "t" })
      em:persist(team):flush()
      em:remove(skill):flush()
      assert.equal(1, #member.skills)
      assert.is_false(member.skills:is_dirty())
      em:remove(member):flush()
      assert.equal(0, #team.members)
      assert.is_false(team.members:is_dirty())
    end)

    it("F1: a rolled-back deletion brings them all back", function()
      local team, member, guest, note = team_of("a")
      em:persist(team):flush()
      local ok = pcall(em.transactional, em, function()
        em:remove(team):flush()
        assert.is_false(em:contains(note))
        error("stop")
      end)
      assert.is_false(ok)
      assert.is_true(em:contains(team))
      assert.is_true(em:contains(member))
      assert.is_true(em:contains(note))
      assert.equal(team, guest.visits)
      assert.equal(team, member.team)
      assert.same({ member }, team.members:items())
      assert.same({ note }, member.notes:items())
      note.text = "changed"
      guest.name = "g"
      em:flush()
      assert.same({ { "changed" } }, raw:rows("select text from del_notes"))
      em:remove(team):flush()
      assert.equal(1, #raw:rows("select * from del_members"))
    end)

    it("F1: a flush that fails behind a deletion leaves it pending", function()
      local team, member = team_of("a")
      em:persist(team):flush()
      local off = instance:on("after_flush", function() error("no", 0) end)
      em:remove(team)
      assert.is_false((pcall(em.flush, em)))
      off()
      assert.equal(1, #raw:rows("select * from del_teams"))
      assert.is_false(em:contains(team))
      assert.is_true(em:contains(member))
      em:flush()
      assert.equal(0, #raw:rows("select * from del_teams"))
      assert.is_false(em:contains(member))
    end)

    it("I6: a key that changes takes along the foreign keys that a rule makes follow", function()
      local Shelf = orm.entity { name = "DelShelf", table = "del_shelves", { "code", type = "string", primary = true },
        { "boxes", one_to_many = "DelBox", mapped_by = "shelf" } }
      local Box = orm.entity { name = "DelBox", table = "del_boxes",
        { "shelf", many_to_one = "DelShelf", primary = true, on_update = "cascade" },
        { "number", type = "integer", primary = true }, { "note", type = "string", nullable = true } }
      orm.register({ Shelf, Box }, "del")
      for _, sql in ipairs(instance.schema:create_sql()) do
        if sql:find("del_shelves", 1, true) or sql:find("del_boxes", 1, true) then em:execute(sql) end
      end
      local shelf, box = Shelf { code = "a" }, Box { number = 1 }
      shelf.boxes:add(box)
      em:persist(shelf):flush()
      local ok = pcall(em.transactional, em, function()
        shelf.code = "b"
        em:flush()
        assert.equal(box, em:find_one(Box, { "b", 1 }))
        error("stop")
      end)
      assert.is_false(ok)
      assert.equal("a", shelf.code)
      assert.equal(box, em:find_one(Box, { "a", 1 }))
      shelf.code = "c"
      em:flush()
      assert.equal(shelf, box.shelf)
      assert.equal(box, em:find_one(Box, { "c", 1 }))
      box.note = "n"
      em:flush()
      assert.same({ { "c", "1", "n" } }, raw:rows("select shelf_code, number, note from del_boxes"))
    end)

    it("removing what others refer to without a rule says which foreign key refused it", function()
      local Parent = orm.entity { name = "DelParent", table = "del_parents", { "id", type = "integer", primary = true },
        { "children", one_to_many = "DelChild", mapped_by = "parent" } }
      local Child = orm.entity { name = "DelChild", table = "del_children", { "id", type = "integer", primary = true },
        { "parent", many_to_one = "DelParent" } }
      orm.register({ Parent, Child }, "del")
      for _, sql in ipairs(instance.schema:create_sql()) do
        if sql:find("del_parents", 1, true) or sql:find("del_children", 1, true) then em:execute(sql) end
      end
      local parent = Parent {}
      parent.children:add(Child {})
      em:persist(parent):flush()
      em:remove(parent)
      local ok, err = pcall(em.flush, em)
      assert.is_false(ok)
      assert.is_true(orm.is_error(err, "foreign_key_violation"))
      assert.matches("remove those too", err.message)
      assert.matches("DelChild%.parent", err.message)
    end)
  end)
end)
