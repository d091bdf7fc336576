-- O1, O2: foreign keys that close a cycle, checked at once or later, and unique values among them.

local databases = require "spec.support.databases"
local orm = require "heddle"
local unit = require "spec.support.unit"

-- NOT NULL one-to-one: the owner's foreign key is unique.
local Person = orm.entity { name = "Person", table = "people",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
}
local Passport = orm.entity { name = "Passport", table = "passports",
    { "id", type = "integer", primary = true },
    { "person", one_to_one = "Person", owner = true },
    { "version", type = "integer", version = true },
}
local Locker = orm.entity { name = "Locker", table = "lockers",
    { "id", type = "integer", primary = true },
    { "person", one_to_one = "Person", owner = true, nullable = true },
}
-- Each needs the other: deferrable, and not.
local Hen = orm.entity { name = "Hen", table = "hens",
    { "id", type = "integer", primary = true },
    { "egg", many_to_one = "Egg" },
    { "name", type = "string", default = "hen" },
}
local Egg = orm.entity { name = "Egg", table = "eggs",
    { "id", type = "integer", primary = true },
    { "hen", many_to_one = "Hen" },
}
local Plug = orm.entity { name = "Plug", table = "plugs",
    { "id", type = "integer", primary = true },
    { "socket", many_to_one = "Socket", deferrable = false },
    { "made", type = "integer", default_sql = "6 * 7" },
    { "twice", type = "integer", generated = "id * 2" },
    { "version", type = "integer", version = true },
}
local Socket = orm.entity { name = "Socket", table = "sockets",
    { "id", type = "integer", primary = true },
    { "plug", many_to_one = "Plug", deferrable = false },
}
local Chief = orm.entity { name = "Chief", table = "chiefs",
    { "id", type = "integer", primary = true },
    { "crew", many_to_one = "Crew" },
}
local Crew = orm.entity { name = "Crew", table = "crews",
    { "id", type = "integer", primary = true },
    { "chief", many_to_one = "Chief", nullable = true },
}
-- What refers cannot wait; the name of what is referred to is unique.
local Label = orm.entity { name = "Label", table = "labels",
    { "id", type = "integer", primary = true },
    { "text", type = "string", unique = true },
}
local Jar = orm.entity { name = "Jar", table = "jars",
    { "id", type = "integer", primary = true },
    { "label", many_to_one = "Label", deferrable = false },
    { "lid", type = "boolean", unique = true, nullable = true },
}
local Ticket = orm.entity { name = "Ticket", table = "tickets",
    { "id", type = "integer", primary = true },
    { "person", one_to_one = "Person", owner = true, deferrable = false },
}
local Key = orm.entity { name = "Key", table = "keys",
    { "code", type = "string", length = 10, primary = true },
    { "note", type = "string", nullable = true },
}
local Door = orm.entity { name = "Door", table = "doors",
    { "id", type = "integer", primary = true },
    { "key", many_to_one = "Key" },
}

databases.each(function(db)
    describe("cycles", function()
        local work, em, raw, plan
        local file = db.name == "sqlite"

        before_each(function()
            work = unit.open(db, { Person, Passport, Locker, Hen, Egg, Plug, Socket, Chief, Crew, Label, Jar, Ticket,
                Key, Door })
            em, raw = work.em, work.raw
            work.instance:on("after_flush", function(changes) plan = changes.plan end)
        end)
        after_each(function()
            work:close()
            db:close()
        end)

        local function people(n)
            local list = {}
            for i = 1, n do
                list[i] = Person { name = "p" .. i }
                em:persist(list[i])
            end
            em:flush()
            return list
        end

        local function owners(entity, list)
            local made = {}
            for i, person in ipairs(list) do
                made[i] = entity { person = person }
                em:persist(made[i])
            end
            em:flush()
            work:forget()
            return made
        end

        it("O2: owners of a NOT NULL one-to-one swap their partners, and rotate them", function()
            local list = people(3)
            local passports = owners(Passport, list)
            passports[1].person, passports[2].person = list[2], list[1]
            em:flush()
            assert.same({ { "2" }, { "1" }, { "3" } }, raw:rows "select person_id from passports order by id")
            assert.equal(2, work:writes("UPDATE"))
            assert.same({ 2, 1 }, { plan.parked, plan.deferred })
            assert.same({ 2, 2, 1 }, { passports[1].version, passports[2].version, passports[3].version })
            for i = 1, 3 do passports[i].person = list[i % 3 + 1] end
            em:flush()
            assert.same({ { "2", "2" }, { "3", "3" }, { "1", "2" } },
                raw:rows "select person_id, version from passports order by id")
        end)

        it("O2: of a nullable one, without deferral", function()
            local list = people(2)
            local lockers = owners(Locker, list)
            lockers[1].person, lockers[2].person = list[2], list[1]
            em:flush()
            assert.same({ { "2" }, { "1" } }, raw:rows "select person_id from lockers order by id")
            assert.same({ 2, 0 }, { plan.parked, plan.deferred })
        end)

        it("O2: a partner goes to a new owner while its old one gets a new partner", function()
            local list = people(2)
            local passports = owners(Passport, { list[1] })
            passports[1].person = Person { name = "new" }
            em:persist(Passport { person = list[1] })
            em:flush()
            assert.same({ { "new" }, { "p1" } }, raw:rows
                "select p.name from passports q join people p on p.id = q.person_id order by q.id")
        end)

        it("O2: where the foreign key cannot wait, the swap is refused before any statement, but on SQLite", function()
            local list = people(2)
            local tickets = owners(Ticket, list)
            tickets[1].person, tickets[2].person = list[2], list[1]
            if file then
                em:flush()
                assert.same({ { "2" }, { "1" } }, raw:rows "select person_id from tickets order by id")
                return
            end
            local err = unit.raises("commit_order", em.flush, em)
            assert.same({}, work.log)
            assert.matches("update of Ticket#1", err.message)
            assert.matches("unique Ticket%.person", err.message)
            tickets[2].person = Person { name = "new" } -- mended
            em:flush()
            assert.same({ { "2" }, { "3" } }, raw:rows "select person_id from tickets order by id")
        end)

        it("O2: two new rows that need each other, and their removal", function()
            local hens, eggs = {}, {}
            for i = 1, 20 do hens[i], eggs[i] = Hen {}, Egg {} end
            for i = 1, 20 do
                hens[i].egg, eggs[i].hen = eggs[i], hens[i % 20 + 1]
                em:persist(hens[i], eggs[i])
            end
            work:forget()
            em:flush()
            assert.equal(2, work:writes("INSERT INTO"))
            assert.equal(1, plan.deferred)
            assert.equal("20", raw:value [[select count(*) from hens h
                join eggs e on e.id = h.egg_id and e.hen_id = h.id % 20 + 1]])
            em:remove(hens[1]):remove(eggs[20]):remove(eggs[1]):remove(hens[2])
            for i = 2, 19 do em:remove(eggs[i]):remove(hens[i + 1]) end
            em:flush()
            assert.same({ { "0", "0" } }, raw:rows "select (select count(*) from hens), (select count(*) from eggs)")
        end)

        it("O2: the same where no foreign key can wait: one statement for all", function()
            local plugs, sockets = {}, {}
            for i = 1, 20 do plugs[i], sockets[i] = Plug {}, Socket {} end
            for i = 1, 20 do
                plugs[i].socket, sockets[i].plug = sockets[i], plugs[i % 20 + 1]
                em:persist(sockets[i], plugs[i])
            end
            em:persist(Plug { socket = sockets[3] }) -- is in no ring, and waits for one
            work:forget()
            em:flush()
            if not file then
                assert.equal(2, work:writes("INSERT INTO"))
                assert.same({ 1, 0 }, { plan.whole, plan.deferred })
            end
            for i = 1, 20 do
                assert.same({ 42, 2 * plugs[i].id, 1 }, { plugs[i].made, plugs[i].twice, plugs[i].version })
            end
            assert.equal("21", raw:value "select count(*) from plugs p join sockets s on s.id = p.socket_id")
            local last = em:find_one(Plug, { socket = sockets[3], id = orm.op.not_one_of { plugs[3].id } })
            em:remove(last)
            for i = 1, 20 do em:remove(plugs[i]):remove(sockets[i]) end
            work:forget()
            em:flush()
            if not file then assert.equal(1, plan.whole) end
            assert.same({ { "0", "0" } },
                raw:rows "select (select count(*) from plugs), (select count(*) from sockets)")
        end)

        it("F2: a stale row in such a statement is named, and nothing is written", function()
            local plug, socket = Plug {}, Socket {}
            plug.socket, socket.plug = socket, plug
            em:persist(plug, socket):flush()
            raw:exec "update plugs set version = 5"
            em:remove(plug):remove(socket)
            local err = unit.raises("optimistic_lock", em.flush, em)
            assert.equal("Plug", err.entity)
            assert.equal("1", raw:value "select count(*) from sockets")
        end)

        it("F1: one that fails leaves everything to be mended", function()
            local plug, socket = Plug {}, Socket {}
            plug.socket, socket.plug = socket, em:get_reference(Plug, 4711)
            em:persist(plug, socket)
            unit.raises("foreign_key_violation", em.flush, em)
            assert.is_nil(plug.id)
            socket.plug = plug
            em:flush()
            assert.equal("1", raw:value [[select count(*) from plugs p
                join sockets s on s.id = p.socket_id and s.plug_id = p.id]])
        end)

        it("O2: a nullable link is written last", function()
            local crew, chief = Crew {}, Chief {}
            crew.chief, chief.crew = chief, crew
            em:persist(crew, chief)
            work:forget()
            em:flush()
            assert.same({ 1, 0, 0 }, { plan.held, plan.deferred, plan.whole })
            assert.equal("1", raw:value [[select count(*) from crews c
                join chiefs h on h.id = c.chief_id and h.crew_id = c.id]])
            em:remove(crew):remove(chief):flush()
            assert.equal("0", raw:value "select count(*) from crews")
        end)

        it("O2: a row takes the name and all references of one that goes", function()
            local old = Label { text = "plums" }
            local jars = {}
            for i = 1, 5 do
                jars[i] = Jar { label = old }
                em:persist(jars[i])
            end
            em:flush()
            local new = Label { text = "plums" }
            for i = 1, 5 do jars[i].label = new end
            em:remove(old)
            work:forget()
            em:flush()
            if not file then assert.same({ 1, 0 }, { plan.parked, plan.deferred }) end
            assert.same({ { "5", "1" } }, raw:rows "select count(*), count(distinct label_id) from jars")
            assert.same({ { tostring(new.id), "plums" } }, raw:rows "select id, text from labels")
        end)

        it("O2: which foreign keys can wait, the schema says, and a side without one has no say", function()
            local waits = {}
            for _, text in ipairs(work.instance.schema:create_sql()) do
                local constraint = text:match('ALTER TABLE .*ADD CONSTRAINT "(%w+)_%w+_%w+_%w+"')
                if constraint then
                    waits[constraint] = text:find("DEFERRABLE INITIALLY IMMEDIATE", 1, true) ~= nil
                end
                assert.is_true(not file or not text:find("DEFERRABLE", 1, true))
            end
            if not file then assert.same({ true, false, false }, { waits.hens, waits.plugs, waits.tickets }) end
            unit.raises("metadata", orm.entity, { name = "Inverse", { "id", type = "integer", primary = true },
                { "jars", one_to_many = "Jar", mapped_by = "label", deferrable = false } })
        end)

        it("O1: rows turn to a key before and after it changes", function()
            em:persist(Door { key = Key { code = "a" } }, Door { key = Key { code = "b" } }):flush()
            local a, b = em:find_one(Key, "a"), em:find_one(Key, "b")
            local doors = em:find(Door, {}, { order_by = { "id" } })
            doors[1].key = b
            a.code = "c"
            em:flush()
            assert.same({ { "b" }, { "b" } }, raw:rows "select key_code from doors order by id")
            doors[2].key = a
            em:flush()
            assert.same({ { "b" }, { "c" } }, raw:rows "select key_code from doors order by id")
        end)

        it("O2: referenced keys swap while what refers to them stays", function()
            em:persist(Door { key = Key { code = "a", note = "A" } }, Door { key = Key { code = "b", note = "B" } })
            em:flush()
            local a, b = em:find_one(Key, "a"), em:find_one(Key, "b")
            a.code, b.code = "b", "a"
            em:flush()
            assert.same({ { "1", "a", "B" }, { "2", "b", "A" } }, raw:rows
                "select d.id, d.key_code, k.note from doors d join keys k on k.code = d.key_code order by d.id")
            assert.equal(a, em:find_one(Key, "b"))
            assert.equal(1, plan.deferred)
        end)
    end)
end)
