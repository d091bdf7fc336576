-- Custom types (orm.type): the program's values and the database's, wherever one becomes the other.

local orm = require "heddle"
local databases = require "spec.support.databases"
local unit = require "spec.support.unit"

local op = orm.op

local Money = {}
Money.__index = Money
Money.__eq = function(a, b) return a.cents == b.cents end

local function money(cents) return setmetatable({ cents = cents }, Money) end

-- An object that changes inside, stored as an integer.
local cents = orm.type {
    column = "integer",
    to_db = function(value)
        if getmetatable(value) ~= Money then error "not money" end
        return value.cents
    end,
    from_db = function(value) return money(value) end,
}

-- A form of text that says itself when two of its values are equal.
local folded = orm.type {
    column = "text",
    to_db = function(value) return "<" .. value .. ">" end,
    from_db = function(value) return value:sub(2, -2) end,
    equals = function(a, b) return a:lower() == b:lower() end,
}

-- A table in json, stored the other way round.
local set = orm.type {
    column = "json",
    to_db = function(value)
        local list = orm.array {}
        for name in pairs(value) do list[#list + 1] = name end
        table.sort(list)
        return list
    end,
    from_db = function(list)
        local value = {}
        for _, name in ipairs(list) do value[name] = true end
        return value
    end,
}

local code = orm.type {
    column = "string",
    to_db = function(value) return "C-" .. value end,
    from_db = function(value) return (value:gsub("^C%-", "")) end,
}

local Shop = orm.entity {
    name = "Shop", table = "shops",
    { "code", type = code, length = 20, primary = true },
    { "name", type = "string", nullable = true },
}

local Item = orm.entity {
    name = "Item", table = "items",
    { "id", type = "integer", primary = true },
    { "price", type = cents },
    { "old_price", type = cents, nullable = true, default = money(99) },
    { "label", type = folded, nullable = true },
    { "tags", type = set, nullable = true },
    { "cost", type = cents, nullable = true, hidden = true },
    { "started", type = cents, default_sql = "5" },
    { "shop", many_to_one = "Shop", nullable = true },
    { "version", type = "integer", version = true },
}

databases.each(function(db)
    local work, em, raw

    before_each(function()
        work = unit.open(db, { Shop, Item })
        em, raw = work.em, work.raw
    end)

    after_each(function()
        work:close()
        db:close()
    end)

    local function quiet()
        work:forget()
        em:flush()
        assert.equal(0, #work.log)
    end

    local function make(data)
        local e = em:create(Item, data)
        em:persist_and_flush(e)
        return e
    end

    it("U3: goes in by to_db and comes out by from_db, database defaults too", function()
        local e = make { price = money(150), label = "Tea", tags = { hot = true, green = true }, cost = money(70) }
        assert.same({ { "150", "99", "<Tea>", "70", "5" } },
            raw:rows "select price, old_price, label, cost, started from items")
        assert.equal(money(5), e.started)
        assert.equal(Money, getmetatable(e.price))
        local fresh = em:fork():find_one(Item, e.id)
        assert.equal(money(150), fresh.price)
        assert.equal(money(99), fresh.old_price)
        assert.equal("Tea", fresh.label)
        assert.same({ hot = true, green = true }, fresh.tags)
        assert.equal(money(70), fresh.cost)
        assert.is_nil(rawget(fresh, "cost"))
        assert.is_not_nil(rawget(fresh, "price"))
        quiet()
    end)

    it("U3: NULL is no value of the type: the converters never see it", function()
        local e = make { price = money(1), old_price = orm.null }
        assert.same({ { false, false, false } }, raw:rows "select old_price, label, cost from items")
        local fresh = em:fork():find_one(Item, e.id)
        assert.is_nil(fresh.old_price)
        assert.is_nil(fresh.label)
        assert.is_nil(fresh.tags)
        assert.is_nil(fresh.cost)
        e.label, e.cost, e.tags = "x", money(1), { a = true }
        em:flush()
        e.label, e.cost, e.tags = nil, nil, orm.null
        em:flush()
        assert.same({ { false, false, false } }, raw:rows "select label, cost, tags from items")
        assert.is_nil(rawget(e, "tags"))
        quiet()
    end)

    it("U2: a change inside the object is seen, and one that comes back is none", function()
        local e = make { price = money(150), tags = { a = true }, cost = money(3) }
        local price = e.price
        e.price.cents = 200
        em:flush()
        assert.equal("200", raw:value "select price from items")
        assert.equal(price, e.price)
        e.price.cents, e.tags.b = 7, true
        e.price.cents, e.tags.b = 200, nil
        quiet()
        e.price = money(200)
        quiet()
        e.tags.b = true
        local cost = e.cost
        cost.cents = 4
        em:flush()
        assert.equal("4", raw:value "select cost from items")
        assert.same({ a = true, b = true }, em:fork():find_one(Item, e.id).tags)
        local read = em:fork():find_one(Item, e.id)
        assert.equal(read.cost, read.cost)
    end)

    it("U2: equals decides what is a change", function()
        local e = make { price = money(1), label = "Tea" }
        e.label = "TEA"
        quiet()
        assert.equal("<Tea>", raw:value "select label from items")
        e.label = "Milk"
        em:flush()
        assert.equal("<Milk>", raw:value "select label from items")
    end)

    it("U4: what equals does not take is a change, and is refused when it cannot be stored", function()
        local e = make { price = money(1), label = "Tea" }
        for _, value in ipairs { 5, true } do
            e.label = value
            if value == true then
                local err = unit.raises("validation", em.flush, em)
                assert.equal("Item.label", err.entity .. "." .. err.property)
            else
                em:flush()
                assert.equal("<5>", raw:value "select label from items")
                raw:exec "update items set label = '<Tea>'"
                em:refresh(e)
            end
        end
        e.label = "Rum"
        em:flush()
        assert.equal("<Rum>", raw:value "select label from items")
    end)

    it("I3: unchanged ones are refreshed, changed ones stay", function()
        local e = make { price = money(1), label = "Tea", tags = { a = true }, cost = money(1) }
        local price = e.price
        em:find(Item, { id = e.id })
        assert.equal(price, e.price)
        raw:exec "update items set price = 2, label = '<Rum>', tags = '[\"b\"]', cost = 2"
        em:find(Item, { id = e.id })
        assert.equal(money(2), e.price)
        assert.equal("Rum", e.label)
        assert.same({ b = true }, e.tags)
        assert.equal(money(2), e.cost)
        quiet()
        e.price.cents = 50
        raw:exec "update items set price = 3, label = null, old_price = null"
        em:find(Item, { id = e.id }, { flush_mode = "commit" })
        assert.equal(money(50), e.price)
        assert.is_nil(e.label)
        assert.is_nil(e.old_price)
        em:flush()
        assert.same({ { "50", false } }, raw:rows "select price, label from items")
        e.price.cents = 60
        em:refresh(e)
        assert.equal(money(50), e.price)
    end)

    it("I5: partial loads convert what they read and write what was assigned", function()
        local id = make({ price = money(1), label = "Tea" }).id
        local other = em:fork()
        local e = other:find(Item, { id = id }, { fields = { "price" } })[1]
        assert.equal(money(1), e.price)
        unit.raises("not_loaded", function() return e.label end)
        e.label = "Milk"
        work:forget()
        other:flush()
        assert.equal(1, work:writes())
        assert.same({ { "1", "<Milk>", "99" } }, raw:rows "select price, label, old_price from items")
    end)

    it("filters, update_where and lists take the program's values", function()
        local a, b = make { price = money(1), label = "Tea" }, make { price = money(2), label = "Milk" }
        assert.equal(a, em:find_one(Item, { price = money(1) }))
        assert.equal(b, em:find_one(Item, { price = op.gt(money(1)) }))
        assert.equal(b, em:find_one(Item, { label = op.one_of { "Milk", "Rum" } }))
        assert.equal(2, em:count(Item, { price = op.between(money(0), money(5)) }))
        assert.equal(1, em:update_where(Item, { label = "Milk" }, { price = money(9), old_price = orm.null }))
        assert.same({ { "9", false } }, raw:rows "select price, old_price from items where label = '<Milk>'")
    end)

    it("unmanaged reads convert as well", function()
        make { price = money(1), label = "Tea", cost = money(3) }
        local e = em:find(Item, {}, { managed = false })[1]
        assert.equal(money(1), e.price)
        assert.equal("Tea", e.label)
        assert.equal(money(3), e.cost)
        assert.is_nil(rawget(e, "cost"))
    end)

    it("U4: what a converter refuses is validation of its property, before any statement", function()
        local e = make { price = money(1) }
        work:forget()
        e.price = 5
        local err = unit.raises("validation", em.flush, em)
        assert.equal("Item", err.entity)
        assert.equal("price", err.property)
        assert.is_truthy(tostring(err.cause):find("not money", 1, true))
        assert.is_nil(tostring(err):find("not money", 1, true))
        e.price = money(2 ^ 40)
        err = unit.raises("validation", em.flush, em)
        assert.equal("price", err.property)
        e.price = money(3)
        local new = em:create(Item, { price = money(1), label = {} })
        em:persist(new)
        err = unit.raises("validation", em.flush, em)
        assert.equal("label", err.property)
        assert.equal(0, #work.log)
        unit.raises("validation", em.find, em, Item, { price = 5 }, { flush_mode = "commit" })
        new.label = nil
        em:flush()
        assert.equal("2", raw:value "select count(*) from items where price in (1, 3)")
    end)

    it("F1: a failed flush leaves the program's objects", function()
        local e = make { price = money(1) }
        local price, label = money(2), "x"
        e.price, e.label = price, label
        raw:exec "update items set version = 7"
        unit.raises("optimistic_lock", em.flush, em)
        assert.equal(price, e.price)
        assert.equal(label, e.label)
        em:refresh(e)
        e.price = price
        em:flush()
        assert.equal("2", raw:value "select price from items")
        pcall(em.transactional, em, function()
            e.price.cents = 3
            em:flush()
            error "no"
        end)
        assert.equal(money(2), e.price)
        assert.equal("2", raw:value "select price from items")
        quiet()
    end)

    it("I1: a key of a custom type, and foreign keys to it", function()
        local shop = em:create(Shop, { code = "7", name = "Corner" })
        local e = em:create(Item, { price = money(1), shop = shop })
        em:persist(e)
        em:flush()
        assert.same({ { "C-7", "Corner" } }, raw:rows "select code, name from shops")
        assert.equal("C-7", raw:value "select shop_code from items")
        work:forget()
        assert.equal(shop, em:find_one(Shop, "7"))
        assert.equal(shop, em:find_one(Shop, { code = "7" }))
        assert.equal(shop, em:get_reference(Shop, "7"))
        assert.equal(0, #work.log)
        unit.raises("validation", em.create, em, Shop, { code = "7" })
        local other = em:fork()
        local read = other:find_one(Item, e.id)
        assert.equal("7", read.shop.code)
        assert.equal(read.shop, other:get_reference(Shop, "7"))
        other:load(read, { "shop" })
        assert.equal("Corner", read.shop.name)
        assert.equal(1, #other:find(Item, { shop = read.shop }))
        assert.equal(1, #other:find(Item, { shop = "7" }))
        assert.equal("8", other:insert(Shop, { code = "8" }))
        local second = other:create(Item, { price = money(1), shop = "8" })
        other:persist_and_flush(second)
        assert.equal("C-8", raw:value(("select shop_code from items where id = %d"):format(second.id)))
        assert.equal("Corner", em:fork():merge(shop).name)
        em:remove(e, shop):flush()
        assert.equal("1", raw:value "select count(*) from shops")
    end)

    it("after_commit is told the program's values", function()
        local seen
        work.instance:on("after_commit", function(changes) seen = changes end)
        local e = make { price = money(1) }
        assert.equal(money(1), seen[1].values.price)
        e.price = money(2)
        em:flush()
        assert.equal(money(2), seen[1].values.price)
        assert.equal(money(1), seen[1].old.price)
    end)
end)
