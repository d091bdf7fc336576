-- What demanding use of relations has found, each as small as it could be made.
local databases = require("spec.support.databases")
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

databases.each(function(db)
  describe("relations, found by use:", function()
    local work, em

    before_each(function()
      work = unit.open(db, { Shelf, Volume, Label, Branch })
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
      local function seconds(depth)
        local own, root = work:fork(), Branch {}
        local last, started = root, os.clock()
        for _ = 1, depth do
          last.branches:add(Branch {})
          last = last.branches[1]
        end
        own:persist(root):flush()
        own:remove(root):flush()
        return os.clock() - started
      end
      seconds(100)
      local short = seconds(500)
      assert.is_true(seconds(5000) < 40 * short)
      assert.same({}, work.raw:rows "select * from branches")
    end)
  end)
end)
