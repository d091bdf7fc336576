-- Edges of the unit of work, where features meet that each have a spec of their own.
local databases = require("spec.support.databases")
local orm = require("heddle")
local unit = require("spec.support.unit")

local Parent = orm.entity {
  name = "Parent", table = "parents",
  { "id", type = "integer", primary = true },
}
local function child(rule)
  return orm.entity {
    name = "Child", table = "children",
    { "id", type = "integer", primary = true },
    { "parent", many_to_one = "Parent", nullable = true, on_update = rule },
  }
end
-- Keys made of a foreign key, and foreign keys to these.
local Seat = orm.entity {
  name = "Seat", table = "seats",
  { "parent", many_to_one = "Parent", primary = true, on_update = "cascade" },
  { "number", type = "integer", primary = true },
}
local Ticket = orm.entity {
  name = "Ticket", table = "tickets",
  { "id", type = "integer", primary = true },
  { "seat", many_to_one = "Seat", on_update = "cascade" },
}

databases.each(function(db)
  describe("edges: keys that change", function()
    local work, em

    local function open(entities)
      work = unit.open(db, entities)
      em = work.em
    end

    after_each(function()
      work:close()
      db:close()
    end)

    local function quiet()
      work:forget()
      em:flush()
      assert.same({}, work:statements())
    end

    for _, rule in ipairs { "none", "cascade", "set null" } do
      it("O1: what comes to a row whose key changes comes behind that, by its new key; on_update " .. rule, function()
        local Child = child(rule ~= "none" and rule or nil)
        open { Parent, Child }
        local p, q = Parent { id = 1 }, Parent { id = 2 }
        local moved = Child { parent = q }
        em:persist(p, moved):flush()
        local new = em:create(Child, { parent = p })
        em:persist(new)
        moved.parent, p.id = p, 5
        em:flush()
        assert.same({ { "5" }, { "5" } }, work.raw:rows "select parent_id from children")
        assert.equal(p, new.parent)
        assert.equal(p, moved.parent)
        quiet()
      end)
    end

    it("I1: rows that hand their keys on take along what refers to each", function()
      local Child = child("cascade")
      open { Parent, Child }
      local p, q = Parent { id = 1 }, Parent { id = 2 }
      local list = { Child { parent = p }, Child { parent = q }, Child { parent = p }, Child { parent = q } }
      em:persist(list[1], list[2]):flush()
      local function swap()
        p.id, q.id = q.id, p.id
        em:flush()
      end
      local function check(first, second)
        assert.same({ first, second }, { p.id, q.id })
        for i, one in ipairs(list) do
          if one.id then assert.equal(i % 2 == 1 and p or q, one.parent) end
        end
      end
      assert.has_error(function()
        em:transactional(function()
          swap()
          check(2, 1)
          error "undone"
        end)
      end)
      check(1, 2)
      quiet()
      em:persist(list[3], list[4])
      swap()
      check(2, 1)
      assert.same({ { "2" }, { "1" }, { "2" }, { "1" } }, work.raw:rows "select parent_id from children order by id")
      quiet()
    end)

    it("I1: a key made of a foreign key that follows is the row's, and what refers to that follows too", function()
      open { Parent, Seat, Ticket }
      local p, q = Parent { id = 1 }, Parent { id = 2 }
      local a, b = Seat { parent = p, number = 1 }, Seat { parent = q, number = 1 }
      local first, second = Ticket { seat = a }, Ticket { seat = b }
      em:persist(first, second):flush()
      local function check(of_a, of_b)
        assert.equal(a, em:find_one(Seat, { of_a, 1 }))
        assert.equal(b, em:find_one(Seat, { of_b, 1 }))
        assert.same({ p, q }, { a.parent, b.parent })
        assert.equal(a, first.seat)
        assert.equal(b, second.seat)
        quiet()
      end
      assert.has_error(function()
        em:transactional(function()
          p.id, q.id = 2, 1
          em:flush()
          assert.equal(a, em:find_one(Seat, { 2, 1 }))
          error "undone"
        end)
      end)
      check(1, 2)
      p.id, q.id = 2, 3
      em:flush()
      check(2, 3)
      assert.is_nil(em:find_one(Seat, { 1, 1 }))
      a.number = 7
      local third = em:create(Ticket, { seat = a })
      em:persist(third):flush()
      assert.equal(a, third.seat)
      assert.same({ { "2", "7" }, { "3", "1" }, { "2", "7" } },
        work.raw:rows "select seat_parent_id, seat_number from tickets order by id")
    end)
  end)
end)
