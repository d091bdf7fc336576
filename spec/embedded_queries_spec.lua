-- Embedded values in queries, in data, in the schema and in families: columns under a prefix.

local orm = require "heddle"
local databases = require "spec.support.databases"
local unit = require "spec.support.unit"

local op = orm.op

local Geo = orm.embeddable { name = "Geo", { "lat", type = "decimal", precision = 9, scale = 2, nullable = true } }
local Address = orm.embeddable {
    name = "Address",
    { "city", type = "string", unique = true },
    { "zip", type = "integer", nullable = true, check = "zip > 0 and length('zip') = 3 and \"zip\" > 0" },
    { "kind", enum = { "home", "office" }, default = "home", index = true },
    { "line", type = "string", nullable = true, generated = "upper(city)" },
    { "floor", type = "integer", default_sql = "7", nullable = true },
    { "geo", embedded = Geo, nullable = true, prefix = "at_" },
    { "tags", type = "json", nullable = true },
}
local Office = orm.entity {
    name = "Office",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "address", embedded = Address },
    { "secret", embedded = Geo, hidden = true, nullable = true },
    { "branch", embedded = Geo, lazy = true, nullable = true },
    uniques = { { "address.zip", "name" } }, indexes = { { "name", "address.geo.lat desc" } },
}
local Person = orm.entity {
    name = "Person",
    { "id", type = "integer", primary = true },
    { "office", many_to_one = "Office", nullable = true },
    { "home", embedded = Geo, nullable = true },
}

databases.each(function(db)
    local work, em, raw

    before_each(function()
        work = unit.open(db, { Office, Person })
        em, raw = work.em, work.raw
        em:persist(em:create(Office, { name = "a", address = { city = "x", zip = 5, geo = { lat = 10 } },
            secret = { lat = 1 } }),
            em:create(Office, { name = "b", address = { city = "y", zip = 30, kind = "office",
                geo = { lat = "9.5" } } }),
            em:create(Office, { name = "c", address = { city = "X", floor = orm.null, tags = { 1 } } }))
        em:flush()
        em:persist(em:create(Person, { office = em:find_one(Office, { name = "a" }), home = { lat = 3 } }), Person {})
        em:flush()
    end)

    after_each(function()
        work:close()
        db:close()
    end)

    local function names(where, opts)
        local found = {}
        for i, e in ipairs(em:find(Office, where, opts or { order_by = { "id" } })) do found[i] = e.name end
        return table.concat(found)
    end

    it("Q1: conditions on members, nested ones and operators over them", function()
        assert.equal("a", names { address = { city = "x" } })
        assert.equal("ab", names { address = { zip = op.gte(5), geo = { lat = op.gt(9) } } })
        assert.equal("b", names { address = { geo = { lat = op.lt(10) } } })
        assert.equal("ac", names { address = op.any { { city = "x" }, { geo = orm.null } } })
        assert.equal("bc", names { address = op.negate { city = "x" } })
        assert.equal("ab", names { address = { geo = op.not_null() } })
        assert.equal("c", names { address = { geo = op.is_null() } })
        assert.equal("c", names { address = { geo = op.eq(orm.null) } })
        assert.equal("ab", names { address = { geo = op.ne(orm.null) } })
        assert.equal("a", names { address = { geo = Geo { lat = "10" } } })
        assert.equal("b", names { address = op.all { { zip = op.gt(1) }, { kind = "office" } } })
        assert.equal("ab", names { address = { line = op.one_of { "X", "Y" }, zip = op.not_null() } })
        assert.equal("b", names { op = nil, address = { kind = op.ne("home") } })
        assert.equal(1, em:count(Person, { office = { address = { city = "x", geo = { lat = 10 } } } }))
        assert.equal(1, em:count(Person, { home = orm.null }))
        assert.equal(1, em:count(Office, { secret = { lat = 1 } }))
    end)

    it("Q1: what is no member, no value or hidden is refused", function()
        local function refused(kind, where, of)
            return tostring(unit.raises(kind, em.find, em, of or Office, where))
        end
        assert.truthy(refused("unknown_property", { address = { ctiy = "x" } }):find("did you mean 'city'", 1, true))
        refused("unknown_property", { address = { geo = { lta = 1 } } })
        refused("unknown_property", { address = { "x" } })
        refused("validation", { address = {} })
        refused("validation", { address = "x" })
        refused("validation", { address = { city = { evil = 1 } } })
        refused("validation", { address = op.like "x" })
        refused("validation", { address = Office {} })
        refused("validation", { address = { zip = "abc" } })
        refused("unknown_property", { office = { secret = { lat = 1 } } }, Person)
        refused("unknown_property", { ["address.city"] = "x" })
    end)

    it("Q4: order by members, also through a relation; NULLs alike", function()
        assert.equal("abc", names({}, { order_by = { "address.zip" } }))
        assert.equal("cba", names({}, { order_by = { { ["address.zip"] = "desc" } } }))
        assert.equal("bac", names({}, { order_by = { "address.geo.lat asc nulls last" } }))
        local people = em:find(Person, {}, { order_by = { "office.address.zip desc nulls last" } })
        assert.is_not_nil(people[1].office)
        for _, term in ipairs { "address.ctiy", "address.geo.lta", "office.x" } do
            unit.raises("unknown_property", em.find, em, Office, {}, { order_by = { term } })
        end
        for _, term in ipairs { "address", "address.geo", "address.tags", "name.x" } do
            assert.is_false(pcall(em.find, em, Office, {}, { order_by = { term } }))
        end
    end)

    it("I5: fields, exclude and populate take a value or a member of it, and load the value as a whole", function()
        em:clear()
        local e = em:find_one(Office, { name = "a" }, { fields = { "name", "address.city" } })
        assert.equal(5, e.address.zip)
        assert.equal("x", e.address.city)
        assert.is_true(orm.is_error(select(2, pcall(function() return e.branch end)), "not_loaded"))
        em:clear()
        e = em:find_one(Office, { name = "a" }, { exclude = { "address" } })
        assert.is_true(orm.is_error(select(2, pcall(function() return e.address end)), "not_loaded"))
        unit.raises("validation", em.find, em, Office, {}, { exclude = { "address.city" } })
        unit.raises("unknown_property", em.find, em, Office, {}, { fields = { "address.ctiy" } })
        em:clear()
        e = em:find_one(Office, { name = "a" }, { populate = { "branch.lat" } })
        assert.is_nil(e.branch)
        em:clear()
        local person = em:find(Person, { office = op.not_null() }, { populate = { "office.branch" } })[1]
        assert.is_nil(person.office.branch)
        unit.raises("unknown_property", em.find, em, Office, {}, { populate = { "address.city.x" } })
    end)

    it("contract 3: update_where sets the members that data names; a value of the embeddable sets all", function()
        assert.equal(1, em:update_where(Office, { address = { city = "x" } },
            { address = { zip = 6, geo = { lat = orm.null } } }))
        assert.same({ { "x", "6", false, "7" } },
            raw:rows "select address_city, address_zip, address_at_lat, address_floor from office where name = 'a'")
        em:update_where(Office, { name = "b" }, { address = Address { city = "whole" }, secret = { lat = 4 } })
        assert.same({ { "whole", false, "home", false, "4.00" } },
            raw:rows("select address_city, address_zip, address_kind, address_at_lat, secret_lat from office "
                .. "where name = 'b'"))
        em:update_where(Office, { name = "b" }, { address = { zip = op.raw("40 + ?", 2) }, secret = orm.null })
        assert.same({ { "42", false } }, raw:rows "select address_zip, secret_lat from office where name = 'b'")
        local function refused(kind, path, data)
            assert.equal(path, unit.raises(kind, em.update_where, em, Office, { name = "a" }, data).property)
        end
        refused("validation", "address", { address = orm.null })
        refused("validation", "address.city", { address = { city = orm.null } })
        refused("validation", "address.line", { address = { line = "X" } })
        refused("validation", "address", { address = 5 })
        refused("validation", "address", { address = op.raw "1" })
        refused("unknown_property", "address", { address = { ctiy = 5 } })
        refused("validation", "address.kind", { address = { kind = "tent" } })
    end)

    it("contract 3: insert, upsert by a member's unique key, merge fields", function()
        em:insert(Office, { name = "d", address = { city = "d", geo = { lat = 1 } } })
        local e, inserted = em:upsert(Office, { name = "e", address = { city = "d", zip = 9 } },
            { on_conflict_fields = { "address.city" }, on_conflict_merge_fields = { "address.zip" } })
        assert.is_false(inserted)
        assert.same({ "d", "d", 9, "1.00" }, { e.name, e.address.city, e.address.zip, e.address.geo.lat })
        e, inserted = em:upsert(Office, { name = "f", address = { city = "f" } },
            { on_conflict_fields = { "address.city" } })
        assert.is_true(inserted)
        assert.equal(7, e.address.floor)
        e, inserted = em:upsert(Office, { name = "g", address = { city = "f", floor = 3 } })
        assert.is_false(inserted)
        assert.same({ "g", 3, "F" }, { e.name, e.address.floor, e.address.line })
        e = em:upsert_many(Office, { { id = e.id, name = "h", address = { city = "h" } } })[1]
        assert.same({ "h", "home" }, { e.address.city, e.address.kind })
        unit.raises("unknown_property", em.upsert, em, Office, { name = "x", address = { city = "f" } },
            { on_conflict_fields = { "address.ctiy" } })
    end)

    it("U4, F5: keys, checks, enums and generated columns of members; errors name the member", function()
        local a, b = em:find_one(Office, { name = "a" }), em:find_one(Office, { name = "b" })
        assert.equal("X", a.address.line)
        a.address.city = "y"
        b.address.city = "x"
        em:flush()
        assert.same({ "Y", "X" }, { a.address.line, b.address.line })
        local c = em:create(Office, { name = "z", address = { city = "x" } })
        local err = unit.raises("unique_violation", em.persist_and_flush, em, c)
        assert.equal("address.city", err.property)
        em:detach(c)
        b.address.zip = -1
        err = unit.raises("check_violation", em.flush, em)
        assert.equal("address.zip", err.property)
        em:refresh(b)
        a.address.line = "mine"
        em:flush()
        assert.equal("Y", a.address.line)
        assert.is_false(pcall(raw.exec, raw,
            "insert into office (name, address_city, address_kind) values ('q', 'q', 'tent')"))
        raw:exec "insert into office (name, address_city) values ('q', 'q')"
        local q = em:find_one(Office, { name = "q" })
        assert.same({ "home", 7, "Q" }, { q.address.kind, q.address.floor, q.address.line })
    end)

    it("I1: em:map takes rows with all columns of a value; a part of them leaves it unloaded", function()
        local function select_row(columns)
            return em:execute("select " .. columns .. " from office where name = 'a'")[1]
        end
        local known = em:find_one(Office, { name = "a" })
        local address = known.address
        raw:exec "update office set address_zip = 77 where name = 'a'"
        assert.equal(known, em:map(Office, select_row "*"))
        assert.equal(address, known.address)
        assert.equal(77, address.zip)
        em:clear()
        local e = em:map(Office, select_row "*")
        assert.same({ "x", 77, "10.00" }, { e.address.city, e.address.zip, e.address.geo.lat })
        em:clear()
        e = em:map(Office, select_row "id, name, address_city")
        assert.is_true(orm.is_error(select(2, pcall(function() return e.address end)), "not_loaded"))
        e.name = "z"
        em:flush()
        assert.same({ { "z", "x", "77" } },
            raw:rows "select name, address_city, address_zip from office where name = 'z'")
    end)

    it("contract 3: an expression of SQL may be the value of a member", function()
        local e = em:find_one(Office, { name = "a" })
        e.address.zip = op.raw("address_zip + ?", 10)
        em:flush()
        assert.equal(15, e.address.zip)
        assert.same({ { "15" } }, raw:rows "select address_zip from office where name = 'a'")
    end)

    it("M1: wrong options and clashing columns are metadata errors that say where", function()
        local function refused(properties, ...)
            local err = unit.raises("metadata", function()
                local E = orm.entity { name = "E", { "id", type = "integer", primary = true }, properties[1],
                    properties[2] }
                orm.register({ E }, work.instance.context_name)
            end)
            for _, text in ipairs { ... } do assert.truthy(tostring(err):find(text, 1, true), tostring(err)) end
        end
        refused({ { "x", embedded = Geo, prefix = "" }, { "lat", type = "integer" } }, "'lat'", "prefix")
        refused({ { "x", embedded = Address, object = true } }, "'x.city'", "unique")
        refused({ { "x", embedded = Geo, object = true, prefix = "a" } }, "'x'", "prefix")
        refused({ { "x", embedded = Geo, array = true, object = false } }, "'x'", "array")
        refused({ { "x", embedded = Geo, column = "a" } }, "'x'", "object")
        refused({ { "x", embedded = Geo, primary = true } }, "'x'", "primary")
        unit.raises("metadata", orm.embeddable, { name = "B", { "a", type = "text", lazy = true } })
        unit.raises("metadata", orm.embeddable, { name = "B", { "a", type = "text", hidden = true } })
        local Nothing = orm.embeddable { name = "Nothing", { "a", persist = false } }
        refused({ { "x", embedded = Nothing } }, "'x'", "stored")
        assert.has_error(function() function Address.city() end end)
    end)
end)
