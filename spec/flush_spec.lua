-- The flush as a program sees it: what the calls give back, cascades, any order of calls, batches, keys.

local databases = require "spec.support.databases"
local orm = require "heddle"
local unit = require "spec.support.unit"

local op = orm.op

local Team = orm.entity { name = "Team", table = "teams",
    { "id", type = "integer", primary = true },
    { "name", type = "string", unique = true },
}
local User = orm.entity { name = "User", table = "users",
    { "id", type = "integer", primary = true },
    { "email", type = "string", unique = true },
    { "name", type = "string", nullable = true },
    { "team", many_to_one = "Team", nullable = true },
    { "loner", many_to_one = "Team", nullable = true, cascade = {} },
}
local Node = orm.entity { name = "Node", table = "nodes",
    { "id", type = "integer", primary = true },
    { "label", type = "string" },
    { "parent", many_to_one = "Node", nullable = true },
}
-- Keys made of keys: the seat's is its row's and a number, the ticket's is the seat's.
local Row = orm.entity { name = "Row", table = "seat_rows",
    { "id", type = "integer", primary = true },
    { "letter", type = "string", unique = true },
}
local Seat = orm.entity { name = "Seat", table = "seats",
    { "row", many_to_one = "Row", primary = true },
    { "number", type = "integer", primary = true },
}
local Ticket = orm.entity { name = "Ticket", table = "tickets",
    { "id", type = "integer", primary = true },
    { "holder", type = "string" },
    { "seat", many_to_one = "Seat" },
}
local Stamp = orm.entity { name = "Stamp", table = "stamps",
    { "id", type = "integer", primary = true },
}

databases.each(function(db)
    describe("flush", function()
        local work, em, raw

        before_each(function()
            work = unit.open(db, { Team, User, Node, Row, Seat, Ticket, Stamp })
            em, raw = work.em, work.raw
        end)
        after_each(function()
            work:close()
            db:close()
        end)

        describe("its calls", function()
            it("U1: persist and remove give the entity manager, flush gives nothing", function()
                local a, b = Team { name = "a" }, Team { name = "b" }
                assert.equal(em, em:persist(a))
                assert.equal(em, em:persist(b, Team { name = "c" }))
                assert.equal(0, select("#", em:flush()))
                assert.equal(em, em:remove(a))
                assert.equal(b, em:remove_and_flush(b))
                local d = Team { name = "d" }
                assert.equal(d, em:persist_and_flush(d))
                assert.same({ { "c" }, { "d" } }, raw:rows "select name from teams order by name")
            end)

            it("U1: calls on the handle chain as well", function()
                local handle = orm.em()
                handle:persist(Team { name = "a" }):persist(Team { name = "b" }):flush()
                assert.equal("2", raw:value "select count(*) from teams")
            end)

            it("U1: nothing is written before it is persisted", function()
                local team = em:create(Team, { name = "made" })
                em:flush()
                assert.same({}, work.log)
                em:persist(team)
                assert.same({}, work.log)
                em:flush()
                assert.equal("made", raw:value "select name from teams")
            end)

            it("U1: persisting twice writes once, persisting what is managed changes nothing", function()
                local team = Team { name = "a" }
                em:persist(team, team):persist(team):flush()
                work:forget()
                em:persist(team):flush()
                assert.same({}, work.log)
                assert.equal("1", raw:value "select count(*) from teams")
            end)

            it("U1: what is persisted and removed before the flush is never written", function()
                local team = Team { name = "a" }
                em:persist(team):remove(team):flush()
                assert.same({}, work.log)
                assert.is_false(em:contains(team))
                em:persist(team):flush()
                assert.equal("1", raw:value "select count(*) from teams")
            end)

            it("U1: removing and persisting again before the flush sends nothing", function()
                local team = em:persist_and_flush(Team { name = "a" })
                work:forget()
                em:remove(team):persist(team):flush()
                assert.same({}, work.log)
                assert.is_true(em:contains(team))
            end)

            it("I4: what cannot be persisted or removed says so at the call", function()
                unit.raises("validation", em.persist, em, nil)
                unit.raises("validation", em.persist, em, { name = "plain" })
                unit.raises("validation", em.persist, em, 7)
                unit.raises("not_managed", em.remove, em, Team { name = "new" })
                unit.raises("not_managed", em.remove, em, work:fork():persist_and_flush(Team { name = "other's" }))
            end)

            it("U1: a removed entity that is persisted anew keeps its relations, read or not", function()
                local user = em:persist_and_flush(User { email = "a@x", team = Team { name = "core" } })
                local team = user.team
                for _ = 1, 2 do
                    em:remove_and_flush(user)
                    assert.equal(team.id, user.team.id)
                    em:persist_and_flush(user)
                    assert.equal(team, user.team)
                end
                em:remove_and_flush(user)
                em:persist_and_flush(user)
                assert.equal("core", raw:value "select t.name from users u join teams t on t.id = u.team_id")
                em:remove_and_flush(user)
                assert.equal(team.id, user.team.id)
                user.team = nil
                em:persist_and_flush(user)
                assert.equal("1", raw:value "select count(*) from users where team_id is null")
            end)

            it("U1: a removed entity can be used on, and persisted anew with its values", function()
                local team = em:persist_and_flush(Team { name = "a" })
                local former = team.id
                em:remove_and_flush(team)
                assert.equal("a", team.name)
                team.name = "b"
                em:persist_and_flush(team)
                assert.same({ { tostring(team.id), "b" } }, raw:rows "select id, name from teams")
                assert.is_true(team.id >= former)
            end)
        end)

        describe("cascades", function()
            it("O1: persisting a row persists what it refers to, and in the right order", function()
                local team = Team { name = "core" }
                em:persist_and_flush(User { email = "a@x", team = team })
                assert.is_true(em:contains(team))
                assert.same({ { "a@x", "core" } }, raw:rows
                    "select u.email, t.name from users u join teams t on t.id = u.team_id")
            end)

            it("O1: chains of new rows follow, cycles end", function()
                local leaf = Node { label = "leaf", parent = Node { label = "mid", parent = Node { label = "root" } } }
                em:persist_and_flush(leaf)
                assert.same({ { "leaf", "mid" }, { "mid", "root" } }, raw:rows
                    "select n.label, p.label from nodes n join nodes p on p.id = n.parent_id order by n.label")
                local a, b = Node { label = "a" }, Node { label = "b" }
                a.parent, b.parent = b, a
                em:persist_and_flush(a)
                assert.equal("2", raw:value [[select count(*) from nodes n join nodes p
                    on p.id = n.parent_id and n.id = p.parent_id]])
            end)

            it("O1: a row may refer to itself", function()
                local own = Node { label = "own" }
                own.parent = own
                em:persist_and_flush(own)
                assert.same({ { "own" } }, raw:rows "select label from nodes where parent_id = id")
            end)

            it("O1: a managed row that comes to refer to a new one takes it along", function()
                local user = em:persist_and_flush(User { email = "a@x" })
                user.team = Team { name = "late" }
                em:flush()
                assert.equal("late", raw:value "select t.name from users u join teams t on t.id = u.team_id")
            end)

            it("U4: without a persisting cascade a new target is not_managed, before any statement", function()
                local user = User { email = "a@x", loner = Team { name = "t" } }
                em:persist(user)
                local err = unit.raises("not_managed", em.flush, em)
                assert.equal("User", err.entity)
                assert.equal("loner", err.property)
                assert.same({}, work.log)
                em:persist(user.loner):flush()
                assert.equal("t", raw:value "select t.name from users u join teams t on t.id = u.loner_id")
            end)

            it("O1: what a removed or detached row refers to is not taken along", function()
                local user = em:persist_and_flush(User { email = "a@x" })
                user.team = Team { name = "never" }
                em:remove(user):flush()
                assert.equal("0", raw:value "select count(*) from teams")
            end)
        end)

        describe("orders of calls", function()
            it("O1: children before parents, in whatever order they were persisted", function()
                local team = Team { name = "core" }
                em:persist(User { email = "a@x", team = team })
                em:persist(team)
                em:persist(User { email = "b@x", team = team })
                em:flush()
                assert.equal("2", raw:value "select count(*) from users u join teams t on t.id = u.team_id")
            end)

            it("O1: parent and child leave together, whichever was removed first", function()
                for _, first in ipairs { "team", "user" } do
                    local user = em:persist_and_flush(User { email = first, team = Team { name = first } })
                    local both = { team = user.team, user = user }
                    em:remove(both[first]):remove(both[first == "team" and "user" or "team"]):flush()
                    assert.equal("0", raw:value "select count(*) from users")
                    assert.equal("0", raw:value "select count(*) from teams")
                end
            end)

            it("O1: a unique value is free once its row is removed, updated or both", function()
                local a = em:persist_and_flush(Team { name = "a" })
                em:persist(Team { name = "a" }):remove(a):flush()
                assert.equal("1", raw:value "select count(*) from teams")
                local now = em:find_one(Team, { name = "a" })
                em:persist(Team { name = "a" })
                now.name = "b"
                em:flush()
                assert.same({ { "a" }, { "b" } }, raw:rows "select name from teams order by name")
            end)

            it("O1: the last child moves away in the flush that removes its parent", function()
                local old = Team { name = "old" }
                local user = em:persist_and_flush(User { email = "a@x", team = old })
                em:remove(old)
                user.team = Team { name = "new" }
                em:flush()
                assert.same({ { "new" } }, raw:rows "select name from teams")
                user.team = nil
                em:remove(em:find_one(Team, { name = "new" })):flush()
                assert.equal("0", raw:value "select count(*) from teams")
            end)

            it("O1: inserts, updates and deletes over several tables at once", function()
                local gone, kept = Team { name = "gone" }, Team { name = "kept" }
                local mover, leaver = User { email = "m", team = gone }, User { email = "l", team = gone }
                em:persist(mover, leaver, kept):flush()
                em:persist(User { email = "l", team = Team { name = "gone" } })
                em:remove(gone, leaver)
                mover.team, mover.email = kept, "M"
                em:flush()
                assert.same({ { "M", "kept" }, { "l", "gone" } }, raw:rows
                    [[select u.email, t.name from users u join teams t on t.id = u.team_id order by t.name desc]])
                assert.equal("2", raw:value "select count(*) from teams")
            end)
        end)

        describe("trees and keys", function()
            it("O3: 1,000 rows of one tree take one INSERT, in whatever order they come", function()
                local nodes = {}
                for i = 1, 1000 do nodes[i] = Node { label = "n" .. i } end
                for i = 2, 1000 do nodes[i].parent = nodes[math.floor(i / 2)] end
                for i = 1000, 1, -1 do em:persist(nodes[(i * 7) % 1000 + 1]) end
                work:forget()
                em:flush()
                if db.name == "postgres" then assert.equal(1, work:writes()) end
                assert.is_true(work:writes() <= 12)
                assert.equal("1000", raw:value "select count(*) from nodes")
                assert.equal("0", raw:value [[select count(*) from nodes n join nodes p on p.id = n.parent_id
                    where substr(p.label, 2) <> cast(cast(substr(n.label, 2) as integer) / 2 as varchar(9))]])
                work:forget()
                for _, node in ipairs(nodes) do em:remove(node) end
                em:flush()
                assert.equal(1, work:writes())
                assert.equal("0", raw:value "select count(*) from nodes")
            end)

            it("O1: given and generated keys in one flush; the given ones are kept and never given out", function()
                local list = {}
                for i = 1, 20 do
                    list[i] = Team { name = "t" .. i }
                    if i % 4 == 0 then list[i].id = 1000 + i end
                    em:persist(list[i])
                end
                em:flush()
                local seen = {}
                for i, team in ipairs(list) do
                    if i % 4 == 0 then assert.equal(1000 + i, team.id) end
                    assert.is_nil(seen[team.id])
                    seen[team.id] = true
                    assert.equal(team.name, raw:value("select name from teams where id = " .. team.id))
                    assert.equal(team, em:find_one(Team, team.id))
                end
            end)

            it("O1: foreign keys that are part of keys, all rows new", function()
                local row = Row { letter = "A" }
                local ticket = Ticket { holder = "Ann", seat = Seat { row = row, number = 7 } }
                em:persist_and_flush(ticket)
                assert.same({ { "Ann", tostring(row.id), "7" } },
                    raw:rows "select holder, seat_row_id, seat_number from tickets")
                assert.equal(ticket.seat, em:find_one(Seat, { row.id, 7 }))
                em:remove(row, ticket, ticket.seat):flush()
                assert.equal("0", raw:value "select count(*) from seats")
            end)

            it("O1: two rows of one composite key are a validation error, not two rows", function()
                local row = em:persist_and_flush(Row { letter = "A" })
                em:persist(Seat { row = row, number = 1 }):flush()
                unit.raises("validation", function() em:persist(Seat { row = row, number = 1 }) end)
            end)

            it("U5: an entity of nothing but its key", function()
                for _ = 1, 3 do em:persist(Stamp {}) end
                em:flush()
                em:persist_and_flush(Stamp {})
                assert.equal("4", raw:value "select count(distinct id) from stamps")
            end)
        end)

        describe("many rows", function()
            it("O3: 10,000 inserts, updates and deletes take a statement for each 1,000", function()
                local users, per = {}, db.name == "postgres" and 10 or 3
                for i = 1, 10000 do
                    users[i] = User { email = i .. "@x", name = "n" .. i }
                    em:persist(users[i])
                end
                em:flush()
                assert.is_true(work:writes "INSERT INTO" <= (db.name == "postgres" and 10 or 101), "inserts")
                work:forget()
                for i = 1, 10000 do users[i].name = "m" .. i end
                em:flush()
                assert.is_true(work:writes "UPDATE" <= per, "updates")
                assert.equal("10000", raw:value
                    "select count(*) from users where name = 'm' || substr(email, 1, length(email) - 2)")
                work:forget()
                for i = 1, 10000 do em:remove(users[i]) end
                em:flush()
                assert.is_true(work:writes "DELETE FROM" <= per, "deletes")
                assert.equal("0", raw:value "select count(*) from users")
                assert.equal(0, em:count(User, { email = op.like "%" }))
            end)

            it("O3: a chain of unique values moves in few statements, if its order is found", function()
                local teams = {}
                for i = 1, 50 do
                    teams[i] = Team { name = "t" .. i }
                    em:persist(teams[i])
                end
                em:flush()
                for i = 1, 50 do teams[i].name = "t" .. (i + 1) end
                em:flush()
                assert.same({ { "t51" } }, raw:rows("select name from teams where id = " .. teams[50].id))
                assert.same({ { "t2" } }, raw:rows("select name from teams where id = " .. teams[1].id))
            end)

            it("U1: a flush that has nothing to do sends nothing, BEGIN included", function()
                local users = {}
                for i = 1, 100 do
                    users[i] = User { email = i .. "@x" }
                    em:persist(users[i])
                end
                em:flush()
                work:forget()
                em:flush()
                for _, user in ipairs(users) do user.name = "x" end
                for _, user in ipairs(users) do user.name = nil end
                em:flush()
                em:begin()
                em:commit()
                assert.same({}, work.log)
            end)
        end)
    end)
end)
