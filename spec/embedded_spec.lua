-- Embedded values, one column for each member: what the program sees, what stands in the row.

local orm = require "heddle"
local databases = require "spec.support.databases"
local unit = require "spec.support.unit"

local cents = orm.type {
    column = "integer",
    to_db = function(value) return value.cents end,
    from_db = function(value) return { cents = value } end,
}

local Geo = orm.embeddable {
    name = "Geo",
    { "lat", type = "decimal", precision = 9, scale = 4 },
    { "lon", type = "decimal", precision = 9, scale = 4, nullable = true },
}

local Address = orm.embeddable {
    name = "Address",
    { "street", type = "string", length = 40, nullable = true },
    { "city", type = "string" },
    { "kind", enum = { "home", "office" }, default = "home" },
    { "since", type = "timestamp", nullable = true },
    { "tags", type = "json", nullable = true },
    { "rent", type = cents, nullable = true },
    { "floor", type = "integer", default_sql = "7" },
    { "geo", embedded = Geo, nullable = true },
    { "note", persist = false },
}
function Address:label() return self.city .. ", " .. (self.street or "?") end

local User = orm.entity {
    name = "User", table = "users",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "address", embedded = Address },
    { "work", embedded = Address, nullable = true, prefix = "w_" },
    { "geo", embedded = Geo, nullable = true, prefix = "" },
    { "secret", embedded = Geo, nullable = true, hidden = true },
    { "origin", embedded = Geo, nullable = true, lazy = true },
    { "version", type = "integer", version = true },
}

databases.each(function(db)
    local work, em, raw

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

    local function row(columns) return raw:rows("select " .. columns .. " from users order by id")[1] end

    it("U3: members are columns under a prefix, and come back as a value with its methods", function()
        local e = make {
            name = "Ann", address = { city = "Kraków", street = "Długa 1", since = "2026-01-31T10:00:00Z",
                tags = { "a" }, rent = { cents = 5 }, geo = { lat = "50.06" } },
            work = { city = "Łódź", kind = "office", floor = 3 }, geo = { lat = 1, lon = "2.5" },
        }
        assert.same({ "Kraków", "Długa 1", "home", "5", "7", "50.0600", false },
            row("address_city, address_street, address_kind, address_rent, address_floor, address_geo_lat, "
                .. "address_geo_lon"))
        assert.same({ "Łódź", "office", "3", false }, row "w_city, w_kind, w_floor, w_geo_lat")
        assert.same({ "1.0000", "2.5000" }, row "lat, lon")
        assert.equal(7, e.address.floor)
        assert.equal("50.0600", e.address.geo.lat)
        assert.equal(1769853600, e.address.since)
        quiet()
        local fresh = em:fork():find_one(User, e.id)
        assert.equal("Kraków, Długa 1", fresh.address:label())
        assert.same({ city = "Kraków", street = "Długa 1", kind = "home", since = 1769853600, tags = { "a" },
            rent = { cents = 5 }, floor = 7, geo = { lat = "50.0600" } }, fresh.address)
        assert.same({ city = "Łódź", kind = "office", floor = 3 }, fresh.work)
        assert.same({ lat = "1.0000", lon = "2.5000" }, fresh.geo)
        assert.is_not_nil(rawget(fresh, "address"))
    end)

    it("U3: an absent value is NULL in every column, and all-NULL columns read as nil", function()
        local e = make { name = "Ann", address = { city = "x" } }
        assert.same({ false, false, false, false }, row "w_city, w_kind, w_floor, lat")
        assert.is_nil(em:fork():find_one(User, e.id).work)
        e.work = { city = "y" }
        em:flush()
        assert.same({ "y", "home", "7" }, row "w_city, w_kind, w_floor")
        assert.equal("y, ?", e.work:label())
        e.work = nil
        em:flush()
        assert.same({ false, false, false }, row "w_city, w_kind, w_floor")
        e.geo = {}
        local err = unit.raises("validation", em.flush, em)
        assert.equal("geo.lat", err.property)
        e.geo = nil
        quiet()
    end)

    it("U1, U2: a member changed in place writes its column and no other; changed back, nothing", function()
        local e = make { name = "Ann", address = { city = "x", geo = { lat = "1" }, tags = { "a" },
            rent = { cents = 5 } } }
        e.address.city = "y"
        work:forget()
        em:flush()
        local update = work:statements "UPDATE"[1]
        assert.truthy(update:find("address_city", 1, true))
        assert.is_nil(update:find("address_kind", 1, true))
        assert.is_nil(update:find("lat", 1, true))
        assert.same({ "y" }, row "address_city")
        e.address.geo.lat, e.address.tags[2], e.address.rent.cents = 2, "b", 6
        em:flush()
        assert.same({ "2.0000", "6" }, row "address_geo_lat, address_rent")
        assert.equal("2.0000", e.address.geo.lat)
        assert.same({ "a", "b" }, em:fork():find_one(User, e.id).address.tags)
        e.address.city, e.address.geo.lat = "z", "3"
        e.address.city, e.address.geo.lat = "y", "2.0"
        quiet()
        assert.equal("2.0000", e.address.geo.lat)
        e.address = { city = "y", kind = "home", floor = 7, geo = { lat = "2" }, tags = { "a", "b" },
            rent = { cents = 6 } }
        quiet()
        assert.equal("y, ?", e.address:label())
    end)

    it("U7: what the program assigned stays the same table, in normal form, with defaults and methods", function()
        local value = { city = "x", since = "1970-01-01T00:00:10Z", geo = { lat = 1 } }
        local geo = value.geo
        local e = make { name = "Ann", address = { city = "first" } }
        e.address = value
        em:flush()
        assert.equal(value, e.address)
        assert.equal(geo, e.address.geo)
        assert.same({ city = "x", since = 10, kind = "home", floor = 7, geo = { lat = "1.0000" } }, value)
        assert.equal("x, ?", value:label())
        assert.same(value, em:fork():find_one(User, e.id).address)
    end)

    it("I3: a row that is read again refreshes members in place and keeps those that were changed", function()
        local e = make { name = "Ann", address = { city = "x", street = "s", geo = { lat = 1 } } }
        local address, geo = e.address, e.address.geo
        address.note = "mine"
        address.city = "changed"
        raw:exec("update users set address_city = 'other', address_street = 'news', address_geo_lat = '7.0000', "
            .. "w_city = 'w'")
        em:find(User, { id = e.id }, { flush_mode = "commit" })
        assert.equal(address, e.address)
        assert.equal(geo, e.address.geo)
        assert.equal("changed", address.city)
        assert.equal("news", address.street)
        assert.equal("7.0000", geo.lat)
        assert.equal("w", e.work.city)
        assert.equal("w, ?", e.work:label())
        em:flush()
        assert.same({ "changed", "news", "7.0000" }, row "address_city, address_street, address_geo_lat")
        raw:exec "update users set address_street = NULL, address_geo_lat = NULL, w_city = NULL"
        em:find(User, { id = e.id })
        assert.equal(address, e.address)
        assert.is_nil(address.street)
        assert.is_nil(address.geo)
        assert.is_nil(e.work)
        assert.equal("mine", address.note)
        quiet()
    end)

    it("U6: one table given to two entities, or twice to one, does not lead the writes of one to the other", function()
        local shared = Address { city = "x" }
        local a = make { name = "a", address = shared, work = shared }
        local b = make { name = "b", address = shared }
        assert.is_true(shared == a.address or shared == a.work)
        assert.are_not.equal(a.address, a.work)
        assert.are_not.equal(a.address, b.address)
        b.address = a.address
        em:flush()
        assert.are_not.equal(a.address, b.address)
        b.address.city = "y"
        em:flush()
        assert.same({ { "x" }, { "y" } }, raw:rows "select address_city from users order by id")
        b.address = a.address
        em:flush()
        raw:exec "update users set address_city = 'z' where name = 'a'"
        em:refresh(a)
        assert.equal("z", a.address.city)
        em:flush()
        assert.same({ "z", "x" }, { a.address.city, em:fork():find_one(User, b.id).address.city })
        assert.equal("x", b.address.city)
    end)

    it("F1: a failed flush leaves what the program gave, and the same tables; mended, everything is written", function()
        local e = make { name = "Ann", address = { city = "x", geo = { lat = 1 } } }
        local value = { city = "y", since = "1970-01-01T00:00:10Z", geo = { lat = "2" } }
        e.address = value
        local other = em:create(User, { id = e.id + 1, name = "b", address = { city = "z" } })
        raw:exec("insert into users (id, name, address_city, address_kind, version) values (" .. e.id + 1
            .. ", 'taken', 'c', 'home', 1)")
        em:persist(other)
        unit.raises("unique_violation", em.flush, em)
        assert.equal(value, e.address)
        assert.same({ city = "y", since = "1970-01-01T00:00:10Z", geo = { lat = "2" } }, value)
        assert.same({ city = "z", kind = "home" }, other.address)
        other.id = e.id + 2
        em:flush()
        assert.same({ "y", "2.0000" }, row "address_city, address_geo_lat")
        assert.equal("2.0000", value.geo.lat)
        quiet()
    end)

    it("F1: a rolled-back transaction gives back the values that were there, in place", function()
        local e = make { name = "Ann", address = { city = "x", geo = { lat = 1 } }, work = { city = "w" } }
        local clean = make { name = "Bob", address = { city = "b", geo = { lat = 5 } } }
        local address, geo, clean_address = e.address, e.address.geo, clean.address
        local replaced = { city = "replaced", geo = { lat = 3 } }
        e.address.city, e.address.note = "before", "kept"
        local ok, err = pcall(em.transactional, em, function()
            em:flush()
            e.address.city, e.address.geo.lat, e.work, e.geo = "inside", 9, nil, { lat = 1 }
            clean.address.city = "changed"
            em:flush()
            e.address = replaced
            clean.address.geo = nil
            error "undo"
        end)
        assert.is_false(ok)
        assert.truthy(tostring(err):find "undo")
        assert.equal(address, e.address)
        assert.equal(geo, e.address.geo)
        assert.same({ city = "before", kind = "home", floor = 7, geo = { lat = "1.0000" }, note = "kept" }, address)
        assert.same({ city = "w", kind = "home", floor = 7 }, e.work)
        assert.is_nil(e.geo)
        assert.equal(clean_address, clean.address)
        assert.same({ city = "b", kind = "home", floor = 7, geo = { lat = "5.0000" } }, clean_address)
        assert.same({ { "x", "1.0000" }, { "b", "5.0000" } },
            raw:rows "select address_city, address_geo_lat from users order by id")
        em:flush()
        assert.same({ { "before" }, { "b" } }, raw:rows "select address_city from users order by id")
        quiet()
    end)

    it("F1: what a failed flush generated and a hook set inside a value is taken back", function()
        work.instance:on("before_update", function(user) user.address.street = "hook" end)
        work.instance:on("after_update", function() error "no" end)
        local e = make { name = "Ann", address = { city = "x" } }
        local address = e.address
        e.address.city = "y"
        assert.is_false(pcall(em.flush, em))
        assert.equal(address, e.address)
        assert.same({ city = "y", kind = "home", floor = 7 }, address)
    end)

    it("U4: unknown members, wrong tables and missing values are refused where they are met, with their paths",
        function()
        local function refused(kind, path, fn, ...)
            local err = unit.raises(kind, fn, ...)
            assert.equal(path, err.property)
            return tostring(err)
        end
        local text = refused("unknown_property", "address.ctiy", em.create, em, User, { address = { ctiy = "x" } })
        assert.truthy(text:find("did you mean 'city'", 1, true))
        refused("unknown_property", "ctiy", Address, { ctiy = "x" })
        refused("unknown_property", "address.geo.lta", em.create, em, User,
            { address = { city = "x", geo = { lta = 1 } } })
        refused("validation", "address", em.create, em, User, { address = 5 })
        refused("validation", "address", em.create, em, User, { address = Geo { lat = 1 } })
        refused("validation", "address", em.create, em, User, { address = em:create(User, {}) })
        local function persisted(data)
            local e = em:create(User, data)
            local ok, err = pcall(em.persist_and_flush, em, e)
            em:detach(e)
            if not ok then error(err, 0) end
        end
        work:forget()
        refused("validation", "address", persisted, { name = "x" })
        refused("validation", "address.city", persisted, { name = "x", address = { street = "s" } })
        refused("validation", "address.geo.lat", persisted, { name = "x", address = { city = "x", geo = { lon = 1 } } })
        refused("validation", "work.city", persisted, { name = "x", address = { city = "x" }, work = { floor = 1 } })
        refused("validation", "address.kind", persisted, { name = "x", address = { city = "x", kind = "tent" } })
        refused("validation", "address.street", persisted,
            { name = "x", address = { city = "x", street = ("s"):rep(41) } })
        refused("validation", "address.geo.lat", persisted,
            { name = "x", address = { city = "x", geo = { lat = "1.23456" } } })
        assert.equal(0, work:writes())
        local e = make { name = "x", address = { city = "x" } }
        assert.has_error(function() e.address.ctiy = "y" end)
        refused("unknown_property", "work.ctiy", function() e.work = { ctiy = "y" } end)
        for _, case in ipairs {
            { "address.city", function() e.address.city = nil end },
            { "address.city", function() e.address.city = 5 end },
            { "address", function() e.address = "text" end },
            { "address", function() e.address = nil end },
            { "address.geo", function() e.address.geo = "text" end },
        } do
            case[2]()
            refused("validation", case[1], em.flush, em)
            em:refresh(e)
        end
        e.address = { city = "x", ctiy = "y" }
        refused("unknown_property", "address.ctiy", em.flush, em)
        em:refresh(e)
        assert.same({ city = "x", kind = "home", floor = 7 }, e.address)
        quiet()
    end)

    it("U2: orm.null and NULL members; a member that is not stored stays on the value", function()
        local e = make { name = "Ann", address = { city = "x", street = orm.null, note = "n" }, work = orm.null }
        assert.is_nil(e.address.street)
        e.address.street = orm.null
        quiet()
        e.address.street = "s"
        em:flush()
        e.address.street = orm.null
        em:flush()
        assert.is_nil(rawget(e.address, "street"))
        assert.same({ false }, row "address_street")
        assert.equal("n", e.address.note)
        e.address.note = "m"
        quiet()
        assert.equal("m", e.address.note)
        e.work = orm.null
        quiet()
        assert.is_nil(rawget(e, "work"))
    end)

    it("I5: lazy and hidden values: read when asked for, written when assigned", function()
        local id = make({ name = "Ann", address = { city = "x" }, secret = { lat = 1 }, origin = { lat = 2 } }).id
        em:clear()
        local e = em:find_one(User, id)
        assert.is_nil(rawget(e, "secret"))
        assert.equal("1.0000", e.secret.lat)
        assert.equal(e.secret, e.secret)
        assert.is_true(orm.is_error(select(2, pcall(function() return e.origin end)), "not_loaded"))
        quiet()
        e.secret.lat = 3
        em:flush()
        assert.same({ "3.0000", "2.0000" }, row "secret_lat, origin_lat")
        assert.equal("3.0000", e.secret.lat)
        e.origin = nil
        em:flush()
        assert.same({ false }, row "origin_lat")
        em:clear()
        e = em:find_one(User, id, { populate = { "origin" } })
        assert.is_nil(e.origin)
        e.origin = { lat = 4 }
        e.secret = nil
        em:flush()
        assert.same({ false, "4.0000" }, row "secret_lat, origin_lat")
        em:clear()
        e = em:find_one(User, id)
        em:load(e, { "origin" })
        assert.equal("4.0000", e.origin.lat)
        assert.is_nil(e.secret)
        em:clear()
        e = em:find_one(User, id, { fields = { "origin.lat" } })
        assert.equal("4.0000", e.origin.lat)
        assert.is_true(orm.is_error(select(2, pcall(function() return e.address end)), "not_loaded"))
        e.origin.lat = 5
        em:flush()
        assert.same({ "5.0000", "x" }, row "origin_lat, address_city")
        e.address = { city = "assigned", floor = 1 }
        em:flush()
        assert.same({ "assigned", "1" }, row "address_city, address_floor")
    end)

    it("I1: pairs, cjson and the REPL see a value; detached and merged instances take it along", function()
        local e = make { name = "Ann", address = { city = "x", geo = { lat = 1 } }, secret = { lat = 5 } }
        local seen = {}
        for name in pairs(e) do seen[name] = true end
        assert.same({ id = true, name = true, address = true, version = true }, seen)
        local ok, cjson = pcall(require, "cjson")
        if ok then
            assert.same({ city = "x", kind = "home", floor = 7, geo = { lat = "1.0000" } },
                cjson.decode(cjson.encode(e)).address)
        end
        local fork = em:fork()
        local own = fork:merge(e)
        assert.same(e.address, own.address)
        assert.are_not.equal(e.address, own.address)
        own.address.city = "fork"
        assert.equal("x", e.address.city)
        em:detach(e)
        assert.equal("x", e.address.city)
        assert.equal("5.0000", e.secret.lat)
        e.address.city = "detached"
        own = em:merge(e)
        em:flush()
        assert.equal("detached", own.address.city)
        assert.same({ "detached", "5.0000" }, row "address_city, secret_lat")
    end)

    it("contract 3: em:assign merges nested data into a value, replaces what is no plain table", function()
        local e = make { name = "Ann", address = { city = "x", street = "s", geo = { lat = 1, lon = 2 } } }
        local address, geo = e.address, e.address.geo
        em:assign(e, { address = { city = "y", geo = { lat = 3 } } })
        assert.equal(address, e.address)
        assert.equal(geo, e.address.geo)
        assert.same({ city = "y", street = "s", kind = "home", floor = 7, geo = { lat = 3, lon = "2.0000" } },
            e.address)
        em:assign(e, { address = { street = orm.null, geo = orm.null }, work = { city = "w" } })
        assert.is_nil(e.address.street)
        assert.is_nil(e.address.geo)
        assert.equal("w, ?", e.work:label())
        em:assign(e, { address = Address { city = "new" }, work = orm.null })
        assert.same({ city = "new", kind = "home" }, e.address)
        local err = unit.raises("unknown_property", em.assign, em, e, { name = "no", address = { geo = { lta = 1 } } })
        assert.equal("address.geo.lta", err.property)
        assert.equal("Ann", e.name)
        em:flush()
        assert.same({ "new", false, "7", false }, row "address_city, address_street, address_floor, w_city")
    end)

    it("I4: references, partial instances and unmanaged ones", function()
        local id = make({ name = "Ann", address = { city = "x" }, work = { city = "w" } }).id
        em:clear()
        local reference = em:get_reference(User, id)
        reference.address = { city = "blind" }
        em:flush()
        assert.same({ "blind", "w", "home" }, row "address_city, w_city, address_kind")
        local plain = em:find(User, { id = id }, { managed = false })[1]
        assert.equal("blind, ?", plain.address:label())
        assert.is_nil(plain.geo)
        plain.address.city = "nobody's"
        quiet()
        local some = em:fork():find_one(User, id, { fields = { "name" } })
        assert.is_true(orm.is_error(select(2, pcall(function() return some.address end)), "not_loaded"))
        local part = em:find(User, { id = id }, { managed = false, fields = { "name", "work" } })[1]
        assert.equal("w", part.work.city)
        assert.is_true(orm.is_error(select(2, pcall(function() return part.address end)), "not_loaded"))
    end)

    it("contract 3: changes tell of a value as a whole, as it was and as it is", function()
        local told
        work.instance:on("after_flush", function(changes) told = changes end)
        local e = make { name = "Ann", address = { city = "x", rent = { cents = 5 } } }
        assert.same({ city = "x", kind = "home", floor = 7, rent = { cents = 5 } }, told[1].values.address)
        assert.is_nil(told[1].values.work)
        e.address.city, e.address.rent, e.work = "y", { cents = 6 }, { city = "w" }
        em:flush()
        assert.same({ city = "y", kind = "home", floor = 7, rent = { cents = 6 } }, told[1].values.address)
        assert.same({ city = "x", kind = "home", floor = 7, rent = { cents = 5 } }, told[1].old.address)
        assert.equal(orm.null, told[1].old.work)
        assert.equal("w, ?", told[1].values.work:label())
        assert.is_nil(told[1].values.name)
        e.work = nil
        em:flush()
        assert.equal(orm.null, told[1].values.work)
        em:remove_and_flush(e)
        assert.equal("y", told[1].old.address.city)
    end)

    it("F2: a value that was changed while another writer was faster is an optimistic_lock", function()
        local e = make { name = "Ann", address = { city = "x" } }
        e.address.city = "mine"
        raw:exec "update users set address_city = 'theirs', version = 2"
        em:find(User, { id = e.id }, { flush_mode = "commit" })
        assert.equal("mine", e.address.city)
        unit.raises("optimistic_lock", em.flush, em)
        em:refresh(e)
        assert.equal("theirs", e.address.city)
    end)
end)
