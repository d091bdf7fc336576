-- Relations of every kind, written and read back: composite keys, keys that are foreign keys, trees, ordered pivots,
-- pivots that are entities, members that were set without having been read.
local databases = require("spec.support.databases")
local orm = require("heddle")

local Course = orm.entity {
  name = "KindCourse", table = "kind_courses",
  { "faculty", type = "string", length = 10, primary = true },
  { "number", type = "integer", primary = true },
  { "title", type = "string" },
  { "students", many_to_many = "KindStudent", mapped_by = "courses" },
}
local Student = orm.entity {
  name = "KindStudent", table = "kind_students",
  { "id", type = "integer", primary = true },
  { "name", type = "string" },
  { "courses", many_to_many = "KindCourse", pivot_entity = "KindEnrolment" },
  { "wishes", many_to_many = "KindCourse", fixed_order = true },
  { "card", one_to_one = "KindCard", mapped_by = "student", cascade = { "all" }, orphan_removal = true },
}
local Enrolment = orm.entity {
  name = "KindEnrolment", table = "kind_enrolments",
  { "student", many_to_one = "KindStudent", primary = true, on_delete = "cascade" },
  { "course", many_to_one = "KindCourse", primary = true, on_delete = "cascade" },
  { "grade", type = "integer", default = 3 },
  { "since", type = "integer", default_sql = "42" },
}
local Card = orm.entity {
  name = "KindCard", table = "kind_cards",
  { "student", one_to_one = "KindStudent", primary = true },
  { "code", type = "string" },
}
local Node = orm.entity {
  name = "KindNode", table = "kind_nodes",
  { "id", type = "integer", primary = true },
  { "name", type = "string" },
  { "parent", many_to_one = "KindNode", nullable = true },
  { "children", one_to_many = "KindNode", mapped_by = "parent", cascade = { "all" }, order_by = { "name" } },
}

databases.each(function(db)
  describe("relations", function()
    local instance, em, raw

    before_each(function()
      instance = orm.init(db:config { context_name = "kind", entities = { Course, Student, Enrolment, Card, Node } })
      instance.schema:create()
      em = orm.em("kind"):fork()
      raw = db:raw(instance.config)
    end)

    after_each(function()
      orm.close()
      db:close()
    end)

    local function names(list)
      local parts = {}
      for i, e in ipairs(list) do parts[i] = e.name or e.title end
      return table.concat(parts, " ")
    end

    it("with composite keys and a pivot that is an entity: defaults of its other columns are written", function()
      local student = Student { name = "s" }
      local c1 = Course { faculty = "m", number = 1, title = "x" }
      local c2 = Course { faculty = "m", number = 2, title = "y" }
      student.courses:add(c1, c2)
      em:persist(student):flush()
      assert.same({ { "1", "m", "1", "3", "42" }, { "1", "m", "2", "3", "42" } }, raw:rows(
        "select student_id, course_faculty, course_number, grade, since from kind_enrolments order by course_number"))
      local other = em:fork()
      local mine = other:find_one(Course, { "m", 2 }, { populate = { "students" } })
      assert.equal("s", names(mine.students:items()))
      mine.students:remove(mine.students[1])
      other:flush()
      assert.equal(1, #raw:rows("select * from kind_enrolments"))
      em:refresh(student)
      assert.equal(2, #student.courses)
      student.courses:load { refresh = true }
      assert.equal("x", names(student.courses:items()))
      local row = em:find_one(Enrolment, { student, c1 })
      row.grade = 1
      em:flush()
      assert.same({ { "1" } }, raw:rows("select grade from kind_enrolments"))
    end)

    it("in a fixed order: as they were added, moved, put in front", function()
      local student, list = Student { name = "s" }, {}
      for i = 1, 4 do list[i] = Course { faculty = "m", number = i, title = tostring(i) } end
      student.wishes = { list[3], list[1], list[2] }
      em:persist(student):flush()
      local function stored()
        local other = em:fork()
        return names(other:find_one(Student, student.id, { populate = { "wishes" } }).wishes:items())
      end
      assert.equal("3 1 2", stored())
      student.wishes = { list[1], list[2], list[3] }
      em:flush()
      assert.equal("1 2 3", stored())
      student.wishes = { list[4], list[1], list[2], list[3] }
      em:flush()
      assert.equal("4 1 2 3", stored())
      student.wishes:remove(list[1])
      em:flush()
      assert.equal("4 2 3", stored())
      local other = em:fork()
      local mine = other:find_one(Student, student.id)
      mine.wishes:add(other:get_reference(Course, { "m", 1 }))
      other:flush()
      assert.equal("4 2 3 1", stored())
    end)

    it("with a key that is the foreign key: written, replaced, and gone with its owner", function()
      local student = Student { name = "s", card = Card { code = "a" } }
      em:persist(student):flush()
      assert.same({ { tostring(student.id), "a" } }, raw:rows("select student_id, code from kind_cards"))
      em:remove(student):flush()
      assert.equal(0, #raw:rows("select * from kind_cards"))
    end)

    it("replaced under the same key in one flush", function()
      local student = Student { name = "s", card = Card { code = "a" } }
      em:persist(student):flush()
      local old = student.card
      em:remove(old)
      student.card = Card { code = "b" }
      em:flush()
      assert.same({ { tostring(student.id), "b" } }, raw:rows("select student_id, code from kind_cards"))
      assert.equal("b", student.card.code)
      assert.is_false(em:contains(old))
    end)

    it("in a tree: written in one go, removed with everything below, though nothing of it was read", function()
      local root = Node { name = "r" }
      for i = 1, 3 do
        local child = Node { name = "c" .. i }
        root.children:add(child)
        for k = 1, 3 do child.children:add(Node { name = "g" .. i .. k }) end
      end
      em:persist(root):flush()
      assert.equal(13, #raw:rows("select * from kind_nodes"))
      local other = em:fork()
      local mine = other:find_one(Node, root.id, { populate = { "children.children" } })
      assert.equal("c1 c2 c3", names(mine.children:items()))
      assert.equal("g21 g22 g23", names(mine.children[2].children:items()))
      local third = em:fork()
      third:remove(third:find_one(Node, { name = "c2" })):flush()
      assert.equal(9, #raw:rows("select * from kind_nodes"))
      third:remove(third:find_one(Node, { name = "r" })):flush()
      assert.equal(0, #raw:rows("select * from kind_nodes"))
    end)

    it("set without having been read: what the database had besides goes", function()
      local root = Node { name = "r" }
      for i = 1, 3 do root.children:add(Node { name = "c" .. i }) end
      local student = Student { name = "s" }
      for i = 1, 3 do student.courses:add(Course { faculty = "m", number = i, title = tostring(i) }) end
      em:persist(root, student):flush()
      local other = em:fork()
      local mine, s = other:find_one(Node, root.id), other:find_one(Student, student.id)
      local kept = other:find_one(Node, { name = "c2" })
      mine.children = { kept, Node { name = "new" } }
      s.courses = { other:get_reference(Course, { "m", 3 }) }
      assert.equal(2, #mine.children)
      other:flush()
      assert.same({ { "c2" }, { "new" } },
        raw:rows("select name from kind_nodes where parent_id is not null order by name"))
      assert.same({ { "3" } }, raw:rows("select course_number from kind_enrolments"))
      assert.is_false(mine.children:is_dirty())
      s.courses:remove_all()
      mine.children:remove_all()
      other:flush()
      assert.equal(0, #raw:rows("select * from kind_enrolments"))
      assert.equal(0, #raw:rows("select * from kind_nodes where parent_id is not null"))
    end)

    it("loading merges what was changed in memory before", function()
      local root = Node { name = "r" }
      for i = 1, 3 do root.children:add(Node { name = "c" .. i }) end
      em:persist(root):flush()
      local other = em:fork()
      local mine = other:find_one(Node, root.id)
      local first = other:find_one(Node, { name = "c1" })
      mine.children:add(Node { name = "c4" })
      first.parent = nil
      mine.children:load()
      assert.equal("c2 c3 c4", names(mine.children:items()))
      other:flush()
      assert.equal("c2 c3 c4", names(em:fork():find_one(Node, root.id, { populate = { "children" } }).children:items()))
      assert.equal(3, mine.children:load_count())
      assert.equal("c3", names(mine.children:matching({ name = "c3" })))
      assert.equal(3, mine.children:count())
    end)
  end)
end)
