-- The key of an orphan is free, as that of a row that is marked for removal: what takes its place has it.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"

local raises = expect.raises

local Order = orm.entity { name = "PlacedOrder",
    { "id", type = "integer", primary = true },
    { "lines", one_to_many = "Line", mapped_by = "order", orphan_removal = true },
}
local Line = orm.entity { name = "Line",
    { "order", many_to_one = Order, primary = true, nullable = false },
    { "number", type = "integer", primary = true },
    { "text", type = "string", nullable = true },
}
local Owner = orm.entity { name = "Owner",
    { "id", type = "integer", primary = true },
    { "things", one_to_many = "Thing", mapped_by = "owner", orphan_removal = true },
}
local Thing = orm.entity { name = "Thing",
    { "code", type = "string", length = 10, primary = true },
    { "owner", many_to_one = Owner, nullable = true },
    { "parts", one_to_many = "Part", mapped_by = "thing", cascade = { "persist", "remove" } },
}
local Part = orm.entity { name = "Part",
    { "id", type = "integer", primary = true },
    { "size", type = "integer" },
    { "thing", many_to_one = Thing },
}

databases.each(function(db)
    describe("the key of an orphan", function()
        local em, order, owner

        before_each(function()
            orm.init(db:config { entities = { Order, Line, Owner, Thing, Part } }).schema:create()
            em = orm.em():fork()
            order = em:create(Order, { lines = { { number = 1, text = "a" }, { number = 2, text = "b" } } })
            owner = em:create(Owner, { things = { { code = "x", parts = { { size = 1 } } },
                em:create(Thing, { code = "y" }) } })
            em:persist(order, owner):flush()
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        local function lines() return db:raw():rows "SELECT number, text FROM line ORDER BY number" end
        local function things() return db:raw():rows "SELECT code, owner_id FROM thing ORDER BY code" end

        it("is that of who is created in its place", function()
            order.lines:remove(order.lines[1])
            local new = em:create(Line, { order = order, number = 1, text = "new" })
            em:persist_and_flush(new)
            assert.same({ { "1", "new" }, { "2", "b" } }, lines())
            assert.equal(new, em:find_one(Line, { order = order, number = 1 }))
            assert.equal(2, #order.lines)
            em:flush()
            new.text = "newer"
            em:flush()
            assert.same({ { "1", "newer" }, { "2", "b" } }, lines())
        end)

        it("all of a collection", function()
            order.lines:remove_all()
            for i = 1, 2 do em:persist(em:create(Line, { order = order, number = i, text = "new" .. i })) end
            em:flush()
            assert.same({ { "1", "new1" }, { "2", "new2" } }, lines())
        end)

        it("of a constructor's instance", function()
            local old = owner.things[1]
            owner.things:remove(old)
            local new = Thing { code = "x", owner = owner }
            em:persist(new)
            em:flush()
            assert.same({ { "x", tostring(owner.id) }, { "y", tostring(owner.id) } }, things())
            assert.equal("0", db:raw():value "SELECT count(*) FROM part")
            assert.is_false(em:contains(old))
        end)

        it("is not free before, nor when the orphan has found a place again", function()
            local x = owner.things[1]
            raises("validation", function() em:create(Thing, { code = "x" }) end)
            owner.things:remove(x)
            owner.things:add(x)
            raises("validation", function() em:create(Thing, { code = "x" }) end)
            raises("validation", function() em:persist(Thing { code = "x", owner = owner }) end)
        end)

        it("a new one that leaves again gives it back", function()
            local x = owner.things[1]
            owner.things:remove(x)
            local new = em:create(Thing, { code = "x", owner = owner })
            em:persist(new)
            em:remove(new)
            em:flush()
            assert.same({ { "y", tostring(owner.id) } }, things())
        end)

        it("F1: is the orphan's again when the transaction is rolled back", function()
            local x = owner.things[1]
            pcall(em.transaction, em, function()
                owner.things:remove(x)
                em:persist_and_flush(em:create(Thing, { code = "x", owner = owner }))
                error("no")
            end)
            assert.same({ { "x", tostring(owner.id) }, { "y", tostring(owner.id) } }, things())
            assert.equal(x, em:find_one(Thing, "x"))
        end)
    end)
end)
