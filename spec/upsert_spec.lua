-- em:upsert and em:upsert_many: what they insert, merge and leave alone, and what memory holds afterwards.

local databases = require "spec.support.databases"
local elsewhere = require "spec.support.elsewhere"
local expect = require "spec.support.expect"
local orm = require "heddle"

local raises, sent_by = expect.raises, expect.sent_by

local clock
local function tick() clock = clock + 1; return clock end

local Team = orm.entity { name = "Team",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
}
local User = orm.entity { name = "User", table = "users",
    { "id", type = "integer", primary = true },
    { "email", type = "string", length = 40, unique = true },
    { "name", type = "string", length = 20, nullable = true },
    { "visits", type = "integer", default = 1 },
    { "status", type = "string", default_sql = "'fresh'" },
    { "price", type = "decimal", precision = 10, scale = 2, nullable = true },
    { "doc", type = "json", nullable = true },
    { "bio", type = "text", nullable = true, lazy = true },
    { "password", type = "string", nullable = true, hidden = true },
    { "team", many_to_one = Team, nullable = true },
    { "made", type = "integer", on_create = tick },
    { "touched", type = "integer", nullable = true, on_update = tick },
    { "version", type = "integer", version = true },
}
local Mood = orm.type { column = "string", to_db = function(v) return "m:" .. v end,
    from_db = function(v) return v:sub(3) end }
local Seat = orm.entity { name = "Seat",
    { "row", type = "string", length = 2, primary = true },
    { "number", type = "integer", primary = true },
    { "user", many_to_one = User, nullable = true },
    { "mood", type = Mood, nullable = true },
}
local Vote = orm.entity { name = "Vote",
    { "id", type = "uuid", primary = true, on_create = function()
        return ("00000000-0000-4000-8000-%012d"):format(tick())
    end },
    { "user", many_to_one = User },
    { "team", many_to_one = Team },
    { "at", type = "timestamp", nullable = true },
    { "score", type = "integer", check = "score < 100" },
    uniques = { { "user", "team" } },
}
local Slot = orm.entity { name = "Slot",
    { "id", type = "integer", primary = true },
    { "code", type = "decimal", precision = 6, scale = 2, unique = true },
    { "ends", type = "timestamp", nullable = true },
    uniques = { { "ends", where = "ends is not null" } },
}

local Node = orm.entity { name = "Node",
    { "id", type = "integer", primary = true },
    { "parent", many_to_one = "Node", nullable = true },
}

databases.each(function(db)
    describe("upsert", function()
        local instance, em, sent

        local config
        before_each(function()
            clock = 0
            config = db:config { entities = { Team, User, Seat, Vote, Slot, Node } }
            instance = orm.init(config)
            instance.schema:create()
            em = orm.em():fork()
            em:insert_many(Team, { { name = "core" }, { name = "edge" } })
            sent = expect.statements(instance)
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        local function row(columns, where)
            return table.concat((function(list)
                for i, value in ipairs(list) do list[i] = value == false and "-" or value end
                return list
            end)(db:raw():rows(("select %s from users where %s"):format(columns, where or "id = 1"))[1]), " ")
        end

        local function count(what)
            return db:raw():value("select count(*) from " .. what)
        end

        local usual = "email, name, visits, status, cast(price as text), made, touched, version"

        it("inserts what is not there and merges into what is, defaults and on_create for new rows only", function()
            local user, inserted = em:upsert(User, { email = "a@x", name = "Ann", price = "1.5" })
            assert.is_true(inserted)
            assert.equal("a@x Ann 1 fresh 1.50 1 2 1", row(usual))
            assert.same({ 1, "1.50", 1, "fresh", 1, 2 },
                { user.id, user.price, user.version, user.status, user.made, user.touched })
            em:update_where(User, { id = 1 }, { visits = 9, status = "old" })
            local again, new = em:upsert(User, { email = "a@x", name = "Anna" })
            assert.is_false(new)
            assert.equal(user, again)
            assert.equal("a@x Anna 9 old 1.50 1 4 3", row(usual))
            assert.same({ "Anna", 9, "old", 3 }, { user.name, user.visits, user.status, user.version })
        end)

        it("I1: the entity is managed, found by key without SQL, and U1: nothing of it is pending", function()
            local user = em:upsert(User, { email = "a@x", team = 1, doc = { tags = { "x" } } })
            local list = sent_by(sent, function()
                assert.equal(user, em:find_one(User, user.id))
                em:flush()
            end)
            assert.same({}, list)
            assert.equal(em:get_reference(Team, 1), user.team)
            user.doc.tags[2] = "y"
            em:flush()
            assert.equal(2, em:fork():find_one(User, 1).version)
        end)

        it("ignore leaves the row as it is and gives it", function()
            em:insert(User, { email = "a@x", name = "Ann" })
            local user, inserted = em:upsert(User, { email = "a@x", name = "B" }, { on_conflict_action = "ignore" })
            assert.same({ "Ann", 1, false }, { user.name, user.version, inserted })
            assert.equal("Ann 1", row "name, version")
            local other, new = em:upsert(User, { email = "b@x", name = "B" }, { on_conflict_action = "ignore" })
            assert.same({ "B", true }, { other.name, new })
            assert.equal("2", count "users")
        end)

        it("what says nothing but its key is left alone, its version too", function()
            em:insert(Vote, { user = em:insert(User, { email = "a@x" }), team = 1, score = 3 })
            local vote, inserted = em:upsert(Vote, { user = 1, team = 1, score = 5 },
                { on_conflict_exclude_fields = { "score" } })
            assert.same({ 3, false }, { vote.score, inserted })
        end)

        it("goes by the primary key when it is given, else by the first unique key that is, or one named", function()
            em:insert_many(User, { { email = "a@x" }, { email = "b@x" } })
            em:upsert(User, { id = 1, email = "c@x" })
            assert.equal("c@x", row "email")
            raises("unique_violation", function() em:upsert(User, { id = 1, email = "b@x" }) end)
            em:upsert(User, { id = 7, email = "b@x", name = "Ben" }, { on_conflict_fields = { "email" } })
            assert.equal("2 Ben", row("id, name", "email = 'b@x'"))
            local user = em:upsert(User, { id = 7, email = "d@x" })
            assert.equal(7, user.id)
            assert.equal("3", count "users")
        end)

        it("composite keys, keys of relations, uuids made here, custom types and decimals", function()
            local user = em:upsert(User, { email = "a@x" })
            local seat = em:upsert(Seat, { row = "A", number = 3, user = user, mood = "good" })
            local same, new = em:upsert(Seat, { row = "A", number = 3, mood = "bad" })
            assert.equal(seat, same)
            assert.is_false(new)
            assert.same({ "bad", user }, { seat.mood, seat.user })
            assert.same({ { "A", "3", "1", "m:bad" } }, db:raw():rows [[select "row", number, user_id, mood from seat]])
            local vote = em:upsert(Vote, { user = user, team = em:find_one(Team, 2), score = 1 })
            local id = vote.id
            assert.equal(vote, (em:upsert(Vote, { user = 1, team = 2, score = 2 })))
            assert.same({ id, 2 }, { vote.id, vote.score })
            local slot = em:upsert(Slot, { code = "1.5" })
            assert.equal(slot, (em:upsert(Slot, { code = "1.50" })))
            assert.equal("1", count "slot")
        end)

        it("rows of one list may refer to each other by key", function()
            em:upsert_many(Node, { { id = 1 }, { id = 2, parent = 1 }, { id = 3, parent = 2 } })
            local nodes = em:upsert_many(Node, { { id = 2, parent = 3 }, { id = 3, parent = orm.null }, { id = 1 } })
            assert.same({ { "1", false }, { "2", "3" }, { "3", false } },
                db:raw():rows "select id, parent_id from node order by id")
            assert.equal(nodes[2], nodes[1].parent)
        end)

        it("merges the columns that are named, without those excluded, and expressions over both rows", function()
            em:insert(User, { email = "a@x", name = "Ann", visits = 5 })
            em:upsert(User, { email = "a@x", name = "B", visits = 7 }, { on_conflict_merge_fields = { "visits" } })
            assert.equal("Ann 7", row "name, visits")
            em:upsert(User, { email = "a@x", name = "B", visits = 9 }, { on_conflict_exclude_fields = { "name" } })
            assert.equal("Ann 9", row "name, visits")
            local user = em:upsert(User, { email = "a@x", name = "C", visits = 2 },
                { on_conflict_merge_fields = { "name", visits = orm.raw("e0.visits + excluded.visits * ?", 10) } })
            assert.equal("C 29", row "name, visits")
            assert.equal(29, user.visits)
        end)

        it("merges only where a condition holds for the row that is there", function()
            em:insert_many(User, { { email = "a@x", visits = 5 }, { email = "b@x", visits = 50 } })
            local list, new = em:upsert_many(User, { { email = "a@x", name = "A" }, { email = "b@x", name = "B" } },
                { on_conflict_where = { visits = orm.op.gt(10) } })
            assert.same({ false, false }, new)
            assert.is_nil(list[1].name)
            assert.equal("B", list[2].name)
            assert.equal("- 1", row "name, version")
            raises("unsupported", function()
                em:upsert(User, { email = "a@x", name = "A" }, { on_conflict_where = { team = { name = "core" } } })
            end, "on_conflict_where")
        end)

        it("expressions are values too, with what they bind", function()
            local user = em:upsert(User, { email = "a@x", name = orm.raw("upper(?)", "ann") })
            assert.equal("ANN", user.name)
            em:upsert(User, { email = "a@x", name = orm.raw("lower(?)", "BEN") })
            assert.equal("ben", row "name")
            raises("validation", function() em:upsert(User, { email = orm.raw "'x'", name = "x" }) end, "unique key")
            raises("validation", function()
                em:upsert(User, { email = orm.raw "'x'" }, { on_conflict_fields = { "email" } })
            end, "User.email", "expression")
        end)

        it("U2: NULL is a value, hidden and lazy properties are written, and are what was written", function()
            local user = em:upsert(User, { email = "a@x", name = "Ann", bio = "long", password = "p", team = 1 })
            assert.same({ "long", "p" }, { user.bio, user.password })
            em:upsert(User, { email = "a@x", name = orm.null, bio = "longer", password = orm.null, team = orm.null })
            assert.same({ "longer" }, { user.bio, user.name, user.password, user.team })
            assert.equal("- - - longer", row "name, password, team_id, bio")
        end)

        it("O3: 10,000 rows take a handful of statements; flags and entities are in the order of the list", function()
            em:insert_many(User, { { email = "e5@x" }, { email = "e9999@x" } })
            local data = {}
            for i = 1, 10000 do data[i] = { email = "e" .. i .. "@x", name = "n" .. i, visits = i } end
            local users, new
            local list = sent_by(sent, function() users, new = em:upsert_many(User, data) end)
            assert.is_true(#list <= 32, #list .. " statements")
            assert.equal(10000, #users)
            for i = 1, 10000 do
                assert(users[i].email == "e" .. i .. "@x" and users[i].visits == i and new[i] == (i ~= 5 and i ~= 9999))
            end
            assert.equal("10000", count "users")
            assert.equal("n5 5 2", row("name, visits, version", "email = 'e5@x'"))
            assert.equal("n9999 9999", row("name, visits", "email = 'e9999@x'"))
        end)

        it("a list with one key twice is worked off in order, sets of columns may differ (U5)", function()
            local users, new = em:upsert_many(User, {
                { email = "a@x", name = "one", visits = 4 }, { email = "b@x" }, { email = "a@x", name = "two" },
                { email = "c@x", status = "given" }, { email = "a@x", price = 3 },
            })
            assert.same({ true, true, false, true, false }, new)
            assert.equal(users[1], users[3])
            assert.equal(users[1], users[5])
            assert.equal("a@x two 4 fresh 3.00 3", row("email, name, visits, status, cast(price as text), version",
                "email = 'a@x'"))
            assert.equal("1 fresh 1", row("visits, status, version", "email = 'b@x'"))
            assert.equal("1 given", row("visits, status", "email = 'c@x'"))
            local none, flags = em:upsert_many(User, {})
            assert.same({ {}, {} }, { none, flags })
        end)

        it("I3: what was changed in memory and is written over is gone, other changes are still pending", function()
            local other = orm.em():fork({ flush_mode = "commit" })
            em:insert(Vote, { user = em:insert(User, { email = "a@x" }), team = 1, score = 3, at = 5 })
            local vote = other:find_one(Vote, { score = 3 })
            vote.score, vote.at = 4, 6
            other:upsert(Vote, { user = 1, team = 1, score = 9 })
            assert.same({ 9, 6 }, { vote.score, vote.at })
            other:flush()
            assert.same({ 9, 6 }, { vote.score, vote.at })
            local fresh = em:fork():find_one(Vote, vote.id)
            assert.same({ 9, 6 }, { fresh.score, fresh.at })
        end)

        it("I3: with a version, other changes of an entity that was written over are stale", function()
            local other = orm.em():fork({ flush_mode = "commit" })
            em:insert(User, { email = "a@x", name = "Ann" })
            local user = other:find_one(User, 1)
            user.visits = 5
            other:upsert(User, { email = "a@x", name = "B" })
            raises("optimistic_lock", function() other:flush() end)
            other:refresh(user)
            assert.same({ "B", 1 }, { user.name, user.visits })
        end)

        it("flushes what is pending of the entity first, as a query does", function()
            local user = em:create(User, { email = "a@x", name = "Ann" })
            em:persist(user)
            local same, new = em:upsert(User, { email = "a@x", visits = 3 })
            assert.equal(user, same)
            assert.is_false(new)
            assert.same({ "Ann", 3, 2 }, { user.name, user.visits, user.version })
            user.name = "Anna"
            em:upsert(User, { email = "a@x", visits = 4 })
            assert.equal("Anna 4 4", row "name, visits, version")
        end)

        it("without flushing: a row that is pending as new is refused, one marked for removal stays", function()
            local other = orm.em():fork({ flush_mode = "commit" })
            other:persist(other:create(User, { id = 3, email = "c@x" }))
            raises("validation", function() other:upsert(User, { id = 3, email = "c@x" }) end, "flush it first")
            assert.equal("0", count "users")
            other:clear()
            em:insert(User, { email = "a@x" })
            local user = other:find_one(User, { email = "a@x" })
            other:remove(user)
            assert.equal(user, (other:upsert(User, { email = "a@x", name = "back" })))
            other:flush()
            assert.equal("back", row("name", "email = 'a@x'"))
        end)

        it("a reference that is upserted is loaded, a row that was read in part has what was written", function()
            em:insert_many(User, { { id = 5, email = "a@x" }, { id = 6, email = "b@x", name = "Ben" } })
            local user, part = em:get_reference(User, 5), em:find(User, { id = 6 }, { fields = { "email" } })[1]
            em:upsert_many(User, { { id = 5, email = "a@x", name = "Ann" }, { id = 6, email = "b@x", visits = 8 } })
            assert.same({ "Ann", 1, "Ben", 8 }, { user.name, user.visits, part.name, part.visits })
        end)

        it("U4: bad values raise before the first statement, naming entity and property", function()
            local list = sent_by(sent, function()
                raises("validation", function()
                    em:upsert_many(User, { { email = "a@x" }, { email = "b@x", name = ("x"):rep(21) } })
                end, "User.name")
                raises("validation", function() em:upsert(User, { id = 1, name = "x" }) end, "User.email", "required")
                raises("validation", function() em:upsert(Slot, { code = "1.234" }) end, "Slot.code")
                raises("unknown_property", function() em:upsert(User, { email = "a@x", nam = "x" }) end, "name")
                raises("validation", function() em:upsert(User, "a@x") end, "plain tables")
                raises("validation", function() em:upsert(User, User { email = "a@x" }) end, "an instance")
                raises("validation", function() em:upsert_many(User, nil) end, "a list")
                raises("validation", function() em:upsert(User, { email = "a@x", name = {} }) end, "User.name")
                raises("not_managed", function()
                    em:upsert(User, { email = "a@x", team = Team { name = "new" } })
                end, "User.team")
            end)
            assert.same({}, list)
        end)

        it("wrong options are refused by name", function()
            raises("unknown_property", function()
                em:upsert(User, { email = "a@x" }, { on_conflict_field = { "email" } })
            end, "on_conflict_fields")
            raises("validation", function()
                em:upsert(User, { email = "a@x" }, { on_conflict_fields = { "name" } })
            end, "{ id }, { email }")
            raises("unknown_property", function()
                em:upsert(User, { email = "a@x" }, { on_conflict_merge_fields = { "nam" } })
            end, "name")
            raises("validation", function()
                em:upsert(User, { email = "a@x" }, { on_conflict_action = "update" })
            end, "merge")
            raises("validation", function()
                em:upsert(User, { email = "a@x" }, { on_conflict_merge_fields = { name = "lower(name)" } })
            end, "on_conflict_merge_fields")
            raises("unsupported", function()
                em:upsert(Slot, { code = 1, ends = 5 }, { on_conflict_fields = { "ends" } })
            end, "condition")
            raises("validation", function() em:upsert(User, { name = "x", email = orm.null }) end, "unique key")
            assert.equal("0", count "users")
        end)

        it("F1: a list with one bad row writes none, in the database and in memory", function()
            em:insert(User, { email = "a@x" })
            local vote = em:upsert(Vote, { user = 1, team = 1, score = 3 })
            local list = {}
            for i = 1, 1500 do list[i] = { user = 1, team = 1, score = i < 1500 and 50 or 100 } end
            list[1500].team = 2
            raises("check_violation", function() em:upsert_many(Vote, list) end, "Vote")
            assert.equal(3, vote.score)
            assert.equal("3", db:raw():value "select score from vote")
            assert.equal("1", count "vote")
            em:upsert(Vote, { user = 1, team = 2, score = 4 })
            assert.equal("2", count "vote")
        end)

        it("F1: a transaction that is rolled back undoes it in memory, a savepoint its own part", function()
            local user = em:upsert(User, { email = "a@x", name = "Ann" })
            local later
            em:begin()
            em:upsert(User, { email = "a@x", name = "B" })
            pcall(em.transactional, em, function()
                em:upsert(User, { email = "a@x", name = "C" })
                later = em:upsert(User, { email = "b@x" })
                error("no")
            end)
            assert.same({ "B", 2 }, { user.name, user.version })
            assert.is_false(em:contains(later))
            em:rollback()
            assert.same({ "Ann", 1 }, { user.name, user.version })
            assert.equal("1", count "users")
            user.name = "D"
            em:flush()
            assert.equal("D 2", row "name, version")
        end)

        it("F3: one that fails inside a transaction leaves it usable", function()
            em:transactional(function()
                em:upsert(User, { email = "a@x" })
                raises("foreign_key_violation", function() em:upsert(User, { email = "b@x", team = 99 }) end)
                em:upsert(User, { email = "c@x" })
            end)
            assert.same({ { "a@x" }, { "c@x" } }, db:raw():rows "select email from users order by email")
        end)

        if db.name == "postgres" then
            it("F2: a row that somebody else is just writing is waited for: merged, left alone, or inserted", function()
                local raw = db:raw()
                local function while_inserting(email, last)
                    local finish = elsewhere.run(config, "begin", ("insert into users (email, visits, made, version)"
                        .. " values ('%s', 5, 0, 1)"):format(email), 0.6, last)
                    for _ = 1, 200 do
                        if raw:value [[select count(*) from pg_stat_activity where state = 'active'
                            and datname = current_database() and query = 'select pg_sleep(0.6)']] ~= "0" then break end
                        raw:rows "select pg_sleep(0.01)"
                    end
                    return finish
                end
                local finish = while_inserting("a@x", "commit")
                local user, new = em:upsert(User, { email = "a@x", name = "Ann" })
                assert.same({ "Ann", 5, 2, false }, { user.name, user.visits, user.version, new })
                finish()
                finish = while_inserting("b@x", "commit")
                user, new = em:upsert(User, { email = "b@x", name = "Ben" }, { on_conflict_action = "ignore" })
                assert.same({ 5, 1, false }, { user.visits, user.version, new })
                assert.is_nil(user.name)
                finish()
                finish = while_inserting("c@x", "rollback")
                user, new = em:upsert(User, { email = "c@x", name = "Cid" })
                assert.same({ "Cid", 1, 1, true }, { user.name, user.visits, user.version, new })
                finish()
            end)
        end

        it("before_upsert may change what is written, after_upsert sees the entity; in the transaction", function()
            local heard, reject = {}, false
            instance:on("before_upsert", function(e, about)
                heard[#heard + 1] = about.name .. " " .. e.email
                e.email = e.email:lower()
                if e.doc then e.doc.seen = true end
                e.team = nil
            end)
            instance:on("after_upsert", function(e)
                heard[#heard + 1] = "after_upsert " .. e.id
                e.name = "changed"
                if reject then error("no") end
            end)
            em:insert(User, { email = "a@x", name = "Ann", team = 1 })
            local user = em:upsert(User, { email = "A@X", doc = { n = 1 }, team = 2 })
            assert.same({ "before_upsert A@X", "after_upsert 1" }, heard)
            assert.equal("a@x Ann -", row "email, name, team_id")
            assert.same({ "changed", true, 1 }, { user.name, user.doc.seen, user.doc.n })
            assert.is_true(em:fork():find_one(User, 1).doc.seen)
            em:refresh(user)
            reject = true
            assert.is_false((pcall(em.upsert, em, User, { email = "A@x", name = "B", visits = 5 })))
            assert.equal("Ann 1 2", row "name, visits, version")
            assert.same({ "Ann", 1, 2 }, { user.name, user.visits, user.version })
        end)

        it("F1: no hook of the unit of work runs, none may flush", function()
            local heard = {}
            for _, event in ipairs { "before_create", "before_update", "before_flush", "on_flush", "after_flush",
                "after_commit", "after_rollback" } do
                instance:on(event, function() heard[#heard + 1] = event end)
            end
            em:upsert_many(User, { { email = "a@x" }, { email = "b@x" } })
            em:upsert(User, { email = "a@x", name = "B" })
            pcall(em.upsert, em, User, { email = "a@x", team = 99 })
            assert.same({}, heard)
            instance:on("before_upsert", function() em:flush() end)
            local _, err = pcall(em.upsert, em, User, { email = "c@x" })
            assert.is_true(orm.is_error(err, "hook"))
            em:flush()
            assert.equal("2", count "users")
        end)

        it("works in request scopes, by name and in repositories", function()
            orm.request_context(function()
                local user, new = orm.em():upsert("User", { email = "a@x" })
                assert.is_true(new)
                local same, other = orm.em():repository(User):upsert({ email = "a@x", name = "x" })
                assert.equal(user, same)
                assert.is_false(other)
                assert.equal(1, #(orm.em():repository(User):upsert_many { { email = "a@x" } }))
            end)
        end)
    end)
end)
