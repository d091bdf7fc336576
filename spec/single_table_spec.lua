-- Entities that share a table: what a family may be, its table, and rows that become instances of their own entities.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"
local staff = require "spec.support.staff"

local raises, op = expect.raises, orm.op

local id = { "id", type = "integer", primary = true }

local function define(definition) return orm.entity(definition) end

local function refused(definition, ...) return raises("metadata", function() define(definition) end, ...) end

local function root_of(options)
    local definition = { name = "Root", discriminator_column = "kind", id, { "name", type = "string" } }
    for key, value in pairs(options or {}) do definition[key] = value end
    return define(definition)
end

describe("the definitions of a family", function()
    it("contract 1: the discriminator's value is given, or the entity's name in snake case", function()
        local Root = root_of()
        local function value_of(class) return orm.metadata(class).discriminator_value end
        assert.equal("root", value_of(Root))
        assert.equal("area_manager", value_of(define { name = "AreaManager", extends = Root }))
        assert.equal("m", value_of(define { name = "Manager", extends = Root, discriminator_value = "m" }))
        local Numbered = root_of { discriminator_column = "code", discriminator_value = 1,
            [3] = { "code", type = "smallint" } }
        assert.equal(2, value_of(define { name = "Second", extends = Numbered, discriminator_value = 2 }))
        assert.is_nil(value_of(root_of { abstract = true }))
    end)

    it("contract 1: a family's members have the root's properties, its discriminator among them", function()
        local Root = root_of()
        local Leaf = define { name = "Leaf", extends = define { name = "Branch", extends = Root,
            { "width", type = "integer" } }, { "colour", type = "string" } }
        local names = {}
        for i, prop in ipairs(orm.metadata(Leaf).properties) do names[i] = prop.name end
        assert.same({ "id", "name", "kind", "width", "colour" }, names)
        assert.is_true(orm.metadata(Root).by_name.kind.discriminator)
    end)

    it("contract 1: the table and what all rows share is the root's to say", function()
        local Root = root_of()
        local function child(definition, ...)
            definition.name, definition.extends = "Child", Root
            refused(definition, "'Child'", ...)
        end
        child({ table = "children" }, "'table'", "'Root'")
        child({ schema = "x" }, "'schema'", "'Root'")
        child({ check_rows = false }, "'check_rows'", "'Root'")
        child({ discriminator_column = "type" }, "'discriminator_column'", "'Root'")
        child({ { "code", type = "integer", primary = true } }, "'code'", "'primary'", "'Root'")
        child({ { "n", type = "integer", version = true } }, "'n'", "'version'", "'Root'")
        child({ { "kind", type = "string" } }, "'kind'", "discriminator")
        child({ { "name", type = "text" } }, "'name'", "'Root'", "'type'")
        child({ { "name", type = "string", column = "title" } }, "'name'", "'column'")
        child({ { "name", type = "string", nullable = true } }, "'name'", "NOT NULL")
        child({ abstract = true, discriminator_value = "x" }, "'discriminator_value'", "abstract")
    end)

    it("contract 1: a discriminator is a text or an integer that Heddle sets, and values are like it", function()
        local function kind(prop, value, ...)
            prop[1] = "kind"
            refused({ name = "R", discriminator_column = "kind", discriminator_value = value, id, prop }, ...)
        end
        kind({ type = "json" }, nil, "'kind'", "discriminator")
        kind({ type = "string", nullable = true }, nil, "'kind'", "'nullable'")
        kind({ type = "string", default = "x" }, nil, "'kind'", "'default'")
        kind({ type = "string", persist = false }, nil, "'kind'")
        kind({ type = "integer" }, nil, "'discriminator_value'", "integer")
        kind({ type = "string" }, 7, "'discriminator_value'", "text")
        kind({ type = "enum", enum = { "a" } }, "b", "'discriminator_value'", "'b'")
        kind({ type = "string", length = 2 }, "abc", "'discriminator_value'", "longer")
        refused({ name = "R", discriminator_column = "my kind", id }, "'discriminator_column'", "column = ")
        refused({ name = "R", discriminator_value = "x", id }, "'discriminator_value'", "discriminator_column")
        -- Three characters, six bytes.
        define { name = "R", discriminator_column = "kind", discriminator_value = "äöü", id,
            { "kind", type = "string", length = 3 } }
    end)

    it("contract 1: an instance has its discriminator from the start, and no other one", function()
        local Root = root_of()
        local Child = define { name = "Child", extends = Root, discriminator_value = "c" }
        assert.equal("c", Child {}.kind)
        assert.equal("root", Root { kind = "root" }.kind)
        assert.is_nil(rawget(Child {}, "kind"))
        raises("validation", function() Root { kind = "c" } end, "Root.kind", "discriminator")
        raises("validation", function() Child {}.kind = "root" end, "Child.kind")
        raises("validation", function() Child {}.kind = nil end, "Child.kind")
        local Declared = define { name = "Declared", discriminator_column = "type", id, { "type", type = "string" } }
        assert.equal("declared", rawget(Declared {}, "type"))
        raises("validation", function() Declared { type = "other" } end, "Declared.type")
    end)
end)

databases.each(function(db)
    describe("a table that entities share", function()
        local made, instance, em, sent

        before_each(function()
            made = staff.define()
            instance = orm.init(db:config { entities = made.entities })
            instance.schema:create()
            sent = expect.statements(instance)
            em = orm.em():fork()
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        local function refuse_init(entities, ...)
            return raises("metadata", function()
                orm.init(db:config { context_name = "refused", entities = entities })
            end, ...)
        end

        -- Ann is a manager, Bob an employee, Cy a customer, Di just a person.
        local function fill()
            local writer = em:fork()
            local core = writer:create(made.Team, { name = "core" })
            local ann = writer:create(made.Manager, { name = "Ann", salary = 100, team = core })
            local bob = writer:create(made.Employee, { name = "Bob", salary = 10, boss = ann, mentor = ann,
                notes = "quiet" })
            local cy = writer:create(made.Customer, { name = "Cy", contact = bob, secret = "s", tags = { 1 } })
            local di = writer:create(made.Person, { name = "Di", boss = ann })
            writer:persist(ann, bob, cy, di):flush()
            while sent[1] do table.remove(sent) end
        end

        local function names(list)
            local found = {}
            for i, e in ipairs(list) do found[i] = getmetatable(e).definition.name .. " " .. e.name end
            table.sort(found)
            return table.concat(found, ", ")
        end

        it("contract 1: one table has every column, and only the root's are NOT NULL", function()
            local tables = {}
            for _, statement in ipairs(instance.schema:create_sql()) do
                if statement:find('^CREATE TABLE [^(]*"people"') then tables[#tables + 1] = statement end
            end
            assert.equal(1, #tables)
            local raw = db:raw()
            raw:rows "insert into people (name, version, kind) values ('x', 1, 'person')"
            assert.same({ { "x", "person" } }, raw:rows "select name, kind from people where salary is null")
            assert.is_false(pcall(raw.rows, raw, "insert into people (name, version) values ('x', 1)"))
            assert.is_false(pcall(raw.rows, raw,
                "insert into people (name, version, kind, salary) values ('x', 1, 'employee', -1)"))
            raw:rows "insert into people (name, version, kind, salary) values ('x', 1, 'person', -1)"
        end)

        it("contract 1: what a child says of the root's properties holds for its own rows", function()
            local Root = root_of { table = "things" }
            local Child = define { name = "Child", extends = Root, { "code", type = "string", nullable = true },
                uniques = { { "name" }, { "code" }, { "name", "code", where = { name = "a" } } },
                indexes = { { "name desc" } }, checks = { "name <> 'bad'", { "code is not null or name = 'x'" } } }
            local other = orm.init(db:config { context_name = "other", entities = { Root, Child } })
            other.schema:create()
            local two = orm.em "other"
            two:persist(two:create(Root, { name = "bad" }), two:create(Root, { name = "bad" }),
                two:create(Child, { name = "a", code = "1" }), two:create(Root, { name = "a" }))
            two:flush()
            two:persist(two:create(Child, { name = "a", code = "2" }))
            raises("unique_violation", function() two:flush() end)
            two:clear()
            two:persist(two:create(Child, { name = "bad", code = "3" }))
            raises("check_violation", function() two:flush() end)
            two:clear()
            two:persist(two:create(Child, { name = "y" }))
            raises("check_violation", function() two:flush() end)
        end)

        it("contract 1: rows are written with their discriminator; what is another entity's is NULL", function()
            fill()
            assert.same({
                { "Ann", "boss", "100", "5.00", "", "" }, { "Bob", "employee", "10", "", "", "" },
                { "Cy", "customer", "", "", "10", "low" }, { "Di", "person", "", "", "", "" },
            }, (function()
                local rows = db:raw(instance.config):rows([[select name, kind, coalesce(cast(salary as text), ''),
                    coalesce(cast(bonus as text), ''), coalesce(cast(cast(credit as integer) as text), ''),
                    coalesce(level, '') from people order by id]])
                return rows
            end)())
            assert.same({ "person Ann", "employee Ann", "manager Ann", "person Bob", "employee Bob", "person Cy",
                "person Di" }, made.log)
        end)

        it("I1: one row is one instance of its own entity, however it was reached", function()
            fill()
            local all = em:find(made.Person, {}, { order_by = { "id" } })
            assert.equal("Customer Cy, Employee Bob, Manager Ann, Person Di", names(all))
            assert.equal(all[1], em:find_one(made.Employee, 1))
            assert.equal(all[1], em:find(made.Manager, { name = "Ann" })[1])
            assert.equal(all[1], all[2].boss)
            assert.equal(all[1], em:get_reference(made.Person, 1))
            assert.equal(all[2], em:find(made.Customer, {})[1].contact)
            assert.equal("manager person Ann", all[1]:label())
            assert.equal("person Bob", all[2]:label())
            assert.equal(120, all[2]:pay())
            assert.is_nil(all[4].pay)
            assert.equal("boss", all[1].kind)
            assert.equal("person", all[4].kind)
            assert.truthy(tostring(all[3]):find("^Customer#3 "))
            assert.is_nil(rawget(all[4], "salary"))
            assert.is_nil(all[4].salary)
            raises("unknown_property", function() all[4].salary = 1 end, "'Person'", "'salary'")
            raises("unknown_property", function() all[3].salary = 1 end, "'Customer'")
        end)

        it("Q1: an entity's queries find its rows and those of who extends it, by its own properties", function()
            fill()
            assert.equal("Employee Bob, Manager Ann", names(em:find(made.Employee, {})))
            assert.equal("Manager Ann", names(em:find(made.Employee, { salary = op.gt(50) })))
            assert.equal("Manager Ann", names(em:find_all(made.Manager)))
            assert.equal("Employee Bob, Manager Ann", names(em:find("Employee", op.any { { salary = 10 },
                { name = "Ann" }, { name = "Cy" } })))
            assert.equal("", names(em:find(made.Customer, op.negate { name = "Cy" })))
            assert.equal(4, em:count(made.Person, {}))
            assert.equal(2, em:count(made.Employee, {}))
            assert.equal(1, em:count(made.Customer, { name = op.ne "x" }))
            local items, total = em:find_and_count(made.Employee, {}, { limit = 1, order_by = { "salary desc" } })
            assert.equal("Manager Ann", names(items))
            assert.equal(2, total)
            assert.is_nil(em:find_one(made.Customer, { name = "Bob" }))
            for _, where in ipairs { { salary = 1 }, { credit = "1" } } do
                raises("unknown_property", function() em:find(made.Person, where) end, "Person")
            end
            raises("unknown_property", function() em:find(made.Customer, { salary = 1 }) end, "Customer")
            raises("unknown_property", function() em:find(made.Employee, {}, { order_by = { "bonus" } }) end)
            raises("unknown_property", function() em:find(made.Person, {}, { fields = { "salary" } }) end)
        end)

        it("Q1: the discriminator can be asked for", function()
            fill()
            assert.equal("Customer Cy, Employee Bob", names(em:find(made.Person,
                { kind = op.one_of { "employee", "customer" } })))
            assert.equal("", names(em:find(made.Employee, { kind = "person" })))
            raises("unknown_property", function() em:find(made.Person, { boss = { kind = "boss" } }) end, "hidden")
        end)

        it("Q1: related entities are filtered as what they are", function()
            fill()
            assert.equal("Employee Bob, Person Di", names(em:find(made.Person, { boss = { bonus = op.gte(5) } })))
            assert.equal("Customer Cy", names(em:find(made.Customer, { contact = { mentor = { salary = 100 } } })))
            db:raw(instance.config):rows "update people set kind = 'employee' where id = 1"
            assert.equal("", names(em:find(made.Person, { boss = { name = "Ann" } })))
            assert.equal("Customer Cy", names(em:find(made.Customer, { contact = { mentor = { name = "Ann" } } })))
            local bob, ann = em:find_one(made.Employee, 2), em:find_one(made.Employee, 1)
            assert.equal("Customer Cy", names(em:find(made.Customer, { contact = bob })))
            assert.equal("Employee Bob", names(em:find(made.Employee, { mentor = ann })))
            raises("validation", function() em:find(made.Person, { boss = bob }) end, "Manager", "Employee")
            assert.equal(bob, em:find_one(made.Person, bob))
        end)

        it("I2: a managed row is answered by key without SQL, and is nil for an entity that it is not of", function()
            fill()
            em:find(made.Person, {})
            local before = #sent
            assert.equal("Bob", em:find_one(made.Person, 2).name)
            assert.is_nil(em:find_one(made.Manager, 2))
            assert.is_nil(em:find_one(made.Customer, 1))
            assert.is_nil(em:find_one(made.Employee, 4))
            assert.equal("Ann", em:find_one(made.Employee, { id = 1 }).name)
            assert.equal(before, #sent)
            local fresh = em:fork()
            assert.is_nil(fresh:find_one(made.Customer, 1))
            assert.equal("Ann", fresh:find_one(made.Manager, 1).name)
            raises("not_found", function() fresh:find_one_or_fail(made.Customer, 1) end)
            raises("validation", function() fresh:get_reference(made.Customer, 1) end, "Manager", "Customer")
        end)

        it("I1: a reference becomes what its row says, and stays the same table", function()
            fill()
            local ann, bob, di = em:get_reference(made.Person, 1), em:get_reference(made.Person, 2),
                em:get_reference(made.Person, 4)
            assert.equal(1, ann.id)
            raises("not_loaded", function() return ann.name end, "Person.name")
            raises("not_loaded", function() return ann.kind end, "Person.kind")
            raises("unknown_property", function() ann.salary = 1 end)
            assert.equal(bob, em:find_one(made.Employee, 2))
            assert.equal(10, bob.salary)
            assert.equal("Employee", getmetatable(bob).definition.name)
            assert.equal(ann, bob.boss)
            assert.equal(ann, bob.mentor)
            em:load(bob, { "boss" })
            assert.equal("manager person Ann", ann:label())
            assert.equal("5.00", ann.bonus)
            assert.is_true(orm.is_initialized(ann))
            assert.equal(di, em:find(made.Person, { name = "Di" })[1])
            assert.equal("Person", getmetatable(di).definition.name)
            -- A claim is narrowed by a later one; a row that contradicts it wins.
            local fresh = em:fork()
            local cy = fresh:get_reference(made.Person, 3)
            assert.equal(cy, fresh:get_reference(made.Employee, 3))
            assert.equal("Employee", getmetatable(cy).definition.name)
            assert.equal(cy, fresh:get_reference(made.Person, 3))
            raises("validation", function() fresh:get_reference(made.Customer, 3) end, "Employee", "Customer")
            assert.is_nil(fresh:find_one(made.Employee, 3))
            assert.equal(cy, fresh:find_one(made.Person, 3))
            assert.equal("Customer", getmetatable(cy).definition.name)
            assert.equal("s", cy.secret)
            assert.equal("10.00", cy.credit)
        end)

        it("I3: lazy and hidden properties are those of an instance's own entity", function()
            fill()
            local all = em:find(made.Person, {}, { order_by = { "id" } })
            assert.equal("s", all[3].secret)
            assert.is_nil(rawget(all[3], "secret"))
            assert.is_nil(all[2].secret)
            raises("not_loaded", function() return all[2].notes end, "Employee.notes")
            assert.is_nil(all[3].notes)
            assert.is_nil(all[4].notes)
            em:load(all[2], { "notes" })
            assert.equal("quiet", all[2].notes)
            local before = #sent
            em:flush()
            assert.equal(before, #sent)
            all[3].name = "Cyd"
            em:flush()
            assert.same({ { "Cyd", "customer", "s", "low" } }, db:raw(instance.config):rows
                "select name, kind, secret, level from people where id = 3")
        end)

        it("I5: what is read in part is of its entity too, and the rest is not loaded", function()
            fill()
            local bob = em:find(made.Person, { name = "Bob" }, { fields = { "name" } })[1]
            assert.equal("Employee", getmetatable(bob).definition.name)
            assert.equal("employee", bob.kind)
            raises("not_loaded", function() return bob.salary end, "Employee.salary")
            bob.salary = 11
            em:flush()
            assert.same({ { "Bob", "11", "employee" } }, db:raw(instance.config):rows
                "select name, salary, kind from people where id = 2")
            em:find_one(made.Person, { name = "Bob" })
            assert.equal(11, bob.salary)
        end)

        it("Q3: relations to the root and to a child are populated with what their rows are", function()
            fill()
            local core = em:find(made.Team, {}, { populate = { "members.boss", "staff" } })[1]
            assert.equal("Manager Ann", names(core.members:items()))
            assert.equal(0, #core.staff)
            local fresh = em:fork()
            local ann = fresh:find(made.Manager, {}, { populate = { "reports", "team" } })[1]
            assert.equal("Employee Bob, Person Di", names(ann.reports:items()))
            assert.equal("core", ann.team.name)
            local again = em:fork()
            local list = again:find(made.Employee, { name = "Bob" }, { populate = { "mentor.team", "boss" } })
            assert.equal("core", list[1].mentor.team.name)
            assert.equal(list[1].mentor, list[1].boss)
            raises("unknown_property", function() again:find(made.Person, {}, { populate = { "mentor" } }) end)
        end)

        it("Q3: eager relations of a child come along with its rows, and with theirs only", function()
            local Root = orm.entity { name = "Root", discriminator_column = "kind", id,
                { "first", many_to_one = "Team", nullable = true, eager = true } }
            local Leaf = orm.entity { name = "Leaf", extends = Root,
                { "second", many_to_one = "Team", nullable = true, eager = true } }
            local Team = orm.entity { name = "Team", id, { "name", type = "string" } }
            local other = orm.init(db:config { context_name = "eager", entities = { Root, Leaf, Team } })
            other.schema:create()
            local two = orm.em "eager"
            local x, y = Team { name = "x" }, Team { name = "y" }
            two:persist(two:create(Leaf, { first = x, second = y }), two:create(Root, { first = y }),
                two:create(Leaf, {}))
            two:flush()
            for _, managed in ipairs { true, false } do
                two:clear()
                local counted = expect.statements(other)
                local list = two:find(Root, {}, { order_by = { "id" }, managed = managed })
                assert.same({ Leaf, Root, Leaf }, { getmetatable(list[1]).class, getmetatable(list[2]).class,
                    getmetatable(list[3]).class })
                local sent_before = #counted
                assert.equal("x", list[1].first.name)
                assert.equal("y", list[1].second.name)
                assert.equal("y", list[2].first.name)
                assert.equal(sent_before, #counted)
            end
        end)

        it("I1: em:load takes instances of one table together, by what they share", function()
            fill()
            local all = em:find(made.Person, {}, { order_by = { "id" } })
            em:load({ all[2], all[4], all[3] }, { "boss" })
            em:load({ all[2], all[1] }, { "mentor" })
            assert.equal(all[1], all[2].mentor)
            raises("unknown_property", function() em:load({ all[2], all[4] }, { "mentor" }) end, "Person")
            raises("validation", function() em:load { all[1], em:find_one(made.Team, 1) } end, "Team", "Manager")
        end)

        it("contract 3: unmanaged instances are of their entities", function()
            fill()
            local list = em:find(made.Person, {}, { managed = false, order_by = { "id" }, populate = { "boss" } })
            assert.equal("Customer Cy, Employee Bob, Manager Ann, Person Di", names(list))
            assert.equal("boss", list[1].kind)
            assert.equal("manager person Ann", list[4].boss:label())
            assert.equal("s", list[3].secret)
            assert.is_nil(rawget(list[3], "secret"))
            assert.equal(2, list[3].contact.id)
            raises("not_loaded", function() return list[2].notes end)
            assert.is_nil(list[4].notes)
            raises("unknown_property", function() list[4].salary = 1 end)
            local part = em:find(made.Person, { name = "Bob" }, { managed = false, fields = { "name" } })[1]
            raises("not_loaded", function() return part.salary end, "Employee.salary")
        end)

        it("contract 1: a row of an unknown entity is a metadata error that names it, however it is read", function()
            fill()
            local raw = db:raw(instance.config)
            raw:rows "insert into people (name, version, kind) values ('R2', 1, 'robot')"
            for _, read in ipairs {
                function() em:find(made.Person, {}) end, function() em:find_one(made.Person, 5) end,
                function() em:find(made.Person, {}, { managed = false }) end,
                function() em:find(made.Person, {}, { fields = { "name" } }) end,
                function() em:find(made.Person, {}, { managed = false, fields = { "name" } }) end,
                function() em:refresh(em:get_reference(made.Person, 5)) end,
                function() em:find(made.Person, { name = "R2" }, { managed = false }) end,
            } do
                local err = raises("metadata", read, "'robot'", "'kind'", "'people'", "'default'")
                assert.equal("Person", err.entity)
                assert.equal("kind", err.property)
                assert.equal("default", err.context)
            end
            -- It is nobody's row, and the others are there.
            assert.equal("Employee Bob, Manager Ann", names(em:find(made.Employee, {})))
            assert.equal("Person Di", names(em:find(made.Person, { name = "Di" })))
            assert.equal(0, em:count(made.Customer, { name = "R2" }))
        end)

        it("I3: what a row has in another entity's column is nobody's", function()
            fill()
            db:raw(instance.config):rows "update people set salary = 7, secret = 'x', tags = '[2]' where id in (3, 4)"
            local di, cy = em:find_one(made.Person, 4), em:find_one(made.Customer, 3)
            assert.is_nil(rawget(di, "salary"))
            assert.is_nil(di.salary)
            assert.is_nil(di.secret)
            assert.is_nil(di.tags)
            assert.same({ 2 }, cy.tags)
            assert.is_nil(cy.salary)
            local before = #sent
            em:flush()
            assert.equal(before, #sent)
            em:find(made.Person, {})
            em:flush()
            assert.equal(before + 1, #sent)
            di.name = "Dina"
            em:flush()
            assert.same({ { "Dina", "7" } },
                db:raw(instance.config):rows "select name, salary from people where id = 4")
            assert.equal("Dina", em:find(made.Person, { id = 4 }, { managed = false })[1].name)
        end)

        it("I3: a row that turns into another entity's takes its instance along", function()
            fill()
            local bob, cy = em:find_one(made.Employee, 2), em:find_one(made.Customer, 3)
            local raw = db:raw(instance.config)
            raw:rows "update people set kind = 'boss', bonus = '7.50', name = 'Bobby' where id = 2"
            raw:rows "update people set kind = 'person' where id = 3"
            em:find(made.Person, {})
            assert.equal("manager person Bobby", bob:label())
            assert.equal("7.50", bob.bonus)
            assert.equal(10, bob.salary)
            assert.equal("boss", bob.kind)
            assert.equal(bob, em:find_one(made.Manager, 2))
            assert.equal("Person", getmetatable(cy).definition.name)
            assert.is_nil(cy.credit)
            assert.is_nil(rawget(cy, "level"))
            assert.is_nil(cy.contact)
            local before = #sent
            em:flush()
            assert.equal(before, #sent)
            bob.bonus = "8"
            em:flush()
            assert.same({ { "8.00" } }, raw:rows "select bonus from people where id = 2")
        end)

        it("contract 3: on_load is called for each entity's own hooks", function()
            fill()
            made.log = {}
            em:get_reference(made.Person, 2)
            em:find(made.Person, { id = op.lte(3) }, { order_by = { "id desc" } })
            -- What was a reference before comes last.
            assert.same({ "load person Cy", "load person Ann", "load employee Ann", "load person Bob",
                "load employee Bob" }, made.log)
            em:find(made.Employee, {})
            assert.equal(5, #made.log)
            em:find_one(made.Person, 4)
            assert.equal("load person Di", made.log[6])
        end)

        it("contract 1: a family's entities have to be registered together, with values of their own", function()
            refuse_init({ made.Team, made.Employee, made.Manager }, "'Employee'", "'Person'", "registered")
            local Root = root_of()
            local A = define { name = "A", extends = Root, discriminator_value = "x" }
            local B = define { name = "B", extends = Root, discriminator_value = "x" }
            refuse_init({ Root, A, B }, "'B'", "'x'", "'A'")
            refuse_init({ Root, define { name = "C", extends = Root, discriminator_value = "root" } }, "'C'", "'root'")
            refuse_init({ Root, define { name = "Root", abstract = true, id }, A }, "Root")
            refuse_init({ Root, define { name = "Thing", table = "root", id } }, "'Thing'", "'root'")
        end)

        it("contract 1: siblings share a column under one name when they say the same of it", function()
            local Root = root_of { table = "things" }
            local A = define { name = "A", extends = Root, { "size", type = "integer", default = 1 } }
            local B = define { name = "B", extends = Root, { "size", type = "integer", nullable = true } }
            local C = define { name = "C", extends = Root, { "size", type = "string" } }
            local D = define { name = "D", extends = Root, { "length", type = "integer", column = "size" } }
            refuse_init({ Root, A, C }, "'C'", "'size'", "'A.size'", "'type'")
            refuse_init({ Root, A, D }, "'size'", "'column'")
            orm.init(db:config { context_name = "other", entities = { Root, A, B } }).schema:create()
            local two = orm.em "other"
            local a, b, none = two:create(A, { name = "a" }), two:create(B, { name = "b", size = 2 }),
                two:create(B, { name = "c" })
            two:persist(a, b, none):flush()
            assert.same({ { "a", "1" }, { "b", "2" } }, db:raw():rows
                "select name, size from things where size is not null order by id")
            two:clear()
            assert.equal("a", two:find(A, { size = 1 })[1].name)
            assert.equal(0, #two:find(A, { size = 2 }))
            assert.equal(1, #two:find(B, { size = 2 }))
            two:persist(two:create(A, { name = "d", size = orm.null }))
            raises("validation", function() two:flush() end, "A.size")
        end)
    end)
end)
