-- Keys that are foreign keys, of rows whose own keys have a custom type: the program gives and gets its own form.

local databases = require "spec.support.databases"
local orm = require "heddle"
local unit = require "spec.support.unit"

local op = orm.op

local code = orm.type { column = "text",
    to_db = function(v) return v and v:upper() end, from_db = function(v) return v and v:lower() end }
local Land = orm.entity { name = "Land", table = "lands", { "code", type = code, primary = true },
    { "name", type = "string" }, { "towns", one_to_many = "Town", mapped_by = "land" },
    { "flag", one_to_one = "Flag", mapped_by = "land" } }
local Town = orm.entity { name = "Town", table = "towns", { "land", many_to_one = Land, primary = true },
    { "no", type = "integer", primary = true }, { "name", type = "string" },
    { "streets", one_to_many = "Street", mapped_by = "town" }, { "twins", many_to_many = "Town" } }
local Street = orm.entity { name = "Street", table = "streets", { "id", type = "integer", primary = true },
    { "town", many_to_one = Town } }
local Flag = orm.entity { name = "Flag", table = "flags", { "land", one_to_one = Land, primary = true },
    { "colour", type = "string" } }

databases.each(function(db)
    describe("a derived key of a custom type", function()
        local work, em

        before_each(function()
            work = unit.open(db, { Land, Town, Street, Flag })
            for _, sql in ipairs {
                "insert into lands (code, name) values ('PL', 'Poland'), ('DE', 'Germany')",
                "insert into towns (land_code, no, name) values ('PL', 1, 'Lwow'), ('DE', 1, 'Ulm')",
                "insert into towns (land_code, no, name) values ('DE', 2, 'Trier')",
                "insert into streets (id, town_land_code, town_no) values (1, 'DE', 1), (2, 'DE', 1), (3, 'PL', 1)",
                "insert into flags (land_code, colour) values ('PL', 'red')",
            } do work.raw:exec(sql) end
            em = work.em
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        it("I1: one row is one table, by whatever form of its key it is reached", function()
            local town, flag = em:find(Town, { name = "Ulm" })[1], em:find(Flag, {}, { all = true })[1]
            work:forget()
            assert.equal(town, em:get_reference(Town, { "de", 1 }))
            assert.equal(town, em:find_one(Town, { "de", 1 }))
            assert.equal(town, em:find_one(Town, { land = "de", no = 1 }))
            assert.equal(town, em:find_one(Town, { em:get_reference(Land, "de"), 1 }))
            assert.equal(flag, em:get_reference(Flag, "pl"))
            assert.equal(flag, em:find_one(Flag, "pl"))
            assert.same({}, work:statements()) -- I2
            local own = em:fork()
            assert.equal("Ulm", own:find_one(Town, { "de", 1 }).name)
            assert.equal("red", own:find_one(Flag, "pl").colour)
            assert.equal(2, #own:find(Town, op.one_of { { "de", 1 }, { "pl", 1 } }))
        end)

        it("references are loaded, changed, refreshed and removed", function()
            local town, flag = em:get_reference(Town, { "de", 2 }), em:get_reference(Flag, "pl")
            em:load(town)
            em:load(flag)
            assert.equal("Trier", town.name)
            assert.equal("pl", flag.land.code)
            em:fork():transactional(function(tx)
                tx:get_reference(Town, { "de", 2 }).name = "Treves"
                tx:remove(tx:get_reference(Flag, "pl"))
            end)
            assert.equal("Treves", em:refresh(town).name)
            assert.equal("0", tostring(work.raw:value "select count(*) from flags"))
        end)

        it("collections are read and written by it, in both strategies and by nobody", function()
            for _, strategy in ipairs { "select_in", "joined" } do
                for _, managed in ipairs { true, false } do
                    local towns = em:fork():find(Town, {}, { order_by = { "land.code", "no" }, strategy = strategy,
                        populate = { "streets.town", "land.flag" }, managed = managed })
                    assert.equal(2, #towns[1].streets)
                    assert.equal(towns[1], towns[1].streets[1].town)
                    assert.equal(towns[1].land, towns[2].land)
                    assert.equal("red", towns[3].land.flag.colour)
                end
            end
            local ulm, lwow = em:find_one(Town, { "de", 1 }), em:find_one(Town, { "pl", 1 })
            ulm.twins:add(lwow)
            em:flush()
            assert.equal(1, ulm.twins:load_count())
            assert.equal("Lwow", em:fork():find_one(Town, { "de", 1 }, { populate = { "twins" } }).twins[1].name)
            assert.equal("pl", orm.to_table(lwow).land)
            local merged = em:fork():merge(ulm)
            assert.equal("Ulm", merged.name)
            assert.equal(2, merged.streets:load_count())
        end)
    end)
end)
