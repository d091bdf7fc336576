-- Change sets: nothing for nothing (U1), database values compared (U2), defaults and batches (U5), counts (U6), and
-- what a property holds after a flush (U7).

local orm = require "heddle"
local databases = require "spec.support.databases"
local unit = require "spec.support.unit"

local uuid = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"

local Team = orm.entity {
    name = "Team", table = "teams",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
}

local Row = orm.entity {
    name = "Row", table = "change_rows",
    { "id", type = "integer", primary = true },
    { "name", type = "string", nullable = true },
    { "amount", type = "decimal", precision = 10, scale = 2, nullable = true },
    { "token", type = "uuid", nullable = true },
    { "seen", type = "timestamp", nullable = true },
    { "day", type = "date", nullable = true },
    { "hour", type = "time", nullable = true },
    { "count", type = "integer", nullable = true },
    { "big", type = "bigint", nullable = true },
    { "ratio", type = "double", nullable = true },
    { "flag", type = "boolean", nullable = true },
    { "bytes", type = "blob", nullable = true },
    { "data", type = "json", nullable = true },
    { "secret", type = "decimal", precision = 10, scale = 2, nullable = true, hidden = true },
    { "team", many_to_one = "Team", nullable = true },
}

-- The same table, with less room.
local Strict = orm.entity {
    name = "Strict", table = "change_rows",
    { "id", type = "integer", primary = true },
    { "name", type = "enum", enum = { "a", "b" }, nullable = true },
    { "count", type = "integer", nullable = true },
}

local Made = orm.entity {
    name = "Made", table = "made",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "state", type = "string", default_sql = "'draft'" },
    { "score", type = "decimal", precision = 6, scale = 2, default_sql = "1.5" },
    { "level", type = "integer", nullable = true, default_sql = "7" },
    { "kind", type = "string", default = "plain" },
    { "options", type = "json", default = { a = { 1 } } },
    { "doubled", type = "integer", nullable = true, generated = "level * 2" },
    { "created", type = "timestamp", on_create = orm.now },
    { "touched", type = "timestamp", nullable = true, on_update = orm.now },
}

databases.each(function(db)
    local work, em, raw

    before_each(function()
        work = unit.open(db, { Team, Row, Made })
        em, raw = work.em, work.raw
    end)

    after_each(function()
        work:close()
        db:close()
    end)

    local function quiet()
        work:forget()
        em:flush()
        assert.same({}, work:statements())
    end

    local function full()
        local team = em:create(Team, { name = "red" })
        local row = em:create(Row, {
            name = "x", amount = "1.50", token = uuid, seen = 1700000000, day = "2024-02-29", hour = "12:30:00",
            count = 3, big = 5, ratio = 0.5, flag = false, bytes = "\0\1", data = { a = 1 }, secret = "2.50",
            team = team,
        })
        em:persist(row)
        em:flush()
        return row, team
    end

    describe("nothing:", function()
        it("U1: an empty entity manager, a read one, a cleared one send nothing", function()
            quiet()
            full()
            quiet()
            em:clear()
            em:find(Row, {})
            quiet()
            em:create(Team, { name = "never persisted" })
            quiet()
            em:get_reference(Row, 99)
            quiet()
        end)

        it("U1: persisted and removed again, removed and persisted again", function()
            local team = em:create(Team, { name = "x" })
            em:persist(team)
            em:remove(team)
            quiet()
            local _, other = full()
            em:remove(other)
            em:persist(other)
            quiet()
            assert.equal("1", raw:value "select count(*) from teams")
        end)

        it("U1: changed and changed back, every type", function()
            local row, team = full()
            local old = {}
            for _, prop in ipairs(orm.metadata(Row).properties) do old[prop.name] = row[prop.name] end
            local new = {
                name = "y", amount = "9.00", token = ("0"):rep(32), seen = 1, day = "2000-01-01", hour = "01:00",
                count = 4, big = 6, ratio = 1.5, flag = true, bytes = "", data = { 2 }, secret = "3",
            }
            for name, value in pairs(new) do row[name] = value end
            row.team = nil
            for name in pairs(new) do row[name] = nil end
            for name in pairs(new) do row[name] = old[name] end
            row.team = team
            quiet()
            em:clear()
            local again = em:find_one(Row, row.id)
            again.team, again.secret, again.name = nil, nil, nil
            again.team, again.secret, again.name = em:get_reference(Team, team.id), "2.50", "x"
            quiet()
        end)

        it("U2: the same database value in another form is no change, and takes its form", function()
            local row = full()
            for name, forms in pairs {
                amount = { "1.5", "01.500", "+1.50", 1.5, "15e-1" }, token = { uuid:upper(), "{" .. uuid .. "}" },
                seen = { "2023-11-14T22:13:20Z", 1700000000.0, "2023-11-15T00:13:20+02:00" }, hour = { "12:30" },
                count = { "3" }, big = { "5" }, secret = { "2.5", 2.5 },
            } do
                local stored = row[name]
                for _, form in ipairs(forms) do
                    row[name] = form
                    quiet()
                    if name ~= "secret" then
                        assert.equal(stored, row[name])
                        assert.equal(type(stored), type(row[name]))
                    end
                end
            end
            assert.equal("2.50", em:fork():find_one(Row, row.id).secret)
        end)

        it("U1: orm.null for what is NULL already is no change, and becomes an absent field", function()
            local row = em:create(Row, {})
            em:persist_and_flush(row)
            for _, prop in ipairs(orm.metadata(Row).properties) do
                if not prop.primary then row[prop.name] = orm.null end
            end
            quiet()
            assert.is_nil(rawget(row, "name"))
            assert.is_nil(rawget(row, "data"))
            assert.is_nil(row.secret)
            assert.is_nil(row.team)
        end)

        it("U1: in a transaction nothing is sent either, and an empty transaction sends nothing", function()
            local row = full()
            work:forget()
            em:transactional(function() em:flush() end)
            em:transactional(function()
                row.name = "y"
                row.name = "x"
                em:flush()
            end)
            assert.same({}, work:statements())
        end)

        it("U1: a query of a type with no real change does not write", function()
            local row = full()
            row.amount = "1.5"
            work:forget()
            em:find(Row, {})
            assert.equal(1, #work:statements())
        end)

        it("U1: one change is one column of one statement, without BEGIN", function()
            local row = full()
            row.name, row.amount = "z", "1.5"
            work:forget()
            em:flush()
            assert.equal(1, #work:statements())
            assert.is_nil(work:statements()[1]:find("amount", 1, true))
            assert.same({ { "z", "1.50" } }, raw:rows "select name, amount from change_rows")
            assert.equal("1.50", row.amount)
        end)

        it("U1: a value that was read and that its column would not take can stay, and can be mended", function()
            local row = full()
            local config = { context_name = "strict", entities = { Strict } }
            for name, value in pairs(work.config) do config[name] = config[name] or value end
            orm.init(config)
            raw:exec "update change_rows set name = 'far too long'"
            local other = orm.em("strict"):fork()
            local strict = other:find_one(Strict, row.id)
            strict.count = 8
            other:flush()
            assert.same({ { "far too long", "8" } }, raw:rows "select name, count from change_rows")
            strict.name = "bad"
            unit.raises("validation", other.flush, other)
            strict.name = "a"
            other:flush()
            assert.equal("a", raw:value "select name from change_rows")
            orm.close "strict"
        end)
    end)

    describe("defaults:", function()
        it("U5: a column left out keeps its default, and the object has it", function()
            local made = em:create(Made, { name = "a" })
            em:persist_and_flush(made)
            assert.equal("draft", made.state)
            assert.equal("1.50", made.score)
            assert.equal(7, made.level)
            assert.equal("plain", made.kind)
            assert.equal(14, made.doubled)
            assert.is_number(made.created)
            assert.is_nil(made.touched)
            local fresh = em:fork():find_one(Made, made.id)
            for _, name in ipairs { "state", "score", "level", "kind", "doubled", "created" } do
                assert.equal(fresh[name], made[name], name)
            end
            quiet()
        end)

        it("U5: a default table is a copy for each", function()
            local a, b = em:create(Made, { name = "a" }), em:create(Made, { name = "b" })
            a.options.a[1] = 2
            assert.equal(1, b.options.a[1])
            em:persist(a, b):flush()
            assert.equal(2, em:fork():find_one(Made, a.id).options.a[1])
            assert.equal(1, em:fork():find_one(Made, b.id).options.a[1])
        end)

        it("U5: orm.null is NULL, not the default", function()
            local made = em:create(Made, { name = "a", level = orm.null })
            em:persist_and_flush(made)
            assert.is_nil(made.level)
            assert.same({ { false, false } }, raw:rows "select level, doubled from made")
        end)

        it("U5: generated columns are read back when what they are made of changes", function()
            local made = em:create(Made, { name = "a", level = 3 })
            em:persist_and_flush(made)
            assert.equal(6, made.doubled)
            made.level = 10
            em:flush()
            assert.equal("20", raw:value "select doubled from made")
            assert.equal(20, em:fork():find_one(Made, made.id).doubled)
            assert.equal(20, made.doubled)
            quiet()
        end)

        it("U5: 250 rows with different sets of fields: every value in the right object", function()
            local made, expected = {}, {}
            for i = 1, 250 do
                local data, want = { name = "n" .. i }, { name = "n" .. i, state = "draft", score = "1.50", level = 7 }
                if i % 2 == 0 then data.state, want.state = "s" .. i, "s" .. i end
                if i % 3 == 0 then data.score, want.score = i .. ".25", i .. ".25" end
                if i % 5 == 0 then data.level, want.level = i, i end
                if i % 7 == 0 then data.level, want.level = orm.null, nil end
                if i % 11 == 0 then data.id, want.id = 10000 + i, 10000 + i end
                made[i], expected[i] = em:create(Made, data), want
            end
            local order = {}
            for i = 1, 250 do order[i] = (i * 101) % 250 + 1 end
            for _, i in ipairs(order) do em:persist(made[i]) end
            work:forget()
            em:flush()
            assert.is_true(work:writes() <= 40, work:writes() .. " statements")
            local seen = {}
            for i, e in ipairs(made) do
                assert.is_nil(seen[e.id])
                seen[e.id] = true
                local row = raw:rows(("select name, state, score, level from made where id = %d"):format(e.id))[1]
                local want = expected[i]
                if want.id then assert.equal(want.id, e.id) end
                assert.equal(want.name, row[1])
                for _, name in ipairs { "name", "state", "score", "level" } do
                    assert.equal(want[name], e[name], name)
                end
                assert.equal(want.level and want.level * 2, e.doubled)
                assert.equal(want.state, row[2])
                assert.equal(want.level and ("%d"):format(want.level) or false, row[4])
                assert.equal(e, em:find_one(Made, e.id))
            end
            assert.equal("250", raw:value "select count(*) from made")
            quiet()
        end)

        it("U5: 250 rows changed in different columns at once", function()
            local list = {}
            for i = 1, 250 do list[i] = { name = "n" .. i, state = "s" } end
            local ids = em:insert_many(Made, list)
            local all = em:find(Made, {}, { order_by = { "id desc" } })
            for _, e in ipairs(all) do
                local i = e.id - ids[1] + 1
                if i % 2 == 0 then e.state = "c" .. i end
                if i % 3 == 0 then e.level = nil end
                if i % 5 == 0 then e.score = i end
            end
            em:flush()
            for i, row in ipairs(raw:rows "select name, state, level, score, doubled from made order by id") do
                assert.equal("n" .. i, row[1])
                assert.equal(i % 2 == 0 and "c" .. i or "s", row[2])
                assert.equal(i % 3 ~= 0 and "7", row[3])
                assert.equal(i % 5 == 0 and i or 1.5, tonumber(row[4]))
            end
            for _, e in ipairs(all) do
                local i = e.id - ids[1] + 1
                assert.equal(i % 5 == 0 and i .. ".00" or "1.50", e.score)
                assert.equal(i % 3 ~= 0 and 14 or nil, e.doubled)
            end
            quiet()
        end)

        it("U7: on_create and on_update values are in the object as a read would give them", function()
            local made = em:create(Made, { name = "a" })
            em:persist_and_flush(made)
            made.name = "b"
            em:flush()
            local fresh = em:fork():find_one(Made, made.id)
            assert.equal(fresh.created, made.created)
            assert.equal(fresh.touched, made.touched)
            quiet()
        end)
    end)

    describe("forms:", function()
        it("U7: after a flush every property equals a fresh read, on insert and on update", function()
            local given = {
                name = "x", amount = "1.5", token = uuid:upper(), seen = "2023-11-14T22:13:20.5Z", day = "2024-02-29",
                hour = "12:30", count = 3.0, big = "5", ratio = 2, flag = true, bytes = "b", secret = 7,
            }
            local function check(row)
                local fresh = em:fork():find_one(Row, row.id)
                for name in pairs(given) do
                    assert.equal(fresh[name], row[name], name)
                    assert.equal(tostring(fresh[name]), tostring(row[name]), name)
                end
            end
            local row = em:create(Row, given)
            em:persist_and_flush(row)
            check(row)
            local other = em:create(Row, {})
            em:persist_and_flush(other)
            em:assign(other, given)
            em:flush()
            check(other)
            quiet()
        end)

        it("U7: relations, references and keys after a flush", function()
            local row, team = full()
            assert.equal(team, em:find_one(Team, row.team.id))
            row.team = em:create(Team, { name = "blue" })
            em:flush()
            assert.equal("blue", row.team.name)
            assert.equal(row.team.id, tonumber(raw:value "select team_id from change_rows"))
        end)
    end)

    describe("counts:", function()
        it("U6: a write that reaches no row raises, and the rest of the flush is undone", function()
            local row = full()
            local other = em:create(Row, { name = "other" })
            em:persist_and_flush(other)
            raw:exec(("delete from change_rows where id = %d"):format(row.id))
            row.name, other.name = "lost", "kept?"
            em:persist(em:create(Team, { name = "green" }))
            local err = unit.raises("not_found", em.flush, em)
            assert.equal("Row", err.entity)
            assert.equal("other", raw:value(("select name from change_rows where id = %d"):format(other.id)))
            assert.equal("1", raw:value "select count(*) from teams")
            em:detach(row)
            em:flush()
            assert.equal("kept?", raw:value(("select name from change_rows where id = %d"):format(other.id)))
            assert.equal("2", raw:value "select count(*) from teams")
        end)

        it("U6: update_where and delete_where count", function()
            em:insert_many(Team, { { name = "a" }, { name = "b" }, { name = "c" } })
            assert.equal(2, em:update_where(Team, { name = orm.op.one_of { "a", "b", "z" } }, { name = "x" }))
            assert.equal(0, em:update_where(Team, { name = "nobody" }, { name = "y" }))
            assert.equal(2, em:delete_where(Team, { name = "x" }))
            assert.equal(1, em:delete_where(Team, {}, { all = true }))
        end)
    end)
end)
