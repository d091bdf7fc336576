-- Embedded values in a json column: one object, or an array of them.

local orm = require "heddle"
local databases = require "spec.support.databases"
local unit = require "spec.support.unit"

local op = orm.op

local cents = orm.type {
    column = "integer",
    to_db = function(value) return value.cents end,
    from_db = function(value) return { cents = value } end,
}

local Geo = orm.embeddable {
    name = "Geo",
    { "lat", type = "decimal", precision = 9, scale = 2 },
    { "lon", type = "decimal", precision = 9, scale = 2, nullable = true },
}

local Address = orm.embeddable {
    name = "Address",
    { "city", type = "string", length = 10 },
    { "zip", type = "bigint", nullable = true, column = "post code" },
    { "kind", enum = { "home", "office" }, default = "home" },
    { "since", type = "timestamp", nullable = true },
    { "opened", type = "date", nullable = true },
    { "rate", type = "double", nullable = true },
    { "open", type = "boolean", nullable = true },
    { "ref", type = "uuid", nullable = true },
    { "key", type = "blob", nullable = true },
    { "rent", type = cents, nullable = true },
    { "iso", type = "timestamp", nullable = true, as = "iso8601" },
    { "tags", array_of = "text", nullable = true },
    { "days", array_of = "timestamp", nullable = true },
    { "data", type = "json", nullable = true },
    { "geo", embedded = Geo, nullable = true },
    { "spots", embedded = Geo, array = true, nullable = true },
    { "note", persist = false },
}
function Address:label() return self.city .. "/" .. self.kind end

local Audit = orm.embeddable {
    name = "Audit",
    { "by", type = "string", nullable = true },
    { "created", type = "integer", nullable = true, on_create = function(user) return #user.name end },
    { "updated", type = "integer", nullable = true, on_update = function() return 100 end },
}

local User = orm.entity {
    name = "User", table = "users",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "address", embedded = Address, object = true },
    { "work", embedded = Address, object = true, nullable = true, column = "office" },
    { "past", embedded = Address, array = true, nullable = true },
    { "audit", embedded = Audit, object = true, nullable = true },
    { "log", embedded = Audit, nullable = true },
    { "secret", embedded = Geo, object = true, nullable = true, hidden = true },
}

databases.each(function(db)
    local work, em, raw
    local uuid = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"

    before_each(function()
        work = unit.open(db, { User })
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
        local e = em:create(User, data)
        em:persist_and_flush(e)
        return e
    end

    local function stored(column) return work.em:execute("select " .. column .. " as v from users")[1].v end

    local function document(column)
        local value = stored(column or "address")
        return type(value) == "string" and require("heddle.core").decode(value) or value
    end

    local everything = {
        city = "Kraków", zip = "9007199254740993", kind = "office", since = "2026-01-31T10:00:00.25+02:00",
        opened = "2024-02-29", rate = 0.1, open = false, ref = uuid:upper(), key = "\0\255x", rent = { cents = 5 },
        iso = 0, tags = { "a", orm.null }, days = { 0, "1970-01-01T00:00:01.5Z" }, data = { a = { 1, orm.null } },
        geo = { lat = 1, lon = "2.5" }, spots = { { lat = "3" }, { lat = 4, lon = 5 } },
    }

    it("U3, U7: every type is stored in one form, and a read gives what the flush left", function()
        local e = make { name = "Ann", address = everything }
        assert.equal("2.50", e.address.geo.lon)
        assert.equal(1769846400.25, e.address.since)
        assert.equal("1970-01-01T00:00:00Z", e.address.iso)
        assert.equal(uuid, e.address.ref)
        assert.same({ 0, 1.5 }, e.address.days)
        assert.equal("5.00", e.address.spots[2].lon)
        assert.equal("Kraków/office", e.address:label())
        quiet()
        local fresh = em:fork():find_one(User, e.id)
        assert.same(e.address, fresh.address)
        assert.equal("\0\255x", fresh.address.key)
        assert.equal("9007199254740993", tostring(fresh.address.zip))
        assert.equal("Kraków/office", fresh.address:label())
        local value = document()
        assert.equal("2026-01-31T08:00:00.250000Z", value.since)
        assert.equal("1.00", value.geo.lat)
        assert.equal("00ff78", value.key)
        assert.equal(5, value.rent)
        assert.equal("9007199254740993", tostring(value["post code"]))
        assert.is_nil(value.note)
    end)

    it("U3: absent is NULL, an absent member is not in the document; a list keeps its order", function()
        local e = make { name = "Ann", address = { city = "x", note = "n" },
            past = { { city = "a" }, Address { city = "b", kind = "office" } } }
        assert.same({ city = "x", kind = "home" }, document())
        assert.same({ { false } }, raw:rows "select office from users")
        assert.equal("b/office", e.past[2]:label())
        assert.same({ { city = "a", kind = "home" }, { city = "b", kind = "office" } }, document "past")
        local fresh = em:fork():find_one(User, e.id)
        assert.same({ { city = "a", kind = "home" }, { city = "b", kind = "office" } }, fresh.past)
        assert.equal("a/home", fresh.past[1]:label())
        assert.is_nil(fresh.work)
        assert.is_nil(fresh.address.note)
        assert.equal("n", e.address.note)
        e.past = {}
        em:flush()
        assert.same({ { "[]" } }, raw:rows "select past from users")
        assert.same({}, em:fork():find_one(User, e.id).past)
        quiet()
    end)

    it("U1, U2: documents are compared by what they hold, in normal form; changes deep inside are written", function()
        local e = make { name = "Ann", address = { city = "x", geo = { lat = 1 }, spots = { { lat = 1 } },
            data = { a = 1, b = 2 } },
            past = { { city = "a" } } }
        local address = e.address
        e.address.geo.lat, e.address.spots[1].lat, e.address.data = "1.0", 1.0, { b = 2, a = 1 }
        quiet()
        assert.equal("1.00", e.address.geo.lat)
        e.address = { data = { a = 1, b = 2 }, spots = { { lat = "1.00" } }, geo = { lat = "1" }, city = "x",
            kind = "home" }
        quiet()
        assert.equal("x/home", e.address:label())
        e.address.spots[1].lat = 9
        e.past[1].city = "b"
        e.past[2] = { city = "c" }
        em:flush()
        assert.equal("9.00", document().spots[1].lat)
        assert.equal("9.00", e.address.spots[1].lat)
        assert.same({ { city = "b", kind = "home" }, { city = "c", kind = "home" } }, document "past")
        assert.equal("c/home", e.past[2]:label())
        table.remove(e.past, 1)
        em:flush()
        assert.same({ { city = "c", kind = "home" } }, document "past")
        quiet()
        local _ = address
    end)

    it("I3: a row that is read again refreshes the value in place, unless it was changed", function()
        local e = make { name = "Ann", address = { city = "x" }, past = { { city = "a" } } }
        local address, past = e.address, e.past
        address.note = "mine"
        em:fork():update_where(User, { id = e.id }, { address = Address { city = "y", geo = { lat = 2 } },
            past = { { city = "b" }, { city = "c" } } })
        em:find(User, { id = e.id })
        assert.equal(address, e.address)
        assert.equal(past, e.past)
        assert.same({ city = "y", kind = "home", geo = { lat = "2.00" }, note = "mine" }, address)
        assert.equal("c/home", past[2]:label())
        quiet()
        address.city = "mine"
        em:fork():update_where(User, { id = e.id }, { address = { city = "theirs" }, past = orm.null })
        em:find(User, { id = e.id }, { flush_mode = "commit" })
        assert.equal("mine", e.address.city)
        assert.is_nil(e.past)
        em:flush()
        assert.equal("mine", document().city)
    end)

    it("U1: what an older program left in a document is no change, and no fault until it is written", function()
        local document_text = [[{"city": "old town far away", "kind": "tent", "more": 1, "since": null,
            "geo": {"lat": "1.5"}}]]
        raw:exec("insert into users (name, address) values ('Ann', '" .. document_text .. "')")
        local e = em:find_one(User, { name = "Ann" })
        assert.equal("old town far away", e.address.city)
        assert.equal("1.50", e.address.geo.lat)
        quiet()
        em:find(User, { id = e.id })
        quiet()
        e.name = "Bob"
        em:flush()
        assert.equal(1, document().more)
        e.address.city = "new"
        assert.equal("address.kind", unit.raises("validation", em.flush, em).property)
        e.address.kind = "home"
        em:flush()
        assert.same({ city = "new", kind = "home", geo = { lat = "1.50" } }, document())
    end)

    it("U4: bad values are refused before the first statement, by the member's path", function()
        local function refused(path, data)
            local e = em:create(User, data)
            local err = unit.raises("validation", em.persist_and_flush, em, e)
            assert.equal(path, err.property)
            em:clear()
        end
        work:forget()
        refused("address.city", { name = "x", address = {} })
        refused("address.city", { name = "x", address = { city = 5 } })
        refused("address.city", { name = "x", address = { city = "longer than ten" } })
        refused("address.geo.lat", { name = "x", address = { city = "x", geo = { lat = "1.234" } } })
        refused("address.spots.2.lat", { name = "x", address = { city = "x", spots = { { lat = 1 }, {} } } })
        refused("address.rate", { name = "x", address = { city = "x", rate = 1 / 0 } })
        refused("address.rent", { name = "x", address = { city = "x", rent = 5 } })
        refused("address.zip", { name = "x", address = { city = "x", zip = op.raw "1" } })
        refused("past.1.kind", { name = "x", address = { city = "x" }, past = { { city = "a", kind = "tent" } } })
        refused("address", { name = "x" })
        assert.equal(0, work:writes())
        local err = unit.raises("unknown_property", em.create, em, User,
            { address = { city = "x" }, past = { { ctiy = "x" } } })
        assert.equal("past.1.ctiy", err.property)
        unit.raises("validation", em.create, em, User, { past = { city = "x" } })
        unit.raises("validation", em.create, em, User, { past = { "text" } })
        local e = make { name = "x", address = { city = "x" } }
        assert.equal("past.2", unit.raises("validation", function() e.past = { { city = "a" }, "text" } end).property)
        e.past = { { city = "a" } }
        e.past[2] = "text"
        assert.equal("past.2", unit.raises("validation", em.flush, em).property)
        e.past[2] = { ctiy = "b" }
        assert.equal("past.2.ctiy", unit.raises("unknown_property", em.flush, em).property)
    end)

    it("F1: a failed flush and a rollback give back values in place", function()
        local e = make { name = "Ann", address = { city = "x", geo = { lat = 1 } }, past = { { city = "a" } } }
        local address, geo, past, first = e.address, e.address.geo, e.past, e.past[1]
        pcall(em.transactional, em, function()
            e.address.city, e.address.geo.lat = "y", "7"
            e.past[1].city, e.past[2] = "b", { city = "c" }
            em:flush()
            e.address.geo = nil
            error "undo"
        end)
        assert.equal(address, e.address)
        assert.same({ city = "x", kind = "home", geo = { lat = "1.00" } }, address)
        assert.equal(past, e.past)
        assert.same({ { city = "a", kind = "home" } }, past)
        quiet()
        local mark = { geo, first }
        e.address.geo.lat = 5
        e.address.rent = 5
        unit.raises("validation", em.flush, em)
        assert.equal(5, e.address.geo.lat)
        e.address.rent = nil
        em:flush()
        assert.equal("5.00", e.address.geo.lat)
        assert.equal(2, #mark)
    end)

    it("contract 3: on_create and on_update of members, where there is a value", function()
        local e = make { name = "Ann", address = { city = "x" }, audit = { by = "me" }, log = {} }
        assert.same({ by = "me", created = 3 }, e.audit)
        assert.same({ created = 3 }, e.log)
        e.name = "Bob"
        em:flush()
        assert.same({ by = "me", created = 3, updated = 100 }, em:fork():find_one(User, e.id).audit)
        assert.equal(100, e.log.updated)
        quiet()
        assert.is_nil(make({ name = "x", address = { city = "x" } }).audit)
    end)

    it("I5: a hidden document", function()
        local id = make({ name = "Ann", address = { city = "x" }, secret = { lat = 1 } }).id
        em:clear()
        local e = em:find_one(User, id)
        assert.is_nil(rawget(e, "secret"))
        assert.equal("1.00", e.secret.lat)
        e.secret.lat = 2
        em:flush()
        assert.same({ lat = "2.00" }, document "secret")
        quiet()
        e.secret = nil
        em:flush()
        assert.same({ { false } }, raw:rows "select secret from users")
        local plain = em:find(User, { id = id }, { managed = false })[1]
        assert.equal("x/home", plain.address:label())
        assert.is_nil(plain.secret)
    end)

    describe("filters", function()
        before_each(function()
            make { name = "a", address = { city = "x", zip = 5, since = 1.5, open = true, rate = 2, key = "\1",
                rent = { cents = 3 },
                geo = { lat = "10" }, tags = { "t" } }, work = { city = "w", geo = { lat = 2 } } }
            make { name = "b", address = { city = "y", zip = "30", since = 100, open = false, rate = 10,
                opened = "2024-01-01",
                ref = uuid, geo = { lat = "9.5" } }, past = {} }
            make { name = "c", address = { city = "X", since = "2026-01-31T10:00:00Z" } }
        end)

        local function names(where, opts)
            local found = {}
            for i, e in ipairs(em:find(User, where, opts or { order_by = { "id" } })) do found[i] = e.name end
            return table.concat(found)
        end

        it("Q1, Q7: members are compared as their types are", function()
            assert.equal("a", names { address = { city = "x" } })
            assert.equal("ac", names { address = { city = op.ilike "x%" } })
            assert.equal("b", names { address = { zip = op.gt(6) } })
            assert.equal("ab", names { address = { zip = op.one_of { 5, 30 } } })
            assert.equal("a", names { address = { since = 1.5 } })
            assert.equal("bc", names { address = { since = op.gte "1970-01-01T00:01:40Z" } })
            assert.equal("b", names { address = { since = op.between(2, 1000) } })
            assert.equal("a", names { address = { open = true } })
            assert.equal("b", names { address = { open = false, city = "y" } })
            assert.equal("b", names { address = { rate = op.gt(5) } })
            assert.equal("a", names { address = { key = "\1" } })
            assert.equal("a", names { address = { rent = { cents = 3 } } })
            assert.equal("a", names { address = { geo = { lat = "10.00" } } })
            assert.equal("b", names { address = { geo = { lat = op.lt(10) } } })
            assert.equal("b", names { address = { opened = "2024-01-01", ref = uuid:upper() } })
            assert.equal("a", names { work = { geo = { lat = 2 } } })
        end)

        it("Q2: NULL members and absent values", function()
            assert.equal("c", names { address = { zip = orm.null } })
            assert.equal("ab", names { address = { zip = op.not_null() } })
            assert.equal("c", names { address = { geo = orm.null } })
            assert.equal("a", names { work = op.not_null() })
            assert.equal("bc", names { work = orm.null })
            assert.equal("ac", names { past = orm.null })
            assert.equal("ac", names { address = op.any { { city = "x" }, { city = "X" } } })
            assert.equal("b", names { address = op.negate { city = op.ilike "x" } })
            assert.equal("c", names { address = { zip = op.one_of { orm.null } } })
        end)

        it("Q1: order by members; what is no member is refused with its nearest name", function()
            assert.equal("cab", names({}, { order_by = { "address.city" } }) == "cab" and "cab"
                or names({}, { order_by = { "address.city", "id" } }):gsub("ac", "ca"))
            assert.equal("abc", names({}, { order_by = { "address.zip" } }))
            assert.equal("bac", names({}, { order_by = { "address.zip desc nulls last" } }))
            assert.equal("bac", names({}, { order_by = { "address.geo.lat asc" } }))
            assert.equal("abc", names({}, { order_by = { "address.since" } }))
            local err = unit.raises("unknown_property", em.find, em, User, { address = { ctiy = "x" } })
            assert.truthy(tostring(err):find("did you mean 'city'", 1, true))
            unit.raises("unknown_property", em.find, em, User, {}, { order_by = { "address.ctiy" } })
            unit.raises("validation", em.find, em, User, {}, { order_by = { "address.geo" } })
            unit.raises("validation", em.find, em, User, {}, { order_by = { "address" } })
            unit.raises("validation", em.find, em, User, { address = {} })
            unit.raises("validation", em.find, em, User, { address = "x" })
            unit.raises("validation", em.find, em, User, { address = { city = { evil = 1 } } })
            unit.raises("validation", em.find, em, User, { address = op.gt(1) })
            unit.raises("validation", em.find, em, User, { past = { city = "x" } })
        end)

        it("contract 3: data of update_where changes the members that it names; a value replaces", function()
            assert.equal(1, em:update_where(User, { name = "a" }, { address = { city = "z", zip = orm.null,
                geo = { lon = 7 }, data = { n = orm.null } } }))
            local e = em:fork():find_one(User, { name = "a" })
            assert.equal("z", e.address.city)
            assert.is_nil(e.address.zip)
            assert.same({ lat = "10.00", lon = "7.00" }, e.address.geo)
            assert.same({ n = orm.null }, e.address.data)
            assert.equal(1.5, e.address.since)
            assert.equal(1, em:update_where(User, { name = "b" }, { work = { city = "new", geo = { lat = 1 } },
                past = { { city = "p" } } }))
            e = em:fork():find_one(User, { name = "b" })
            assert.same({ city = "new", geo = { lat = "1.00" } }, e.work)
            assert.equal("p", e.past[1].city)
            em:update_where(User, { name = "b" }, { address = Address { city = "all" }, work = orm.null })
            e = em:fork():find_one(User, { name = "b" })
            assert.same({ city = "all", kind = "home" }, e.address)
            assert.is_nil(e.work)
            local function refused(kind, path, data)
                assert.equal(path, unit.raises(kind, em.update_where, em, User, { name = "a" }, data).property)
            end
            refused("validation", "address", { address = orm.null })
            refused("validation", "address.city", { address = { city = orm.null } })
            refused("validation", "address.city", { address = { city = "longer than ten" } })
            refused("validation", "address.note", { address = { note = 1 } })
            refused("unknown_property", "address", { address = { ctiy = "x" } })
            refused("validation", "address.city", { address = { city = op.raw("1") } })
        end)

        it("contract 3: insert, insert_many, upsert and em:assign", function()
            local id = em:insert(User, { name = "d", address = { city = "d" }, past = { { city = "e" } } })
            local ids = em:insert_many(User,
                { { name = "e", address = { city = "e" } }, { name = "f", address = { city = "f" },
                work = { city = "g" } } })
            local fork = em:fork()
            assert.equal("e", fork:find_one(User, id).past[1].city)
            assert.equal("g", fork:find_one(User, ids[2]).work.city)
            local e, inserted = em:upsert(User, { id = id, name = "up", address = { city = "up", geo = { lat = 1 } } })
            assert.is_false(inserted)
            assert.equal("1.00", e.address.geo.lat)
            assert.equal("up/home", e.address:label())
            local address = e.address
            em:assign(e, { address = { geo = { lon = 2 }, kind = "office" }, past = { { city = "n" } } })
            assert.equal(address, e.address)
            em:flush()
            fork:clear()
            e = fork:find_one(User, id)
            assert.same({ city = "up", kind = "office", geo = { lat = "1.00", lon = "2.00" } }, e.address)
            assert.same({ { city = "n", kind = "home" } }, e.past)
        end)
    end)
end)
