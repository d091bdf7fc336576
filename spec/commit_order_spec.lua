-- O1 to O3: unique values that go round, chains of them, and what has no way at all.

local databases = require "spec.support.databases"
local orm = require "heddle"
local unit = require "spec.support.unit"

local Item = orm.entity { name = "Item", table = "items",
    { "id", type = "integer", primary = true },
    { "code", type = "string", length = 20, unique = true },
    { "letter", type = "string", length = 1, nullable = true, unique = true },
    { "version", type = "integer", version = true },
}
local Entry = orm.entity { name = "Entry", table = "entries",
    { "id", type = "integer", primary = true },
    { "list", type = "integer" },
    { "position", type = "integer" },
    { "note", type = "string", nullable = true },
    uniques = { { "list", "position" } },
}
local Token = orm.entity { name = "Token", table = "tokens",
    { "id", type = "integer", primary = true },
    { "key", type = "uuid", unique = true },
    { "initial", type = "string", length = 1, unique = true },
    { "day", type = "date", unique = true },
    { "amount", type = "decimal", precision = 6, scale = 2, unique = true },
    { "small", type = "smallint", unique = true },
    { "seen", type = "timestamp", unique = true },
}
local Cell = orm.entity { name = "Cell", table = "cells",
    { "board", type = "string", primary = true },
    { "place", type = "integer", primary = true },
    { "piece", type = "string" },
}
local Flag = orm.entity { name = "Flag", table = "flags",
    { "id", type = "integer", primary = true },
    { "raised", type = "boolean", unique = true },
}
local Rank = orm.entity { name = "Rank", table = "ranks",
    { "id", type = "integer", primary = true },
    { "grade", type = "enum", enum = { "low", "high" }, unique = true },
    { "level", type = "integer", unique = true, check = "level >= 0" },
}
local Account = orm.entity { name = "Account", table = "accounts",
    { "id", type = "integer", primary = true },
    { "email", type = "string" },
    { "deleted_at", type = "timestamp", nullable = true },
    indexes = { { "email", unique = true, where = { deleted_at = orm.null } } },
}

databases.each(function(db)
    describe("commit order", function()
        local work, em, raw, plan
        local file = db.name == "sqlite"

        before_each(function()
            work = unit.open(db, { Item, Entry, Token, Cell, Flag, Rank, Account })
            em, raw = work.em, work.raw
            work.instance:on("after_flush", function(changes) plan = changes.plan end)
        end)
        after_each(function()
            work:close()
            db:close()
        end)

        local function persist(entity, rows)
            local list = {}
            for i, row in ipairs(rows) do
                list[i] = entity(row)
                em:persist(list[i])
            end
            em:flush()
            work:forget()
            return list
        end

        -- All values of a property to the next row, the last one's to the first.
        local function rotate(list, name)
            local first = list[1][name]
            for i = 1, #list - 1 do list[i][name] = list[i + 1][name] end
            list[#list][name] = first
        end

        it("O2: two rows swap a unique value, three rotate it: two UPDATEs", function()
            for n = 2, 3 do
                local rows, codes = {}, {}
                for i = 1, n do
                    codes[i] = n .. "-" .. i
                    rows[i] = { code = codes[i] }
                end
                local list = persist(Item, rows)
                rotate(list, "code")
                em:flush()
                assert.equal(2, work:writes("UPDATE"))
                for i, item in ipairs(list) do
                    assert.equal(codes[i % n + 1],
                        raw:value("select code from items where id = " .. item.id))
                    assert.equal(2, item.version)
                end
                work:forget()
                em:flush()
                assert.same({}, work.log)
            end
            assert.equal("5", raw:value "select count(*) from items where version = 2")
        end)

        it("O2: nullable ones, and both keys of a row at once", function()
            local list = persist(Item, { { code = "a", letter = "x" }, { code = "b", letter = "y" },
                { code = "c" } })
            rotate(list, "code")
            list[1].letter, list[2].letter = "y", "x"
            em:flush()
            assert.same({ { "b", "y" }, { "c", "x" }, { "a", false } },
                raw:rows "select code, letter from items order by id")
            list[1].letter, list[3].letter = nil, "y"
            em:flush()
            assert.same({ { "b", false }, { "c", "x" }, { "a", "y" } },
                raw:rows "select code, letter from items order by id")
        end)

        it("O2: a chain of values through a new row, a changed one and a removed one", function()
            local list = persist(Item, { { code = "a" }, { code = "b" }, { code = "c" } })
            list[1].code, list[2].code = "b", "c"
            em:remove(list[3])
            em:persist(Item { code = "a" })
            em:flush()
            assert.same({ { "1", "b" }, { "2", "c" }, { "4", "a" } },
                raw:rows "select id, code from items order by id")
        end)

        it("O2: rows swap while one of a longer ring is removed", function()
            local list = persist(Item, { { code = "a" }, { code = "b" }, { code = "c" }, { code = "d" } })
            rotate({ list[1], list[2] }, "code")
            list[3].code = "d"
            em:remove(list[4])
            em:persist(Item { code = "c" })
            em:flush()
            assert.same({ { "b" }, { "a" }, { "d" }, { "c" } }, raw:rows "select code from items order by id")
        end)

        it("F2: a stale row that was to swap is noticed, and nothing is written", function()
            local list = persist(Item, { { code = "a" }, { code = "b" } })
            raw:exec "update items set version = 7 where code = 'b'"
            rotate(list, "code")
            local err = unit.raises("optimistic_lock", em.flush, em)
            assert.equal("Item", err.entity)
            assert.same({ { "a", "1" }, { "b", "7" } }, raw:rows "select code, version from items order by id")
            em:refresh(list[2])
            list[1].code, list[2].code = "b", "a"
            em:flush()
            assert.same({ { "b", "2" }, { "a", "8" } }, raw:rows "select code, version from items order by id")
        end)

        it("O2: every type that has a value to spare", function()
            local list = persist(Token, {
                { key = "00000000-0000-4000-8000-000000000001", initial = "a", day = "2026-01-01", amount = "1.00",
                    small = -32768, seen = 1 },
                { key = "00000000-0000-4000-8000-000000000002", initial = "b", day = "2026-01-02", amount = "2.00",
                    small = -32767, seen = 2.5 },
            })
            for _, name in ipairs { "key", "initial", "day", "amount", "small", "seen" } do
                rotate(list, name)
                em:flush()
                assert.equal(2, work:writes("UPDATE"))
                work:forget()
            end
            em:clear()
            local first = em:find_one(Token, 1)
            assert.same({ "00000000-0000-4000-8000-000000000002", "b", "2026-01-02", "2.00", -32767, 2.5 },
                { first.key, first.initial, first.day, first.amount, first.small, first.seen })
        end)

        it("O3: a row put at the head of a list of a thousand, and one taken from it: two UPDATEs", function()
            local rows = {}
            for i = 1, 1000 do rows[i] = { list = 1, position = i } end
            local list = persist(Entry, rows)
            for i = 1, 1000 do list[i].position = i + 1 end
            em:persist(Entry { list = 1, position = 1, note = "new" })
            em:flush()
            assert.equal(file and 1 or 2, work:writes("UPDATE"))
            assert.equal(1, work:writes("INSERT INTO"))
            assert.equal("1000", raw:value "select count(*) from entries where position = id + 1")
            assert.equal("1", raw:value "select position from entries where note = 'new'")
            work:forget()
            em:remove(list[1])
            for i = 2, 1000 do list[i].position = i end
            em:flush()
            assert.equal(file and 1 or 2, work:writes("UPDATE"))
            assert.equal(1, work:writes("DELETE FROM"))
            assert.equal("999", raw:value "select count(*) from entries where position = id")
        end)

        it("O3: a list that is turned round: two UPDATEs, of rows with other changes four at most", function()
            local rows = {}
            for i = 1, 100 do rows[i] = { list = 1, position = i } end
            local list = persist(Entry, rows)
            for i = 1, 100 do list[i].position = 101 - i end
            em:flush()
            assert.equal(2, work:writes("UPDATE"))
            work:forget()
            for i = 1, 100 do
                list[i].position = i
                if i % 2 == 0 then list[i].note = "n" end
            end
            em:flush()
            assert.is_true(work:writes("UPDATE") <= 4)
            assert.equal("100", raw:value "select count(*) from entries where position = id")
        end)

        it("O3: two lists swap their rows, all at once", function()
            local rows = {}
            for i = 1, 40 do rows[i] = { list = i % 2, position = math.floor((i + 1) / 2) } end
            local list = persist(Entry, rows)
            for i = 1, 40 do list[i].list = 1 - list[i].list end
            em:flush()
            assert.equal(2, work:writes("UPDATE"))
            assert.equal("40", raw:value "select count(*) from entries where list <> id % 2")
        end)

        it("O2: primary keys swap, rotate and shift, and the identity map with them", function()
            local list = persist(Cell, { { board = "b", place = 1, piece = "k" },
                { board = "b", place = 2, piece = "q" }, { board = "c", place = 1, piece = "r" } })
            list[1].place, list[2].place = 2, 1
            em:flush()
            assert.same({ { "1", "q" }, { "2", "k" } },
                raw:rows "select place, piece from cells where board = 'b' order by place")
            assert.equal(list[2], em:find_one(Cell, { "b", 1 }))
            assert.equal(list[1], em:find_one(Cell, { "b", 2 }))
            list[1].board, list[1].place = "c", 1
            list[3].board, list[3].place = "b", 2
            em:flush()
            assert.equal(list[1], em:find_one(Cell, { "c", 1 }))
            list[2].piece = "p"
            em:flush()
            assert.same({ { "b", "1", "p" }, { "b", "2", "r" }, { "c", "1", "k" } },
                raw:rows "select board, place, piece from cells order by board, place")
            local more = {}
            for i = 1, 30 do more[i] = { board = "d", place = i, piece = tostring(i) } end
            more = persist(Cell, more)
            for i = 1, 30 do more[i].place = i + 1 end
            em:flush()
            assert.equal(file and 1 or 2, work:writes("UPDATE"))
            assert.equal("30", raw:value [[select count(*) from cells
                where board = 'd' and cast(place - 1 as text) = piece]])
            assert.equal(more[7], em:find_one(Cell, { "d", 8 }))
        end)

        it("F1: keys that swapped swap back when the transaction is rolled back", function()
            local list = persist(Cell, { { board = "b", place = 1, piece = "k" },
                { board = "b", place = 2, piece = "q" } })
            pcall(em.transactional, em, function(tx)
                list[1].place, list[2].place = 2, 1
                tx:flush()
                assert.equal(list[1], tx:find_one(Cell, { "b", 2 }))
                error "x"
            end)
            assert.equal(list[1], em:find_one(Cell, { "b", 1 }))
            assert.equal(list[2], em:find_one(Cell, { "b", 2 }))
            assert.same({ 1, 2 }, { list[1].place, list[2].place })
        end)

        local function no_way(list, pattern)
            local err = unit.raises("commit_order", em.flush, em)
            assert.same({}, work.log)
            assert.matches(pattern, err.message)
            assert.matches("nullable", err.message)
            for _, e in ipairs(list) do assert.matches("#" .. e.id, err.message) end
        end

        it("O2: a boolean, an enum, a checked column have no value to spare, but on SQLite", function()
            local flags = persist(Flag, { { raised = true }, { raised = false } })
            flags[1].raised, flags[2].raised = false, true
            if not file then no_way(flags, "unique Flag%.raised") else em:flush() end
            em:clear()
            local ranks = persist(Rank, { { grade = "low", level = 0 }, { grade = "high", level = 1 } })
            ranks[1].grade, ranks[2].grade = "high", "low"
            if not file then no_way(ranks, "unique Rank%.grade") else em:flush() end
            em:clear()
            ranks = em:find(Rank, {}, { order_by = { "id" } })
            ranks[1].level, ranks[2].level = 1, 0
            work:forget()
            if not file then no_way(ranks, "unique Rank%.level") else em:flush() end
            if not file then return end
            assert.same({ { "0" }, { "1" } }, raw:rows "select raised from flags order by id")
            assert.same({ { "high", "1" }, { "low", "0" } }, raw:rows "select grade, level from ranks order by id")
            ranks[1].level = -1 -- the check holds for all others
            unit.raises("check_violation", em.flush, em)
        end)

        it("O1: a partial unique key knows its members", function()
            local list = persist(Account, { { email = "a" }, { email = "b" }, { email = "a", deleted_at = 1 },
                { email = "a", deleted_at = 2 } })
            list[1].deleted_at = 3                        -- leaves
            list[3].deleted_at = nil                      -- comes back and takes its value
            list[4].email = "b"                           -- is none, so it takes nothing
            em:persist(Account { email = "a", deleted_at = 4 })
            em:flush()
            assert.equal(file and 2 or 3, work:writes("UPDATE"))
            assert.same({ { "2", "b" }, { "3", "a" } },
                raw:rows "select id, email from accounts where deleted_at is null order by id")
        end)

        it("O2: members of a partial unique key swap, and one that leaves makes room", function()
            local list = persist(Account, { { email = "a" }, { email = "b" }, { email = "c", deleted_at = 1 } })
            list[1].email, list[2].email = "b", "a"
            em:flush()
            assert.same({ { "b" }, { "a" }, { "c" } }, raw:rows "select email from accounts order by id")
            list[1].deleted_at, list[1].email = 1, "c"
            list[3].deleted_at, list[3].email = nil, "b"
            em:flush()
            assert.same({ { "c" }, { "a" }, { "b" } }, raw:rows "select email from accounts order by id")
        end)

        it("O1: a partially loaded row is nobody's member until it says so", function()
            persist(Account, { { email = "a", deleted_at = 1 } })
            em:clear()
            local part = em:find_one(Account, 1, { fields = { "id", "email" } })
            part.email = "b"
            em:persist(Account { email = "a" })
            em:flush()
            assert.same({ { "b" }, { "a" } }, raw:rows "select email from accounts order by id")
        end)

        it("O1: a long chain of values over rows that are changed in other ways too", function()
            local rows = {}
            for i = 1, 60 do rows[i] = { list = 1, position = i, note = "n" .. i } end
            local list = persist(Entry, rows)
            for i = 1, 60 do
                list[i].position = i + 1
                if i % 3 == 0 then list[i].note = "m" end
            end
            em:flush()
            assert.equal("60", raw:value "select count(*) from entries where position = id + 1")
            assert.is_true(work:writes("UPDATE") <= 3)
        end)

        it("O1: values to spare are taken from nobody", function()
            local rows = {}
            for i = 1, 50 do rows[i] = { list = 1, position = -2147483648 + (i - 1) * 2 } end
            for i = 51, 100 do rows[i] = { list = 1, position = -1000 + i } end
            local list = persist(Entry, rows)
            rotate(list, "position")
            em:flush()
            assert.equal("-2147483646", raw:value "select position from entries where id = 1")
            assert.equal("-2147483648", raw:value "select position from entries where id = 100")
        end)

        it("the plan says what it did", function()
            local list = persist(Item, { { code = "a" }, { code = "b" } })
            rotate(list, "code")
            em:flush()
            assert.same({ parked = 2, switched = 0, held = 0, whole = 0, deferred = 0 }, plan)
            local new = Item { id = list[1].id, code = "c" }
            em:remove(list[1]):persist(new):flush()
            assert.equal(1, plan.switched)
        end)
    end)
end)
