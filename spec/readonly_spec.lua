-- Entities that say `readonly = true`: every way of writing them is refused before the first statement.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"

local raises, sent_by = expect.raises, expect.sent_by

local Country = orm.entity { name = "Country", readonly = true,
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "doc", type = "json", nullable = true },
    { "capital", many_to_one = "City", nullable = true },
    { "languages", many_to_many = "Language" },
}
local City = orm.entity { name = "City",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "country", many_to_one = "Country", cascade = { "persist", "remove" } },
}
local Language = orm.entity { name = "Language",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
}
local Place = orm.entity { name = "Place", discriminator_column = "kind",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
}
local Monument = orm.entity { name = "Monument", extends = Place, readonly = true }

databases.each(function(db)
    describe("readonly entities", function()
        local em, sent, country

        before_each(function()
            local instance = orm.init(db:config { entities = { Country, City, Language, Place, Monument } })
            instance.schema:create()
            em = orm.em():fork()
            em:execute [[insert into country (id, name, doc) values (1, 'Austria', '{"a":1}')]]
            em:execute "insert into language (name) values ('German')"
            em:execute "insert into city (name, country_id) values ('Graz', 1)"
            em:execute "insert into place (id, name, kind) values (1, 'column', 'monument'), (2, 'park', 'place')"
            country = em:find_one(Country, 1)
            sent = expect.statements(instance)
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        local function refused(fn, ...)
            local words = { ... }
            local list = sent_by(sent, function()
                local err = raises("read_only", fn, "Country")
                for _, word in ipairs(words) do assert.is_truthy(err.message:find(word, 1, true), err.message) end
            end)
            assert.same({}, list)
            assert.same({ { "1", "Austria" } }, db:raw():rows "select id, name from country")
        end

        it("are read, referred to, and not written for that", function()
            local city = em:create(City, { name = "Wien", country = country })
            em:persist(city):flush()
            assert.equal(2, city.id)
            assert.equal(country, em:find_one(City, 1).country)
            assert.equal("Austria", em:refresh(country).name)
        end)

        it("persist, remove and the calls beside the unit of work are refused at once", function()
            refused(function() em:persist(em:create(Country, { name = "x" })) end, "em:persist")
            refused(function() em:persist(country) end, "em:persist")
            refused(function() em:remove(country) end, "em:remove")
            refused(function() em:remove(em:get_reference(Country, 5)) end, "em:remove")
            refused(function() em:insert(Country, { name = "x" }) end, "em:insert")
            refused(function() em:insert_many(Country, { { name = "x" } }) end, "em:insert_many")
            refused(function() em:insert(Country, { name = orm.raw "'x'" }) end, "em:insert")
            refused(function() em:upsert(Country, { id = 1, name = "x" }) end, "em:upsert")
            refused(function() em:upsert_many(Country, {}) end, "em:upsert")
            refused(function() em:update_where(Country, { id = 1 }, { name = "x" }) end, "em:update_where")
            refused(function() em:delete_where(Country, { id = 1 }) end, "em:delete_where")
        end)

        it("a change in memory is refused by the flush, before anything else is written", function()
            local city = em:find_one(City, 1)
            em:persist(em:create(Language, { name = "Latin" }))
            city.name, country.name = "Gratz", "Ostarrichi"
            for _ = 1, 2 do refused(function() em:flush() end, "em:flush", "Country#1", "refresh") end
            assert.equal("1", db:raw():value "select count(*) from language")
            country.name = "Austria"
            em:flush()
            assert.same({ { "Gratz" } }, db:raw():rows "select name from city")
            assert.equal("2", db:raw():value "select count(*) from language")
        end)

        it("so are changes inside of json, of relations, of members", function()
            country.doc.a = 2
            refused(function() em:flush() end)
            em:refresh(country)
            country.capital = em:find_one(City, 1)
            refused(function() em:flush() end)
            em:refresh(country)
            country.languages:add(em:find_one(Language, 1))
            refused(function() em:flush() end, "languages")
            em:clear()
        end)

        it("and what a cascade would make or delete", function()
            em:persist(em:create(City, { name = "x", country = Country { name = "new" } }))
            refused(function() em:flush() end, "em:flush", "cascade")
            em:clear()
            em:remove(em:find_one(City, 1))
            refused(function() em:flush() end, "Country")
            em:clear()
            assert.equal("1", db:raw():value "select count(*) from city")
        end)

        it("in a table of several entities only those that say so", function()
            local monument, park = em:find_one(Place, 1), em:find_one(Place, 2)
            park.name = "garden"
            em:flush()
            monument.name = "pillar"
            raises("read_only", function() em:flush() end, "Monument#1")
            em:refresh(monument)
            raises("read_only", function() em:remove(monument) end, "Monument")
            raises("read_only", function() em:update_where(Place, { id = 1 }, { name = "x" }) end, "Monument")
            raises("read_only", function() em:delete_where(Monument, { id = 1 }) end, "Monument")
            assert.same({ { "column" }, { "garden" } }, db:raw():rows "select name from place order by id")
        end)
    end)
end)
