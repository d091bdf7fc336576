-- Many new rows of one table leave their keys to SQLite's counting. Whatever the table is like, each row has the key
-- that its instance has: where SQLite does not count as was told, the keys are sent.

local databases = require "spec.support.databases"
local orm = require "heddle"

local ROWS = 250 -- two whole blocks, and single rows

local Coin = orm.entity {
    name = "CountedCoin", table = "coins",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
}

local Purse = orm.entity {
    name = "CountedPurse", table = "purses",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "parent", many_to_one = "CountedPurse", nullable = true },
}

databases.on("sqlite", function(db)
    describe("keys that the database counts", function()
        local instance, raw

        local function open(table_sql)
            instance = orm.init(db:config { entities = { Coin, Purse } })
            raw = db:raw()
            if not table_sql then instance.schema:create() end
            for _, sql in ipairs(table_sql or {}) do raw:exec(sql) end
        end

        after_each(function()
            orm.close()
            db:close()
        end)

        -- What is sent for that many new coins, and the coins.
        local function flush(em, count, prefix)
            local sent, coins = {}, {}
            local function note(event) sent[#sent + 1] = event.sql end
            local off = instance:on("query", note)
            for i = 1, count do
                coins[i] = em:create(Coin, { name = (prefix or "c") .. i })
                em:persist(coins[i])
            end
            em:flush()
            off()
            return table.concat(sent, "\n"), coins
        end

        local function check(coins)
            local names = {}
            for _, row in ipairs(raw:rows "select id, name from coins") do names[tostring(row[1])] = row[2] end
            for _, coin in ipairs(coins) do assert.equal(coin.name, names[tostring(coin.id)]) end
        end

        local LEFT_OUT = '("name") VALUES'

        local function both(em)
            local sent, coins = flush(em, ROWS)
            check(coins)
            local again, more = flush(em, ROWS, "d")
            check(coins)
            check(more)
            assert.equal(2 * ROWS, tonumber(raw:rows("select count(*) from coins where name like 'c%' "
                .. "or name like 'd%'")[1][1]))
            return sent, again
        end

        it("W3: are not sent", function()
            open()
            local sent, again = both(instance.em:fork())
            assert.truthy(sent:find(LEFT_OUT, 1, true))
            assert.truthy(again:find(LEFT_OUT, 1, true))
            assert.falsy((sent .. again):find('("id", "name")', 1, true))
        end)

        it("W3: are not sent inside of a transaction either, and follow what was deleted", function()
            open()
            raw:exec "insert into coins (id, name) values (900, 'x')"
            raw:exec "delete from coins"
            instance.em:fork():transactional(function(em)
                local sent, coins = flush(em, ROWS)
                assert.truthy(sent:find(LEFT_OUT, 1, true))
                assert.equal(tonumber(coins[1].id) + ROWS - 1, coins[ROWS].id)
                em:remove(coins[ROWS])
                em:flush()
                flush(em, ROWS, "e")
            end)
            assert.equal(2 * ROWS - 1, tonumber(raw:rows("select count(distinct id) from coins")[1][1]))
        end)

        it("are sent where some are given, where few are new, and where rows refer to each other", function()
            open()
            local em = instance.em:fork()
            em:persist(em:create(Coin, { id = 5000, name = "given" }))
            local sent, coins = flush(em, ROWS)
            assert.falsy(sent:find(LEFT_OUT, 1, true))
            check(coins)
            assert.falsy(flush(em, 20, "f"):find('"coins" ' .. LEFT_OUT .. " (?1), (?2)", 1, true))
            local purses = {}
            for i = 1, ROWS do
                purses[i] = em:create(Purse, { name = "p" .. i, parent = purses[i - 1] })
                em:persist(purses[i])
            end
            em:flush()
            for i, row in ipairs(raw:rows "select id, parent_id from purses order by id") do
                assert.equal(tostring(purses[i].id), tostring(row[1]))
                assert.equal(i > 1 and tostring(purses[i - 1].id) or "nil", tostring(row[2] or nil))
            end
        end)

        local tables = {
            ["a column of another type"] = { "create table coins (id int primary key, name text not null)" },
            ["an index for its key"] = { "create table coins (id integer primary key desc, name text not null)" },
            ["no rowid"] = { "create table coins (id integer primary key, name text not null) without rowid" },
            ["a key that is not null"] = { "create table coins (id int not null primary key, name text not null)" },
            ["a trigger that adds rows to it"] = { "create table coins (id integer primary key, name text not null)",
                "create trigger more after insert on coins when new.name like '%7' and new.name not like 'more%' begin "
                .. "insert into coins (id, name) values (-new.id, 'more'); end" },
            ["a trigger that writes elsewhere"] = { "create table coins (id integer primary key, name text not null)",
                "create table told (id integer)",
                "create trigger tell after insert on coins begin insert into told values (new.id); end" },
        }
        for what, sql in pairs(tables) do
            it("are sent where the table has " .. what, function()
                open(sql)
                local _, again = both(instance.em:fork())
                assert.falsy(again:find(LEFT_OUT .. " (?1), (?2)", 1, true))
                if sql[2] and sql[2]:find("told", 1, true) then
                    assert.equal(2 * ROWS, tonumber(raw:rows("select count(distinct id) from told")[1][1]))
                end
            end)
        end
    end)
end)
