-- "A composite key is an array in declared order wherever a key stands; the hash form is taken too."
local orm = require "heddle"
local databases = require "spec.support.databases"

local op = orm.op

local Course = orm.entity { name = "Course",
    { "school", type = "integer", primary = true },
    { "code", type = "string", length = 10, primary = true },
    { "title", type = "string", nullable = true } }
local Student = orm.entity { name = "Student",
    { "id", type = "integer", primary = true },
    { "name", type = "string", nullable = true } }
local Grade = orm.entity { name = "Grade",
    { "student", many_to_one = "Student", primary = true },
    { "term", type = "integer", primary = true },
    { "points", type = "integer", nullable = true } }
local Lesson = orm.entity { name = "Lesson",
    { "course", many_to_one = "Course", primary = true },
    { "number", type = "integer", primary = true },
    { "topic", type = "string", nullable = true } }
local Card = orm.entity { name = "Card",
    { "student", many_to_one = "Student", primary = true },
    { "color", type = "string", nullable = true } }
local Note = orm.entity { name = "Note",
    { "id", type = "integer", primary = true },
    { "grade", many_to_one = "Grade", nullable = true },
    { "lesson", many_to_one = "Lesson", nullable = true } }

local entities = { Course, Student, Grade, Lesson, Card, Note }

databases.each(function(db)
    local em, sent, ann, logic, grade, lesson, card

    before_each(function()
        local instance = orm.init(db:config { entities = entities })
        em = orm.em()
        instance.schema:create()
        ann = em:create(Student, { name = "Ann" })
        logic = em:create(Course, { school = 7, code = "logic", title = "Logic" })
        grade = em:create(Grade, { student = ann, term = 1, points = 90 })
        lesson = em:create(Lesson, { course = logic, number = 2, topic = "sets" })
        card = em:create(Card, { student = ann, color = "red" })
        em:persist(grade, lesson, card):flush()
        sent = 0
        instance:on("query", function() sent = sent + 1 end)
    end)

    after_each(function()
        orm.close()
        db:close()
    end)

    -- Every form of the two keys that lead through relations.
    local function forms()
        return {
            { Grade, grade, { ann, 1 }, { ann.id, 1 }, { "1", 1.0 }, { student = ann, term = 1 },
                { student = ann.id, term = "1" } },
            { Lesson, lesson, { logic, 2 }, { { 7, "logic" }, 2 }, { 7, "logic", 2 },
                { course = logic, number = 2 }, { course = { 7, "logic" }, number = 2 },
                { course = { school = 7, code = "logic" }, number = 2 } },
            { Course, logic, { 7, "logic" }, { "7", "logic" }, { school = 7.0, code = "logic" } },
            { Card, card, ann.id, "1", { student = ann }, { student = ann.id } },
        }
    end

    it("I2: find_one and get_reference by any form of a composite key run no SQL for what is managed", function()
        for _, each in ipairs(forms()) do
            for i = 3, #each do
                assert.equal(each[2], em:find_one(each[1], each[i]))
                assert.equal(each[2], em:get_reference(each[1], each[i]))
            end
        end
        assert.equal(0, sent)
    end)

    it("any form of a composite key reads the row in one query", function()
        for _, each in ipairs(forms()) do
            for i = 3, #each do
                local fork = em:fork()
                local form = each[i]
                if type(form) == "table" then
                    form = {}
                    for name, part in pairs(each[i]) do
                        if part == ann then part = ann.id elseif part == logic then part = { 7, "logic" } end
                        form[name] = part
                    end
                end
                sent = 0
                local found = fork:find_one(each[1], form)
                assert.equal(tostring(each[2]), tostring(found))
                assert.equal(found, fork:find_one(each[1], form))
                assert.equal(1, sent)
            end
        end
    end)

    it("data and filters take any form of a composite key for a relation", function()
        for _, key in ipairs { { ann, 1 }, { 1, 1 }, { student = ann, term = 1 }, { student = 1, term = 1 } } do
            assert.equal(grade, em:create(Note, { grade = key }).grade)
        end
        local note = em:create(Note, { grade = { 1, 1 }, lesson = { { 7, "logic" }, 2 } })
        em:persist_and_flush(note)
        assert.equal(lesson, note.lesson)
        em:assign(note, { lesson = orm.null })
        em:assign(note, { lesson = { course = { 7, "logic" }, number = 2 } })
        em:flush()
        for _, filter in ipairs { { grade = { 1, 1 } }, { grade = grade }, { grade = { student = ann, term = 1 } },
            { grade = op.eq { ann, 1 } }, { grade = op.one_of { { 1, 1 }, grade, { student = 1, term = 1 } } },
            { lesson = { 7, "logic", 2 } }, { lesson = { { 7, "logic" }, 2 } }, { lesson = { logic, 2 } },
            { lesson = op.one_of { { course = logic, number = 2 }, orm.null } } } do
            assert.equal(note, em:find(Note, filter)[1])
        end
        assert.equal(1, em:update_where(Note, { grade = { ann, 1 } }, { grade = orm.null }))
        assert.equal(1, em:update_where(Note, { lesson = { logic, 2 } }, { grade = { student = ann, term = 1 } }))
        em:clear()
        local read = em:find_one(Note, note.id, { populate = { "grade.student", "lesson.course" } })
        assert.same({ "Ann", "Logic" }, { read.grade.student.name, read.lesson.course.title })
    end)

    it("insert gives a composite key as an array of its columns", function()
        assert.same({ 7, "logic", 3 }, em:insert(Lesson, { course = logic, number = 3 }))
        assert.same({ 7, "sets" }, em:insert(Course, { school = 7, code = "sets" }))
    end)

    it("what is no key of the entity is validation", function()
        local function refused(call, entity, key)
            local ok, err = pcall(em[call], em, entity, key)
            assert.is_false(ok)
            assert.equal("validation", err.kind)
            return err.message
        end
        for _, key in ipairs { { 7 }, { 7, "logic", 2, 1 }, { card, 2 }, { { 7 }, 2 }, { course = 7, number = 2 }, 7,
            "x", {} } do
            refused("find_one", Lesson, key)
            refused("get_reference", Lesson, key)
        end
        refused("get_reference", Lesson, { number = 2 })
        refused("find_one", Student, { 1 })
        refused("get_reference", Student, { 1 })
        assert.truthy(refused("get_reference", Lesson, { 7 }):find("{ course, number }", 1, true))
    end)

    it("C3: a reference by an instance of another context is wrong_context", function()
        orm.init(db:config { context_name = "other", entities = entities })
        for _, key in ipairs { ann, logic } do
            local ok, err = pcall(orm.em("other").get_reference, orm.em "other", key == ann and Student or Course, key)
            assert.is_false(ok)
            assert.equal("wrong_context", err.kind)
        end
    end)

    it("tostring shows the whole key", function()
        assert.equal("Grade#1,1 { term = 1, points = 90 }", tostring(grade))
        assert.equal('Lesson#7,logic,2 { number = 2, topic = "sets" }', tostring(lesson))
        assert.equal('Card#1 { color = "red" }', tostring(card))
        assert.equal("Lesson#7,logic,9 { number = 9 }", tostring(em:get_reference(Lesson, { 7, "logic", 9 })))
    end)
end)
