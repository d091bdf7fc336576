-- Large results at random, in any order, of rows that are there, were let go of or were changed: one row is one table,
-- holds what the database or the program has said last, and every change is written.

local chance = require "spec.support.chance"
local databases = require "spec.support.databases"
local orm = require "heddle"
local unit = require "spec.support.unit"

local ROWS, SEEDS, STEPS = 2000, 20, 12
local ORDERS = { "id", "id desc", "text", "n desc" }

local Row = orm.entity { name = "PileAny", table = "pile_any",
    { "id", type = "integer", primary = true },
    { "n", type = "integer", nullable = true },
    { "text", type = "string", nullable = true },
    { "version", type = "integer", version = true },
}

databases.each(function(db)
    describe("large results at random", function()
        local work, model

        before_each(function()
            work, model = unit.open(db, { Row }), {}
            local columns = "select n, case when n % 7 > 0 then n end, case when n % 3 > 0 then 'x' || n end, 1 from "
            work.raw:exec("insert into pile_any (id, n, text, version) " .. (db.name == "postgres"
                and columns .. ("generate_series(1, %d) as s(n)"):format(ROWS)
                or ("with recursive s(n) as (select 1 union all select n + 1 from s where n < %d) "):format(ROWS)
                .. columns .. "s"))
            for i = 1, ROWS do model[i] = { n = i % 7 > 0 and i or nil, text = i % 3 > 0 and "x" .. i or nil } end
        end)
        after_each(function()
            work:close()
            db:close()
        end)

        local function hold(held, row)
            assert(not held[row.id] or held[row.id] == row, "one row is two tables")
            held[row.id] = row
        end

        local function find(em, held, random)
            local low = random(ROWS)
            local order = { ORDERS[random(#ORDERS)], "id" }
            for _, row in ipairs(em:find(Row, { id = orm.op.between(low, low + random(1500)) }, { order_by = order,
                flush_mode = random(2) == 1 and "commit" or nil })) do
                hold(held, row)
            end
        end

        local function change(held, random, step)
            for id, row in pairs(held) do
                if random(4) == 1 then
                    local now = model[id]
                    now.n, now.text = random(1000), random(2) == 1 and "y" .. step or nil
                    row.n, row.text = now.n, now.text
                end
            end
        end

        -- What was changed is written first.
        local function let_go(em, held, random)
            em:flush()
            for id, row in pairs(held) do
                if random(3) == 1 then
                    em:detach(row)
                    held[id] = nil
                end
            end
        end

        local function check(rows)
            for id, row in pairs(rows) do
                local now = model[id]
                assert(row.id == id and row.n == now.n and row.text == now.text, "row " .. id .. " is not what it was")
            end
        end

        it("are what the program has made of them", function()
            local first, last = chance.range(SEEDS)
            for seed = first, last do
                local random, em, held = chance.generator(seed), work.em:fork(), {}
                for step = 1, STEPS do
                    local what = random(8)
                    if what <= 3 then
                        find(em, held, random)
                    elseif what <= 5 then
                        change(held, random, step)
                    elseif what == 6 then
                        hold(held, em:find_one(Row, random(ROWS)))
                    elseif what == 7 then
                        let_go(em, held, random)
                    elseif random(3) == 1 then
                        em:flush()
                        em:clear()
                        held = {}
                    end
                    check(held)
                end
                em:flush()
                local fresh = em:fork():find(Row, {}, { order_by = { "id" } })
                assert.equal(ROWS, #fresh)
                check(fresh)
            end
        end)
    end)
end)
