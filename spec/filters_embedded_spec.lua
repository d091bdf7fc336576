-- Filters over lists of embedded values and what is inside of these, to any depth, alike on both drivers.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"
local unit = require "spec.support.unit"

local op = orm.op
local raises = expect.raises

local Geo = orm.embeddable { name = "Geo",
    { "lat", type = "decimal", precision = 9, scale = 2, nullable = true },
    { "day", type = "date", nullable = true, column = "on_day" },
}
local Phone = orm.embeddable { name = "Phone",
    { "kind", type = "string" },
    { "number", type = "string", nullable = true },
    { "calls", type = "bigint", nullable = true },
    { "spots", embedded = Geo, array = true, nullable = true },
    { "tags", array_of = "text", nullable = true },
    { "data", type = "json", nullable = true },
    { "at", type = "timestamp", nullable = true },
    { "open", type = "boolean", nullable = true },
    { "key", type = "blob", nullable = true },
    { "ref", type = "uuid", nullable = true },
    { "ratio", type = "double", nullable = true },
    { "geo", embedded = Geo, nullable = true },
}
local House = orm.embeddable { name = "House", { "street", type = "string", nullable = true },
    { "phones", embedded = Phone, array = true, nullable = true } }
local Person = orm.entity { name = "Person",
    { "id", type = "integer", primary = true },
    { "phones", embedded = Phone, array = true, nullable = true },
    { "main", embedded = Phone, object = true, nullable = true },
    { "house", embedded = House, nullable = true },
    { "boss", many_to_one = "Person", nullable = true },
    { "staff", one_to_many = "Person", mapped_by = "boss" },
    { "secret", embedded = Geo, array = true, nullable = true, hidden = true },
}
local UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"

databases.each(function(db)
    describe("filters over lists of embedded values", function()
        local work, em

        before_each(function()
            work = unit.open(db, { Person })
            em = work.em
            em:insert_many(Person, {
                { phones = { { kind = "home", number = "1", calls = "9007199254740991", tags = { "a", "b" },
                    spots = { { lat = "1.5" }, { lat = 2, day = "2020-01-01" } }, data = { x = 1 }, at = 1000.5,
                    open = true, key = "\0\255", ref = UUID, ratio = 0.5 }, { kind = "work" } },
                    main = { kind = "m", spots = { { lat = 3 } }, tags = { "q" }, data = { 1, 2 } },
                    secret = { { lat = 7 } } },
                { phones = { { kind = "home", geo = { lat = 5 } } }, main = { kind = "z" },
                    house = { street = "s", phones = { { kind = "door" }, { kind = "roof", number = "r" } } } },
                { phones = orm.array {} },
                { boss = 1 },
            })
        end)

        after_each(function()
            work:close()
            db:close()
        end)

        local function ids(where)
            local found = em:find(Person, where, { order_by = { "id" }, managed = false })
            for i, e in ipairs(found) do found[i] = e.id end
            assert.equal(#found, em:count(Person, where))
            return table.concat(found, " ")
        end

        it("Q5: some, none and every; no list is an empty one, and a NULL member fails", function()
            assert.equal("1 2", ids { phones = op.some { kind = "home" } })
            assert.equal("2 3 4", ids { phones = op.every { kind = "home" } })
            assert.equal("2 3 4", ids { phones = op.none { kind = "work" } })
            assert.equal("1 2", ids { phones = op.some {} })
            assert.equal("3 4", ids { phones = op.none {} })
            assert.equal("1 2", ids { phones = op.some { number = orm.null } })
            assert.equal("3 4", ids { phones = op.every { number = "1" } })
            assert.equal("3 4", ids { phones = op.every { number = op.ne "2" } })
            assert.equal("3 4", ids(op.negate { phones = op.some { kind = "home" } }))
            assert.equal("1", ids { phones = op.all { op.some { kind = "home" }, op.some { kind = "work" } } })
            assert.equal("1 3 4", ids { phones = op.any { op.some { kind = "work" }, op.none {} } })
            assert.equal("1 2", ids { phones = op.negate(op.none {}) })
            assert.equal("1", ids { phones = op.some(op.any { { kind = "work" }, { number = "2" } }) })
            assert.equal("1", ids { phones = op.some(op.negate { kind = "home" }) })
        end)

        it("members of every type compare by their values", function()
            for name, value in pairs { calls = "9007199254740991", at = 1000.5, open = true, key = "\0\255", ref = UUID,
                ratio = 0.5, number = "1" } do
                assert.equal("1", ids { phones = op.some { [name] = value } }, name)
                assert.equal("1", ids { phones = op.some { [name] = op.one_of { value } } }, name)
            end
            assert.equal("1", ids { phones = op.some { calls = op.gt "9007199254740990" } })
            assert.equal("", ids { phones = op.some { calls = op.gt "9007199254740991" } })
            assert.equal("1", ids { phones = op.some { at = op.between(1000, 1001) } })
            assert.equal("1", ids { phones = op.some { tags = op.contains "a" } })
            assert.equal("1", ids { phones = op.some { tags = op.overlaps { "z", "b" } } })
            assert.equal("1", ids { phones = op.some { tags = { "a", "b" } } })
            assert.equal("1", ids { phones = op.some { data = { x = 1 } } })
            assert.equal("1", ids { phones = op.some { data = op.json("x", op.gt(0)) } })
            assert.equal("1", ids { phones = op.some { data = op.contains { x = 1 } } })
            assert.equal("1", ids { phones = op.some { number = op.like "1" } })
        end)

        it("lists and objects inside items, of other entities, in columns and in objects", function()
            assert.equal("1", ids { phones = op.some { spots = op.some { lat = op.gt "1.6", day = "2020-01-01" } } })
            assert.equal("1 2", ids { phones = op.some { spots = op.every { lat = op.gt(1) }, kind = "home" } })
            assert.equal("2", ids { phones = op.some { spots = op.every { lat = op.gt "1.6" }, kind = "home" } })
            assert.equal("2", ids { phones = op.some { geo = { lat = 5 } } })
            assert.equal("1", ids { phones = op.some { geo = orm.null } })
            assert.equal("1", ids { main = { spots = op.some { lat = 3 } } })
            assert.equal("2", ids { house = { phones = op.some { kind = "roof" } } })
            assert.equal("2", ids { house = { street = "s", phones = op.every { kind = op.like "%o%" } } })
            assert.equal("4", ids { boss = { phones = op.some { kind = "work" } } })
            assert.equal("1", ids { staff = op.some { boss = { phones = op.some { spots = op.some { lat = 2 } } } } })
            assert.equal("1", ids { secret = op.some { lat = 7 } })
            raises("unknown_property", function() em:find(Person, { boss = { secret = op.some { lat = 7 } } }) end)
        end)

        it("whole lists and values are equal as what is stored", function()
            assert.equal("2", ids { phones = { { kind = "home", geo = { lat = "5.00" } } } })
            assert.equal("2", ids { phones = op.eq { Phone { kind = "home", geo = Geo { lat = 5 } } } })
            assert.equal("1 3", ids { phones = op.ne { { kind = "home", geo = { lat = 5 } } } })
            assert.equal("3", ids { phones = orm.array {} })
            assert.equal("4", ids { phones = orm.null })
            assert.equal("1 2 3", ids { phones = op.not_null() })
            assert.equal("2", ids { main = Phone { kind = "z" } })
            assert.equal("1", ids { phones = op.some(Phone { kind = "work" }) })
            assert.equal("1", ids { main = { spots = { { lat = 3 } } } })
        end)

        it("update_where and delete_where take them", function()
            assert.equal(1, em:update_where(Person, { phones = op.some { kind = "work" } }, { main = orm.null }))
            assert.equal(1, em:delete_where(Person, { boss = { phones = op.some { kind = "work" } } }))
            assert.same({ { "1" }, { "2" }, { "3" } }, work.raw:rows "select id from person order by id")
        end)

        it("Q1: what a list cannot be compared with is refused", function()
            for _, value in ipairs { { kind = "home" }, "x", 1, op.gt(1), op.like "x", op.every {}, op.some(orm.null),
                op.some "x", op.some { number = {} }, op.some(op.is_null()), op.some(op.gt(1)), { { kind = 5 } },
                op.one_of { {} }, op.some { 1 }, op.raw "1", Phone { kind = "x" } } do
                local err = expect.raises(type(value) == "table" and rawget(value, "kind") == "some"
                    and type(value.value) == "table" and value.value[1] == 1 and "unknown_property" or "validation",
                    function() em:find(Person, { phones = value }) end, "phones")
                assert.truthy(tostring(err.property):find "^phones")
            end
            raises("unknown_property", function() em:find(Person, { phones = op.some { knd = 1 } }) end, "'kind'")
            raises("unknown_property", function() em:find(Person, {}, { order_by = { "phones.kind" } }) end)
        end)
    end)
end)
