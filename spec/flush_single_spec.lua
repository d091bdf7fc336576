-- One changed row has a way of its own, a statement without a transaction: what may go wrong with it, and what it
-- keeps. That it writes what the long way writes, flush_lane_spec shows.

local core = require "heddle.core"
local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"

local Ware = orm.entity { name = "Ware", table = "wares",
    { "id", type = "integer", primary = true },
    { "code", type = "string", unique = true },
    { "price", type = "decimal", precision = 8, scale = 2, nullable = true },
    { "stock", type = "integer", check = "stock >= 0" },
}
local Stamp = orm.entity { name = "Stamp", table = "stamps",
    { "id", type = "integer", primary = true },
    { "text", type = "string" },
    { "version", type = "timestamp", version = true },
}

databases.each(function(db)
    describe("a flush of one row", function()
        local em, raw, ware

        before_each(function()
            -- Whoever is told of statements has them sent another way.
            local config = db:config { entities = { Ware, Stamp } }
            local instance = orm.init(config)
            instance.schema:create()
            em, raw = instance.em:fork(), db:raw(config)
            ware = em:create(Ware, { code = "a", price = "1.50", stock = 1 })
            em:persist(ware)
            em:persist(em:create(Ware, { code = "b", stock = 1 }))
            em:flush()
        end)
        after_each(function()
            orm.close()
            db:close()
        end)

        local function stored() return raw:rows "select code, price, stock from wares order by id"[1] end

        it("makes no plan anew for each", function()
            local made, flush = 0, core.flush
            core.flush = function(...)
                made = made + 1
                return flush(...)
            end
            for i = 2, 20 do
                ware.stock = i
                em:flush()
            end
            core.flush = flush
            assert.is_true(made <= 1, made .. " were made")
            assert.equal("20", stored()[3])
        end)

        it("U7: gives the property the form that a read gives", function()
            ware.price = "2.5"
            em:flush()
            assert.equal("2.50", ware.price)
            ware.price = "2.500"
            em:flush()
            assert.equal("2.50", ware.price)
            ware.price = 3
            em:flush()
            assert.equal("3.00", ware.price)
            assert.equal("3.00", orm.em(em.context_name):fork():find_one(Ware, ware.id).price)
        end)

        it("holds on to no instance that it has written", function()
            local weak = setmetatable({}, { __mode = "k" })
            local fork = em:fork()
            local other = fork:find_one(Ware, ware.id)
            other.price = "7"
            fork:flush()
            weak[other] = true
            fork, other = nil, nil -- luacheck: ignore
            collectgarbage()
            collectgarbage()
            assert.is_nil(next(weak))
        end)

        it("F1 F5: leaves everything as it was when the database refuses, and writes it once it is mended", function()
            ware.code = "b"
            local err = expect.raises("unique_violation", function() em:flush() end)
            assert.equal("code", err.property)
            assert.equal("b", ware.code)
            assert.equal("a", stored()[1])
            ware.code, ware.stock = "c", -1
            expect.raises("check_violation", function() em:flush() end)
            ware.stock = 5
            em:flush()
            assert.same({ "c", "1.50", "5" }, { stored()[1], stored()[2], stored()[3] })
        end)

        it("U6 I4: a row that is gone is not_found, as often as it is asked for", function()
            raw:exec "delete from wares"
            ware.stock = 2
            for _ = 1, 2 do
                local err = expect.raises("not_found", function() em:flush() end)
                assert.truthy(err.message:find("Ware#" .. ware.id, 1, true), err.message)
            end
            assert.equal(2, ware.stock)
        end)

        it("U4: names what is wrong before anything is sent", function()
            ware.stock = "many"
            local err = expect.raises("validation", function() em:flush() end)
            assert.equal("stock", err.property)
            ware.stock = nil
            err = expect.raises("validation", function() em:flush() end)
            assert.equal("stock", err.property)
            ware.stock = 3
            em:flush()
            assert.equal("3", stored()[3])
        end)

        it("takes what the database is to evaluate", function()
            ware.stock = orm.raw("stock + ?", 4)
            em:flush()
            assert.equal(5, ware.stock)
            ware.stock = 6
            em:flush()
            assert.equal("6", stored()[3])
        end)

        it("F1: is part of the transaction that is open", function()
            em:begin()
            ware.stock = 9
            em:flush()
            em:rollback()
            assert.equal(1, ware.stock)
            assert.equal("1", stored()[3])
            ware.stock = 10
            em:flush()
            assert.equal("10", stored()[3])
        end)

        it("F2: counts a version of time on", function()
            local stamp = em:create(Stamp, { text = "a" })
            em:persist(stamp)
            em:flush()
            local fork = em:fork()
            local other, last = fork:find_one(Stamp, stamp.id), stamp.version
            for i = 1, 3 do
                stamp.text = "b" .. i
                em:flush()
                assert.is_true(stamp.version > last)
                last = stamp.version
            end
            other.text = "c"
            expect.raises("optimistic_lock", function() fork:flush() end)
        end)
    end)
end)
