-- Entities that share a table: what is written, refused, taken back, and in which order.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"
local staff = require "spec.support.staff"

local raises, op = expect.raises, orm.op

local id = { "id", type = "integer", primary = true }

databases.each(function(db)
    describe("writing to a table that entities share", function()
        local made, instance, em, sent, raw

        before_each(function()
            made = staff.define()
            instance = orm.init(db:config { entities = made.entities })
            instance.schema:create()
            sent = expect.statements(instance)
            em = orm.em():fork()
            raw = db:raw(instance.config)
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        local function person(class, data)
            local e = em:create(class, data)
            em:persist(e)
            return e
        end

        local function people(columns)
            return raw:rows("select " .. columns .. " from people order by id")
        end

        local function class_of(e) return getmetatable(e).definition.name end

        it("U4: what an entity requires it has to have, though the table takes NULL", function()
            person(made.Employee, { name = "Bob" })
            local err = raises("validation", function() em:flush() end, "Employee.salary", "required")
            assert.equal("Employee", err.entity)
            assert.equal("salary", err.property)
            assert.equal(0, #sent)
            em:clear()
            person(made.Manager, { salary = 1 })
            raises("validation", function() em:flush() end, "Manager.name")
            em:clear()
            local bob = person(made.Employee, { name = "Bob", salary = 1 })
            person(made.Person, { name = "Di" })
            em:flush()
            bob.salary = nil
            raises("validation", function() em:flush() end, "Employee.salary")
            bob.salary = "many"
            err = raises("validation", function() em:flush() end, "Employee.salary")
            assert.equal("Employee", err.entity)
            bob.salary = 2 ^ 31
            raises("validation", function() em:flush() end, "Employee.salary")
            em:clear()
            person(made.Customer, { name = "C", level = "middle" })
            raises("validation", function() em:flush() end, "Customer.level")
            assert.same({ { "Bob", "1" }, { "Di", "" } }, people "name, coalesce(cast(salary as text), '')")
        end)

        it("U5: a column keeps its default for the rows that have it, and is NULL for others", function()
            local cy = person(made.Customer, { name = "Cy" })
            local di, bob = person(made.Person, { name = "Di" }), person(made.Employee, { name = "Bob", salary = 1 })
            em:flush()
            assert.equal("10.00", cy.credit)
            assert.is_nil(rawget(di, "credit"))
            assert.same({ { "Cy", "1" }, { "Di", "0" }, { "Bob", "0" } },
                people "name, case when credit is null then 0 else 1 end")
            cy.credit = "3"
            em:flush()
            assert.equal("3.00", cy.credit)
            local before = #sent
            em:flush()
            assert.equal(before, #sent)
            assert.equal("2020-01-01", bob.since)
            assert.is_nil(rawget(cy, "since"))
        end)

        it("O3: rows of one entity are one statement; keys are the table's", function()
            for i = 1, 20 do
                person(made.Customer, { name = "c" .. i })
                person(made.Person, { name = "p" .. i })
            end
            em:flush()
            local inserts, seen = 0, {}
            for _, sql in ipairs(sent) do
                if sql:find('INSERT INTO [^(]*"people"') then inserts = inserts + 1 end
            end
            assert.equal(2, inserts)
            for _, e in ipairs(em:find(made.Person, {})) do
                assert.is_nil(seen[e.id])
                seen[e.id] = e.name
            end
            assert.equal(40, #people "id")
        end)

        it("I4: one key is one row, whichever entity asks", function()
            person(made.Employee, { id = 7, name = "Bob", salary = 1 })
            local cy = em:create(made.Customer, { name = "Cy" })
            cy.id = 7
            raises("validation", function() em:persist(cy) end, "#7")
            raises("validation", function() em:create(made.Customer, { id = 7 }) end, "#7")
            em:flush()
            raises("validation", function() em:create(made.Person, { id = 7, name = "Di" }) end, "#7")
        end)

        it("O1: unique values pass from one entity's row to another's", function()
            local bob = person(made.Employee, { name = "Bob", salary = 1, email = "b", badge = "1" })
            local cy, ann = person(made.Customer, { name = "Cy", email = "c" }),
                person(made.Manager, { name = "Ann", salary = 1, badge = "2", email = "a" })
            em:flush()
            bob.email, cy.email, ann.email = "c", "a", "d"
            bob.badge, ann.badge = "2", "3"
            em:flush()
            assert.same({ { "Bob", "c", "2" }, { "Cy", "a", "" }, { "Ann", "d", "3" } },
                people "name, email, coalesce(badge, '')")
            em:remove(cy)
            person(made.Person, { name = "Di", email = "a" })
            em:flush()
            assert.same({ { "Bob" }, { "Ann" }, { "Di" } }, people "name")
            person(made.Manager, { name = "Eve", salary = 1, email = "a" })
            local err = raises("unique_violation", function() em:flush() end)
            assert.equal("email", err.property)
        end)

        it("O2: unique values go round among rows of several entities", function()
            local bob = person(made.Employee, { name = "Bob", salary = 1, email = "b", badge = "1" })
            local cy, ann = person(made.Customer, { name = "Cy", email = "c" }),
                person(made.Manager, { name = "Ann", salary = 1, badge = "2", email = "a" })
            em:flush()
            bob.email, cy.email, ann.email = "c", "a", "b"
            bob.badge, ann.badge = ann.badge, bob.badge
            em:flush()
            assert.same({ { "Bob", "c", "2" }, { "Cy", "a", "" }, { "Ann", "b", "1" } },
                people "name, email, coalesce(badge, '')")
        end)

        it("O1: rows that refer to each other over entities are written in the order that they need", function()
            local ann = em:create(made.Manager, { name = "Ann", salary = 1 })
            local bob = em:create(made.Employee, { name = "Bob", salary = 1, boss = ann, mentor = ann })
            local cy = em:create(made.Customer, { name = "Cy", contact = bob, boss = ann })
            ann.mentor = bob
            em:persist(cy):flush()
            local function line(...) return { table.concat({ ... }, " ") } end
            assert.same({ line(ann.id, bob.id, 0), line(bob.id, ann.id, ann.id), line(cy.id, 0, ann.id) }, raw:rows [[
                select id || ' ' || coalesce(mentor_id, 0) || ' ' || coalesce(boss_id, 0) from people order by name]])
            em:clear()
            cy = em:find_one(made.Customer, { name = "Cy" })
            em:load(cy, { "contact.mentor.mentor", "boss" })
            assert.equal(cy.contact, cy.boss.mentor)
            assert.equal(cy.contact.mentor, cy.boss)
            em:remove(cy.contact, cy.boss, cy)
            em:flush()
            assert.same({}, people "id")
        end)

        it("I1: the same key may be removed as one entity and come back as another", function()
            local bob = person(made.Employee, { name = "Bob", salary = 5, badge = "1", notes = "n" })
            em:flush()
            local key = bob.id
            em:remove(bob)
            local cy = person(made.Customer, { id = key, name = "Cy" })
            em:flush()
            assert.same({ { "Cy", "customer", "", "", "" } },
                people "name, kind, coalesce(cast(salary as text), ''), coalesce(badge, ''), coalesce(notes, '')")
            assert.equal(cy, em:find_one(made.Person, key))
            assert.equal("10.00", cy.credit)
            assert.equal("low", cy.level)
            assert.is_false(em:contains(bob))
            assert.equal("Employee", class_of(bob))
            em:clear()
            assert.equal("Customer", class_of(em:find_one(made.Person, key)))
        end)

        it("F2: versions are the root's and hold for every entity", function()
            local bob = person(made.Employee, { name = "Bob", salary = 5 })
            local cy = person(made.Customer, { name = "Cy" })
            em:flush()
            local other = em:fork()
            other:find_one(made.Person, bob.id).salary = 6
            other:flush()
            bob.salary = 7
            raises("optimistic_lock", function() em:flush() end, "Employee#" .. bob.id)
            em:refresh(bob)
            assert.equal(6, bob.salary)
            bob.salary, cy.level = 7, "high"
            em:flush()
            assert.same({ { "3" }, { "2" } }, people "version")
            em:remove(bob)
            raw:rows "update people set version = 9"
            raises("optimistic_lock", function() em:flush() end, "Employee#")
        end)

        it("F1: a flush that fails takes back what it wrote, entity by entity", function()
            person(made.Person, { name = "Di", email = "taken" })
            em:flush()
            local bob, cy = person(made.Employee, { name = "Bob", salary = 5 }),
                person(made.Customer, { name = "Cy", email = "taken" })
            raises("unique_violation", function() em:flush() end)
            assert.is_nil(bob.id)
            assert.is_nil(cy.id)
            assert.is_nil(rawget(cy, "credit"))
            assert.equal("customer", cy.kind)
            cy.email = "free"
            em:flush()
            assert.same({ { "Di", "person" }, { "Bob", "employee" }, { "Cy", "customer" } }, people "name, kind")
            assert.equal("10.00", cy.credit)
        end)

        it("F1: a rollback gives every instance the entity, values and state that it had", function()
            local bob = person(made.Employee, { name = "Bob", salary = 5, notes = "n" })
            em:flush()
            em:clear()
            local reference = em:get_reference(made.Person, bob.id)
            local cy
            em:begin()
            assert.equal(reference, em:find_one(made.Employee, bob.id))
            reference.salary = 6
            cy = person(made.Customer, { name = "Cy" })
            em:flush()
            assert.equal("Employee", class_of(reference))
            em:rollback()
            assert.equal("Person", class_of(reference))
            raises("not_loaded", function() return reference.name end)
            assert.is_nil(cy.id)
            assert.equal("Customer", class_of(cy))
            assert.same({ { "Bob", "5" } }, people "name, salary")
            em:persist(cy):flush()
            assert.same({ { "Bob", "employee" }, { "Cy", "customer" } }, people "name, kind")
            assert.equal(reference, em:find_one(made.Employee, reference.id))
            assert.equal(5, reference.salary)
        end)

        it("C3: a relation takes its target's entity and those that extend it, at the line that assigns it", function()
            local ann, bob = em:create(made.Manager, { name = "Ann", salary = 1 }),
                em:create(made.Employee, { name = "Bob", salary = 1 })
            local di = em:create(made.Person, { name = "Di" })
            for _, e in ipairs { di, made.Person { name = "x" } } do
                for _, wrong in ipairs { bob, di, made.Customer {}, made.Person {} } do
                    raises("validation", function() e.boss = wrong end, "Person.boss", "Manager")
                end
                e.boss = ann
                e.boss = made.Manager { name = "new", salary = 1 }
            end
            raises("validation", function() em:create(made.Employee, { mentor = di }) end, "Employee.mentor")
            raises("validation", function() em:assign(bob, { mentor = made.Customer {} }) end, "Employee.mentor")
            bob.mentor = ann
            raises("unknown_property", function() di.mentor = ann end)
            local core = em:create(made.Team, { name = "core" })
            for _, e in ipairs { ann, bob, di, em:create(made.Customer, { name = "Cy" }) } do core.members:add(e) end
            raises("validation", function() core.staff:add(di) end, "Team.staff", "Employee")
            core.staff:add(ann, bob)
            di.boss, ann.boss = ann, ann
            em:persist(core):flush()
            assert.equal(4, #people "id")
            assert.same({ { "2" } }, raw:rows "select count(*) from teams_staff")
            assert.equal(2, #ann.reports)
            -- An unloaded Person may be anybody.
            em:clear()
            di = em:find_one(made.Person, { name = "Di" })
            local some = em:get_reference(made.Person, di.boss.id)
            assert.equal(di.boss, some)
            bob = em:find_one(made.Employee, { name = "Bob" })
            bob.boss = some
            local unknown = em:get_reference(made.Person, 99)
            raises("validation", function() bob.mentor = unknown end, "Employee.mentor", "Person")
        end)

        it("O1: pairs, collections and cascades reach entities by what they are", function()
            local ann = person(made.Manager, { name = "Ann", salary = 1 })
            ann.reports:add(made.Customer { name = "Cy" }, made.Employee { name = "Bob", salary = 2 })
            local core = em:create(made.Team, { name = "core" })
            ann.team = core
            core.staff:add(ann.reports[2])
            em:flush()
            assert.same({ { "Ann", "boss" }, { "Cy", "customer" }, { "Bob", "employee" } }, people "name, kind")
            em:clear()
            core = em:find_one(made.Team, 1)
            em:load(core, { "staff", "members" })
            assert.equal("Employee", class_of(core.staff[1]))
            assert.equal("Manager", class_of(core.members[1]))
            core.staff:remove_all()
            ann = core.members[1]
            em:load(ann, { "reports" })
            ann.reports:remove(ann.reports[1])
            em:flush()
            assert.same({ { "0" } }, raw:rows "select count(*) from teams_staff")
            assert.same({ { "1" } }, raw:rows "select count(*) from people where boss_id is not null")
        end)

        it("contract 3: rows are inserted, updated and deleted without the unit of work as their entity's", function()
            local key = em:insert(made.Employee, { name = "Bob", salary = 1 })
            local keys = em:insert_many(made.Customer, { { name = "C1" }, { name = "C2", level = "high" } })
            em:insert(made.Person, { name = "Di" })
            assert.equal(2, #keys)
            assert.same({ { "Bob", "employee" }, { "C1", "customer" }, { "C2", "customer" }, { "Di", "person" } },
                people "name, kind")
            assert.equal(1, em:update_where(made.Employee, { name = op.like "%" }, { salary = 9 }))
            assert.equal(0, em:update_where(made.Manager, {}, { salary = 8 }, { all = true }))
            assert.equal(2, em:update_where(made.Customer, {}, { level = "low" }, { all = true }))
            assert.equal(4, em:update_where(made.Person, {}, { email = orm.null }, { all = true }))
            assert.equal(0, em:delete_where(made.Customer, { name = "Bob" }))
            assert.equal(1, em:delete_where(made.Customer, { name = "C1" }))
            assert.equal(0, em:delete_where(made.Manager, {}, { all = true }))
            assert.same({ { "Bob", "9" }, { "C2", "" }, { "Di", "" } },
                people "name, coalesce(cast(salary as text), '')")
            assert.equal("Bob", em:find_one(made.Employee, key).name)
            raises("validation", function() em:insert(made.Employee, { name = "x" }) end, "Employee.salary")
            raises("unknown_property", function() em:insert(made.Person, { salary = 1 }) end, "salary")
            raises("unknown_property", function() em:update_where(made.Person, { id = 1 }, { salary = 1 }) end)
            raises("validation", function() em:update_where(made.Person, { id = 1 }, { kind = "boss" }) end, "kind",
                "discriminator")
            raises("validation", function() em:insert(made.Person, { name = "x", kind = "boss" }) end, "discriminator")
            assert.equal(1, em:update_where(made.Employee, { boss = { name = "nobody" } }, { salary = 1 })
                + em:update_where(made.Employee, { name = "Bob" }, { salary = 2 }))
        end)

        it("contract 3: an upsert merges into its own entity's rows and into nobody else's", function()
            local bob, inserted = em:upsert(made.Employee, { email = "b", name = "Bob", salary = 1 })
            assert.is_true(inserted)
            assert.equal("Employee", class_of(bob))
            local again, twice = em:upsert(made.Employee,
                { email = "b", name = "Bobby", salary = 2, kind = "employee" })
            assert.equal(bob, again)
            assert.is_false(twice)
            assert.equal("Bobby", bob.name)
            assert.equal(bob, (em:upsert(made.Person, { email = "b", name = "Rob" })))
            assert.equal("Rob", bob.name)
            raises("unique_violation", function() em:upsert(made.Customer, { email = "b", name = "C" }) end, "Customer")
            raises("unique_violation", function()
                em:upsert(made.Customer, { email = "b", name = "Cy" }, { on_conflict_action = "ignore" })
            end)
            local list = em:upsert_many(made.Customer, { { email = "c", name = "C" }, { email = "d", name = "D" } })
            assert.equal("Customer", class_of(list[2]))
            assert.equal("10.00", list[1].credit)
            assert.same({ { "Rob", "employee", "2", "" }, { "C", "customer", "", "low" },
                { "D", "customer", "", "low" } },
                people "name, kind, coalesce(cast(salary as text), ''), coalesce(level, '')")
            em:upsert(made.Person, { email = "p", name = "P" })
            assert.same({ { "person", "0" } },
                raw:rows "select kind, case when credit is null then 0 else 1 end from people where name = 'P'")
            raises("validation", function() em:upsert(made.Employee, { email = "e", name = "E" }) end, "salary")
        end)

        it("contract 3: auto flush knows that the table is one", function()
            person(made.Employee, { name = "Bob", salary = 1 })
            assert.equal(1, em:count(made.Person, {}))
            local bob = em:find(made.Person, {})[1]
            bob.salary = 2
            assert.equal(1, #em:find(made.Employee, { salary = 2 }))
            em:remove(bob)
            assert.equal(0, em:count(made.Customer, {}) + em:count(made.Manager, {}) + em:count(made.Person, {}))
        end)

        it("contract 3: an instance of another entity manager is merged as what it is", function()
            local bob = person(made.Employee, { name = "Bob", salary = 1, badge = "x" })
            em:flush()
            local other = em:fork()
            bob.salary = 2
            local own = other:merge(bob)
            assert.equal("Employee", class_of(own))
            assert.equal(2, own.salary)
            other:flush()
            assert.same({ { "Bob", "2", "employee" } }, people "name, salary, kind")
            local cy = other:merge(made.Customer { name = "Cy", secret = "s" })
            other:flush()
            assert.equal("s", cy.secret)
            assert.same({ { "customer", "s" } }, raw:rows "select kind, secret from people where name = 'Cy'")
            em:detach(bob)
            assert.equal("employee", bob.kind)
            assert.equal("person Bob", bob:label())
            assert.equal("x", bob.badge)
        end)

        it("contract 3: hooks, generators and changes are those of each row's entity", function()
            local names = {}
            instance:on("after_commit", function(changes)
                for _, change in ipairs(changes) do
                    names[#names + 1] = change.op .. " " .. change.name .. " " .. tostring(change.values.kind)
                end
            end)
            local bob = person(made.Employee, { name = "Bob", salary = 1 })
            person(made.Person, { name = "Di" })
            em:flush()
            bob.salary = 2
            em:flush()
            em:remove(bob):flush()
            assert.same({ "create Employee employee", "create Person person", "update Employee nil",
                "delete Employee nil" }, names)
            assert.same({ "person Bob", "employee Bob", "person Di" }, made.log)
        end)

        it("U2: json, decimals and hidden values of a child change as others do", function()
            local cy = person(made.Customer, { name = "Cy", tags = { a = { 1 } }, secret = "s", credit = "1.5" })
            em:flush()
            assert.equal("1.50", cy.credit)
            local before = #sent
            em:flush()
            cy.credit = "1.500"
            em:flush()
            assert.equal(before, #sent)
            cy.tags.a[2] = 2
            cy.secret = "t"
            em:flush()
            em:clear()
            cy = em:find_one(made.Person, cy.id)
            assert.same({ 1, 2 }, cy.tags.a)
            assert.equal("t", cy.secret)
            assert.equal("1.50", cy.credit)
        end)

        it("U4: a discriminator that the program changes is refused, and one that it repeats is not", function()
            local Shape = orm.entity { name = "Shape", discriminator_column = "type", discriminator_value = 0, id,
                { "type", type = "smallint" } }
            local Circle = orm.entity { name = "Circle", extends = Shape, discriminator_value = 1,
                { "radius", type = "double" } }
            orm.init(db:config { context_name = "shapes", entities = { Shape, Circle } }).schema:create()
            local two = orm.em "shapes"
            local circle = two:create(Circle, { radius = 1, type = 1 })
            two:persist_and_flush(circle)
            assert.equal(1, rawget(circle, "type"))
            assert.same({ { "1", "1" } }, db:raw():rows "select type, cast(radius as integer) from shape")
            circle.type = 0
            raises("validation", function() two:flush() end, "Circle.type", "discriminator")
            circle.type = nil
            raises("validation", function() two:flush() end, "Circle.type")
            circle.type = 1
            circle.radius = 2
            two:flush()
            two:assign(circle, { type = 1, radius = 3 })
            two:flush()
            two:clear()
            assert.equal(1, two:find(Shape, { type = 1 })[1].type)
            assert.equal(3, two:find_one(Circle, 1).radius)
            raises("validation", function() two:find_one(Circle, 1).id = 1; two:create(Circle, { type = 0 }) end)
            db:raw():rows "insert into shape (type) values (7)"
            raises("metadata", function() two:find(Shape, {}) end, "7", "'type'")
            raises("validation", function() made.Person {}.kind = "boss" end)
            local bob = person(made.Employee, { name = "Bob", salary = 1 })
            raises("validation", function() bob.kind = "boss" end, "Employee.kind")
            bob.kind = "employee"
            em:flush()
            raises("validation", function() bob.kind = nil end, "Employee.kind")
            raises("validation", function() em:assign(bob, { kind = "person" }) end)
        end)

        it("contract 1: an abstract member has no rows of its own and may be asked for those that extend it", function()
            local Root = orm.entity { name = "Root", abstract = true, discriminator_column = "kind", id,
                { "n", type = "integer" } }
            local Middle = orm.entity { name = "Middle", abstract = true, extends = Root, { "m", type = "integer" } }
            local Leaf = orm.entity { name = "Leaf", extends = "Middle", { "l", type = "integer", nullable = true } }
            local Other = orm.entity { name = "Other", extends = Root }
            local Holder = orm.entity { name = "Holder", id, { "root", many_to_one = "Root" },
                { "middle", many_to_one = Middle, nullable = true } }
            -- Abstract ones need not be listed, but for names.
            local entities = { Holder, Leaf, Middle, Other }
            orm.init(db:config { context_name = "abstract", entities = entities }).schema:create()
            local two = orm.em "abstract"
            local leaf, other = two:create(Leaf, { n = 1, m = 2 }), two:create(Other, { n = 3 })
            local holder = two:create(Holder, { root = other, middle = leaf })
            two:persist(holder):flush()
            assert.same({ { "leaf", "2" }, { "other", "" } }, db:raw():rows
                "select kind, coalesce(cast(m as text), '') from root order by kind")
            raises("validation", function() holder.middle = other end, "Holder.middle", "Middle")
            two:clear()
            assert.equal(2, two:count(Root, {}))
            assert.equal(1, two:count(Middle, { m = 2 }))
            assert.equal("Leaf", class_of(two:find_one(Middle, { n = 1 })))
            holder = two:find_one(Holder, 1, { populate = { "root", "middle" } })
            assert.equal(3, holder.root.n)
            assert.equal(2, holder.middle.m)
            for _, class in ipairs { Root, Middle } do
                raises("metadata", function() two:create(class, { n = 1 }) end, "abstract")
                raises("metadata", function() two:insert(class, { n = 1 }) end, "abstract")
                raises("metadata", function() class {} end, "abstract")
            end
        end)

        it("contract 2: an entity registered later widens the table of rows that are managed already", function()
            local Root = orm.entity { name = "Root", discriminator_column = "kind", id, { "n", type = "integer" },
                { "j", type = "json", nullable = true } }
            local A = orm.entity { name = "A", extends = Root, { "a", type = "integer" } }
            local B = orm.entity { name = "B", extends = A, { "b", type = "integer" },
                { "root", many_to_one = Root, nullable = true } }
            local three = orm.init(db:config { context_name = "late", entities = { Root, A } })
            local two = orm.em("late"):fork()
            local wide = three.config
            three.schema:create()
            local list = {}
            for i = 1, 300 do
                local even = i % 2 == 0
                list[i] = two:create(even and A or Root, { n = i, j = { i }, a = even and i or nil })
            end
            for _, e in ipairs(list) do two:persist(e) end
            two:flush()
            list[7].n = -7
            raises("metadata", function() orm.register({ orm.entity { name = "X", extends = B } }, "late") end, "'B'")
            orm.register({ B }, "late")
            db:raw(wide):rows "alter table root add column b integer"
            db:raw(wide):rows "alter table root add column root_id integer"
            local b = two:create(B, { n = 0, a = 1, b = 2, root = list[300] })
            two:persist(b)
            list[8].a, list[9].j[2] = -8, "x"
            two:flush()
            local before = {}
            three:on("query", function(entry) before[#before + 1] = entry.sql end)
            two:flush()
            assert.same({}, before)
            assert.equal(301, #two:find(Root, {}))
            assert.equal(151, #two:find(A, {}))
            assert.equal(list[300], two:find_one(B, { b = 2 }).root)
            assert.same({ { "-7" }, { "8" }, { "9" } },
                db:raw(wide):rows "select n from root where id in (7, 8, 9) order by id")
            assert.same({ { "-8" } }, db:raw(wide):rows "select a from root where id = 8")
            assert.same({ 9, "x" }, list[9].j)
        end)

        it("contract 1: redefinitions, generated columns and custom types are each entity's own", function()
            local upper = orm.type { column = "text", to_db = function(v) return v:upper() end,
                from_db = function(v) return v:lower() end }
            local Root = orm.entity { name = "Root", discriminator_column = "kind", id,
                { "n", type = "integer", nullable = true, default = 1 }, { "m", type = "integer", nullable = true } }
            local A = orm.entity { name = "A", extends = Root,
                { "n", type = "integer", default = 2 }, { "m", type = "integer" },
                { "twice", type = "integer", generated = "n * 2" }, { "code", type = upper } }
            orm.init(db:config { context_name = "own", entities = { Root, A } }).schema:create()
            local two = orm.em("own"):fork()
            local root, a = two:create(Root, {}), two:create(A, { m = 3, code = "ab" })
            two:persist(root, a):flush()
            assert.equal(1, root.n)
            assert.equal(2, a.n)
            assert.equal(4, a.twice)
            assert.is_nil(rawget(root, "twice"))
            assert.same({ { "1", "" }, { "2", "AB" } },
                db:raw():rows "select n, coalesce(code, '') from root order by id")
            a.n, root.n = 5, 4
            two:flush()
            assert.equal(10, a.twice)
            assert.is_nil(rawget(root, "twice"))
            two:clear()
            local list = two:find(Root, {}, { order_by = { "id" } })
            assert.equal("ab", list[2].code)
            assert.equal(10, list[2].twice)
            assert.is_nil(list[1].code)
            assert.is_nil(list[1].twice)
            list[2].n = nil
            raises("validation", function() two:flush() end, "A.n")
            list[2].n, list[1].n = 6, nil
            two:flush()
            two:persist(two:create(A, { code = "x" }))
            raises("validation", function() two:flush() end, "A.m")
            two:clear()
            local unmanaged = two:find(Root, {}, { managed = false, order_by = { "id" } })
            assert.equal("ab", unmanaged[2].code)
        end)

        it("O1, I6: relations of every kind may belong to a child, with composite keys and database rules", function()
            local Doc = orm.entity { name = "Doc", discriminator_column = "kind",
                { "shelf", type = "string", length = 9, primary = true }, { "n", type = "integer", primary = true },
                { "title", type = "string" } }
            local Book = orm.entity { name = "Book", extends = Doc,
                { "tags", many_to_many = "Tag", inversed_by = "books", fixed_order = true },
                { "cover", one_to_one = "Cover", mapped_by = "book", cascade = { "persist", "remove" } },
                { "copies", one_to_many = "Copy", mapped_by = "book", orphan_removal = true } }
            local Sequel = orm.entity { name = "Sequel", extends = Book,
                { "of", many_to_one = Book, on_delete = "cascade" } }
            local Tag = orm.entity { name = "Tag", id, { "name", type = "string" },
                { "books", many_to_many = "Book", mapped_by = "tags" } }
            local Cover = orm.entity { name = "Cover", id, { "book", one_to_one = "Book" },
                { "colour", type = "string" } }
            local Copy = orm.entity { name = "Copy", { "book", many_to_one = "Book", primary = true },
                { "number", type = "integer", primary = true } }
            local config = db:config { context_name = "docs", entities = { Doc, Book, Sequel, Tag, Cover, Copy } }
            orm.init(config).schema:create()
            local two, direct = orm.em("docs"):fork(), db:raw(config)
            local one = two:create(Book, { shelf = "a", n = 1, title = "One" })
            local next_one = two:create(Sequel, { shelf = "a", n = 2, title = "Two", of = one })
            local paper = two:create(Doc, { shelf = "b", n = 1, title = "Paper" })
            one.tags:add(Tag { name = "x" }, Tag { name = "y" })
            next_one.tags:add(one.tags[1])
            one.cover = Cover { colour = "red" }
            one.copies:add(Copy { number = 1 }, Copy { number = 2 })
            two:persist(next_one, paper):flush()
            assert.same({ { "a", "1", "book" }, { "a", "2", "sequel" }, { "b", "1", "doc" } },
                direct:rows "select shelf, n, kind from doc order by shelf, n")
            assert.same({ { "3" } }, direct:rows "select count(*) from doc_tags")
            two:clear()
            local list = two:find(Doc, {}, { order_by = { "shelf", "n" } })
            two:load({ list[1], list[2] }, { "tags.books", "cover", "copies" })
            assert.equal(list[1], list[2].of)
            assert.equal("red", list[1].cover.colour)
            assert.equal(2, #list[1].copies)
            assert.equal(0, #list[2].copies)
            local books = { class_of(list[1].tags[1].books[1]), class_of(list[1].tags[1].books[2]) }
            table.sort(books)
            assert.same({ "Book", "Sequel" }, books)
            assert.equal(list[1], two:find_one(Book, { cover = { colour = "red" } }))
            assert.equal(list[1], two:find_one(Doc, { "a", 1 }))
            assert.is_nil(two:find_one(Sequel, { shelf = "a", n = 1 }))
            raises("unknown_property", function() two:find_one(Doc, { cover = { colour = "red" } }) end, "Doc")
            raises("validation", function() list[1].tags[1].books:add(list[3]) end, "Tag.books", "Book")
            list[1].copies:remove(list[1].copies[1])
            two:flush()
            assert.same({ { "2" } }, direct:rows "select number from copy")
            two:load(list[1], { "copies", "cover" })
            two:remove(list[1].copies[1], list[1])
            two:flush()
            assert.same({ { "Paper" } }, direct:rows "select title from doc")
            assert.is_false(two:contains(list[2]))
            assert.same({ { "0", "0" } },
                direct:rows "select (select count(*) from cover), (select count(*) from doc_tags)")
        end)

        it("O1: a unique key of a child's own rows does not bind the others", function()
            local Root = orm.entity { name = "Root", discriminator_column = "kind", id, { "name", type = "string" },
                { "live", type = "boolean", default = true } }
            local Child = orm.entity { name = "Child", extends = Root,
                uniques = { { "name", where = { live = true } } } }
            local Other = orm.entity { name = "Other", extends = Root, uniques = { { "name" } } }
            local two = orm.init(db:config { context_name = "keys", entities = { Root, Child, Other } })
            two.schema:create()
            local own = orm.em("keys"):fork()
            local a, b, c = own:create(Child, { name = "x" }), own:create(Root, { name = "y" }),
                own:create(Other, { name = "y" })
            own:persist(a, b, c):flush()
            -- Nobody waits for anybody: each goes to the other's name.
            a.name, b.name, c.name = "y", "x", "x"
            own:flush()
            own:persist(own:create(Child, { name = "y", live = false }), own:create(Root, { name = "x" }))
            own:flush()
            c.name = "z"
            own:persist(own:create(Other, { name = "x" }))
            own:flush()
            assert.same({ { "child", "y" }, { "child", "y" }, { "other", "x" }, { "other", "z" }, { "root", "x" },
                { "root", "x" } }, db:raw(two.config):rows "select kind, name from root order by kind, name")
        end)

        it("U1: an open entity may hold names that are columns of others", function()
            local Root = orm.entity { name = "Root", open = true, discriminator_column = "kind", id,
                { "n", type = "integer", nullable = true } }
            local Child = orm.entity { name = "Child", extends = Root, { "x", type = "integer" },
                { "y", type = "integer", nullable = true, default_sql = "4" } }
            local other = orm.init(db:config { context_name = "open", entities = { Root, Child } })
            other.schema:create()
            local two = orm.em("open"):fork()
            local root, child = two:create(Root, { n = 1, x = 5, z = 1 }), two:create(Child, { x = 6, z = 2 })
            two:persist(root, child):flush()
            local direct = db:raw(other.config)
            assert.same({ { "1", "0", "0" }, { "0", "6", "4" } },
                direct:rows "select coalesce(n, 0), coalesce(x, 0), coalesce(y, 0) from root order by id")
            assert.equal(5, root.x)
            local counted = expect.statements(other)
            root.x, root.y, child.z = 7, 8, 9
            two:flush()
            assert.same({}, counted)
            two:insert(Root, { n = 2, x = 3 })
            assert.same({ { "0" } }, direct:rows "select coalesce(x, 0) from root where n = 2")
        end)

        it("U2, U4: embedded values may belong to the root or to a child", function()
            local Address = orm.embeddable { name = "Address", { "city", type = "string" },
                { "zip", type = "string", nullable = true } }
            function Address:label() return "in " .. self.city end
            local Root = orm.entity { name = "Root", discriminator_column = "kind", id,
                { "home", embedded = Address, nullable = true } }
            local A = orm.entity { name = "A", extends = Root, { "office", embedded = Address },
                { "past", embedded = Address, array = true, nullable = true } }
            local B = orm.entity { name = "B", extends = Root,
                { "depot", embedded = Address, object = true, hidden = true, nullable = true } }
            local config = db:config { context_name = "values", entities = { Root, A, B } }
            orm.init(config).schema:create()
            local two, direct = orm.em("values"):fork(), db:raw(config)
            local root, a, b = two:create(Root, { home = { city = "R" } }),
                two:create(A, { office = { city = "O" }, past = { { city = "P" } } }),
                two:create(B, { depot = { city = "D" } })
            two:persist(root, a, b):flush()
            assert.same({ { "R", "", "0", "0" }, { "", "O", "1", "0" }, { "", "", "0", "1" } }, direct:rows [[
                select coalesce(home_city, ''), coalesce(office_city, ''), case when past is null then 0 else 1 end,
                case when depot is null then 0 else 1 end from root order by id]])
            for _, managed in ipairs { true, false } do
                two:clear()
                local list = two:find(Root, {}, { order_by = { "id" }, managed = managed })
                assert.equal("in R", list[1].home:label())
                assert.equal("in O", list[2].office:label())
                assert.equal("in P", list[2].past[1]:label())
                assert.equal("in D", list[3].depot:label())
                assert.is_nil(list[1].office)
                assert.is_nil(rawget(list[3], "office"))
                if managed then two:flush() end
            end
            a = two:find_one(A, { office = { city = "O" } })
            local sent_before = {}
            orm.instance("values"):on("query", function(entry) sent_before[#sent_before + 1] = entry.sql end)
            two:flush()
            assert.same({}, sent_before)
            a.office.city, a.past[2] = "X", { city = "Q" }
            two:flush()
            assert.same({ { "X" } }, direct:rows "select office_city from root where office_city is not null")
            a.office = nil
            raises("validation", function() two:flush() end, "A.office")
            two:clear()
            two:persist(two:create(A, {}))
            raises("validation", function() two:flush() end, "A.office")
            two:clear()
            raises("unknown_property", function() two:find(Root, { office = { city = "X" } }) end, "Root")
        end)

        it("C4: one family serves several contexts, each with the members that it has", function()
            local other = orm.init(db:config { context_name = "second", entities = { made.Team, made.Person,
                made.Employee, made.Manager } })
            other.schema:create()
            local two = orm.em("second"):fork()
            two:persist_and_flush(two:create(made.Employee, { name = "Bob", salary = 1 }))
            raises("entity_not_registered", function() two:create(made.Customer, {}) end, "'Customer'", "'default'")
            person(made.Customer, { name = "Cy" })
            em:flush()
            local bob = two:find_one(made.Person, 1)
            raises("wrong_context", function() em:persist(bob) end)
            assert.is_false(pcall(db:raw(other.config).rows, db:raw(other.config), "select credit from people"))
        end)

        it("read_only: an entity may be read only where its root is not", function()
            local Root = orm.entity { name = "Root", discriminator_column = "kind", id, { "n", type = "integer" } }
            local Fixed = orm.entity { name = "Fixed", extends = Root, readonly = true }
            orm.init(db:config { context_name = "fixed", entities = { Root, Fixed } }).schema:create()
            local two = orm.em("fixed"):fork()
            two:persist_and_flush(two:create(Root, { n = 1 }))
            raises("read_only", function() two:persist(two:create(Fixed, { n = 1 })) end, "Fixed")
        end)
    end)
end)
