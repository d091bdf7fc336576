-- Updates of rows whose keys stand close together, which SQLite makes on one way along the table: however keys lie,
-- whatever the table is.

local databases = require "spec.support.databases"
local orm = require "heddle"
local unit = require "spec.support.unit"

local Row = orm.entity { name = "WalkRow", table = "walk_rows",
    { "id", type = "bigint", primary = true },
    { "n", type = "integer" },
    { "weight", type = "double", nullable = true },
}
local Versioned = orm.entity { name = "WalkVersioned", table = "walk_versioned",
    { "id", type = "integer", primary = true },
    { "n", type = "integer" },
    { "changed", type = "timestamp", version = true },
}

databases.each(function(db)
    describe("updates along a table", function()
        local work, em, raw

        before_each(function()
            work = unit.open(db, { Row, Versioned })
            em, raw = work.em, work.raw
        end)
        after_each(function()
            work:close()
            db:close()
        end)

        local function fill(keys)
            local rows = {}
            for i, key in ipairs(keys) do rows[i] = ("(%s, %d)"):format(key, i) end
            raw:exec("insert into walk_rows (id, n) values " .. table.concat(rows, ", "))
        end

        local function walks() return #work:statements "hd_met" end
        local function count(where) return tonumber(raw:value("select count(*) from walk_rows where " .. where)) end

        -- Adds 1000 to each row that the order gives; how often the table was walked along.
        local function add(options, where)
            local list = em:find(Row, where or {}, options)
            for _, row in ipairs(list) do row.n = row.n + 1000 end
            work:forget()
            em:flush()
            local done = walks()
            work:forget()
            em:flush()
            assert.equal(0, #work.log)
            return db.name == "sqlite" and done, #list
        end

        local function keys(first, last, step, text)
            local list = {}
            for key = first, last, step or 1 do list[#list + 1] = (text or "%d"):format(key) end
            return list
        end

        local on_sqlite = db.name == "sqlite"

        it("meet rows in whatever order they were read", function()
            fill(keys(1, 100))
            assert.equal(on_sqlite and 1, add { order_by = { id = "desc" } })
            em:clear()
            assert.equal(on_sqlite and 1, add { order_by = { "n" } })
            assert.equal(100, count "n = id + 2000")
        end)

        it("come by rows that are not theirs, or are not there", function()
            fill(keys(1, 400, 2))
            assert.equal(on_sqlite and 1, add({}, { n = orm.op.gt(20) }))
            assert.equal(180, count "n = 1000 + (id + 1) / 2")
            assert.equal(20, count "n = (id + 1) / 2")
        end)

        it("look rows up that stand far apart", function()
            fill(keys(1, 4000, 40))
            assert.equal(on_sqlite and 0, add {})
            assert.equal(100, count "n > 1000")
        end)

        it("join many that stand far apart with their values", function()
            fill(keys(1, 50000, 20))
            assert.equal(on_sqlite and 0, add {})
            assert.equal(2500, count "n = 1000 + (id + 19) / 20")
        end)

        it("look few rows up", function()
            fill(keys(1, 31))
            assert.equal(on_sqlite and 0, add {})
            fill { "32" }
            assert.equal(on_sqlite and 1, add {})
            assert.equal(31, count "n = 2000 + id")
            assert.equal(1, count "n = 1001")
        end)

        it("know keys below zero, and the highest and lowest that there are", function()
            fill(keys(-50, 49))
            assert.equal(on_sqlite and 1, add {})
            assert.equal(100, count "n = id + 51 + 1000")
            raw:exec "delete from walk_rows"
            em:clear()
            local high, low = {}, {}
            for i = 0, 39 do
                high[i + 1] = "9223372036854775807 - " .. i
                low[i + 1] = "-9223372036854775807 + " .. i
            end
            fill(high)
            assert.equal(on_sqlite and 1, add {})
            assert.equal(40, count "n > 1000")
            fill(low)
            assert.equal(on_sqlite and 0, add {}) -- the highest and the lowest
            assert.equal(40, count "n > 2000")
            assert.equal(40, count "n between 1001 and 1999")
        end)

        it("C2: check versions that tell the time", function()
            local given = {}
            for i = 1, 60 do given[i] = em:create(Versioned, { n = i }) end
            for _, row in ipairs(given) do em:persist(row) end
            em:flush()
            for _, row in ipairs(given) do row.n = -row.n end
            raw:exec "update walk_versioned set changed = '2001-02-03 04:05:06.000007' where n = 41"
            work:forget()
            local err = unit.raises("optimistic_lock", em.flush, em)
            assert.is_truthy(err.message:find(("WalkVersioned#%d "):format(given[41].id), 1, true))
            assert.equal("60", raw:value "select count(*) from walk_versioned where n > 0")
            em:refresh(given[41])
            given[41].n = -41
            em:flush()
            assert.equal("60", raw:value "select count(*) from walk_versioned where n < 0")
        end)

        it("say which row is gone, and write none", function()
            fill(keys(1, 50))
            local list = em:find(Row, {}, { order_by = { "id" } })
            for _, row in ipairs(list) do row.n = -row.n end
            raw:exec "delete from walk_rows where id = 50"
            local err = unit.raises("not_found", em.flush, em)
            assert.is_truthy(err.message:find("WalkRow#50 ", 1, true))
            assert.equal(0, count "n < 0")
        end)

        it("say whose value cannot be stored", function()
            fill(keys(1, 50))
            local list = em:find(Row, {}, { order_by = { "id" } })
            for i, row in ipairs(list) do row.weight = i end
            list[33].weight = 0 / 0
            if on_sqlite then -- PostgreSQL knows NaN
                local err = unit.raises("validation", em.flush, em)
                assert.is_truthy(tostring(err):find("NaN", 1, true))
                assert.equal(0, count "weight is not null")
            end
            list[33].weight = 1 / 0
            em:flush()
            assert.equal(50, count "weight > 0")
        end)
    end)
end)

describe("updates along tables of other makers", function()
    local db, work, em, raw

    local function open(ddl, more)
        db = databases.open "sqlite"
        work = unit.open(db, { Row, Versioned })
        em, raw = work.em, work.raw
        raw:exec "drop table walk_rows"
        raw:exec(ddl)
        raw:exec(("insert into walk_rows (id, n) with recursive s(n) as (select %s) select n, n from s")
            :format(more or "1 union all select n + 1 from s where n < 100"))
    end
    after_each(function()
        work:close()
        db:close()
    end)

    local function add()
        for _, row in ipairs(em:find(Row, {})) do row.n = row.n + 1000 end
        work:forget()
        em:flush()
        return #work:statements "hd_met", #work:statements "^UPDATE"
    end

    local function count(where) return raw:value("select count(*) from walk_rows where " .. where) end

    it("without rowids", function()
        open "create table walk_rows (id integer primary key, n integer, weight real) without rowid"
        assert.equal(1, (add()))
        assert.equal("100", count "n = id + 1000")
    end)

    it("whose key is any column", function()
        open "create table walk_rows (id bigint not null primary key, n integer, weight real)"
        assert.equal(1, (add()))
        assert.equal("100", count "n = id + 1000")
    end)

    it("that show their keys in another order look rows up, from the second time on without a try", function()
        open("create table walk_rows (id bigint, n integer, weight real)",
            "100 union all select n - 1 from s where n > 1")
        assert.same({ 1, 2 }, { add() })
        assert.same({ 0, 1 }, { add() })
        assert.equal("100", count "n = id + 2000")
    end)

    it("with a key twice are refused as row by row", function()
        open "create table walk_rows (id bigint, n integer, weight real)"
        local list = em:find(Row, {}, { order_by = { "id" } })
        for _, row in ipairs(list) do row.n = row.n + 1000 end
        raw:exec "update walk_rows set id = 6 where id = 7"
        local err = unit.raises("not_found", em.flush, em)
        assert.is_truthy(err.message:find("WalkRow#6 ", 1, true))
        assert.equal("0", count "n > 1000")
    end)

    it("whose key is text have the rows looked up", function()
        open "create table walk_rows (id text primary key, n integer, weight real)"
        assert.equal(1, (add()))
        assert.equal("100", count "n = id + 1000")
    end)

    it("whose triggers only look", function()
        open "create table walk_rows (id integer primary key, n integer, weight real)"
        raw:exec "create trigger looks before update on walk_rows begin select old.n; end"
        assert.same({ 1, 1 }, { add() })
        assert.equal("100", count "n = id + 1000")
    end)

    it("P: nobody else is given anything", function()
        open "create table walk_rows (id integer primary key, n integer, weight real)"
        assert.equal(0, #em:execute "select 1 where hd_met(1)")
        unit.raises("syntax", em.execute, em, "select hd_given(1, 1)")
    end)
end)
