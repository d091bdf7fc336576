-- Where nearly every row was changed, the dirty scan takes those behind them for changed as well and leaves it to the
-- comparison: what was not changed is neither written nor told of.

local databases = require "spec.support.databases"
local orm = require "heddle"

local COUNT = 6000
local Item = orm.entity { name = "Item",
    { "id", type = "integer", primary = true },
    { "n", type = "integer" },
    { "price", type = "decimal", precision = 10, scale = 2 },
    { "note", type = "string", nullable = true },
}

databases.each(function(db)
    describe("rows of which nearly all are changed", function()
        local em, items, sum, instance

        before_each(function()
            instance = orm.init(db:config { entities = { Item } })
            instance.schema:create()
            em = orm.em():fork()
            items = {}
            for i = 1, COUNT do items[i] = em:create(Item, { id = i, n = i, price = "1.50" }) end
            for i = 1, COUNT do em:persist(items[i]) end
            em:flush()
            sum = function(what) return tonumber(db:raw():value("select " .. what .. " from item")) end
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        local function change(skip)
            local changed = 0
            for i = 1, COUNT do
                if not skip(i) then
                    items[i].n = items[i].n + 1
                    changed = changed + 1
                end
            end
            return changed
        end

        for name, skip in pairs {
            ["one in a hundred is not"] = function(i) return i % 100 == 0 end,
            ["all but the first thousand are not"] = function(i) return i > 1000 end,
            ["all are"] = function() return false end,
            ["a part in the middle is not"] = function(i) return i > 1500 and i < 3900 end,
        } do
            it("writes those that were: " .. name, function()
                local changed = change(skip)
                assert.equal(changed, #em:changes())
                em:flush()
                assert.equal(COUNT * (COUNT + 1) / 2 + changed, sum "sum(n)")
                assert.same({}, em:changes())
            end)
        end

        it("tells of those that were", function()
            local told = 0
            instance:on("before_update", function(e)
                told = told + 1
                if e.id % 1000 == 0 then e.note = "told" end
            end)
            local changed = change(function(i) return i % 50 == 0 and i > 600 end)
            em:flush()
            assert.equal(changed, told)
            assert.equal(COUNT * (COUNT + 1) / 2 + changed, sum "sum(n)")
            assert.equal(0, sum "count(note)")
        end)

        it("new, removed and detached ones among them", function()
            local changed = change(function(i) return i % 10 == 5 end)
            for i = 1000, 5000, 100 do em:detach(items[i]) end
            for i = 1, 30 do em:persist(em:create(Item, { id = COUNT + i, n = 0, price = 1 })) end
            em:flush()
            assert.equal(COUNT * (COUNT + 1) / 2 + changed - 41, sum "sum(n)")
            for i = 1050, 5000, 100 do em:remove(items[i]) end
            change(function(i) return i % 10 == 5 end)
            em:flush()
            assert.equal(COUNT + 30 - 40, sum "count(*)")
            assert.same({}, em:changes())
        end)

        it("U7: what differs in form only gets the form that a read gives", function()
            local changed = change(function(i) return i % 40 == 0 end)
            for i = 40, COUNT, 40 do items[i].price = "1.5" end
            em:flush()
            assert.equal(COUNT * (COUNT + 1) / 2 + changed, sum "sum(n)")
            for i = 40, COUNT, 40 do assert.equal("1.50", items[i].price) end
            assert.same({}, em:changes())
        end)
    end)
end)
