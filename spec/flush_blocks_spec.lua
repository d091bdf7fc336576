-- Many rows of one shape, updated together: as one by one, in what is written and in what is said about a row that
-- cannot be.

local databases = require "spec.support.databases"
local orm = require "heddle"
local unit = require "spec.support.unit"

local ROWS = 2103

local Row = orm.entity { name = "BlockRow", table = "block_rows",
    { "id", type = "integer", primary = true },
    { "n", type = "integer" },
    { "code", type = "integer", unique = true },
    { "big", type = "bigint", nullable = true },
    { "text", type = "text", nullable = true },
    { "flag", type = "boolean", nullable = true },
    { "weight", type = "double", nullable = true },
    { "price", type = "decimal", precision = 8, scale = 2, nullable = true },
    { "at", type = "timestamp", nullable = true },
    { "day", type = "date", nullable = true },
    { "data", type = "json", nullable = true },
    { "bytes", type = "blob", nullable = true },
    { "tags", type = "array", array_of = "integer", nullable = true },
    { "clock", type = "time", nullable = true },
    { "code_of", type = "uuid", nullable = true },
    { "version", type = "integer", version = true },
    { "boss", many_to_one = "BlockRow", nullable = true },
    checks = { { "n < 100000", name = "small" } },
}
local Pair = orm.entity { name = "BlockPair", table = "block_pairs",
    { "a", type = "string", primary = true },
    { "b", type = "bigint", primary = true },
    { "n", type = "integer" },
}

databases.each(function(db)
    describe("updates of many rows", function()
        local work, em, raw, rows

        local function series(count)
            if db.name == "postgres" then return ("select %%s from generate_series(1, %d) as s(n)"):format(count) end
            return ("with recursive s(n) as (select 1 union all select n + 1 from s where n < %d) select %%s from s")
                :format(count)
        end

        before_each(function()
            work = unit.open(db, { Row, Pair })
            em, raw = work.em, work.raw
            raw:exec("insert into block_rows (id, n, code, version) " .. series(ROWS):format "n, n, n, 1")
            raw:exec("insert into block_pairs (a, b, n) " .. series(ROWS):format "'k' || (n % 7), n, n")
            rows = em:find(Row, {}, { order_by = { "id" } })
            work:forget()
        end)
        after_each(function()
            work:close()
            db:close()
        end)

        local function count(where) return tonumber(raw:value("select count(*) from block_rows where " .. where)) end
        local function updates() return #work:statements "^UPDATE" end

        it("write every kind of value", function()
            for i, row in ipairs(rows) do
                row.n, row.big, row.text = -i, i % 2 == 0 and "9223372036854775807" or nil, "7" .. ("x"):rep(i % 5)
                row.flag, row.weight, row.price = i % 2 == 0, i % 3 == 0 and 2 ^ 70 or i, i .. ".50"
                row.at, row.day = 1500000000 + i, "2020-02-29"
                row.data, row.bytes = { i = i, list = { 1, "2" } }, "\0\1" .. i
                row.tags, row.clock = { i, -i }, "10:11:12"
                row.code_of = ("00000000-0000-4000-8000-%012d"):format(i)
            end
            em:flush()
            local fresh = em:fork():find(Row, {}, { order_by = { "id" } })
            assert.equal(ROWS, #fresh)
            for i, row in ipairs(fresh) do
                for _, name in ipairs { "n", "text", "flag", "weight", "price", "at", "day", "bytes", "clock",
                    "code_of", "version" } do
                    assert.equal(rows[i][name], row[name])
                end
                assert.equal(i % 2 == 0 and "9223372036854775807" or "nil", tostring(row.big))
                assert.same({ i = i, list = { 1, "2" } }, row.data)
                assert.same({ i, -i }, row.tags)
                assert.equal(2, row.version)
            end
            work:forget()
            em:flush()
            assert.equal(0, #work.log)
        end)

        it("are few statements", function()
            for _, row in ipairs(rows) do row.n = row.n + 1 end
            em:flush()
            assert.is_true(updates() <= (db.name == "sqlite" and 2 or 3))
            assert.equal(ROWS, count "n = id + 1 and version = 2")
        end)

        it("find rows by keys of several columns, of text too", function()
            local pairs_ = em:find(Pair, {})
            for _, pair in ipairs(pairs_) do pair.n = -pair.n end
            em:flush()
            assert.equal(tostring(ROWS), raw:value "select count(*) from block_pairs where n = -b")
        end)

        it("C2: say which row somebody else has changed, and write none", function()
            for _, row in ipairs(rows) do row.n = row.n + 1 end
            raw:exec "update block_rows set version = 5 where id = 777"
            local err = unit.raises("optimistic_lock", em.flush, em)
            assert.equal("BlockRow", err.entity)
            assert.is_truthy(err.message:find("BlockRow#777 ", 1, true))
            assert.equal(ROWS, count "n = id")
            em:refresh(rows[777])
            rows[777].n = 778
            em:flush()
            assert.equal(ROWS, count "n = id + 1")
            assert.equal(ROWS - 1, count "version = 2")
        end)

        it("say which row is gone, and write none", function()
            local pairs_ = em:find(Pair, {}, { order_by = { "b" } })
            for _, pair in ipairs(pairs_) do pair.n = -pair.n end
            raw:exec "delete from block_pairs where b = 1500"
            local err = unit.raises("not_found", em.flush, em)
            assert.is_truthy(err.message:find("BlockPair#k2,1500 ", 1, true))
            assert.equal("0", raw:value "select count(*) from block_pairs where n < 0")
        end)

        it("C2: inside of a transaction, which goes on, too", function()
            em:transactional(function(inner)
                local list = inner:find(Row, {}, { order_by = { "id" } })
                for _, row in ipairs(list) do row.n = row.n + 1 end
                inner:execute "update block_rows set version = 5 where id = 2"
                local err = unit.raises("optimistic_lock", inner.flush, inner)
                assert.is_truthy(err.message:find("BlockRow#2 ", 1, true))
                inner:refresh(list[2])
                list[2].n = 3
                inner:flush()
            end)
            assert.equal(ROWS, count "n = id + 1")
            assert.equal(1, count "version = 6")
        end)

        it("C3: a value that the table refuses is said to be refused as that of a single row is", function()
            local function refused(values)
                for id, n in pairs(values) do rows[id].n = n end
                return unit.raises("check_violation", em.flush, em)
            end
            local one = refused { [5] = 100005 }
            rows[5].n = 5
            for _, row in ipairs(rows) do row.n = row.n + 1 end
            local many = refused { [1000] = 100005 }
            assert.same({ one.entity, one.table, one.constraint }, { many.entity, many.table, many.constraint })
            assert.equal(ROWS, count "n = id and version = 1")
            rows[1000].n = 1001
            em:flush()
            assert.equal(ROWS, count "n = id + 1 and version = 2")
        end)

        it("C3: a reference to a row that is not there is refused, and nothing is written", function()
            for _, row in ipairs(rows) do row.boss = rows[1] end
            raw:exec "delete from block_rows where id = 1"
            unit.raises("optimistic_lock", em.flush, em)
            em:detach(rows[1])
            assert.is_false(pcall(em.flush, em))
            assert.equal(ROWS - 1, count "boss_id is null")
        end)

        it("F2: unique values go round", function()
            for i, row in ipairs(rows) do row.code = i % ROWS + 1 end
            em:flush()
            assert.equal(ROWS - 1, count "code = id + 1")
            assert.equal(1, count(("id = %d and code = 1"):format(ROWS)))
        end)
    end)
end)

describe("updates of many rows of tables with triggers", function()
    local db, work, em, raw, rows

    local function open(trigger)
        work = unit.open(db, { Row, Pair })
        em, raw = work.em, work.raw
        raw:exec(("insert into block_rows (id, n, code, version) with recursive s(n) as (select 1 union all "
            .. "select n + 1 from s where n < %d) select n, n, n, 1 from s"):format(ROWS))
        raw:exec "create table seen (id integer, n integer)"
        raw:exec("create trigger hears after update of n on block_rows begin " .. trigger .. "; end")
        rows = em:find(Row, {}, { order_by = { "id" } })
        work:forget()
    end

    before_each(function() db = databases.open "sqlite" end)
    after_each(function()
        work:close()
        db:close()
    end)

    it("are one by one, from the second time on without a try", function()
        open "insert into seen values (new.id, new.n)"
        for time = 1, 2 do
            for _, row in ipairs(rows) do row.n = row.n + 1 end
            work:forget()
            em:flush()
            assert.equal(time == 1 and 2 or 1, #work:statements "^UPDATE")
        end
        assert.equal(tostring(2 * ROWS), raw:value "select count(*) from seen")
        assert.equal(tostring(ROWS), raw:value "select count(*) from block_rows where n = id + 2 and version = 3")
    end)

    it("C2: see a row that the trigger has changed before its turn", function()
        open "update block_rows set version = 9 where id = new.id + 1 and new.id = 1000"
        for _, row in ipairs(rows) do row.n = row.n + 1 end
        local err = unit.raises("optimistic_lock", em.flush, em)
        assert.is_truthy(err.message:find("BlockRow#1001 ", 1, true))
        assert.equal(tostring(ROWS), raw:value "select count(*) from block_rows where n = id and version = 1")
    end)

    it("say which row a trigger has left out", function()
        open "select 1"
        raw:exec("create trigger leaves before update of n on block_rows when old.id = 1234 "
            .. "begin select raise(ignore); end")
        for _, row in ipairs(rows) do row.n = row.n + 1 end
        local err = unit.raises("optimistic_lock", em.flush, em)
        assert.is_truthy(err.message:find("BlockRow#1234 ", 1, true))
    end)

    it("that ends the transaction around them say why", function()
        open "select 1"
        raw:exec("create trigger ends before update of n on block_rows when old.id = 1234 "
            .. "begin select raise(rollback, 'enough'); end")
        local ok, err = pcall(em.transactional, em, function(inner)
            inner:execute "insert into block_pairs values ('a', 1, 1)"
            for _, row in ipairs(inner:find(Row, {})) do row.n = row.n + 1 end
            local first = unit.raises("driver", inner.flush, inner)
            assert.is_truthy(tostring(first.cause):find("enough", 1, true))
            unit.raises("connection", inner.execute, inner, "insert into block_pairs values ('b', 2, 2)")
        end)
        assert.same({ false, "connection" }, { ok, err.kind })
        assert.equal("0", raw:value "select count(*) from block_pairs where n < 3")
        assert.equal(tostring(ROWS), raw:value "select count(*) from block_rows where n = id")
    end)
end)
