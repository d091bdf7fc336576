-- Results of many rows, whose snapshots are made a block at a time: every row has its own, whatever comes between.

local databases = require "spec.support.databases"
local orm = require "heddle"
local unit = require "spec.support.unit"

local ROWS = 1200

local Row = orm.entity { name = "PileRow", table = "pile_rows",
    { "id", type = "integer", primary = true },
    { "n", type = "integer" },
    { "text", type = "string", nullable = true },
    { "boss", many_to_one = "PileRow", nullable = true },
    { "minions", one_to_many = "PileRow", mapped_by = "boss" },
    { "weight", type = "double", nullable = true },
    { "last", type = "integer", nullable = true },
}

local Group = orm.entity { name = "PileGroup", table = "pile_groups",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "rows", many_to_many = "PileRow" },
}

databases.each(function(db)
    describe("a result of many rows", function()
        local work, em, raw

        before_each(function()
            work = unit.open(db, { Row, Group })
            em, raw = work.em, work.raw
            local series = db.name == "postgres" and ("from generate_series(1, %d) as s(n)"):format(ROWS)
                or ("from s"):format()
            local head = db.name == "postgres" and ""
                or ("with recursive s(n) as (select 1 union all select n + 1 from s where n < %d) "):format(ROWS)
            raw:exec("insert into pile_rows (id, n, text, boss_id, weight, last) " .. head .. "select n, n, "
                .. "case when n % 3 = 0 then null else 'row ' || n end, case when n % 2 = 0 then n - 1 end, "
                .. "n / 4.0, case when n % 5 = 0 then n end " .. series)
            work:forget()
        end)
        after_each(function()
            work:close()
            db:close()
        end)

        local function count(where) return tonumber(raw:value("select count(*) from pile_rows where " .. where)) end
        local function find(where) return em:find(Row, where or {}, { order_by = { "id" } }) end

        local function check(rows)
            assert.equal(ROWS, #rows)
            for i, row in ipairs(rows) do
                assert.equal(i, row.id)
                assert.equal(i, row.n)
                assert.equal(i % 3 ~= 0 and "row " .. i or nil, row.text)
                assert.equal(i / 4, row.weight)
                assert.equal(i % 5 == 0 and i or nil, row.last)
                assert.equal(i % 2 == 0 and rows[i - 1] or nil, row.boss)
            end
        end

        it("is clean until it is changed, then every change is written and nothing else", function()
            local rows = find()
            check(rows)
            work:forget()
            em:flush()
            assert.equal(0, #work.log)
            for i, row in ipairs(rows) do
                if i % 2 == 0 then row.last, row.text = nil, "new" else row.last = -i end
            end
            em:flush()
            assert.equal(ROWS / 2, count "id % 2 = 0 and last is null and text = 'new' and boss_id = id - 1")
            assert.equal(ROWS / 2, count "id % 2 = 1 and last = -id and n = id")
        end)

        it("has rows between that are managed already, changed ones too", function()
            local known = find { n = orm.op.one_of { 1, 40, 41, 300, 555, 556, 1199 } }
            known[5].n = 0
            local rows = em:find(Row, {}, { order_by = { "id" }, flush_mode = "commit" })
            assert.equal(known[5], rows[555])
            assert.equal(0, rows[555].n)
            rows[555].n = 555
            check(rows)
            work:forget()
            em:flush()
            assert.equal(0, #work.log)
            for _, row in ipairs(rows) do row.n = -row.n end
            em:flush()
            assert.equal(ROWS, count "n = -id")
        end)

        it("comes in another order than that of keys", function()
            local rows = em:find(Row, { id = orm.op.gt(10) }, { order_by = { "weight desc" } })
            assert.equal(ROWS - 10, #rows)
            check(find())
            for i, row in ipairs(rows) do
                assert.equal(ROWS + 1 - i, row.id)
                row.n = -row.id
            end
            em:flush()
            assert.equal(ROWS - 10, count "n = -id")
        end)

        it("has rows several times, for one owner after the other", function()
            raw:exec "insert into pile_groups (id, name) values (1, 'all'), (2, 'even'), (3, 'third')"
            for group = 1, 3 do
                raw:exec(("insert into pile_groups_rows (pile_group_id, pile_row_id) select %d, id from pile_rows "
                    .. "where id %% %d = 0"):format(group, group))
            end
            local groups = em:find(Group, {}, { populate = { "rows" }, order_by = { "id" } })
            assert.same({ ROWS, ROWS / 2, ROWS / 3 }, { #groups[1].rows, #groups[2].rows, #groups[3].rows })
            work:forget()
            em:flush()
            assert.equal(0, #work.log)
            for _, row in groups[1].rows:iter() do row.n = -row.id end
            em:flush()
            assert.equal(ROWS, count "n = -id")
        end)

        it("comes in a transaction that is rolled back, and once more", function()
            pcall(em.transactional, em, function(inner)
                for _, row in ipairs(inner:find(Row, {})) do row.n = 0 end
                inner:flush()
                error "enough"
            end)
            check(find())
        end)

        it("fills collections whose members have snapshots", function()
            local rows = em:find(Row, {}, { populate = { "minions" }, order_by = { "id" } })
            for i, row in ipairs(rows) do
                assert.equal(i % 2 == 1 and 1 or 0, #row.minions)
                if i % 2 == 1 then assert.equal(rows[i + 1], row.minions[1]) end
            end
            em:clear()
            local odd = em:find(Row, { boss = orm.null }, { populate = { "minions" } })
            for _, row in ipairs(odd) do row.minions[1].n = 0 end
            em:flush()
            assert.equal(ROWS / 2, count "n = 0 and boss_id = id - 1")
        end)

        it("is left in the middle: what was read has a snapshot, the rest is as if it had not been", function()
            for stop = 1, 5 do
                local times, own = 0, em:fork()
                if rawget(_G, "jit") then require("jit").off() end
                debug.sethook(function()
                    if debug.getinfo(2, "S").short_src ~= "heddle.pack" then return end
                    times = times + 1
                    if times == stop then error "interrupted!" end
                end, "c")
                local ok, err = pcall(own.find, own, Row, {}, { order_by = { "id" } })
                debug.sethook()
                if rawget(_G, "jit") then require("jit").on() end
                assert.is_false(ok)
                assert.is_truthy(tostring(err):find("interrupted!", 1, true))
                local rows = own:find(Row, {}, { order_by = { "id" } })
                check(rows)
                work:forget()
                own:flush()
                assert.equal(0, #work.log)
                for _, row in ipairs(rows) do row.n = -row.n end
                own:flush()
                assert.equal(ROWS, count "n = -id")
                raw:exec "update pile_rows set n = id"
            end
        end)
    end)
end)
