-- Row switch: what is removed, and made again under the same key in the same flush, is one UPDATE of one row.

local databases = require "spec.support.databases"
local orm = require "heddle"
local unit = require "spec.support.unit"

local Team = orm.entity { name = "Team", table = "teams",
    { "id", type = "integer", primary = true },
    { "name", type = "string", unique = true },
    { "motto", type = "string", nullable = true },
    { "rank", type = "integer", default_sql = "3 + 4" },
    { "double", type = "integer", generated = "rank * 2" },
    { "created", type = "integer", on_create = function() return 5 end },
    { "version", type = "integer", version = true, default = 1 },
    { "members", one_to_many = "Member", mapped_by = "team" },
    { "badge", one_to_one = "Badge", mapped_by = "team" },
    { "labels", many_to_many = "Label", pivot_table = "team_label" },
    { "parent", many_to_one = "Team", nullable = true, on_delete = "cascade" },
}
local Member = orm.entity { name = "Member", table = "members",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "team", many_to_one = "Team", nullable = true, on_delete = "set null" },
}
local Badge = orm.entity { name = "Badge", table = "badges",
    { "team", one_to_one = "Team", primary = true, on_delete = "cascade" },
    { "text", type = "string" },
}
local Label = orm.entity { name = "Label", table = "labels",
    { "id", type = "integer", primary = true },
    { "name", type = "string", unique = true },
    { "teams", many_to_many = "Team", mapped_by = "labels" },
}
local Seat = orm.entity { name = "Seat", table = "seats",
    { "row", type = "integer", primary = true },
    { "member", many_to_one = "Member", primary = true },
    { "guest", type = "string", nullable = true },
    { "stamp", type = "timestamp", nullable = true },
}
local Mark = orm.entity { name = "Mark", table = "marks",
    { "a", type = "integer", primary = true },
    { "b", type = "string", primary = true },
}

databases.each(function(db)
    describe("a row that is removed and made again", function()
        local work, em, raw

        before_each(function()
            work = unit.open(db, { Team, Member, Badge, Label, Seat, Mark })
            em, raw = work.em, work.raw
        end)
        after_each(function()
            work:close()
            db:close()
        end)

        -- A team with a member, a badge, a label and a child.
        local function given()
            local old = Team { name = "old", motto = "m", rank = 1 }
            old.members:add(Member { name = "Ann" })
            old.badge = Badge { text = "B" }
            old.labels:add(Label { name = "red" })
            em:persist(old, Team { name = "child", parent = old }):flush()
            old.motto = "n"
            em:flush()
            work:forget()
            return old
        end

        local function teams() return raw:rows "select id, name, version from teams order by id" end

        it("O1: is one UPDATE, and what refers to it stays", function()
            local old = given()
            local new = Team { id = old.id, name = "new" }
            local plan
            work.instance:on("after_flush", function(changes) plan = changes.plan end)
            em:remove(old):persist(new):flush()
            assert.equal(1, plan.switched)
            assert.same({ 0, 0, 1 }, { work:writes "INSERT INTO", work:writes "DELETE FROM", work:writes "UPDATE" })
            assert.same({ { "1", "new", "3" }, { "2", "child", "1" } }, teams())
            assert.equal("1", raw:value "select count(*) from members where team_id = 1")
            assert.equal("1", raw:value "select count(*) from badges where team_id = 1")
            assert.equal("1", raw:value "select parent_id from teams where name = 'child'")
            assert.equal(1, #em:execute "select * from team_label where team_id = 1")
            assert.same({ 1, 3, "new" }, { new.id, new.version, new.name })
            assert.is_true(em:contains(new))
            assert.is_false(em:contains(old))
            assert.equal(new, em:find_one(Team, 1))
            new.motto = "after"
            em:flush()
            assert.equal("4", raw:value "select version from teams where motto = 'after'")
        end)

        it("U5: what the new one leaves out takes its declared default, which comes back", function()
            local old = given()
            local new = Team { id = old.id, name = "new" }
            em:remove(old):persist(new):flush()
            assert.same({ { false, "7", "14", "5", false } },
                raw:rows "select motto, rank, double, created, parent_id from teams where id = 1")
            assert.same({ nil, 7, 14, 5 }, { new.motto, new.rank, new.double, new.created })
            work:forget()
            em:flush()
            assert.same({}, work.log)
        end)

        it("I1: children in memory find the new one; its collections are the row's, and have to be read", function()
            local old = given()
            local member, label, child = old.members[1], old.labels[1], em:find_one(Team, { name = "child" })
            local new = Team { id = old.id, name = "new" }
            em:remove(old):persist(new):flush()
            assert.equal(new, member.team)
            assert.equal(new, child.parent)
            assert.is_false(new.members:is_initialized())
            em:load(new, { "members", "badge", "labels" })
            assert.equal(member, new.members[1])
            assert.equal("B", new.badge.text)
            assert.equal(label, new.labels[1])
            em:load(label, { "teams" })
            assert.equal(new, label.teams[1])
            assert.equal(1, #label.teams)
            work:forget()
            em:flush()
            assert.same({}, work.log)
        end)

        it("O1: what the new one is given is added to what the row has; what is taken from the old one goes", function()
            local old = given()
            local red = old.labels[1]
            local new = Team { id = old.id, name = "new" }
            new.members:add(Member { name = "Bob" })
            new.labels:add(Label { name = "blue" })
            red.teams:remove(old)
            em:remove(old):persist(new):flush()
            assert.same({ { "Ann" }, { "Bob" } }, raw:rows "select name from members where team_id = 1 order by name")
            assert.same({ { "blue" } }, raw:rows("select l.name from labels l join team_label p on p.label_id = l.id "
                .. "where p.team_id = 1 order by l.name"))
        end)

        it("calls the hooks of both, and tells of both changes", function()
            local old = given()
            local told, seen = {}, nil
            for _, event in ipairs { "before_create", "after_create", "before_delete", "after_delete",
                "before_update" } do
                work.instance:on(event, function(e) told[#told + 1] = event .. " " .. e.name end)
            end
            work.instance:on("after_commit", function(changes) seen = changes end)
            em:remove(old):persist(Team { id = old.id, name = "new" }):flush()
            table.sort(told)
            assert.same({ "after_create new", "after_delete old", "before_create new", "before_delete old" }, told)
            local ops = {}
            for _, change in ipairs(seen) do ops[#ops + 1] = change.op .. " " .. change.entity.name end
            table.sort(ops)
            assert.same({ "create new", "delete old" }, ops)
        end)

        it("O2: frees its unique values and takes those of others", function()
            local list = {}
            for i = 1, 6 do
                list[i] = Team { name = "t" .. i }
                em:persist(list[i])
            end
            em:flush()
            work:forget()
            em:remove(list[1], list[2], list[3], list[4])
            em:persist(Team { name = "t1" }, Team { id = list[1].id, name = "t2" },
                Team { id = list[2].id, name = "t5" }, Team { id = list[3].id, name = "t4" })
            list[5].name, list[6].name = "t6", "t7"
            em:flush()
            assert.same({ { "1", "t2" }, { "2", "t5" }, { "3", "t4" }, { "5", "t6" }, { "6", "t7" }, { "7", "t1" } },
                raw:rows "select id, name from teams order by id")
        end)

        it("O2: swaps unique values with rows that change, and with others of its kind", function()
            local list, plan = {}, nil
            for i = 1, 5 do
                list[i] = Team { name = "t" .. i }
                em:persist(list[i])
            end
            em:flush()
            work.instance:on("after_flush", function(changes) plan = changes.plan end)
            em:remove(list[1]):persist(Team { id = list[1].id, name = "t2" })
            list[2].name = "t1"
            em:flush()
            assert.equal(1, plan.switched)
            assert.is_true(plan.parked > 0)
            local a, b = Team { id = list[3].id, name = "t4" }, Team { id = list[4].id, name = "t3" }
            a.parent, b.parent = b, a
            list[5].name = orm.raw "name || 'x'"
            em:remove(list[3], list[4]):persist(a, b):flush()
            assert.equal(2, plan.switched)
            assert.same({ { "1", "t2", "2", false }, { "2", "t1", "2", false }, { "3", "t4", "2", "4" },
                { "4", "t3", "2", "3" }, { "5", "t5x", "2", false } },
                raw:rows "select id, name, version, parent_id from teams order by id")
        end)

        it("O3: a thousand are a handful of statements", function()
            local list = {}
            for i = 1, 1000 do
                list[i] = Team { name = "t" .. i }
                em:persist(list[i])
            end
            em:flush()
            work:forget()
            for i, each in ipairs(list) do em:remove(each):persist(Team { id = each.id, name = "n" .. i }) end
            em:flush()
            assert.equal(1, work:writes())
            assert.equal("1000",
                raw:value "select count(*) from teams where name like 'n%' and version = 2 and rank = 7")
        end)

        it("F2: a stale one is optimistic_lock, and names the row", function()
            local old = given()
            raw:exec "update teams set version = 9 where id = 1"
            em:remove(old):persist(Team { id = old.id, name = "new" })
            local err = unit.raises("optimistic_lock", em.flush, em)
            assert.is_truthy(err.message:find("Team#1 ", 1, true))
            assert.equal("old", raw:value "select name from teams where id = 1")
        end)

        it("F2: one that was never read is counted on all the same", function()
            given()
            local other = work:fork()
            local twin = other:find_one(Team, 1)
            em:clear()
            em:remove(em:get_reference(Team, 1))
            local new = Team { id = 1, name = "new" }
            em:persist(new):flush()
            assert.equal(3, new.version)
            twin.name = "theirs"
            unit.raises("optimistic_lock", other.flush, other)
        end)

        it("F1: a flush that fails leaves both pending, as they were, and can be mended", function()
            local old = given()
            em:persist(Team { name = "taken" }):flush()
            local new = Team { id = old.id, name = "taken" }
            local ann, bob = old.members[1], Member { name = "Bob" }
            new.members:add(bob)
            em:remove(old):persist(new)
            for _ = 1, 2 do
                unit.raises("unique_violation", em.flush, em)
                assert.same({ false, true }, { em:contains(old), em:contains(new) })
                assert.same({ "n", 2, 1, nil, nil }, { old.motto, old.version, new.version, new.rank, new.created })
                assert.equal(bob, new.members[1])
                assert.equal(new, bob.team)
            end
            new.name = "mended"
            local failing = true
            work.instance:on("after_flush", function() if failing then error "no" end end)
            assert.is_false(pcall(em.flush, em)) -- behind apply
            assert.same({ false, true }, { em:contains(old), em:contains(new) })
            assert.same({ "n", 2, 1, nil, nil }, { old.motto, old.version, new.version, new.rank, new.created })
            assert.equal(bob, new.members[1])
            failing = false
            em:flush()
            assert.equal(new, ann.team)
            assert.same({ "3", "2" }, { raw:value "select version from teams where name = 'mended'",
                raw:value "select count(*) from members where team_id = 1" })
        end)

        it("F1: one that fails may be taken back: the new one forgotten, the old one kept", function()
            local old = given()
            em:persist(Team { name = "taken" }):flush()
            local new = Team { id = old.id, name = "taken" }
            em:remove(old):persist(new)
            unit.raises("unique_violation", em.flush, em)
            em:remove(new):persist(old)
            old.motto = "kept"
            em:flush()
            assert.equal(old, em:find_one(Team, 1))
            assert.same({ { "old", "kept", "3" } }, raw:rows "select name, motto, version from teams where id = 1")
        end)

        it("F1: a rollback gives both the state that they had when the transaction began", function()
            local old = given()
            local new = Team { id = old.id, name = "new" }
            assert.is_false(pcall(em.transactional, em, function()
                em:remove(old):persist(new):flush()
                error "no"
            end))
            assert.same({ true, false }, { em:contains(old), em:contains(new) })
            assert.equal(old, em:find_one(Team, 1))
            assert.same({ "n", 2, 1 }, { old.motto, old.version, new.version })
            em:remove(old):persist(new)
            assert.is_false(pcall(em.transactional, em, function()
                em:flush()
                error "no"
            end))
            assert.same({ false, true }, { em:contains(old), em:contains(new) })
            em:flush()
            assert.same({ { "1", "new", "3" }, { "2", "child", "1" } }, teams())
            em:transactional(function()
                em:remove(new):persist(Team { id = 1, name = "again" }):flush()
                assert.is_false(pcall(em.transactional, em, function()
                    em:remove(em:find_one(Team, 1)):persist(Team { id = 1, name = "inner" }):flush()
                    error "no"
                end))
                assert.equal("again", em:find_one(Team, 1).name)
            end)
            assert.same({ "1", "again", "4" }, teams()[1])
        end)

        it("O1: composite keys, keys that are references, and rows that are all key", function()
            local ann = em:persist_and_flush(Member { name = "Ann" })
            local seat, mark = Seat { row = 1, member = ann, guest = "g", stamp = 7 }, Mark { a = 1, b = "x" }
            em:persist(seat, mark):flush()
            work:forget()
            local other = Seat { row = 1, member = ann, stamp = 8 }
            em:remove(seat, mark):persist(other, Mark { a = 1, b = "x" }):flush()
            assert.equal(2, work:writes "UPDATE")
            assert.equal(2, work:writes())
            assert.equal(other, em:find_one(Seat, { 1, ann.id }))
            assert.same({ { "1", false } }, raw:rows "select row, guest from seats")
            local again = Member { id = ann.id, name = "again" }
            em:remove(ann, other):persist(again, Seat { row = 1, member = again, guest = "h" }):flush()
            assert.same({ { "again", "h" } },
                raw:rows "select m.name, s.guest from seats s join members m on m.id = s.member_id")
            assert.same({ { "1", "x" } }, raw:rows "select a, b from marks")
            raw:exec "delete from marks"
            em:remove((em:find_one(Mark, { 1, "x" }))):persist(Mark { a = 1, b = "x" })
            unit.raises("not_found", em.flush, em)
        end)

        it("O1: a key that another row hands on is no switch", function()
            local a, b = Mark { a = 1, b = "x" }, Mark { a = 2, b = "x" }
            local mover = Label { name = "two" }
            em:persist(a, b, Label { name = "one" }):persist(mover):flush()
            em:remove((em:find_one(Label, { name = "one" })))
            mover.id = 1
            em:flush()
            assert.same({ { "1", "two" } }, raw:rows "select id, name from labels")
            em:remove(a):persist(Mark { a = 1, b = "y" }):flush()
            assert.same({ { "1", "y" }, { "2", "x" } }, raw:rows "select a, b from marks order by a")
        end)

        it("takes expressions, over the row as it was", function()
            local old = given()
            local new = Team { id = old.id, name = orm.raw "upper(name)", rank = orm.raw("rank + ?", 10) }
            em:remove(old):persist(new):flush()
            assert.same({ "OLD", 11, 22 }, { new.name, new.rank, new.double })
        end)
    end)
end)
