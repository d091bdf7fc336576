-- What demanding use of relations has found, each as small as it could be made.
local databases = require("spec.support.databases")
local instructions = require("spec.support.instructions")
local orm = require("heddle")
local unit = require("spec.support.unit")

local Shelf = orm.entity {
  name = "Shelf", table = "shelves",
  { "id", type = "integer", primary = true },
  { "books", one_to_many = "Volume", mapped_by = "shelf" },
}
local Volume = orm.entity {
  name = "Volume", table = "volumes",
  { "id", type = "integer", primary = true },
  { "shelf", many_to_one = "Shelf", nullable = true },
  { "tags", many_to_many = "Label", inversed_by = "volumes" },
}
local Label = orm.entity {
  name = "Label", table = "labels",
  { "id", type = "integer", primary = true },
  { "volumes", many_to_many = "Volume", mapped_by = "tags" },
}
local Branch = orm.entity {
  name = "Branch", table = "branches",
  { "id", type = "integer", primary = true },
  { "parent", many_to_one = "Branch", nullable = true },
  { "branches", one_to_many = "Branch", mapped_by = "parent", cascade = { "all" } },
}
local Owner = orm.entity {
  name = "Owner", table = "owners",
  { "id", type = "integer", primary = true },
  { "boss", many_to_one = "Owner", nullable = true },
  { "staff", one_to_many = "Owner", mapped_by = "boss" },
  { "car", one_to_one = "Car", nullable = true, cascade = { "all" }, orphan_removal = true },
}
local Link = orm.entity {
  name = "Link", table = "links",
  { "id", type = "integer", primary = true },
  { "former", many_to_one = "Link", nullable = true, on_delete = "cascade" },
}
local Car = orm.entity {
  name = "Car", table = "cars",
  { "id", type = "integer", primary = true },
}

databases.each(function(db)
  describe("relations, found by use:", function()
    local work, em

    before_each(function()
      work = unit.open(db, { Shelf, Volume, Label, Branch, Owner, Car, Link })
      em = work.em
    end)

    after_each(function()
      work:close()
      db:close()
    end)

    it("the inverse side of a many_to_many that was never read can be emptied", function()
      local label = Label { volumes = { Volume {}, Volume {} } }
      work:fork():persist(label):flush()
      em:find_one(Label, label.id).volumes:remove_all()
      em:flush()
      assert.same({}, work.raw:rows "select * from volumes_tags")
    end)

    it("a list with holes or names is no list of members: nothing is lost in silence", function()
      local shelf, one, two = Shelf {}, Volume {}, Volume {}
      for _, list in ipairs { { [1] = one, [3] = two }, { first = one }, { one, more = two } } do
        local err = unit.raises("validation", function() shelf.books = list end)
        assert.matches("Shelf.books takes a list of instances of Volume, without holes and names", err.message, 1, true)
        unit.raises("validation", function() shelf.books:add(list) end)
      end
      local err = unit.raises("validation", function() shelf.books = orm.null end)
      assert.matches("not orm.null; {} empties it", err.message, 1, true)
      unit.raises("validation", function() shelf.books:add(one, nil, two) end)
      assert.equal(0, #shelf.books)
    end)

    it("load refuses what are no options", function()
      local err = unit.raises("validation", function() Shelf {}.books:load(1) end)
      assert.matches("load of books: its options are a table, not a number", err.message, 1, true)
    end)

    it("a cascade costs the same at any depth", function()
      local function cost(depth)
        local own, root = work:fork(), Branch {}
        return instructions.of(function()
          local last = root
          for _ = 1, depth do
            last.branches:add(Branch {})
            last = last.branches[1]
          end
          own:persist(root):flush()
          own:remove(root):flush()
        end)
      end
      cost(100)
      assert.is_true(cost(5000) < 12 * cost(500))
      assert.same({}, work.raw:rows "select * from branches")
    end)

    it("a row that was removed and is persisted again is a member again", function()
      local root, leaf = Branch {}, Branch {}
      root.branches:add(leaf)
      em:persist(root):flush()
      em:remove(leaf):flush()
      assert.equal(0, #root.branches)
      em:persist(leaf):flush()
      assert.equal(root, leaf.parent)
      assert.equal(leaf, root.branches[1])
    end)

    it("C3: a row that was detached, or read so, is refused where it is persisted or related", function()
      local volume = Volume {}
      em:persist(volume):flush()
      em:detach(volume)
      local shelf = Shelf {}
      em:persist(shelf)
      for _, other in ipairs { volume, em:find_one(Volume, volume.id, { managed = false }) } do
        local err = unit.raises("not_managed", em.persist, em, other)
        assert.matches("has a row but is not managed", err.message, 1, true)
        unit.raises("not_managed", function() shelf.books:add(other) end)
        unit.raises("not_managed", em.persist, em, Label { volumes = { other } })
      end
      shelf.books:add(em:merge(volume))
      em:flush()
      assert.same({ { "1", "1" } }, work.raw:rows "select id, shelf_id from volumes")
    end)

    it("merge takes over what a graph that nobody manages refers to by its key", function()
      local shelf = Shelf { books = { Volume {} } }
      em:persist(shelf):flush()
      em:clear()
      local read = em:find_one(Shelf, 1, { managed = false, populate = { "books" } })
      local own = em:merge(read.books[1])
      em:flush()
      assert.equal(em:find_one(Shelf, 1), own.shelf)
    end)

    it("taking a row away from where it is not changes nothing", function()
      local mine, yours = Shelf {}, Shelf { books = { Volume {} } }
      work:fork():persist(mine, yours):flush()
      local volume = em:find_one(Volume, 1)
      em:find_one(Shelf, mine.id).books:remove(volume)
      em:flush()
      assert.same({ { tostring(yours.id) } }, work.raw:rows "select shelf_id from volumes")
    end)

    it("a member that somebody moved, and that was read again, is added and taken away as its row is", function()
      local mine, yours = Shelf { books = { Volume {} } }, Shelf { books = {} }
      em:persist(mine, yours):flush()
      local volume = mine.books[1]
      work.raw:exec("update volumes set shelf_id = " .. yours.id)
      em:refresh(volume)
      mine.books:add(volume)
      em:flush()
      assert.same({ { tostring(mine.id) } }, work.raw:rows "select shelf_id from volumes")
      work.raw:exec("update volumes set shelf_id = " .. yours.id)
      em:refresh(volume)
      mine.books:remove(volume)
      yours.books:add(volume)
      assert.same({ {}, { volume } }, { mine.books:items(), yours.books:items() })
      em:flush()
      assert.same({ { tostring(yours.id) } }, work.raw:rows "select shelf_id from volumes")
    end)

    it("what was detached is no member any more: collections that had it are not loaded", function()
      local shelf = Shelf { books = { Volume { tags = { Label {}, Label {} } }, Volume {} } }
      em:persist(shelf):flush()
      local volume, label = shelf.books[1], shelf.books[1].tags[1]
      em:detach(label)
      volume.tags:add(Label {})
      assert.is_false(volume.tags:is_initialized())
      em:flush()
      assert.equal(3, #volume.tags:load())
      em:detach(volume)
      shelf.books:add(Volume {})
      em:flush()
      assert.equal(3, #shelf.books:load())
      assert.is_false(shelf.books:contains(volume))
      assert.is_true(shelf.books:contains(em:merge(volume)))
    end)

    it("a new row that was detached, or removed, is not written by what held it", function()
      for _, leave in ipairs { em.detach, em.remove } do
        local shelf = Shelf { books = { Volume {} } }
        em:persist(shelf):flush()
        local volume, label = Volume {}, Label {}
        shelf.books:add(volume)
        shelf.books[1].tags:add(label)
        em:persist(volume, label)
        leave(em, volume)
        leave(em, label)
        em:flush()
        assert.equal(1, #shelf.books)
        em:remove(shelf.books[1]):flush()
      end
      assert.same({}, work.raw:rows "select * from volumes")
      assert.same({}, work.raw:rows "select * from labels")
    end)

    it("what a relation of one side led to is no orphan when another owner has it now", function()
      local one, two = Owner { car = Car {} }, Owner { car = Car {} }
      em:persist(one):persist(two):flush()
      one.car, two.car = two.car, one.car
      em:flush()
      assert.same({ { "2" }, { "1" } }, work.raw:rows "select car_id from owners order by id")
      local car = one.car
      one.car = nil
      one.staff:add(Owner { car = car }) -- reached by the flush only
      two.car = nil
      em:flush()
      assert.same({ { "2" } }, work.raw:rows "select id from cars")
      assert.same({ { "2" } }, work.raw:rows "select car_id from owners where boss_id = 1")
    end)

    it("new rows of any depth are taken back, and their reach is checked", function()
      local function chain()
        local root = Branch {}
        local last = root
        for _ = 1, 10000 do
          last.branches:add(Branch {})
          last = last.branches[1]
        end
        return root, last
      end
      local root, last = chain()
      em:persist(root)
      while last do -- every one of them is a pending row
        em:persist(last)
        last = last.parent
      end
      em:remove(root):flush()
      assert.same({}, work.raw:rows "select id from branches")
      local theirs, far = work:fork(), Branch {}
      theirs:persist(far)
      root, last = chain()
      far.parent = last
      unit.raises("not_managed", em.persist, em, root)
    end)

    it("I6: a chain of rules is followed in one pass", function()
      local function cost(depth)
        local own, first = work:fork(), Link {}
        local last = first
        for _ = 1, depth do last = Link { former = last } end
        own:persist(last):flush()
        local taken = instructions.of(function() own:remove(first):flush() end)
        assert.is_false(own:contains(last))
        return taken
      end
      cost(50)
      -- SQLite follows no chain longer than a thousand.
      local depth = db.name == "sqlite" and 900 or 4000
      assert.is_true(cost(depth) < 12 * cost(depth / 10))
    end)
  end)
end)
